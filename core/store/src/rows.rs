//! Rows on their way into the store.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A sample's id: the same in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleId(pub u128);

impl fmt::Display for SampleId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

/// Whether a sample is relevant to its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Relevant.
    Positive,
    /// Not relevant.
    Negative,
}

impl Role {
    /// As in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }
}

/// The id of the sample of an anchor (by its id in the data), a text and a role. Where it is from is not part of it: two
/// sources that propose the same text are one sample with two provenances.
#[must_use]
pub fn sample_id(anchor: &str, text: &str, role: Role) -> SampleId {
    let mut hash = Sha256::new();
    for piece in [anchor, text, role.name()] {
        hash.update((piece.len() as u64).to_le_bytes());
        hash.update(piece.as_bytes());
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
    SampleId(u128::from_be_bytes(first))
}

/// The id of a text: no index over the texts themselves is needed to find one.
pub(crate) fn text_id(content: &str) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(content.as_bytes())[..8]);
    (u64::from_be_bytes(first) >> 1) as i64
}

/// The run itself.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // The columns of the table of that name: see schema.sql.
pub struct Run<'a> {
    pub name: &'a str,
    pub seed: u64,
    pub version: &'a str,
    pub data_fingerprint: &'a str,
    pub plan: &'a str,
}

/// A plugin instance.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Plugin<'a> {
    pub name: &'a str,
    pub id: &'a str,
    pub kind: &'a str,
    pub version: &'a str,
    pub sha256: &'a str,
    pub settings: &'a str,
}

/// A document.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Document<'a> {
    pub number: usize,
    pub id: &'a str,
    pub title: &'a str,
    pub text: &'a str,
    pub metadata: &'a str,
}

/// An anchor.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Anchor<'a> {
    pub number: usize,
    pub id: &'a str,
    pub split: &'a str,
    pub text: &'a str,
    pub metadata: &'a str,
}

/// A judgement.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Judgement<'a> {
    pub anchor: usize,
    pub document: usize,
    pub label: &'a str,
    pub sentences: &'a [usize],
    pub relevant: bool,
    pub grade: f32,
    pub held_back: bool,
    pub spoiled: bool,
}

/// A sample.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Sample<'a> {
    pub id: SampleId,
    pub anchor: usize,
    pub text: &'a str,
    pub role: Role,
    pub label: f32,
    pub weight: f32,
    pub document: Option<usize>,
    pub parent: Option<SampleId>,
    pub difficulty: Option<f32>,
}

/// Where a sample is from.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Provenance<'a> {
    pub sample: SampleId,
    pub source: &'a str,
    pub score: Option<f32>,
    pub detail: &'a str,
}

/// What a filter thinks of a sample.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Verdict<'a> {
    pub sample: SampleId,
    pub filter: &'a str,
    pub keep: bool,
    pub score: Option<f32>,
    pub reason: &'a str,
}

/// How a model sees a sample.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Score<'a> {
    pub sample: SampleId,
    pub model: &'a str,
    pub similarity: f32,
    pub difficulty: Option<f32>,
    pub band: Option<&'a str>,
}

/// A sample in a step.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Use {
    pub step: u64,
    pub sample: SampleId,
    pub epoch: usize,
    pub loss: Option<f32>,
}

/// A metric of one anchor.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Evaluation<'a> {
    pub model: &'a str,
    pub anchor: usize,
    pub metric: &'a str,
    pub value: f64,
    pub first_relevant: Option<usize>,
}

/// An answer of an annotator.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Annotation<'a> {
    pub round: usize,
    pub anchor: usize,
    pub document: usize,
    pub annotator: &'a str,
    pub relevant: bool,
    pub label: Option<&'a str>,
    pub similarity: f32,
    pub probability: f32,
}

/// A question to an annotator.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Question<'a> {
    pub id: u64,
    pub round: usize,
    pub anchor: usize,
    pub document: Option<usize>,
    pub text: &'a str,
    pub sample: Option<SampleId>,
    pub shared: bool,
    pub similarity: Option<f32>,
    /// By the model as it is, the untrained one and BM25.
    pub probabilities: Option<[f32; 3]>,
}

/// What an annotator says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // As above.
pub struct Answer<'a> {
    pub question: u64,
    pub annotator: &'a str,
    /// `support`, `partial`, `contradict`, `neutral` (about it, without evidence), `unrelated`, `skip`, or `undo` of the
    /// annotator's last one to that question.
    pub verdict: &'a str,
    pub settles: bool,
    pub flagged: bool,
    pub comment: &'a str,
}

/// What people said in the end of a sample that was audited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // As above.
pub struct Audited<'a> {
    pub sample: &'a str,
    pub verdict: &'a str,
    pub annotator: &'a str,
    pub agrees: bool,
}

/// Where a picture shows something.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // As above.
pub struct Projection<'a> {
    pub model: &'a str,
    /// `anchor`, `document` or `sample`.
    pub kind: &'a str,
    pub item: &'a str,
    pub x: f64,
    pub y: f64,
    /// `umap`, `tsne` or `pca`.
    pub method: &'a str,
}

/// A checkpoint's file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // As above.
pub struct Checkpoint {
    pub tick: u32,
    pub file: String,
    pub sha256: String,
}
