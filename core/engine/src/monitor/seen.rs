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
