//! The page of an explanation.

use std::path::Path;

use minijinja::value::{Serde, Value};

use crate::charts::{Plot, Series, lines};
use crate::explain::{Explanation, Of};
use crate::words::Name;
use crate::{Error, Templates, write_whole};

/// Letters of the text that a page is about.
const LONG: usize = 4_000;
/// … of the texts of its lists.
const MOST: usize = 240;
/// No text is longer, whatever is asked for.
const LONGEST: usize = 1_000_000;

/// Writes the page of an explanation of the run in `folder`, whole or not at all; `full` cuts no text.
///
/// # Errors
/// If a template is wrong or the file cannot be written.
pub fn write(
    explanation: &Explanation,
    folder: &Path,
    full: bool,
    path: &Path,
    templates: &Templates,
) -> Result<(), Error> {
    write_whole(&render(explanation, folder, full, templates)?, path)
}

/// The page as HTML.
///
/// # Errors
/// If a template is wrong.
pub fn render(
    explanation: &Explanation,
    folder: &Path,
    full: bool,
    templates: &Templates,
) -> Result<String, Error> {
    let mut plots: (Option<Plot>, Option<Plot>) = (None, None);
    let (mut heading, mut length, mut influence, mut spoiled) =
        (explanation.kind.to_owned(), 0, 0.0, false);
    let mut retrieved_by: Vec<String> = Vec::new();
    match &explanation.of {
        Of::Sample(life) => {
            heading = life.id.chars().take(12).collect();
            length = life.text.chars().count();
            influence = life.influence.iter().map(|one| one.value).sum();
            spoiled = life.judgements.iter().any(|one| one.spoiled);
            let losses: Vec<(f64, f64)> = life
                .epochs
                .iter()
                .filter_map(|one| Some((one.epoch as f64, one.mean_loss?)))
                .collect();
            let cosines: Vec<(f64, f64)> = life
                .scores
                .iter()
                .enumerate()
                .map(|(place, one)| ((place + 1) as f64, one.similarity))
                .collect();
            plots = (
                curve("x.chart-loss", ("x.unit-epoch", "x.col-loss"), losses),
                curve(
                    "x.chart-cosine",
                    ("x.unit-scoring", "x.col-cosine"),
                    cosines,
                ),
            );
        }
        Of::Anchor(life) => {
            heading.clone_from(&life.id);
            length = life.text.chars().count();
            for one in &life.retrieved {
                if !retrieved_by.contains(&one.model) {
                    retrieved_by.push(one.model.clone());
                }
            }
        }
        Of::Document(life) => {
            heading.clone_from(&life.id);
            length = life.text.chars().count();
        }
        Of::Worst(_) | Of::Suspects(_) => {}
    }
    let (long, most) = if full {
        (LONGEST, LONGEST)
    } else {
        (LONG, MOST)
    };
    let context = minijinja::context! {
        version => env!("CARGO_PKG_VERSION"),
        folder => quoted(folder),
        text_length => length,
        influence_total => influence,
        heading, spoiled, retrieved_by, long, most,
        loss => Value::from(Serde(&plots.0)),
        cosine => Value::from(Serde(&plots.1)),
        ..Value::from(Serde(explanation))
    };
    templates.render("explain.html.j2", context)
}

/// A line, if there are two points of it.
fn curve(
    title: &'static str,
    (x, y): (&'static str, &'static str),
    points: Vec<(f64, f64)>,
) -> Option<Plot> {
    if points.len() < 2 {
        return None;
    }
    let series = [Series::new(Name::word(title), 0, points)];
    let mut plot = lines(
        Name::word(title),
        Name::word(x),
        Name::word(y),
        None,
        &series,
    );
    // Its title names the one line.
    plot.legend.clear();
    Some(plot)
}

/// A folder as a shell takes it.
fn quoted(folder: &Path) -> String {
    let shown = folder.display().to_string();
    let plain = |one: char| one.is_ascii_alphanumeric() || "/._-".contains(one);
    if !shown.is_empty() && shown.chars().all(plain) {
        return shown;
    }
    format!("'{}'", shown.replace('\'', "'\\''"))
}
