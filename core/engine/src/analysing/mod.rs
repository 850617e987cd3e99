//! What is found out about a run beside its metrics: each sample's influence on the validation share, once an epoch; and at the
//! end, which samples are suspect, how far positives and negatives are apart, and what the corpus is about. All of it is rows and
//! metrics of ticks: functions of plan, store and checkpoint that change nothing of the run.

mod apart;
mod influence;
mod logistic;
mod looking;
mod suspects;
mod topical;

use orchestrator_store::Suspect;

use crate::driver::{Driver, Standing};
use crate::error::Error;
use crate::making::Knowledge;
use crate::pool::Pool;
use crate::training::Model;

impl Driver<'_> {
    /// Looks back at the pool with the model that was chosen.
    pub(crate) fn tick_analyse(&mut self, model: &Model, standing: &Standing) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        self.stage("look back at the samples");
        let relevant = Knowledge::of(self.data, self.reading, &standing.told).relevant();
        let pool = Pool::load(&self.store, number - 1, self.data, &model.encoder, relevant)?;
        let topical = self.topical(&pool);
        let apart = self.apart(model, &pool)?;
        let suspects = self.suspects(model, &pool)?;
        self.write(number, "analyse", "", |tick| {
            if let Some(topical) = &topical {
                topical.write(tick)?;
            }
            for one in &suspects.rows {
                tick.add_suspect(&Suspect {
                    sample: one.sample,
                    place: one.place,
                    probability: one.probability,
                    evidence: &one.evidence,
                })?;
            }
            for (name, value) in suspects.metrics.iter().chain(&apart) {
                tick.add_metric(None, name, *value)?;
            }
            Ok(())
        })
    }
}
