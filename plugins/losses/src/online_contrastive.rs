//! Contrastive loss over the hard pairs of a step.

use orchestrator_plugin::config::{Property, Settings};
use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::distance::{Distance, Distances};

/// The contrastive loss of the hard rows alone: positives farther from their anchor than the nearest negative of the
/// step, and negatives nearer than its farthest positive. The sum of `d²` over those and of `max(0, margin - d)²` over
/// these; a sum and not a mean, so it grows with the batch.
///
/// In a step without negatives, the positives farther than the mean positive are hard; in one without positives, the
/// negatives nearer than the mean negative. Rows are multiplied by their weights. Which rows are positives is a matter of
/// their role; a graded label counts as in `contrastive`: a positive by `label`, a negative by `1 - label`.
///
/// Equal to sentence-transformers' `OnlineContrastiveLoss`, which knows the labels 0 and 1 alone.
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
pub struct OnlineContrastive(Given);

impl Config for OnlineContrastive {
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

/// A row and how far its text is from its anchor.
struct Measured {
    row: u32,
    distance: f32,
}

fn mean(rows: &[Measured]) -> f32 {
    let sum: f64 = rows.iter().map(|one| f64::from(one.distance)).sum();
    (sum / rows.len() as f64) as f32
}

impl Loss for OnlineContrastive {
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
        let measured = |rows: &[u32]| -> Vec<Measured> {
            let measure = |&row: &u32| {
                let pair = batch.row(row as usize);
                Measured {
                    row,
                    distance: distances.between(pair.anchor, pair.text),
                }
            };
            rows.iter().map(measure).collect()
        };
        let (mut positives, mut negatives) = (Vec::new(), Vec::new());
        for group in batch.groups() {
            positives.extend(measured(group.positives));
            negatives.extend(measured(group.negatives));
        }
        let farthest = positives.iter().map(|one| one.distance).reduce(f32::max);
        let nearest = negatives.iter().map(|one| one.distance).reduce(f32::min);
        let (near, far) = (
            farthest.unwrap_or_else(|| mean(&negatives)),
            nearest.unwrap_or_else(|| mean(&positives)),
        );
        positives.retain(|one| one.distance > far);
        negatives.retain(|one| one.distance < near);
        let mut sum = 0.0;
        let mut count = |one: &Measured, excess: f32, part: f32, direction: f32| {
            let row = batch.row(one.row as usize);
            let loss = part * excess * excess;
            out.set_row(one.row as usize, loss);
            sum += f64::from(row.weight) * f64::from(loss);
            let slope = direction * 2.0 * row.weight * part * excess;
            distances.pull(row.anchor, row.text, slope, out);
        };
        for one in &positives {
            let label = batch.row(one.row as usize).label;
            count(one, one.distance, label, 1.0);
        }
        for one in &negatives {
            let label = batch.row(one.row as usize).label;
            let short = (self.0.margin - one.distance).max(0.0);
            count(one, short, 1.0 - label, -1.0);
        }
        distances.write(out);
        Ok(sum)
    }
}
