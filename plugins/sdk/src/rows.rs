//! Anchors and samples in, candidates out.

use orchestrator_plugin_abi as abi;

use crate::table::{Strings, Table};
use crate::{Error, Result};

/// Whether a sample is relevant to its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Relevant.
    Positive,
    /// Not relevant.
    Negative,
}

impl Role {
    fn code(self) -> i32 {
        match self {
            Self::Positive => abi::role::POSITIVE,
            Self::Negative => abi::role::NEGATIVE,
        }
    }
}

/// A claim or query.
#[derive(Debug, Clone, Copy)]
pub struct Anchor<'a> {
    /// Its number: what a candidate names it by.
    pub number: i64,
    /// Its id in the data.
    pub id: &'a str,
    /// Its text.
    pub text: &'a str,
    /// A JSON object.
    pub metadata: &'a str,
}

/// The anchors of a call.
pub struct Anchors<'a> {
    numbers: &'a [i64],
    ids: Strings<'a>,
    texts: Strings<'a>,
    metadata: Strings<'a>,
}

impl<'a> Anchors<'a> {
    pub(crate) fn read(table: Table<'a>) -> Result<Self> {
        Ok(Self {
            numbers: table.i64s("anchor")?,
            ids: table.strings("id")?,
            texts: table.strings("text")?,
            metadata: table.strings("metadata")?,
        })
    }

    /// Their numbers, in order.
    #[must_use]
    pub fn numbers(&self) -> &'a [i64] {
        self.numbers
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Anchor<'a>> + '_ {
        (0..self.numbers.len()).map(|row| Anchor {
            number: self.numbers[row],
            id: self.ids.get(row),
            text: self.texts.get(row),
            metadata: self.metadata.get(row),
        })
    }
}

/// A sample, as augmenters and filters see it.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Its row in the batch: what an augmented candidate names as parent.
    pub row: usize,
    /// Number of its anchor.
    pub anchor: i64,
    /// Number of the document its text is from, if it is from one.
    pub document: Option<i64>,
    /// The anchor's text.
    pub anchor_text: &'a str,
    /// Its own text.
    pub text: &'a str,
    /// Its role.
    pub role: Role,
    /// 0..1.
    pub label: f32,
    /// > 0.
    pub weight: f32,
    /// Similarity that led to its choice, NaN if none did.
    pub score: f32,
    /// The plugin instance that proposed it.
    pub source: &'a str,
    /// The document's metadata, a JSON object.
    pub metadata: &'a str,
}

/// The samples of a call.
pub struct Samples<'a> {
    anchors: &'a [i64],
    documents: &'a [i64],
    anchor_texts: Strings<'a>,
    texts: Strings<'a>,
    roles: &'a [i32],
    labels: &'a [f32],
    weights: &'a [f32],
    scores: &'a [f32],
    sources: Strings<'a>,
    metadata: Strings<'a>,
}

impl<'a> Samples<'a> {
    pub(crate) fn read(table: Table<'a>) -> Result<Self> {
        Ok(Self {
            anchors: table.i64s("anchor")?,
            documents: table.i64s("document")?,
            anchor_texts: table.strings("anchor_text")?,
            texts: table.strings("text")?,
            roles: table.i32s("role")?,
            labels: table.f32s("label")?,
            weights: table.f32s("weight")?,
            scores: table.f32s("score")?,
            sources: table.strings("source")?,
            metadata: table.strings("metadata")?,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Sample<'a>> + '_ {
        (0..self.len()).map(|row| Sample {
            row,
            anchor: self.anchors[row],
            document: Some(self.documents[row]).filter(|&document| document >= 0),
            anchor_text: self.anchor_texts.get(row),
            text: self.texts.get(row),
            role: if self.roles[row] == abi::role::POSITIVE {
                Role::Positive
            } else {
                Role::Negative
            },
            label: self.labels[row],
            weight: self.weights[row],
            score: self.scores[row],
            source: self.sources.get(row),
            metadata: self.metadata.get(row),
        })
    }
}

/// A sample on its way to the host. Start from [`Candidate::positive`] or [`Candidate::negative`].
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// Number of the anchor.
    pub anchor: i64,
    /// Its role.
    pub role: Role,
    /// Its text, not empty.
    pub text: &'a str,
    /// Number of the document the text is from.
    pub document: Option<i64>,
    /// Row of the sample it was made from (augmenters only).
    pub parent: Option<usize>,
    /// 0..1.
    pub label: f32,
    /// > 0.
    pub weight: f32,
    /// Similarity that led to the choice, or NaN.
    pub score: f32,
    /// 0..1 if the plugin fixes it, or NaN: the host measures it.
    pub difficulty: f32,
    /// Why this row, kept as its provenance: a JSON object, or empty.
    pub detail: String,
}

impl<'a> Candidate<'a> {
    /// A positive with label 1.
    #[must_use]
    pub fn positive(anchor: i64, text: &'a str) -> Self {
        Self {
            anchor,
            role: Role::Positive,
            text,
            document: None,
            parent: None,
            label: 1.0,
            weight: 1.0,
            score: f32::NAN,
            difficulty: f32::NAN,
            detail: String::new(),
        }
    }

    /// A negative with label 0.
    #[must_use]
    pub fn negative(anchor: i64, text: &'a str) -> Self {
        Self {
            role: Role::Negative,
            label: 0.0,
            ..Self::positive(anchor, text)
        }
    }
}

/// Where candidates go.
pub struct Sink<'a> {
    pub(crate) raw: &'a abi::SampleSink,
}

impl Sink<'_> {
    /// Hands one over; the host copies it.
    ///
    /// # Errors
    /// If the host refuses it: pass the error on.
    pub fn push(&mut self, candidate: &Candidate<'_>) -> Result<()> {
        let row = abi::SampleRow {
            struct_size: size_of::<abi::SampleRow>() as u32,
            role: candidate.role.code(),
            anchor: candidate.anchor,
            document: candidate.document.unwrap_or(-1),
            parent: candidate.parent.map_or(-1, |row| row as i64),
            text: abi::Str::new(candidate.text),
            label: candidate.label,
            weight: candidate.weight,
            score: candidate.score,
            difficulty: candidate.difficulty,
            detail: abi::Str::new(&candidate.detail),
        };
        // SAFETY: the host's function; the row and its strings outlive the call.
        match unsafe { (self.raw.push)(self.raw, &raw const row) } {
            abi::status::OK => Ok(()),
            status => Err(Error::host(status, "sample refused")),
        }
    }

    /// Adds `n` to a counter the report shows: "asked", "found", "dropped: and why".
    pub fn count(&mut self, what: &str, n: usize) {
        // SAFETY: the host's function; `what` outlives the call.
        unsafe { (self.raw.count)(self.raw, abi::Str::new(what), n as u64) }
    }
}
