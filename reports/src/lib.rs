//! The report of a run: one HTML file that needs no network, drawn from the store alone. The only crate that knows
//! templates. Numbers, words and texts that people see are formatted here, once. Other pages use the same shell: see
//! [`Templates`] and `templates/page.html.j2`.
#![allow(missing_docs)] // The fields of view models: see docs/REPORT.md.

mod again;
mod better;
mod charts;
pub mod compare;
pub mod explain;
mod explain_page;
mod failures;
mod figure;
mod influence;
mod negatives;
mod opening;
mod page;
mod people;
mod picture;
mod pool;
mod positives;
mod suspects;
mod text;
mod training;
mod view;
mod words;

use std::path::{Path, PathBuf};

use minijinja::value::{Serde, Value};
use orchestrator_store::Store;

pub use charts::{Axis, Interval, Key, Layer, Plot, Scale, Tick};
pub use figure::Figure;
pub use page::{Section, Templates};
pub use view::View;
pub use words::{Name, Said, Words};

/// Why a report cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] orchestrator_store::Error),
    /// A template.
    #[error("a template of the report is wrong: {why}")]
    Template {
        /// All templates are ours.
        ours: bool,
        /// Which, where, and what is wrong with it.
        why: String,
    },
    /// A catalogue of words.
    #[error("the words in `{path}` cannot be read: {why}")]
    Words {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The query of a section.
    #[error("the query of a section, `{path}`, failed: {why}")]
    Query {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        why: String,
    },
    /// A file could not be read.
    #[error("cannot read `{path}`: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The file could not be written.
    #[error("cannot write the report `{path}`: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
}

impl Error {
    /// What the user can do.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Store(error) => error.help().to_owned(),
            Self::Template { ours: true, .. } => {
                "report it: this is a fault of orchestrator".to_owned()
            }
            Self::Template { .. } => {
                "correct the template; docs/REPORT.md says what it may use".to_owned()
            }
            Self::Words { .. } => {
                "it is a JSON object of \"key\": [\"English\", \"中文\"]".to_owned()
            }
            Self::Query { .. } => {
                "it is one query that only reads; docs/STORE.md describes the tables".to_owned()
            }
            Self::Read { .. } => {
                "each `sections/NAME.html.j2` has a `sections/NAME.sql` beside it".to_owned()
            }
            Self::File { .. } => "check the path, its permissions and the space left".to_owned(),
        }
    }
}

/// Draws the report of the store `store` into the file `path`, which is written whole or not at all.
///
/// # Errors
/// If the store cannot be read, a template is wrong or the file cannot be written.
pub fn write(store: &Path, path: &Path, templates: &Templates) -> Result<(), Error> {
    write_whole(&render(&Store::open_to_read(store)?, templates)?, path)
}

/// Writes a file whole or not at all.
pub(crate) fn write_whole(text: &str, path: &Path) -> Result<(), Error> {
    let beside = path.with_extension("partial");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|why| {
            let _ = std::fs::remove_file(&beside);
            Error::File {
                path: path.to_owned(),
                why,
            }
        })
}

/// What a report shows, as its templates see it.
///
/// # Errors
/// If the store cannot be read.
pub fn view(store: &Path) -> Result<View, Error> {
    view::build(&Store::open_to_read(store)?)
}

/// The report as HTML.
///
/// # Errors
/// If the store cannot be read or a template is wrong.
pub fn render(store: &Store, templates: &Templates) -> Result<String, Error> {
    rendered(store, templates, None)
}

/// Of a report that is drawn again while its run goes: where the run is.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Live {
    /// How often it was drawn.
    pub version: u64,
    /// Whether more is to come.
    pub running: bool,
    /// Epochs that were begun.
    pub epoch: u64,
    /// Epochs that the plan has; training may end before.
    pub epochs: u64,
    /// Seconds since the run began or went on.
    pub seconds: u64,
}

/// The same report for a page that is told of each new one.
///
/// # Errors
/// If the store cannot be read or a template is wrong.
pub fn render_live(store: &Store, templates: &Templates, live: &Live) -> Result<String, Error> {
    rendered(store, templates, Some(live))
}

/// How many epochs were begun, and how many the plan has: those of the schedule and those after each round of answers.
///
/// # Errors
/// If the store cannot be read.
pub fn epochs(store: &Store) -> Result<(u64, u64), Error> {
    let plan = store.run()?.map(|(_, _, _, plan)| plan).unwrap_or_default();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
    let experiment = &plan["experiment"];
    let stages = experiment["train"]["schedule"].as_array();
    let scheduled: u64 = stages
        .into_iter()
        .flatten()
        .filter_map(|stage| stage["epochs"].as_u64())
        .sum();
    let rounds = &experiment["active_learning"];
    let of_rounds = rounds["rounds"].as_u64().unwrap_or(0) * rounds["epochs"].as_u64().unwrap_or(0);
    Ok((store.run_state()?.epochs, scheduled + of_rounds))
}

fn rendered(store: &Store, templates: &Templates, live: Option<&Live>) -> Result<String, Error> {
    let view = view::build(store)?;
    let mut added = Vec::new();
    for section in templates.sections() {
        let rows = store.query(&section.sql).map_err(|error| Error::Query {
            path: section.path.clone(),
            why: error.to_string(),
        })?;
        added.push(minijinja::context! {
            name => section.name.as_str(),
            template => section.template.as_str(),
            sql => section.sql.as_str(),
            rows => Value::from(Serde(&rows)),
        });
    }
    let view = Value::from(Serde(&view));
    templates.render(
        "report.html.j2",
        minijinja::context! { sections => added, live => Value::from(Serde(&live)), ..view },
    )
}
