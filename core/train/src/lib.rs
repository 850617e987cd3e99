//! What training needs beside a model: an optimiser whose state can be saved, a schedule of learning rates, checkpoints
//! that are whole or absent. Knows neither samples nor plugins.

mod adamw;
mod checkpoint;
mod schedule;

pub use adamw::AdamW;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use schedule::LinearSchedule;
