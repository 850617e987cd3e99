//! The embeddings that a version of a model has made already: each distinct text is encoded once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use orchestrator_model::{Encoder, Error, Tokens};

/// Embeddings are kept up to this many bytes; what comes after is encoded each time it is asked for.
const ROOM: usize = 256 << 20;

/// Embeddings by the tokens of their texts, of one version of a model.
#[derive(Default)]
pub struct Memo {
    known: Mutex<BTreeMap<Tokens, Vec<f32>>>,
    /// Texts encoded so far.
    encoded: AtomicUsize,
    failure: Failure,
}

/// What went wrong where nobody could be told.
#[derive(Default)]
pub(crate) struct Failure(Mutex<Option<Error>>);

impl Failure {
    /// Notes an error; the first one stands.
    pub fn note(&self, error: Error) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }

    /// The error that was noted, if any; it is told once.
    pub fn check(&self) -> Result<(), Error> {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take().map_or(Ok(()), Err)
    }
}

impl Memo {
    /// Unit-length embeddings `[texts, dim]`. `find` knows those that are held elsewhere.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn embed<'f>(
        &self,
        encoder: &Encoder,
        texts: &[&Tokens],
        find: impl Fn(&Tokens) -> Option<&'f [f32]>,
    ) -> Result<Vec<f32>, Error> {
        let dim = encoder.dim();
        // A thread that panicked while it held the lock left whole entries: each is put in at once.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: BTreeSet<&Tokens> = texts
            .iter()
            .copied()
            .filter(|tokens| find(tokens).is_none() && !known.contains_key(*tokens))
            .collect();
        let missing: Vec<Tokens> = missing.into_iter().cloned().collect();
        let made = encoder.encode(&missing)?;
        self.encoded.fetch_add(missing.len(), Ordering::Relaxed);
        let mut all = vec![0.0; texts.len() * dim];
        for (row, tokens) in all.chunks_exact_mut(dim.max(1)).zip(texts) {
            if let Some(found) = find(tokens) {
                row.copy_from_slice(found);
            } else if let Some(found) = known.get(*tokens) {
                row.copy_from_slice(found);
            } else if let Ok(place) = missing.binary_search(tokens) {
                row.copy_from_slice(&made[place * dim..(place + 1) * dim]);
            }
        }
        let room = (ROOM / (4 * dim.max(1))).saturating_sub(known.len());
        let rows = made.chunks_exact(dim.max(1)).map(<[f32]>::to_vec);
        known.extend(missing.into_iter().zip(rows).take(room));
        Ok(all)
    }

    /// How many texts were encoded so far.
    pub(crate) fn encoded(&self) -> usize {
        self.encoded.load(Ordering::Relaxed)
    }

    /// Notes an error of an answer that cannot be one: zeros are given in its place, and the caller is told after the call.
    pub(crate) fn fail(&self, error: Error) {
        self.failure.note(error);
    }

    /// The error that was noted, if any.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.failure.check()
    }
}
