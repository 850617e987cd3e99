//! A run that cannot be lost: whatever happens to the process, to the disk or to the clock, it comes to the end it would have
//! come to, byte for byte. Trouble at an exact place is put between the process and the C library (`disk.c`), which Linux allows.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod alone;
mod faults;
mod killed;
mod threads;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use orchestrator_tests::{c_library, experiment, orchestrator};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Everything that has a state: samplers asked again in the middle of epochs, augmented samples, filters that compare with
/// what was there, accumulated gradients, stages by epochs and by steps, pacing, rules that adapt, rounds of answers that begin
/// with the untrained model, an audit. With this seed the trained model is not the last one, so that the weights kept aside are
/// needed.
const EXPERIMENT: &str = "name: lasting
seed: 12
data: { corpus: { format: builtin }, test: test, reading: entailment }
model: { encoder: { static: { dim: 16, vocabulary: 400 } } }
samples:
  propose:
    - explicit_positive: { join: both }
    - explicit_negative
    - random: { per_anchor: 1 }
    - hard_negative: { per_anchor: 2, refresh_every: 25 steps }
  augment:
    - char_noise: {}
  filter:
    - word_count: { min_words: 8 }
    - retracted
    - duplicate
train:
  batch: 4
  accumulate: 2
  checkpoint_every: 2
  losses: [{ mnrl: { weight: 0.6 } }, { contrastive: { weight: 0.3 } }, { cosine_similarity: { weight: 0.1 } }]
  ratio: { negatives_per_positive: \"2 * (1 + 0.2 * epoch)\" }
  schedule:
    - { epochs: 1, difficulty: easy }
    - { steps: 13, difficulty: { easy: 0.3, hard: 0.7 }, losses: { mnrl: 1, contrastive: 0.5 }, learning_rate: 0.005 }
    - { epochs: 1, pacing: { function: root, from: 0.4 }, sources: [hard_negative, random] }
  adapt:
    - { when: \"gain < 1\", band: { easier: 0.1, harder: 0.05 } }
    - { when: \"epoch >= 1\", ratio: { times: 1.1, at_most: 4 } }
    - { when: \"epochs_since_best >= 1\", setting: { of: contrastive, at: margin, plus: 0.05, at_most: 0.9 } }
active_learning: { rounds: 2, select: margin, budget: 10, hold_back: 0.3, start: cold, annotator: { oracle: { error_rate: 0.1 } } }
audit: { samples: 10, from: suspicious }
";

/// A folder with the experiment, where runs are called by their names.
struct Place {
    folder: tempfile::TempDir,
    disk: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = experiment(EXPERIMENT);
        let disk = c_library(folder.path(), "disk", include_str!("disk.c"), &["-Wall"]);
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder, disk }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Removes what processes that were killed left in the system's temporary folder: copies of libraries.
    fn clean(&self) {
        let folder = self.path().join("tmp");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(folder).unwrap();
    }

    /// The command as a user runs it. What it leaves in the system's temporary folder when it is killed is ours to remove.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = orchestrator(arguments, self.path());
        command.env("TMPDIR", self.path().join("tmp"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The command that goes on with the run of that name, from wherever it is.
    fn go_on(&self, name: &str) -> Command {
        if self.run(name).exists() {
            self.command(&["resume", name])
        } else {
            self.command(&["run", "x.yaml", "--run-dir", name])
        }
    }

    /// The same, with trouble.
    fn go_on_with(&self, name: &str, trouble: Trouble<'_>) -> Command {
        let mut command = self.go_on(name);
        let told = self.told(name);
        let _ = std::fs::remove_file(&told);
        command
            .env("LD_PRELOAD", &self.disk)
            // Paths are as they are given, so the name is to stand in no other one.
            .env("DISK_FOLDER", name)
            .env("DISK_DOES", trouble.does)
            .env("DISK_CALL", trouble.call)
            .env("DISK_PATH", trouble.path)
            .env("DISK_NTH", trouble.nth.to_string())
            .env("DISK_TOLD", told);
        command
    }

    /// The file that says what trouble there was.
    fn told(&self, name: &str) -> PathBuf {
        self.path().join("tmp").join(format!("told of {name}"))
    }

    /// Waits until the trouble has come.
    fn wait_for_trouble(&self, name: &str) {
        let began = Instant::now();
        while !self.told(name).exists() {
            assert!(began.elapsed() < Duration::from_mins(1), "no trouble came");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The run of that name must come to its end, and to no other than the one it would have come to.
    fn ends_as_if_nothing_had_happened(&self, name: &str) {
        let output = self.go_on(name).output().unwrap();
        assert!(output.status.success(), "{}", shown(&output));
        self.has_ended_as_if_nothing_had_happened(name);
    }

    fn has_ended_as_if_nothing_had_happened(&self, name: &str) {
        Ending::of(&self.run(name)).must_be(&whole().0);
        let beside = self.path().join(format!(".{name}.partial"));
        assert!(!beside.exists(), "{}", beside.display());
    }
}

/// What `disk.c` does, and where.
#[derive(Debug, Clone, Copy)]
struct Trouble<'a> {
    does: &'a str,
    call: &'a str,
    path: &'a str,
    nth: u64,
}

/// Everything of a run that must be equal where runs are equal.
#[derive(PartialEq)]
struct Ending {
    /// Each file with its bytes; those that have the time in them, or places, by their names alone.
    files: BTreeMap<String, Vec<u8>>,
    /// Each row of each table but `event`, which has the clock.
    rows: BTreeMap<String, Vec<String>>,
}

impl Ending {
    fn of(run: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![run.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(run).unwrap().to_str().unwrap().to_owned();
                let differs = ["store.db", "report.html", "origin.json"].contains(&name.as_str());
                let bytes = if differs {
                    Vec::new()
                } else {
                    std::fs::read(path).unwrap()
                };
                files.insert(name, bytes);
            }
        }
        let store = Connection::open(run.join("store.db")).unwrap();
        let sound: String = store
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
        let all = |sql: &str| -> Vec<String> {
            let mut statement = store.prepare(sql).unwrap();
            let columns = statement.column_count();
            let rows = statement.query_map([], |row| {
                let cells = (0..columns).map(|column| match row.get_ref(column).unwrap() {
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    // Floats to the last bit.
                    other => format!("{other:?}"),
                });
                Ok(cells.collect::<Vec<_>>().join(" | "))
            });
            let mut rows: Vec<String> = rows.unwrap().collect::<Result<_, _>>().unwrap();
            rows.sort();
            rows
        };
        let mut names = store
            .prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            )
            .unwrap();
        let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let tables = names.map(Result::unwrap).filter(|name| name != "event");
        let rows = tables.map(|table| {
            let rows = all(&format!("SELECT * FROM {table}"));
            (table, rows)
        });
        let mut rows: BTreeMap<_, _> = rows.collect();
        // Of events, what was decided: not that it was stopped and resumed, nor what was encoded again for it.
        let decided =
            "SELECT kind, detail FROM event WHERE kind IN ('adapt', 'early_stop', 'rounds_ended')";
        rows.insert("decisions".to_owned(), all(decided));
        Self { files, rows }
    }

    fn must_be(&self, expected: &Self) {
        assert_eq!(
            self.files.keys().collect::<Vec<_>>(),
            expected.files.keys().collect::<Vec<_>>()
        );
        for (table, rows) in &expected.rows {
            let mine = &self.rows[table];
            let differ = mine.iter().zip(rows).find(|(mine, theirs)| mine != theirs);
            assert_eq!(differ, None, "in {table}");
            assert_eq!(mine.len(), rows.len(), "rows in {table}");
        }
        for (name, bytes) in &expected.files {
            assert!(self.files[name] == *bytes, "{name} differs");
        }
    }
}

/// The end of a run that nothing happens to, and how long it takes.
fn whole() -> &'static (Ending, Duration) {
    static WHOLE: OnceLock<(Ending, Duration)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = Place::new();
        let began = Instant::now();
        let output = place.go_on("whole").output().unwrap();
        let took = began.elapsed();
        assert!(output.status.success(), "{}", shown(&output));
        let ending = Ending::of(&place.run("whole"));
        // What the experiment is for: nothing of it may be missing.
        for (what, least) in [
            ("refresh | hard_negative", 4),
            ("augment | char_noise", 3),
            ("judge | revealed_positive", 2),
            ("train | epoch 1, easy", 5),
            ("train | epoch 2, 30 % easy + 70 % hard", 5),
            ("train | epoch 5, any", 5),
            ("annotate | round 2", 1),
            ("audit | suspicious", 1),
            ("evaluate | trained = epoch-3", 1),
        ] {
            let ticks = ending.rows["tick"].iter();
            let found = ticks.filter(|row| row.ends_with(what)).count();
            assert!(found >= least, "{what}: {found}");
        }
        for what in [
            "negatives per positive",
            "the band",
            "margin of contrastive",
        ] {
            let mut decisions = ending.rows["decisions"].iter();
            assert!(decisions.any(|row| row.contains(what)), "{what}");
        }
        (ending, took)
    })
}

/// What a process said of its end.
fn shown(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    format!("{:?}: {said}", output.status)
}

/// Ends a process as a power cut would, without a chance to clean up; whether it was still there.
fn kill(mut child: Child) -> bool {
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(9)
}

/// Numbers that look drawn by chance, and are the same each time (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 1 to `most`.
    fn up_to(&mut self, most: u64) -> u64 {
        1 + self.next() % most
    }

    /// Evenly from nothing to `most`.
    fn delay(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.next() as f64 / u64::MAX as f64)
    }
}
