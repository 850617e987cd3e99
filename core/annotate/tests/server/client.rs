//! A store with questions, the server over it on a thread, and requests written by hand.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use orchestrator_annotate::{Address, Ended, Error, Options, serve};
use orchestrator_store::{Anchor, AnswerRow, Document, Question, Run, Store};
use serde_json::{Value, json};

/// A run's folder with `count` questions, those in `shared` asked of two.
pub fn run_with_questions(folder: &Path, count: u64, shared: &[u64]) {
    let mut store = Store::create(&folder.join("store.db")).unwrap();
    let tick = store.tick(0, "data", "").unwrap();
    tick.add_run(&Run {
        name: "a run",
        seed: 13,
        version: "0",
        data_fingerprint: "",
        plan: "{}",
    })
    .unwrap();
    tick.add_anchor(&Anchor {
        number: 0,
        id: "claim-0",
        split: "train",
        text: "Mice sleep.",
        metadata: "{}",
    })
    .unwrap();
    tick.add_document(&Document {
        number: 0,
        id: "doc-0",
        title: "On mice",
        text: "On mice They eat. They sleep. They wake.",
        metadata: "{}",
    })
    .unwrap();
    for id in 1..=count {
        tick.add_question(&Question {
            id,
            round: 1,
            anchor: 0,
            document: Some(0),
            text: if id % 2 == 1 {
                "They sleep."
            } else {
                "On mice They eat. They sleep. They wake."
            },
            sample: None,
            shared: shared.contains(&id),
            similarity: Some(0.25),
            probabilities: Some([0.5, 0.25, 0.125]),
        })
        .unwrap();
    }
    tick.complete().unwrap();
}

pub struct Served {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    pub cookie: String,
    pub token: String,
    cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Ended, Error>>>,
}

impl Served {
    pub fn new(count: u64, shared: &[u64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run_with_questions(folder.path(), count, shared);
        Self::over(folder)
    }

    /// Over a run that is there already.
    pub fn over(folder: tempfile::TempDir) -> Self {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (tell, told) = channel();
        let (path, flag) = (folder.path().to_owned(), cancelled.clone());
        let thread = std::thread::spawn(move || {
            let options = Options {
                bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
                grace: Duration::from_millis(100),
                ..Options::default()
            };
            let told = |address: &Address| tell.send(address.url.clone()).unwrap();
            serve(&path, &options, &told, &flag)
        });
        let told = told.recv_timeout(Duration::from_secs(20)).unwrap();
        let address = told
            .strip_prefix("http://")
            .unwrap()
            .split('/')
            .next()
            .unwrap();
        let mut served = Self {
            folder,
            address: address.parse().unwrap(),
            cookie: String::new(),
            token: told.split("token=").nth(1).unwrap().to_owned(),
            cancelled,
            thread: Some(thread),
        };
        let reply = served.get(&format!("/?token={}", served.token), &[]);
        served.cookie = reply
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        served
    }

    pub fn get(&self, path: &str, headers: &[&str]) -> Reply {
        let host = format!("Host: {}", self.address);
        let mut lines = vec![format!("GET {path} HTTP/1.1"), "Connection: close".into()];
        if !headers.iter().any(|line| line.starts_with("Host:")) {
            lines.push(host);
        }
        lines.extend(headers.iter().map(|line| (*line).to_owned()));
        self.send(&format!("{}\r\n\r\n", lines.join("\r\n")))
    }

    /// A request of the page: cookie, origin and all; each line of `headers` takes the place of the one of its name.
    pub fn post(&self, path: &str, body: &str, headers: &[&str]) -> Reply {
        let name = |line: &str| line.split(':').next().unwrap().to_lowercase();
        let mut lines = vec![
            format!("Host: {}", self.address),
            format!("Origin: http://{}", self.address),
            format!("Cookie: other=1; {}", self.cookie),
            "Content-Type: application/json".to_owned(),
            "Sec-Fetch-Site: same-origin".to_owned(),
            format!("Content-Length: {}", body.len()),
            "Connection: close".to_owned(),
        ];
        lines.retain(|line| !headers.iter().any(|other| name(other) == name(line)));
        // `Name:` alone takes a line away.
        lines.extend(
            headers
                .iter()
                .filter(|line| !line.ends_with(':'))
                .map(|line| (*line).to_owned()),
        );
        self.send(&format!(
            "POST {path} HTTP/1.1\r\n{}\r\n\r\n{body}",
            lines.join("\r\n")
        ))
    }

    /// Asks, and is given JSON.
    pub fn ask(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, &body.to_string(), &[]);
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    /// Asks, and is refused.
    pub fn refused(&self, path: &str, body: &Value) -> (u16, String) {
        let reply = self.post(path, &body.to_string(), &[]);
        let value: Value = serde_json::from_str(&reply.body).unwrap();
        (reply.status, value["refused"].as_str().unwrap().to_owned())
    }

    pub fn answer(&self, name: &str, question: u64, verdict: &str) -> Value {
        self.ask(
            "/api/answer",
            &json!({ "name": name, "question": question, "verdict": verdict }),
        )
    }

    pub fn send(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        // The server may answer, and close, before it has read all of it.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Reply::parse(&String::from_utf8(bytes).unwrap())
    }

    pub fn answers(&self) -> Vec<AnswerRow> {
        let store = Store::open_to_read(&self.folder.path().join("store.db")).unwrap();
        store.answers().unwrap()
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> (Ended, tempfile::TempDir) {
        let ended = self.thread.take().unwrap().join().unwrap().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (ended, folder)
    }

    /// Ends it.
    pub fn cancel(self) -> (Ended, tempfile::TempDir) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.ended()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap_or(0);
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| value.as_str())
    }
}
