//! The client of chat endpoints against servers on loopback that do what servers do.
#![allow(clippy::unwrap_used)]

mod asking;
mod cache;
mod key;
mod misbehaving;
mod server;
mod waiting;
