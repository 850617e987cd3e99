//! An augmenter in Rust: shorter texts.

use orchestrator_plugin::{Augmenter, Call, Candidate, Config, Error, Result, Role, Samples, Sink};
use serde_json::json;

/// The beginning of a text, with the role of the whole: teaches that a part says what the whole says. The length is drawn
/// between half of `words` and `words`.
#[derive(Config)]
pub struct FirstWords {
    /// The most words that are left.
    #[config(default = 20, min = 2)]
    words: usize,
}

impl Augmenter for FirstWords {
    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        for sample in samples.iter() {
            if sample.row % 4096 == 0 && call.is_cancelled() {
                return Err(Error::cancelled());
            }
            // One generator a sample, salted with its row: what happens to others changes nothing for this one.
            let mut random = call.random(&[sample.row as u64]);
            let shortest = self.words.div_ceil(2);
            let wanted = shortest + random.below(self.words - shortest + 1);
            let words: Vec<&str> = sample.text.split_whitespace().collect();
            if words.len() <= wanted {
                sink.count("dropped: short already", 1);
                continue;
            }
            let text = words[..wanted].join(" ");
            let mut candidate = match sample.role {
                Role::Positive => Candidate::positive(sample.anchor, &text),
                Role::Negative => Candidate::negative(sample.anchor, &text),
            };
            candidate.label = sample.label;
            candidate.document = sample.document;
            candidate.parent = Some(sample.row);
            // Any JSON object: it is kept with the sample and shown in the report.
            candidate.detail = json!({ "words": wanted, "of": words.len() }).to_string();
            sink.push(&candidate)?;
        }
        Ok(())
    }
}
