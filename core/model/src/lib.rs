//! Encoders: texts to embeddings, and the gradient of embeddings to the gradient of parameters. The only crate that knows
//! candle and tokenizers. One encoder so far: [`StaticEncoder`].

mod error;
mod pooling;
mod save;
mod static_encoder;
mod tokenizer;

pub use error::Error;
pub use static_encoder::{Forward, Gradient, StaticEncoder, Tokens};
