//! What is sent, in what order answers come, how many requests run at once, what settings are refused.

use std::process::Command;
use std::time::Duration;

use orchestrator_chat::{Endpoint, Settings};
use orchestrator_plugin_host::ChatEndpoint as _;

use crate::server::{KEY, Reply, Server, ask, ask_one, endpoint, prompt, request, settings};

#[test]
fn a_request_goes_out_as_it_was_given_with_the_key_in_its_header() {
    let server = Server::start(|_, _| Reply::chat("because"));
    let body = r#"{ "temperature": 0.70, "model": "small",  "messages": [] }"#;
    let answers = endpoint(settings(&server.url)).complete(&[body], &|| false);
    assert_eq!(answers, [Ok("because".to_owned())]);
    let seen = server.seen().remove(0);
    let head = seen.head.to_lowercase();
    assert!(
        head.starts_with("post /v1/chat/completions http/1.1\r\n"),
        "{head}"
    );
    assert!(seen.head.contains(&format!("Bearer {KEY}")));
    assert!(
        head.contains("\r\ncontent-type: application/json"),
        "{head}"
    );
    assert!(!head.contains("expect:"), "{head}");
    assert_eq!(seen.body, body);
}

#[test]
fn without_a_key_there_is_no_such_header() {
    let server = Server::start(|_, _| Reply::chat("because"));
    for key in [None, Some(String::new()), Some(" \n".to_owned())] {
        let endpoint = Endpoint::new(settings(&server.url), key).unwrap();
        assert_eq!(ask_one(&endpoint).unwrap(), "because");
    }
    for seen in server.seen() {
        assert!(!seen.head.to_lowercase().contains("authorization"));
    }
}

#[test]
fn answers_are_in_the_order_of_the_requests_and_no_more_run_at_once_than_allowed() {
    let server = Server::start(|number, seen| {
        std::thread::sleep(Duration::from_millis(if number % 3 == 0 { 60 } else { 10 }));
        Reply::chat(&format!("re: {}", prompt(seen)))
    });
    let prompts: Vec<String> = (0..24).map(|number| format!("question {number}")).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let endpoint = endpoint(Settings {
        concurrency: 3,
        ..settings(&server.url)
    });
    for (prompt, answer) in prompts.iter().zip(ask(&endpoint, &prompts)) {
        assert_eq!(answer.unwrap(), format!("re: {prompt}"));
    }
    assert_eq!(server.most_at_once(), 3);
}

#[test]
fn one_endpoint_may_be_asked_by_many_threads() {
    let server = Server::start(|_, seen| Reply::chat(&prompt(seen)));
    let endpoint = endpoint(settings(&server.url));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let endpoint = &endpoint;
            scope.spawn(move || {
                let prompts = [format!("{thread} a"), format!("{thread} b")];
                let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
                for (prompt, answer) in prompts.iter().zip(ask(endpoint, &prompts)) {
                    assert_eq!(answer.unwrap(), *prompt);
                }
            });
        }
    });
    assert_eq!(endpoint.counts().sent, 8);
}

#[test]
fn what_cannot_be_sent_is_said_and_the_rest_is_answered() {
    let server = Server::start(|_, _| Reply::chat("fine"));
    let endpoint = endpoint(settings(&server.url));
    let good = request("why?");
    let requests = ["{", &good, r#"{"model": "small", "stream": true}"#];
    let answers = endpoint.complete(&requests, &|| false);
    assert!(answers[0].as_ref().unwrap_err().contains("not valid JSON"));
    assert_eq!(answers[1], Ok("fine".into()));
    assert!(answers[2].as_ref().unwrap_err().contains("`stream`"));
    assert_eq!(server.requests(), 1);
    assert_eq!(endpoint.complete(&[], &|| false), []);
    let counts = endpoint.counts();
    assert_eq!((counts.asked, counts.sent, counts.failed), (3, 1, 2));
}

#[test]
fn settings_out_of_their_bounds_are_refused_with_what_to_do() {
    let with = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings
    };
    let cases: [(Settings, &str); 7] = [
        (with(|s| s.base_url = "localhost:8000".into()), "`base_url`"),
        (with(|s| s.concurrency = 0), "`concurrency`"),
        (with(|s| s.retries = 1000), "`retries`"),
        (
            with(|s| s.requests_per_minute = Some(f64::NAN)),
            "`requests_per_minute`",
        ),
        (
            with(|s| s.requests_per_minute = Some(0.0)),
            "`requests_per_minute`",
        ),
        (with(|s| s.timeout = Duration::ZERO), "`timeout`"),
        (
            with(|s| s.cache = Some("/dev/null/cache".into())),
            "cannot use",
        ),
    ];
    for (settings, why) in cases {
        let error = Endpoint::new(settings, None).err().unwrap();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.help().is_empty());
    }
    let error = Endpoint::new(Settings::default(), Some("sk-two words".into()))
        .err()
        .unwrap();
    let diagnostic = orchestrator_diagnostics::Diagnostic::from(error).render(false);
    assert!(diagnostic.contains("OPENAI_API_KEY") && !diagnostic.contains("two words"));
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "asking::without_a_key_there_is_no_such_header"]);
    // Nobody listens there.
    for name in [
        "ALL_PROXY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "all_proxy",
    ] {
        again.env(name, "http://127.0.0.1:9");
    }
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
