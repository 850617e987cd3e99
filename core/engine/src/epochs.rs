//! Training: stages, epochs, blocks of steps.

use orchestrator_config::{AfterWarmup, Expression, ProposeStep, Refresh, Stage};
use orchestrator_plugin_host::{Kind, WeightedLoss};
use orchestrator_store as store;
use orchestrator_train::{Fall, Rates};

use crate::batches::{self, Dealt, Epoch};
use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::mining::Occasion;
use crate::pool::Pool;
use crate::progress::Event;
use crate::seed::seed;
use crate::training::{self, Model, Recipe};

impl Driver<'_> {
    /// The losses of a stage: those of the experiment, or those it names, with its weights.
    pub(crate) fn losses(&self, stage: &Stage) -> Result<Vec<WeightedLoss>, Error> {
        let mut losses = Vec::new();
        for loss in &self.experiment.train.losses {
            let of_stage = |named: &Vec<(String, f64)>| {
                let found = named.iter().find(|(name, _)| *name == loss.step.name);
                found.map(|(_, weight)| *weight)
            };
            let weight = match &stage.losses {
                None => Some(loss.weight),
                Some(named) => of_stage(named),
            };
            if let Some(weight) = weight {
                let instance = self.create(Kind::Loss, &loss.step)?;
                losses.push(WeightedLoss { instance, weight });
            }
        }
        Ok(losses)
    }

    /// How many steps each stage is to have, with the pool as it is: what rates and pacing go by.
    fn planned(&self, pool: &Pool, stages: &[Stage], standing: &Standing) -> Vec<u64> {
        let mut number = standing.epochs;
        stages
            .iter()
            .enumerate()
            .map(|(stage_number, stage)| match (stage.steps, stage.epochs) {
                (Some(steps), _) => steps as u64,
                (None, epochs) => (0..epochs.unwrap_or(1))
                    .map(|_| {
                        let epoch = self.epoch(stage, stage_number, number, (0, 0), standing);
                        number += 1;
                        batches::epoch(pool, self.experiment.seed, &epoch).len() as u64
                    })
                    .sum(),
            })
            .collect()
    }

    fn epoch<'s>(
        &'s self,
        stage: &'s Stage,
        stage_number: usize,
        number: usize,
        of_stage: (u64, u64),
        standing: &Standing,
    ) -> Epoch<'s> {
        let train = &self.experiment.train;
        Epoch {
            number,
            stage,
            stage_number,
            ratio: ratio_of(stage, &train.negatives_per_positive),
            ratio_times: self.adapted.ratio_times,
            wider: self.adapted.wider,
            batch: train.batch,
            accumulate: train.accumulate,
            first_step: standing.steps,
            of_stage,
        }
    }

    /// Goes through the stages; after each epoch, the validation share.
    pub(crate) fn train(
        &mut self,
        model: &mut Model,
        mut pool: Pool,
        stages: &[Stage],
        standing: &mut Standing,
    ) -> Result<(), Error> {
        let experiment = self.experiment;
        let train = &experiment.train;
        let planned = self.planned(&pool, stages, standing);
        let total = planned.iter().sum();
        let rates = Rates {
            peak: train.learning_rate,
            warmup: (total as f64 * train.warmup) as u64,
            total,
            fall: match train.after_warmup {
                AfterWarmup::Linear => Fall::Linear,
                AfterWarmup::Cosine => Fall::Cosine,
                AfterWarmup::Constant => Fall::Constant,
            },
        };
        standing.epochs_since_best = 0;
        if let (0, Some(stage)) = (standing.epochs, stages.first()) {
            self.tick_first_influence(model, &pool, stage)?;
        }
        let mut done = 0u64;
        'stages: for (stage_number, (stage, of_stage)) in stages.iter().zip(planned).enumerate() {
            let mut epochs = 0;
            let mut in_stage = 0u64;
            let goes_on = |epochs: usize, in_stage: u64| match (stage.epochs, stage.steps) {
                (Some(all), _) => epochs < all,
                (None, all) => in_stage < all.unwrap_or(0) as u64,
            };
            while goes_on(epochs, in_stage) {
                epochs += 1;
                // The pool may change in the middle of an epoch; where it began does not.
                let first_step = standing.steps;
                let began = in_stage;
                let first_tick = self.next;
                let deal = |driver: &Self, pool: &Pool, standing: &Standing| {
                    let of_stage = (began, of_stage);
                    let mut epoch =
                        driver.epoch(stage, stage_number, standing.epochs, of_stage, standing);
                    epoch.first_step = first_step;
                    let mut steps = batches::epoch(pool, experiment.seed, &epoch);
                    if let Some(most) = stage.steps {
                        steps.truncate(most - began as usize);
                    }
                    steps
                };
                let mut steps = deal(self, &pool, standing);
                if steps.is_empty() {
                    break;
                }
                self.stage(format!(
                    "train: epoch {}, {} negatives",
                    standing.epochs + 1,
                    stage.name()
                ));
                let mut place = 0;
                while place < steps.len() {
                    let length = self
                        .steps_to_refresh(standing.steps)
                        .min(train.checkpoint_every)
                        .min(steps.len() - place);
                    let block = Block {
                        steps: &steps[place..place + length],
                        stage,
                        epoch: standing.epochs,
                        rates: &rates,
                        done,
                    };
                    self.tick_steps(model, &pool, &block)?;
                    place += length;
                    done += length as u64;
                    in_stage += length as u64;
                    standing.steps += length as u64;
                    let due = self.due_after_step(standing.steps);
                    if !due.is_empty() {
                        pool = self.refresh(model, standing, &due)?;
                        // The order of the turns is the seed's: what follows is dealt from the new pool.
                        steps = deal(self, &pool, standing);
                    }
                }
                standing.epochs += 1;
                let due = self.due_after_epoch(standing.epochs);
                if !due.is_empty() {
                    pool = self.refresh(model, standing, &due)?;
                }
                let ended = Ended {
                    stage,
                    stage_number,
                    first_tick,
                    first_step,
                };
                if self.tick_epoch(model, &pool, standing, &ended)? {
                    break 'stages;
                }
            }
        }
        Ok(())
    }

    /// Steps until a sampler is due; no fewer than one.
    fn steps_to_refresh(&self, steps: u64) -> usize {
        let of = |propose: &ProposeStep| match propose.refresh {
            Some(Refresh::Steps(every)) => every - (steps % every as u64) as usize,
            _ => usize::MAX,
        };
        let propose = &self.experiment.samples.propose;
        propose.iter().map(of).min().unwrap_or(usize::MAX)
    }

    /// Places of the samplers that are asked again after so many steps.
    fn due_after_step(&self, steps: u64) -> Vec<usize> {
        self.due(|refresh| matches!(refresh, Refresh::Steps(every) if steps.is_multiple_of(every as u64)))
    }

    /// Places of the samplers that are asked again after so many epochs.
    fn due_after_epoch(&self, epochs: usize) -> Vec<usize> {
        self.due(
            |refresh| matches!(refresh, Refresh::Epochs(every) if epochs.is_multiple_of(every)),
        )
    }

    fn due(&self, is_due: impl Fn(Refresh) -> bool) -> Vec<usize> {
        let propose = self.experiment.samples.propose.iter().enumerate();
        propose
            .filter(|(_, one)| one.refresh.is_some_and(&is_due))
            .map(|(place, _)| place)
            .collect()
    }

    /// Asks the samplers that are due with the model as it is now.
    fn refresh(
        &mut self,
        model: &Model,
        standing: &Standing,
        due: &[usize],
    ) -> Result<Pool, Error> {
        let steps = standing.steps;
        self.mine(model, standing, Occasion::Refresh { due, steps })
    }

    /// A block of steps and the checkpoint after it.
    fn tick_steps(
        &mut self,
        model: &mut Model,
        pool: &Pool,
        block: &Block<'_>,
    ) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let train = &self.experiment.train;
        // Made anew for each block: whatever state a loss keeps cannot cross a tick, so that resuming is exact.
        let losses = self.losses(block.stage)?;
        let of_stage = block.stage.learning_rate.unwrap_or(train.learning_rate);
        let mut records = Vec::with_capacity(block.steps.len());
        for (offset, dealt) in (0u64..).zip(block.steps) {
            self.stop_if_asked()?;
            let rate = block.rates.rate(block.done + offset);
            let rate = rate * (of_stage / train.learning_rate);
            let step = model.step;
            let experiment_seed = self.experiment.seed;
            let seed_of = |name: &str, batch: usize| {
                let numbers = [u64::from(number), step, batch as u64];
                // The first batch's is what it is without others.
                seed(experiment_seed, name, &numbers[..2 + batch.min(1)])
            };
            let recipe = Recipe {
                losses: &losses,
                matryoshka: &train.matryoshka,
                mini_batch: train.mini_batch,
                clip: train.clip,
            };
            let record = training::step(model, pool, &dealt.batches, &recipe, rate, seed_of)?;
            self.show(Event::Advance {
                done: block.done + offset + 1,
                total: block.rates.total,
            });
            records.push((step, rate, record));
        }
        let (file, hash) = self.save_checkpoint(model, number)?;
        let detail = format!("epoch {}, {}", block.epoch + 1, block.stage.name());
        self.write(number, "train", &detail, |tick| {
            if let Some(first) = block.steps.first() {
                tick.add_metric(None, "ratio", first.ratio)?;
            }
            for (name, value) in block.dealt() {
                tick.add_metric(None, &name, value as f64)?;
            }
            for (step, rate, record) in &records {
                tick.add_metric(Some(*step), "learning_rate", *rate)?;
                tick.add_metric(Some(*step), "loss", record.loss)?;
                if let Some(norm) = record.norm {
                    tick.add_metric(Some(*step), "gradient_norm", norm)?;
                }
                for (name, value) in &record.parts {
                    tick.add_metric(Some(*step), &format!("loss/{name}"), *value)?;
                }
                for (name, value) in record.reported() {
                    tick.add_metric(Some(*step), &format!("plugin/{name}"), value)?;
                }
                for (sample, loss) in &record.uses {
                    tick.add_use(&store::Use {
                        step: *step,
                        sample: *sample,
                        epoch: block.epoch,
                        loss: *loss,
                    })?;
                }
            }
            Ok(tick.add_checkpoint(&file, &hash)?)
        })?;
        self.drop_checkpoints_before(number);
        Ok(())
    }
}

/// An epoch that is over.
pub(crate) struct Ended<'s> {
    pub stage: &'s Stage,
    pub stage_number: usize,
    /// Its first tick, and its first step over the whole run.
    pub first_tick: u32,
    pub first_step: u64,
}

/// Steps between two checkpoints.
struct Block<'b> {
    steps: &'b [Dealt],
    stage: &'b Stage,
    /// From 0.
    epoch: usize,
    rates: &'b Rates,
    /// Steps done in this stretch of training.
    done: u64,
}

impl Block<'_> {
    /// What the ratio asked for, and what of it the pool did not have: in all, and by band.
    fn dealt(&self) -> Vec<(String, usize)> {
        let asked = self.steps.iter().map(|step| step.asked).sum();
        let mut short = std::collections::BTreeMap::new();
        for (band, missing) in self.steps.iter().flat_map(|step| &step.short) {
            *short.entry(*band).or_insert(0) += missing;
        }
        let mut counts = vec![
            ("negatives_asked".to_owned(), asked),
            ("negatives_short_of_ratio".to_owned(), short.values().sum()),
        ];
        let by_band = short.into_iter();
        counts.extend(by_band.map(|(band, missing)| (format!("negatives_short/{band}"), missing)));
        counts
    }
}

/// The ratio of a stage.
pub(crate) fn ratio_of<'e>(stage: &'e Stage, otherwise: &'e Expression) -> &'e Expression {
    stage.negatives_per_positive.as_ref().unwrap_or(otherwise)
}
