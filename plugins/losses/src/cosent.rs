//! CoSENT: cosines in the order of the labels.

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::cosine::Units;
use crate::softmax::log_add;

/// Puts the cosines of the rows of a step in the order of their labels: `log(1 + Σ exp(scale · (cos(j) - cos(i))))` over all
/// pairs of rows, of whatever anchors, where the label of `i` is greater than that of `j`.
///
/// The loss of graded labels: it asks for their order and not for their values. A pair counts by the product of its rows'
/// weights. A step whose labels are all equal costs nothing.
///
/// Huang et al. 2024 (CoSENT); equal to sentence-transformers' `CoSENTLoss`.
#[derive(Config)]
pub struct CoSent {
    /// Inverse temperature: what the cosine is multiplied by.
    #[config(default = 20.0, above = 0)]
    scale: f32,
}

impl Loss for CoSent {
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
        let scores: Vec<f32> = (0..batch.rows())
            .map(|number| {
                let row = batch.row(number);
                units.cosine(row.anchor, row.text)
            })
            .collect();
        let ordered = in_order(batch, &scores, self.scale, out);
        for (number, slope) in ordered.slopes.into_iter().enumerate() {
            let row = batch.row(number);
            units.pull(row.anchor, row.text, slope as f32);
        }
        units.write(out);
        Ok(ordered.loss)
    }
}

/// The loss of scores that should be in the order of the labels, and its slope along each score.
pub struct Ordered {
    pub loss: f64,
    pub slopes: Vec<f64>,
}

/// `log(1 + Σ w(i) w(j) exp(scale · (score(j) - score(i))))` over pairs of rows with `label(i) > label(j)`. Sorted by label
/// and summed from both ends, it needs no table of pairs. A row's loss is what the whole would be if only the pairs with
/// this row counted.
pub fn in_order(
    batch: &LossBatch<'_>,
    scores: &[f32],
    scale: f32,
    out: &mut LossOutput<'_>,
) -> Ordered {
    let n = batch.rows();
    let label = |row: usize| batch.row(row).label;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| label(a).total_cmp(&label(b)));
    let scale = f64::from(scale);
    let logit = |row: usize| scale * f64::from(scores[row]);
    let weight = |row: usize| f64::from(batch.row(row).weight).ln();
    // Of each row: log Σ of w · exp(-logit) over the rows of greater labels, of w · exp(logit) over those of smaller ones.
    let greater = beyond(order.iter().rev(), label, |row| weight(row) - logit(row));
    let smaller = beyond(order.iter(), label, |row| weight(row) + logit(row));
    let loss = order.iter().fold(0.0, |sum, &row| {
        log_add(sum, weight(row) + logit(row) + greater[row])
    });
    let slopes = (0..n)
        .map(|row| {
            let as_smaller = weight(row) + logit(row) + greater[row];
            let as_greater = weight(row) - logit(row) + smaller[row];
            if as_smaller > f64::NEG_INFINITY || as_greater > f64::NEG_INFINITY {
                let own = log_add(0.0, log_add(as_smaller, as_greater));
                out.set_row(row, own as f32);
            }
            scale * ((as_smaller - loss).exp() - (as_greater - loss).exp())
        })
        .collect();
    Ordered { loss, slopes }
}

/// For each row, `log Σ exp(part)` over the rows that come before it and differ in label.
fn beyond<'a>(
    order: impl Iterator<Item = &'a usize>,
    label: impl Fn(usize) -> f32,
    part: impl Fn(usize) -> f64,
) -> Vec<f64> {
    let order: Vec<usize> = order.copied().collect();
    let mut sums = vec![f64::NEG_INFINITY; order.len()];
    let mut sum = f64::NEG_INFINITY;
    for tied in order.chunk_by(|&a, &b| label(a).total_cmp(&label(b)).is_eq()) {
        for &row in tied {
            sums[row] = sum;
        }
        for &row in tied {
            sum = log_add(sum, part(row));
        }
    }
    sums
}
