//! Topics of the corpus by latent Dirichlet allocation (Blei, Ng, Jordan 2003), over the words that BM25 indexes. The same
//! texts, number of topics and seed give the same topics, for any number of threads.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin_host::TopicModel;
use rayon::prelude::*;

use crate::retrieval::terms;
use crate::seed::shuffled;

mod variational;

use variational::{Counts, Lda};

/// Documents in a batch.
const BATCH: usize = 256;

/// A fit goes through the documents until it has made this many steps, but not more often than [`PASSES`]: a corpus of any
/// size takes its time, and a large one is gone through once.
const STEPS: usize = 100;
const PASSES: usize = 50;

/// From this many documents on, a term must be in 5 of them; else in 2.
const LARGE: usize = 1000;

/// The topics of a corpus.
pub struct Topics {
    count: usize,
    /// In order; a term's place is its number.
    vocabulary: Vec<String>,
    model: Lda,
    documents: Vec<f32>,
}

impl Topics {
    /// Finds topics in texts. Terms that are in one or few of them, or in more than half, are left out; a text without any
    /// term is of all topics alike.
    #[must_use]
    pub fn fit(texts: &[String], topics: usize, seed: u64) -> Self {
        let count = topics.max(1);
        let words: Vec<Vec<String>> = texts.par_iter().map(|text| terms(text)).collect();
        let vocabulary = vocabulary(&words);
        let documents: Vec<Counts> = words
            .par_iter()
            .map(|words| counts(&vocabulary, words))
            .collect();
        let mut model = Lda::start(vocabulary.len(), count, seed);
        let passes = STEPS
            .div_ceil(documents.len().div_ceil(BATCH).max(1))
            .min(PASSES);
        for pass in 0..passes {
            let order = shuffled(documents.iter().collect(), seed, "topics", &[pass as u64]);
            for batch in order.chunks(BATCH) {
                model.learn(batch, documents.len());
            }
        }
        Self {
            count,
            documents: model.mixtures(&documents),
            model,
            vocabulary,
        }
    }

    /// The `n` terms that a topic has most of, with its share of each; stems, as BM25 has them. Empty if there is no such
    /// topic.
    #[must_use]
    pub fn terms_of_topic(&self, topic: usize, n: usize) -> Vec<(String, f64)> {
        if topic >= self.count {
            return Vec::new();
        }
        let shares = self.model.shares();
        let of_topic = shares.iter().skip(topic).step_by(self.count);
        let mut all: Vec<(&String, f64)> = self.vocabulary.iter().zip(of_topic.copied()).collect();
        all.sort_by(|(one, a), (other, b)| b.total_cmp(a).then(one.cmp(other)));
        all.truncate(n);
        all.into_iter()
            .map(|(term, share)| (term.clone(), share))
            .collect()
    }
}

impl TopicModel for Topics {
    fn count(&self) -> usize {
        self.count
    }

    fn infer(&self, texts: &[&str]) -> Vec<f32> {
        let documents: Vec<Counts> = texts
            .par_iter()
            .map(|text| counts(&self.vocabulary, &terms(text)))
            .collect();
        self.model.mixtures(&documents)
    }

    fn documents(&self) -> &[f32] {
        &self.documents
    }
}

/// The terms that are neither too rare nor too common, in order.
fn vocabulary(documents: &[Vec<String>]) -> Vec<String> {
    let mut frequency: BTreeMap<&str, usize> = BTreeMap::new();
    for words in documents {
        let of_document: BTreeSet<&str> = words.iter().map(String::as_str).collect();
        for term in of_document {
            *frequency.entry(term).or_insert(0) += 1;
        }
    }
    let least = if documents.len() < LARGE { 2 } else { 5 };
    frequency
        .into_iter()
        .filter(|(_, n)| (least..=documents.len() / 2).contains(n))
        .map(|(term, _)| term.to_owned())
        .collect()
}

/// How often a document has each term of the vocabulary.
fn counts(vocabulary: &[String], words: &[String]) -> Counts {
    let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
    for word in words {
        if let Ok(term) = vocabulary.binary_search(word) {
            *counts.entry(term as u32).or_insert(0.0) += 1.0;
        }
    }
    counts.into_iter().collect()
}
