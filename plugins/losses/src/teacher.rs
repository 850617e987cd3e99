//! The teacher's scores.

use orchestrator_plugin::{Error, LossBatch, Result};

/// The teacher's score of a row.
///
/// # Errors
/// If there is none.
pub fn score(batch: &LossBatch<'_>, row: u32) -> Result<f32> {
    batch
        .row(row as usize)
        .teacher
        .filter(|score| score.is_finite())
        .ok_or_else(|| {
            Error::data(format!(
                "row {row} of the step has no teacher score: this loss learns from a teacher, which the experiment must name"
            ))
        })
}
