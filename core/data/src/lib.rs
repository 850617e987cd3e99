//! Corpora, claims and judgements, read and checked at the edge: after this, every reference resolves and every text is
//! where it should be. Knows nothing of samples or models.

mod builtin;
mod loader;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use builtin::FIELDS as BUILTIN_FIELDS;
pub use loader::{load, load_claims, load_documents};

/// Where a corpus is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum Source {
    /// The fictional mini corpus inside the executable.
    Builtin {
        /// Which of its fields; empty = all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<String>,
    },
    /// A folder in SciFact's format: `corpus.jsonl`, `claims_NAME.jsonl`.
    Scifact {
        /// The folder.
        path: PathBuf,
    },
}

/// An abstract.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id in the data.
    pub id: String,
    /// Its title; may be empty.
    pub title: String,
    /// Its sentences, in order.
    pub sentences: Vec<String>,
    /// Every further field of its line.
    pub metadata: Map<String, Value>,
}

impl Document {
    /// Title and sentences as one text: what is indexed and embedded.
    #[must_use]
    pub fn full_text(&self) -> String {
        let mut text = self.title.clone();
        for sentence in &self.sentences {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(sentence.trim());
        }
        text
    }
}

/// Which part of an experiment an anchor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Samples are made for it.
    Train,
    /// Held out of train: what adapts, stops or selects looks here.
    Validation,
    /// Scored, never chosen on.
    Test,
    /// A training claim that says the same as a test claim: neither trained on nor scored.
    Excluded,
}

impl Split {
    /// As in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Excluded => "excluded",
        }
    }
}

/// A claim or query.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// Its id in the data.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Which part it is for.
    pub split: Split,
    /// Every further field of its line.
    pub metadata: Map<String, Value>,
}

/// What a document says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It supports it.
    Support,
    /// It supports a part of it.
    Partial,
    /// It contradicts it (`CONTRADICT` or `REFUTE`).
    Contradict,
    /// It was cited for it, without evidence for or against.
    Neutral,
}

impl Label {
    /// As in the store and the plugin interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Partial => "partial",
            Self::Contradict => "contradict",
            Self::Neutral => "neutral",
        }
    }

    /// The label of that name, if it is one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [
            Self::Support,
            Self::Partial,
            Self::Contradict,
            Self::Neutral,
        ]
        .into_iter()
        .find(|one| one.name() == name)
    }
}

/// Which documents count as relevant in training. Evaluation always counts every judged document, as BEIR's qrels do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Every judged document is relevant: it is about the claim, whatever it says.
    Retrieval,
    /// Only what supports the claim is relevant; contradicting and neutral documents are negatives.
    Entailment,
}

impl Reading {
    /// Whether a document with that label is a known positive.
    #[must_use]
    pub fn relevant(self, label: Label) -> bool {
        match self {
            Self::Retrieval => true,
            Self::Entailment => matches!(label, Label::Support | Label::Partial),
        }
    }

    /// How relevant, 0..1. A partial support counts 0.7; cited without evidence is a grey zone, 0.5 where it counts.
    #[must_use]
    pub fn grade(self, label: Label) -> f32 {
        match (self, label) {
            (_, Label::Support) | (Self::Retrieval, Label::Contradict) => 1.0,
            (_, Label::Partial) => 0.7,
            (Self::Retrieval, Label::Neutral) => 0.5,
            (Self::Entailment, Label::Contradict | Label::Neutral) => 0.0,
        }
    }
}

/// One rationale set: sentences of a document that together say something of a claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Judgement {
    /// Number of the anchor.
    pub anchor: usize,
    /// Number of the document.
    pub document: usize,
    /// What it says.
    pub label: Label,
    /// Sentence numbers; empty = the document as a whole (cited without evidence).
    pub sentences: Vec<usize>,
}

/// Documents, anchors and what is known of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Numbered by their place, in the order of the file.
    pub documents: Vec<Document>,
    /// Numbered by their place: train (with validation), then test, each in the order of its file.
    pub anchors: Vec<Anchor>,
    /// Sorted by anchor, document, rationale set as in the file.
    pub judgements: Vec<Judgement>,
    /// SHA-256 of the bytes it was read from.
    pub fingerprint: String,
}

impl Dataset {
    /// The numbers of the anchors of a split, in order.
    pub fn of_split(&self, split: Split) -> impl Iterator<Item = usize> + '_ {
        self.anchors
            .iter()
            .enumerate()
            .filter(move |(_, anchor)| anchor.split == split)
            .map(|(number, _)| number)
    }

    /// The judgements of an anchor.
    #[must_use]
    pub fn judgements_of(&self, anchor: usize) -> &[Judgement] {
        let first = self.judgements.partition_point(|one| one.anchor < anchor);
        let last = self.judgements.partition_point(|one| one.anchor <= anchor);
        &self.judgements[first..last]
    }

    /// The documents judged for each anchor of a split, whatever they say: the qrels of evaluation.
    #[must_use]
    pub fn qrels(&self, split: Split) -> BTreeMap<usize, Vec<usize>> {
        self.of_split(split)
            .map(|anchor| {
                let mut documents: Vec<usize> = self
                    .judgements_of(anchor)
                    .iter()
                    .map(|one| one.document)
                    .collect();
                documents.dedup();
                (anchor, documents)
            })
            .filter(|(_, documents)| !documents.is_empty())
            .collect()
    }

    /// Excludes the training anchors whose text, but for case, spaces and a full stop, is that of a test anchor. How many.
    pub fn exclude_leaks(&mut self) -> usize {
        let test: BTreeSet<String> = self
            .of_split(Split::Test)
            .map(|number| normalised(&self.anchors[number].text))
            .collect();
        let mut excluded = 0;
        for anchor in self
            .anchors
            .iter_mut()
            .filter(|anchor| anchor.split == Split::Train)
        {
            if test.contains(&normalised(&anchor.text)) {
                anchor.split = Split::Excluded;
                excluded += 1;
            }
        }
        excluded
    }

    /// Moves a share of the training anchors to validation, in the order of a hash of seed and text; at least one if there
    /// are two or more. Anchors that say the same stay together.
    pub fn hold_out(&mut self, seed: u64, share: f64) {
        let mut by_text: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
        for number in self.of_split(Split::Train) {
            let mut hash = Sha256::new();
            hash.update(b"validation");
            hash.update(seed.to_le_bytes());
            hash.update(normalised(&self.anchors[number].text).as_bytes());
            by_text
                .entry(hash.finalize().into())
                .or_default()
                .push(number);
        }
        let all: usize = by_text.values().map(Vec::len).sum();
        let wanted = ((all as f64 * share).round() as usize).max(usize::from(by_text.len() > 1));
        let mut moved = 0;
        for numbers in by_text.into_values() {
            if moved >= wanted {
                break;
            }
            moved += numbers.len();
            for number in numbers {
                self.anchors[number].split = Split::Validation;
            }
        }
    }
}

fn normalised(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_lowercase()
}

/// Lower-case hexadecimal SHA-256 of several pieces, their lengths between them.
#[must_use]
pub fn fingerprint<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update((piece.len() as u64).to_le_bytes());
        hash.update(piece);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
