//! How well two groups of numbers are apart, and how evenly things are spread: pure functions over values.

pub(crate) use crate::comparing::statistics::{mean, quantile};

/// The middle of the values; of two middles, their mean. `None` of no values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// The share of the values that a condition holds of. `None` of no values.
pub(crate) fn share(values: &[f64], holds: impl Fn(f64) -> bool) -> Option<f64> {
    let n = values.iter().filter(|value| holds(**value)).count();
    (!values.is_empty()).then(|| n as f64 / values.len() as f64)
}

/// How two groups lie to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dominance {
    /// Probability that one of the first is above one of the second, ties half: the area under the ROC curve.
    pub auroc: f64,
    /// Pairs in which the first is above, minus those in which it is below, as a share of all: Cliff (1993).
    pub delta: f64,
}

/// Compares every value of `above` with every value of `below`, both sorted. Counts are whole numbers, so the result is exact
/// but for one division. `None` if there is nothing to compare.
pub(crate) fn dominance(above: &[f64], below: &[f64]) -> Option<Dominance> {
    let (mut higher, mut lower) = (0u64, 0u64);
    for one in above {
        higher += below.partition_point(|other| other < one) as u64;
        lower += (below.len() - below.partition_point(|other| other <= one)) as u64;
    }
    let pairs = above.len() as u64 * below.len() as u64;
    (pairs > 0).then(|| Dominance {
        auroc: (pairs + higher - lower) as f64 / (2 * pairs) as f64,
        delta: (higher as f64 - lower as f64) / pairs as f64,
    })
}

/// The 95 % interval of [`Dominance::auroc`] by the variance of DeLong, DeLong, Clarke-Pearson (1988), within 0 and 1; of the same
/// values, sorted, of which there are two or more on either side.
pub(crate) fn interval(above: &[f64], below: &[f64]) -> Option<(f64, f64)> {
    if above.len() < 2 || below.len() < 2 {
        return None;
    }
    // The share of the others that each value is above, ties half.
    let shares = |of: &[f64], others: &[f64]| -> Vec<f64> {
        let share = |one: &f64| {
            let less = others.partition_point(|other| other < one);
            let no_more = others.partition_point(|other| other <= one);
            (less + no_more) as f64 / (2 * others.len()) as f64
        };
        of.iter().map(share).collect()
    };
    let variance = |shares: &[f64]| {
        let n = shares.len() as f64;
        let mean = shares.iter().sum::<f64>() / n;
        shares.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
    };
    let (of_above, of_below) = (shares(above, below), shares(below, above));
    let mean = of_above.iter().sum::<f64>() / of_above.len() as f64;
    let half = 1.96 * (variance(&of_above) + variance(&of_below)).sqrt();
    Some(((mean - half).max(0.0), (mean + half).min(1.0)))
}

/// The part that two distributions have in common: of their histograms over equal bins from the least value to the largest, the smaller
/// share of each bin, summed. `None` of no values.
pub(crate) fn overlap(one: &[f64], other: &[f64]) -> Option<f64> {
    const BINS: usize = 50;
    let all = || one.iter().chain(other);
    let low = all().copied().fold(f64::INFINITY, f64::min);
    let high = all().copied().fold(f64::NEG_INFINITY, f64::max);
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let shares = |values: &[f64]| {
        let mut shares = [0.0; BINS];
        for value in values {
            let place = (value - low) / (high - low).max(f64::MIN_POSITIVE) * BINS as f64;
            shares[(place as usize).min(BINS - 1)] += 1.0 / values.len() as f64;
        }
        shares
    };
    let both = shares(one).into_iter().zip(shares(other));
    Some(both.map(|(a, b): (f64, f64)| a.min(b)).sum())
}

/// Shannon's entropy of counts as a share of the most that so many groups can have: 1 = evenly spread, 0 = all in one.
/// `None` with fewer than two groups or nothing counted.
pub(crate) fn evenness(counts: &[usize]) -> Option<f64> {
    let all: usize = counts.iter().sum();
    if counts.len() < 2 || all == 0 {
        return None;
    }
    let entropy: f64 = counts
        .iter()
        .filter(|n| **n > 0)
        .map(|n| *n as f64 / all as f64)
        .map(|share| -share * share.ln())
        .sum();
    Some(entropy / (counts.len() as f64).ln())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn figures_are_those_of_numpy_scipy_and_scikit_learn() {
        let cases = fixture()["quality"].clone();
        for case in cases.as_array().expect("cases") {
            let sorted = |name: &str| {
                let mut values = super::super::numbers(&case[name]);
                values.sort_by(f64::total_cmp);
                values
            };
            let (above, below) = (sorted("positives"), sorted("negatives"));
            let close = |a: f64, name: &str| {
                let b = case[name].as_f64().expect("a number");
                assert!((a - b).abs() < 1e-12, "{name}: {a} against {b}");
            };
            let found = dominance(&above, &below).expect("pairs");
            close(found.auroc, "auroc");
            close(found.delta, "delta");
            for share in [5, 25, 50, 75, 95] {
                let value = quantile(&above, f64::from(share) / 100.0).expect("values");
                close(value, &format!("p{share:02}"));
            }
            let counts: Vec<usize> = super::super::numbers(&case["counts"])
                .into_iter()
                .map(|n| n as usize)
                .collect();
            close(evenness(&counts).expect("groups"), "evenness");
        }
    }

    #[test]
    fn the_interval_of_the_auroc_is_near_the_bootstraps_of_scipy() {
        for case in fixture()["intervals"].as_array().expect("cases") {
            let sorted = |name: &str| {
                let mut values = super::super::numbers(&case[name]);
                values.sort_by(f64::total_cmp);
                values
            };
            let (low, high) = interval(&sorted("above"), &sorted("below")).expect("an interval");
            let near = |a: f64, name: &str| (a - case[name].as_f64().expect("a number")).abs();
            assert!(near(low, "low") < 0.01, "{low} {case}");
            assert!(near(high, "high") < 0.01, "{high} {case}");
        }
    }

    #[test]
    fn two_distributions_have_in_common_what_both_have() {
        let (one, other) = ([0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 2.0]);
        assert!((overlap(&one, &other).expect("values") - 0.5).abs() < 1e-12);
        assert!((overlap(&one, &one).expect("values") - 1.0).abs() < 1e-12);
        assert_eq!(overlap(&[], &one), None);
        assert_eq!(overlap(&[3.0], &[3.0]), Some(1.0));
    }

    #[test]
    fn nothing_has_no_figures() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(median(Vec::new()), None);
        assert_eq!(mean(&[]), None);
        assert_eq!(share(&[], |_| true), None);
        assert_eq!(dominance(&[], &[1.0]), None);
        assert_eq!(evenness(&[3]), None);
        assert_eq!(evenness(&[0, 0]), None);
        assert_eq!(evenness(&[5, 0]), Some(0.0));
        assert_eq!(quantile(&[2.0], 0.95), Some(2.0));
    }
}
