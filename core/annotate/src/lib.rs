//! Questions put to people: a page in the browser, served on this machine, and files for other tools, there and back.
//!
//! The store of the run is the only memory. An answer is in it before the page hears that it was taken, and whatever is asked
//! next is worked out from it (`orchestrator_engine::desk`): the page, the server and the machine may be stopped at any moment,
//! and nothing is lost and nothing asked twice. Prints nothing, and reads nothing of the run but its store.

mod error;
pub mod exchange;
mod passage;
mod room;
mod routes;
mod server;

pub use error::Error;
pub use orchestrator_serve::{Access, Address};
pub use server::{Ended, Options, serve};
