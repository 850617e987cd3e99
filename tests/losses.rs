//! Our losses, called through the ABI like anybody's: equal to sentence-transformers' numbers, their gradients to finite
//! differences, and never a known positive as a negative.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use orchestrator_plugin_host::{Batch, Context, Host, Instance, Kind, SearchPath};
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

/// A batch of rows (anchor, text, label, positive), grouped by anchor.
fn batch(embeddings: Vec<f32>, dim: usize, rows: &[(u32, u32, f32, bool)]) -> Batch {
    let texts = embeddings.len() / dim;
    let mut batch = Batch {
        dim,
        embeddings,
        positive_offsets: vec![0],
        negative_offsets: vec![0],
        ..Batch::default()
    };
    let mut anchors: Vec<u32> = rows.iter().map(|row| row.0).collect();
    anchors.dedup();
    for (number, row) in rows.iter().enumerate() {
        batch.row_anchor.push(row.0);
        batch.row_text.push(row.1);
        batch.row_label.push(row.2);
        batch.row_weight.push(1.0);
        if anchors.first() != Some(&row.0) && number > 0 && rows[number - 1].0 != row.0 {
            batch
                .positive_offsets
                .push(batch.positive_rows.len() as u64);
            batch
                .negative_offsets
                .push(batch.negative_rows.len() as u64);
        }
        if row.3 {
            batch.positive_rows.push(number as u32);
        } else {
            batch.negative_rows.push(number as u32);
        }
    }
    batch
        .positive_offsets
        .push(batch.positive_rows.len() as u64);
    batch
        .negative_offsets
        .push(batch.negative_rows.len() as u64);
    for &anchor in &anchors {
        let positives: Vec<u32> = rows
            .iter()
            .filter(|row| row.0 == anchor && row.3)
            .map(|row| row.1)
            .collect();
        batch
            .known_relevant
            .extend((0..texts as u32).map(|text| u8::from(positives.contains(&text))));
    }
    batch.group_anchor = anchors;
    batch
}

fn floats(value: &Value) -> Vec<f32> {
    let rows = value.as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap())
        .map(|one| one.as_f64().unwrap() as f32)
        .collect()
}

#[test]
fn losses_and_gradients_are_those_of_sentence_transformers() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let fixture: Value = serde_json::from_str(include_str!("fixtures/losses.json")).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let rows: Vec<(u32, u32, f32, bool)> = case["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (
                    row["anchor"].as_u64().unwrap() as u32,
                    row["text"].as_u64().unwrap() as u32,
                    row["label"].as_f64().unwrap() as f32,
                    row["positive"].as_bool().unwrap(),
                )
            })
            .collect();
        let dim = case["embeddings"][0].as_array().unwrap().len();
        let batch = batch(floats(&case["embeddings"]), dim, &rows);
        let name = case["plugin"].as_str().unwrap();
        let result = loss(&host, name, &case["settings"])
            .forward(&Context::default(), &batch)
            .unwrap();
        let expected = case["loss"].as_f64().unwrap();
        assert!(
            (result.loss - expected).abs() < 1e-5 * expected.abs().max(1.0),
            "{name}: {} {expected}",
            result.loss
        );
        for (ours, theirs) in result.gradient.iter().zip(floats(&case["gradient"])) {
            assert!(
                (ours - theirs).abs() < 2e-5,
                "{name}: gradient {ours} {theirs}"
            );
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences_with_several_positives_and_weights() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let dim = 5;
    let embeddings: Vec<f32> = (0..9 * dim)
        .map(|n| ((n * 37 % 23) as f32 - 11.0) / 7.0)
        .collect();
    let rows = [
        (0, 2, 1.0, true),
        (0, 3, 0.7, true),
        (0, 4, 0.0, false),
        (1, 5, 1.0, true),
        (1, 6, 0.0, false),
        (1, 7, 0.2, false),
    ];
    for name in ["mnrl", "contrastive", "cosine_similarity"] {
        let instance = loss(&host, name, &json!({}));
        let mut base = batch(embeddings.clone(), dim, &rows);
        base.row_weight = vec![1.0, 0.5, 2.0, 1.5, 1.0, 0.3];
        let result = instance.forward(&Context::default(), &base).unwrap();
        for place in 0..embeddings.len() {
            let value = |shift: f32| {
                let mut moved = base.clone();
                moved.embeddings[place] += shift;
                instance.forward(&Context::default(), &moved).unwrap().loss
            };
            let expected = (value(1e-2) - value(-1e-2)) / 2e-2;
            let found = f64::from(result.gradient[place]);
            assert!(
                (expected - found).abs() < 3e-3,
                "{name} at {place}: {expected} {found}"
            );
        }
    }
}

#[test]
fn a_known_positive_is_never_an_in_batch_negative() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let instance = loss(&host, "mnrl", &json!({}));
    let dim = 4;
    let embeddings: Vec<f32> = (0..4 * dim)
        .map(|n| ((n * 13 % 7) as f32 - 3.0) / 3.0)
        .collect();
    let mut both = batch(embeddings, dim, &[(0, 2, 1.0, true), (1, 3, 1.0, true)]);
    let apart = instance.forward(&Context::default(), &both).unwrap();
    // The other's positive is known to be relevant to each: nothing is left to tell the positive from.
    both.known_relevant.fill(1);
    let known = instance.forward(&Context::default(), &both).unwrap();
    assert!(
        apart.loss > 0.0 && known.loss.abs() < 1e-9,
        "{} {}",
        apart.loss,
        known.loss
    );
    assert!(known.gradient.iter().all(|value| value.abs() < 1e-6));
}
