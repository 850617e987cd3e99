//! Exact search: the documents with the greatest dot products, the same on every machine and for every number of threads.
//!
//! A fast kernel says which products may be high enough. It is a little off, by no more than a bound: whoever lies below
//! the k-th best by more than that cannot be among the best. The few that are left are scored again by `dot`, whose bits
//! are fixed, and ordered by that, ties by lower document. The answer is that of scoring every pair by `dot`.
//!
//! Memory beside the arguments: the answer, `16 * k` bytes a query, up to twice while it is put together; and for each
//! thread `QUERIES * (2 * dim + 8 * (2 * k + SLACK))` bytes for a block of queries and its candidates and
//! `TILE * (4 * dim + 12 * QUERIES)` for a tile of documents.

use orchestrator_model::{Bound, Lengths, Products};
use orchestrator_plugin_host::{dot, dots};
use rayon::prelude::*;

use super::best;

/// Queries and documents of a tile: what it takes stays in the second cache. Documents in multiples of the kernel's groups.
const QUERIES: usize = 384;
const TILE: usize = 252;
/// Room for candidates beyond twice `k`.
const SLACK: usize = 256;
/// Documents are cut into pieces of at least this many, and this many times `k`, for up to `TASKS` tasks: each piece finds
/// out anew what is high enough.
const PIECE: usize = 32_768;
const PIECE_BY_K: usize = 512;
const TASKS: usize = 64;

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
    let lengths = documents
        .par_chunks(TILE * dim)
        .map(|some| Lengths::of(some, dim))
        .reduce(|| Lengths::NONE, Lengths::and);
    // Cut into tasks by what there is, not by who will do them. Each block of queries makes the documents ready for the
    // kernel: only where documents are few may it be small.
    let most_pieces = m.div_ceil(PIECE.max(PIECE_BY_K * k));
    let block = if most_pieces == 1 {
        n.div_ceil(TASKS / 4)
            .next_multiple_of(16)
            .clamp(64, QUERIES)
    } else {
        QUERIES
    };
    let blocks = n.div_ceil(block);
    let pieces = (TASKS / blocks.max(1)).clamp(1, most_pieces);
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
            .run(lengths)
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
        all.shrink_to_fit();
        all
    })
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

    fn run(&self, of_documents: Lengths) -> Vec<Ranking> {
        let of_queries = Lengths::of(self.queries, self.dim);
        let lengths = of_queries.and(of_documents);
        let mut products = Products::of(self.queries, self.dim, lengths).ok();
        let fixed = Bound::of_floats(self.dim);
        let room = self.room().min(self.documents.len() / self.dim);
        let mut rows: Vec<Row<'_>> = self
            .queries
            .chunks_exact(self.dim)
            .map(|query| {
                let product = Lengths::of(query, self.dim).longest * of_documents.longest;
                // Both the k-th best and a candidate may be off.
                let window = products.as_ref().map(Products::bound).map(|fast| {
                    let share = fast.share + fixed.share;
                    2.0 * (share * product + fast.least + fixed.least)
                });
                Row {
                    search: self,
                    query,
                    // Lengths that may overflow prove nothing.
                    window: window.filter(|_| product < f64::from(f32::MAX) / 4.0),
                    candidates: Vec::with_capacity(room),
                }
            })
            .collect();
        // Where nothing is proved nothing reaches, and every document is scored at the end.
        let open = |row: &Row<'_>| row.window.map_or(f32::NAN, |_| f32::NEG_INFINITY);
        let mut enter: Vec<f32> = rows.iter().map(open).collect();
        let mut hits = Vec::new();
        for (number, documents) in self.documents.chunks(TILE * self.dim).enumerate() {
            let reaching = products
                .as_mut()
                .map(|products| products.reaching(documents, &enter, &mut hits));
            if !matches!(reaching, Some(Ok(()))) {
                rows.iter_mut().for_each(|row| row.window = None);
                break;
            }
            for (row, document, score) in hits.drain(..) {
                let enter = &mut enter[row as usize];
                if score >= *enter {
                    let document = (number * TILE) as u32 + document;
                    rows[row as usize].take(score, document, enter);
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
            let found = self.candidates.iter();
            return found
                .map(|&(score, place)| (first + place as usize, score))
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
