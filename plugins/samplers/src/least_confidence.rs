//! Uncertainty sampling by the likelier class.

use orchestrator_plugin::{Call, Config, Pool, Result, Select};

use crate::share_of_anchors;

/// Selects the pairs whose likelier class is least likely (Lewis & Gale 1994; in modAL `uncertainty_sampling`).
///
/// With two classes it orders as `margin` and `entropy` do, and selects the same pairs with the same settings; it is here
/// under its own name. Ties by order in the pool.
#[derive(Config)]
pub struct LeastConfidence {
    /// At most this many pairs of one anchor, so that a round does not go to a few anchors; 0 = no bound.
    #[config(default = 2)]
    per_anchor: usize,
}

impl Select for LeastConfidence {
    fn select(&self, pool: &Pool<'_>, budget: usize, _: &Call<'_>) -> Result<Vec<usize>> {
        let worth: Vec<f64> = pool
            .iter()
            .map(|pair| f64::from(pair.probability))
            .map(|relevant| 1.0 - relevant.max(1.0 - relevant))
            .collect();
        let rows = share_of_anchors::best_first(&worth);
        Ok(share_of_anchors::within(
            pool,
            rows,
            self.per_anchor,
            budget,
        ))
    }
}
