//! Cosine similarity regression.

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::cosine::Units;
use crate::shares;

/// Makes the cosine of anchor and candidate equal to the row's label: `(cos - label)²`, mean over rows by weight. The loss
/// that takes graded labels at their word.
///
/// Equal to sentence-transformers' `CosineSimilarityLoss`.
#[derive(Config)]
pub struct CosineSimilarity {}

impl Loss for CosineSimilarity {
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
        let mut sum = 0.0;
        for (number, row, share) in shares::rows(batch) {
            let error = units.cosine(row.anchor, row.text) - row.label;
            let loss = error * error;
            out.set_row(number, loss);
            sum += share * f64::from(loss);
            units.pull(row.anchor, row.text, 2.0 * error * share as f32);
        }
        units.write(out);
        Ok(sum)
    }
}
