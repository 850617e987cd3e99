//! The gradients of parameters, summed in order from what every chunk gives.

use rayon::prelude::*;

use super::Transformer;
use super::dropout::Dropout;
use super::layer::{Factors, drop_rows, norm_backward};
use super::network::{Layer, Norm, Part};
use super::pass::{Chunk, Trace};
use crate::kernels;
use crate::parameters::Slope;

/// Rows of a weight whose gradient is summed at a time, about: so that what they are summed of stays in the cache.
const ROWS: usize = 196;

/// As many rows in each piece as there can be, in whole tiles of every level.
fn rows_of_piece(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(ROWS).max(1))
        .next_multiple_of(42)
}

/// Rows of a linear layer, and their gradients.
struct PartOfLayer {
    which: usize,
    start: usize,
    part: Part,
    of_weight: Vec<f32>,
    of_bias: Vec<f32>,
}

/// The gradients of a layer's weights, biases and norms, from the factors of every chunk in order.
pub(super) struct SumOfLayer<'t> {
    model: &'t Transformer,
    layer: &'t Layer,
    parts: Vec<PartOfLayer>,
    norms: [Vec<(Vec<f32>, Vec<f32>)>; 2],
}

impl<'t> SumOfLayer<'t> {
    pub fn of(model: &'t Transformer, number: usize) -> Self {
        let layer = &model.network.layers[number];
        let trained = |place: usize| model.parameters[place].trained;
        let mut parts: Vec<PartOfLayer> = Vec::new();
        for (which, linear) in layer.linears.iter().enumerate() {
            let mut start = 0;
            for part in &linear.parts {
                if trained(part.weight)
                    || part.bias.is_some_and(trained)
                    || model.adapters.are_there()
                {
                    parts.push(PartOfLayer {
                        which,
                        start,
                        part: *part,
                        of_weight: vec![0.0; part.rows * linear.k],
                        of_bias: vec![0.0; part.rows],
                    });
                }
                start += part.rows;
            }
        }
        Self {
            model,
            layer,
            parts,
            norms: [Vec::new(), Vec::new()],
        }
    }

    pub fn add(&mut self, factors: Vec<Factors>) {
        let (model, layer) = (self.model, self.layer);
        let mut tasks: Vec<(usize, usize, &mut [f32], &mut [f32])> = Vec::new();
        for part in &mut self.parts {
            let k = layer.linears[part.which].k;
            let rows = rows_of_piece(part.part.rows);
            let pieces = part
                .of_weight
                .chunks_mut(rows * k)
                .zip(part.of_bias.chunks_mut(rows));
            for (piece, (of_weight, of_bias)) in pieces.enumerate() {
                tasks.push((part.which, part.start + piece * rows, of_weight, of_bias));
            }
        }
        tasks
            .into_par_iter()
            .for_each(|(which, start, of_weight, of_bias)| {
                let linear = &layer.linears[which];
                let mut bench = model.bench();
                for part in &factors {
                    kernels::gradient_of_weights(
                        (&part.outputs[which], linear.n),
                        start..start + of_bias.len(),
                        (&part.inputs[which], linear.k),
                        (&mut *of_weight, &mut *of_bias),
                        model.options.precision,
                        &mut bench.scratch,
                    );
                }
                model.put_back(bench);
            });
        for part in factors {
            for (norms, norm) in self.norms.iter_mut().zip(part.norms) {
                norms.push(norm);
            }
            for buffer in part.outputs.into_iter().chain(part.inputs) {
                model.room.give(buffer);
            }
        }
    }

    pub fn give(self, sums: &mut Sums<'_>) {
        for part in self.parts {
            let of_adapters =
                self.model
                    .adapters
                    .part(&self.model.parameters, part.part.weight, &part.of_weight);
            for (adapter, slope) in of_adapters {
                sums.slopes[adapter] = Some(slope);
            }
            sums.dense(part.part.weight, part.of_weight);
            if let Some(bias) = part.part.bias {
                sums.dense(bias, part.of_bias);
            }
        }
        let norms = [
            self.layer.attention_norm.as_ref(),
            Some(&self.layer.inner_norm),
        ];
        for (norm, parts) in norms.into_iter().zip(&self.norms) {
            if let Some(norm) = norm {
                sums.norm(norm, parts);
            }
        }
    }
}

/// The gradients of all parameters, as they come.
pub(super) struct Sums<'t> {
    pub slopes: Vec<Option<Slope>>,
    pub model: &'t Transformer,
}

impl Sums<'_> {
    pub fn dense(&mut self, place: usize, values: Vec<f32>) {
        if self.model.parameters[place].trained {
            self.slopes[place] = Some(Slope::Dense(values));
        }
    }

    pub fn norm(&mut self, norm: &Norm, parts: &[(Vec<f32>, Vec<f32>)]) {
        type Both = (Vec<f32>, Vec<f32>);
        let sum = |of: fn(&Both) -> &Vec<f32>| {
            let mut sum = vec![0.0; self.model.shape.hidden];
            parts
                .iter()
                .for_each(|part| kernels::add(&mut sum, of(part)));
            sum
        };
        let (gain, bias) = (sum(|part| &part.0), sum(|part| &part.1));
        self.dense(norm.gain, gain);
        if let Some(place) = norm.bias {
            self.dense(place, bias);
        }
    }

    /// The tables below the first layer.
    pub fn embeddings(
        &mut self,
        chunks: &[Chunk],
        mut traces: Vec<Trace>,
        mut slopes: Vec<Vec<f32>>,
        dropout: Option<&Dropout>,
    ) {
        let model = self.model;
        let hidden = model.shape.hidden;
        let norm = &model.network.embedding_norm;
        let parts: Vec<_> = slopes
            .par_iter_mut()
            .zip(&mut traces)
            .zip(chunks)
            .map(|((slope, trace), chunk)| {
                drop_rows(dropout, slope, hidden, &chunk.texts, 0, 0);
                let rows = std::mem::take(&mut trace.embedded);
                let of_norm =
                    norm_backward(slope, (&rows.0, &rows.1), norm, &model.parameters, hidden);
                model.room.give(rows.0);
                of_norm
            })
            .collect();
        self.norm(norm, &parts);
        let mut words: Vec<(u32, &[f32])> = Vec::new();
        let mut positions: Vec<(u32, &[f32])> = Vec::new();
        for (chunk, slope) in chunks.iter().zip(&slopes) {
            for text in &chunk.texts {
                for (position, row) in text.rows.clone().enumerate() {
                    let slope = &slope[row * hidden..(row + 1) * hidden];
                    words.push((chunk.tokens[row], slope));
                    positions.push(((position + model.shape.first_position) as u32, slope));
                }
            }
        }
        if let Some(types) = model.network.types {
            let all = positions.iter().map(|(_, slope)| (0, *slope)).collect();
            self.slopes[types] = Some(by_row(all, hidden));
        }
        if let Some(place) = model.network.positions {
            self.slopes[place] = Some(by_row(positions, hidden));
        }
        self.slopes[model.network.words] = Some(by_row(words, hidden));
        slopes.into_iter().for_each(|slope| model.room.give(slope));
    }
}

/// Sums the slopes of each row in their order.
fn by_row(mut all: Vec<(u32, &[f32])>, hidden: usize) -> Slope {
    // The sort is stable: slopes of one row stay in order.
    all.sort_by_key(|(row, _)| *row);
    let groups: Vec<&[(u32, &[f32])]> = all.chunk_by(|a, b| a.0 == b.0).collect();
    let mut values = vec![0.0; groups.len() * hidden];
    values
        .par_chunks_mut(hidden)
        .zip(&groups)
        .for_each(|(sum, group)| group.iter().for_each(|(_, slope)| kernels::add(sum, slope)));
    let rows = groups.iter().map(|group| group[0].0).collect();
    Slope::Rows { rows, values }
}
