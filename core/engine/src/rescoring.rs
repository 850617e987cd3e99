//! Scores of pairs by a cross-encoder: each pair is read once in a run, as far as there is room to keep scores. A score does
//! not depend on what it is asked for with, so it makes no difference which are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use orchestrator_model::{CrossEncoder, Error};

use crate::retrieval::Failure;

/// Scores are kept of pairs whose texts are up to this many bytes together.
const ROOM: usize = 64 << 20;

/// A cross-encoder with the scores it has given.
pub(crate) struct Rescorer {
    model: CrossEncoder,
    known: Mutex<Known>,
    failure: Failure,
}

/// Scores by query and text.
#[derive(Default)]
struct Known {
    scores: BTreeMap<String, BTreeMap<String, f32>>,
    bytes: usize,
}

impl Known {
    fn get(&self, (query, text): (&str, &str)) -> Option<f32> {
        self.scores.get(query)?.get(text).copied()
    }

    fn put(&mut self, (query, text): (&str, &str), score: f32) {
        let bytes = self.bytes + query.len() + text.len();
        if bytes <= ROOM {
            let of_query = self.scores.entry(query.to_owned()).or_default();
            of_query.insert(text.to_owned(), score);
            self.bytes = bytes;
        }
    }
}

impl Rescorer {
    pub fn of(model: CrossEncoder) -> Self {
        Self {
            model,
            known: Mutex::default(),
            failure: Failure::default(),
        }
    }

    /// The score of each (query, text); zeros if the model fails, of which [`Rescorer::check`] tells after the call.
    pub fn score(&self, pairs: &[(&str, &str)]) -> Vec<f32> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known();
        let missing: BTreeSet<(&str, &str)> = pairs
            .iter()
            .copied()
            .filter(|pair| before.get(*pair).is_none())
            .collect();
        // Not held while the model works.
        drop(before);
        let missing: Vec<_> = missing.into_iter().collect();
        let made = self.model.scores(&missing).unwrap_or_else(|error| {
            self.failure.note(error);
            vec![0.0; missing.len()]
        });
        let mut known = known();
        let scores = pairs.iter().map(|pair| {
            let place = missing.binary_search(pair).ok();
            let score = place.map(|place| made[place]);
            score.or_else(|| known.get(*pair)).unwrap_or_default()
        });
        let scores = scores.collect();
        for (pair, score) in missing.into_iter().zip(made) {
            known.put(pair, score);
        }
        scores
    }

    /// The error that was noted, if any.
    pub fn check(&self) -> Result<(), Error> {
        self.failure.check()
    }
}
