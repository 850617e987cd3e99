//! What becomes of a sample that was changed: its role, label and parent, and what it may never be.

use std::hash::Hasher;

use orchestrator_plugin::{Candidate, Role, Sample, Samples};

use crate::fnv::{Fnv, WordSet};

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

/// The words of a text in lower case, without punctuation: how texts are compared.
pub fn words_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    said(text, |letter| out.push(letter));
    out
}

/// Hands over the letters and digits of a text in lower case, a space between words.
fn said(text: &str, mut take: impl FnMut(char)) {
    let (mut begun, mut parted) = (false, false);
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() || !letter.is_ascii() && letter.is_alphanumeric() {
            if parted && begun {
                take(' ');
            }
            (begun, parted) = (true, false);
            if letter.is_ascii() {
                take(letter.to_ascii_lowercase());
            } else {
                letter.to_lowercase().for_each(&mut take);
            }
        } else {
            parted = true;
        }
    }
}

/// The positives of a call by anchor, and the anchors themselves: no negative may say the same. Kept as hashes.
pub struct Positives(WordSet<u64>);

impl Positives {
    /// Of the samples given.
    pub fn of(samples: &Samples<'_>) -> Self {
        let mut known = WordSet::default();
        for sample in samples.iter() {
            known.insert(key(sample.anchor, sample.anchor_text));
            if sample.role == Role::Positive && sample.text != sample.anchor_text {
                known.insert(key(sample.anchor, sample.text));
            }
        }
        Self(known)
    }

    /// Whether `text` is a known positive of `anchor`, or the anchor.
    pub fn has(&self, anchor: i64, text: &str) -> bool {
        self.0.contains(&key(anchor, text))
    }
}

/// What a text says for an anchor, as a number.
fn key(anchor: i64, text: &str) -> u64 {
    let mut hash = Fnv::default();
    hash.write_i64(anchor);
    let mut bytes = [0; 4];
    said(text, |letter| {
        hash.write(letter.encode_utf8(&mut bytes).as_bytes())
    });
    hash.finish()
}
