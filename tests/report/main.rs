//! The report of a real run: in a real browser without a network, in both languages and both appearances, by script and
//! without; every query it prints; hostile texts; runs that are not finished; templates of somebody else.
#![allow(clippy::unwrap_used)]

mod browsing;
mod drawing;
mod hostile;
mod replacing;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use orchestrator_tests::{experiment, refreshed_experiment, succeed};

/// A run that has something for every section but people; made once.
pub(crate) fn run() -> &'static Path {
    static RUN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, run) = RUN.get_or_init(|| {
        let folder = experiment(&refreshed_experiment());
        let _ = succeed(
            &["run", "x.yaml", "--run-dir", "r", "--json"],
            folder.path(),
        );
        let run = folder.path().join("r");
        (folder, run)
    });
    run
}

/// A copy of its store, changed, and the report of that.
pub(crate) struct Changed {
    pub folder: tempfile::TempDir,
}

impl Changed {
    /// Changes the store by these statements.
    pub fn by(statements: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(run().join("store.db"), folder.path().join("store.db")).unwrap();
        let changed = Self { folder };
        changed.open().execute_batch(statements).unwrap();
        changed
    }

    pub fn open(&self) -> rusqlite::Connection {
        let store = rusqlite::Connection::open(self.folder.path().join("store.db")).unwrap();
        store.pragma_update(None, "foreign_keys", false).unwrap();
        store
    }

    /// Its report, drawn now.
    pub fn report(&self) -> String {
        let _ = succeed(&["report", "."], self.folder.path());
        std::fs::read_to_string(self.path()).unwrap()
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("report.html")
    }
}

/// What a browser would show of escaped text.
pub(crate) fn unescaped(html: &str) -> String {
    let mut text = html.to_owned();
    for (escape, one) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
        ("&#47;", "/"),
        ("&amp;", "&"),
    ] {
        text = text.replace(escape, one);
    }
    text
}
