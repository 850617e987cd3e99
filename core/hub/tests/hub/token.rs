//! The token: for the hub alone, in no message, in no log.

use std::sync::Mutex;

use orchestrator_diagnostics::Diagnostic;
use orchestrator_hub::Settings;

use crate::server::{Model, Reply, Server, get, settings, sha256};

/// A token as it might be.
const TOKEN: &str = "hf_TestTokenTestTokenTestToken0123";

fn with_token(server: &Server) -> Settings {
    Settings {
        token: Some(format!("{TOKEN}\n")),
        ..settings(server)
    }
}

#[test]
fn the_hub_is_told_the_token_and_whoever_it_sends_us_to_is_not() {
    let model = Model::small();
    let other = model.clone();
    let elsewhere = Server::start(move |_, seen| {
        let content = other.content("model.safetensors");
        other.file(seen, "model.safetensors", content)
    });
    let to = format!("Location: {}/stored?signature=x", elsewhere.url);
    let server = Server::hub(model.clone(), move |_, seen, reply| {
        if seen.header("authorization").is_none() {
            Reply::status(401)
        } else if seen.path.ends_with("model.safetensors") {
            Reply::status(302).with(&to)
        } else if seen.path.ends_with("/README.md") {
            Reply::status(307).with("Location: /cached")
        } else if seen.path == "/cached" {
            let card = model.content("README.md");
            model.file(seen, "README.md", card)
        } else {
            reply
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let pulled = get(&with_token(&server), folder.path()).unwrap();
    let content = std::fs::read(pulled.folder.join("model.safetensors")).unwrap();
    assert_eq!(
        sha256(&content),
        sha256(Model::small().content("model.safetensors"))
    );
    for seen in server.seen() {
        assert_eq!(
            seen.header("authorization"),
            Some(format!("Bearer {TOKEN}").as_str()),
            "{}",
            seen.path
        );
    }
    let told = elsewhere.seen();
    assert_eq!(told.len(), 1);
    assert!(!told[0].head.contains(TOKEN), "{}", told[0].head);
}

#[test]
fn a_hub_that_repeats_the_token_brings_it_into_no_message() {
    for status in [401, 404, 418] {
        let server = Server::start(move |_, seen| {
            let said = format!(
                "X-Error-Message: no, {}",
                seen.header("authorization").unwrap()
            );
            Reply::status(status).with(&said)
        });
        let folder = tempfile::tempdir().unwrap();
        let error = get(&with_token(&server), folder.path()).unwrap_err();
        let debug = format!("{error:?}");
        let shown = Diagnostic::from(error).render(false);
        assert!(shown.contains("Bearer [token]"), "{shown}");
        assert!(!shown.contains(TOKEN) && !debug.contains(TOKEN), "{shown}");
    }
}

#[test]
fn a_token_that_no_header_can_hold_is_refused_and_not_shown() {
    let server = Server::start(|_, _| Reply::status(404));
    let folder = tempfile::tempdir().unwrap();
    let odd = Settings {
        token: Some("hf_two words".into()),
        ..settings(&server)
    };
    let error = get(&odd, folder.path()).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("two words"));
    assert!(server.seen().is_empty());
}

struct Everything;

static LOGGED: Mutex<String> = Mutex::new(String::new());

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{}: {}\n", record.target(), record.args());
        LOGGED.lock().unwrap().push_str(&line);
    }
    fn flush(&self) {}
}

#[test]
fn the_libraries_underneath_do_not_log_the_token() {
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let server = Server::hub(Model::small(), |_, _, reply| reply);
    let folder = tempfile::tempdir().unwrap();
    get(&with_token(&server), folder.path()).unwrap();
    let logged = LOGGED.lock().unwrap().clone();
    assert!(logged.contains("ureq"), "nothing was logged");
    assert!(!logged.contains(TOKEN), "{logged}");
}
