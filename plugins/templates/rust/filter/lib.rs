//! A filter: keeps or drops samples.
#![forbid(unsafe_code)]

use orchestrator_plugin::{Call, Config, Filter, Sample, Verdict};

/// Keeps texts of at least `min_words` words.
///
/// This comment is what `orchestrator plugin show my_plugin` prints: the first sentence is the summary; then say how it
/// works and where the method is from.
#[derive(Config)]
pub struct MyPlugin {
    /// The fewest words a text may have.
    #[config(default = 5, min = 1)]
    min_words: usize,
}

impl Filter for MyPlugin {
    fn judge(&self, sample: &Sample<'_>, _call: &Call<'_>) -> Verdict {
        let words = sample.text.split_whitespace().count();
        // The reason is asked for only if the sample goes; the score is kept with the verdict either way.
        Verdict::keep_if(words >= self.min_words, || {
            format!("{words} words, fewer than {}", self.min_words)
        })
        .scored(words as f32)
    }
}

// The id is reverse DNS: change `org.example` to a domain of yours.
orchestrator_plugin::export! { filters: [MyPlugin as "org.example.my_plugin"] }
