//! How near two embeddings are: cosine or dot product, with gradients.

use orchestrator_plugin::{LossBatch, LossOutput, dot};

use crate::choice::choice;
use crate::cosine::Units;

choice! {
    /// A measure of nearness.
    Similarity {
        /// Of unit vectors.
        Cosine = "cosine",
        /// Of the embeddings as they are.
        Dot = "dot",
    }
}

/// Similarities between the texts of a step, and the gradient collected along them.
pub enum Similarities<'a> {
    Cosine(Units),
    Dot(LossBatch<'a>),
}

impl<'a> Similarities<'a> {
    pub fn of(batch: &LossBatch<'a>, kind: Similarity) -> Self {
        match kind {
            Similarity::Cosine => Self::Cosine(Units::of(batch)),
            Similarity::Dot => Self::Dot(*batch),
        }
    }

    pub fn between(&self, a: usize, b: usize) -> f32 {
        match self {
            Self::Cosine(units) => units.cosine(a, b),
            Self::Dot(batch) => dot(batch.embedding(a), batch.embedding(b)),
        }
    }

    /// Notes `d loss / d similarity(a, b) = slope`.
    pub fn pull(&mut self, a: usize, b: usize, slope: f32, out: &mut LossOutput<'_>) {
        match self {
            Self::Cosine(units) => units.pull(a, b, slope),
            Self::Dot(batch) => {
                out.add(a, slope, batch.embedding(b));
                out.add(b, slope, batch.embedding(a));
            }
        }
    }

    /// Adds what was noted and not yet written.
    pub fn write(self, out: &mut LossOutput<'_>) {
        if let Self::Cosine(units) = self {
            units.write(out);
        }
    }
}
