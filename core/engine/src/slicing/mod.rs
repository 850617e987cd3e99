//! Slices of the evaluation: parts of the test claims, and texts made of them, each scored on its own. They are made with the
//! baselines and scored there by BM25 and the untrained model; the trained model scores what the store holds of them at the end.
//! Nothing chooses by them, and they leave the rest of the run as it would be without them. Augmenters see test claims here, and
//! only here: what they make goes into no pool.

mod long_tail;
mod scoring;

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::{DISTRACTORS, EvaluationSlice, PluginStep};
use orchestrator_data::{Dataset, Judgement, Label, Split};
use orchestrator_plugin_host::{Candidate, Kind};
use orchestrator_store::{Role, SampleView, Slice, SliceRow, SliceScore, Tick, sample_id};
use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::error::Error;
use crate::evaluating::Evaluated;
use crate::instances;
use crate::lent::Models;
use crate::making;
use crate::mining::Moment;
use crate::progress::Event;
use crate::retrieval::DenseIndex;
use crate::training::Model;
use scoring::{ItemScore, Seer};

/// What a tick writes of slices.
#[derive(Default)]
pub(crate) struct Sliced {
    items: Vec<SliceRow>,
    scores: Vec<ItemScore>,
    metrics: Vec<(String, f64)>,
}

impl Sliced {
    /// Adds its rows.
    pub fn write(&self, tick: &Tick<'_>) -> Result<(), Error> {
        for one in &self.items {
            tick.add_slice(&Slice {
                name: &one.name,
                item: one.item,
                anchor: one.anchor,
                text: &one.text,
                detail: &one.detail,
            })?;
        }
        for one in &self.scores {
            tick.add_slice_score(&SliceScore {
                slice: &one.slice,
                item: one.item,
                model: one.model,
                metric: &one.metric,
                value: one.value,
            })?;
        }
        for (name, value) in &self.metrics {
            tick.add_metric(None, name, *value)?;
        }
        Ok(())
    }

    fn push(&mut self, name: &str, anchor: Option<usize>, text: String, detail: String) {
        let of_name = self.items.iter().rev().find(|one| one.name == name);
        self.items.push(SliceRow {
            name: name.to_owned(),
            item: of_name.map_or(0, |last| last.item + 1),
            anchor,
            text,
            detail,
        });
    }
}

impl Driver<'_> {
    /// Makes the slices and has BM25 and the untrained model score them, in the tick of that number.
    pub(crate) fn slice_baselines(
        &self,
        number: u32,
        model: &Model,
        index: &DenseIndex<'_>,
        (of_bm25, of_initial): (&Evaluated, &Evaluated),
    ) -> Result<Sliced, Error> {
        if self.experiment.evaluate.slices.is_empty() {
            return Ok(Sliced::default());
        }
        self.stage("slices of the evaluation");
        let lent = self.lent.clone();
        let models = Models {
            current: Some(index),
            untrained: true,
            initial: &model.initial,
            bm25: &lent.bm25,
            further: &lent.models,
            pairs: &lent.pairs,
        };
        let moment = Moment {
            index: Some(index),
            models: Some(&models),
            ..Moment::default()
        };
        let mut sliced = Sliced::default();
        for slice in &self.experiment.evaluate.slices {
            self.stop_if_asked()?;
            self.cut(slice, number, moment, &mut sliced)?;
        }
        for (name, n) in counted(&sliced.items) {
            sliced.metrics.push((format!("slice/{name}/claims"), n));
        }
        for (name, evaluated, index) in [
            ("bm25", of_bm25, None),
            ("initial", of_initial, Some(index)),
        ] {
            let seer = Seer {
                name,
                models: &models,
                index,
            };
            let scores = self.score_slices(&sliced.items, &seer, evaluated)?;
            self.take(&mut sliced, scores);
        }
        Ok(sliced)
    }

    /// Has the trained model score the slices that the store holds.
    pub(crate) fn slice_trained(
        &self,
        model: &Model,
        index: &DenseIndex<'_>,
        evaluated: &Evaluated,
    ) -> Result<Sliced, Error> {
        if self.experiment.evaluate.slices.is_empty() {
            return Ok(Sliced::default());
        }
        let lent = self.lent.clone();
        let models = Models::of(&lent, model, Some(index));
        let seer = Seer {
            name: "trained",
            models: &models,
            index: Some(index),
        };
        let items = self.store.slices()?;
        let scores = self.score_slices(&items, &seer, evaluated)?;
        let mut sliced = Sliced::default();
        self.take(&mut sliced, scores);
        Ok(sliced)
    }

    /// Takes in what a model scored, with the means, and says the first of each slice.
    fn take(&self, sliced: &mut Sliced, scores: Vec<ItemScore>) {
        let Some(model) = scores.first().map(|one| one.model) else {
            return;
        };
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        for (slice, metric, mean) in scoring::means(&scores) {
            said.entry(slice.clone())
                .or_insert_with(|| format!("{slice} {metric} {mean:.4}"));
            let name = format!("slice/{slice}/{model}/{metric}");
            sliced.metrics.push((name, mean));
        }
        let said: Vec<String> = said.into_values().collect();
        self.show(Event::Note(format!("{model}: {}", said.join(", "))));
        sliced.scores.extend(scores);
    }

    /// The split that slices are of: test, or validation if there is no test.
    pub(crate) fn sliced_split(&self) -> Split {
        let test = self.data.of_split(Split::Test).next();
        test.map_or(Split::Validation, |_| Split::Test)
    }

    /// Makes the claims of a slice.
    fn cut(
        &self,
        slice: &EvaluationSlice,
        number: u32,
        moment: Moment<'_>,
        sliced: &mut Sliced,
    ) -> Result<(), Error> {
        let data = self.data;
        let qrels = data.qrels(self.sliced_split());
        match slice {
            EvaluationSlice::Nuance { by } => {
                let supported: Vec<usize> = qrels
                    .into_keys()
                    .filter(|anchor| !evidence(data, *anchor).is_empty())
                    .collect();
                let given = making::as_samples(data, supported.iter());
                for (view, made) in self.edited(by, number, moment, &given, sliced)? {
                    sliced.push(slice.name(), Some(view.anchor), made.text, made.detail);
                }
            }
            EvaluationSlice::LongTail { share } => {
                let anchors: Vec<usize> = qrels.into_keys().collect();
                self.cut_tail(&anchors, *share, sliced);
            }
            EvaluationSlice::Adversarial { by, distractors } => {
                let given = making::as_samples(data, qrels.keys());
                for step in by {
                    for (view, made) in self.edited(step, number, moment, &given, sliced)? {
                        sliced.push(&step.name, Some(view.anchor), made.text, made.detail);
                    }
                }
                if let Some(step) = distractors {
                    let given = supporting(data, qrels.keys());
                    for (view, made) in self.edited(step, number, moment, &given, sliced)? {
                        let detail = distractor(view, &made);
                        let claim = data.anchors[view.anchor].text.clone();
                        sliced.push(DISTRACTORS, Some(view.anchor), claim, detail);
                    }
                }
            }
            EvaluationSlice::CrossDomain { corpora, .. } => {
                for (name, other) in &self.foreign {
                    if !corpora.contains(name) {
                        continue;
                    }
                    for anchor in other.qrels(Split::Test).into_keys() {
                        let claim = &other.anchors[anchor];
                        let detail = json!({ "id": claim.id }).to_string();
                        let slice = format!("{}/{name}", slice.name());
                        sliced.push(&slice, None, claim.text.clone(), detail);
                    }
                }
            }
        }
        Ok(())
    }

    /// The tail, and the rest to compare it with. Trained on are the training claims and the documents judged for them.
    fn cut_tail(&self, anchors: &[usize], share: f64, sliced: &mut Sliced) {
        if anchors.is_empty() {
            return;
        }
        let data = self.data;
        let claims = data.of_split(Split::Train);
        let documents: BTreeSet<usize> = data.qrels(Split::Train).into_values().flatten().collect();
        let trained: Vec<String> = claims
            .map(|anchor| data.anchors[anchor].text.clone())
            .chain(documents.iter().map(|&one| data.documents[one].full_text()))
            .collect();
        let texts: Vec<&str> = anchors
            .iter()
            .map(|&anchor| data.anchors[anchor].text.as_str())
            .collect();
        let rarities = long_tail::rarities(trained.iter().map(String::as_str), &texts);
        let (order, tail) = long_tail::tail(&rarities, share);
        for (rank, place) in order.into_iter().enumerate() {
            let name = if rank < tail {
                LONG_TAIL
            } else {
                NOT_LONG_TAIL
            };
            let text = texts[place].to_owned();
            sliced.push(name, Some(anchors[place]), text, rarities[place].detail());
        }
    }

    /// What an augmenter makes of samples: the first that differs of each, in their order. What it counted becomes metrics.
    fn edited<'g>(
        &self,
        step: &PluginStep,
        number: u32,
        moment: Moment<'_>,
        given: &'g [SampleView],
        sliced: &mut Sliced,
    ) -> Result<Vec<(&'g SampleView, Candidate)>, Error> {
        let instance = instances::create(self.experiment, self.host, Kind::Augmenter, step)?;
        let views: Vec<&SampleView> = given.iter().collect();
        let table = making::samples_table(self.data, &views);
        let anchors: BTreeSet<usize> = given.iter().map(|view| view.anchor).collect();
        let show = |done, total, _: &str| self.show(Event::Advance { done, total });
        let mut context = self.context(number, &step.name, moment);
        context.services.progress = Some(&show);
        let proposed = moment.outcome(instance.augment(&context, &table, &anchors))?;
        for (what, n) in proposed.counts {
            sliced
                .metrics
                .push((format!("{}/{what}", step.name), n as f64));
        }
        let mut first: BTreeMap<usize, Candidate> = BTreeMap::new();
        for candidate in proposed.candidates {
            if let Some(parent) = candidate.parent
                && candidate.text != given[parent].text
            {
                first.entry(parent).or_insert(candidate);
            }
        }
        Ok(first
            .into_iter()
            .map(|(parent, candidate)| (&given[parent], candidate))
            .collect())
    }
}

/// The two parts of the claims.
pub(crate) const LONG_TAIL: &str = "long_tail";
pub(crate) const NOT_LONG_TAIL: &str = "not_long_tail";

/// How many claims each slice has.
fn counted(items: &[SliceRow]) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for one in items {
        *counts.entry(one.name.clone()).or_insert(0.0) += 1.0;
    }
    counts
}

/// The texts that support a claim: the sentences of each rationale set, joined; the document where no sentences are named. What
/// contradicts a claim is no evidence for it: its contradiction is nearer to that.
pub(crate) fn evidence(data: &Dataset, anchor: usize) -> BTreeSet<String> {
    data.judgements_of(anchor)
        .iter()
        .filter(|one| supports(one))
        .map(|one| {
            let document = &data.documents[one.document];
            if one.sentences.is_empty() {
                return document.full_text();
            }
            let mut sentences: Vec<usize> = one.sentences.clone();
            sentences.sort_unstable();
            sentences.dedup();
            let texts: Vec<&str> = sentences
                .into_iter()
                .map(|sentence| document.sentences[sentence].trim())
                .collect();
            texts.join(" ")
        })
        .collect()
}

fn supports(judgement: &Judgement) -> bool {
    matches!(judgement.label, Label::Support | Label::Partial)
}

/// Claims with the documents that support them, as samples.
fn supporting<'a>(data: &Dataset, anchors: impl Iterator<Item = &'a usize>) -> Vec<SampleView> {
    let pairs: BTreeSet<(usize, usize)> = anchors
        .flat_map(|anchor| data.judgements_of(*anchor))
        .filter(|one| supports(one))
        .map(|one| (one.anchor, one.document))
        .collect();
    let mut views = making::as_samples(data, pairs.iter().map(|(anchor, _)| anchor));
    for (view, &(anchor, document)) in views.iter_mut().zip(&pairs) {
        view.text = data.documents[document].full_text();
        view.id = sample_id(&data.anchors[anchor].id, &view.text, Role::Positive);
        view.document = Some(document);
        "relevant".clone_into(&mut view.source);
    }
    views
}

/// The detail of a distractor: what its augmenter says of it, the document it was made from, and its text.
fn distractor(view: &SampleView, made: &Candidate) -> String {
    let said: Map<String, Value> = serde_json::from_str(&made.detail).unwrap_or_default();
    json!({ "document": view.document, "distractor": made.text, "edit": said }).to_string()
}
