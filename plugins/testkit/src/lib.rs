//! For authors of orchestrator plugins in any language: what `orchestrator plugin check` asks, as a library, and calls into
//! a built plugin for an author's own tests in Rust. It opens the library as a run does and lends it a tiny world of
//! documents, claims and a model that counts words.
//!
//! In `tests/checks.rs`, with `harness = false` in `Cargo.toml`:
//!
//! ```no_run
//! fn main() -> Result<(), orchestrator_testkit::Findings> {
//!     orchestrator_testkit::check(&orchestrator_testkit::library!())
//! }
//! ```
//!
//! And in an ordinary test:
//!
//! ```no_run
//! use serde_json::json;
//!
//! let library = orchestrator_testkit::library!();
//! let filter = orchestrator_testkit::open(&library, "word_count", &json!({ "min_words": 3 }));
//! let verdicts = filter.judge(&["three words here", "two words"]);
//! assert!(verdicts[0].keep && !verdicts[1].keep);
//! ```
//!
//! Stands on the host's side of the interface: never sees the SDK, and so checks C as it checks Rust. What it cannot
//! check: that a sampler never proposes a known positive (only the author knows what it means to propose), and saving and
//! loading of state, which the interface does not have yet.

mod author;
mod check;
mod checks;
mod children;
mod gradient;
mod lent;
mod report;
mod scene;
mod step;
pub mod template;
mod world;

pub use author::{Findings, Opened, built, check, check_with, open};
pub use check::Check;
pub use children::{Options, Start, answer, check as check_in_children, look};
pub use orchestrator_plugin_host::{Batch, Candidate, Kind, LossResult, Proposed, Role, Verdict};
pub use report::{Asked, Outcome, Report};
pub use step::{Row, step};
