//! Transformer encoders from model folders. Not built in yet: every folder is refused.

use std::path::Path;

use crate::parameters::{Gradient, Parameter};
use crate::{Card, Error, Side, Tokens};

/// How numbers are held while encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16 where the processor multiplies it.
    Bf16,
    /// 8-bit whole numbers.
    Int8,
}

/// Small matrices beside the large ones that are trained in their place (Hu et al. 2022).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lora {
    /// Columns of the small matrices.
    pub rank: usize,
    /// Their product is multiplied by `alpha / rank`.
    pub alpha: f32,
}

/// How a folder is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Longer texts are cut; `None` = as the folder says.
    pub max_tokens: Option<usize>,
    /// How numbers are held while encoding.
    pub precision: Precision,
    /// Share of the values that dropout sets to zero.
    pub dropout: f32,
    /// How many of the lowest layers stay as they are, and the embeddings with them.
    pub freeze: usize,
    /// Trains small matrices instead of the large ones.
    pub lora: Option<Lora>,
}

/// A transformer with its tokeniser.
pub struct Transformer {}

/// A batch on its way through a transformer.
pub struct Forward<'t> {
    _encoder: &'t Transformer,
}

fn absent<T>() -> Result<T, Error> {
    Err(Error::Unsupported(
        "transformer encoders are not built in yet".to_owned(),
    ))
}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::must_use_candidate)] // As in `Encoder`.
#[allow(clippy::unused_self, clippy::needless_pass_by_value)] // There is nothing to work with.
impl Transformer {
    pub fn load(_folder: &Path, _options: &Options) -> Result<Self, Error> {
        absent()
    }
    pub fn dim(&self) -> usize {
        0
    }
    pub fn tokenize(&self, _texts: &[&str], _side: Side) -> Result<Vec<Tokens>, Error> {
        absent()
    }
    pub fn encode(&self, _texts: &[Tokens]) -> Result<Vec<f32>, Error> {
        absent()
    }
    pub fn forward(&self, _texts: &[&Tokens], _masks: Option<u64>) -> Result<Forward<'_>, Error> {
        absent()
    }
    pub fn parameters(&self) -> &[Parameter] {
        &[]
    }
    pub fn parameters_mut(&mut self) -> &mut [Parameter] {
        &mut []
    }
    pub fn save(&self, _path: &Path, _card: &Card) -> Result<(), Error> {
        absent()
    }
}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::must_use_candidate)] // As in `encoder::Forward`.
#[allow(clippy::unused_self, clippy::needless_pass_by_value)] // There is nothing to work with.
impl Forward<'_> {
    pub fn embeddings(&self) -> &[f32] {
        &[]
    }
    pub fn backward(self, _gradient: Vec<f32>) -> Result<Gradient, Error> {
        absent()
    }
}
