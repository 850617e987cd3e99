//! Which labels may be wrong: negatives that look relevant, positives that do not.
//!
//! How likely a pair is to be relevant is learned where the truth is known: on validation claims, from what the untrained model,
//! BM25 and the trained model make of their judged documents and of the nearest others, by logistic regression. How many there are
//! in the pool is then estimated by the shift of the share between there and here (Saerens et al. 2002).

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_store::{Role, SampleId};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::logistic::{Logistic, shifted};
use super::looking::{FEATURES, Known, Looked, Seen, Views};
use crate::comparing::statistics::quantile;
use crate::driver::Driver;
use crate::error::Error;
use crate::pool::Pool;
use crate::seed::seed;
use crate::spoiling::SPOILED;
use crate::training::Model;

/// Suspects of a role that are kept.
const MOST: usize = 1000;

/// How often the share is estimated again, for its interval.
const DRAWS: u64 = 100;

/// Words in a row that are compared.
const SHINGLE: usize = 3;

/// Texts that share this much of them say the same.
const SAME: f64 = 0.7;

/// Who is asked, in the order of the features.
const MEMBERS: [&str; 3] = ["initial", "bm25", "trained"];
const TRAINED: usize = 2;

/// How many of the first are looked at where it is known which labels are wrong, if there are as many.
const FIRST: usize = 100;

/// A suspect.
pub(crate) struct Row {
    pub sample: SampleId,
    /// From 1, of its role.
    pub place: usize,
    pub probability: f64,
    /// JSON.
    pub evidence: String,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Suspects {
    pub rows: Vec<Row>,
    pub metrics: Vec<(String, f64)>,
}

/// What the store knows of the samples.
struct Facts {
    losses: BTreeMap<SampleId, f64>,
    influence: BTreeMap<SampleId, f64>,
}

/// What is learned from. Of positives the trained model says nothing: it was trained to find them near.
fn features(seen: &Seen, role: Role) -> [f64; FEATURES] {
    let mut features = seen.features;
    if role == Role::Positive {
        features[2 * TRAINED..].fill(0.0);
    }
    features
}

/// Says how likely a pair is to be relevant.
struct Judge {
    all: Logistic<FEATURES>,
    /// Each model alone.
    alone: [Option<Logistic<2>>; 3],
}

impl Judge {
    /// `None` where there is nothing to learn from.
    fn of(known: &[Known], role: Role) -> Option<Self> {
        let weights = vec![1.0; known.len()];
        let relevant: Vec<bool> = known.iter().map(|one| one.relevant).collect();
        let alone = [0, 1, 2].map(|member| {
            let rows: Vec<[f64; 2]> = known
                .iter()
                .map(|one| of_member(&one.seen, member))
                .collect();
            Logistic::fit(&rows, &relevant, &weights)
        });
        Some(Self {
            all: learn(known, role, &weights)?,
            alone,
        })
    }
}

fn of_member(seen: &Seen, member: usize) -> [f64; 2] {
    [seen.features[2 * member], seen.features[2 * member + 1]]
}

fn learn(known: &[Known], role: Role, weights: &[f64]) -> Option<Logistic<FEATURES>> {
    let rows: Vec<[f64; FEATURES]> = known.iter().map(|one| features(&one.seen, role)).collect();
    let relevant: Vec<bool> = known.iter().map(|one| one.relevant).collect();
    Logistic::fit(&rows, &relevant, weights)
}

/// The share of samples whose label is wrong, and of each how likely it is.
fn wrong(
    judge: &Logistic<FEATURES>,
    role: Role,
    looked: &[&Looked],
    weights: &[f64],
) -> (f64, Vec<f64>) {
    let relevant: Vec<f64> = looked
        .iter()
        .map(|one| judge.probability(&features(&one.seen, role)))
        .collect();
    let (share, shifted) = shifted(&relevant, weights, judge.prior);
    match role {
        Role::Negative => (share, shifted),
        Role::Positive => (
            1.0 - share,
            shifted.into_iter().map(|one| 1.0 - one).collect(),
        ),
    }
}

impl Driver<'_> {
    /// The suspects of both roles, and metrics about them.
    pub(crate) fn suspects(&self, model: &Model, pool: &Pool) -> Result<Suspects, Error> {
        let views = Views {
            data: self.data,
            bm25: &self.lent.bm25,
            initial: self.index_of_initial(model)?,
            trained: self.index(model)?,
        };
        let known = self.known(&views);
        let looked = self.looked(&views, pool)?;
        let facts = Facts {
            losses: self.store.mean_losses()?,
            influence: self.store.influences()?,
        };
        let mut found = Suspects::default();
        for role in [Role::Negative, Role::Positive] {
            let of_role: Vec<&Looked> = looked
                .iter()
                .filter(|one| pool.samples[one.place].view.role == role)
                .collect();
            if let Some(judge) = Judge::of(&known, role) {
                let ranked = self.ranked(&judge, &known, role, &of_role, pool, &mut found.metrics);
                if role == Role::Negative {
                    self.against_spoiled(&ranked, pool, &facts, &mut found.metrics)?;
                }
                let of_anchor = by_anchor(&looked);
                for (place, (one, probability)) in ranked.into_iter().take(MOST).enumerate() {
                    let evidence = evidence(one, &judge, pool, &of_anchor, &facts);
                    found.rows.push(Row {
                        sample: pool.samples[one.place].view.id,
                        place: place + 1,
                        probability,
                        evidence: evidence.to_string(),
                    });
                }
            }
        }
        Ok(found)
    }

    /// The samples of a role with how likely their labels are to be wrong, the likeliest first.
    fn ranked<'l>(
        &self,
        judge: &Judge,
        known: &[Known],
        role: Role,
        looked: &[&'l Looked],
        pool: &Pool,
        metrics: &mut Vec<(String, f64)>,
    ) -> Vec<(&'l Looked, f64)> {
        let (share, probabilities) = wrong(&judge.all, role, looked, &vec![1.0; looked.len()]);
        let mut shares: Vec<f64> = (0..DRAWS)
            .into_par_iter()
            .filter_map(|draw| {
                // Claims are drawn anew, with all that is known of each: pairs of one are not independent.
                let seed = seed(self.experiment.seed, "suspects draw", &[draw]);
                let claims = known.iter().map(|one| one.claim);
                let judge = learn(known, role, &drawn(claims, seed))?;
                let weights = drawn(looked.iter().map(|one| one.anchor), !seed);
                Some(wrong(&judge, role, looked, &weights).0)
            })
            .collect();
        shares.sort_by(f64::total_cmp);
        let name = format!("suspects/{}s", role.name());
        let mut add = |what: &str, value: Option<f64>| {
            metrics.extend(value.map(|value| (format!("{name}/{what}"), value)));
        };
        add("looked_at", Some(looked.len() as f64));
        if !looked.is_empty() {
            add("share", Some(share));
            add("share_low", quantile(&shares, 0.025));
            add("share_high", quantile(&shares, 0.975));
        }
        let mut ranked: Vec<(&Looked, f64)> = looked.iter().copied().zip(probabilities).collect();
        ranked.sort_by(|(one, a), (other, b)| {
            let id = |looked: &Looked| pool.samples[looked.place].view.id;
            b.total_cmp(a).then(id(one).cmp(&id(other)))
        });
        ranked
    }

    /// Where labels were spoiled on purpose: how many of the first suspects are, and how many there would be by other rankings.
    fn against_spoiled(
        &self,
        ranked: &[(&Looked, f64)],
        pool: &Pool,
        facts: &Facts,
        metrics: &mut Vec<(String, f64)>,
    ) -> Result<(), Error> {
        if self.experiment.data.spoil == 0.0 || ranked.is_empty() {
            return Ok(());
        }
        let spoiled = self.store.of_source(SPOILED)?;
        let view = |one: &Looked| &pool.samples[one.place].view;
        let is = |one: &Looked| spoiled.contains(&view(one).id);
        let all = ranked.iter().filter(|(one, _)| is(one)).count();
        let first = FIRST.min(all).max(1);
        metrics.push(("suspects/spoiled".to_owned(), all as f64));
        metrics.push((
            "suspects/chance".to_owned(),
            all as f64 / ranked.len() as f64,
        ));
        let mut add = |name: &str, order: &mut dyn Iterator<Item = &Looked>| {
            let found = order.take(first).filter(|one| is(one)).count() as f64;
            metrics.push((
                format!("suspects/{name}precision@{first}"),
                found / first as f64,
            ));
            metrics.push((
                format!("suspects/{name}recall@{first}"),
                found / all.max(1) as f64,
            ));
        };
        add("", &mut ranked.iter().map(|(one, _)| *one));
        let mut others: Vec<&Looked> = ranked.iter().map(|(one, _)| *one).collect();
        let mut by = |name: &str, of: &dyn Fn(&Looked) -> f64| {
            others.sort_by(|a, b| of(b).total_cmp(&of(a)).then(view(a).id.cmp(&view(b).id)));
            add(name, &mut others.iter().copied());
        };
        let fact = |facts: &BTreeMap<SampleId, f64>, one: &Looked| {
            facts
                .get(&view(one).id)
                .copied()
                .unwrap_or(f64::NEG_INFINITY)
        };
        by("by_loss/", &|one| fact(&facts.losses, one));
        by("by_influence/", &|one| {
            facts
                .influence
                .get(&view(one).id)
                .map_or(f64::NEG_INFINITY, |one| -one)
        });
        by("by_similarity/", &|one| f64::from(one.seen.scores[2]));
        Ok(())
    }
}

/// How often each item is drawn when as many groups as there are are drawn with replacement; `groups` says whose each item is.
fn drawn(groups: impl Iterator<Item = usize> + Clone, seed: u64) -> Vec<f64> {
    let distinct: BTreeSet<usize> = groups.clone().collect();
    let distinct: Vec<usize> = distinct.into_iter().collect();
    let mut times: BTreeMap<usize, f64> = BTreeMap::new();
    for draw in 0..distinct.len() as u64 {
        let place = crate::seed::mix(seed.wrapping_add(draw)) % distinct.len() as u64;
        *times.entry(distinct[place as usize]).or_default() += 1.0;
    }
    groups
        .map(|one| times.get(&one).copied().unwrap_or_default())
        .collect()
}

fn by_anchor(looked: &[Looked]) -> BTreeMap<usize, Vec<&Looked>> {
    let mut of_anchor: BTreeMap<usize, Vec<&Looked>> = BTreeMap::new();
    for one in looked {
        of_anchor.entry(one.anchor).or_default().push(one);
    }
    of_anchor
}

/// What speaks for a suspect.
fn evidence(
    one: &Looked,
    judge: &Judge,
    pool: &Pool,
    of_anchor: &BTreeMap<usize, Vec<&Looked>>,
    facts: &Facts,
) -> Value {
    let view = &pool.samples[one.place].view;
    let mut said = Map::new();
    let short = |value: f64| json!((value * 1e6).round() / 1e6);
    said.insert("similarity".to_owned(), short(one.seen.scores[2].into()));
    for (member, name) in MEMBERS.iter().enumerate() {
        if let Some(alone) = &judge.alone[member] {
            let probability = alone.probability(&of_member(&one.seen, member));
            said.insert((*name).to_owned(), short(probability));
        }
    }
    let others = of_anchor[&one.anchor].iter();
    let positives = others.filter(|other| {
        other.place != one.place && pool.samples[other.place].view.role == Role::Positive
    });
    let positives: Vec<&&Looked> = positives.collect();
    let nearest = positives
        .iter()
        .map(|other| other.seen.scores[2])
        .max_by(f32::total_cmp);
    if let Some(nearest) = nearest {
        said.insert("nearest_positive".to_owned(), short(nearest.into()));
        let beats = one.seen.scores[2] > nearest;
        said.insert("beats_positive".to_owned(), json!(beats));
    }
    if view.role == Role::Negative {
        let mine = shingles(&view.text);
        let overlaps = positives.iter().map(|other| {
            let other = &pool.samples[other.place].view;
            (overlap(&mine, &shingles(&other.text)), other.id)
        });
        let most = overlaps.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        if let Some((share, id)) = most.filter(|(share, _)| *share >= SAME) {
            said.insert("duplicate_of".to_owned(), json!(id.to_string()));
            said.insert("overlap".to_owned(), short(share));
        }
    }
    if let Some(influence) = facts.influence.get(&view.id) {
        // Small numbers: kept as they are.
        said.insert("influence".to_owned(), json!(influence));
    }
    if let Some(loss) = facts.losses.get(&view.id) {
        said.insert("loss".to_owned(), short(*loss));
    }
    Value::Object(said)
}

/// Runs of words of a text, lower-cased.
fn shingles(text: &str) -> BTreeSet<String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let size = SHINGLE.min(words.len()).max(1);
    words.windows(size).map(|run| run.join(" ")).collect()
}

/// Jaccard's: the share of all that both have.
fn overlap(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let both = a.intersection(b).count();
    both as f64 / (a.len() + b.len() - both).max(1) as f64
}
