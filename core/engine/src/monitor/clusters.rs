//! k-means over embeddings: seeded by k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's algorithm (1982). The same groups for
//! any number of threads: rows find their centre alone, and centres are summed in the order of the rows.

use orchestrator_plugin_host::{dot, dots};
use rayon::prelude::*;

use crate::seed::unit;

/// Rounds after which centres stay where they are.
const ROUNDS: usize = 12;

/// Unit-length rows `[n, dim]`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'r> {
    pub values: &'r [f32],
    pub dim: usize,
}

impl<'r> Rows<'r> {
    pub fn len(self) -> usize {
        self.values.len() / self.dim.max(1)
    }

    pub fn at(self, place: usize) -> &'r [f32] {
        &self.values[place * self.dim..(place + 1) * self.dim]
    }

    /// Squared Euclidean distance to a vector whose squared length is `length`.
    fn distance(self, place: usize, to: &[f32], length: f32) -> f32 {
        let row = self.at(place);
        (dot(row, row) - 2.0 * dot(row, to) + length).max(0.0)
    }
}

/// Places of up to `k` rows to begin with: the first by the seed, each next one with a chance that grows with its squared distance
/// to those chosen. Fewer where there are fewer distinct rows.
pub(crate) fn first_centres(rows: Rows<'_>, k: usize, seed: u64) -> Vec<usize> {
    let n = rows.len();
    if n == 0 || k == 0 {
        return Vec::new();
    }
    let draw = |place: usize| unit(seed, "k-means++", &[place as u64]);
    let mut chosen = vec![(draw(0) * n as f64) as usize];
    let mut nearest = vec![f32::INFINITY; n];
    while chosen.len() < k {
        let last = rows.at(chosen[chosen.len() - 1]);
        let length = dot(last, last);
        nearest.par_iter_mut().enumerate().for_each(|(place, one)| {
            // What is rounding of the same row counts as no distance.
            let distance = rows.distance(place, last, length);
            *one = one.min(if distance < 1e-6 { 0.0 } else { distance });
        });
        let sum: f64 = nearest.iter().map(|one| f64::from(*one)).sum();
        let mut left = draw(chosen.len()) * sum;
        let mut next = None;
        for (place, one) in nearest.iter().enumerate() {
            if *one > 0.0 {
                next = Some(place);
                left -= f64::from(*one);
                if left < 0.0 {
                    break;
                }
            }
        }
        match next {
            Some(place) => chosen.push(place),
            None => break,
        }
    }
    chosen
}

/// The group of each row, from centres `[k, dim]` on. A centre that loses all its rows stays where it is.
pub(crate) fn k_means(rows: Rows<'_>, mut centres: Vec<f32>) -> Vec<usize> {
    let dim = rows.dim;
    let k = centres.len() / dim.max(1);
    let mut groups = vec![usize::MAX; rows.len()];
    if k == 0 {
        return groups;
    }
    for _ in 0..ROUNDS {
        let lengths: Vec<f32> = centres.chunks_exact(dim).map(|one| dot(one, one)).collect();
        let nearest = |place: usize| {
            let row = rows.at(place);
            let mut best = (f32::INFINITY, 0);
            for (four, block) in centres.chunks(4 * dim).enumerate() {
                // A last block of fewer than four is filled up with its first.
                let centre = |one: usize| block.chunks_exact(dim).nth(one).unwrap_or(&block[..dim]);
                let products = dots(row, [0, 1, 2, 3].map(centre));
                for (one, product) in products.iter().enumerate().take(block.len() / dim) {
                    let group = 4 * four + one;
                    let distance = lengths[group] - 2.0 * product;
                    if distance < best.0 {
                        best = (distance, group);
                    }
                }
            }
            best.1
        };
        let now: Vec<usize> = (0..rows.len()).into_par_iter().map(nearest).collect();
        if now == groups {
            break;
        }
        groups = now;
        let mut sums = vec![0.0f64; centres.len()];
        let mut counts = vec![0usize; k];
        for (place, group) in groups.iter().enumerate() {
            counts[*group] += 1;
            let sum = &mut sums[group * dim..(group + 1) * dim];
            for (sum, value) in sum.iter_mut().zip(rows.at(place)) {
                *sum += f64::from(*value);
            }
        }
        for (group, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let of_group = group * dim..(group + 1) * dim;
            for (centre, sum) in centres[of_group.clone()].iter_mut().zip(&sums[of_group]) {
                *centre = (sum / *count as f64) as f32;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, numbers};
    use super::*;

    fn floats(of: &serde_json::Value) -> Vec<f32> {
        numbers(of).into_iter().map(|one| one as f32).collect()
    }

    #[test]
    fn groups_are_those_of_scikit_learn_from_the_same_centres() {
        let case = fixture()["clusters"].clone();
        let dim = case["dim"].as_u64().expect("dim") as usize;
        let values = floats(&case["rows"]);
        let rows = Rows {
            values: &values,
            dim,
        };
        let groups: Vec<f64> = k_means(rows, floats(&case["centres"]))
            .into_iter()
            .map(|group| group as f64)
            .collect();
        assert_eq!(groups, numbers(&case["groups"]));
    }

    #[test]
    fn seeds_are_spread_and_never_the_same_row_twice() {
        // Three places, each with many rows.
        let places = [[1.0f32, 0.0], [0.0, 1.0], [-1.0, 0.0]];
        let values: Vec<f32> = (0..60).flat_map(|n| places[n % 3]).collect();
        let rows = Rows {
            values: &values,
            dim: 2,
        };
        for seed in 0..20 {
            let mut found: Vec<usize> = first_centres(rows, 5, seed)
                .into_iter()
                .map(|place| place % 3)
                .collect();
            found.sort_unstable();
            assert_eq!(found, [0, 1, 2], "seed {seed}: as many as there are places");
        }
        let none = Rows {
            values: &[],
            dim: 2,
        };
        assert!(first_centres(none, 5, 1).is_empty());
        assert!(k_means(none, vec![1.0, 0.0]).is_empty());
    }
}
