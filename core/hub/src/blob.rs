//! Contents by their hash: what a hub promises of a file, and whether it came.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::name::is_hash;

/// The hash of a file, which is its name in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hash {
    /// Of its content: large files (git LFS).
    Sha256(String),
    /// Of `blob LENGTH\0` and its content, as git names what it holds: the others.
    Git(String),
}

impl Hash {
    /// Of an ETag, by its length.
    pub fn read(text: &str) -> Option<Self> {
        if is_hash(text, 64) {
            Some(Self::Sha256(text.to_owned()))
        } else if is_hash(text, 40) {
            Some(Self::Git(text.to_owned()))
        } else {
            None
        }
    }

    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::Git(_) => "git SHA-1",
        }
    }

    /// The same hash of a file as it is on the disk; nothing if it was stopped.
    pub fn of(&self, path: &Path, stopped: &dyn Fn() -> bool) -> Result<Option<String>, Error> {
        let failed = |error: std::io::Error| Error::File {
            what: "read",
            path: path.to_owned(),
            why: error.to_string(),
        };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        match self {
            Self::Sha256(_) => digest(Sha256::new(), file, stopped),
            Self::Git(_) => {
                let head = format!("blob {length}\0");
                digest(Sha1::new_with_prefix(head), file, stopped)
            }
        }
        .map_err(failed)
    }
}

fn digest(
    mut hash: impl Digest,
    mut file: File,
    stopped: &dyn Fn() -> bool,
) -> std::io::Result<Option<String>> {
    let mut piece = vec![0; 1 << 18];
    loop {
        if stopped() {
            return Ok(None);
        }
        match file.read(&mut piece)? {
            0 => break,
            n => hash.update(&piece[..n]),
        }
    }
    let bytes = hash.finalize();
    Ok(Some(
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    ))
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.hex())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Hash;

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "hello\n").unwrap();
        // `printf 'hello\n' | git hash-object --stdin` and `| sha256sum`.
        for hex in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            let hash = Hash::read(hex).unwrap();
            assert_eq!(hash.of(&path, &|| false).unwrap().unwrap(), hex);
        }
        assert_eq!(Hash::read("../../x"), None);
        assert_eq!(Hash::read("CE013625030BA8DBA906F756967F9E9CA394464A"), None);
    }
}
