//! Which samples a step uses: positives shuffled once an epoch, each with negatives of its anchor that the stage asks for, as
//! many as the ratio says. An anchor that has negatives only takes a turn too: some losses learn from it. What the pool does
//! not have is counted, and nothing else is put in its place.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::{Difficulty, Expression, Negatives, Stage};
use orchestrator_store::Role;

use crate::pool::{Pool, PoolSample};
use crate::seed::shuffled;

/// One turn of an epoch: a positive, if its anchor has one, with negatives.
pub(crate) type Turn = (Option<usize>, Vec<usize>);

/// The samples of a batch, as places in the pool.
pub(crate) type BatchSamples = Vec<Turn>;

/// What an epoch is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch<'s> {
    /// From 0, over the whole run.
    pub number: usize,
    pub stage: &'s Stage,
    /// From 0.
    pub stage_number: usize,
    /// Negatives a positive …
    pub ratio: &'s Expression,
    /// … and what rules made of it.
    pub ratio_times: f64,
    /// How much wider rules made the band, in shares of the pool: on the easy side, on the hard side.
    pub wider: (f64, f64),
    /// Turns of a batch, and batches of a step.
    pub batch: usize,
    pub accumulate: usize,
    /// Steps done in the whole run before this epoch.
    pub first_step: u64,
    /// Steps done in the stage before this epoch, and all it is to have.
    pub of_stage: (u64, u64),
}

impl Epoch<'_> {
    /// Negatives a positive at a step of the run. Rules and expressions may not leave what a file may ask for.
    pub fn ratio_at(&self, step: u64) -> f64 {
        let asked = self.ratio.value(&|name| match name {
            "epoch" => self.number as f64,
            "stage" => self.stage_number as f64,
            _ => step as f64,
        });
        let ratio = asked * self.ratio_times;
        if ratio.is_nan() {
            0.0
        } else {
            ratio.clamp(0.0, 1000.0)
        }
    }
}

/// What a step was dealt.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Dealt {
    pub batches: Vec<BatchSamples>,
    /// Negatives a positive.
    pub ratio: f64,
    /// Negatives that the ratio asked for.
    pub asked: usize,
    /// Those of them that the pool did not have, by band.
    pub short: BTreeMap<&'static str, usize>,
}

/// An anchor's negatives in the order they are dealt, round and round: no two of an epoch get the same before all are out.
#[derive(Default)]
struct Deck {
    cards: Vec<usize>,
    next: usize,
}

impl Deck {
    /// The next `wanted` that are open, each once.
    fn draw(&mut self, wanted: usize, open: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut drawn = Vec::new();
        let passed = self.cards.len();
        for _ in 0..passed {
            if drawn.len() == wanted {
                break;
            }
            let card = self.cards[self.next % passed];
            self.next += 1;
            if open(card) {
                drawn.push(card);
            }
        }
        drawn
    }
}

/// The negatives a stage may use, by difficulty.
struct Ranks {
    /// Place in the pool to how many negatives are easier, as a share of all.
    of: BTreeMap<usize, f64>,
    /// Where each band ends, as a share of all.
    ends: [f64; 3],
}

impl Ranks {
    fn of(pool: &Pool) -> Self {
        let mut order: Vec<(f32, usize)> = pool
            .of_role(Role::Negative)
            .map(|place| (difficulty(&pool.samples[place]), place))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let n = order.len().max(1) as f64;
        let mut ends = [0.0; 3];
        let mut below = 0;
        for (band, end) in Difficulty::BANDS.iter().zip(&mut ends) {
            let is = |place: &usize| pool.samples[*place].view.band.as_deref() == Some(band.name());
            below += pool.of_role(Role::Negative).filter(is).count();
            *end = below as f64 / n;
        }
        Self {
            of: order
                .into_iter()
                .enumerate()
                .map(|(rank, (_, place))| (place, rank as f64 / n))
                .collect(),
            ends,
        }
    }

    /// Whether a negative is in a band that rules made wider.
    fn in_band(&self, place: usize, band: usize, (easier, harder): (f64, f64)) -> bool {
        let from = if band == 0 { 0.0 } else { self.ends[band - 1] };
        let rank = self.of[&place];
        from - easier <= rank && rank < self.ends[band] + harder
    }
}

fn difficulty(sample: &PoolSample) -> f32 {
    let view = &sample.view;
    view.fixed_difficulty.or(view.difficulty).unwrap_or(0.0)
}

/// An epoch's steps.
pub(crate) fn epoch(pool: &Pool, seed: u64, epoch: &Epoch<'_>) -> Vec<Dealt> {
    let number = epoch.number as u64;
    let (slots, shares): (Vec<Difficulty>, [f64; 3]) = match epoch.stage.negatives {
        Negatives::Of(band) => (vec![band], [1.0, 0.0, 0.0]),
        Negatives::Mixture { easy, medium, hard } => {
            (Difficulty::BANDS.to_vec(), [easy, medium, hard])
        }
    };
    let ranked = epoch.stage.pacing.is_some() || epoch.wider != (0.0, 0.0);
    let ranks = ranked.then(|| Ranks::of(pool));
    let belongs = |place: usize, slot: Difficulty| {
        let band = Difficulty::BANDS.iter().position(|one| *one == slot);
        match (band, &ranks) {
            (None, _) => true,
            (Some(band), Some(ranks)) if epoch.wider != (0.0, 0.0) => {
                ranks.in_band(place, band, epoch.wider)
            }
            _ => pool.samples[place].view.band.as_deref() == Some(slot.name()),
        }
    };
    let from = epoch.stage.sources.as_deref();
    let mut decks: BTreeMap<(usize, usize), Deck> = BTreeMap::new();
    for place in pool.of_role(Role::Negative) {
        let view = &pool.samples[place].view;
        if from.is_some_and(|sources| !sources.contains(&view.source)) {
            continue;
        }
        for (slot, band) in slots.iter().enumerate() {
            if shares[slot] > 0.0 && belongs(place, *band) {
                decks
                    .entry((view.anchor, slot))
                    .or_default()
                    .cards
                    .push(place);
            }
        }
    }
    for (&(anchor, slot), deck) in &mut decks {
        let numbers = [number, anchor as u64, slot as u64];
        // The first deck's order is what it is without others.
        let numbers = &numbers[..2 + slot.min(1)];
        let cards = std::mem::take(&mut deck.cards);
        deck.cards = shuffled(cards, seed, "negatives of epoch", numbers);
    }
    let dealing = Dealing {
        epoch,
        slots,
        shares,
        ranks,
    };
    dealing.deal(decks, turns(pool, seed, number))
}

/// Every anchor once for each of its positives, or once; in the order of the epoch.
fn turns(pool: &Pool, seed: u64, number: u64) -> Vec<(usize, Option<usize>)> {
    let with_positives: BTreeSet<usize> = pool
        .of_role(Role::Positive)
        .map(|place| pool.samples[place].view.anchor)
        .collect();
    let mut turns: Vec<(usize, Option<usize>)> = pool
        .of_role(Role::Positive)
        .map(|place| (pool.samples[place].view.anchor, Some(place)))
        .collect();
    let without: BTreeSet<usize> = pool
        .of_role(Role::Negative)
        .map(|place| pool.samples[place].view.anchor)
        .filter(|anchor| !with_positives.contains(anchor))
        .collect();
    turns.extend(without.into_iter().map(|anchor| (anchor, None)));
    shuffled(turns, seed, "turns of epoch", &[number])
}

struct Dealing<'e> {
    epoch: &'e Epoch<'e>,
    slots: Vec<Difficulty>,
    shares: [f64; 3],
    ranks: Option<Ranks>,
}

impl Dealing<'_> {
    fn deal(
        &self,
        mut decks: BTreeMap<(usize, usize), Deck>,
        turns: Vec<(usize, Option<usize>)>,
    ) -> Vec<Dealt> {
        let epoch = self.epoch;
        let mut steps: Vec<Dealt> = Vec::new();
        // Of the ratio: what was owed before it last changed, and the turns since.
        let mut owed = Owed::default();
        let mut of_band = [0usize; 3];
        let mut asked_in_all = 0usize;
        let mut dealt = 0usize;
        for (anchor, positive) in turns {
            let step = dealt / (epoch.batch * epoch.accumulate);
            let at = epoch.first_step + step as u64;
            let ratio = epoch.ratio_at(at);
            let wanted = owed.turn(ratio);
            let has_any = (0..self.slots.len()).any(|slot| decks.contains_key(&(anchor, slot)));
            if positive.is_none() && !has_any {
                continue;
            }
            let mut wanted_of = [0usize; 3];
            for _ in 0..wanted {
                asked_in_all += 1;
                // The band that lags most behind its share.
                let lag =
                    |slot: &usize| self.shares[*slot] * asked_in_all as f64 - of_band[*slot] as f64;
                let slot = (0..self.slots.len())
                    .max_by(|a, b| lag(a).total_cmp(&lag(b)).then(b.cmp(a)))
                    .unwrap_or(0);
                of_band[slot] += 1;
                wanted_of[slot] += 1;
            }
            let open = self.open(at);
            let mut negatives = Vec::new();
            let mut short = Vec::new();
            for (slot, &wanted) in wanted_of.iter().enumerate().filter(|(_, n)| **n > 0) {
                let drawn = match decks.get_mut(&(anchor, slot)) {
                    Some(deck) => deck.draw(wanted, |place| {
                        open.is_none_or(|open| {
                            let ranks = self.ranks.as_ref();
                            ranks.is_none_or(|ranks| ranks.of[&place] < open)
                        })
                    }),
                    None => Vec::new(),
                };
                short.push((self.slots[slot].name(), wanted - drawn.len()));
                // Bands that rules made wider overlap.
                negatives.extend(drawn);
            }
            let mut seen = BTreeSet::new();
            negatives.retain(|place| seen.insert(*place));
            if positive.is_none() && negatives.is_empty() {
                continue;
            }
            if steps.len() <= step {
                steps.push(Dealt {
                    ratio,
                    ..Dealt::default()
                });
            }
            let Some(into) = steps.last_mut() else {
                continue;
            };
            into.asked += wanted;
            for (band, missing) in short.into_iter().filter(|(_, missing)| *missing > 0) {
                *into.short.entry(band).or_default() += missing;
            }
            if dealt.is_multiple_of(epoch.batch) {
                into.batches.push(Vec::new());
            }
            if let Some(batch) = into.batches.last_mut() {
                batch.push((positive, negatives));
            }
            dealt += 1;
        }
        steps
    }

    /// The share of the pool that is open at a step, where it is opened little by little.
    fn open(&self, step: u64) -> Option<f64> {
        let pacing = self.epoch.stage.pacing?;
        let (before, all) = self.epoch.of_stage;
        let done = before + (step - self.epoch.first_step);
        Some(pacing.open(done as f64 / all.max(1) as f64))
    }
}

/// Fractions add up: after n turns, floor(n * ratio) negatives were asked for.
#[derive(Default)]
struct Owed {
    before: f64,
    turns: usize,
    ratio: f64,
}

impl Owed {
    /// How many negatives a turn is owed.
    fn turn(&mut self, ratio: f64) -> usize {
        if ratio != self.ratio {
            self.before += self.turns as f64 * self.ratio;
            self.turns = 0;
            self.ratio = ratio;
        }
        let upto = |turns: usize| (self.before + turns as f64 * ratio).floor() as usize;
        let wanted = upto(self.turns + 1) - upto(self.turns);
        self.turns += 1;
        wanted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orchestrator_config::{Pacing, PacingFunction};
    use orchestrator_store::{SampleId, SampleView};

    use super::*;

    /// 20 anchors, each a positive and nine negatives of rising difficulty, a third of them in each band.
    fn pool() -> Pool {
        let mut samples = Vec::new();
        for anchor in 0..20 {
            for number in 0..10usize {
                let role = if number == 0 {
                    Role::Positive
                } else {
                    Role::Negative
                };
                let band = ["easy", "medium", "hard"][number.saturating_sub(1) / 3];
                samples.push(PoolSample {
                    text: samples.len(),
                    view: SampleView {
                        id: SampleId(samples.len() as u128),
                        anchor,
                        text: String::new(),
                        role,
                        label: 0.0,
                        weight: 1.0,
                        document: None,
                        parent: None,
                        fixed_difficulty: None,
                        source: if number % 2 == 0 { "even" } else { "odd" }.to_owned(),
                        score: None,
                        kept: true,
                        tick: 0,
                        similarity: None,
                        difficulty: Some(number as f32 / 10.0),
                        band: (role == Role::Negative).then(|| band.to_owned()),
                    },
                });
            }
        }
        Pool::of_samples(samples)
    }

    fn dealt(stage: &Stage, ratio: &str, change: impl Fn(&mut Epoch<'_>)) -> Vec<Dealt> {
        let ratio: Expression = ratio.parse().expect("ratio");
        let mut of = Epoch {
            number: 0,
            stage,
            stage_number: 1,
            ratio: &ratio,
            ratio_times: 1.0,
            wider: (0.0, 0.0),
            batch: 4,
            accumulate: 1,
            first_step: 0,
            of_stage: (0, 5),
        };
        change(&mut of);
        epoch(&pool(), 13, &of)
    }

    /// How many negatives of each band, and which difficulties (times ten).
    fn negatives(steps: &[Dealt]) -> ([usize; 3], BTreeSet<usize>) {
        let pool = pool();
        let (mut of_band, mut difficulties) = ([0; 3], BTreeSet::new());
        let batches = steps.iter().flat_map(|step| &step.batches);
        for place in batches.flatten().flat_map(|(_, negatives)| negatives) {
            let view = &pool.samples[*place].view;
            let band = Difficulty::BANDS
                .iter()
                .position(|band| view.band.as_deref() == Some(band.name()));
            of_band[band.expect("a band")] += 1;
            difficulties.insert((view.difficulty.unwrap_or(0.0) * 10.0).round() as usize);
        }
        (of_band, difficulties)
    }

    #[test]
    fn a_mixture_deals_its_shares_and_what_a_band_lacks_is_not_filled_from_another() {
        let mut stage = Stage::of_epochs(1);
        stage.negatives = Negatives::Mixture {
            easy: 0.2,
            medium: 0.0,
            hard: 0.8,
        };
        let steps = dealt(&stage, "2", |_| {});
        assert_eq!(negatives(&steps).0, [8, 0, 32]);
        assert!(
            steps
                .iter()
                .all(|step| step.short.is_empty() && step.asked == 8)
        );
        // Six a positive: 24 easy of 60, and 96 hard of 60.
        let steps = dealt(&stage, "6", |_| {});
        let (of_band, _) = negatives(&steps);
        let short: usize = steps.iter().flat_map(|step| step.short.values()).sum();
        assert_eq!(of_band.iter().sum::<usize>() + short, 120);
        assert!(of_band[1] == 0 && of_band[2] <= 60, "{of_band:?}");
        assert!(steps.iter().all(|step| !step.short.contains_key("medium")));
    }

    #[test]
    fn pacing_opens_the_pool_from_the_easiest_on() {
        let mut stage = Stage::of_epochs(1);
        stage.pacing = Some(Pacing {
            function: PacingFunction::Linear,
            from: 0.34,
            to: 1.0,
        });
        let steps = dealt(&stage, "9", |_| {});
        assert_eq!(steps.len(), 5);
        let hardest = steps.iter().map(|step| {
            let (_, difficulties) = negatives(std::slice::from_ref(step));
            difficulties.into_iter().max().unwrap_or_default()
        });
        // 0.34, 0.472, 0.604, 0.736 and 0.868 of nine: of the last one begun, some anchors have it.
        let open = [[3, 4], [4, 5], [5, 6], [6, 7], [7, 8]];
        for (hardest, open) in hardest.zip(open) {
            assert!(open.contains(&hardest), "{hardest} of {open:?}");
        }
        assert_eq!(
            steps[0].short["any"] + negatives(&steps[..1]).0.iter().sum::<usize>(),
            36
        );
    }

    #[test]
    fn rules_make_a_band_wider_or_narrower() {
        let mut stage = Stage::of_epochs(1);
        stage.negatives = Negatives::Of(Difficulty::Medium);
        let of = |wider: (f64, f64)| {
            let steps = dealt(&stage, "9", |epoch| epoch.wider = wider);
            negatives(&steps).1.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of((0.0, 0.0)), [4, 5, 6]);
        assert_eq!(of((0.11, 0.0)), [3, 4, 5, 6]);
        assert_eq!(of((0.0, 0.34)), [4, 5, 6, 7, 8, 9]);
        assert_eq!(of((-0.12, -0.1)), [5, 6]);
    }

    #[test]
    fn a_ratio_follows_the_step_and_the_stage_and_rules() {
        let stage = Stage::of_epochs(1);
        let per_step = |ratio: &str, times: f64| -> Vec<usize> {
            let steps = dealt(&stage, ratio, |epoch| {
                epoch.first_step = 10;
                epoch.ratio_times = times;
            });
            steps.iter().map(|step| step.asked).collect()
        };
        assert_eq!(per_step("step - 9", 1.0), [4, 8, 12, 16, 20]);
        assert_eq!(per_step("stage + 0.5", 1.0), [6; 5]);
        assert_eq!(per_step("1", 1.5), [6; 5]);
        assert_eq!(per_step("0.3", 1.0).iter().sum::<usize>(), 6);
    }

    #[test]
    fn a_stage_may_name_the_sources_of_its_negatives() {
        let mut stage = Stage::of_epochs(1);
        stage.sources = Some(vec!["even".to_owned()]);
        let steps = dealt(&stage, "9", |_| {});
        let (_, difficulties) = negatives(&steps);
        assert_eq!(difficulties.into_iter().collect::<Vec<_>>(), [2, 4, 6, 8]);
        assert_eq!(steps.len(), 5, "positives take their turns");
    }
}
