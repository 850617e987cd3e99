//! Did it get better? Means and paired differences with their intervals, on known and new documents, on slices, by epoch.

use orchestrator_store::Store;
use serde::Serialize;

use crate::Error;
use crate::charts::{Interval, Plot, Scale, Series, lines};
use crate::figure::{Figure, Row, count, epoch_of, number, one, quoted, rows, text};
use crate::view::Run;
use crate::words::{Name, Said};

/// The first section.
#[derive(Serialize)]
pub struct Better {
    /// The trained model's mean of the first metric.
    pub trained: Option<Interval>,
    /// Trained minus another, of the first metric, on the split that is told of.
    pub against: Vec<Difference>,
    pub results: Figure<Vec<Split>>,
    pub differences: Figure<Differences>,
    pub known: Figure<Known>,
    pub curve: Figure<Plot>,
    pub slices: Figure<Slices>,
}

/// Trained minus another, over the same anchors.
#[derive(Serialize, Clone)]
pub struct Difference {
    pub model: Name,
    pub split: String,
    pub metric: String,
    pub interval: Interval,
    /// better, worse, open
    pub verdict: &'static str,
}

#[derive(Serialize)]
pub struct Differences {
    pub rows: Vec<Difference>,
    pub scale: Scale,
}

/// The results on a split.
#[derive(Serialize)]
pub struct Split {
    pub split: String,
    pub anchors: u64,
    pub metrics: Vec<String>,
    pub models: Vec<Model>,
}

#[derive(Serialize)]
pub struct Model {
    pub name: Name,
    pub trained: bool,
    pub values: Vec<Option<Interval>>,
}

/// Test claims whose documents were judged for a training claim too, and the others.
#[derive(Serialize)]
pub struct Known {
    pub known: u64,
    pub new: u64,
    pub rows: Vec<KnownRow>,
}

#[derive(Serialize)]
pub struct KnownRow {
    pub name: Name,
    pub difference: bool,
    pub known: Option<Interval>,
    pub new: Option<Interval>,
}

#[derive(Serialize)]
pub struct Slices {
    pub scale: Scale,
    pub rows: Vec<SliceRow>,
}

/// A slice and a metric with the models' means and what the trained one differs from the others by.
#[derive(Serialize)]
pub struct SliceRow {
    pub slice: String,
    pub metric: String,
    pub n: u64,
    pub few: bool,
    pub models: Vec<SliceModel>,
}

#[derive(Serialize)]
pub struct SliceModel {
    pub name: Name,
    pub class: &'static str,
    pub mean: Option<Interval>,
    /// Trained minus this one.
    pub difference: Option<Interval>,
}

/// What a model is called in a page.
pub(crate) fn named(model: &str) -> Name {
    match model {
        "initial" => Name::word("model.untrained"),
        "bm25" => Name::Data("BM25".to_owned()),
        "trained" => Name::word("model.trained"),
        other => match epoch_of(other) {
            Some(epoch) => Said::of("model.epoch").with("n", epoch).into(),
            None => Name::Data(other.to_owned()),
        },
    }
}

fn interval(row: &Row) -> Option<Interval> {
    Interval::of_moments(
        count(row, "n"),
        number(row, "mean"),
        number(row, "mean_square"),
    )
}

const RESULTS: &str = "SELECT e.model, a.split, e.metric, count(*) AS n, avg(e.value) AS mean, avg(e.value * e.value) AS mean_square
FROM evaluation e JOIN anchor a ON a.number = e.anchor
GROUP BY e.model, a.split, e.metric ORDER BY min(e.tick), e.model, a.split, e.metric";

const DIFFERENCES: &str =
    "SELECT a.split, t.metric, b.model, count(*) AS n, avg(t.value - b.value) AS mean,
       avg((t.value - b.value) * (t.value - b.value)) AS mean_square
FROM evaluation t
JOIN evaluation b ON b.anchor = t.anchor AND b.metric = t.metric AND b.model IN ('initial', 'bm25')
JOIN anchor a ON a.number = t.anchor
WHERE t.model = 'trained'
GROUP BY a.split, t.metric, b.model ORDER BY a.split, t.metric, b.model DESC";

impl Better {
    pub(crate) fn of(store: &Store, run: &Run) -> Result<Self, Error> {
        let results = rows(store, RESULTS)?;
        let of = |model: &str, split: &str, metric: &str| {
            let same = |row: &&Row| {
                text(row, "model") == model
                    && text(row, "split") == split
                    && text(row, "metric") == metric
            };
            results.iter().find(same).and_then(interval)
        };
        let splits: Vec<Split> = ["test", "validation"]
            .into_iter()
            .filter_map(|split| {
                let anchors = results.iter().find(|row| text(row, "split") == split)?;
                let models = ["bm25", "initial", "trained"].into_iter();
                let models = models.filter(|model| of(model, split, &run.metric).is_some());
                Some(Split {
                    split: split.to_owned(),
                    anchors: count(anchors, "n"),
                    metrics: run.metrics.clone(),
                    models: models
                        .map(|model| Model {
                            name: named(model),
                            trained: model == "trained",
                            values: run
                                .metrics
                                .iter()
                                .map(|metric| of(model, split, metric))
                                .collect(),
                        })
                        .collect(),
                })
            })
            .collect();
        let anchors = splits.first().map_or(0, |split| split.anchors);
        let differences = differences(store, run)?;
        let against = differences
            .shown
            .iter()
            .flat_map(|shown| &shown.rows)
            .filter(|row| row.split == run.split && row.metric == run.metric)
            .cloned()
            .collect();
        Ok(Self {
            trained: of("trained", &run.split, &run.metric),
            against,
            results: Figure::some(
                "results",
                RESULTS,
                (!splits.is_empty()).then_some(splits),
                "why.no-evaluation",
            )
            .of(anchors),
            differences,
            known: known(store, run)?,
            curve: curve(&results, run),
            slices: slices(store, run)?,
        })
    }
}

fn differences(store: &Store, run: &Run) -> Result<Figure<Differences>, Error> {
    let mut found: Vec<Difference> = rows(store, DIFFERENCES)?
        .iter()
        .filter_map(|row| {
            let interval = interval(row)?;
            Some(Difference {
                model: named(text(row, "model")),
                split: text(row, "split").to_owned(),
                metric: text(row, "metric").to_owned(),
                interval,
                verdict: interval.verdict(),
            })
        })
        .collect();
    let place = |metric: &str| run.metrics.iter().position(|one| one == metric);
    found.sort_by_key(|one| (one.split.clone(), place(&one.metric)));
    let n = found
        .iter()
        .map(|one| one.interval.n)
        .min()
        .unwrap_or_default();
    let scale = Scale::of(found.iter().map(|one| &one.interval), true);
    let shown = (!found.is_empty()).then_some(Differences { rows: found, scale });
    Ok(Figure::some("differences", DIFFERENCES, shown, "why.not-trained").of(n))
}

fn known(store: &Store, run: &Run) -> Result<Figure<Known>, Error> {
    let metric = quoted(&run.metric);
    let sql = format!(
        "WITH trained_on AS (SELECT DISTINCT j.document FROM judgement j JOIN anchor a ON a.number = j.anchor WHERE a.split = 'train'),
known AS (SELECT DISTINCT j.anchor FROM judgement j JOIN trained_on t ON t.document = j.document),
tested AS (SELECT e.model, e.anchor, e.value, e.anchor IN (SELECT anchor FROM known) AS known
           FROM evaluation e JOIN anchor a ON a.number = e.anchor WHERE a.split = 'test' AND e.metric = {metric})
SELECT model, known, 0 AS difference, count(*) AS n, avg(value) AS mean, avg(value * value) AS mean_square FROM tested
WHERE model IN ('bm25', 'initial', 'trained') GROUP BY model, known
UNION ALL
SELECT b.model, b.known, 1, count(*), avg(t.value - b.value), avg((t.value - b.value) * (t.value - b.value))
FROM tested t JOIN tested b ON b.anchor = t.anchor AND b.model IN ('bm25', 'initial')
WHERE t.model = 'trained' GROUP BY b.model, b.known"
    );
    let found = rows(store, &sql)?;
    let part = |model: &str, difference: u64, known: u64| {
        found.iter().find(|row| {
            text(row, "model") == model
                && count(row, "difference") == difference
                && count(row, "known") == known
        })
    };
    let n = |known| part("initial", 0, known).map_or(0, |row| count(row, "n"));
    let (n_known, n_new) = (n(1), n(0));
    let rows: Vec<KnownRow> = [
        ("bm25", 0),
        ("initial", 0),
        ("trained", 0),
        ("initial", 1),
        ("bm25", 1),
    ]
    .into_iter()
    .map(|(model, difference)| KnownRow {
        name: named(model),
        difference: difference == 1,
        known: part(model, difference, 1).and_then(interval),
        new: part(model, difference, 0).and_then(interval),
    })
    .filter(|row| row.known.is_some() || row.new.is_some())
    .collect();
    Ok(if n_known == 0 || n_new == 0 {
        Figure::empty(
            "known",
            sql,
            Said::of("why.all-alike")
                .with("known", n_known)
                .with("new", n_new),
        )
    } else {
        Figure::new(
            "known",
            sql,
            Known {
                known: n_known,
                new: n_new,
                rows,
            },
        )
        .of(n_known.min(n_new))
    })
}

/// The first metric on validation, by epoch.
fn curve(results: &[Row], run: &Run) -> Figure<Plot> {
    let of_metric: Vec<(&str, Interval)> = results
        .iter()
        .filter(|row| text(row, "split") == "validation" && text(row, "metric") == run.metric)
        .filter_map(|row| Some((text(row, "model"), interval(row)?)))
        .collect();
    let mut own: Vec<(f64, Interval)> = of_metric
        .iter()
        .filter_map(|(model, interval)| Some((f64::from(epoch_of(model)?), *interval)))
        .collect();
    own.sort_by(|a, b| a.0.total_cmp(&b.0));
    if own.len() < 2 {
        return Figure::empty("curve", RESULTS, Said::of("why.no-validation"));
    }
    let mut series = vec![
        Series::new(
            Name::word("model.run"),
            0,
            own.iter().map(|(x, one)| (*x, one.mean)).collect(),
        )
        .with_band(own.iter().map(|(x, one)| (*x, one.low, one.high)).collect()),
    ];
    for (model, interval) in &of_metric {
        if *model == "bm25" || *model == "initial" {
            let points = own.iter().map(|(x, _)| (*x, interval.mean)).collect();
            series.push(Series::new(named(model), series.len(), points));
        }
    }
    let title = Said::of("chart.validation")
        .with("metric", run.metric.clone())
        .into();
    let units = (Name::word("unit.epoch"), Name::Data(run.metric.clone()));
    let plot = lines(title, units.0, units.1, None, &series);
    Figure::new("curve", RESULTS, plot).of(own.first().map_or(0, |(_, one)| one.n))
}

fn slices(store: &Store, run: &Run) -> Result<Figure<Slices>, Error> {
    // Of claims that were edited, the same claims as they were stand beside; of pairs, how often the right one is nearer.
    let clean = format!("clean/{}", run.metric);
    let metrics = format!("{}, {}, 'accuracy'", quoted(&run.metric), quoted(&clean));
    let sql = format!(
        "SELECT slice, metric, model, 0 AS difference, count(*) AS n, avg(value) AS mean, avg(value * value) AS mean_square
FROM slice_score WHERE metric IN ({metrics}) GROUP BY slice, metric, model
UNION ALL
SELECT b.slice, b.metric, b.model, 1, count(*), avg(t.value - b.value), avg((t.value - b.value) * (t.value - b.value))
FROM slice_score t JOIN slice_score b ON b.slice = t.slice AND b.item = t.item AND b.metric = t.metric AND b.model <> 'trained'
WHERE t.model = 'trained' AND t.metric IN ({metrics}) GROUP BY b.slice, b.metric, b.model ORDER BY 1, 2 DESC, 3, 4"
    );
    let found = rows(store, &sql)?;
    let mut names: Vec<(&str, &str)> = found
        .iter()
        .map(|row| (text(row, "slice"), text(row, "metric")))
        .collect();
    names.dedup();
    let part = |of: (&str, &str), model: &str, difference: u64| {
        found.iter().find(|row| {
            (text(row, "slice"), text(row, "metric")) == of
                && text(row, "model") == model
                && count(row, "difference") == difference
        })
    };
    let slices: Vec<SliceRow> = names
        .into_iter()
        .map(|of| {
            let models = [("bm25", "s7"), ("initial", "s1"), ("trained", "s0")];
            let n = ["trained", "initial", "bm25"]
                .into_iter()
                .find_map(|model| part(of, model, 0));
            let n = n.map_or(0, |row| count(row, "n"));
            SliceRow {
                slice: of.0.to_owned(),
                metric: of.1.to_owned(),
                n,
                few: n < 30,
                models: models
                    .into_iter()
                    .filter(|(model, _)| part(of, model, 0).is_some())
                    .map(|(model, class)| SliceModel {
                        name: named(model),
                        class,
                        mean: part(of, model, 0).and_then(interval),
                        difference: part(of, model, 1).and_then(interval),
                    })
                    .collect(),
            }
        })
        .collect();
    if slices.is_empty() {
        let asked = one(store, "SELECT count(*) AS n FROM slice")?.unwrap_or_default() > 0.0;
        let why = if asked {
            "why.slices-not-scored"
        } else {
            "why.no-slices"
        };
        return Ok(Figure::empty("slices", sql, Said::of(why)));
    }
    let means = slices
        .iter()
        .flat_map(|row| row.models.iter().filter_map(|one| one.mean.as_ref()));
    let scale = Scale::of(means, false);
    Ok(Figure::new(
        "slices",
        sql,
        Slices {
            scale,
            rows: slices,
        },
    ))
}
