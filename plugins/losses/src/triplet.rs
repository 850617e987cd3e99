//! Triplet loss.

use orchestrator_plugin::config::{Property, Settings};
use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::distance::{Distance, Distances};
use crate::shares::{self, RowLosses};

/// A negative must lie at least `margin` farther from the anchor than a positive:
/// `max(0, d(anchor, positive) - d(anchor, negative) + margin)`.
///
/// The triplets are every positive of an anchor with every negative of it; an anchor that has no positive or no negative in
/// the step takes no part. Mean over triplets by the product of the two rows' weights. Labels are not used: the role says
/// which is which.
///
/// Schroff, Kalenichenko, Philbin 2015 (FaceNet); equal to sentence-transformers' `TripletLoss`, whose own defaults are
/// `distance: euclidean` and `margin: 5`.
#[derive(Config)]
pub struct Given {
    /// How much farther the negative must be.
    #[config(default = 0.3, above = 0)]
    margin: f32,
    /// What `d` is: `cosine` (1 - cos), `euclidean` or `manhattan`, the latter two of the embeddings as they are.
    #[config(default = Distance::Cosine)]
    distance: Distance,
}

/// [`Given`], checked.
pub struct Triplet(Given);

impl Config for Triplet {
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

impl Loss for Triplet {
    const NEEDS: Needs = Needs {
        positives: true,
        negatives: true,
        teacher: false,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        _: &Call<'_>,
    ) -> Result<f64> {
        let mut distances = Distances::of(batch, self.0.distance);
        let mut of_rows = RowLosses::of(batch);
        let mut sum = 0.0;
        for pair in shares::pairs(batch) {
            let (positive, negative) = (pair.positive.1.text, pair.negative.1.text);
            let loss = distances.between(pair.anchor, positive)
                - distances.between(pair.anchor, negative)
                + self.0.margin;
            let loss = loss.max(0.0);
            of_rows.add(pair.positive.0, loss, pair.weight);
            of_rows.add(pair.negative.0, loss, pair.weight);
            sum += pair.share * f64::from(loss);
            if loss > 0.0 {
                let slope = pair.share as f32;
                distances.pull(pair.anchor, positive, slope, out);
                distances.pull(pair.anchor, negative, -slope, out);
            }
        }
        distances.write(out);
        of_rows.write(out);
        Ok(sum)
    }
}
