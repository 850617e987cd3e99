//! The lexical baseline: BM25 (Robertson, Zaragoza 2009) with Lucene's idf, over title and text together, lower-cased
//! alphanumeric words, Lucene's English stop words removed, stemmed by Snowball English.

use std::collections::BTreeMap;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation as _;

/// Lucene's `EnglishAnalyzer.ENGLISH_STOP_WORDS_SET`.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// An inverted index.
pub struct Bm25Index {
    k1: f64,
    /// `k1 * (1 - b + b * length / mean length)` of each document.
    saturation: Vec<f64>,
    /// Term to (document, frequency), documents ascending.
    postings: BTreeMap<String, Vec<(u32, u32)>>,
}

fn terms(text: &str) -> Vec<String> {
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
        let documents = self.saturation.len() as f64;
        let mut scores = vec![0.0f64; self.saturation.len()];
        for term in terms(query) {
            let Some(postings) = self.postings.get(&term) else {
                continue;
            };
            let n = postings.len() as f64;
            let idf = (1.0 + (documents - n + 0.5) / (n + 0.5)).ln();
            for &(document, frequency) in postings {
                let frequency = f64::from(frequency);
                scores[document as usize] += idf * frequency * (self.k1 + 1.0)
                    / (frequency + self.saturation[document as usize]);
            }
        }
        scores.into_iter().map(|score| score as f32).collect()
    }
}
