//! A selector: chooses from unjudged pairs those that a person is asked about.
#![forbid(unsafe_code)]

use orchestrator_plugin::{Call, Config, Pool, Result, Select};

/// Selects the pairs whose probability of being relevant is nearest to `target`.
///
/// This comment is what `orchestrator plugin show my_plugin` prints: the first sentence is the summary; then say how it
/// works and where the method is from.
#[derive(Config)]
pub struct MyPlugin {
    /// The probability looked for: 0.5 is where the model is least sure.
    #[config(default = 0.5, min = 0, max = 1)]
    target: f32,
}

impl Select for MyPlugin {
    fn select(&self, pool: &Pool<'_>, budget: usize, _call: &Call<'_>) -> Result<Vec<usize>> {
        let mut rows: Vec<(f32, usize)> = pool
            .iter()
            .enumerate()
            .map(|(row, pair)| ((pair.probability - self.target).abs(), row))
            .collect();
        // Ties by row: the order is the same everywhere.
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        Ok(rows.into_iter().take(budget).map(|(_, row)| row).collect())
    }
}

// The id is reverse DNS: change `org.example` to a domain of yours.
orchestrator_plugin::export! { selectors: [MyPlugin as "org.example.my_plugin"] }
