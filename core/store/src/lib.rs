//! The audit trail: one SQLite file a run, every sample, verdict, use, score and metric in it, each with its tick. The
//! only crate that knows SQL. A tick's rows and its completion are one transaction; there is one writer. The schema is
//! in `schema.sql`, for people in docs/STORE.md.

mod analysing;
mod asking;
mod comparing;
mod counting;
mod error;
pub mod explaining;
mod monitoring;
mod query;
mod reporting;
mod rows;
mod slicing;
mod tick;
mod walking;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use sha2::{Digest as _, Sha256};

pub use analysing::{Influence, Slice, SliceScore, Suspect, Topic};
pub use asking::{Annotated, AnnotationRow, AnswerRow, ProjectionRow, QuestionView};
pub use comparing::{Changed, OnlyThere, Pair, SampleTally, Side};
pub use error::Error;
pub use monitoring::{EpochBands, PastNegative, UnusedSource};
pub use query::{CurvePoint, EpochRow, EvaluationRow, FunnelRow, PluginRow, SampleView};
pub use reporting::{
    DifficultyHistogram, FilterRow, Forgetting, InfluenceRow, LossQuantiles, Named, Overview,
    Ranked, RankedSample, Shown, SimilarityHistogram,
};
pub use rows::{
    Anchor, Annotation, Answer, Audited, Checkpoint, Document, Evaluation, Judgement, Plugin,
    Projection, Provenance, Question, Role, Run, Sample, SampleId, Score, Use, Verdict, sample_id,
};
pub use slicing::SliceRow;
pub use tick::Tick;

/// "orch", so that `file` and we know the format.
const APPLICATION_ID: i32 = 0x6f72_6368;
/// Grows with the schema; older stores are migrated, newer refused.
const VERSION: i32 = ADDED.len() as i32 + 1;

/// What each version after the first added.
const ADDED: [&str; 2] = [include_str!("schema_2.sql"), include_str!("schema_3.sql")];

/// What a store of a version lacks.
fn added_after(version: i32) -> String {
    let known = usize::try_from(version).unwrap_or_default().max(1);
    ADDED[known - 1..].join("\n")
}

/// How long another program that writes to the file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open store.
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Makes a new store.
    ///
    /// # Errors
    /// If there is a file already or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, Error> {
        if path.exists() {
            return Err(Error::Exists(path.to_owned()));
        }
        let store = Self::open_file(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?;
        store.connection.execute_batch(&format!(
            "BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};\n{}\n{}\nCOMMIT;",
            include_str!("schema.sql"),
            added_after(1)
        ))?;
        Ok(store)
    }

    /// Opens a store to go on writing.
    ///
    /// # Errors
    /// If it is no store, or of a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let store = Self::open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        store.check_version()?;
        Ok(store)
    }

    /// Opens a store to read: all that is read is of one moment, whatever a run writes meanwhile.
    ///
    /// # Errors
    /// If it is no store, or of a newer version.
    pub fn open_to_read(path: &Path) -> Result<Self, Error> {
        let store = Self::open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        store.check_version()?;
        store.connection.pragma_update(None, "query_only", true)?;
        store.connection.execute_batch("BEGIN")?;
        Ok(store)
    }

    fn open_file(path: &Path, flags: OpenFlags) -> Result<Self, Error> {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| Error::Open {
                path: path.to_owned(),
                why: error.to_string(),
            })?;
        let store = Self {
            connection,
            path: path.to_owned(),
        };
        let set = || {
            store.connection.busy_timeout(PATIENCE)?;
            store
                .connection
                .pragma_update(None, "journal_mode", "WAL")?;
            store
                .connection
                .pragma_update(None, "synchronous", "FULL")?;
            store.connection.pragma_update(None, "foreign_keys", true)?;
            store
                .connection
                .pragma_update(None, "wal_autocheckpoint", 10_000)?;
            store
                .connection
                .pragma_update(None, "cache_size", -65_536)?;
            store.connection.pragma_update(None, "temp_store", "MEMORY")
        };
        set().map_err(|error: rusqlite::Error| Error::Open {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        Ok(store)
    }

    fn check_version(&self) -> Result<(), Error> {
        let read = |name| {
            self.connection
                .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0))
        };
        let not_a_store = |_| Error::NotAStore(self.path.clone());
        let (id, version) = (
            read("application_id").map_err(not_a_store)?,
            read("user_version").map_err(not_a_store)?,
        );
        if id != APPLICATION_ID {
            return Err(Error::NotAStore(self.path.clone()));
        }
        if version > VERSION {
            return Err(Error::Newer {
                path: self.path.clone(),
                theirs: version,
                ours: VERSION,
            });
        }
        if version < VERSION {
            self.migrate(version)?;
        }
        Ok(())
    }

    /// Brings an older store to this version, after a copy of it was laid beside: `store.db.version-1`.
    fn migrate(&self, version: i32) -> Result<(), Error> {
        let beside = |ending: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".version-{version}{ending}"));
            PathBuf::from(name)
        };
        let (copy, partial) = (beside(""), beside(".partial"));
        if !copy.exists() {
            let failed = |why: std::io::Error| Error::Open {
                path: copy.clone(),
                why: why.to_string(),
            };
            // What was killed while it was made is no copy.
            match std::fs::remove_file(&partial) {
                Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(failed(why)),
                _ => {}
            }
            let into = partial.to_string_lossy();
            self.connection.execute("VACUUM INTO ?1", [&into])?;
            std::fs::rename(&partial, &copy).map_err(failed)?;
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        // Another process may have done it meanwhile.
        let read = |row: &rusqlite::Row<'_>| row.get::<_, i32>(0);
        let now = self.connection.query_row("PRAGMA user_version", [], read)?;
        let changes = if now < VERSION {
            format!("PRAGMA user_version = {VERSION};\n{}", added_after(now))
        } else {
            String::new()
        };
        Ok(self
            .connection
            .execute_batch(&format!("{changes}\nCOMMIT;"))?)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins the tick numbered `number`. Nothing of it is in the store before [`Tick::complete`].
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn tick(&mut self, number: u32, kind: &str, detail: &str) -> Result<Tick<'_>, Error> {
        // It will write: whoever else does is waited for at once.
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        Tick::begin(transaction, number, kind, detail)
    }

    /// The number of the last completed tick, if any.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_tick(&self) -> Result<Option<u32>, Error> {
        Ok(self
            .connection
            .query_row("SELECT max(number) FROM tick", [], |row| row.get(0))?)
    }

    /// Notes something with the time: the only clock in the store.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn event(&self, kind: &str, detail: &str) -> Result<(), Error> {
        event(&self.connection, kind, detail)
    }

    /// Keeps an answer, at once and for good, and gives its number. Not part of a tick: people answer when they answer, and
    /// more than one connection may be open.
    ///
    /// # Errors
    /// If there is no such question or the store cannot be written.
    pub fn answer(&self, answer: &Answer<'_>) -> Result<u64, Error> {
        tick::insert_answer(&self.connection, answer)?;
        Ok(self.connection.last_insert_rowid() as u64)
    }

    /// Keeps answers as [`Store::answer`] does, all of them or none.
    ///
    /// # Errors
    /// If there is no such question or the store cannot be written; then none is kept.
    pub fn answer_all(&self, answers: &[Answer<'_>]) -> Result<(), Error> {
        let transaction = self.connection.unchecked_transaction()?;
        for answer in answers {
            tick::insert_answer(&transaction, answer)?;
        }
        Ok(transaction.commit()?)
    }

    /// The last completed checkpoint.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        Ok(self
            .connection
            .query_row(
                "SELECT tick, file, sha256 FROM checkpoint ORDER BY tick DESC LIMIT 1",
                [],
                |row| {
                    Ok(Checkpoint {
                        tick: row.get(0)?,
                        file: row.get(1)?,
                        sha256: row.get(2)?,
                    })
                },
            )
            .optional()?)
    }

    /// SHA-256 of everything but the clock, in a fixed order: equal for equal runs.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn content_hash(&self) -> Result<String, Error> {
        let mut hash = Sha256::new();
        let mut statement = self.connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'event' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )?;
        let tables: Vec<String> = statement
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for table in tables {
            hash.update(table.as_bytes());
            let mut statement = self.connection.prepare(&format!("SELECT * FROM {table}"))?;
            let columns = statement.column_count();
            let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
            drop(statement);
            statement = self.connection.prepare(&format!(
                "SELECT * FROM {table} ORDER BY {}",
                order.join(", ")
            ))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    // The debug form tells 1 from 1.0 from '1', and floats to the last bit.
                    hash.update(format!("{:?}\u{1f}", row.get_ref(column)?).as_bytes());
                }
            }
        }
        Ok(hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// Puts everything into the one file, so that it can be copied alone.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn close(self) -> Result<(), Error> {
        self.connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize;")?;
        Ok(())
    }
}

fn event(connection: &Connection, kind: &str, detail: &str) -> Result<(), Error> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    connection.execute(
        "INSERT INTO event (at, kind, detail) VALUES (?1, ?2, ?3)",
        (now.as_millis() as i64, kind, detail),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_keeps_nothing_of_the_tick_and_says_so() {
        let folder = tempfile::tempdir().expect("folder");
        let mut store = Store::create(&folder.path().join("store.db")).expect("store");
        store
            .tick(0, "data", "")
            .and_then(Tick::complete)
            .expect("tick");
        // SQLite's own limit stands in for the disk's.
        let pages: i64 = store
            .connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .expect("pages");
        let _: i64 = store
            .connection
            .query_row(
                &format!("PRAGMA max_page_count = {}", pages + 2),
                [],
                |row| row.get(0),
            )
            .expect("limit");
        let fill = |store: &mut Store| -> Result<(), Error> {
            let tick = store.tick(1, "propose", "")?;
            for number in 0..100_000 {
                tick.add_metric(Some(number), "filling", 1.0)?;
            }
            tick.complete()
        };
        let error = fill(&mut store).expect_err("no room");
        assert!(
            error.help().contains("the disk is full"),
            "{error}: {}",
            error.help()
        );
        assert_eq!(store.last_tick().expect("readable"), Some(0));
        assert_eq!(store.curve("filling").expect("readable").len(), 0);
    }

    #[test]
    fn a_store_of_version_1_is_brought_to_this_one_and_a_copy_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("store.db");
        let old = Connection::open(&path).expect("file");
        old.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;\n{}
             INSERT INTO tick VALUES (0, 'data', '');",
            include_str!("schema.sql")
        ))
        .expect("old store");
        drop(old);
        let store = Store::open_to_read(&path).expect("migrated");
        assert_eq!(store.last_tick().expect("tick"), Some(0));
        assert!(store.questions().expect("new table").is_empty());
        assert!(folder.path().join("store.db.version-1").is_file());
    }

    #[test]
    fn a_tick_that_is_not_completed_leaves_no_trace() {
        let folder = tempfile::tempdir().expect("folder");
        let mut store = Store::create(&folder.path().join("store.db")).expect("store");
        let before = store.content_hash().expect("hash");
        drop(store.tick(0, "data", "").expect("tick"));
        assert_eq!(store.content_hash().expect("hash"), before);
        store
            .event("note", "the clock is not content")
            .expect("event");
        assert_eq!(store.content_hash().expect("hash"), before);
        store
            .tick(0, "data", "")
            .and_then(Tick::complete)
            .expect("tick");
        assert_ne!(store.content_hash().expect("hash"), before);
    }
}
