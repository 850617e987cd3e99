//! The server asked over plain sockets, as a browser would and as somebody would who means harm.
#![allow(clippy::unwrap_used)]

mod answering;
mod client;
mod refusing;
