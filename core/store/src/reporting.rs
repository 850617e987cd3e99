//! What a report shows of the samples, counted in one walk over them, so that a store of a million samples takes seconds.
//! What is held grows with the uses alone (20 bytes each). `tests/reporting.rs` holds every number to a plain query.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Store;
use crate::counting::{Counting, Epoch, FirstFew, Sides, Similarity, Top};
use crate::error::Error;
use crate::query::{EpochRow, FunnelRow};
use crate::rows::Role;
use crate::walking::Met;

/// How many samples are named of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Of each source.
    pub examples: usize,
    /// Of each filter's drops.
    pub rejected: usize,
    /// Of those that stand out: hardest, most helpful, most harmful.
    pub extremes: usize,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            examples: 3,
            rejected: 4,
            extremes: 20,
        }
    }
}

/// Everything that is counted over all samples.
#[derive(Debug, Clone, Serialize, Default)]
pub struct Overview {
    /// From proposed to used, by source and role, those with the oldest samples first.
    pub funnel: Vec<FunnelRow>,
    /// In the order they judged.
    pub filters: Vec<FilterRow>,
    /// What each epoch was asked for and what it got.
    pub epochs: Vec<EpochRow>,
    /// Cosines to the anchor, by model in the order they scored, then role.
    pub similarities: Vec<SimilarityHistogram>,
    /// Difficulty, as first measured, of the negatives at each use, by epoch (from 1).
    pub difficulty_by_epoch: Vec<DifficultyHistogram>,
    /// The same by the stage of training: the band its epoch asked for.
    pub difficulty_by_stage: Vec<DifficultyHistogram>,
    /// Difficulty, as last measured over the whole pool, of each negative once, by source: one of two sources counts for both.
    pub difficulty_by_source: Vec<DifficultyHistogram>,
    /// Losses of uses, by epoch.
    pub losses: Vec<LossQuantiles>,
    /// Influence on validation by source and role.
    pub influences: Vec<InfluenceRow>,
    /// Whether samples came to stand on their side and stayed there.
    pub forgetting: Forgetting,
    /// Samples by their mean loss, the largest first.
    pub hardest: Ranked,
    /// Samples by their influence above 0, summed over versions of the model.
    pub helpful: Ranked,
    /// Samples by their influence below 0, the lowest first.
    pub harmful: Ranked,
    /// Samples that were used.
    pub used: u64,
    /// The first samples of each source by id, which is a hash: spread over it.
    pub examples: Vec<Named>,
    /// The first samples that each filter dropped, by id.
    pub rejected: Vec<Named>,
}

/// What a filter did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterRow {
    /// Its name.
    pub filter: String,
    /// Verdicts.
    pub judged: u64,
    /// Those against the sample.
    pub dropped: u64,
}

/// Cosines of samples to their anchors, by a version of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimilarityHistogram {
    /// Version of the model.
    pub model: String,
    /// The tick in which it first scored.
    pub tick: u32,
    /// `positive` or `negative`.
    pub role: String,
    /// How many.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (over n - 1; 0 of fewer than two).
    pub deviation: f64,
    /// The least.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// [`SimilarityHistogram::BINS`] equal bins over -1..1, each with its lower edge; what is beyond is in the last ones.
    pub counts: Vec<u64>,
}

impl SimilarityHistogram {
    /// Bins of 0.02.
    pub const BINS: usize = 100;
}

/// Difficulties of negatives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DifficultyHistogram {
    /// The epoch, source or stage.
    pub of: String,
    /// How many.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// Those below 0: further than a random document.
    pub too_easy: u64,
    /// Those above 1: nearer than the anchor's positives.
    pub likely_false: u64,
    /// How many are easy, medium, hard.
    pub bands: [u64; 3],
    /// [`DifficultyHistogram::BINS`] equal bins over -0.5..1.5; what is beyond is in the last ones.
    pub counts: Vec<u64>,
}

impl DifficultyHistogram {
    /// Bins of a twelfth: 0 and 1 are edges.
    pub const BINS: usize = 24;
}

/// Losses of the uses of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LossQuantiles {
    /// From 1.
    pub epoch: usize,
    /// Uses with a loss of their own.
    pub n: u64,
    /// The least value that 5, 25, 50, 75, 95 % of them do not exceed.
    pub quantiles: [f64; 5],
}

/// What a source's samples did to the loss on validation (TracIn); each sample's values are summed over versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InfluenceRow {
    /// The source; a sample of two counts for both.
    pub source: String,
    /// `positive` or `negative`.
    pub role: String,
    /// Samples measured.
    pub samples: u64,
    /// Sum over them.
    pub sum: f64,
    /// Those below 0.
    pub harmful: u64,
}

/// Samples whose influence was measured: where they stood at each version of the model. A negative is on its side if it is
/// further than its anchor's positives, a positive if it is nearer than its negatives.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Forgetting {
    /// Samples measured.
    pub samples: u64,
    /// How often one was on its side and not the next time (Toneva et al. 2019).
    pub events: u64,
    /// Samples never on their side.
    pub never_learned: u64,
    /// Samples by how often they were forgotten.
    pub forgotten: Ranked,
}

/// Samples in an order: how many there are, and the first.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Ranked {
    /// Those that have such a value.
    pub all: u64,
    /// As many as are shown; equal ones in the order of ids.
    pub first: Vec<RankedSample>,
}

/// A sample that stands out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankedSample {
    /// Its id.
    pub sample: String,
    /// By what it stands out.
    pub value: f64,
    /// From how many measurements: uses, or versions of the model.
    pub of: u64,
}

/// Samples of a source or a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The source or filter.
    pub of: String,
    /// Ids, in order.
    pub samples: Vec<String>,
}

/// The least value that a share of them does not exceed: the nearest rank.
fn quantile(sorted: &[f32], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    f64::from(sorted[rank.min(sorted.len()) - 1])
}

impl Store {
    /// Counts everything that is counted over all samples, in one walk over them.
    ///
    /// # Errors
    /// As every other query: if the store cannot be read.
    pub fn overview(&self, shown: Shown) -> Result<Overview, Error> {
        let asked_again: BTreeMap<String, u32> = self
            .all(
                "SELECT detail, max(number) FROM tick WHERE kind = 'refresh' GROUP BY detail",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .into_iter()
            .collect();
        let stages: BTreeMap<u32, String> = self
            .all(
                "SELECT number, detail FROM tick WHERE kind = 'train' ORDER BY number",
                [],
                |row| {
                    let detail: String = row.get(1)?;
                    let stage = detail.rsplit(", ").next().unwrap_or_default();
                    Ok((row.get(0)?, stage.to_owned()))
                },
            )?
            .into_iter()
            .collect();
        let top = || Top::new(shown.extremes);
        let last_scored = self.last_of_kind("score")?;
        let mut counting = Counting {
            shown,
            trained: self.trained_epoch()?.unwrap_or(usize::MAX),
            asked_again: &asked_again,
            stages: &stages,
            last_scored,
            funnel: BTreeMap::new(),
            filters: BTreeMap::new(),
            epochs: BTreeMap::new(),
            similarities: BTreeMap::new(),
            by_epoch: BTreeMap::new(),
            by_stage: BTreeMap::new(),
            by_source: BTreeMap::new(),
            losses: BTreeMap::new(),
            sides: BTreeMap::new(),
            hardest: top(),
            helpful: top(),
            harmful: top(),
            forgotten: top(),
            forgetting: Forgetting::default(),
            used: 0,
            examples: BTreeMap::new(),
            rejected: BTreeMap::new(),
            sources: Vec::new(),
        };
        let mut met = Met::default();
        self.walk(&mut met, |met, sample| counting.visit(met, sample))?;
        self.close_overview(counting, &met)
    }

    fn close_overview(&self, counting: Counting<'_>, met: &Met) -> Result<Overview, Error> {
        let source = |place: usize| met.sources.get(place).to_owned();
        let mut funnel: Vec<(u32, FunnelRow)> = counting
            .funnel
            .into_iter()
            .map(|((of, role), one)| {
                let row = FunnelRow {
                    source: source(of),
                    role: role.name().to_owned(),
                    proposed: one.proposed,
                    dropped: one.dropped,
                    left: one.left,
                    pool: one.pool,
                    used: one.used,
                    uses: one.uses,
                    uses_in_trained: one.in_trained,
                    mean_loss: (one.losses > 0).then(|| one.loss / one.losses as f64),
                };
                (one.first, row)
            })
            .collect();
        // Positives before negatives.
        funnel.sort_by(|(a_first, a), (b_first, b)| {
            (a_first, &a.source, &b.role).cmp(&(b_first, &b.source, &a.role))
        });
        // The order of sources everywhere.
        let mut order: Vec<usize> = (0..met.sources.len()).collect();
        order.sort_by_key(|of| {
            funnel
                .iter()
                .position(|(_, row)| row.source == met.sources.get(*of))
        });
        let named = |mut few: FirstFew, name: &dyn Fn(usize) -> String, order: &[usize]| {
            let of = order
                .iter()
                .filter_map(|place| Some((*place, few.remove(place)?)));
            of.map(|(place, samples)| Named {
                of: name(place),
                samples,
            })
            .collect()
        };
        let mut filters: Vec<(u32, usize, FilterRow)> = counting
            .filters
            .into_iter()
            .map(|(place, (first, judged, dropped))| {
                let filter = met.filters.get(place).to_owned();
                (
                    first,
                    place,
                    FilterRow {
                        filter,
                        judged,
                        dropped,
                    },
                )
            })
            .collect();
        filters.sort_by(|a, b| (a.0, &a.2.filter).cmp(&(b.0, &b.2.filter)));
        let filter_order: Vec<usize> = filters.iter().map(|(_, place, _)| *place).collect();
        let mut by_source = counting.by_source;
        let mut sides = counting.sides;
        let sides: Vec<(usize, Role, Sides)> = order
            .iter()
            .flat_map(|of| [Role::Positive, Role::Negative].map(|role| (*of, role)))
            .filter_map(|key| Some((key.0, key.1, sides.remove(&key)?)))
            .collect();
        let mut stages: Vec<(u32, DifficultyHistogram)> = counting
            .by_stage
            .into_iter()
            .map(|(stage, (first, one))| (first, one.close(stage.to_owned())))
            .collect();
        stages.sort_by_key(|(first, _)| *first);
        Ok(Overview {
            funnel: funnel.into_iter().map(|(_, row)| row).collect(),
            filters: filters.into_iter().map(|(.., row)| row).collect(),
            epochs: self.epochs_of(&counting.epochs)?,
            similarities: similarities(counting.similarities, met),
            difficulty_by_epoch: counting
                .by_epoch
                .into_iter()
                .map(|(epoch, one)| one.close((epoch + 1).to_string()))
                .collect(),
            difficulty_by_stage: stages.into_iter().map(|(_, one)| one).collect(),
            difficulty_by_source: order
                .iter()
                .filter_map(|of| Some(by_source.remove(of)?.close(source(*of))))
                .collect(),
            losses: counting
                .losses
                .into_iter()
                .map(|(epoch, mut losses)| {
                    losses.sort_unstable_by(f32::total_cmp);
                    LossQuantiles {
                        epoch: epoch + 1,
                        n: losses.len() as u64,
                        quantiles: [0.05, 0.25, 0.5, 0.75, 0.95]
                            .map(|share| quantile(&losses, share)),
                    }
                })
                .collect(),
            influences: sides
                .iter()
                .map(|(of, role, one)| InfluenceRow {
                    source: source(*of),
                    role: role.name().to_owned(),
                    samples: one.samples,
                    sum: one.sum,
                    harmful: one.harmful,
                })
                .collect(),
            forgetting: Forgetting {
                forgotten: counting.forgotten.close(),
                ..counting.forgetting
            },
            hardest: counting.hardest.close(),
            helpful: counting.helpful.close(),
            harmful: counting.harmful.close(),
            used: counting.used,
            examples: named(counting.examples, &source, &order),
            rejected: named(
                counting.rejected,
                &|place| met.filters.get(place).to_owned(),
                &filter_order,
            ),
        })
    }

    /// With what each epoch was asked for.
    fn epochs_of(&self, epochs: &BTreeMap<usize, Epoch>) -> Result<Vec<EpochRow>, Error> {
        let mut rows = Vec::with_capacity(epochs.len());
        for (epoch, one) in epochs {
            let asked = self.all(
                "SELECT (SELECT detail FROM tick WHERE number = ?1),
                        (SELECT value FROM metric WHERE tick = ?1 AND step = -1 AND name = 'ratio'),
                        (SELECT sum(value) FROM metric WHERE tick BETWEEN ?1 AND ?2 AND step = -1
                           AND name = 'negatives_short_of_ratio'),
                        (SELECT count(DISTINCT round) FROM annotation a WHERE a.tick < ?1)",
                [one.first, one.last],
                |row| {
                    let detail: String = row.get(0)?;
                    Ok(EpochRow {
                        epoch: epoch + 1,
                        band: detail.rsplit(", ").next().unwrap_or_default().to_owned(),
                        positives: one.positives,
                        negatives: one.negatives,
                        ratio_asked: row.get(1)?,
                        short: row.get::<_, Option<f64>>(2)?.unwrap_or_default() as u64,
                        round: row.get::<_, i64>(3)? as u64,
                    })
                },
            )?;
            rows.extend(asked);
        }
        Ok(rows)
    }
}

/// By model in the order they first scored, positives first.
fn similarities(
    counted: BTreeMap<(usize, Role), Similarity>,
    met: &Met,
) -> Vec<SimilarityHistogram> {
    let mut first: BTreeMap<usize, u32> = BTreeMap::new();
    for ((model, _), one) in &counted {
        let least = first.entry(*model).or_insert(u32::MAX);
        *least = one.first.min(*least);
    }
    let mut rows: Vec<((usize, Role), Similarity)> = counted.into_iter().collect();
    rows.sort_by_key(|((model, role), _)| (first.get(model).copied(), *model, *role));
    rows.into_iter()
        .map(|((model, role), one)| {
            let n = one.n as f64;
            let mean = one.sum / n;
            let variance = (one.squares - n * mean * mean).max(0.0) / (n - 1.0).max(1.0);
            SimilarityHistogram {
                model: met.models.get(model).to_owned(),
                tick: one.first,
                role: role.name().to_owned(),
                n: one.n,
                mean,
                deviation: variance.sqrt(),
                low: one.low,
                high: one.high,
                counts: one.counts,
            }
        })
        .collect()
}
