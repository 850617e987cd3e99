//! Multiple negatives ranking loss.

use std::collections::BTreeSet;

use orchestrator_plugin::config::{Property, Settings};
use orchestrator_plugin::{Call, Config, Error, Group, Loss, LossBatch, LossOutput, Needs, Result};

use crate::choice::choice;
use crate::contrast::{Candidate, Contrast, Kind};
use crate::cosine::Units;
use crate::in_batch::InBatch;
use crate::shares;

choice! {
    /// What a positive pair is contrasted with; named as in sentence-transformers.
    Direction {
        /// The anchor with the other documents of the step.
        QueryToDoc = "query_to_doc",
        /// The anchor with the other anchors.
        QueryToQuery = "query_to_query",
        /// The positive with the other anchors.
        DocToQuery = "doc_to_query",
        /// The positive with the other anchors' documents.
        DocToDoc = "doc_to_doc",
    }
}

choice! {
    /// Over what the softmax is taken.
    Partition {
        /// All directions together.
        Joint = "joint",
        /// Each direction, then the mean.
        PerDirection = "per_direction",
    }
}

choice! {
    /// Which negatives count more the nearer they are.
    Hardness {
        /// Other anchors' documents.
        InBatch = "in_batch_negatives",
        /// The anchor's own negatives.
        Hard = "hard_negatives",
        /// Both.
        All = "all_negatives",
    }
}

/// InfoNCE with in-batch negatives: the cross-entropy of picking the positive among the positive itself, every negative
/// of the step, and the other anchors' positives, by `scale · cos`.
///
/// Two texts are never contrasted if one is known to be relevant to the other, or both to one anchor of the step. A text
/// that several rows share is one candidate. Mean over positive rows by their weights; the weights of negatives, and
/// labels, are not used.
///
/// `symmetric` and `directions` add contrasts with other anchors, and of positives with documents (GTE); `hardness` makes
/// near negatives count more.
///
/// Reports `accuracy`: the share of positives, by weight, with no contrasted document nearer to the anchor.
///
/// Henderson et al. 2017, van den Oord et al. 2018, Li et al. 2023 (GTE), Lan et al. 2025 (hardness); equal to
/// sentence-transformers' `MultipleNegativesRankingLoss` and, if symmetric, `MultipleNegativesSymmetricRankingLoss`.
#[derive(Config)]
pub struct Given {
    /// What the cosine is multiplied by, the inverse of the temperature. 20 if neither is given.
    #[config(above = 0)]
    scale: Option<f32>,
    /// The inverse of `scale`: 0.05 is a scale of 20. Give one of them.
    #[config(above = 0)]
    temperature: Option<f32>,
    /// Whether other anchors' positives and negatives are negatives too.
    #[config(default = true)]
    in_batch: bool,
    /// Also picks the anchor of each positive among all anchors, in a softmax of its own: short for `directions:
    /// [query_to_doc, doc_to_query]` and `partition: per_direction`.
    #[config(default = false)]
    symmetric: bool,
    /// What a positive pair is contrasted with: the anchor with documents (`query_to_doc`, always) or other anchors
    /// (`query_to_query`), the positive with other anchors (`doc_to_query`) or their documents (`doc_to_doc`).
    #[config(default = vec![Direction::QueryToDoc])]
    directions: Vec<Direction>,
    /// One softmax over all directions (`joint`), or the mean of one for each (`per_direction`: only `query_to_doc` and
    /// `doc_to_query`).
    #[config(default = Partition::Joint)]
    partition: Partition,
    /// Which negatives of `query_to_doc` get `hardness_strength · cos` added to their logit, without gradient: the anchor's
    /// own (`hard_negatives`), the others' documents (`in_batch_negatives`) or both (`all_negatives`).
    hardness: Option<Hardness>,
    /// How much; 9 in Lan et al. for `in_batch_negatives`, 5 in EmbeddingGemma for `hard_negatives`.
    #[config(above = 0)]
    hardness_strength: Option<f32>,
}

/// [`Given`], checked.
pub struct Mnrl {
    scale: f64,
    in_batch: bool,
    directions: Vec<Direction>,
    partition: Partition,
    hardness: Option<(Hardness, f64)>,
}

impl Config for Mnrl {
    const SUMMARY: &'static str = Given::SUMMARY;

    fn properties() -> Vec<Property> {
        Given::properties()
    }

    fn read(settings: &Settings) -> Result<Self> {
        let given = Given::read(settings)?;
        let scale = match (given.scale, given.temperature) {
            (Some(_), Some(_)) => {
                return Err(Error::config(
                    "/temperature",
                    "is the inverse of `scale`: give one of them",
                ));
            }
            (scale, None) => f64::from(scale.unwrap_or(20.0)),
            (None, Some(temperature)) => 1.0 / f64::from(temperature),
        };
        let has = |direction| given.directions.contains(&direction);
        if !has(Direction::QueryToDoc) {
            return Err(Error::config(
                "/directions",
                "must have query_to_doc: the positive pair is of it",
            ));
        }
        let mut directions = vec![Direction::QueryToDoc];
        directions.extend(
            [
                Direction::QueryToQuery,
                Direction::DocToQuery,
                Direction::DocToDoc,
            ]
            .into_iter()
            .filter(|&one| has(one)),
        );
        let mut partition = given.partition;
        if given.symmetric {
            if directions.len() > 1 {
                return Err(Error::config(
                    "/symmetric",
                    "stands for directions of its own: give one of them",
                ));
            }
            directions.push(Direction::DocToQuery);
            partition = Partition::PerDirection;
        }
        if partition == Partition::PerDirection
            && (has(Direction::QueryToQuery) || has(Direction::DocToDoc))
        {
            return Err(Error::config(
                "/partition",
                "query_to_query and doc_to_doc lack the positive pair, so they have no softmax of their own: use joint",
            ));
        }
        if !given.in_batch && directions.len() > 1 {
            return Err(Error::config(
                "/in_batch",
                "every direction but query_to_doc is in-batch",
            ));
        }
        let hardness = match (given.hardness, given.hardness_strength) {
            (Some(which), Some(strength)) => Some((which, f64::from(strength))),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Error::config("/hardness", "needs a `hardness_strength`"));
            }
            (None, Some(_)) => {
                return Err(Error::config(
                    "/hardness_strength",
                    "needs a `hardness`: which negatives",
                ));
            }
        };
        Ok(Self {
            scale,
            in_batch: given.in_batch,
            directions,
            partition,
            hardness,
        })
    }
}

impl Mnrl {
    /// What is added to the logit of a negative.
    fn penalty(&self, own: bool) -> f64 {
        match self.hardness {
            Some((Hardness::All, strength)) => strength,
            Some((Hardness::Hard, strength)) if own => strength,
            Some((Hardness::InBatch, strength)) if !own => strength,
            _ => 0.0,
        }
    }

    /// The candidates of one direction for a positive of `group`, whose own negatives are `own`.
    fn candidates(
        &self,
        direction: Direction,
        step: &InBatch,
        group: &Group<'_>,
        own: &BTreeSet<usize>,
        positive: usize,
    ) -> Vec<Candidate> {
        let anchor = group.anchor;
        let itself = Candidate::of(Kind::AnchorDocument, anchor, positive);
        let other_anchors = step
            .anchors
            .iter()
            .filter(|&&other| step.may_contrast(positive, other));
        match direction {
            Direction::QueryToDoc => {
                let negatives = step.documents.iter().filter(|&&text| {
                    (self.in_batch || own.contains(&text)) && step.may_contrast(anchor, text)
                });
                let negatives = negatives.map(|&text| Candidate {
                    penalty: self.penalty(own.contains(&text)),
                    ..Candidate::of(Kind::AnchorDocument, anchor, text)
                });
                [itself].into_iter().chain(negatives).collect()
            }
            Direction::QueryToQuery => other_anchors
                .filter(|&&other| step.may_contrast(anchor, other))
                .map(|&other| Candidate::of(Kind::AnchorAnchor, anchor, other))
                .collect(),
            Direction::DocToQuery => {
                let negatives = other_anchors
                    .map(|&other| Candidate::of(Kind::AnchorDocument, other, positive));
                [itself].into_iter().chain(negatives).collect()
            }
            Direction::DocToDoc => step
                .documents
                .iter()
                .filter(|&text| !own.contains(text) && step.may_contrast(positive, *text))
                .map(|&text| Candidate::of(Kind::PositiveDocument, positive, text))
                .collect(),
        }
    }
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
        call: &Call<'_>,
    ) -> Result<f64> {
        let mut units = Units::of(batch);
        let step = InBatch::of(batch);
        let mut contrast = Contrast::of(&step, batch.texts());
        let total = shares::weight_of_positives(batch);
        let (mut sum, mut found) = (0.0, 0.0);
        for group in batch.groups() {
            let own: BTreeSet<usize> = group
                .negatives
                .iter()
                .map(|&row| batch.row(row as usize).text)
                .collect();
            for &number in group.positives {
                let row = batch.row(number as usize);
                let of = |&direction: &Direction| {
                    self.candidates(direction, &step, &group, &own, row.text)
                };
                let mut lists: Vec<Vec<Candidate>> = self.directions.iter().map(of).collect();
                if self.partition == Partition::Joint {
                    lists = vec![lists.concat()];
                }
                let share = f64::from(row.weight) / total;
                let pair = (group.anchor, row.text);
                let (loss, nearest) =
                    contrast.cross_entropy(&units, pair, &lists, self.scale, share);
                found += if nearest { share } else { 0.0 };
                out.set_row(number as usize, loss as f32);
                sum += share * loss;
            }
        }
        contrast.pull(&mut units);
        units.write(out);
        call.metric("accuracy", found)?;
        Ok(sum)
    }
}
