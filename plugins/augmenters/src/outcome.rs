//! What becomes of a sample that was changed: its role, label and parent, and what it may never be.

use std::collections::HashSet;

use orchestrator_plugin::{Candidate, Role, Sample, Samples};

/// A changed sample. As a negative its label is 0; as a positive it keeps its parent's.
pub fn outcome<'a>(sample: &Sample<'_>, role: Role, text: &'a str, weight: f32) -> Candidate<'a> {
    let mut candidate = match role {
        Role::Positive => Candidate::positive(sample.anchor, text),
        Role::Negative => Candidate::negative(sample.anchor, text),
    };
    if role == Role::Positive {
        candidate.label = sample.label;
    }
    candidate.document = sample.document;
    candidate.parent = Some(sample.row);
    candidate.weight = weight;
    candidate
}

/// The role that a setting names.
pub fn role(name: &str) -> Role {
    if name == "positive" {
        Role::Positive
    } else {
        Role::Negative
    }
}

/// A text in lower case with its spaces folded.
pub fn folded(text: &str) -> String {
    fold(text.split_whitespace())
}

/// The words of a text in lower case, without punctuation: how texts are compared.
pub fn words_only(text: &str) -> String {
    fold(
        text.split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty()),
    )
}

fn fold<'t>(words: impl Iterator<Item = &'t str>) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

/// The positives of a call by anchor, and the anchors themselves: no negative may say the same.
pub struct Positives(HashSet<(i64, String)>);

impl Positives {
    /// Of the samples given.
    pub fn of(samples: &Samples<'_>) -> Self {
        let mut known = HashSet::with_capacity(samples.len() * 2);
        for sample in samples.iter() {
            known.insert((sample.anchor, words_only(sample.anchor_text)));
            if sample.role == Role::Positive {
                known.insert((sample.anchor, words_only(sample.text)));
            }
        }
        Self(known)
    }

    /// Whether `text` is a known positive of `anchor`, or the anchor.
    pub fn has(&self, anchor: i64, text: &str) -> bool {
        self.0.contains(&(anchor, words_only(text)))
    }
}
