//! Models by name: found in a folder or in the cache that Hugging Face's libraries keep, downloaded into it when somebody asks
//! ([`pull`]), and described by what their files say ([`inspect`]). Python's libraries see what is pulled here, and the other
//! way round.
//!
//! Knows nothing of encoders and runs. Never prints, never reads the environment: [`Cache`] and [`Settings`] are made of
//! values that the caller looks up. Nothing is downloaded but by [`pull`], and nothing is run of what was: pickles, which are
//! programs, are refused.

mod address;
mod blob;
mod cache;
mod card;
mod client;
mod download;
mod error;
mod listing;
mod name;
mod pull;

pub use cache::{Cache, find, find_beside};
pub use card::{Card, Dense, SUPPORTED, inspect};
pub use error::{Error, NotFound};
pub use name::Name;
pub use pull::{Progress, Pulled, PulledFile, Settings, pull};
