//! Our metrics are those of ir-measures, ties and all.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use orchestrator_config::Metric;
use orchestrator_engine::retrieval::{best, score_ranking};
use serde_json::Value;

#[test]
fn metrics_agree_with_ir_measures() {
    let fixture: Value = serde_json::from_str(include_str!("metrics.json")).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let scores: Vec<f32> = case["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_f64().unwrap() as f32)
            .collect();
        let relevant: BTreeSet<usize> = case["relevant"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_u64().unwrap() as usize)
            .collect();
        let ranking: Vec<usize> = best(&scores, 1000)
            .into_iter()
            .map(|(document, _)| document)
            .collect();
        for (name, expected) in case["metrics"].as_object().unwrap() {
            let metric: Metric = name.parse().unwrap();
            let found = score_ranking(&ranking, &relevant, &[metric]).values[0];
            let expected = expected.as_f64().unwrap();
            assert!(
                (found - expected).abs() < 1e-9,
                "{}: {name} is {found}, ir-measures says {expected}",
                case["title"]
            );
        }
    }
}

#[test]
fn a_perfect_run_is_one() {
    for metric in ["ndcg@10", "recall@100", "mrr@10", "map"] {
        let scored = score_ranking(
            &[3, 1, 2],
            &BTreeSet::from([1, 3]),
            &[metric.parse().unwrap()],
        );
        assert!((scored.values[0] - 1.0).abs() < 1e-12, "{metric}");
        assert_eq!(scored.first_relevant, Some(1));
    }
}
