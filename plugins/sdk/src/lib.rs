//! The SDK of plugins in Rust: README.md is its documentation.
#![doc = include_str!("../README.md")]

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
