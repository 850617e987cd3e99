//! What each command does.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use orchestrator_annotate::Address;
use orchestrator_chat::Endpoint;
use orchestrator_config::Source;
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::sweeping::Sweep;
use orchestrator_engine::{Checked, Error, Estimate, Lock, Origin, Run};
use orchestrator_plugin_host::{Host, PluginInfo, SearchPath};

use crate::args::{Args, Command, ModelCommand, Page, Set, Sweeping, Watch};
use crate::{
    annotate, compare, doctor, encode, explain, isolation, memory, model, plugin, report, show,
    sweep, variants, watch,
};

pub fn run(args: Args) -> Result<(), Diagnostics> {
    let Args {
        json,
        quiet,
        command,
    } = args;
    match command {
        Command::Run {
            experiment,
            set,
            run_dir,
            sweeping,
            page,
            watch,
        } => begin(
            &experiment,
            &set,
            run_dir,
            &Manner::new(&sweeping, page, watch, json, quiet),
        ),
        Command::Resume {
            run,
            sweeping,
            page,
            watch,
        } => resume(&run, &Manner::new(&sweeping, page, watch, json, quiet)),
        Command::Compare(asked) => compare::run(&asked, json),
        Command::Explain(asked) => explain::run(&asked, json),
        Command::Check { experiment, set } => check(&experiment, &set, json),
        Command::Schema => schema(),
        Command::Report {
            run,
            output,
            templates,
            watch,
        } if watch.watch => {
            if output.is_some() || templates.is_some() {
                return Err(Diagnostic::new(
                    Kind::Experiment,
                    "--watch serves the report, and writes no file",
                )
                .help("leave out --output and --templates")
                .into());
            }
            let cancelled = interruptible("stopping")?;
            watch::follow(&run, &watch, json, &cancelled)
        }
        Command::Report {
            run,
            output,
            templates,
            ..
        } => report::run(&run, output.as_deref(), templates.as_deref(), json),
        Command::Annotate(asked) => annotate::run(&asked, &Manner::alone(json, quiet)),
        Command::Plugin { command } => plugin::run(command, json),
        Command::Model { command } => match command {
            ModelCommand::Encode(asked) => encode::run(&asked, json),
            ModelCommand::Pull { name, revision } => {
                model::pull(&name, revision.as_deref(), json, quiet)
            }
            ModelCommand::Show { model } => model::show(&model, json),
        },
        Command::Doctor => doctor::run(json),
        Command::PluginChild => {
            orchestrator_plugin_host::serve().map_err(|error| Error::from(error).into_diagnostics())
        }
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "orchestrator",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    }
}

/// How a run, or a sweep of runs, goes about it.
pub struct Manner {
    pub json: bool,
    pub quiet: bool,
    /// Runs at once, if the user says.
    pub jobs: Option<usize>,
    /// What is done where people are asked.
    page: Page,
    /// Whether the report is served meanwhile.
    pub watch: Watch,
    /// Set when it is to stop after its step.
    cancelled: Arc<AtomicBool>,
}

impl Manner {
    /// Of a run that is no sweep's, and serves the page where people are asked.
    fn alone(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            jobs: None,
            page: Page { no_page: false },
            watch: Watch::default(),
            cancelled: cancelled(),
        }
    }

    fn new(sweeping: &Sweeping, page: Page, watch: Watch, json: bool, quiet: bool) -> Self {
        let cancelled = cancelled();
        // From the beginning: a run of a sweep that is no more must not begin anything.
        if sweeping.in_sweep {
            sweep::listen(&cancelled);
        }
        Self {
            json,
            quiet,
            jobs: sweeping.jobs.map(usize::from),
            page,
            watch,
            cancelled,
        }
    }
}

pub fn internal(what: &str, error: &dyn std::fmt::Display) -> Diagnostics {
    Diagnostic::new(Kind::Internal, what)
        .note(error.to_string())
        .into()
}

pub fn executable_folder() -> Result<PathBuf, Diagnostics> {
    let path =
        std::env::current_exe().map_err(|error| internal("cannot find the executable", &error))?;
    // Through a link in a folder of the PATH, the libraries lie where the executable lies.
    let path = path.canonicalize().unwrap_or(path);
    Ok(path.parent().map(Path::to_owned).unwrap_or_default())
}

/// The search path: beside the executable, then the experiment's, then ORCHESTRATOR_PLUGIN_PATH.
pub fn search_path(
    experiment: &[PathBuf],
    lock: PathBuf,
    copies: PathBuf,
) -> Result<SearchPath, Diagnostics> {
    let mut further = experiment.to_vec();
    if let Some(paths) = std::env::var_os("ORCHESTRATOR_PLUGIN_PATH") {
        further.extend(std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()));
    }
    Ok(SearchPath {
        beside_executable: Some(executable_folder()?),
        further,
        lock,
        copies,
        children: Some(isolation::child_command()?),
    })
}

/// Loads the plugins, and says loudly which of them nobody has pinned.
pub fn load_host(path: &SearchPath, json: bool) -> Result<Host, Diagnostics> {
    let host = load_host_quietly(path)?;
    for (file, hash) in host.under_development() {
        show::under_development(file, hash, &path.lock, json);
    }
    Ok(host)
}

fn load_host_quietly(path: &SearchPath) -> Result<Host, Diagnostics> {
    Host::load(path).map_err(|error| Error::from(error).into_diagnostics())
}

/// A folder for copies of libraries that are only looked at; removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("orchestrator-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn lock_beside(experiment: &Path) -> PathBuf {
    let lock = experiment.with_file_name("plugins.lock");
    std::path::absolute(&lock).unwrap_or(lock)
}

/// The experiment as written, with folders in place of models' names: names in Hugging Face's cache, which the environment
/// says where to find.
///
/// What is not found is told after what is wrong with the file itself.
fn load(experiment: &Path, set: &Set) -> Result<(Source, Result<(), Diagnostics>), Diagnostics> {
    let mut source = Source::load(experiment, &set.with, &set.set, &|name| {
        std::env::var(name).ok()
    })?;
    let found = source.find_models(&model::find_beside);
    Ok((source, found))
}

/// What is wrong with something the experiment names, or with a plugin's settings, is shown at its line.
pub fn placed(
    error: Error,
    source: &Source,
    experiment: &orchestrator_config::Experiment,
) -> Diagnostics {
    if let Error::At(pointer, diagnostic) = error {
        return diagnostic.at(source.location(&pointer)).into();
    }
    if let Error::Plugin(orchestrator_plugin_host::Error::Config {
        plugin,
        pointer,
        message,
    }) = &error
    {
        let steps = experiment.steps();
        if let Some((_, step)) = steps.into_iter().find(|(_, step)| step.name == *plugin) {
            return Diagnostic::new(
                Kind::Experiment,
                format!("`{plugin}` refuses its settings: {message}"),
            )
            .at(source.location(&format!("{}{pointer}", step.at)))
            .help(format!(
                "orchestrator plugin show {} lists the settings",
                step.plugin
            ))
            .into();
        }
    }
    error.into_diagnostics()
}

/// Makes each plugin once: every setting that one refuses is told at its line, before anything is written.
pub fn try_settings(
    source: &Source,
    experiment: &orchestrator_config::Experiment,
    host: &Host,
) -> Result<(), Diagnostics> {
    orchestrator_engine::try_settings(experiment, host).or_else(|refused| {
        let told = refused
            .into_iter()
            .flat_map(|error| placed(error, source, experiment).all().to_vec());
        Diagnostics::fail_if_any(told.collect())
    })?;
    report::check(source, experiment)
}

fn begin(
    path: &Path,
    set: &Set,
    run_dir: Option<PathBuf>,
    manner: &Manner,
) -> Result<(), Diagnostics> {
    let began = Instant::now();
    // Before anything is loaded: what is loaded is part of what a run takes.
    let available = memory::available()?;
    let (source, found) = load(path, set)?;
    if let Some(asked) = source.sweep()? {
        return sweep::begin(&source, asked, run_dir, manner);
    }
    only_of_sweeps(manner, "the experiment has no `sweep:`")?;
    let lock = lock_beside(path);
    // Compiled with copies in a scratch folder first: a run folder is made only for an experiment that can run.
    let scratch = Scratch::new();
    let host = load_host(
        &search_path(&source.plugins(), lock.clone(), scratch.0.clone())?,
        manner.json,
    )?;
    let infos: Vec<&PluginInfo> = host.plugins().collect();
    let experiment = source.experiment(&infos, host.looked_in())?;
    found?;
    try_settings(&source, &experiment, &host)?;
    let (plan, inputs) = orchestrator_engine::compile(&experiment, &host)
        .map_err(|error| placed(error, &source, &experiment))?;
    fits(Estimate::of(&experiment, &inputs), available)
        .map_err(|error| placed(error, &source, &experiment))?;
    let folder = run_dir.unwrap_or_else(|| Path::new("runs").join(plan.folder_name()));
    let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let origin = Origin::of(&experiment, file, lock.clone());
    let yaml = source.to_yaml(&experiment.files);
    // From here on there is something to go on with.
    stoppable()?;
    let run =
        Run::create(&folder, plan, inputs, &origin, &yaml).map_err(Error::into_diagnostics)?;
    let in_plan = host.under_development().to_vec();
    drop(host);
    let host = load_host_quietly(&search_path(
        &experiment.plugins,
        lock,
        folder.join("plugins"),
    )?)?;
    if host.under_development() != in_plan {
        return Err(Diagnostic::new(
            Kind::Plugin,
            "a library under development was built again while the run began",
        )
        .help(format!(
            "remove `{}` and start the run again",
            folder.display()
        ))
        .into());
    }
    // The run has copies of its own.
    drop(scratch);
    go(run, &host, began, manner, |error| {
        placed(error, &source, &experiment)
    })
}

/// Whether a run fits into memory, where both are known.
pub fn fits(
    estimate: Result<Option<Estimate<'_>>, Error>,
    available: Option<u64>,
) -> Result<(), Error> {
    match (estimate?, available) {
        (Some(estimate), Some(available)) => estimate.fit(available),
        _ => Ok(()),
    }
}

/// Only of a sweep can several runs go at once.
fn only_of_sweeps(manner: &Manner, why: &str) -> Result<(), Diagnostics> {
    if manner.jobs.is_none() {
        return Ok(());
    }
    Err(
        Diagnostic::new(Kind::Experiment, format!("--jobs is for sweeps, and {why}"))
            .help("RAYON_NUM_THREADS says how many threads a run uses")
            .into(),
    )
}

pub fn resume(folder: &Path, manner: &Manner) -> Result<(), Diagnostics> {
    let began = Instant::now();
    if Sweep::is_in(folder) {
        return sweep::resume(folder, manner);
    }
    only_of_sweeps(manner, "this is the folder of a run")?;
    let available = memory::available()?;
    // Before plugins are copied into it.
    let lock = Lock::take(folder).map_err(Error::into_diagnostics)?;
    stoppable()?;
    let origin = Origin::read(folder).map_err(Error::into_diagnostics)?;
    let host = load_host(
        &search_path(&origin.plugins, origin.lock, folder.join("plugins"))?,
        manner.json,
    )?;
    let run = Run::open(folder, lock, &host).map_err(Error::into_diagnostics)?;
    fits(run.estimate(), available).map_err(Error::into_diagnostics)?;
    go(run, &host, began, manner, Error::into_diagnostics)
}

/// A flag that Ctrl-C sets; at the second one the process ends at once, which leaves nothing half-written: the store is
/// consistent at any moment, and so is a cache. `said` is shown at the first.
pub fn interruptible(said: &'static str) -> Result<Arc<AtomicBool>, Diagnostics> {
    static LISTENS: AtomicBool = AtomicBool::new(false);
    let cancelled = cancelled();
    // Once a process: after its questions are answered, `annotate` goes on with the run.
    if LISTENS.swap(true, Ordering::Relaxed) {
        return Ok(cancelled);
    }
    let flag = cancelled.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Kind::Interrupted.exit_code()));
        }
        if std::io::stderr().is_terminal() {
            show::err(&format!("\n{said}\n"));
        }
    })
    .map_err(|error| internal("cannot listen for Ctrl-C", &error))?;
    Ok(cancelled)
}

fn stoppable() -> Result<(), Diagnostics> {
    interruptible("stopping after this step; once more to stop at once").map(drop)
}

/// The flag of this process that says it is to stop.
fn cancelled() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default).clone()
}

fn go(
    run: Run,
    host: &Host,
    began: Instant,
    manner: &Manner,
    explain: impl FnOnce(Error) -> Diagnostics,
) -> Result<(), Diagnostics> {
    let endpoint = run.experiment().chat.as_ref().map(endpoint).transpose()?;
    let progress = show::Progress::new(manner.quiet || manner.json);
    let speak = progress.speaker();
    let told = |address: &Address| speak(&annotate::told(address, manner.json));
    let people = annotate::people(run.experiment(), manner.page, &told)?;
    let folder = run.folder().to_owned();
    let watching = manner
        .watch
        .watch
        .then(|| watch::begin(&folder, &manner.watch, manner.json, &speak))
        .transpose()?;
    let result = run.execute(
        host,
        endpoint.as_ref().map(|one| one as _),
        people.as_deref(),
        &|event| progress.event(event),
        &manner.cancelled,
    );
    progress.finish();
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => {
            // Whoever looks is told that it stopped; nobody waits for them.
            if let Some(watching) = watching {
                watching.end(&AtomicBool::new(true));
            }
            return Err(explain(error));
        }
    };
    report::draw(&outcome.folder, None, None)?;
    show::outcome(&outcome, began.elapsed().as_secs_f64(), manner.json);
    if let Some(watching) = watching {
        watching.end(&manner.cancelled);
    }
    Ok(())
}

/// The endpoint of an experiment. The key comes from the environment and goes nowhere but to the endpoint.
fn endpoint(chat: &orchestrator_config::Chat) -> Result<Endpoint, Diagnostics> {
    let settings = orchestrator_chat::Settings {
        base_url: chat.base_url.clone(),
        concurrency: chat.concurrency,
        retries: u32::try_from(chat.retries).unwrap_or(u32::MAX),
        requests_per_minute: chat.requests_per_minute,
        timeout: Duration::from_secs_f64(chat.timeout),
        cache: chat.cache.clone().or_else(answers_folder),
        ..orchestrator_chat::Settings::default()
    };
    let key = std::env::var("OPENAI_API_KEY")
        .ok()
        .filter(|key| !key.is_empty());
    Endpoint::new(settings, key).map_err(|error| Diagnostic::from(error).into())
}

/// Where answers are kept when the experiment does not say: in the user's cache.
pub fn answers_folder() -> Option<PathBuf> {
    let of = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("orchestrator").join("answers"))
}

fn check(path: &Path, set: &Set, json: bool) -> Result<(), Diagnostics> {
    let available = memory::available()?;
    let (source, found) = load(path, set)?;
    if let Some(asked) = source.sweep()? {
        return variants::check(&source, asked, json);
    }
    let scratch = Scratch::new();
    let host = load_host(
        &search_path(&source.plugins(), lock_beside(path), scratch.0.clone())?,
        json,
    )?;
    let infos: Vec<&PluginInfo> = host.plugins().collect();
    let experiment = source.experiment(&infos, host.looked_in())?;
    found?;
    try_settings(&source, &experiment, &host)?;
    let (plan, inputs) = orchestrator_engine::compile(&experiment, &host)
        .map_err(|error| placed(error, &source, &experiment))?;
    let explained = |error| placed(error, &source, &experiment);
    let estimate = Estimate::of(&experiment, &inputs).map_err(explained)?;
    let needs = estimate.as_ref().map(Estimate::memory);
    let checked = Checked {
        plan: &plan,
        memory: needs.as_ref(),
    };
    let shown = if json {
        serde_json::to_string_pretty(&checked)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string())
    } else {
        serde_yaml::to_string(&checked).map_err(|error| error.to_string())
    };
    show::out(&shown.map_err(|error| internal("cannot print the plan", &error))?);
    // It may be meant for another machine.
    if let (Some(estimate), Some(available)) = (&estimate, available)
        && let Err(Error::At(_, wrong)) = estimate.fit(available)
    {
        show::warning(&format!("here, {}", wrong.message), json);
    }
    Ok(())
}

fn schema() -> Result<(), Diagnostics> {
    let scratch = Scratch::new();
    let host = load_host(
        &search_path(&[], PathBuf::from("plugins.lock"), scratch.0.clone())?,
        false,
    )?;
    let infos: Vec<&PluginInfo> = host.plugins().collect();
    let schema = orchestrator_config::schema(&infos);
    show::out(&format!("{schema:#}\n"));
    Ok(())
}
