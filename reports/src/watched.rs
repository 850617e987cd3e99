//! How a run was watched: warnings, the pool through the epochs, what mining again brought, pictures of the validation claims.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_store::Store;
use serde::Serialize;

use crate::Error;
use crate::charts::{Lines, chart_of_shares};

/// Something the run warned of.
#[derive(Serialize)]
pub(crate) struct Warning {
    /// The rule that spoke.
    rule: String,
    what: String,
    advice: String,
}

pub(crate) fn warnings(store: &Store) -> Result<Vec<Warning>, Error> {
    let parted = |text: String| {
        let (rule, rest) = text.split_once(": ").unwrap_or(("", text.as_str()));
        let (what, advice) = rest.split_once(". To do: ").unwrap_or((rest, ""));
        Warning {
            rule: rule.replace('_', " "),
            what: what.to_owned(),
            advice: advice.to_owned(),
        }
    };
    Ok(store.warnings()?.into_iter().map(parted).collect())
}

/// The pool through the epochs.
#[derive(Serialize)]
pub(crate) struct Monitoring {
    bands: Bands,
    charts: Vec<Lines>,
    sources: Vec<String>,
    rows: Vec<Look>,
    clusters: Option<f64>,
}

/// Quantiles of similarity, in the chart's coordinates (0..100 across, 0..56 down).
#[derive(Serialize)]
struct Bands {
    low: f64,
    high: f64,
    last: u32,
    roles: Vec<Band>,
}

#[derive(Serialize)]
struct Band {
    role: &'static str,
    /// Outlines between the 5th and 95th, and the 25th and 75th percentile.
    outer: String,
    inner: String,
    median: String,
    /// The last median.
    at_end: f64,
}

/// One look at the pool: an epoch with its numbers.
#[derive(Serialize)]
struct Look {
    epoch: u32,
    values: BTreeMap<String, f64>,
    /// Shares of the negatives used, in the order of the sources.
    shares: Vec<Option<f64>>,
}

fn looks(store: &Store) -> Result<BTreeMap<u32, BTreeMap<String, f64>>, Error> {
    let mut looks: BTreeMap<u32, BTreeMap<String, f64>> = BTreeMap::new();
    for row in store.query(
        "SELECT t.detail AS model, substr(m.name, 9) AS name, m.value AS value FROM metric m
         JOIN tick t ON t.number = m.tick WHERE m.name LIKE 'monitor/%' ORDER BY m.tick, m.name",
    )? {
        let (Some(model), Some(name), Some(value)) = (
            row["model"].as_str(),
            row["name"].as_str(),
            row["value"].as_f64(),
        ) else {
            continue;
        };
        if let Some(epoch) = epoch_of(model) {
            looks
                .entry(epoch)
                .or_default()
                .insert(name.to_owned(), value);
        }
    }
    Ok(looks)
}

/// Epochs that a version of the model was trained for.
fn epoch_of(model: &str) -> Option<u32> {
    match model {
        "initial" => Some(0),
        other => other.strip_prefix("epoch-")?.parse().ok(),
    }
}

pub(crate) fn monitoring(store: &Store) -> Result<Option<Monitoring>, Error> {
    let looks = looks(store)?;
    if looks.len() < 2 {
        return Ok(None);
    }
    let line = |name: &str| -> Vec<(f64, f64)> {
        let values = looks.iter();
        values
            .filter_map(|(epoch, values)| Some((f64::from(*epoch), *values.get(name)?)))
            .collect()
    };
    let charts = [
        (
            "AUROC: how often a positive is nearer than a negative",
            &[("AUROC", "auroc")][..],
        ),
        (
            "Median difficulty of the negatives (0 = a random document, 1 = the positives)",
            &[("difficulty", "difficulty")],
        ),
        (
            "Share of the negatives",
            &[
                (
                    "nearer than the positives, likely false (solid line)",
                    "false_negatives",
                ),
                (
                    "further than a random document, too easy (dashed)",
                    "too_easy",
                ),
            ],
        ),
        (
            "How evenly negatives are spread over clusters (normalised entropy, 1 = evenly)",
            &[("entropy", "entropy")],
        ),
        (
            "Mean cosine of random documents to each other (1 = collapsed)",
            &[("random documents", "random_similarity")],
        ),
    ]
    .into_iter()
    .map(|(title, lines)| {
        let lines: Vec<_> = lines
            .iter()
            .map(|(label, name)| ((*label).to_owned(), line(name)))
            .filter(|(_, points)| points.len() > 1)
            .collect();
        (title, lines)
    })
    .filter(|(_, lines)| !lines.is_empty())
    .map(|(title, lines)| chart_of_shares(title.to_owned(), lines, "epoch"))
    .collect();
    let sources: BTreeSet<String> = looks
        .values()
        .flat_map(BTreeMap::keys)
        .filter_map(|name| name.strip_prefix("used/"))
        .map(str::to_owned)
        .collect();
    let sources: Vec<String> = sources.into_iter().collect();
    Ok(Some(Monitoring {
        bands: bands(&looks),
        charts,
        clusters: looks
            .values()
            .next()
            .and_then(|one| one.get("clusters").copied()),
        rows: looks
            .into_iter()
            .map(|(epoch, values)| Look {
                epoch,
                shares: sources
                    .iter()
                    .map(|source| values.get(&format!("used/{source}")).copied())
                    .collect(),
                values,
            })
            .collect(),
        sources,
    }))
}

fn bands(looks: &BTreeMap<u32, BTreeMap<String, f64>>) -> Bands {
    let all = looks.values().flatten();
    let quantiles = all.filter(|(name, _)| name.contains("_p"));
    let (low, high) = quantiles.fold((0.0f64, 0.1f64), |(low, high), (_, value)| {
        (low.min(*value), high.max(*value))
    });
    let last = looks.keys().next_back().copied().unwrap_or(1);
    let place = |epoch: u32, value: f64| {
        let across = 100.0 * f64::from(epoch) / f64::from(last.max(1));
        format!("{across:.1},{:.1}", 56.0 * (high - value) / (high - low))
    };
    let curve = |role: &str, percent: &str| -> Vec<String> {
        let name = format!("{role}_p{percent}");
        let points = looks.iter();
        points
            .filter_map(|(epoch, values)| Some(place(*epoch, *values.get(&name)?)))
            .collect()
    };
    let outline = |role: &str, below: &str, above: &str| {
        let mut points = curve(role, below);
        points.extend(curve(role, above).into_iter().rev());
        points.join(" ")
    };
    let band = |role: &'static str| Band {
        role,
        outer: outline(role, "05", "95"),
        inner: outline(role, "25", "75"),
        median: curve(role, "50").join(" "),
        at_end: looks
            .values()
            .next_back()
            .and_then(|values| values.get(&format!("{role}_p50")).copied())
            .unwrap_or_default(),
    };
    Bands {
        low,
        high,
        last,
        roles: ["negative", "positive"].map(band).into(),
    }
}

/// A sampler that was asked again.
#[derive(Serialize)]
pub(crate) struct Mined {
    sampler: String,
    /// Version of the model that mined: after so many steps, or a round.
    model: String,
    /// The sampler's numbers by name, and what was encoded.
    values: BTreeMap<String, f64>,
}

/// Times of mining again that are shown: all, or so many, evenly spread.
const MOST_MINED: usize = 40;

pub(crate) fn mined(store: &Store) -> Result<Vec<Mined>, Error> {
    let mut mined: Vec<(i64, Mined)> = Vec::new();
    // What a sampler proposed is written in its own tick, what the model makes of it in the scoring tick after it.
    for row in store.query(
        "WITH again AS (SELECT r.number, r.detail AS sampler,
                               (SELECT min(s.number) FROM tick s WHERE s.kind = 'score' AND s.number > r.number) AS scored
                        FROM tick r WHERE r.kind = 'refresh')
         SELECT a.number AS number, a.sampler AS sampler, t.detail AS model, m.name AS name, m.value AS value
         FROM again a JOIN tick t ON t.number = a.scored
         JOIN metric m ON m.tick IN (a.number, a.scored) AND m.step = -1
           AND (substr(m.name, 1, length(a.sampler) + 1) = a.sampler || '/' OR m.name LIKE 'mining/%')
         ORDER BY a.number, m.name",
    )? {
        let (Some(number), Some(sampler), Some(model), Some(name), Some(value)) = (
            row["number"].as_i64(),
            row["sampler"].as_str(),
            row["model"].as_str(),
            row["name"].as_str(),
            row["value"].as_f64(),
        ) else {
            continue;
        };
        if mined.last().is_none_or(|(last, _)| *last != number) {
            let one = Mined {
                sampler: sampler.to_owned(),
                model: model.replace('-', " "),
                values: BTreeMap::new(),
            };
            mined.push((number, one));
        }
        if let (Some((_, last)), Some((_, what))) = (mined.last_mut(), name.rsplit_once('/')) {
            last.values.insert(what.to_owned(), value);
        }
    }
    let n = mined.len();
    let shown = |place: &usize| n <= MOST_MINED || (place * MOST_MINED) % n < MOST_MINED;
    Ok(mined
        .into_iter()
        .enumerate()
        .filter(|(place, _)| shown(place))
        .map(|(_, (_, one))| one)
        .collect())
}

/// The validation claims in the plane, as a model sees them.
#[derive(Serialize)]
pub(crate) struct Picture {
    epoch: u32,
    /// The metric the run chooses by.
    value: Option<f64>,
    marks: Vec<Marks>,
}

/// Everything of one role, as one path in a square of 100.
#[derive(Serialize)]
struct Marks {
    role: &'static str,
    n: usize,
    path: String,
}

/// Pictures that are shown.
const MOST: usize = 6;

pub(crate) fn pictures(store: &Store, scores: &[(f64, f64)]) -> Result<Vec<Picture>, Error> {
    let relevant: BTreeSet<String> = store
        .query(
            "SELECT DISTINCT CAST(j.document AS TEXT) AS document FROM judgement j JOIN anchor a ON a.number = j.anchor
             WHERE a.split = 'validation'",
        )?
        .iter()
        .filter_map(|row| Some(row["document"].as_str()?.to_owned()))
        .collect();
    let mut by_epoch: BTreeMap<u32, Vec<(&'static str, [f64; 2])>> = BTreeMap::new();
    for row in store.projections()? {
        let Some(epoch) = epoch_of(&row.model) else {
            continue;
        };
        let role = match row.kind.as_str() {
            "anchor" => "claim",
            _ if relevant.contains(&row.item) => "relevant",
            _ => "wrong",
        };
        by_epoch
            .entry(epoch)
            .or_default()
            .push((role, [row.x, row.y]));
    }
    let all: Vec<u32> = by_epoch.keys().copied().collect();
    let shown: BTreeSet<u32> = (0..MOST.min(all.len()))
        .map(|place| all[place * (all.len() - 1) / (MOST.min(all.len()) - 1).max(1)])
        .collect();
    // One scale for all: what moves, moved.
    let widest = by_epoch
        .iter()
        .filter(|(epoch, _)| shown.contains(epoch))
        .flat_map(|(_, points)| points)
        .flat_map(|(_, point)| point)
        .fold(1e-9f64, |widest, value| widest.max(value.abs()));
    let place = |value: f64| 50.0 + 48.0 * value / widest;
    Ok(by_epoch
        .into_iter()
        .filter(|(epoch, _)| shown.contains(epoch))
        .map(|(epoch, points)| Picture {
            epoch,
            value: scores
                .iter()
                .find(|(of, _)| *of == f64::from(epoch))
                .map(|(_, value)| *value),
            marks: ["wrong", "relevant", "claim"]
                .into_iter()
                .map(|role| {
                    let of_role: Vec<String> = points
                        .iter()
                        .filter(|(of, _)| *of == role)
                        .map(|(_, [x, y])| mark(role, place(*x), place(-*y)))
                        .collect();
                    Marks {
                        role,
                        n: of_role.len(),
                        path: of_role.concat(),
                    }
                })
                .collect(),
        })
        .collect())
}

/// A claim is a dot, a relevant document a triangle, a wrong one a cross.
fn mark(role: &str, x: f64, y: f64) -> String {
    match role {
        "claim" => format!("M{x:.1} {y:.1}h0"),
        "relevant" => format!("M{x:.1} {:.1}l1 1.8h-2z", y - 1.1),
        _ => format!("M{:.1} {:.1}l1.6 1.6m0-1.6l-1.6 1.6", x - 0.8, y - 0.8),
    }
}
