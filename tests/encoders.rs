//! Whole runs of transformers, and what else of training an experiment may say: accumulation, rates, clipping, stopping.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use orchestrator_tests::{
    experiment, fail, orchestrator, refreshed_experiment, repository, small_experiment, succeed,
};
use rusqlite::Connection;
use serde_json::Value;

/// A tiny random model (`bench/fixtures/encoders.py`), copied into `folder`.
fn model(name: &str, folder: &Path) {
    let from = repository()
        .join("core/model/tests/fixtures/transformers")
        .join(name);
    for inner in ["", "1_Pooling", "2_Normalize"] {
        let (from, to) = (from.join(inner), folder.join(name).join(inner));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            let kind = path.extension().unwrap_or_default();
            if path.is_file() && kind != "safetensors" || name == "model.safetensors" {
                std::fs::copy(&path, to.join(name)).unwrap();
            }
        }
    }
}

const STATIC: &str = "encoder: { static: { dim: 32, vocabulary: 2000 } }";

fn store(folder: &Path) -> Connection {
    Connection::open(folder.join("store.db")).unwrap()
}

fn values(store: &Connection, metric: &str) -> Vec<f64> {
    let mut statement = store
        .prepare("SELECT value FROM metric WHERE name = ?1 AND step >= 0 ORDER BY tick, step")
        .unwrap();
    let rows = statement.query_map([metric], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_transformer_is_trained_to_the_same_end_whatever_the_threads_and_wherever_it_was_killed() {
    let text = refreshed_experiment()
        .replace(
            STATIC,
            "encoder: { transformer: bert-prompts, dropout: 0.2, freeze: 1, lora: { rank: 2 } }",
        )
        .replace("name: small", "models: { guide: mpnet }\nname: small")
        .replace(
            "    - retracted\n",
            "    - false_negative: { model: guide }\n    - duplicate\n",
        )
        .replace(
            "batch: 8",
            "batch: 4\n  accumulate: 2\n  mini_batch: 7\n  teacher: initial\n  learning_rate: 0.01",
        );
    let folder = experiment(&text);
    let folder = folder.path();
    for name in ["bert-prompts", "mpnet"] {
        model(name, folder);
    }
    let identity = |name: &str, given: &str| {
        let outcome: Value = serde_json::from_str(given).unwrap();
        let weights = folder.join(name).join("model/model.safetensors");
        let hash = outcome["content_hash"].as_str().unwrap().to_owned();
        (hash, std::fs::read(weights).unwrap())
    };
    let one = orchestrator(&["run", "x.yaml", "--run-dir", "one", "--json"], folder)
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(one.status.success(), "{one:?}");
    let expected = identity("one", std::str::from_utf8(&one.stdout).unwrap());
    let two = succeed(&["run", "x.yaml", "--run-dir", "two", "--json"], folder);
    assert_eq!(identity("two", &two), expected);
    for milliseconds in [100, 500, 1200] {
        let name = format!("killed-{milliseconds}");
        let mut child = orchestrator(&["run", "x.yaml", "--run-dir", &name, "--json"], folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !folder.join(&name).join("store.db").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed = succeed(&["resume", &name, "--json"], folder);
        assert_eq!(identity(&name, &resumed), expected, "{milliseconds} ms");
    }
    let card = std::fs::read_to_string(folder.join("one/model/README.md")).unwrap();
    assert!(card.contains("base_model: \"bert-prompts\""), "{card}");
    assert!(card.contains("LoRA of rank 2"), "{card}");
    // What stands in the folder is part of what the run is a function of, and where it lies is not.
    let plan = std::fs::read_to_string(folder.join("one/plan.json")).unwrap();
    assert!(
        plan.contains("model.encoder/1_Pooling/config.json"),
        "{plan}"
    );
    assert!(!plan.contains(folder.to_str().unwrap()), "{plan}");
    let config = folder.join("bert-prompts/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text} ")).unwrap();
    let shown = fail(&["resume", "one"], folder, 2);
    assert!(
        shown.contains("`model.encoder/config.json` has changed"),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_with_a_model_folder_is_told_at_its_line() {
    let transformer = |more: &str| format!("encoder: {{ transformer: bert{more} }}");
    for (encoder, more, code, said) in [
        (
            "encoder: { transformer: nowhere }".to_owned(),
            "",
            3,
            &[
                "there is no model `nowhere`",
                "x.yaml:3:",
                "help: orchestrator model pull nowhere",
            ][..],
        ),
        (
            "encoder: { transformer: empty }".to_owned(),
            "",
            3,
            &["x.yaml:3:", "give a folder of sentence-transformers"],
        ),
        (
            transformer(", freeze: 99"),
            "",
            3,
            &["x.yaml:3:", "99 layers"],
        ),
        (
            transformer(""),
            "  matryoshka: [4, 5000]\n",
            2,
            &["x.yaml:17:", "the encoder's, not 5000"],
        ),
    ] {
        let text = small_experiment()
            .replace(STATIC, &encoder)
            .replace("  batch: 8\n", &format!("  batch: 8\n{more}"));
        let folder = experiment(&text);
        model("bert", folder.path());
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        for command in [
            &["check", "x.yaml"][..],
            &["run", "x.yaml", "--run-dir", "r"],
        ] {
            let shown = fail(command, folder.path(), code);
            for part in said {
                assert!(shown.contains(part), "{encoder}: {part} is not in\n{shown}");
            }
        }
        assert!(!folder.path().join("r").exists(), "{encoder}");
    }
}

#[test]
fn small_batches_accumulated_are_a_large_one_to_losses_that_look_at_rows_alone() {
    let text = small_experiment();
    let losses = text.lines().find(|line| line.contains("losses:")).unwrap();
    let text = text.replace(
        losses,
        "  losses: [cosine_similarity]\n  ratio: { negatives_per_positive: 0 }\n  clip: 0.5\n  after_warmup: cosine",
    );
    let folder = experiment(&text);
    let run = |name: &str, set: &[&str]| {
        let arguments = ["run", "x.yaml", "--run-dir", name, "--json"];
        let _ = succeed(&[&arguments, set].concat(), folder.path());
        store(&folder.path().join(name))
    };
    let whole = run("whole", &[]);
    let parts = run(
        "parts",
        &["--set", "train.batch=4", "--set", "train.accumulate=2"],
    );
    let (rates, losses, norms) = (
        values(&whole, "learning_rate"),
        values(&whole, "loss"),
        values(&whole, "gradient_norm"),
    );
    assert_eq!(values(&parts, "learning_rate"), rates, "as many steps");
    // The first epoch's; the last step of an epoch may be of unequal batches.
    let steps: i64 = whole
        .query_row(
            "SELECT count(DISTINCT step) FROM use WHERE epoch = 0",
            [],
            |row| row.get(0),
        )
        .unwrap();
    for (what, of_whole) in [("loss", &losses), ("gradient_norm", &norms)] {
        let of_parts = values(&parts, what);
        for step in 0..steps as usize - 1 {
            let (a, b) = (of_whole[step], of_parts[step]);
            assert!((a - b).abs() < 1e-4 * a, "{what} of step {step}: {a} {b}");
        }
    }
    // The cosine of the first stretch of training: all steps of both its epochs.
    let first: i64 = whole
        .query_row(
            "SELECT count(DISTINCT step) FROM use WHERE epoch < 2",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let (n, warm) = (first as usize, first as usize / 10);
    for (step, rate) in rates[..n].iter().enumerate().skip(warm) {
        let gone = (step - warm) as f64 / (n - warm) as f64;
        let expected = 0.01 * 0.5 * (1.0 + (std::f64::consts::PI * gone).cos());
        assert!((rate - expected).abs() < 1e-12, "{step}: {rate} {expected}");
    }
}

#[test]
fn training_stops_when_validation_no_longer_rises_and_says_so_once() {
    // So small a rate changes no ranking: the first epoch stays the best.
    let text = small_experiment()
        .replace("epochs: 1, difficulty: easy", "epochs: 9, difficulty: easy")
        .replace(
            "batch: 8",
            "batch: 8\n  learning_rate: 1.0e-12\n  early_stopping: { patience: 2 }",
        );
    let text = text
        .lines()
        .filter(|line| !line.starts_with("active_learning"));
    let folder = experiment(&text.collect::<Vec<_>>().join("\n"));
    let folder = folder.path();
    let run = succeed(&["run", "x.yaml", "--run-dir", "r", "--json"], folder);
    let outcome: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(outcome["trained"], "epoch-1");
    let again = succeed(&["resume", "r", "--json"], folder);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["content_hash"], outcome["content_hash"]);
    let store = store(&folder.join("r"));
    let epochs: i64 = store
        .query_row("SELECT count(DISTINCT epoch) FROM use", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(epochs, 3);
    let mut statement = store
        .prepare("SELECT detail FROM event WHERE kind = 'early_stop'")
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    let reasons: Vec<String> = rows.collect::<Result<_, _>>().unwrap();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons[0].contains("ndcg@10 on validation has not risen above")
            && reasons[0].contains("(of epoch-1) for 2 epochs"),
        "{reasons:?}"
    );
}

#[test]
fn the_schema_knows_what_can_be_said_of_encoders_and_training() {
    let folder = experiment("");
    let schema: Value = serde_json::from_str(&succeed(&["schema"], folder.path())).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let lora = "lora: { rank: 4, alpha: 8 }";
    for (model, train, valid) in [
        ("static", "{}", true),
        ("{ static: { dim: 64 } }", "{ clip: 1.5 }", true),
        ("{ transformer: m }", "{ clip: off, accumulate: 4 }", true),
        (
            "{ transformer: m, max_tokens: 128, precision: int8, dropout: 0, freeze: 2, LORA }",
            "{ after_warmup: cosine, early_stopping: { patience: 2 } }",
            true,
        ),
        ("{ transformer: m, static: {} }", "{}", false),
        ("{ max_tokens: 128 }", "{}", false),
        ("{ transformer: m, precision: f16 }", "{}", false),
        ("static", "{ clip: on }", false),
        ("static", "{ after_warmup: step }", false),
        ("static", "{ accumulate: 0 }", false),
    ] {
        let text = format!("model: {{ encoder: {model} }}\ntrain: {train}").replace("LORA", lora);
        let value: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(validator.is_valid(&value), valid, "{text}");
    }
}
