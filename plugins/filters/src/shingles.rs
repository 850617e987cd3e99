//! Texts as sets of word shingles: what `duplicate` and `leakage` compare.

/// Hashes of a text's words, in order. A word is a run of letters and digits, lower-cased: marks and spaces do not count.
pub(crate) fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::with_capacity(text.len() / 6);
    let mut word = None;
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            add(&mut word, letter.to_ascii_lowercase());
        } else if letter.is_alphanumeric() {
            for lower in letter.to_lowercase() {
                add(&mut word, lower);
            }
        } else {
            words.extend(word.take().map(mix));
        }
    }
    words.extend(word.map(mix));
    words
}

/// FNV-1a, a letter at a time.
fn add(word: &mut Option<u64>, letter: char) {
    let hash = word.get_or_insert(0xCBF2_9CE4_8422_2325);
    *hash = (*hash ^ u64::from(letter)).wrapping_mul(0x0100_0000_01B3);
}

/// The finaliser of SplitMix64: every bit of `z` reaches every bit of the answer.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One hash of several, which their order changes.
pub(crate) fn chain(hashes: &[u64]) -> u64 {
    hashes.iter().fold(0, |sum, &hash| {
        mix(sum.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ hash)
    })
}

/// The distinct runs of `size` words, as sorted hashes; all the words as one where there are fewer.
pub(crate) fn shingles(words: &[u64], size: usize) -> Vec<u64> {
    let size = size.min(words.len()).max(1);
    let mut all: Vec<u64> = words.windows(size).map(chain).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A set of shingles that is compared with many others.
pub(crate) struct Set {
    /// Sorted.
    shingles: Vec<u64>,
    /// The bit that each shingle falls on.
    bits: [u64; 16],
}

impl Set {
    /// Of sorted, distinct shingles.
    pub fn new(shingles: Vec<u64>) -> Self {
        let mut bits = [0; 16];
        for &one in &shingles {
            bits[(one >> 6 & 15) as usize] |= 1 << (one & 63);
        }
        Self { shingles, bits }
    }

    /// The shingles, sorted.
    pub fn shingles(&self) -> &[u64] {
        &self.shingles
    }

    /// The Jaccard similarity with `other`, if it is at least `threshold`.
    pub fn jaccard(&self, other: &Self, threshold: f64) -> Option<f64> {
        let sum = self.shingles.len() + other.shingles.len();
        if sum == 0 {
            return None;
        }
        // |A ∩ B| / |A ∪ B| >= t needs t / (1 + t) of the sum of both in common: the rest may differ, and not more.
        let needed = (threshold / (1.0 + threshold) * sum as f64 - 1e-6).ceil();
        let may_differ = sum.saturating_sub(2 * needed.max(0.0) as usize);
        // A bit of one alone is a shingle of one alone (Sandes et al. 2020): cheap, and never wrong.
        let bits = self.bits.iter().zip(&other.bits);
        let differing: u32 = bits.map(|(a, b)| (a ^ b).count_ones()).sum();
        if differing as usize > may_differ {
            return None;
        }
        let common = common(&self.shingles, &other.shingles, may_differ)?;
        let similarity = common as f64 / (sum - common) as f64;
        (similarity >= threshold).then_some(similarity)
    }
}

/// How many values two sorted sets share, unless more than `may_differ` are in one alone.
fn common(a: &[u64], b: &[u64], may_differ: usize) -> Option<usize> {
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Equal => {
                common += 1;
                i += 1;
                j += 1;
                continue;
            }
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
        }
        if i + j - 2 * common > may_differ {
            return None;
        }
    }
    Some(common)
}

/// The beginning of a text, for a reason that names it.
pub(crate) fn beginning(text: &str) -> String {
    const WORDS: usize = 8;
    let mut words = text.split_whitespace();
    let mut first: Vec<&str> = words.by_ref().take(WORDS).collect();
    if words.next().is_some() {
        first.push("…");
    }
    first.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_whatever_their_case_and_what_stands_between() {
        let same = words("The p-value: 0.05 (ÉTÉ)");
        assert_eq!(same.len(), 6);
        assert_eq!(same, words("the P value 0 05 été."));
        assert_ne!(same, words("the p value 0 06 été"));
        assert!(words(" — …").is_empty());
    }

    #[test]
    fn order_counts_within_a_shingle_and_not_among_them() {
        let of = |text: &str, size| shingles(&words(text), size);
        assert_ne!(of("a b c", 3), of("c b a", 3));
        assert_eq!(of("a b c", 1), of("c b a", 1));
        assert_eq!(of("a b a b a b", 2).len(), 2);
        // Shorter than a shingle: one, of all its words.
        assert_eq!(of("a b", 3).len(), 1);
        assert!(of("", 3).is_empty());
    }

    #[test]
    fn jaccard_is_that_of_the_sets_at_and_over_the_threshold() {
        // By hand: {1, 2, 3, 4} and {2, 3, 4, 5} share 3 of 5.
        let [a, b, c, none] =
            [&[1, 2, 3, 4][..], &[2, 3, 4, 5], &[9], &[]].map(|set| Set::new(set.to_vec()));
        for (threshold, expected) in [(0.0, Some(0.6)), (0.6, Some(0.6)), (0.61, None)] {
            assert_eq!(a.jaccard(&b, threshold), expected, "{threshold}");
        }
        assert_eq!(a.jaccard(&a, 1.0), Some(1.0));
        assert_eq!(a.jaccard(&c, 0.0), Some(0.0));
        assert_eq!(a.jaccard(&none, 0.1), None);
        assert_eq!(none.jaccard(&none, 0.5), None);
    }
}
