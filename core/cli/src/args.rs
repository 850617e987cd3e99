//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The lab bench for retrieval training data: one YAML file becomes audited samples, a trained embedding model and a report.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Args {
    /// Print one JSON object instead of text (errors too, on standard error).
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 internal error, 2 usage or experiment file, 3 data or store, 4 plugin, \
5 interrupted (go on with `orchestrator resume`).";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment: make samples, train, evaluate, report.
    Run {
        /// The experiment file.
        experiment: PathBuf,
        #[command(flatten)]
        set: Set,
        /// The folder of the run, which must not exist [default: runs/NAME-HASH].
        #[arg(long)]
        run_dir: Option<PathBuf>,
    },
    /// Go on with a run that was interrupted.
    Resume {
        /// The folder of the run.
        run: PathBuf,
    },
    /// Check an experiment without running it, and print it with every default filled in.
    Check {
        /// The experiment file.
        experiment: PathBuf,
        #[command(flatten)]
        set: Set,
    },
    /// Print the JSON Schema of experiments, for editors: the plugins' settings included.
    Schema,
    /// Draw the report of a run again.
    Report {
        /// The folder of the run.
        run: PathBuf,
        /// Where it goes [default: report.html in the folder of the run].
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Plugins: what there is, what they can be told, which are trusted.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Trained models.
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub struct Set {
    /// Change a value of the experiment: --set train.batch=64, --set samples.propose.hard_negative.per_anchor=3.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List every plugin that is found.
    List,
    /// Show a plugin and its settings.
    Show {
        /// Its id, or the last part of it.
        plugin: String,
    },
    /// Pin a library that was not shipped, as it is now, so that experiments may load it.
    Trust {
        /// The library.
        library: PathBuf,
        /// The lock file: the one beside the experiment is read.
        #[arg(long, default_value = "plugins.lock")]
        lock: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Encode the lines of standard input: a JSON array of numbers each, of unit length.
    Encode {
        /// The model: the folder `model` of a run.
        model: PathBuf,
    },
}
