//! Tiny random transformers, against what sentence-transformers and torch give for them (`bench/fixtures/encoders.py`).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orchestrator_model::parameters::Slope;
use orchestrator_model::transformer::{Lora, Options, Precision, Step};
use orchestrator_model::{Card, Encoder, Error, Side, Tokens, Transformer};
use serde_json::Value;

const ALL: [&str; 12] = [
    "bert",
    "bert-cls",
    "bert-dense",
    "bert-max",
    "bert-plain",
    "bert-prompts",
    "bert-prompts-not-pooled",
    "distilbert",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/transformers")
        .join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn texts(expected: &Value) -> Vec<&str> {
    expected["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

fn load(name: &str) -> Transformer {
    Transformer::load(&folder(name), &Options::default()).unwrap()
}

/// Tensors of f32 by name.
fn tensors(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values = |data: &[u8]| {
        data.as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect()
    };
    all.tensors()
        .into_iter()
        .map(|(name, view)| (name, values(view.data())))
        .collect()
}

#[test]
fn tokens_and_embeddings_are_those_of_sentence_transformers() {
    for name in ALL {
        let (model, expected) = (load(name), expected(name));
        let texts = texts(&expected);
        for case in expected["cases"].as_array().unwrap() {
            let prompt = model
                .prompt_named(case["prompt_name"].as_str())
                .unwrap()
                .to_owned();
            let tokens = model.tokenize_with(&texts, &prompt).unwrap();
            for ((tokens, ids), text) in tokens
                .iter()
                .zip(case["ids"].as_array().unwrap())
                .zip(&texts)
            {
                let ids: Tokens = serde_json::from_value(ids.clone()).unwrap();
                assert_eq!(tokens, &ids, "{name}: {text}");
            }
            let found = model.encode_as_saved(&tokens);
            let rows = case["embeddings"].as_array().unwrap();
            for (row, (found, text)) in rows.iter().zip(found.chunks_exact(model.dim()).zip(&texts))
            {
                let row: Vec<f32> = serde_json::from_value(row.clone()).unwrap();
                for (a, b) in row.iter().zip(found) {
                    assert!((a - b).abs() < 1e-5, "{name}: {text}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn gradients_of_all_parameters_are_those_of_torch() {
    for name in ALL {
        let file = folder(name).join("gradients.safetensors");
        if !file.is_file() {
            continue;
        }
        let (model, expected, wanted) = (load(name), expected(name), tensors(&file));
        let case = &expected["cases"][0];
        let prompt = model
            .prompt_named(case["prompt_name"].as_str())
            .unwrap()
            .to_owned();
        let tokens = model.tokenize_with(&texts(&expected), &prompt).unwrap();
        let tokens: Vec<&Tokens> = tokens.iter().collect();
        let gradient = model
            .forward_as_saved(&tokens, None)
            .backward(wanted["G"].clone())
            .unwrap();
        let mut compared = 0;
        for (parameter, slope) in model.parameters().iter().zip(&gradient.slopes) {
            let Some(wanted) = wanted.get(&parameter.name) else {
                assert!(slope.is_none(), "{name}: {} has a gradient", parameter.name);
                continue;
            };
            let slope = slope
                .as_ref()
                .unwrap_or_else(|| panic!("{name}: {} has no gradient", parameter.name));
            let mut found = vec![0.0; parameter.values.len()];
            match slope {
                Slope::Dense(values) => found.copy_from_slice(values),
                Slope::Rows { rows, values } => {
                    let columns = parameter.shape[1];
                    for (row, values) in rows.iter().zip(values.chunks_exact(columns)) {
                        found[*row as usize * columns..][..columns].copy_from_slice(values);
                    }
                }
            }
            let length = wanted
                .iter()
                .map(|value| f64::from(*value).powi(2))
                .sum::<f64>()
                .sqrt();
            let apart = wanted
                .iter()
                .zip(&found)
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(
                apart <= 1e-4 * length + 1e-5,
                "{name}: {}: {apart} of {length}",
                parameter.name
            );
            compared += 1;
        }
        assert!(compared > 10, "{name}: {compared}");
    }
}

#[test]
fn unsupported_and_broken_folders_are_named() {
    for (file, from, to, message) in [
        (
            "config.json",
            "\"model_type\": \"bert\"",
            "\"model_type\": \"t5\"",
            "`t5` is not supported",
        ),
        (
            "config.json",
            "\"hidden_act\": \"gelu\"",
            "\"hidden_act\": \"silu\"",
            "`silu` is not supported",
        ),
        (
            "config.json",
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "encoder.layer.2.attention.self.query.weight` is missing",
        ),
        (
            "config.json",
            "\"intermediate_size\": ",
            "\"intermediate_size\": 1",
            "not [",
        ),
        (
            "modules.json",
            "models.Pooling",
            "models.LSTM",
            "`LSTM` is not supported",
        ),
        (
            "1_Pooling/config.json",
            "\"pooling_mode_mean_tokens\": true",
            "\"pooling_mode_lasttoken\": true",
            "`last",
        ),
    ] {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&folder("bert"), copy.path());
        let path = copy.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let error = Transformer::load(copy.path(), &Options::default())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder("bert"), copy.path());
    std::fs::rename(
        copy.path().join("model.safetensors"),
        copy.path().join("pytorch_model.bin"),
    )
    .unwrap();
    let error = Transformer::load(copy.path(), &Options::default())
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("pickle"), "{error}");
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_saved_folder_gives_the_same_embeddings() {
    for name in ALL {
        let (model, expected) = (load(name), expected(name));
        let texts = texts(&expected);
        let saved = tempfile::tempdir().unwrap();
        model.save(saved.path(), &Card::default()).unwrap();
        let again = Transformer::load(saved.path(), &Options::default()).unwrap();
        let tokens = model.tokenize(&texts, Side::Anchor).unwrap();
        assert_eq!(
            tokens,
            again.tokenize(&texts, Side::Anchor).unwrap(),
            "{name}"
        );
        assert_eq!(
            model.encode(&tokens).unwrap(),
            again.encode(&tokens).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn results_do_not_depend_on_threads_or_company() {
    let (model, expected) = (load("mpnet"), expected("mpnet"));
    let mut all: Vec<String> = Vec::new();
    for round in 0..30 {
        all.extend(
            texts(&expected)
                .iter()
                .map(|text| format!("{text} {round}")),
        );
    }
    let refs: Vec<&str> = all.iter().map(String::as_str).collect();
    let tokens = model.tokenize(&refs, Side::Document).unwrap();
    let step = || {
        let refs: Vec<&Tokens> = tokens.iter().collect();
        let forward = model.forward(&refs, Some(3)).unwrap();
        let outer = (0..refs.len() * model.dim())
            .map(|n| (n % 7) as f32 - 3.0)
            .collect();
        (
            forward.embeddings().to_vec(),
            forward.backward(outer).unwrap(),
        )
    };
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    let one = pool(1).install(step);
    assert!(one == pool(3).install(step));
    let whole = model.encode(&tokens).unwrap();
    let alone: Vec<f32> = tokens
        .iter()
        .flat_map(|one| model.encode(std::slice::from_ref(one)).unwrap())
        .collect();
    assert_eq!(whole, alone);
}

/// The value `sum(E * G)` and its gradient.
fn value(model: &Transformer, tokens: &[&Tokens], outer: &[f32], masks: Option<u64>) -> f64 {
    let forward = model.forward(tokens, masks).unwrap();
    forward
        .embeddings()
        .iter()
        .zip(outer)
        .map(|(e, g)| f64::from(*e) * f64::from(*g))
        .sum()
}

#[test]
fn gradients_agree_with_differences_with_dropout_frozen_layers_and_adapters() {
    for (name, options) in [
        (
            "bert",
            Options {
                dropout: 0.2,
                ..Options::default()
            },
        ),
        (
            "modernbert",
            Options {
                dropout: 0.1,
                ..Options::default()
            },
        ),
        (
            "mpnet",
            Options {
                freeze: 1,
                ..Options::default()
            },
        ),
        (
            "roberta",
            Options {
                lora: Some(Lora {
                    rank: 3,
                    alpha: 6.0,
                }),
                ..Options::default()
            },
        ),
    ] {
        let mut model = Transformer::load(&folder(name), &options).unwrap();
        let expected = expected(name);
        let texts = &texts(&expected)[..6];
        let tokens = model.tokenize(texts, Side::Anchor).unwrap();
        let tokens: Vec<&Tokens> = tokens.iter().collect();
        // Adapters that add nothing have a gradient on one side only.
        for parameter in model
            .parameters_mut()
            .iter_mut()
            .filter(|one| one.name.contains("lora_B"))
        {
            parameter
                .values
                .iter_mut()
                .enumerate()
                .for_each(|(n, value)| *value = ((n * 7 % 11) as f32 - 5.0) / 50.0);
        }
        let outer: Vec<f32> = (0..tokens.len() * model.dim())
            .map(|n| ((n * 5 % 13) as f32 - 6.0) / 6.0)
            .collect();
        let masks = (options.dropout > 0.0).then_some(11);
        let gradient = model
            .forward(&tokens, masks)
            .unwrap()
            .backward(outer.clone())
            .unwrap();
        let mut moved = 0;
        for place in 0..model.parameters().len() {
            let parameter = &model.parameters()[place];
            let Some(slope) = &gradient.slopes[place] else {
                assert!(
                    !parameter.trained,
                    "{name}: {} has no gradient",
                    parameter.name
                );
                continue;
            };
            assert!(
                parameter.trained,
                "{name}: {} has a gradient",
                parameter.name
            );
            moved += 1;
            // Along the gradient itself: all values of a tensor at once.
            let columns = *parameter.shape.last().unwrap();
            let mut dense = vec![0.0f32; parameter.values.len()];
            match slope {
                Slope::Dense(values) => dense.copy_from_slice(values),
                Slope::Rows { rows, values } => {
                    for (row, values) in rows.iter().zip(values.chunks_exact(columns)) {
                        dense[*row as usize * columns..][..columns].copy_from_slice(values);
                    }
                }
            }
            let length = dense
                .iter()
                .map(|value| f64::from(*value).powi(2))
                .sum::<f64>()
                .sqrt();
            if length < 1e-4 {
                continue;
            }
            let before = parameter.values.clone();
            let size = 2e-3 / length;
            let mut at = |factor: f64| {
                let to = &mut model.parameters_mut()[place].values;
                for ((to, before), along) in to.iter_mut().zip(&before).zip(&dense) {
                    *to = (f64::from(*before) + factor * f64::from(*along)) as f32;
                }
                value(&model, &tokens, &outer, masks)
            };
            let found = (at(size) - at(-size)) / (2.0 * size * length);
            let name_of = model.parameters()[place].name.clone();
            model.parameters_mut()[place].values = before;
            assert!(
                (found - length).abs() < 0.03 * length + 2e-3,
                "{name}: {name_of}: {found} {length}"
            );
        }
        assert!(moved > 5, "{name}: {moved}");
    }
}

#[test]
fn lower_precision_is_near() {
    use orchestrator_model::transformer::Precision;
    let expected = expected("bert");
    let texts = texts(&expected);
    let exact = load("bert");
    let tokens = exact.tokenize(&texts, Side::Anchor).unwrap();
    let exact = exact.encode(&tokens).unwrap();
    for (precision, least) in [(Precision::Bf16, 0.999), (Precision::Int8, 0.99)] {
        let model = Transformer::load(
            &folder("bert"),
            &Options {
                precision,
                ..Options::default()
            },
        )
        .unwrap();
        let found = model.encode(&tokens).unwrap();
        for (a, b) in exact
            .chunks_exact(model.dim())
            .zip(found.chunks_exact(model.dim()))
        {
            let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!(cosine > least, "{precision:?}: {cosine}");
        }
    }
}

#[test]
fn an_encoder_of_a_folder_is_a_transformer() -> Result<(), Error> {
    let encoder = Encoder::load(&folder("distilbert"), &Options::default())?;
    assert!(matches!(encoder, Encoder::Transformer(_)));
    Ok(())
}

#[test]
fn memory_is_foretold_as_it_is_counted_after_a_step() {
    let (options, lora) = (
        Options::default(),
        Lora {
            rank: 2,
            alpha: 4.0,
        },
    );
    let precision = |precision| Options {
        precision,
        ..options
    };
    let frozen = Options {
        freeze: 1,
        ..options
    };
    let adapted = Options {
        lora: Some(lora),
        ..options
    };
    for (name, options) in [
        ("bert", options),
        ("bert", precision(Precision::Bf16)),
        ("bert", precision(Precision::Int8)),
        ("bert", frozen),
        ("bert", adapted),
        ("mpnet", options),
        ("modernbert", options),
    ] {
        let model = Transformer::load(&folder(name), &options).unwrap();
        let text = "the of a in aspirin lowers fever and mice drink water ".repeat(9);
        // Texts of 20 to 40 tokens, 160 of them.
        let texts: Vec<&str> = (0..160).map(|n| &text[..(60 + 7 * (n % 11))]).collect();
        let tokens = model.tokenize(&texts, Side::Document).unwrap();
        let all: usize = tokens.iter().map(Vec::len).sum();
        let views: Vec<&Tokens> = tokens.iter().collect();
        let step = Step {
            tokens: all,
            tokens_of_text: all / texts.len(),
            sums: false,
            threads: rayon::current_num_threads(),
        };
        let mut gradient = Default::default();
        for seed in 0..3 {
            let forward = model.forward(&views, Some(seed)).unwrap();
            let outer = vec![0.5; views.len() * model.dim()];
            gradient = forward.backward(outer).unwrap();
        }
        let _ = model.encode(&tokens).unwrap();
        let (held, told) = (model.held(), model.to_train(&step));
        let place = format!("{name} {options:?}: {held:?} {told:?}");
        assert_eq!(held.weights, told.weights, "{place}");
        assert_eq!(held.packed, told.packed, "{place}");
        let share = told.activations as f64 / held.activations as f64;
        // Where not all is trained, some buffers go back to the system at the end of the step, and are not counted.
        let most = if options.freeze > 0 || options.lora.is_some() {
            1.7
        } else {
            1.3
        };
        assert!((1.0..most).contains(&share), "{share:.3}: {place}");
        let values = gradient
            .slopes
            .iter()
            .flatten()
            .map(|slope| slope.values().len());
        let values = (4 * values.sum::<usize>()) as u64;
        // The rows of tables are as many as there are different words: at most all.
        let trained = model.parameters().iter().filter(|one| one.trained);
        let most = 4 * trained.map(|one| one.values.len()).sum::<usize>() as u64;
        assert!(values <= told.gradient, "{values}: {place}");
        assert!(
            options.lora.is_some() || told.gradient <= most,
            "{most}: {place}"
        );
    }
}
