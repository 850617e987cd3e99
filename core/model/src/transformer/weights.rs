//! A layer's matrices made ready for products: packed once for as long as they do not change.

use std::sync::OnceLock;

use super::network::{Linear, Network};
use crate::kernels::{self, Base, Panels, Precision, Scratch};
use crate::parameters::Parameter;

/// One linear layer, ready.
pub(super) struct Packed {
    pub n: usize,
    pub k: usize,
    forward: Panels,
    bias: Option<Vec<f32>>,
    /// Only training asks for it.
    backward: OnceLock<Panels>,
}

impl Packed {
    fn of(
        linear: &Linear,
        weights: &[f32],
        parameters: &[Parameter],
        precision: Precision,
    ) -> Self {
        let bias = linear
            .parts
            .iter()
            .all(|part| part.bias.is_some())
            .then(|| {
                let parts = linear.parts.iter().filter_map(|part| part.bias);
                parts
                    .flat_map(|bias| parameters[bias].values.iter().copied())
                    .collect()
            });
        Self {
            n: linear.n,
            k: linear.k,
            forward: Panels::transposed(weights, linear.n, linear.k, precision),
            bias,
            backward: OnceLock::new(),
        }
    }

    /// `x W^T + b`
    pub fn forward(&self, x: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let rows = x.len() / self.k;
        let base = self.bias.as_deref().map_or(Base::Zero, Base::Bias);
        kernels::multiply(
            (x, self.k),
            rows,
            &self.forward,
            (out, self.n),
            base,
            scratch,
        );
    }

    /// `slopes W`, added to `out` if `add`.
    pub fn backward(&self, slopes: &[f32], out: &mut [f32], add: bool, scratch: &mut Scratch) {
        let Some(backward) = self.backward.get() else {
            unreachable!("the way back is made ready before it is gone")
        };
        let rows = slopes.len() / self.n;
        kernels::multiply(
            (slopes, self.n),
            rows,
            backward,
            (out, self.k),
            if add { Base::Out } else { Base::Zero },
            scratch,
        );
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.forward.bytes() + self.backward.get().map_or(0, Panels::bytes)
    }
}

/// All layers, ready.
pub(super) struct Ready {
    pub layers: Vec<[Packed; 4]>,
    /// What MPNet's attention adds for each distance.
    pub relative: Vec<f32>,
    precision: Precision,
}

impl Ready {
    pub fn of(
        network: &Network,
        parameters: &[Parameter],
        adapters: &super::lora::Adapters,
        precision: Precision,
        relative: Vec<f32>,
    ) -> Self {
        let layers = network.layers.iter().map(|layer| {
            [0, 1, 2, 3].map(|which| {
                let linear = &layer.linears[which];
                Packed::of(
                    linear,
                    &adapters.whole(parameters, layer, which),
                    parameters,
                    precision,
                )
            })
        });
        Self {
            layers: layers.collect(),
            relative,
            precision,
        }
    }

    /// Makes the way back ready, from layer `lowest` on.
    pub fn prepare(
        &self,
        network: &Network,
        parameters: &[Parameter],
        adapters: &super::lora::Adapters,
        lowest: usize,
    ) {
        for (packed, layer) in self.layers.iter().zip(&network.layers).skip(lowest) {
            for (which, packed) in packed.iter().enumerate() {
                if packed.backward.get().is_none() {
                    let weights = adapters.whole(parameters, layer, which);
                    // If another thread was first, it put the same there.
                    let panels = Panels::straight(&weights, packed.n, packed.k, self.precision);
                    let _ = packed.backward.set(panels);
                }
            }
        }
    }
}
