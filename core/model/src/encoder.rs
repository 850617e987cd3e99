//! What everything else sees of a model: texts to tokens, tokens to embeddings, the gradient of embeddings to the gradient
//! of parameters. Which kind of model it is matters in this crate alone.

use std::path::Path;

use crate::parameters::{Gradient, Parameter};
use crate::{Card, Error, StaticEncoder, Transformer, static_encoder, transformer};

/// The tokens of a text.
pub type Tokens = Vec<u32>;

/// What a text is to the model: some models (E5, BGE) put another prompt before queries than before passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A claim or query.
    Anchor,
    /// A document or passage.
    Document,
}

/// A model that gives texts embeddings of unit length.
#[allow(clippy::large_enum_variant)] // There are one or two in a run, and they stay where they are.
pub enum Encoder {
    /// An embedding table, trained from nothing.
    Static(StaticEncoder),
    /// A transformer, loaded from a folder.
    Transformer(Box<Transformer>),
}

impl Encoder {
    /// Loads a model folder: a static encoder if that is what it holds, else a transformer with these options.
    ///
    /// # Errors
    /// If it is no folder of a model, or of one that is not known here.
    pub fn load(folder: &Path, options: &transformer::Options) -> Result<Self, Error> {
        if folder.join("0_StaticEmbedding").is_dir() {
            return StaticEncoder::load(folder).map(Self::Static);
        }
        let loaded = Transformer::load(folder, options)?;
        Ok(Self::Transformer(Box::new(loaded)))
    }

    /// Length of an embedding.
    #[must_use]
    pub fn dim(&self) -> usize {
        match self {
            Self::Static(encoder) => encoder.dim(),
            Self::Transformer(encoder) => encoder.dim(),
        }
    }

    /// The tokens of each text.
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn tokenize(&self, texts: &[&str], side: Side) -> Result<Vec<Tokens>, Error> {
        match self {
            Self::Static(encoder) => encoder.tokenize(texts),
            Self::Transformer(encoder) => encoder.tokenize(texts, side),
        }
    }

    /// Unit-length embeddings `[texts, dim]`, row-major; for a static encoder, a text without tokens is the zero vector.
    /// A text's bits do not depend on the texts beside it: embeddings are kept and used again, so a run that is resumed may
    /// encode a text in other company.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn encode(&self, texts: &[Tokens]) -> Result<Vec<f32>, Error> {
        match self {
            Self::Static(encoder) => Ok(encoder.encode(texts)),
            Self::Transformer(encoder) => encoder.encode(texts),
        }
    }

    /// Encodes a batch so that a gradient can follow. `masks` is the seed of the dropout masks: the same seed and texts give
    /// the same masks; `None` = no dropout. A static encoder has none.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn forward(&self, texts: &[&Tokens], masks: Option<u64>) -> Result<Forward<'_>, Error> {
        match self {
            Self::Static(encoder) => encoder.forward(texts).map(Forward::Static),
            Self::Transformer(encoder) => encoder.forward(texts, masks).map(Forward::Transformer),
        }
    }

    /// What training may change, and what it may not.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        match self {
            Self::Static(encoder) => encoder.parameters(),
            Self::Transformer(encoder) => encoder.parameters(),
        }
    }

    /// The same, to be changed: their values, nothing else.
    pub fn parameters_mut(&mut self) -> &mut [Parameter] {
        match self {
            Self::Static(encoder) => encoder.parameters_mut(),
            Self::Transformer(encoder) => encoder.parameters_mut(),
        }
    }

    /// Writes the folder `path`, which `SentenceTransformer(path)` loads, with a card that says what made it.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, path: &Path, card: &Card) -> Result<(), Error> {
        match self {
            Self::Static(encoder) => encoder.save(path, card),
            Self::Transformer(encoder) => encoder.save(path, card),
        }
    }
}

/// A batch on its way through an encoder.
pub enum Forward<'e> {
    /// Through a static one.
    Static(static_encoder::Forward),
    /// Through a transformer.
    Transformer(transformer::Forward<'e>),
}

impl Forward<'_> {
    /// The embeddings `[texts, dim]`, row-major.
    #[must_use]
    pub fn embeddings(&self) -> &[f32] {
        match self {
            Self::Static(forward) => forward.embeddings(),
            Self::Transformer(forward) => forward.embeddings(),
        }
    }

    /// From dloss/dE `[texts, dim]` to the gradient of the parameters, in their order.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn backward(self, gradient: Vec<f32>) -> Result<Gradient, Error> {
        match self {
            Self::Static(forward) => forward.backward(gradient),
            Self::Transformer(forward) => forward.backward(gradient),
        }
    }
}
