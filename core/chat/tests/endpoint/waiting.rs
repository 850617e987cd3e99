//! Waiting: what the endpoint asks, the rate, and that a stop ends all of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use orchestrator_chat::Settings;
use orchestrator_plugin_host::ChatEndpoint as _;

use crate::server::{Reply, Server, ask, ask_one, endpoint, request, settings};

#[test]
fn retry_after_is_waited_for_as_seconds_or_as_a_date() {
    for headers in [
        &["Retry-After: 1"][..],
        &[
            "Date: Wed, 21 Oct 2015 07:28:59 GMT",
            "Retry-After: Wed, 21 Oct 2015 07:29:00 GMT",
        ],
    ] {
        let server = Server::start(move |number, _| match number {
            0 => headers
                .iter()
                .fold(Reply::status(429), |reply, header| reply.with(header)),
            _ => Reply::chat("fine"),
        });
        assert_eq!(
            ask_one(&endpoint(settings(&server.url))).as_deref(),
            Ok("fine")
        );
        let seen = server.seen();
        let waited = seen[1].at - seen[0].at;
        assert!(
            waited >= Duration::from_millis(990),
            "{headers:?}: {waited:?}"
        );
        assert!(
            waited < Duration::from_millis(1900),
            "{headers:?}: {waited:?}"
        );
    }
}

#[test]
fn all_requests_wait_when_the_endpoint_asks_one_to() {
    let server = Server::start(|number, _| match number {
        0 => Reply::status(503).with("Retry-After: 0.5"),
        _ => Reply::chat("fine"),
    });
    let two = Settings {
        concurrency: 2,
        requests_per_minute: Some(600.0),
        ..settings(&server.url)
    };
    assert!(
        ask(&endpoint(two), &["a", "b", "c"])
            .iter()
            .all(Result::is_ok)
    );
    let seen = server.seen();
    // The second may be on its way already.
    assert!(seen[2].at - seen[0].at >= Duration::from_millis(490));
}

#[test]
fn an_endpoint_that_asks_for_too_long_a_wait_is_left_alone() {
    let server = Server::start(|_, _| Reply::status(429).with("Retry-After: 3600"));
    let begun = Instant::now();
    let why = ask_one(&endpoint(settings(&server.url))).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(
        why.contains("left alone for 3600 s: run again after that"),
        "{why}"
    );
    assert_eq!(server.requests(), 1);
}

#[test]
fn the_rate_is_kept_by_all_threads_together() {
    let server = Server::start(|_, _| Reply::chat("fine"));
    let slow = Settings {
        requests_per_minute: Some(600.0),
        ..settings(&server.url)
    };
    assert!(
        ask(&endpoint(slow), &["a", "b", "c", "d", "e", "f"])
            .iter()
            .all(Result::is_ok)
    );
    let mut times: Vec<Instant> = server.seen().into_iter().map(|seen| seen.at).collect();
    times.sort();
    let took = times[5] - times[0];
    assert!(took >= Duration::from_millis(480), "{took:?}");
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

#[test]
fn back_off_grows() {
    let server = Server::start(|number, _| match number {
        0..4 => Reply::status(500),
        _ => Reply::chat("fine"),
    });
    let growing = Settings {
        retries: 4,
        first_wait: Duration::from_millis(40),
        ..settings(&server.url)
    };
    assert!(ask_one(&endpoint(growing)).is_ok());
    let seen = server.seen();
    for (number, least) in [20, 40, 80, 160].into_iter().enumerate() {
        let waited = seen[number + 1].at - seen[number].at;
        assert!(
            waited >= Duration::from_millis(least),
            "{number}: {waited:?}"
        );
    }
}

#[test]
fn a_stop_ends_every_kind_of_waiting_soon() {
    /// Its name, what the server does, how the endpoint is set.
    type Case<'a> = (&'a str, fn() -> Reply, fn(&mut Settings));
    let cases: [Case<'_>; 4] = [
        ("a hanging server", || Reply::Hang, |_| {}),
        (
            "a back-off",
            || Reply::status(500),
            |settings| settings.first_wait = Duration::from_secs(60),
        ),
        (
            "Retry-After",
            || Reply::status(429).with("Retry-After: 50"),
            |_| {},
        ),
        (
            "the rate",
            || Reply::chat("fine"),
            |settings| settings.requests_per_minute = Some(1.0),
        ),
    ];
    for (name, reply, change) in cases {
        let server = Server::start(move |_, _| reply());
        let mut settings = Settings {
            longest_wait: Duration::from_secs(100),
            timeout: Duration::from_secs(100),
            ..settings(&server.url)
        };
        change(&mut settings);
        let endpoint = endpoint(settings);
        let stopped = Arc::new(AtomicBool::new(false));
        let bell = Arc::clone(&stopped);
        let at = Instant::now() + Duration::from_millis(300);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            bell.store(true, Ordering::Relaxed);
        });
        let requests: Vec<String> = (0..20).map(|number| request(&number.to_string())).collect();
        let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
        let answers = endpoint.complete(&requests, &|| stopped.load(Ordering::Relaxed));
        let late = at.elapsed();
        assert!(late < Duration::from_millis(200), "{name}: {late:?}");
        let unanswered = answers.iter().filter(|answer| answer.is_err()).count();
        assert!(unanswered >= 19, "{name}");
        assert_eq!(
            answers[19],
            Err("not answered: the run was stopped".into()),
            "{name}"
        );
        assert!(server.requests() <= 4, "{name}");
    }
}

#[test]
fn a_call_that_is_stopped_before_it_begins_sends_nothing() {
    let server = Server::start(|_, _| Reply::chat("fine"));
    let answers = endpoint(settings(&server.url)).complete(&[&request("a")], &|| true);
    assert!(answers[0].is_err());
    assert_eq!(server.requests(), 0);
}
