//! The `orchestrator` binary: arguments, progress, exit codes; nothing else. The only place that prints, exits or reads the
//! environment.

mod annotate;
mod args;
mod catalogue;
mod commands;
mod compare;
mod doctor;
mod encode;
mod explain;
mod isolation;
mod memory;
mod model;
mod plugin;
mod report;
mod show;
mod sweep;
mod terminal;
mod variants;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let json = args.json;
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(diagnostics) => {
            show::errors(&diagnostics, json);
            ExitCode::from(diagnostics.exit_code())
        }
    }
}
