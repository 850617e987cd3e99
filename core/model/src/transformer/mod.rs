//! Transformer encoders: BERT and its family, and ModernBERT, from the folders of sentence-transformers and Hugging Face.
//!
//! Texts are packed without padding into chunks of about [`CHUNK`] tokens; a chunk goes through all layers on one thread,
//! so threads wait for each other only where the gradients of a layer's weights are summed. Those sums are parted by the
//! rows of the weights and go through the chunks in order: results do not depend on the number of threads. The way back is
//! written out by hand, because what an autodiff graph keeps is five times as much.

mod attention;
mod cross;
mod dropout;
mod folder;
mod head;
mod layer;
mod lora;
mod memory;
mod network;
mod pass;
mod room;
mod rotary;
mod save;
mod sums;
mod weights;

pub use cross::CrossEncoder;
pub use lora::Lora;
pub use memory::{Memory, Step};
pub use network::Family;
pub use pass::Forward;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use rayon::prelude::*;
use tokenizers::Tokenizer;

pub use crate::kernels::Precision;
use crate::parameters::Parameter;
use crate::{Error, Side, Tokens};
use folder::{Folder, TextRules};
use head::Head;
use layer::Bench;
use lora::Adapters;
use network::{Network, Shape};
use pass::Chunk;
use room::Room;
use rotary::Rotary;
use weights::Ready;

/// Tokens that a chunk has at least, if there are as many.
const CHUNK: usize = 256;

/// Texts that are tokenised at a time.
const PIECE: usize = 16;

/// How a folder is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Longer texts are cut; `None` = as the folder says.
    pub max_tokens: Option<usize>,
    /// In what precision products are done. Training by bytes is not possible: it is done in f32.
    pub precision: Precision,
    /// Share of the values that dropout sets to zero in training, below 1.
    pub dropout: f32,
    /// How many of the lowest layers stay as they are, and the embeddings with them.
    pub freeze: usize,
    /// Trains small matrices instead of the large ones.
    pub lora: Option<Lora>,
}

/// A transformer with its tokeniser.
pub struct Transformer {
    options: Options,
    shape: Shape,
    network: Network,
    head: Head,
    parameters: Vec<Parameter>,
    adapters: Adapters,
    tokenizer: Tokenizer,
    text: TextRules,
    /// The first tokens of a text with a prompt that is not pooled.
    prompt_tokens: Vec<Tokens>,
    kept: BTreeMap<String, Vec<u8>>,
    root: String,
    rotary: Option<[Rotary; 2]>,
    ready: OnceLock<Ready>,
    trainable: OnceLock<Ready>,
    room: Room,
    benches: Mutex<Vec<Bench>>,
}

impl Transformer {
    /// Loads a folder.
    ///
    /// # Errors
    /// If something is missing, odd or not supported: the message names it.
    pub fn load(folder: &Path, options: &Options) -> Result<Self, Error> {
        Self::of(Folder::read(folder, options.max_tokens)?, options)
    }

    fn of(read: Folder, options: &Options) -> Result<Self, Error> {
        let Folder {
            shape,
            network,
            head,
            mut parameters,
            tokenizer,
            text,
            kept,
            root,
        } = read;
        if options.freeze > shape.layers {
            return Err(Error::Unsupported(format!(
                "{} layers cannot be frozen: there are {}",
                options.freeze, shape.layers
            )));
        }
        if options.freeze > 0 {
            let mut frozen = network.embeddings();
            frozen.extend(
                network.layers[..options.freeze]
                    .iter()
                    .flat_map(|layer| network.of_layer(layer)),
            );
            for place in frozen {
                parameters[place].trained = false;
            }
        }
        let adapters = match options.lora {
            Some(lora) => Adapters::add(&network, &mut parameters, lora, options.freeze),
            None => Adapters::default(),
        };
        let rotary = (shape.family == Family::ModernBert).then(|| {
            [shape.global_theta, shape.local_theta]
                .map(|theta| Rotary::new(shape.head(), text.max_tokens, theta))
        });
        let mut model = Self {
            options: *options,
            shape,
            network,
            head,
            parameters,
            adapters,
            tokenizer,
            text,
            prompt_tokens: Vec::new(),
            kept,
            root,
            rotary,
            ready: OnceLock::new(),
            trainable: OnceLock::new(),
            room: Room::default(),
            benches: Mutex::new(Vec::new()),
        };
        if model
            .head
            .pooling
            .is_some_and(|pooling| !pooling.with_prompt)
        {
            for prompt in model
                .text
                .prompts
                .values()
                .filter(|prompt| !prompt.is_empty())
            {
                let mut tokens = model.tokens_of(prompt, "")?;
                // All but the token that ends a text.
                tokens.pop();
                model.prompt_tokens.push(tokens);
            }
            model
                .prompt_tokens
                .sort_by_key(|tokens| std::cmp::Reverse(tokens.len()));
        }
        let longest = model
            .tokenizer
            .get_vocab(true)
            .into_values()
            .max()
            .unwrap_or(0) as usize;
        if longest >= model.shape.vocabulary {
            return Err(Error::Unsupported(format!(
                "the tokeniser has tokens up to {longest}, the table of embeddings only {} rows",
                model.shape.vocabulary
            )));
        }
        Ok(model)
    }

    /// Length of an embedding.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.head.dim
    }

    /// What architecture it is of.
    #[must_use]
    pub fn family(&self) -> Family {
        self.shape.family
    }

    /// Tokens that are left of a text, with those that begin and end it.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.text.max_tokens
    }

    /// All tensors, those that are not used among them.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The same, to be changed: their values, nothing else.
    pub fn parameters_mut(&mut self) -> &mut [Parameter] {
        self.ready = OnceLock::new();
        self.trainable = OnceLock::new();
        &mut self.parameters
    }

    fn tokens_of(&self, prompt: &str, text: &str) -> Result<Tokens, Error> {
        let mut text = format!("{prompt}{text}");
        if self.text.lower {
            text = text.to_lowercase();
        }
        let encoded = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The prompt before texts of a side, as sentence-transformers' `encode_query` and `encode_document` choose it.
    fn prompt(&self, side: Side) -> &str {
        let names: &[&str] = match side {
            Side::Anchor => &["query"],
            Side::Document => &["document", "passage", "corpus"],
        };
        let of_side = names.iter().find_map(|name| self.text.prompts.get(*name));
        let by_default = || self.text.prompts.get(self.text.default_prompt.as_ref()?);
        of_side.or_else(by_default).map_or("", String::as_str)
    }

    /// The tokens of each text, with the prompt of its side, cut to [`Transformer::max_tokens`].
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn tokenize(&self, texts: &[&str], side: Side) -> Result<Vec<Tokens>, Error> {
        self.tokenize_with(texts, self.prompt(side))
    }

    /// The tokens of each text with a prompt before it.
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn tokenize_with(&self, texts: &[&str], prompt: &str) -> Result<Vec<Tokens>, Error> {
        let pieces = texts.par_chunks(PIECE).map(|piece| {
            let tokens = piece.iter().map(|text| self.tokens_of(prompt, text));
            tokens.collect::<Result<Vec<Tokens>, Error>>()
        });
        Ok(pieces
            .collect::<Result<Vec<_>, Error>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// A prompt of the model by its name; the default one's name is `None`.
    #[must_use]
    pub fn prompt_named(&self, name: Option<&str>) -> Option<&str> {
        let name = name.or(self.text.default_prompt.as_deref());
        match name {
            None => Some(""),
            Some(name) => self.text.prompts.get(name).map(String::as_str),
        }
    }

    /// Unit-length embeddings `[texts, dim]`, row-major.
    ///
    /// # Errors
    /// None today; the signature is the encoders' common one.
    pub fn encode(&self, texts: &[Tokens]) -> Result<Vec<f32>, Error> {
        Ok(self.embed(&Chunk::all(&texts.iter().collect::<Vec<_>>()), true))
    }

    /// Embeddings as the folder's own modules make them: not of unit length if they do not say so.
    #[must_use]
    pub fn encode_as_saved(&self, texts: &[Tokens]) -> Vec<f32> {
        self.embed(&Chunk::all(&texts.iter().collect::<Vec<_>>()), false)
    }

    /// What the head gives for each text of the chunks, in order.
    fn embed(&self, chunks: &[Chunk], unit: bool) -> Vec<f32> {
        let ready = self.ready();
        let pieces = chunks.par_iter().map(|chunk| {
            let mut bench = self.bench();
            let x = self.through(chunk, ready, None, &mut bench, None);
            let rows = chunk.texts.iter().enumerate();
            let embeddings: Vec<f32> = rows
                .flat_map(|(place, _)| {
                    let pooled = self.pooled_rows(chunk, place);
                    self.head
                        .forward(&self.parameters, &x, self.shape.hidden, pooled, unit)
                        .0
                })
                .collect();
            self.room.give(x);
            self.put_back(bench);
            embeddings
        });
        let pieces: Vec<Vec<f32>> = pieces.collect();
        pieces.into_iter().flatten().collect()
    }

    fn ready(&self) -> &Ready {
        self.made(&self.ready, self.options.precision)
    }

    /// For the way there and back: whole numbers have no gradient, so with them training is of f32.
    fn ready_to_train(&self) -> &Ready {
        if self.options.precision != Precision::Int8 {
            return self.ready();
        }
        self.made(&self.trainable, Precision::F32)
    }

    fn made<'r>(&self, place: &'r OnceLock<Ready>, precision: Precision) -> &'r Ready {
        if let Some(ready) = place.get() {
            return ready;
        }
        // Made before it is put there: threads are at work on it, and one that waits for another may be handed work that asks
        // for it too.
        let relative = self.by_distance();
        let ready = Ready::of(
            &self.network,
            &self.parameters,
            &self.adapters,
            precision,
            relative,
        );
        place.get_or_init(|| ready)
    }

    fn bench(&self) -> Bench {
        let mut benches = self
            .benches
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        benches.pop().unwrap_or_default()
    }

    fn put_back(&self, bench: Bench) {
        let mut benches = self
            .benches
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        benches.push(bench);
    }
}
