//! The report of a run: one HTML file that needs no network, drawn from the store alone. The only crate that knows
//! templates. Numbers that people see are formatted here, once.

mod charts;
pub mod compare;
pub mod explain;
mod people;
mod view;
mod watched;

use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment};
use orchestrator_store::Store;

/// Why a report cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] orchestrator_store::Error),
    /// The template: a fault of ours.
    #[error("the report's template failed: {0:#}")]
    Template(#[from] minijinja::Error),
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
            Self::Template(_) => "report it: this is a fault of orchestrator".to_owned(),
            Self::File { .. } => "check the path, its permissions and the space left".to_owned(),
        }
    }
}

/// Draws the report of the store `store` into the file `path`, which is written whole or not at all.
///
/// # Errors
/// If the store cannot be read or the file not be written.
pub fn write(store: &Path, path: &Path) -> Result<(), Error> {
    let html = render(&Store::open_to_read(store)?)?;
    let beside = path.with_extension("partial");
    std::fs::write(&beside, html)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|why| {
            let _ = std::fs::remove_file(&beside);
            Error::File {
                path: path.to_owned(),
                why,
            }
        })
}

/// The report as HTML.
///
/// # Errors
/// If the store cannot be read.
pub fn render(store: &Store) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("number", |value: f64, digits: usize| {
        format!("{value:.digits$}")
    });
    environment.add_filter("percent", |value: f64| format!("{:.1} %", 100.0 * value));
    environment.add_filter("count", grouped);
    environment.add_template("style.css", include_str!("../assets/style.css"))?;
    environment.add_template("charts.j2", include_str!("../templates/charts.html.j2"))?;
    environment.add_template("watched.j2", include_str!("../templates/watched.html.j2"))?;
    environment.add_template("report.html", include_str!("../templates/report.html.j2"))?;
    let view = view::build(store)?;
    Ok(environment
        .get_template("report.html")?
        .render(minijinja::value::Serde(&view))?)
}

/// 12345 as 12,345.
fn grouped(value: i64) -> String {
    let digits = value.abs().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(super::grouped(0), "0");
        assert_eq!(super::grouped(-1_234_567), "-1,234,567");
    }
}
