//! Instances that run in a process of their own, so that a crash, a hang or a runaway of a plugin is an error message and
//! not the end of the run. The child is our own executable again, started with the arguments that [`ChildCommand`] says,
//! where it calls [`serve`].
//!
//! One child an instance. The two talk over a socket, which is the child's standard input; what a plugin prints goes to
//! standard error. The parent asks (`parent.rs`), the child calls the plugin as the parent would have (`child.rs`, with
//! `local.rs`), and what the plugin wants of the host in between it asks back (`borrowed.rs`, answered by `serving.rs`).
//! Tables go over when they are first asked for, once a child. Matrix products are done in the child.
//!
//! The child contains accidents, not malice: it has the rights of the run. What it sends is not trusted: lengths are
//! bounded, and every answer passes the checks of `answers.rs` here, as if it had come from the plugin itself.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(unix)]
mod borrowed;
#[cfg(unix)]
mod channel;
#[cfg(unix)]
mod child;
#[cfg(unix)]
mod codec;
#[cfg(not(unix))]
mod nowhere;
#[cfg(unix)]
mod parent;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod serving;
#[cfg(unix)]
mod tables;

#[cfg(unix)]
pub use child::serve;
#[cfg(not(unix))]
pub use nowhere::serve;
#[cfg(not(unix))]
pub(crate) use nowhere::{Remote, describe};
#[cfg(unix)]
pub(crate) use parent::{Remote, describe};

/// Where an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In the process of the run.
    #[default]
    None,
    /// In a process of its own.
    Process(Limits),
}

/// What a process may take before it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds that a call may take, what it waits for the host not counted.
    pub timeout: u64,
    /// MiB of memory that it may ask for, where the system can hold it to that.
    pub memory_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: 600,
            memory_mib: 4096,
        }
    }
}

/// How a child is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildCommand {
    /// The executable.
    pub program: PathBuf,
    /// What tells it to call [`serve`].
    pub arguments: Vec<OsString>,
    /// The whole of its environment: no plugin needs to see a key.
    pub environment: Vec<(OsString, OsString)>,
}
