//! Exact search by cosine over all documents, and everything else a plugin may ask of the current model.

use orchestrator_model::{StaticEncoder, Tokens};
use orchestrator_plugin_host::{CurrentModel, dot};

use super::top_k;

/// Embeddings of all documents and anchors by one version of a model.
pub struct DenseIndex<'a> {
    encoder: &'a StaticEncoder,
    documents: Vec<f32>,
    anchors: Vec<f32>,
}

impl<'a> DenseIndex<'a> {
    /// Encodes documents and anchors, numbered by their place.
    #[must_use]
    pub fn build(encoder: &'a StaticEncoder, documents: &[Tokens], anchors: &[Tokens]) -> Self {
        Self {
            encoder,
            documents: encoder.encode(documents),
            anchors: encoder.encode(anchors),
        }
    }

    fn anchor(&self, number: usize) -> &[f32] {
        let dim = self.encoder.dim();
        &self.anchors[number * dim..(number + 1) * dim]
    }

    fn document(&self, number: usize) -> &[f32] {
        let dim = self.encoder.dim();
        &self.documents[number * dim..(number + 1) * dim]
    }

    /// How many documents there are.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents.len() / self.encoder.dim()
    }

    /// The cosine of one pair.
    #[must_use]
    pub fn similarity(&self, anchor: usize, document: usize) -> f32 {
        dot(self.anchor(anchor), self.document(document))
    }

    /// The `k` nearest documents of each anchor, in order.
    #[must_use]
    pub fn nearest(&self, anchors: &[usize], k: usize) -> Vec<Vec<(usize, f32)>> {
        let mut queries = Vec::with_capacity(anchors.len() * self.encoder.dim());
        for &anchor in anchors {
            queries.extend_from_slice(self.anchor(anchor));
        }
        top_k(&queries, &self.documents, self.encoder.dim(), k)
    }

    fn known(&self, anchors: &[i64]) -> Option<Vec<usize>> {
        let n = self.anchors.len() / self.encoder.dim();
        anchors
            .iter()
            .map(|&anchor| usize::try_from(anchor).ok().filter(|one| *one < n))
            .collect()
    }
}

impl CurrentModel for DenseIndex<'_> {
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        let found = self.nearest(&self.known(anchors)?, k);
        Some(
            found
                .into_iter()
                .map(|row| {
                    row.into_iter()
                        .map(|(document, score)| (document as i64, score))
                        .collect()
                })
                .collect(),
        )
    }

    fn score(&self, anchors: &[i64], documents: &[i64]) -> Option<Vec<f32>> {
        let n = self.documents();
        self.known(anchors)?
            .into_iter()
            .zip(documents)
            .map(|(anchor, &document)| {
                let document = usize::try_from(document).ok().filter(|one| *one < n)?;
                Some(self.similarity(anchor, document))
            })
            .collect()
    }

    fn dim(&self) -> usize {
        self.encoder.dim()
    }

    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        embed(self.encoder, texts)
    }
}

/// Unit-length embeddings `[texts, dim]`. What cannot be tokenised has no tokens: the zero vector.
#[must_use]
pub fn embed(encoder: &StaticEncoder, texts: &[&str]) -> Vec<f32> {
    let tokens = encoder
        .tokenize(texts)
        .unwrap_or_else(|_| vec![Tokens::new(); texts.len()]);
    encoder.encode(&tokens)
}
