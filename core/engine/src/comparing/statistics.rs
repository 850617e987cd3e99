//! Whether two systems differ, by their values for the same queries. Pure functions: equal input gives equal output.

use crate::seed::mix;

/// Random assignments of a randomisation test, and resamples of a bootstrap.
pub const DRAWS: usize = 10_000;

/// What all draws are derived from: fixed, so that a comparison says the same whenever it is asked.
const SEED: u64 = 0x0C0F_FEE0_5EED;

/// A two-sided paired randomisation test of the mean difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Randomisation {
    /// Share of the assignments of signs whose mean differs from 0 at least as much.
    pub p: f64,
    /// Whether every assignment was counted rather than [`DRAWS`] of them drawn.
    pub exact: bool,
}

/// Paired randomisation test (Fisher's; for retrieval see Smucker, Allan and Carterette, "A comparison of statistical
/// significance tests for information retrieval evaluation", CIKM 2007): under the null hypothesis the two values of a query
/// could as well be swapped, which turns the sign of its difference. Every assignment of signs is counted where there are no
/// more than [`DRAWS`]; else so many are drawn, and the observed one is counted among them, so that p is never 0 (Phipson and
/// Smyth 2010).
///
/// `differences`: one a query, in any unit; p is in 0..=1, and 1 if there is no difference at all. Differences of 0 have no
/// sign and change nothing.
#[must_use]
pub fn randomisation_test(differences: &[f64]) -> Randomisation {
    let signed: Vec<f64> = differences
        .iter()
        .copied()
        .filter(|difference| *difference != 0.0)
        .collect();
    let observed = signed.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order, or with other signs, may differ by rounding.
    let rounding = 1e-12 * signed.iter().map(|one| one.abs()).sum::<f64>();
    let reaches = |sum: f64| sum.abs() >= observed - rounding;
    let sum_under = |word: &dyn Fn(usize) -> u64| -> f64 {
        let mut sum = 0.0;
        for (place, piece) in signed.chunks(64).enumerate() {
            let mut bits = word(place);
            for difference in piece {
                sum += if bits & 1 == 1 {
                    -difference
                } else {
                    *difference
                };
                bits >>= 1;
            }
        }
        sum
    };
    let n = signed.len();
    if n < 64 && (1u64 << n) <= DRAWS as u64 {
        let all = 1u64 << n;
        let reached = (0..all)
            .filter(|signs| reaches(sum_under(&|_| *signs)))
            .count();
        return Randomisation {
            p: reached as f64 / all as f64,
            exact: true,
        };
    }
    let words = n.div_ceil(64) as u64;
    let reached = (0..DRAWS as u64)
        .filter(|draw| reaches(sum_under(&|place| bits(draw * words + place as u64))))
        .count();
    Randomisation {
        p: (reached + 1) as f64 / (DRAWS + 1) as f64,
        exact: false,
    }
}

/// 95 % percentile bootstrap interval of the mean of `values` (Efron and Tibshirani 1993): [`DRAWS`] resamples of the queries
/// with replacement. `None` for no values.
#[must_use]
pub fn bootstrap_interval(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as u64;
    if n == 0 {
        return None;
    }
    let mut means: Vec<f64> = (0..DRAWS as u64)
        .map(|draw| {
            let drawn = (0..n).map(|place| {
                // The high half of a product: a number below n, uniform but for less than one part in 2^32.
                let random = bits(draw * n + place) >> 32;
                values[((random * n) >> 32) as usize]
            });
            drawn.sum::<f64>() / n as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    quantile(&means, 0.025).zip(quantile(&means, 0.975))
}

/// A quantile of sorted values, linear between two (Hyndman and Fan's type 7, numpy's default). `None` of no values.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let low = sorted[place as usize];
    let high = sorted.get(place as usize + 1).copied().unwrap_or(low);
    Some(low + (high - low) * place.fract())
}

/// p values corrected for being several (Holm, "A simple sequentially rejective multiple test procedure", 1979): the k-th
/// smallest of n is multiplied by n - k + 1, and none is smaller than one before it. In the order given, at most 1.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]).then(a.cmp(b)));
    let mut corrected = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (place, which) in order.into_iter().enumerate() {
        least = least.max(p[which] * (p.len() - place) as f64).min(1.0);
        corrected[which] = least;
    }
    corrected
}

/// The mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard deviation of a sample (over n - 1); `None` of fewer than two values.
#[must_use]
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// 64 random bits, the same for the same number.
fn bits(number: u64) -> u64 {
    mix(SEED.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}
