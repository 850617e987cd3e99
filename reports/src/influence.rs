//! Which samples helped or hurt? Influence on validation, losses and what was forgotten.

use orchestrator_store::{Forgetting, Overview, Ranked, Store};
use serde::Serialize;

use crate::Error;
use crate::charts::{Plot, Series, lines};
use crate::figure::{Figure, Row};
use crate::pool::{SHOWN, samples, samples_sql};
use crate::words::{Name, Said};

/// The section of influence.
#[derive(Serialize)]
pub struct Influenced {
    pub by_source: Figure<Vec<OfSource>>,
    pub helpful: Figure<Listed>,
    pub harmful: Figure<Listed>,
    pub losses: Figure<Plot>,
    pub forgotten: Figure<Forgotten>,
}

/// What the samples of a source add up to.
#[derive(Serialize)]
pub struct OfSource {
    pub source: String,
    pub role: String,
    pub n: u64,
    pub sum: f64,
    pub mean: f64,
    /// Share of its samples that hurt.
    pub harmful: f64,
    /// Of its sum, against the largest: for the bar.
    pub share: f64,
}

#[derive(Serialize)]
pub struct Listed {
    pub all: u64,
    pub rows: Vec<Row>,
}

#[derive(Serialize)]
pub struct Forgotten {
    pub samples: u64,
    pub events: u64,
    pub once: u64,
    pub never_learned: u64,
    pub rows: Vec<Row>,
}

const BY_SOURCE: &str = "WITH summed AS MATERIALIZED (SELECT sample, sum(value) AS value FROM influence GROUP BY sample)
SELECT p.source, s.role, count(*) AS n, sum(i.value) AS sum, avg(i.value) AS mean, avg(i.value < 0) AS harmful
FROM summed i JOIN sample s ON s.id = i.sample JOIN (SELECT DISTINCT sample, source FROM provenance) p ON p.sample = i.sample
GROUP BY p.source, s.role ORDER BY sum";

impl Influenced {
    pub(crate) fn of(store: &Store, seen: &Overview) -> Result<Self, Error> {
        let most = seen
            .influences
            .iter()
            .map(|one| one.sum.abs())
            .fold(1e-300, f64::max);
        let mut by_source: Vec<OfSource> = seen
            .influences
            .iter()
            .map(|one| OfSource {
                source: one.source.clone(),
                role: one.role.clone(),
                n: one.samples,
                sum: one.sum,
                mean: one.sum / one.samples.max(1) as f64,
                harmful: one.harmful as f64 / one.samples.max(1) as f64,
                share: one.sum.abs() / most,
            })
            .collect();
        by_source.sort_by(|a, b| a.sum.total_cmp(&b.sum));
        let n = by_source.iter().map(|one| one.n).min().unwrap_or_default();
        let measured = !by_source.is_empty();
        Ok(Self {
            by_source: Figure::some(
                "influence-sources",
                BY_SOURCE,
                measured.then_some(by_source),
                "why.no-influence",
            )
            .of(n),
            helpful: listed(store, "helpful", &seen.helpful, measured)?,
            harmful: listed(store, "harmful", &seen.harmful, measured)?,
            losses: losses(seen),
            forgotten: forgotten(store, &seen.forgetting)?,
        })
    }
}

/// The samples of a ranking, each with what it is ranked by.
fn ranked(store: &Store, ranking: &Ranked, most: usize, by: &str) -> Result<Vec<Row>, Error> {
    let first = &ranking.first[..ranking.first.len().min(most)];
    let known = samples(store, &mut first.iter().map(|one| one.sample.as_str()))?;
    Ok(first
        .iter()
        .filter_map(|one| {
            let mut row = known.get(&one.sample)?.clone();
            row.insert(by.to_owned(), one.value.into());
            Some(row)
        })
        .collect())
}

fn listed(
    store: &Store,
    id: &'static str,
    ranking: &Ranked,
    measured: bool,
) -> Result<Figure<Listed>, Error> {
    let (side, order) = if id == "helpful" {
        ("> 0", "DESC")
    } else {
        ("< 0", "ASC")
    };
    let most = SHOWN.extremes;
    let which = format!(
        "FROM (SELECT sample, sum(value) AS influence FROM influence GROUP BY sample HAVING sum(value) {side} ORDER BY 2 {order}, 1 LIMIT {most}) i
JOIN sample s ON s.id = i.sample"
    );
    let sql = format!(
        "{} ORDER BY i.influence {order}",
        samples_sql(&which, "i.influence, ")
    );
    if ranking.all == 0 {
        let why = if measured {
            "why.none-on-this-side"
        } else {
            "why.no-influence"
        };
        return Ok(Figure::empty(id, sql, Said::of(why)));
    }
    let rows = ranked(store, ranking, most, "influence")?;
    Ok(Figure::new(
        id,
        sql,
        Listed {
            all: ranking.all,
            rows,
        },
    ))
}

const LOSSES: &str = "SELECT epoch, round(loss, 2) AS loss, count(*) AS n FROM use WHERE loss IS NOT NULL GROUP BY epoch, 2 ORDER BY epoch, 2";

/// Quantiles of the samples' losses by epoch.
fn losses(seen: &Overview) -> Figure<Plot> {
    let at = |low: usize, high: usize| -> Vec<(f64, f64, f64)> {
        let epochs = seen.losses.iter();
        epochs
            .map(|one| (one.epoch as f64, one.quantiles[low], one.quantiles[high]))
            .collect()
    };
    let median = at(2, 2).into_iter().map(|(x, y, _)| (x, y)).collect();
    let series = [
        Series::new(Name::word("line.loss"), 0, Vec::new()).with_band(at(0, 4)),
        Series::new(Name::word("line.loss"), 0, median).with_band(at(1, 3)),
    ];
    let mut plot = lines(
        Name::word("chart.sample-losses"),
        Name::word("unit.epoch"),
        Name::word("unit.loss"),
        None,
        &series,
    );
    plot.legend.retain(|key| key.last.is_some());
    let shown = (!seen.losses.is_empty()).then(|| plot.note(Name::word("note.quantiles")));
    let n = seen
        .losses
        .iter()
        .map(|one| one.n)
        .min()
        .unwrap_or_default();
    Figure::some("sample-losses", LOSSES, shown, "why.no-losses").of(n)
}

const FORGOTTEN: &str = "WITH versions AS (SELECT sample, on_its_side, lag(on_its_side) OVER (PARTITION BY sample ORDER BY CAST(substr(model, 7) AS INTEGER)) AS before
                  FROM influence),
     counted AS MATERIALIZED (SELECT sample, sum(before = 1 AND on_its_side = 0) AS forgotten, max(on_its_side) AS ever FROM versions GROUP BY sample)";

/// Samples that were forgotten most often.
const MOST_FORGOTTEN: usize = 10;

fn forgotten(store: &Store, seen: &Forgetting) -> Result<Figure<Forgotten>, Error> {
    let which = format!(
        "FROM (SELECT sample, forgotten FROM counted WHERE forgotten > 0 ORDER BY forgotten DESC, sample LIMIT {MOST_FORGOTTEN}) f JOIN sample s ON s.id = f.sample"
    );
    let sql = format!(
        "{FORGOTTEN}\n{} ORDER BY f.forgotten DESC, s.id",
        samples_sql(&which, "f.forgotten, ")
    );
    if seen.samples == 0 {
        return Ok(Figure::empty(
            "forgotten",
            sql,
            Said::of("why.no-influence"),
        ));
    }
    let shown = Forgotten {
        samples: seen.samples,
        events: seen.events,
        once: seen.forgotten.all,
        never_learned: seen.never_learned,
        rows: ranked(store, &seen.forgotten, MOST_FORGOTTEN, "forgotten")?,
    };
    Ok(Figure::new("forgotten", sql, shown))
}
