//! What can go wrong with a model.

use std::path::PathBuf;

/// Each says what failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tokeniser could not be trained or read.
    #[error("the tokeniser failed: {0}")]
    Tokenizer(String),
    /// A model that is whole, and of a kind that cannot be used here; says which.
    #[error("{0}")]
    Unsupported(String),
    /// A tensor operation failed: a fault of ours.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A model folder could not be written or read.
    #[error("cannot {what} `{path}`: {why}")]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}
