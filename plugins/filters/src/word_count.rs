//! Texts too short to mean anything.

use orchestrator_plugin::{Call, Config, Filter, Sample, Verdict};

/// Keeps texts of at least `min_words` words. A word is a run without spaces that holds a letter or a digit.
#[derive(Config)]
pub struct WordCount {
    /// The fewest words a text may have.
    #[config(default = 10, min = 1)]
    min_words: usize,
}

impl Filter for WordCount {
    fn judge(&self, sample: &Sample<'_>, _: &Call<'_>) -> Verdict {
        let words = sample
            .text
            .split_whitespace()
            .filter(|word| word.chars().any(char::is_alphanumeric))
            .count();
        Verdict::keep_if(words >= self.min_words, || {
            format!("{words} words, fewer than {}", self.min_words)
        })
        .scored(words as f32)
    }
}
