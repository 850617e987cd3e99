//! Contrastive loss.

use orchestrator_plugin::config::{Property, Settings};
use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::distance::{Distance, Distances};
use crate::shares;

/// Pulls positives together and pushes negatives apart until they are `margin` away:
/// `½ (label · d² + (1 - label) · max(0, margin - d)²)`, mean over rows by weight.
///
/// A graded label is taken at its word: 0.7 is seven parts positive and three parts negative.
///
/// Hadsell, Chopra, LeCun 2006; equal to sentence-transformers' `ContrastiveLoss`.
#[derive(Config)]
pub struct Given {
    /// Distance beyond which a negative costs nothing.
    #[config(default = 0.5, above = 0)]
    margin: f32,
    /// What `d` is: `cosine` (1 - cos), `euclidean` or `manhattan`, the latter two of the embeddings as they are.
    #[config(default = Distance::Cosine)]
    distance: Distance,
}

/// [`Given`], checked.
pub struct Contrastive(Given);

impl Config for Contrastive {
    const SUMMARY: &'static str = Given::SUMMARY;

    fn properties() -> Vec<Property> {
        Given::properties()
    }

    fn read(settings: &Settings) -> Result<Self> {
        let given = Given::read(settings)?;
        given.distance.check_margin(given.margin)?;
        Ok(Self(given))
    }
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
        let mut distances = Distances::of(batch, self.0.distance);
        let mut sum = 0.0;
        for (number, row, share) in shares::rows(batch) {
            let distance = distances.between(row.anchor, row.text);
            let short = (self.0.margin - distance).max(0.0);
            let loss = 0.5 * (row.label * distance * distance + (1.0 - row.label) * short * short);
            let slope = row.label * distance - (1.0 - row.label) * short;
            out.set_row(number, loss);
            sum += share * f64::from(loss);
            distances.pull(row.anchor, row.text, slope * share as f32, out);
        }
        distances.write(out);
        Ok(sum)
    }
}
