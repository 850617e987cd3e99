//! Two variants query by query: where each stands, who wins most and who loses most.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{SLICES, Variant, difference, open, paired};
use crate::error::Error;

/// Queries that are shown of those that win, and of those that lose.
const SHOWN: usize = 10;

/// A metric of two variants, query by query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryDifference {
    /// `validation` or `test`.
    pub slice: &'static str,
    /// The metric.
    pub metric: String,
    /// The variant.
    pub variant: String,
    /// What it is compared with.
    pub baseline: String,
    /// Every query that both have, in the order of the data.
    pub points: Vec<Point>,
    /// Those that gain most, the most first.
    pub winners: Vec<Query>,
    /// Those that lose most, the most first.
    pub losers: Vec<Query>,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its id in the data.
    pub anchor: String,
    /// The baseline's value, mean over seeds.
    pub before: f64,
    /// The variant's.
    pub after: f64,
}

/// A query with its text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Query {
    /// Its id in the data.
    pub anchor: String,
    /// Its text, cut.
    pub text: String,
    /// The baseline's value.
    pub before: f64,
    /// The variant's.
    pub after: f64,
    /// What it gains.
    pub difference: f64,
}

/// For `validation` and `test`, and each metric.
pub(super) fn differences(
    base: &Variant,
    variant: &Variant,
    metrics: &[String],
) -> Result<Vec<QueryDifference>, Error> {
    let store = open(&variant.folders[0])?;
    let mut found = Vec::new();
    for (place, slice) in SLICES.iter().enumerate().take(2) {
        for (metric, name) in metrics.iter().enumerate() {
            let of = |variant: &Variant| variant.values[place][metric].clone();
            let pairs = paired(&of(base), &of(variant));
            if pairs.is_empty() {
                continue;
            }
            let numbers: BTreeSet<usize> = pairs.iter().map(|pair| pair.0).collect();
            let known = store.anchors_numbered(numbers)?;
            let id = |number: usize| {
                known
                    .get(&number)
                    .map_or_else(|| number.to_string(), |one| one.0.clone())
            };
            // By what they gain, then in the order of the data.
            let mut order: Vec<(usize, f64, f64)> = pairs.clone();
            order.sort_by(|one, other| {
                let gain = |pair: &(usize, f64, f64)| difference(pair.1, pair.2);
                gain(other).total_cmp(&gain(one)).then(one.0.cmp(&other.0))
            });
            let query = |&(number, before, after): &(usize, f64, f64)| Query {
                anchor: id(number),
                text: known
                    .get(&number)
                    .map_or_else(String::new, |one| one.1.clone()),
                before,
                after,
                difference: difference(before, after),
            };
            let gains = |pair: &&(usize, f64, f64)| difference(pair.1, pair.2) > 0.0;
            let loses = |pair: &&(usize, f64, f64)| difference(pair.1, pair.2) < 0.0;
            found.push(QueryDifference {
                slice,
                metric: name.clone(),
                variant: variant.name.clone(),
                baseline: base.name.clone(),
                winners: order.iter().filter(gains).take(SHOWN).map(query).collect(),
                losers: order
                    .iter()
                    .rev()
                    .filter(loses)
                    .take(SHOWN)
                    .map(query)
                    .collect(),
                points: pairs
                    .into_iter()
                    .map(|(number, before, after)| Point {
                        anchor: id(number),
                        before,
                        after,
                    })
                    .collect(),
            });
        }
    }
    Ok(found)
}
