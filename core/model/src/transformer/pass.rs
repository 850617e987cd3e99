//! The way of some texts through all layers, and back.

use std::ops::Range;

use rayon::prelude::*;

use super::attention::{Attention, Text};
use super::dropout::Dropout;
use super::head::Pooled;
use super::layer::{
    Bench, Factors, Kept, Setting, drop_rows, norm_backward, normalise_rows, stretch_rows,
};
use super::network::Family;
use super::sums::{SumOfLayer, Sums};
use super::weights::Ready;
use super::{CHUNK, Transformer};
use crate::kernels;
use crate::parameters::Gradient;
use crate::{Error, Tokens};

/// Chunks whose factors are there at once.
pub(super) fn group(threads: usize) -> usize {
    (4 * threads).max(8)
}

/// Some texts side by side, without padding.
pub(super) struct Chunk {
    pub tokens: Vec<u32>,
    /// The type of each token; none, where all are of type 0.
    pub types: Vec<u32>,
    pub texts: Vec<Text>,
}

impl Chunk {
    /// Texts in their order, in chunks of at least [`CHUNK`] tokens.
    pub fn all(texts: &[&Tokens]) -> Vec<Self> {
        let mut chunks: Vec<Self> = Vec::new();
        for (number, tokens) in texts.iter().enumerate() {
            match chunks.last() {
                Some(last) if last.tokens.len() < CHUNK => {}
                _ => chunks.push(Self {
                    tokens: Vec::new(),
                    types: Vec::new(),
                    texts: Vec::new(),
                }),
            }
            let last = chunks.len() - 1;
            let chunk = &mut chunks[last];
            let start = chunk.tokens.len();
            chunk.tokens.extend_from_slice(tokens);
            chunk.texts.push(Text {
                rows: start..chunk.tokens.len(),
                number,
            });
        }
        chunks
    }
}

/// What is kept of a chunk for the way back.
#[derive(Default)]
pub(super) struct Trace {
    pub embedded: (Vec<f32>, Vec<f32>),
    /// Of the layers that are trained.
    layers: Vec<Kept>,
    last: (Vec<f32>, Vec<f32>),
    pooled: Vec<Pooled>,
    /// What the lowest trained layer was given, if others are below it.
    below: Vec<f32>,
}

/// A batch on its way through a transformer.
pub struct Forward<'t> {
    model: &'t Transformer,
    unit: bool,
    dropout: Option<Dropout>,
    chunks: Vec<(Chunk, Trace)>,
    embeddings: Vec<f32>,
}

impl Transformer {
    /// Encodes a batch so that a gradient can follow; `masks` is the seed of dropout.
    ///
    /// # Errors
    /// None today; the signature is the encoders' common one.
    pub fn forward(&self, texts: &[&Tokens], masks: Option<u64>) -> Result<Forward<'_>, Error> {
        Ok(self.begin(texts, masks, true))
    }

    /// The same, with embeddings as the folder's own modules make them.
    #[must_use]
    pub fn forward_as_saved(&self, texts: &[&Tokens], masks: Option<u64>) -> Forward<'_> {
        self.begin(texts, masks, self.head.normalised)
    }

    fn begin(&self, texts: &[&Tokens], masks: Option<u64>, unit: bool) -> Forward<'_> {
        let dropout = masks
            .filter(|_| self.options.dropout > 0.0)
            .map(|seed| Dropout::new(seed, self.options.dropout));
        let ready = self.ready_to_train();
        let pieces: Vec<(Chunk, Trace, Vec<f32>)> = Chunk::all(texts)
            .into_par_iter()
            .map(|chunk| {
                let mut bench = self.bench();
                let mut trace = Trace::default();
                let x = self.through(&chunk, ready, dropout, &mut bench, Some(&mut trace));
                let mut embeddings = Vec::with_capacity(chunk.texts.len() * self.dim());
                for place in 0..chunk.texts.len() {
                    let rows = self.pooled_rows(&chunk, place);
                    let (embedding, pooled) =
                        self.head
                            .forward(&self.parameters, &x, self.shape.hidden, rows, unit);
                    embeddings.extend(embedding);
                    trace.pooled.push(pooled);
                }
                self.room.give(x);
                self.put_back(bench);
                (chunk, trace, embeddings)
            })
            .collect();
        let mut embeddings = Vec::with_capacity(texts.len() * self.dim());
        let mut chunks = Vec::with_capacity(pieces.len());
        for (chunk, trace, of_chunk) in pieces {
            embeddings.extend(of_chunk);
            chunks.push((chunk, trace));
        }
        Forward {
            model: self,
            unit,
            dropout,
            chunks,
            embeddings,
        }
    }

    /// The rows of a text that are pooled.
    pub(super) fn pooled_rows(&self, chunk: &Chunk, place: usize) -> Range<usize> {
        let rows = chunk.texts[place].rows.clone();
        let tokens = &chunk.tokens[rows.clone()];
        let prompt = self
            .prompt_tokens
            .iter()
            .find(|prompt| tokens.starts_with(prompt) && tokens.len() > prompt.len());
        rows.start + prompt.map_or(0, Vec::len)..rows.end
    }

    fn setting<'a>(
        &'a self,
        number: usize,
        ready: &'a Ready,
        dropout: Option<Dropout>,
    ) -> Setting<'a> {
        let window = self.shape.window(number);
        Setting {
            parameters: &self.parameters,
            layer: &self.network.layers[number],
            packed: &ready.layers[number],
            attention: Attention {
                heads: self.shape.heads,
                dim: self.shape.head(),
                window,
                relative: (!ready.relative.is_empty())
                    .then_some((&ready.relative, self.text.max_tokens)),
                layer: number + 1,
            },
            rotary: self
                .rotary
                .as_ref()
                .map(|[global, local]| if window.is_some() { local } else { global }),
            family: self.shape.family,
            activation: self.shape.activation,
            epsilon: self.shape.epsilon,
            hidden: self.shape.hidden,
            inner: self.shape.inner,
            dropout,
            room: &self.room,
        }
    }

    /// The last layer's rows `[t, hidden]`, after the last norm.
    pub(super) fn through(
        &self,
        chunk: &Chunk,
        ready: &Ready,
        dropout: Option<Dropout>,
        bench: &mut Bench,
        mut trace: Option<&mut Trace>,
    ) -> Vec<f32> {
        let hidden = self.shape.hidden;
        let mut rows = self.embedded(chunk);
        let inverses = normalise_rows(&mut rows, hidden, self.shape.epsilon);
        let mut x = self.room.take(rows.len());
        self.embedding_out(&mut x, &rows, chunk, dropout.as_ref());
        match trace.as_deref_mut() {
            Some(trace) => trace.embedded = (rows, inverses),
            None => self.room.give(rows),
        }
        for number in 0..self.shape.layers {
            let setting = self.setting(number, ready, dropout);
            let keep = trace.is_some() && number >= self.options.freeze;
            if let Some(trace) = trace
                .as_deref_mut()
                .filter(|_| number > 0 && number == self.options.freeze)
            {
                trace.below.clone_from(&x);
            }
            let (next, kept) = setting.forward(x, &chunk.texts, bench, keep);
            x = next;
            if let (Some(trace), Some(kept)) = (trace.as_deref_mut(), kept) {
                trace.layers.push(kept);
            }
        }
        if let Some(norm) = &self.network.last_norm {
            let mut last = self.room.take(x.len());
            last.copy_from_slice(&x);
            let inverses = normalise_rows(&mut last, hidden, self.shape.epsilon);
            stretch_rows(&mut x, &last, norm, &self.parameters, hidden);
            match trace {
                Some(trace) => trace.last = (last, inverses),
                None => self.room.give(last),
            }
        }
        x
    }

    /// Sums of the tables' rows `[t, hidden]`.
    fn embedded(&self, chunk: &Chunk) -> Vec<f32> {
        let hidden = self.shape.hidden;
        let table = |place: usize, row: usize| {
            &self.parameters[place].values[row * hidden..(row + 1) * hidden]
        };
        let mut out = self.room.take(chunk.tokens.len() * hidden);
        for text in &chunk.texts {
            for (position, row) in text.rows.clone().enumerate() {
                let out = &mut out[row * hidden..(row + 1) * hidden];
                out.copy_from_slice(table(self.network.words, chunk.tokens[row] as usize));
                if let Some(types) = self.network.types {
                    let kind = chunk.types.get(row).copied().unwrap_or(0);
                    kernels::add(out, table(types, kind as usize));
                }
                if let Some(positions) = self.network.positions {
                    kernels::add(out, table(positions, position + self.shape.first_position));
                }
            }
        }
        out
    }

    fn embedding_out(&self, x: &mut [f32], rows: &[f32], chunk: &Chunk, dropout: Option<&Dropout>) {
        stretch_rows(
            x,
            rows,
            &self.network.embedding_norm,
            &self.parameters,
            self.shape.hidden,
        );
        drop_rows(dropout, x, self.shape.hidden, &chunk.texts, 0, 0);
    }

    /// What MPNet's attention adds for each distance: for each head `2 * longest - 1` values.
    pub(super) fn by_distance(&self) -> Vec<f32> {
        let Some(table) = self.network.relative else {
            return Vec::new();
        };
        let (heads, longest) = (self.shape.heads, self.text.max_tokens);
        let values = &self.parameters[table].values;
        let of_head = |head: usize| {
            (0..2 * longest - 1).map(move |place| {
                let distance = place as i64 - (longest as i64 - 1);
                values[bucket(distance, self.shape.buckets) * heads + head]
            })
        };
        (0..heads).flat_map(of_head).collect()
    }
}

/// MPNet's (T5's) bucket of a key so far after its query.
fn bucket(distance: i64, buckets: usize) -> usize {
    let half = buckets / 2;
    let before = if distance > 0 { half } else { 0 };
    let away = distance.unsigned_abs() as usize;
    let exact = half / 2;
    if away < exact {
        return before + away;
    }
    // In f32, as torch does it, so that the edges fall alike.
    let far = (away as f32 / exact as f32).ln() / ((128.0 / exact as f64).ln() as f32)
        * (half - exact) as f32;
    before + (exact + far as usize).min(half - 1)
}

impl Forward<'_> {
    /// The embeddings `[texts, dim]`, row-major.
    #[must_use]
    pub fn embeddings(&self) -> &[f32] {
        &self.embeddings
    }

    /// From dloss/dE `[texts, dim]` to the gradient of the parameters.
    ///
    /// # Errors
    /// None today; the signature is the encoders' common one.
    pub fn backward(self, gradient: Vec<f32>) -> Result<Gradient, Error> {
        let model = self.model;
        let (hidden, dim, lowest) = (model.shape.hidden, model.dim(), model.options.freeze);
        let ready = model.ready_to_train();
        ready.prepare(&model.network, &model.parameters, &model.adapters, lowest);
        let mut sums = Sums {
            slopes: vec![None; model.parameters.len()],
            model,
        };
        let (mut chunks, mut traces): (Vec<Chunk>, Vec<Trace>) = self.chunks.into_iter().unzip();
        // From embeddings to the last rows.
        let mut dense: Vec<(usize, Vec<f32>)> = model
            .head
            .dense
            .iter()
            .flat_map(|dense| [Some(dense.weight), dense.bias])
            .flatten()
            .map(|place| (place, vec![0.0; model.parameters[place].values.len()]))
            .collect();
        let mut slopes = Vec::with_capacity(chunks.len());
        for (chunk, trace) in chunks.iter_mut().zip(&mut traces) {
            let mut of_x = model.room.take(chunk.tokens.len() * hidden);
            of_x.fill(0.0);
            for (place, pooled) in std::mem::take(&mut trace.pooled).iter().enumerate() {
                let number = chunk.texts[place].number;
                let embedding = &self.embeddings[number * dim..(number + 1) * dim];
                let of_embedding = &gradient[number * dim..(number + 1) * dim];
                let rows = model.pooled_rows(chunk, place);
                model.head.backward(
                    &model.parameters,
                    pooled,
                    self.unit.then_some(embedding),
                    of_embedding,
                    rows,
                    (&mut of_x, hidden),
                    |place, at, value| {
                        if let Some((_, sum)) = dense.iter_mut().find(|(one, _)| *one == place) {
                            sum[at] += value;
                        }
                    },
                );
            }
            slopes.push(of_x);
        }
        for (place, values) in dense {
            sums.dense(place, values);
        }
        if let Some(norm) = &model.network.last_norm {
            let parts: Vec<_> = slopes
                .par_iter_mut()
                .zip(&mut traces)
                .map(|(slope, trace)| {
                    let last = std::mem::take(&mut trace.last);
                    let of_norm =
                        norm_backward(slope, (&last.0, &last.1), norm, &model.parameters, hidden);
                    model.room.give(last.0);
                    of_norm
                })
                .collect();
            sums.norm(norm, &parts);
        }
        let mut of_relative = vec![0.0f32; ready.relative.len()];
        // Some chunks at a time, so that what their weights' gradients are made of does not lie about for all: in order, so
        // that it makes no difference how many.
        let group = group(rayon::current_num_threads());
        for number in (lowest..model.shape.layers).rev() {
            let setting = model.setting(number, ready, self.dropout);
            let mut sum = SumOfLayer::of(model, number);
            for (slopes, (traces, chunks)) in slopes
                .chunks_mut(group)
                .zip(traces.chunks_mut(group).zip(chunks.chunks(group)))
            {
                let factors: Vec<Factors> = slopes
                    .par_iter_mut()
                    .zip(traces)
                    .zip(chunks)
                    .map(|((slope, trace), chunk)| {
                        let mut bench = model.bench();
                        let Some(kept) = trace.layers.pop() else {
                            unreachable!("every trained layer was kept on the way there")
                        };
                        let x = model.input_of(number, trace, chunk, self.dropout.as_ref());
                        let of_out = std::mem::take(slope);
                        let factors;
                        (*slope, factors) =
                            setting.backward(of_out, x, kept, &chunk.texts, &mut bench);
                        model.put_back(bench);
                        factors
                    })
                    .collect();
                for part in &factors {
                    kernels::add(&mut of_relative, &part.relative);
                }
                sum.add(factors);
            }
            sum.give(&mut sums);
        }
        if lowest == 0 && !model.adapters.are_there() {
            sums.embeddings(&chunks, traces, slopes, self.dropout.as_ref());
            if let Some(table) = model.network.relative {
                let heads = model.shape.heads;
                let longest = model.text.max_tokens;
                let mut of_table = vec![0.0f32; model.parameters[table].values.len()];
                for (head, values) in of_relative.chunks_exact(2 * longest - 1).enumerate() {
                    for (place, value) in values.iter().enumerate() {
                        let distance = place as i64 - (longest as i64 - 1);
                        of_table[bucket(distance, model.shape.buckets) * heads + head] += value;
                    }
                }
                sums.dense(table, of_table);
            }
        }
        Ok(Gradient {
            slopes: sums.slopes,
        })
    }
}

impl Transformer {
    /// The input of a layer again, from what is kept; empty where the way back does not look at it.
    fn input_of(
        &self,
        number: usize,
        trace: &Trace,
        chunk: &Chunk,
        dropout: Option<&Dropout>,
    ) -> Vec<f32> {
        if self.shape.family == Family::ModernBert {
            return Vec::new();
        }
        let mut x = self.room.take(chunk.tokens.len() * self.shape.hidden);
        if number == 0 {
            self.embedding_out(&mut x, &trace.embedded.0, chunk, dropout);
        } else if let Some(before) = trace.layers.last() {
            let norm = &self.network.layers[number - 1].inner_norm;
            stretch_rows(
                &mut x,
                &before.second.0,
                norm,
                &self.parameters,
                self.shape.hidden,
            );
        } else {
            x.copy_from_slice(&trace.below);
        }
        x
    }
}
