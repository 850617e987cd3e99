//! Pairs of an anchor and a text as three models see them: the untrained one, BM25 and the trained one, each against the nearest
//! documents of the corpus. Of the pool, and of validation claims, where it is known what is relevant.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_data::{Dataset, Split};
use orchestrator_plugin_host::dot;
use orchestrator_store::Role;
use rayon::prelude::*;

use crate::driver::Driver;
use crate::error::Error;
use crate::pool::Pool;
use crate::retrieval::{Bm25Index, DEPTH, DenseIndex, Ranking, best};
use crate::seed::shuffled;

/// Anchors whose samples are looked at, drawn by the seed.
const ANCHORS: usize = 5000;

/// Validation claims that are learned from.
const CLAIMS: usize = 500;

/// Nearest documents of each, by each model, that are learned from beside the relevant ones.
const NEAREST: usize = 30;

/// Anchors at a time: every document's score is held for each.
const BLOCK: usize = 64;

/// What is known of a pair: how near it is by each model, against the nearest document, and at which rank.
pub(super) const FEATURES: usize = 6;

/// What a model makes of the corpus for an anchor: the nearest documents.
struct Field(Ranking);

impl Field {
    /// How near a score is, against the best (1) and the last that is ranked (0), and the logarithm of its rank, a document itself left out.
    fn place(&self, score: f32, document: Option<usize>) -> [f64; 2] {
        let others = self.0.iter().filter(|(one, _)| Some(*one) != document);
        let better = others.clone().filter(|(_, other)| *other > score).count();
        let best = others
            .clone()
            .next()
            .map_or(0.0, |(_, other)| f64::from(*other));
        let last = self.0.last().map_or(0.0, |(_, other)| f64::from(*other));
        let near = (f64::from(score) - last) / (best - last).max(1e-6);
        [near.clamp(-1.0, 2.0), (1.0 + better as f64).ln()]
    }
}

/// A pair of an anchor and a text, seen by the three models.
#[derive(Clone)]
pub(super) struct Seen {
    pub features: [f64; FEATURES],
    pub scores: [f32; 3],
}

impl Seen {
    fn of(fields: &[Field; 3], scores: [f32; 3], document: Option<usize>) -> Self {
        let mut features = [0.0; FEATURES];
        for (member, field) in fields.iter().enumerate() {
            let [near, rank] = field.place(scores[member], document);
            features[2 * member] = near;
            features[2 * member + 1] = rank;
        }
        Self { features, scores }
    }
}

/// What the three models make of the corpus for some anchors.
pub(super) struct Views<'v> {
    pub data: &'v Dataset,
    pub bm25: &'v Bm25Index,
    pub initial: DenseIndex<'v>,
    pub trained: DenseIndex<'v>,
}

/// What the three models make of the corpus for an anchor.
struct Sight {
    fields: [Field; 3],
    /// BM25's score of every document.
    of_bm25: Vec<f32>,
}

impl Views<'_> {
    /// By anchor, in their order.
    fn sights(&self, anchors: &[usize]) -> Vec<Sight> {
        let initial = self.initial.nearest(anchors, DEPTH);
        let trained = self.trained.nearest(anchors, DEPTH);
        let bm25: Vec<(Ranking, Vec<f32>)> = anchors
            .par_iter()
            .map(|anchor| {
                let scores = self.bm25.scores(&self.data.anchors[*anchor].text);
                (best(&scores, DEPTH), scores)
            })
            .collect();
        initial
            .into_iter()
            .zip(bm25)
            .zip(trained)
            .map(|((initial, (bm25, of_bm25)), trained)| Sight {
                fields: [initial, bm25, trained].map(Field),
                of_bm25,
            })
            .collect()
    }

    /// A document, for the anchor of a sight.
    fn of_document(&self, sight: &Sight, anchor: usize, document: usize) -> Seen {
        let scores = [
            self.initial.similarity(anchor, document),
            sight.of_bm25[document],
            self.trained.similarity(anchor, document),
        ];
        Seen::of(&sight.fields, scores, Some(document))
    }
}

/// A pair of a validation claim with a document, and whether that is relevant.
pub(super) struct Known {
    /// Its place among the claims.
    pub claim: usize,
    pub seen: Seen,
    pub relevant: bool,
}

/// A sample of the pool that is looked at.
pub(super) struct Looked {
    /// In the pool.
    pub place: usize,
    pub anchor: usize,
    pub seen: Seen,
}

impl Driver<'_> {
    /// Pairs of validation claims: what is judged relevant, and the nearest others by each model.
    pub(super) fn known(&self, views: &Views<'_>) -> Vec<Known> {
        let qrels = self.data.qrels(Split::Validation);
        let anchors: Vec<usize> = qrels.keys().copied().collect();
        let mut anchors = shuffled(anchors, self.experiment.seed, "suspects known", &[]);
        anchors.truncate(CLAIMS);
        anchors.sort_unstable();
        let sights = anchors
            .chunks(BLOCK)
            .flat_map(|block| block.iter().zip(views.sights(block)));
        let mut known = Vec::new();
        for (claim, (anchor, sight)) in sights.enumerate() {
            let near = sight.fields.iter();
            let near = near.flat_map(|field| field.0.iter().take(NEAREST));
            let mut documents: BTreeSet<usize> = near.map(|(document, _)| *document).collect();
            documents.extend(&qrels[anchor]);
            known.extend(documents.into_iter().map(|document| Known {
                claim,
                seen: views.of_document(&sight, *anchor, document),
                relevant: qrels[anchor].contains(&document),
            }));
        }
        known
    }

    /// The samples that are looked at, in the pool's order; of positives, one of each document, by the whole document. Not those that
    /// were made out of another sample, nor negatives out of a document that is known to be relevant: they are what they were made
    /// to be.
    pub(super) fn looked(&self, views: &Views<'_>, pool: &Pool) -> Result<Vec<Looked>, Error> {
        let mut of_anchor: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, sample) in pool.samples.iter().enumerate() {
            let (view, anchor) = (&sample.view, sample.view.anchor);
            let Some(document) = view.document.filter(|_| view.parent.is_none()) else {
                continue;
            };
            if view.role == Role::Positive || !pool.knows_document(anchor, document) {
                of_anchor.entry(anchor).or_default().push(place);
            }
        }
        let anchors: Vec<usize> = of_anchor.keys().copied().collect();
        let mut anchors = shuffled(anchors, self.experiment.seed, "suspects", &[]);
        anchors.truncate(ANCHORS);
        anchors.sort_unstable();
        let mut looked = Vec::new();
        for block in anchors.chunks(BLOCK) {
            self.stop_if_asked()?;
            for (anchor, sight) in block.iter().zip(views.sights(block)) {
                let mut documents = BTreeSet::new();
                // A document is what is judged relevant, whichever of its sentences a positive shows: once is enough.
                let (positives, negatives): (Vec<usize>, Vec<usize>) = of_anchor[anchor]
                    .iter()
                    .partition(|place| pool.samples[**place].view.role == Role::Positive);
                for place in positives {
                    let document = pool.samples[place].view.document;
                    if let Some(document) = document.filter(|one| documents.insert(*one)) {
                        looked.push(Looked {
                            place,
                            anchor: *anchor,
                            seen: views.of_document(&sight, *anchor, document),
                        });
                    }
                }
                let tokens = negatives
                    .iter()
                    .map(|place| &pool.texts[pool.samples[*place].text].tokens);
                let tokens: Vec<_> = tokens.collect();
                let by_initial = views.initial.embed(&tokens)?;
                let by_trained = views.trained.embed(&tokens)?;
                let dim = views.trained.encoder().dim();
                let text = &self.data.anchors[*anchor].text;
                for (row, place) in negatives.into_iter().enumerate() {
                    let view = &pool.samples[place].view;
                    let at = row * dim..(row + 1) * dim;
                    let scores = [
                        dot(views.initial.anchor(*anchor), &by_initial[at.clone()]),
                        self.lent.bm25.score_text(text, &view.text),
                        dot(views.trained.anchor(*anchor), &by_trained[at]),
                    ];
                    looked.push(Looked {
                        place,
                        anchor: *anchor,
                        seen: Seen::of(&sight.fields, scores, view.document),
                    });
                }
            }
        }
        looked.sort_by_key(|one| one.place);
        Ok(looked)
    }
}
