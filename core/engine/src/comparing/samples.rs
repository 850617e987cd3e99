//! In what the samples of two variants differ: which only one has, which both have and treat differently. Exact, and read side by
//! side in the stores: a store may have a million of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orchestrator_store::{Changed, OnlyThere, Pair, SampleTally, Side};
use serde::Serialize;

use super::{Variant, pairs};
use crate::error::Error;

/// In what a variant's final pools differ from the baseline's, run by run of the same seed, added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolDifference {
    /// The variant.
    pub variant: String,
    /// What it is compared with.
    pub baseline: String,
    /// Pairs of runs that were added up.
    pub runs: usize,
    /// By source, in its order.
    pub sources: Vec<SourceDifference>,
}

/// Samples by the source that proposed them first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceDifference {
    /// The source.
    pub source: String,
    /// In the baseline's pool alone.
    pub only_baseline: usize,
    /// In both.
    pub both: usize,
    /// In the variant's pool alone.
    pub only_variant: usize,
}

/// In what a variant's samples differ from the baseline's, run by run of the same seed, added up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleDifference {
    /// The variant.
    pub variant: String,
    /// What it is compared with.
    pub baseline: String,
    /// Pairs of runs that were added up.
    pub runs: usize,
    /// By source and role, in their order.
    pub counts: Vec<SampleCount>,
    /// Some of them, of the first pair of runs; `None` if none are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
}

/// Samples of a source and role: those of both are counted under the variant's source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SampleCount {
    /// Who proposed them first.
    pub source: String,
    /// `positive` or `negative`.
    pub role: String,
    /// That the baseline alone has.
    pub only_baseline: u64,
    /// That both have.
    pub both: u64,
    /// That the variant alone has.
    pub only_variant: u64,
    /// Of both: with another label.
    pub other_label: u64,
    /// Of both: with another weight.
    pub other_weight: u64,
    /// Of both: in the pool of the variant alone.
    pub entered: u64,
    /// Of both: in the pool of the baseline alone.
    pub left: u64,
    /// Of both: that a filter of both judges differently.
    pub other_verdict: u64,
}

impl SampleCount {
    /// Adds up.
    pub fn add(&mut self, other: &Self) {
        self.only_baseline += other.only_baseline;
        self.both += other.both;
        self.only_variant += other.only_variant;
        self.other_label += other.other_label;
        self.other_weight += other.other_weight;
        self.entered += other.entered;
        self.left += other.left;
        self.other_verdict += other.other_verdict;
    }
}

impl SampleDifference {
    /// Over sources and roles.
    #[must_use]
    pub fn total(&self) -> SampleCount {
        let mut total = SampleCount::default();
        for count in &self.counts {
            total.add(count);
        }
        total
    }
}

/// Samples that differ, those in a pool and used most first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The runs that they are of: the baseline's and the variant's.
    pub runs: [PathBuf; 2],
    /// That the baseline alone has.
    pub only_baseline: Vec<OnlyThere>,
    /// That the variant alone has.
    pub only_variant: Vec<OnlyThere>,
    /// That both have: values of the baseline and of the variant.
    pub changed: Vec<Changed>,
}

/// What differs between the pools and between the samples.
pub(super) fn difference(
    base: &Variant,
    variant: &Variant,
    listed: usize,
) -> Result<(PoolDifference, SampleDifference), Error> {
    let pairs = pairs(base, variant);
    let mut pools: BTreeMap<String, SourceDifference> = BTreeMap::new();
    let mut counts: BTreeMap<(String, String), SampleCount> = BTreeMap::new();
    let mut some = None;
    for (before, after) in &pairs {
        let folders = [&base.folders[*before], &variant.folders[*after]];
        let stores = open(folders[0], folders[1])?;
        for tally in stores.tallies(Side::This)? {
            of_baseline(&tally, &mut pools, &mut counts);
        }
        for tally in stores.tallies(Side::Other)? {
            of_variant(&tally, &mut pools, &mut counts);
        }
        if some.is_none() && listed > 0 {
            some = Some(Listed {
                runs: folders.map(Clone::clone),
                only_baseline: stores.only_in(Side::This, listed)?,
                only_variant: stores.only_in(Side::Other, listed)?,
                changed: stores.changed(listed)?,
            });
        }
    }
    Ok((
        PoolDifference {
            variant: variant.name.clone(),
            baseline: base.name.clone(),
            runs: pairs.len(),
            sources: pools.into_values().collect(),
        },
        SampleDifference {
            variant: variant.name.clone(),
            baseline: base.name.clone(),
            runs: pairs.len(),
            counts: counts.into_values().collect(),
            listed: some,
        },
    ))
}

fn open(one: &Path, other: &Path) -> Result<Pair, Error> {
    Ok(Pair::open(&one.join("store.db"), &other.join("store.db"))?)
}

fn pool_of<'p>(
    pools: &'p mut BTreeMap<String, SourceDifference>,
    source: &str,
) -> &'p mut SourceDifference {
    pools
        .entry(source.to_owned())
        .or_insert_with(|| SourceDifference {
            source: source.to_owned(),
            only_baseline: 0,
            both: 0,
            only_variant: 0,
        })
}

fn count_of<'c>(
    counts: &'c mut BTreeMap<(String, String), SampleCount>,
    tally: &SampleTally,
) -> &'c mut SampleCount {
    counts
        .entry((tally.source.clone(), tally.role.clone()))
        .or_insert_with(|| SampleCount {
            source: tally.source.clone(),
            role: tally.role.clone(),
            ..SampleCount::default()
        })
}

fn of_baseline(
    tally: &SampleTally,
    pools: &mut BTreeMap<String, SourceDifference>,
    counts: &mut BTreeMap<(String, String), SampleCount>,
) {
    if tally.kept && !tally.kept_in_other {
        pool_of(pools, &tally.source).only_baseline += tally.count as usize;
    }
    if !tally.in_other {
        count_of(counts, tally).only_baseline += tally.count;
    }
}

fn of_variant(
    tally: &SampleTally,
    pools: &mut BTreeMap<String, SourceDifference>,
    counts: &mut BTreeMap<(String, String), SampleCount>,
) {
    if tally.kept {
        let pool = pool_of(pools, &tally.source);
        if tally.kept_in_other {
            pool.both += tally.count as usize;
        } else {
            pool.only_variant += tally.count as usize;
        }
    }
    let count = count_of(counts, tally);
    if !tally.in_other {
        count.only_variant += tally.count;
        return;
    }
    count.both += tally.count;
    for (differs, part) in [
        (tally.label, &mut count.other_label),
        (tally.weight, &mut count.other_weight),
        (tally.kept && !tally.kept_in_other, &mut count.entered),
        (!tally.kept && tally.kept_in_other, &mut count.left),
        (tally.verdict, &mut count.other_verdict),
    ] {
        if differs {
            *part += tally.count;
        }
    }
}
