//! Training steps for losses: rows over embeddings, of every shape a run can give.

use orchestrator_plugin_host::{Batch, Context, Services};

use crate::lent::embed;
use crate::world::odd_texts;

/// One (anchor, candidate) row of a step: both are numbers of texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Text of the anchor. The rows of one anchor stand together.
    pub anchor: u32,
    /// Text of the candidate.
    pub text: u32,
    /// Whether it is a positive of the anchor.
    pub positive: bool,
    /// 0..1.
    pub label: f32,
    /// > 0.
    pub weight: f32,
}

impl Row {
    /// A positive with label and weight 1.
    #[must_use]
    pub fn positive(anchor: u32, text: u32) -> Self {
        Self {
            anchor,
            text,
            positive: true,
            label: 1.0,
            weight: 1.0,
        }
    }

    /// A negative with label 0 and weight 1.
    #[must_use]
    pub fn negative(anchor: u32, text: u32) -> Self {
        Self {
            positive: false,
            label: 0.0,
            ..Self::positive(anchor, text)
        }
    }
}

/// The step that a run would lend a loss: `embeddings` are `[texts, dim]`, row-major, of unit length as a run's are. A
/// text is known to be relevant to the anchors whose positive it is.
#[must_use]
pub fn step(dim: usize, embeddings: Vec<f32>, rows: &[Row]) -> Batch {
    let texts = embeddings.len() / dim.max(1);
    let mut batch = Batch {
        dim,
        embeddings,
        positive_offsets: vec![0],
        negative_offsets: vec![0],
        ..Batch::default()
    };
    for group in rows.chunk_by(|a, b| a.anchor == b.anchor) {
        batch.group_anchor.push(group[0].anchor);
        let mut known = vec![0u8; texts];
        for row in group {
            let number = batch.row_text.len() as u32;
            batch.row_anchor.push(row.anchor);
            batch.row_text.push(row.text);
            batch.row_label.push(row.label);
            batch.row_weight.push(row.weight);
            if row.positive {
                batch.positive_rows.push(number);
                known[row.text as usize] = 1;
            } else {
                batch.negative_rows.push(number);
            }
        }
        let ends = (batch.positive_rows.len(), batch.negative_rows.len());
        batch.positive_offsets.push(ends.0 as u64);
        batch.negative_offsets.push(ends.1 as u64);
        batch.known_relevant.extend(known);
    }
    batch
}

/// A step as a loss without a teacher sees it, and with one.
pub(crate) struct Step {
    plain: Batch,
    taught: Batch,
    teacher: Vec<f32>,
}

/// Length of the teacher's embeddings.
const TEACHER_DIM: usize = 12;

impl Step {
    pub fn new(plain: Batch) -> Self {
        let mut taught = plain.clone();
        taught.row_teacher = (0..plain.row_text.len())
            .map(|row| (row * 43 % 100) as f32 / 100.0)
            .collect();
        let texts = plain.embeddings.len() / plain.dim.max(1);
        Self {
            plain,
            taught,
            teacher: scattered(texts, TEACHER_DIM),
        }
    }

    pub fn batch(&self, taught: bool) -> &Batch {
        if taught { &self.taught } else { &self.plain }
    }

    /// `context` with the teacher's embeddings, if there is one.
    pub fn context<'a>(&'a self, context: &Context<'a>, taught: bool) -> Context<'a> {
        Context {
            services: Services {
                teacher: taught.then_some((TEACHER_DIM, self.teacher.as_slice())),
                ..context.services
            },
            ..*context
        }
    }
}

/// `texts` unit vectors with no pattern and no two alike.
pub(crate) fn scattered(texts: usize, dim: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state = state
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut values: Vec<f32> = (0..texts * dim).map(|_| next()).collect();
    for vector in values.chunks_exact_mut(dim.max(1)) {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|value| *value /= length);
    }
    values
}

/// Steps such as training makes: several positives and negatives, weights and labels of all kinds, anchors without
/// positives or negatives, a text that serves two anchors.
pub(crate) fn ordinary() -> Vec<Step> {
    let graded = |row: Row, label: f32, weight: f32| Row {
        label,
        weight,
        ..row
    };
    let two_groups = [
        Row::positive(0, 2),
        graded(Row::positive(0, 3), 0.7, 0.5),
        graded(Row::negative(0, 4), 0.0, 2.0),
        graded(Row::positive(1, 5), 1.0, 1.5),
        Row::negative(1, 6),
        graded(Row::negative(1, 4), 0.2, 0.3),
    ];
    let uneven = [
        Row::positive(0, 4),
        Row::negative(0, 5),
        Row::negative(0, 6),
        Row::positive(1, 7),
        Row::negative(2, 8),
        graded(Row::negative(2, 9), 0.3, 1.0),
        Row::positive(3, 10),
        graded(Row::positive(3, 11), 0.8, 0.25),
        Row::negative(3, 7),
    ];
    let pairs: Vec<Row> = (0..6).map(|n| Row::positive(n, n + 6)).collect();
    [
        step(3, scattered(7, 3), &two_groups),
        step(17, scattered(12, 17), &uneven),
        step(8, scattered(12, 8), &pairs),
    ]
    .map(Step::new)
    .into()
}

/// Steps at the edges of what training makes: nothing, one row, no group with both roles, one dimension, texts that are
/// one and the same, texts without a word.
pub(crate) fn odd() -> Vec<Step> {
    let pair = [Row::positive(0, 1)];
    let triple = [Row::positive(0, 1), Row::negative(0, 2)];
    let apart = [
        Row::positive(0, 2),
        Row::positive(0, 3),
        Row::negative(1, 4),
    ];
    // The text of the anchor itself, and one text in both roles of two anchors.
    let entangled = [
        Row::positive(0, 0),
        Row::negative(0, 2),
        Row::positive(1, 2),
        Row::negative(1, 0),
    ];
    let no_words = [vec![0.0; 4], scattered(2, 4)].concat();
    let odd = odd_texts();
    let of_texts: Vec<f32> = odd.iter().flat_map(|text| embed(text)).collect();
    let dim = of_texts.len() / odd.len();
    let in_pairs: Vec<Row> = (0..odd.len() as u32 / 4)
        .flat_map(|n| {
            [
                Row::positive(4 * n, 4 * n + 1),
                Row::negative(4 * n, 4 * n + 2),
                Row::negative(4 * n, 4 * n + 3),
            ]
        })
        .collect();
    [
        step(4, Vec::new(), &[]),
        step(4, scattered(2, 4), &pair),
        step(4, scattered(2, 4), &[Row::negative(0, 1)]),
        step(1, scattered(3, 1), &triple),
        step(5, scattered(5, 5), &apart),
        step(4, scattered(3, 4), &entangled),
        step(2, [0.6, 0.8].repeat(3), &triple),
        step(4, no_words, &triple),
        step(dim, of_texts, &in_pairs),
    ]
    .map(Step::new)
    .into()
}

/// One step of `rows` rows: 64 anchors, one positive in four, few texts for many rows.
pub(crate) fn large(rows: usize, dim: usize) -> Batch {
    const ANCHORS: usize = 64;
    let texts = ANCHORS + rows.min(2_000);
    let of_anchor = rows / ANCHORS;
    let rows: Vec<Row> = (0..ANCHORS)
        .flat_map(|anchor| (0..of_anchor).map(move |n| (anchor, n)))
        .map(|(anchor, n)| {
            let text = (ANCHORS + (anchor * of_anchor + n) % (texts - ANCHORS)) as u32;
            if n % 4 == 0 {
                Row::positive(anchor as u32, text)
            } else {
                Row::negative(anchor as u32, text)
            }
        })
        .collect();
    step(dim, scattered(texts, dim), &rows)
}
