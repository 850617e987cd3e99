//! Our optimiser steps as PyTorch's AdamW and SparseAdam do.
#![allow(clippy::unwrap_used)]

use orchestrator_model::parameters::{Gradient, Parameter, Slope};
use orchestrator_train::{AdamW, Checkpoint, clip};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(items) => items.iter().flat_map(floats).collect(),
        number => vec![number.as_f64().unwrap() as f32],
    }
}

fn rows(value: &Value) -> Vec<u32> {
    let rows = value.as_array().unwrap().iter();
    rows.map(|row| row.as_u64().unwrap() as u32).collect()
}

fn parameter(name: &str, shape: &[usize], values: Vec<f32>) -> Parameter {
    Parameter {
        name: name.to_owned(),
        shape: shape.to_vec(),
        values,
        decays: true,
        lazy: false,
        trained: true,
    }
}

fn lazy(shape: &[usize], values: Vec<f32>) -> [Parameter; 1] {
    let lazy = true;
    let parameter = parameter("table", shape, values);
    [Parameter { lazy, ..parameter }]
}

fn of_rows(rows: Vec<u32>, values: Vec<f32>) -> Gradient {
    Gradient {
        slopes: vec![Some(Slope::Rows { rows, values })],
    }
}

/// The parameters of bench/fixtures/adamw.py.
fn dense(fixture: &Value) -> [Parameter; 4] {
    let of = |name: &str, shape: &[usize]| parameter(name, shape, floats(&fixture["start"][name]));
    let mut all = [
        of("matrix", &[3, 4]),
        of("gain", &[4]),
        of("table", &[5, 3]),
        of("frozen", &[2, 2]),
    ];
    all[1].decays = false;
    all[3].trained = false;
    all
}

fn gradient(step: &Value) -> Gradient {
    let dense = |name: &str| match &step["gradient"][name] {
        Value::Null => None,
        values => Some(Slope::Dense(floats(values))),
    };
    let table = Slope::Rows {
        rows: rows(&step["rows"]),
        values: floats(&step["gradient"]["table"]),
    };
    Gradient {
        slopes: vec![dense("matrix"), dense("gain"), Some(table), None],
    }
}

#[test]
fn steps_over_many_parameters_agree_with_torch() {
    let fixture: Value = serde_json::from_str(include_str!("adamw.json")).unwrap();
    let mut parameters = dense(&fixture);
    let decay = fixture["weight_decay"].as_f64().unwrap() as f32;
    let rate = fixture["rate"].as_f64().unwrap();
    let mut optimiser = AdamW::new(&parameters, decay);
    for (number, step) in fixture["steps"].as_array().unwrap().iter().enumerate() {
        let mut gradient = gradient(step);
        let norm = clip(&mut gradient, fixture["most"].as_f64().unwrap());
        let torch = step["norm"].as_f64().unwrap();
        assert!((norm - torch).abs() < 1e-6 * torch, "{norm} {torch}");
        assert!(optimiser.update(&mut parameters, &gradient, rate));
        for parameter in &parameters {
            let torch = floats(&step["values"][&parameter.name]);
            for (ours, torch) in parameter.values.iter().zip(torch) {
                let near = (ours - torch).abs() <= 1e-6 * torch.abs().max(0.1);
                let name = &parameter.name;
                assert!(near, "step {number}, {name}: {ours}, torch {torch}");
            }
        }
    }
}

#[test]
fn lazy_steps_agree_with_torch() {
    let fixture: Value = serde_json::from_str(include_str!("sparse_adam.json")).unwrap();
    let mut table = lazy(&[5, 3], floats(&fixture["start"]));
    let mut optimiser = AdamW::new(&table, 0.0);
    for step in fixture["steps"].as_array().unwrap() {
        let gradient = of_rows(rows(&step["rows"]), floats(&step["gradient"]));
        assert!(optimiser.update(&mut table, &gradient, fixture["rate"].as_f64().unwrap()));
        for (ours, torch) in table[0].values.iter().zip(floats(&step["table"])) {
            assert!((ours - torch).abs() < 1e-6, "{ours} {torch}");
        }
    }
}

#[test]
fn decay_shrinks_the_rows_that_move_and_no_others_of_a_lazy_table() {
    let mut table = lazy(&[2, 2], vec![1.0; 4]);
    let mut optimiser = AdamW::new(&table, 0.5);
    assert!(optimiser.update(&mut table, &of_rows(vec![1], vec![0.0, 0.0]), 0.1));
    assert_eq!(table[0].values, [1.0, 1.0, 0.95, 0.95]);
}

#[test]
fn many_rows_are_moved_as_few_are() {
    // Tables of more than one piece, against each row as a table of its own.
    let (n, columns) = (3000, 8);
    let value = |seed: usize| (seed * 37 % 101) as f32 / 50.0 - 1.0;
    let start: Vec<f32> = (0..n * columns).map(value).collect();
    let chosen: Vec<u32> = (0..n as u32).filter(|row| row % 7 < 2).collect();
    let slopes: Vec<f32> = (5..5 + chosen.len() * columns).map(value).collect();
    for is_lazy in [true, false] {
        let mut whole = lazy(&[n, columns], start.clone());
        whole[0].lazy = is_lazy;
        let mut optimiser = AdamW::new(&whole, 0.1);
        for _ in 0..2 {
            let gradient = of_rows(chosen.clone(), slopes.clone());
            assert!(optimiser.update(&mut whole, &gradient, 0.1));
        }
        for row in 0..n {
            let place = chosen.iter().position(|one| *one as usize == row);
            let mut alone = lazy(&[1, columns], start[row * columns..][..columns].to_vec());
            alone[0].lazy = is_lazy;
            let mut optimiser = AdamW::new(&alone, 0.1);
            for _ in 0..2 {
                let gradient = match place {
                    Some(place) => of_rows(vec![0], slopes[place * columns..][..columns].to_vec()),
                    None => of_rows(vec![], vec![]),
                };
                assert!(optimiser.update(&mut alone, &gradient, 0.1));
            }
            assert_eq!(
                whole[0].values[row * columns..][..columns],
                alone[0].values,
                "row {row}, lazy: {is_lazy}"
            );
        }
    }
}

#[test]
fn a_step_out_of_the_numbers_is_noticed() {
    let mut parameters = [parameter("a", &[2], vec![1.0, 1.0])];
    let mut optimiser = AdamW::new(&parameters, 0.0);
    let gradient = Gradient {
        slopes: vec![Some(Slope::Dense(vec![1.0, f32::NAN]))],
    };
    assert!(!optimiser.update(&mut parameters, &gradient, 0.1));
}

#[test]
fn training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped() {
    let fixture: Value = serde_json::from_str(include_str!("adamw.json")).unwrap();
    let steps = fixture["steps"].as_array().unwrap();
    let (mut parameters, mut saved) = (dense(&fixture), Checkpoint::default());
    let mut optimiser = AdamW::new(&parameters, 0.1);
    for (number, step) in steps.iter().enumerate() {
        if number == 3 {
            optimiser.save(&parameters, &mut saved);
        }
        assert!(optimiser.update(&mut parameters, &gradient(step), 0.02));
    }
    assert!(
        !saved.tensors.keys().any(|name| name.contains("frozen")),
        "what is not trained takes no room"
    );
    let bytes = saved.to_bytes().unwrap();
    let mut read = Checkpoint::from_bytes(&bytes, std::path::Path::new("x")).unwrap();
    let mut again = dense(&fixture);
    let mut resumed = AdamW::new(&again, 0.1);
    assert!(resumed.restore(&mut again, &mut read));
    for step in &steps[3..] {
        assert!(resumed.update(&mut again, &gradient(step), 0.02));
    }
    assert_eq!(parameters, again);
    assert_eq!(optimiser, resumed);
    // Of other parameters.
    let mut other = [parameter("matrix", &[4, 4], vec![0.0; 16])];
    let before = other.clone();
    assert!(!AdamW::new(&other, 0.0).restore(&mut other, &mut saved));
    assert_eq!(other, before);
}
