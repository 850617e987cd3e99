//! Which samples help and which hurt: TracIn (Pruthi, Liu, Kale, Sundararajan 2020). At a version of the model, a step down a
//! sample's loss lowers the loss on validation by the product of the two gradients, to first order and for a learning rate of 1.
//!
//! The product of a sample's gradient with another is how fast the sample's loss changes if the weights move along that other one.
//! So nobody needs a gradient of the weights for each sample: the pool is encoded with the weights a little to either side along
//! the gradient of validation, and a loss plugin says, by its gradient on the embeddings, what these little moves mean to it.

use std::collections::BTreeMap;

use orchestrator_config as config;
use orchestrator_config::Stage;
use orchestrator_data::Split;
use orchestrator_model::parameters::{Gradient, Parameter, Slope};
use orchestrator_model::{Encoder, Tokens};
use orchestrator_plugin_host::dot;
use orchestrator_store::{Influence, Role};

use crate::batches::Turn;
use crate::driver::Driver;
use crate::error::Error;
use crate::pool::Pool;
use crate::retrieval::DenseIndex;
use crate::seed::{seed, shuffled};
use crate::training::{Asked, Model, Recipe};

/// Validation claims whose loss is looked at, drawn by the seed.
const CLAIMS: usize = 500;

/// Nearest documents of each, beside those that are relevant.
const NEAREST: usize = 20;

/// What cosines are divided by in the loss on validation.
const TEMPERATURE: f32 = 0.05;

/// The largest move of a weight, as a share of their root mean square.
const MOVE: f64 = 0.01;

/// Texts encoded at once with their gradient.
const PIECE: usize = 256;

/// Texts encoded between two looks at whether to go on.
const BLOCK: usize = 1024;

impl Driver<'_> {
    /// Whether it is to be measured.
    pub(crate) fn measures_influence(&self) -> bool {
        match self.experiment.analysis.influence {
            config::Influence::On => true,
            config::Influence::Off => false,
            config::Influence::Auto => {
                matches!(self.experiment.encoder, config::Encoder::Static { .. })
            }
        }
    }

    /// Measures it before training, where the first steps go furthest.
    pub(crate) fn tick_first_influence(
        &mut self,
        model: &mut Model,
        pool: &Pool,
        stage: &Stage,
    ) -> Result<(), Error> {
        if !self.measures_influence() {
            return Ok(());
        }
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        self.stage("influence before training");
        let gradient = {
            let index = self.index(model)?;
            self.validation_gradient(&index)?
        };
        let found = match gradient {
            Some(gradient) => self.influence(model, &gradient, pool, stage, 0)?,
            None => Vec::new(),
        };
        self.write(number, "analyse", "influence of initial", |tick| {
            for one in &found {
                tick.add_influence("initial", one)?;
            }
            Ok(())
        })
    }

    /// The gradient of the loss on validation by the model's weights; `None` without validation claims. The loss of a claim: the
    /// logarithm of the share that its relevant documents have of a softmax over them and the nearest others, so that what
    /// raises them in the ranking lowers it.
    pub(crate) fn validation_gradient(
        &self,
        index: &DenseIndex<'_>,
    ) -> Result<Option<Gradient>, Error> {
        let qrels = self.data.qrels(Split::Validation);
        let anchors: Vec<usize> = qrels.keys().copied().collect();
        let mut anchors = shuffled(anchors, self.experiment.seed, "influence", &[]);
        anchors.truncate(CLAIMS);
        anchors.sort_unstable();
        if anchors.is_empty() {
            return Ok(None);
        }
        let most = qrels.values().map(Vec::len).max().unwrap_or_default();
        let encoder = index.encoder();
        let dim = encoder.dim();
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut documents: Vec<usize> = Vec::new();
        let mut of_anchors = vec![0.0f32; anchors.len() * dim];
        let mut of_documents: Vec<f32> = Vec::new();
        let found = index.nearest(&anchors, NEAREST + most);
        for ((place, anchor), found) in anchors.iter().enumerate().zip(found) {
            let relevant = &qrels[anchor];
            let others = found.into_iter().map(|(document, _)| document);
            let others = others.filter(|one| !relevant.contains(one)).take(NEAREST);
            let candidates: Vec<usize> = relevant.iter().copied().chain(others).collect();
            let slopes = slopes(index, *anchor, &candidates, relevant.len());
            for (document, slope) in candidates.into_iter().zip(slopes) {
                let slope = slope / anchors.len() as f32;
                let of_document = *places.entry(document).or_insert_with(|| {
                    documents.push(document);
                    of_documents.resize(documents.len() * dim, 0.0);
                    documents.len() - 1
                });
                add(
                    row_mut(&mut of_anchors, place, dim),
                    index.document(document),
                    slope,
                );
                let row = row_mut(&mut of_documents, of_document, dim);
                add(row, index.anchor(*anchor), slope);
            }
        }
        let anchors = anchors.iter().map(|one| self.texts.of_anchor(*one));
        let documents = documents.iter().map(|one| self.texts.of_document(*one));
        let tokens: Vec<&Tokens> = anchors.chain(documents).collect();
        of_anchors.extend(of_documents);
        let mut sum = Gradient::default();
        for (tokens, gradient) in tokens.chunks(PIECE).zip(of_anchors.chunks(PIECE * dim)) {
            self.stop_if_asked()?;
            let forward = encoder.forward(tokens, None)?;
            sum.add(forward.backward(gradient.to_vec())?, encoder.parameters());
        }
        Ok(Some(sum))
    }

    /// The influence of every sample of the pool at the model as it is. The weights are moved and put back.
    pub(crate) fn influence(
        &self,
        model: &mut Model,
        gradient: &Gradient,
        pool: &Pool,
        stage: &Stage,
        epoch: usize,
    ) -> Result<Vec<Influence>, Error> {
        let length = gradient.norm();
        if length == 0.0 || !length.is_finite() {
            return Ok(Vec::new());
        }
        let going = |encoder: &Encoder| self.encoded_pool(encoder, pool);
        let (here, speed) = here_and_speed(&mut model.encoder, gradient, going)?;
        self.products(model, pool, stage, epoch, &here, &speed)
    }

    fn encoded_pool(&self, encoder: &Encoder, pool: &Pool) -> Result<Vec<f32>, Error> {
        let mut all = Vec::with_capacity(pool.texts.len() * encoder.dim());
        for texts in pool.texts.chunks(BLOCK) {
            self.stop_if_asked()?;
            let tokens: Vec<Tokens> = texts.iter().map(|text| text.tokens.clone()).collect();
            all.extend(encoder.encode(&tokens)?);
        }
        Ok(all)
    }

    /// Deals every sample of the pool once, anchor by anchor, and asks the losses.
    fn products(
        &self,
        model: &Model,
        pool: &Pool,
        stage: &Stage,
        epoch: usize,
        here: &[f32],
        speed: &[f32],
    ) -> Result<Vec<Influence>, Error> {
        let train = &self.experiment.train;
        let losses = self.losses(stage)?;
        let recipe = Recipe {
            losses: &losses,
            matryoshka: &train.matryoshka,
            mini_batch: None,
            clip: None,
        };
        let dim = model.encoder.dim();
        let mut of_anchor: BTreeMap<usize, Vec<Turn>> = BTreeMap::new();
        for (place, sample) in pool.samples.iter().enumerate() {
            let turns = of_anchor.entry(sample.view.anchor).or_default();
            turns.push(match sample.view.role {
                Role::Positive => (Some(place), Vec::new()),
                Role::Negative => (None, vec![place]),
            });
        }
        let anchors: Vec<usize> = of_anchor.keys().copied().collect();
        let order = shuffled(
            anchors,
            self.experiment.seed,
            "influence deal",
            &[epoch as u64],
        );
        let mut found = Vec::with_capacity(pool.samples.len());
        for (number, anchors) in order.chunks(train.batch).enumerate() {
            self.stop_if_asked()?;
            let turns: Vec<Turn> = anchors
                .iter()
                .flat_map(|anchor| of_anchor.remove(anchor).unwrap_or_default())
                .collect();
            let asked = Asked::of(pool, &turns);
            let embeddings: Vec<f32> = asked
                .texts
                .iter()
                .flat_map(|text| row(here, *text, dim))
                .copied()
                .collect();
            let seed_of = |name: &str| {
                let numbers = [epoch as u64, number as u64];
                seed(self.experiment.seed, "influence loss", &numbers) ^ seed(0, name, &[])
            };
            let (asked, sum) =
                asked.losses(pool, &recipe, dim, embeddings.clone(), model.step, seed_of)?;
            let pairs: Vec<(usize, usize)> = asked.pairs().collect();
            // A text that several rows share: each has its part of what goes through it.
            let mut rows_of = vec![0u32; asked.texts.len()];
            pairs.iter().for_each(|(_, text)| rows_of[*text] += 1);
            let similarities: Vec<f32> = pairs
                .iter()
                .map(|(anchor, text)| {
                    dot(row(&embeddings, *anchor, dim), row(&embeddings, *text, dim))
                })
                .collect();
            let sides = on_their_side(pool, &asked.rows, &pairs, &similarities);
            for (place, ((sample, (anchor, text)), loss)) in
                asked.rows.iter().zip(&pairs).zip(&sum.rows).enumerate()
            {
                let slope = row(&sum.gradient, *text, dim);
                let (anchor, text_at) = (*anchor, *text);
                let speed_of_text = row(speed, asked.texts[text_at], dim);
                let speed_of_anchor = row(speed, asked.texts[anchor], dim);
                // Through the text; and through its anchor, by as much of the slope as is the pair's.
                let through_text = f64::from(dot(slope, speed_of_text));
                let own = f64::from(dot(slope, row(&embeddings, anchor, dim)));
                let turned = f64::from(dot(speed_of_anchor, row(&embeddings, text_at, dim)));
                found.push(Influence {
                    sample: pool.samples[*sample].view.id,
                    value: (through_text + own * turned) / f64::from(rows_of[text_at]),
                    loss: *loss,
                    on_its_side: sides[place],
                });
            }
        }
        found.sort_by_key(|one| one.sample);
        Ok(found)
    }
}

/// For each row, whether it is on its side of its anchor's others: a positive nearer than the anchor's negatives in the batch are on
/// average, a negative further than its positives are. Where the anchor has none of the other role, it is.
fn on_their_side(
    pool: &Pool,
    rows: &[usize],
    pairs: &[(usize, usize)],
    similarities: &[f32],
) -> Vec<bool> {
    let role = |row: usize| pool.samples[rows[row]].view.role;
    let mut sums: BTreeMap<(usize, Role), (f64, u32)> = BTreeMap::new();
    for (place, ((anchor, _), similarity)) in pairs.iter().zip(similarities).enumerate() {
        let sum = sums.entry((*anchor, role(place))).or_default();
        sum.0 += f64::from(*similarity);
        sum.1 += 1;
    }
    let mean = |anchor: usize, role: Role| {
        let sum = sums.get(&(anchor, role));
        sum.map(|(sum, n)| sum / f64::from(*n))
    };
    let on_its_side = |(place, ((anchor, _), similarity)): (usize, (&(usize, usize), &f32))| {
        let similarity = f64::from(*similarity);
        match role(place) {
            Role::Positive => mean(*anchor, Role::Negative).is_none_or(|far| similarity > far),
            Role::Negative => mean(*anchor, Role::Positive).is_none_or(|near| similarity < near),
        }
    };
    pairs
        .iter()
        .zip(similarities)
        .enumerate()
        .map(on_its_side)
        .collect()
}

/// The slopes of a claim's loss by its cosines to candidates, the first `relevant` of which are.
fn slopes(
    index: &DenseIndex<'_>,
    anchor: usize,
    candidates: &[usize],
    relevant: usize,
) -> Vec<f32> {
    let cosines = candidates
        .iter()
        .map(|document| index.similarity(anchor, *document));
    softmax_slopes(&cosines.collect::<Vec<_>>(), relevant)
}

/// Of `-ln(sum over the first of exp(s / t) / sum over all)`.
fn softmax_slopes(similarities: &[f32], first: usize) -> Vec<f32> {
    let most = similarities
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = similarities
        .iter()
        .map(|one| ((one - most) / TEMPERATURE).exp())
        .collect();
    let all: f32 = weights.iter().sum();
    let of_first: f32 = weights
        .iter()
        .take(first)
        .sum::<f32>()
        .max(f32::MIN_POSITIVE);
    weights
        .iter()
        .enumerate()
        .map(|(place, weight)| {
            let share = if place < first {
                weight / of_first
            } else {
                0.0
            };
            (weight / all - share) / TEMPERATURE
        })
        .collect()
}

/// Embeddings as they are, and how fast they change as the weights move along the gradient. The weights are moved a little to either
/// side and put back.
fn here_and_speed(
    encoder: &mut Encoder,
    gradient: &Gradient,
    encoded: impl Fn(&Encoder) -> Result<Vec<f32>, Error>,
) -> Result<(Vec<f32>, Vec<f32>), Error> {
    let parameters = encoder.parameters().iter();
    let there: Vec<Vec<f32>> = parameters.map(|one| one.values.clone()).collect();
    let size = size_of_move(encoder.parameters(), gradient);
    let mut beside = |side: f64| {
        move_along(encoder.parameters_mut(), gradient, side);
        let encoded = encoded(encoder);
        for (parameter, values) in encoder.parameters_mut().iter_mut().zip(&there) {
            parameter.values.clone_from(values);
        }
        encoded
    };
    let (after, before) = (beside(size)?, beside(-size)?);
    let both = || after.iter().zip(&before);
    // Where it is lies in the middle, to the second order.
    let here = both().map(|(a, b)| (a + b) / 2.0).collect();
    let speed = both().map(|(a, b)| (a - b) / (2.0 * size as f32)).collect();
    Ok((here, speed))
}

/// How far along the gradient the weights are moved: so that the furthest goes a small share of what weights are.
fn size_of_move(parameters: &[Parameter], gradient: &Gradient) -> f64 {
    let values = parameters.iter().flat_map(|one| &one.values);
    let (sum, n) = values.fold((0.0f64, 0usize), |(sum, n), one| {
        (sum + f64::from(*one).powi(2), n + 1)
    });
    let usual = (sum / n.max(1) as f64).sqrt();
    let slopes = gradient.slopes.iter().flatten().flat_map(Slope::values);
    let steepest = slopes.fold(0.0f64, |most, one| most.max(f64::from(one.abs())));
    MOVE * usual / steepest.max(f64::MIN_POSITIVE)
}

fn move_along(parameters: &mut [Parameter], gradient: &Gradient, size: f64) {
    let size = size as f32;
    for (parameter, slope) in parameters.iter_mut().zip(&gradient.slopes) {
        match slope {
            None => {}
            Some(Slope::Dense(slopes)) => add(&mut parameter.values, slopes, size),
            Some(Slope::Rows { rows, values }) => {
                let columns = parameter.shape.last().copied().unwrap_or(1);
                for (row, slopes) in rows.iter().zip(values.chunks_exact(columns.max(1))) {
                    add(
                        row_mut(&mut parameter.values, *row as usize, columns),
                        slopes,
                        size,
                    );
                }
            }
        }
    }
}

fn row(values: &[f32], place: usize, dim: usize) -> &[f32] {
    &values[place * dim..(place + 1) * dim]
}

fn row_mut(values: &mut [f32], place: usize, dim: usize) -> &mut [f32] {
    &mut values[place * dim..(place + 1) * dim]
}

fn add(sum: &mut [f32], values: &[f32], times: f32) {
    sum.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += value * times);
}

#[cfg(test)]
mod tests {
    use orchestrator_model::{Side, StaticEncoder};

    use super::*;

    #[test]
    fn how_fast_a_cosine_changes_is_the_product_of_its_gradient_with_the_other() {
        let texts = [
            "aspirin lowers fever in mice",
            "mice with fever drink more water",
            "fever and water",
            "a cell divides",
            "the divided cell drinks",
        ];
        let encoder = StaticEncoder::train_from(&texts, 300, 24, 7).expect("train");
        let mut encoder = Encoder::Static(encoder);
        let tokens = encoder.tokenize(&texts, Side::Document).expect("tokens");
        let gradient_of = |encoder: &Encoder, of: &[&Tokens], slopes: Vec<f32>| {
            let forward = encoder.forward(of, None).expect("forward");
            forward.backward(slopes).expect("backward")
        };
        let outer = (0..5 * 24).map(|n| ((n * 7 % 11) as f32 - 5.0) / 50.0);
        let all: Vec<&Tokens> = tokens.iter().collect();
        let along = gradient_of(&encoder, &all, outer.collect());
        let before = encoder.parameters().to_vec();
        let encoded = |encoder: &Encoder| Ok(encoder.encode(&tokens)?);
        let (here, speed) = here_and_speed(&mut encoder, &along, encoded).expect("speeds");
        assert_eq!(encoder.parameters(), before, "the weights are put back");
        let dim = 24;
        for (a, b) in [(0, 1), (1, 2), (3, 4), (0, 3)] {
            // The gradient of the cosine, by way of the encoder.
            let mut slopes = row(&here, b, dim).to_vec();
            slopes.extend_from_slice(row(&here, a, dim));
            let own = gradient_of(&encoder, &[&tokens[a], &tokens[b]], slopes);
            let expected = product(&own, &along, dim);
            let found = f64::from(dot(row(&here, a, dim), row(&speed, b, dim)))
                + f64::from(dot(row(&speed, a, dim), row(&here, b, dim)));
            assert!(
                (found - expected).abs() < 1e-2 * expected.abs().max(1e-3),
                "{found} {expected}"
            );
        }
    }

    /// Of two gradients of a table.
    fn product(a: &Gradient, b: &Gradient, dim: usize) -> f64 {
        let table = |gradient: &Gradient| -> BTreeMap<u32, Vec<f32>> {
            match &gradient.slopes[0] {
                Some(Slope::Rows { rows, values }) => {
                    let rows = rows.iter().copied();
                    rows.zip(values.chunks_exact(dim).map(<[f32]>::to_vec))
                        .collect()
                }
                other => panic!("{other:?}"),
            }
        };
        let (a, b) = (table(a), table(b));
        let both = a
            .iter()
            .filter_map(|(row, values)| Some((values, b.get(row)?)));
        both.map(|(x, y)| f64::from(dot(x, y))).sum()
    }

    #[test]
    fn the_slopes_are_those_of_the_loss() {
        let loss = |s: &[f64], first: usize| {
            let weight = |one: &f64| (one / f64::from(TEMPERATURE)).exp();
            let all: f64 = s.iter().map(weight).sum();
            -(s.iter().take(first).map(weight).sum::<f64>() / all).ln()
        };
        for (similarities, first) in [(vec![0.31f32, 0.28, 0.35, 0.1], 2), (vec![0.2, 0.4], 1)] {
            let slopes = softmax_slopes(&similarities, first);
            for place in 0..similarities.len() {
                let at = |by: f64| {
                    let mut moved: Vec<f64> =
                        similarities.iter().map(|one| f64::from(*one)).collect();
                    moved[place] += by;
                    loss(&moved, first)
                };
                let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                let found = f64::from(slopes[place]);
                assert!(
                    (found - expected).abs() < 1e-3 * expected.abs().max(1.0),
                    "{found} {expected}"
                );
            }
        }
    }
}
