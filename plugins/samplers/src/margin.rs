//! Uncertainty sampling by margin.

use orchestrator_plugin::{Call, Config, Pool, Result, Select};

use crate::share_of_anchors;

/// Selects the pairs the model is least sure of: the smallest margin between the probabilities of relevant and not
/// relevant (Scheffer et al. 2001; in small-text `BreakingTies`). Ties by order in the pool.
#[derive(Config)]
pub struct Margin {
    /// At most this many pairs of one anchor, so that a round does not go to a few anchors; 0 = no bound.
    #[config(default = 2)]
    per_anchor: usize,
}

impl Select for Margin {
    fn select(&self, pool: &Pool<'_>, budget: usize, _: &Call<'_>) -> Result<Vec<usize>> {
        let worth: Vec<f64> = pool
            .iter()
            .map(|pair| -f64::from((2.0 * pair.probability - 1.0).abs()))
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
