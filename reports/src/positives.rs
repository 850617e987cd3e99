//! Are the positives right? How far they stand apart from negatives, by epoch and source; topics; suspects among them.

use std::collections::BTreeMap;

use orchestrator_store::{Overview, SimilarityHistogram, Store};
use serde::Serialize;

use crate::Error;
use crate::better::named;
use crate::charts::{Interval, Plot, Scale, Series, lines};
use crate::figure::{Figure, count, epoch_of, maybe, number, rows, text};
use crate::suspects::{self, Suspects};
use crate::words::{Name, Said};

/// The third section.
#[derive(Serialize)]
pub struct Positives {
    pub similarity: Figure<Vec<Overlap>>,
    pub apart: Figure<Apart>,
    pub topics: Figure<Topics>,
    pub suspects: Figure<Suspects>,
}

/// Similarities of both roles by one version of the model.
#[derive(Serialize)]
pub struct Overlap {
    pub model: Name,
    pub plot: Plot,
    pub positives: Moments,
    pub negatives: Moments,
    /// Share that two histograms have in common.
    pub overlap: f64,
    /// Cohen's d.
    pub effect: f64,
}

#[derive(Serialize, Default, Clone, Copy)]
pub struct Moments {
    pub n: u64,
    pub mean: f64,
    #[serde(skip)]
    variance: f64,
}

const SIMILARITY: &str = "SELECT c.model, s.role, max(0, min(99, CAST((c.similarity + 1) * 50 AS INTEGER))) AS bin, count(*) AS n, avg(c.similarity) AS mean
FROM score c JOIN sample s ON s.id = c.sample
WHERE c.model IN ((SELECT detail FROM tick WHERE kind = 'score' ORDER BY number LIMIT 1),
                  (SELECT detail FROM tick WHERE kind = 'score' ORDER BY number DESC LIMIT 1))
GROUP BY c.model, s.role, bin ORDER BY c.model, s.role, bin";

const BINS: usize = SimilarityHistogram::BINS;

impl Positives {
    pub(crate) fn of(store: &Store, seen: &Overview) -> Result<Self, Error> {
        Ok(Self {
            similarity: similarity(seen),
            apart: apart(store)?,
            topics: topics(store)?,
            suspects: suspects::suspects(
                store,
                "suspect-positives",
                "positive",
                "why.no-suspects",
            )?,
        })
    }
}

/// Of the first model that scored, and of the last: they say how it changed.
fn similarity(seen: &Overview) -> Figure<Vec<Overlap>> {
    let mut models: Vec<&str> = seen
        .similarities
        .iter()
        .map(|one| one.model.as_str())
        .collect();
    models.dedup();
    let ends: Vec<&str> = match &models[..] {
        [] => Vec::new(),
        [only] => vec![only],
        [first, .., last] => vec![first, last],
    };
    let pictures: Vec<Overlap> = ends
        .into_iter()
        .map(|model| {
            let of = |role: &str| {
                let mut all = seen.similarities.iter();
                all.find(|one| one.model == model && one.role == role)
            };
            overlap(model, of("positive"), of("negative"))
        })
        .collect();
    let n = pictures
        .iter()
        .map(|one| one.positives.n.min(one.negatives.n))
        .min();
    let shown = (!pictures.is_empty()).then_some(pictures);
    Figure::some("similarity", SIMILARITY, shown, "why.not-scored").of(n.unwrap_or_default())
}

fn overlap(
    model: &str,
    positives: Option<&SimilarityHistogram>,
    negatives: Option<&SimilarityHistogram>,
) -> Overlap {
    let shares = |of: Option<&SimilarityHistogram>| -> Vec<f64> {
        let Some(one) = of else {
            return vec![0.0; BINS];
        };
        let counts = one.counts.iter();
        counts
            .map(|count| *count as f64 / one.n.max(1) as f64)
            .collect()
    };
    let moments = |of: Option<&SimilarityHistogram>| {
        of.map_or_else(Moments::default, |one| Moments {
            n: one.n,
            mean: one.mean,
            variance: one.deviation.powi(2),
        })
    };
    let (of_positive, of_negative) = (shares(positives), shares(negatives));
    let used = |bin: &usize| of_positive[*bin] + of_negative[*bin] > 0.0;
    let first = (0..BINS).find(used).unwrap_or(0).min(BINS - 5);
    let last = (0..BINS)
        .rev()
        .find(used)
        .unwrap_or(BINS - 1)
        .max(first + 4);
    let (low, high) = (first as f64 / 50.0 - 1.0, (last + 1) as f64 / 50.0 - 1.0);
    let most = of_positive
        .iter()
        .chain(&of_negative)
        .copied()
        .fold(0.01, f64::max);
    let title = Said::of("chart.similarity").with(
        "model",
        serde_json::to_value(model_name(model)).unwrap_or_default(),
    );
    let mut plot = Plot::over(
        title.into(),
        (Name::word("unit.cosine"), Name::word("unit.share")),
        [low, high, 0.0, most * 1.05],
    );
    let (near, far) = (moments(positives), moments(negatives));
    let ends = (low, high);
    plot.steps(
        Name::word("role.negatives"),
        "neg",
        &of_negative[first..=last],
        ends,
    );
    plot.steps(
        Name::word("role.positives"),
        "pos",
        &of_positive[first..=last],
        ends,
    );
    let pooled = ((near.variance + far.variance) / 2.0).sqrt();
    let both = of_positive.iter().zip(&of_negative);
    Overlap {
        model: model_name(model),
        plot,
        overlap: both.map(|(a, b)| a.min(*b)).sum(),
        effect: (near.mean - far.mean) / pooled.max(1e-9),
        positives: near,
        negatives: far,
    }
}

/// A version of the model, an epoch or a step.
pub(crate) fn model_name(model: &str) -> Name {
    match model
        .strip_prefix("step-")
        .and_then(|step| step.parse::<u64>().ok())
    {
        Some(step) => Said::of("model.step").with("n", step).into(),
        None => named(model),
    }
}

/// How far positives stand apart from the negatives of each source, by version of the model.
#[derive(Serialize)]
pub struct Apart {
    /// By epoch, if there are more than the first and the last.
    pub plot: Option<Plot>,
    pub scale: Scale,
    pub rows: Vec<ApartRow>,
}

#[derive(Serialize)]
pub struct ApartRow {
    pub model: Name,
    pub source: String,
    /// AUROC.
    pub auroc: Option<Interval>,
    /// cliffs_delta, cliffs_delta_low …, overlap, positives, negatives
    pub values: BTreeMap<String, f64>,
    pub few: bool,
    pub class: &'static str,
}

const APART: &str =
    "SELECT name, value FROM metric WHERE step = -1 AND name LIKE 'apart/%' ORDER BY tick, name";

/// Sources whose lines are drawn.
const LINES: usize = 7;

/// The trained model comes after every epoch.
const TRAINED: u32 = u32::MAX;

fn apart(store: &Store) -> Result<Figure<Apart>, Error> {
    let mut found: BTreeMap<(String, u32), BTreeMap<String, f64>> = BTreeMap::new();
    for row in rows(store, APART)? {
        let name = text(&row, "name")
            .strip_prefix("apart/")
            .unwrap_or_default();
        let (Some((model, rest)), Some((_, what))) = (name.split_once('/'), name.rsplit_once('/'))
        else {
            continue;
        };
        let source = rest
            .strip_suffix(what)
            .map(|rest| rest.trim_end_matches('/'));
        let epoch = match model {
            "trained" => Some(TRAINED),
            other => epoch_of(other),
        };
        if let (Some(epoch), Some(source)) = (epoch, source) {
            let values = found.entry((source.to_owned(), epoch)).or_default();
            values.insert(what.to_owned(), number(&row, "value"));
        }
    }
    if found.is_empty() {
        return Ok(Figure::empty("apart", APART, Said::of("why.no-analysis")));
    }
    let plot = apart_by_epoch(&found);
    let rows: Vec<ApartRow> = found
        .into_iter()
        .map(|((source, epoch), values)| {
            let value = |name: &str| values.get(name).copied();
            let least = value("positives")
                .unwrap_or(0.0)
                .min(value("negatives").unwrap_or(0.0));
            ApartRow {
                model: named(&match epoch {
                    0 => "initial".to_owned(),
                    TRAINED => "trained".to_owned(),
                    other => format!("epoch-{other}"),
                }),
                auroc: value("auroc").map(|mean| Interval {
                    mean,
                    low: value("auroc_low").unwrap_or(mean),
                    high: value("auroc_high").unwrap_or(mean),
                    n: least as u64,
                }),
                source,
                few: least < 30.0,
                class: if epoch == 0 { "s1" } else { "s0" },
                values,
            }
        })
        .collect();
    let scale = Scale::of(rows.iter().filter_map(|row| row.auroc.as_ref()), false);
    Ok(Figure::new("apart", APART, Apart { plot, scale, rows }))
}

fn apart_by_epoch(found: &BTreeMap<(String, u32), BTreeMap<String, f64>>) -> Option<Plot> {
    let mut sources: Vec<&String> = found.keys().map(|(source, _)| source).collect();
    sources.dedup();
    let series: Vec<Series> = sources
        .iter()
        .take(LINES)
        .enumerate()
        .map(|(place, source)| {
            let of_source = || {
                let all = found.iter();
                all.filter(|((of, epoch), _)| of == *source && *epoch != TRAINED)
            };
            let points = of_source().filter_map(|((_, epoch), values)| {
                Some((f64::from(*epoch), *values.get("auroc")?))
            });
            let band = of_source().filter_map(|((_, epoch), values)| {
                Some((
                    f64::from(*epoch),
                    *values.get("auroc_low")?,
                    *values.get("auroc_high")?,
                ))
            });
            Series::new(Name::Data((*source).clone()), place, points.collect())
                .with_band(band.collect())
        })
        .collect();
    series.iter().any(|one| one.points.len() > 2).then(|| {
        lines(
            Name::word("chart.auroc"),
            Name::word("unit.epoch"),
            Name::word("unit.auroc"),
            None,
            &series,
        )
    })
}

/// Topics of the corpus, and whether positives share theirs with their anchor.
#[derive(Serialize)]
pub struct Topics {
    pub all: u64,
    pub rows: Vec<Topic>,
    pub positives_agree: Option<f64>,
    pub negatives_agree: Option<f64>,
    pub random_agree: Option<f64>,
    pub coherence: Option<f64>,
}

#[derive(Serialize)]
pub struct Topic {
    pub number: u64,
    pub terms: Vec<String>,
    pub documents: u64,
    pub share: f64,
    pub coherence: Option<f64>,
    pub anchors: u64,
}

const TOPICS: &str = "SELECT t.number, t.terms, t.documents, t.share, t.coherence,
       (SELECT count(*) FROM topical a WHERE a.topic = t.number AND a.kind = 'anchor') AS anchors,
       (SELECT count(*) FROM topic) AS topics
FROM topic t ORDER BY t.share DESC, t.number LIMIT 50";

fn topics(store: &Store) -> Result<Figure<Topics>, Error> {
    let found = rows(store, TOPICS)?;
    let metrics = rows(
        store,
        "SELECT name, value FROM metric WHERE step = -1 AND name LIKE 'topics/%' ORDER BY tick",
    )?;
    let value = |name: &str| {
        let of_name = metrics.iter().rev().find(|row| text(row, "name") == name);
        of_name.and_then(|row| maybe(row, "value"))
    };
    let shown = found.first().map(|first| Topics {
        all: count(first, "topics"),
        rows: found
            .iter()
            .map(|row| Topic {
                number: count(row, "number"),
                terms: serde_json::from_str(text(row, "terms")).unwrap_or_default(),
                documents: count(row, "documents"),
                share: number(row, "share"),
                coherence: maybe(row, "coherence"),
                anchors: count(row, "anchors"),
            })
            .collect(),
        positives_agree: value("topics/positives_agree"),
        negatives_agree: value("topics/negatives_agree"),
        random_agree: value("topics/random_agree"),
        coherence: value("topics/coherence"),
    });
    Ok(Figure::some("topics", TOPICS, shown, "why.no-analysis"))
}
