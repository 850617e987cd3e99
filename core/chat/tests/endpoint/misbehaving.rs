//! Servers that misbehave, each with what is said about it and how often it is asked.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use orchestrator_chat::{Endpoint, Settings};
use serde_json::json;

use crate::server::{Reply, Server, ask, ask_one, completion, endpoint, settings};

fn page(status: u16) -> Reply {
    let html = "<!DOCTYPE html><html><body>Welcome to nginx</body></html>";
    let header = "Content-Type: text/html; charset=utf-8".to_owned();
    Reply::Full(status, vec![header], html.into())
}

fn body(text: &str) -> Reply {
    Reply::Full(200, Vec::new(), text.into())
}

fn message(message: &serde_json::Value, reason: &str) -> Reply {
    Reply::json(
        200,
        json!({"choices": [{"message": message, "finish_reason": reason}]}),
    )
}

/// Its name, what the server does, what is said.
type Case<'a, Said> = (&'a str, fn() -> Reply, Said);

#[test]
fn what_stays_is_said_with_what_to_do_and_not_tried_again() {
    let cases: &[Case<&[&str]>] = &[
        (
            "400",
            || Reply::status(400),
            &["refuses the request (400): said the server"],
        ),
        (
            "401",
            || Reply::status(401),
            &["does not accept the key (401)", "set OPENAI_API_KEY"],
        ),
        (
            "403",
            || Reply::status(403),
            &["does not allow this (403)", "OPENAI_API_KEY"],
        ),
        (
            "404",
            || Reply::status(404),
            &["(404): said the server", "check `model` and `base_url`"],
        ),
        ("413", || Reply::status(413), &["status 413"]),
        ("page", || page(404), &["(404): a web page", "`base_url`"]),
        (
            "page 200",
            || page(200),
            &["web page instead of JSON", "`base_url`"],
        ),
        (
            "unnamed page",
            || body("\n<html>"),
            &["web page instead of JSON"],
        ),
        ("empty", || body(""), &["the answer is empty"]),
        (
            "no content",
            || Reply::Full(204, Vec::new(), Vec::new()),
            &["the answer is empty"],
        ),
        ("not JSON", || body("{\"choices\": ["), &["not valid JSON"]),
        ("two values", || body("{} {}"), &["not valid JSON"]),
        ("deep", || body(&"[".repeat(100_000)), &["not valid JSON"]),
        (
            "stream",
            || body("data: {\"choices\": []}\n\n"),
            &["answers with a stream"],
        ),
        (
            "not UTF-8",
            || Reply::Full(200, Vec::new(), b"{\"choices\": \"\xff\xfe\"}".into()),
            &["not UTF-8"],
        ),
        ("no choices", || body("{\"id\": 1}"), &["has no `choices`"]),
        (
            "choices empty",
            || body("{\"choices\": []}"),
            &["has no `choices`"],
        ),
        ("a list", || body("[1, 2]"), &["has no `choices`"]),
        (
            "choices odd",
            || body("{\"choices\": [7]}"),
            &["no text (finish reason: not given)"],
        ),
        (
            "error in 200",
            || body("{\"error\": \"out of luck\"}"),
            &["with an error: out of luck"],
        ),
        (
            "status in 200",
            || body("{\"error\": {\"message\": \"gone\", \"code\": 404}}"),
            &["(404): gone"],
        ),
        (
            "null",
            || message(&json!({"content": null}), "stop"),
            &["no text (finish reason: stop)"],
        ),
        (
            "blank",
            || message(&json!({"content": " \n"}), "stop"),
            &["no text (finish reason: stop)"],
        ),
        (
            "refusal",
            || message(&json!({"content": null, "refusal": "I will not"}), "stop"),
            &["refuses: I will not"],
        ),
        (
            "cut off",
            || message(&json!({"content": ""}), "length"),
            &["raise `max_tokens`"],
        ),
        (
            "filter",
            || message(&json!({"content": null}), "content_filter"),
            &["a content filter"],
        ),
        (
            "huge",
            || Reply::json(200, completion(&"x".repeat(5 << 20))),
            &["longer than 4 MiB"],
        ),
        (
            "quota",
            || {
                Reply::json(
                    429,
                    json!({"error": {"message": "pay", "code": "insufficient_quota"}}),
                )
            },
            &["no quota left (429): pay"],
        ),
        (
            "controls",
            || Reply::json(400, json!({"error": "\u{1b}[31mred\r\nX: y"})),
            &["(400): [31mred X: y"],
        ),
        (
            "long words",
            || Reply::json(400, json!({"error": "ö".repeat(4000)})),
            &["ööö…"],
        ),
    ];
    for &(name, reply, said) in cases {
        let server = Server::start(move |_, _| reply());
        let why = ask_one(&endpoint(settings(&server.url))).unwrap_err();
        for part in said {
            assert!(why.contains(part), "{name}: {why}");
        }
        assert!(
            !why.contains('\u{1b}') && why.chars().count() < 500,
            "{name}: {why}"
        );
        assert_eq!(server.requests(), 1, "{name}: {why}");
    }
}

#[test]
fn what_passes_is_tried_again_until_there_is_an_answer() {
    let cut = || {
        let whole = completion("never whole");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", whole.len());
        Reply::Raw(format!("{head}{}", &whole[..40]).into())
    };
    let cases: &[Case<&str>] = &[
        (
            "408",
            || Reply::status(408),
            "fails for now (408): said the server; tried 3 times",
        ),
        ("409", || Reply::status(409), "fails for now (409)"),
        (
            "429",
            || Reply::status(429),
            "asked too often (429): said the server; tried 3 times",
        ),
        ("500", || Reply::status(500), "fails for now (500)"),
        ("503 page", || page(503), "fails for now (503): a web page"),
        (
            "429 in 200",
            || body("{\"error\": {\"message\": \"slow\", \"code\": 429}}"),
            "asked too often (429): slow",
        ),
        ("closed", || Reply::Raw(Vec::new()), "broke"),
        (
            "closed in the head",
            || Reply::Raw("HTTP/1.1 200 OK\r\nContent-".into()),
            "broke",
        ),
        ("closed in the middle", cut, "broke"),
        (
            "not HTTP",
            || Reply::Raw("SSH-2.0-OpenSSH_9.6\r\n\r\n".into()),
            "does not answer as HTTP has it",
        ),
        (
            "bad chunks",
            || Reply::Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".into()),
            "does not answer as HTTP has it",
        ),
    ];
    for &(name, reply, said) in cases {
        let server = Server::start(move |_, _| reply());
        let why = ask_one(&endpoint(settings(&server.url))).unwrap_err();
        assert!(why.contains(said), "{name}: {why}");
        assert_eq!(server.requests(), 3, "{name}");

        let server = Server::start(move |number, _| match number {
            0 | 1 => reply(),
            _ => Reply::chat("at last"),
        });
        let answer = ask_one(&endpoint(settings(&server.url)));
        assert_eq!(answer.as_deref(), Ok("at last"), "{name}");
    }
}

#[test]
fn a_server_that_hangs_or_drips_is_given_its_time_and_no_more() {
    let drip = || {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
        Reply::Drip(
            format!("{head}{}", " ".repeat(5000)).into(),
            Duration::from_millis(20),
        )
    };
    for (name, reply) in [
        ("hangs", (|| Reply::Hang) as fn() -> Reply),
        ("drips", drip),
    ] {
        let server = Server::start(move |number, _| match number {
            0 => reply(),
            _ => Reply::chat("at last"),
        });
        let hasty = Settings {
            timeout: Duration::from_millis(300),
            ..settings(&server.url)
        };
        let begun = Instant::now();
        assert_eq!(
            ask_one(&endpoint(hasty.clone())).as_deref(),
            Ok("at last"),
            "{name}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{name}: {:?}",
            begun.elapsed()
        );

        let server = Server::start(move |_, _| reply());
        let never = Settings {
            base_url: server.url.clone(),
            retries: 1,
            ..hasty
        };
        let why = ask_one(&endpoint(never)).unwrap_err();
        assert!(
            why.contains("gave no whole answer within 0.3 s (`timeout`); tried 2 times"),
            "{why}"
        );
    }
}

#[test]
fn without_a_key_401_says_to_set_one() {
    let server = Server::start(|_, _| Reply::status(401));
    let endpoint = Endpoint::new(settings(&server.url), None).unwrap();
    let why = ask_one(&endpoint).unwrap_err();
    assert!(
        why.contains("wants a key (401)") && why.ends_with("set OPENAI_API_KEY"),
        "{why}"
    );
}

#[test]
fn a_wrong_content_type_does_not_matter_if_the_body_is_right() {
    for kind in [
        "text/plain",
        "text/html",
        "application/octet-stream",
        "nonsense",
    ] {
        let header = format!("Content-Type: {kind}");
        let server = Server::start(move |_, _| {
            Reply::Full(200, vec![header.clone()], completion("fine").into())
        });
        assert_eq!(
            ask_one(&endpoint(settings(&server.url))).as_deref(),
            Ok("fine"),
            "{kind}"
        );
    }
}

#[test]
fn a_text_may_come_in_parts() {
    let server = Server::start(|_, _| {
        let parts = json!([{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]);
        message(&json!({"content": parts}), "stop")
    });
    assert_eq!(
        ask_one(&endpoint(settings(&server.url))).as_deref(),
        Ok("one two")
    );
}

#[test]
fn a_storm_of_429_passes() {
    let server = Server::start(|number, _| match number {
        0..12 => Reply::status(429).with("Retry-After: 0"),
        _ => Reply::chat("fine"),
    });
    let patient = Settings {
        retries: 12,
        longest_wait: Duration::from_millis(50),
        ..settings(&server.url)
    };
    let answers = ask(&endpoint(patient), &["a", "b", "c", "d", "e", "f"]);
    assert!(
        answers.iter().all(|answer| answer.as_deref() == Ok("fine")),
        "{answers:?}"
    );
    assert_eq!(server.requests(), 18);
}

#[test]
fn a_key_that_is_not_accepted_is_not_tried_for_every_request() {
    let server = Server::start(|_, _| Reply::status(401));
    let prompts: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let answers = ask(&endpoint(settings(&server.url)), &prompts);
    assert!(server.requests() <= 4);
    let last = answers[49].as_ref().unwrap_err();
    assert!(
        last.starts_with("not sent: ") && last.contains("(401)"),
        "{last}"
    );
}

#[test]
fn where_nobody_listens_the_rest_is_not_sent() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = endpoint(settings(&format!("http://{free}/v1")));
    let prompts: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let answers = ask(&endpoint, &prompts);
    assert!(begun.elapsed() < Duration::from_secs(2));
    let first = answers[0].as_ref().unwrap_err();
    assert_eq!(
        *first,
        format!("nobody listens at `{free}`; start the server, or check `base_url`; tried 3 times")
    );
    assert_eq!(
        *answers[499].as_ref().unwrap_err(),
        format!("not sent: {first}")
    );
    assert!(endpoint.counts().sent < 30);
}

#[test]
fn a_request_that_the_server_cannot_bear_does_not_end_the_others() {
    let server = Server::start(|_, seen| match seen.body.contains("poison") {
        true => Reply::Raw(Vec::new()),
        false => Reply::chat("fine"),
    });
    let one_at_a_time = Settings {
        concurrency: 1,
        ..settings(&server.url)
    };
    let answers = ask(
        &endpoint(one_at_a_time),
        &["poison a", "b", "poison c", "d"],
    );
    let fine: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [false, true, false, true]);
}

#[test]
fn https_where_plain_http_is_spoken_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut hello = [0; 16];
            stream.read_exact(&mut hello).unwrap();
            let refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(refusal).unwrap();
        }
    });
    let endpoint = endpoint(settings(&url));
    let why = ask_one(&endpoint).unwrap_err();
    assert!(
        why.contains("no secure connection") && why.contains("check `base_url`"),
        "{why}"
    );
    assert_eq!(endpoint.counts().sent, 1);
}
