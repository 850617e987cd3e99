//! `orchestrator compare`: which runs are compared, and the tables that people see.

use std::path::{Path, PathBuf};

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::Error;
use orchestrator_engine::comparing::{
    self, Comparison, ComparisonRow, Group, Reference, SampleCount, SampleDifference,
};
use orchestrator_engine::sweeping::Sweep;
use orchestrator_reports::Templates;
use serde_json::{Value, json};

use crate::args::Compare;
use crate::commands::internal;
use crate::show;
use crate::terminal::visible;

/// Runs by their folders, or the runs of one sweep.
pub fn run(asked: &Compare, json: bool) -> Result<(), Diagnostics> {
    let mut extended = None;
    let groups = match asked.runs.as_slice() {
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
    let reference = match (
        asked.stepwise,
        extended,
        asked.baseline.as_deref(),
        groups.first(),
    ) {
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
    /// So many are shown on a page, unless the user says.
    const ON_PAGE: u32 = 20;
    let listed = asked
        .samples
        .unwrap_or(if asked.html.is_some() { ON_PAGE } else { 0 });
    let comparison = comparing::compare(&groups, &reference, &asked.metrics, listed as usize)
        .map_err(Error::into_diagnostics)?;
    if let Some(file) = &asked.html {
        Templates::ours()
            .and_then(|templates| {
                orchestrator_reports::compare::write(&comparison, listed as usize, file, &templates)
            })
            .map_err(|error| Diagnostic::new(Kind::Data, error.to_string()).help(error.help()))?;
        show::out(&if json {
            format!("{}\n", json!({ "page": file }))
        } else {
            format!("{}\n", file.display())
        });
    } else if json {
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
            "     {} {:>4} {:>4} {:>4}",
            told(one.difference, (one.low, one.high), (one.p, one.p_holm)),
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

/// A difference with its interval, and how likely it is by chance, before and after Holm's correction; a star where it is told apart.
fn told(difference: f64, (low, high): (f64, f64), (p, p_holm): (f64, f64)) -> String {
    format!(
        "{difference:+.4}  [{low:+.4}, {high:+.4}]  {}  {}{}",
        probability(p),
        probability(p_holm),
        if p_holm < 0.05 { '*' } else { ' ' },
    )
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
        let samples = comparison.samples.iter();
        for one in samples.filter(|one| one.variant == plan.variant) {
            text.push_str(&of_samples(one));
        }
        text.push_str(&of_queries(comparison, &plan.variant));
    }
    text.push_str(&pulls(comparison));
    text
}

/// The exact difference of the samples, and some of them.
fn of_samples(difference: &SampleDifference) -> String {
    let (baseline, variant) = (&difference.baseline, &difference.variant);
    let mut text = String::from("  samples, in the pool or not\n");
    let words = |one: &SampleCount| {
        let mut parts = vec![
            format!("{} in both", one.both),
            format!("{} only in {baseline}", one.only_baseline),
            format!("{} only in {variant}", one.only_variant),
        ];
        for (n, what) in [
            (one.other_label, "with another label".to_owned()),
            (one.other_weight, "with another weight".to_owned()),
            (one.other_verdict, "judged differently".to_owned()),
            (one.entered, format!("in the pool of {variant} alone")),
            (one.left, format!("in the pool of {baseline} alone")),
        ] {
            if n > 0 {
                parts.push(format!("of both {n} {what}"));
            }
        }
        parts.join(", ")
    };
    for one in &difference.counts {
        text.push_str(&format!(
            "    {}, {}s: {}\n",
            one.source,
            one.role,
            words(one)
        ));
    }
    text.push_str(&format!("    in total: {}\n", words(&difference.total())));
    let Some(listed) = &difference.listed else {
        return text;
    };
    for (name, rows) in [
        (baseline, &listed.only_baseline),
        (variant, &listed.only_variant),
    ] {
        if !rows.is_empty() {
            text.push_str(&format!("  only in {name}\n"));
        }
        for one in rows {
            text.push_str(&format!(
                "    {} {} of {}, {}{} uses: {} | {}\n",
                &one.id[..one.id.len().min(12)],
                one.role,
                one.source,
                if one.kept { "" } else { "not in the pool, " },
                one.uses,
                beginning(&one.anchor_text),
                beginning(&one.text)
            ));
        }
    }
    if !listed.changed.is_empty() {
        text.push_str("  in both, and not the same\n");
    }
    for one in &listed.changed {
        let state = |place: usize| match (&one.dropped_by[place], one.kept[place]) {
            (_, true) => "in the pool".to_owned(),
            (Some(filter), _) => format!("dropped by {filter}"),
            (None, false) => "mined away".to_owned(),
        };
        text.push_str(&format!(
            "    {} {} of {}, label {} -> {}, weight {} -> {}, {} -> {}: {} | {}\n",
            &one.id[..one.id.len().min(12)],
            one.role,
            one.source,
            one.label[0],
            one.label[1],
            one.weight[0],
            one.weight[1],
            state(0),
            state(1),
            beginning(&one.anchor_text),
            beginning(&one.text)
        ));
    }
    text
}

/// The queries that gain and lose most by the first metric, of the test if there is one.
fn of_queries(comparison: &Comparison, variant: &str) -> String {
    /// Of each.
    const SHOWN: usize = 3;
    let of_variant = |slice: &str| {
        let mut all = comparison.queries.iter();
        all.find(|one| one.variant == variant && one.slice == slice)
    };
    let Some(of) = of_variant("test").or_else(|| of_variant("validation")) else {
        return String::new();
    };
    let mut text = String::new();
    for (title, rows) in [("gain", &of.winners), ("lose", &of.losers)] {
        if !rows.is_empty() {
            text.push_str(&format!(
                "  queries that {title} most ({}, {})\n",
                of.slice, of.metric
            ));
        }
        for one in rows.iter().take(SHOWN) {
            text.push_str(&format!(
                "    {:+.4} ({:.4} -> {:.4})  {}: {}\n",
                one.difference,
                one.before,
                one.after,
                visible(&one.anchor),
                beginning(&one.text)
            ));
        }
    }
    text
}

/// What each source brings, where variants differ by one.
fn pulls(comparison: &Comparison) -> String {
    if comparison.sources.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\nWhat one source brings: variants that differ by it alone, with it minus without it\n",
    );
    let width = comparison
        .sources
        .iter()
        .map(|one| one.source.chars().count());
    let width = width.max().unwrap_or(0);
    let mut last = ("", "");
    for one in &comparison.sources {
        if last != (one.slice, &one.metric) {
            last = (one.slice, &one.metric);
            text.push_str(&format!(
                "  {}, {}\n",
                one.slice.replace('_', " "),
                one.metric
            ));
        }
        text.push_str(&format!(
            "    {:width$}  {}  {} minus {}\n",
            one.source,
            told(one.difference, (one.low, one.high), (one.p, one.p_holm)),
            one.with,
            one.without
        ));
    }
    text
}

/// The beginning of a text, on one line.
fn beginning(text: &str) -> String {
    const LONGEST: usize = 80;
    let shown = visible(text);
    match shown.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
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
    // Query by query is what `compare` is asked for.
    if let Some(all) = value.as_object_mut() {
        all.remove("queries");
    }
    let runs = value["variants"].as_array_mut().into_iter().flatten();
    for run in runs.flat_map(|variant| variant["runs"].as_array_mut().into_iter().flatten()) {
        let name = run.as_str().and_then(|path| Path::new(path).file_name());
        *run = json!(name.unwrap_or_default().to_string_lossy());
    }
    value
}
