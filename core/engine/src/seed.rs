//! Where all randomness comes from: a keyed hash of the experiment's seed and a purpose. Nothing holds a generator across
//! ticks.

use sha2::{Digest as _, Sha256};

/// 64 bits for a purpose.
pub(crate) fn seed(experiment: u64, purpose: &str, numbers: &[u64]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(experiment.to_le_bytes());
    hash.update(purpose.as_bytes());
    for number in numbers {
        hash.update(number.to_le_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_le_bytes(first)
}

/// A number in `0.0..1.0` for a purpose.
pub(crate) fn unit(experiment: u64, purpose: &str, numbers: &[u64]) -> f64 {
    (seed(experiment, purpose, numbers) >> 11) as f64 / (1u64 << 53) as f64
}

/// Orders `items` at random: by a hash of each place, so that no generator is walked.
pub(crate) fn shuffled<T>(
    items: Vec<T>,
    experiment: u64,
    purpose: &str,
    numbers: &[u64],
) -> Vec<T> {
    let key = seed(experiment, purpose, numbers);
    let mut keyed: Vec<(u64, usize, T)> = items
        .into_iter()
        .enumerate()
        .map(|(place, item)| {
            (
                mix(key ^ (place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
                place,
                item,
            )
        })
        .collect();
    keyed.sort_by_key(|(hash, place, _)| (*hash, *place));
    keyed.into_iter().map(|(_, _, item)| item).collect()
}

/// SplitMix64's finaliser (Steele et al. 2014).
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::shuffled;

    #[test]
    fn a_shuffle_keeps_every_item_and_depends_on_seed_and_purpose_only() {
        let items: Vec<u32> = (0..100).collect();
        let one = shuffled(items.clone(), 1, "epoch", &[3]);
        assert_eq!(one, shuffled(items.clone(), 1, "epoch", &[3]));
        assert_ne!(one, shuffled(items.clone(), 1, "epoch", &[4]));
        let mut sorted = one;
        sorted.sort_unstable();
        assert_eq!(sorted, items);
    }
}
