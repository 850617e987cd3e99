//! What a walk over the samples adds up, sample after sample.

use std::collections::BTreeMap;

use crate::reporting::{
    DifficultyHistogram, Forgetting, Ranked, RankedSample, Shown, SimilarityHistogram,
};
use crate::rows::Role;
use crate::walking::{Band, Measured, Met, Walked};

/// Place of a value among so many equal bins from `low` on, each `1 / per` wide.
fn bin(value: f64, low: f64, per: f64, bins: usize) -> usize {
    (((value - low) * per).floor().max(0.0) as usize).min(bins - 1)
}

#[derive(Default)]
pub(crate) struct Funnel {
    pub first: u32,
    pub proposed: u64,
    pub dropped: u64,
    pub left: u64,
    pub pool: u64,
    pub used: u64,
    pub uses: u64,
    pub in_trained: u64,
    pub losses: u64,
    pub loss: f64,
}

pub(crate) struct Similarity {
    pub first: u32,
    pub n: u64,
    pub sum: f64,
    pub squares: f64,
    pub low: f64,
    pub high: f64,
    pub counts: Vec<u64>,
}

pub(crate) struct Difficulty {
    pub n: u64,
    pub sum: f64,
    pub too_easy: u64,
    pub likely_false: u64,
    pub bands: [u64; 3],
    pub counts: Vec<u64>,
}

impl Difficulty {
    fn add(&mut self, value: f64, band: Option<Band>) {
        self.n += 1;
        self.sum += value;
        self.too_easy += u64::from(value < 0.0);
        self.likely_false += u64::from(value > 1.0);
        if let Some(band) = band {
            self.bands[band as usize] += 1;
        }
        self.counts[bin(value, -0.5, 12.0, DifficultyHistogram::BINS)] += 1;
    }

    pub fn close(self, of: String) -> DifficultyHistogram {
        DifficultyHistogram {
            of,
            n: self.n,
            mean: self.sum / self.n as f64,
            too_easy: self.too_easy,
            likely_false: self.likely_false,
            bands: self.bands,
            counts: self.counts,
        }
    }
}

impl Default for Difficulty {
    fn default() -> Self {
        Self {
            n: 0,
            sum: 0.0,
            too_easy: 0,
            likely_false: 0,
            bands: [0; 3],
            counts: vec![0; DifficultyHistogram::BINS],
        }
    }
}

#[derive(Default)]
pub(crate) struct Epoch {
    pub first: u32,
    pub last: u32,
    pub positives: u64,
    pub negatives: u64,
}

#[derive(Default)]
pub(crate) struct Sides {
    pub samples: u64,
    pub sum: f64,
    pub harmful: u64,
}

/// The first few of a kind by a key, the largest first, then in the order of ids.
pub(crate) struct Top {
    room: usize,
    ranked: Ranked,
}

impl Top {
    pub fn new(room: usize) -> Self {
        Self {
            room,
            ranked: Ranked::default(),
        }
    }

    /// Samples come in the order of ids.
    fn offer(&mut self, sample: &str, value: f64, of: usize, key: fn(f64) -> f64) {
        self.ranked.all += 1;
        let first = &mut self.ranked.first;
        let place = first.partition_point(|one| key(one.value) >= key(value));
        if place < self.room {
            let one = RankedSample {
                sample: sample.to_owned(),
                value,
                of: of as u64,
            };
            first.insert(place, one);
            first.truncate(self.room);
        }
    }

    pub fn close(self) -> Ranked {
        self.ranked
    }
}

/// By source or filter, the first few samples that come.
pub(crate) type FirstFew = BTreeMap<usize, Vec<String>>;

fn keep_first(few: &mut FirstFew, of: usize, sample: &str, room: usize) {
    let few = few.entry(of).or_default();
    if few.len() < room {
        few.push(sample.to_owned());
    }
}

/// What the walk adds up.
pub(crate) struct Counting<'s> {
    pub shown: Shown,
    pub trained: usize,
    /// The last tick in which a source was asked again.
    pub asked_again: &'s BTreeMap<String, u32>,
    pub stages: &'s BTreeMap<u32, String>,
    /// The last tick that scored the pool.
    pub last_scored: Option<u32>,
    pub funnel: BTreeMap<(usize, Role), Funnel>,
    /// By filter: its first tick, judged, dropped.
    pub filters: BTreeMap<usize, (u32, u64, u64)>,
    pub epochs: BTreeMap<usize, Epoch>,
    pub similarities: BTreeMap<(usize, Role), Similarity>,
    pub by_epoch: BTreeMap<usize, Difficulty>,
    pub by_stage: BTreeMap<&'s str, (u32, Difficulty)>,
    pub by_source: BTreeMap<usize, Difficulty>,
    pub losses: BTreeMap<usize, Vec<f32>>,
    pub sides: BTreeMap<(usize, Role), Sides>,
    pub hardest: Top,
    pub helpful: Top,
    pub harmful: Top,
    pub forgotten: Top,
    pub forgetting: Forgetting,
    pub used: u64,
    pub examples: FirstFew,
    pub rejected: FirstFew,
    /// Sources of the sample at hand, each once.
    pub sources: Vec<usize>,
}

impl Counting<'_> {
    pub fn visit(&mut self, met: &Met, sample: &Walked) {
        self.sources.clear();
        self.sources
            .extend(sample.sources.iter().map(|(source, _)| *source));
        self.sources.dedup();
        self.verdicts(sample);
        self.training(sample);
        self.scores(sample);
        self.influence(sample);
        let gone = sample.verdicts.iter().any(|(_, _, keep)| !keep);
        let live = sample.sources.iter().any(|(source, tick)| {
            let again = self.asked_again.get(met.sources.get(*source));
            again.is_none_or(|again| again <= tick)
        });
        let uses = sample.uses.len() as u64;
        let in_trained = sample
            .uses
            .iter()
            .filter(|used| used.epoch() < self.trained)
            .count() as u64;
        let loss = mean_loss(sample);
        self.used += u64::from(uses > 0);
        for source in &self.sources {
            let of = self.funnel.entry((*source, sample.role)).or_insert(Funnel {
                first: u32::MAX,
                ..Funnel::default()
            });
            of.first = of.first.min(sample.tick);
            of.proposed += 1;
            of.dropped += u64::from(gone);
            of.pool += u64::from(!gone && live);
            of.left += u64::from(!gone && !live);
            of.used += u64::from(uses > 0);
            of.uses += uses;
            of.in_trained += in_trained;
            if let Some((loss, _)) = loss {
                of.losses += 1;
                of.loss += loss;
            }
            keep_first(&mut self.examples, *source, &sample.id, self.shown.examples);
        }
        if let Some((loss, n)) = loss {
            self.hardest.offer(&sample.id, loss, n, |value| value);
        }
    }

    fn verdicts(&mut self, sample: &Walked) {
        for (filter, tick, keep) in &sample.verdicts {
            let of = self.filters.entry(*filter).or_insert((u32::MAX, 0, 0));
            of.0 = of.0.min(*tick);
            of.1 += 1;
            if !keep {
                of.2 += 1;
                keep_first(&mut self.rejected, *filter, &sample.id, self.shown.rejected);
            }
        }
    }

    fn training(&mut self, sample: &Walked) {
        for used in &sample.uses {
            let epoch = self.epochs.entry(used.epoch()).or_insert(Epoch {
                first: u32::MAX,
                ..Epoch::default()
            });
            epoch.first = epoch.first.min(used.tick);
            epoch.last = epoch.last.max(used.tick);
            match sample.role {
                Role::Positive => epoch.positives += 1,
                Role::Negative => epoch.negatives += 1,
            }
            if let Some(loss) = used.loss() {
                let losses = self.losses.entry(used.epoch()).or_default();
                losses.push(loss as f32);
            }
        }
    }

    fn scores(&mut self, sample: &Walked) {
        for score in &sample.scores {
            let of = self
                .similarities
                .entry((score.model, sample.role))
                .or_insert_with(|| Similarity {
                    first: u32::MAX,
                    n: 0,
                    sum: 0.0,
                    squares: 0.0,
                    low: f64::INFINITY,
                    high: f64::NEG_INFINITY,
                    counts: vec![0; SimilarityHistogram::BINS],
                });
            let value = score.similarity;
            of.first = of.first.min(score.tick);
            of.n += 1;
            of.sum += value;
            of.squares += value * value;
            of.low = of.low.min(value);
            of.high = of.high.max(value);
            of.counts[bin(value, -1.0, 50.0, SimilarityHistogram::BINS)] += 1;
        }
        let last = sample
            .scores
            .iter()
            .find(|score| Some(score.tick) == self.last_scored);
        if let Some((difficulty, band)) = last.and_then(|one| Some((one.difficulty?, one.band))) {
            for source in &self.sources {
                let of = self.by_source.entry(*source).or_default();
                of.add(difficulty, band);
            }
        }
        let Some(first) = sample.scores.iter().min_by_key(|score| score.tick) else {
            return;
        };
        let Some(difficulty) = first.difficulty else {
            return;
        };
        for used in &sample.uses {
            let of = self.by_epoch.entry(used.epoch()).or_default();
            of.add(difficulty, first.band);
            if let Some(stage) = self.stages.get(&used.tick) {
                let of = self
                    .by_stage
                    .entry(stage)
                    .or_insert((u32::MAX, Difficulty::default()));
                of.0 = of.0.min(used.tick);
                of.1.add(difficulty, first.band);
            }
        }
    }

    fn influence(&mut self, sample: &Walked) {
        let all = &sample.influences;
        if all.is_empty() {
            return;
        }
        let value: f64 = all.iter().map(|one| one.value).sum();
        if value > 0.0 {
            let key = |value: f64| value;
            self.helpful.offer(&sample.id, value, all.len(), key);
        } else if value < 0.0 {
            let key = |value: f64| -value;
            self.harmful.offer(&sample.id, value, all.len(), key);
        }
        let lost = |two: &&[Measured]| two[0].on_its_side && !two[1].on_its_side;
        let events = all.windows(2).filter(lost).count();
        self.forgetting.samples += 1;
        self.forgetting.events += events as u64;
        self.forgetting.never_learned += u64::from(!all.iter().any(|one| one.on_its_side));
        if events > 0 {
            let (sample, events) = (&sample.id, events as f64);
            self.forgotten
                .offer(sample, events, all.len(), |value| value);
        }
        for source in &self.sources {
            let of = self.sides.entry((*source, sample.role)).or_default();
            of.samples += 1;
            of.sum += value;
            of.harmful += u64::from(value < 0.0);
        }
    }
}

/// The mean over the uses that have a loss of their own, and how many they are.
fn mean_loss(sample: &Walked) -> Option<(f64, usize)> {
    let losses = sample.uses.iter().filter_map(|used| used.loss());
    let (n, sum) = losses.fold((0, 0.0), |(n, sum), loss| (n + 1, sum + loss));
    (n > 0).then(|| (sum / n as f64, n))
}
