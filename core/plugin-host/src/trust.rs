//! `plugins.lock`: which libraries that were not shipped may be loaded, by SHA-256.

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

/// The pins of a lock file: absolute path to hash. A missing file has none.
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

fn absolute(library: &Path) -> PathBuf {
    library
        .canonicalize()
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
    let mut text = serde_json::to_string_pretty(&pins).unwrap_or_default();
    text.push('\n');
    std::fs::write(lock, text).map_err(|error| Error::Unwritable {
        what: "cannot write",
        path: lock.to_owned(),
        why: error.to_string(),
    })?;
    Ok(hash)
}

/// Whether the lock file pins `library` with `hash`.
pub(crate) fn check(library: &Path, hash: &str, lock: &Path) -> Result<(), Error> {
    let why = match pins(lock)?.get(&absolute(library)) {
        Some(pinned) if pinned == hash => return Ok(()),
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
