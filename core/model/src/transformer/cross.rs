//! Cross-encoders: transformers that read two texts together and score the pair (Nogueira and Cho 2019), from the folders of
//! Hugging Face's sequence classification. Inference alone.
//!
//! What follows the transformer is a head as encoders have it: the first token's row through two dense layers, whose outputs
//! are the logits of the labels.

use std::path::Path;

use rayon::prelude::*;
use serde_json::Value;

use super::folder::{Folder, failed, maybe_json};
use super::head::{Dense, Head, Mode, Pooling, Then};
use super::network::{Family, Shape};
use super::pass::Chunk;
use super::{Options, PIECE, Precision, Transformer};
use crate::parameters::Parameter;
use crate::{Error, Tokens};

/// What the name of such a model's architecture ends in.
const ARCHITECTURE: &str = "ForSequenceClassification";

/// A transformer that scores pairs of texts.
pub struct CrossEncoder {
    model: Transformer,
    labels: Vec<String>,
    score: Score,
    /// Whether tokens of the second text are of another type.
    typed: bool,
}

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Score {
    /// The one logit as it is.
    Logit,
    /// The one logit through a sigmoid.
    Sigmoid,
    /// A label's share of the softmax.
    Share(usize),
}

impl CrossEncoder {
    /// What it is going to hold, with so many threads.
    #[must_use]
    pub fn to_score(&self, threads: usize, tokens_of_pair: usize) -> super::Memory {
        self.model.to_encode(threads, tokens_of_pair)
    }

    /// Whether a folder holds a cross-encoder: a model of sequence classification, by its `config.json`, with no module of
    /// sentence-transformers that pools it to an embedding.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        let Ok(root) = root(folder) else {
            return false;
        };
        let config = maybe_json(&folder.join(root).join("config.json"));
        let architectures = config.unwrap_or_default()["architectures"].clone();
        let names = architectures.as_array().into_iter().flatten();
        names
            .filter_map(Value::as_str)
            .any(|name| name.ends_with(ARCHITECTURE))
    }

    /// Loads a folder. Pairs longer than `max_tokens` are cut, the longer text first; `None` = as the folder says. `label` is
    /// the label whose share is the score, by its name or number, where there are several; with one there is none to choose.
    ///
    /// # Errors
    /// If something is missing, odd or not supported, or if there is no such label: the message names it.
    pub fn load(
        folder: &Path,
        max_tokens: Option<usize>,
        precision: Precision,
        label: Option<&str>,
    ) -> Result<Self, Error> {
        let root = root(folder)?;
        let at = folder.join(&root);
        let config = maybe_json(&at.join("config.json"))?;
        let saved = maybe_json(&folder.join("config_sentence_transformers.json"))?;
        let tokens = maybe_json(&at.join("tokenizer_config.json"))?;
        let read = Folder::read_with(folder, root, max_tokens, |_, shape, parameters| {
            head(&at, shape, parameters)
        })?;
        if let Some(prompt) = &read.text.default_prompt {
            return Err(Error::Unsupported(format!(
                "a prompt before every pair (`{prompt}`) is not supported in a cross-encoder"
            )));
        }
        let labels = names(&config["id2label"], read.head.dim);
        let score = score(&config, &saved, &labels, label)
            .map_err(|why| failed(&at.join("config.json"), why))?;
        let rows = read.network.types.map_or(0, |place| {
            let shape = &read.parameters[place].shape;
            shape[0]
        });
        let said = tokens["model_input_names"].as_array();
        let unsaid = said.is_some_and(|names| !names.iter().any(|name| name == "token_type_ids"));
        let options = Options {
            max_tokens,
            precision,
            ..Options::default()
        };
        let model = Self {
            typed: read.shape.family == Family::Bert && rows > 0 && !unsaid,
            model: Transformer::of(read, &options)?,
            labels,
            score,
        };
        let (_, types) = model.tokens_of("a", "a")?;
        if let Some(most) = types.iter().max().filter(|most| **most as usize >= rows)
            && model.typed
        {
            return Err(Error::Unsupported(format!(
                "the tokeniser gives tokens the type {most}, the table of types has only {rows} rows"
            )));
        }
        Ok(model)
    }

    /// The names of the labels, in the order of the logits.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Tokens that are left of a pair, with those that begin, part and end it.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.model.max_tokens()
    }

    /// The tokens of a pair and their types.
    fn tokens_of(&self, first: &str, second: &str) -> Result<(Tokens, Vec<u32>), Error> {
        let cased = |text: &str| {
            if self.model.text.lower {
                text.to_lowercase()
            } else {
                text.to_owned()
            }
        };
        let encoded = self
            .model
            .tokenizer
            .encode_fast((cased(first), cased(second)), true)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        let types = if self.typed {
            encoded.get_type_ids().to_vec()
        } else {
            vec![0; encoded.len()]
        };
        Ok((encoded.get_ids().to_vec(), types))
    }

    /// The tokens of each pair as the model reads them, cut, and their types.
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn tokenize(&self, pairs: &[(&str, &str)]) -> Result<Vec<(Tokens, Vec<u32>)>, Error> {
        let pieces = pairs.par_chunks(PIECE).map(|piece| {
            let tokens = piece
                .iter()
                .map(|(first, second)| self.tokens_of(first, second));
            tokens.collect::<Result<Vec<_>, Error>>()
        });
        Ok(pieces
            .collect::<Result<Vec<_>, Error>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// The score of each pair: with one label the sigmoid of its logit, or the logit where the folder says so (from 0 to 1, or
    /// any number); with several the share of the chosen label (0 to 1). Whatever pairs are beside it and however many threads
    /// there are, a pair's score has the same bits.
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn scores(&self, pairs: &[(&str, &str)]) -> Result<Vec<f32>, Error> {
        let tokenized = self.tokenize(pairs)?;
        let tokens: Vec<&Tokens> = tokenized.iter().map(|(tokens, _)| tokens).collect();
        let mut chunks = Chunk::all(&tokens);
        for chunk in &mut chunks {
            let types = chunk
                .texts
                .iter()
                .flat_map(|text| &tokenized[text.number].1);
            chunk.types = types.copied().collect();
        }
        let logits = self.model.embed(&chunks, false);
        let of_pair = logits.chunks_exact(self.labels.len());
        Ok(of_pair.map(|logits| self.score.of(logits)).collect())
    }
}

impl Score {
    fn of(self, logits: &[f32]) -> f32 {
        match self {
            Self::Logit => logits[0],
            Self::Sigmoid => 1.0 / (1.0 + (-logits[0]).exp()),
            Self::Share(label) => {
                let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
                (logits[label] - most).exp() / sum
            }
        }
    }
}

/// The folder of the transformer in a folder that holds nothing after it.
fn root(folder: &Path) -> Result<String, Error> {
    let file = folder.join("modules.json");
    let modules = maybe_json(&file)?;
    if modules.is_null() {
        return Ok(String::new());
    }
    match Folder::modules(folder, &modules)? {
        (root, later) if later.is_empty() => Ok(root),
        (_, later) => Err(failed(
            &file,
            format!(
                "the module `{}` is not supported in a cross-encoder: a Transformer alone is",
                later[0].0
            ),
        )),
    }
}

/// The head of sequence classification, by the names of its tensors.
fn head(at: &Path, shape: &Shape, parameters: &[Parameter]) -> Result<Head, Error> {
    let hidden = shape.hidden;
    let (first, then, second) = match shape.family {
        Family::Bert => ("pooler.dense", Then::Tanh, "classifier"),
        Family::Roberta | Family::MpNet => ("classifier.dense", Then::Tanh, "classifier.out_proj"),
        Family::DistilBert => ("pre_classifier", Then::Relu, "classifier"),
        Family::ModernBert => {
            return Err(failed(
                &at.join("config.json"),
                "the classification head of modernbert is not supported: those of bert, roberta, xlm-roberta, camembert, mpnet \
                 and distilbert are",
            ));
        }
    };
    let find = |name: &str| {
        // The pooler belongs to the transformer, and is called after it: `bert.pooler.dense.weight`.
        let matches = |one: &Parameter| {
            let before = one.name.strip_suffix(name);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let place = parameters.iter().position(matches);
        place.ok_or_else(|| failed(at, format!("the tensor `{name}` is missing")))
    };
    let odd = |place: usize, wanted: &str| {
        let Parameter { name, shape, .. } = &parameters[place];
        let why = format!("the tensor `{name}` has the shape {shape:?}, not {wanted}");
        Err(failed(at, why))
    };
    let dense = |name: &str, n: Option<usize>, then: Then| {
        let weight = find(&format!("{name}.weight"))?;
        let n = match (n, parameters[weight].shape.as_slice()) {
            (None, &[n, k]) if n > 0 && k == hidden => n,
            (Some(n), &[rows, k]) if rows == n && k == hidden => n,
            (None, _) => return odd(weight, &format!("[labels, {hidden}]")),
            (Some(n), _) => return odd(weight, &format!("[{n}, {hidden}]")),
        };
        let bias = find(&format!("{name}.bias"))?;
        if parameters[bias].shape != [n] {
            return odd(bias, &format!("[{n}]"));
        }
        Ok(Dense {
            weight,
            bias: Some(bias),
            n,
            k: hidden,
            then,
        })
    };
    let dense = vec![
        dense(first, Some(hidden), then)?,
        dense(second, None, Then::Nothing)?,
    ];
    Ok(Head {
        pooling: Some(Pooling {
            mode: Mode::First,
            with_prompt: true,
        }),
        dim: dense[1].n,
        dense,
        normalised: false,
    })
}

/// The names of so many labels, as Hugging Face gives them where nobody did.
fn names(given: &Value, count: usize) -> Vec<String> {
    let name = |number: usize| {
        let name = given[number.to_string()].as_str();
        name.map_or_else(|| format!("LABEL_{number}"), str::to_owned)
    };
    (0..count).map(name).collect()
}

/// How logits become a score, as sentence-transformers' `CrossEncoder` has it.
fn score(
    config: &Value,
    saved: &Value,
    labels: &[String],
    label: Option<&str>,
) -> Result<Score, String> {
    if config["problem_type"] == "multi_label_classification" {
        return Err(
            "problem_type `multi_label_classification` is not supported: labels must exclude each other"
                .to_owned(),
        );
    }
    let places = [
        &saved["activation_fn"],
        &config["sentence_transformers"]["activation_fn"],
        &config["sbert_ce_default_activation_function"],
    ];
    let activation = places.into_iter().find_map(Value::as_str);
    let activation = activation.and_then(|path| path.rsplit('.').next());
    match (labels, label) {
        ([_], None) => match activation {
            None | Some("Sigmoid") => Ok(Score::Sigmoid),
            Some("Identity") => Ok(Score::Logit),
            Some(other) => Err(format!(
                "the activation `{other}` is not supported: Sigmoid and Identity are"
            )),
        },
        ([_], Some(label)) => Err(format!(
            "there is one label, so there is none to choose: leave out the label `{label}`"
        )),
        (several, None) => Err(format!(
            "there are {} labels: say which one's share is the score: {}",
            several.len(),
            several.join(", ")
        )),
        (several, Some(label)) => {
            if let Some(other) = activation.filter(|name| !["Identity", "Softmax"].contains(name)) {
                return Err(format!(
                    "the activation `{other}` is not supported for several labels: Identity and Softmax are"
                ));
            }
            let by_name = several.iter().position(|name| name == label);
            let by_number = || label.parse().ok().filter(|place| *place < several.len());
            by_name.or_else(by_number).map(Score::Share).ok_or_else(|| {
                format!(
                    "there is no label `{label}`: there are {}",
                    several.join(", ")
                )
            })
        }
    }
}
