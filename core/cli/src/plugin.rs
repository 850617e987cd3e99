//! `orchestrator plugin …`: what there is, and everything an author of a plugin asks for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::Error;
use orchestrator_plugin_host::{self as plugins, Host, PluginInfo, SearchPath};
use orchestrator_testkit::{self as testkit, Check, template};
use serde_json::{Value, json};

use crate::args::{Language, PluginCommand, PluginKind};
use crate::commands::{Scratch, executable_folder, internal, load_host, search_path};
use crate::{catalogue, show};

pub fn run(command: PluginCommand, json: bool) -> Result<(), Diagnostics> {
    match command {
        PluginCommand::List { markdown } => list(markdown, json),
        PluginCommand::Show { plugin } => show_one(&plugin, json),
        PluginCommand::New {
            name,
            kind,
            lang,
            dir,
            sdk,
        } => new(&name, kind, lang, dir, sdk.as_deref(), json),
        PluginCommand::Check {
            library,
            plugin,
            settings,
            timeout,
            skip,
        } => check(&library, plugin, &settings, timeout, &skip, json),
        PluginCommand::Trust { library, lock } => trust(&library, &lock, json),
        PluginCommand::Dev { library, lock, off } => dev(&library, &lock, off, json),
        PluginCommand::Probe { question, answer } => testkit::answer(&question, &answer)
            .map_err(|error| internal("the question of a check has no answer", &error)),
    }
}

fn usage(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Kind::Experiment, message)
}

fn of_host(error: plugins::Error) -> Diagnostics {
    Error::from(error).into_diagnostics()
}

fn hosted(scratch: &Scratch, json: bool) -> Result<Host, Diagnostics> {
    let lock = std::path::absolute("plugins.lock").unwrap_or_else(|_| "plugins.lock".into());
    load_host(&search_path(&[], lock, scratch.0.clone())?, json)
}

fn list(markdown: bool, json: bool) -> Result<(), Diagnostics> {
    let scratch = Scratch::new();
    let host = hosted(&scratch, json)?;
    let mut infos: Vec<&PluginInfo> = host.plugins().collect();
    if json {
        show::out(&format!("{}\n", json!(infos)));
        return Ok(());
    }
    infos.sort_by_key(|info| (info.kind, info.id.clone()));
    show::out(&if markdown {
        catalogue::markdown(&infos)
    } else {
        catalogue::lines(&infos)
    });
    Ok(())
}

fn show_one(plugin: &str, json: bool) -> Result<(), Diagnostics> {
    let scratch = Scratch::new();
    let host = hosted(&scratch, json)?;
    let found: Vec<&PluginInfo> = host
        .plugins()
        .filter(|info| info.id == plugin || info.short() == plugin)
        .collect();
    if found.is_empty() {
        let names: Vec<&str> = host.plugins().map(PluginInfo::short).collect();
        let mut diagnostic = usage(format!("there is no plugin `{plugin}`"));
        if let Some(near) = orchestrator_diagnostics::nearest(plugin, names) {
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
            catalogue::one(info)
        });
    }
    Ok(())
}

/// The checkout whose SDK a Rust project depends on.
fn checkout(sdk: Option<&Path>) -> Result<PathBuf, Diagnostics> {
    let lacking = |message: String| {
        usage(message)
            .note("the SDK is not published on crates.io yet: a plugin in Rust is built against a checkout of orchestrator")
            .help("--sdk path/to/orchestrator/plugins/sdk (C and C++ need none: --lang c)")
    };
    if let Some(sdk) = sdk {
        let folder = sdk.canonicalize().unwrap_or_else(|_| sdk.to_owned());
        return folder
            .ends_with("plugins/sdk")
            .then(|| template::checkout_above([folder.as_path()]))
            .flatten()
            .ok_or_else(|| {
                lacking(format!("`{}` is not the folder of the SDK", sdk.display())).into()
            });
    }
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let here = std::env::current_dir();
    let places = [program.as_deref(), here.as_deref()];
    template::checkout_above(places.into_iter().filter_map(Result::ok))
        .ok_or_else(|| lacking("no SDK is near".to_owned()).into())
}

/// The plugin of that name that is shipped with this program, one of `kind` before others.
fn shipped(name: &str, kind: plugins::Kind) -> Result<Option<PluginInfo>, Diagnostics> {
    let scratch = Scratch::new();
    let host = Host::load(&SearchPath {
        beside_executable: Some(executable_folder()?),
        copies: scratch.0.clone(),
        ..SearchPath::default()
    })
    .map_err(of_host)?;
    let of_name = host.plugins().filter(|info| info.short() == name);
    Ok(of_name.min_by_key(|info| info.kind != kind).cloned())
}

fn new(
    name: &str,
    kind: PluginKind,
    lang: Language,
    dir: Option<PathBuf>,
    sdk: Option<&Path>,
    json: bool,
) -> Result<(), Diagnostics> {
    if let Some(fault) = template::fault_of_name(name) {
        return Err(usage(format!("`{name}` cannot be the name of a plugin: {fault}")).into());
    }
    let kind = match kind {
        PluginKind::Sampler => plugins::Kind::Sampler,
        PluginKind::Selector => plugins::Kind::Selector,
        PluginKind::Augmenter => plugins::Kind::Augmenter,
        PluginKind::Filter => plugins::Kind::Filter,
        PluginKind::Loss => plugins::Kind::Loss,
    };
    let (language, build, test) = match lang {
        Language::Rust => (
            template::Language::Rust,
            "cargo build --release",
            "cargo test",
        ),
        Language::C => (template::Language::C, "make", "make check"),
        Language::Cpp => (template::Language::Cpp, "make", "make check"),
    };
    let folder = dir.unwrap_or_else(|| name.into());
    if folder.exists() {
        return Err(usage(format!("`{}` exists", folder.display()))
            .note("nothing is ever overwritten")
            .help("give another folder: --dir D")
            .into());
    }
    let checkout = match language {
        template::Language::Rust => checkout(sdk)?,
        _ => PathBuf::new(),
    };
    let taken = shipped(name, kind)?;
    if let Some(shipped) = &taken {
        show::name_is_taken(name, kind, shipped, json);
    }
    let files = template::project(name, kind, language, &checkout);
    for (path, text) in &files {
        let path = folder.join(path);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| {
                Diagnostic::new(Kind::Data, format!("cannot write `{}`", path.display()))
                    .note(error.to_string())
            })?;
    }
    let library = match language {
        template::Language::Rust => format!(
            "target/release/{}{name}{}",
            std::env::consts::DLL_PREFIX,
            std::env::consts::DLL_SUFFIX
        ),
        _ => format!("{name}.so"),
    };
    let paths: Vec<&PathBuf> = files.iter().map(|(path, _)| path).collect();
    if json {
        let value = json!({
            "folder": folder, "files": paths, "build": build, "test": test, "library": folder.join(library),
            "taken_by": taken.map(|shipped| shipped.id),
        });
        show::out(&format!("{value}\n"));
        return Ok(());
    }
    let mut text = format!("{} {name} in {}\n", kind.name(), folder.display());
    for path in paths {
        text.push_str(&format!("  {}\n", path.display()));
    }
    let library = folder.join(library);
    text.push_str(&format!(
        "\ncd {} && {build} && {test}\n\nThen, in the folder of an experiment that says `plugins: [{}]`:\n\n\
         orchestrator plugin dev {}\n",
        folder.display(),
        library.display(),
        library.display()
    ));
    show::out(&text);
    Ok(())
}

/// Starts this program again to answer a question of the checks.
fn child(question: &str, answer: &Path) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "orchestrator".into());
    let mut command = Command::new(program);
    command.args(["plugin", "probe", question]).arg(answer);
    command
}

/// What the library says of itself, opened where a crash does no harm.
fn look(library: &Path) -> Result<Vec<PluginInfo>, Diagnostics> {
    if !library.is_file() {
        return Err(Diagnostic::new(
            Kind::Plugin,
            format!("there is no file `{}`", library.display()),
        )
        .help("give the path of a built library")
        .into());
    }
    testkit::look(library, Duration::from_secs(10), &child).map_err(|why| {
        Diagnostic::new(
            Kind::Plugin,
            format!("`{}` cannot be used as a plugin", library.display()),
        )
        .note(why)
        .help("orchestrator plugin check FILE says more")
        .into()
    })
}

fn check(
    library: &Path,
    plugin: Option<String>,
    settings: &str,
    timeout: f64,
    skip: &[String],
    json: bool,
) -> Result<(), Diagnostics> {
    let settings: Value = serde_json::from_str(settings)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| {
            usage(format!("--settings is not a JSON object: {settings}"))
                .help(r#"for example --settings '{"min_words": 5}'"#)
        })?;
    let timeout = Duration::try_from_secs_f64(timeout)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| usage("--timeout must be above 0"))?;
    let skip = skip
        .iter()
        .map(|name| {
            let names = Check::ALL.map(Check::name);
            Check::ALL
                .into_iter()
                .find(|check| check.name() == name)
                .ok_or_else(|| {
                    usage(format!("there is no check `{name}`")).help(
                        orchestrator_diagnostics::nearest(name, names).map_or_else(
                            || format!("it can be {}", names.join(", ")),
                            |near| format!("did you mean `{near}`?"),
                        ),
                    )
                })
        })
        .collect::<Result<Vec<Check>, Diagnostic>>()?;
    if !library.is_file() {
        look(library)?;
    }
    let options = testkit::Options {
        settings,
        timeout,
        plugin,
        skip,
    };
    let report = testkit::check_in_children(library, &options, &child);
    show::out(&if json {
        format!("{}\n", report.to_json())
    } else {
        report.render()
    });
    let [passed, failed, skipped] = report.counts();
    if failed == 0 {
        return Ok(());
    }
    Err(Diagnostic::new(
        Kind::Plugin,
        format!(
            "{failed} of {} checks of `{}` failed",
            passed + failed + skipped,
            library.display()
        ),
    )
    .into())
}

fn trust(library: &Path, lock: &Path, json: bool) -> Result<(), Diagnostics> {
    let infos = look(library)?;
    let hash = plugins::trust(library, lock).map_err(of_host)?;
    let ids: Vec<&str> = infos.iter().map(|info| info.id.as_str()).collect();
    show::out(&if json {
        format!(
            "{}\n",
            json!({ "library": library, "sha256": hash, "lock": lock, "plugins": ids })
        )
    } else {
        format!(
            "pinned {} ({hash}) in {}: {}\n",
            library.display(),
            lock.display(),
            ids.join(", ")
        )
    });
    Ok(())
}

fn dev(library: &Path, lock: &Path, off: bool, json: bool) -> Result<(), Diagnostics> {
    if off {
        let ended = plugins::end_development(library, lock).map_err(of_host)?;
        if !ended {
            return Err(usage(format!(
                "`{}` is not under development in `{}`",
                library.display(),
                lock.display()
            ))
            .into());
        }
        show::out(&if json {
            format!(
                "{}\n",
                json!({ "library": library, "lock": lock, "under_development": false })
            )
        } else {
            format!(
                "{} is no longer under development: runs refuse it until it is pinned\n",
                library.display()
            )
        });
        return Ok(());
    }
    look(library)?;
    let hash = plugins::develop(library, lock).map_err(of_host)?;
    show::out(&if json {
        format!(
            "{}\n",
            json!({ "library": library, "sha256": hash, "lock": lock, "under_development": true })
        )
    } else {
        format!(
            "{} is under development in {}: every run loads it as it is then, and says so.\nWhen it is done: orchestrator \
             plugin trust {0} --lock {1}\n",
            library.display(),
            lock.display()
        )
    });
    Ok(())
}
