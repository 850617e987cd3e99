//! From YAML to a typed, checked experiment. The only crate that knows YAML. Every error names file, line and column,
//! shows the line and suggests; all errors of a file are told at once. Plugin settings are checked by the plugins' own
//! schemas, their defaults filled in. Reads no environment: variables are handed in.

mod analysis;
mod asking;
mod curriculum;
mod encoder;
mod experiment;
mod expression;
mod isolation;
mod node;
mod outside;
mod overrides;
mod read;
mod reader;
mod schedule;
mod schema;
mod slices;
mod source;
mod steps;
mod sweep;
mod train;

pub use analysis::{Analysis, Influence, Picture, Topics};
pub use asking::{
    ActiveLearning, Annotator, Audit, Candidates, Format, Llm, People, Slice, Start, StopRules,
};
pub use curriculum::{
    Bands, Bounded, Change, Difficulty, IN_RULES, Negatives, Pacing, PacingFunction, Rule, Stage,
};
pub use experiment::{
    AfterWarmup, AugmentStep, Bm25, Chat, Data, Encoder, Evaluate, Experiment, Lora, LossStep,
    Metric, MetricKind, PluginStep, Precision, ProposeStep, Refresh, RoleFilter, Samples, Train,
    Transformer, model_name,
};
pub use expression::Expression;
pub use schedule::with_number;
pub use schema::schema;
pub use slices::{DISTRACTORS, EvaluationSlice};
pub use source::Source;
pub use sweep::{Sweep, Variant};
