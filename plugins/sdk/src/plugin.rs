//! The five things a plugin may do. Implement one of these traits and name the type in [`crate::export!`].

use crate::table::{Strings, Table};
use crate::{
    Anchors, Call, Config, Error, LossBatch, LossOutput, Needs, Result, Sample, Samples, Sink,
};

/// Proposes samples for anchors.
pub trait Sampler: Config + Send + Sync + 'static {
    /// Host services it cannot work without: ids from [`crate::abi::service`].
    const SERVICES: &'static [&'static str] = &[];
    /// Emits candidates for the anchors into the sink.
    ///
    /// # Errors
    /// Whatever keeps it from working; the run ends with it.
    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()>;
}

/// Chooses from a pool what is worth asking a person about (acquisition).
pub trait Select: Config + Send + Sync + 'static {
    /// Host services it cannot work without: ids from [`crate::abi::service`].
    const SERVICES: &'static [&'static str] = &[];
    /// At most `budget` distinct rows of the pool, best first.
    ///
    /// # Errors
    /// Whatever keeps it from working; the run ends with it.
    fn select(&self, pool: &Pool<'_>, budget: usize, call: &Call<'_>) -> Result<Vec<usize>>;
}

/// Makes samples out of samples.
pub trait Augmenter: Config + Send + Sync + 'static {
    /// Host services it cannot work without: ids from [`crate::abi::service`].
    const SERVICES: &'static [&'static str] = &[];
    /// Emits candidates, each naming its parent, into the sink.
    ///
    /// # Errors
    /// Whatever keeps it from working; the run ends with it.
    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()>;
}

/// Keeps or drops samples, one by one.
pub trait Filter: Config + Send + Sync + 'static {
    /// Host services it cannot work without: ids from [`crate::abi::service`].
    const SERVICES: &'static [&'static str] = &[];
    /// Once before the first `judge`.
    ///
    /// # Errors
    /// Whatever keeps it from working; the run ends with it.
    fn prepare(&mut self, _: &Call<'_>) -> Result<()> {
        Ok(())
    }
    /// Keep or drop, and why. Implement this one, or [`Filter::judge_all`].
    fn judge(&self, _: &Sample<'_>, _: &Call<'_>) -> Verdict {
        Verdict::keep()
    }
    /// A verdict for each sample, in order: for a filter that must see them together (duplicates), or that asks a model
    /// about many at once.
    ///
    /// # Errors
    /// Whatever keeps it from working; the run ends with it.
    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        samples
            .iter()
            .map(|sample| {
                if sample.row % 4096 == 4095 && call.is_cancelled() {
                    return Err(Error::cancelled());
                }
                Ok(self.judge(&sample, call))
            })
            .collect()
    }
}

/// A number to make small, and its gradient.
pub trait Loss: Config + Send + Sync + 'static {
    /// What it cannot work without.
    const NEEDS: Needs;
    /// Host services it cannot work without: ids from [`crate::abi::service`].
    const SERVICES: &'static [&'static str] = &[];
    /// The scalar loss of the step; writes each row's part and adds dloss/dE into `out`.
    ///
    /// # Errors
    /// Whatever keeps it from working; the run ends with it.
    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        call: &Call<'_>,
    ) -> Result<f64>;
}

/// What a filter thinks of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it stays.
    pub keep: bool,
    /// What was measured, NaN if nothing.
    pub score: f32,
    /// Why; empty for a sample that stays as a matter of course.
    pub reason: String,
}

impl Verdict {
    /// It stays.
    #[must_use]
    pub fn keep() -> Self {
        Self::keep_if(true, String::new)
    }

    /// It goes, because.
    #[must_use]
    pub fn drop(reason: impl Into<String>) -> Self {
        Self {
            keep: false,
            score: f32::NAN,
            reason: reason.into(),
        }
    }

    /// It stays if `keep`; the reason is asked for only if it goes.
    #[must_use]
    pub fn keep_if(keep: bool, reason: impl FnOnce() -> String) -> Self {
        Self {
            keep,
            score: f32::NAN,
            reason: if keep { String::new() } else { reason() },
        }
    }

    /// With what was measured.
    #[must_use]
    pub fn scored(mut self, score: f32) -> Self {
        self.score = score;
        self
    }
}

/// Unjudged (anchor, document) pairs.
pub struct Pool<'a> {
    anchors: &'a [i64],
    documents: &'a [i64],
    anchor_texts: Strings<'a>,
    texts: Strings<'a>,
    scores: &'a [f32],
    probabilities: &'a [f32],
    initial: &'a [f32],
    bm25: &'a [f32],
}

/// One of a [`Pool`].
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Number of the anchor.
    pub anchor: i64,
    /// Number of the document.
    pub document: i64,
    /// The anchor's text.
    pub anchor_text: &'a str,
    /// The document's text.
    pub text: &'a str,
    /// Similarity by the current model.
    pub score: f32,
    /// That it is relevant, 0..1, calibrated by the host.
    pub probability: f32,
    /// The same by the untrained model.
    pub probability_initial: f32,
    /// The same by BM25.
    pub probability_bm25: f32,
}

impl<'a> Pool<'a> {
    pub(crate) fn read(table: Table<'a>) -> Result<Self> {
        Ok(Self {
            anchors: table.i64s("anchor")?,
            documents: table.i64s("document")?,
            anchor_texts: table.strings("anchor_text")?,
            texts: table.strings("text")?,
            scores: table.f32s("score")?,
            probabilities: table.f32s("probability")?,
            initial: table.f32s("probability_initial")?,
            bm25: table.f32s("probability_bm25")?,
        })
    }

    /// Each pair, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Pair<'a>> + '_ {
        (0..self.anchors.len()).map(|row| Pair {
            anchor: self.anchors[row],
            document: self.documents[row],
            anchor_text: self.anchor_texts.get(row),
            text: self.texts.get(row),
            score: self.scores[row],
            probability: self.probabilities[row],
            probability_initial: self.initial[row],
            probability_bm25: self.bm25[row],
        })
    }
}
