//! The last step of every selector: the best rows within the budget, not too many of one anchor.

use std::collections::BTreeMap;

use orchestrator_plugin::Pool;

/// The first `budget` of the rows of which at most `per_anchor` are of one anchor; 0 = no bound.
pub(crate) fn within(
    pool: &Pool<'_>,
    rows: impl IntoIterator<Item = usize>,
    per_anchor: usize,
    budget: usize,
) -> Vec<usize> {
    let anchors: Vec<i64> = pool.iter().map(|pair| pair.anchor).collect();
    let mut of_anchor: BTreeMap<i64, usize> = BTreeMap::new();
    rows.into_iter()
        .filter(|&row| {
            let taken = of_anchor.entry(anchors[row]).or_insert(0);
            *taken += 1;
            per_anchor == 0 || *taken <= per_anchor
        })
        .take(budget)
        .collect()
}

/// Rows by what they are worth, the highest first, ties by their order in the pool.
pub(crate) fn best_first(worth: &[f64]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..worth.len()).collect();
    rows.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]).then(a.cmp(&b)));
    rows
}
