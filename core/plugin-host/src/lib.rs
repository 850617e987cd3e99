//! Finds, checks, loads and calls plugins. The only crate that knows libloading, and the only way a plugin gets into a
//! run, ours included. Trusts nothing that comes back: everything a plugin returns is checked before it is used. Never
//! unloads a library.

mod answers;
mod batch;
mod call;
mod combine;
mod error;
mod guarded;
mod info;
mod instance;
mod isolated;
mod library;
mod linalg;
mod local;
mod metrics;
pub mod probe;
mod search_path;
mod services;
mod table;
mod trust;

pub use answers::{Candidate, LossResult, Needs, Proposed, Role, Verdict};
pub use batch::Batch;
pub use call::Context;
pub use combine::{LossSum, Truncation, WeightedLoss, combine};
pub use error::Error;
pub use info::{Kind, PluginInfo};
pub use instance::Instance;
pub use isolated::{ChildCommand, Isolation, Limits, serve};
pub use library::Plugin;
pub use linalg::{dot, dots};
pub use metrics::Metrics;
pub use orchestrator_plugin_abi::service;
pub use search_path::{Host, SearchPath};
pub use services::{
    ChatEndpoint, CurrentModel, Files, Lexical, NamedModels, Progress, Services, TopicModel,
};
pub use table::Table;
pub use trust::{develop, end_development, trust};
