//! How far two annotators agree beyond what chance would bring.

use std::collections::BTreeMap;

use serde::Serialize;

/// Agreement of two annotators.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Items that both labelled.
    pub n: usize,
    /// Items to which both gave the same label.
    pub agreed: usize,
    /// Cohen's kappa, at most 1; 0 is what chance brings. Nothing if there are no items, or both gave one and the same label to
    /// all: chance would bring that too.
    pub kappa: Option<f64>,
}

impl Agreement {
    /// As metrics of the store: `OF/both`, `OF/agreed` and, where there is one, `OF/kappa`.
    pub(crate) fn metrics(self, of: &str) -> Vec<(String, f64)> {
        let mut metrics = vec![
            (format!("{of}/both"), self.n as f64),
            (format!("{of}/agreed"), self.agreed as f64),
        ];
        metrics.extend(self.kappa.map(|kappa| (format!("{of}/kappa"), kappa)));
        metrics
    }
}

/// Cohen's kappa (J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20, 1960):
/// `(observed - expected) / (1 - expected)`, without weights. `pairs`: both labels of each item.
#[must_use]
pub fn cohen_kappa<T: Ord>(pairs: &[(T, T)]) -> Agreement {
    let n = pairs.len();
    let agreed = pairs.iter().filter(|(one, other)| one == other).count();
    let mut counts: BTreeMap<&T, [usize; 2]> = BTreeMap::new();
    for (one, other) in pairs {
        counts.entry(one).or_default()[0] += 1;
        counts.entry(other).or_default()[1] += 1;
    }
    // In whole numbers, times n²: no rounding but in the last division.
    let expected: usize = counts.values().map(|[one, other]| one * other).sum();
    let left = n * n - expected;
    let kappa = (left > 0).then(|| ((n * agreed) as f64 - expected as f64) / left as f64);
    Agreement { n, agreed, kappa }
}
