//! Our optimiser steps as PyTorch's SparseAdam does.
#![allow(clippy::unwrap_used)]

use orchestrator_train::AdamW;
use serde_json::Value;

fn floats(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|number| number.as_f64().unwrap() as f32)
        .collect()
}

#[test]
fn lazy_steps_agree_with_torch() {
    let fixture: Value = serde_json::from_str(include_str!("sparse_adam.json")).unwrap();
    let mut table = floats(&fixture["start"]);
    let mut optimiser = AdamW::new(5, 3, 0.0);
    for step in fixture["steps"].as_array().unwrap() {
        let rows: Vec<u32> = step["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_u64().unwrap() as u32)
            .collect();
        optimiser.update(
            &mut table,
            &rows,
            &floats(&step["gradient"]),
            fixture["rate"].as_f64().unwrap(),
        );
        for (ours, torch) in table.iter().zip(floats(&step["table"])) {
            assert!((ours - torch).abs() < 1e-6, "{ours} {torch}");
        }
    }
}

#[test]
fn decay_shrinks_the_rows_that_move_and_no_others() {
    let mut table = vec![1.0; 4];
    let mut optimiser = AdamW::new(2, 2, 0.5);
    optimiser.update(&mut table, &[1], &[0.0, 0.0], 0.1);
    assert_eq!(table, [1.0, 1.0, 0.95, 0.95]);
}
