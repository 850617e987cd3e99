//! Are the negatives hard, but not false? Difficulty by epoch and source, spread, repeats, suspected false negatives.

use std::collections::BTreeMap;

use orchestrator_store::Store;
use serde::Serialize;

use crate::Error;
use crate::charts::{Plot, Series, lines};
use crate::figure::{Figure, Row, count, epoch_of, number, rows, text};
use crate::pool::samples_sql;
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
const BINS: usize = 24;
const BIN: &str = "max(0, min(23, CAST((c.difficulty + 0.5) * 12 AS INTEGER)))";

#[derive(Default)]
struct Counted {
    bins: [f64; BINS],
    n: f64,
    total: f64,
    too_easy: f64,
    likely_false: f64,
    bands: [u64; 3],
}

impl Counted {
    fn add(&mut self, row: &Row) {
        let n = number(row, "n");
        self.bins[(count(row, "bin") as usize).min(BINS - 1)] += n;
        self.n += n;
        self.total += number(row, "total");
        self.too_easy += number(row, "too_easy");
        self.likely_false += number(row, "likely_false");
        for (place, band) in ["easy", "medium", "hard"].into_iter().enumerate() {
            self.bands[place] += count(row, band);
        }
    }

    fn drawn(&self, title: Name, unit: &'static str) -> Histogram {
        let n = self.n.max(1.0);
        let shares = self.bins.map(|count| count / n);
        let most = shares.iter().copied().fold(0.05, f64::max);
        let mut plot = Plot::over(
            title,
            (Name::word("unit.difficulty"), Name::word(unit)),
            [-0.5, 1.5, 0.0, most * 1.05],
        );
        plot.steps(Name::word("role.negatives"), "neg", &shares, (-0.5, 1.5));
        plot.legend.clear();
        let one = plot.across(1.0);
        let d = format!("M{one} {}V{}", plot.top, plot.bottom);
        plot.layer("zero", d);
        Histogram {
            plot,
            n: self.n as u64,
            mean: self.total / n,
            too_easy: self.too_easy / n,
            likely_false: self.likely_false / n,
            easy: self.bands[0],
            medium: self.bands[1],
            hard: self.bands[2],
        }
    }
}

fn sums() -> String {
    format!(
        "{BIN} AS bin, count(*) AS n, sum(c.difficulty) AS total, sum(c.difficulty < 0) AS too_easy, sum(c.difficulty > 1) AS likely_false,
       sum(c.band = 'easy') AS easy, sum(c.band = 'medium') AS medium, sum(c.band = 'hard') AS hard"
    )
}

impl Negatives {
    pub(crate) fn of(store: &Store) -> Result<Self, Error> {
        Ok(Self {
            share: suspects::share(store)?,
            suspects: suspects::suspects(
                store,
                "suspect-negatives",
                "negative",
                "why.no-suspects",
            )?,
            by_epoch: by_epoch(store)?,
            by_source: by_source(store)?,
            spread: spread(store)?,
            repeats: repeats(store)?,
        })
    }
}

fn by_epoch(store: &Store) -> Result<Figure<Histograms>, Error> {
    let sql = format!(
        "WITH first AS MATERIALIZED (SELECT sample, min(tick) AS tick, difficulty, band FROM score WHERE difficulty IS NOT NULL GROUP BY sample)
SELECT u.epoch, {}
FROM use u JOIN first c ON c.sample = u.sample GROUP BY u.epoch, bin ORDER BY u.epoch, bin",
        sums()
    );
    let stages: BTreeMap<u64, String> = rows(
        store,
        "SELECT e.epoch, t.detail FROM (SELECT epoch, min(tick) AS tick FROM use GROUP BY epoch) e JOIN tick t ON t.number = e.tick",
    )?
    .iter()
    .map(|row| {
        let stage = text(row, "detail").rsplit(", ").next().unwrap_or_default();
        (count(row, "epoch"), stage.to_owned())
    })
    .collect();
    let mut by_epoch: BTreeMap<u64, Counted> = BTreeMap::new();
    for row in rows(store, &sql)? {
        by_epoch.entry(count(&row, "epoch")).or_default().add(&row);
    }
    let all = by_epoch.len();
    let n = by_epoch
        .values()
        .map(|one| one.n as u64)
        .min()
        .unwrap_or_default();
    // All of them, or so many, evenly spread, the first and the last among them.
    let kept = (0..SHOWN.min(all)).map(|place| place * (all - 1) / (SHOWN.min(all) - 1).max(1));
    let kept: Vec<usize> = kept.collect();
    let drawn: Vec<Histogram> = by_epoch
        .iter()
        .enumerate()
        .filter(|(place, _)| kept.contains(place))
        .map(|(_, (epoch, counted))| {
            let stage = stages.get(epoch).cloned().unwrap_or_default();
            let title = Said::of("chart.epoch-stage")
                .with("n", epoch + 1)
                .with("stage", stage);
            counted.drawn(title.into(), "unit.share-uses")
        })
        .collect();
    let shown = (!drawn.is_empty()).then_some(Histograms {
        all: all as u64,
        rows: drawn,
    });
    Ok(Figure::some("difficulty-epochs", sql, shown, "why.no-negatives").of(n))
}

fn by_source(store: &Store) -> Result<Figure<Histograms>, Error> {
    let sql = format!(
        "SELECT p.source, {}
FROM (SELECT DISTINCT sample, source FROM provenance) p
JOIN score c ON c.sample = p.sample AND c.tick = (SELECT max(number) FROM tick WHERE kind = 'score') AND c.difficulty IS NOT NULL
GROUP BY p.source, bin ORDER BY p.source, bin",
        sums()
    );
    let mut by_source: BTreeMap<String, Counted> = BTreeMap::new();
    for row in rows(store, &sql)? {
        by_source
            .entry(text(&row, "source").to_owned())
            .or_default()
            .add(&row);
    }
    let all = by_source.len() as u64;
    let mut largest: Vec<(String, Counted)> = by_source.into_iter().collect();
    largest.sort_by(|a, b| b.1.n.total_cmp(&a.1.n));
    let n = largest
        .iter()
        .map(|(_, one)| one.n as u64)
        .min()
        .unwrap_or_default();
    let drawn: Vec<Histogram> = largest
        .into_iter()
        .take(SHOWN)
        .map(|(source, counted)| counted.drawn(Name::Data(source), "unit.share-negatives"))
        .collect();
    let shown = (!drawn.is_empty()).then_some(Histograms { all, rows: drawn });
    Ok(Figure::some("difficulty-sources", sql, shown, "why.no-negatives").of(n))
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

fn repeats(store: &Store) -> Result<Figure<Repeats>, Error> {
    let filters = "SELECT name FROM plugin WHERE kind = 'filter' AND id LIKE '%duplicate%'";
    let which = format!(
        "FROM (SELECT sample, filter, reason FROM verdict WHERE keep = 0 AND filter IN ({filters}) LIMIT 6) v JOIN sample s ON s.id = v.sample"
    );
    let sql = samples_sql(&which, "v.filter, v.reason, ");
    let counts = rows(
        store,
        &format!(
            "SELECT count(*) AS judged, coalesce(sum(keep = 0), 0) AS dropped FROM verdict WHERE filter IN ({filters})"
        ),
    )?;
    let (judged, dropped) = counts
        .first()
        .map_or((0, 0), |row| (count(row, "judged"), count(row, "dropped")));
    Ok(if judged == 0 {
        Figure::empty("repeats", sql, Said::of("why.no-repeats"))
    } else {
        Figure::new(
            "repeats",
            sql.clone(),
            Repeats {
                judged,
                dropped,
                rows: rows(store, &sql)?,
            },
        )
    })
}
