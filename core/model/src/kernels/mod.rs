//! The hot path of encoders on a CPU: matrix products, and the functions between them, by the widest vectors that the
//! processor has. The only module of this crate with `unsafe`; what it exports is safe.
//!
//! f32 results are the same on every processor and for any number of threads: a product is summed in blocks of [`BLOCK`]
//! values of the contracted index, each block one chain of fused multiply-adds in order, and the blocks are added in order.

#![allow(unsafe_code)]

mod micro;
mod pack;
mod panels;
mod product;
mod small;
mod vectors;

pub(crate) use panels::Panels;
pub use panels::Precision;
pub(crate) use product::{Base, Scratch, gradient_of_weights, multiply};
pub(crate) use small::{Left, Right, STRIDES, product};
pub use vectors::Activation;
pub(crate) use vectors::*;

use std::sync::OnceLock;

/// Values of the contracted index that are summed as one chain.
pub const BLOCK: usize = 384;

static BEST: OnceLock<Level> = OnceLock::new();

/// What the processor's vectors can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Whatever the compiler makes of plain Rust: on aarch64, NEON.
    Plain,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512: F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The highest that this processor has, or less if [`Level::limit`] said so.
    #[must_use]
    pub fn best() -> Self {
        *BEST.get_or_init(|| {
            Self::all()
                .into_iter()
                .rfind(|level| level.is_here())
                .unwrap_or(Self::Plain)
        })
    }

    /// Uses no more than this level from now on; `false` if the level was asked for before, or is not here. Results in f32 are
    /// the same at every level: this shows it.
    pub fn limit(level: Self) -> bool {
        level.is_here() && BEST.set(level).is_ok()
    }

    /// Every level of this architecture, the lowest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::Plain,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512,
        ]
    }

    /// Whether this processor has it.
    #[must_use]
    pub fn is_here(self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && Self::Avx2.is_here()
            }
        }
    }
}

/// Whether products of bfloat16 are done by the processor's own instruction (AVX512-BF16).
#[must_use]
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Level::best() == Level::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether products of bytes are done by the processor's own instruction (AVX512-VNNI).
#[must_use]
pub fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Level::best() == Level::Avx512 && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod numbers_of_tests {
    /// Numbers from -1 to 1 that look random.
    pub fn numbers(n: usize, salt: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 2_654_435_761 + salt * 40_503) % 2003) as f32 / 1001.5 - 1.0)
            .collect()
    }

    /// `a W^T` in f64.
    pub fn exact(a: &[f32], w: &[f32], m: usize, n: usize, k: usize) -> Vec<f64> {
        let mut out = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                out[i * n + j] = (0..k)
                    .map(|s| f64::from(a[i * k + s]) * f64::from(w[j * k + s]))
                    .sum();
            }
        }
        out
    }
}
