//! The page of a comparison of runs: its results as tables with intervals, its queries as points, what differs in plans, pools
//! and samples. It is drawn from what `compare --json` prints.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::{Serde, Value};
use serde::{Deserialize, Serialize};

use crate::charts::{Interval, Plot, Scale, extent, round};
use crate::words::{Name, Said};
use crate::{Error, Templates, write_whole};

/// What is read of a comparison: the rest goes to the template as it is.
#[derive(Deserialize)]
struct Compared {
    baseline: String,
    variants: Vec<Variant>,
    rows: Vec<Row>,
    #[serde(default)]
    queries: Vec<Queries>,
    #[serde(default)]
    sources: Vec<Pull>,
}

#[derive(Deserialize)]
struct Variant {
    name: String,
    seeds: Vec<u64>,
}

#[derive(Deserialize, Serialize)]
struct Row {
    slice: String,
    metric: String,
    variant: String,
    queries: u64,
    mean: f64,
    deviation: Option<f64>,
    baseline: Option<String>,
    difference: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    p: Option<f64>,
    p_holm: Option<f64>,
    wins: Option<u64>,
    ties: Option<u64>,
    losses: Option<u64>,
    #[serde(skip_deserializing)]
    interval: Option<Interval>,
}

#[derive(Deserialize)]
struct Queries {
    slice: String,
    metric: String,
    variant: String,
    baseline: String,
    points: Vec<Point>,
    winners: Vec<serde_json::Value>,
    losers: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Point {
    before: f64,
    after: f64,
}

#[derive(Deserialize, Serialize)]
struct Pull {
    source: String,
    with: String,
    without: String,
    slice: String,
    metric: String,
    queries: u64,
    difference: f64,
    low: f64,
    high: f64,
    p: f64,
    p_holm: f64,
    #[serde(skip_deserializing)]
    interval: Option<Interval>,
}

/// Rows of a slice and a metric.
#[derive(Serialize)]
struct Table<R> {
    slice: String,
    /// What the slice is called.
    word: &'static str,
    metric: String,
    queries: u64,
    scale: Scale,
    rows: Vec<R>,
}

/// A variant and what it is compared with, query by query.
#[derive(Serialize)]
struct Pair {
    variant: String,
    baseline: String,
    /// By the first metric: test, validation.
    plots: Vec<Plot>,
    slice: String,
    metric: String,
    winners: Vec<serde_json::Value>,
    losers: Vec<serde_json::Value>,
}

/// Writes the page of a comparison, which `listed` samples of each kind are listed in, whole or not at all.
///
/// # Errors
/// If it cannot be read, a template is wrong or the file cannot be written.
pub fn write(
    comparison: &impl Serialize,
    listed: usize,
    path: &Path,
    templates: &Templates,
) -> Result<(), Error> {
    write_whole(&render(comparison, listed, templates)?, path)
}

/// The page as HTML.
///
/// # Errors
/// If the comparison cannot be read or a template is wrong.
pub fn render(
    comparison: &impl Serialize,
    listed: usize,
    templates: &Templates,
) -> Result<String, Error> {
    let not_ours = |error: serde_json::Error| Error::Template {
        ours: true,
        why: format!("a comparison cannot be understood: {error}"),
    };
    let mut whole = serde_json::to_value(comparison).map_err(not_ours)?;
    let compared: Compared = serde_json::from_value(whole.clone()).map_err(not_ours)?;
    // Placed below; there may be many.
    if let Some(all) = whole.as_object_mut() {
        all.remove("queries");
    }
    let stepwise = compared
        .rows
        .iter()
        .filter_map(|row| row.baseline.as_ref())
        .any(|baseline| *baseline != compared.baseline);
    let names: Vec<String> = compared
        .variants
        .iter()
        .map(|one| one.name.clone())
        .collect();
    let several = compared.variants.iter().any(|one| one.seeds.len() > 1);
    let opening = opening(&compared);
    let new_documents = compared
        .rows
        .iter()
        .any(|row| row.slice == "test_new_documents");
    let context = minijinja::context! {
        version => env!("CARGO_PKG_VERSION"),
        names, several, stepwise, listed, new_documents,
        opening => Value::from(Serde(&opening)),
        tables => Value::from(Serde(&tables(compared.rows))),
        pairs => Value::from(Serde(&pairs(compared.queries))),
        pulls => Value::from(Serde(&tables(compared.sources))),
        ..Value::from(Serde(&whole))
    };
    templates.render("compare.html.j2", context)
}

/// By the first metric on the test, or on validation where there is no test: what each variant came to.
fn opening(compared: &Compared) -> Vec<Said> {
    let of = |slice: &str| -> Vec<&Row> {
        let metric = compared.rows.first().map(|row| row.metric.as_str());
        let of_slice = compared.rows.iter().filter(|row| row.slice == slice);
        of_slice
            .filter(|row| Some(row.metric.as_str()) == metric && row.difference.is_some())
            .collect()
    };
    let rows = match of("test") {
        rows if rows.is_empty() => of("validation"),
        rows => rows,
    };
    rows.iter()
        .map(|row| {
            let difference = row.difference.unwrap_or_default();
            let told_apart = row.p_holm.is_some_and(|p| p < 0.05);
            let word = match (told_apart, difference > 0.0) {
                (true, true) => "c.better",
                (true, false) => "c.worse",
                (false, _) => "c.open",
            };
            Said::of(word)
                .with("variant", row.variant.as_str())
                .with("baseline", row.baseline.as_deref().unwrap_or_default())
                .with("metric", row.metric.as_str())
                .saying("slice", &Said::of(word_of(&row.slice)))
                .with("difference", difference)
                .with("low", row.low.unwrap_or_default())
                .with("high", row.high.unwrap_or_default())
                .with("p", row.p_holm.unwrap_or(1.0))
        })
        .collect()
}

fn word_of(slice: &str) -> &'static str {
    match slice {
        "validation" => "c.slice-validation",
        "test" => "c.slice-test",
        _ => "c.slice-new",
    }
}

/// What a table is made of.
trait Line {
    fn slice(&self) -> &str;
    fn metric(&self) -> &str;
    fn queries(&self) -> u64;
    /// What its interval is drawn of.
    fn measured(&self) -> Option<Interval>;
    fn interval(&mut self) -> &mut Option<Interval>;
}

impl Line for Row {
    fn slice(&self) -> &str {
        &self.slice
    }

    fn metric(&self) -> &str {
        &self.metric
    }

    fn queries(&self) -> u64 {
        self.queries
    }

    fn measured(&self) -> Option<Interval> {
        Some(Interval {
            mean: self.difference?,
            low: self.low?,
            high: self.high?,
            n: self.queries,
        })
    }

    fn interval(&mut self) -> &mut Option<Interval> {
        &mut self.interval
    }
}

impl Line for Pull {
    fn slice(&self) -> &str {
        &self.slice
    }

    fn metric(&self) -> &str {
        &self.metric
    }

    fn queries(&self) -> u64 {
        self.queries
    }

    fn measured(&self) -> Option<Interval> {
        Some(Interval {
            mean: self.difference,
            low: self.low,
            high: self.high,
            n: self.queries,
        })
    }

    fn interval(&mut self) -> &mut Option<Interval> {
        &mut self.interval
    }
}

/// A table a slice and metric, of rows that follow one another, over one scale.
fn tables<R: Line>(rows: Vec<R>) -> Vec<Table<R>> {
    let mut tables: Vec<Table<R>> = Vec::new();
    for mut row in rows {
        let measured = row.measured();
        *row.interval() = measured;
        match tables.last_mut() {
            Some(table) if table.slice == row.slice() && table.metric == row.metric() => {
                table.queries = table.queries.max(row.queries());
                table.rows.push(row);
            }
            _ => tables.push(Table {
                slice: row.slice().to_owned(),
                word: word_of(row.slice()),
                metric: row.metric().to_owned(),
                queries: row.queries(),
                scale: Scale::of([].iter(), true),
                rows: vec![row],
            }),
        }
    }
    for table in &mut tables {
        let intervals: Vec<Interval> = table.rows.iter().filter_map(Line::measured).collect();
        table.scale = Scale::of(intervals.iter(), true);
    }
    tables
}

fn pairs(queries: Vec<Queries>) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let first = queries.first().map(|one| one.metric.clone());
    for one in queries {
        if Some(&one.metric) != first.as_ref() {
            continue;
        }
        let plot = scatter(&one);
        match pairs.iter_mut().find(|pair| pair.variant == one.variant) {
            Some(pair) => {
                // Test goes before validation.
                pair.plots.insert(0, plot);
                (pair.slice, pair.winners, pair.losers) = (one.slice, one.winners, one.losers);
            }
            None => pairs.push(Pair {
                plots: vec![plot],
                variant: one.variant,
                baseline: one.baseline,
                slice: one.slice,
                metric: one.metric,
                winners: one.winners,
                losers: one.losers,
            }),
        }
    }
    pairs
}

/// The queries as points. Those that lie at one place are one point: there may be very many of them.
fn scatter(queries: &Queries) -> Plot {
    let values = queries
        .points
        .iter()
        .flat_map(|point| [point.before, point.after]);
    let (low, high) = extent(values.chain([0.0, 1.0]));
    let title = Said::of("c.scatter")
        .with("metric", queries.metric.as_str())
        .saying("slice", &Said::of(word_of(&queries.slice)))
        .with("variant", queries.variant.as_str())
        .with("baseline", queries.baseline.as_str());
    let units = (
        Name::Data(queries.baseline.clone()),
        Name::Data(queries.variant.clone()),
    );
    let mut plot = Plot::over(title.into(), units, [low, high, low, high]);
    let corner = |value: f64| format!("{} {}", round(plot.across(value)), round(plot.down(value)));
    let diagonal = format!("M{}L{}", corner(low), corner(high));
    plot.layer("equal", diagonal);
    let mut places: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    let cell = |value: f64| ((value - low) / (high - low) * 200.0).round() as i64;
    for point in &queries.points {
        *places
            .entry((cell(point.before), cell(point.after)))
            .or_default() += 1;
    }
    let value = |cell: i64| low + (high - low) * cell as f64 / 200.0;
    let of = |several: bool| -> Vec<(f64, f64)> {
        let wanted = places.iter().filter(|(_, n)| (**n > 1) == several);
        wanted.map(|((x, y), _)| (value(*x), value(*y))).collect()
    };
    let (one, more) = (of(false), of(true));
    const DASH: &str = "M1 11L25 1";
    const DOT: &str = "M13 6h0";
    plot.key(Name::word("c.equal"), "equal", DASH);
    if !one.is_empty() {
        plot.points("dots s0", one.into_iter());
        plot.key(Name::word("c.one-query"), "dots s0", DOT);
    }
    if !more.is_empty() {
        plot.points("dot s1", more.into_iter());
        plot.key(Name::word("c.more-queries"), "dot s1", DOT);
    }
    plot
}
