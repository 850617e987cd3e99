//! What each command does.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use orchestrator_chat::Endpoint;
use orchestrator_config::Source;
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::{Error, Origin, Run};
use orchestrator_plugin_host::{Host, PluginInfo, SearchPath};
use serde_json::json;

use crate::args::{Args, Command, ModelCommand, PluginCommand};
use crate::show;

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
        } => begin(&experiment, &set.set, run_dir, json, quiet),
        Command::Resume { run } => resume(&run, json, quiet),
        Command::Check { experiment, set } => check(&experiment, &set.set, json),
        Command::Schema => schema(),
        Command::Report { run, output } => {
            let path = report(&run, output.as_deref())?;
            if json {
                show::out(&format!("{}\n", json!({ "report": path })));
            } else {
                show::out(&format!("{}\n", path.display()));
            }
            Ok(())
        }
        Command::Plugin { command } => plugin(command, json),
        Command::Model {
            command: ModelCommand::Encode { model },
        } => encode(&model),
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

fn internal(what: &str, error: &dyn std::fmt::Display) -> Diagnostics {
    Diagnostic::new(Kind::Internal, what)
        .note(error.to_string())
        .into()
}

fn executable_folder() -> Result<PathBuf, Diagnostics> {
    let path =
        std::env::current_exe().map_err(|error| internal("cannot find the executable", &error))?;
    // Through a link in a folder of the PATH, the libraries lie where the executable lies.
    let path = path.canonicalize().unwrap_or(path);
    Ok(path.parent().map(Path::to_owned).unwrap_or_default())
}

/// The search path: beside the executable, then the experiment's, then ORCHESTRATOR_PLUGIN_PATH.
fn search_path(
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
    })
}

fn load_host(path: &SearchPath) -> Result<Host, Diagnostics> {
    Host::load(path).map_err(|error| Error::from(error).into_diagnostics())
}

/// A folder for copies of libraries that are only looked at; removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("orchestrator-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lock_beside(experiment: &Path) -> PathBuf {
    let lock = experiment.with_file_name("plugins.lock");
    std::path::absolute(&lock).unwrap_or(lock)
}

fn load(experiment: &Path, set: &[String]) -> Result<Source, Diagnostics> {
    Source::load(experiment, set, &|name| std::env::var(name).ok())
}

/// A plugin that refuses its settings is an error of the experiment: shown at its line.
fn placed(
    error: Error,
    source: &Source,
    experiment: &orchestrator_config::Experiment,
) -> Diagnostics {
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

fn begin(
    path: &Path,
    set: &[String],
    run_dir: Option<PathBuf>,
    json: bool,
    quiet: bool,
) -> Result<(), Diagnostics> {
    let began = Instant::now();
    let source = load(path, set)?;
    let lock = lock_beside(path);
    // Compiled with copies in a scratch folder first: a run folder is made only for an experiment that can run.
    let scratch = Scratch::new();
    let host = load_host(&search_path(
        &source.plugins(),
        lock.clone(),
        scratch.0.clone(),
    )?)?;
    let infos: Vec<&PluginInfo> = host.plugins().collect();
    let experiment = source.experiment(&infos, host.looked_in())?;
    let (plan, inputs) =
        orchestrator_engine::compile(&experiment, &host).map_err(Error::into_diagnostics)?;
    let folder = run_dir.unwrap_or_else(|| Path::new("runs").join(plan.folder_name()));
    let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let origin = Origin::of(&experiment, file, lock.clone());
    let yaml = source.to_yaml(&experiment.files);
    let run =
        Run::create(&folder, plan, inputs, &origin, &yaml).map_err(Error::into_diagnostics)?;
    drop(host);
    // With its pins, the run's own experiment.yaml can be run again.
    if lock.is_file() {
        std::fs::copy(&lock, folder.join("plugins.lock")).map_err(|error| {
            Diagnostic::new(
                Kind::Data,
                format!("cannot copy `{}` into the run", lock.display()),
            )
            .note(error.to_string())
        })?;
    }
    let host = load_host(&search_path(
        &experiment.plugins,
        lock,
        folder.join("plugins"),
    )?)?;
    go(run, &host, began, json, quiet, |error| {
        placed(error, &source, &experiment)
    })
}

fn resume(folder: &Path, json: bool, quiet: bool) -> Result<(), Diagnostics> {
    let began = Instant::now();
    let origin = Origin::read(folder).map_err(Error::into_diagnostics)?;
    let host = load_host(&search_path(
        &origin.plugins,
        origin.lock,
        folder.join("plugins"),
    )?)?;
    let run = Run::open(folder, &host).map_err(Error::into_diagnostics)?;
    go(run, &host, began, json, quiet, Error::into_diagnostics)
}

fn go(
    run: Run,
    host: &Host,
    began: Instant,
    json: bool,
    quiet: bool,
    explain: impl FnOnce(Error) -> Diagnostics,
) -> Result<(), Diagnostics> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = cancelled.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            // Asked twice: the store is consistent at any moment.
            std::process::exit(i32::from(Kind::Interrupted.exit_code()));
        }
        if std::io::stderr().is_terminal() {
            show::err("\nstopping after this step; once more to stop at once\n");
        }
    })
    .map_err(|error| internal("cannot listen for Ctrl-C", &error))?;
    let endpoint = run.experiment().chat.as_ref().map(endpoint).transpose()?;
    let progress = show::Progress::new(quiet || json);
    let result = run.execute(
        host,
        endpoint.as_ref().map(|one| one as _),
        &|event| progress.event(event),
        &cancelled,
    );
    progress.finish();
    let outcome = result.map_err(explain)?;
    report(&outcome.folder, None)?;
    show::outcome(&outcome, began.elapsed().as_secs_f64(), json);
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
fn answers_folder() -> Option<PathBuf> {
    let of = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("orchestrator").join("answers"))
}

fn check(path: &Path, set: &[String], json: bool) -> Result<(), Diagnostics> {
    let source = load(path, set)?;
    let scratch = Scratch::new();
    let host = load_host(&search_path(
        &source.plugins(),
        lock_beside(path),
        scratch.0.clone(),
    )?)?;
    let infos: Vec<&PluginInfo> = host.plugins().collect();
    let experiment = source.experiment(&infos, host.looked_in())?;
    let (plan, _) =
        orchestrator_engine::compile(&experiment, &host).map_err(Error::into_diagnostics)?;
    if json {
        show::out(&plan.to_json());
    } else {
        show::out(
            &serde_yaml::to_string(&plan)
                .map_err(|error| internal("cannot print the plan", &error))?,
        );
    }
    Ok(())
}

fn schema() -> Result<(), Diagnostics> {
    let scratch = Scratch::new();
    let host = load_host(&search_path(
        &[],
        PathBuf::from("plugins.lock"),
        scratch.0.clone(),
    )?)?;
    let infos: Vec<&PluginInfo> = host.plugins().collect();
    let schema = orchestrator_config::schema(&infos);
    show::out(&format!("{schema:#}\n"));
    Ok(())
}

fn report(run: &Path, output: Option<&Path>) -> Result<PathBuf, Diagnostics> {
    let store = run.join("store.db");
    if !store.is_file() {
        return Err(Error::NotARun(run.to_owned(), "store.db").into_diagnostics());
    }
    let path = output.map_or_else(|| run.join("report.html"), Path::to_owned);
    orchestrator_reports::write(&store, &path).map_err(|error| {
        let help = error.help();
        Diagnostic::new(Kind::Data, error.to_string()).help(help)
    })?;
    Ok(path)
}

fn encode(model: &Path) -> Result<(), Diagnostics> {
    let failed = |error: orchestrator_model::Error| -> Diagnostics {
        Diagnostic::new(Kind::Data, error.to_string())
            .help("give the folder `model` of a run")
            .into()
    };
    let encoder = orchestrator_model::StaticEncoder::load(model).map_err(failed)?;
    for line in std::io::stdin().lines() {
        let line =
            line.map_err(|error| Diagnostic::new(Kind::Data, format!("standard input: {error}")))?;
        let tokens = encoder.tokenize(&[&line]).map_err(failed)?;
        show::out(&format!("{}\n", json!(encoder.encode(&tokens))));
    }
    Ok(())
}

fn plugin(command: PluginCommand, json: bool) -> Result<(), Diagnostics> {
    let scratch = Scratch::new();
    let lock = std::path::absolute("plugins.lock").unwrap_or_else(|_| "plugins.lock".into());
    let load = || load_host(&search_path(&[], lock, scratch.0.clone())?);
    match command {
        PluginCommand::List => {
            let host = load()?;
            if json {
                let all: Vec<&PluginInfo> = host.plugins().collect();
                show::out(&format!("{}\n", json!(all)));
                return Ok(());
            }
            let mut infos: Vec<&PluginInfo> = host.plugins().collect();
            infos.sort_by_key(|info| (info.kind, info.id.clone()));
            let width = infos
                .iter()
                .map(|info| info.short().len())
                .max()
                .unwrap_or(0);
            for info in infos {
                let summary = first_sentence(&info.summary);
                show::out(&format!(
                    "{:<9} {:<width$}  {summary}\n",
                    info.kind.name(),
                    info.short()
                ));
            }
            Ok(())
        }
        PluginCommand::Show { plugin } => {
            let host = load()?;
            let found: Vec<&PluginInfo> = host
                .plugins()
                .filter(|info| info.id == plugin || info.short() == plugin)
                .collect();
            if found.is_empty() {
                let names: Vec<&str> = host.plugins().map(PluginInfo::short).collect();
                let mut diagnostic =
                    Diagnostic::new(Kind::Experiment, format!("there is no plugin `{plugin}`"));
                if let Some(near) = orchestrator_diagnostics::nearest(&plugin, names) {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                }
                for folder in host.looked_in() {
                    diagnostic = diagnostic.note(format!("looked in {}", folder.display()));
                }
                return Err(diagnostic.into());
            }
            for info in found {
                show::out(&if json {
                    format!("{}\n", json!(info))
                } else {
                    describe(info)
                });
            }
            Ok(())
        }
        PluginCommand::Trust { library, lock } => {
            let hash = orchestrator_plugin_host::trust(&library, &lock)
                .map_err(|error| Error::from(error).into_diagnostics())?;
            if json {
                show::out(&format!(
                    "{}\n",
                    json!({ "library": library, "sha256": hash, "lock": lock })
                ));
            } else {
                show::out(&format!(
                    "pinned {} ({hash}) in {}\n",
                    library.display(),
                    lock.display()
                ));
            }
            Ok(())
        }
    }
}

/// Up to the first full stop that a capital letter follows.
fn first_sentence(text: &str) -> &str {
    let ends = text.match_indices(". ").map(|(place, _)| place);
    let end = ends
        .into_iter()
        .find(|place| text[place + 2..].starts_with(char::is_uppercase));
    end.map_or(text, |place| &text[..place])
}

/// A plugin with its settings as a table.
fn describe(info: &PluginInfo) -> String {
    let mut text = format!(
        "{} ({}) {}\n{}\n\nlicence  {}\nlibrary  {}\nsha256   {}\n",
        info.id,
        info.kind.name(),
        info.version,
        info.summary,
        info.licence,
        info.library.display(),
        info.sha256
    );
    if !info.services.is_empty() {
        text.push_str(&format!("services {}\n", info.services.join(", ")));
    }
    let mut settings = String::new();
    describe_settings(&info.schema, "", &mut settings);
    if settings.is_empty() {
        text.push_str("\nno settings\n\n");
    } else {
        text.push_str(&format!("\nsettings\n{settings}\n"));
    }
    text
}

fn describe_settings(schema: &serde_json::Value, prefix: &str, out: &mut String) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|keys| keys.iter().filter_map(|key| key.as_str()).collect())
        .unwrap_or_default();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let mut facts = vec![property["type"].as_str().unwrap_or("any").to_owned()];
        for (name, word) in [
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("exclusiveMinimum", "above"),
            ("exclusiveMaximum", "below"),
            ("enum", "one of"),
            ("default", "default"),
        ] {
            if let Some(value) = property.get(name) {
                facts.push(format!("{word} {value}"));
            }
        }
        if required.contains(&key.as_str()) {
            facts.push("required".to_owned());
        }
        out.push_str(&format!("  {prefix}{key}  ({})\n", facts.join(", ")));
        if let Some(description) = property["description"].as_str() {
            out.push_str(&format!("      {description}\n"));
        }
        describe_settings(property, &format!("{prefix}{key}."), out);
    }
}
