//! Uncertainty sampling by margin.

use orchestrator_plugin::{Call, Config, Pool, Result, Select};

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
        let mut rows: Vec<(f32, usize, i64)> = pool
            .iter()
            .enumerate()
            .map(|(row, pair)| ((2.0 * pair.probability - 1.0).abs(), row, pair.anchor))
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut of_anchor = std::collections::BTreeMap::new();
        rows.retain(|(_, _, anchor)| {
            let count = of_anchor.entry(*anchor).or_insert(0);
            *count += 1;
            self.per_anchor == 0 || *count <= self.per_anchor
        });
        Ok(rows
            .into_iter()
            .take(budget)
            .map(|(_, row, _)| row)
            .collect())
    }
}
