//! A filter in Rust: headlines and boilerplate in capitals.

use orchestrator_plugin::{Call, Config, Filter, Sample, Verdict};

/// Drops texts whose letters are mostly capitals. Texts in scripts without capitals stay.
#[derive(Config)]
pub struct Shouting {
    /// The largest share of capitals among the letters that have a case.
    #[config(default = 0.5, min = 0, max = 1)]
    at_most: f64,
}

impl Filter for Shouting {
    fn judge(&self, sample: &Sample<'_>, _call: &Call<'_>) -> Verdict {
        let capitals = sample.text.chars().filter(|c| c.is_uppercase()).count();
        let small = sample.text.chars().filter(|c| c.is_lowercase()).count();
        let share = capitals as f64 / (capitals + small).max(1) as f64;
        // The score is kept whether the sample stays or goes: with it a bound can be chosen later.
        Verdict::keep_if(share <= self.at_most, || {
            format!("{:.0} % capitals", 100.0 * share)
        })
        .scored(share as f32)
    }
}
