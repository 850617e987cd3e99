//! Low-rank adapters (Hu et al. 2022): a matrix stays as it is, and the product of two small ones is added to it.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::network::{Layer, Network};
use crate::parameters::{Parameter, Slope};

/// Small matrices beside the large ones that are trained in their place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lora {
    /// Columns of the small matrices.
    pub rank: usize,
    /// Their product is multiplied by `alpha / rank`.
    pub alpha: f32,
}

/// The adapters of one matrix: places among the parameters.
#[derive(Debug, Clone, Copy)]
struct Pair {
    /// `[rank, inputs]`
    down: usize,
    /// `[outputs, rank]`
    up: usize,
}

/// The adapters of a model; none if it has none.
#[derive(Default)]
pub(super) struct Adapters {
    rank: usize,
    scale: f32,
    /// By the place of the weight.
    pairs: std::collections::BTreeMap<usize, Pair>,
}

impl Adapters {
    /// Puts adapters beside the matrices of the layers from `lowest` on; everything else stays as it is.
    pub fn add(
        network: &Network,
        parameters: &mut Vec<Parameter>,
        lora: Lora,
        lowest: usize,
    ) -> Self {
        for parameter in parameters.iter_mut() {
            parameter.trained = false;
        }
        let mut pairs = std::collections::BTreeMap::new();
        for layer in network.layers.iter().skip(lowest) {
            for linear in &layer.linears {
                for part in &linear.parts {
                    let name = parameters[part.weight]
                        .name
                        .trim_end_matches(".weight")
                        .to_owned();
                    let mut put = |end: &str, shape: [usize; 2], values: Vec<f32>| {
                        parameters.push(Parameter {
                            name: format!("{name}.{end}.weight"),
                            shape: shape.to_vec(),
                            values,
                            decays: true,
                            lazy: false,
                            trained: true,
                        });
                        parameters.len() - 1
                    };
                    // As PEFT begins: one uniform in ±1/sqrt(inputs), the other zero, so that nothing changes at first.
                    let most = 1.0 / (linear.k as f64).sqrt();
                    let down = uniform(&name, lora.rank * linear.k)
                        .map(|value| (value * most) as f32)
                        .collect();
                    let down = put("lora_A", [lora.rank, linear.k], down);
                    let up = put(
                        "lora_B",
                        [part.rows, lora.rank],
                        vec![0.0; part.rows * lora.rank],
                    );
                    pairs.insert(part.weight, Pair { down, up });
                }
            }
        }
        Self {
            rank: lora.rank,
            scale: lora.alpha / lora.rank as f32,
            pairs,
        }
    }

    /// Whether the adapters are what is trained.
    pub fn are_there(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// The weight at `place` with what its adapters add.
    pub fn weight<'p>(&self, parameters: &'p [Parameter], place: usize) -> Cow<'p, [f32]> {
        let base = &parameters[place].values;
        let Some(pair) = self.pairs.get(&place) else {
            return Cow::Borrowed(base);
        };
        let (down, up) = (&parameters[pair.down].values, &parameters[pair.up].values);
        let columns = down.len() / self.rank;
        let mut whole = base.clone();
        for (row, up) in whole
            .chunks_exact_mut(columns)
            .zip(up.chunks_exact(self.rank))
        {
            for (down, up) in down.chunks_exact(columns).zip(up) {
                let factor = up * self.scale;
                row.iter_mut()
                    .zip(down)
                    .for_each(|(value, down)| *value += factor * down);
            }
        }
        Cow::Owned(whole)
    }

    /// The rows of a linear layer, adapters and all.
    pub fn whole(&self, parameters: &[Parameter], layer: &Layer, which: usize) -> Vec<f32> {
        let linear = &layer.linears[which];
        let mut whole = Vec::with_capacity(linear.n * linear.k);
        for part in &linear.parts {
            whole.extend_from_slice(&self.weight(parameters, part.weight));
        }
        whole
    }

    /// From the gradient of a whole weight to those of its adapters.
    pub fn part(
        &self,
        parameters: &[Parameter],
        place: usize,
        gradient: &[f32],
    ) -> Vec<(usize, Slope)> {
        let Some(pair) = self.pairs.get(&place) else {
            return Vec::new();
        };
        let (down, up) = (&parameters[pair.down].values, &parameters[pair.up].values);
        let columns = down.len() / self.rank;
        let (mut of_down, mut of_up) = (vec![0.0f32; down.len()], vec![0.0f32; up.len()]);
        let rows = gradient
            .chunks_exact(columns)
            .zip(up.chunks_exact(self.rank))
            .zip(of_up.chunks_exact_mut(self.rank));
        for ((gradient, up), of_up) in rows {
            for (((down, of_down), up), of_up) in down
                .chunks_exact(columns)
                .zip(of_down.chunks_exact_mut(columns))
                .zip(up)
                .zip(of_up)
            {
                *of_up = self.scale * crate::kernels::dot(gradient, down);
                let factor = up * self.scale;
                of_down
                    .iter_mut()
                    .zip(gradient)
                    .for_each(|(of_down, gradient)| *of_down += factor * gradient);
            }
        }
        vec![
            (pair.down, Slope::Dense(of_down)),
            (pair.up, Slope::Dense(of_up)),
        ]
    }
}

/// Numbers from -1 to 1 by a hash of the name.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let blocks = (0u64..).flat_map({
        let name = name.to_owned();
        move |block| {
            let mut hash = Sha256::new();
            hash.update(name.as_bytes());
            hash.update(block.to_le_bytes());
            let digest: [u8; 32] = hash.finalize().into();
            let (words, _) = digest.as_chunks::<4>();
            words
                .iter()
                .map(|word| f64::from(u32::from_le_bytes(*word)) / 2_147_483_648.0 - 1.0)
                .collect::<Vec<f64>>()
        }
    });
    blocks.take(count)
}
