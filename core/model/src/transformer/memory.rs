//! What a transformer takes of memory: told before a run begins, from its shape, and counted where it is.

use super::network::{Family, Linear};
use super::pass::group;
use super::weights::Packed;
use super::{CHUNK, Transformer};
use crate::kernels::{Precision, Right, has_bf16};

/// What a step of training holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Tokens of the texts that are held with their gradient: all of a batch, or of a mini-batch.
    pub tokens: usize,
    /// Of them, tokens of one text, about.
    pub tokens_of_text: usize,
    /// Whether gradients are added up, of mini-batches or of accumulated batches: then two are there at once.
    pub sums: bool,
    /// Threads that work on it.
    pub threads: usize,
}

/// Bytes of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// The parameters.
    pub weights: u64,
    /// The matrices in the order in which products read them, once more each for the way back.
    pub packed: u64,
    /// What layers leave for the way back, and what the gradients of their weights are made of. Buffers are used again, and never
    /// given back.
    pub activations: u64,
    /// The gradient of what is trained.
    pub gradient: u64,
}

impl Memory {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights + self.packed + self.activations + self.gradient
    }
}

const FLOAT: usize = size_of::<f32>();

impl Transformer {
    /// What it holds now, with the buffers that wait to be used again. A gradient is its caller's.
    #[must_use]
    pub fn held(&self) -> Memory {
        let sets = [self.ready.get(), self.trainable.get()];
        let layers = sets.into_iter().flatten().flat_map(|ready| &ready.layers);
        Memory {
            weights: self.bytes_of_weights(),
            packed: layers.flatten().map(Packed::bytes).sum::<usize>() as u64,
            activations: self.room.bytes() as u64,
            gradient: 0,
        }
    }

    fn bytes_of_weights(&self) -> u64 {
        let values = self.parameters.iter().map(|one| one.values.len());
        (values.sum::<usize>() * FLOAT) as u64
    }

    /// What it is going to hold where it only encodes, with so many threads.
    #[must_use]
    pub fn to_encode(&self, threads: usize, tokens_of_text: usize) -> Memory {
        let layers = self.network.layers.iter().flat_map(|layer| &layer.linears);
        let packed = layers.map(|linear| packed(linear.n, linear.k, self.options.precision));
        Memory {
            weights: self.bytes_of_weights(),
            packed: packed.sum::<usize>() as u64,
            activations: (threads * self.on_the_way(tokens_of_text) * FLOAT) as u64,
            gradient: 0,
        }
    }

    /// What it is going to hold at most while it trains and encodes. About: how texts fall into chunks is not known before.
    #[must_use]
    pub fn to_train(&self, step: &Step) -> Memory {
        let encoding = self.to_encode(step.threads, step.tokens_of_text);
        Memory {
            packed: encoding.packed + self.packed_to_train() as u64,
            activations: encoding.activations + (self.activations(step) * FLOAT) as u64,
            gradient: (self.gradient(step) * FLOAT) as u64,
            ..encoding
        }
    }

    /// Bytes of packed matrices beside those that encode.
    fn packed_to_train(&self) -> usize {
        let mut sum = 0;
        // Training by whole numbers is of f32.
        let whole = self.options.precision == Precision::Int8;
        let precision = if whole {
            Precision::F32
        } else {
            self.options.precision
        };
        for (number, layer) in self.network.layers.iter().enumerate() {
            for Linear { n, k, .. } in &layer.linears {
                if whole {
                    sum += packed(*n, *k, precision);
                }
                if number >= self.options.freeze {
                    sum += packed(*k, *n, precision);
                }
            }
        }
        sum
    }

    /// Tokens of a chunk: it is closed by the text that fills it.
    fn tokens_of_chunk(&self, tokens_of_text: usize) -> usize {
        CHUNK + tokens_of_text / 2
    }

    /// Values that the first product of the feed-forward part gives a token.
    fn up(&self) -> usize {
        let gates = if self.shape.family == Family::ModernBert {
            2
        } else {
            1
        };
        gates * self.shape.inner
    }

    /// Values of a chunk on its way through one layer that nothing is kept of.
    fn on_the_way(&self, tokens_of_text: usize) -> usize {
        self.tokens_of_chunk(tokens_of_text)
            * (7 * self.shape.hidden + self.up() + self.shape.inner)
    }

    /// Values of buffers that a step has at once.
    fn activations(&self, step: &Step) -> usize {
        let (hidden, up) = (self.shape.hidden, self.up());
        let trained = self.shape.layers - self.options.freeze;
        // See `Kept`: queries, keys and values; context; rows of two norms; before the activation.
        let of_layer = 6 * hidden + up;
        // The table's rows, what the frozen layers gave, what the last norm was given; the slopes.
        let mut beside = 2;
        beside +=
            usize::from(self.options.freeze > 0) + usize::from(self.network.last_norm.is_some());
        let kept = step.tokens * (trained * of_layer + beside * hidden);
        // See `Factors`, of so many chunks as are worked on between two sums; those that take the place of what was kept are left
        // out.
        let group = group(step.threads) * self.tokens_of_chunk(step.tokens_of_text);
        let of_factors = match self.shape.family {
            Family::ModernBert => 8 * hidden + 2 * up,
            _ => 6 * hidden + up,
        };
        kept + group.min(step.tokens) * of_factors
    }

    /// Values of the gradient.
    fn gradient(&self, step: &Step) -> usize {
        let tables = [
            Some(self.network.words),
            self.network.positions,
            self.network.types,
        ];
        let mut sum = 0;
        for (place, parameter) in self.parameters.iter().enumerate() {
            let all = parameter.values.len();
            if !parameter.trained {
                continue;
            }
            // Of a table, the rows that the texts name.
            let of_step = if tables.contains(&Some(place)) {
                all.min(step.tokens * self.shape.hidden)
            } else {
                all
            };
            sum += if step.sums { all + of_step } else { of_step };
        }
        if self.adapters.are_there() {
            // The adapters' are made of the gradients of whole matrices, a layer at a time.
            let of_layer = |layer: &super::network::Layer| -> usize {
                layer.linears.iter().map(|linear| linear.n * linear.k).sum()
            };
            sum += self.network.layers.iter().map(of_layer).max().unwrap_or(0);
        }
        sum
    }
}

/// Bytes of a right factor `[k, n]`, packed.
fn packed(n: usize, k: usize, precision: Precision) -> usize {
    let per_word = match precision {
        Precision::Bf16 if has_bf16() => 2,
        Precision::F32 | Precision::Bf16 => 1,
        Precision::Int8 => 4,
    };
    Right::padded(n) * k.div_ceil(per_word) * 4
}
