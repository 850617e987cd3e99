//! The run itself: plan, ticks, samples, curriculum, training, active learning, evaluation. Each tick is a function of
//! (plan, store, checkpoint): the engine goes forward the same way whether it starts or resumes, and what it needs from
//! earlier ticks it reads from the store. Prints nothing; knows no YAML, no SQL, no candle.

mod active;
mod adapting;
mod analysing;
mod answering;
mod auditing;
mod batches;
pub mod comparing;
pub mod desk;
mod driver;
mod epochs;
mod error;
mod evaluating;
mod instances;
mod lent;
mod lock;
mod making;
mod memory;
mod mining;
mod monitor;
mod plan;
mod pool;
mod progress;
mod rescoring;
pub mod retrieval;
mod run;
mod seed;
mod slicing;
mod spoiling;
pub mod sweeping;
pub mod topics;
mod training;

pub use error::Error;
pub use instances::try_settings;
pub use lock::Lock;
pub use memory::{Checked, Estimate, Memory, Part};
pub use plan::{Inputs, Origin, Plan, PluginUsed, compile, note_on_precision};
pub use progress::{Event, Observer};
pub use run::{Outcome, Run};
