//! The lexical baseline: BM25 (Robertson, Zaragoza 2009) with Lucene's idf, over title and text together, lower-cased
//! alphanumeric words, Lucene's English stop words removed, stemmed by Snowball English.

use std::collections::BTreeMap;

use orchestrator_plugin_host::Lexical;
use rayon::prelude::*;
use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation as _;

use super::{Ranking, best};

/// Lucene's `EnglishAnalyzer.ENGLISH_STOP_WORDS_SET`.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// An inverted index.
pub struct Bm25Index {
    k1: f64,
    b: f64,
    mean: f64,
    /// `k1 * (1 - b + b * length / mean length)` of each document.
    saturation: Vec<f64>,
    /// Term to (document, frequency), documents ascending.
    postings: BTreeMap<String, Vec<(u32, u32)>>,
}

/// The words of a text as the index knows them: lower-cased, without stop words, stemmed.
pub(crate) fn terms(text: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    text.unicode_words()
        .map(str::to_lowercase)
        .filter(|word| !STOP_WORDS.contains(&word.as_str()))
        .map(|word| stemmer.stem(&word).into_owned())
        .collect()
}

impl Bm25Index {
    /// Indexes documents, numbered by their place.
    #[must_use]
    pub fn build<S: AsRef<str>>(documents: &[S], k1: f64, b: f64) -> Self {
        let mut postings: BTreeMap<String, Vec<(u32, u32)>> = BTreeMap::new();
        let mut lengths = Vec::with_capacity(documents.len());
        for (number, text) in documents.iter().enumerate() {
            let of_text = terms(text.as_ref());
            lengths.push(of_text.len() as f64);
            let mut counts: BTreeMap<String, u32> = BTreeMap::new();
            for term in of_text {
                *counts.entry(term).or_insert(0) += 1;
            }
            for (term, count) in counts {
                postings
                    .entry(term)
                    .or_default()
                    .push((number as u32, count));
            }
        }
        let mean = (lengths.iter().sum::<f64>() / lengths.len().max(1) as f64).max(1.0);
        Self {
            k1,
            b,
            mean,
            saturation: lengths
                .iter()
                .map(|length| k1 * (1.0 - b + b * length / mean))
                .collect(),
            postings,
        }
    }

    /// The score of every document.
    #[must_use]
    pub fn scores(&self, query: &str) -> Vec<f32> {
        let mut scores = vec![0.0f64; self.saturation.len()];
        for term in terms(query) {
            let Some(postings) = self.postings.get(&term) else {
                continue;
            };
            for &(document, frequency) in postings {
                scores[document as usize] += self.part(
                    postings.len(),
                    f64::from(frequency),
                    self.saturation[document as usize],
                );
            }
        }
        scores.into_iter().map(|score| score as f32).collect()
    }

    /// The best `k` documents for each query, best first.
    #[must_use]
    pub fn rankings(&self, queries: &[&str], k: usize) -> Vec<Ranking> {
        let of = |query: &&str| best(&self.scores(query), k);
        queries.par_iter().map(of).collect()
    }

    /// What a term that is in `documents` documents adds to the score of a text that has it `frequency` times.
    fn part(&self, documents: usize, frequency: f64, saturation: f64) -> f64 {
        let (all, n) = (self.saturation.len() as f64, documents as f64);
        let idf = (1.0 + (all - n + 0.5) / (n + 0.5)).ln();
        idf * frequency * (self.k1 + 1.0) / (frequency + saturation)
    }

    /// The score of a text that need not be a document, by the documents' statistics.
    #[must_use]
    pub fn score_text(&self, query: &str, text: &str) -> f32 {
        let of_text = terms(text);
        let length = of_text.len() as f64;
        let saturation = self.k1 * (1.0 - self.b + self.b * length / self.mean);
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for term in &of_text {
            *counts.entry(term).or_insert(0) += 1;
        }
        let mut score = 0.0;
        for term in terms(query) {
            if let Some(&frequency) = counts.get(term.as_str()) {
                let documents = self.postings.get(&term).map_or(0, Vec::len);
                score += self.part(documents, f64::from(frequency), saturation);
            }
        }
        score as f32
    }
}

impl Lexical for Bm25Index {
    fn top_k(&self, queries: &[&str], k: usize) -> Vec<Vec<(i64, f32)>> {
        self.rankings(queries, k)
            .into_iter()
            .map(|found| {
                found
                    .into_iter()
                    .filter(|(_, score)| *score > 0.0)
                    .map(|(document, score)| (document as i64, score))
                    .collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Bm25Index;

    #[test]
    fn a_document_scores_as_a_text_what_it_scores_in_the_index() {
        let documents = [
            "cats chase mice",
            "mice like cheese and more cheese",
            "dogs",
        ];
        let index = Bm25Index::build(&documents, 0.9, 0.4);
        for query in ["cheese for mice", "a dog", "whales"] {
            for (place, document) in documents.iter().enumerate() {
                let inside = index.scores(query)[place];
                assert!((index.score_text(query, document) - inside).abs() < 1e-6);
            }
        }
    }
}
