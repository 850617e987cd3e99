//! One training step: every distinct text encoded once, every loss on the same embeddings, one backward pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orchestrator_model::{Forward, Gradient, StaticEncoder, Tokens};
use orchestrator_plugin_host::{Batch, Context, Services, Truncation, WeightedLoss, combine};
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
    let context = |name: &str| Context {
        step: model.step,
        seed: seed_of(name),
        services,
    };
    let sum = combine(recipe.losses, recipe.matryoshka, &batch, context)?;
    let of_table = pass.backward(sum.gradient)?;
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
    let uses = rows
        .iter()
        .zip(sum.rows)
        .map(|(&place, loss)| (pool.samples[place].view.id, loss.map(|loss| loss as f32)))
        .collect();
    Ok(StepRecord {
        loss: sum.loss,
        parts: sum.parts,
        uses,
    })
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

#[cfg(test)]
mod tests {
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
        let tokens = encoder.tokenize(&texts).expect("tokens");
        let tokens: Vec<&Tokens> = tokens.iter().collect();
        let outer: Vec<f32> = (0..5 * 24)
            .map(|n| ((n * 7 % 11) as f32 - 5.0) / 5.0)
            .collect();
        let run = |mini_batch| {
            let mut pass = Pass::begin(&encoder, &tokens, mini_batch).expect("begin");
            let embeddings = pass.embeddings().expect("embeddings");
            (embeddings, pass.backward(outer.clone()).expect("backward"))
        };
        let (embeddings, whole) = run(None);
        for size in [1, 2, 3, 5, 9] {
            let (of_pieces, pieces) = run(Some(size));
            assert_eq!(embeddings, of_pieces, "mini-batch {size}");
            assert_eq!(whole.rows, pieces.rows, "mini-batch {size}");
            for (a, b) in whole.values.iter().zip(&pieces.values) {
                assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{a} {b}");
            }
        }
    }
}
