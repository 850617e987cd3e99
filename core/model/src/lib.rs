//! Encoders: texts to embeddings, and the gradient of embeddings to the gradient of parameters. The only crate that knows
//! candle, tokenizers and pulp. One encoder so far: [`StaticEncoder`].

mod error;
mod kernel;
pub mod parameters;
mod pooling;
mod save;
mod static_encoder;
mod tokenizer;
#[cfg(target_arch = "x86_64")]
mod whole;

pub use error::Error;
pub use kernel::{Bound, Hit, Lengths, Products};
pub use static_encoder::{Forward, Gradient, StaticEncoder, Tokens};
