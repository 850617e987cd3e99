//! Cosine of embeddings and its gradient, for every loss here.

use orchestrator_plugin::{LossBatch, LossOutput, dot};

/// The embeddings of a step at unit length.
pub struct Units {
    dim: usize,
    values: Vec<f32>,
    norms: Vec<f32>,
}

impl Units {
    /// Of every text. A zero vector stays zero, with gradient zero.
    pub fn of(batch: &LossBatch<'_>) -> Self {
        let mut values = batch.embeddings.to_vec();
        let norms = values
            .chunks_exact_mut(batch.dim.max(1))
            .map(|row| {
                let norm = dot(row, row).sqrt();
                if norm > 0.0 {
                    row.iter_mut().for_each(|value| *value /= norm);
                }
                norm
            })
            .collect();
        Self {
            dim: batch.dim,
            values,
            norms,
        }
    }

    pub fn of_text(&self, text: usize) -> &[f32] {
        &self.values[text * self.dim..(text + 1) * self.dim]
    }

    pub fn cosine(&self, a: usize, b: usize) -> f32 {
        dot(self.of_text(a), self.of_text(b))
    }

    /// Adds `d loss / d cos(a, b) = slope` to both gradients: `d cos / d a = (unit b - cos * unit a) / |a|`.
    pub fn add_gradient(
        &self,
        a: usize,
        b: usize,
        cosine: f32,
        slope: f32,
        out: &mut LossOutput<'_>,
    ) {
        for (one, other) in [(a, b), (b, a)] {
            if self.norms[one] > 0.0 {
                let scale = slope / self.norms[one];
                out.add(one, scale, self.of_text(other));
                out.add(one, -scale * cosine, self.of_text(one));
            }
        }
    }
}

/// The mean over rows of `part(cosine, label) -> (loss, slope)`, weighted by the rows' weights.
pub fn mean_over_rows(
    batch: &LossBatch<'_>,
    out: &mut LossOutput<'_>,
    part: impl Fn(f32, f32) -> (f32, f32),
) -> f64 {
    let units = Units::of(batch);
    let total: f64 = (0..batch.rows())
        .map(|row| f64::from(batch.row(row).weight))
        .sum();
    let mut sum = 0.0;
    for number in 0..batch.rows() {
        let row = batch.row(number);
        let cosine = units.cosine(row.anchor, row.text);
        let (loss, slope) = part(cosine, row.label);
        let share = f64::from(row.weight) / total;
        out.set_row(number, loss);
        sum += share * f64::from(loss);
        units.add_gradient(row.anchor, row.text, cosine, slope * share as f32, out);
    }
    sum
}
