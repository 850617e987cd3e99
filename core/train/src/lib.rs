//! What training needs beside a model: an optimiser whose state can be saved, learning rates, bounds on gradients,
//! checkpoints that are whole or absent. Knows neither samples nor plugins.

mod adamw;
mod checkpoint;
mod clip;
mod schedule;

pub use adamw::AdamW;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use clip::clip;
pub use schedule::{Fall, Rates};
