//! Models by name, through the command: pulled from a hub on loopback, shown, and what `doctor` says of the machine.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use orchestrator_tests::{orchestrator, small_experiment};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const TOKEN: &str = "hf_a_token_that_nobody_may_see";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A model of 4 x 2 weights: paths and contents.
fn model() -> Vec<(&'static str, Vec<u8>)> {
    let header = json!({ "embeddings.weight": { "dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32] } });
    let header = header.to_string();
    let mut weights = (header.len() as u64).to_le_bytes().to_vec();
    weights.extend_from_slice(header.as_bytes());
    weights.extend_from_slice(&[7; 32]);
    let config = r#"{ "model_type": "bert", "hidden_size": 2, "num_hidden_layers": 1, "vocab_size": 4,
        "num_attention_heads": 1, "max_position_embeddings": 512 }"#;
    vec![
        ("README.md", b"---\nlicense: mit\n---\n".to_vec()),
        ("config.json", config.as_bytes().to_vec()),
        ("model.safetensors", weights),
        ("pytorch_model.bin", b"a pickle".to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
    ]
}

/// A hub with `org/model`, for whoever has the token; the first lines of the requests that came.
fn hub() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let Some(first) = head.first().cloned() else {
                continue;
            };
            let known = head.iter().any(|line| line.ends_with(TOKEN));
            let (status, body) = answer(first.split(' ').nth(1).unwrap(), known);
            seen.lock().unwrap().push(first);
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.into_bytes(), body].concat());
        }
    });
    (url, asked)
}

fn answer(path: &str, known: bool) -> (u16, Vec<u8>) {
    let no = |status, said: &str| (status, json!({ "error": said }).to_string().into_bytes());
    if !known {
        return no(401, "Invalid credentials");
    }
    if path.starts_with("/api/models/org/model/revision/main?") {
        let files = model().into_iter().map(|(name, content)| {
            let bytes = Sha256::digest(&content);
            let sha256: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "rfilename": name, "lfs": { "sha256": sha256, "size": content.len() } })
        });
        let listing = json!({ "sha": COMMIT, "siblings": files.collect::<Vec<_>>() });
        return (200, listing.to_string().into_bytes());
    }
    let file = path.strip_prefix(&format!("/org/model/resolve/{COMMIT}/"));
    let file = file.and_then(|file| model().into_iter().find(|(name, _)| *name == file));
    file.map_or_else(|| no(404, "Not found"), |(_, content)| (200, content))
}

/// The command with an environment of these variables alone of those that say where models are.
fn command(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = orchestrator(arguments, folder);
    for name in [
        "HF_HOME",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "XDG_CACHE_HOME",
        "HF_ENDPOINT",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", folder).envs(variables.iter().copied());
    command
}

fn both(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(!shown.contains(TOKEN), "{shown}");
    shown
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let shown = both(&output);
    assert!(output.status.success(), "{shown}");
    String::from_utf8(output.stdout).unwrap()
}

fn fail(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let shown = both(&output);
    assert_eq!(output.status.code(), Some(code), "{shown}");
    shown
}

#[test]
fn a_model_is_pulled_once_and_shown_by_its_name() {
    let (url, asked) = hub();
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("HF_HOME", "hf"),
        ("HF_ENDPOINT", url.as_str()),
        ("HF_TOKEN", TOKEN),
    ];
    let ask = |arguments: &[&str]| succeed(&mut command(arguments, folder.path(), &variables));
    let text = ask(&["model", "pull", "org/model"]);
    assert!(
        text.contains("4 files downloaded") && text.contains(COMMIT),
        "{text}"
    );
    let before = asked.lock().unwrap().len();
    assert_eq!(before, 5);
    let again: Value =
        serde_json::from_str(&ask(&["model", "pull", "org/model", "--json"])).unwrap();
    assert_eq!(asked.lock().unwrap().len(), before + 1);
    assert_eq!(again["downloaded_bytes"], 0);
    assert_eq!(again["files"].as_array().unwrap().len(), 4);
    let snapshot = format!("hf/hub/models--org--model/snapshots/{COMMIT}");
    assert_eq!(again["folder"], snapshot.as_str());

    for name in ["org/model", &snapshot] {
        let card: Value = serde_json::from_str(&ask(&["model", "show", name, "--json"])).unwrap();
        for (key, value) in [
            ("architecture", json!("bert")),
            ("layers", json!(1)),
            ("hidden_size", json!(2)),
            ("pooling", json!("mean")),
            ("normalise", json!(false)),
            ("max_seq_length", json!(512)),
            ("dtype", json!("F32")),
            ("parameters", json!(8)),
            ("licence", json!("mit")),
            ("supported", json!(true)),
        ] {
            assert_eq!(card[key], value, "{key}");
        }
    }
    let text = ask(&["model", "show", "org/model"]);
    assert!(
        text.contains("licence         mit\nsupported       yes\n"),
        "{text}"
    );
    assert_eq!(asked.lock().unwrap().len(), before + 1, "show asks nobody");
}

#[test]
fn what_cannot_be_pulled_or_shown_is_told_with_its_exit_code() {
    let (url, asked) = hub();
    let folder = tempfile::tempdir().unwrap();
    for (arguments, variables, code, said) in [
        (
            &["model", "pull", "org/model"][..],
            &[][..],
            3,
            &[
                "to somebody without a token",
                "Invalid credentials",
                "set HF_TOKEN",
            ][..],
        ),
        (
            &["model", "pull", "org/model", "--revision", "v2"],
            &[("HF_TOKEN", TOKEN)],
            3,
            &["has no `org/model@v2`", "check the name and the revision"],
        ),
        (
            &["model", "pull", "org/model"],
            &[("HF_HUB_OFFLINE", "1")],
            3,
            &["HF_HUB_OFFLINE is set"],
        ),
        (
            &["model", "pull", "../model"],
            &[],
            2,
            &["cannot be the name of a model", "all-MiniLM-L6-v2"],
        ),
        (
            &["model", "pull", "org/model", "--revision", "../x"],
            &[],
            2,
            &["no branch, tag or commit"],
        ),
        (
            &["model", "show", "org/model"],
            &[],
            3,
            &[
                "there is no model `org/model`",
                ".cache/huggingface/hub/models--org--model",
                "help: orchestrator model pull org/model",
            ],
        ),
        (
            &["model", "show", "."],
            &[],
            3,
            &["is not the folder of a model"],
        ),
    ] {
        let mut command = command(arguments, folder.path(), variables);
        let shown = fail(command.env("HF_ENDPOINT", &url), code);
        for part in said {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert!(!folder.path().join(".cache").exists());
}

#[cfg(unix)]
#[test]
fn a_pull_that_is_interrupted_ends_with_5_and_says_how_to_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let variables = [("HF_ENDPOINT", url.as_str())];
    let child = command(&["model", "pull", "org/model"], folder.path(), &variables)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id().to_string();
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            // A request has come, and is not answered.
            let _open = listener.accept().unwrap();
            let killed = Command::new("kill").args(["-INT", &id]).status();
            assert!(killed.unwrap().success());
            std::thread::sleep(std::time::Duration::from_secs(1));
        });
        child.wait_with_output().unwrap()
    });
    let shown = both(&output);
    assert_eq!(output.status.code(), Some(5), "{shown}");
    assert!(
        shown.contains("the same command goes on where it stopped"),
        "{shown}"
    );
}

#[test]
fn a_model_of_a_run_is_shown() {
    let folder = orchestrator_tests::experiment(&small_experiment());
    let _ = orchestrator_tests::succeed(&["run", "x.yaml", "--run-dir", "r"], folder.path());
    let shown = succeed(&mut command(
        &["model", "show", "r/model", "--json"],
        folder.path(),
        &[],
    ));
    let card: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(card["architecture"], "static");
    assert_eq!(
        (&card["hidden_size"], &card["normalise"]),
        (&json!(32), &json!(true))
    );
    assert_eq!(card["supported"], true, "{card}");
}

#[test]
fn doctor_says_what_there_is_and_never_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("HF_HOME", "hf"),
        ("HF_TOKEN", TOKEN),
        ("RAYON_NUM_THREADS", "3"),
    ];
    let shown = succeed(&mut command(&["doctor"], folder.path(), &variables));
    for part in [
        concat!("version  ", env!("CARGO_PKG_VERSION")),
        std::env::consts::OS,
        "3 (RAYON_NUM_THREADS) of ",
        "hf/hub (not there yet)",
        "with a token",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let shown = succeed(&mut command(
        &["doctor", "--json"],
        folder.path(),
        &variables,
    ));
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["threads"]["used"], 3);
    assert!(value["plugins"][0]["plugins"].as_u64().unwrap() > 20);
    let features = value["cpu"]["features"].as_object().unwrap();
    #[cfg(target_arch = "x86_64")]
    assert_eq!(features["avx2"], is_x86_feature_detected!("avx2"));
    #[cfg(target_arch = "aarch64")]
    assert_eq!(features["neon"], true);
    assert!(features.len() <= 5);
    // The kernels are those of the instructions that are there.
    let chosen = |precision: &str| value["kernels"][precision].as_str().unwrap().to_owned();
    let has = |name: &str| features.get(name) == Some(&json!(true));
    assert_eq!(chosen("f32") == "AVX-512", has("avx512f"));
    assert_eq!(chosen("bf16") == "AVX512-BF16", has("avx512_bf16"));
    assert_eq!(chosen("int8") == "AVX512-VNNI", has("avx512_vnni"));
    assert_eq!(
        value["hub"],
        json!({ "endpoint": "https://huggingface.co", "token": true, "offline": false })
    );
}

#[test]
fn doctor_shows_everything_and_fails_if_plugins_cannot_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let mut ill = command(&["doctor"], folder.path(), &[]);
    let shown = fail(ill.env("ORCHESTRATOR_PLUGIN_PATH", "no-such-folder"), 4);
    assert!(
        shown.contains("no-such-folder (not there)") && shown.contains("memory"),
        "{shown}"
    );
}
