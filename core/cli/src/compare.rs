//! `orchestrator compare`: which runs are compared, and the tables that people see.

use std::path::{Path, PathBuf};

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::Error;
use orchestrator_engine::comparing::{self, Comparison, ComparisonRow, Group, Reference};
use orchestrator_engine::sweeping::Sweep;
use serde_json::{Value, json};

use crate::commands::internal;
use crate::show;

/// Runs by their folders, or the runs of one sweep.
pub fn run(
    folders: &[PathBuf],
    baseline: Option<&str>,
    stepwise: bool,
    metrics: &[String],
    json: bool,
) -> Result<(), Diagnostics> {
    let mut extended = None;
    let groups = match folders {
        [folder] if Sweep::is_in(folder) => {
            let sweep = Sweep::read(folder).map_err(Error::into_diagnostics)?;
            extended = Some(sweep.extended());
            sweep.groups(folder).map_err(Error::into_diagnostics)?
        }
        [folder] => {
            return Err(Diagnostic::new(
                Kind::Experiment,
                format!(
                    "`{}` is one run, with nothing to compare it to",
                    folder.display()
                ),
            )
            .help("give two runs or more, or the folder of a sweep")
            .into());
        }
        several => named(several)?,
    };
    let reference = match (stepwise, extended, baseline, groups.first()) {
        (true, Some(extended), ..) => Reference::Each(extended),
        (true, None, ..) => {
            return Err(Diagnostic::new(
                Kind::Experiment,
                "--stepwise is for a sweep, whose variants extend one another",
            )
            .help("of runs, --baseline says which the others are compared with")
            .into());
        }
        (false, _, Some(given), _) => Reference::One(by_name_or_folder(given, &groups)),
        (false, _, None, Some(first)) => Reference::One(first.name.clone()),
        (false, _, None, None) => Reference::One(String::new()),
    };
    let comparison =
        comparing::compare(&groups, &reference, metrics).map_err(Error::into_diagnostics)?;
    if json {
        let value = serde_json::to_value(&comparison)
            .map_err(|error| internal("cannot write the comparison", &error))?;
        show::out(&format!("{value}\n"));
    } else {
        show::out(&text(&comparison));
    }
    Ok(())
}

/// Each folder is a variant, called by its last part if no other ends in the same.
fn named(folders: &[PathBuf]) -> Result<Vec<Group>, Diagnostics> {
    let last = |folder: &Path| {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let mut groups: Vec<Group> = Vec::new();
    for folder in folders {
        if Sweep::is_in(folder) {
            return Err(Diagnostic::new(
                Kind::Experiment,
                format!("`{}` is a sweep, of several runs", folder.display()),
            )
            .help("compare a sweep by itself, or give runs within it")
            .into());
        }
        let unique = folders
            .iter()
            .filter(|one| last(one) == last(folder))
            .count()
            == 1;
        let name = if unique {
            last(folder)
        } else {
            folder.display().to_string()
        };
        if groups.iter().any(|group| group.name == name) {
            return Err(Diagnostic::new(
                Kind::Experiment,
                format!("`{}` is given twice", folder.display()),
            )
            .into());
        }
        groups.push(Group {
            name,
            runs: vec![folder.clone()],
            missing: Vec::new(),
        });
    }
    Ok(groups)
}

fn by_name_or_folder(given: &str, groups: &[Group]) -> String {
    let is_it = |group: &&Group| {
        group.name == given
            || group
                .runs
                .iter()
                .any(|run| run.as_path() == Path::new(given))
    };
    groups
        .iter()
        .find(is_it)
        .map_or_else(|| given.to_owned(), |group| group.name.clone())
}

/// All of it for people.
pub fn text(comparison: &Comparison) -> String {
    let mut text = tables(comparison);
    if comparison.comparisons > 0 {
        text.push_str(&format!(
            "\n* p < 0.05 after Holm's correction for all {} comparisons above. p is of a two-sided paired randomisation test over\n  \
             queries; the interval is a 95 % bootstrap interval of the mean difference{}.\n",
            comparison.comparisons,
            if is_stepwise(comparison) {
                " to the variant named last".to_owned()
            } else {
                format!(" to {}", comparison.baseline)
            }
        ));
    }
    if comparison
        .rows
        .iter()
        .any(|row| row.slice == "test_new_documents")
    {
        text.push_str("  Of the test, \"new documents\" are the queries that share no document with training.\n");
    }
    for variant in comparison
        .variants
        .iter()
        .filter(|one| !one.missing.is_empty())
    {
        text.push_str(&format!(
            "  {}: without {}, not finished.\n",
            variant.name,
            variant.missing.join(", ")
        ));
    }
    text.push_str(&differences(comparison));
    text
}

/// Whether not all are compared with the same.
fn is_stepwise(comparison: &Comparison) -> bool {
    let mut against = comparison.plans.iter().map(|plan| &plan.baseline);
    against.any(|baseline| *baseline != comparison.baseline)
}

/// A table for each slice and metric: the variants down.
fn tables(comparison: &Comparison) -> String {
    let widest = comparison
        .variants
        .iter()
        .map(|one| one.name.chars().count());
    let width = widest.max().unwrap_or(0).max("baseline".len());
    let several = comparison.variants.iter().any(|one| one.seeds.len() > 1);
    let stepwise = is_stepwise(comparison);
    let mut text = String::new();
    let mut last = ("", "");
    for row in &comparison.rows {
        if last != (row.slice, &row.metric) {
            last = (row.slice, &row.metric);
            let slice = match row.slice {
                "test_new_documents" => "test, new documents",
                slice => slice,
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!(
                "{slice}, {}, {} queries\n",
                row.metric, row.queries
            ));
            text.push_str(&format!("  {:width$}    mean", ""));
            if several {
                text.push_str("   ± seeds");
            }
            text.push_str("  difference      95 % interval         p      Holm   won tied lost\n");
        }
        text.push_str(&line(row, width, several, stepwise));
    }
    text
}

fn line(row: &ComparisonRow, width: usize, several: bool, stepwise: bool) -> String {
    let mut text = format!("  {:width$}  {:.4}", row.variant, row.mean);
    if several {
        match row.deviation {
            Some(deviation) => text.push_str(&format!("    {deviation:.4}")),
            None => text.push_str("         -"),
        }
    }
    if let Some(one) = &row.against {
        text.push_str(&format!(
            "     {:+.4}  [{:+.4}, {:+.4}]  {}  {}{} {:>4} {:>4} {:>4}",
            one.difference,
            one.low,
            one.high,
            probability(one.p),
            probability(one.p_holm),
            if one.p_holm < 0.05 { '*' } else { ' ' },
            one.wins,
            one.ties,
            one.losses
        ));
        if stepwise {
            text.push_str(&format!("  {}", one.baseline));
        }
    }
    text.push('\n');
    text
}

fn probability(p: f64) -> String {
    if p < 0.0001 {
        "< 0.0001".to_owned()
    } else {
        format!("{p:>8.4}")
    }
}

/// What differs in plans and pools, short.
fn differences(comparison: &Comparison) -> String {
    let mut text = String::new();
    for plan in &comparison.plans {
        text.push_str(&format!(
            "\n{} against {}\n  plan\n",
            plan.variant, plan.baseline
        ));
        if plan.paths.is_empty() {
            text.push_str("    no difference but names and seeds\n");
        }
        for one in &plan.paths {
            let shown = match (&one.before, &one.after) {
                (None, Some(after)) => format!("added {}", short(after)),
                (Some(_), None) => "left out".to_owned(),
                (before, after) => {
                    let of = |value: &Option<Value>| short(value.as_ref().unwrap_or(&Value::Null));
                    format!("{} -> {}", of(before), of(after))
                }
            };
            text.push_str(&format!("    {}: {shown}\n", one.path));
        }
        let pools = comparison.pools.iter();
        for pool in pools.filter(|pool| pool.variant == plan.variant) {
            let over = match pool.runs {
                1 => String::new(),
                n => format!(", over {n} runs"),
            };
            text.push_str(&format!("  samples in the pool{over}\n"));
            for one in &pool.sources {
                text.push_str(&format!(
                    "    {}: {} in both, {} only in {}, {} only in {}\n",
                    one.source,
                    one.both,
                    one.only_baseline,
                    pool.baseline,
                    one.only_variant,
                    pool.variant
                ));
            }
        }
    }
    text
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 72;
    let text = value.get("settings").unwrap_or(value).to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let cut: String = text.chars().take(LONGEST).collect();
    format!("{cut}…")
}

/// The comparison of a sweep as `comparison.json` has it: its runs by their names, wherever the folder lies.
pub fn of_sweep(comparison: &Comparison) -> Value {
    let mut value = json!(comparison);
    let runs = value["variants"].as_array_mut().into_iter().flatten();
    for run in runs.flat_map(|variant| variant["runs"].as_array_mut().into_iter().flatten()) {
        let name = run.as_str().and_then(|path| Path::new(path).file_name());
        *run = json!(name.unwrap_or_default().to_string_lossy());
    }
    value
}
