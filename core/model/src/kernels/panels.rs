//! Words in the order in which products read them: a right factor in panels, packed once and used often.

use rayon::prelude::*;

use super::micro::{self, Word};
use super::pack::pair;
use super::{BLOCK, Level};

/// One line of a processor's cache.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([u32; 16]);

/// Words that begin at a line.
#[derive(Clone, Default)]
pub(super) struct Words(Vec<Line>);

impl Words {
    pub(super) fn of(words: usize) -> Self {
        Self(vec![Line([0; 16]); words.div_ceil(16)])
    }

    /// Makes room for so many; what they are is left from before.
    pub(super) fn reserve(&mut self, words: usize) {
        if self.0.len() * 16 < words {
            self.0.resize(words.div_ceil(16), Line([0; 16]));
        }
    }

    pub(super) fn get(&self) -> &[u32] {
        // SAFETY: a line is sixteen u32 without padding (its size is its alignment).
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    pub(super) fn get_mut(&mut self) -> &mut [u32] {
        // SAFETY: as in `get`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }
}

/// Numbers in whose precision products are done. Sums are f32, or exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Factors rounded to bfloat16, to nearest even; f32 where the processor has no instruction for it.
    Bf16,
    /// Factors as whole numbers of 8 bits: the left one scaled by row, the right one by column.
    Int8,
}

impl Precision {
    pub(super) fn word(self) -> Word {
        match self {
            Self::F32 => Word::F32,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16 if super::has_bf16() => Word::Bf16,
            Self::Bf16 => Word::F32,
            Self::Int8 => Word::Int8,
        }
    }
}

/// Values in a word.
pub(super) const fn values(word: Word) -> usize {
    match word {
        Word::F32 => 1,
        #[cfg(target_arch = "x86_64")]
        Word::Bf16 => 2,
        Word::Int8 => 4,
    }
}

/// A right factor `[k, n]`, packed: blocks of the contracted index, in each the panels, in each its steps.
#[derive(Clone)]
pub(crate) struct Panels {
    pub(super) level: Level,
    pub(super) word: Word,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) words: Words,
    /// Of bytes: what a whole number of each column stands for, and the column's sum.
    pub(super) scales: Vec<f32>,
    pub(super) sums: Vec<i32>,
}

impl Panels {
    /// The transpose of `weights` `[n, k]`: `x W^T`.
    pub fn transposed(weights: &[f32], n: usize, k: usize, precision: Precision) -> Self {
        assert_eq!(weights.len(), n * k);
        Self::pack(n, k, precision, Level::best(), |step, column| {
            weights[column * k + step]
        })
    }

    /// `weights` `[k, n]` as they are: `x W`.
    pub fn straight(weights: &[f32], k: usize, n: usize, precision: Precision) -> Self {
        assert_eq!(weights.len(), n * k);
        Self::pack(n, k, precision, Level::best(), |step, column| {
            weights[step * n + column]
        })
    }

    pub(super) fn pack(
        n: usize,
        k: usize,
        precision: Precision,
        level: Level,
        value: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let (word, width) = (precision.word(), micro::columns(level));
        let per_word = values(word);
        let steps = k.div_ceil(per_word);
        let (mut scales, mut sums) = (Vec::new(), Vec::new());
        if word == Word::Int8 {
            scales = (0..n)
                .into_par_iter()
                .map(|column| {
                    let most = (0..k)
                        .map(|step| value(step, column).abs())
                        .fold(0.0, f32::max);
                    most / 127.0
                })
                .collect();
            sums = vec![0; n];
        }
        let panels = n.div_ceil(width);
        let mut words = Words::of(panels * width * steps);
        let block = Self::block_of(word, steps);
        let mut rest = words.get_mut();
        for start in (0..steps).step_by(block.max(1)) {
            let length = block.min(steps - start);
            let (of_block, after) = rest.split_at_mut(panels * width * length);
            rest = after;
            of_block
                .par_chunks_mut(width * length)
                .enumerate()
                .for_each(|(panel, words)| {
                    let most = width.min(n - panel * width);
                    for (step, words) in words.chunks_exact_mut(width).enumerate() {
                        for (column, to) in words.iter_mut().take(most).enumerate() {
                            let column = panel * width + column;
                            let at = |part: usize| {
                                let step = (start + step) * per_word + part;
                                if step < k { value(step, column) } else { 0.0 }
                            };
                            *to = match word {
                                Word::F32 => at(0).to_bits(),
                                #[cfg(target_arch = "x86_64")]
                                Word::Bf16 => pair(at(0), at(1)),
                                Word::Int8 => {
                                    let scale = scales[column];
                                    let whole = |value: f32| {
                                        if scale > 0.0 {
                                            (value / scale).round_ties_even() as i8
                                        } else {
                                            0
                                        }
                                    };
                                    u32::from_le_bytes(
                                        [0, 1, 2, 3].map(|part| whole(at(part)).cast_unsigned()),
                                    )
                                }
                            };
                        }
                    }
                });
        }
        if word == Word::Int8 {
            let all = words.get();
            for (column, sum) in sums.iter_mut().enumerate() {
                let panel = &all[column / width * width * steps..][..width * steps];
                let of_column = panel.chunks_exact(width).map(|words| words[column % width]);
                *sum = of_column
                    .flat_map(u32::to_le_bytes)
                    .map(|byte| i32::from(byte.cast_signed()))
                    .sum();
            }
        }
        Self {
            level,
            word,
            n,
            k,
            words,
            scales,
            sums,
        }
    }

    /// Steps that are one chain: all, where sums are exact.
    pub(super) fn block_of(word: Word, steps: usize) -> usize {
        if word == Word::Int8 {
            steps
        } else {
            BLOCK.min(steps)
        }
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.words.0.len() * 64
    }
}
