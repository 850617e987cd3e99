//! Papers on the same subject that nobody judged.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use orchestrator_plugin::{
    Anchors, Call, Candidate, Config, Error, Judgements, Result, Sampler, Sink, abi,
};
use serde_json::json;

use crate::draw;
use crate::known_positives::{Admission, Documents};
use crate::shingles::Shingles;

/// Documents on the topic of the anchor's positives, judged by nobody: the same field, another conclusion.
///
/// Documents are ranked by their likeness to the nearest of the anchor's positives (to the anchor's own text where it has
/// none): the cosine of their mixtures of topics (LDA, Blei et al. 2003) or of their embeddings. Left out are all
/// documents judged for the anchor, whatever the judgement, and near-duplicates of its positives. Of the `top_k` nearest
/// that are left, within the bounds, an anchor gets `per_anchor`. Label 0, weight 1; the score is the likeness.
#[derive(Config)]
#[config(check = Self::check)]
pub struct SameTopic {
    /// What likeness is: `topic`, of topic mixtures; `embedding`, of embeddings by the current model.
    #[config(default = "topic", one_of = ["topic", "embedding"])]
    by: String,
    /// How many an anchor gets at most.
    #[config(default = 5, min = 1)]
    per_anchor: usize,
    /// How many of the nearest are drawn from.
    #[config(default = 50, min = 1)]
    top_k: usize,
    /// How many of the nearest are passed over.
    #[config(default = 0)]
    range_min: usize,
    /// The least likeness, a cosine. Topic mixtures that share their main topic lie above about 0.7.
    #[config(min = -1, max = 1)]
    min_similarity: Option<f64>,
    /// The greatest likeness, a cosine.
    #[config(min = -1, max = 1)]
    max_similarity: Option<f64>,
    /// The share of runs of three words (Jaccard) from which on a document is a near-duplicate of a positive.
    #[config(default = 0.8, above = 0, max = 1)]
    near_duplicate: f64,
    /// Which of those left an anchor gets: `random`, drawn by the seed; `top`, the nearest.
    #[config(default = "random", one_of = ["random", "top"])]
    sampling: String,
}

/// How many anchors are compared with all documents at once.
const BLOCK: usize = 64;

/// How many texts are embedded at once.
const TEXTS: usize = 256;

/// Unit vectors of the documents, and what makes them of texts.
enum Space<'a> {
    Topics(orchestrator_plugin::Topics<'a>),
    Embeddings(orchestrator_plugin::Embedder<'a>),
}

impl Space<'_> {
    /// Unit vectors of texts.
    fn of(&self, texts: &[&str]) -> Result<Vec<f32>> {
        let mut vectors = match self {
            Self::Topics(topics) => topics.infer(texts)?,
            Self::Embeddings(embedder) => embedder.encode(texts)?,
        };
        to_unit_length(&mut vectors, self.dim());
        Ok(vectors)
    }

    fn dim(&self) -> usize {
        match self {
            Self::Topics(topics) => topics.count(),
            Self::Embeddings(embedder) => embedder.dim(),
        }
    }

    /// Unit vectors of all documents.
    fn documents(&self, documents: &Documents<'_>, call: &Call<'_>) -> Result<Vec<f32>> {
        if let Self::Topics(topics) = self {
            let mut vectors = topics.documents()?;
            to_unit_length(&mut vectors, self.dim());
            return Ok(vectors);
        }
        let mut vectors = Vec::with_capacity(documents.len() * self.dim());
        for first in (0..documents.len()).step_by(TEXTS) {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            call.progress(first as u64, documents.len() as u64, "documents");
            let texts: Vec<String> = (first..documents.len().min(first + TEXTS))
                .map(|number| documents.text(number as i64))
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            vectors.extend(self.of(&texts)?);
        }
        Ok(vectors)
    }
}

fn to_unit_length(vectors: &mut [f32], dim: usize) {
    for vector in vectors.chunks_mut(dim.max(1)) {
        let square: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        if square > 0.0 {
            let length = square.sqrt() as f32;
            vector.iter_mut().for_each(|x| *x /= length);
        }
    }
}

/// The shingles of the documents, made when first asked for.
struct Copies<'d, 'a> {
    documents: &'d Documents<'a>,
    shingles: Vec<OnceCell<Shingles>>,
}

impl Copies<'_, '_> {
    fn of(&self, number: i64) -> &Shingles {
        self.shingles[number as usize].get_or_init(|| Shingles::of(&self.documents.text(number)))
    }

    fn overlap(&self, number: i64, positives: &BTreeSet<i64>) -> f64 {
        let its = self.of(number);
        positives
            .iter()
            .map(|&positive| its.overlap(self.of(positive)))
            .fold(0.0, f64::max)
    }
}

/// Documents by likeness, the nearest first, each with the positive it is near to.
fn ranked(likeness: &[f32], of: &[Option<i64>], documents: usize) -> Vec<(i64, f32, Option<i64>)> {
    let mut best: Vec<(i64, f32, Option<i64>)> = (0..documents as i64)
        .map(|number| (number, f32::NEG_INFINITY, None))
        .collect();
    for (row, positive) in likeness.chunks(documents.max(1)).zip(of) {
        for (place, &value) in best.iter_mut().zip(row) {
            if value > place.1 {
                (place.1, place.2) = (value, *positive);
            }
        }
    }
    best.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best
}

impl Sampler for SameTopic {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let documents = Documents::of(call.corpus()?);
        let space = match self.by.as_str() {
            "embedding" => Space::Embeddings(call.embedder()?),
            _ => Space::Topics(call.topics()?),
        };
        let (linalg, judgements) = (call.linalg()?, call.judgements()?);
        let vectors = space.documents(&documents, call)?;
        let dim = space.dim();
        let copies = Copies {
            documents: &documents,
            shingles: vec![OnceCell::new(); documents.len()],
        };
        let all: Vec<_> = anchors.iter().collect();
        for (block, some) in all.chunks(BLOCK).enumerate() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            call.progress((block * BLOCK) as u64, all.len() as u64, "anchors");
            // The positives of the block, one after the other; the anchor itself where there are none.
            let positives: Vec<BTreeSet<i64>> = some
                .iter()
                .map(|anchor| positives(anchor.number, &judgements))
                .collect();
            let without: Vec<&str> = (some.iter().zip(&positives))
                .filter(|(_, positives)| positives.is_empty())
                .map(|(anchor, _)| anchor.text)
                .collect();
            let own = space.of(&without)?;
            let mut own = own.chunks(dim.max(1));
            let (mut queries, mut of): (Vec<f32>, Vec<Vec<Option<i64>>>) = Default::default();
            for positives in positives {
                if positives.is_empty() {
                    queries.extend_from_slice(own.next().unwrap_or_default());
                    of.push(vec![None]);
                    continue;
                }
                for &number in &positives {
                    let first = number as usize * dim;
                    queries.extend_from_slice(&vectors[first..first + dim]);
                }
                of.push(positives.into_iter().map(Some).collect());
            }
            let products = linalg.products(&queries, &vectors, dim)?;
            let mut rows = products.as_slice();
            for (anchor, of) in some.iter().zip(of) {
                let (its, rest) = rows.split_at(of.len() * documents.len());
                rows = rest;
                let ranked = ranked(its, &of, documents.len());
                let mut admission =
                    Admission::of(anchor.number, &judgements, &documents).without_judged();
                let near = self.near(&ranked, &mut admission, &copies, sink);
                let random = call.random(&[anchor.number as u64]);
                let chosen = match self.sampling.as_str() {
                    "top" => near.into_iter().take(self.per_anchor).collect(),
                    _ => draw::some(random, near, self.per_anchor),
                };
                for &(rank, number, likeness, positive) in &chosen {
                    let text = documents.text(number);
                    let mut candidate = Candidate::negative(anchor.number, &text);
                    candidate.document = Some(number);
                    candidate.score = likeness;
                    let to = positive.map(|number| documents.get(number).id);
                    candidate.detail =
                        json!({ "by": self.by, "rank": rank, "near": to }).to_string();
                    sink.push(&candidate)?;
                }
                sink.count("asked", self.per_anchor);
                sink.count("found", chosen.len());
            }
        }
        Ok(())
    }
}

fn positives(anchor: i64, judgements: &Judgements<'_>) -> BTreeSet<i64> {
    judgements
        .of(anchor)
        .filter(|one| one.relevant)
        .map(|one| one.document)
        .collect()
}

impl SameTopic {
    fn check(&self) -> Result<()> {
        if self.range_min >= self.top_k {
            return Err(Error::config(
                "/range_min",
                format!("must be below top_k, which is {}", self.top_k),
            ));
        }
        match (self.min_similarity, self.max_similarity) {
            (Some(min), Some(max)) if min > max => Err(Error::config(
                "/min_similarity",
                format!("must be at most max_similarity, which is {max}"),
            )),
            _ => Ok(()),
        }
    }

    /// Rank, document, likeness and positive of those an anchor may be given.
    fn near(
        &self,
        ranked: &[(i64, f32, Option<i64>)],
        admission: &mut Admission<'_, '_>,
        copies: &Copies<'_, '_>,
        sink: &mut Sink<'_>,
    ) -> Vec<(usize, i64, f32, Option<i64>)> {
        let max = self.max_similarity.map_or(f32::INFINITY, |one| one as f32);
        let min = self
            .min_similarity
            .map_or(f32::NEG_INFINITY, |one| one as f32);
        let mut near = Vec::new();
        let mut rank = 0;
        for &(number, likeness, positive) in ranked {
            if rank == self.top_k {
                break;
            }
            if likeness < min {
                break;
            }
            if likeness > max {
                // Not counted one by one: the bound is meant to pass over what lies above it.
                continue;
            }
            if admission.refuses(number).is_ok()
                && copies.overlap(number, admission.positives()) >= self.near_duplicate
            {
                sink.count("dropped: near-duplicate of a positive", 1);
                continue;
            }
            if let Err(why) = admission.document(number) {
                sink.count(why, 1);
                continue;
            }
            rank += 1;
            if rank > self.range_min {
                near.push((rank, number, likeness, positive));
            }
        }
        near
    }
}
