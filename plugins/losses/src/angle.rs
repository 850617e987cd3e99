//! AnglE: angles in the order of the labels.

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::cosent::in_order;
use crate::cosine::Units;

/// Puts pairs in the order of their labels, as `cosent` does, by an angle in complex space instead of the cosine, whose
/// slope vanishes where it is near 1 or -1.
///
/// The first half of an embedding holds the real parts, the second half the imaginary parts (an odd length is filled up by a
/// zero). The score of unit vectors `x` and `y` is `|Σ Re(x ȳ) + Σ Im(x ȳ)|`. Graded labels and weights count as in `cosent`.
///
/// Li, Li 2024 (AoE); equal to sentence-transformers' `AnglELoss`. Best beside `mnrl`, as in the paper.
#[derive(Config)]
pub struct Angle {
    /// Inverse temperature: what the score is multiplied by.
    #[config(default = 20.0, above = 0)]
    scale: f32,
}

/// `y` turned so that its product with `x` is `Σ Im(x ȳ)`: real parts `-Im y`, imaginary parts `Re y`.
fn turned(y: &[f32], sign: f32) -> Vec<f32> {
    let half = y.len().div_ceil(2);
    let imaginary = |place: usize| y.get(half + place).copied().unwrap_or(0.0);
    let mut out: Vec<f32> = (0..half).map(|place| -sign * imaginary(place)).collect();
    out.extend(y[..y.len() - half].iter().map(|real| sign * real));
    out
}

/// What `x` is multiplied by for `Σ Re(x ȳ) + Σ Im(x ȳ)`; with `sign` -1, what `y` is multiplied by, from `x`.
fn partner(other: &[f32], sign: f32) -> Vec<f32> {
    let turned = turned(other, sign);
    other.iter().zip(turned).map(|(a, b)| a + b).collect()
}

impl Loss for Angle {
    const NEEDS: Needs = Needs {
        positives: false,
        negatives: false,
        teacher: false,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        _: &Call<'_>,
    ) -> Result<f64> {
        let mut units = Units::of(batch);
        let signed: Vec<f32> = (0..batch.rows())
            .map(|number| {
                let row = batch.row(number);
                let partner = partner(units.of_text(row.text), 1.0);
                orchestrator_plugin::dot(units.of_text(row.anchor), &partner)
            })
            .collect();
        let scores: Vec<f32> = signed.iter().map(|score| score.abs()).collect();
        let ordered = in_order(batch, &scores, self.scale, out);
        for (number, slope) in ordered.slopes.into_iter().enumerate() {
            let row = batch.row(number);
            let slope = slope as f32 * if signed[number] < 0.0 { -1.0 } else { 1.0 };
            let (of_text, of_anchor) = (
                partner(units.of_text(row.text), 1.0),
                partner(units.of_text(row.anchor), -1.0),
            );
            units.push(row.anchor, slope, &of_text);
            units.push(row.text, slope, &of_anchor);
        }
        units.write(out);
        Ok(ordered.loss)
    }
}
