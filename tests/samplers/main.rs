//! Our samplers, called through the ABI like anybody's: what each proposes, what none of them ever does.
#![allow(clippy::unwrap_used)]

mod mined;
mod world;
