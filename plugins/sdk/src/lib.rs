//! For authors of orchestrator plugins in Rust: safe traits over the C interface, settings derived from a struct, and one
//! macro that exports the library. An author writes no `unsafe`; `#![forbid(unsafe_code)]` works.
//!
//! ```
//! use orchestrator_plugin::{Call, Config, Filter, Sample, Verdict};
//!
//! /// Keeps texts of at least `min_words` words.
//! #[derive(Config)]
//! struct WordCount {
//!     /// The fewest words a text may have.
//!     #[config(default = 10, min = 1)]
//!     min_words: usize,
//! }
//!
//! impl Filter for WordCount {
//!     fn judge(&self, sample: &Sample<'_>, _: &Call<'_>) -> Verdict {
//!         let words = sample.text.split_whitespace().count();
//!         Verdict::keep_if(words >= self.min_words, || format!("{words} words"))
//!     }
//! }
//!
//! orchestrator_plugin::export! { filters: [WordCount as "org.example.word_count"] }
//! # fn main() {}
//! ```
//!
//! Never sees the host's own types: what crosses is `orchestrator-plugin-abi`.

pub use orchestrator_plugin_abi as abi;
pub use orchestrator_plugin_derive::Config;

mod call;
pub mod config;
pub mod export;
mod loss;
mod plugin;
mod random;
mod rows;
mod services;
mod table;

pub use call::{Call, Error, Result};
pub use config::Config;
pub use loss::{Group, LossBatch, LossOutput, Needs, Row, dot};
pub use plugin::{Augmenter, Filter, Loss, Pair, Pool, Sampler, Select, Verdict};
pub use random::Random;
pub use rows::{Anchor, Anchors, Candidate, Role, Sample, Samples, Sink};
pub use services::{
    Bm25, Chat, Corpus, Document, Embedder, HeldOut, HeldOutAnchor, Judgement, Judgements, Linalg,
    Scorer, Search, Topics,
};
pub use table::{Lists, Strings, Table};
