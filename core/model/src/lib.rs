//! Encoders: texts to embeddings, and the gradient of embeddings to the gradient of parameters. The only crate that knows
//! candle, tokenizers and pulp. [`Encoder`] is what the rest sees: a [`StaticEncoder`] or a [`Transformer`]; beside it,
//! a [`CrossEncoder`] gives pairs of texts a score.

mod card;
mod encoder;
mod error;
mod kernel;
pub mod kernels;
pub mod parameters;
mod pooling;
mod save;
mod static_encoder;
mod tokenizer;
pub mod transformer;
#[cfg(target_arch = "x86_64")]
mod whole;

pub use card::Card;
pub use encoder::{Encoder, Forward, Side, Tokens};
pub use error::Error;
pub use kernel::{Bound, Hit, Lengths, Products};
pub use static_encoder::StaticEncoder;
pub use transformer::{CrossEncoder, Transformer};
