//! Answers on disk, one JSON file each, named by the digest of endpoint and request. Written beside and renamed; a file that
//! is not what was written is as good as none.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::request::Request;

/// Of what is in a file.
const FORMAT: u64 = 1;

/// A file longer than this was not written here.
const LONGEST: u64 = 64 << 20;

/// A folder of answers.
pub(crate) struct Cache {
    folder: PathBuf,
    /// Host, port and path of the endpoint.
    endpoint: String,
    /// Parts the names of files being written.
    written: AtomicU64,
}

impl Cache {
    /// Uses a folder, which it makes if need be.
    pub fn open(folder: &Path, endpoint: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            endpoint: endpoint.to_owned(),
            written: AtomicU64::new(0),
        })
    }

    /// The answer to a request, if there is a sound file of it.
    pub fn read(&self, request: &Request) -> Option<String> {
        let path = self.path(request);
        if std::fs::metadata(&path).ok()?.len() > LONGEST {
            return None;
        }
        let file: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let answer = file["answer"].as_str()?;
        let sound = file["format"] == FORMAT && file["check"] == check(request, answer);
        sound.then(|| answer.to_owned())
    }

    /// Keeps an answer; `model` is the one that says it answered, if any does.
    pub fn write(&self, request: &Request, answer: &str, model: &str) -> io::Result<()> {
        let body: Value = serde_json::from_str(&request.body)?;
        let file = json!({
            "format": FORMAT,
            "created_by": concat!("orchestrator ", env!("CARGO_PKG_VERSION")),
            "endpoint": self.endpoint,
            "model": if model.is_empty() { &request.model } else { model },
            "request": body,
            "answer": answer,
            "check": check(request, answer),
        });
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        // Other processes may write into the same folder.
        let name = format!("{}.{}-{number}.partial", request.digest, std::process::id());
        let beside = self.folder.join(name);
        let written = std::fs::write(&beside, format!("{file:#}\n"))
            .and_then(|()| std::fs::rename(&beside, self.path(request)));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written
    }

    fn path(&self, request: &Request) -> PathBuf {
        self.folder.join(format!("{}.json", request.digest))
    }
}

/// Ties an answer to its request: hexadecimal SHA-256.
fn check(request: &Request, answer: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(&request.digest);
    hash.update(answer);
    crate::request::hexadecimal(hash)
}
