//! Contrastive loss.

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::cosine::mean_over_rows;

/// Pulls positives together and pushes negatives apart until they are `margin` away:
/// `½ (label · d² + (1 - label) · max(0, margin - d)²)` with `d = 1 - cos`, mean over rows.
///
/// Hadsell, Chopra, LeCun 2006; equal to sentence-transformers' `ContrastiveLoss` with cosine distance.
#[derive(Config)]
pub struct Contrastive {
    /// Cosine distance beyond which a negative costs nothing.
    #[config(default = 0.5, above = 0, max = 2)]
    margin: f32,
}

impl Loss for Contrastive {
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
            let distance = 1.0 - cosine;
            let short = (self.margin - distance).max(0.0);
            let loss = 0.5 * (label * distance * distance + (1.0 - label) * short * short);
            // d distance / d cosine = -1.
            (loss, (1.0 - label) * short - label * distance)
        }))
    }
}
