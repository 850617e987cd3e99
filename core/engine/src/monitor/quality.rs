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
