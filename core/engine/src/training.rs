//! One training step: every distinct text encoded once, every loss on the same embeddings, one backward pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orchestrator_model::{StaticEncoder, Tokens};
use orchestrator_plugin_host::{Batch, Context, Instance};
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

/// The batch a loss sees, with the tokens of its texts and the sample of each row.
fn assemble<'p>(pool: &'p Pool, samples: &StepSamples) -> (Batch, Vec<&'p Tokens>, Vec<usize>) {
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
    let tokens = texts.iter().map(|&text| &pool.texts[text].tokens).collect();
    (batch, tokens, rows)
}

/// Takes one step.
pub(crate) fn step(
    model: &mut Model,
    pool: &Pool,
    samples: &StepSamples,
    losses: &[WeightedLoss],
    rate: f64,
    context: impl Fn(&str) -> Context<'static>,
) -> Result<StepRecord, Error> {
    let (mut batch, tokens, rows) = assemble(pool, samples);
    let forward = model.encoder.forward(&tokens)?;
    batch.dim = model.encoder.dim();
    batch.embeddings = forward.embeddings()?;
    let mut gradient = vec![0.0f32; batch.embeddings.len()];
    let mut row_losses: Vec<Option<f64>> = vec![None; rows.len()];
    let mut record = StepRecord {
        loss: 0.0,
        parts: Vec::new(),
        uses: Vec::new(),
    };
    for loss in losses {
        let result = loss
            .instance
            .forward(&context(loss.instance.name()), &batch)?;
        record.loss += loss.weight * result.loss;
        record
            .parts
            .push((loss.instance.name().to_owned(), result.loss));
        for (sum, value) in gradient.iter_mut().zip(&result.gradient) {
            *sum += loss.weight as f32 * value;
        }
        for (sum, value) in row_losses.iter_mut().zip(&result.rows) {
            if let Some(value) = value {
                *sum = Some(sum.unwrap_or(0.0) + loss.weight * f64::from(*value));
            }
        }
    }
    let of_table = forward.backward(gradient)?;
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
