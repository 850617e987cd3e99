//! `orchestrator report`: the report of a run drawn again, with the templates that its experiment names or others, and what
//! templates are given.

use std::path::{Path, PathBuf};

use orchestrator_config::{Experiment, Source};
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::{Error, Origin};
use orchestrator_reports::Templates;
use serde_json::json;

use crate::commands::internal;
use crate::show;

/// Draws the report, or prints what templates are given if JSON is asked for and no file.
pub fn run(
    run: &Path,
    output: Option<&Path>,
    templates: Option<&Path>,
    json: bool,
) -> Result<(), Diagnostics> {
    if json && output.is_none() {
        show::out(&format!("{}\n", viewed(run)?));
        return Ok(());
    }
    let path = draw(run, output, templates)?;
    if json {
        show::out(&format!("{}\n", json!({ "report": path })));
    } else {
        show::out(&format!("{}\n", path.display()));
    }
    Ok(())
}

/// Draws the report into a file and names it: report.html in the run's folder if nothing else is said.
pub fn draw(
    run: &Path,
    output: Option<&Path>,
    templates: Option<&Path>,
) -> Result<PathBuf, Diagnostics> {
    let store = store_of(run)?;
    let path = output.map_or_else(|| run.join("report.html"), Path::to_owned);
    let templates = templates_of(run, templates);
    templates
        .and_then(|templates| orchestrator_reports::write(&store, &path, &templates))
        .map_err(|error| told(&error))?;
    Ok(path)
}

/// The templates that a run is reported with: those of `given`, or what its experiment says, which its origin knows as it knows
/// every place.
pub fn templates_of(
    run: &Path,
    given: Option<&Path>,
) -> Result<Templates, orchestrator_reports::Error> {
    let of_run = Origin::read(run).ok().and_then(|origin| origin.templates);
    match given.or(of_run.as_deref()) {
        Some(folder) => Templates::with(folder),
        None => Templates::ours(),
    }
}

/// Before anything runs: whether the templates that an experiment names can be read.
pub fn check(source: &Source, experiment: &Experiment) -> Result<(), Diagnostics> {
    let Some(folder) = &experiment.templates else {
        return Ok(());
    };
    Templates::with(folder)
        .and_then(|templates| templates.check())
        .map_err(|error| {
            Diagnostic::new(Kind::Experiment, error.to_string())
                .at(source.location("/report/templates"))
                .help(error.help())
                .into()
        })
}

fn viewed(run: &Path) -> Result<String, Diagnostics> {
    let view = orchestrator_reports::view(&store_of(run)?).map_err(|error| told(&error))?;
    serde_json::to_string_pretty(&view).map_err(|error| internal("cannot print the view", &error))
}

fn store_of(run: &Path) -> Result<PathBuf, Diagnostics> {
    let store = run.join("store.db");
    if store.is_file() {
        Ok(store)
    } else {
        Err(Error::NotARun(run.to_owned(), "store.db").into_diagnostics())
    }
}

fn told(error: &orchestrator_reports::Error) -> Diagnostic {
    Diagnostic::new(Kind::Data, error.to_string()).help(error.help())
}
