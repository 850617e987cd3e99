//! What mining again brought: how hard what came, went and stayed is for the model that mined, and how much of what came is likely no
//! negative.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_model::Tokens;
use orchestrator_plugin_host::dot;
use orchestrator_store::{Role, SampleId};

use super::quality::median;
use crate::driver::Driver;
use crate::error::Error;
use crate::making::Scale;
use crate::pool::Pool;
use crate::retrieval::DenseIndex;

/// Which samplers were asked again, and when.
pub(crate) struct Turnover<'t> {
    pub samplers: &'t [&'t str],
    /// The first tick of the occasion.
    pub first: u32,
}

/// The pool as the scoring tick sees it.
pub(crate) struct Scored<'s> {
    pub pool: &'s Pool,
    /// Of every sample to its anchor.
    pub similarities: &'s [f32],
    /// Places of the negatives, with their difficulties.
    pub negatives: &'s [usize],
    pub difficulties: &'s [f32],
    /// By anchor.
    pub scales: &'s BTreeMap<usize, Scale>,
}

/// A negative of the pool.
#[derive(Clone, Copy)]
struct Measured {
    difficulty: f32,
    /// Nearer to its anchor than every positive.
    nearest: bool,
}

impl Scored<'_> {
    fn measured(&self) -> BTreeMap<SampleId, Measured> {
        let view = |place: usize| &self.pool.samples[place].view;
        let mut positives: BTreeMap<usize, f32> = BTreeMap::new();
        for place in self.pool.of_role(Role::Positive) {
            let similarity = self.similarities[place];
            positives
                .entry(view(place).anchor)
                .and_modify(|one| *one = one.max(similarity))
                .or_insert(similarity);
        }
        let measured = self.negatives.iter().zip(self.difficulties);
        let measured = measured.map(|(&place, &difficulty)| {
            let positive = positives.get(&view(place).anchor);
            let nearest = positive.is_some_and(|one| self.similarities[place] > *one);
            let one = Measured {
                difficulty,
                nearest,
            };
            (view(place).id, one)
        });
        measured.collect()
    }
}

impl Driver<'_> {
    /// Metrics of mining again, for the scoring tick `number` that ends it.
    pub(crate) fn turnover(
        &self,
        index: &DenseIndex<'_>,
        turnover: &Turnover<'_>,
        number: u32,
        scored: &Scored<'_>,
    ) -> Result<Vec<(String, f64)>, Error> {
        let measured = scored.measured();
        let of = |ids: &mut dyn Iterator<Item = &SampleId>| -> Vec<Measured> {
            ids.filter_map(|id| measured.get(id)).copied().collect()
        };
        let middle =
            |of: &[Measured]| median(of.iter().map(|one| f64::from(one.difficulty)).collect());
        let mut values = Vec::new();
        for &sampler in turnover.samplers {
            let before = self.store.live_of(sampler, turnover.first - 1)?;
            let now = self.store.live_of(sampler, number - 1)?;
            let entered = of(&mut now.difference(&before));
            let stayed = of(&mut now.intersection(&before));
            let count = |holds: fn(&Measured) -> bool| {
                Some(entered.iter().filter(|one| holds(one)).count() as f64)
            };
            let gone: BTreeSet<SampleId> = before
                .difference(&now)
                .filter(|id| !measured.contains_key(id))
                .copied()
                .collect();
            let left = self.difficulty_of(index, sampler, turnover.first, &gone, scored.scales)?;
            for (what, value) in [
                ("entered_pool", count(|_| true)),
                ("entered_likely_false", count(|one| one.difficulty > 1.0)),
                ("entered_nearest", count(|one| one.nearest)),
                ("difficulty_of_entered", middle(&entered)),
                ("difficulty_of_stayed", middle(&stayed)),
                ("difficulty_of_left", median(left)),
            ] {
                values.extend(value.map(|value| (format!("{sampler}/{what}"), value)));
            }
        }
        Ok(values)
    }

    /// Difficulty of those negatives of a sampler that were in the pool before tick `first` and have gone. An anchor that has
    /// nothing left in the pool has no scale.
    fn difficulty_of(
        &self,
        index: &DenseIndex<'_>,
        sampler: &str,
        first: u32,
        gone: &BTreeSet<SampleId>,
        scales: &BTreeMap<usize, Scale>,
    ) -> Result<Vec<f64>, Error> {
        let mut left = self.store.negatives_before(sampler, first)?;
        left.retain(|one| gone.contains(&one.id) && scales.contains_key(&one.anchor));
        left.truncate(super::MOST);
        let texts: Vec<&str> = left.iter().map(|one| one.text.as_str()).collect();
        let tokens: Vec<Tokens> = self.texts.tokenize(index.encoder(), &texts)?;
        let embeddings = index.embed(&tokens.iter().collect::<Vec<_>>())?;
        let dim = index.encoder().dim().max(1);
        let measured = left.iter().zip(embeddings.chunks_exact(dim));
        let measured = measured.map(|(one, embedding)| {
            let similarity = dot(index.anchor(one.anchor), embedding);
            f64::from(scales[&one.anchor].difficulty(similarity))
        });
        Ok(measured.collect())
    }
}
