//! Which samples helped or hurt? Influence on validation, losses and what was forgotten.

use orchestrator_store::Store;
use serde::Serialize;

use crate::Error;
use crate::charts::{Plot, Series, lines};
use crate::figure::{Figure, Row, count, maybe, number, one, rows, text};
use crate::pool::samples_sql;
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

/// Samples of a list.
const SHOWN: usize = 25;

const BY_SOURCE: &str = "WITH summed AS MATERIALIZED (SELECT sample, sum(value) AS value FROM influence GROUP BY sample)
SELECT p.source, s.role, count(*) AS n, sum(i.value) AS sum, avg(i.value) AS mean, avg(i.value < 0) AS harmful
FROM summed i JOIN sample s ON s.id = i.sample JOIN (SELECT DISTINCT sample, source FROM provenance) p ON p.sample = i.sample
GROUP BY p.source, s.role ORDER BY sum";

impl Influenced {
    pub(crate) fn of(store: &Store) -> Result<Self, Error> {
        let mut by_source: Vec<OfSource> = rows(store, BY_SOURCE)?
            .iter()
            .map(|row| OfSource {
                source: text(row, "source").to_owned(),
                role: text(row, "role").to_owned(),
                n: count(row, "n"),
                sum: number(row, "sum"),
                mean: number(row, "mean"),
                harmful: number(row, "harmful"),
                share: 0.0,
            })
            .collect();
        let most = by_source
            .iter()
            .map(|one| one.sum.abs())
            .fold(1e-300, f64::max);
        for one in &mut by_source {
            one.share = one.sum.abs() / most;
        }
        let n = by_source.iter().map(|one| one.n).min().unwrap_or_default();
        Ok(Self {
            by_source: Figure::some(
                "influence-sources",
                BY_SOURCE,
                (!by_source.is_empty()).then_some(by_source),
                "why.no-influence",
            )
            .of(n),
            helpful: listed(store, "helpful", "> 0", "DESC")?,
            harmful: listed(store, "harmful", "< 0", "ASC")?,
            losses: losses(store)?,
            forgotten: forgotten(store)?,
        })
    }
}

fn listed(
    store: &Store,
    id: &'static str,
    side: &str,
    order: &str,
) -> Result<Figure<Listed>, Error> {
    let summed = "SELECT sample, sum(value) AS influence, count(*) AS versions FROM influence GROUP BY sample";
    let which = format!(
        "FROM ({summed} HAVING sum(value) {side} ORDER BY 2 {order}, 1 LIMIT {SHOWN}) i JOIN sample s ON s.id = i.sample"
    );
    let sql = format!(
        "{} ORDER BY i.influence {order}",
        samples_sql(&which, "i.influence, i.versions, ")
    );
    let all = one(
        store,
        &format!("SELECT count(*) AS n FROM ({summed} HAVING sum(value) {side})"),
    )?
    .unwrap_or_default() as u64;
    let measured =
        one(store, "SELECT EXISTS (SELECT 1 FROM influence) AS n")?.unwrap_or_default() > 0.0;
    Ok(if all == 0 {
        Figure::empty(
            id,
            sql,
            Said::of(if measured {
                "why.none-on-this-side"
            } else {
                "why.no-influence"
            }),
        )
    } else {
        let found = rows(store, &sql)?;
        Figure::new(id, sql, Listed { all, rows: found })
    })
}

const LOSSES: &str = "SELECT epoch, round(loss, 2) AS loss, count(*) AS n FROM use WHERE loss IS NOT NULL GROUP BY epoch, 2 ORDER BY epoch, 2";

/// Quantiles of the samples' losses by epoch.
fn losses(store: &Store) -> Result<Figure<Plot>, Error> {
    let found = rows(store, LOSSES)?;
    let mut epochs: Vec<u64> = found.iter().map(|row| count(row, "epoch")).collect();
    epochs.dedup();
    let quantile = |epoch: u64, share: f64| {
        let of_epoch = || found.iter().filter(move |row| count(row, "epoch") == epoch);
        let all: f64 = of_epoch().map(|row| number(row, "n")).sum();
        let mut seen = 0.0;
        of_epoch()
            .find(|row| {
                seen += number(row, "n");
                seen >= share * all
            })
            .map_or(0.0, |row| number(row, "loss"))
    };
    let at = |low: f64, high: f64| -> Vec<(f64, f64, f64)> {
        let epochs = epochs.iter();
        epochs
            .map(|epoch| {
                (
                    (epoch + 1) as f64,
                    quantile(*epoch, low),
                    quantile(*epoch, high),
                )
            })
            .collect()
    };
    let median = at(0.5, 0.5).into_iter().map(|(x, y, _)| (x, y)).collect();
    let series = [
        Series::new(Name::word("line.loss"), 0, Vec::new()).with_band(at(0.05, 0.95)),
        Series::new(Name::word("line.loss"), 0, median).with_band(at(0.25, 0.75)),
    ];
    let mut plot = lines(
        Name::word("chart.sample-losses"),
        Name::word("unit.epoch"),
        Name::word("unit.loss"),
        None,
        &series,
    );
    plot.legend.retain(|key| key.last.is_some());
    let plot = plot.note(Name::word("note.quantiles"));
    Ok(Figure::some(
        "sample-losses",
        LOSSES,
        (!epochs.is_empty()).then_some(plot),
        "why.no-losses",
    ))
}

const FORGOTTEN: &str = "WITH versions AS (SELECT sample, on_its_side, lag(on_its_side) OVER (PARTITION BY sample ORDER BY CAST(substr(model, 7) AS INTEGER)) AS before
                  FROM influence),
     counted AS MATERIALIZED (SELECT sample, sum(before = 1 AND on_its_side = 0) AS forgotten, max(on_its_side) AS ever FROM versions GROUP BY sample)";

fn forgotten(store: &Store) -> Result<Figure<Forgotten>, Error> {
    let which = "FROM (SELECT sample, forgotten FROM counted WHERE forgotten > 0 ORDER BY forgotten DESC, sample LIMIT 10) f JOIN sample s ON s.id = f.sample";
    let sql = format!(
        "{FORGOTTEN}\n{} ORDER BY f.forgotten DESC, s.id",
        samples_sql(which, "f.forgotten, ")
    );
    let totals = rows(
        store,
        &format!(
            "{FORGOTTEN}\nSELECT count(*) AS n, sum(forgotten) AS events, sum(forgotten > 0) AS once, sum(ever = 0) AS never FROM counted"
        ),
    )?;
    let Some(total) = totals.first().filter(|row| count(row, "n") > 0) else {
        return Ok(Figure::empty(
            "forgotten",
            sql,
            Said::of("why.no-influence"),
        ));
    };
    let shown = Forgotten {
        samples: count(total, "n"),
        events: maybe(total, "events").unwrap_or_default() as u64,
        once: count(total, "once"),
        never_learned: count(total, "never"),
        rows: rows(store, &sql)?,
    };
    Ok(Figure::new("forgotten", sql, shown))
}
