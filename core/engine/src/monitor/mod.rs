//! A look at the pool and the model once an epoch, and once before training: how far positives and negatives are apart, how hard
//! and how varied the negatives are, whether embeddings fall together, and a picture of the validation claims. On samples of
//! bounded size, so that it costs little whatever the encoder; what it finds is a function of plan, store and checkpoint. It
//! changes nothing of the run: it writes metrics, coordinates and warnings.

mod clusters;
mod layout;
mod picture;
pub(crate) mod quality;
mod seen;
mod turnover;
mod umap;
mod validation;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::Start;
use orchestrator_model::Tokens;
use orchestrator_plugin_host::dot;
use orchestrator_store::{Projection, Role, SampleView, Tick};

use crate::driver::Driver;
use crate::error::Error;
use crate::making::{self, Scale};
use crate::pool::Pool;
use crate::progress::Event;
use crate::retrieval::DenseIndex;
use crate::seed::seed;
use clusters::{Rows, first_centres, k_means};
use quality::{dominance, evenness, mean, median, quantile, share};
pub(crate) use seen::Seen;
pub(crate) use turnover::{Scored, Turnover};
use validation::{Candidate, in_picture};
use warnings::Values;

/// Positives, and negatives, that are looked at.
const MOST: usize = 2000;

/// Negatives that are parted into groups, evenly drawn from those looked at.
const CLUSTERED: usize = 1000;

/// Groups that the negatives' embeddings are parted into.
const CLUSTERS: usize = 16;

/// Pairs of random documents.
const PAIRS: u64 = 1000;

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Monitored {
    /// Metrics by their names, `monitor/…`.
    pub values: Vec<(String, f64)>,
    /// The picture.
    pub picture: validation::Shown,
    /// What is to be warned of.
    pub warnings: Vec<String>,
}

impl Monitored {
    fn add(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.values.push((format!("monitor/{name}"), value));
        }
    }

    /// A metric by its name without `monitor/`.
    pub fn value(&self, name: &str) -> Option<f64> {
        let mut values = self.values.iter();
        let of_name = |(one, _): &&(String, f64)| one.strip_prefix("monitor/") == Some(name);
        values.find(of_name).map(|(_, value)| *value)
    }

    /// Writes all of it. `model` names the version that was looked at.
    pub fn write(&self, tick: &Tick<'_>, model: &str) -> Result<(), Error> {
        for (name, value) in &self.values {
            tick.add_metric(None, name, *value)?;
        }
        for (kind, item, [x, y]) in &self.picture.points {
            tick.add_projection(&Projection {
                model,
                kind,
                item,
                x: *x,
                y: *y,
                method: self.picture.method,
            })?;
        }
        for warning in &self.warnings {
            tick.add_event("warning", warning)?;
        }
        Ok(())
    }
}

/// Places of the samples (anchor and role of each, in the pool's order) that are looked at: anchor after anchor in an order that is the seed's, all its positives, and
/// its negatives as long as there is room, so that a negative's difficulty is measured against all positives of its anchor.
fn looked_at(
    samples: impl Iterator<Item = (usize, Role)>,
    experiment_seed: u64,
    most: usize,
) -> (Vec<usize>, Vec<usize>) {
    let mut of_anchor: BTreeMap<usize, [Vec<usize>; 2]> = BTreeMap::new();
    for (place, (anchor, role)) in samples.enumerate() {
        let of_role = usize::from(role == Role::Negative);
        of_anchor.entry(anchor).or_default()[of_role].push(place);
    }
    let mut order: Vec<(u64, usize)> = of_anchor
        .keys()
        .map(|anchor| (seed(experiment_seed, "monitor", &[*anchor as u64]), *anchor))
        .collect();
    order.sort_unstable();
    let (mut positives, mut negatives) = (Vec::new(), Vec::new());
    for (_, anchor) in order {
        let [of_positives, of_negatives] = &of_anchor[&anchor];
        if !positives.is_empty() && positives.len() + of_positives.len() > most {
            break;
        }
        positives.extend(of_positives.iter().take(most));
        let room = most - negatives.len();
        negatives.extend(of_negatives.iter().take(room));
    }
    positives.sort_unstable();
    negatives.sort_unstable();
    (positives, negatives)
}

fn anchors_and_roles(pool: &Pool) -> impl Iterator<Item = (usize, Role)> + '_ {
    let samples = pool.samples.iter();
    samples.map(|sample| (sample.view.anchor, sample.view.role))
}

impl Driver<'_> {
    /// Looks at the pool by the model as it is. `epoch` counts the epochs trained: 0 = the untrained model.
    pub(crate) fn monitor(
        &self,
        index: &DenseIndex<'_>,
        pool: &Pool,
        epoch: usize,
    ) -> Result<Monitored, Error> {
        let mut found = Monitored::default();
        let (positives, negatives) = looked_at(anchors_and_roles(pool), self.experiment.seed, MOST);
        self.look_at_pool(index, pool, (&positives, &negatives), &mut found)?;
        if let Some(last) = epoch.checked_sub(1) {
            let used = self.store.negatives_used(last)?;
            let all: f64 = used.iter().map(|(_, uses)| uses).sum();
            found.add("negatives_used", Some(all));
            for (source, uses) in used {
                found.add(&format!("used/{source}"), Some(uses / all));
            }
        }
        found.add("random_similarity", self.random_similarity(index));
        let empty_band = match epoch.checked_sub(1) {
            Some(last) => self
                .store
                .bands_of_epoch(last)?
                .and_then(|of| warnings::empty_band(&of)),
            None => None,
        };
        self.warn(&mut found, epoch, empty_band, Vec::new())?;
        Ok(found)
    }

    /// What a look embeds: documents, anchors and the samples looked at.
    pub(crate) fn see_monitored(&mut self, pool: &Pool) {
        self.seen.see_index();
        let (positives, negatives) = looked_at(anchors_and_roles(pool), self.experiment.seed, MOST);
        let places = positives.into_iter().chain(negatives);
        let texts = places.map(|place| &pool.texts[pool.samples[place].text].tokens);
        self.seen.see(&self.texts, texts);
    }

    /// What there is to warn of when training is over.
    pub(crate) fn monitor_end(&self) -> Result<Monitored, Error> {
        let mut found = Monitored::default();
        let unused = self.store.unused_sources()?;
        self.warn(&mut found, usize::MAX, None, unused)?;
        Ok(found)
    }

    fn warn(
        &self,
        found: &mut Monitored,
        epoch: usize,
        empty_band: Option<String>,
        unused: Vec<orchestrator_store::UnusedSource>,
    ) -> Result<(), Error> {
        // Only the store knows what was: a run that goes on warns of the same.
        let mut before: BTreeMap<u32, Values> = BTreeMap::new();
        // A model that begins anew after each round is compared with the untrained one and with itself.
        let active = self.experiment.active_learning.as_ref();
        let anew = match active {
            Some(active) if active.start == Start::Cold => self.store.last_of_kind("annotate")?,
            _ => None,
        };
        let points = self.store.curve("monitor/")?;
        let first = points.iter().map(|point| point.tick).min();
        let counts = |tick: u32| first == Some(tick) || anew.is_none_or(|anew| tick > anew);
        for point in points.into_iter().filter(|point| counts(point.tick)) {
            let values = before.entry(point.tick).or_default();
            values.insert(point.name, point.value);
        }
        let facts = warnings::Facts {
            epoch,
            now: found.values.iter().cloned().collect(),
            before: before.into_values().collect(),
            empty_band,
            unused,
        };
        found.warnings = warnings::check(&facts, &self.store.warnings()?);
        for warning in &found.warnings {
            self.show(Event::Note(format!("warning: {warning}")));
        }
        Ok(())
    }

    fn look_at_pool(
        &self,
        index: &DenseIndex<'_>,
        pool: &Pool,
        (positives, negatives): (&[usize], &[usize]),
        found: &mut Monitored,
    ) -> Result<(), Error> {
        let view = |place: usize| &pool.samples[place].view;
        let texts: BTreeSet<usize> = positives
            .iter()
            .chain(negatives)
            .flat_map(|&place| {
                let sample = &pool.samples[place];
                [sample.text, pool.anchor_text[&sample.view.anchor]]
            })
            .collect();
        let texts: Vec<usize> = texts.into_iter().collect();
        let tokens: Vec<&Tokens> = texts.iter().map(|text| &pool.texts[*text].tokens).collect();
        let (encoded, reused) = self.seen.cost(&self.texts, tokens.iter().copied());
        let embeddings = index.embed(&tokens)?;
        let dim = index.encoder().dim();
        let embedding = |text: usize| {
            let row = texts.binary_search(&text).unwrap_or_default();
            &embeddings[row * dim..(row + 1) * dim]
        };
        let similarity = |place: usize| {
            let sample = &pool.samples[place];
            let anchor = pool.anchor_text[&sample.view.anchor];
            dot(embedding(anchor), embedding(sample.text))
        };
        let near: Vec<f32> = positives.iter().map(|place| similarity(*place)).collect();
        let far: Vec<f32> = negatives.iter().map(|place| similarity(*place)).collect();
        let scales = scales(
            index,
            self.experiment.seed,
            negatives.iter().map(|place| view(*place).anchor),
            positives
                .iter()
                .map(|place| view(*place))
                .zip(near.iter().copied()),
        );
        let difficulty: Vec<f64> = negatives
            .iter()
            .zip(&far)
            .map(|(place, far)| f64::from(scales[&view(*place).anchor].difficulty(*far)))
            .collect();
        found.add("positives", Some(positives.len() as f64));
        found.add("negatives", Some(negatives.len() as f64));
        let sorted = |values: &[f32]| {
            let mut values: Vec<f64> = values.iter().map(|one| f64::from(*one)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (near, far) = (sorted(&near), sorted(&far));
        for (role, values) in [("positive", &near), ("negative", &far)] {
            for percent in [5, 25, 50, 75, 95] {
                let value = quantile(values, f64::from(percent) / 100.0);
                found.add(&format!("{role}_p{percent:02}"), value);
            }
        }
        found.add("gap", mean(&near).zip(mean(&far)).map(|(a, b)| a - b));
        let apart = dominance(&near, &far);
        found.add("auroc", apart.map(|one| one.auroc));
        found.add("cliffs_delta", apart.map(|one| one.delta));
        found.add("false_negatives", share(&difficulty, |one| one > 1.0));
        found.add("too_easy", share(&difficulty, |one| one < 0.0));
        found.add("difficulty", median(difficulty));
        let seen: Vec<usize> = positives.iter().chain(negatives).copied().collect();
        let shown: Vec<Candidate<'_>> = in_picture(pool, &seen, self.experiment.seed)
            .into_iter()
            .map(|place| Candidate {
                id: view(place).id.to_string(),
                embedding: embedding(pool.samples[place].text),
            })
            .collect();
        found.picture = self.picture(index, &shown)?;
        let trusted = found.picture.trustworthiness;
        let name = || "picture/trustworthiness".to_owned();
        found.values.extend(trusted.map(|value| (name(), value)));
        let values: Vec<f32> = negatives
            .iter()
            .step_by(negatives.len().div_ceil(CLUSTERED).max(1))
            .flat_map(|place| embedding(pool.samples[*place].text))
            .copied()
            .collect();
        let rows = Rows {
            values: &values,
            dim,
        };
        let k = CLUSTERS.min(rows.len());
        let centres: Vec<f32> = first_centres(rows, k, self.experiment.seed)
            .into_iter()
            .flat_map(|place| rows.at(place))
            .copied()
            .collect();
        let mut counts = vec![0; k];
        for group in k_means(rows, centres) {
            counts[group] += 1;
        }
        found.add("clusters", Some(k as f64));
        found.add("entropy", evenness(&counts));
        found.add("encoded", Some(encoded as f64));
        found.add("reused", Some(reused as f64));
        Ok(())
    }

    /// The mean cosine of pairs of documents that the seed draws: how far embeddings fill the space (Ethayarajh 2019).
    fn random_similarity(&self, index: &DenseIndex<'_>) -> Option<f64> {
        let n = index.documents() as u64;
        if n < 2 {
            return None;
        }
        let draw = |pair: u64, side: u64| seed(self.experiment.seed, "random pair", &[pair, side]);
        let similarities: Vec<f64> = (0..PAIRS)
            .map(|pair| {
                let one = draw(pair, 0) % n;
                let other = (one + 1 + draw(pair, 1) % (n - 1)) % n;
                f64::from(index.similarity_of_documents(one as usize, other as usize))
            })
            .collect();
        mean(&similarities)
    }
}

/// The scale of difficulty of each of some anchors, from their positives with their similarities, as the scoring tick has it.
pub(crate) fn scales<'v>(
    index: &DenseIndex<'_>,
    experiment_seed: u64,
    anchors: impl Iterator<Item = usize>,
    positives: impl Iterator<Item = (&'v SampleView, f32)>,
) -> BTreeMap<usize, Scale> {
    let mut sums: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for (view, similarity) in positives {
        let of_anchor = sums.entry(view.anchor).or_default();
        of_anchor.0 += f64::from(similarity);
        of_anchor.1 += 1;
    }
    let anchors: BTreeSet<usize> = anchors.collect();
    let scale = |anchor: usize| Scale {
        floor: making::floor(index, experiment_seed, anchor),
        positive: sums
            .get(&anchor)
            .map_or(1.0, |(sum, n)| (sum / *n as f64) as f32),
    };
    anchors.into_iter().map(|one| (one, scale(one))).collect()
}

#[cfg(test)]
fn fixture() -> serde_json::Value {
    fixture_of(include_str!("../../tests/monitoring.json"))
}

#[cfg(test)]
fn fixture_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("the fixture is JSON")
}

#[cfg(test)]
fn numbers(of: &serde_json::Value) -> Vec<f64> {
    of.as_array()
        .expect("numbers")
        .iter()
        .map(|one| one.as_f64().expect("a number"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_bounded_and_has_all_positives_of_the_anchors_it_has_negatives_of() {
        // A hundred anchors with two positives and ten negatives each.
        let samples: Vec<(usize, Role)> = (0..1200)
            .map(|n| {
                let role = if n % 12 < 2 {
                    Role::Positive
                } else {
                    Role::Negative
                };
                (n / 12, role)
            })
            .collect();
        let look = |seed, most| looked_at(samples.iter().copied(), seed, most);
        let (positives, negatives) = look(1, 2000);
        assert_eq!((positives.len(), negatives.len()), (200, 1000), "all");
        let (positives, negatives) = look(1, 55);
        assert_eq!((positives.len(), negatives.len()), (54, 55));
        let of = |places: &[usize]| -> BTreeSet<usize> {
            places.iter().map(|place| samples[*place].0).collect()
        };
        assert!(of(&negatives).is_subset(&of(&positives)));
        assert!(
            positives
                .iter()
                .all(|place| samples[*place].1 == Role::Positive)
        );
        assert_ne!(look(2, 55).0, positives, "the seed draws");
        assert_eq!(look(1, 55).1, negatives);
        // An anchor with more than there is room for is looked at in part.
        let many = (0..90).map(|_| (0, Role::Positive));
        assert_eq!(looked_at(many, 1, 55).0.len(), 55);
    }
}
