//! What the server refuses, each by trying it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Served;

#[test]
fn nothing_of_the_run_is_shown_without_the_cookie() {
    let served = Served::new(2, &[]);
    for path in ["hello", "desk", "answer", "undo", "disputes", "models"] {
        let path = format!("/api/{path}");
        let body = json!({ "name": "ann" }).to_string();
        for cookie in [
            "Cookie:".to_owned(),
            "Cookie: orchestrator=1".to_owned(),
            format!("Cookie: {}0", served.cookie),
            format!("Cookie: {}", &served.cookie[..served.cookie.len() - 1]),
            format!("Cookie: x{}", served.cookie),
            format!("Cookie: {}=", served.cookie.split('=').next().unwrap()),
        ] {
            let reply = served.post(&path, &body, &[&cookie]);
            assert_eq!(reply.status, 401, "{path} with `{cookie}`");
            assert!(!reply.body.contains("a run"));
        }
    }
    // The page itself is the same for everybody, and says nothing of the run.
    let page = served.get("/", &[]);
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("a run") && page.header("set-cookie").is_none());
}

#[test]
fn the_token_is_exchanged_for_a_cookie_and_leaves_the_address() {
    let served = Served::new(2, &[]);
    let token = served.token.clone();
    let reply = served.get(&format!("/?token={token}"), &[]);
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/")),
        "{reply:?}"
    );
    let cookie = reply.header("set-cookie").unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
        "{cookie}"
    );
    assert!(!cookie.contains(&token), "the cookie is another secret");
    let value = cookie.split(['=', ';']).nth(1).unwrap();
    assert_eq!(value.len(), 64, "256 bits");
    for wrong in [
        "",
        "x",
        &token[1..],
        &format!("{token}x"),
        &token.to_uppercase(),
    ] {
        let reply = served.get(&format!("/?token={wrong}"), &[]);
        assert_eq!(reply.status, 403, "{wrong}");
        assert!(reply.header("set-cookie").is_none());
    }
}

#[test]
fn a_secret_is_made_where_none_is_given() {
    let folder = tempfile::tempdir().unwrap();
    crate::client::run_with_questions(folder.path(), 1, &[]);
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let told = std::sync::Mutex::new(String::new());
        let cancelled = std::sync::atomic::AtomicBool::new(true);
        orchestrator_annotate::serve(
            folder.path(),
            &orchestrator_annotate::Options::default(),
            &|address| told.lock().unwrap().clone_from(&address.url),
            &cancelled,
        )
        .unwrap();
        let told = told.into_inner().unwrap();
        assert!(told.starts_with("http://127.0.0.1:"), "{told}");
        tokens.push(told.split("token=").nth(1).unwrap().to_owned());
    }
    assert!(tokens.iter().all(|token| token.len() == 64), "{tokens:?}");
    assert_ne!(tokens[0], tokens[1]);
}

#[test]
fn other_pages_and_other_names_are_refused() {
    let served = Served::new(2, &[]);
    let port = served.address.port();
    let body = json!({ "name": "ann" }).to_string();
    let cases: &[(&[&str], u16)] = &[
        // DNS rebinding: a page elsewhere makes its own name mean this machine.
        (&["Host: evil.example", "Origin: http://evil.example"], 403),
        (
            &[
                &format!("Host: evil.example:{port}"),
                &format!("Origin: http://evil.example:{port}"),
            ],
            403,
        ),
        (&["Host: 192.168.1.7", "Origin: http://192.168.1.7"], 403),
        (&["Host:"], 400),
        (
            &[&format!("Host: 127.0.0.1:{port}"), "Host: localhost"],
            400,
        ),
        // Another page in the same browser, or another server of this machine.
        (&["Origin: http://evil.example"], 403),
        (&["Origin: http://127.0.0.1:1"], 403),
        (&["Origin: http://localhost"], 403),
        (&[&format!("Origin: https://127.0.0.1:{port}")], 403),
        (&["Origin: null"], 403),
        (&["Origin:"], 403),
        (&["Sec-Fetch-Site: cross-site"], 403),
        (&["Sec-Fetch-Site: same-site"], 403),
        // What a form can send.
        (&["Content-Type: text/plain"], 415),
        (&["Content-Type: application/x-www-form-urlencoded"], 415),
        (&["Content-Type:"], 415),
        // As it is, and through a port that is forwarded.
        (&[], 200),
        (&["Host: localhost:9", "Origin: http://localhost:9"], 200),
    ];
    for (headers, status) in cases {
        let reply = served.post("/api/desk", &body, headers);
        assert_eq!(reply.status, *status, "{headers:?}: {}", reply.body);
    }
    // The entrance may be clicked on anywhere; nothing else may be.
    let host = "Sec-Fetch-Site: cross-site";
    assert_eq!(served.get("/", &[host]).status, 200);
    assert_eq!(served.get("/page.js", &[host]).status, 403);
    // As if it were a proxy.
    let asked = format!(
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(served.send(&asked).status, 400);
}

#[test]
fn every_response_says_what_a_browser_may_do_with_it() {
    let served = Served::new(2, &[]);
    let replies = [
        served.get("/", &[]),
        served.get("/page.js", &[]),
        served.get("/page.css", &[]),
        served.get("/nothing", &[]),
        served.get("/?token=wrong", &[]),
        served.get("/", &["Host: evil.example"]),
        served.post("/api/desk", "{}", &["Cookie:"]),
        served.post("/api/desk", "{", &[]),
        served.post("/api/desk", &json!({ "name": "ann" }).to_string(), &[]),
    ];
    for reply in replies {
        let policy = reply.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "frame-ancestors 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    // Nothing inline, nothing from elsewhere.
    let page = served.get("/", &[]).body;
    for word in [
        "<style",
        "style=",
        "onclick",
        "javascript:",
        "//cdn",
        "https://",
        "http://",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    let script = served.get("/page.js", &[]).body;
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "eval(",
        "document.write",
    ] {
        assert!(!script.contains(word), "{word}");
    }
}

#[test]
fn there_is_no_path_but_the_list() {
    let served = Served::new(1, &[]);
    for path in [
        "/store.db",
        "/../store.db",
        "/%2e%2e/store.db",
        "/..%2fstore.db",
        "//etc/passwd",
        "/page.js/",
        "/page.js/../../store.db",
        "/assets/page.js",
        "/api",
        "/api/",
        "/api/desk/1",
        "/.git/config",
    ] {
        let cookie = format!("Cookie: {}", served.cookie);
        let reply = served.get(path, &[&cookie]);
        assert_eq!(reply.status, 404, "{path}");
    }
    let cookie = format!("Cookie: {}", served.cookie);
    assert_eq!(served.get("/api/desk", &[&cookie]).status, 405);
    assert_eq!(served.post("/", "", &[]).status, 405);
}

#[test]
fn too_much_is_refused() {
    let served = Served::new(1, &[]);
    let long = json!({ "name": "a".repeat(20_000) }).to_string();
    assert_eq!(served.post("/api/desk", &long, &[]).status, 413);
    // Said to be small, and sent in pieces that are not.
    let piece = format!("{:x}\r\n{}\r\n", 8192, "x".repeat(8192));
    let pieces = format!("{}0\r\n\r\n", piece.repeat(4));
    let request = format!(
        "POST /api/desk HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nCookie: {1}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{pieces}",
        served.address, served.cookie
    );
    assert_eq!(served.send(&request).status, 413);
    let many = format!("X-Filling: {}", "x".repeat(40_000));
    assert_eq!(served.get("/", &[&many]).status, 431);
    let path = format!("/{}", "x".repeat(40_000));
    assert!([414, 431].contains(&served.get(&path, &[]).status));
    // Requests of strangers are counted apart: they do not shut out whoever has the cookie.
    let statuses: Vec<u16> = (0..160).map(|_| served.get("/", &[]).status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(statuses[0], 200);
    served.ask("/api/desk", &json!({ "name": "ann" }));
    let body = json!({ "name": "ann" }).to_string();
    let mut all = Vec::new();
    for _ in 0..2000 {
        let status = served.post("/api/desk", &body, &[]).status;
        all.push(status);
        if status == 429 {
            break;
        }
    }
    // A machine that serves fewer requests a second than are allowed never refuses one.
    assert!(
        all.iter().all(|status| [200, 429].contains(status)),
        "{all:?}"
    );
}

#[test]
fn who_says_nothing_is_not_waited_for_and_shuts_nobody_out() {
    let served = Served::new(1, &[]);
    let began = Instant::now();
    let mut silent = Vec::new();
    for number in 0..80 {
        let mut stream = TcpStream::connect(served.address).unwrap();
        if number % 2 == 0 {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: loc");
        }
        silent.push(stream);
    }
    // A body that never comes.
    let mut slow = loop {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let request = format!(
            "POST /api/desk HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nCookie: {1}\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\nConnection: close\r\n\r\n{{",
            served.address, served.cookie
        );
        // Not let in while the silent ones have all places.
        let mut one = [0];
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let sent = stream.write_all(request.as_bytes());
        match stream.read(&mut one) {
            Err(error) if sent.is_ok() && error.kind() == std::io::ErrorKind::WouldBlock => {
                break stream;
            }
            _ => assert!(
                began.elapsed() < Duration::from_secs(25),
                "the silent ones are still there"
            ),
        }
    };
    assert!(
        began.elapsed() > Duration::from_secs(8),
        "there was a place left"
    );
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut reply = String::new();
    let _ = slow.read_to_string(&mut reply);
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
    assert_eq!(served.get("/", &[]).status, 200);
}
