//! Full-corpus retrieval: exact dense search, BM25, and the metrics of both.

mod bm25;
mod dense;
mod memo;
mod metrics;
mod search;

pub use bm25::Bm25Index;
pub(crate) use bm25::terms;
pub use dense::{DenseIndex, Embedded, Texts, tokenize};
pub(crate) use memo::Failure;
pub use memo::Memo;
pub use metrics::{Scored, score_ranking};
pub use search::top_k;

/// Documents with their scores, best first.
pub type Ranking = Vec<(usize, f32)>;

/// How deep rankings go: enough for every cut-off a metric may have.
pub const DEPTH: usize = 1000;

/// The best `k` of `scores` as (place, score), best first, ties by lower place.
#[must_use]
pub fn best(scores: &[f32], k: usize) -> Vec<(usize, f32)> {
    let order = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    let mut places: Vec<usize> = (0..scores.len()).collect();
    if k < places.len() {
        places.select_nth_unstable_by(k, order);
        places.truncate(k);
    }
    places.sort_unstable_by(order);
    places
        .into_iter()
        .map(|place| (place, scores[place]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::best;

    #[test]
    fn ties_go_to_the_lower_place() {
        assert_eq!(
            best(&[0.5, 0.9, 0.5, 0.9], 3),
            [(1, 0.9), (3, 0.9), (0, 0.5)]
        );
        assert_eq!(best(&[0.1], 5), [(0, 0.1)]);
    }
}
