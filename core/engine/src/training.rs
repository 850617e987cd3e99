//! One training step: every distinct text encoded once, every loss on the same embeddings, one backward pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orchestrator_config::Truncation;
use orchestrator_model::{Forward, Gradient, StaticEncoder, Tokens};
use orchestrator_plugin_host::{Batch, Context, Instance, Services, dot};
use orchestrator_store::{Role, SampleId};
use orchestrator_train::{AdamW, Checkpoint};

use crate::batches::StepSamples;
use crate::error::Error;
use crate::pool::Pool;

/// What training changes.
pub(crate) struct Model {
    /// As it was before training.
    pub initial: Arc<StaticEncoder>,
    pub encoder: StaticEncoder,
    pub optimiser: AdamW,
    /// Steps taken over the whole run.
    pub step: u64,
}

impl Model {
    pub fn checkpoint(&self) -> Checkpoint {
        let mut checkpoint = self.weights();
        self.put(&mut checkpoint, "first", &self.optimiser.first);
        self.put(&mut checkpoint, "second", &self.optimiser.second);
        checkpoint
    }

    /// The weights alone: enough for a model that is not trained on.
    pub fn weights(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        self.put(&mut checkpoint, "table", self.encoder.table());
        checkpoint.counters.insert("step".to_owned(), self.step);
        checkpoint
            .counters
            .insert("optimiser_step".to_owned(), self.optimiser.step);
        checkpoint
    }

    fn put(&self, checkpoint: &mut Checkpoint, name: &str, values: &[f32]) {
        let shape = vec![self.encoder.vocabulary(), self.encoder.dim()];
        checkpoint
            .tensors
            .insert(name.to_owned(), (shape, values.to_vec()));
    }

    /// Takes the weights of a checkpoint; `false` if they are of another shape.
    pub fn restore_weights(&mut self, mut checkpoint: Checkpoint) -> bool {
        match checkpoint.tensors.remove("table") {
            Some((_, table)) if table.len() == self.encoder.table().len() => {
                *self.encoder.table_mut() = table;
                true
            }
            _ => false,
        }
    }

    /// Takes the state of a checkpoint; `false` if it is of another shape.
    pub fn restore(&mut self, mut checkpoint: Checkpoint) -> bool {
        let n = self.encoder.table().len();
        let mut take = |name: &str| {
            checkpoint
                .tensors
                .remove(name)
                .map(|(_, values)| values)
                .filter(|values| values.len() == n)
        };
        let (Some(table), Some(first), Some(second)) =
            (take("table"), take("first"), take("second"))
        else {
            return false;
        };
        let (Some(&step), Some(&optimiser_step)) = (
            checkpoint.counters.get("step"),
            checkpoint.counters.get("optimiser_step"),
        ) else {
            return false;
        };
        *self.encoder.table_mut() = table;
        self.optimiser.first = first;
        self.optimiser.second = second;
        self.optimiser.step = optimiser_step;
        self.step = step;
        true
    }
}

/// A loss with its weight.
pub(crate) struct WeightedLoss {
    pub instance: Instance,
    pub weight: f64,
}

/// What a step leaves behind.
pub(crate) struct StepRecord {
    pub loss: f64,
    /// By loss, before its weight.
    pub parts: Vec<(String, f64)>,
    /// Each sample with its weighted loss.
    pub uses: Vec<(SampleId, Option<f32>)>,
}

/// The batch a loss sees, with the pool's texts it is over and the sample of each row.
fn assemble(pool: &Pool, samples: &StepSamples) -> (Batch, Vec<usize>, Vec<usize>) {
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
    /// First dimensions that the losses are computed on; empty = all.
    pub matryoshka: &'r [Truncation],
    /// Texts encoded at once with their gradient; `None` = all.
    pub mini_batch: Option<usize>,
}

/// Takes one step. `seed_of` gives the seed of a loss by its name.
pub(crate) fn step(
    model: &mut Model,
    pool: &Pool,
    samples: &StepSamples,
    recipe: &Recipe<'_>,
    rate: f64,
    seed_of: impl Fn(&str) -> u64,
) -> Result<StepRecord, Error> {
    let (mut batch, texts, rows) = assemble(pool, samples);
    let tokens: Vec<&Tokens> = texts.iter().map(|&text| &pool.texts[text].tokens).collect();
    let teacher = pool.teacher.as_ref().map(|teacher| {
        batch.row_teacher = rows.iter().map(|&row| teacher.scores[row]).collect();
        let of = |text: &usize| {
            let place = text * teacher.dim;
            &teacher.embeddings[place..place + teacher.dim]
        };
        let embeddings: Vec<f32> = texts.iter().flat_map(of).copied().collect();
        (teacher.dim, embeddings)
    });
    let mut pass = Pass::begin(&model.encoder, &tokens, recipe.mini_batch)?;
    batch.dim = model.encoder.dim();
    batch.embeddings = pass.embeddings()?;
    let services = Services {
        teacher: teacher
            .as_ref()
            .filter(|(dim, _)| *dim > 0)
            .map(|(dim, embeddings)| (*dim, embeddings.as_slice())),
        ..Services::default()
    };
    let mut sum = LossSum {
        record: StepRecord {
            loss: 0.0,
            parts: Vec::new(),
            uses: Vec::new(),
        },
        rows: vec![None; rows.len()],
        gradient: vec![0.0; batch.embeddings.len()],
    };
    let context = |name: &str| Context {
        step: model.step,
        seed: seed_of(name),
        services,
    };
    if recipe.matryoshka.is_empty() {
        sum.add(recipe.losses, &batch, 1.0, "", context)?;
    }
    for truncation in recipe.matryoshka {
        let short = Truncated::of(&batch, truncation.dim);
        let whole = std::mem::take(&mut sum.gradient);
        sum.gradient = vec![0.0; short.batch.embeddings.len()];
        let suffix = format!("@{}", truncation.dim);
        sum.add(
            recipe.losses,
            &short.batch,
            truncation.weight,
            &suffix,
            context,
        )?;
        let of_short = std::mem::replace(&mut sum.gradient, whole);
        short.add_gradient(&of_short, &mut sum.gradient, batch.dim);
    }
    let LossSum {
        mut record,
        rows: row_losses,
        gradient,
    } = sum;
    let of_table = pass.backward(gradient)?;
    model.optimiser.update(
        model.encoder.table_mut(),
        &of_table.rows,
        &of_table.values,
        rate,
    );
    model.step += 1;
    let dim = model.encoder.dim();
    let finite = |row: &u32| {
        let start = *row as usize * dim;
        model.encoder.table()[start..start + dim]
            .iter()
            .all(|value| value.is_finite())
    };
    if !of_table.rows.iter().all(finite) {
        return Err(Error::Diverged(model.step));
    }
    record.uses = rows
        .iter()
        .zip(row_losses)
        .map(|(&place, loss)| (pool.samples[place].view.id, loss.map(|loss| loss as f32)))
        .collect();
    Ok(record)
}

/// What the losses of a step add up to.
struct LossSum {
    record: StepRecord,
    rows: Vec<Option<f64>>,
    /// Of the embeddings that the losses were given.
    gradient: Vec<f32>,
}

impl LossSum {
    /// Adds every loss on `batch`, times its own weight and `weight`.
    fn add<'c>(
        &mut self,
        losses: &[WeightedLoss],
        batch: &Batch,
        weight: f64,
        suffix: &str,
        context: impl Fn(&str) -> Context<'c>,
    ) -> Result<(), Error> {
        for loss in losses {
            let name = loss.instance.name();
            let result = loss.instance.forward(&context(name), batch)?;
            let weight = weight * loss.weight;
            self.record.loss += weight * result.loss;
            self.record
                .parts
                .push((format!("{name}{suffix}"), result.loss));
            for (sum, value) in self.gradient.iter_mut().zip(&result.gradient) {
                *sum += weight as f32 * value;
            }
            for (sum, value) in self.rows.iter_mut().zip(&result.rows) {
                if let Some(value) = value {
                    *sum = Some(sum.unwrap_or(0.0) + weight * f64::from(*value));
                }
            }
        }
        Ok(())
    }
}

/// A batch on the first dimensions alone, at unit length: Matryoshka representation learning (Kusupati et al. 2022), as
/// sentence-transformers' `MatryoshkaLoss` does it.
struct Truncated {
    batch: Batch,
    norms: Vec<f32>,
}

impl Truncated {
    fn of(whole: &Batch, dim: usize) -> Self {
        let mut batch = Batch {
            dim,
            embeddings: Vec::with_capacity(whole.embeddings.len() / whole.dim.max(1) * dim),
            ..whole.clone()
        };
        let mut norms = Vec::new();
        for row in whole.embeddings.chunks_exact(whole.dim.max(1)) {
            let norm = dot(&row[..dim], &row[..dim]).sqrt();
            norms.push(norm);
            let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
            batch
                .embeddings
                .extend(row[..dim].iter().map(|value| value * scale));
        }
        Self { batch, norms }
    }

    /// Adds the gradient of the short embeddings `u = x / |x|` to that of the whole ones: `(g - (g · u) u) / |x|`.
    fn add_gradient(&self, gradient: &[f32], whole: &mut [f32], whole_dim: usize) {
        let dim = self.batch.dim;
        for (text, &norm) in self.norms.iter().enumerate() {
            if norm == 0.0 {
                continue;
            }
            let unit = &self.batch.embeddings[text * dim..(text + 1) * dim];
            let slope = &gradient[text * dim..(text + 1) * dim];
            let along = dot(slope, unit);
            let out = &mut whole[text * whole_dim..text * whole_dim + dim];
            for ((out, slope), unit) in out.iter_mut().zip(slope).zip(unit) {
                *out += (slope - along * unit) / norm;
            }
        }
    }
}

/// The way of a step's texts through the encoder and back. With a mini-batch the way there is gone twice, so that only that
/// many texts are ever held with their gradient: GradCache (Gao, Zhang, Han, Callan 2021).
struct Pass<'m> {
    encoder: &'m StaticEncoder,
    tokens: &'m [&'m Tokens],
    mini_batch: usize,
    /// All at once, where they are.
    whole: Option<Forward>,
}

impl<'m> Pass<'m> {
    fn begin(
        encoder: &'m StaticEncoder,
        tokens: &'m [&'m Tokens],
        mini_batch: Option<usize>,
    ) -> Result<Self, Error> {
        let mini_batch = mini_batch.unwrap_or(tokens.len()).max(1);
        let whole = if mini_batch >= tokens.len() {
            Some(encoder.forward(tokens)?)
        } else {
            None
        };
        Ok(Self {
            encoder,
            tokens,
            mini_batch,
            whole,
        })
    }

    fn embeddings(&mut self) -> Result<Vec<f32>, Error> {
        if let Some(whole) = &self.whole {
            return Ok(whole.embeddings()?);
        }
        let mut all = Vec::new();
        for piece in self.tokens.chunks(self.mini_batch) {
            all.extend(self.encoder.forward(piece)?.embeddings()?);
        }
        Ok(all)
    }

    fn backward(self, gradient: Vec<f32>) -> Result<Gradient, Error> {
        if let Some(whole) = self.whole {
            return Ok(whole.backward(gradient)?);
        }
        let dim = self.encoder.dim();
        let mut sums: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        let pieces = self.tokens.chunks(self.mini_batch);
        for (tokens, gradient) in pieces.zip(gradient.chunks(self.mini_batch * dim)) {
            let of_piece = self.encoder.forward(tokens)?.backward(gradient.to_vec())?;
            for (row, values) in of_piece.rows.iter().zip(of_piece.values.chunks_exact(dim)) {
                let sum = sums.entry(*row).or_insert_with(|| vec![0.0; dim]);
                sum.iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        Ok(Gradient {
            rows: sums.keys().copied().collect(),
            values: sums.into_values().flatten().collect(),
        })
    }
}
