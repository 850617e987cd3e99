//! Scores on validation and test: the baselines once, each epoch, and the best model at the end.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use orchestrator_config::{Encoder, Metric};
use orchestrator_data::{Dataset, Split};
use orchestrator_model::Card;
use orchestrator_store as store;
use orchestrator_train::{Checkpoint, CheckpointError};

use crate::driver::{Driver, Standing, file_error};
use crate::epochs::Ended;
use crate::error::Error;
use crate::monitor::Monitored;
use crate::pool::Pool;
use crate::progress::Event;
use crate::retrieval::{DEPTH, Ranking, Scored, score_ranking};
use crate::slicing::Sliced;
use crate::training::Model;

/// What is written with an evaluation.
#[derive(Default)]
pub(crate) struct Beside {
    /// Kind and detail.
    pub events: Vec<(&'static str, String)>,
    pub metrics: Vec<(String, f64)>,
    pub monitored: Monitored,
    pub sliced: Sliced,
    pub influence: Vec<store::Influence>,
}

/// What a model made of anchors.
#[derive(Default)]
pub(crate) struct Evaluated {
    /// By anchor.
    pub scored: Vec<(usize, Scored)>,
    /// Its first documents, by anchor.
    pub retrieved: Vec<(usize, Ranking)>,
}

/// How many of the first documents are kept.
const RETRIEVED: usize = 10;

/// Scores rankings, each against its relevant documents, and keeps its first documents. `rank` gives those of some places; it is
/// asked block after block, so that the rankings stay small.
pub(crate) fn rank_in_blocks(
    relevant: &[&[usize]],
    metrics: &[Metric],
    rank: impl Fn(Range<usize>) -> Result<Vec<Ranking>, Error>,
) -> Result<Vec<(Scored, Ranking)>, Error> {
    const BLOCK: usize = 1024;
    let mut all = Vec::with_capacity(relevant.len());
    for first in (0..relevant.len()).step_by(BLOCK) {
        let places = first..(first + BLOCK).min(relevant.len());
        let found = rank(places.clone())?;
        for (documents, mut found) in relevant[places].iter().zip(found) {
            let relevant: BTreeSet<usize> = documents.iter().copied().collect();
            let ranking: Vec<usize> = found.iter().map(|(document, _)| *document).collect();
            found.truncate(RETRIEVED);
            all.push((score_ranking(&ranking, &relevant, metrics), found));
        }
    }
    Ok(all)
}

impl Driver<'_> {
    /// Scores the rankings of a model on the anchors of some splits.
    pub(crate) fn evaluate(
        &self,
        splits: &[Split],
        rank: &dyn Fn(&[usize]) -> Vec<Ranking>,
    ) -> Result<Evaluated, Error> {
        let qrels: Vec<(usize, Vec<usize>)> = splits
            .iter()
            .flat_map(|split| self.data.qrels(*split))
            .collect();
        let anchors: Vec<usize> = qrels.iter().map(|(anchor, _)| *anchor).collect();
        let relevant: Vec<&[usize]> = qrels.iter().map(|(_, one)| one.as_slice()).collect();
        let metrics = &self.experiment.evaluate.metrics;
        let found = rank_in_blocks(&relevant, metrics, |places| Ok(rank(&anchors[places])))?;
        let mut evaluated = Evaluated::default();
        for (anchor, (scored, retrieved)) in anchors.into_iter().zip(found) {
            evaluated.scored.push((anchor, scored));
            evaluated.retrieved.push((anchor, retrieved));
        }
        Ok(evaluated)
    }

    pub(crate) fn write_evaluation(
        &mut self,
        number: u32,
        name: &str,
        models: &[(&str, Evaluated)],
        beside: &Beside,
    ) -> Result<(), Error> {
        let metrics: Vec<String> = self
            .experiment
            .evaluate
            .metrics
            .iter()
            .map(ToString::to_string)
            .collect();
        let data = self.data;
        self.write(number, "evaluate", name, |tick| {
            for (kind, detail) in &beside.events {
                tick.add_event(kind, detail)?;
            }
            for (name, value) in &beside.metrics {
                tick.add_metric(None, name, *value)?;
            }
            beside.monitored.write(tick, name)?;
            for one in &beside.influence {
                tick.add_influence(name, one)?;
            }
            beside.sliced.write(tick)?;
            for (model, evaluated) in models {
                let scored = &evaluated.scored;
                for (anchor, ranking) in &evaluated.retrieved {
                    for (place, found) in ranking.iter().enumerate() {
                        tick.add_retrieved(model, *anchor, place + 1, *found)?;
                    }
                }
                for (anchor, one) in scored {
                    for (metric, value) in metrics.iter().zip(&one.values) {
                        tick.add_evaluation(&store::Evaluation {
                            model,
                            anchor: *anchor,
                            metric,
                            value: *value,
                            first_relevant: one.first_relevant,
                        })?;
                    }
                }
                for split in [Split::Validation, Split::Test] {
                    for (place, metric) in metrics.iter().enumerate() {
                        if let Some(mean) = mean_of(data, scored, split, place) {
                            tick.add_metric(
                                None,
                                &format!("{model}/{}/{metric}", split.name()),
                                mean,
                            )?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// BM25 and the untrained model.
    pub(crate) fn tick_baselines(&mut self, model: &Model) -> Result<(), Error> {
        self.stage("baselines");
        self.seen.see_index();
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let splits = [Split::Validation, Split::Test];
        let of_bm25 = self.evaluate(&splits, &|anchors| {
            let text = |anchor: &usize| self.data.anchors[*anchor].text.as_str();
            let queries: Vec<&str> = anchors.iter().map(text).collect();
            self.lent.bm25.rankings(&queries, DEPTH)
        })?;
        let index = self.index(model)?;
        let of_initial = self.evaluate(&splits, &|anchors| index.nearest(anchors, DEPTH))?;
        for (name, evaluated) in [("bm25", &of_bm25), ("initial", &of_initial)] {
            self.note_scores(name, &evaluated.scored);
        }
        let beside = Beside {
            sliced: self.slice_baselines(number, model, &index, (&of_bm25, &of_initial))?,
            ..Beside::default()
        };
        let models = [("bm25", of_bm25), ("initial", of_initial)];
        self.write_evaluation(number, "baselines", &models, &beside)
    }

    pub(crate) fn note_scores(&self, model: &str, scored: &[(usize, Scored)]) {
        let mut parts = Vec::new();
        for split in [Split::Validation, Split::Test] {
            for (place, metric) in self.experiment.evaluate.metrics.iter().enumerate().take(1) {
                if let Some(mean) = mean_of(self.data, scored, split, place) {
                    parts.push(format!("{} {metric} {mean:.4}", split.name()));
                }
            }
        }
        if !parts.is_empty() {
            self.show(Event::Note(format!("{model}: {}", parts.join(", "))));
        }
    }

    pub(crate) fn best_path(&self) -> PathBuf {
        self.folder.join("checkpoints/best.safetensors")
    }

    /// Scores the validation share; the best model so far is kept aside; rules are looked at. Whether training is to stop here:
    /// by `train.early_stopping` or a rule, as far as anything can be told without a validation share.
    pub(crate) fn tick_epoch(
        &mut self,
        model: &mut Model,
        pool: &Pool,
        standing: &mut Standing,
        ended: &Ended<'_>,
    ) -> Result<bool, Error> {
        let name = format!("epoch-{}", standing.epochs);
        let metric = self.experiment.evaluate.metrics[0].to_string();
        let key = format!("{name}/{}/{metric}", Split::Validation.name());
        let tick = self.next;
        self.seen.at(standing.steps);
        let number = self.begin()?;
        let mut influence = Vec::new();
        let (value, scored, monitored) = match number {
            Some(_) => {
                let index = self.index(model)?;
                let evaluated = self.evaluate(&[Split::Validation], &|anchors| {
                    index.nearest(anchors, DEPTH)
                })?;
                // What an epoch retrieves is not kept: its model is not.
                let scored = evaluated.scored;
                let value = mean_of(self.data, &scored, Split::Validation, 0);
                self.note_scores(&name, &scored);
                let monitored = self.monitor(&index, pool, standing.epochs)?;
                if self.measures_influence()
                    && let Some(gradient) = self.validation_gradient(&index)?
                {
                    drop(index);
                    influence =
                        self.influence(model, &gradient, pool, ended.stage, standing.epochs)?;
                }
                (value, scored, monitored)
            }
            None => {
                let value = self.store.metric(tick, &key)?;
                (value, Vec::new(), Monitored::default())
            }
        };
        self.see_monitored(pool);
        let best_before = standing.best.as_ref().map(|(best, _)| *best);
        let is_better = better(value, standing);
        if is_better {
            standing.best = Some((value.unwrap_or(f64::NEG_INFINITY), name.clone()));
            standing.epochs_since_best = 0;
        } else if value.is_some() {
            standing.epochs_since_best += 1;
        }
        let patience = self.experiment.train.early_stopping;
        let mut stop = patience.is_some_and(|patience| standing.epochs_since_best >= patience);
        let mut events = Vec::new();
        if let (Some((best, of)), true) = (&standing.best, stop) {
            let reason = format!(
                "{metric} on validation has not risen above {best:.4} (of {of}) for {} epochs: \
                 train.early_stopping.patience",
                standing.epochs_since_best
            );
            events.push(("early_stop", reason));
        }
        let ratio = self.ratio_asked(standing, ended);
        let seen = match number {
            Some(_) => {
                let found = |name: &str| monitored.value(name);
                self.seen_now(standing, ended, value, best_before, ratio, &found)?
            }
            None => self.seen_before(tick)?,
        };
        let decided = self.decide(standing, ended, &seen, ratio);
        stop |= decided.stop;
        events.extend(decided.events.into_iter().map(|event| ("adapt", event)));
        standing.value = value;
        if let Some(number) = number {
            if is_better {
                model.weights().write(&self.best_path())?;
            }
            for (_, what) in &events {
                self.show(Event::Note(what.clone()));
            }
            let beside = Beside {
                events,
                metrics: seen
                    .into_iter()
                    .map(|(name, value)| (format!("adapt/{name}"), value))
                    .collect(),
                monitored,
                influence,
                ..Beside::default()
            };
            let evaluated = Evaluated {
                scored,
                retrieved: Vec::new(),
            };
            self.write_evaluation(number, &name, &[(name.as_str(), evaluated)], &beside)?;
        }
        Ok(stop)
    }

    /// The best model by validation is the trained one: scored, saved.
    pub(crate) fn finish(
        &mut self,
        model: &mut Model,
        standing: &Standing,
    ) -> Result<String, Error> {
        self.stage("evaluate and save");
        let last = standing.epochs;
        let chosen = standing
            .best
            .as_ref()
            .map_or_else(|| format!("epoch-{last}"), |(_, name)| name.clone());
        if chosen != format!("epoch-{last}") {
            let path = self.best_path();
            let bytes = std::fs::read(&path).map_err(file_error("read the checkpoint", &path))?;
            if !model.restore_weights(Checkpoint::from_bytes(&bytes, &path)?) {
                return Err(CheckpointError::Content {
                    path,
                    why: "it has another shape".to_owned(),
                }
                .into());
            }
        }
        let card = self.card(standing, &chosen);
        model.encoder.save(&self.folder.join("model"), &card)?;
        let Some(number) = self.begin()? else {
            return Ok(chosen);
        };
        let index = self.index(model)?;
        let splits = [Split::Validation, Split::Test];
        let evaluated = self.evaluate(&splits, &|anchors| index.nearest(anchors, DEPTH))?;
        self.note_scores(&format!("trained ({chosen})"), &evaluated.scored);
        let enough = standing.enough.iter();
        let beside = Beside {
            events: enough.map(|why| ("rounds_ended", why.clone())).collect(),
            monitored: self.monitor_end()?,
            sliced: self.slice_trained(model, &index, &evaluated)?,
            ..Beside::default()
        };
        self.write_evaluation(
            number,
            &format!("trained = {chosen}"),
            &[("trained", evaluated)],
            &beside,
        )?;
        Ok(chosen)
    }
}

impl Driver<'_> {
    /// What the model folder says of itself.
    fn card(&self, standing: &Standing, chosen: &str) -> Card {
        let experiment = &self.plan.experiment;
        let encoder = match &experiment.encoder {
            Encoder::Static { dim, vocabulary } => {
                format!("static, {vocabulary} tokens by {dim}, trained from nothing")
            }
            Encoder::Transformer(transformer) => format!("transformer, {transformer}"),
        };
        let losses = experiment.train.losses.iter();
        let losses: Vec<String> = losses
            .map(|loss| format!("{} x {}", loss.weight, loss.step.name))
            .collect();
        let samplers = experiment.samples.propose.iter();
        let samplers: Vec<&str> = samplers.map(|one| one.step.name.as_str()).collect();
        let train = &experiment.train;
        let mut facts = vec![
            ("encoder", encoder),
            ("samples", samplers.join(", ")),
            ("losses", losses.join(" + ")),
            (
                "steps",
                format!(
                    "{} of {} x {} anchors, learning rate {}",
                    standing.steps, train.accumulate, train.batch, train.learning_rate
                ),
            ),
            ("chosen", chosen.to_owned()),
        ];
        if let Some((best, _)) = &standing.best {
            let metric = experiment.evaluate.metrics[0];
            facts.push(("chosen by", format!("{metric} on validation, {best:.4}")));
        }
        facts.push(("seed", experiment.seed.to_string()));
        facts.push(("data", format!("SHA-256 {}", self.plan.data_fingerprint)));
        facts.push(("orchestrator", self.plan.version.clone()));
        Card {
            title: experiment.name.clone(),
            base: match &experiment.encoder {
                Encoder::Static { .. } => None,
                Encoder::Transformer(transformer) => Some(transformer.name()),
            },
            facts: facts
                .into_iter()
                .map(|(what, value)| (what.to_owned(), value))
                .collect(),
        }
    }
}

pub(crate) fn better(value: Option<f64>, standing: &Standing) -> bool {
    match (value, &standing.best) {
        (Some(value), Some((best, _))) => value > *best,
        (Some(_), None) => true,
        // Without a validation share there is nothing to choose by: the last model stands.
        (None, _) => false,
    }
}

/// The mean of a metric over the anchors of a split.
pub(crate) fn mean_of(
    data: &Dataset,
    scored: &[(usize, Scored)],
    split: Split,
    metric: usize,
) -> Option<f64> {
    let values: Vec<f64> = scored
        .iter()
        .filter(|(anchor, _)| data.anchors[*anchor].split == split)
        .map(|(_, one)| one.values[metric])
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
