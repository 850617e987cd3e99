//! What is asked of a plugin: a list, each with a name and a sentence.

use orchestrator_plugin_host::Kind;
use serde::{Deserialize, Serialize};

/// One thing that is asked of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The library can be opened.
    Load,
    /// What it says of itself.
    Description,
    /// Instances.
    Create,
    /// No rows.
    Empty,
    /// Very many rows.
    Huge,
    /// Rows like no others.
    Odd,
    /// Equal seeds.
    Determinism,
    /// Several threads at once.
    Threads,
    /// Other seeds.
    Seeds,
    /// The gradient of a loss.
    Gradient,
    /// Memory beside the host's buffers.
    Canaries,
    /// A run that stops.
    Cancellation,
    /// What must fail.
    Errors,
    /// Threads left behind.
    ThreadLeak,
    /// Memory left behind.
    MemoryLeak,
}

impl Check {
    /// All of them, in the order they are asked.
    pub const ALL: [Self; 15] = [
        Self::Load,
        Self::Description,
        Self::Create,
        Self::Empty,
        Self::Huge,
        Self::Odd,
        Self::Determinism,
        Self::Threads,
        Self::Seeds,
        Self::Gradient,
        Self::Canaries,
        Self::Cancellation,
        Self::Errors,
        Self::ThreadLeak,
        Self::MemoryLeak,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Description => "description",
            Self::Create => "create",
            Self::Empty => "empty",
            Self::Huge => "huge",
            Self::Odd => "odd",
            Self::Determinism => "determinism",
            Self::Threads => "threads",
            Self::Seeds => "seeds",
            Self::Gradient => "gradient",
            Self::Canaries => "canaries",
            Self::Cancellation => "cancellation",
            Self::Errors => "errors",
            Self::ThreadLeak => "thread_leak",
            Self::MemoryLeak => "memory_leak",
        }
    }

    /// What it asks, for people.
    #[must_use]
    pub fn asks(self) -> &'static str {
        match self {
            Self::Load => "the library opens and its entry is whole",
            Self::Description => {
                "id, version, summary and licence are there, defaults fit the schema"
            }
            Self::Create => "instances can be made with the defaults, and destroyed",
            Self::Empty => "no rows",
            Self::Huge => "100,000 rows (losses: 4,096 rows, 128 numbers a text)",
            Self::Odd => {
                "markup, emoji, right to left, control characters, 100 kB, every length (losses: odd shapes, zero vectors)"
            }
            Self::Determinism => "equal seeds give equal results, in whatever thread",
            Self::Threads => "8 threads at once get what one gets (if it sets CONCURRENT)",
            Self::Seeds => "other seeds are as good",
            Self::Gradient => "the gradient is that of finite differences (losses)",
            Self::Canaries => "nothing is written beside the host's buffers, or into what it lends",
            Self::Cancellation => "it returns soon when the run is stopping",
            Self::Errors => "a missing service or a refused row comes back as an error",
            Self::ThreadLeak => "no thread more after every instance",
            Self::MemoryLeak => "memory stays as it is over many instances and calls",
        }
    }

    /// Whether it is asked of this kind at all.
    #[must_use]
    pub fn is_for(self, kind: Kind) -> bool {
        match self {
            Self::Load => false,
            Self::Gradient => kind == Kind::Loss,
            Self::Canaries => matches!(kind, Kind::Filter | Kind::Selector | Kind::Loss),
            _ => true,
        }
    }
}
