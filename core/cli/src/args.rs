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

/// What a run does when it has questions to people.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Page {
    /// Where people are asked, stop instead of serving the page: `orchestrator annotate RUN` serves it later.
    #[arg(long)]
    pub no_page: bool,
}

/// The report on a page, while the run goes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Watch {
    /// Serve the report on a page of this machine that is drawn again as the run goes, until the run ends.
    #[arg(long)]
    pub watch: bool,
    /// The port of that page; 0 is any that is free.
    #[arg(long, default_value_t = 0, requires = "watch")]
    pub port: u16,
    /// Go on serving the page when the run has ended, until Ctrl-C.
    #[arg(long, requires = "watch")]
    pub stay: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment: make samples, train, evaluate, report. With `sweep:`, all its runs, compared at the end.
    Run {
        /// The experiment file.
        experiment: PathBuf,
        #[command(flatten)]
        set: Set,
        /// The folder of the run, or of the sweep, which must not exist [default: runs/NAME-HASH].
        #[arg(long)]
        run_dir: Option<PathBuf>,
        #[command(flatten)]
        sweeping: Sweeping,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        watch: Watch,
    },
    /// Go on with a run, or a sweep, that was interrupted.
    Resume {
        /// The folder of the run, or of the sweep.
        run: PathBuf,
        #[command(flatten)]
        sweeping: Sweeping,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        watch: Watch,
    },
    /// Compare runs query by query: paired tests, intervals, what differs in their plans and samples.
    #[command(after_help = COMPARING)]
    Compare(Compare),
    /// Show the life of a sample, an anchor or a document: where it is from, what was thought of it, what training made of it.
    #[command(after_help = EXPLAINING, override_usage = "orchestrator explain [OPTIONS] <RUN> <THING | --worst <N> | --suspects <N>>")]
    Explain(Explain),
    /// Check an experiment without running it, and print it with every default filled in.
    Check {
        /// The experiment file.
        experiment: PathBuf,
        #[command(flatten)]
        set: Set,
    },
    /// Print the JSON Schema of experiments, for editors: the plugins' settings included.
    Schema,
    /// Draw the report of a run again; with --json, print what its templates are given instead.
    Report {
        /// The folder of the run.
        run: PathBuf,
        /// Where it goes [default: report.html in the folder of the run].
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// A folder whose files stand in for our templates of the same name, with sections of its own [default: what
        /// the experiment says].
        #[arg(long, value_name = "FOLDER")]
        templates: Option<PathBuf>,
        #[command(flatten)]
        watch: Watch,
    },
    /// Answer the questions that a run asks: in the browser, or through files of other tools.
    #[command(after_help = ANNOTATE)]
    Annotate(Annotate),
    /// Plugins: what there is, what they can be told, which are trusted.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Models: downloaded, described, asked for embeddings.
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Show what there is to compute with, and where things are looked for.
    Doctor,
    /// Run one plugin for a run that isolates it.
    #[command(hide = true)]
    PluginChild,
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub struct Compare {
    /// The folders of two runs or more, or of one sweep.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// What the others are compared with: a variant of the sweep, or one of the runs [default: the first].
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Compare each variant of a sweep with the one it extends: what a technique adds to those before it.
    #[arg(long, conflicts_with = "baseline")]
    pub stepwise: bool,
    /// Only this metric; may be given several times. Fewer comparisons are corrected for less [default: all].
    #[arg(long = "metric", value_name = "METRIC")]
    pub metrics: Vec<String>,
    /// List so many of the samples that only one has, and of those that both have and treat differently [default: 0; 20 on a
    /// page].
    #[arg(long, value_name = "N")]
    pub samples: Option<u32>,
    /// Write a page instead.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

const COMPARING: &str = "\
Two-sided paired randomisation tests over queries (10,000 draws, or every assignment of signs where there are no more), \
Holm's correction for all comparisons made, 95 % bootstrap intervals. Several seeds of a variant are averaged by query first.";

const EXPLAINING: &str = "\
A sample is named by its id, or by the beginning of it (4 digits or more); an anchor and a document by the ids that the data give \
them. A run that is on its way, or was stopped, is explained as far as it is.

orchestrator explain RUN --worst 10       the samples that hurt the loss on validation most
orchestrator explain RUN --suspects 10    those whose label is suspected most, of each role
orchestrator explain RUN 3fa4b1           one of them";

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["thing", "worst", "suspects"])))]
pub struct Explain {
    /// The folder of the run.
    pub run: PathBuf,
    /// The id of a sample, an anchor or a document.
    pub thing: Option<String>,
    /// What it is, where an id is of several things.
    #[arg(long, requires = "thing")]
    pub kind: Option<ThingKind>,
    /// Of an anchor: its split, where several have the same id.
    #[arg(long, value_name = "NAME", requires = "thing")]
    pub split: Option<String>,
    /// List the N samples that hurt the loss on validation most instead.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub worst: Option<u32>,
    /// List the N samples of each role whose label is suspected most instead.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub suspects: Option<u32>,
    /// Cut no text, leave out no row.
    #[arg(long)]
    pub full: bool,
    /// Write a page instead.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ThingKind {
    Sample,
    Anchor,
    Document,
}

impl ThingKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Anchor => "anchor",
            Self::Document => "document",
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct Sweeping {
    /// Of a sweep: how many runs go at once [default: as many as have four cores each, and memory].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// It is a run of a sweep, and listens to it on standard input.
    #[arg(long, hide = true)]
    pub in_sweep: bool,
}

#[derive(Debug, clap::Args)]
pub struct Set {
    /// Lay another file over the experiment, key by key: its data, its encoder.
    #[arg(long, value_name = "FILE")]
    pub with: Vec<PathBuf>,
    /// Change a value of the experiment: --set train.batch=64, --set samples.propose.hard_negative.per_anchor=3.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct Annotate {
    /// The folder of the run.
    pub run: PathBuf,
    /// Your name: the page suggests it; answers that are read from a file without names are kept under it.
    #[arg(long)]
    pub name: Option<String>,
    /// The port to listen at; 0 is any that is free.
    #[arg(long, default_value_t = 0, conflicts_with_all = ["export", "import"])]
    pub port: u16,
    /// The address to listen at. Any but a loopback address lets other machines in, unencrypted, if they know the token.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", conflicts_with_all = ["export", "import"])]
    pub bind: std::net::IpAddr,
    /// Write the open questions to a file instead; `-` is standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "import")]
    pub export: Option<PathBuf>,
    /// Read answers from a file instead: all of them, or none if one is wrong.
    #[arg(long, value_name = "FILE")]
    pub import: Option<PathBuf>,
    /// When everything is answered, stop instead of going on with the run.
    #[arg(long, conflicts_with_all = ["export", "import"])]
    pub no_resume: bool,
    /// What the file is [default: jsonl or csv, by its name].
    #[arg(long)]
    pub format: Option<AnswerFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AnswerFormat {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values, for spreadsheets.
    Csv,
    /// Label Studio's JSON; the labelling configuration is written beside it.
    LabelStudio,
    /// Argilla 2's JSON, as `dataset.records.to_json` writes it.
    Argilla,
}

const ANNOTATE: &str = "\
The address holds a secret: who has it can answer. Every answer is in the run's store before the page goes on, so Ctrl-C, a crash \
or another day lose nothing: the same command goes on. When everything is answered, the run goes on. Keys: 1 supports, 2 partly, 3 contradicts, 4 unrelated, u undo, s skip, \
f flag, c comment, m what the models think.

Over SSH: ssh -L 8080:localhost:8080 MACHINE orchestrator annotate RUN --port 8080";

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List every plugin that is found.
    List {
        /// All of them with their settings, as Markdown: docs/PLUGINS.md is this.
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
    /// Show a plugin and its settings.
    Show {
        /// Its id, or the last part of it.
        plugin: String,
    },
    /// Begin a plugin of your own: a project that builds, with a test that passes.
    New {
        /// Its name: small letters, digits and _.
        name: String,
        /// What it is to do.
        #[arg(long)]
        kind: PluginKind,
        /// What it is written in.
        #[arg(long, default_value = "rust")]
        lang: Language,
        /// The folder of the project, which must not exist [default: NAME].
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The SDK's folder, `plugins/sdk` of a checkout of orchestrator, which Rust projects depend on until it is published
        /// [default: that of the checkout which this program or the current folder lies in].
        #[arg(long)]
        sdk: Option<PathBuf>,
    },
    /// Ask the plugins of a library everything that goes wrong in plugins. Runs the library.
    #[command(after_help = CHECKS)]
    Check {
        /// The library.
        library: PathBuf,
        /// One of its plugins, by id or the last part of it [default: all].
        #[arg(long)]
        plugin: Option<String>,
        /// Settings as a JSON object; what it leaves out has its default.
        #[arg(long, value_name = "JSON", default_value = "{}")]
        settings: String,
        /// How many seconds a check may take.
        #[arg(long, default_value_t = 10.0)]
        timeout: f64,
        /// Checks that are not asked.
        #[arg(long, value_delimiter = ',', value_name = "CHECK")]
        skip: Vec<String>,
    },
    /// Pin a library that was not shipped, as it is now, so that experiments may load it.
    Trust {
        /// The library.
        library: PathBuf,
        /// The lock file: the one beside the experiment is read.
        #[arg(long, default_value = "plugins.lock")]
        lock: PathBuf,
    },
    /// Load a library that you are writing as it is, unpinned, in every run, until `trust` pins it. Every run says so.
    Dev {
        /// The library.
        library: PathBuf,
        /// The lock file: the one beside the experiment is read.
        #[arg(long, default_value = "plugins.lock")]
        lock: PathBuf,
        /// No longer: runs refuse it until it is pinned.
        #[arg(long)]
        off: bool,
    },
    /// One check, in a process of its own.
    #[command(hide = true)]
    Probe {
        /// What is asked.
        question: String,
        /// The file of the answer.
        answer: PathBuf,
    },
}

const CHECKS: &str = "\
Each check of each plugin is a child process: a crash or a hang is a finding. Checks: load, description, create, empty, huge, \
odd, determinism, threads, seeds, gradient, canaries, cancellation, errors, thread_leak, memory_leak; `--json` lists them with \
what they found. Saving and loading of state is not checked: the interface has no orch.state/1 yet. Nor is it checked that a \
sampler never proposes a known positive: only its tests can know what it should propose.

Exit code 4 if a check failed.";

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum PluginKind {
    Sampler,
    Selector,
    Augmenter,
    Filter,
    Loss,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Language {
    Rust,
    C,
    Cpp,
}

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Encode the lines of standard input: a JSON array of numbers each, as sentence-transformers' `encode` gives them.
    Encode(Encode),
    /// Download a model into the cache that Hugging Face's libraries use, too; go on with a download that was interrupted.
    #[command(after_help = HUB)]
    Pull {
        /// The model: `organisation/name`, or `organisation/name@revision`.
        name: String,
        /// A branch, tag or commit [default: main].
        #[arg(long)]
        revision: Option<String>,
    },
    /// Show what a model's files say of it, and whether it can be used here. Downloads nothing.
    Show {
        /// The folder of a model, or the name of one in the cache.
        model: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct Encode {
    /// The folder of a model, such as `model` of a run, or the name of one in the cache.
    pub model: String,
    /// In what precision products are done.
    #[arg(long, default_value = "f32")]
    pub precision: Precision,
    /// Longer texts are cut to so many tokens [default: as the folder says].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// Put this prompt of the model before every text [default: the model's default prompt, if it has one].
    #[arg(long, value_name = "NAME", conflicts_with = "side")]
    pub prompt: Option<String>,
    /// What the texts are: put the model's prompt for queries or the one for passages before them.
    #[arg(long)]
    pub side: Option<Side>,
    /// Lines that are read and encoded at a time; 1 answers each before it reads the next.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    F32,
    Bf16,
    Int8,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Side {
    /// Claims or queries.
    Anchor,
    /// Documents or passages.
    Document,
}

const HUB: &str = "\
Every file is checked by its hash. Only what an encoder needs is downloaded, and only safetensors: pickles are programs.

HF_HUB_CACHE, HF_HOME: where the cache is [default: ~/.cache/huggingface/hub]. HF_ENDPOINT: another hub. HF_TOKEN: for models \
that are private or gated; it is sent to the hub alone. HF_HUB_OFFLINE=1: nothing is downloaded.";
