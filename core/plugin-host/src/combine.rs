//! Losses together: their weighted sum, on all dimensions or on the first ones only. What a loss is given does not show
//! that there are others, so every loss, a stranger's too, works with this.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::call::Context;
use crate::error::Error;
use crate::instance::Instance;
use crate::linalg::dot;
use crate::metrics::Metrics;

/// A loss with its weight.
pub struct WeightedLoss {
    /// The loss.
    pub instance: Instance,
    /// What its value and gradient are multiplied by.
    pub weight: f64,
}

/// A number of first dimensions, and what the losses on them are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Truncation {
    /// How many.
    pub dim: usize,
    /// By how much.
    pub weight: f64,
}

/// What the losses of a step add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossSum {
    /// The weighted sum.
    pub loss: f64,
    /// Each loss by its name, before its weight; with `@dim` where it was computed on first dimensions.
    pub parts: Vec<(String, f64)>,
    /// What they report: `LOSS/NAME`, with `@dim` after the loss as above.
    pub metrics: Vec<(String, f64)>,
    /// `[rows]`, weighted; `None` where no loss looked at the row alone.
    pub rows: Vec<Option<f64>>,
    /// `[texts, dim]` of the whole embeddings.
    pub gradient: Vec<f32>,
}

/// Value and gradient of the weighted sum of losses. With truncations, of every loss on the first dimensions of each, at
/// unit length, as sentence-transformers' `MatryoshkaLoss` (Kusupati et al. 2022).
///
/// # Errors
/// If a loss fails.
pub fn combine<'c>(
    losses: &[WeightedLoss],
    truncations: &[Truncation],
    batch: &Batch,
    context: impl Fn(&str) -> Context<'c>,
) -> Result<LossSum, Error> {
    let mut sum = LossSum {
        rows: vec![None; batch.row_text.len()],
        gradient: vec![0.0; batch.embeddings.len()],
        ..LossSum::default()
    };
    if truncations.is_empty() {
        let gradient = sum.add(losses, batch, 1.0, "", &context)?;
        sum.gradient = gradient;
    }
    for truncation in truncations {
        let short = Truncated::of(batch, truncation.dim);
        let suffix = format!("@{}", truncation.dim);
        let gradient = sum.add(losses, &short.batch, truncation.weight, &suffix, &context)?;
        short.add_gradient(&gradient, &mut sum.gradient, batch.dim);
    }
    Ok(sum)
}

impl LossSum {
    /// Adds every loss on `batch`, times its own weight and `weight`; gives the gradient of the batch's embeddings.
    fn add<'c>(
        &mut self,
        losses: &[WeightedLoss],
        batch: &Batch,
        weight: f64,
        suffix: &str,
        context: &impl Fn(&str) -> Context<'c>,
    ) -> Result<Vec<f32>, Error> {
        let mut gradient = vec![0.0f32; batch.embeddings.len()];
        for loss in losses {
            let name = loss.instance.name();
            let metrics = Metrics::default();
            let mut context: Context<'_> = context(name);
            context.services.metrics = Some(&metrics);
            let result = loss.instance.forward(&context, batch)?;
            for (metric, value) in metrics.take() {
                self.metrics
                    .push((format!("{name}{suffix}/{metric}"), value));
            }
            let weight = weight * loss.weight;
            self.loss += weight * result.loss;
            self.parts.push((format!("{name}{suffix}"), result.loss));
            for (sum, value) in gradient.iter_mut().zip(&result.gradient) {
                *sum += weight as f32 * value;
            }
            for (sum, value) in self.rows.iter_mut().zip(&result.rows) {
                if let Some(value) = value {
                    *sum = Some(sum.unwrap_or(0.0) + weight * f64::from(*value));
                }
            }
        }
        Ok(gradient)
    }
}

/// A batch on the first dimensions alone, at unit length.
struct Truncated {
    batch: Batch,
    norms: Vec<f32>,
}

impl Truncated {
    fn of(whole: &Batch, dim: usize) -> Self {
        let mut embeddings = Vec::with_capacity(whole.embeddings.len() / whole.dim.max(1) * dim);
        let mut norms = Vec::new();
        for row in whole.embeddings.chunks_exact(whole.dim.max(1)) {
            let first = &row[..dim];
            let norm = dot(first, first).sqrt();
            norms.push(norm);
            let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
            embeddings.extend(first.iter().map(|value| value * scale));
        }
        let batch = Batch {
            dim,
            embeddings,
            ..whole.clone()
        };
        Self { batch, norms }
    }

    /// Adds the gradient of the short embeddings `u = x / |x|` to that of the whole ones: `(g - (g · u) u) / |x|`.
    fn add_gradient(&self, gradient: &[f32], whole: &mut [f32], whole_dim: usize) {
        let dim = self.batch.dim;
        for (text, &norm) in self.norms.iter().enumerate() {
            if norm == 0.0 {
                continue;
            }
            let unit = &self.batch.embeddings[text * dim..(text + 1) * dim];
            let slope = &gradient[text * dim..(text + 1) * dim];
            let along = dot(slope, unit);
            let out = &mut whole[text * whole_dim..text * whole_dim + dim];
            for ((out, slope), unit) in out.iter_mut().zip(slope).zip(unit) {
                *out += (slope - along * unit) / norm;
            }
        }
    }
}
