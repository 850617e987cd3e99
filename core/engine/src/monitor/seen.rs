//! Which texts the weights as they are have made embeddings of already, told from the course of the run alone: a run that was
//! interrupted encodes some texts again, and counts what one that was not has to encode.

use std::collections::BTreeSet;

use orchestrator_model::Tokens;

use crate::retrieval::Texts;
use crate::seed::mix;

/// What was embedded since the weights changed last.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Steps taken when it was.
    steps: u64,
    /// Documents and anchors were.
    index: bool,
    /// Other texts, by [`key`].
    texts: BTreeSet<u64>,
}

/// A hash of a text's tokens.
fn key(tokens: &Tokens) -> u64 {
    tokens
        .iter()
        .fold(0, |key, token| mix(key ^ u64::from(*token)))
}

impl Seen {
    /// After so many steps: what other weights made counts no longer. Whether documents and anchors were embedded by these.
    pub fn at(&mut self, steps: u64) -> bool {
        if self.steps != steps {
            *self = Self {
                steps,
                ..Self::default()
            };
        }
        self.index
    }

    /// Documents and anchors are embedded now.
    pub fn see_index(&mut self) {
        self.index = true;
    }

    /// These are embedded now.
    pub fn see<'t>(&mut self, index: &Texts, texts: impl Iterator<Item = &'t Tokens>) {
        let others = texts.filter(|tokens| !index.holds(tokens)).map(key);
        self.texts.extend(others);
    }

    /// Of some texts, how many distinct ones have to be encoded, and how many are there: among documents and anchors, or because
    /// they were asked for before.
    pub fn cost<'t>(
        &self,
        index: &Texts,
        texts: impl Iterator<Item = &'t Tokens>,
    ) -> (usize, usize) {
        let distinct: BTreeSet<&Tokens> = texts.collect();
        let there = |tokens: &Tokens| index.holds(tokens) || self.texts.contains(&key(tokens));
        let reused = distinct.iter().filter(|tokens| there(tokens)).count();
        (distinct.len() - reused, reused)
    }
}

#[cfg(test)]
mod tests {
    use orchestrator_model::{Encoder, Side, StaticEncoder};

    use super::*;

    #[test]
    fn what_these_weights_embedded_costs_nothing_again_and_what_others_did_does() {
        let documents = ["fever in mice", "water", "aspirin"];
        let encoder = StaticEncoder::train_from(&documents, 300, 16, 7).expect("train");
        let encoder = Encoder::Static(encoder);
        let index = Texts::cut(&encoder, &documents, &["mice drink water"]).expect("cut");
        let given = ["water", "a new text", "a new text", "another", "aspirin"];
        let tokens = encoder.tokenize(&given, Side::Document).expect("tokens");
        let mut seen = Seen::default();
        assert!(!seen.at(7));
        assert_eq!(seen.cost(&index, tokens.iter()), (2, 2));
        seen.see_index();
        seen.see(&index, tokens[..3].iter());
        assert!(seen.at(7), "the same weights");
        assert_eq!(seen.cost(&index, tokens.iter()), (1, 3));
        seen.see(&index, tokens.iter());
        assert_eq!(seen.cost(&index, tokens.iter()), (0, 4));
        assert!(!seen.at(8), "other weights");
        assert_eq!(seen.cost(&index, tokens.iter()), (2, 2));
    }
}
