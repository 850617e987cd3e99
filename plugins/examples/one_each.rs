//! A selector in Rust: everybody is asked about once before anybody is asked about twice.

use std::collections::BTreeMap;

use orchestrator_plugin::{Call, Config, Pool, Result, Select};

/// Selects in turns: each anchor's likeliest pair, then each anchor's second, and so on; within a turn the likeliest first.
#[derive(Config)]
pub struct OneEach {
    /// Pairs less likely than this to be relevant are not asked about.
    #[config(default = 0.0, min = 0, max = 1)]
    at_least: f32,
}

impl Select for OneEach {
    fn select(&self, pool: &Pool<'_>, budget: usize, _call: &Call<'_>) -> Result<Vec<usize>> {
        let mut likeliest: Vec<(f32, usize, i64)> = pool
            .iter()
            .enumerate()
            .filter(|(_, pair)| pair.probability >= self.at_least)
            .map(|(row, pair)| (pair.probability, row, pair.anchor))
            .collect();
        // Ties by row, so that the order is the same everywhere.
        likeliest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        // BTreeMap, not HashMap: never let an order that changes from run to run near a result.
        let mut turns: BTreeMap<i64, usize> = BTreeMap::new();
        let mut rows: Vec<(usize, usize)> = Vec::new();
        for (_, row, anchor) in likeliest {
            let turn = turns.entry(anchor).or_default();
            rows.push((*turn, row));
            *turn += 1;
        }
        // Stable: within a turn the order from above stays.
        rows.sort_by_key(|(turn, _)| *turn);
        Ok(rows.into_iter().take(budget).map(|(_, row)| row).collect())
    }
}
