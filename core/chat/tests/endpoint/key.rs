//! The key is nowhere but in the header.

use std::sync::Mutex;

use orchestrator_plugin_host::ChatEndpoint as _;
use serde_json::json;

use crate::server::{KEY, Reply, Server, ask, ask_one, completion, endpoint, request, settings};

/// Servers that say back what they were sent, each in its way.
fn parrots() -> Vec<Server> {
    let says = |status: u16, shape: fn(&str) -> String| {
        Server::start(move |_, seen| {
            let body = shape(&seen.head.replace("\r\n", " "));
            Reply::Full(status, Vec::new(), body.into_bytes())
        })
    };
    vec![
        says(400, |head| json!({"error": {"message": head}}).to_string()),
        says(401, |head| json!({"error": head}).to_string()),
        says(403, str::to_owned),
        says(500, |head| {
            json!({"detail": head.to_uppercase()}).to_string()
        }),
        // Where what is shown ends in the middle of the key.
        says(404, |head| {
            let key = &head[head.find("Bearer").unwrap()..];
            format!("{}{key}", "x".repeat(284))
        }),
        says(200, |head| {
            json!({"error": {"message": head, "code": 429}}).to_string()
        }),
        says(200, |head| {
            json!({"choices": [{"message": {"content": null, "refusal": head}}]}).to_string()
        }),
        says(200, |head| {
            json!({"choices": [{"message": {}, "finish_reason": head}]}).to_string()
        }),
        Server::start(|_, _| {
            Reply::status(302).with(&format!("Location: http://other/{KEY}?{KEY}"))
        }),
    ]
}

fn has_key(text: &str) -> bool {
    text.to_lowercase().contains(&KEY[..7].to_lowercase())
}

#[test]
fn a_server_that_repeats_the_key_brings_it_into_no_message() {
    for (number, server) in parrots().into_iter().enumerate() {
        let why = ask_one(&endpoint(settings(&server.url))).unwrap_err();
        assert!(server.seen()[0].head.contains(KEY));
        assert!(!has_key(&why), "{number}: {why}");
        assert!(why.contains("[key]"), "{number}: {why}");
    }
}

#[test]
fn a_server_that_repeats_the_key_brings_it_into_no_answer_and_no_cache() {
    let server = Server::start(|_, seen| {
        let body = completion(&seen.head).replace("small-2026", KEY);
        Reply::json(200, body)
    });
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&server.url);
    settings.cache = Some(folder.path().to_owned());
    let endpoint = endpoint(settings);
    let answer = ask_one(&endpoint).unwrap();
    assert!(
        !has_key(&answer) && answer.contains("Bearer [key]"),
        "{answer}"
    );
    assert_eq!(ask_one(&endpoint).unwrap(), answer);
    assert_eq!(server.requests(), 1);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!has_key(&text), "{text}");
    }
}

#[test]
fn a_request_with_the_key_in_it_is_not_sent() {
    let server = Server::start(|_, _| Reply::chat("fine"));
    let endpoint = endpoint(settings(&server.url));
    let answers = endpoint.complete(&[&request(KEY)], &|| false);
    let why = answers[0].as_ref().unwrap_err();
    assert!(why.contains("key in it") && !has_key(why), "{why}");
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_redirect_is_not_followed_and_takes_the_key_nowhere() {
    let other = Server::start(|_, _| Reply::chat("stolen"));
    for status in [301, 302, 303, 307, 308] {
        let to = format!("Location: {}/chat/completions?next=1", other.url);
        let server = Server::start(move |_, _| Reply::status(status).with(&to));
        let answers = ask(
            &endpoint(settings(&server.url)),
            &["a", "b", "c", "d", "e", "f"],
        );
        for answer in answers {
            let why = answer.unwrap_err();
            assert!(
                why.contains(&format!("redirects ({status}) to {}", other.url)),
                "{why}"
            );
            assert!(
                why.contains("set `base_url`") && !why.contains("next=1"),
                "{why}"
            );
        }
        assert!(server.requests() <= 4, "the rest is not sent");
    }
    assert_eq!(other.requests(), 0);
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
fn the_libraries_underneath_do_not_log_the_key() {
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let server = Server::start(|number, _| match number {
        0 => Reply::status(500),
        _ => Reply::chat("fine"),
    });
    assert_eq!(ask_one(&endpoint(settings(&server.url))).unwrap(), "fine");
    let logged = LOGGED.lock().unwrap().clone();
    assert!(logged.contains("ureq"), "nothing was logged");
    assert!(!has_key(&logged), "{logged}");
}
