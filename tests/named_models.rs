//! Models of experiments by their names in Hugging Face's cache, `model encode`, and what a run says of memory before it begins.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use orchestrator_tests::{experiment, orchestrator, repository, small_experiment};
use serde_json::Value;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const STATIC: &str = "encoder: { static: { dim: 32, vocabulary: 2000 } }";

/// A tiny random model (`bench/fixtures/encoders.py`).
fn fixture(name: &str) -> PathBuf {
    repository()
        .join("core/model/tests/fixtures/transformers")
        .join(name)
}

/// Copies one to the folder `to`.
fn copy(name: &str, to: &Path) {
    for inner in ["", "1_Pooling", "2_Normalize"] {
        let from = fixture(name).join(inner);
        let Ok(entries) = std::fs::read_dir(from) else {
            continue;
        };
        std::fs::create_dir_all(to.join(inner)).unwrap();
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap();
            if path.is_file() && name != "gradients.safetensors" && name != "expected.json" {
                std::fs::copy(&path, to.join(inner).join(name)).unwrap();
            }
        }
    }
}

/// The cache `hf/hub` with `org/tiny`, whose `main` and `v1` are one commit.
fn cache(folder: &Path) -> PathBuf {
    let model = folder.join("hf/hub/models--org--tiny");
    let snapshot = model.join("snapshots").join(COMMIT);
    copy("bert", &snapshot);
    std::fs::create_dir_all(model.join("refs")).unwrap();
    for revision in ["main", "v1"] {
        std::fs::write(model.join("refs").join(revision), COMMIT).unwrap();
    }
    snapshot
}

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut command = orchestrator(arguments, folder);
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"] {
        command.env_remove(name);
    }
    command.env("HF_HOME", folder.join("hf"));
    command
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown}");
    String::from_utf8(output.stdout).unwrap()
}

fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{shown}");
    shown
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The small experiment, without rounds, with a transformer of that name.
fn of(name: &str) -> String {
    let text = small_experiment().replace(STATIC, &format!("encoder: {{ transformer: {name} }}"));
    let text = text
        .lines()
        .filter(|line| !line.starts_with("active_learning"));
    text.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_model_is_found_by_its_name_and_pinned_by_what_is_in_it() {
    let text = of("org/tiny").replace("name: small", "models: { guide: org/tiny@v1 }\nname: small");
    let folder = experiment(&text);
    let folder = folder.path();
    let snapshot = cache(folder);
    let checked = json(&succeed(&mut command(
        &["check", "x.yaml", "--json"],
        folder,
    )));
    assert_eq!(checked["experiment"]["encoder"]["folder"], "org/tiny");
    assert_eq!(checked["experiment"]["models"]["guide"], "org/tiny");
    // Of a folder that holds the same, the pins are the same.
    copy("bert", &folder.join("copy"));
    let set = ["--set", "model.encoder.transformer=copy"];
    let arguments = [&["check", "x.yaml", "--json"][..], &set].concat();
    let of_copy = json(&succeed(&mut command(&arguments, folder)));
    assert_eq!(of_copy["pins"], checked["pins"]);
    assert_eq!(of_copy["experiment"]["encoder"]["folder"], "copy");

    let run = json(&succeed(&mut command(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder,
    )));
    let origin = json(&std::fs::read_to_string(folder.join("r/origin.json")).unwrap());
    for place in [&origin["transformer"], &origin["models"]["guide"]] {
        assert_eq!(place.as_str().unwrap(), snapshot.to_str().unwrap());
    }
    let plan = std::fs::read_to_string(folder.join("r/plan.json")).unwrap();
    assert!(!plan.contains(COMMIT), "{plan}");
    let card = std::fs::read_to_string(folder.join("r/model/README.md")).unwrap();
    assert!(card.contains("base_model: \"org/tiny\""), "{card}");
    // The run's own file says where it lay, so that it is found where the environment says nothing of a cache.
    let mut again = command(
        &["run", "r/experiment.yaml", "--run-dir", "again", "--json"],
        folder,
    );
    let again = json(&succeed(again.env("HF_HOME", folder.join("elsewhere"))));
    assert_eq!(again["content_hash"], run["content_hash"]);
    let mut resumed = command(&["resume", "r", "--json"], folder);
    let resumed = json(&succeed(resumed.env("HF_HOME", folder.join("elsewhere"))));
    assert_eq!(resumed["content_hash"], run["content_hash"]);
}

#[test]
fn a_folder_beside_the_experiment_comes_before_a_name_and_what_is_not_there_is_told_at_its_line() {
    let folder = experiment(&of("org/tiny"));
    let folder = folder.path();
    let snapshot = cache(folder);
    for (name, said) in [
        (
            "org/other",
            &["`org/other`", "orchestrator model pull org/other"][..],
        ),
        (
            "org/tiny@v2",
            &[
                "not its revision `v2`",
                "orchestrator model pull org/tiny@v2",
            ],
        ),
        (
            "./tiny",
            &["`./tiny`", "give the folder of a model, or a name"],
        ),
    ] {
        std::fs::write(folder.join("y.yaml"), of(name)).unwrap();
        for arguments in [
            &["check", "y.yaml"][..],
            &["run", "y.yaml", "--run-dir", "r"],
        ] {
            let shown = fail(&mut command(arguments, folder), 3);
            for part in [&["y.yaml:3:", "looked in"], said].concat() {
                assert!(shown.contains(part), "{part} is not in\n{shown}");
            }
        }
        // What is wrong with the file itself is told first.
        let shown = fail(
            &mut command(&["check", "y.yaml", "--set", "train.batch=0"], folder),
            2,
        );
        assert!(shown.contains("batch"), "{shown}");
    }
    assert!(!folder.join("r").exists());
    std::fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    let shown = fail(&mut command(&["check", "x.yaml"], folder), 3);
    assert!(shown.contains("only a part of it"), "{shown}");
    copy("mpnet", &folder.join("org/tiny"));
    let checked = json(&succeed(&mut command(
        &["check", "x.yaml", "--json"],
        folder,
    )));
    assert_eq!(checked["experiment"]["encoder"]["folder"], "tiny");
}

/// `model encode` with `texts` on its standard input.
fn encode(arguments: &[&str], folder: &Path, texts: &[u8]) -> Output {
    let mut child = command(&[&["model", "encode"], arguments].concat(), folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // One that refuses its arguments reads nothing.
    let _ = input.write_all(texts);
    drop(input);
    child.wait_with_output().unwrap()
}

fn rows(output: &Output) -> Vec<Vec<f32>> {
    assert!(output.status.success(), "{output:?}");
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn texts_are_encoded_as_sentence_transformers_encodes_them_with_each_prompt() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bert-prompts", "bert-max", "bert-dense"] {
        let model = fixture(name);
        let model = model.to_str().unwrap();
        let expected = json(&std::fs::read_to_string(fixture(name).join("expected.json")).unwrap());
        let all = expected["texts"].as_array().unwrap();
        let all: Vec<&str> = all.iter().map(|text| text.as_str().unwrap()).collect();
        // A text is a line here.
        let places: Vec<usize> = (0..all.len())
            .filter(|n| !all[*n].contains(['\n', '\r']))
            .collect();
        let lines: String = places.iter().map(|n| format!("{}\n", all[*n])).collect();
        for case in expected["cases"].as_array().unwrap() {
            let prompt = case["prompt_name"].as_str();
            let given = prompt.map_or_else(Vec::new, |prompt| vec!["--prompt", prompt]);
            for batch in ["1", "3", "256"] {
                let arguments = [&[model, "--batch", batch], &given[..]].concat();
                let found = rows(&encode(&arguments, folder.path(), lines.as_bytes()));
                assert_eq!(found.len(), places.len());
                for (row, place) in found.iter().zip(&places) {
                    let wanted = case["embeddings"][place].clone();
                    let wanted: Vec<f32> = serde_json::from_value(wanted).unwrap();
                    for (a, b) in row.iter().zip(&wanted) {
                        assert!((a - b).abs() < 1e-5, "{name}, {prompt:?}: {a} {b}");
                    }
                }
            }
        }
    }
}

#[test]
fn encode_knows_names_sides_lengths_and_precisions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    cache(path);
    let texts = "aspirin lowers fever in mice\nwater\n".as_bytes();
    let tiny = fixture("bert");
    let of_folder = rows(&encode(&[tiny.to_str().unwrap()], path, texts));
    for name in ["org/tiny", "org/tiny@v1"] {
        assert_eq!(rows(&encode(&[name], path, texts)), of_folder);
    }
    assert_ne!(
        rows(&encode(&["org/tiny", "--max-tokens", "4"], path, texts))[0],
        of_folder[0]
    );
    assert_ne!(
        rows(&encode(&["org/tiny", "--precision", "int8"], path, texts)),
        of_folder
    );
    let prompts = fixture("bert-prompts");
    let prompts = prompts.to_str().unwrap();
    let of = |more: &[&str]| rows(&encode(&[&[prompts], more].concat(), path, texts));
    let (query, anchor) = (of(&["--prompt", "query"]), of(&["--side", "anchor"]));
    assert_eq!(query, anchor);
    assert_ne!(anchor, of(&["--side", "document"]));
    for (arguments, code, said) in [
        (
            &["org/tiny", "--prompt", "question"][..],
            2,
            "has no prompt `question`",
        ),
        (
            &["org/tiny", "--prompt", "a", "--side", "anchor"],
            2,
            "cannot be used with",
        ),
        (&["org/other"], 3, "orchestrator model pull org/other"),
        (&["hf"], 3, "give a folder of sentence-transformers"),
    ] {
        let output = encode(arguments, path, texts);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(shown.contains(said), "{said} is not in\n{shown}");
    }
    let output = encode(&["org/tiny"], path, b"water\n\xff\n");
    assert_eq!((output.status.code(), rows_of(&output)), (Some(3), 1));
}

fn rows_of(output: &Output) -> usize {
    output.stdout.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn whoever_closes_the_output_ends_encode_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture("bert");
    let mut child = command(
        &["model", "encode", model.to_str().unwrap(), "--batch", "8"],
        folder.path(),
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    // More than pipes hold: it has gone before all is written.
    let texts = "aspirin lowers fever\n".repeat(100_000);
    assert!(input.write_all(texts.as_bytes()).is_err());
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn a_run_that_cannot_fit_is_refused_before_anything_is_written() {
    let folder = experiment(&of("org/tiny"));
    let folder = folder.path();
    cache(folder);
    let with = |arguments: &[&str], bytes: &str| {
        let mut command = command(arguments, folder);
        command.env("ORCHESTRATOR_MEMORY", bytes);
        command
    };
    let checked = json(&succeed(&mut with(&["check", "x.yaml", "--json"], "1TB")));
    let needed = checked["memory"]["needed"].as_u64().unwrap();
    let parts = checked["memory"]["parts"].as_array().unwrap();
    let activations = parts
        .iter()
        .find(|part| part["what"] == "activations of a step");
    let activations = activations.unwrap()["bytes"].as_u64().unwrap();
    let sum: u64 = parts
        .iter()
        .map(|part| part["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, needed);
    // A little too little: smaller pieces fit.
    let enough = needed - activations / 4;
    let little = enough.to_string();
    let run = ["run", "x.yaml", "--run-dir", "r"];
    let shown = fail(&mut with(&run, &little), 2);
    for part in [
        "x.yaml:16:",
        "the run would take about",
        "activations of a step",
        "train.mini_batch: ",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(!folder.join("r").exists());
    let text = shown.split("train.mini_batch: ").nth(1).unwrap();
    let size = text.split(' ').next().unwrap();
    let set = format!("train.mini_batch={size}");
    let small = json(&succeed(&mut with(
        &["check", "x.yaml", "--json", "--set", &set],
        "1TB",
    )));
    assert!(small["memory"]["needed"].as_u64().unwrap() <= enough);
    // Far too little.
    let shown = fail(&mut with(&run, "10kB"), 2);
    assert!(shown.contains("choose a smaller"), "{shown}");
    let shown = fail(&mut with(&run, "plenty"), 2);
    assert!(shown.contains("ORCHESTRATOR_MEMORY=8GB"), "{shown}");
    // `check` may be for another machine.
    let output = with(&["check", "x.yaml"], "10kB").output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("the run would take about"), "{told}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("memory:\n  needed: "));
    let _ = succeed(&mut with(&run, &needed.to_string()));
    let shown = fail(&mut with(&["resume", "r"], "10kB"), 2);
    assert!(shown.contains("the run would take about"), "{shown}");
    // Of a static encoder nothing is told.
    std::fs::write(folder.join("x.yaml"), small_experiment()).unwrap();
    let checked = json(&succeed(&mut with(&["check", "x.yaml", "--json"], "10kB")));
    assert!(checked.get("memory").is_none());
}
