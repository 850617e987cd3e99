//! What annotators called relevant.

use std::collections::BTreeMap;

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Result, Sampler, Sink, abi};
use serde_json::json;

use crate::evidence;

/// Positives out of the judgements: every document that is relevant under the reading the experiment trains, graded.
///
/// The grade is 1 for evidence, `partial` for a part of it (PARTIALLY_SUPPORT), and 0.5 for a document that was cited
/// without evidence, where the reading counts it. Where two judgements give the same text, the higher grade stands.
/// Losses that read labels (`cosine_similarity`) learn the grade from the label; losses that tell positives from
/// negatives only (`mnrl`) look at the weight: `grades` says where the grade goes.
#[derive(Config)]
pub struct ExplicitPositive {
    /// What becomes the text: `rationale`, the evidence sentences of one rationale set joined in order (title and
    /// abstract where there are none); `sentence`, each evidence sentence on its own; `abstract`, title and abstract;
    /// `both`, a sample of the rationale and one of the abstract.
    #[config(default = "rationale", one_of = ["rationale", "sentence", "abstract", "both"])]
    join: String,
    /// The grade of a document that supports a part of the claim (PARTIALLY_SUPPORT).
    #[config(default = 0.7, above = 0, max = 1)]
    partial: f32,
    /// What the grade sets: `label`, the similarity to learn, weight 1; `weight`, how much the sample counts, label 1;
    /// `both`.
    #[config(default = "label", one_of = ["label", "weight", "both"])]
    grades: String,
}

/// What is proposed for one text.
struct Graded<'a> {
    grade: f32,
    document: i64,
    judgement: &'a str,
    text: String,
    sentences: Vec<i32>,
}

impl Sampler for ExplicitPositive {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let (corpus, judgements) = (call.corpus()?, call.judgements()?);
        for anchor in anchors.iter() {
            let mut texts: Vec<Graded<'_>> = Vec::new();
            // Several rationale sets of one document share its abstract, and may share sentences.
            let mut places: BTreeMap<(i64, String), usize> = BTreeMap::new();
            for judgement in judgements.of(anchor.number) {
                if !judgement.relevant {
                    let what = format!(
                        "passed over: {} is not relevant under this reading",
                        judgement.label
                    );
                    sink.count(&what, 1);
                    continue;
                }
                let grade = match judgement.label {
                    "partial" => self.partial,
                    _ => judgement.grade,
                };
                let document = corpus.document(judgement.document as usize);
                for (text, sentences) in evidence::passages(&document, &judgement, &self.join) {
                    let one = Graded {
                        grade,
                        document: judgement.document,
                        judgement: judgement.label,
                        text,
                        sentences,
                    };
                    match places.get(&(one.document, one.text.clone())) {
                        Some(&place) if texts[place].grade >= grade => {}
                        Some(&place) => texts[place] = one,
                        None => {
                            places.insert((one.document, one.text.clone()), texts.len());
                            texts.push(one);
                        }
                    }
                }
            }
            sink.count("asked", texts.len());
            for one in &texts {
                self.push(anchor.number, one, sink)?;
            }
        }
        Ok(())
    }
}

impl ExplicitPositive {
    fn push(&self, anchor: i64, one: &Graded<'_>, sink: &mut Sink<'_>) -> Result<()> {
        if one.text.trim().is_empty() {
            sink.count("dropped: empty document", 1);
            return Ok(());
        }
        let mut candidate = Candidate::positive(anchor, &one.text);
        if self.grades != "weight" {
            candidate.label = one.grade;
        }
        if self.grades != "label" {
            if one.grade <= 0.0 {
                sink.count("dropped: a grade of 0 is no weight", 1);
                return Ok(());
            }
            candidate.weight = one.grade;
        }
        candidate.document = Some(one.document);
        candidate.detail =
            json!({ "judgement": one.judgement, "sentences": one.sentences }).to_string();
        sink.push(&candidate)?;
        sink.count("found", 1);
        Ok(())
    }
}
