//! From YAML to a typed, checked experiment. The only crate that knows YAML. Every error names file, line and column,
//! shows the line and suggests; all errors of a file are told at once. Plugin settings are checked by the plugins' own
//! schemas, their defaults filled in. Reads no environment: variables are handed in.

mod encoder;
mod experiment;
mod expression;
mod isolation;
mod node;
mod outside;
mod overrides;
mod read;
mod reader;
mod schema;
mod source;
mod steps;
mod sweep;
mod train;

pub use experiment::{
    ActiveLearning, AfterWarmup, Annotator, AugmentStep, Bands, Bm25, Chat, Data, Difficulty,
    Encoder, Evaluate, Experiment, Lora, LossStep, Metric, MetricKind, PluginStep, Precision,
    ProposeStep, Refresh, RoleFilter, Samples, Stage, Train, Transformer, model_name,
};
pub use expression::Expression;
pub use schema::schema;
pub use source::Source;
pub use sweep::{Sweep, Variant};
