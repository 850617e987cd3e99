//! What annotators said: evidence becomes positives and negatives.

use std::collections::BTreeSet;

use orchestrator_plugin::{
    Anchors, Call, Candidate, Config, Corpus, Judgement, Result, Sampler, Sink, abi,
};
use serde_json::json;

const SERVICES: &[&str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

/// Positives out of the judgements: every document that is relevant under the reading the experiment trains, graded.
#[derive(Config)]
pub struct ExplicitPositive {
    /// What becomes the text: `rationale`, the evidence sentences of one rationale set joined in order (the whole
    /// abstract where there are none); `abstract`, title and abstract; `both`, a sample of each.
    #[config(default = "rationale", one_of = ["rationale", "abstract", "both"])]
    join: String,
}

/// Negatives out of the judgements: contradicting and neutral documents, where the reading the experiment trains does
/// not call them relevant.
#[derive(Config)]
pub struct ExplicitNegative {
    /// What becomes the text: `rationale`, the evidence sentences of one rationale set joined in order (the whole
    /// abstract where there are none); `abstract`, title and abstract; `both`, a sample of each.
    #[config(default = "rationale", one_of = ["rationale", "abstract", "both"])]
    join: String,
}

/// The texts a judgement gives, with the sentences they are made of (none = title and abstract).
fn texts<'a>(
    corpus: &Corpus<'_>,
    judgement: &Judgement<'a>,
    join: &str,
) -> Vec<(String, &'a [i32])> {
    let document = corpus.document(judgement.document as usize);
    let mut texts = Vec::new();
    if join != "abstract" && !judgement.sentences.is_empty() {
        let mut numbers = judgement.sentences.to_vec();
        numbers.sort_unstable();
        let sentences: Vec<&str> = numbers
            .iter()
            .filter_map(|&number| {
                document
                    .sentences
                    .get(number as usize)
                    .map(|one| one.trim())
            })
            .collect();
        texts.push((sentences.join(" "), judgement.sentences));
    }
    if join != "rationale" || judgement.sentences.is_empty() {
        texts.push((document.full_text(), [].as_slice()));
    }
    texts
}

fn propose(
    relevant: bool,
    join: &str,
    anchors: &Anchors<'_>,
    call: &Call<'_>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let (corpus, judgements) = (call.corpus()?, call.judgements()?);
    for anchor in anchors.iter() {
        let mut seen = BTreeSet::new();
        for judgement in judgements.of(anchor.number) {
            if judgement.relevant != relevant {
                let what = if relevant {
                    "not relevant under this reading"
                } else {
                    "relevant under this reading"
                };
                sink.count(&format!("passed over: {} is {what}", judgement.label), 1);
                continue;
            }
            for (text, sentences) in texts(&corpus, &judgement, join) {
                if text.trim().is_empty() {
                    sink.count("dropped: empty document", 1);
                    continue;
                }
                // Several rationale sets of one document share its abstract.
                if !seen.insert((judgement.document, text.clone())) {
                    continue;
                }
                let mut candidate = if relevant {
                    Candidate::positive(anchor.number, &text)
                } else {
                    Candidate::negative(anchor.number, &text)
                };
                if relevant {
                    candidate.label = judgement.grade;
                }
                candidate.document = Some(judgement.document);
                candidate.detail =
                    json!({ "judgement": judgement.label, "sentences": sentences }).to_string();
                sink.push(&candidate)?;
            }
        }
    }
    Ok(())
}

impl Sampler for ExplicitPositive {
    const SERVICES: &'static [&'static str] = SERVICES;
    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        propose(true, &self.join, anchors, call, sink)
    }
}

impl Sampler for ExplicitNegative {
    const SERVICES: &'static [&'static str] = SERVICES;
    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        propose(false, &self.join, anchors, call, sink)
    }
}
