//! What the checker lends besides tables: a model that counts words, and what can be had from counts of words.

use std::collections::BTreeSet;

use orchestrator_plugin_host::{ChatEndpoint, CurrentModel, Lexical, NamedModels, TopicModel, dot};

/// Length of an embedding.
const DIM: usize = 16;

/// How many topics there are.
const TOPICS: usize = 4;

/// A number for each word of a text (FNV-1a of its small letters).
fn words(text: &str) -> impl Iterator<Item = u64> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            let small = word.to_lowercase();
            small.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
        })
}

/// Counts words into [`DIM`] places and makes the counts a vector of length one; of no words, zero.
pub(crate) fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0f32; DIM];
    for hash in words(text) {
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        vector[(hash >> 32) as usize % DIM] += sign;
    }
    let length = dot(&vector, &vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}

/// The topics of a text: the places of its words, and a little of everything.
fn topics(text: &str) -> [f32; TOPICS] {
    let mut counts = [0.1f32; TOPICS];
    for hash in words(text) {
        counts[(hash >> 16) as usize % TOPICS] += 1.0;
    }
    let sum: f32 = counts.iter().sum();
    counts.map(|count| count / sum)
}

/// The share of the words of the first text that are in the second, times their number: as BM25, it is 0 for strangers.
fn overlap(query: &str, of_text: &BTreeSet<u64>) -> f32 {
    let of_query: BTreeSet<u64> = words(query).collect();
    of_query.intersection(of_text).count() as f32
}

/// Every model there is, over documents and claims.
pub(crate) struct Models {
    documents: Vec<Vec<f32>>,
    document_words: Vec<BTreeSet<u64>>,
    document_topics: Vec<f32>,
    /// By number.
    pub claims: Vec<String>,
}

impl Models {
    pub fn new(documents: &[String], claims: Vec<String>) -> Self {
        Self {
            documents: documents.iter().map(|text| embed(text)).collect(),
            document_words: documents.iter().map(|text| words(text).collect()).collect(),
            document_topics: documents.iter().flat_map(|text| topics(text)).collect(),
            claims,
        }
    }

    fn claim(&self, number: i64) -> Option<Vec<f32>> {
        Some(embed(self.claims.get(usize::try_from(number).ok()?)?))
    }
}

/// The `k` best of the scores, best first, ties by lower number.
fn best(scores: impl Iterator<Item = f32>, k: usize) -> Vec<(i64, f32)> {
    let mut found: Vec<(i64, f32)> = (0..).zip(scores).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(k);
    found
}

impl CurrentModel for Models {
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        let of_one = |&number: &i64| {
            let claim = self.claim(number)?;
            Some(best(
                self.documents.iter().map(|document| dot(document, &claim)),
                k,
            ))
        };
        anchors.iter().map(of_one).collect()
    }

    fn score(&self, anchors: &[i64], documents: &[i64]) -> Option<Vec<f32>> {
        let of_pair = |(&anchor, &document): (&i64, &i64)| {
            let document = self.documents.get(usize::try_from(document).ok()?)?;
            Some(dot(document, &self.claim(anchor)?))
        };
        anchors.iter().zip(documents).map(of_pair).collect()
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        texts.iter().flat_map(|text| embed(text)).collect()
    }
}

impl Lexical for Models {
    fn top_k(&self, queries: &[&str], k: usize) -> Vec<Vec<(i64, f32)>> {
        let of_one = |query: &&str| {
            let scores = self
                .document_words
                .iter()
                .map(|document| overlap(query, document));
            let mut found = best(scores, k);
            found.retain(|(_, score)| *score > 0.0);
            found
        };
        queries.iter().map(of_one).collect()
    }
}

impl TopicModel for Models {
    fn count(&self) -> usize {
        TOPICS
    }

    fn infer(&self, texts: &[&str]) -> Vec<f32> {
        texts.iter().flat_map(|text| topics(text)).collect()
    }

    fn documents(&self) -> &[f32] {
        &self.document_topics
    }
}

impl NamedModels for Models {
    fn knows(&self, model: &str) -> bool {
        // Any name that a setting gives is a model here; the empty one is none.
        !model.is_empty()
    }

    fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Option<Vec<f32>> {
        let score = |(query, text): &(&str, &str)| match model {
            "bm25" => overlap(query, &words(text).collect()),
            _ => dot(&embed(query), &embed(text)),
        };
        self.knows(model).then(|| pairs.iter().map(score).collect())
    }
}

impl ChatEndpoint for Models {
    fn complete(
        &self,
        requests: &[&str],
        cancelled: &dyn Fn() -> bool,
    ) -> Vec<Result<String, String>> {
        requests
            .iter()
            .take_while(|_| !cancelled())
            .map(|request| {
                let number = words(request).fold(0u64, |sum, word| sum.wrapping_add(word)) % 100;
                Ok(format!("Not so: there is no such effect ({number})."))
            })
            .collect()
    }
}
