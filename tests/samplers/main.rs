//! Our samplers, called through the ABI like anybody's: what each proposes, what none of them ever does.
#![allow(clippy::unwrap_used)]

mod always;
mod chosen;
mod judged;
mod mined;
mod near;
mod world;
