//! `plugins.lock`: which libraries that were not shipped may be loaded: as they were when they were pinned (by SHA-256), or,
//! under development, as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::File {
        what: "cannot read",
        path: path.to_owned(),
        why: error.to_string(),
    })
}

/// What the lock file says in place of a hash of a library that is being written.
const DEVELOPMENT: &str = "dev";

/// Why a library may be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the file that was pinned.
    Pinned,
    /// Whatever it is, its author is at work on it: everybody is to be told.
    Development,
}

/// The lines of a lock file: absolute path to hash, or to [`DEVELOPMENT`]. A missing file has none.
fn pins(lock: &Path) -> Result<BTreeMap<PathBuf, String>, Error> {
    if !lock.exists() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_slice(&read(lock)?).map_err(|error| Error::File {
        what: "cannot understand",
        path: lock.to_owned(),
        why: error.to_string(),
    })
}

fn write(lock: &Path, pins: &BTreeMap<PathBuf, String>) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(pins).unwrap_or_default();
    text.push('\n');
    std::fs::write(lock, text).map_err(|error| Error::Unwritable {
        what: "cannot write",
        path: lock.to_owned(),
        why: error.to_string(),
    })
}

/// The path a library has in a lock file, if it is there or not.
fn absolute(library: &Path) -> PathBuf {
    library
        .canonicalize()
        .or_else(|_| std::path::absolute(library))
        .unwrap_or_else(|_| library.to_owned())
}

/// Pins `library` as it is now in the lock file `lock`. Gives its hash.
///
/// # Errors
/// If either file cannot be read or written.
pub fn trust(library: &Path, lock: &Path) -> Result<String, Error> {
    let hash = sha256(&read(library)?);
    let mut pins = pins(lock)?;
    pins.insert(absolute(library), hash.clone());
    write(lock, &pins)?;
    Ok(hash)
}

/// Marks `library` in the lock file `lock` as under development: until it is pinned, it is loaded as it is then. Gives its
/// hash as it is now.
///
/// # Errors
/// If either file cannot be read or written.
pub fn develop(library: &Path, lock: &Path) -> Result<String, Error> {
    let hash = sha256(&read(library)?);
    let mut pins = pins(lock)?;
    pins.insert(absolute(library), DEVELOPMENT.to_owned());
    write(lock, &pins)?;
    Ok(hash)
}

/// Takes the mark of [`develop`] away: `library`, which may be gone, is then as untrusted as any. `false` if it had none.
///
/// # Errors
/// If the lock file cannot be read or written.
pub fn end_development(library: &Path, lock: &Path) -> Result<bool, Error> {
    let mut pins = pins(lock)?;
    let file = absolute(library);
    if pins.get(&file).is_none_or(|pin| pin != DEVELOPMENT) {
        return Ok(false);
    }
    pins.remove(&file);
    write(lock, &pins)?;
    Ok(true)
}

/// Whether the lock file lets `library`, whose hash is `hash`, be loaded, and why.
pub(crate) fn check(library: &Path, hash: &str, lock: &Path) -> Result<Standing, Error> {
    let why = match pins(lock)?.get(&absolute(library)) {
        Some(pinned) if pinned == hash => return Ok(Standing::Pinned),
        Some(pinned) if pinned == DEVELOPMENT => return Ok(Standing::Development),
        Some(pinned) => format!("it has changed since it was pinned (pinned {pinned}, now {hash})"),
        None => format!(
            "`{}` does not pin it (its SHA-256 is {hash})",
            lock.display()
        ),
    };
    Err(Error::Untrusted {
        path: library.to_owned(),
        lock: lock.to_owned(),
        why,
    })
}
