//! Multiple negatives ranking loss.

use std::collections::BTreeSet;

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::cosine::Units;

/// InfoNCE with in-batch negatives: the cross-entropy of picking the positive among the positive itself, every negative
/// of the step, and the other anchors' positives, by `scale · cos`. A text known to be relevant to an anchor never
/// serves as its negative. Mean over positive rows.
///
/// Henderson et al. 2017, van den Oord et al. 2018; equal to sentence-transformers' `MultipleNegativesRankingLoss`.
#[derive(Config)]
pub struct Mnrl {
    /// Inverse temperature: 20 is a temperature of 0.05.
    #[config(default = 20.0, above = 0)]
    scale: f32,
    /// Whether other anchors' positives and negatives are negatives too.
    #[config(default = true)]
    in_batch: bool,
}

impl Loss for Mnrl {
    const NEEDS: Needs = Needs {
        positives: true,
        negatives: false,
        teacher: false,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        _: &Call<'_>,
    ) -> Result<f64> {
        let units = Units::of(batch);
        let texts_of = |rows: &[u32]| -> Vec<usize> {
            rows.iter()
                .map(|&row| batch.row(row as usize).text)
                .collect()
        };
        // A text that two rows share is one candidate.
        let shared: BTreeSet<usize> = batch
            .groups()
            .flat_map(|group| [texts_of(group.positives), texts_of(group.negatives)].concat())
            .collect();
        let total: f64 = batch
            .groups()
            .flat_map(|group| group.positives)
            .map(|&row| f64::from(batch.row(row as usize).weight))
            .sum();
        let mut sum = 0.0;
        for group in batch.groups() {
            let negatives: BTreeSet<usize> = if self.in_batch {
                shared.clone()
            } else {
                texts_of(group.negatives).into_iter().collect()
            };
            let negatives: Vec<usize> = negatives
                .into_iter()
                .filter(|&text| !group.knows_relevant(text))
                .collect();
            let cosines: Vec<f32> = negatives
                .iter()
                .map(|&text| units.cosine(group.anchor, text))
                .collect();
            for &number in group.positives {
                let row = batch.row(number as usize);
                let positive = units.cosine(group.anchor, row.text);
                let highest = cosines.iter().copied().fold(positive, f32::max);
                let part = |cosine: f32| f64::from(self.scale * (cosine - highest)).exp();
                // The positive itself is one of the candidates, whatever the mask says of it.
                let others = negatives
                    .iter()
                    .zip(&cosines)
                    .filter(|(text, _)| **text != row.text);
                let mass: f64 =
                    part(positive) + others.clone().map(|(_, &cosine)| part(cosine)).sum::<f64>();
                let loss = mass.ln() - f64::from(self.scale * (positive - highest));
                out.set_row(number as usize, loss as f32);
                let share = f64::from(row.weight) / total;
                sum += share * loss;
                let slope = share * f64::from(self.scale);
                let rest = (part(positive) / mass - 1.0) * slope;
                units.add_gradient(group.anchor, row.text, positive, rest as f32, out);
                for (&text, &cosine) in others {
                    let pull = part(cosine) / mass * slope;
                    units.add_gradient(group.anchor, text, cosine, pull as f32, out);
                }
            }
        }
        Ok(sum)
    }
}
