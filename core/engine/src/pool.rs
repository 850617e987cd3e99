//! The kept samples of a moment, read from the store, with everything a step needs to know of their texts.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_data::Dataset;
use orchestrator_model::{Encoder, Tokens};
use orchestrator_plugin_host::{NamedModels as _, dot};
use orchestrator_store::{Role, SampleView, Store};

use crate::error::Error;
use crate::lent::Models;
use crate::retrieval::tokenize;

/// A distinct text of the pool or of its anchors.
pub(crate) struct PoolText {
    pub tokens: Tokens,
    /// Texts that differ only in case and spaces share one.
    pub normal: usize,
    /// Documents it is from, as it stands: not those it was made out of.
    pub documents: BTreeSet<usize>,
}

/// A kept sample.
pub(crate) struct PoolSample {
    pub view: SampleView,
    /// Place in [`Pool::texts`].
    pub text: usize,
}

/// The kept samples.
pub(crate) struct Pool {
    pub samples: Vec<PoolSample>,
    pub texts: Vec<PoolText>,
    /// Anchor number to the place of its text.
    pub anchor_text: BTreeMap<usize, usize>,
    /// Anchor number to the normal forms of its positives' texts.
    positive_texts: BTreeMap<usize, BTreeSet<usize>>,
    /// Anchor number to the texts that are its negatives.
    negative_texts: BTreeMap<usize, BTreeSet<usize>>,
    /// Anchor number to its known relevant documents.
    relevant: BTreeMap<usize, BTreeSet<usize>>,
    pub teacher: Option<Teaching>,
}

/// What the experiment's teacher makes of the pool.
pub(crate) struct Teaching {
    /// A score for each sample.
    pub scores: Vec<f32>,
    /// Unit-length embeddings of the texts, `[texts, dim]`; empty, with `dim` 0, where the teacher has none.
    pub embeddings: Vec<f32>,
    pub dim: usize,
}

fn normalised(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

impl Pool {
    /// The samples that were kept after tick `up_to`. `relevant` are the documents known to be relevant, by anchor.
    pub fn load(
        store: &Store,
        up_to: u32,
        data: &Dataset,
        encoder: &Encoder,
        relevant: BTreeMap<usize, BTreeSet<usize>>,
    ) -> Result<Self, Error> {
        let views: Vec<SampleView> = store
            .samples(up_to)?
            .into_iter()
            .filter(|view| view.kept)
            .collect();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut contents: Vec<String> = Vec::new();
        let mut place_of = |text: &str| {
            *places.entry(text.to_owned()).or_insert_with(|| {
                contents.push(text.to_owned());
                contents.len() - 1
            })
        };
        let mut anchor_text = BTreeMap::new();
        let mut samples = Vec::with_capacity(views.len());
        for view in views {
            anchor_text
                .entry(view.anchor)
                .or_insert_with(|| place_of(&data.anchors[view.anchor].text));
            samples.push(PoolSample {
                text: place_of(&view.text),
                view,
            });
        }
        let borrowed: Vec<&str> = contents.iter().map(String::as_str).collect();
        let anchors: BTreeSet<usize> = anchor_text.values().copied().collect();
        let tokens = tokenize(encoder, &borrowed, |place| anchors.contains(&place))?;
        let mut normals: BTreeMap<String, usize> = BTreeMap::new();
        let mut texts: Vec<PoolText> = contents
            .iter()
            .zip(tokens)
            .map(|(content, tokens)| {
                let next = normals.len();
                PoolText {
                    tokens,
                    normal: *normals.entry(normalised(content)).or_insert(next),
                    documents: BTreeSet::new(),
                }
            })
            .collect();
        let mut positive_texts: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut negative_texts: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for sample in &samples {
            if sample.view.parent.is_none() {
                texts[sample.text].documents.extend(sample.view.document);
            }
            let anchor = sample.view.anchor;
            if sample.view.role == Role::Positive {
                let of_anchor = positive_texts.entry(anchor).or_default();
                of_anchor.insert(texts[sample.text].normal);
            } else {
                negative_texts
                    .entry(anchor)
                    .or_default()
                    .insert(sample.text);
            }
        }
        Ok(Self {
            samples,
            texts,
            anchor_text,
            positive_texts,
            negative_texts,
            relevant,
            teacher: None,
        })
    }

    /// Samples without their texts, for tests of how they are dealt.
    #[cfg(test)]
    pub fn of_samples(samples: Vec<PoolSample>) -> Self {
        Self {
            samples,
            texts: Vec::new(),
            anchor_text: BTreeMap::new(),
            positive_texts: BTreeMap::new(),
            negative_texts: BTreeMap::new(),
            relevant: BTreeMap::new(),
            teacher: None,
        }
    }

    /// Asks the teacher about every sample and every text.
    pub fn teach(
        &mut self,
        models: &Models<'_>,
        teacher: &str,
        data: &Dataset,
    ) -> Result<(), Error> {
        let pairs = self.samples.iter().map(|sample| {
            let anchor = data.anchors[sample.view.anchor].text.as_str();
            (anchor, sample.view.text.as_str())
        });
        self.teacher = Some(match models.embedder(teacher) {
            // Every text is encoded once, for the scores as well.
            Some(embedder) => {
                let mut contents = vec![""; self.texts.len()];
                for (sample, (anchor, text)) in self.samples.iter().zip(pairs) {
                    contents[self.anchor_text[&sample.view.anchor]] = anchor;
                    contents[sample.text] = text;
                }
                let anchors: BTreeSet<usize> = self.anchor_text.values().copied().collect();
                let encoder = embedder.encoder();
                let tokens = tokenize(encoder, &contents, |place| anchors.contains(&place))?;
                let embeddings = embedder.embed(&tokens.iter().collect::<Vec<_>>())?;
                let dim = encoder.dim();
                let of = |text: usize| &embeddings[text * dim..(text + 1) * dim];
                let score = |sample: &PoolSample| {
                    dot(of(self.anchor_text[&sample.view.anchor]), of(sample.text))
                };
                Teaching {
                    scores: self.samples.iter().map(score).collect(),
                    embeddings,
                    dim,
                }
            }
            None => Teaching {
                scores: models
                    .score(teacher, &pairs.collect::<Vec<_>>())
                    .unwrap_or_default(),
                embeddings: Vec::new(),
                dim: 0,
            },
        });
        Ok(())
    }

    /// Whether a text is a known positive of an anchor, by its words or by its document. A passage of a relevant document
    /// that was made a negative of the anchor (a sentence that is no evidence) is what it was made.
    pub fn knows_relevant(&self, anchor: usize, text: usize) -> bool {
        let is_negative = |of_anchor: &BTreeSet<usize>| of_anchor.contains(&text);
        let made_negative = self.negative_texts.get(&anchor).is_some_and(is_negative);
        let text = &self.texts[text];
        let by_words = |known: &BTreeSet<usize>| known.contains(&text.normal);
        let by_document = |known: &BTreeSet<usize>| !known.is_disjoint(&text.documents);
        self.positive_texts.get(&anchor).is_some_and(by_words)
            || !made_negative && self.relevant.get(&anchor).is_some_and(by_document)
    }

    /// Whether a document is known to be relevant to an anchor.
    pub fn knows_document(&self, anchor: usize, document: usize) -> bool {
        let known = self.relevant.get(&anchor);
        known.is_some_and(|known| known.contains(&document))
    }

    /// Places of the samples of a role, in order.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        (0..self.samples.len()).filter(move |place| self.samples[*place].view.role == role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_of_a_relevant_document_is_relevant_unless_it_was_made_a_negative() {
        let text = |normal| PoolText {
            tokens: Tokens::new(),
            normal,
            documents: BTreeSet::from([7]),
        };
        // Texts 0 the evidence, 1 another sentence, 2 the whole document: all of document 7.
        let pool = Pool {
            texts: vec![text(0), text(1), text(2)],
            positive_texts: BTreeMap::from([(3, BTreeSet::from([0]))]),
            negative_texts: BTreeMap::from([(3, BTreeSet::from([0, 1]))]),
            relevant: BTreeMap::from([(3, BTreeSet::from([7]))]),
            ..Pool::of_samples(Vec::new())
        };
        assert!(
            pool.knows_relevant(3, 0),
            "by its words, whatever else it was made"
        );
        assert!(!pool.knows_relevant(3, 1), "made a negative");
        assert!(pool.knows_relevant(3, 2), "by its document");
        assert!(!pool.knows_relevant(4, 2), "another anchor");
    }
}
