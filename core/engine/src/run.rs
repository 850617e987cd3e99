//! The run: a folder, a plan, a store; begun or opened again, and brought to its end.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orchestrator_config::Experiment;
use orchestrator_plugin_host::{ChatEndpoint, Host};
use orchestrator_store::Store;

use crate::adapting::Adapted;
use crate::desk::People;
use crate::driver::{Driver, file_error};
use crate::error::Error;
use crate::lent::Lent;
use crate::lock::Lock;
use crate::memory::Estimate;
use crate::plan::{self, Inputs, Origin, Plan};
use crate::progress::Observer;

/// A run on its way.
pub struct Run {
    folder: PathBuf,
    plan: Plan,
    /// The plan's, with its places.
    experiment: Experiment,
    inputs: Inputs,
    store: Store,
    /// Held for as long as anything is written.
    _lock: Lock,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its folder.
    pub folder: PathBuf,
    /// (model, split, metric, mean) of bm25, the untrained and the trained model.
    pub results: Vec<(String, String, String, f64)>,
    /// Steps taken, before an interruption too.
    pub steps: u64,
    /// Ticks completed this time.
    pub ticks: u32,
    /// Which epoch's model is the trained one: `epoch-N`.
    pub chosen: String,
    /// Share of the time that went to the store, 0..1.
    pub store_share: f64,
    /// Hash of everything in the store but the clock.
    pub content_hash: String,
}

impl Run {
    /// Makes the folder of a new run, and locks it.
    ///
    /// # Errors
    /// If the folder exists, if another process is making it, or if it cannot be made.
    pub fn create(
        folder: &Path,
        plan: Plan,
        inputs: Inputs,
        origin: &Origin,
        experiment_yaml: &str,
    ) -> Result<Self, Error> {
        let exists = || Error::RunExists(folder.to_owned());
        if folder.exists() {
            return Err(exists());
        }
        // Made beside and renamed: under its name there is a run that can be resumed, or nothing. The folder beside has the
        // lock already, and keeps it: of two that make the same run one goes on, and what one that was killed left is known
        // to be nobody's.
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let beside = folder.with_file_name(format!(".{name}.partial"));
        let make_folder = || file_error("make the folder", folder);
        std::fs::create_dir_all(&beside).map_err(make_folder())?;
        let lock = match Lock::of(&beside) {
            Err(Error::Locked(_)) => return Err(exists()),
            // It was renamed under our hands.
            Err(_) if folder.exists() => return Err(exists()),
            given => given?,
        };
        let make = || {
            if folder.exists() {
                return Err(exists());
            }
            empty(&beside).map_err(make_folder())?;
            std::fs::create_dir(beside.join("checkpoints")).map_err(make_folder())?;
            let origin_json = serde_json::to_string_pretty(origin).unwrap_or_default();
            let mut files = vec![
                ("origin.json", origin_json.into_bytes()),
                ("experiment.yaml", experiment_yaml.as_bytes().to_vec()),
                ("plan.json", plan.to_json().into_bytes()),
            ];
            // With its pins, the run's own experiment.yaml can be run again.
            if origin.lock.is_file() {
                let read = std::fs::read(&origin.lock);
                let pins = read.map_err(file_error("read the pins of plugins", &origin.lock))?;
                files.push(("plugins.lock", pins));
            }
            for (name, bytes) in files {
                write_synced(&beside.join(name), &bytes)
                    .map_err(file_error("write", &folder.join(name)))?;
            }
            Store::create(&beside.join("store.db"))?.close()?;
            sync_folder(&beside).map_err(make_folder())?;
            std::fs::rename(&beside, folder).map_err(|why| {
                let named = folder.exists();
                if named { exists() } else { make_folder()(why) }
            })?;
            let parent = folder.parent().filter(|one| !one.as_os_str().is_empty());
            sync_folder(parent.unwrap_or(Path::new("."))).map_err(make_folder())
        };
        if let Err(error) = make() {
            // Nothing of it is of use.
            let _ = std::fs::remove_dir_all(&beside);
            return Err(error);
        }
        Ok(Self {
            folder: folder.to_owned(),
            experiment: origin.placed(&plan),
            plan,
            inputs,
            store: Store::open(&folder.join("store.db"))?,
            _lock: lock,
        })
    }

    /// Opens the folder of a run, whose lock is given, to go on with it.
    ///
    /// # Errors
    /// If it is not a run, or data or plugins have changed since it began.
    pub fn open(folder: &Path, lock: Lock, host: &Host) -> Result<Self, Error> {
        let path = folder.join("plan.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|_| Error::NotARun(folder.to_owned(), "plan.json"))?;
        let recorded: Plan = serde_json::from_str(&text)
            .map_err(|error| Error::Changed(format!("plan.json cannot be understood: {error}")))?;
        if !folder.join("store.db").is_file() {
            return Err(Error::NotARun(folder.to_owned(), "store.db"));
        }
        let store = Store::open(&folder.join("store.db"))?;
        let experiment = Origin::read(folder)?.placed(&recorded);
        let (now, inputs) = plan::compile(&experiment, host)?;
        if now.version != recorded.version {
            return Err(Error::Changed(format!(
                "it was begun by orchestrator {}, this is {}",
                recorded.version, now.version
            )));
        }
        if now.data_fingerprint != recorded.data_fingerprint {
            return Err(Error::Changed(
                "the data have changed since it began".to_owned(),
            ));
        }
        // A file that was not there then has changed too.
        let both = recorded.pins.keys().chain(now.pins.keys());
        let changed = |what: &&String| recorded.pins.get(*what) != now.pins.get(*what);
        if let Some(what) = both.into_iter().find(changed) {
            return Err(Error::Changed(format!(
                "`{what}` has changed since it began"
            )));
        }
        for (then, now) in recorded.plugins.iter().zip(&now.plugins) {
            if then.sha256 != now.sha256 {
                return Err(Error::Changed(format!(
                    "the library of plugin `{}` has changed since it began (then {}, now {})",
                    then.name, then.sha256, now.sha256
                )));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            plan: recorded,
            experiment,
            inputs,
            store,
            _lock: lock,
        })
    }

    /// The experiment of the plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it takes of memory; see [`Estimate::of`].
    ///
    /// # Errors
    /// As there.
    pub fn estimate(&self) -> Result<Option<Estimate<'_>>, Error> {
        Estimate::of(&self.experiment, &self.inputs)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The experiment, with its places.
    #[must_use]
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// Goes to the end, from wherever it is. `chat` is the endpoint that plugins are lent, if the experiment names one; `people`
    /// answer questions, if the experiment puts some to people.
    ///
    /// # Errors
    /// On the first thing that fails; what was completed stays.
    pub fn execute(
        self,
        host: &Host,
        chat: Option<&dyn ChatEndpoint>,
        people: Option<&dyn People>,
        observer: Observer<'_>,
        cancelled: &AtomicBool,
    ) -> Result<Outcome, Error> {
        let began = Instant::now();
        let last = self.store.last_tick()?;
        self.store.event(
            if last.is_some() { "resume" } else { "start" },
            &self.plan.version,
        )?;
        let experiment = self.experiment;
        let data = self.inputs.data;
        let mut driver = Driver {
            lent: Arc::new(Lent::of(
                &data,
                &experiment,
                self.inputs.other,
                self.inputs.models,
                self.inputs.cross_encoders,
                self.inputs.files,
                chat,
            )),
            foreign: self.inputs.foreign,
            base: self.inputs.encoder,
            texts: Arc::default(),
            embedded: Mutex::default(),
            seen: Default::default(),
            reading: experiment.data.reading,
            experiment: &experiment,
            folder: self.folder.clone(),
            plan: &self.plan,
            data: &data,
            host,
            store: self.store,
            observer,
            cancelled,
            people,
            next: 0,
            last,
            restored: None,
            adapted: Adapted::default(),
            in_store: Duration::ZERO,
            ticks: 0,
        };
        let result = driver.go();
        let share = driver.in_store.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-9);
        match result {
            Ok((steps, chosen)) => {
                let ticks = driver.ticks;
                driver.store.event(
                    "finish",
                    &serde_json::json!({ "seconds": began.elapsed().as_secs_f64(), "store_share": share }).to_string(),
                )?;
                let results = driver
                    .store
                    .evaluations()?
                    .into_iter()
                    .filter(|row| !row.model.starts_with("epoch-"))
                    .map(|row| (row.model, row.split, row.metric, row.mean))
                    .collect();
                let order: Vec<String> = experiment
                    .evaluate
                    .metrics
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                let place = |name: &str| order.iter().position(|one| one == name);
                let mut results: Vec<(String, String, String, f64)> = results;
                // Models and splits stay in the order they came.
                results.sort_by_key(|(_, _, metric, _)| place(metric));
                let content_hash = driver.store.content_hash()?;
                driver.store.close()?;
                Ok(Outcome {
                    folder: self.folder,
                    results,
                    steps,
                    ticks,
                    chosen,
                    store_share: share,
                    content_hash,
                })
            }
            Err(
                Error::Plugin(orchestrator_plugin_host::Error::Cancelled { .. })
                | Error::Interrupted(_),
            ) => {
                // Stopped it is, whether or not the store can be told.
                let _ = driver.store.event("interrupt", "");
                Err(Error::Interrupted(self.folder))
            }
            Err(error) => {
                // The store may be what failed: then there is nobody to tell.
                let _ = driver.store.event("fail", &error.to_string());
                Err(error)
            }
        }
    }
}

/// Removes what is in a folder, but for its lock.
fn empty(folder: &Path) -> std::io::Result<()> {
    for left in std::fs::read_dir(folder)? {
        let left = left?;
        if left.file_name() == "lock" {
            continue;
        }
        if left.file_type()?.is_dir() {
            std::fs::remove_dir_all(left.path())?;
        } else {
            std::fs::remove_file(left.path())?;
        }
    }
    Ok(())
}

/// Writes a file whose content is on the disk before anything names it.
fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Names are on the disk only once their folder is synced.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
