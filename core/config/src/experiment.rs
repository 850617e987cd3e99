//! The experiment as everything after this crate sees it: complete, typed, checked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use orchestrator_data::{Reading, Source};
use orchestrator_plugin_host::{Isolation, Kind, Truncation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Expression;
use crate::analysis::Analysis;
use crate::asking::{ActiveLearning, Audit};
use crate::curriculum::{Bands, Rule, Stage};
use crate::slices::EvaluationSlice;

/// A whole experiment, every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Names the run folder.
    pub name: String,
    /// What every random choice is derived from.
    pub seed: u64,
    /// Plugin libraries or folders of them, beside those shipped.
    pub plugins: Vec<PathBuf>,
    /// What is trained and scored on.
    pub data: Data,
    /// What is trained.
    pub encoder: Encoder,
    /// Further models by name, each a model folder: what filters may score by, and the teacher.
    pub models: BTreeMap<String, PathBuf>,
    /// Of cross-encoders of several labels among them: the label whose share is the score, by its name or number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The endpoint of plugins that ask a language model.
    pub chat: Option<Chat>,
    /// How samples come to be.
    pub samples: Samples,
    /// How they are used.
    pub train: Train,
    /// Rounds of asking an annotator, if any.
    pub active_learning: Option<ActiveLearning>,
    /// Samples that people are asked about at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// What is measured.
    pub evaluate: Evaluate,
    /// What is found out beside it.
    #[serde(default, skip_serializing_if = "Analysis::is_default")]
    pub analysis: Analysis,
    /// The folder of templates that stand in for ours in the report. No part of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<PathBuf>,
    /// Files that settings name: the setting's value to where the file lies.
    pub files: BTreeMap<String, PathBuf>,
    /// The plugins that run in a process of their own, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub isolation: BTreeMap<String, Isolation>,
}

impl Experiment {
    /// Every plugin with its kind, in the order of the file; those of slices of the evaluation last.
    #[must_use]
    pub fn steps(&self) -> Vec<(Kind, &PluginStep)> {
        let samples = &self.samples;
        let losses = &self.train.losses;
        let select = self.active_learning.iter();
        let slices = self.evaluate.slices.iter();
        let slices = slices.flat_map(EvaluationSlice::steps);
        let of = |kind| move |step| (kind, step);
        samples
            .propose
            .iter()
            .map(|one| &one.step)
            .map(of(Kind::Sampler))
            .chain(
                samples
                    .augment
                    .iter()
                    .map(|one| &one.step)
                    .map(of(Kind::Augmenter)),
            )
            .chain(samples.filter.iter().map(of(Kind::Filter)))
            .chain(losses.iter().map(|one| &one.step).map(of(Kind::Loss)))
            .chain(select.map(|one| &one.select).map(of(Kind::Selector)))
            .chain(slices.map(of(Kind::Augmenter)))
            .collect()
    }

    /// How many epochs the stages have that are measured in epochs.
    #[must_use]
    pub fn epochs(&self) -> usize {
        let stages = self.train.schedule.iter();
        stages.filter_map(|stage| stage.epochs).sum()
    }
}

/// `data:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Where the documents are from.
    pub corpus: Source,
    /// Other corpora by name, for samplers that look beyond and for the slice `cross_domain`.
    pub other: BTreeMap<String, Source>,
    /// Name of the split that is trained on.
    pub train: String,
    /// Share of the training claims held out.
    pub validation_share: f64,
    /// Name of the split that is scored.
    pub test: Option<String>,
    /// Which judged documents are positives in training.
    pub reading: Reading,
    /// Share of the training pairs known to be relevant that are made negatives on purpose: to see who finds them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spoil: f64,
}

/// `model.encoder:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Encoder {
    /// An embedding table over a tokeniser trained on the corpus; no download.
    Static {
        /// Length of an embedding.
        dim: usize,
        /// Size of the tokeniser's vocabulary.
        vocabulary: usize,
    },
    /// A model folder, trained on from where it stands.
    Transformer(Transformer),
}

impl Encoder {
    /// Length of an embedding, where the experiment says it.
    #[must_use]
    pub fn dim(&self) -> Option<usize> {
        match self {
            Self::Static { dim, .. } => Some(*dim),
            Self::Transformer(_) => None,
        }
    }
}

/// `model.encoder.transformer:` and what stands beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transformer {
    /// The model folder.
    pub folder: PathBuf,
    /// Longer texts are cut; `None` = as the folder says.
    pub max_tokens: Option<usize>,
    /// How numbers are held while encoding.
    pub precision: Precision,
    /// Share of the values that dropout sets to zero in training.
    pub dropout: f64,
    /// How many of the lowest layers stay as they are, and the embeddings with them.
    pub freeze: usize,
    /// Small matrices are trained instead of the large ones.
    pub lora: Option<Lora>,
}

impl Transformer {
    /// Its name, wherever it lies: `organisation/name` if it is from Hugging Face's cache, else the folder's own name.
    #[must_use]
    pub fn name(&self) -> String {
        model_name(&self.folder)
    }
}

/// The name of the model in a folder, wherever that lies: `organisation/name` if it is a snapshot in Hugging Face's cache
/// (`models--organisation--name/snapshots/COMMIT`), else the folder's own name. A name is its own name.
#[must_use]
pub fn model_name(folder: &Path) -> String {
    let text = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    if folder.is_relative() {
        return folder.to_string_lossy().into_owned();
    }
    let above = folder.parent().filter(|above| text(above) == "snapshots");
    let of_model = above.and_then(Path::parent).map(text);
    match of_model
        .as_deref()
        .and_then(|name| name.strip_prefix("models--"))
    {
        Some(name) => name.replace("--", "/"),
        None => text(folder),
    }
}

impl fmt::Display for Transformer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} in {}", self.name(), self.precision.name())?;
        if let Some(tokens) = self.max_tokens {
            write!(out, ", {tokens} tokens at most")?;
        }
        write!(out, ", dropout {}", self.dropout)?;
        if self.freeze > 0 {
            write!(out, ", {} layers frozen", self.freeze)?;
        }
        if let Some(lora) = self.lora {
            write!(out, ", LoRA of rank {}, alpha {}", lora.rank, lora.alpha)?;
        }
        Ok(())
    }
}

/// How numbers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
    /// 8-bit whole numbers.
    Int8,
}

impl Precision {
    /// As in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// `lora:` (Hu et al. 2022)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lora {
    /// Columns of the small matrices.
    pub rank: usize,
    /// Their product is multiplied by `alpha / rank`.
    pub alpha: f64,
}

/// A plugin with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginStep {
    /// Unique in the experiment: the plugin's name, or what `as:` says.
    pub name: String,
    /// The plugin's id.
    pub plugin: String,
    /// Its settings, defaults filled in.
    pub settings: Value,
    /// JSON pointer to where its settings stand in the experiment.
    pub at: String,
}

/// Which samples an augmenter is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleFilter {
    /// Positives.
    Positive,
    /// Negatives.
    Negative,
    /// Both.
    Any,
    /// The anchors themselves, as if each were a sample of its own.
    Anchor,
}

/// An augmenter with what it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AugmentStep {
    /// The augmenter.
    #[serde(flatten)]
    pub step: PluginStep,
    /// Which samples it is given.
    pub from: RoleFilter,
}

/// How often a sampler is asked again, with the model as it is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// After so many steps.
    Steps(usize),
    /// After so many epochs.
    Epochs(usize),
}

/// A sampler, and when it is asked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProposeStep {
    /// The sampler.
    #[serde(flatten)]
    pub step: PluginStep,
    /// When it is asked again; what it proposed before then leaves the pool.
    pub refresh: Option<Refresh>,
}

/// `samples:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// How many topics the corpus is said to have, for plugins that compare topics.
    pub topics: usize,
    /// Samplers, in order.
    pub propose: Vec<ProposeStep>,
    /// Augmenters, in order; each sees what was there before it.
    pub augment: Vec<AugmentStep>,
    /// Filters, in order; each sees what the ones before it kept.
    pub filter: Vec<PluginStep>,
    /// A file of ids of samples that are left out, as settings name files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave_out: Option<String>,
}

/// A loss with its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossStep {
    /// The loss.
    #[serde(flatten)]
    pub step: PluginStep,
    /// What its value and gradient are multiplied by.
    pub weight: f64,
}

/// `chat:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// Up to `/v1`, without `/chat/completions`.
    pub base_url: String,
    /// Requests at once.
    pub concurrency: usize,
    /// How often a request is tried again.
    pub retries: usize,
    /// At most so many requests a minute, if bounded.
    pub requests_per_minute: Option<f64>,
    /// Seconds a request may take.
    pub timeout: f64,
    /// Where answers are kept; `None` = in the user's cache.
    pub cache: Option<PathBuf>,
}

/// `train:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// Anchors a batch.
    pub batch: usize,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Share of the steps over which the rate rises.
    pub warmup: f64,
    /// What the rate does then.
    #[serde(default, skip_serializing_if = "is_default")]
    pub after_warmup: AfterWarmup,
    /// Batches a step: their mean gradient is taken.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// A gradient longer than this is shortened to it; `None` = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Training stops when the first metric has not risen on validation for so many epochs; `None` = it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<usize>,
    /// A checkpoint is written after this many steps.
    pub checkpoint_every: usize,
    /// Losses, weighted and summed.
    pub losses: Vec<LossStep>,
    /// The model whose scores and embeddings losses may learn from: `initial`, `bm25` (scores only), or one of
    /// [`Experiment::models`].
    pub teacher: Option<String>,
    /// Every loss is computed on these many first dimensions too, each with its weight (Kusupati et al. 2022). Empty: on
    /// all dimensions only.
    pub matryoshka: Vec<Truncation>,
    /// Texts encoded at once with their gradient (GradCache, Gao et al. 2021); `None` = all of the step.
    pub mini_batch: Option<usize>,
    /// Negatives a positive, by epoch, step and stage.
    pub negatives_per_positive: Expression,
    /// Where the bands of difficulty part.
    pub bands: Bands,
    /// Stages, in order.
    pub schedule: Vec<Stage>,
    /// What changes when, by what the validation share says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapt: Vec<Rule>,
}

/// What the learning rate does once it is warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterWarmup {
    /// Falls to 0 in a straight line.
    #[default]
    Linear,
    /// Falls to 0 along half a cosine.
    Cosine,
    /// Stays.
    Constant,
}

// Plans do not name what is as it was before there was a choice: they keep their hash.
#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_default(after: &AfterWarmup) -> bool {
    *after == AfterWarmup::default()
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_one(number: &usize) -> bool {
    *number == 1
}

/// `evaluate:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluate {
    /// The first is the one that selects on validation and heads the report.
    pub metrics: Vec<Metric>,
    /// The baseline's parameters.
    pub bm25: Bm25,
    /// Parts of the test claims, and texts made of them, that are scored on their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<EvaluationSlice>,
}

/// Parameters of BM25.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bm25 {
    /// Saturation of term frequency.
    pub k1: f64,
    /// Weight of document length.
    pub b: f64,
}

/// A retrieval metric with its cut-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Metric {
    /// What is measured.
    pub kind: MetricKind,
    /// How many of the first ranks count; `None` = all.
    pub cutoff: Option<usize>,
}

/// What a metric measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricKind {
    /// Normalised discounted cumulative gain.
    Ndcg,
    /// Share of the relevant documents found.
    Recall,
    /// Reciprocal rank of the first relevant document.
    Mrr,
    /// Average precision.
    Map,
}

impl fmt::Display for Metric {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            MetricKind::Ndcg => "ndcg",
            MetricKind::Recall => "recall",
            MetricKind::Mrr => "mrr",
            MetricKind::Map => "map",
        };
        match self.cutoff {
            Some(cutoff) => write!(out, "{name}@{cutoff}"),
            None => out.write_str(name),
        }
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.to_string()
    }
}

impl TryFrom<String> for Metric {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Metric {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, cutoff) = match text.split_once('@') {
            Some((name, cutoff)) => (name, Some(cutoff)),
            None => (text, None),
        };
        let kind = match name {
            "ndcg" => MetricKind::Ndcg,
            "recall" => MetricKind::Recall,
            "mrr" => MetricKind::Mrr,
            "map" => MetricKind::Map,
            _ => {
                return Err(format!(
                    "unknown metric `{text}`: ndcg@K, recall@K, mrr@K and map are known"
                ));
            }
        };
        let cutoff = match cutoff.map(str::parse::<usize>) {
            None => None,
            Some(Ok(cutoff)) if (1..=1000).contains(&cutoff) => Some(cutoff),
            Some(_) => {
                return Err(format!(
                    "the cut-off of `{text}` must be a whole number from 1 to 1000"
                ));
            }
        };
        if kind == MetricKind::Recall && cutoff.is_none() {
            return Err("recall needs a cut-off, as in recall@100".to_owned());
        }
        Ok(Self { kind, cutoff })
    }
}
