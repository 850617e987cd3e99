//! In-batch negatives: the texts of a step by the part they play, and which of them are known to belong together and so
//! may never be contrasted.

use std::collections::BTreeSet;

use orchestrator_plugin::LossBatch;

/// The distinct texts of a step, in order.
pub struct InBatch {
    /// Anchors of its groups.
    pub anchors: Vec<usize>,
    /// Its positives.
    pub positives: Vec<usize>,
    /// Its positives and negatives.
    pub documents: Vec<usize>,
    belong: Belong,
}

impl InBatch {
    pub fn of(batch: &LossBatch<'_>) -> Self {
        let texts = |rows: &[u32]| -> Vec<usize> {
            rows.iter()
                .map(|&row| batch.row(row as usize).text)
                .collect()
        };
        let (mut anchors, mut positives) = (BTreeSet::new(), BTreeSet::new());
        let mut documents = BTreeSet::new();
        for group in batch.groups() {
            anchors.insert(group.anchor);
            positives.extend(texts(group.positives));
            documents.extend(texts(group.positives));
            documents.extend(texts(group.negatives));
        }
        Self {
            anchors: anchors.into_iter().collect(),
            positives: positives.into_iter().collect(),
            documents: documents.into_iter().collect(),
            belong: Belong::of(batch),
        }
    }

    /// Whether `a` and `b` may stand against each other: they are two texts, neither is known to be relevant to the
    /// other, and no anchor of the step is known to have both.
    pub fn may_contrast(&self, a: usize, b: usize) -> bool {
        a != b && !self.belong.together(a, b)
    }
}

/// For each text the groups it belongs to, as bits: as anchor, as positive, or as known to be relevant.
struct Belong {
    words: usize,
    bits: Vec<u64>,
}

impl Belong {
    fn of(batch: &LossBatch<'_>) -> Self {
        let words = batch.groups().len().div_ceil(64);
        let mut bits = vec![0u64; words * batch.texts()];
        for (number, group) in batch.groups().enumerate() {
            let mut belongs = |text: usize| bits[text * words + number / 64] |= 1 << (number % 64);
            belongs(group.anchor);
            for &row in group.positives {
                belongs(batch.row(row as usize).text);
            }
            (0..batch.texts())
                .filter(|&text| group.knows_relevant(text))
                .for_each(belongs);
        }
        Self { words, bits }
    }

    fn together(&self, a: usize, b: usize) -> bool {
        let of = |text: usize| &self.bits[text * self.words..(text + 1) * self.words];
        of(a).iter().zip(of(b)).any(|(a, b)| a & b != 0)
    }
}
