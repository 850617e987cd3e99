//! Masks of dropout (Srivastava et al. 2014) that are made from a seed and a place whenever they are wanted: the way back
//! makes the same again, and nothing is kept.

use crate::kernels;

/// Which values are dropped in one pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dropout {
    seed: u64,
    threshold: u32,
    factor: f32,
}

/// A row of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site {
    pub layer: usize,
    /// 0: embeddings, 1: what attention adds, 2: what the feed-forward part adds, 3 and on: the shares of a head.
    pub kind: usize,
    /// The text's number in the pass.
    pub text: usize,
    pub position: usize,
}

impl Dropout {
    /// Drops a share of `rate`, above 0 and below 1.
    pub fn new(seed: u64, rate: f32) -> Self {
        Self {
            seed,
            threshold: (f64::from(rate) * 4_294_967_296.0) as u32,
            factor: 1.0 / (1.0 - rate),
        }
    }

    /// Drops some of a row, and scales the rest.
    pub fn row(&self, values: &mut [f32], site: Site) {
        let mut seed = self.seed;
        for number in [site.layer, site.kind, site.text, site.position] {
            // splitmix64 (Steele, Lea, Flood 2014).
            seed = (seed ^ number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
            seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            seed ^= seed >> 31;
        }
        kernels::drop_out(
            values,
            (seed >> 32) as u32 ^ seed as u32,
            self.threshold,
            self.factor,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_asked_share_is_dropped_and_the_mean_stays() {
        let dropout = Dropout::new(7, 0.1);
        let (mut kept, mut sum) = (0, 0.0);
        for position in 0..200 {
            let mut row = vec![1.0f32; 500];
            let site = Site {
                layer: 1,
                kind: 2,
                text: 3,
                position,
            };
            dropout.row(&mut row, site);
            let mut again = vec![1.0f32; 500];
            dropout.row(&mut again, site);
            assert_eq!(row, again);
            kept += row.iter().filter(|value| **value != 0.0).count();
            sum += row.iter().map(|value| f64::from(*value)).sum::<f64>();
        }
        assert!((kept as f64 / 100_000.0 - 0.9).abs() < 0.004, "{kept}");
        assert!((sum / 100_000.0 - 1.0).abs() < 0.005);
    }
}
