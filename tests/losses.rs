//! Our losses, called through the ABI like anybody's: equal to sentence-transformers' numbers, their gradients to finite
//! differences, and never a known positive as a negative.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use orchestrator_plugin_host::{Batch, Context, Host, Instance, Kind, LossResult, SearchPath};
use orchestrator_tests::built;
use serde_json::{Value, json};

fn host(copies: &Path) -> Host {
    Host::load(&SearchPath {
        beside_executable: Some(built().to_owned()),
        copies: copies.to_owned(),
        ..SearchPath::default()
    })
    .unwrap()
}

fn loss(host: &Host, name: &str, settings: &Value) -> Instance {
    host.find(Kind::Loss, name)
        .unwrap()
        .create(name, settings, 0)
        .unwrap()
}

/// An anchor's candidate.
#[derive(Clone, Copy)]
struct Row {
    anchor: u32,
    text: u32,
    label: f32,
    positive: bool,
    weight: f32,
    teacher: f32,
}

/// Rows (anchor, text, label, positive).
fn rows(given: &[(u32, u32, f32, bool)]) -> Vec<Row> {
    let row = |&(anchor, text, label, positive): &(u32, u32, f32, bool)| Row {
        anchor,
        text,
        label,
        positive,
        weight: 1.0,
        teacher: label - 0.1 * text as f32,
    };
    given.iter().map(row).collect()
}

/// The batch of `rows`, grouped by anchor. Beside its positives, an anchor knows what `known` says: (anchor, text).
fn batch(embeddings: Vec<f32>, dim: usize, rows: &[Row], known: &[(u32, u32)]) -> Batch {
    let texts = (embeddings.len() / dim) as u32;
    let mut batch = Batch {
        dim,
        embeddings,
        row_anchor: rows.iter().map(|row| row.anchor).collect(),
        row_text: rows.iter().map(|row| row.text).collect(),
        row_label: rows.iter().map(|row| row.label).collect(),
        row_weight: rows.iter().map(|row| row.weight).collect(),
        row_teacher: rows.iter().map(|row| row.teacher).collect(),
        positive_offsets: vec![0],
        negative_offsets: vec![0],
        ..Batch::default()
    };
    let anchors: BTreeSet<u32> = rows.iter().map(|row| row.anchor).collect();
    for anchor in anchors {
        let mut relevant = BTreeSet::new();
        for (number, row) in (0..).zip(rows).filter(|(_, row)| row.anchor == anchor) {
            if row.positive {
                batch.positive_rows.push(number);
                relevant.insert(row.text);
            } else {
                batch.negative_rows.push(number);
            }
        }
        let more = known.iter().filter(|(knows, _)| *knows == anchor);
        relevant.extend(more.map(|(_, text)| *text));
        batch.group_anchor.push(anchor);
        batch
            .positive_offsets
            .push(batch.positive_rows.len() as u64);
        batch
            .negative_offsets
            .push(batch.negative_rows.len() as u64);
        batch
            .known_relevant
            .extend((0..texts).map(|text| u8::from(relevant.contains(&text))));
    }
    batch
}

/// Embeddings without pattern, about 1 an entry.
fn embeddings(texts: usize, dim: usize) -> Vec<f32> {
    (0..texts * dim)
        .map(|n| ((n * n * 31 + n * 37 + 5) % 97) as f32 / 40.0 - 1.2)
        .collect()
}

/// The step most tests take: three anchors with several positives, negatives, weights and graded labels; the third has
/// no negative.
fn step() -> Batch {
    let mut rows = rows(&[
        (0, 3, 1.0, true),
        (0, 4, 0.7, true),
        (0, 5, 0.0, false),
        (0, 6, 0.2, false),
        (1, 7, 1.0, true),
        (1, 8, 0.0, false),
        (2, 9, 0.8, true),
    ]);
    for (row, weight) in rows.iter_mut().zip([1.0, 0.5, 2.0, 1.5, 1.0, 0.3, 0.8]) {
        row.weight = weight;
    }
    batch(embeddings(10, 6), 6, &rows, &[])
}

fn forward(instance: &Instance, batch: &Batch) -> LossResult {
    instance.forward(&Context::default(), batch).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    let rows = value.as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap())
        .map(|one| one.as_f64().unwrap() as f32)
        .collect()
}

/// Every loss with settings under which it can be told what is wrong: a moderate scale, margins that cut some triplets.
fn every_loss() -> Vec<(&'static str, Value)> {
    vec![
        ("mnrl", json!({ "scale": 5 })),
        ("mnrl", json!({ "temperature": 0.3, "in_batch": false })),
        ("mnrl", json!({ "scale": 5, "symmetric": true })),
        (
            "mnrl",
            json!({ "scale": 5, "directions": ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] }),
        ),
        ("contrastive", json!({ "margin": 1.2 })),
        (
            "contrastive",
            json!({ "margin": 3, "distance": "euclidean" }),
        ),
        (
            "contrastive",
            json!({ "margin": 6, "distance": "manhattan" }),
        ),
        ("online_contrastive", json!({ "margin": 1.2 })),
        (
            "online_contrastive",
            json!({ "margin": 4, "distance": "euclidean" }),
        ),
        ("cosine_similarity", json!({})),
        ("triplet", json!({ "margin": 0.6 })),
        ("triplet", json!({ "margin": 1, "distance": "euclidean" })),
        ("triplet", json!({ "margin": 2, "distance": "manhattan" })),
        ("batch_hard_triplet", json!({ "margin": 0.6 })),
        ("batch_hard_triplet", json!({ "soft_margin": true })),
        (
            "batch_hard_triplet",
            json!({ "margin": 2, "distance": "euclidean" }),
        ),
        ("cosent", json!({ "scale": 5 })),
        ("angle", json!({ "scale": 5 })),
        ("margin_mse", json!({})),
        ("margin_mse", json!({ "similarity": "dot" })),
        ("distill_kl", json!({ "temperature": 0.3 })),
        (
            "distill_kl",
            json!({ "similarity": "dot", "teacher_temperature": 0.5 }),
        ),
    ]
}

#[test]
fn losses_and_gradients_are_those_of_sentence_transformers() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let fixture: Value = serde_json::from_str(include_str!("fixtures/losses.json")).unwrap();
    let mut wrong = Vec::new();
    for case in fixture["cases"].as_array().unwrap() {
        let number = |row: &Value, key: &str, otherwise: f64| {
            row.get(key).map_or(otherwise, |one| one.as_f64().unwrap()) as f32
        };
        let rows: Vec<Row> = case["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| Row {
                anchor: row["anchor"].as_u64().unwrap() as u32,
                text: row["text"].as_u64().unwrap() as u32,
                label: number(row, "label", f64::NAN),
                positive: row["positive"].as_bool().unwrap(),
                weight: number(row, "weight", 1.0),
                teacher: number(row, "teacher", f64::NAN),
            })
            .collect();
        let known: Vec<(u32, u32)> = case
            .get("known")
            .map(|known| serde_json::from_value(known.clone()).unwrap())
            .unwrap_or_default();
        let dim = case["embeddings"][0].as_array().unwrap().len();
        let batch = batch(floats(&case["embeddings"]), dim, &rows, &known);
        let (name, settings) = (case["plugin"].as_str().unwrap(), &case["settings"]);
        if name == "gist" {
            continue;
        }
        let result = forward(&loss(&host, name, settings), &batch);
        let gradient = floats(&case["gradient"]);
        let largest = gradient
            .iter()
            .fold(0.0f32, |most, one| most.max(one.abs()));
        let of_gradient = result
            .gradient
            .iter()
            .zip(&gradient)
            .fold(0.0f32, |most, (ours, theirs)| {
                most.max((ours - theirs).abs())
            })
            / largest;
        let expected = case["loss"].as_f64().unwrap();
        let of_loss = (result.loss - expected).abs() / expected.abs();
        if !(of_loss < 1e-5 && of_gradient < 1e-5) {
            wrong.push(format!(
                "{name} {settings}: loss {} {expected} ({of_loss:.1e}), gradient {of_gradient:.1e}",
                result.loss
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn gradients_agree_with_finite_differences_with_several_positives_weights_and_grades() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let step = step();
    for (name, settings) in every_loss() {
        let instance = loss(&host, name, &settings);
        let result = forward(&instance, &step);
        let largest = result
            .gradient
            .iter()
            .fold(0.0f32, |most, one| most.max(one.abs()));
        assert!(largest > 1e-3, "{name} {settings}: nothing to check");
        for place in 0..step.embeddings.len() {
            let value = |shift: f32| {
                let mut moved = step.clone();
                moved.embeddings[place] += shift;
                forward(&instance, &moved).loss
            };
            // Of fourth order, so that the step may be wide enough for float32.
            let h = 4e-3;
            let expected = (8.0 * (value(h) - value(-h)) - (value(2.0 * h) - value(-2.0 * h)))
                / (12.0 * f64::from(h));
            let found = f64::from(result.gradient[place]);
            assert!(
                (expected - found).abs() < 1e-3 * f64::from(largest),
                "{name} {settings} at {place}: {expected} {found}"
            );
        }
    }
}
