//! What failed? Differences claim by claim, and the worst claims with what was retrieved instead.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_store::Store;
use serde::Serialize;

use crate::Error;
use crate::better::named;
use crate::charts::{Plot, extent};
use crate::figure::{Figure, Row, count, number, quoted, rows, text};
use crate::view::Run;
use crate::words::{Name, Said};

/// The section of what failed.
#[derive(Serialize)]
pub struct Failures {
    pub changes: Figure<Vec<Change>>,
    pub scatter: Figure<Plot>,
    pub worst: Figure<Worst>,
}

/// Trained minus another model, claim by claim.
#[derive(Serialize)]
pub struct Change {
    pub model: Name,
    pub plot: Plot,
    pub better: u64,
    pub equal: u64,
    pub worse: u64,
}

#[derive(Serialize)]
pub struct Worst {
    pub all: u64,
    /// Whether what was retrieved is in the store.
    pub retrieved: bool,
    pub rows: Vec<Failure>,
}

/// A claim that failed.
#[derive(Serialize)]
pub struct Failure {
    #[serde(flatten)]
    pub row: Row,
    /// What the trained model put first.
    pub retrieved: Vec<Found>,
    /// What should have been found.
    pub wanted: Vec<Row>,
}

#[derive(Serialize)]
pub struct Found {
    #[serde(flatten)]
    pub row: Row,
    /// Words that it shares with the claim, some of them.
    pub shared: Vec<String>,
}

/// Claims that are shown.
const SHOWN: usize = 50;

impl Failures {
    pub(crate) fn of(store: &Store, run: &Run) -> Result<Self, Error> {
        let (changes, scatter) = changes(store, run)?;
        Ok(Self {
            changes,
            scatter,
            worst: worst(store, run)?,
        })
    }
}

fn changes(store: &Store, run: &Run) -> Result<(Figure<Vec<Change>>, Figure<Plot>), Error> {
    let sql = format!(
        "SELECT b.model, a.id AS anchor, b.value AS other, t.value AS trained, t.value - b.value AS difference
FROM evaluation t JOIN evaluation b ON b.anchor = t.anchor AND b.metric = t.metric AND b.model IN ('bm25', 'initial')
JOIN anchor a ON a.number = t.anchor
WHERE t.model = 'trained' AND t.metric = {} AND a.split = {} ORDER BY b.model, difference, a.number",
        quoted(&run.metric),
        quoted(&run.split)
    );
    let found = rows(store, &sql)?;
    let of = |model: &str| -> Vec<(f64, f64)> {
        let of_model = found.iter().filter(|row| text(row, "model") == model);
        of_model
            .map(|row| (number(row, "other"), number(row, "trained")))
            .collect()
    };
    let mut all = Vec::new();
    for (model, class) in [("bm25", "s0"), ("initial", "s1")] {
        let pairs = of(model);
        if !pairs.is_empty() {
            all.push(change(model, class, &pairs, run));
        }
    }
    let n = found
        .iter()
        .filter(|row| text(row, "model") == "bm25")
        .count() as u64;
    let scatter = Figure::some(
        "scatter",
        sql.clone(),
        (n > 0).then(|| scatter(&of("bm25"), run)),
        "why.not-trained",
    )
    .of(n);
    Ok((
        Figure::some(
            "changes",
            sql,
            (!all.is_empty()).then_some(all),
            "why.not-trained",
        )
        .of(n),
        scatter,
    ))
}

/// Bars of the differences in order.
fn change(model: &str, class: &str, pairs: &[(f64, f64)], run: &Run) -> Change {
    let differences: Vec<f64> = pairs
        .iter()
        .map(|(other, trained)| trained - other)
        .collect();
    let (low, high) = extent(differences.iter().copied().chain([0.0]));
    let title = Said::of("chart.changes").saying(
        "model",
        &match named(model) {
            Name::Word(said) => said,
            Name::Data(_) => Said::of("model.bm25"),
        },
    );
    let unit = Said::of("unit.difference").with("metric", run.metric.clone());
    let mut plot = Plot::over(
        title.into(),
        (Name::word("unit.claims"), unit.into()),
        [0.0, differences.len() as f64, low, high],
    );
    // At most so many bars: means of equal stretches.
    let stretch = differences.len().div_ceil(190).max(1);
    let (mut up, mut down) = (String::new(), String::new());
    for (place, chunk) in differences.chunks(stretch).enumerate() {
        let mean = chunk.iter().sum::<f64>() / chunk.len() as f64;
        let left = plot.across((place * stretch) as f64);
        let right = plot.across((place * stretch + chunk.len()) as f64);
        let (zero, at) = (plot.down(0.0), plot.down(mean));
        let d = format!("M{left:.1} {zero:.1}V{at:.1}H{right:.1}V{zero:.1}z");
        if mean > 0.0 {
            up.push_str(&d);
        } else if mean < 0.0 {
            down.push_str(&d);
        }
    }
    plot.layer("bars pos", up);
    plot.layer("bars neg", down);
    let count =
        |matches: fn(f64) -> bool| differences.iter().filter(|one| matches(**one)).count() as u64;
    let _ = class;
    Change {
        model: named(model),
        better: count(|one| one > 1e-9),
        equal: count(|one| one.abs() <= 1e-9),
        worse: count(|one| one < -1e-9),
        plot,
    }
}

/// Each claim by BM25 and by the trained model; equal pairs are one dot.
fn scatter(pairs: &[(f64, f64)], run: &Run) -> Plot {
    let of = |model: &str| -> Name {
        Said::of("unit.of-model")
            .with("metric", run.metric.clone())
            .with("model", model)
            .into()
    };
    let trained = Said::of("unit.of-trained").with("metric", run.metric.clone());
    let mut plot = Plot::over(
        Name::word("chart.scatter"),
        (of("BM25"), trained.into()),
        [0.0, 1.0, 0.0, 1.0],
    );
    let mut cells: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for (other, mine) in pairs {
        *cells
            .entry((
                (other * 100.0).round() as i64,
                (mine * 100.0).round() as i64,
            ))
            .or_default() += 1;
    }
    let d = format!("M{} {}L{} {}", plot.left, plot.bottom, plot.right, plot.top);
    plot.layer("zero", d);
    for (class, range) in [
        ("dots small", 1..2),
        ("dots medium", 2..5),
        ("dots large", 5..usize::MAX),
    ] {
        let of_size = cells.iter().filter(|(_, n)| range.contains(*n));
        plot.points(
            &format!("{class} s0"),
            of_size.map(|((x, y), _)| (*x as f64 / 100.0, *y as f64 / 100.0)),
        );
    }
    plot.note(Name::word("note.scatter"))
}

fn worst(store: &Store, run: &Run) -> Result<Figure<Worst>, Error> {
    let (metric, split) = (quoted(&run.metric), quoted(&run.split));
    let sql = format!(
        "SELECT a.number, a.id AS anchor, substr(x.content, 1, 300) AS text, length(x.content) AS length,
       t.value AS trained, t.first_relevant AS trained_rank, b.value AS bm25, b.first_relevant AS bm25_rank,
       i.value AS initial, i.first_relevant AS initial_rank
FROM evaluation t JOIN anchor a ON a.number = t.anchor JOIN text x ON x.id = a.text
LEFT JOIN evaluation b ON b.model = 'bm25' AND b.anchor = t.anchor AND b.metric = t.metric
LEFT JOIN evaluation i ON i.model = 'initial' AND i.anchor = t.anchor AND i.metric = t.metric
WHERE t.model = 'trained' AND t.metric = {metric} AND a.split = {split}
ORDER BY t.value, coalesce(b.value, 0) DESC, coalesce(i.value, 0) DESC, a.number LIMIT {SHOWN}"
    );
    let found = rows(store, &sql)?;
    if found.is_empty() {
        return Ok(Figure::empty("worst", sql, Said::of("why.not-trained")));
    }
    let all = rows(
        store,
        &format!(
            "SELECT count(*) AS n FROM evaluation t JOIN anchor a ON a.number = t.anchor
             WHERE t.model = 'trained' AND t.metric = {metric} AND a.split = {split}"
        ),
    )?;
    let list: Vec<String> = found
        .iter()
        .map(|row| count(row, "number").to_string())
        .collect();
    let list = list.join(", ");
    let mut retrieved: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    for row in rows(store, &retrieved_sql(&list))? {
        retrieved
            .entry(count(&row, "number"))
            .or_default()
            .push(row);
    }
    let mut wanted: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    for row in rows(store, &wanted_sql(&list))? {
        let of_anchor = wanted.entry(count(&row, "number")).or_default();
        if of_anchor.len() < 3 {
            of_anchor.push(row);
        }
    }
    let any = !retrieved.is_empty();
    let rows = found
        .into_iter()
        .map(|row| {
            let number = count(&row, "number");
            let claim = words(text(&row, "text"));
            let of_anchor = retrieved.remove(&number).unwrap_or_default();
            let shared = |found: &Row| {
                let there = words(&format!(
                    "{} {}",
                    text(found, "title"),
                    text(found, "beginning")
                ));
                claim.intersection(&there).take(8).cloned().collect()
            };
            Failure {
                retrieved: of_anchor
                    .into_iter()
                    .map(|mut row| {
                        let shared = shared(&row);
                        row.remove("beginning");
                        Found { row, shared }
                    })
                    .collect(),
                wanted: wanted.remove(&number).unwrap_or_default(),
                row,
            }
        })
        .collect();
    let shown = Worst {
        all: all.first().map_or(0, |row| count(row, "n")),
        retrieved: any,
        rows,
    };
    Ok(Figure::new("worst", sql, shown))
}

/// What the trained model retrieved, and what training knew of it.
fn retrieved_sql(anchors: &str) -> String {
    format!(
        "WITH found AS MATERIALIZED (SELECT anchor, rank, document, score FROM retrieved WHERE model = 'trained' AND rank <= 10 AND anchor IN ({anchors})),
     trained_on AS MATERIALIZED (
       SELECT s.document, sum(s.role = 'positive') AS positives, sum(s.role = 'negative') AS negatives FROM sample s
       WHERE s.document IN (SELECT document FROM found) AND s.id IN (SELECT sample FROM use) GROUP BY s.document)
SELECT f.anchor AS number, f.rank, f.score, d.id AS document, substr(d.title, 1, 140) AS title, substr(x.content, 1, 1500) AS beginning,
       EXISTS (SELECT 1 FROM judgement j WHERE j.anchor = f.anchor AND j.document = f.document) AS relevant,
       (SELECT rank FROM retrieved r WHERE r.model = 'bm25' AND r.anchor = f.anchor AND r.document = f.document) AS bm25_rank,
       coalesce(o.positives, 0) AS positives, coalesce(o.negatives, 0) AS negatives
FROM found f JOIN document d ON d.number = f.document JOIN text x ON x.id = d.text LEFT JOIN trained_on o ON o.document = f.document
ORDER BY f.anchor, f.rank"
    )
}

fn wanted_sql(anchors: &str) -> String {
    format!(
        "SELECT j.anchor AS number, d.id AS document, substr(d.title, 1, 140) AS title, min(j.label) AS label,
       (SELECT rank FROM retrieved r WHERE r.model = 'trained' AND r.anchor = j.anchor AND r.document = j.document) AS rank,
       (SELECT rank FROM retrieved r WHERE r.model = 'bm25' AND r.anchor = j.anchor AND r.document = j.document) AS bm25_rank
FROM judgement j JOIN document d ON d.number = j.document WHERE j.anchor IN ({anchors})
GROUP BY j.anchor, j.document ORDER BY j.anchor, j.document"
    )
}

/// The longer words of a text.
fn words(text: &str) -> BTreeSet<String> {
    let parts = text.split(|one: char| !one.is_alphanumeric());
    parts
        .filter(|word| word.chars().count() > 3)
        .map(str::to_lowercase)
        .collect()
}
