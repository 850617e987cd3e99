//! One training step: every distinct text of a batch encoded once, every loss on the same embeddings, one backward pass; as
//! many batches as are accumulated, and one step of the optimiser.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orchestrator_model::parameters::Gradient;
use orchestrator_model::{Encoder, Forward, Tokens};
use orchestrator_plugin_host::{
    Batch, Context, LossSum, Services, Truncation, WeightedLoss, combine,
};
use orchestrator_store::{Role, SampleId};
use orchestrator_train::{AdamW, Checkpoint, clip};

use crate::batches::BatchSamples;
use crate::error::Error;
use crate::lent::Fixed;
use crate::pool::Pool;
use crate::seed::mix;

/// What training changes.
pub(crate) struct Model {
    /// As it was before training.
    pub initial: Arc<Fixed>,
    pub encoder: Encoder,
    pub optimiser: AdamW,
    /// Steps taken over the whole run.
    pub step: u64,
    /// Counts how often the weights were changed, from 0, the untrained: for what is remembered of them.
    pub version: u64,
}

impl Model {
    pub fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        self.optimiser
            .save(self.encoder.parameters(), &mut checkpoint);
        checkpoint.counters.insert("step".to_owned(), self.step);
        checkpoint
    }

    /// Goes back to the weights before any training, with nothing gathered in the optimiser. Steps go on being counted.
    pub fn begin_anew(&mut self, weight_decay: f32) {
        let initial = self.initial.encoder.parameters();
        for (mine, theirs) in self.encoder.parameters_mut().iter_mut().zip(initial) {
            mine.values.clone_from(&theirs.values);
        }
        self.optimiser = AdamW::new(self.encoder.parameters(), weight_decay);
        self.version += 1;
    }

    /// The weights alone: enough for a model that is not trained on.
    pub fn weights(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        checkpoint.put_values(self.encoder.parameters());
        checkpoint.counters.insert("step".to_owned(), self.step);
        checkpoint
    }

    /// Takes the weights of a checkpoint; `false` if they are of another shape.
    pub fn restore_weights(&mut self, mut checkpoint: Checkpoint) -> bool {
        self.version += 1;
        checkpoint.take_values(self.encoder.parameters_mut())
    }

    /// Takes the state of a checkpoint; `false` if it is of another shape.
    pub fn restore(&mut self, mut checkpoint: Checkpoint) -> bool {
        let Some(&step) = checkpoint.counters.get("step") else {
            return false;
        };
        self.step = step;
        // Before the first step the weights are as they were.
        self.version += step.min(1);
        self.optimiser
            .restore(self.encoder.parameters_mut(), &mut checkpoint)
    }
}

/// What a step leaves behind.
#[derive(Debug, Default)]
pub(crate) struct StepRecord {
    pub loss: f64,
    /// By loss, before its weight.
    pub parts: Vec<(String, f64)>,
    /// What losses report: `LOSS/NAME`, its sum over the batches that have it and how many they are.
    pub metrics: BTreeMap<String, (f64, u32)>,
    /// Each sample with its weighted loss.
    pub uses: Vec<(SampleId, Option<f32>)>,
    /// Length of the gradient before it was shortened, where it may be.
    pub norm: Option<f64>,
}

impl StepRecord {
    /// Adds a batch's losses.
    fn add(
        &mut self,
        loss: f64,
        parts: Vec<(String, f64)>,
        uses: impl Iterator<Item = (SampleId, Option<f32>)>,
    ) {
        let first = self.parts.is_empty();
        self.loss += loss;
        for (mine, theirs) in self.parts.iter_mut().zip(&parts) {
            mine.1 += theirs.1;
        }
        if first {
            self.parts = parts;
            self.uses = uses.collect();
            return;
        }
        // A sample that is in two of the batches is one use.
        let mut places: BTreeMap<SampleId, usize> = BTreeMap::new();
        for (place, (sample, _)) in self.uses.iter().enumerate() {
            places.insert(*sample, place);
        }
        for (sample, loss) in uses {
            match places.get(&sample) {
                Some(&place) => {
                    let mine = &mut self.uses[place].1;
                    *mine = mine.map_or(loss, |mine| Some(mine + loss.unwrap_or_default()));
                }
                None => self.uses.push((sample, loss)),
            }
        }
    }

    /// Adds what a batch's losses reported.
    fn report(&mut self, metrics: Vec<(String, f64)>) {
        for (name, value) in metrics {
            let sum = self.metrics.entry(name).or_insert((0.0, 0));
            *sum = (sum.0 + value, sum.1 + 1);
        }
    }

    /// The mean of each reported number over the batches that have it.
    pub fn reported(&self) -> impl Iterator<Item = (&str, f64)> {
        let mean = |(sum, n): &(f64, u32)| (sum / f64::from(*n)).clamp(f64::MIN, f64::MAX);
        self.metrics
            .iter()
            .map(move |(name, sum)| (name.as_str(), mean(sum)))
    }

    /// Takes a share of the losses, as of the gradient.
    fn share(&mut self, share: f64) {
        self.loss *= share;
        self.parts.iter_mut().for_each(|part| part.1 *= share);
        for (_, loss) in &mut self.uses {
            *loss = loss.map(|loss| loss * share as f32);
        }
    }
}

/// The batch a loss sees, with the pool's texts it is over and the sample of each row.
fn assemble(pool: &Pool, samples: &BatchSamples) -> (Batch, Vec<usize>, Vec<usize>) {
    let mut texts: Vec<usize> = Vec::new();
    let mut places: BTreeMap<usize, u32> = BTreeMap::new();
    let mut place_of = |text: usize, texts: &mut Vec<usize>| {
        *places.entry(text).or_insert_with(|| {
            texts.push(text);
            texts.len() as u32 - 1
        })
    };
    // A group is an anchor with all its rows of the step; a sample dealt twice is one row.
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (positive, negatives) in samples {
        for &place in positive.iter().chain(negatives) {
            let anchor = pool.samples[place].view.anchor;
            let group = *group_of.entry(anchor).or_insert_with(|| {
                groups.push((anchor, Vec::new()));
                groups.len() - 1
            });
            if seen.insert(place) {
                groups[group].1.push(place);
            }
        }
    }
    let mut batch = Batch {
        positive_offsets: vec![0],
        negative_offsets: vec![0],
        ..Batch::default()
    };
    let mut rows = Vec::new();
    for (anchor, members) in &groups {
        let anchor_place = place_of(pool.anchor_text[anchor], &mut texts);
        batch.group_anchor.push(anchor_place);
        for &member in members {
            let sample = &pool.samples[member];
            let row = rows.len() as u32;
            rows.push(member);
            batch.row_anchor.push(anchor_place);
            batch.row_text.push(place_of(sample.text, &mut texts));
            batch.row_label.push(sample.view.label);
            batch.row_weight.push(sample.view.weight);
            match sample.view.role {
                Role::Positive => batch.positive_rows.push(row),
                Role::Negative => batch.negative_rows.push(row),
            }
        }
        batch
            .positive_offsets
            .push(batch.positive_rows.len() as u64);
        batch
            .negative_offsets
            .push(batch.negative_rows.len() as u64);
    }
    for (anchor, _) in &groups {
        batch.known_relevant.extend(
            texts
                .iter()
                .map(|&text| u8::from(pool.knows_relevant(*anchor, text))),
        );
    }
    (batch, texts, rows)
}

/// How a step is taken.
pub(crate) struct Recipe<'r> {
    pub losses: &'r [WeightedLoss],
    pub matryoshka: &'r [Truncation],
    /// Texts encoded at once with their gradient; `None` = all.
    pub mini_batch: Option<usize>,
    /// The length above which a gradient is shortened.
    pub clip: Option<f64>,
}

/// Takes one step over one batch or more. `seed_of` gives the seed of a purpose (a loss by its name, or dropout) for a batch.
pub(crate) fn step(
    model: &mut Model,
    pool: &Pool,
    batches: &[BatchSamples],
    recipe: &Recipe<'_>,
    rate: f64,
    seed_of: impl Fn(&str, usize) -> u64,
) -> Result<StepRecord, Error> {
    let mut gradient = Gradient::default();
    let mut record = StepRecord::default();
    for (place, samples) in batches.iter().enumerate() {
        let of_batch = batch(model, pool, samples, recipe, &mut record, |name| {
            seed_of(name, place)
        })?;
        gradient.add(of_batch, model.encoder.parameters());
    }
    if batches.len() > 1 {
        // Each batch has its share: what a batch as large as all of them would have given, where a loss is a mean of rows.
        let share = 1.0 / batches.len() as f64;
        gradient.scale(share as f32);
        record.share(share);
    }
    if let Some(most) = recipe.clip {
        record.norm = Some(clip(&mut gradient, most));
    }
    let finite = model
        .optimiser
        .update(model.encoder.parameters_mut(), &gradient, rate);
    model.step += 1;
    model.version += 1;
    if !finite {
        return Err(Error::Diverged(model.step));
    }
    Ok(record)
}

/// The gradient of one batch; its losses are added to the record.
fn batch(
    model: &Model,
    pool: &Pool,
    samples: &BatchSamples,
    recipe: &Recipe<'_>,
    record: &mut StepRecord,
    seed_of: impl Fn(&str) -> u64,
) -> Result<Gradient, Error> {
    let asked = Asked::of(pool, samples);
    let tokens: Vec<&Tokens> = asked.tokens(pool);
    let masks = seed_of("dropout");
    let mut pass = Pass::begin(&model.encoder, &tokens, recipe.mini_batch, masks)?;
    let (dim, embeddings) = (model.encoder.dim(), pass.embeddings()?);
    let (asked, sum) = asked.losses(pool, recipe, dim, embeddings, model.step, &seed_of)?;
    let uses = asked
        .rows
        .iter()
        .zip(sum.rows)
        .map(|(&place, loss)| (pool.samples[place].view.id, loss.map(|loss| loss as f32)));
    record.add(sum.loss, sum.parts, uses);
    record.report(sum.metrics);
    pass.backward(sum.gradient)
}

/// A batch that losses are asked about.
pub(crate) struct Asked {
    batch: Batch,
    /// Places of its texts in the pool.
    pub texts: Vec<usize>,
    /// The sample of each row, by its place in the pool.
    pub rows: Vec<usize>,
}

impl Asked {
    pub fn of(pool: &Pool, samples: &BatchSamples) -> Self {
        let (batch, texts, rows) = assemble(pool, samples);
        Self { batch, texts, rows }
    }

    pub fn tokens<'p>(&self, pool: &'p Pool) -> Vec<&'p Tokens> {
        let of = |text: &usize| &pool.texts[*text].tokens;
        self.texts.iter().map(of).collect()
    }

    /// For each row, the places of its anchor and of its text in `texts`.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let of = |(anchor, text): (&u32, &u32)| (*anchor as usize, *text as usize);
        self.batch
            .row_anchor
            .iter()
            .zip(&self.batch.row_text)
            .map(of)
    }

    /// What the losses say of the texts' embeddings `[texts, dim]`.
    pub fn losses(
        mut self,
        pool: &Pool,
        recipe: &Recipe<'_>,
        dim: usize,
        embeddings: Vec<f32>,
        step: u64,
        seed_of: impl Fn(&str) -> u64,
    ) -> Result<(Self, LossSum), Error> {
        let teacher = pool.teacher.as_ref().map(|teacher| {
            let scores = self.rows.iter().map(|&row| teacher.scores[row]);
            self.batch.row_teacher = scores.collect();
            let of = |text: &usize| {
                let place = text * teacher.dim;
                &teacher.embeddings[place..place + teacher.dim]
            };
            let embeddings: Vec<f32> = self.texts.iter().flat_map(of).copied().collect();
            (teacher.dim, embeddings)
        });
        self.batch.dim = dim;
        self.batch.embeddings = embeddings;
        let services = Services {
            teacher: teacher
                .as_ref()
                .filter(|(dim, _)| *dim > 0)
                .map(|(dim, embeddings)| (*dim, embeddings.as_slice())),
            ..Services::default()
        };
        let context = |name: &str| Context {
            step,
            seed: seed_of(name),
            services,
        };
        let sum = combine(recipe.losses, recipe.matryoshka, &self.batch, context)?;
        Ok((self, sum))
    }
}

/// The way of a batch's texts through the encoder and back. With a mini-batch the way there is gone twice, so that only that
/// many texts are ever held with their gradient: GradCache (Gao, Zhang, Han, Callan 2021).
struct Pass<'m> {
    encoder: &'m Encoder,
    tokens: &'m [&'m Tokens],
    mini_batch: usize,
    masks: u64,
    /// All at once, where they are.
    whole: Option<Forward<'m>>,
}

impl<'m> Pass<'m> {
    fn begin(
        encoder: &'m Encoder,
        tokens: &'m [&'m Tokens],
        mini_batch: Option<usize>,
        masks: u64,
    ) -> Result<Self, Error> {
        let mini_batch = mini_batch.unwrap_or(tokens.len()).max(1);
        let whole = if mini_batch >= tokens.len() {
            Some(encoder.forward(tokens, Some(masks))?)
        } else {
            None
        };
        Ok(Self {
            encoder,
            tokens,
            mini_batch,
            masks,
            whole,
        })
    }

    /// Through the encoder with a piece: both times with the same masks, and no two pieces with the same.
    fn forward(&self, place: usize, piece: &[&Tokens]) -> Result<Forward<'m>, Error> {
        let masks = mix(self.masks ^ mix(place as u64 + 1));
        Ok(self.encoder.forward(piece, Some(masks))?)
    }

    fn embeddings(&mut self) -> Result<Vec<f32>, Error> {
        if let Some(whole) = &self.whole {
            return Ok(whole.embeddings().to_vec());
        }
        let mut all = Vec::new();
        for (place, piece) in self.tokens.chunks(self.mini_batch).enumerate() {
            all.extend_from_slice(self.forward(place, piece)?.embeddings());
        }
        Ok(all)
    }

    fn backward(mut self, gradient: Vec<f32>) -> Result<Gradient, Error> {
        if let Some(whole) = self.whole.take() {
            return Ok(whole.backward(gradient)?);
        }
        let dim = self.encoder.dim();
        let mut sum = Gradient::default();
        let pieces = self.tokens.chunks(self.mini_batch);
        let gradients = gradient.chunks(self.mini_batch * dim);
        for (place, (piece, gradient)) in pieces.zip(gradients).enumerate() {
            let of_piece = self.forward(place, piece)?.backward(gradient.to_vec())?;
            sum.add(of_piece, self.encoder.parameters());
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use orchestrator_model::parameters::Slope;
    use orchestrator_model::transformer::Options;
    use orchestrator_model::{Side, StaticEncoder};

    use super::*;

    #[test]
    fn a_mini_batch_gives_the_gradient_of_the_whole_step() {
        let texts = [
            "Aspirin lowers fever in mice.",
            "Mice with fever drink more water.",
            "Aspirin, again: aspirin.",
            "Water lowers nothing.",
            "Fever.",
        ];
        let encoder = StaticEncoder::train_from(&texts, 300, 24, 7).expect("train");
        let encoder = Encoder::Static(encoder);
        let tokens = encoder.tokenize(&texts, Side::Document).expect("tokens");
        let tokens: Vec<&Tokens> = tokens.iter().collect();
        let outer: Vec<f32> = (0..5 * 24)
            .map(|n| ((n * 7 % 11) as f32 - 5.0) / 5.0)
            .collect();
        let run = |mini_batch| {
            let mut pass = Pass::begin(&encoder, &tokens, mini_batch, 1).expect("begin");
            let embeddings = pass.embeddings().expect("embeddings");
            let gradient = pass.backward(outer.clone()).expect("backward");
            match gradient.slopes.into_iter().next() {
                Some(Some(Slope::Rows { rows, values })) => (embeddings, rows, values),
                other => panic!("{other:?}"),
            }
        };
        let (embeddings, rows, values) = run(None);
        for size in [1, 2, 3, 5, 9] {
            let (of_pieces, rows_of_pieces, of_rows) = run(Some(size));
            assert_eq!(embeddings, of_pieces, "mini-batch {size}");
            assert_eq!(rows, rows_of_pieces, "mini-batch {size}");
            for (a, b) in values.iter().zip(&of_rows) {
                assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_mini_batch_is_masked_the_same_both_ways_and_no_two_are_masked_alike() {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/transformers/bert");
        let options = Options {
            dropout: 0.3,
            ..Options::default()
        };
        let encoder = Encoder::load(&folder, &options).expect("load");
        let tokens = encoder
            .tokenize(&["aspirin lowers fever"], Side::Document)
            .expect("tokens");
        let same = vec![&tokens[0]; 2];
        let embeddings = |masks| {
            let mut pass = Pass::begin(&encoder, &same, Some(1), masks).expect("begin");
            let first = pass.embeddings().expect("embeddings");
            assert_eq!(first, pass.embeddings().expect("embeddings"), "both ways");
            first
        };
        let dim = encoder.dim();
        let one = embeddings(1);
        assert_ne!(one[..dim], one[dim..], "of two pieces");
        assert_ne!(one, embeddings(2), "of two steps");
    }
}
