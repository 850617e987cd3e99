//! How the pool comes to be: propose, augment, judge, score; at the beginning, after each round of answers, and whenever a
//! sampler is asked again.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::{AugmentStep, PluginStep, RoleFilter};
use orchestrator_plugin_host::{Context, Error as PluginError, Kind, Metrics, Services, Table};
use orchestrator_store as store;
use orchestrator_store::{Role, SampleView};

use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::lent::Models;
use crate::making::{self, Knowledge};
use crate::monitor::{self, Monitored, Scored, Turnover};
use crate::pool::Pool;
use crate::progress::Event;
use crate::retrieval::DenseIndex;
use crate::seed::seed;
use crate::training::Model;

/// Why the pool is made or made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion<'o> {
    /// The beginning.
    Initial,
    /// After a round of answers, the first tick of which is `first`.
    Round { number: usize, first: u32 },
    /// These samplers are due, after so many steps.
    Refresh { due: &'o [usize], steps: u64 },
}

impl Occasion<'_> {
    /// Names the version of the model that scores the pool.
    fn name(self) -> String {
        match self {
            Self::Initial => "initial".to_owned(),
            Self::Round { number, .. } => format!("round-{number}"),
            Self::Refresh { steps, .. } => format!("step-{steps}"),
        }
    }
}

/// What the scoring tick is told of the mining before it.
struct Course<'o> {
    /// Names the version of the model.
    name: &'o str,
    /// Which samplers were asked again, if any.
    again: Option<Turnover<'o>>,
    /// The weights had embedded documents and anchors before it.
    index_is_there: bool,
    /// Texts the weights had encoded before it.
    encoded_before: usize,
}

/// What a call is lent of what changes: the model, what is known, what is in the pool.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moment<'c> {
    pub index: Option<&'c DenseIndex<'c>>,
    pub models: Option<&'c Models<'c>>,
    pub judgements: Option<&'c Table>,
    pub pool: Option<&'c Table>,
}

impl Moment<'_> {
    /// What a call gave, unless what it was lent failed meanwhile: then what it gave rests on nothing.
    pub fn outcome<T>(self, given: Result<T, PluginError>) -> Result<T, Error> {
        if let Some(index) = self.index {
            index.check()?;
        }
        if let Some(models) = self.models {
            models.check()?;
        }
        Ok(given?)
    }
}

impl Driver<'_> {
    /// Propose, augment, judge, score: what is in the pool from now on.
    pub(crate) fn mine(
        &mut self,
        model: &Model,
        standing: &Standing,
        occasion: Occasion<'_>,
    ) -> Result<Pool, Error> {
        let experiment = self.experiment;
        let knowledge = Knowledge::of(self.data, self.reading, &standing.told);
        let judgements = knowledge.table();
        let anchors = knowledge.anchors();
        let again_only = matches!(occasion, Occasion::Refresh { .. });
        let ticks = match occasion {
            Occasion::Refresh { due, .. } => due.len(),
            _ => experiment.samples.propose.len() + experiment.samples.augment.len(),
        } + experiment.samples.filter.len()
            + usize::from(matches!(occasion, Occasion::Round { .. }))
            + usize::from(experiment.samples.leave_out.is_some())
            + usize::from(occasion == Occasion::Initial && !standing.told.spoiled.is_empty())
            + 1;
        let index_is_there = self.seen.at(standing.steps);
        let encoded_before = self.encoded(model.version);
        // Where all of it is in the store, nobody asks the model.
        let index = if self.holds(ticks) {
            None
        } else {
            Some(self.index(model)?)
        };
        let lent = self.lent.clone();
        let models = Models::of(&lent, model, index.as_ref());
        let moment = Moment {
            index: index.as_ref(),
            models: Some(&models),
            judgements: Some(&judgements),
            pool: None,
        };
        let (first, again) = match occasion {
            Occasion::Initial => (0, false),
            Occasion::Round { first, .. } => (first, true),
            Occasion::Refresh { .. } => (self.next, true),
        };
        for (place, propose) in experiment.samples.propose.iter().enumerate() {
            if matches!(occasion, Occasion::Refresh { due, .. } if !due.contains(&place)) {
                continue;
            }
            // What a sampler with `refresh_every` proposed before is replaced; what others did stays.
            let anew = again && propose.refresh.is_some();
            self.propose(model, &propose.step, &anchors, moment, anew)?;
        }
        if occasion == Occasion::Initial && !standing.told.spoiled.is_empty() {
            self.tick_spoiled(&standing.told.spoiled)?;
        }
        if !again_only {
            for augment in &experiment.samples.augment {
                self.augment(augment, &anchors, moment, first)?;
            }
        }
        if let Some(list) = &experiment.samples.leave_out {
            self.tick_left_out(list, first)?;
        }
        let mut before = None;
        for step in &experiment.samples.filter {
            self.judge(step, moment, first, &mut before)?;
        }
        let relevant = knowledge.relevant();
        if let Occasion::Round { number, first } = occasion {
            self.drop_revealed(number, first)?;
        }
        let samplers: Vec<&str> = experiment
            .samples
            .propose
            .iter()
            .enumerate()
            .filter(|(place, propose)| match occasion {
                Occasion::Initial => false,
                Occasion::Round { .. } => propose.refresh.is_some(),
                Occasion::Refresh { due, .. } => due.contains(place),
            })
            .map(|(_, propose)| propose.step.name.as_str())
            .collect();
        let course = Course {
            name: &occasion.name(),
            again: (!samplers.is_empty()).then_some(Turnover {
                samplers: &samplers,
                first,
            }),
            index_is_there,
            encoded_before,
        };
        let last = self.score(model, &course, &relevant)?;
        let mut pool = Pool::load(&self.store, last, self.data, &model.encoder, relevant)?;
        self.seen.see_index();
        self.seen
            .see(&self.texts, pool.texts.iter().map(|text| &text.tokens));
        if let Some(teacher) = &experiment.train.teacher {
            pool.teach(&models, teacher, self.data)?;
        }
        self.check_pool(&pool)?;
        Ok(pool)
    }

    /// Asks a sampler. `anew`: what it proposed before leaves the pool, unless it proposes it again.
    fn propose(
        &mut self,
        model: &Model,
        step: &PluginStep,
        anchors: &BTreeSet<usize>,
        moment: Moment<'_>,
        anew: bool,
    ) -> Result<(), Error> {
        self.stage(format!("propose: {}", step.name));
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let instance = self.create(Kind::Sampler, step)?;
        let table = making::anchors_table(self.data, anchors);
        let show = |done, total, _: &str| self.show(Event::Advance { done, total });
        let mut context = self.context(number, &step.name, moment);
        context.step = model.step;
        context.services.progress = Some(&show);
        let reported = Metrics::default();
        context.services.metrics = Some(&reported);
        let proposed = moment.outcome(instance.propose(&context, &table, anchors))?;
        let before = if anew {
            self.store.live_of(&step.name, number)?
        } else {
            BTreeSet::new()
        };
        let data = self.data;
        let kind = if anew { "refresh" } else { "propose" };
        self.write(number, kind, &step.name, |tick| {
            for (what, n) in &proposed.counts {
                tick.add_metric(None, &format!("{}/{what}", step.name), *n as f64)?;
            }
            if anew {
                let now = making::ids(data, &proposed.candidates);
                let stayed = now.intersection(&before).count();
                for (what, n) in [
                    ("entered", now.len() - stayed),
                    ("left", before.len() - stayed),
                    ("stayed", stayed),
                ] {
                    tick.add_metric(None, &format!("{}/{what}", step.name), n as f64)?;
                }
            }
            making::write_reported(tick, &step.name, &reported)?;
            making::write_candidates(tick, data, &step.name, &proposed.candidates, None)
        })
    }

    /// Gives an augmenter the samples that came since tick `first`, or the anchors it has made nothing of yet.
    fn augment(
        &mut self,
        augment: &AugmentStep,
        anchors: &BTreeSet<usize>,
        moment: Moment<'_>,
        first: u32,
    ) -> Result<(), Error> {
        let step = &augment.step;
        self.stage(format!("augment: {}", step.name));
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let instance = self.create(Kind::Augmenter, step)?;
        let views = if augment.from == RoleFilter::Anchor {
            let done = self.store.samples(number - 1)?;
            let done: BTreeSet<usize> = done
                .iter()
                .filter(|view| view.source == step.name)
                .map(|view| view.anchor)
                .collect();
            making::as_samples(self.data, anchors.difference(&done))
        } else {
            self.new_samples(number, first)?
        };
        let given: Vec<&SampleView> = views
            .iter()
            .filter(|view| match augment.from {
                RoleFilter::Positive => view.role == Role::Positive,
                RoleFilter::Negative => view.role == Role::Negative,
                RoleFilter::Any | RoleFilter::Anchor => true,
            })
            .collect();
        let table = making::samples_table(self.data, &given);
        let of_given: BTreeSet<usize> = given.iter().map(|view| view.anchor).collect();
        let show = |done, total, _: &str| self.show(Event::Advance { done, total });
        let mut context = self.context(number, &step.name, moment);
        context.services.progress = Some(&show);
        let reported = Metrics::default();
        context.services.metrics = Some(&reported);
        let proposed = moment.outcome(instance.augment(&context, &table, &of_given))?;
        let data = self.data;
        let parents = (augment.from != RoleFilter::Anchor).then_some(given.as_slice());
        self.write(number, "augment", &step.name, |tick| {
            for (what, n) in &proposed.counts {
                tick.add_metric(None, &format!("{}/{what}", step.name), *n as f64)?;
            }
            making::write_reported(tick, &step.name, &reported)?;
            making::write_candidates(tick, data, &step.name, &proposed.candidates, parents)
        })
    }

    /// Asks a filter about the samples that came since tick `first` and that the filters before it kept.
    /// `before` holds what was kept before `first`, once somebody has needed it.
    fn judge(
        &mut self,
        step: &PluginStep,
        moment: Moment<'_>,
        first: u32,
        before: &mut Option<Table>,
    ) -> Result<(), Error> {
        self.stage(format!("judge: {}", step.name));
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let instance = self.create(Kind::Filter, step)?;
        let views = self.new_samples(number, first)?;
        let given: Vec<&SampleView> = views.iter().filter(|view| view.kept).collect();
        let table = making::samples_table(self.data, &given);
        if before.is_none() {
            *before = Some(self.kept_before(first)?);
        }
        let moment = Moment {
            pool: before.as_ref(),
            ..moment
        };
        let reported = Metrics::default();
        let mut context = self.context(number, &step.name, moment);
        context.services.metrics = Some(&reported);
        moment.outcome(instance.prepare(&context))?;
        let verdicts = moment.outcome(instance.judge(&context, &table))?;
        self.write(number, "judge", &step.name, |tick| {
            making::write_reported(tick, &step.name, &reported)?;
            for (view, verdict) in given.iter().zip(&verdicts) {
                tick.add_verdict(&store::Verdict {
                    sample: view.id,
                    filter: &step.name,
                    keep: verdict.keep,
                    score: verdict.score,
                    reason: &verdict.reason,
                })?;
            }
            Ok(())
        })
    }

    /// What a call is given: its seed, and everything there is to lend.
    pub(crate) fn context<'c>(
        &'c self,
        number: u32,
        name: &str,
        moment: Moment<'c>,
    ) -> Context<'c> {
        let lent = &*self.lent;
        Context {
            step: 0,
            seed: seed(self.experiment.seed, name, &[u64::from(number)]),
            services: Services {
                corpus: Some(&lent.corpus),
                judgements: moment.judgements,
                model: moment
                    .index
                    .map(|index| index as &dyn orchestrator_plugin_host::CurrentModel),
                bm25: Some(&lent.bm25),
                topics: Some(&lent.topics),
                corpora: Some(&lent.corpora),
                held_out: Some(&lent.held_out),
                pool: moment.pool,
                files: Some(&lent.files),
                models: moment
                    .models
                    .map(|models| models as &dyn orchestrator_plugin_host::NamedModels),
                chat: lent.chat,
                cancelled: Some(self.cancelled),
                ..Services::default()
            },
        }
    }

    /// The samples kept that came before tick `first`, for filters that compare with them.
    fn kept_before(&self, first: u32) -> Result<Table, Error> {
        let mut views = match first {
            0 => Vec::new(),
            first => self.store.samples(first - 1)?,
        };
        views.retain(|view| view.kept);
        Ok(making::samples_table(
            self.data,
            &views.iter().collect::<Vec<_>>(),
        ))
    }

    /// The samples that are there before tick `number` and came at tick `first` or later.
    pub(crate) fn new_samples(&self, number: u32, first: u32) -> Result<Vec<SampleView>, Error> {
        Ok(self.store.samples_since(first, number - 1)?)
    }

    /// What an annotator called relevant in this round, which began at tick `first`, cannot stay a negative. What a sampler
    /// made of the document knowing that it is relevant stays: sentences that are no evidence.
    fn drop_revealed(&mut self, round: usize, first: u32) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let revealed: BTreeSet<(usize, usize)> = self
            .store
            .annotated()?
            .into_iter()
            .filter(|one| one.round == round && one.relevant)
            .map(|one| (one.anchor, one.document))
            .collect();
        let views = self.store.samples(number - 1)?;
        let wrong: Vec<&SampleView> = views
            .iter()
            .filter(|view| view.kept && view.tick < first)
            .filter(|view| view.role == Role::Negative && view.parent.is_none())
            .filter(|view| {
                let pair = |document| revealed.contains(&(view.anchor, document));
                view.document.is_some_and(pair)
            })
            .collect();
        self.write(number, "judge", "revealed_positive", |tick| {
            for view in wrong {
                tick.add_verdict(&store::Verdict {
                    sample: view.id,
                    filter: "revealed_positive",
                    keep: false,
                    score: None,
                    reason: "an annotator called its document relevant",
                })?;
            }
            Ok(())
        })
    }

    /// Similarity of every kept sample by the current model, difficulty and band of every negative.
    fn score(
        &mut self,
        model: &Model,
        course: &Course<'_>,
        relevant: &BTreeMap<usize, BTreeSet<usize>>,
    ) -> Result<u32, Error> {
        self.stage("score");
        let Some(number) = self.begin()? else {
            return Ok(self.next - 1);
        };
        let pool = Pool::load(
            &self.store,
            number - 1,
            self.data,
            &model.encoder,
            relevant.clone(),
        )?;
        let index = self.index(model)?;
        let tokens: Vec<_> = pool.texts.iter().map(|text| &text.tokens).collect();
        let (mut encoded, mut reused) = self.seen.cost(&self.texts, tokens.iter().copied());
        let of_index = if course.index_is_there {
            &mut reused
        } else {
            &mut encoded
        };
        *of_index += self.texts.distinct();
        let embeddings = index.embed(&tokens)?;
        let encoded_now = self.encoded(model.version) - course.encoded_before;
        let dim = model.encoder.dim();
        let embedding = |text: usize| &embeddings[text * dim..(text + 1) * dim];
        let similarities: Vec<f32> = pool
            .samples
            .iter()
            .map(|sample| {
                let anchor = pool.anchor_text[&sample.view.anchor];
                orchestrator_plugin_host::dot(embedding(anchor), embedding(sample.text))
            })
            .collect();
        let scales = monitor::scales(
            &index,
            self.experiment.seed,
            pool.anchor_text.keys().copied(),
            pool.of_role(Role::Positive)
                .map(|place| (&pool.samples[place].view, similarities[place])),
        );
        let negatives: Vec<usize> = pool.of_role(Role::Negative).collect();
        let measured: Vec<f32> = negatives
            .iter()
            .map(|&place| scales[&pool.samples[place].view.anchor].difficulty(similarities[place]))
            .collect();
        // A difficulty its plugin fixed decides the band; what was measured is kept beside it.
        let deciding: Vec<f32> = negatives
            .iter()
            .zip(&measured)
            .map(|(&place, &measured)| {
                pool.samples[place]
                    .view
                    .fixed_difficulty
                    .unwrap_or(measured)
            })
            .collect();
        let bands = making::bands(&deciding, self.experiment.train.bands);
        let of_negative: BTreeMap<usize, (f32, &str)> = negatives
            .iter()
            .copied()
            .zip(measured.iter().copied().zip(bands))
            .collect();
        let mean = |places: &[usize]| {
            let sum: f64 = places
                .iter()
                .map(|&place| f64::from(similarities[place]))
                .sum();
            sum / places.len().max(1) as f64
        };
        let of_positive: Vec<usize> = pool.of_role(Role::Positive).collect();
        let (near, far) = (mean(&of_positive), mean(&negatives));
        self.show(Event::Note(format!(
            "pool: {} positives (mean similarity {near:.3}), {} negatives ({far:.3})",
            of_positive.len(),
            negatives.len()
        )));
        self.seen.see_index();
        self.seen
            .see(&self.texts, pool.texts.iter().map(|text| &text.tokens));
        let monitored = if course.name == "initial" {
            self.monitor(&index, &pool, 0)?
        } else {
            Monitored::default()
        };
        let mut values = vec![
            ("mining/encoded".to_owned(), encoded as f64),
            ("mining/reused".to_owned(), reused as f64),
        ];
        if let Some(again) = &course.again {
            let found = self.turnover(
                &index,
                again,
                number,
                &Scored {
                    pool: &pool,
                    similarities: &similarities,
                    negatives: &negatives,
                    difficulties: &measured,
                    scales: &scales,
                },
            )?;
            let sum = |what: &str| {
                let named = found.iter().filter(|(name, _)| name.ends_with(what));
                named.map(|(_, value)| value).sum::<f64>()
            };
            self.show(Event::Note(format!(
                "mined again: {} negatives came into the pool, {} of them likely false; {encoded_now} texts encoded",
                sum("/entered_pool"),
                sum("/entered_likely_false"),
            )));
            values.extend(found);
        }
        let name = course.name;
        self.write(number, "score", name, |tick| {
            monitored.write(tick, name)?;
            // What it cost this time: a run that goes on encodes some texts again, which the metrics do not count.
            let cost = serde_json::json!({ "model": name, "encoded": encoded_now });
            tick.add_event("mined", &cost.to_string())?;
            for (metric, value) in &values {
                tick.add_metric(None, metric, *value)?;
            }
            for (place, sample) in pool.samples.iter().enumerate() {
                let (difficulty, band) = of_negative
                    .get(&place)
                    .map(|(d, b)| (Some(*d), Some(*b)))
                    .unwrap_or_default();
                tick.add_score(&store::Score {
                    sample: sample.view.id,
                    model: name,
                    similarity: similarities[place],
                    difficulty,
                    band,
                })?;
            }
            for (metric, value) in [
                ("pool/positives", of_positive.len() as f64),
                ("pool/negatives", negatives.len() as f64),
                ("pool/similarity_of_positives", near),
                ("pool/similarity_of_negatives", far),
            ] {
                tick.add_metric(None, metric, value)?;
            }
            Ok(())
        })?;
        Ok(number)
    }

    /// There is something to train on, and what each loss needs.
    pub(crate) fn check_pool(&self, pool: &Pool) -> Result<(), Error> {
        let (positives, negatives) = (
            pool.of_role(Role::Positive).count(),
            pool.of_role(Role::Negative).count(),
        );
        if positives == 0 {
            let mut facts: Vec<String> = self
                .store
                .dropped_by_filter()?
                .into_iter()
                .map(|(filter, judged, dropped)| {
                    format!("{filter} dropped {dropped} of {judged} samples")
                })
                .collect();
            if let Some(active) = &self.experiment.active_learning {
                facts.push(format!(
                    "active_learning.hold_back hides {} of the training judgements until they are asked for",
                    active.hold_back
                ));
            }
            return Err(Error::NoPositives(facts));
        }
        for loss in &self.experiment.train.losses {
            let needs = self.create(Kind::Loss, &loss.step)?.needs()?;
            let lacks = if needs.negatives && negatives == 0 {
                "negatives"
            } else if needs.teacher && self.experiment.train.teacher.is_none() {
                "teacher scores"
            } else {
                continue;
            };
            return Err(Error::LossNeeds {
                loss: loss.step.name.clone(),
                needs: lacks,
            });
        }
        Ok(())
    }
}
