//! Augmenters that ask a language model, against a server on loopback: what they make, that a re-run asks nothing, that the key
//! stays where it belongs, and what is said when there is no endpoint or a bad one.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use orchestrator_tests::{experiment, orchestrator, repository};
use serde_json::{Value, json};

const KEY: &str = "sk-a-key-that-nobody-may-see";

/// Answers chat requests on a port of its own until the test is over; counts them. `status` of every second request.
fn server(second: u16) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let count = count.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let (mut length, mut authorised, mut line) = (0, false, String::new());
                    while reader.read_line(&mut line).unwrap_or(0) > 2 {
                        let lower = line.to_lowercase();
                        if let Some(value) = lower.strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        authorised |= line.trim_end().ends_with(&format!("Bearer {KEY}"));
                        line.clear();
                    }
                    if length == 0 {
                        return;
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let request: Value = serde_json::from_slice(&body).unwrap();
                    let number = count.fetch_add(1, Ordering::SeqCst);
                    let prompt = request["messages"].as_array().unwrap().last().unwrap()["content"]
                        .as_str()
                        .unwrap();
                    let statement = prompt.rsplit(": ").next().unwrap();
                    let (status, answer) = if number % 2 == 1 && second != 200 {
                        (
                            second,
                            json!({ "error": { "message": format!("no, {KEY}") } }),
                        )
                    } else if authorised {
                        let content = format!("It is false that {statement}");
                        (
                            200,
                            json!({ "choices": [{ "message": { "role": "assistant", "content": content } }] }),
                        )
                    } else {
                        (401, json!({ "error": { "message": "who are you?" } }))
                    };
                    let answer = answer.to_string();
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        answer.len()
                    );
                    if stream.write_all((head + &answer).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, asked)
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn run(folder: &Path, name: &str, url: &str, key: Option<&str>) -> std::process::Output {
    let file = repository().join("experiments/techniques/09-semantic-reversal-llm.yaml");
    let mut command = orchestrator(
        &[
            "run",
            file.to_str().unwrap(),
            "--run-dir",
            name,
            "--json",
            "--set",
            "chat.cache=answers",
        ],
        folder,
    );
    command
        .env("OPENAI_BASE_URL", url)
        .env_remove("OPENAI_API_KEY");
    if let Some(key) = key {
        command.env("OPENAI_API_KEY", key);
    }
    command.output().unwrap()
}

fn outcome(output: &std::process::Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_language_model_makes_samples_a_re_run_asks_nothing_and_nobody_sees_the_key() {
    let folder = experiment("");
    let folder = folder.path();
    let (url, asked) = server(200);
    let first = outcome(&run(folder, "first", &url, Some(KEY)));
    let requests = asked.load(Ordering::SeqCst);
    assert!(requests > 50, "{requests}");
    let store = rusqlite::Connection::open(folder.join("first/store.db")).unwrap();
    let made = |source: &str, role: &str| -> i64 {
        store
            .query_row(
                "SELECT count(*) FROM provenance p JOIN sample s ON s.id = p.sample JOIN text t ON t.id = s.text
                 WHERE p.source = ?1 AND s.role = ?2 AND t.content LIKE 'It is false that %'",
                [source, role],
                |row| row.get(0),
            )
            .unwrap()
    };
    assert!(made("contradict_llm", "negative") > 20 && made("paraphrase_llm", "positive") > 20);
    // The same again: the same result, and not one request more.
    let second = outcome(&run(folder, "second", &url, Some(KEY)));
    assert_eq!(second["content_hash"], first["content_hash"]);
    assert_eq!(asked.load(Ordering::SeqCst), requests);
    for path in files(folder) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            !bytes
                .windows(KEY.len())
                .any(|window| window == KEY.as_bytes()),
            "the key is in {}",
            path.display()
        );
    }
}

#[test]
fn a_server_that_fails_every_second_time_is_asked_again() {
    let folder = experiment("");
    let (url, asked) = server(503);
    let _ = outcome(&run(folder.path(), "r", &url, Some(KEY)));
    assert!(asked.load(Ordering::SeqCst) > 100);
}

#[test]
fn without_an_endpoint_or_a_key_it_is_said_what_to_do() {
    // Nobody listens there.
    let folder = experiment("");
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = run(
        folder.path(),
        "r",
        &format!("http://{closed}/v1"),
        Some(KEY),
    );
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{shown}");
    assert!(
        shown.contains("contradict_llm") && !shown.contains(KEY),
        "{shown}"
    );
    // A wrong key.
    let (url, _) = server(200);
    let output = run(folder.path(), "s", &url, None);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(shown.contains("OPENAI_API_KEY"), "{shown}");
    // No endpoint in the experiment.
    let file = "extends: X\nchat: null\n".replace(
        "X",
        repository()
            .join("experiments/techniques/09-semantic-reversal-llm.yaml")
            .to_str()
            .unwrap(),
    );
    let folder = experiment(&file);
    let output = orchestrator_tests::run(&["check", "x.yaml"], folder.path());
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(
        shown.contains("names no endpoint") && shown.contains("base_url"),
        "{shown}"
    );
}
