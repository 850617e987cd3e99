//! A sampler in Rust: what a document is called, as a positive.

use std::collections::BTreeSet;

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Error, Result, Sampler, Sink, abi};

/// The titles of an anchor's relevant documents, as positives: short, and to the point.
#[derive(Config)]
pub struct TitlePositive {
    /// Weight of a title beside other positives.
    #[config(default = 0.5, above = 0)]
    weight: f32,
}

impl Sampler for TitlePositive {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        // Services are asked for once a call. What they lend is borrowed: nothing is copied.
        let (corpus, judgements) = (call.corpus()?, call.judgements()?);
        for (place, anchor) in anchors.iter().enumerate() {
            if place % 1024 == 0 && call.is_cancelled() {
                return Err(Error::cancelled());
            }
            // A document is judged once a rationale: a set, so that its title comes once.
            let relevant: BTreeSet<i64> = judgements
                .of(anchor.number)
                .filter(|one| one.relevant)
                .map(|one| one.document)
                .collect();
            for document in relevant {
                let title = corpus.document(document as usize).title;
                if title.trim().is_empty() {
                    // Counts are shown in the report: nothing is lost in silence.
                    sink.count("dropped: no title", 1);
                    continue;
                }
                let mut candidate = Candidate::positive(anchor.number, title);
                candidate.document = Some(document);
                candidate.weight = self.weight;
                sink.push(&candidate)?;
                sink.count("found", 1);
            }
        }
        Ok(())
    }
}
