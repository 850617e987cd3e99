//! The `orchestrator` binary: arguments, progress, exit codes; nothing else.
fn main() {}
