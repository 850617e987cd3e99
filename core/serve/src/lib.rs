//! Pages served on this machine: who may ask, how many at a time, for how long; and the page of a run that is on its way. What is
//! served comes from whoever serves it. Listens beyond this machine only when told. Prints nothing.

mod error;
mod guard;
mod listening;
mod live;

pub use error::Error;
pub use guard::{Access, Guard, mark};
pub use listening::{Address, Listening};
pub use live::{Board, Drawn, Standing, serve};
