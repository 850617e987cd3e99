//! Answers that are kept cost no request.

use std::path::PathBuf;

use orchestrator_chat::Settings;
use orchestrator_plugin_host::ChatEndpoint as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Reply, Server, ask, ask_one, endpoint, prompt, request, settings};

fn cached(url: &str, folder: &TempDir) -> Settings {
    Settings {
        cache: Some(folder.path().join("answers")),
        ..settings(url)
    }
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.path().join("answers")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_second_run_costs_no_request_and_says_the_same() {
    let (server, folder) = (
        Server::start(|_, seen| Reply::chat(&prompt(seen))),
        TempDir::new().unwrap(),
    );
    let prompts = ["a", "b", "ünï \"quoted\" \n\u{1f600}"];
    let first = ask(&endpoint(cached(&server.url, &folder)), &prompts);
    assert_eq!(server.requests(), 3);
    let again = endpoint(cached(&server.url, &folder));
    assert_eq!(ask(&again, &prompts), first);
    assert_eq!(server.requests(), 3);
    let counts = again.counts();
    assert_eq!((counts.asked, counts.from_cache, counts.sent), (3, 3, 0));

    let files = files(&folder);
    assert_eq!(
        files.len(),
        3,
        "one file an answer, nothing else: {files:?}"
    );
    let file: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
    assert_eq!(file["model"], "small-2026");
    assert_eq!(file["request"]["model"], "small");
    assert_eq!(file["answer"], file["request"]["messages"][0]["content"]);
    assert!(
        file["created_by"]
            .as_str()
            .unwrap()
            .starts_with("orchestrator ")
    );
}

#[test]
fn what_decides_the_answer_decides_what_is_found() {
    let (server, folder) = (
        Server::start(|_, _| Reply::chat("fine")),
        TempDir::new().unwrap(),
    );
    let endpoint = endpoint(cached(&server.url, &folder));
    let base =
        json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 0.7});
    let with = |name: &str, value: Value| {
        let mut body = base.clone();
        body[name] = value;
        body.to_string()
    };
    let turned =
        r#"{"temperature": 0.7, "messages": [{"content": "a", "role": "user"}], "model": "m"}"#;
    for (body, requests) in [
        (base.to_string(), 1),
        (turned.to_owned(), 1),
        (with("user", json!("somebody")), 1),
        (with("stream", json!(false)), 1),
        (with("temperature", json!(0.8)), 2),
        (with("model", json!("n")), 3),
        (with("seed", json!(1)), 4),
        (
            with("messages", json!([{"role": "user", "content": "b"}])),
            5,
        ),
    ] {
        assert_eq!(endpoint.complete(&[&body], &|| false), [Ok("fine".into())]);
        assert_eq!(server.requests(), requests, "{body}");
    }
}

#[test]
fn another_endpoint_is_asked_itself() {
    let folder = TempDir::new().unwrap();
    let one = Server::start(|_, _| Reply::chat("one"));
    let two = Server::start(|_, _| Reply::chat("two"));
    assert_eq!(
        ask_one(&endpoint(cached(&one.url, &folder))).unwrap(),
        "one"
    );
    assert_eq!(
        ask_one(&endpoint(cached(&two.url, &folder))).unwrap(),
        "two"
    );
    let other_path = one.url.replace("/v1", "/v2");
    assert_eq!(
        ask_one(&endpoint(cached(&other_path, &folder))).unwrap(),
        "one"
    );
    assert_eq!((one.requests(), two.requests()), (2, 1));
}

#[test]
fn the_same_request_twice_in_a_call_is_sent_once() {
    let server = Server::start(|number, _| Reply::chat(&number.to_string()));
    let endpoint = endpoint(Settings {
        concurrency: 1,
        ..settings(&server.url)
    });
    let answers = ask(&endpoint, &["a", "b", "a", "a", "b"]);
    let texts: Vec<&str> = answers
        .iter()
        .map(|answer| answer.as_deref().unwrap())
        .collect();
    assert_eq!(texts, ["0", "1", "0", "0", "1"]);
    assert_eq!(server.requests(), 2);
    assert_eq!(endpoint.counts().repeated, 3);
}

#[test]
fn a_damaged_file_is_ignored_and_replaced() {
    let (server, folder) = (
        Server::start(|_, _| Reply::chat("sound")),
        TempDir::new().unwrap(),
    );
    let endpoint = endpoint(cached(&server.url, &folder));
    assert_eq!(ask_one(&endpoint).unwrap(), "sound");
    let path = files(&folder).remove(0);
    let sound = std::fs::read_to_string(&path).unwrap();
    let damages: [&[u8]; 6] = [
        b"",
        &sound.as_bytes()[..sound.len() / 2],
        b"\xff\xfe",
        b"[]",
        b"{\"answer\": \"forged\"}",
        &sound.replace("\"sound\"", "\"forged\"").into_bytes(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        std::fs::write(&path, damage).unwrap();
        assert_eq!(ask_one(&endpoint).unwrap(), "sound", "{number}");
        assert_eq!(server.requests(), number + 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), sound, "{number}");
    }
}

#[test]
fn failures_are_not_kept() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(|number, _| match number {
        0 => Reply::status(400),
        1 => Reply::json(200, json!({"choices": []})),
        _ => Reply::chat("fine"),
    });
    let endpoint = endpoint(cached(&server.url, &folder));
    assert!(ask_one(&endpoint).is_err());
    assert!(ask_one(&endpoint).is_err());
    assert_eq!(files(&folder).len(), 0);
    assert_eq!(ask_one(&endpoint).unwrap(), "fine");
}

#[test]
fn offline_answers_come_from_the_cache_alone() {
    let (server, folder) = (
        Server::start(|_, _| Reply::chat("fine")),
        TempDir::new().unwrap(),
    );
    ask_one(&endpoint(cached(&server.url, &folder))).unwrap();
    let offline = endpoint(Settings {
        offline: true,
        ..cached(&server.url, &folder)
    });
    let requests = [request("why?"), request("and this?")];
    let answers = offline.complete(&[&requests[0], &requests[1]], &|| false);
    assert_eq!(answers[0], Ok("fine".into()));
    assert!(
        answers[1]
            .as_ref()
            .unwrap_err()
            .contains("not in the cache, and the run is offline")
    );
    assert_eq!(server.requests(), 1);
}

#[test]
fn an_answer_that_cannot_be_kept_is_given_all_the_same() {
    let (server, folder) = (
        Server::start(|_, _| Reply::chat("fine")),
        TempDir::new().unwrap(),
    );
    let endpoint = endpoint(cached(&server.url, &folder));
    std::fs::remove_dir(folder.path().join("answers")).unwrap();
    assert_eq!(ask_one(&endpoint).unwrap(), "fine");
    assert_eq!(endpoint.counts().unsaved, 1);
}
