//! Sentences beside the evidence.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin::{
    Anchors, Call, Candidate, Config, Document, Error, Judgement, Result, Sampler, Sink, abi,
};
use serde_json::json;

use crate::draw::Draw;
use crate::known_positives::{Admission, Documents};

/// Sentences of a judged document that are no evidence: what the right paper says of something else.
///
/// Takes passages of `window` sentences in a row from documents whose evidence for the anchor was marked; a document
/// that was judged as a whole has no sentence of which one could say that it is no evidence. No passage holds a sentence
/// of any rationale set of the anchor, or one with the same words. Drawn by the seed over all documents of the anchor,
/// without overlap. Label 0, weight 1; the sample names its document, which is relevant, and its sentences.
#[derive(Config)]
pub struct SameDocument {
    /// How many an anchor gets at most.
    #[config(default = 3, min = 1)]
    per_anchor: usize,
    /// How many sentences in a row make a passage.
    #[config(default = 1, min = 1)]
    window: usize,
    /// How many sentences before and after a sentence of evidence are left out too: they often go on about it.
    #[config(default = 1)]
    avoid_neighbours: usize,
    /// The fewest words a passage may have.
    #[config(default = 5, min = 1)]
    min_words: usize,
}

/// A passage: its document, its first sentence.
type Place = (i64, usize);

impl SameDocument {
    /// The judged documents whose evidence is marked, with the sentences that may not be taken.
    fn marked<'j>(
        &self,
        judgements: impl Iterator<Item = Judgement<'j>>,
    ) -> BTreeMap<i64, Option<BTreeSet<usize>>> {
        let mut of_document: BTreeMap<i64, Option<BTreeSet<usize>>> = BTreeMap::new();
        for judgement in judgements {
            let avoided = of_document
                .entry(judgement.document)
                .or_insert_with(|| Some(BTreeSet::new()));
            if judgement.sentences.is_empty() {
                *avoided = None;
            } else if let Some(avoided) = avoided {
                for &number in judgement.sentences {
                    let number = number as usize;
                    avoided.extend(
                        number.saturating_sub(self.avoid_neighbours)
                            ..=number.saturating_add(self.avoid_neighbours),
                    );
                }
            }
        }
        of_document
    }

    /// The first sentences of the passages a document may give.
    fn firsts(&self, document: &Document<'_>, avoided: &BTreeSet<usize>) -> Vec<usize> {
        (0..document.sentences.len())
            .filter(|&first| {
                first + self.window <= document.sentences.len()
                    && avoided.range(first..first + self.window).next().is_none()
            })
            .collect()
    }
}

impl Sampler for SameDocument {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let judgements = call.judgements()?;
        let documents = Documents::of(call.corpus()?);
        for anchor in anchors.iter() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let mut places: Vec<Place> = Vec::new();
            for (number, avoided) in self.marked(judgements.of(anchor.number)) {
                match avoided {
                    Some(avoided) => {
                        let firsts = self.firsts(&documents.get(number), &avoided);
                        places.extend(firsts.into_iter().map(|first| (number, first)));
                    }
                    None => sink.count("passed over: document judged as a whole", 1),
                }
            }
            let mut admission = Admission::of(anchor.number, &judgements, &documents);
            let random = call.random(&[anchor.number as u64]);
            let mut taken: BTreeSet<Place> = BTreeSet::new();
            for (number, first) in Draw::of(random, places.len()).map(|one| places[one]) {
                if taken.len() == self.per_anchor {
                    break;
                }
                let near = first.saturating_sub(self.window - 1)..first + self.window;
                if near.clone().any(|other| taken.contains(&(number, other))) {
                    continue;
                }
                let document = documents.get(number);
                let sentences: Vec<&str> = document.sentences[first..first + self.window]
                    .iter()
                    .map(|sentence| sentence.trim())
                    .collect();
                let text = sentences.join(" ");
                if text.split_whitespace().count() < self.min_words {
                    sink.count("dropped: fewer than min_words", 1);
                    continue;
                }
                let admitted = match sentences.iter().any(|one| admission.says_known(one)) {
                    true => Err("dropped: same text as a known positive"),
                    false => admission.text(&text),
                };
                if let Err(why) = admitted {
                    sink.count(why, 1);
                    continue;
                }
                let numbers: Vec<usize> = (first..first + self.window).collect();
                let mut candidate = Candidate::negative(anchor.number, &text);
                candidate.document = Some(number);
                candidate.detail = json!({ "sentences": numbers }).to_string();
                sink.push(&candidate)?;
                taken.insert((number, first));
            }
            sink.count("asked", self.per_anchor);
            sink.count("found", taken.len());
        }
        Ok(())
    }
}
