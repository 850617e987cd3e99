//! How much two texts have in common: the overlap of their runs of three words (Broder 1997).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The distinct runs of three words of a text, as sorted hashes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shingles(Vec<u64>);

impl Shingles {
    /// Words are runs of letters and digits, in lower case. A text of fewer than three is one run.
    pub fn of(text: &str) -> Self {
        let text = text.to_lowercase();
        let words: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let run = |words: &[&str]| {
            let mut hash = DefaultHasher::new();
            words.hash(&mut hash);
            hash.finish()
        };
        let mut runs: Vec<u64> = match words.len() {
            0 => Vec::new(),
            1 | 2 => vec![run(&words)],
            _ => words.windows(3).map(run).collect(),
        };
        runs.sort_unstable();
        runs.dedup();
        Self(runs)
    }

    /// Jaccard's index: shared runs by all runs; 0 for texts without words.
    pub fn overlap(&self, other: &Self) -> f64 {
        let (mut shared, mut a, mut b) = (0usize, 0, 0);
        while let (Some(x), Some(y)) = (self.0.get(a), other.0.get(b)) {
            shared += usize::from(x == y);
            a += usize::from(x <= y);
            b += usize::from(y <= x);
        }
        let all = self.0.len() + other.0.len() - shared;
        if all == 0 {
            0.0
        } else {
            shared as f64 / all as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shingles;

    #[test]
    fn overlap_is_the_share_of_runs_of_three_words() {
        for (a, b, overlap) in [
            // Runs: abc, bcd and bcd, cde: one of three.
            ("a b c d", "b c d e", 1.0 / 3.0),
            ("A b, c; d!", "a  b c d", 1.0),
            ("a b c", "d e f", 0.0),
            ("a b", "a b", 1.0),
            ("", "", 0.0),
            ("a b c a b c a b c", "a b c a b c", 1.0),
        ] {
            let found = Shingles::of(a).overlap(&Shingles::of(b));
            assert!((found - overlap).abs() < 1e-12, "{a} / {b}: {found}");
        }
    }
}
