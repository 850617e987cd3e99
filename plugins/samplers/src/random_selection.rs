//! Selection by chance: what every other selector is compared with.

use orchestrator_plugin::{Call, Config, Pool, Result, Select};

use crate::draw::Draw;
use crate::share_of_anchors;

/// Selects pairs at random, by the seed.
#[derive(Config)]
pub struct RandomSelection {
    /// At most this many pairs of one anchor, so that a round does not go to a few anchors; 0 = no bound.
    #[config(default = 2)]
    per_anchor: usize,
}

impl Select for RandomSelection {
    fn select(&self, pool: &Pool<'_>, budget: usize, call: &Call<'_>) -> Result<Vec<usize>> {
        let rows = Draw::of(call.random(&[]), pool.iter().len());
        Ok(share_of_anchors::within(
            pool,
            rows,
            self.per_anchor,
            budget,
        ))
    }
}
