//! What may not become a negative of an anchor: its known positives, by document and by the words of their texts, and
//! what it has as a negative already.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use orchestrator_plugin::{Corpus, Document, Judgement, Judgements};

/// Why something may not become a negative: the counter of what was dropped.
pub(crate) type Why = &'static str;

const KNOWN: Why = "dropped: known positive";
const SAME_AS_KNOWN: Why = "dropped: same text as a known positive";
const JUDGED: Why = "dropped: judged for this anchor";
const EMPTY: Why = "dropped: empty document";
const TWICE: Why = "dropped: same text twice";

/// Texts that differ in case and spaces only are the same.
pub(crate) fn normalised(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// Equal for equal texts; unequal texts are told apart by comparing them where theirs are equal.
fn fingerprint(normalised: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    normalised.hash(&mut hash);
    hash.finish()
}

/// The documents, and of each a fingerprint of its words, made when first asked for.
pub(crate) struct Documents<'a> {
    corpus: Corpus<'a>,
    fingerprints: Vec<OnceCell<u64>>,
}

impl<'a> Documents<'a> {
    pub fn of(corpus: Corpus<'a>) -> Self {
        let fingerprints = vec![OnceCell::new(); corpus.len()];
        Self {
            corpus,
            fingerprints,
        }
    }

    pub fn len(&self) -> usize {
        self.corpus.len()
    }

    pub fn get(&self, number: i64) -> Document<'a> {
        self.corpus.document(number as usize)
    }

    /// Title and sentences.
    pub fn text(&self, number: i64) -> String {
        self.get(number).full_text()
    }

    fn fingerprint(&self, number: i64) -> u64 {
        *self.fingerprints[number as usize]
            .get_or_init(|| fingerprint(&normalised(&self.text(number))))
    }
}

/// The evidence of a judgement, in the order of the document, without repetition.
pub(crate) fn evidence<'a>(document: &Document<'a>, judgement: &Judgement<'_>) -> Vec<&'a str> {
    let numbers: BTreeSet<i32> = judgement.sentences.iter().copied().collect();
    numbers
        .into_iter()
        .filter_map(|number| document.sentences.get(usize::try_from(number).ok()?))
        .map(|sentence| sentence.trim())
        .collect()
}

/// Who may still become a negative of one anchor.
pub(crate) struct Admission<'d, 'a> {
    documents: &'d Documents<'a>,
    relevant: BTreeSet<i64>,
    judged: BTreeSet<i64>,
    pass_judged: bool,
    /// Normal forms of the texts of its positives: abstracts, rationale sets, sentences of evidence.
    positive_texts: BTreeMap<u64, String>,
    admitted: BTreeMap<u64, Admitted>,
}

enum Admitted {
    Document(i64),
    Text(String),
}

impl<'d, 'a> Admission<'d, 'a> {
    pub fn of(anchor: i64, judgements: &Judgements<'_>, documents: &'d Documents<'a>) -> Self {
        let (mut relevant, mut judged) = (BTreeSet::new(), BTreeSet::new());
        let mut positive_texts = BTreeMap::new();
        for one in judgements.of(anchor) {
            judged.insert(one.document);
            if !one.relevant {
                continue;
            }
            let document = documents.get(one.document);
            let sentences = evidence(&document, &one);
            let mut remember = |text: String| {
                if !text.is_empty() {
                    positive_texts.insert(fingerprint(&text), text);
                }
            };
            if relevant.insert(one.document) {
                remember(normalised(&document.full_text()));
            }
            remember(normalised(&sentences.join(" ")));
            for sentence in sentences {
                remember(normalised(sentence));
            }
        }
        Self {
            documents,
            relevant,
            judged,
            pass_judged: true,
            positive_texts,
            admitted: BTreeMap::new(),
        }
    }

    /// Also turns away documents that were judged not to be relevant.
    pub fn without_judged(mut self) -> Self {
        self.pass_judged = false;
        self
    }

    /// The known relevant documents, in order.
    pub fn positives(&self) -> &BTreeSet<i64> {
        &self.relevant
    }

    /// Every document judged, in order.
    pub fn judged(&self) -> &BTreeSet<i64> {
        &self.judged
    }

    /// Lets a whole document in as a negative, once.
    pub fn document(&mut self, number: i64) -> Result<(), Why> {
        if self.relevant.contains(&number) {
            return Err(KNOWN);
        }
        if !self.pass_judged && self.judged.contains(&number) {
            return Err(JUDGED);
        }
        let fingerprint = self.documents.fingerprint(number);
        // Texts are made only where fingerprints meet.
        let positive = self.positive_texts.get(&fingerprint);
        let there = self.admitted.get(&fingerprint);
        if positive.is_some() || there.is_some() {
            let text = normalised(&self.documents.text(number));
            if positive.is_some_and(|known| *known == text) {
                return Err(SAME_AS_KNOWN);
            }
            if there.is_some_and(|one| one.says(&text, self.documents)) {
                return Err(TWICE);
            }
        } else if self.documents.text(number).trim().is_empty() {
            return Err(EMPTY);
        }
        self.admitted
            .insert(fingerprint, Admitted::Document(number));
        Ok(())
    }

    /// Lets a passage in as a negative, once.
    pub fn text(&mut self, text: &str) -> Result<(), Why> {
        let text = normalised(text);
        if text.is_empty() {
            return Err(EMPTY);
        }
        let fingerprint = fingerprint(&text);
        if self.positive_texts.get(&fingerprint) == Some(&text) {
            return Err(SAME_AS_KNOWN);
        }
        let there = self.admitted.get(&fingerprint);
        if there.is_some_and(|one| one.says(&text, self.documents)) {
            return Err(TWICE);
        }
        self.admitted.insert(fingerprint, Admitted::Text(text));
        Ok(())
    }
}

impl Admitted {
    fn says(&self, normal: &str, documents: &Documents<'_>) -> bool {
        match self {
            Self::Document(number) => normalised(&documents.text(*number)) == normal,
            Self::Text(text) => text == normal,
        }
    }
}
