//! Selection by coverage.

use std::collections::BTreeMap;

use orchestrator_plugin::{Call, Config, Embedder, Error, Pair, Pool, Result, Select, abi, dot};

/// Selects pairs that lie far from each other and from what is judged, so that a round covers the pool: the greedy
/// k-center of core-set selection (Sener & Savarese 2018; in small-text `GreedyCoreset`).
///
/// A pair is the embedding of its anchor and that of its document by the current model, one behind the other. Each step
/// takes the pair that is farthest from its nearest centre, ties by order in the pool. The pairs judged already are the
/// first centres, if they are few; otherwise the pair the model is least sure of is.
#[derive(Config)]
pub struct KCenter {
    /// How many judged pairs of the pool's anchors may be centres: where there are more, or none, the first centre is the
    /// most uncertain pair.
    #[config(default = 1000)]
    judged: usize,
    /// At most this many pairs of one anchor, so that a round does not go to a few anchors; 0 = no bound.
    #[config(default = 2)]
    per_anchor: usize,
}

/// How many texts are embedded at once.
const TEXTS: usize = 256;

/// Embeddings of distinct texts, in the order their keys were first seen.
#[derive(Default)]
struct Vectors {
    places: BTreeMap<i64, usize>,
    values: Vec<f32>,
    dim: usize,
}

impl Vectors {
    fn of<'t>(
        texts: impl Iterator<Item = (i64, &'t str)>,
        embedder: &Embedder<'_>,
        call: &Call<'_>,
    ) -> Result<Self> {
        let mut vectors = Self {
            dim: embedder.dim(),
            ..Self::default()
        };
        let mut distinct: Vec<&str> = Vec::new();
        for (key, text) in texts {
            let next = vectors.places.len();
            if *vectors.places.entry(key).or_insert(next) == next {
                distinct.push(text);
            }
        }
        for some in distinct.chunks(TEXTS) {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            vectors.values.extend(embedder.encode(some)?);
        }
        Ok(vectors)
    }

    fn get(&self, place: usize) -> &[f32] {
        &self.values[place * self.dim..(place + 1) * self.dim]
    }

    /// The product of each with a vector.
    fn products(&self, with: &[f32]) -> Vec<f32> {
        self.values
            .chunks(self.dim.max(1))
            .map(|one| dot(one, with))
            .collect()
    }
}

impl Select for KCenter {
    const SERVICES: &'static [&'static str] = &[
        abi::service::CORPUS,
        abi::service::JUDGEMENTS,
        abi::service::EMBEDDER,
    ];

    fn select(&self, pool: &Pool<'_>, budget: usize, call: &Call<'_>) -> Result<Vec<usize>> {
        let pairs: Vec<Pair<'_>> = pool.iter().collect();
        let (corpus, judgements) = (call.corpus()?, call.judgements()?);
        // The judged pairs of the pool's anchors.
        let mut judged: Vec<(i64, i64)> = Vec::new();
        let mut anchors: Vec<i64> = pairs.iter().map(|pair| pair.anchor).collect();
        anchors.sort_unstable();
        anchors.dedup();
        for &anchor in &anchors {
            let mut documents: Vec<i64> = judgements.of(anchor).map(|one| one.document).collect();
            documents.dedup();
            judged.extend(documents.into_iter().map(|document| (anchor, document)));
        }
        if judged.len() > self.judged {
            judged.clear();
        }
        let judged_texts: Vec<String> = judged
            .iter()
            .map(|(_, document)| corpus.document(*document as usize).full_text())
            .collect();
        let embedder = call.embedder()?;
        let of_anchors = pairs.iter().map(|pair| (pair.anchor, pair.anchor_text));
        let of_anchors = Vectors::of(of_anchors, &embedder, call)?;
        let of_judged = judged.iter().map(|(_, document)| *document);
        let of_documents = pairs
            .iter()
            .map(|pair| (pair.document, pair.text))
            .chain(of_judged.zip(judged_texts.iter().map(String::as_str)));
        let of_documents = Vectors::of(of_documents, &embedder, call)?;
        let places: Vec<(usize, usize)> = pairs
            .iter()
            .map(|pair| {
                (
                    of_anchors.places[&pair.anchor],
                    of_documents.places[&pair.document],
                )
            })
            .collect();
        // The halves are of unit length: the square of the distance is 4 - 2 (a·a' + d·d').
        let mut nearest = vec![f32::INFINITY; pairs.len()];
        let add_centre = |anchor: usize, document: usize, nearest: &mut [f32]| {
            let anchors = of_anchors.products(of_anchors.get(anchor));
            let documents = of_documents.products(of_documents.get(document));
            for (&(anchor, document), nearest) in places.iter().zip(nearest) {
                let square = 4.0 - 2.0 * (anchors[anchor] + documents[document]);
                *nearest = nearest.min(square);
            }
        };
        for (anchor, document) in &judged {
            let (anchor, document) = (of_anchors.places[anchor], of_documents.places[document]);
            add_centre(anchor, document, &mut nearest);
        }
        let mut chosen = Vec::new();
        let mut of_anchor: BTreeMap<i64, usize> = BTreeMap::new();
        let mut free = vec![true; pairs.len()];
        while chosen.len() < budget {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let uncertain = |row: usize| -(2.0 * pairs[row].probability - 1.0).abs();
            let first = judged.is_empty() && chosen.is_empty();
            let worth = |row: usize| if first { uncertain(row) } else { nearest[row] };
            let next = (0..pairs.len())
                .filter(|&row| {
                    let taken = of_anchor.get(&pairs[row].anchor).copied().unwrap_or(0);
                    free[row] && (self.per_anchor == 0 || taken < self.per_anchor)
                })
                .reduce(|best, row| if worth(row) > worth(best) { row } else { best });
            let Some(next) = next else {
                break;
            };
            chosen.push(next);
            free[next] = false;
            *of_anchor.entry(pairs[next].anchor).or_insert(0) += 1;
            add_centre(places[next].0, places[next].1, &mut nearest);
        }
        Ok(chosen)
    }
}
