//! Randomness out of the host's seed.

/// A small seeded generator (SplitMix64, Steele et al. 2014): for choices, not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    pub(crate) fn new(seed: u64, salt: &[u64]) -> Self {
        let mut state = mix(seed ^ 0x9E37_79B9_7F4A_7C15);
        for &one in salt {
            state = mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ mix(one));
        }
        Self(state)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A whole number in `0..bound`, without bias (Lemire 2019).
    ///
    /// # Panics
    /// If `bound` is 0.
    #[allow(clippy::cast_possible_truncation)]
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "below(0): there is nothing to choose from");
        let bound = bound as u64;
        loop {
            let wide = u128::from(self.bits()) * u128::from(bound);
            if (wide as u64) >= bound.wrapping_neg() % bound {
                return (wide >> 64) as usize;
            }
        }
    }

    /// A number in `0.0..1.0`.
    #[allow(clippy::cast_precision_loss)]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of `items`, or `None` if there are none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            None
        } else {
            items.get(self.below(items.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_salts_part_them() {
        let draw = |seed, salt: &[u64]| Random::new(seed, salt).bits();
        assert_eq!(draw(7, &[1, 2]), draw(7, &[1, 2]));
        assert_ne!(draw(7, &[1, 2]), draw(7, &[2, 1]));
        assert_ne!(draw(7, &[]), draw(8, &[]));
    }

    #[test]
    fn numbers_below_a_bound_reach_every_value_about_equally() {
        let mut random = Random::new(3, &[]);
        let mut seen = [0u32; 6];
        for _ in 0..60_000 {
            seen[random.below(6)] += 1;
        }
        assert!(
            seen.iter().all(|&n| (9_500..10_500).contains(&n)),
            "{seen:?}"
        );
    }
}
