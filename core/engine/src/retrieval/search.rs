//! Exact search: the documents with the greatest dot products, the same on every machine and for every number of threads.
//!
//! A fast matrix product scores tiles of documents; its last bits depend on the processor. So it only says who cannot be
//! among the best: whoever lies below the k-th best by more than rounding can explain. The few that are left are scored
//! again by `dot`, whose bits are fixed, and ordered by that, ties by lower document. The answer is that of scoring every
//! pair by `dot`.
//!
//! Beside its arguments and its answer, a thread holds one tile and the candidates of one block of queries:
//! `4 * QUERIES * TILE + 8 * QUERIES * (2 k + SLACK)` bytes, and the product's packed copies, under 2 MiB.

use orchestrator_model::{products, rounding};
use orchestrator_plugin_host::{dot, dots};
use rayon::prelude::*;

use super::best;

/// Queries and documents of a tile: it stays in the second cache with what it is made of.
const QUERIES: usize = 192;
const TILE: usize = 512;
/// Scores looked at together.
const LOOK: usize = 16;
/// Room for candidates beyond twice `k`.
const SLACK: usize = 256;
/// Few queries are cut finer, and their documents into pieces of at least this many, up to `TASKS` tasks.
const PIECE: usize = 16_384;
const TASKS: usize = 16;

/// The `k` documents with the greatest dot products with each query, best first, ties by lower place. `queries` and
/// `documents` are `[rows, dim]`.
///
/// # Panics
/// If there are 2^32 documents or more, or `dim` is 0.
#[must_use]
pub fn top_k(queries: &[f32], documents: &[f32], dim: usize, k: usize) -> Vec<Vec<(usize, f32)>> {
    let (n, m) = (queries.len() / dim, documents.len() / dim);
    assert!(u32::try_from(m).is_ok(), "{m} documents are too many");
    let k = k.min(m);
    if k == 0 {
        return vec![Vec::new(); n];
    }
    let longest = documents
        .par_chunks(TILE * dim)
        .map(|some| longest(some, dim))
        .reduce(|| 0.0, greater);
    let block = n.div_ceil(TASKS).clamp(QUERIES / 2, QUERIES);
    let blocks = n.div_ceil(block);
    let pieces = (TASKS / blocks.max(1)).clamp(1, m.div_ceil(PIECE));
    let piece = m.div_ceil(pieces).next_multiple_of(TILE);
    let found: Vec<Vec<Ranking>> = (0..blocks * pieces)
        .into_par_iter()
        .map(|task| {
            let (block_of, piece_of) = (task / pieces, task % pieces);
            let block = queries.chunks(block * dim).nth(block_of);
            let some = documents.chunks(piece * dim).nth(piece_of);
            Search {
                queries: block.unwrap_or_default(),
                documents: some.unwrap_or_default(),
                first: piece_of * piece,
                dim,
                k,
            }
            .run(longest)
        })
        .collect();
    if pieces == 1 {
        return found.into_iter().flatten().collect();
    }
    found
        .chunks(pieces)
        .flat_map(|of_block| merged(of_block, k))
        .collect()
}

/// Documents with their scores, best first.
type Ranking = Vec<(usize, f32)>;

/// The best of what the pieces of the documents gave.
fn merged(pieces: &[Vec<Ranking>], k: usize) -> impl Iterator<Item = Ranking> {
    (0..pieces[0].len()).map(move |row| {
        let mut all: Ranking = pieces
            .iter()
            .flat_map(|piece| piece[row].iter().copied())
            .collect();
        all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    })
}

/// The greater, and NaN before all.
fn greater(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// No less than the length of the longest of some vectors.
fn longest(vectors: &[f32], dim: usize) -> f64 {
    let (share, least) = rounding(dim);
    let squares = vectors
        .chunks_exact(dim)
        .map(|one| f64::from(dot(one, one)));
    let greatest = squares.fold(0.0, greater);
    (greatest * (1.0 + 2.0 * share) + least).sqrt()
}

/// One block of queries against one piece of the documents.
struct Search<'a> {
    queries: &'a [f32],
    documents: &'a [f32],
    /// Number of its first document.
    first: usize,
    dim: usize,
    k: usize,
}

impl Search<'_> {
    /// How many candidates a query may have at a time.
    fn room(&self) -> usize {
        2 * self.k + SLACK
    }

    fn run(&self, longest_document: f64) -> Vec<Ranking> {
        let (share, least) = rounding(self.dim);
        let room = self.room().min(self.documents.len() / self.dim);
        let mut rows: Vec<Row<'_>> = self
            .queries
            .chunks_exact(self.dim)
            .map(|query| {
                let product = longest(query, self.dim) * longest_document;
                // Two products may each be off, at the k-th best and at a candidate.
                let window = 4.0 * (share * product + least);
                Row {
                    search: self,
                    query,
                    // Lengths that may overflow prove nothing.
                    window: (product < f64::from(f32::MAX) / 4.0).then_some(window),
                    candidates: Vec::with_capacity(room),
                }
            })
            .collect();
        // Where nothing can be proved, every document is scored at the end.
        let open = |row: &Row<'_>| row.window.map_or(f32::INFINITY, |_| f32::NEG_INFINITY);
        let mut enter: Vec<f32> = rows.iter().map(open).collect();
        let mut tile = vec![0.0; rows.len() * TILE];
        for (number, documents) in self.documents.chunks(TILE * self.dim).enumerate() {
            let height = documents.len() / self.dim;
            let tile = &mut tile[..rows.len() * height];
            products(documents, self.queries, self.dim, tile);
            for (place, scores) in tile.chunks_exact(rows.len()).enumerate() {
                let document = (number * TILE + place) as u32;
                let looks = scores.chunks(LOOK).zip(enter.chunks_mut(LOOK));
                for ((scores, enter), rows) in looks.zip(rows.chunks_mut(LOOK)) {
                    // This is what runs for every pair: without a branch.
                    let pairs = scores.iter().zip(&*enter);
                    if pairs.fold(false, |any, (score, enter)| any | (score >= enter)) {
                        for ((score, enter), row) in scores.iter().zip(enter).zip(rows) {
                            if score >= enter {
                                row.take(*score, document, enter);
                            }
                        }
                    }
                }
            }
        }
        rows.into_iter().map(Row::finish).collect()
    }
}

/// The candidates of one query, documents numbered within the piece. Each score is within half the window of its `dot`.
struct Row<'a> {
    search: &'a Search<'a>,
    query: &'a [f32],
    /// How far below the k-th best a candidate may be; `None` if nothing can be said.
    window: Option<f64>,
    candidates: Vec<(f32, u32)>,
}

impl Row<'_> {
    /// Takes a candidate. Whoever is below `enter` cannot be among the best.
    fn take(&mut self, score: f32, document: u32, enter: &mut f32) {
        self.candidates.push((score, document));
        if self.candidates.len() == self.search.room() {
            *enter = self.tighten();
            // More ties than fit: only `dot` can tell them apart.
            if self.candidates.len() > self.search.room() - SLACK / 2 {
                self.settle();
            }
        }
    }

    /// Drops who cannot be among the best any more; what a candidate must have.
    fn tighten(&mut self) -> f32 {
        let last = self.search.k - 1;
        if last >= self.candidates.len() {
            return f32::NEG_INFINITY;
        }
        let (_, kth, _) = self
            .candidates
            .select_nth_unstable_by(last, |a, b| b.0.total_cmp(&a.0));
        let enter = f64::from(kth.0) - self.window.unwrap_or(f64::INFINITY);
        let enter = (enter as f32).next_down();
        self.candidates.retain(|one| one.0 >= enter);
        enter
    }

    /// Scores the candidates by `dot` and leaves the best.
    fn settle(&mut self) {
        let dim = self.search.dim;
        let document = |place: u32| &self.search.documents[place as usize * dim..][..dim];
        let (fours, rest) = self.candidates.as_chunks_mut::<4>();
        for four in fours {
            let scores = dots(self.query, four.map(|(_, place)| document(place)));
            for (one, score) in four.iter_mut().zip(scores) {
                one.0 = score;
            }
        }
        for (score, place) in rest {
            *score = dot(self.query, document(*place));
        }
        self.candidates
            .sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        self.candidates.truncate(self.search.k);
    }

    fn finish(mut self) -> Ranking {
        let first = self.search.first;
        if self.window.is_some() {
            self.tighten();
            self.settle();
            let found = self.candidates.into_iter();
            return found
                .map(|(score, place)| (first + place as usize, score))
                .collect();
        }
        let documents = self.search.documents.chunks_exact(self.search.dim);
        let scores: Vec<f32> = documents.map(|one| dot(self.query, one)).collect();
        let mut found = best(&scores, self.search.k);
        for (document, _) in &mut found {
            *document += first;
        }
        found
    }
}
