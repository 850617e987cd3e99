//! An augmenter: makes samples out of samples.
#![forbid(unsafe_code)]

use orchestrator_plugin::{Augmenter, Call, Candidate, Config, Error, Result, Samples, Sink};

/// Drops words at random; what is left is a negative that looks like the text it was made from.
///
/// This comment is what `orchestrator plugin show my_plugin` prints: the first sentence is the summary; then say how it
/// works and where the method is from.
#[derive(Config)]
pub struct MyPlugin {
    /// Share of the words dropped.
    #[config(default = 0.3, min = 0, max = 1)]
    rate: f64,
}

impl Augmenter for MyPlugin {
    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        for sample in samples.iter() {
            if sample.row % 4096 == 0 && call.is_cancelled() {
                return Err(Error::cancelled());
            }
            // All randomness is from the call, and from what tells this sample apart: never from a clock.
            let mut random = call.random(&[sample.row as u64]);
            let all: Vec<&str> = sample.text.split_whitespace().collect();
            let left: Vec<&str> = all
                .iter()
                .copied()
                .filter(|_| random.unit() >= self.rate)
                .collect();
            if left.is_empty() || left.len() == all.len() {
                sink.count("dropped: nothing changed or nothing left", 1);
                continue;
            }
            let text = left.join(" ");
            let mut candidate = Candidate::negative(sample.anchor, &text);
            candidate.document = sample.document;
            candidate.parent = Some(sample.row);
            sink.push(&candidate)?;
        }
        Ok(())
    }
}

// The id is reverse DNS: change `org.example` to a domain of yours.
orchestrator_plugin::export! { augmenters: [MyPlugin as "org.example.my_plugin"] }
