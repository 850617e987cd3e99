//! Pulling, finding and describing models, against a hub on loopback that does what hubs and networks do.
#![allow(clippy::unwrap_used)]

mod describing;
mod failing;
mod finding;
mod pulling;
mod server;
mod token;
