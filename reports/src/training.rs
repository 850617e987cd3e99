//! What did training do? Losses, epochs, the pool as the model saw it, what mining again brought, what rules decided, and
//! every metric that nothing else here knows.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_store::{EpochRow, Overview, Store};
use serde::Serialize;

use crate::Error;
use crate::charts::{Plot, Series, lines};
use crate::figure::{Figure, Row, count, epoch_of, number, one, quoted, rows, text};
use crate::positives::model_name;
use crate::view::Run;
use crate::words::{Name, Said};

/// The fifth section.
#[derive(Serialize)]
pub struct Training {
    pub losses: Figure<Vec<Plot>>,
    pub epochs: Figure<Vec<EpochRow>>,
    pub decisions: Figure<Vec<String>>,
    pub watched: Figure<Watched>,
    pub mined: Figure<MinedAgain>,
    pub other: Figure<Other>,
}

impl Training {
    pub(crate) fn of(store: &Store, run: &Run, seen: &Overview) -> Result<Self, Error> {
        let epochs = seen.epochs.clone();
        Ok(Self {
            losses: losses(store)?,
            epochs: Figure::some(
                "epochs",
                EPOCHS,
                (!epochs.is_empty()).then_some(epochs),
                "why.not-trained",
            ),
            decisions: decisions(store)?,
            watched: watched(store)?,
            mined: mined(store)?,
            other: other(store, run)?,
        })
    }
}

const EPOCHS: &str = "SELECT u.epoch + 1 AS epoch, count(DISTINCT u.step) AS steps, sum(s.role = 'positive') AS positives,
       sum(s.role = 'negative') AS negatives, avg(u.loss) AS mean_loss
FROM use u JOIN sample s ON s.id = u.sample GROUP BY u.epoch ORDER BY u.epoch";

/// Points of a line that are read from the store; what lies between is averaged there.
const POINTS: i64 = 240;

/// Metrics of steps as the store averages them, for names that a condition allows.
fn of_steps(store: &Store, condition: &str) -> Result<String, Error> {
    let last = one(store, "SELECT max(step) AS n FROM metric")?.unwrap_or_default() as i64;
    let stretch = (last + 1).div_euclid(POINTS).max(0) + 1;
    Ok(format!(
        "SELECT name, avg(step) AS step, avg(value) AS value, min(value) AS low, max(value) AS high, count(*) AS n
FROM metric WHERE step >= 0 AND ({condition}) GROUP BY name, step / {stretch} ORDER BY name, step"
    ))
}

/// The rows by name.
fn by_name(found: &[Row]) -> BTreeMap<&str, Vec<&Row>> {
    let mut by_name: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in found {
        by_name.entry(text(row, "name")).or_default().push(row);
    }
    by_name
}

fn curve(title: Name, place: usize, points: &[&Row]) -> Plot {
    let averaged = points.iter().any(|row| count(row, "n") > 1);
    let at = |row: &Row, name: &str| (number(row, "step"), number(row, name));
    let mut series = Series::new(
        title.clone(),
        place,
        points.iter().map(|row| at(row, "value")).collect(),
    );
    if averaged {
        series.band = points
            .iter()
            .map(|row| (number(row, "step"), number(row, "low"), number(row, "high")))
            .collect();
    }
    let unit = if title == Name::word("chart.rate") || title == Name::word("chart.gradient") {
        "unit.value"
    } else {
        "unit.loss"
    };
    let mut plot = lines(
        title,
        Name::word("unit.step"),
        Name::word(unit),
        None,
        &[series],
    );
    if averaged {
        plot = plot.note(Name::word("note.averaged"));
    }
    plot
}

fn losses(store: &Store) -> Result<Figure<Vec<Plot>>, Error> {
    let sql = of_steps(
        store,
        "name = 'loss' OR name LIKE 'loss/%' OR name IN ('learning_rate', 'gradient_norm')",
    )?;
    let found = rows(store, &sql)?;
    let mut plots: Vec<(u8, Plot)> = by_name(&found)
        .into_iter()
        .map(|(name, points)| match name {
            "loss" => (0, curve(Name::word("chart.loss"), 0, &points)),
            "learning_rate" => (2, curve(Name::word("chart.rate"), 7, &points)),
            "gradient_norm" => (3, curve(Name::word("chart.gradient"), 7, &points)),
            other => (
                1,
                curve(
                    Name::Data(other.trim_start_matches("loss/").to_owned()),
                    1,
                    &points,
                ),
            ),
        })
        .collect();
    plots.sort_by_key(|(order, _)| *order);
    let plots: Vec<Plot> = plots.into_iter().map(|(_, plot)| plot).collect();
    Ok(Figure::some(
        "losses",
        sql,
        (!plots.is_empty()).then_some(plots),
        "why.not-trained",
    ))
}

const DECISIONS: &str = "SELECT detail FROM event WHERE kind IN ('adapt', 'early_stop', 'rounds_ended', 'precision') ORDER BY id LIMIT 200";

fn decisions(store: &Store) -> Result<Figure<Vec<String>>, Error> {
    let found: Vec<String> = rows(store, DECISIONS)?
        .iter()
        .map(|row| text(row, "detail").to_owned())
        .collect();
    Ok(Figure::some(
        "decisions",
        DECISIONS,
        (!found.is_empty()).then_some(found),
        "why.no-decisions",
    ))
}

/// The pool through the epochs.
#[derive(Serialize)]
pub struct Watched {
    pub plots: Vec<Plot>,
    pub sources: Vec<String>,
    pub rows: Vec<Look>,
    pub looked_at: u64,
}

/// An epoch with its numbers.
#[derive(Serialize)]
pub struct Look {
    pub epoch: u32,
    /// Metrics by name, without `monitor/`.
    pub values: BTreeMap<String, f64>,
    /// Shares of the negatives used, in the order of the sources.
    pub shares: Vec<Option<f64>>,
}

const WATCHED: &str = "SELECT t.detail AS model, substr(m.name, 9) AS name, m.value FROM metric m
JOIN tick t ON t.number = m.tick WHERE m.name LIKE 'monitor/%' ORDER BY m.tick, m.name";

fn watched(store: &Store) -> Result<Figure<Watched>, Error> {
    let mut looks: BTreeMap<u32, BTreeMap<String, f64>> = BTreeMap::new();
    for row in rows(store, WATCHED)? {
        if let Some(epoch) = epoch_of(text(&row, "model")) {
            let look = looks.entry(epoch).or_default();
            look.insert(text(&row, "name").to_owned(), number(&row, "value"));
        }
    }
    if looks.len() < 2 {
        return Ok(Figure::empty(
            "monitoring",
            WATCHED,
            Said::of("why.not-watched"),
        ));
    }
    let line = |name: &str| -> Vec<(f64, f64)> {
        let values = looks.iter();
        values
            .filter_map(|(epoch, values)| Some((f64::from(*epoch), *values.get(name)?)))
            .collect()
    };
    let mut plots = vec![bands(&looks)];
    for (title, unit, of) in [
        (
            "chart.monitor-auroc",
            "unit.auroc",
            &[("role.positives", "auroc", "s0")][..],
        ),
        (
            "chart.monitor-difficulty",
            "unit.difficulty",
            &[("role.negatives", "difficulty", "neg")],
        ),
        (
            "chart.monitor-share",
            "unit.share-negatives",
            &[
                ("line.likely-false", "false_negatives", "s1"),
                ("line.too-easy", "too_easy", "s0"),
            ],
        ),
        (
            "chart.monitor-random",
            "unit.cosine",
            &[("line.random", "random_similarity", "s7")],
        ),
    ] {
        let series: Vec<Series> = of
            .iter()
            .map(|(name, metric, class)| {
                Series::new(Name::word(name), 0, line(metric)).class(class)
            })
            .filter(|one| one.points.len() > 1)
            .collect();
        if !series.is_empty() {
            plots.push(lines(
                Name::word(title),
                Name::word("unit.epoch"),
                Name::word(unit),
                Some((0.0, 1.0)),
                &series,
            ));
        }
    }
    let sources: BTreeSet<String> = looks
        .values()
        .flat_map(BTreeMap::keys)
        .filter_map(|name| name.strip_prefix("used/"))
        .map(str::to_owned)
        .collect();
    let sources: Vec<String> = sources.into_iter().collect();
    let looked_at = looks.values().next_back().map_or(0.0, |values| {
        let n = |name: &str| values.get(name).copied().unwrap_or_default();
        n("positives").min(n("negatives"))
    }) as u64;
    let rows = looks.into_iter().map(|(epoch, values)| Look {
        epoch,
        shares: sources
            .iter()
            .map(|source| values.get(&format!("used/{source}")).copied())
            .collect(),
        values,
    });
    let shown = Watched {
        plots,
        rows: rows.collect(),
        sources,
        looked_at,
    };
    Ok(Figure::new("monitoring", WATCHED, shown).of(looked_at))
}

/// Quantiles of similarity by epoch, as bands around the median.
fn bands(looks: &BTreeMap<u32, BTreeMap<String, f64>>) -> Plot {
    let mut series = Vec::new();
    for (role, name, class) in [
        ("negative", "role.negatives", "neg"),
        ("positive", "role.positives", "pos"),
    ] {
        let at = |percent: &str| -> Vec<(f64, f64)> {
            let name = format!("{role}_p{percent}");
            let values = looks.iter();
            values
                .filter_map(|(epoch, values)| Some((f64::from(*epoch), *values.get(&name)?)))
                .collect()
        };
        for (low, high) in [("05", "95"), ("25", "75")] {
            let band = at(low)
                .into_iter()
                .zip(at(high))
                .map(|((x, low), (_, high))| (x, low, high));
            let points = if low == "25" { at("50") } else { Vec::new() };
            series.push(
                Series::new(Name::word(name), 0, points)
                    .with_band(band.collect())
                    .class(class),
            );
        }
    }
    let mut plot = lines(
        Name::word("chart.monitor-bands"),
        Name::word("unit.epoch"),
        Name::word("unit.cosine"),
        None,
        &series,
    );
    plot.legend.retain(|key| key.last.is_some());
    plot
}

/// A sampler that was asked again.
#[derive(Serialize)]
pub struct Mined {
    pub sampler: String,
    pub model: Name,
    /// The sampler's numbers by name, and what was encoded.
    pub values: BTreeMap<String, f64>,
}

#[derive(Serialize)]
pub struct MinedAgain {
    pub all: u64,
    pub rows: Vec<Mined>,
}

/// Times of mining again that are shown: all, or so many, evenly spread.
const MOST_MINED: usize = 40;

// What a sampler proposed is written in its own tick, what the model makes of it in the scoring tick after it.
const MINED: &str = "WITH again AS (SELECT r.number, r.detail AS sampler,
                      (SELECT min(s.number) FROM tick s WHERE s.kind = 'score' AND s.number > r.number) AS scored
               FROM tick r WHERE r.kind = 'refresh')
SELECT a.number, a.sampler, t.detail AS model, m.name, m.value
FROM again a JOIN tick t ON t.number = a.scored
JOIN metric m ON m.tick IN (a.number, a.scored) AND m.step = -1
  AND (substr(m.name, 1, length(a.sampler) + 1) = a.sampler || '/' OR m.name LIKE 'mining/%')
ORDER BY a.number, m.name";

fn mined(store: &Store) -> Result<Figure<MinedAgain>, Error> {
    let mut mined: Vec<(u64, Mined)> = Vec::new();
    for row in rows(store, MINED)? {
        let number_of_tick = count(&row, "number");
        if mined.last().is_none_or(|(last, _)| *last != number_of_tick) {
            let one = Mined {
                sampler: text(&row, "sampler").to_owned(),
                model: model_name(text(&row, "model")),
                values: BTreeMap::new(),
            };
            mined.push((number_of_tick, one));
        }
        if let (Some((_, last)), Some((_, what))) =
            (mined.last_mut(), text(&row, "name").rsplit_once('/'))
        {
            last.values.insert(what.to_owned(), number(&row, "value"));
        }
    }
    let n = mined.len();
    let kept = |place: &usize| n <= MOST_MINED || (place * MOST_MINED) % n < MOST_MINED;
    let shown: Vec<Mined> = mined
        .into_iter()
        .enumerate()
        .filter(|(place, _)| kept(place))
        .map(|(_, (_, one))| one)
        .collect();
    let shown = (!shown.is_empty()).then_some(MinedAgain {
        all: n as u64,
        rows: shown,
    });
    Ok(Figure::some("mining", MINED, shown, "why.not-mined"))
}

/// Metrics that nothing else here knows: those that plugins add, and those of a newer orchestrator.
#[derive(Serialize)]
pub struct Other {
    pub plots: Vec<Plot>,
    /// Those of one value.
    pub values: Vec<OtherValue>,
    /// How many there are, plots and values.
    pub all: u64,
}

#[derive(Serialize)]
pub struct OtherValue {
    pub name: String,
    pub value: f64,
    pub digits: usize,
}

/// Charts of unknown metrics that are drawn.
const MOST_OTHER: usize = 36;

/// Names that other figures show, or that belong to how the run went.
const KNOWN: [&str; 23] = [
    "loss",
    "slice/",
    "nuance/",
    "adversarial/",
    "pool/",
    "spoiled/",
    "influence/",
    "learning_rate",
    "gradient_norm",
    "ratio",
    "negatives_",
    "monitor/",
    "mining/",
    "apart/",
    "topics/",
    "suspects/",
    "picture/",
    "adapt/",
    "annotators/",
    "llm/",
    "audit/",
    "questions/",
    "model/",
];

fn other(store: &Store, run: &Run) -> Result<Figure<Other>, Error> {
    let instances: BTreeSet<String> = store
        .plugins()?
        .into_iter()
        .map(|plugin| plugin.name)
        .collect();
    let models = ["bm25", "initial", "trained"];
    let ours = |name: &str| {
        let first = name.split('/').next().unwrap_or_default();
        KNOWN.iter().any(|known| name.starts_with(known))
            || instances.contains(first)
            || ((models.contains(&first) || epoch_of(first).is_some())
                && run
                    .metrics
                    .iter()
                    .any(|metric| name.ends_with(metric.as_str())))
    };
    let names: Vec<Row> = rows(
        store,
        "SELECT name, max(step) AS step, count(*) AS n FROM metric GROUP BY name ORDER BY name LIKE 'plugin/%' DESC, name",
    )?;
    let unknown: Vec<&Row> = names
        .iter()
        .filter(|row| !ours(text(row, "name")))
        .collect();
    let all = unknown.len() as u64;
    let list = |names: &[&str]| {
        let quoted: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        format!(
            "name IN ({})",
            if quoted.is_empty() {
                "''".to_owned()
            } else {
                quoted.join(", ")
            }
        )
    };
    let drawn = unknown
        .iter()
        .filter(|row| count(row, "n") > 1)
        .take(MOST_OTHER);
    let (of_step, of_tick): (Vec<&Row>, Vec<&Row>) =
        drawn.copied().partition(|row| number(row, "step") >= 0.0);
    let names_of = |rows: &[&Row]| -> Vec<String> {
        rows.iter()
            .map(|row| text(row, "name").to_owned())
            .collect()
    };
    let (of_step, of_tick) = (names_of(&of_step), names_of(&of_tick));
    let single: Vec<&str> = unknown
        .iter()
        .filter(|row| count(row, "n") == 1)
        .take(200)
        .map(|row| text(row, "name"))
        .collect();
    let mut plots = Vec::new();
    let references: Vec<&str> = of_step.iter().map(String::as_str).collect();
    let steps = of_steps(store, &list(&references))?;
    let found = rows(store, &steps)?;
    for (name, points) in by_name(&found) {
        plots.push(curve(Name::Data(name.to_owned()), plots.len(), &points));
    }
    let references: Vec<&str> = of_tick.iter().map(String::as_str).collect();
    let ticks = format!(
        "SELECT name, tick AS step, value, 1 AS n FROM metric WHERE step = -1 AND {} ORDER BY name, tick LIMIT 100000",
        list(&references)
    );
    let found = rows(store, &ticks)?;
    for (name, points) in by_name(&found) {
        let mut plot = curve(Name::Data(name.to_owned()), plots.len(), &points);
        plot.x.unit = Name::word("unit.tick");
        plots.push(plot);
    }
    for plot in &mut plots {
        plot.y.unit = Name::word("unit.value");
        plot.legend.clear();
    }
    let values = rows(
        store,
        &format!(
            "SELECT name, value FROM metric WHERE {} ORDER BY name",
            list(&single)
        ),
    )?
    .iter()
    .map(|row| {
        let value = number(row, "value");
        OtherValue {
            name: text(row, "name").to_owned(),
            value,
            digits: if value.fract() == 0.0 { 0 } else { 4 },
        }
    })
    .collect();
    let sql = "SELECT name, tick, step, value FROM metric WHERE name LIKE 'plugin/%' ORDER BY name, tick, step";
    let shown = (all > 0).then_some(Other { plots, values, all });
    Ok(Figure::some("other", sql, shown, "why.no-other"))
}
