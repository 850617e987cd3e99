//! Documents drawn at random: the negatives every other kind is compared with.

use std::collections::BTreeSet;

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Error, Result, Sampler, Sink, abi};

use crate::known_positives::{Admission, Documents};

/// Random documents that are not known to be relevant, without replacement. Label 0, weight 1.
#[derive(Config)]
pub struct Random {
    /// How many an anchor gets.
    #[config(default = 5, min = 1)]
    per_anchor: usize,
}

impl Sampler for Random {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let judgements = call.judgements()?;
        let documents = Documents::of(call.corpus()?);
        for anchor in anchors.iter() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let mut admission = Admission::of(anchor.number, &judgements, &documents);
            let mut random = call.random(&[anchor.number as u64]);
            // By rejection: few are wanted out of many, and few are refused.
            let mut drawn = BTreeSet::new();
            let mut taken = 0;
            while taken < self.per_anchor && drawn.len() < documents.len() {
                let document = random.below(documents.len());
                if !drawn.insert(document) {
                    continue;
                }
                let document = document as i64;
                if let Err(why) = admission.document(document) {
                    sink.count(why, 1);
                    continue;
                }
                let text = documents.text(document);
                let mut candidate = Candidate::negative(anchor.number, &text);
                candidate.document = Some(document);
                sink.push(&candidate)?;
                taken += 1;
            }
            sink.count("asked", self.per_anchor);
            sink.count("found", taken);
        }
        Ok(())
    }
}
