//! A server on loopback that behaves as a test wants, with nothing but the standard library; and what goes with asking it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orchestrator_chat::{Endpoint, Settings};
use orchestrator_plugin_host::ChatEndpoint as _;
use serde_json::json;

/// A key as it might be.
pub const KEY: &str = "sk-TestKey-0123456789abcdef";

/// A request as it came.
#[derive(Clone)]
pub struct Seen {
    /// Request line and headers.
    pub head: String,
    pub body: String,
    pub at: Instant,
}

/// How one request is answered. The connection is closed afterwards.
pub enum Reply {
    /// Status, further header lines, body; the length is right.
    Full(u16, Vec<String>, Vec<u8>),
    /// These bytes, nothing else.
    Raw(Vec<u8>),
    /// These bytes, one at a time.
    Drip(Vec<u8>, Duration),
    /// Nothing for as long as a test may run.
    Hang,
}

impl Reply {
    /// A completion with a text.
    pub fn chat(text: &str) -> Self {
        Self::json(200, completion(text))
    }

    pub fn json(status: u16, body: impl ToString) -> Self {
        let header = "Content-Type: application/json".to_owned();
        Self::Full(status, vec![header], body.to_string().into_bytes())
    }

    pub fn status(status: u16) -> Self {
        Self::json(status, json!({"error": {"message": "said the server"}}))
    }

    pub fn with(mut self, header: &str) -> Self {
        if let Self::Full(_, headers, _) = &mut self {
            headers.push(header.to_owned());
        }
        self
    }

    fn send(self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Self::Full(status, headers, body) => {
                let mut bytes = format!("HTTP/1.1 {status} Status\r\n");
                for header in headers {
                    bytes += &format!("{header}\r\n");
                }
                bytes += &format!(
                    "Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(bytes.as_bytes())?;
                stream.write_all(&body)
            }
            Self::Raw(bytes) => stream.write_all(&bytes),
            Self::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte])?;
                    std::thread::sleep(pause);
                }
                Ok(())
            }
            Self::Hang => {
                std::thread::sleep(Duration::from_secs(60));
                Ok(())
            }
        }
    }
}

/// The body of a completion.
pub fn completion(text: &str) -> String {
    json!({
        "id": "chat-1",
        "model": "small-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    })
    .to_string()
}

/// A running server. It ends with the test's process.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    at_once: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request by its number, from 0 in the order of arrival, and what came.
    pub fn start(answer: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            seen: Arc::default(),
            at_once: Arc::default(),
        };
        let (seen, most) = (Arc::clone(&server.seen), Arc::clone(&server.at_once));
        let (answer, now) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                let (most, now) = (Arc::clone(&most), Arc::clone(&now));
                std::thread::spawn(move || {
                    let Some(request) = read(&mut stream) else {
                        return;
                    };
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    let reply = answer(number, &request);
                    // Before the reply is whole: the next request may come right after it.
                    now.fetch_sub(1, Ordering::SeqCst);
                    let _ = reply.send(&mut stream);
                });
            }
        });
        server
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn requests(&self) -> usize {
        self.seen().len()
    }

    /// The most requests that were being answered at one time.
    pub fn most_at_once(&self) -> usize {
        self.at_once.load(Ordering::SeqCst)
    }
}

/// One request with a Content-Length.
fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_it = name.eq_ignore_ascii_case("content-length");
                is_it.then(|| value.trim().parse::<usize>().unwrap())
            });
            let whole = end + 4 + length.unwrap_or(0);
            if bytes.len() >= whole {
                let body = String::from_utf8_lossy(&bytes[end + 4..whole]).into_owned();
                let at = Instant::now();
                return Some(Seen { head, body, at });
            }
        }
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
}

/// Settings for a server, with waits that tests can afford.
pub fn settings(url: &str) -> Settings {
    Settings {
        base_url: url.to_owned(),
        retries: 2,
        timeout: Duration::from_secs(10),
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_secs(2),
        ..Settings::default()
    }
}

/// An endpoint with the key.
pub fn endpoint(settings: Settings) -> Endpoint {
    Endpoint::new(settings, Some(KEY.to_owned())).unwrap()
}

/// A request with a prompt.
pub fn request(prompt: &str) -> String {
    json!({"model": "small", "messages": [{"role": "user", "content": prompt}]}).to_string()
}

/// The last prompt in a request.
pub fn prompt(seen: &Seen) -> String {
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    body["messages"][0]["content"].as_str().unwrap().to_owned()
}

/// Asks all, with nobody stopping it.
pub fn ask(endpoint: &Endpoint, prompts: &[&str]) -> Vec<Result<String, String>> {
    let requests: Vec<String> = prompts.iter().map(|prompt| request(prompt)).collect();
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    endpoint.complete(&requests, &|| false)
}

/// Asks one thing.
pub fn ask_one(endpoint: &Endpoint) -> Result<String, String> {
    ask(endpoint, &["why?"]).remove(0)
}
