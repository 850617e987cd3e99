//! Triplet loss over the hardest positive and negative of each text.

use std::collections::BTreeMap;

use orchestrator_plugin::config::{Property, Settings};
use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::distance::{Distance, Distances};
use crate::in_batch::InBatch;

/// For each text of a class, its farthest fellow and the nearest text of the step that is not of its class: the latter must
/// lie `margin` farther, `max(0, d(text, fellow) - d(text, other) + margin)`.
///
/// The texts of one group are a class: an anchor and its positives of the step. A negative belongs to no class: it is
/// what others are told from, and nothing is asked of itself. A class is never told from a text that is known to belong with
/// one of it: because one is relevant to the other, or both to one anchor of the step. A class of one text takes no part.
///
/// Mean over texts, each by the product of the weights of the rows that its triplet is made of (the anchor, and texts of
/// other groups, count 1). Labels are not used.
///
/// Hermans, Beyer, Leibe 2017; equal to sentence-transformers' `BatchHardTripletLoss` (whose own defaults are `distance:
/// euclidean` and `margin: 5`) and, with `soft_margin`, `BatchHardSoftMarginTripletLoss`.
#[derive(Config)]
pub struct Given {
    /// How much farther the other text must be. Not used with `soft_margin`.
    #[config(default = 0.3, above = 0)]
    margin: f32,
    /// `log(1 + exp(d(text, fellow) - d(text, other)))` instead: it never quite ceases to pull.
    #[config(default = false)]
    soft_margin: bool,
    /// What `d` is: `cosine` (1 - cos), `euclidean` or `manhattan`, the latter two of the embeddings as they are.
    #[config(default = Distance::Cosine)]
    distance: Distance,
}

/// [`Given`], checked.
pub struct BatchHardTriplet(Given);

impl Config for BatchHardTriplet {
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

/// A text with its hardest positive and its hardest negative.
struct Hardest {
    text: usize,
    row: Option<u32>,
    positive: (usize, f32),
    negative: (usize, f32),
    weight: f64,
}

/// The texts of a class or its negatives: the weight of each, and its row if it has one.
type Members = BTreeMap<usize, (f32, Option<u32>)>;

fn members(batch: &LossBatch<'_>, rows: &[u32]) -> Members {
    rows.iter()
        .map(|&number| {
            let row = batch.row(number as usize);
            (row.text, (row.weight, Some(number)))
        })
        .collect()
}

fn hardest(batch: &LossBatch<'_>, distances: &Distances<'_>) -> Vec<Hardest> {
    let step = InBatch::of(batch);
    let mut found = Vec::new();
    for group in batch.groups() {
        let mut class = Members::from([(group.anchor, (1.0, None))]);
        class.extend(members(batch, group.positives));
        let own = members(batch, group.negatives);
        let strangers: Vec<usize> = (0..batch.texts())
            .filter(|&other| class.keys().all(|&text| step.may_contrast(text, other)))
            .collect();
        for (&text, &(weight, row)) in &class {
            let measured = |other: usize| (other, distances.between(text, other));
            let positive = class
                .keys()
                .filter(|&&other| other != text)
                .map(|&other| measured(other))
                .reduce(|best, one| if one.1 > best.1 { one } else { best });
            let negative = strangers
                .iter()
                .map(|&other| measured(other))
                .reduce(|best, one| if one.1 < best.1 { one } else { best });
            if let (Some(positive), Some(negative)) = (positive, negative) {
                let of_negative = own.get(&negative.0).map_or(1.0, |one| one.0);
                found.push(Hardest {
                    text,
                    row,
                    positive,
                    negative,
                    weight: f64::from(weight)
                        * f64::from(class[&positive.0].0)
                        * f64::from(of_negative),
                });
            }
        }
    }
    found
}

impl Loss for BatchHardTriplet {
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
        let mut distances = Distances::of(batch, self.0.distance);
        let found = hardest(batch, &distances);
        let total: f64 = found.iter().map(|one| one.weight).sum();
        let mut sum = 0.0;
        for one in found {
            let excess = one.positive.1 - one.negative.1;
            let (loss, steepness) = if self.0.soft_margin {
                let small = (-excess.abs()).exp();
                let above = 1.0 / (1.0 + small);
                let steepness = if excess > 0.0 { above } else { 1.0 - above };
                (excess.max(0.0) + small.ln_1p(), steepness)
            } else {
                let loss = (excess + self.0.margin).max(0.0);
                (loss, if loss > 0.0 { 1.0 } else { 0.0 })
            };
            if let Some(row) = one.row {
                out.set_row(row as usize, loss);
            }
            let share = one.weight / total;
            sum += share * f64::from(loss);
            let slope = share as f32 * steepness;
            distances.pull(one.text, one.positive.0, slope, out);
            distances.pull(one.text, one.negative.0, -slope, out);
        }
        distances.write(out);
        Ok(sum)
    }
}
