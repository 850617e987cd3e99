//! `--watch`: the report while a run goes, over plain HTTP and in a real browser: let in by token alone, told of each new page,
//! which leaves readers where they are; the run itself comes to the same end.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use orchestrator_tests::{browser, experiment, fail, orchestrator, succeed};
use serde_json::Value;

/// Some seconds of training.
const LONG: &str = "name: watched
data: { corpus: { format: builtin }, test: test }
model: { encoder: { static: { dim: 192, vocabulary: 4000 } } }
samples:
  propose: [explicit_positive: {}, explicit_negative: {}, hard_negative: { per_anchor: 6 }, random: { per_anchor: 6 }]
train:
  batch: 8
  checkpoint_every: 20
  losses: [mnrl, contrastive]
  schedule: [{ epochs: 8 }]
";

/// A command that serves, with its address.
struct Served {
    child: Child,
    host: String,
    token: String,
    cookie: String,
}

impl Served {
    fn start(arguments: &[&str], folder: &Path) -> Self {
        let all: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(["--watch", "--json"])
            .collect();
        let mut child = orchestrator(&all, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let told: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        // What comes later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let address = told["report"]["address"].as_str().unwrap();
        let (host, token) = address
            .strip_prefix("http://")
            .unwrap()
            .split_once("/?token=")
            .unwrap();
        let mut served = Self {
            child,
            host: host.to_owned(),
            token: token.to_owned(),
            cookie: String::new(),
        };
        let entered = served.get(&format!("/?token={token}"), "");
        assert!(entered.starts_with("HTTP/1.1 303 "), "{entered}");
        let cookie = entered
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .unwrap();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
        served.cookie = cookie.split(';').next().unwrap().to_owned();
        served
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, path: &str, headers: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n",
            self.host
        ))
    }

    fn let_in(&self) -> String {
        format!("Cookie: {}\r\n", self.cookie)
    }

    /// Listens to the events until one is what is wanted.
    fn until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let request = format!(
            "GET /events HTTP/1.1\r\nHost: {}\r\n{}\r\n",
            self.host,
            self.let_in()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            let line = lines.next().expect("the stream ended before").unwrap();
            let Some(data) = line.strip_prefix("data: ") else {
                continue;
            };
            let event: Value = serde_json::from_str(data).unwrap();
            if wanted(&event) {
                return event;
            }
        }
        panic!("never told");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_run_is_watched_by_whoever_has_its_address_and_ends_as_it_would() {
    let folder = experiment(LONG);
    let folder = folder.path();
    let mut served = Served::start(&["run", "x.yaml", "--run-dir", "r"], folder);
    // Nobody else is let in, whatever they try.
    for (path, headers, status) in [
        ("/report", String::new(), "403"),
        ("/events", String::new(), "403"),
        ("/report", "Cookie: orchestrator_1=x\r\n".to_owned(), "403"),
        ("/?token=wrong", String::new(), "403"),
        (
            "/report",
            format!("{}Origin: http://evil.example\r\n", served.let_in()),
            "403",
        ),
        (
            "/report",
            format!("{}Sec-Fetch-Site: cross-site\r\n", served.let_in()),
            "403",
        ),
        ("/nothing", served.let_in(), "404"),
    ] {
        let answer = served.get(path, &headers);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path} {headers}: {answer}"
        );
        assert!(!answer.contains("watched"), "{answer}");
    }
    let named = served.ask(&format!(
        "GET /report HTTP/1.1\r\nHost: evil.example\r\n{}Connection: close\r\n\r\n",
        served.let_in()
    ));
    assert!(named.starts_with("HTTP/1.1 403 "), "{named}");

    // Before the data are read, the plan is not in the store.
    let first = served.until(|event| event["version"].as_u64() > Some(0) && event["epochs"] != 0);
    assert_eq!(
        (&first["running"], &first["epochs"]),
        (&true.into(), &8.into())
    );
    let page = served.get("/report", &served.let_in());
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    for part in [
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "x-frame-options: DENY",
        "no-store",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        page.contains("id=\"live\"") && page.contains("<noscript><meta http-equiv=\"refresh\"")
    );
    // It goes on, and says so.
    let later = served.until(|event| {
        event["version"].as_u64() > first["version"].as_u64() && event["epoch"].as_u64() > Some(0)
    });
    assert!(later["seconds"].as_u64() >= first["seconds"].as_u64());
    let last = served.until(|event| event["running"] == false);
    let page = served.get("/report", &served.let_in());
    assert!(page.contains("this is its last report"), "no last report");
    assert_eq!(last["epoch"], 8);
    let mut out = String::new();
    served
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert!(served.child.wait().unwrap().success());
    let watched: Value = serde_json::from_str(&out).unwrap();
    // Being looked at changes nothing.
    let alone: Value = serde_json::from_str(&succeed(
        &["run", "x.yaml", "--run-dir", "alone", "--json"],
        folder,
    ))
    .unwrap();
    assert_eq!(watched["content_hash"], alone["content_hash"]);
    assert!(
        !std::fs::read_to_string(folder.join("r/report.html"))
            .unwrap()
            .contains("id=\"live\"")
    );
}

#[test]
fn readers_stay_where_they_are_when_the_page_is_drawn_again() {
    let Some(browser) = browser::start() else {
        return;
    };
    let folder = experiment(LONG);
    let served = Served::start(
        &["run", "x.yaml", "--run-dir", "r", "--stay"],
        folder.path(),
    );
    let page = browser.person();
    page.wide(1100);
    page.open(&format!("http://{}/?token={}", served.host, served.token));
    page.until("location.pathname === '/report' && document.getElementById('live')");
    let version = "Number(document.getElementById('live').dataset.version)";
    page.until(&format!("{version} > 0"));
    // Chinese, a part opened, further down, the focus on a summary.
    page.value("(() => { document.getElementById('lang-zh').click(); })()");
    page.value("(() => { const one = document.querySelector('#funnel details'); one.open = true; one.querySelector('summary').focus(); one.scrollIntoView(); })()");
    let place = "Math.round(document.querySelector('#funnel details').getBoundingClientRect().top)";
    let (before, drawn) = (page.value(place), page.value(version).as_u64().unwrap());
    page.value("(() => { window.mainBefore = document.querySelector('main > section'); })()");
    page.until(&format!("{version} > {drawn}"));
    assert_eq!(
        page.value("window.mainBefore.isConnected"),
        false,
        "it was drawn anew"
    );
    assert_eq!(
        page.value("document.querySelector('#funnel details').open"),
        true
    );
    assert_eq!(
        page.value("document.activeElement === document.querySelector('#funnel details summary')"),
        true
    );
    assert_eq!(page.value("document.documentElement.lang"), "zh-CN");
    let after = page.value(place).as_i64().unwrap();
    assert!(
        (after - before.as_i64().unwrap()).abs() <= 2,
        "{before} {after}"
    );
    // What a script adds to tables is there again, once.
    assert_eq!(page.value("[...document.querySelectorAll('main table.sorts thead th:not(.unsorted)')].every((one) => one.querySelectorAll('.sorter').length === 1)"), true);
    assert!(
        page.text("#live").contains("运行中"),
        "{}",
        page.text("#live")
    );
    page.until("!document.getElementById('live').hasAttribute('data-running')");
    assert!(
        page.text("#live").contains("运行已结束"),
        "{}",
        page.text("#live")
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_run_of_another_process_is_followed_to_its_end() {
    let folder = experiment(LONG);
    let folder = folder.path();
    let mut run = orchestrator(&["run", "x.yaml", "--run-dir", "r", "--quiet"], folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !folder.join("r/store.db").is_file() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut served = Served::start(&["report", "r"], folder);
    let first = served.until(|event| event["version"].as_u64() > Some(0));
    assert_eq!(first["running"], true);
    let _ = served.until(|event| event["running"] == false);
    assert!(served.child.wait().unwrap().success());
    assert!(run.wait().unwrap().success());
    // It is over: one report, and the end.
    let mut served = Served::start(&["report", "r"], folder);
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn what_cannot_be_watched_is_said() {
    let folder = experiment(&format!("{LONG}sweep: {{ seeds: [1, 2] }}\n"));
    let folder = folder.path();
    let shown = fail(&["run", "x.yaml", "--run-dir", "s", "--watch"], folder, 2);
    assert!(shown.contains("--watch is for a run"), "{shown}");
    assert!(!folder.join("s").exists());
    let shown = fail(&["report", "nothing", "--watch"], folder, 2);
    assert!(shown.contains("not the folder of a run"), "{shown}");
    let _ = fail(&["report", "nothing", "--port", "1"], folder, 2);
    // A port that somebody has.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let text = LONG.replace("epochs: 8", "epochs: 1");
    std::fs::write(folder.join("one.yaml"), text).unwrap();
    let shown = fail(
        &[
            "run",
            "one.yaml",
            "--run-dir",
            "r",
            "--watch",
            "--port",
            &port,
        ],
        folder,
        2,
    );
    assert!(
        shown.contains("cannot listen at") && shown.contains("--port"),
        "{shown}"
    );
}
