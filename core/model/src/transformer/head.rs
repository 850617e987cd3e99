//! From the last layer's rows to one embedding a text: pooling, dense layers, unit length; and back. Small work, in order.

use std::ops::Range;

use crate::kernels;
use crate::parameters::Parameter;

/// How the rows of a text become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The first token's.
    First,
    /// The mean.
    Mean,
    /// The sum over the root of their number.
    MeanOfRoot,
    /// The largest of each column.
    Max,
}

/// A pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pooling {
    pub mode: Mode,
    /// Whether the prompt's tokens take part.
    pub with_prompt: bool,
}

/// A dense layer after pooling.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    pub weight: usize,
    pub bias: Option<usize>,
    pub n: usize,
    pub k: usize,
    pub then: Then,
}

/// What a dense layer's outputs go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    Tanh,
    Relu,
}

/// What follows the transformer.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub pooling: Option<Pooling>,
    pub dense: Vec<Dense>,
    /// Whether the model itself makes embeddings of unit length.
    pub normalised: bool,
    pub dim: usize,
}

/// What the way back needs of one text.
pub(super) struct Pooled {
    /// The input of each dense layer, and the last output before it is made of unit length.
    stages: Vec<Vec<f32>>,
    norm: f32,
    /// For [`Mode::Max`]: the row that gave each column.
    chosen: Vec<u32>,
}

impl Head {
    fn mode(&self) -> Mode {
        self.pooling.map_or(Mode::Mean, |pooling| pooling.mode)
    }

    /// The embedding of the text whose rows of `x` `[t, hidden]` are `rows`; of unit length if `unit`.
    pub fn forward(
        &self,
        parameters: &[Parameter],
        x: &[f32],
        hidden: usize,
        rows: Range<usize>,
        unit: bool,
    ) -> (Vec<f32>, Pooled) {
        let mut chosen = Vec::new();
        let row = |row: usize| &x[row * hidden..(row + 1) * hidden];
        let pooled = match self.mode() {
            Mode::First => row(rows.start).to_vec(),
            Mode::Mean | Mode::MeanOfRoot => {
                let mut sum = vec![0.0; hidden];
                for at in rows.clone() {
                    kernels::add(&mut sum, row(at));
                }
                kernels::scale(&mut sum, self.share(rows.len()));
                sum
            }
            Mode::Max => {
                let mut most = row(rows.start).to_vec();
                chosen = vec![rows.start as u32; hidden];
                for at in rows.clone().skip(1) {
                    for ((most, chosen), value) in most.iter_mut().zip(&mut chosen).zip(row(at)) {
                        if value > most {
                            (*most, *chosen) = (*value, at as u32);
                        }
                    }
                }
                most
            }
        };
        let mut stages = vec![pooled];
        for dense in &self.dense {
            let from = &stages[stages.len() - 1];
            let weight = &parameters[dense.weight].values;
            let out = (0..dense.n).map(|n| {
                let bias = dense.bias.map_or(0.0, |bias| parameters[bias].values[n]);
                let value = kernels::dot(from, &weight[n * dense.k..(n + 1) * dense.k]) + bias;
                match dense.then {
                    Then::Nothing => value,
                    Then::Tanh => value.tanh(),
                    Then::Relu => value.max(0.0),
                }
            });
            let out = out.collect();
            stages.push(out);
        }
        let mut out = stages[stages.len() - 1].clone();
        // As torch's normalize: lengths below 1e-12 are not divided by.
        let norm = kernels::dot(&out, &out).sqrt().max(1e-12);
        if unit || self.normalised {
            out.iter_mut().for_each(|value| *value /= norm);
        }
        (
            out,
            Pooled {
                stages,
                norm,
                chosen,
            },
        )
    }

    fn share(&self, rows: usize) -> f32 {
        let rows = rows.max(1) as f32;
        if self.mode() == Mode::MeanOfRoot {
            1.0 / rows.sqrt()
        } else {
            1.0 / rows
        }
    }

    /// From the gradient of an embedding (given if it is of unit length) to those of its rows, which are written, and of the dense layers, added.
    #[allow(clippy::too_many_arguments)] // Each is a different thing, and it is called from one place.
    pub fn backward(
        &self,
        parameters: &[Parameter],
        pooled: &Pooled,
        unit: Option<&[f32]>,
        gradient: &[f32],
        rows: Range<usize>,
        (of_x, hidden): (&mut [f32], usize),
        mut of_dense: impl FnMut(usize, usize, f32),
    ) {
        let mut slope = gradient.to_vec();
        if let Some(unit) = unit {
            let along = kernels::dot(gradient, unit);
            slope
                .iter_mut()
                .zip(unit)
                .for_each(|(slope, unit)| *slope = (*slope - unit * along) / pooled.norm);
        }
        for (place, dense) in self.dense.iter().enumerate().rev() {
            let (from, to) = (&pooled.stages[place], &pooled.stages[place + 1]);
            for (slope, value) in slope.iter_mut().zip(to) {
                match dense.then {
                    Then::Nothing => {}
                    Then::Tanh => *slope *= 1.0 - value * value,
                    Then::Relu if *value > 0.0 => {}
                    Then::Relu => *slope = 0.0,
                }
            }
            let weight = &parameters[dense.weight].values;
            let mut before = vec![0.0; dense.k];
            for (n, slope) in slope.iter().enumerate() {
                for (k, (before, weight)) in
                    before.iter_mut().zip(&weight[n * dense.k..]).enumerate()
                {
                    *before += slope * weight;
                    of_dense(dense.weight, n * dense.k + k, slope * from[k]);
                }
                if let Some(bias) = dense.bias {
                    of_dense(bias, n, *slope);
                }
            }
            slope = before;
        }
        let of_rows = &mut of_x[rows.start * hidden..rows.end * hidden];
        match self.mode() {
            Mode::First => {
                of_rows.fill(0.0);
                of_rows[..hidden].copy_from_slice(&slope);
            }
            Mode::Mean | Mode::MeanOfRoot => {
                kernels::scale(&mut slope, self.share(rows.len()));
                for row in of_rows.chunks_exact_mut(hidden) {
                    row.copy_from_slice(&slope);
                }
            }
            Mode::Max => {
                of_rows.fill(0.0);
                for (column, (row, slope)) in pooled.chosen.iter().zip(&slope).enumerate() {
                    of_rows[(*row as usize - rows.start) * hidden + column] = *slope;
                }
            }
        }
    }
}
