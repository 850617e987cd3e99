//! Training: stages, epochs, blocks of steps.

use orchestrator_config::{AfterWarmup, ProposeStep, Refresh, Stage};
use orchestrator_plugin_host::{Kind, WeightedLoss};
use orchestrator_store as store;
use orchestrator_train::{Fall, Rates};

use crate::batches::{self, Epoch};
use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::mining::Occasion;
use crate::pool::Pool;
use crate::progress::Event;
use crate::seed::seed;
use crate::training::{self, Model, Recipe};

impl Driver<'_> {
    pub(crate) fn losses(&self) -> Result<Vec<WeightedLoss>, Error> {
        self.experiment
            .train
            .losses
            .iter()
            .map(|loss| {
                Ok(WeightedLoss {
                    instance: self.create(Kind::Loss, &loss.step)?,
                    weight: loss.weight,
                })
            })
            .collect()
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
        // How many steps an epoch has depends on its band: the schedule of rates needs them all.
        let mut planned = Vec::new();
        for stage in stages {
            for _ in 0..stage.epochs {
                let number = standing.epochs + planned.len();
                let negatives_per_positive = train.negatives_per_positive.at(number);
                let epoch = Epoch {
                    number,
                    difficulty: stage.difficulty,
                    negatives_per_positive,
                };
                planned.push((stage, epoch));
            }
        }
        // A step is of as many batches as are accumulated.
        let steps_of = |pool: &Pool, epoch: Epoch| {
            let (batches, shortfall) = batches::epoch(pool, experiment.seed, train.batch, epoch);
            let steps = batches.chunks(train.accumulate).map(<[_]>::to_vec);
            (steps.collect::<Vec<_>>(), shortfall)
        };
        let total = planned
            .iter()
            .map(|(_, epoch)| steps_of(&pool, *epoch).0.len() as u64)
            .sum();
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
        let mut done = 0u64;
        for (stage, epoch) in planned {
            let (mut steps, mut shortfall) = steps_of(&pool, epoch);
            self.stage(format!(
                "train: epoch {}, {} negatives",
                epoch.number + 1,
                stage.difficulty.name()
            ));
            let mut place = 0;
            while place < steps.len() {
                let length = self
                    .steps_to_refresh(standing.steps)
                    .min(train.checkpoint_every)
                    .min(steps.len() - place);
                let block = &steps[place..place + length];
                self.tick_steps(model, &pool, block, &rates, done, (epoch, shortfall))?;
                place += length;
                done += length as u64;
                standing.steps += length as u64;
                let due = self.due_after_step(standing.steps);
                if !due.is_empty() {
                    pool = self.refresh(model, standing, &due)?;
                    // The order of the turns is the seed's: what follows is dealt from the new pool.
                    (steps, shortfall) = steps_of(&pool, epoch);
                }
            }
            standing.epochs += 1;
            let due = self.due_after_epoch(standing.epochs);
            if !due.is_empty() {
                pool = self.refresh(model, standing, &due)?;
            }
            if self.tick_epoch(model, &pool, standing)? {
                break;
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
    #[allow(clippy::too_many_arguments)] // Each is a different thing; a struct would be made once, here.
    pub(crate) fn tick_steps(
        &mut self,
        model: &mut Model,
        pool: &Pool,
        block: &[Vec<batches::StepSamples>],
        rates: &Rates,
        done: u64,
        (epoch, shortfall): (Epoch, usize),
    ) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        // Made anew for each block: whatever state a loss keeps cannot cross a tick, so that resuming is exact.
        let losses = self.losses()?;
        let mut records = Vec::with_capacity(block.len());
        for (offset, batches) in (0u64..).zip(block) {
            self.stop_if_asked()?;
            let rate = rates.rate(done + offset);
            let step = model.step;
            let experiment_seed = self.experiment.seed;
            let seed_of = |name: &str, batch: usize| {
                let numbers = [u64::from(number), step, batch as u64];
                // The first batch's is what it is without others.
                seed(experiment_seed, name, &numbers[..2 + batch.min(1)])
            };
            let recipe = Recipe {
                losses: &losses,
                matryoshka: &self.experiment.train.matryoshka,
                mini_batch: self.experiment.train.mini_batch,
                clip: self.experiment.train.clip,
            };
            let record = training::step(model, pool, batches, &recipe, rate, seed_of)?;
            self.show(Event::Advance {
                done: done + offset + 1,
                total: rates.total,
            });
            records.push((step, rate, record));
        }
        let (file, hash) = self.save_checkpoint(model, number)?;
        let detail = format!("epoch {}, {}", epoch.number + 1, epoch.difficulty.name());
        self.write(number, "train", &detail, |tick| {
            tick.add_metric(None, "ratio", epoch.negatives_per_positive)?;
            tick.add_metric(None, "negatives_short_of_ratio", shortfall as f64)?;
            for (step, rate, record) in &records {
                tick.add_metric(Some(*step), "learning_rate", *rate)?;
                tick.add_metric(Some(*step), "loss", record.loss)?;
                if let Some(norm) = record.norm {
                    tick.add_metric(Some(*step), "gradient_norm", norm)?;
                }
                for (name, value) in &record.parts {
                    tick.add_metric(Some(*step), &format!("loss/{name}"), *value)?;
                }
                for (sample, loss) in &record.uses {
                    tick.add_use(&store::Use {
                        step: *step,
                        sample: *sample,
                        epoch: epoch.number,
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
