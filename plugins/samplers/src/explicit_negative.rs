//! What annotators called contradicting or neutral.

use std::collections::BTreeSet;

use orchestrator_plugin::config::Setting;
use orchestrator_plugin::{Anchors, Call, Candidate, Config, Error, Result, Sampler, Sink, abi};
use serde_json::{Map, Value, json};

use crate::evidence;
use crate::known_positives::{Admission, Documents};

/// Negatives out of the judgements: contradicting and neutral documents, where the reading the experiment trains does
/// not call them relevant. Label 0, weight 1.
///
/// Nothing of a document that is also a known positive of the anchor is taken.
#[derive(Config)]
pub struct ExplicitNegative {
    /// Which judgements: `contradict` (CONTRADICT, REFUTE) and `neutral` (cited without evidence).
    #[config(default = vec![NegativeLabel("contradict"), NegativeLabel("neutral")])]
    labels: Vec<NegativeLabel>,
    /// What becomes the text: `rationale`, the evidence sentences of one rationale set joined in order (title and
    /// abstract where there are none); `sentence`, each evidence sentence on its own; `abstract`, title and abstract;
    /// `both`, a sample of the rationale and one of the abstract.
    #[config(default = "rationale", one_of = ["rationale", "sentence", "abstract", "both"])]
    join: String,
}

/// `contradict` or `neutral`.
#[derive(PartialEq)]
struct NegativeLabel(&'static str);

const LABELS: [&str; 2] = ["contradict", "neutral"];

impl Setting for NegativeLabel {
    fn schema() -> Map<String, Value> {
        Map::from_iter([
            ("type".to_owned(), json!("string")),
            ("enum".to_owned(), json!(LABELS)),
        ])
    }
    fn read(value: &Value) -> Result<Self> {
        LABELS
            .into_iter()
            .find(|label| value == label)
            .map(Self)
            .ok_or_else(|| Error::config("", "must be contradict or neutral"))
    }
    fn write(&self) -> Value {
        self.0.into()
    }
}

impl Sampler for ExplicitNegative {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let judgements = call.judgements()?;
        let documents = Documents::of(call.corpus()?);
        for anchor in anchors.iter() {
            let mut admission = Admission::of(anchor.number, &judgements, &documents);
            // Several rationale sets of one document share its abstract, and may share sentences.
            let mut seen = BTreeSet::new();
            for judgement in judgements.of(anchor.number) {
                let label = judgement.label;
                if judgement.relevant {
                    let what = format!("passed over: {label} is relevant under this reading");
                    sink.count(&what, 1);
                    continue;
                }
                if !self.labels.iter().any(|wanted| wanted.0 == label) {
                    sink.count(&format!("passed over: {label} is not among the labels"), 1);
                    continue;
                }
                let document = documents.get(judgement.document);
                for (text, sentences) in evidence::passages(&document, &judgement, &self.join) {
                    if !seen.insert((judgement.document, text.clone())) {
                        continue;
                    }
                    sink.count("asked", 1);
                    let admitted = if sentences.is_empty() {
                        admission.document(judgement.document)
                    } else {
                        let whole = admission.refuses(judgement.document);
                        whole.and_then(|()| admission.text(&text))
                    };
                    if let Err(why) = admitted {
                        sink.count(why, 1);
                        continue;
                    }
                    let mut candidate = Candidate::negative(anchor.number, &text);
                    candidate.document = Some(judgement.document);
                    candidate.detail =
                        json!({ "judgement": label, "sentences": sentences }).to_string();
                    sink.push(&candidate)?;
                    sink.count("found", 1);
                }
            }
        }
        Ok(())
    }
}
