//! MinHash signatures of sets, and buckets in which similar sets meet (locality-sensitive hashing).

use std::collections::HashMap;

use crate::shingles::{chain, mix};

/// How often, at most, two sets exactly as similar as the threshold may fail to meet.
const MISSED: f64 = 1e-6;

/// Turns sets into the keys of buckets.
pub(crate) struct MinHash {
    /// `x -> a * x + b` modulo 2^64, `a` odd.
    permutations: Vec<(u64, u64)>,
    rows: usize,
}

impl MinHash {
    /// With `count` permutations out of what `draw` gives, cut into bands so that sets of Jaccard similarity `threshold` or
    /// more meet in a bucket.
    pub fn new(count: usize, threshold: f64, mut draw: impl FnMut() -> u64) -> Self {
        Self {
            permutations: (0..count).map(|_| (draw() | 1, draw())).collect(),
            rows: rows(count, threshold),
        }
    }

    /// The least value of a set under each permutation: two sets agree at a place with the probability of their Jaccard
    /// similarity.
    pub fn signature(&self, set: &[u64]) -> Vec<u32> {
        /// Permutations worked on together: their minima do not wait for each other.
        const LANES: usize = 8;
        let mut signature = Vec::with_capacity(self.permutations.len());
        for some in self.permutations.chunks(LANES) {
            let mut lanes = [(1, 0); LANES];
            lanes[..some.len()].copy_from_slice(some);
            let mut least = [u64::MAX; LANES];
            for &one in set {
                for (least, (a, b)) in least.iter_mut().zip(lanes) {
                    *least = (*least).min(one.wrapping_mul(a).wrapping_add(b));
                }
            }
            signature.extend(least[..some.len()].iter().map(|least| (least >> 32) as u32));
        }
        signature
    }

    /// One key a band of the set's signature: sets with a key in common are candidates.
    pub fn keys(&self, set: &[u64]) -> Vec<u64> {
        self.signature(set)
            .chunks_exact(self.rows)
            .enumerate()
            .map(|(band, some)| {
                some.iter()
                    .fold(mix(band as u64 + 1), |key, &one| chain(&[key, one.into()]))
            })
            .collect()
    }
}

/// The most rows a band may have: the more, the fewer candidates, and the more often a pair is missed, which a pair of
/// similarity `s` is in `(1 - s^rows)^bands` of all cases (Leskovec, Rajaraman and Ullman, chapter 3).
fn rows(permutations: usize, threshold: f64) -> usize {
    let missed = |rows: usize| {
        let bands = permutations / rows;
        (1.0 - threshold.powi(rows as i32)).powi(bands as i32)
    };
    (1..=permutations)
        .take_while(|&rows| missed(rows) <= MISSED)
        .last()
        .unwrap_or(1)
}

/// What lies in which bucket.
#[derive(Default)]
pub(crate) struct Buckets {
    by_key: HashMap<u64, Vec<u32>>,
    /// For each item the last question it was an answer to.
    met: Vec<u32>,
    questions: u32,
}

impl Buckets {
    /// Puts `item` into the buckets of `keys`.
    pub fn insert(&mut self, item: u32, keys: &[u64]) {
        for &key in keys {
            self.by_key.entry(key).or_default().push(item);
        }
        let items = item as usize + 1;
        if self.met.len() < items {
            self.met.resize(items, 0);
        }
    }

    /// What lies in any bucket of `keys`, each once.
    pub fn meeting(&mut self, keys: &[u64]) -> Vec<u32> {
        self.questions += 1;
        let mut found = Vec::new();
        for &item in keys.iter().filter_map(|key| self.by_key.get(key)).flatten() {
            let met = &mut self.met[item as usize];
            if *met != self.questions {
                *met = self.questions;
                found.push(item);
            }
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::shingles::Set;

    /// A set of `size` and one that shares `common` with it.
    fn pair(size: u64, common: u64, seed: u64) -> (Vec<u64>, Vec<u64>) {
        let draw = |from: u64, to: u64| (from..to).map(|one| mix(seed << 32 | one));
        let mut a: Vec<u64> = draw(0, size).collect();
        let mut b: Vec<u64> = draw(size - common, 2 * size - common).collect();
        a.sort_unstable();
        b.sort_unstable();
        (a, b)
    }

    fn source(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            mix(state)
        }
    }

    #[test]
    fn the_share_of_equal_places_estimates_jaccard_as_closely_as_the_theory_says() {
        for (size, common) in [(50, 5), (120, 40), (120, 80), (200, 190), (30, 30)] {
            let (a, b) = pair(size, common, 7);
            let exact = Set::new(a.clone())
                .jaccard(&Set::new(b.clone()), 0.0)
                .unwrap();
            let estimates: Vec<f64> = (0..200)
                .map(|seed| {
                    let hashes = MinHash::new(128, 0.9, source(seed << 20));
                    let (a, b) = (hashes.signature(&a), hashes.signature(&b));
                    a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / 128.0
                })
                .collect();
            let mean = estimates.iter().sum::<f64>() / 200.0;
            let spread = (estimates
                .iter()
                .map(|one| (one - exact).powi(2))
                .sum::<f64>()
                / 200.0)
                .sqrt();
            // A mean of 128 draws of probability J: deviation sqrt(J (1 - J) / 128); of the mean of 200 of them, a
            // 14th of that, of which 4 are allowed.
            let theory = (exact * (1.0 - exact) / 128.0).sqrt();
            assert!(
                (mean - exact).abs() <= 4.0 * theory / 200f64.sqrt() + 1e-9,
                "{exact}: mean {mean}"
            );
            assert!(
                spread <= 1.25 * theory + 1e-9,
                "{exact}: {spread}, in theory {theory}"
            );
        }
    }

    #[test]
    fn bands_are_as_long_as_the_threshold_allows() {
        // (1 - 0.9^6)^21 = 1.2e-7 and (1 - 0.9^7)^18 = 1.3e-5; (1 - 0.5^2)^64 = 1e-8 and (1 - 0.5^3)^42 = 3.7e-3.
        for (threshold, expected) in [(0.9, 6), (0.5, 2), (1.0, 128), (0.1, 1)] {
            assert_eq!(rows(128, threshold), expected, "{threshold}");
        }
    }

    #[test]
    fn similar_sets_meet_and_distant_ones_hardly_ever() {
        let hashes = MinHash::new(128, 0.9, source(3));
        let (mut near, mut far) = (0, 0);
        for seed in 0..500 {
            // 190 of 210: 0.905; 40 of 200: 0.2.
            for (common, met) in [(190, &mut near), (67, &mut far)] {
                let (a, b) = pair(200, common, seed);
                let mut buckets = Buckets::default();
                buckets.insert(1, &hashes.keys(&a));
                *met += buckets.meeting(&hashes.keys(&b)).len();
            }
        }
        assert_eq!(near, 500);
        assert!(far <= 5, "{far}");
    }
}
