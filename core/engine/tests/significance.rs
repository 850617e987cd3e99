//! Our tests of significance are scipy's and statsmodels' (bench/fixtures/significance.py).
#![allow(clippy::unwrap_used)]

use orchestrator_engine::comparing::{bootstrap_interval, holm, randomisation_test};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    let all = value.as_array().unwrap().iter();
    all.map(|one| one.as_f64().unwrap()).collect()
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("significance.json")).unwrap()
}

#[test]
fn randomisation_tests_agree_with_scipy() {
    for case in fixture()["cases"].as_array().unwrap() {
        let (title, expected) = (&case["title"], case["p"].as_f64().unwrap());
        let found = randomisation_test(&numbers(&case["differences"]));
        assert_eq!(found.exact, case["exact"].as_bool().unwrap(), "{title}");
        // Of 10,000 draws, a share of p is known to four of its standard errors and to the draw that is always counted.
        let tolerance = if found.exact {
            1e-12
        } else {
            4.0 * (expected * (1.0 - expected) / 1e4).sqrt() + 2e-4
        };
        assert!(
            (found.p - expected).abs() <= tolerance,
            "{title}: {found:?}, scipy {expected}"
        );
    }
}

#[test]
fn bootstrap_intervals_agree_with_scipy() {
    let mut seen = 0;
    for case in fixture()["cases"].as_array().unwrap() {
        let differences = numbers(&case["differences"]);
        let found = bootstrap_interval(&differences).unwrap();
        let Some(expected) = case.get("interval").map(numbers) else {
            assert_eq!(found, (0.0, 0.0), "{}", case["title"]);
            continue;
        };
        seen += 1;
        // Both ends are quantiles of drawn means.
        let tolerance = 0.06 * (expected[1] - expected[0]);
        assert!(
            (found.0 - expected[0]).abs() <= tolerance
                && (found.1 - expected[1]).abs() <= tolerance,
            "{}: {found:?}, scipy {expected:?}",
            case["title"]
        );
    }
    assert_eq!(seen, 10);
    assert_eq!(bootstrap_interval(&[]), None);
}

#[test]
fn holms_correction_agrees_with_statsmodels() {
    for case in fixture()["holm"].as_array().unwrap() {
        let expected = numbers(&case["corrected"]);
        let found = holm(&numbers(&case["p"]));
        assert_eq!(found.len(), expected.len());
        for (one, other) in found.iter().zip(&expected) {
            assert!(
                (one - other).abs() < 1e-12,
                "{found:?}, statsmodels {expected:?}"
            );
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn a_test_says_the_same_whenever_it_is_asked_and_whichever_way_round() {
    let differences: Vec<f64> = (0..200)
        .map(|n| f64::from((n * 37) % 11 - 5) / 20.0)
        .collect();
    let turned: Vec<f64> = differences.iter().map(|one| -one).collect();
    let found = randomisation_test(&differences);
    assert_eq!(found, randomisation_test(&differences));
    assert_eq!(found, randomisation_test(&turned));
}
