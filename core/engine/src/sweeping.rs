//! A sweep: a folder of runs that are compared. What it is made of, how far each run is, how many go at once. The runs
//! themselves are ordinary runs, each begun by its own process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::comparing::{Group, is_finished};
use crate::driver::{file_error, sha256};
use crate::error::Error;

/// The file that makes a folder a sweep.
const FILE: &str = "sweep.json";
/// The folder of the experiments as they were when the sweep began, one a run.
const EXPERIMENTS: &str = "experiments";
const LOCK: &str = "plugins.lock";

/// What a sweep is made of, as `sweep.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Of orchestrator.
    pub version: String,
    /// The experiment's.
    pub name: String,
    /// In the order of the file; the others are compared with the first.
    pub variants: Vec<SweepVariant>,
    /// In the order they are begun: every variant with the first seed, then with the next.
    pub runs: Vec<SweepRun>,
}

/// A variant of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepVariant {
    /// Its name.
    pub name: String,
    /// The variant whose changes come before its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// Its own changes: values by path.
    pub changes: Map<String, Value>,
    /// SHA-256 of the plan of its first run.
    pub plan: String,
    /// Bytes that a run of it takes of memory, where that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// A run of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepRun {
    /// Its folder, within the sweep's: the variant and the seed.
    pub name: String,
    /// The variant.
    pub variant: String,
    /// The seed.
    pub seed: u64,
}

/// How far a run of a sweep is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has no folder: it is to be begun.
    Missing,
    /// It is to be gone on with.
    Begun,
    /// Its model is scored and its report is drawn.
    Finished,
}

impl SweepRun {
    /// A variant with a seed.
    #[must_use]
    pub fn new(variant: &str, seed: u64) -> Self {
        Self {
            name: format!("{variant}-{seed}"),
            variant: variant.to_owned(),
            seed,
        }
    }
}

impl Sweep {
    /// Whether a folder is a sweep's.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Of the sweep in a folder.
    ///
    /// # Errors
    /// If it is not the folder of a sweep, or of another version.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(folder.join(FILE))
            .map_err(|_| Error::NotARun(folder.to_owned(), FILE))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Changed(format!("{FILE} cannot be understood: {error}")))
    }

    /// Refuses to go on with what another version began: half of the runs would be by another program.
    ///
    /// # Errors
    /// If it was another.
    pub fn check_version(&self) -> Result<(), Error> {
        let now = env!("CARGO_PKG_VERSION");
        if self.version == now {
            return Ok(());
        }
        Err(Error::Changed(format!(
            "it was begun by orchestrator {}, this is {now}",
            self.version
        )))
    }

    /// Makes the folder of a new sweep: what it is made of, each run's experiment (`experiments`, YAML in the order of the
    /// runs), and the pins of plugins if there are some.
    ///
    /// # Errors
    /// If the folder exists or cannot be made.
    pub fn create(
        &self,
        folder: &Path,
        experiments: &[String],
        lock: Option<&Path>,
    ) -> Result<(), Error> {
        if folder.exists() {
            return Err(Error::SweepExists(folder.to_owned()));
        }
        // Made beside and renamed: under its name there is a sweep that can be gone on with, or nothing.
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let beside = folder.with_file_name(format!(".{name}.{}", std::process::id()));
        let write = |name: &str, text: &str| {
            std::fs::write(beside.join(name), text).map_err(file_error("write", &folder.join(name)))
        };
        let make = || {
            std::fs::create_dir_all(beside.join(EXPERIMENTS))
                .map_err(file_error("make the folder", folder))?;
            for (run, yaml) in self.runs.iter().zip(experiments) {
                write(&format!("{EXPERIMENTS}/{}.yaml", run.name), yaml)?;
            }
            if let Some(lock) = lock {
                std::fs::copy(lock, beside.join(EXPERIMENTS).join(LOCK))
                    .map_err(file_error("copy", lock))?;
            }
            let text = serde_json::to_string_pretty(self).unwrap_or_default();
            write(FILE, &(text + "\n"))?;
            std::fs::rename(&beside, folder).map_err(file_error("make the folder", folder))
        };
        make().inspect_err(|_| {
            // Nothing of it is of use.
            let _ = std::fs::remove_dir_all(&beside);
        })
    }

    /// The folder a sweep gets by default: name and a short hash of all plans and seeds.
    #[must_use]
    pub fn folder_name(&self) -> String {
        let mut same_anywhere = self.clone();
        for variant in &mut same_anywhere.variants {
            variant.memory = None;
        }
        let text = serde_json::to_string(&same_anywhere).unwrap_or_default();
        let hash = sha256(text.as_bytes());
        format!("{}-{}", self.name, &hash[..8])
    }

    /// The experiment of a run, as it was when the sweep began.
    #[must_use]
    pub fn experiment_of(folder: &Path, run: &SweepRun) -> PathBuf {
        folder.join(EXPERIMENTS).join(format!("{}.yaml", run.name))
    }

    /// How far a run is.
    ///
    /// # Errors
    /// If its store cannot be read.
    pub fn state(folder: &Path, run: &SweepRun) -> Result<State, Error> {
        let own = folder.join(&run.name);
        if !own.exists() {
            return Ok(State::Missing);
        }
        Ok(if own.join("report.html").is_file() && is_finished(&own)? {
            State::Finished
        } else {
            State::Begun
        })
    }

    /// Its variants with their finished runs, to be compared.
    ///
    /// # Errors
    /// If a store cannot be read.
    pub fn groups(&self, folder: &Path) -> Result<Vec<Group>, Error> {
        let of = |variant: &SweepVariant| {
            let mut group = Group {
                name: variant.name.clone(),
                runs: Vec::new(),
                missing: Vec::new(),
            };
            for run in self.runs.iter().filter(|run| run.variant == variant.name) {
                if Self::state(folder, run)? == State::Finished {
                    group.runs.push(folder.join(&run.name));
                } else {
                    group.missing.push(run.name.clone());
                }
            }
            Ok(group)
        };
        self.variants.iter().map(of).collect()
    }

    /// Which variant each extends, among those that are run.
    #[must_use]
    pub fn extended(&self) -> BTreeMap<String, String> {
        let pair = |one: &SweepVariant| Some((one.name.clone(), one.extends.clone()?));
        self.variants.iter().filter_map(pair).collect()
    }

    /// Bytes that a run of a variant takes of memory, about.
    #[must_use]
    pub fn memory_of(&self, run: &SweepRun) -> u64 {
        let variant = self.variants.iter().find(|one| one.name == run.variant);
        variant.and_then(|one| one.memory).unwrap_or(SMALL)
    }
}

/// Bytes that are set aside for a run of a static encoder, of which nothing is told: it takes less on corpora of tens of
/// thousands of documents.
const SMALL: u64 = 500_000_000;

/// Threads that a run makes good use of: with more, two runs at once come further.
const THREADS_OF_RUN: usize = 4;

/// How many runs go at once by default: each has its threads, and all of them fit into memory (`available` bytes, where that
/// is known) if each takes as much as the largest. At least one.
#[must_use]
pub fn at_once(cores: usize, available: Option<u64>, largest: u64) -> usize {
    (cores / THREADS_OF_RUN)
        .min(that_fit(available, largest))
        .max(1)
}

/// How many runs fit into memory.
#[must_use]
pub fn that_fit(available: Option<u64>, largest: u64) -> usize {
    available.map_or(usize::MAX, |available| {
        usize::try_from(available / largest.max(1)).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::at_once;

    #[test]
    fn runs_go_at_once_where_cores_and_memory_allow() {
        const GB: u64 = 1_000_000_000;
        for (cores, available, largest, expected) in [
            (1, None, GB, 1),
            (2, Some(16 * GB), GB, 1),
            (8, Some(16 * GB), GB, 2),
            (64, None, GB, 16),
            (64, Some(16 * GB), 6 * GB, 2),
            (64, Some(16 * GB), 20 * GB, 1),
        ] {
            let found = at_once(cores, available, largest);
            assert_eq!(found, expected, "{cores} cores, {available:?}, {largest}");
        }
    }
}
