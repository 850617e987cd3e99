//! One file from a hub into the cache: gone on with where it stopped, checked before it has its name.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::header::CONTENT_RANGE;

use crate::Error;
use crate::address::Address;
use crate::blob::Hash;
use crate::client::{Client, FORWARD, Failure, Want, text};

/// A file that is to come.
pub(crate) struct Download<'a> {
    pub model: &'a str,
    pub file: &'a str,
    pub address: Address,
    pub hash: &'a Hash,
    pub size: Option<u64>,
    /// Where it goes.
    pub blob: PathBuf,
    pub lock: PathBuf,
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::File {
        what,
        path: path.to_owned(),
        why: error.to_string(),
    }
}

impl Download<'_> {
    /// Whether it is there already. Its name is its hash, which was checked when it got it; its length is checked again.
    pub fn is_there(&self) -> bool {
        let there = std::fs::metadata(&self.blob);
        there.is_ok_and(|there| there.is_file() && self.size.is_none_or(|size| size == there.len()))
    }

    /// How much of it came before.
    pub fn came(&self) -> u64 {
        std::fs::metadata(self.incomplete()).map_or(0, |file| file.len())
    }

    fn incomplete(&self) -> PathBuf {
        let mut name = self.blob.as_os_str().to_owned();
        name.push(".incomplete");
        name.into()
    }

    /// Downloads it. `progress` is told how much of it is there. When it returns, it is there whole, or only as `.incomplete`.
    pub fn run(&self, client: &Client<'_>, progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let _lock = self.hold(client)?;
        if self.is_there() {
            return Ok(());
        }
        let incomplete = self.incomplete();
        // What another run left may be of a download that went wrong: then it may be tried once from the beginning.
        let mut left_over = self.came() > 0;
        loop {
            let what = format!("{}/{}", self.model, self.file);
            client.retrying(&what, || self.attempt(client, &incomplete, progress))?;
            let found = self.hash.of(&incomplete, &|| client.cancelled())?;
            let found = found.ok_or(Error::Cancelled)?;
            if found == self.hash.hex() {
                return std::fs::rename(&incomplete, &self.blob)
                    .map_err(failed("write", &self.blob));
            }
            std::fs::remove_file(&incomplete).map_err(failed("remove", &incomplete))?;
            if !left_over {
                return Err(self.damaged(self.hash.kind(), found, self.hash.to_string()));
            }
            left_over = false;
        }
    }

    fn damaged(&self, of: &'static str, found: String, expected: String) -> Error {
        Error::Checksum {
            model: self.model.to_owned(),
            file: self.file.to_owned(),
            of,
            found,
            expected,
        }
    }

    /// Waits until nobody else downloads this file. Python's libraries hold the same lock.
    fn hold(&self, client: &Client<'_>) -> Result<Option<File>, Error> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.lock)
            .map_err(failed("write", &self.lock))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(std::fs::TryLockError::WouldBlock) => {
                    if client.cancelled() {
                        return Err(Error::Cancelled);
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                // Some network drives have no locks. What comes is checked all the same.
                Err(std::fs::TryLockError::Error(_)) => return Ok(None),
            }
        }
    }

    /// One try: asks for what is lacking and appends it.
    fn attempt(
        &self,
        client: &Client<'_>,
        path: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let writing = |error| Failure::Lasting(failed("write", path)(error));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(writing)?;
        let mut have = file.seek(SeekFrom::End(0)).map_err(writing)?;
        if self.size.is_some_and(|size| have > size) {
            have = 0;
        }
        if self.size == Some(have) {
            return Ok(());
        }
        let mut reply = client.once(
            &format!("{}/{}", self.model, self.file),
            &self.address,
            Want::From(have),
        )?;
        let begins = match reply.status {
            206 => text(&reply.headers, &CONTENT_RANGE).and_then(first_byte),
            200 => Some(0),
            _ => None,
        };
        // Whoever does not answer from there on gives the whole file, now or when asked again.
        if begins != Some(have) {
            have = 0;
        }
        file.set_len(have).map_err(writing)?;
        file.seek(SeekFrom::Start(have)).map_err(writing)?;
        if begins != Some(have) {
            return Err(Failure::passing(format!(
                "{} does not go on where we stopped",
                reply.host
            )));
        }
        progress(have);
        let began = have;
        let mut piece = vec![0; 1 << 16];
        let mut reader = reply.body.as_reader();
        let broke = loop {
            if client.cancelled() {
                return Err(Failure::Lasting(Error::Cancelled));
            }
            match reader.read(&mut piece) {
                Ok(0) => break None,
                Ok(n) => {
                    file.write_all(&piece[..n]).map_err(writing)?;
                    have += n as u64;
                    if let Some(size) = self.size.filter(|size| have > *size) {
                        drop(file);
                        std::fs::remove_file(path).map_err(writing)?;
                        let found = format!("more than {size} bytes");
                        return Err(Failure::Lasting(self.damaged(
                            "length",
                            found,
                            format!("{size}"),
                        )));
                    }
                    progress(have);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        file.sync_all().map_err(writing)?;
        if broke.is_none() && self.size.is_none_or(|size| size == have) {
            return Ok(());
        }
        let of = self
            .size
            .map_or_else(String::new, |size| format!(" of {size}"));
        let why = broke.unwrap_or_else(|| "it ended early".into());
        Err(Failure::Passing {
            why: format!(
                "the connection to {} broke after {have}{of} bytes: {why}",
                reply.host
            ),
            wait: None,
            forward: have >= began + FORWARD,
        })
    }
}

/// The first byte of `bytes 5-9/10`.
fn first_byte(range: &str) -> Option<u64> {
    let range = range.trim().strip_prefix("bytes")?.trim_start();
    range.split_once('-')?.0.trim().parse().ok()
}
