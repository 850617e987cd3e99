//! Runs compared: the same queries under each, with tests that know that they are the same; and what differs in the plans and
//! the pools. Reads stores and plans, writes nothing.

mod plans;
mod queries;
mod samples;
mod sources;
pub(crate) mod statistics;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use orchestrator_data::Source;
use orchestrator_diagnostics::{Diagnostic, Kind};
use orchestrator_store::Store;
use rayon::prelude::*;
use serde::Serialize;

pub use plans::{PathDifference, plan_differences};
pub use queries::{Point, Query, QueryDifference};
pub use samples::{Listed, PoolDifference, SampleCount, SampleDifference, SourceDifference};
pub use sources::SourcePull;
pub use statistics::{
    DRAWS, Randomisation, bootstrap_interval, deviation, holm, mean, randomisation_test,
};

use crate::error::Error;
use crate::plan::Plan;

/// Runs that are one variant: the same but for their seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// The folders of its runs, one a seed.
    pub runs: Vec<PathBuf>,
    /// Runs that it should have and that are not finished.
    pub missing: Vec<String>,
}

/// What each variant is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// All others with this one.
    One(String),
    /// Each with another, by its own name: what it adds to that. Whoever is not named, with the first.
    Each(BTreeMap<String, String>),
}

/// What came of comparing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The variant that the others are compared with; the first of all, where each is compared with another.
    pub baseline: String,
    /// All of them, in the order given.
    pub variants: Vec<Compared>,
    /// By slice, metric and variant.
    pub rows: Vec<ComparisonRow>,
    /// How many tests Holm's correction is for: all of `rows`.
    pub comparisons: usize,
    /// What differs in the plans, for each that is compared with another.
    pub plans: Vec<PlanDifference>,
    /// What differs in the pools, likewise.
    pub pools: Vec<PoolDifference>,
    /// What differs in the samples, likewise.
    pub samples: Vec<SampleDifference>,
    /// Query by query, likewise: by slice and metric.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<QueryDifference>,
    /// What each source brings, where two variants differ by it alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourcePull>,
}

/// A variant that was compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What it is called.
    pub name: String,
    /// The folders of its runs.
    pub runs: Vec<PathBuf>,
    /// Their seeds, in the same order.
    pub seeds: Vec<u64>,
    /// Runs that it should have and that are not finished.
    pub missing: Vec<String>,
}

/// A variant's values of a metric on a slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// `validation`, `test`, or `test_new_documents`: the test queries that share no document with training.
    pub slice: &'static str,
    /// The metric.
    pub metric: String,
    /// The variant.
    pub variant: String,
    /// Queries. On validation each seed holds out others: all of them together.
    pub queries: usize,
    /// Mean over queries of the means over seeds, 0..1.
    pub mean: f64,
    /// The mean of each seed's run, in the order of the variant's seeds; `None` where that run has no such query.
    pub by_seed: Vec<Option<f64>>,
    /// Standard deviation of those, if there are several.
    pub deviation: Option<f64>,
    /// Against the baseline; `None` for itself, and where the two have no query in common.
    #[serde(flatten)]
    pub against: Option<Against>,
}

/// A variant against the baseline, by the queries that both have (with the same seeds, where they share some).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// The variant that it is compared with.
    pub baseline: String,
    /// Mean difference, variant minus baseline.
    pub difference: f64,
    /// 95 % bootstrap interval of it, over queries.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Of the paired randomisation test, two-sided.
    pub p: f64,
    /// The same after Holm's correction for all comparisons made.
    pub p_holm: f64,
    /// Whether every assignment of signs was counted.
    pub exact: bool,
    /// Queries that it is better on.
    pub wins: usize,
    /// Queries that are equal.
    pub ties: usize,
    /// Queries that it is worse on.
    pub losses: usize,
}

/// In what a variant's plan differs from the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanDifference {
    /// The variant.
    pub variant: String,
    /// What it is compared with.
    pub baseline: String,
    /// The places; names and seeds aside.
    pub paths: Vec<PathDifference>,
}

const SLICES: [&str; 3] = ["validation", "test", "test_new_documents"];

/// Values by (seed, number of the anchor): validation differs from seed to seed.
type Values = BTreeMap<(u64, usize), f64>;

/// What is read of a variant.
struct Variant {
    name: String,
    plans: Vec<Plan>,
    folders: Vec<PathBuf>,
    missing: Vec<String>,
    /// By slice and metric.
    values: Vec<Vec<Values>>,
}

impl Variant {
    fn seeds(&self) -> Vec<u64> {
        self.plans.iter().map(|plan| plan.experiment.seed).collect()
    }
}

/// Compares the trained models of runs with `reference`'s, on `metrics` (all that every run has, if empty). Of samples that differ,
/// `listed` are listed, of each way to differ.
///
/// # Errors
/// If there is nothing to compare, a run cannot be read or is not finished, runs are over different data, or the reference or
/// a metric is not among them.
pub fn compare(
    groups: &[Group],
    reference: &Reference,
    metrics: &[String],
    listed: usize,
) -> Result<Comparison, Error> {
    let groups: Vec<&Group> = groups
        .iter()
        .filter(|group| !group.runs.is_empty())
        .collect();
    let first = baseline_among(&groups, reference)?;
    let plans = groups
        .iter()
        .map(|group| group.runs.iter().map(|folder| read_plan(folder)).collect())
        .collect::<Result<Vec<Vec<Plan>>, Error>>()?;
    same_data(&groups, &plans)?;
    let metrics = common_metrics(&plans, metrics)?;
    let variants = groups
        .par_iter()
        .zip(plans)
        .map(|(group, plans)| {
            Ok(Variant {
                name: group.name.clone(),
                values: read_values(&group.runs, &plans, &metrics)?,
                plans,
                folders: group.runs.clone(),
                missing: group.missing.clone(),
            })
        })
        .collect::<Result<Vec<Variant>, Error>>()?;
    let baselines: Vec<Option<&Variant>> = variants
        .iter()
        .map(|variant| {
            let named = match reference {
                Reference::One(_) => None,
                Reference::Each(each) => each.get(&variant.name),
            };
            let named = named.and_then(|name| variants.iter().find(|one| one.name == *name));
            Some(named.unwrap_or(&variants[first])).filter(|base| base.name != variant.name)
        })
        .collect();
    let rows = rows(&variants, &baselines, &metrics);
    let compared = || {
        let pairs = variants.iter().zip(&baselines);
        pairs.filter_map(|(variant, base)| Some(((*base)?, variant)))
    };
    let differences = compared()
        .map(|(base, variant)| samples::difference(base, variant, listed))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(Comparison {
        baseline: variants[first].name.clone(),
        comparisons: rows.iter().filter(|row| row.against.is_some()).count(),
        rows,
        plans: compared()
            .filter_map(|(base, variant)| {
                let (before, after) = *pairs(base, variant).first()?;
                Some(PlanDifference {
                    variant: variant.name.clone(),
                    baseline: base.name.clone(),
                    paths: plan_differences(&base.plans[before], &variant.plans[after]),
                })
            })
            .collect(),
        pools: differences.iter().map(|one| one.0.clone()).collect(),
        samples: differences.into_iter().map(|one| one.1).collect(),
        queries: compared()
            .map(|(base, variant)| queries::differences(base, variant, &metrics))
            .collect::<Result<Vec<_>, Error>>()?
            .concat(),
        sources: sources::pulls(&variants, &metrics),
        variants: variants
            .iter()
            .map(|variant| Compared {
                name: variant.name.clone(),
                runs: variant.folders.clone(),
                seeds: variant.seeds(),
                missing: variant.missing.clone(),
            })
            .collect(),
    })
}

/// The place of the variant that the others are compared with.
fn baseline_among(groups: &[&Group], reference: &Reference) -> Result<usize, Error> {
    let place = match reference {
        Reference::One(name) => groups.iter().position(|group| group.name == *name),
        Reference::Each(_) => (!groups.is_empty()).then_some(0),
    };
    place.ok_or_else(|| {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let told = match reference {
            Reference::One(name) => {
                format!("`{name}` is not among the finished runs that are compared")
            }
            Reference::Each(_) => "no run is finished".to_owned(),
        };
        Diagnostic::new(Kind::Experiment, told)
            .help(match names.as_slice() {
                [] => "no run is finished yet: orchestrator resume FOLDER goes on".to_owned(),
                names => format!("--baseline can be {}", names.join(", ")),
            })
            .into()
    })
}

fn read_plan(folder: &Path) -> Result<Plan, Error> {
    let not_a_run = || Error::NotARun(folder.to_owned(), "plan.json");
    let text = std::fs::read(folder.join("plan.json")).map_err(|_| not_a_run())?;
    serde_json::from_slice(&text).map_err(|_| not_a_run())
}

/// Whether the run in a folder is finished: its trained model is scored.
///
/// # Errors
/// If it has no store that can be read.
pub fn is_finished(folder: &Path) -> Result<bool, Error> {
    Ok(open(folder)?.trained_epoch()?.is_some())
}

fn open(folder: &Path) -> Result<Store, Error> {
    let path = folder.join("store.db");
    if !path.is_file() {
        return Err(Error::NotARun(folder.to_owned(), "store.db"));
    }
    Ok(Store::open_to_read(&path)?)
}

/// Queries and documents are compared by their numbers: they must be the same ones.
fn same_data(groups: &[&Group], plans: &[Vec<Plan>]) -> Result<(), Error> {
    let all = groups
        .iter()
        .zip(plans)
        .flat_map(|(group, plans)| group.runs.iter().zip(plans));
    let mut first: Option<(&PathBuf, &Plan)> = None;
    for (folder, plan) in all {
        let Some((other, reference)) = first else {
            first = Some((folder, plan));
            continue;
        };
        let (one, two) = (&reference.experiment.data, &plan.experiment.data);
        let fields = |source: &Source| match source {
            Source::Builtin { .. } => Some(source.clone()),
            Source::Scifact { .. } => None,
        };
        let what = if reference.data_fingerprint != plan.data_fingerprint {
            format!(
                "corpus and claims have the SHA-256 {} there and {} here",
                reference.data_fingerprint, plan.data_fingerprint
            )
        } else if fields(&one.corpus) != fields(&two.corpus) {
            "they take other fields of the built-in corpus".to_owned()
        } else if (&one.train, &one.test) != (&two.train, &two.test) {
            "they train on, or are scored on, other splits".to_owned()
        } else {
            continue;
        };
        return Err(Diagnostic::new(
            Kind::Experiment,
            format!(
                "`{}` and `{}` are over different data",
                other.display(),
                folder.display()
            ),
        )
        .note(what)
        .note("values of different queries cannot be compared query by query")
        .help("run both experiments on the same data")
        .into());
    }
    Ok(())
}

/// The metrics that every run has, in the first's order; those asked for, if any are.
fn common_metrics(plans: &[Vec<Plan>], asked: &[String]) -> Result<Vec<String>, Error> {
    let of = |plan: &Plan| -> Vec<String> {
        let metrics = &plan.experiment.evaluate.metrics;
        metrics.iter().map(ToString::to_string).collect()
    };
    let all: Vec<Vec<String>> = plans.iter().flatten().map(of).collect();
    let common: Vec<String> = all
        .first()
        .into_iter()
        .flatten()
        .filter(|metric| all.iter().all(|one| one.contains(metric)))
        .cloned()
        .collect();
    let known = || match common.as_slice() {
        [] => "the runs have no metric in common: see evaluate.metrics".to_owned(),
        common => format!("every run has {}", common.join(", ")),
    };
    if let Some(metric) = asked.iter().find(|metric| !common.contains(metric)) {
        let message = format!("not every run has the metric `{metric}`");
        return Err(Diagnostic::new(Kind::Experiment, message)
            .help(known())
            .into());
    }
    if common.is_empty() {
        return Err(Diagnostic::new(Kind::Experiment, known()).into());
    }
    Ok(if asked.is_empty() {
        common
    } else {
        asked.to_vec()
    })
}

/// By slice and metric, what the trained models of a variant's runs reach on each query.
fn read_values(
    runs: &[PathBuf],
    plans: &[Plan],
    metrics: &[String],
) -> Result<Vec<Vec<Values>>, Error> {
    let mut all = vec![vec![Values::new(); metrics.len()]; SLICES.len()];
    for (folder, plan) in runs.iter().zip(plans) {
        let store = open(folder)?;
        if store.trained_epoch()?.is_none() {
            return Err(Diagnostic::new(
                Kind::Experiment,
                format!("the run `{}` is not finished", folder.display()),
            )
            .help(format!(
                "go on with it: orchestrator resume {}",
                folder.display()
            ))
            .into());
        }
        let known: BTreeSet<usize> = store.overlapping_with_training()?.into_iter().collect();
        for (place, slice) in SLICES.iter().enumerate() {
            let split = if *slice == "validation" {
                "validation"
            } else {
                "test"
            };
            for (metric, values) in metrics.iter().zip(&mut all[place]) {
                let scored = store.per_anchor("trained", split, metric)?;
                let of_slice = scored.into_iter().filter(|(anchor, _)| {
                    *slice != "test_new_documents" || !known.contains(anchor)
                });
                values.extend(
                    of_slice.map(|(anchor, value)| ((plan.experiment.seed, anchor), value)),
                );
            }
        }
    }
    Ok(all)
}

fn rows(
    variants: &[Variant],
    baselines: &[Option<&Variant>],
    metrics: &[String],
) -> Vec<ComparisonRow> {
    let mut asked = Vec::new();
    for (slice, name) in SLICES.iter().enumerate() {
        let queries = |variant: &Variant| variant.values[slice].first().map_or(0, BTreeMap::len);
        // Where no test query is known from training, or every one is, the slice says nothing new.
        let of_test = variants
            .iter()
            .any(|variant| queries(variant) != variant.values[1].first().map_or(0, BTreeMap::len));
        if *name == "test_new_documents" && !of_test {
            continue;
        }
        for metric in 0..metrics.len() {
            let both = variants.iter().zip(baselines);
            asked.extend(both.map(|(variant, base)| (slice, metric, variant, *base)));
        }
    }
    let mut rows: Vec<ComparisonRow> = asked
        .into_par_iter()
        .filter_map(|(slice, metric, variant, base)| {
            let values = &variant.values[slice][metric];
            let by_seed: Vec<Option<f64>> = variant
                .seeds()
                .into_iter()
                .map(|seed| {
                    let own: Vec<f64> = values
                        .range((seed, 0)..=(seed, usize::MAX))
                        .map(|(_, value)| *value)
                        .collect();
                    mean(&own)
                })
                .collect();
            let of_queries: Vec<f64> = by_query(values, |_| true).into_values().collect();
            let told: Vec<f64> = by_seed.iter().flatten().copied().collect();
            Some(ComparisonRow {
                slice: SLICES[slice],
                metric: metrics[metric].clone(),
                variant: variant.name.clone(),
                queries: of_queries.len(),
                mean: mean(&of_queries)?,
                deviation: deviation(&told),
                by_seed,
                against: base
                    .and_then(|base| against(&base.name, &base.values[slice][metric], values)),
            })
        })
        .collect();
    let p: Vec<f64> = rows
        .iter()
        .filter_map(|row| Some(row.against.as_ref()?.p))
        .collect();
    let tested = rows.iter_mut().filter_map(|row| row.against.as_mut());
    for (against, corrected) in tested.zip(holm(&p)) {
        against.p_holm = corrected;
    }
    rows
}

/// The mean over seeds of each query, of the values that are asked for.
fn by_query(values: &Values, asked: impl Fn(&(u64, usize)) -> bool) -> BTreeMap<usize, f64> {
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for (key, value) in values.iter().filter(|(key, _)| asked(key)) {
        let sum = sums.entry(key.1).or_default();
        *sum = (sum.0 + value, sum.1 + 1);
    }
    let mean = |(anchor, (sum, n)): (usize, (f64, usize))| (anchor, sum / n as f64);
    sums.into_iter().map(mean).collect()
}

/// What only rounding tells apart is equal.
fn difference(before: f64, after: f64) -> f64 {
    let difference = after - before;
    if difference.abs() < 1e-12 {
        0.0
    } else {
        difference
    }
}

/// The values of two variants on the queries they share, by query: with the same seeds where they have some in common, so that what a seed does to
/// both of them is in neither's favour.
fn paired(base: &Values, other: &Values) -> Vec<(usize, f64, f64)> {
    let seeds = |values: &Values| -> BTreeSet<u64> { values.keys().map(|key| key.0).collect() };
    let shared = seeds(base).intersection(&seeds(other)).next().is_some();
    let of = |values: &Values, opposite: &Values| {
        by_query(values, |key| !shared || opposite.contains_key(key))
    };
    let (before, after) = (of(base, other), of(other, base));
    before
        .into_iter()
        .filter_map(|(anchor, value)| Some((anchor, value, *after.get(&anchor)?)))
        .collect()
}

/// Two variants on these queries.
fn against(name: &str, base: &Values, other: &Values) -> Option<Against> {
    let differences: Vec<f64> = paired(base, other)
        .into_iter()
        .map(|(_, before, after)| difference(before, after))
        .collect();
    let (low, high) = bootstrap_interval(&differences)?;
    let test = randomisation_test(&differences);
    let count = |of: fn(&f64) -> bool| differences.iter().filter(|one| of(one)).count();
    Some(Against {
        baseline: name.to_owned(),
        difference: mean(&differences)?,
        low,
        high,
        p: test.p,
        p_holm: test.p,
        exact: test.exact,
        wins: count(|one| *one > 0.0),
        ties: count(|one| *one == 0.0),
        losses: count(|one| *one < 0.0),
    })
}

/// Which run of the baseline goes with which of a variant: those of the same seed, or the first of each.
fn pairs(base: &Variant, variant: &Variant) -> Vec<(usize, usize)> {
    let seeds = base.seeds();
    let same: Vec<(usize, usize)> = variant
        .seeds()
        .iter()
        .enumerate()
        .filter_map(|(after, seed)| Some((seeds.iter().position(|one| one == seed)?, after)))
        .collect();
    if same.is_empty() { vec![(0, 0)] } else { same }
}
