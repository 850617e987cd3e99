//! Cosine similarity regression.

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::cosine::mean_over_rows;

/// Makes the cosine of anchor and candidate equal to the row's label: `(cos - label)²`, mean over rows. The loss that
/// takes graded labels at their word.
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
        Ok(mean_over_rows(batch, out, |cosine, label| {
            let error = cosine - label;
            (error * error, 2.0 * error)
        }))
    }
}
