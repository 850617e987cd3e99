//! How far two embeddings lie apart: cosine, euclidean or manhattan distance, with gradients.

use orchestrator_plugin::{Error, LossBatch, LossOutput, Result, dot};

use crate::choice::choice;
use crate::cosine::Units;

choice! {
    /// A measure of distance.
    Distance {
        /// `1 - cos`, 0 to 2.
        Cosine = "cosine",
        /// Length of the difference.
        Euclidean = "euclidean",
        /// Sum of the absolute differences.
        Manhattan = "manhattan",
    }
}

impl Distance {
    /// # Errors
    /// If no two embeddings can be `margin` apart.
    pub fn check_margin(self, margin: f32) -> Result<()> {
        if self == Self::Cosine && margin > 2.0 {
            return Err(Error::config(
                "/margin",
                "no cosine distance is greater than 2",
            ));
        }
        Ok(())
    }
}

/// Distances between the texts of a step, and the gradient collected along them.
pub enum Distances<'a> {
    Cosine(Units),
    Euclidean(LossBatch<'a>),
    Manhattan(LossBatch<'a>),
}

impl<'a> Distances<'a> {
    pub fn of(batch: &LossBatch<'a>, kind: Distance) -> Self {
        match kind {
            Distance::Cosine => Self::Cosine(Units::of(batch)),
            Distance::Euclidean => Self::Euclidean(*batch),
            Distance::Manhattan => Self::Manhattan(*batch),
        }
    }

    pub fn between(&self, a: usize, b: usize) -> f32 {
        match self {
            Self::Cosine(units) => 1.0 - units.cosine(a, b),
            Self::Euclidean(batch) => {
                let difference = difference(batch, a, b);
                dot(&difference, &difference).sqrt()
            }
            Self::Manhattan(batch) => {
                let parts = batch.embedding(a).iter().zip(batch.embedding(b));
                parts.map(|(x, y)| f64::from((x - y).abs())).sum::<f64>() as f32
            }
        }
    }

    /// Notes `d loss / d distance(a, b) = slope`. Where a distance has no slope (two equal embeddings), it is zero.
    pub fn pull(&mut self, a: usize, b: usize, slope: f32, out: &mut LossOutput<'_>) {
        let direction = match self {
            Self::Cosine(units) => {
                units.pull(a, b, -slope);
                return;
            }
            Self::Euclidean(batch) => {
                let mut difference = difference(batch, a, b);
                let length = dot(&difference, &difference).sqrt();
                if length == 0.0 {
                    return;
                }
                difference.iter_mut().for_each(|value| *value /= length);
                difference
            }
            Self::Manhattan(batch) => {
                let mut difference = difference(batch, a, b);
                for value in &mut difference {
                    *value = if *value == 0.0 { 0.0 } else { value.signum() };
                }
                difference
            }
        };
        out.add(a, slope, &direction);
        out.add(b, -slope, &direction);
    }

    /// Adds what was noted and not yet written.
    pub fn write(self, out: &mut LossOutput<'_>) {
        if let Self::Cosine(units) = self {
            units.write(out);
        }
    }
}

fn difference(batch: &LossBatch<'_>, a: usize, b: usize) -> Vec<f32> {
    let pairs = batch.embedding(a).iter().zip(batch.embedding(b));
    pairs.map(|(x, y)| x - y).collect()
}
