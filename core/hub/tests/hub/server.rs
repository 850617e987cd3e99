//! A hub on loopback with one model, with nothing but the standard library; and what goes with asking it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orchestrator_hub::{Cache, Error, Name, Pulled, Settings, pull};
use serde_json::{Value, json};
use sha2::Digest as _;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const NAME: &str = "org/model";

/// How one request is answered. The connection is closed afterwards.
#[derive(Clone)]
pub enum Reply {
    /// Status, further header lines, body.
    Full(u16, Vec<String>, Vec<u8>),
    /// The same, but only so many bytes of the body come.
    Cut(u16, Vec<String>, Vec<u8>, usize),
    /// Nothing for as long as a test may run.
    Hang,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Full(status, Vec::new(), Vec::new())
    }

    pub fn with(mut self, header: &str) -> Self {
        if let Self::Full(_, headers, _) | Self::Cut(_, headers, ..) = &mut self {
            headers.push(header.to_owned());
        }
        self
    }

    /// At most so many bytes of the body.
    pub fn cut(self, bytes: usize) -> Self {
        match self {
            Self::Full(status, headers, body) => {
                let some = bytes.min(body.len());
                Self::Cut(status, headers, body, some)
            }
            other => other,
        }
    }

    fn send(self, stream: &mut TcpStream, head_only: bool) -> std::io::Result<()> {
        let (status, headers, body, some) = match self {
            Self::Hang => {
                std::thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
            Self::Full(status, headers, body) => (status, headers, body.clone(), body.len()),
            Self::Cut(status, headers, body, some) => (status, headers, body, some),
        };
        let mut head = format!("HTTP/1.1 {status} Status\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head += &format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        if !head_only {
            stream.write_all(&body[..some])?;
        }
        Ok(())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Request line and headers.
    pub head: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (its, value) = line.split_once(':')?;
            its.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A running server. It ends with the test's process.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub fn start(answer: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::default(),
        };
        let (seen, answer) = (Arc::clone(&server.seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(request) = read(&mut stream) else {
                        return;
                    };
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    let reply = answer(number, &request);
                    let _ = reply.send(&mut stream, request.method == "HEAD");
                });
            }
        });
        server
    }

    /// A hub with the model; `change` may answer otherwise than it would.
    pub fn hub(
        model: Model,
        change: impl Fn(usize, &Seen, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |number, seen| change(number, seen, model.answer(seen)))
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The paths of what came so far.
    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }
}

fn read(stream: &mut TcpStream) -> Option<Seen> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Seen { method, path, head })
}

/// A model on a hub: paths and contents. Files that end in `.safetensors` or `.bin` are large ones.
#[derive(Clone)]
pub struct Model {
    pub files: Vec<(String, Vec<u8>)>,
    /// Whether the listing has hashes and lengths.
    pub hashes: bool,
}

impl Model {
    /// A BERT in sentence-transformers' layout, as hubs have them: with much that is not needed.
    pub fn small() -> Self {
        let files = [
            (".gitattributes", b"*.bin filter=lfs\n".to_vec()),
            ("1_Pooling/config.json", POOLING.as_bytes().to_vec()),
            ("README.md", CARD.as_bytes().to_vec()),
            ("config.json", CONFIG.as_bytes().to_vec()),
            ("model.safetensors", weights()),
            ("modules.json", MODULES.as_bytes().to_vec()),
            ("onnx/model.onnx", b"onnx".to_vec()),
            ("pytorch_model.bin", b"pickle".to_vec()),
            ("tokenizer.json", b"{}".to_vec()),
        ];
        Self {
            files: files
                .into_iter()
                .map(|(name, bytes)| (name.to_owned(), bytes))
                .collect(),
            hashes: true,
        }
    }

    pub fn without(mut self, name: &str) -> Self {
        self.files.retain(|(its, _)| its != name);
        self
    }

    pub fn and(mut self, name: &str, content: &[u8]) -> Self {
        self.files.push((name.to_owned(), content.to_vec()));
        self
    }

    pub fn content(&self, name: &str) -> &[u8] {
        let file = self.files.iter().find(|(its, _)| its == name);
        file.map(|(_, content)| content.as_slice()).unwrap()
    }

    fn listing(&self) -> Value {
        let files = self.files.iter().map(|(name, content)| {
            let mut one = json!({ "rfilename": name });
            if self.hashes {
                one["size"] = json!(content.len());
                // Of a large file, the blob is that of a pointer to it.
                one["blobId"] = json!(git(content));
                if is_large(name) {
                    one["blobId"] = json!("f".repeat(40));
                    one["lfs"] = json!({ "sha256": sha256(content), "size": content.len(), "pointerSize": 134 });
                }
            }
            one
        });
        json!({ "id": NAME, "sha": COMMIT, "siblings": files.collect::<Vec<_>>() })
    }

    /// What a hub answers.
    fn answer(&self, seen: &Seen) -> Reply {
        let path = seen.path.split('?').next().unwrap();
        if path.starts_with(&format!("/api/models/{NAME}/revision/")) {
            let header = "Content-Type: application/json".to_owned();
            return Reply::Full(200, vec![header], self.listing().to_string().into_bytes());
        }
        let file = path.strip_prefix(&format!("/{NAME}/resolve/{COMMIT}/"));
        let found = file.and_then(|file| self.files.iter().find(|(name, _)| name == file));
        match found {
            Some((name, content)) => self.file(seen, name, content),
            None => Reply::status(404).with("X-Error-Message: Entry not found"),
        }
    }

    /// A file, or the part of it that is asked for.
    pub fn file(&self, seen: &Seen, name: &str, content: &[u8]) -> Reply {
        let hash = if is_large(name) {
            format!("X-Linked-Etag: \"{}\"", sha256(content))
        } else {
            format!("ETag: W/\"{}\"", git(content))
        };
        let from = seen
            .header("range")
            .map(|range| range.strip_prefix("bytes=").unwrap());
        let from = from.map(|range| range.strip_suffix('-').unwrap().parse::<usize>().unwrap());
        match from {
            None => Reply::Full(200, vec![hash], content.to_vec()),
            Some(from) if from >= content.len() => Reply::status(416),
            Some(from) => Reply::Full(206, vec![hash], content[from..].to_vec()).with(&format!(
                "Content-Range: bytes {from}-{}/{}",
                content.len() - 1,
                content.len()
            )),
        }
    }
}

fn is_large(name: &str) -> bool {
    [".safetensors", ".bin", ".onnx"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(content: &[u8]) -> String {
    hex(&sha2::Sha256::digest(content))
}

pub fn git(content: &[u8]) -> String {
    let mut blob = format!("blob {}\0", content.len()).into_bytes();
    blob.extend_from_slice(content);
    hex(&sha1::Sha1::digest(&blob))
}

pub const CARD: &str =
    "---\nlanguage: en\nlicense: apache-2.0\ntags:\n- x\n---\n# A model\n\nlicense: not this\n";
pub const CONFIG: &str = r#"{ "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
  "vocab_size": 16384, "max_position_embeddings": 512, "position_embedding_type": "absolute" }"#;
pub const POOLING: &str = r#"{ "word_embedding_dimension": 32, "pooling_mode_cls_token": false,
  "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false }"#;
pub const MODULES: &str = r#"[
  { "idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer" },
  { "idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" },
  { "idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize" } ]"#;

/// A safetensors file of one table of 16384 x 32 and 512 places: 2 MiB.
pub fn weights() -> Vec<u8> {
    let table = 16384 * 32 * 4;
    safetensors(
        json!({
            "embeddings.weight": { "dtype": "F32", "shape": [16384, 32], "data_offsets": [0, table] },
            "position_ids": { "dtype": "I64", "shape": [512], "data_offsets": [table, table + 512 * 8] },
            "__metadata__": { "format": "pt" },
        }),
        table + 512 * 8,
    )
}

pub fn safetensors(header: Value, length: usize) -> Vec<u8> {
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend((0..length).map(|n| ((n * 2_654_435_761) >> 7) as u8));
    bytes
}

/// Settings for a server, with waits that tests can afford.
pub fn settings(server: &Server) -> Settings {
    Settings {
        endpoint: server.url.clone(),
        retries: 2,
        timeout: Duration::from_secs(10),
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_secs(2),
        ..Settings::default()
    }
}

/// Pulls the model, with nobody stopping it.
pub fn get(settings: &Settings, cache: &Path) -> Result<Pulled, Error> {
    get_named(NAME, settings, cache)
}

pub fn get_named(name: &str, settings: &Settings, cache: &Path) -> Result<Pulled, Error> {
    let name = Name::parse(name).unwrap();
    let running = AtomicBool::new(false);
    pull(&name, &Cache::new(cache), settings, &running, &mut |_| {})
}

/// Every file of a folder but links, with its length.
pub fn files(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else if !path.is_symlink() {
            let length = std::fs::metadata(&path).unwrap().len();
            found.push((path.to_string_lossy().into_owned(), length));
        }
    }
    found.sort();
    found
}
