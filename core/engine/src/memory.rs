//! What a run of a transformer takes of memory, told before it begins: from the shape of the model, the settings and the
//! lengths of some of the texts. About: plugins' own memory and the texts that augmenters make are not known before.

use orchestrator_config::{Change, Encoder as Given, Experiment};
use orchestrator_data::Split;
use orchestrator_diagnostics::{Diagnostic, Kind};
use orchestrator_model::transformer::Step;
use orchestrator_model::{Encoder, Side, Transformer};
use serde::Serialize;

use crate::error::Error;
use crate::plan::{Inputs, Plan};

/// Texts of each side whose tokens are counted.
const LOOKED_AT: usize = 500;

/// Bytes that a run takes at its highest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// All of it.
    pub needed: u64,
    /// What it is for, the largest first.
    pub parts: Vec<Part>,
}

/// A part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is for.
    pub what: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// Bytes of a run of a static encoder on a small corpus.
const PROGRAM: u64 = 60_000_000;

const ACTIVATIONS: &str = "activations of a step";
const CORPUS: &str = "texts of the corpus";
const EMBEDDINGS: &str = "embeddings of the corpus";

/// A plan with what it takes, as `check` shows it.
#[derive(Debug, Serialize)]
pub struct Checked<'p> {
    /// The plan.
    #[serde(flatten)]
    pub plan: &'p Plan,
    /// What it takes, where that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<&'p Memory>,
}

/// Lengths that the estimate is made of.
pub struct Estimate<'r> {
    experiment: &'r Experiment,
    inputs: &'r Inputs,
    encoder: &'r Transformer,
    /// Mean tokens of a claim and of a document.
    tokens: [f64; 2],
    threads: usize,
}

impl<'r> Estimate<'r> {
    /// Looks at the inputs of a run; `None` where nothing is told: a static encoder takes little.
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn of(experiment: &'r Experiment, inputs: &'r Inputs) -> Result<Option<Self>, Error> {
        let Some(Encoder::Transformer(encoder)) = &inputs.encoder else {
            return Ok(None);
        };
        let data = &inputs.data;
        let claims: Vec<&str> = data
            .of_split(Split::Train)
            .map(|number| data.anchors[number].text.as_str())
            .collect();
        let claims: Vec<String> = spread(&claims).map(|text| (*text).to_owned()).collect();
        let documents = spread(&data.documents).map(orchestrator_data::Document::full_text);
        let mean = |texts: Vec<String>, side| -> Result<f64, Error> {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let tokens = encoder.tokenize(&texts, side)?;
            let sum: usize = tokens.iter().map(Vec::len).sum();
            Ok(sum as f64 / texts.len().max(1) as f64)
        };
        Ok(Some(Self {
            experiment,
            inputs,
            encoder,
            tokens: [
                mean(claims, Side::Anchor)?,
                mean(documents.collect(), Side::Document)?,
            ],
            threads: rayon::current_num_threads(),
        }))
    }

    /// Texts of a batch, if no two are the same, and their tokens.
    fn batch(&self) -> (usize, f64) {
        let train = &self.experiment.train;
        let mut negatives = 0f64;
        let mut epoch = 0;
        for (number, stage) in train.schedule.iter().enumerate() {
            let ratio = stage.negatives_per_positive.as_ref();
            let ratio = ratio.unwrap_or(&train.negatives_per_positive);
            for _ in 0..stage.epochs.unwrap_or(1) {
                negatives = negatives.max(ratio.value(&|name| match name {
                    "epoch" => epoch as f64,
                    "stage" => number as f64,
                    _ => 0.0,
                }));
                epoch += 1;
            }
        }
        // What rules may make of it.
        for rule in &train.adapt {
            if let Change::Ratio(by) = &rule.change {
                negatives = negatives.max(by.at_most);
            }
        }
        let documents = train.batch as f64 * (1.0 + negatives);
        let tokens = train.batch as f64 * self.tokens[0] + documents * self.tokens[1];
        (train.batch + documents.ceil() as usize, tokens)
    }

    /// What the run takes as the experiment has it.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.with(self.experiment.train.mini_batch)
    }

    /// The same with so many texts encoded at once with their gradient.
    fn with(&self, mini_batch: Option<usize>) -> Memory {
        let (texts, tokens) = self.batch();
        let of_text = (tokens / texts.max(1) as f64).ceil() as usize;
        let piece = mini_batch.filter(|piece| *piece < texts);
        let step = Step {
            tokens: piece.map_or(tokens.ceil() as usize, |piece| piece * of_text),
            tokens_of_text: of_text,
            sums: piece.is_some() || self.experiment.train.accumulate > 1,
            threads: self.threads,
        };
        let trained = self.encoder.parameters().iter().filter(|one| one.trained);
        let trained = trained.map(|one| one.values.len()).sum::<usize>() as u64;
        let training = self.encoder.to_train(&step);
        // As it was before training, it may be asked for at any time.
        let initial = self.encoder.to_encode(self.threads, of_text);
        let others = self.inputs.models.values().map(|model| match model {
            Encoder::Transformer(model) => model.to_encode(self.threads, of_text).total(),
            Encoder::Static(_) => {
                let values = model.parameters().iter().map(|one| one.values.len());
                4 * values.sum::<usize>() as u64
            }
        });
        let judges = self.inputs.cross_encoders.values().map(|judge| {
            let held = judge.to_score(self.threads, 2 * of_text);
            held.total()
        });
        let data = &self.inputs.data;
        let lent = self.inputs.other.iter().map(|(_, documents)| documents);
        let scored = self.inputs.foreign.iter().map(|(_, one)| &one.documents);
        let other_corpora = lent.chain(scored).flatten();
        let documents = data.documents.iter().chain(other_corpora);
        let length = |one: &orchestrator_data::Document| {
            one.title.len() + one.sentences.iter().map(String::len).sum::<usize>()
        };
        let letters = documents.map(length).sum::<usize>() as u64;
        let words = (data.documents.len() as f64 * self.tokens[1]) as u64;
        let rows = (data.documents.len() + data.anchors.len()) as u64;
        let mut parts: Vec<Part> = [
            (
                "the model, as it was and as it is",
                training.weights + initial.weights,
            ),
            (
                "its matrices packed for products",
                training.packed + initial.packed,
            ),
            ("moments of the optimiser", 8 * trained),
            // While it is written, a checkpoint is there three times: values and moments, their bytes, the file's.
            (
                "the gradient, or a checkpoint that is written",
                training.gradient.max(3 * 12 * trained),
            ),
            (ACTIVATIONS, training.activations + initial.activations),
            ("further models", others.chain(judges).sum()),
            ("the program and its plugins", PROGRAM),
            // As read, as plugins' table, as topics and tokens are made of them; tokens, and the index of BM25.
            (CORPUS, 4 * letters + 12 * words),
            // By the current model and by the untrained one.
            (EMBEDDINGS, 2 * 4 * rows * self.encoder.dim() as u64),
        ]
        .into_iter()
        .map(|(what, bytes)| Part { what, bytes })
        .filter(|part| part.bytes > 0)
        .collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        Memory {
            needed: parts.iter().map(|part| part.bytes).sum(),
            parts,
        }
    }

    /// Whether the run fits into so many bytes.
    ///
    /// # Errors
    /// If it does not: with the largest part, and what to do about it.
    pub fn fit(&self, available: u64) -> Result<(), Error> {
        let memory = self.memory();
        if memory.needed <= available {
            return Ok(());
        }
        let Some(largest) = memory.parts.first() else {
            return Ok(());
        };
        let message = format!(
            "the run would take about {} of memory, and {} are there for it",
            size(memory.needed),
            size(available)
        );
        let mut diagnostic = Diagnostic::new(Kind::Experiment, message);
        for part in &memory.parts {
            diagnostic = diagnostic.note(format!("{} for {}", size(part.bytes), part.what));
        }
        let diagnostic = diagnostic.help(self.advice(largest.what, available));
        let at = "/train/batch".to_owned();
        Err(Error::At(at, Box::new(diagnostic)))
    }

    fn advice(&self, largest: &str, available: u64) -> String {
        let train = &self.experiment.train;
        let (texts, _) = self.batch();
        let now = train.mini_batch.unwrap_or(texts).min(texts);
        let halves = std::iter::successors(Some(now / 2), |size| Some(size / 2));
        let fits = halves
            .take_while(|size| *size > 0)
            .find(|size| self.with(Some(*size)).needed <= available);
        if let Some(size) = fits {
            return format!(
                "train.mini_batch: {size} does the same in that memory; a smaller batch or model.encoder.max_tokens takes less, too"
            );
        }
        match largest {
            ACTIVATIONS => {
                "choose a smaller batch, model.encoder.max_tokens or a smaller model".to_owned()
            }
            CORPUS | EMBEDDINGS => {
                "choose a smaller corpus, or a machine with more memory".to_owned()
            }
            _ => {
                let lora = match &self.experiment.encoder {
                    Given::Transformer(one) if one.lora.is_none() => {
                        "train less of it (model.encoder.lora: { rank: 8 }, or freeze), "
                    }
                    _ => "",
                };
                format!("{lora}choose a smaller model, or a machine with more memory")
            }
        }
    }
}

/// Some of them, evenly from first to last.
fn spread<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(LOOKED_AT).max(1))
}

fn size(bytes: u64) -> String {
    let of = bytes as f64;
    if of >= 1e9 {
        format!("{:.1} GB", of / 1e9)
    } else {
        format!("{:.1} MB", of / 1e6)
    }
}
