//! Training: stages, epochs, blocks of steps.

use orchestrator_config::Stage;
use orchestrator_plugin_host::{Context, Kind, Services};
use orchestrator_store as store;
use orchestrator_train::LinearSchedule;

use crate::batches::{self, Epoch};
use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::pool::Pool;
use crate::progress::Event;
use crate::seed::seed;
use crate::training::{self, Model, WeightedLoss};

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
        pool: &Pool,
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
        let steps_of = |epoch: Epoch| batches::epoch(pool, experiment.seed, train.batch, epoch);
        let total = planned
            .iter()
            .map(|(_, epoch)| steps_of(*epoch).0.len() as u64)
            .sum();
        let schedule = LinearSchedule {
            peak: train.learning_rate,
            warmup: (total as f64 * train.warmup) as u64,
            total,
        };
        let mut done = 0u64;
        for (stage, epoch) in planned {
            let (steps, shortfall) = steps_of(epoch);
            self.stage(format!(
                "train: epoch {}, {} negatives",
                epoch.number + 1,
                stage.difficulty.name()
            ));
            for block in steps.chunks(train.checkpoint_every) {
                self.tick_steps(model, pool, block, &schedule, done, (epoch, shortfall))?;
                done += block.len() as u64;
            }
            standing.epochs += 1;
            self.tick_epoch(model, standing)?;
        }
        Ok(())
    }

    /// A block of steps and the checkpoint after it.
    #[allow(clippy::too_many_arguments)] // Each is a different thing; a struct would be made once, here.
    pub(crate) fn tick_steps(
        &mut self,
        model: &mut Model,
        pool: &Pool,
        block: &[batches::StepSamples],
        schedule: &LinearSchedule,
        done: u64,
        (epoch, shortfall): (Epoch, usize),
    ) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        // Made anew for each block: whatever state a loss keeps cannot cross a tick, so that resuming is exact.
        let losses = self.losses()?;
        let mut records = Vec::with_capacity(block.len());
        for (offset, samples) in (0u64..).zip(block) {
            self.stop_if_asked()?;
            let rate = schedule.rate(done + offset);
            let step = model.step;
            let experiment_seed = self.experiment.seed;
            let record = training::step(model, pool, samples, &losses, rate, |name| Context {
                step,
                seed: seed(experiment_seed, name, &[u64::from(number), step]),
                services: Services::default(),
            })?;
            self.show(Event::Advance {
                done: done + offset + 1,
                total: schedule.total,
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
