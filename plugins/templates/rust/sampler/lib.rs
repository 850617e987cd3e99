//! A sampler: proposes samples for anchors.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Error, Result, Sampler, Sink, abi};

/// The last sentences of documents that share the most words with the anchor, as negatives.
///
/// This comment is what `orchestrator plugin show my_plugin` prints: the first sentence is the summary; then say how it
/// works and where the method is from.
#[derive(Config)]
pub struct MyPlugin {
    /// How many an anchor gets.
    #[config(default = 2, min = 1)]
    per_anchor: usize,
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

impl Sampler for MyPlugin {
    // What it cannot work without: an experiment that cannot lend it is refused before it runs.
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let (corpus, judgements) = (call.corpus()?, call.judgements()?);
        let last: Vec<(usize, &str, BTreeSet<String>)> = (0..corpus.len())
            .filter_map(|number| {
                let text = corpus.document(number).sentences.last()?.trim();
                (!text.is_empty()).then(|| (number, text, words(text)))
            })
            .collect();
        for (place, anchor) in anchors.iter().enumerate() {
            if place % 256 == 0 {
                call.progress(place as u64, anchors.numbers().len() as u64, "anchors");
                if call.is_cancelled() {
                    return Err(Error::cancelled());
                }
            }
            // Never a document that is known to be relevant.
            let known: BTreeSet<usize> = judgements
                .of(anchor.number)
                .filter(|one| one.relevant)
                .map(|one| one.document as usize)
                .collect();
            let of_anchor = words(anchor.text);
            let mut near: Vec<(usize, usize, &str)> = last
                .iter()
                .filter(|(number, ..)| !known.contains(number))
                .map(|(number, text, its)| (its.intersection(&of_anchor).count(), *number, *text))
                .collect();
            // Ties by number: the order is the same everywhere.
            near.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            near.truncate(self.per_anchor);
            for (shared, number, text) in &near {
                let mut candidate = Candidate::negative(anchor.number, text);
                candidate.document = Some(*number as i64);
                // A JSON object: kept as the sample's provenance.
                candidate.detail = format!("{{\"words_shared\": {shared}}}");
                sink.push(&candidate)?;
            }
            sink.count("asked", self.per_anchor);
            sink.count("found", near.len());
        }
        Ok(())
    }
}

// The id is reverse DNS: change `org.example` to a domain of yours.
orchestrator_plugin::export! { samplers: [MyPlugin as "org.example.my_plugin"] }
