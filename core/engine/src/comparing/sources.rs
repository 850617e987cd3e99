//! Which source pulls the metric: variants that differ by one source alone, one with it and one without.

use rayon::prelude::*;
use serde::Serialize;

use super::{SLICES, Variant, against, holm, plan_differences};

/// What a source brings: the variant that has it minus the one that has not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourcePull {
    /// The sampler or augmenter.
    pub source: String,
    /// The variant that has it.
    pub with: String,
    /// The variant that is the same without it.
    pub without: String,
    /// `validation`, `test` or `test_new_documents`.
    pub slice: &'static str,
    /// The metric.
    pub metric: String,
    /// Queries that both have.
    pub queries: usize,
    /// Mean difference: above 0, the source helps.
    pub difference: f64,
    /// 95 % bootstrap interval of it, over queries.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Of the paired randomisation test, two-sided.
    pub p: f64,
    /// The same after Holm's correction for all sources, slices and metrics here.
    pub p_holm: f64,
}

/// By slice and metric, what pulls it up most first.
pub(super) fn pulls(variants: &[Variant], metrics: &[String]) -> Vec<SourcePull> {
    let mut asked = Vec::new();
    for with in variants {
        for without in variants {
            if let Some(source) = only_source(without, with) {
                // Where no test query is known from training, new documents are all documents.
                let queries = |slice: usize| {
                    with.values[slice]
                        .first()
                        .map_or(0, std::collections::BTreeMap::len)
                };
                let slices = if queries(2) == queries(1) {
                    2
                } else {
                    SLICES.len()
                };
                for slice in 0..slices {
                    for metric in 0..metrics.len() {
                        asked.push((source.clone(), with, without, slice, metric));
                    }
                }
            }
        }
    }
    let mut found: Vec<((usize, usize), SourcePull)> = asked
        .into_par_iter()
        .filter_map(|(source, with, without, slice, metric)| {
            let of = |variant: &Variant| variant.values[slice][metric].clone();
            let one = against(&without.name, &of(without), &of(with))?;
            let pull = SourcePull {
                source,
                with: with.name.clone(),
                without: without.name.clone(),
                slice: SLICES[slice],
                metric: metrics[metric].clone(),
                queries: one.wins + one.ties + one.losses,
                difference: one.difference,
                low: one.low,
                high: one.high,
                p: one.p,
                p_holm: one.p_holm,
            };
            Some(((slice, metric), pull))
        })
        .collect();
    found.sort_by(|one, other| {
        one.0
            .cmp(&other.0)
            .then(other.1.difference.total_cmp(&one.1.difference))
            .then_with(|| one.1.source.cmp(&other.1.source))
    });
    let mut pulls: Vec<SourcePull> = found.into_iter().map(|one| one.1).collect();
    let p: Vec<f64> = pulls.iter().map(|one| one.p).collect();
    for (pull, corrected) in pulls.iter_mut().zip(holm(&p)) {
        pull.p_holm = corrected;
    }
    pulls
}

/// The one source that the second has and the first has not, if nothing else differs between their plans.
fn only_source(without: &Variant, with: &Variant) -> Option<String> {
    let (before, after) = (without.plans.first()?, with.plans.first()?);
    let differences = plan_differences(before, after);
    let [only] = differences.as_slice() else {
        return None;
    };
    if only.before.is_some() || only.after.is_none() {
        return None;
    }
    let rest = only.path.strip_prefix("samples.")?;
    let source = rest
        .strip_prefix("propose.")
        .or_else(|| rest.strip_prefix("augment."))?;
    (!source.contains('.')).then(|| source.to_owned())
}
