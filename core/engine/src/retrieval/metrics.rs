//! Metrics of a ranking with binary relevance, as trec_eval defines them; checked against ir-measures.

use std::collections::BTreeSet;

use orchestrator_config::{Metric, MetricKind};

/// What a ranking is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// One value a metric, in their order.
    pub values: Vec<f64>,
    /// Rank (from 1) of the first relevant document.
    pub first_relevant: Option<usize>,
}

/// Scores one ranking (best first) against the relevant documents, of which there must be at least one.
#[must_use]
pub fn score_ranking(ranking: &[usize], relevant: &BTreeSet<usize>, metrics: &[Metric]) -> Scored {
    let hits: Vec<bool> = ranking
        .iter()
        .map(|document| relevant.contains(document))
        .collect();
    let first = hits.iter().position(|hit| *hit);
    let values = metrics
        .iter()
        .map(|metric| {
            let cut = &hits[..metric.cutoff.unwrap_or(hits.len()).min(hits.len())];
            match metric.kind {
                MetricKind::Ndcg => {
                    let ideal = relevant.len().min(metric.cutoff.unwrap_or(usize::MAX));
                    gain(cut.iter().copied()) / gain(std::iter::repeat_n(true, ideal))
                }
                MetricKind::Recall => {
                    cut.iter().filter(|hit| **hit).count() as f64 / relevant.len() as f64
                }
                MetricKind::Mrr => cut
                    .iter()
                    .position(|hit| *hit)
                    .map_or(0.0, |place| 1.0 / (place + 1) as f64),
                MetricKind::Map => {
                    let mut found = 0.0;
                    let mut sum = 0.0;
                    for (place, _) in cut.iter().enumerate().filter(|(_, hit)| **hit) {
                        found += 1.0;
                        sum += found / (place + 1) as f64;
                    }
                    sum / relevant.len() as f64
                }
            }
        })
        .collect();
    Scored {
        values,
        first_relevant: first.map(|place| place + 1),
    }
}

/// Discounted cumulative gain.
fn gain(hits: impl Iterator<Item = bool>) -> f64 {
    hits.enumerate()
        .filter(|(_, hit)| *hit)
        .map(|(place, _)| 1.0 / ((place + 2) as f64).log2())
        .sum()
}
