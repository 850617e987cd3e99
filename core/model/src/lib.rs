//! Encoders: texts to embeddings, and the gradient of embeddings to the gradient of parameters. The only crate that knows
//! candle, tokenizers and faer. One encoder so far: [`StaticEncoder`].

mod error;
mod kernel;
mod pooling;
mod save;
mod static_encoder;
mod tokenizer;

pub use error::Error;
pub use kernel::{products, rounding};
pub use static_encoder::{Forward, Gradient, StaticEncoder, Tokens};
