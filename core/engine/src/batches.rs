//! Which samples a step uses: positives shuffled once an epoch, each with negatives of its anchor from the stage's band,
//! as many as the ratio says. An anchor that has negatives only takes a turn too: some losses learn from it.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::Difficulty;
use orchestrator_store::Role;

use crate::pool::Pool;
use crate::seed::shuffled;

/// One turn of an epoch: a positive, if its anchor has one, with negatives.
pub(crate) type Turn = (Option<usize>, Vec<usize>);

/// The samples of a step, as places in the pool.
pub(crate) type StepSamples = Vec<Turn>;

/// What an epoch is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    /// From 0, over the whole run.
    pub number: usize,
    pub difficulty: Difficulty,
    pub negatives_per_positive: f64,
}

/// An epoch's steps, and by how many negatives it fell short of the ratio.
pub(crate) fn epoch(
    pool: &Pool,
    seed: u64,
    batch: usize,
    epoch: Epoch,
) -> (Vec<StepSamples>, usize) {
    let number = epoch.number as u64;
    let mut of_anchor: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in pool.of_role(Role::Negative) {
        let view = &pool.samples[place].view;
        let band = view.band.as_deref();
        if epoch.difficulty == Difficulty::Any || band == Some(epoch.difficulty.name()) {
            of_anchor.entry(view.anchor).or_default().push(place);
        }
    }
    // Each anchor's negatives are dealt in turn to its positives, so that no two of an epoch get the same before all are out.
    let mut decks: BTreeMap<usize, (Vec<usize>, usize)> = of_anchor
        .into_iter()
        .map(|(anchor, places)| {
            (
                anchor,
                (
                    shuffled(places, seed, "negatives of epoch", &[number, anchor as u64]),
                    0,
                ),
            )
        })
        .collect();
    let with_positives: BTreeSet<usize> = pool
        .of_role(Role::Positive)
        .map(|place| pool.samples[place].view.anchor)
        .collect();
    // A turn is an anchor, and its positive if it has one.
    let mut turns: Vec<(usize, Option<usize>)> = pool
        .of_role(Role::Positive)
        .map(|place| (pool.samples[place].view.anchor, Some(place)))
        .collect();
    let without = decks
        .keys()
        .filter(|anchor| !with_positives.contains(anchor));
    turns.extend(without.map(|anchor| (*anchor, None)));
    let mut shortfall = 0;
    let dealt: StepSamples = shuffled(turns, seed, "turns of epoch", &[number])
        .into_iter()
        .enumerate()
        .map(|(turn, (anchor, positive))| {
            // Fractions add up: after n turns, floor(n * ratio) negatives were asked for.
            let upto = |n: usize| (n as f64 * epoch.negatives_per_positive).floor() as usize;
            let wanted = upto(turn + 1) - upto(turn);
            let mut negatives = Vec::new();
            if let Some((deck, next)) = decks.get_mut(&anchor) {
                for _ in 0..wanted.min(deck.len()) {
                    negatives.push(deck[*next % deck.len()]);
                    *next += 1;
                }
            }
            shortfall += wanted - negatives.len();
            (positive, negatives)
        })
        .filter(|(positive, negatives)| positive.is_some() || !negatives.is_empty())
        .collect();
    (dealt.chunks(batch).map(<[_]>::to_vec).collect(), shortfall)
}
