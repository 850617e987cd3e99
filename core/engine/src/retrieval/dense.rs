//! Exact search by cosine over all documents, and everything else a plugin may ask of the current model.

use std::collections::BTreeSet;
use std::sync::Arc;

use orchestrator_model::{Encoder, Error, Side, Tokens};
use orchestrator_plugin_host::{CurrentModel, dot};

use super::memo::Memo;
use super::top_k;

/// Texts encoded between two looks at whether to go on.
const BLOCK: usize = 1024;

/// The documents and anchors as a tokeniser cuts them.
#[derive(Default)]
pub struct Texts {
    documents: Vec<Tokens>,
    anchors: Vec<Tokens>,
    /// The anchors' words: what is one of them is an anchor wherever it stands.
    anchor_texts: BTreeSet<String>,
    /// Places, documents before anchors, by their tokens.
    order: Vec<u32>,
}

impl Texts {
    /// Cuts them as the encoder wants them.
    ///
    /// # Errors
    /// If its tokeniser fails.
    ///
    /// # Panics
    /// If there are 2^32 texts or more.
    pub fn cut(encoder: &Encoder, documents: &[&str], anchors: &[&str]) -> Result<Self, Error> {
        let mut texts = Self {
            documents: encoder.tokenize(documents, Side::Document)?,
            anchors: encoder.tokenize(anchors, Side::Anchor)?,
            anchor_texts: anchors.iter().map(|text| (*text).to_owned()).collect(),
            order: Vec::new(),
        };
        let all = u32::try_from(documents.len() + anchors.len()).expect("texts fit 32 bits");
        let mut order: Vec<u32> = (0..all).collect();
        order.sort_by(|a, b| texts.at(*a).cmp(texts.at(*b)).then(a.cmp(b)));
        texts.order = order;
        Ok(texts)
    }

    fn at(&self, place: u32) -> &Tokens {
        let place = place as usize;
        let of_anchor = place.checked_sub(self.documents.len());
        of_anchor.map_or_else(|| &self.documents[place], |anchor| &self.anchors[anchor])
    }

    pub(crate) fn of_document(&self, number: usize) -> &Tokens {
        &self.documents[number]
    }

    pub(crate) fn of_anchor(&self, number: usize) -> &Tokens {
        &self.anchors[number]
    }

    /// How many distinct ones there are, by their tokens.
    pub(crate) fn distinct(&self) -> usize {
        self.order
            .chunk_by(|a, b| self.at(*a) == self.at(*b))
            .count()
    }

    /// Whether one of them has these tokens.
    pub(crate) fn holds(&self, tokens: &Tokens) -> bool {
        self.find(tokens).is_some()
    }

    /// The first place with these tokens.
    fn find(&self, tokens: &Tokens) -> Option<u32> {
        let first = self.order.partition_point(|place| self.at(*place) < tokens);
        let place = *self.order.get(first)?;
        (self.at(place) == tokens).then_some(place)
    }

    /// The tokens of texts of which nobody says what they are: those that are an anchor's are anchors, the others documents.
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn tokenize(&self, encoder: &Encoder, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        tokenize(encoder, texts, |place| {
            self.anchor_texts.contains(texts[place])
        })
    }
}

/// The tokens of texts, some of which are anchors, by their places.
///
/// # Errors
/// If the tokeniser fails.
pub fn tokenize(
    encoder: &Encoder,
    texts: &[&str],
    is_anchor: impl Fn(usize) -> bool,
) -> Result<Vec<Tokens>, Error> {
    let mut all = vec![Tokens::new(); texts.len()];
    for (side, anchors) in [(Side::Anchor, true), (Side::Document, false)] {
        let places: Vec<usize> = (0..texts.len())
            .filter(|place| is_anchor(*place) == anchors)
            .collect();
        let of_side: Vec<&str> = places.iter().map(|place| texts[*place]).collect();
        for (place, tokens) in places.into_iter().zip(encoder.tokenize(&of_side, side)?) {
            all[place] = tokens;
        }
    }
    Ok(all)
}

/// What one version of a model makes of documents and anchors.
pub struct Embedded {
    /// `[documents, dim]`.
    documents: Vec<f32>,
    /// `[anchors, dim]`.
    anchors: Vec<f32>,
    /// Of other texts.
    memo: Memo,
    /// Texts encoded for documents and anchors.
    distinct: usize,
}

impl Embedded {
    /// Encodes each distinct text once. `going` is asked now and then, with texts done and in all, whether to go on.
    ///
    /// # Errors
    /// If the encoder fails, or what `going` says.
    pub fn of<E: From<Error>>(
        encoder: &Encoder,
        texts: &Texts,
        going: impl Fn(usize, usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        let dim = encoder.dim();
        let n = texts.documents.len();
        // The first place of each place's tokens: where its embedding is made.
        let mut first = vec![0u32; texts.order.len()];
        let runs = texts.order.chunk_by(|a, b| texts.at(*a) == texts.at(*b));
        for run in runs {
            run.iter().for_each(|place| first[*place as usize] = run[0]);
        }
        let distinct: Vec<u32> = (0..first.len() as u32)
            .filter(|place| first[*place as usize] == *place)
            .collect();
        let mut embedded = Self {
            documents: vec![0.0; n * dim],
            anchors: vec![0.0; texts.anchors.len() * dim],
            memo: Memo::default(),
            distinct: distinct.len(),
        };
        for (block, places) in distinct.chunks(BLOCK).enumerate() {
            going(block * BLOCK, distinct.len())?;
            let tokens: Vec<Tokens> = places
                .iter()
                .map(|place| texts.at(*place).clone())
                .collect();
            let rows = encoder.encode(&tokens)?;
            for (place, row) in places.iter().zip(rows.chunks_exact(dim)) {
                embedded.row_mut(*place, dim).copy_from_slice(row);
            }
        }
        for (place, from) in (0u32..).zip(&first) {
            if place != *from {
                let row = embedded.row(*from, dim).to_vec();
                embedded.row_mut(place, dim).copy_from_slice(&row);
            }
        }
        Ok(embedded)
    }

    /// How many texts were encoded so far.
    pub(crate) fn encoded(&self) -> usize {
        self.distinct + self.memo.encoded()
    }

    fn row(&self, place: u32, dim: usize) -> &[f32] {
        let start = place as usize * dim;
        match start.checked_sub(self.documents.len()) {
            None => &self.documents[start..start + dim],
            Some(start) => &self.anchors[start..start + dim],
        }
    }

    fn row_mut(&mut self, place: u32, dim: usize) -> &mut [f32] {
        let start = place as usize * dim;
        match start.checked_sub(self.documents.len()) {
            None => &mut self.documents[start..start + dim],
            Some(start) => &mut self.anchors[start..start + dim],
        }
    }
}

/// A version of a model over documents and anchors, numbered by their place.
pub struct DenseIndex<'a> {
    encoder: &'a Encoder,
    texts: Arc<Texts>,
    embedded: Arc<Embedded>,
}

impl<'a> DenseIndex<'a> {
    /// Of a model and what it made of the texts.
    #[must_use]
    pub fn new(encoder: &'a Encoder, texts: Arc<Texts>, embedded: Arc<Embedded>) -> Self {
        Self {
            encoder,
            texts,
            embedded,
        }
    }

    pub(crate) fn anchor(&self, number: usize) -> &[f32] {
        let dim = self.encoder.dim();
        &self.embedded.anchors[number * dim..(number + 1) * dim]
    }

    pub(crate) fn document(&self, number: usize) -> &[f32] {
        let dim = self.encoder.dim();
        &self.embedded.documents[number * dim..(number + 1) * dim]
    }

    /// How many documents there are.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.texts.documents.len()
    }

    /// The cosine of one pair.
    #[must_use]
    pub fn similarity(&self, anchor: usize, document: usize) -> f32 {
        dot(self.anchor(anchor), self.document(document))
    }

    /// The cosine of two documents.
    pub(crate) fn similarity_of_documents(&self, one: usize, other: usize) -> f32 {
        dot(self.document(one), self.document(other))
    }

    /// Cosine of two anchors.
    #[must_use]
    pub fn similarity_of_anchors(&self, one: usize, other: usize) -> f32 {
        dot(self.anchor(one), self.anchor(other))
    }

    /// The `k` nearest documents of each anchor, in order.
    #[must_use]
    pub fn nearest(&self, anchors: &[usize], k: usize) -> Vec<Vec<(usize, f32)>> {
        let mut queries = Vec::with_capacity(anchors.len() * self.encoder.dim());
        for &anchor in anchors {
            queries.extend_from_slice(self.anchor(anchor));
        }
        self.nearest_to(&queries, k)
    }

    /// The `k` nearest documents of each embedding of `[queries, dim]`, in order.
    #[must_use]
    pub fn nearest_to(&self, queries: &[f32], k: usize) -> Vec<Vec<(usize, f32)>> {
        top_k(queries, &self.embedded.documents, self.encoder.dim(), k)
    }

    /// Unit-length embeddings `[texts, dim]`: those of documents and anchors are there, others are made once.
    ///
    /// # Errors
    /// If the encoder fails.
    pub fn embed(&self, texts: &[&Tokens]) -> Result<Vec<f32>, Error> {
        let find = |tokens: &Tokens| {
            let place = self.texts.find(tokens)?;
            Some(self.embedded.row(place, self.encoder.dim()))
        };
        self.embedded.memo.embed(self.encoder, texts, find)
    }

    pub(crate) fn encoder(&self) -> &Encoder {
        self.encoder
    }

    pub(crate) fn memo(&self) -> &Memo {
        &self.embedded.memo
    }

    /// The error of an answer to a plugin, if there was one.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.embedded.memo.check()
    }

    fn known(&self, anchors: &[i64]) -> Option<Vec<usize>> {
        let n = self.texts.anchors.len();
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
        let embed = || {
            let tokens = self.texts.tokenize(self.encoder, texts)?;
            self.embed(&tokens.iter().collect::<Vec<_>>())
        };
        embed().unwrap_or_else(|error| {
            self.embedded.memo.fail(error);
            vec![0.0; texts.len() * self.encoder.dim()]
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use orchestrator_model::StaticEncoder;

    use super::*;

    #[test]
    fn each_text_gets_its_own_embedding_whoever_else_has_it_and_wherever_it_is_kept() {
        let documents = ["fever in mice", "water", "fever in mice", "", "aspirin"];
        let anchors = ["aspirin", "mice drink water", "mice drink water"];
        let encoder = StaticEncoder::train_from(&documents, 300, 16, 7).expect("train");
        let encoder = Encoder::Static(encoder);
        let texts = Texts::cut(&encoder, &documents, &anchors).expect("cut");
        let asked = Cell::new((0, 0));
        let embedded = Embedded::of::<Error>(&encoder, &texts, |done, all| {
            asked.set((done, all));
            Ok(())
        })
        .expect("embedded");
        assert_eq!(asked.get(), (0, 5), "distinct texts, by their tokens");
        let index = DenseIndex::new(&encoder, Arc::new(texts), Arc::new(embedded));
        let alone = |text: &str| {
            let tokens = encoder.tokenize(&[text], Side::Document).expect("tokens");
            encoder.encode(&tokens).expect("embedding")
        };
        for (number, text) in documents.iter().enumerate() {
            assert_eq!(index.document(number), alone(text), "document `{text}`");
        }
        for (number, text) in anchors.iter().enumerate() {
            assert_eq!(index.anchor(number), alone(text), "anchor `{text}`");
        }
        let given = [
            "water",
            "a new text",
            "aspirin",
            "a new text",
            "mice drink water",
        ];
        for _ in 0..2 {
            let found = CurrentModel::encode(&index, &given);
            for (row, text) in found.chunks_exact(16).zip(given) {
                assert_eq!(row, alone(text), "`{text}`");
            }
        }
        index.check().expect("nothing went wrong");
    }
}
