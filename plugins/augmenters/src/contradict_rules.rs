//! Contradictions by rules.

use orchestrator_plugin::{Augmenter, Call, Config, Error, Result, Role, Samples, Sink};
use serde_json::json;

use crate::edit::{Edit, Rule};
use crate::outcome::{Positives, outcome};
use crate::reversal::reversals;
use crate::words::Words;

/// Contradictions of positives by rules, offline: exactly one edit turns what the text claims into its opposite.
///
/// In order of preference: `negation_out` takes a negation out ("does not affect" to "affects"); `direction` turns the
/// direction of the effect ("increases" to "decreases", "positively" to "negatively"); `quantifier` how many or how often
/// ("all" to "no", "always" to "never", "more than 5" to "less than 5"); `antonym` what is said of the subject ("is
/// effective" to "is ineffective"); `negation_in` puts a negation in ("does not affect"), after the others, since a model
/// that meets "not" in negatives alone learns the word (Gururangan et al. 2018, "Annotation Artifacts in Natural Language
/// Inference Data"); `condition` turns what the claim is about ("increased levels lead to" to "decreased levels …").
/// The kinds of edit are those of SciFact's annotators (Wadden et al. 2020, "Fact or Fiction", section 3). Of several
/// sentences, the one that shares most words with the anchor is turned.
///
/// Negatives with label 0. A negative is passed over: the opposite of what does not support a claim may support it.
#[derive(Config)]
pub struct ContradictRules {
    /// The most words a text may have; longer ones are dropped.
    #[config(default = 128, min = 1)]
    max_words: usize,
    /// How many different contradictions a sample gives at most: the best of each rule first.
    #[config(default = 1, min = 1)]
    per_sample: usize,
    /// The rules allowed; their order does not matter.
    #[config(default = Rule::ALL.to_vec())]
    rules: Vec<Rule>,
    /// Weight of what comes out.
    #[config(default = 1.0, above = 0)]
    weight: f32,
}

impl Augmenter for ContradictRules {
    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let positives = Positives::of(samples);
        for sample in samples.iter() {
            if sample.row % 4096 == 0 && call.is_cancelled() {
                return Err(Error::cancelled());
            }
            if sample.role == Role::Negative {
                sink.count("passed over: negative", 1);
                continue;
            }
            sink.count("asked", self.per_sample);
            let words = Words::of(sample.text);
            if words.len() > self.max_words {
                sink.count(&format!("dropped: longer than {} words", self.max_words), 1);
                continue;
            }
            let edits = self.choose(&words, sample.anchor_text);
            if edits.is_empty() {
                sink.count("dropped: no rule applies", 1);
            }
            for edit in edits {
                let text = edit.apply(sample.text);
                if positives.has(sample.anchor, &text) {
                    sink.count("dropped: a known positive says it", 1);
                    continue;
                }
                let mut candidate = outcome(&sample, Role::Negative, &text, self.weight);
                candidate.detail = json!({
                    "rule": edit.rule.name(),
                    "from": &sample.text[edit.from.clone()],
                    "to": edit.to,
                    "start": edit.from.start,
                })
                .to_string();
                sink.push(&candidate)?;
                sink.count("found", 1);
            }
        }
        Ok(())
    }
}

impl ContradictRules {
    /// At most `per_sample` edits with different results: of the sentence nearest to the anchor, the best of each rule.
    fn choose(&self, words: &Words<'_>, anchor: &str) -> Vec<Edit> {
        let mut chosen: Vec<Edit> = Vec::new();
        for sentence in words.by_overlap(anchor) {
            let mut edits = reversals(words, &sentence, &self.rules);
            // The first of each rule, then the second of each …
            let mut order: Vec<(usize, usize)> = (0..edits.len())
                .map(|place| {
                    let earlier = edits[..place]
                        .iter()
                        .filter(|one| one.rule == edits[place].rule)
                        .count();
                    (earlier, place)
                })
                .collect();
            order.sort_unstable();
            for (_, place) in order {
                if chosen.len() == self.per_sample {
                    return chosen;
                }
                let edit = Edit {
                    rule: edits[place].rule,
                    from: edits[place].from.clone(),
                    to: std::mem::take(&mut edits[place].to),
                };
                let same = |one: &Edit| one.from == edit.from && one.to == edit.to;
                if words.text[edit.from.clone()] != edit.to && !chosen.iter().any(same) {
                    chosen.push(edit);
                }
            }
        }
        chosen
    }
}
