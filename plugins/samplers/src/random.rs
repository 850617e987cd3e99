//! Documents drawn at random: the negatives every other kind is compared with.

use std::collections::BTreeSet;

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Result, Sampler, Sink, abi};

/// Random documents that are not known to be relevant, without replacement.
#[derive(Config)]
pub struct Random {
    /// How many an anchor gets.
    #[config(default = 5, min = 1)]
    per_anchor: usize,
}

impl Sampler for Random {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let (corpus, judgements) = (call.corpus()?, call.judgements()?);
        for anchor in anchors.iter() {
            let known: BTreeSet<usize> = judgements
                .of(anchor.number)
                .filter(|one| one.relevant)
                .map(|one| one.document as usize)
                .collect();
            let available = corpus.len() - known.len();
            let wanted = self.per_anchor.min(available);
            let mut random = call.random(&[anchor.number as u64]);
            // Sampling without replacement by rejection: few are wanted out of many; few are refused.
            let mut drawn = Vec::with_capacity(wanted);
            let mut taken = known;
            while drawn.len() < wanted {
                let document = random.below(corpus.len());
                if taken.insert(document) {
                    drawn.push(document);
                }
            }
            for document in drawn {
                let text = corpus.document(document).full_text();
                if text.trim().is_empty() {
                    sink.count("dropped: empty document", 1);
                    continue;
                }
                let mut candidate = Candidate::negative(anchor.number, &text);
                candidate.document = Some(document as i64);
                sink.push(&candidate)?;
            }
            sink.count("asked", self.per_anchor);
            sink.count("found", wanted);
        }
        Ok(())
    }
}
