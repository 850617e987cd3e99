//! Active learning: a pool of pairs nobody judged, how likely each is to be relevant, and which of them are asked about.

use std::collections::BTreeSet;

use orchestrator_config::{ActiveLearning, Annotator, Candidates};
use orchestrator_data::{Dataset, Reading, Split};
use orchestrator_plugin_host::{Kind, Metrics, Table};
use orchestrator_store as store;

use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::making::{Knowledge, write_reported};
use crate::mining::Moment;
use crate::retrieval::{Bm25Index, DenseIndex};
use crate::training::Model;

/// How many of a validation anchor's nearest documents probabilities are calibrated on.
const NEAREST: usize = 10;

/// A question that could be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Question {
    pub anchor: usize,
    pub document: usize,
    pub similarity: f32,
    /// That it is relevant, by the current model, the untrained one and BM25.
    pub probabilities: [f32; 3],
}

/// `1 / (1 + exp(-(a s + b)))`: similarities to probabilities (Platt 1999).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calibration {
    a: f64,
    b: f64,
}

impl Calibration {
    /// Fits it to similarities of relevant and of other pairs by Newton's method with Platt's smoothed targets, each step
    /// halved until the loss falls (Lin, Lin, Weng 2007): on separable data the whole step would run away.
    pub fn fit(relevant: &[f32], other: &[f32]) -> Self {
        let (n1, n0) = (relevant.len() as f64, other.len() as f64);
        let (high, low) = ((n1 + 1.0) / (n1 + 2.0), 1.0 / (n0 + 2.0));
        let points: Vec<(f64, f64)> = relevant
            .iter()
            .map(|&s| (f64::from(s), high))
            .chain(other.iter().map(|&s| (f64::from(s), low)))
            .collect();
        const RIDGE: f64 = 1e-3;
        let loss = |a: f64, b: f64| -> f64 {
            let sum: f64 = points
                .iter()
                .map(|&(s, target)| {
                    let z = a * s + b;
                    // log(1 + exp(z)) - target * z, without overflow.
                    z.max(0.0) + (-z.abs()).exp().ln_1p() - target * z
                })
                .sum();
            sum + 0.5 * RIDGE * (a * a + b * b)
        };
        let (mut a, mut b) = (0.0f64, ((n1 + 1.0) / (n0 + 1.0)).ln());
        let mut current = loss(a, b);
        for _ in 0..100 {
            let (mut ga, mut gb, mut haa, mut hab, mut hbb) =
                (RIDGE * a, RIDGE * b, RIDGE, 0.0, RIDGE);
            for &(s, target) in &points {
                let p = 1.0 / (1.0 + (-(a * s + b)).exp());
                let w = p * (1.0 - p);
                ga += (p - target) * s;
                gb += p - target;
                haa += w * s * s;
                hab += w * s;
                hbb += w;
            }
            if ga.abs() < 1e-8 && gb.abs() < 1e-8 {
                break;
            }
            let det = haa * hbb - hab * hab;
            let (da, db) = ((hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det);
            let mut size = 1.0;
            let better = loop {
                let value = loss(a - size * da, b - size * db);
                if value < current {
                    break Some(value);
                }
                size /= 2.0;
                if size < 1e-10 {
                    break None;
                }
            };
            let Some(value) = better else { break };
            (a, b, current) = (a - size * da, b - size * db, value);
        }
        Self { a, b }
    }

    pub fn probability(self, similarity: f32) -> f32 {
        (1.0 / (1.0 + (-(self.a * f64::from(similarity) + self.b)).exp())) as f32
    }
}

/// Those who say how likely a pair is relevant: a committee (Seung et al. 1992).
pub(crate) struct Committee<'a> {
    pub current: &'a DenseIndex<'a>,
    pub initial: &'a DenseIndex<'a>,
    pub bm25: &'a Bm25Index,
}

impl Committee<'_> {
    /// What each member makes of an anchor's pairs, as scores of its own scale.
    fn scores(&self, data: &Dataset, anchor: usize, documents: &[usize]) -> [Vec<f32>; 3] {
        let lexical = self.bm25.scores(&data.anchors[anchor].text);
        [
            documents
                .iter()
                .map(|&document| self.current.similarity(anchor, document))
                .collect(),
            documents
                .iter()
                .map(|&document| self.initial.similarity(anchor, document))
                .collect(),
            documents
                .iter()
                .map(|&document| lexical[document])
                .collect(),
        ]
    }

    /// Fits a calibration for each member on claims the model was not trained on: the validation share, whose nearest
    /// documents are relevant or not. On training pairs the model would be much too sure of itself.
    fn calibrate(&self, data: &Dataset, reading: Reading) -> [Calibration; 3] {
        let anchors: Vec<usize> = data.of_split(Split::Validation).collect();
        let mut relevant: [Vec<f32>; 3] = Default::default();
        let mut other: [Vec<f32>; 3] = Default::default();
        for (&anchor, found) in anchors.iter().zip(self.current.nearest(&anchors, NEAREST)) {
            let documents: Vec<usize> = found.into_iter().map(|(document, _)| document).collect();
            let scores = self.scores(data, anchor, &documents);
            for (place, &document) in documents.iter().enumerate() {
                let judged = data
                    .judgements_of(anchor)
                    .iter()
                    .find(|one| one.document == document);
                let to = if judged.is_some_and(|one| reading.relevant(one.label)) {
                    &mut relevant
                } else {
                    &mut other
                };
                for (member, of_member) in to.iter_mut().enumerate() {
                    of_member.push(scores[member][place]);
                }
            }
        }
        [0, 1, 2].map(|member| Calibration::fit(&relevant[member], &other[member]))
    }
}

/// Every question that could be asked of the anchors: their nearest documents, minus the pairs already known.
pub(crate) fn questions(
    committee: &Committee<'_>,
    data: &Dataset,
    reading: Reading,
    anchors: &[usize],
    known: &BTreeSet<(usize, usize)>,
    nearest: usize,
) -> Vec<Question> {
    let calibrations = committee.calibrate(data, reading);
    let nearest = committee.current.nearest(anchors, nearest);
    let mut questions = Vec::new();
    for (&anchor, found) in anchors.iter().zip(nearest) {
        let documents: Vec<usize> = found
            .into_iter()
            .map(|(document, _)| document)
            .filter(|&document| !known.contains(&(anchor, document)))
            .collect();
        let scores = committee.scores(data, anchor, &documents);
        for (place, &document) in documents.iter().enumerate() {
            questions.push(Question {
                anchor,
                document,
                similarity: scores[0][place],
                probabilities: [0, 1, 2]
                    .map(|member| calibrations[member].probability(scores[member][place])),
            });
        }
    }
    questions
}

/// Columns of `orch.select/1`.
pub(crate) fn pool_table(data: &Dataset, questions: &[Question]) -> Table {
    let probabilities = |member: usize| {
        questions
            .iter()
            .map(|one| one.probabilities[member])
            .collect()
    };
    Table::new(questions.len())
        .i64s(
            "anchor",
            questions.iter().map(|one| one.anchor as i64).collect(),
        )
        .i64s(
            "document",
            questions.iter().map(|one| one.document as i64).collect(),
        )
        .strings(
            "anchor_text",
            questions
                .iter()
                .map(|one| data.anchors[one.anchor].text.as_str()),
        )
        .strings(
            "text",
            questions
                .iter()
                .map(|one| data.documents[one.document].full_text()),
        )
        .f32s(
            "score",
            questions.iter().map(|one| one.similarity).collect(),
        )
        .f32s("probability", probabilities(0))
        .f32s("probability_initial", probabilities(1))
        .f32s("probability_bm25", probabilities(2))
        .seal()
}

/// Of the anchors those most like a validation anchor, in their order: a share of them, rounded up.
fn like_validation(
    index: &DenseIndex<'_>,
    data: &Dataset,
    anchors: Vec<usize>,
    share: f64,
) -> Vec<usize> {
    if share >= 1.0 {
        return anchors;
    }
    let validation: Vec<usize> = data.of_split(Split::Validation).collect();
    let mut likeness: Vec<(f32, usize)> = anchors
        .iter()
        .map(|&anchor| {
            let like = |&other: &usize| index.similarity_of_anchors(anchor, other);
            let most = validation.iter().map(like).fold(f32::MIN, f32::max);
            (most, anchor)
        })
        .collect();
    likeness.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    likeness.truncate((anchors.len() as f64 * share).ceil() as usize);
    let mut like: Vec<usize> = likeness.into_iter().map(|(_, anchor)| anchor).collect();
    like.sort_unstable();
    like
}

/// Which of some questions two people answer: a share of them, spread evenly.
pub(crate) fn shared(share: f64, place: usize) -> bool {
    let upto = |n: usize| (n as f64 * share).floor();
    upto(place + 1) > upto(place)
}

impl Driver<'_> {
    /// Chooses a round's questions: how many there are.
    pub(crate) fn select(
        &mut self,
        model: &Model,
        standing: &Standing,
        active: &ActiveLearning,
        round: usize,
    ) -> Result<usize, Error> {
        self.stage(format!("select: round {round}"));
        let asked = standing.asked.len();
        let left = active
            .total
            .map_or(active.budget, |total| total.saturating_sub(asked));
        let budget = active.budget.min(left);
        if let Some(number) = self.begin()? {
            let knowledge = Knowledge::of(self.data, self.reading, &standing.told);
            let mut known = knowledge.pairs();
            known.extend(standing.asked.iter());
            let index = self.index(model)?;
            let initial = self.index_of_initial(model)?;
            let committee = Committee {
                current: &index,
                initial: &initial,
                bm25: &self.lent.bm25,
            };
            let anchors: Vec<usize> = self.data.of_split(Split::Train).collect();
            let Candidates {
                nearest,
                like_validation: like,
            } = active.candidates;
            let anchors = like_validation(&index, self.data, anchors, like);
            let data = self.data;
            let questions = questions(&committee, data, self.reading, &anchors, &known, nearest);
            let mut chosen = Vec::new();
            let reported = Metrics::default();
            if budget > 0 && !questions.is_empty() {
                let instance = self.create(Kind::Selector, &active.select)?;
                let table = pool_table(data, &questions);
                let judgements = knowledge.table();
                let moment = Moment {
                    index: Some(&index),
                    judgements: Some(&judgements),
                    ..Moment::default()
                };
                let mut context = self.context(number, &active.select.name, moment);
                context.services.metrics = Some(&reported);
                chosen = moment.outcome(instance.select(&context, &table, budget))?;
            }
            let overlap = match active.annotator {
                Annotator::Page(people) => people.overlap,
                _ => 0.0,
            };
            self.write(number, "select", &format!("round {round}"), |tick| {
                tick.add_metric(None, "questions/candidates", questions.len() as f64)?;
                write_reported(tick, &active.select.name, &reported)?;
                for (place, &row) in chosen.iter().enumerate() {
                    let question = &questions[row];
                    tick.add_question(&store::Question {
                        id: (asked + place + 1) as u64,
                        round,
                        anchor: question.anchor,
                        document: Some(question.document),
                        text: &data.documents[question.document].full_text(),
                        sample: None,
                        shared: shared(overlap, place),
                        similarity: Some(question.similarity),
                        probabilities: Some(question.probabilities),
                    })?;
                }
                Ok(())
            })?;
        }
        let questions = self.store.questions()?;
        Ok(questions.iter().filter(|one| one.round == round).count())
    }
}

#[cfg(test)]
mod tests {
    use super::Calibration;

    #[test]
    fn calibration_rises_with_similarity_and_is_even_where_both_are_as_likely() {
        let relevant = [0.6, 0.7, 0.8, 0.9, 0.5];
        let other = [0.1, 0.2, 0.3, 0.4, 0.5];
        let fitted = Calibration::fit(&relevant, &other);
        assert!((fitted.probability(0.5) - 0.5).abs() < 1e-3);
        assert!(fitted.probability(0.8) > 0.7 && fitted.probability(0.2) < 0.3);
    }

    #[test]
    fn separable_similarities_do_not_run_away() {
        let relevant: Vec<f32> = (0..20).map(|n| 0.8 + 0.01 * (n % 5) as f32).collect();
        let other: Vec<f32> = (0..180).map(|n| 0.3 + 0.01 * (n % 5) as f32).collect();
        let fitted = Calibration::fit(&relevant, &other);
        assert!(fitted.a > 5.0 && fitted.a < 100.0, "{fitted:?}");
        assert!(fitted.probability(0.8) > 0.8 && fitted.probability(0.3) < 0.1);
        let middle = fitted.probability(0.55);
        assert!((0.05..0.95).contains(&middle), "{middle}");
        // Nothing to fit is nothing known.
        assert!(Calibration::fit(&[], &[]).probability(0.5).is_finite());
    }
}
