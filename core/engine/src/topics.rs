//! Topics of the corpus by latent Dirichlet allocation (Blei, Ng, Jordan 2003), by variational Bayes. The same texts, number
//! of topics and seed give the same topics, for any number of threads.

use orchestrator_plugin_host::TopicModel;
use rayon::prelude::*;

use crate::seed::shuffled;

mod variational;
mod words;

use variational::{Counts, Lda};

/// Up to so many documents, a step goes through all of them, for so many steps: the topics come out better than by smaller
/// batches (on SciFact's abstracts, perplexity by 5 %), and it still takes seconds.
const WHOLE: usize = 10_000;
const WHOLE_STEPS: usize = 20;

/// Of more documents, a step takes a batch, and there are at least so many steps.
const BATCH: usize = 256;
const STEPS: usize = 200;

/// The topics of a corpus.
pub struct Topics {
    count: usize,
    /// In order; a term's place is its number.
    vocabulary: Vec<String>,
    model: Lda,
    documents: Vec<f32>,
    /// The terms of each document, as places in the vocabulary.
    terms: Vec<Vec<u32>>,
}

impl Topics {
    /// Finds topics in texts, by the words that [`words`] leaves. A text without any is of all topics alike.
    #[must_use]
    pub fn fit(texts: &[String], topics: usize, seed: u64) -> Self {
        Self::fit_whole_up_to(WHOLE, texts, topics, seed)
    }

    fn fit_whole_up_to(whole: usize, texts: &[String], topics: usize, seed: u64) -> Self {
        let count = topics.max(1);
        let words: Vec<Vec<String>> = texts.par_iter().map(|text| words::of(text)).collect();
        let vocabulary = words::vocabulary(&words);
        let documents: Vec<Counts> = words
            .par_iter()
            .map(|words| words::counts(&vocabulary, words))
            .collect();
        let n = documents.len();
        let (batch, passes) = if n <= whole {
            (n.max(1), WHOLE_STEPS)
        } else {
            (BATCH, STEPS.div_ceil(n.div_ceil(BATCH)))
        };
        let mut model = Lda::start(vocabulary.len(), count, seed);
        for pass in 0..passes {
            let order = shuffled(documents.iter().collect(), seed, "topics", &[pass as u64]);
            for batch in order.chunks(batch) {
                model.learn(batch, n);
            }
        }
        Self {
            count,
            documents: model.mixtures(&documents),
            terms: documents
                .into_iter()
                .map(|counts| counts.into_iter().map(|(term, _)| term).collect())
                .collect(),
            model,
            vocabulary,
        }
    }

    /// How well the first `n` terms of a topic go together: the mean over pairs of `ln((D(a, b) + 1) / D(b))`, where D counts the
    /// documents that have both, or the one that the topic has more of (UMass: Mimno et al. 2011). 0 is the best; `None` of
    /// fewer than two terms.
    #[must_use]
    pub fn coherence(&self, topic: usize, n: usize) -> Option<f64> {
        let top = self.terms_of_topic(topic, n);
        let place = |term: &String| self.vocabulary.binary_search(term).ok();
        let top: Vec<u32> = top
            .iter()
            .filter_map(|(term, _)| Some(place(term)? as u32))
            .collect();
        let mut together = vec![vec![0.0f64; top.len()]; top.len()];
        for document in &self.terms {
            let has: Vec<bool> = top
                .iter()
                .map(|term| document.binary_search(term).is_ok())
                .collect();
            for a in (0..top.len()).filter(|a| has[*a]) {
                for b in (0..=a).filter(|b| has[*b]) {
                    together[a][b] += 1.0;
                }
            }
        }
        let pairs = (0..top.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let logs: Vec<f64> = pairs
            .map(|(a, b)| ((together[a][b] + 1.0) / together[b][b].max(1.0)).ln())
            .collect();
        (!logs.is_empty()).then(|| logs.iter().sum::<f64>() / logs.len() as f64)
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
            .map(|text| words::counts(&self.vocabulary, &words::of(text)))
            .collect();
        self.model.mixtures(&documents)
    }

    fn documents(&self) -> &[f32] {
        &self.documents
    }
}

#[cfg(test)]
mod tests;
