//! From queries to what the template shows: histograms, curves, intervals. Every figure carries the query that made it.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_store::{CurvePoint, EpochRow, FunnelRow, PluginRow, Store};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::charts::{Lines, chart, histogram, mean};
use crate::people::{self, Agreement, Audit, Round};
use crate::watched::{self, Mined, Monitoring, Picture, Warning};

/// Everything the template shows.
#[derive(Serialize)]
pub(crate) struct View {
    name: String,
    seed: u64,
    version: String,
    plan: String,
    headline: Headline,
    results: Vec<SplitResults>,
    trained_epoch: Option<usize>,
    has_validation: bool,
    epochs: Vec<EpochRow>,
    overlap: Vec<Overlapping>,
    n_known: usize,
    n_new: usize,
    validation_curve: Option<Lines>,
    funnel: Vec<FunnelRow>,
    funnel_most: u64,
    filters: Vec<Dropped>,
    shortfalls: Vec<(String, i64)>,
    similarities: Vec<Overlap>,
    difficulties: Vec<EpochHistogram>,
    warnings: Vec<Warning>,
    monitoring: Option<Monitoring>,
    mined: Vec<Mined>,
    pictures: Vec<Picture>,
    losses: Vec<Lines>,
    decisions: Vec<String>,
    rounds: Vec<Round>,
    agreements: Vec<Agreement>,
    audit: Option<Audit>,
    examples: Vec<Examples>,
    rejected: Vec<Map<String, Value>>,
    plugins: Vec<PluginRow>,
    tables: Vec<(String, u64)>,
    data: Vec<Map<String, Value>>,
    reading: String,
}

/// The answer to the first question: did it get better?
#[derive(Serialize)]
struct Headline {
    metric: String,
    split: String,
    trained: Option<f64>,
    against: Vec<Difference>,
}

/// Trained minus another, over the same anchors.
#[derive(Serialize)]
struct Difference {
    model: String,
    interval: Interval,
    verdict: &'static str,
}

#[derive(Serialize)]
struct SplitResults {
    split: String,
    anchors: u64,
    metrics: Vec<String>,
    models: Vec<ModelResults>,
}

/// What a row says of test claims whose documents were judged for a training claim too, and of the others.
#[derive(Serialize)]
struct Overlapping {
    name: String,
    known: Option<Interval>,
    new: Option<Interval>,
    difference: bool,
}

/// A mean with its 95 % interval.
#[derive(Serialize, Clone, Copy)]
struct Interval {
    mean: f64,
    low: f64,
    high: f64,
}

impl Interval {
    /// By the normal approximation; `None` of fewer than two values.
    fn of(values: &[f64]) -> Option<Self> {
        if values.len() < 2 {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = 1.96 * (variance / n).sqrt();
        Some(Self {
            mean,
            low: mean - half,
            high: mean + half,
        })
    }
}

#[derive(Serialize)]
struct ModelResults {
    model: String,
    values: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Dropped {
    filter: String,
    judged: u64,
    dropped: u64,
}

/// Two histograms over the same bins.
#[derive(Serialize)]
struct Overlap {
    model: String,
    low: f64,
    high: f64,
    positives: Vec<f64>,
    negatives: Vec<f64>,
    n_positives: usize,
    n_negatives: usize,
    mean_positive: f64,
    mean_negative: f64,
    effect: f64,
    overlap: f64,
}

#[derive(Serialize)]
struct EpochHistogram {
    epoch: usize,
    bins: Vec<f64>,
    n: usize,
    mean: f64,
    easy: usize,
    medium: usize,
    hard: usize,
}

#[derive(Serialize)]
struct Examples {
    source: String,
    rows: Vec<Map<String, Value>>,
}

fn named(model: &str) -> String {
    match model {
        "initial" => "untrained".to_owned(),
        "bm25" => "BM25".to_owned(),
        other => other.to_owned(),
    }
}

pub(crate) fn build(store: &Store) -> Result<View, Error> {
    let (name, seed, version, plan) = store.run()?.unwrap_or_default();
    let parsed: Value = serde_json::from_str(&plan).unwrap_or_default();
    let metrics: Vec<String> = parsed["experiment"]["evaluate"]["metrics"]
        .as_array()
        .map(|all| {
            all.iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    let first = metrics.first().cloned().unwrap_or_default();
    let evaluations = store.evaluations()?;
    let results = ["test", "validation"]
        .into_iter()
        .filter_map(|split| {
            let of_split: Vec<_> = evaluations
                .iter()
                .filter(|row| row.split == split)
                .collect();
            let models = ["bm25", "initial", "trained"]
                .into_iter()
                .filter(|model| of_split.iter().any(|row| row.model == *model))
                .map(|model| ModelResults {
                    model: named(model),
                    values: metrics
                        .iter()
                        .map(|metric| {
                            of_split
                                .iter()
                                .find(|row| row.model == model && row.metric == *metric)
                                .map(|row| row.mean)
                        })
                        .collect(),
                })
                .collect::<Vec<_>>();
            let anchors = of_split.first()?.anchors;
            Some(SplitResults {
                split: split.to_owned(),
                anchors,
                metrics: metrics.clone(),
                models,
            })
        })
        .collect();
    let epochs = epoch_scores(&evaluations, &first);
    let known: BTreeSet<usize> = store.overlapping_with_training()?.into_iter().collect();
    let tested = store.per_anchor("initial", "test", &first)?.len();
    let funnel = store.funnel()?;
    let rounds = people::rounds(store, &first)?;
    Ok(View {
        headline: headline(store, &first, &evaluations)?,
        overlap: if known.is_empty() || known.len() == tested {
            Vec::new()
        } else {
            overlap(store, &first, &known)?
        },
        n_known: known.len(),
        n_new: tested.saturating_sub(known.len()),
        trained_epoch: store.trained_epoch()?,
        has_validation: evaluations.iter().any(|row| row.split == "validation"),
        epochs: store.epochs()?,
        validation_curve: (epochs.len() > 1).then(|| {
            let baselines = evaluations
                .iter()
                .filter(|row| row.split == "validation" && row.metric == first && (row.model == "bm25" || row.model == "initial"));
            let mut lines = vec![("this run".to_owned(), epochs.clone())];
            lines.extend(baselines.map(|row| (named(&row.model), epochs.iter().map(|(x, _)| (*x, row.mean)).collect())));
            chart(format!("{first} on validation, by epoch"), lines, "epoch")
        }),
        results,
        funnel_most: funnel.iter().map(|row| row.proposed).max().unwrap_or(1).max(1),
        filters: store
            .dropped_by_filter()?
            .into_iter()
            .map(|(filter, judged, dropped)| Dropped {
                filter,
                judged,
                dropped,
            })
            .collect(),
        shortfalls: shortfalls(store)?,
        funnel,
        similarities: similarities(store)?,
        difficulties: difficulties(store)?,
        warnings: watched::warnings(store)?,
        monitoring: watched::monitoring(store)?,
        mined: watched::mined(store)?,
        pictures: watched::pictures(store, &epochs)?,
        losses: losses(store)?,
        decisions: people::decisions(store)?,
        rounds,
        agreements: people::agreements(store)?,
        audit: people::audit(store)?,
        examples: examples(store)?,
        rejected: store.query(
            "SELECT filter, reason, sources, role, anchor, substr(text, 1, 240) AS text FROM
               (SELECT *, row_number() OVER (PARTITION BY filter ORDER BY sample) AS place FROM v_rejected)
             WHERE place <= 4 ORDER BY filter, place",
        )?,
        plugins: store.plugins()?,
        tables: store.row_counts()?,
        data: store.query(
            "SELECT split, count(*) AS anchors, (SELECT count(*) FROM document) AS documents FROM anchor GROUP BY split ORDER BY split",
        )?,
        reading: parsed["experiment"]["data"]["reading"].as_str().unwrap_or("retrieval").to_owned(),
        name,
        seed,
        version,
        plan,
    })
}

/// (epoch, value) of a metric on validation.
fn epoch_scores(
    evaluations: &[orchestrator_store::EvaluationRow],
    metric: &str,
) -> Vec<(f64, f64)> {
    let mut scores: Vec<(f64, f64)> = evaluations
        .iter()
        .filter(|row| row.split == "validation" && row.metric == metric)
        .filter_map(|row| {
            let epoch = if row.model == "initial" {
                0
            } else {
                row.model.strip_prefix("epoch-")?.parse::<u32>().ok()?
            };
            Some((f64::from(epoch), row.mean))
        })
        .collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    scores
}

/// Models, and trained minus each, on both kinds of test claims.
fn overlap(
    store: &Store,
    metric: &str,
    known: &BTreeSet<usize>,
) -> Result<Vec<Overlapping>, Error> {
    let values = |model: &str| -> Result<BTreeMap<usize, f64>, Error> {
        Ok(store
            .per_anchor(model, "test", metric)?
            .into_iter()
            .collect())
    };
    let trained = values("trained")?;
    let (mut models, mut differences) = (Vec::new(), Vec::new());
    for model in ["bm25", "initial", "trained"] {
        let of_model = values(model)?;
        let row = |name: String, difference: bool| {
            let part = |is_known: bool| {
                let values: Vec<f64> = of_model
                    .iter()
                    .filter(|(anchor, _)| known.contains(anchor) == is_known)
                    .filter_map(|(anchor, value)| {
                        let subtracted = if difference {
                            trained.get(anchor)? - value
                        } else {
                            *value
                        };
                        Some(subtracted)
                    })
                    .collect();
                Interval::of(&values)
            };
            Overlapping {
                name,
                known: part(true),
                new: part(false),
                difference,
            }
        };
        models.push(row(named(model), false));
        if model != "trained" {
            differences.push(row(format!("trained against {}", named(model)), true));
        }
    }
    models.extend(differences);
    Ok(models)
}

fn headline(
    store: &Store,
    metric: &str,
    evaluations: &[orchestrator_store::EvaluationRow],
) -> Result<Headline, Error> {
    let split = if evaluations.iter().any(|row| row.split == "test") {
        "test"
    } else {
        "validation"
    };
    let trained: BTreeMap<usize, f64> = store
        .per_anchor("trained", split, metric)?
        .into_iter()
        .collect();
    let mut against = Vec::new();
    for model in ["initial", "bm25"] {
        let differences: Vec<f64> = store
            .per_anchor(model, split, metric)?
            .into_iter()
            .filter_map(|(anchor, value)| Some(trained.get(&anchor)? - value))
            .collect();
        let Some(interval) = Interval::of(&differences) else {
            continue;
        };
        against.push(Difference {
            model: named(model),
            interval,
            verdict: if interval.low > 0.0 {
                "better"
            } else if interval.high < 0.0 {
                "worse"
            } else {
                "not told apart"
            },
        });
    }
    Ok(Headline {
        metric: metric.to_owned(),
        split: split.to_owned(),
        trained: (!trained.is_empty())
            .then(|| trained.values().sum::<f64>() / trained.len() as f64),
        against,
    })
}

/// How much less than asked a sampler found, by name.
fn shortfalls(store: &Store) -> Result<Vec<(String, i64)>, Error> {
    let mut asked: BTreeMap<String, f64> = BTreeMap::new();
    for row in store.query("SELECT name, sum(value) AS value FROM metric WHERE name LIKE '%/asked' OR name LIKE '%/found' GROUP BY name")? {
        let (Some(name), Some(value)) = (row["name"].as_str(), row["value"].as_f64()) else {
            continue;
        };
        if let Some(source) = name.strip_suffix("/asked") {
            *asked.entry(source.to_owned()).or_default() += value;
        } else if let Some(source) = name.strip_suffix("/found") {
            *asked.entry(source.to_owned()).or_default() -= value;
        }
    }
    Ok(asked
        .into_iter()
        .filter(|(_, short)| *short > 0.0)
        .map(|(source, short)| (source, short as i64))
        .collect())
}

fn similarities(store: &Store) -> Result<Vec<Overlap>, Error> {
    let mut by_model: Vec<(String, Vec<f64>, Vec<f64>)> = Vec::new();
    for row in store.similarities()? {
        if by_model
            .last()
            .is_none_or(|(model, ..)| *model != row.model)
        {
            by_model.push((row.model.clone(), Vec::new(), Vec::new()));
        }
        if let Some((_, positives, negatives)) = by_model.last_mut() {
            let values = if row.role == "positive" {
                positives
            } else {
                negatives
            };
            values.push(row.similarity);
        }
    }
    // The first and the last say how it changed.
    let keep: Vec<_> = match by_model.len() {
        0..=2 => by_model,
        n => by_model
            .into_iter()
            .enumerate()
            .filter(|(place, _)| *place == 0 || *place == n - 1)
            .map(|(_, one)| one)
            .collect(),
    };
    Ok(keep
        .into_iter()
        .map(|(model, positives, negatives)| {
            let all = positives.iter().chain(&negatives);
            let low = all.clone().copied().fold(f64::INFINITY, f64::min).min(0.0);
            let high = all
                .copied()
                .fold(f64::NEG_INFINITY, f64::max)
                .max(low + 0.1);
            let (of_positive, of_negative) = (
                histogram(&positives, low, high, 30),
                histogram(&negatives, low, high, 30),
            );
            let (near, far) = (mean(&positives), mean(&negatives));
            let spread = |values: &[f64], mean: f64| {
                values.iter().map(|one| (one - mean).powi(2)).sum::<f64>()
                    / (values.len().max(2) - 1) as f64
            };
            let pooled = ((spread(&positives, near) + spread(&negatives, far)) / 2.0).sqrt();
            Overlap {
                model: if model == "initial" {
                    "untrained".to_owned()
                } else {
                    model
                },
                low,
                high,
                overlap: of_positive
                    .iter()
                    .zip(&of_negative)
                    .map(|(a, b)| a.min(*b))
                    .sum(),
                positives: of_positive,
                negatives: of_negative,
                n_positives: positives.len(),
                n_negatives: negatives.len(),
                mean_positive: near,
                mean_negative: far,
                effect: (near - far) / pooled.max(1e-9),
            }
        })
        .collect())
}

fn difficulties(store: &Store) -> Result<Vec<EpochHistogram>, Error> {
    let mut by_epoch: BTreeMap<usize, (Vec<f64>, [usize; 3])> = BTreeMap::new();
    for row in store.difficulties_by_epoch()? {
        let (values, bands) = by_epoch.entry(row.epoch).or_default();
        values.push(row.difficulty);
        let band = match row.band.as_str() {
            "easy" => 0,
            "medium" => 1,
            _ => 2,
        };
        bands[band] += 1;
    }
    Ok(by_epoch
        .into_iter()
        .map(|(epoch, (values, [easy, medium, hard]))| EpochHistogram {
            epoch: epoch + 1,
            bins: histogram(&values, -0.5, 1.5, 24),
            n: values.len(),
            mean: mean(&values),
            easy,
            medium,
            hard,
        })
        .collect())
}

fn losses(store: &Store) -> Result<Vec<Lines>, Error> {
    let mut by_name: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    let steps: Vec<CurvePoint> = store.curve("loss")?;
    for point in steps {
        by_name
            .entry(point.name)
            .or_default()
            .push((point.step as f64, point.value));
    }
    Ok(by_name
        .into_iter()
        .map(|(name, points)| {
            let title = name
                .strip_prefix("loss/")
                .unwrap_or("weighted sum")
                .to_owned();
            chart(title.clone(), vec![(title, points)], "step")
        })
        .collect())
}

/// A few samples of each source with all that is known of them: spread over the source by id, which is a hash.
fn examples(store: &Store) -> Result<Vec<Examples>, Error> {
    let rows = store.query(
        "SELECT source, p.detail, v.id, v.anchor, v.anchor_text, v.role, v.label, v.document, substr(v.text, 1, 400) AS text,
                length(v.text) AS length, v.kept, v.similarity, v.difficulty, v.band, v.uses, v.mean_loss, v.parent
         FROM (SELECT *, row_number() OVER (PARTITION BY source ORDER BY sample) AS place
               FROM (SELECT sample, source, min(tick), detail FROM provenance GROUP BY sample, source)) p
         JOIN v_sample v ON v.id = p.sample WHERE p.place <= 3 ORDER BY p.source, p.place",
    )?;
    let mut examples: Vec<Examples> = Vec::new();
    for row in rows {
        let source = row["source"].as_str().unwrap_or_default().to_owned();
        match examples.last_mut() {
            Some(last) if last.source == source => last.rows.push(row),
            _ => examples.push(Examples {
                source,
                rows: vec![row],
            }),
        }
    }
    Ok(examples)
}
