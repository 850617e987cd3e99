//! What can go wrong with a plugin, and what to do about it.

use std::path::PathBuf;

/// Every way a plugin can fail. `what to do` is [`Error::help`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Not something the loader can open.
    #[error("`{path}` is not a shared library that can be loaded here: {why}")]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        why: String,
    },
    /// No entry symbol, or not our magic.
    #[error("`{path}` is a shared library but not an orchestrator plugin: {why}")]
    NotAPlugin {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Another ABI.
    #[error("`{path}` is built for plugin ABI {theirs}, this orchestrator has {ours}")]
    Abi {
        /// The file.
        path: PathBuf,
        /// What it needs.
        theirs: String,
        /// What we have.
        ours: String,
    },
    /// Its description of itself cannot be used.
    #[error("`{path}` describes its plugins wrongly: {why}")]
    Descriptor {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Two libraries with one plugin.
    #[error("plugin `{id}` is in two libraries: `{first}` and `{second}`")]
    Duplicate {
        /// Its id.
        id: String,
        /// The library loaded first.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Not shipped and not pinned, or changed since.
    #[error("`{path}` is not trusted: {why}")]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// The lock file that should pin it.
        lock: PathBuf,
        /// Never pinned, or changed, with the hashes.
        why: String,
    },
    /// A file could not be written: the disk, not the plugin.
    #[error("{what} `{path}`: {why}")]
    Unwritable {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A file could not be read.
    #[error("{what} `{path}`: {why}")]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A setting it refuses.
    #[error("plugin `{plugin}` refuses its settings: {message}")]
    Config {
        /// Instance.
        plugin: String,
        /// JSON pointer into the settings.
        pointer: String,
        /// What it said.
        message: String,
    },
    /// A call failed.
    #[error("plugin `{plugin}` failed in {call}: {message}")]
    Failed {
        /// Instance.
        plugin: String,
        /// The function called.
        call: &'static str,
        /// Status and what it said.
        message: String,
    },
    /// It panicked, and its SDK caught it.
    #[error("plugin `{plugin}` panicked in {call}: {message}")]
    Panicked {
        /// Instance.
        plugin: String,
        /// The function called.
        call: &'static str,
        /// The panic's message.
        message: String,
    },
    /// It returned something that cannot be.
    #[error("plugin `{plugin}` broke the interface in {call}: {what}")]
    Violation {
        /// Instance.
        plugin: String,
        /// The function called.
        call: &'static str,
        /// What it returned.
        what: String,
    },
    /// It stopped because the run is stopping.
    #[error("plugin `{plugin}` stopped because the run is stopping")]
    Cancelled {
        /// Instance.
        plugin: String,
    },
    /// Its process ended.
    #[error("plugin `{plugin}` crashed in {call}: {how}")]
    Crashed {
        /// Instance.
        plugin: String,
        /// The function called.
        call: &'static str,
        /// The signal or the exit code.
        how: String,
    },
    /// Its process was ended because it took too long.
    #[error("plugin `{plugin}` took more than {seconds} s in {call}, and was ended")]
    TimedOut {
        /// Instance.
        plugin: String,
        /// The function called.
        call: &'static str,
        /// How long a call may take.
        seconds: u64,
    },
    /// No process could be made for it.
    #[error("plugin `{plugin}` cannot be run in a process of its own: {why}")]
    Isolation {
        /// Instance.
        plugin: String,
        /// What is in the way.
        why: String,
    },
}

const REPORT: &str = "the store is consistent up to the last completed tick; report it to the plugin's author, or leave the \
                      plugin out";

impl Error {
    /// What the user can do.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NotALibrary { .. } => {
                "give a library built for this system, or take the path out of `plugins:`".into()
            }
            Self::NotAPlugin { .. } => {
                "a plugin exports `orch_plugin_entry_v1` (plugins/abi/include/orchestrator_plugin.h)".into()
            }
            Self::Abi { .. } => "rebuild the plugin against this version's header or SDK".into(),
            Self::Descriptor { .. } => "report it to the plugin's author".into(),
            Self::Duplicate { .. } => "remove one of them from the search path".into(),
            Self::Untrusted { path, lock, .. } => format!(
                "look where it is from, then pin it: orchestrator plugin trust {0} --lock {1} (while you write it yourself: \
                 orchestrator plugin dev {0} --lock {1})",
                path.display(),
                lock.display()
            ),
            Self::Unwritable { .. } => "check the path, its permissions and the space left".into(),
            Self::File { .. } => "check the path and its permissions".into(),
            Self::Config { .. } => "orchestrator plugin show ID lists the settings".into(),
            Self::Failed { .. } | Self::Panicked { .. } | Self::Violation { .. } => REPORT.into(),
            Self::Cancelled { .. } => "resume the run".into(),
            Self::Crashed { .. } => format!(
                "{REPORT}; if it needs more memory: isolation: {{ process: {{ memory_mib: N }} }}"
            ),
            Self::TimedOut { seconds, .. } => format!(
                "{REPORT}; if it needs more time: isolation: {{ process: {{ timeout: {} }} }}",
                seconds.saturating_mul(10)
            ),
            Self::Isolation { .. } => "start the run again; if it stays so, run the plugin without `isolation: process`".into(),
        }
    }
}
