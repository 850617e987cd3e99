//! Are the negatives hard, but not false? Difficulty by epoch and source, spread, repeats, suspected false negatives.

use orchestrator_store::{DifficultyHistogram, Overview, Store};
use serde::Serialize;

use crate::Error;
use crate::charts::{Plot, Series, lines};
use crate::figure::{Figure, Row, count, epoch_of, number, rows, text};
use crate::pool::{dropped_sql, reasons};
use crate::suspects::{self, Share, Suspects};
use crate::words::{Name, Said};

/// The fourth section.
#[derive(Serialize)]
pub struct Negatives {
    pub share: Figure<Share>,
    pub suspects: Figure<Suspects>,
    pub by_epoch: Figure<Histograms>,
    pub by_source: Figure<Histograms>,
    pub spread: Figure<Spread>,
    pub repeats: Figure<Repeats>,
}

/// Histograms of difficulty, one beside the other on the same axes.
#[derive(Serialize)]
pub struct Histograms {
    pub all: u64,
    pub rows: Vec<Histogram>,
}

#[derive(Serialize)]
pub struct Histogram {
    pub plot: Plot,
    pub n: u64,
    pub mean: f64,
    /// Below 0: further than a random document; above 1: nearer than the positives.
    pub too_easy: f64,
    pub likely_false: f64,
    pub easy: u64,
    pub medium: u64,
    pub hard: u64,
}

/// Histograms that are shown.
const SHOWN: usize = 12;

/// Difficulty from -0.5 to 1.5; what lies beyond is counted at the ends.
const BIN: &str = "max(0, min(23, CAST((c.difficulty + 0.5) * 12 AS INTEGER)))";

fn drawn(one: &DifficultyHistogram, title: Name, unit: &'static str) -> Histogram {
    let n = one.n.max(1) as f64;
    let shares: Vec<f64> = one.counts.iter().map(|count| *count as f64 / n).collect();
    let most = shares.iter().copied().fold(0.05, f64::max);
    let mut plot = Plot::over(
        title,
        (Name::word("unit.difficulty"), Name::word(unit)),
        [-0.5, 1.5, 0.0, most * 1.05],
    );
    plot.steps(Name::word("role.negatives"), "neg", &shares, (-0.5, 1.5));
    plot.legend.clear();
    let at = plot.across(1.0);
    let d = format!("M{at} {}V{}", plot.top, plot.bottom);
    plot.layer("zero", d);
    let [easy, medium, hard] = one.bands;
    Histogram {
        plot,
        n: one.n,
        mean: one.mean,
        too_easy: one.too_easy as f64 / n,
        likely_false: one.likely_false as f64 / n,
        easy,
        medium,
        hard,
    }
}

fn sums() -> String {
    format!(
        "{BIN} AS bin, count(*) AS n, sum(c.difficulty) AS total, sum(c.difficulty < 0) AS too_easy, sum(c.difficulty > 1) AS likely_false,
       sum(c.band = 'easy') AS easy, sum(c.band = 'medium') AS medium, sum(c.band = 'hard') AS hard"
    )
}

impl Negatives {
    pub(crate) fn of(store: &Store, seen: &Overview) -> Result<Self, Error> {
        Ok(Self {
            share: suspects::share(store)?,
            suspects: suspects::suspects(
                store,
                "suspect-negatives",
                "negative",
                "why.no-suspects",
            )?,
            by_epoch: by_epoch(seen),
            by_source: by_source(seen),
            spread: spread(store)?,
            repeats: repeats(store, seen)?,
        })
    }
}

fn by_epoch(seen: &Overview) -> Figure<Histograms> {
    let sql = format!(
        "WITH first AS MATERIALIZED (SELECT sample, min(tick) AS tick, difficulty, band FROM score WHERE difficulty IS NOT NULL GROUP BY sample)
SELECT u.epoch + 1 AS epoch, {}
FROM use u JOIN first c ON c.sample = u.sample GROUP BY u.epoch, bin ORDER BY u.epoch, bin",
        sums()
    );
    let found = &seen.difficulty_by_epoch;
    let all = found.len();
    // All of them, or so many, evenly spread, the first and the last among them.
    let shown = SHOWN.min(all);
    let kept = (0..shown).map(|place| place * (all - 1) / (shown - 1).max(1));
    let rows: Vec<Histogram> = kept
        .map(|place| {
            let one = &found[place];
            let epoch: usize = one.of.parse().unwrap_or_default();
            let stage = seen.epochs.iter().find(|row| row.epoch == epoch);
            let title = Said::of("chart.epoch-stage")
                .with("n", epoch)
                .with("stage", stage.map_or("", |row| row.band.as_str()));
            drawn(one, title.into(), "unit.share-uses")
        })
        .collect();
    let n = found.iter().map(|one| one.n).min().unwrap_or_default();
    let all = all as u64;
    let shown = (!rows.is_empty()).then_some(Histograms { all, rows });
    Figure::some("difficulty-epochs", sql, shown, "why.no-negatives").of(n)
}

fn by_source(seen: &Overview) -> Figure<Histograms> {
    let sql = format!(
        "SELECT p.source, {}
FROM (SELECT DISTINCT sample, source FROM provenance) p
JOIN score c ON c.sample = p.sample AND c.tick = (SELECT max(number) FROM tick WHERE kind = 'score') AND c.difficulty IS NOT NULL
GROUP BY p.source, bin ORDER BY p.source, bin",
        sums()
    );
    let mut largest: Vec<&DifficultyHistogram> = seen.difficulty_by_source.iter().collect();
    largest.sort_by_key(|one| std::cmp::Reverse(one.n));
    let n = largest.iter().map(|one| one.n).min().unwrap_or_default();
    let rows: Vec<Histogram> = largest
        .iter()
        .take(SHOWN)
        .map(|one| drawn(one, Name::Data(one.of.clone()), "unit.share-negatives"))
        .collect();
    let all = largest.len() as u64;
    let shown = (!rows.is_empty()).then_some(Histograms { all, rows });
    Figure::some("difficulty-sources", sql, shown, "why.no-negatives").of(n)
}

/// How evenly the negatives are spread over clusters.
#[derive(Serialize)]
pub struct Spread {
    pub plot: Plot,
    pub clusters: u64,
    pub last: f64,
}

const SPREAD: &str = "SELECT t.detail AS model, max(CASE m.name WHEN 'monitor/entropy' THEN m.value END) AS entropy,
       max(CASE m.name WHEN 'monitor/clusters' THEN m.value END) AS clusters
FROM metric m JOIN tick t ON t.number = m.tick WHERE m.name IN ('monitor/entropy', 'monitor/clusters') GROUP BY m.tick ORDER BY m.tick";

fn spread(store: &Store) -> Result<Figure<Spread>, Error> {
    let found = rows(store, SPREAD)?;
    let points: Vec<(f64, f64)> = found
        .iter()
        .filter(|row| !row["entropy"].is_null())
        .filter_map(|row| {
            Some((
                f64::from(epoch_of(text(row, "model"))?),
                number(row, "entropy"),
            ))
        })
        .collect();
    let shown = points.last().map(|(_, last)| Spread {
        plot: lines(
            Name::word("chart.entropy"),
            Name::word("unit.epoch"),
            Name::word("unit.entropy"),
            Some((0.0, 1.0)),
            &[Series::new(Name::word("role.negatives"), 1, points.clone()).class("neg")],
        ),
        clusters: found.last().map_or(0, |row| count(row, "clusters")),
        last: *last,
    });
    Ok(Figure::some("spread", SPREAD, shown, "why.not-watched"))
}

/// What the filters of repeats found.
#[derive(Serialize)]
pub struct Repeats {
    pub judged: u64,
    pub dropped: u64,
    pub rows: Vec<Row>,
}

fn repeats(store: &Store, seen: &Overview) -> Result<Figure<Repeats>, Error> {
    let filters = rows(
        store,
        "SELECT name FROM plugin WHERE kind = 'filter' AND id LIKE '%duplicate%' ORDER BY name",
    )?;
    let names: Vec<&str> = filters.iter().map(|row| text(row, "name")).collect();
    let of: Vec<_> = seen
        .filters
        .iter()
        .filter(|row| names.contains(&row.filter.as_str()))
        .collect();
    let sql = dropped_sql(names.first().copied().unwrap_or("duplicate"));
    if of.is_empty() {
        return Ok(Figure::empty("repeats", sql, Said::of("why.no-repeats")));
    }
    let mut found = Vec::new();
    for one in seen
        .rejected
        .iter()
        .filter(|one| names.contains(&one.of.as_str()))
    {
        found.extend(reasons(store, &one.of, &one.samples)?);
    }
    let shown = Repeats {
        judged: of.iter().map(|row| row.judged).sum(),
        dropped: of.iter().map(|row| row.dropped).sum(),
        rows: found,
    };
    Ok(Figure::new("repeats", sql, shown))
}
