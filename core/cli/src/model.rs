//! `orchestrator model pull` and `model show`: models from a hub and in folders.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_hub::{Cache, Card, Name, Progress, Pulled, Settings};
use serde_json::json;

use crate::commands::interruptible;
use crate::show;

/// The cache of models, as the environment has it.
pub fn cache() -> Result<Cache, Diagnostic> {
    Cache::from_environment(&|name| std::env::var_os(name)).ok_or_else(|| {
        Diagnostic::new(
            Kind::Data,
            "there is no cache of models: no home folder is known",
        )
        .help("set HF_HOME to a folder")
    })
}

/// The folder of a model that the command line names: a folder needs no cache.
pub fn find(model: &str) -> Result<PathBuf, Diagnostic> {
    find_beside(model, Path::new(model))
}

/// The folder of a model by its name, or the folder that the name would be.
pub fn find_beside(model: &str, as_folder: &Path) -> Result<PathBuf, Diagnostic> {
    if as_folder.is_dir() {
        return Ok(as_folder.to_owned());
    }
    Ok(orchestrator_hub::find_beside(model, as_folder, &cache()?)?)
}

/// How the hub is asked, as the environment has it.
pub fn settings() -> Settings {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // As Python's libraries read switches.
    let on = |name: &str| {
        given(name).is_some_and(|value| {
            ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
        })
    };
    let usual = Settings::default();
    Settings {
        endpoint: given("HF_ENDPOINT").unwrap_or(usual.endpoint.clone()),
        token: given("HF_TOKEN"),
        offline: on("HF_HUB_OFFLINE") || on("TRANSFORMERS_OFFLINE"),
        ..usual
    }
}

pub fn pull(
    name: &str,
    revision: Option<&str>,
    json: bool,
    quiet: bool,
) -> Result<(), Diagnostics> {
    let of_hub = |error: orchestrator_hub::Error| Diagnostics::from(Diagnostic::from(error));
    let mut name = Name::parse(name).map_err(of_hub)?;
    if let Some(revision) = revision {
        name = name.at(revision).map_err(of_hub)?;
    }
    let (cache, settings) = (cache()?, settings());
    let cancelled = interruptible("stopping; what has come is kept")?;
    let bar = Bar::new(quiet || json);
    let pulled = orchestrator_hub::pull(&name, &cache, &settings, &cancelled, &mut |event| {
        bar.event(event);
    });
    bar.0.finish_and_clear();
    let pulled = pulled.map_err(of_hub)?;
    show::out(&if json {
        format!("{}\n", as_json(&name, &pulled))
    } else {
        as_text(&name, &pulled)
    });
    Ok(())
}

fn downloaded(pulled: &Pulled) -> u64 {
    let came = pulled.files.iter().filter(|file| file.downloaded);
    came.map(|file| file.bytes).sum()
}

fn as_json(name: &Name, pulled: &Pulled) -> serde_json::Value {
    let files: Vec<_> = pulled
        .files
        .iter()
        .map(|file| {
            json!({ "name": file.name, "bytes": file.bytes, "hash": file.hash, "downloaded": file.downloaded })
        })
        .collect();
    json!({
        "model": name.repository(),
        "revision": name.revision(),
        "commit": pulled.commit,
        "folder": pulled.folder,
        "downloaded_bytes": downloaded(pulled),
        "files": files,
    })
}

fn as_text(name: &Name, pulled: &Pulled) -> String {
    let came = pulled.files.iter().filter(|file| file.downloaded).count();
    let what = match came {
        0 => "nothing to download".to_owned(),
        1 => format!("1 file downloaded, {}", size(downloaded(pulled))),
        many => format!("{many} files downloaded, {}", size(downloaded(pulled))),
    };
    format!(
        "{name}  {what}\ncommit  {}\nfolder  {}\n",
        pulled.commit,
        pulled.folder.display()
    )
}

/// Progress on standard error. Silent when that is not a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(quiet: bool) -> Self {
        let bar = ProgressBar::no_length();
        if quiet || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self(bar)
    }

    fn event(&self, event: Progress<'_>) {
        match event {
            Progress::Begun { bytes, .. } => {
                let style = "{msg} [{bar:24}] {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
                let style = ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                self.0.set_style(style);
                self.0.set_length(bytes);
                self.0.reset_eta();
            }
            Progress::At { file, bytes } => {
                if self.0.message() != file {
                    self.0.set_message(file.to_owned());
                }
                self.0.set_position(bytes);
            }
        }
    }
}

/// A number of bytes as hubs show it.
pub fn size(bytes: u64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let of = bytes as f64;
    match units.into_iter().find(|(unit, _)| of >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", of / unit),
        None => format!("{bytes} bytes"),
    }
}

pub fn show(model: &str, json: bool) -> Result<(), Diagnostics> {
    let folder = find(model)?;
    let card = orchestrator_hub::inspect(&folder).map_err(Diagnostic::from)?;
    if json {
        let mut value = json!(card);
        value["supported"] = json!(card.supported());
        show::out(&format!("{value}\n"));
    } else {
        show::out(&described(&card));
    }
    Ok(())
}

fn described(card: &Card) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name:<15} {value}");
    };
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    line("folder", &card.folder.display().to_string());
    line("architecture", &word(&card.architecture));
    line("layers", &number(card.layers));
    line("hidden size", &number(card.hidden_size));
    line("heads", &number(card.heads));
    line("vocabulary", &number(card.vocabulary));
    line("pooling", &word(&card.pooling));
    for dense in &card.dense {
        let layer = format!("{} to {}, {}", dense.from, dense.to, dense.activation);
        line("dense", &layer);
    }
    line("normalise", if card.normalise { "yes" } else { "no" });
    if card.prompts.is_empty() {
        line("prompts", "none");
    }
    for (name, prompt) in &card.prompts {
        let default = card.default_prompt.as_ref() == Some(name);
        let end = if default {
            " (unless told otherwise)"
        } else {
            ""
        };
        line("prompts", &format!("{name}: {prompt:?}{end}"));
    }
    line("max_seq_length", &number(card.max_seq_length));
    line("dtype", &word(&card.dtype));
    line("parameters", &card.parameters.to_string());
    line("size", &size(card.bytes));
    let licence = card.licence.clone();
    line("licence", &licence.unwrap_or_else(|| "not said".to_owned()));
    let fits = if card.supported() { "yes" } else { "no" };
    line("supported", fits);
    for lack in &card.unsupported {
        line("  not", lack);
    }
    text
}
