//! What can go wrong with a store.

use std::path::PathBuf;

/// Each says what the user can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is one already.
    #[error("there is a store already: `{0}`")]
    Exists(PathBuf),
    /// Cannot be opened.
    #[error("cannot open the store `{path}`: {why}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// Something else.
    #[error("`{0}` is not a store of orchestrator")]
    NotAStore(PathBuf),
    /// Written by a later version.
    #[error("the store `{path}` is of version {theirs}, this orchestrator knows up to {ours}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        theirs: i32,
        /// Ours.
        ours: i32,
    },
    /// SQLite failed: no space, no permission, a fault of ours.
    #[error("the store failed: {0}")]
    Sql(#[from] rusqlite::Error),
}

impl Error {
    /// What the user can do.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Exists(_) => {
                "a store is never overwritten: choose another folder, or resume the run"
            }
            Self::Open { .. } => {
                "check the path, its permissions and the space left, and that no other program has it open to write"
            }
            Self::NotAStore(_) => "give the folder of a run, which holds store.db",
            Self::Newer { .. } => "use the version of orchestrator that wrote it, or a later one",
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => {
                    "the disk is full: make room and resume; nothing of the unfinished tick was kept"
                }
                Some(rusqlite::ErrorCode::SystemIoFailure | rusqlite::ErrorCode::ReadOnly) => {
                    "the disk refused to write: make room or check permissions, then resume"
                }
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                    "another program has held a lock on store.db for too long: close it there, then resume the run"
                }
                _ => "the store is consistent up to the last completed tick: resume the run",
            },
        }
    }
}
