//! How the pool comes to be: propose, augment, judge, score; once at the beginning and after each round of answers.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::RoleFilter;
use orchestrator_model::Tokens;
use orchestrator_plugin_host::{Context, Kind, Services, Table};
use orchestrator_store as store;
use orchestrator_store::{Role, SampleView};

use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::making::{self, Knowledge, Scale};
use crate::pool::Pool;
use crate::progress::Event;
use crate::retrieval::DenseIndex;
use crate::seed::seed;
use crate::training::Model;

impl Driver<'_> {
    /// Propose, augment, judge, score: what is in the pool after round `round`. Samples from tick `first` on are new.
    pub(crate) fn mine(
        &mut self,
        model: &Model,
        standing: &Standing,
        round: usize,
        first: u32,
    ) -> Result<Pool, Error> {
        let experiment = self.experiment;
        let knowledge = Knowledge::of(self.data, self.reading, &standing.hidden);
        let judgements = knowledge.table(self.data);
        let anchors = knowledge.anchors(self.data);
        let index = self.index(model);
        for step in &experiment.samples.propose {
            self.stage(format!("propose: {}", step.name));
            let Some(number) = self.begin()? else {
                continue;
            };
            let instance = self.create(Kind::Sampler, step)?;
            let table = making::anchors_table(self.data, &anchors);
            let show = |done, total, _: &str| self.show(Event::Advance { done, total });
            let context = Context {
                step: model.step,
                seed: seed(experiment.seed, &step.name, &[u64::from(number)]),
                services: Services {
                    corpus: Some(&self.lent.corpus),
                    bm25: Some(&self.lent.bm25),
                    held_out: Some(&self.lent.held_out),
                    judgements: Some(&judgements),
                    model: Some(&index),
                    cancelled: Some(self.cancelled),
                    progress: Some(&show),
                    ..Services::default()
                },
            };
            let proposed = instance.propose(&context, &table, &anchors)?;
            let data = self.data;
            self.write(number, "propose", &step.name, |tick| {
                for (what, n) in &proposed.counts {
                    tick.add_metric(None, &format!("{}/{what}", step.name), *n as f64)?;
                }
                making::write_candidates(tick, data, &step.name, &proposed.candidates, &[])
            })?;
        }
        for augment in &experiment.samples.augment {
            let step = &augment.step;
            self.stage(format!("augment: {}", step.name));
            let Some(number) = self.begin()? else {
                continue;
            };
            let instance = self.create(Kind::Augmenter, step)?;
            let views = self.new_samples(number, first)?;
            let given: Vec<&SampleView> = views
                .iter()
                .filter(|view| match augment.from {
                    RoleFilter::Positive => view.role == Role::Positive,
                    RoleFilter::Negative => view.role == Role::Negative,
                    RoleFilter::Any => true,
                })
                .collect();
            let table = making::samples_table(self.data, &given);
            let of_given: BTreeSet<usize> = given.iter().map(|view| view.anchor).collect();
            let context = self.context(number, &step.name, Some(&index), Some(&judgements));
            let proposed = instance.augment(&context, &table, &of_given)?;
            let data = self.data;
            self.write(number, "augment", &step.name, |tick| {
                for (what, n) in &proposed.counts {
                    tick.add_metric(None, &format!("{}/{what}", step.name), *n as f64)?;
                }
                making::write_candidates(tick, data, &step.name, &proposed.candidates, &given)
            })?;
        }
        for step in &experiment.samples.filter {
            self.stage(format!("judge: {}", step.name));
            let Some(number) = self.begin()? else {
                continue;
            };
            let instance = self.create(Kind::Filter, step)?;
            let views = self.new_samples(number, first)?;
            // What an earlier filter dropped is not asked about again.
            let given: Vec<&SampleView> = views.iter().filter(|view| view.kept).collect();
            let table = making::samples_table(self.data, &given);
            let context = self.context(number, &step.name, Some(&index), Some(&judgements));
            instance.prepare(&context)?;
            let verdicts = instance.judge(&context, &table)?;
            self.write(number, "judge", &step.name, |tick| {
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
            })?;
        }
        let relevant = knowledge.relevant(self.data);
        self.drop_revealed(round, &relevant)?;
        let last = self.score(model, &index, round, &relevant)?;
        let pool = Pool::load(&self.store, last, self.data, &model.encoder, relevant)?;
        self.check_pool(&pool)?;
        Ok(pool)
    }

    pub(crate) fn context<'c>(
        &'c self,
        number: u32,
        name: &str,
        index: Option<&'c DenseIndex<'c>>,
        judgements: Option<&'c Table>,
    ) -> Context<'c> {
        Context {
            step: 0,
            seed: seed(self.experiment.seed, name, &[u64::from(number)]),
            services: Services {
                corpus: Some(&self.lent.corpus),
                bm25: Some(&self.lent.bm25),
                held_out: Some(&self.lent.held_out),
                judgements,
                model: index.map(|index| index as &dyn orchestrator_plugin_host::CurrentModel),
                cancelled: Some(self.cancelled),
                ..Services::default()
            },
        }
    }

    /// The samples that are there before tick `number` and came at tick `first` or later.
    pub(crate) fn new_samples(&self, number: u32, first: u32) -> Result<Vec<SampleView>, Error> {
        let mut views = self.store.samples(number - 1)?;
        views.retain(|view| view.tick >= first);
        Ok(views)
    }

    /// What an annotator called relevant cannot stay a negative.
    pub(crate) fn drop_revealed(
        &mut self,
        round: usize,
        relevant: &BTreeMap<usize, BTreeSet<usize>>,
    ) -> Result<(), Error> {
        if round == 0 {
            return Ok(());
        }
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let views = self.store.samples(number - 1)?;
        let wrong: Vec<&SampleView> = views
            .iter()
            .filter(|view| view.kept && view.role == Role::Negative && view.parent.is_none())
            .filter(|view| {
                view.document.is_some_and(|document| {
                    relevant
                        .get(&view.anchor)
                        .is_some_and(|known| known.contains(&document))
                })
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
    pub(crate) fn score(
        &mut self,
        model: &Model,
        index: &DenseIndex<'_>,
        round: usize,
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
        let tokens: Vec<Tokens> = pool.texts.iter().map(|text| text.tokens.clone()).collect();
        let embeddings = model.encoder.encode(&tokens);
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
        let mut positives: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        for place in pool.of_role(Role::Positive) {
            let of_anchor = positives
                .entry(pool.samples[place].view.anchor)
                .or_default();
            of_anchor.0 += f64::from(similarities[place]);
            of_anchor.1 += 1;
        }
        let scales: BTreeMap<usize, Scale> = pool
            .anchor_text
            .keys()
            .map(|&anchor| {
                let positive = positives
                    .get(&anchor)
                    .map_or(1.0, |(sum, n)| (sum / *n as f64) as f32);
                let floor = making::floor(index, self.experiment.seed, anchor);
                (anchor, Scale { floor, positive })
            })
            .collect();
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
        let name = if round == 0 {
            "initial".to_owned()
        } else {
            format!("round-{round}")
        };
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
        self.write(number, "score", &name, |tick| {
            for (place, sample) in pool.samples.iter().enumerate() {
                let (difficulty, band) = of_negative
                    .get(&place)
                    .map(|(d, b)| (Some(*d), Some(*b)))
                    .unwrap_or_default();
                tick.add_score(&store::Score {
                    sample: sample.view.id,
                    model: &name,
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
            } else if needs.teacher {
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
