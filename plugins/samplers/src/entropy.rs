//! Uncertainty sampling by entropy.

use orchestrator_plugin::{Call, Config, Pool, Result, Select};

use crate::share_of_anchors;

/// Selects the pairs of the highest entropy of relevant and not relevant (Settles 2009; in modAL `entropy_sampling`).
///
/// With two classes it orders as `margin` and `least_confidence` do, and selects the same pairs with the same settings;
/// it is here under its own name. Ties by order in the pool.
#[derive(Config)]
pub struct Entropy {
    /// At most this many pairs of one anchor, so that a round does not go to a few anchors; 0 = no bound.
    #[config(default = 2)]
    per_anchor: usize,
}

/// Of a share and the rest, in nats.
pub(crate) fn entropy(share: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(share) + part(1.0 - share)
}

impl Select for Entropy {
    fn select(&self, pool: &Pool<'_>, budget: usize, _: &Call<'_>) -> Result<Vec<usize>> {
        let worth: Vec<f64> = pool
            .iter()
            .map(|pair| entropy(f64::from(pair.probability)))
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
