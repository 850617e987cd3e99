//! Products of matrices. The right factor is packed into panels once and used often: a layer's weights for every text.

use rayon::prelude::*;

use super::micro::{self, Way, Word};
use super::pack::{self, pair};
use super::{BLOCK, Level};

/// Lengths of rows, in values, at which [`Left::rows`] and [`Left::columns`] may lie: whatever fits rounded up to one.
pub(crate) const STRIDES: [usize; 4] = [80, 528, 2064, 8208];

/// One line of a processor's cache.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Words that begin at a line.
#[derive(Clone, Default)]
struct Words(Vec<Line>);

impl Words {
    fn of(words: usize) -> Self {
        Self(vec![Line([0; 16]); words.div_ceil(16)])
    }

    /// Makes room for so many; what they are is left from before.
    fn reserve(&mut self, words: usize) {
        if self.0.len() * 16 < words {
            self.0.resize(words.div_ceil(16), Line([0; 16]));
        }
    }

    fn get(&self) -> &[u32] {
        // SAFETY: a line is sixteen u32 without padding (its size is its alignment).
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    fn get_mut(&mut self) -> &mut [u32] {
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
    fn word(self) -> Word {
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
    level: Level,
    word: Word,
    n: usize,
    k: usize,
    words: Words,
    /// Of bytes: what a whole number of each column stands for, and the column's sum.
    scales: Vec<f32>,
    sums: Vec<i32>,
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

    fn pack(
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
    fn block_of(word: Word, steps: usize) -> usize {
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

/// Room that products use again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    left: Words,
    right: Words,
    tile: Words,
    scales: Vec<f32>,
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Base<'a> {
    /// Nothing.
    Zero,
    /// A number for each column.
    Bias(&'a [f32]),
    /// What is there.
    Out,
}

/// `out[m, n] = base + a[m, k] right[k, n]`; rows of `a` lie `lda` values apart, those of `out` `ldo`. The product is added
/// block after block.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn multiply(
    (a, lda): (&[f32], usize),
    m: usize,
    right: &Panels,
    (out, ldo): (&mut [f32], usize),
    base: Base<'_>,
    scratch: &mut Scratch,
) {
    let (n, k) = (right.n, right.k);
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        lda >= k && a.len() >= (m - 1) * lda + k,
        "the left factor is too short"
    );
    assert!(
        ldo >= n && out.len() >= (m - 1) * ldo + n,
        "there is no room for the product"
    );
    if let Base::Bias(bias) = base {
        assert_eq!(bias.len(), n, "a number for each column");
    }
    let (level, word) = (right.level, right.word);
    let (height, width) = (micro::rows(level), micro::columns(level));
    let per_word = values(word);
    let steps = k.div_ceil(per_word);
    let block = Panels::block_of(word, steps);
    let panels = n.div_ceil(width);
    if word == Word::Int8 {
        scale_rows(a, lda, m, k, &mut scratch.scales);
    }
    scratch.left.reserve(m * block);
    scratch.tile.reserve(height * width);
    for start in (0..steps).step_by(block.max(1)) {
        let length = block.min(steps - start);
        let from = (
            start * per_word,
            (length * per_word).min(k - start * per_word),
        );
        pack_left(
            a,
            lda,
            m,
            from,
            (word, height, length),
            &scratch.scales,
            scratch.left.get_mut(),
        );
        let right_words = &right.words.get()[panels * width * start..][..panels * width * length];
        let left = scratch.left.get();
        let base = if start > 0 { Base::Out } else { base };
        for (panel, words) in right_words.chunks_exact(width * length).enumerate() {
            let column = panel * width;
            let whole = column + width <= n && word != Word::Int8;
            for row in (0..m).step_by(height) {
                let rows = height.min(m - row);
                let Some(run) = micro::micro(level, word, Way::Packed, 0, rows) else {
                    unreachable!("there is a loop for every number of rows of a tile")
                };
                let of_tile = &left[row * length..][..rows * length];
                if whole {
                    let to = &mut out[row * ldo + column..][..(rows - 1) * ldo + width];
                    let to: *mut u32 = to.as_mut_ptr().cast();
                    let from = match base {
                        Base::Zero => (std::ptr::null(), 0),
                        Base::Bias(bias) => (bias[column..column + width].as_ptr().cast(), 0),
                        Base::Out => (to.cast_const(), ldo),
                    };
                    // SAFETY: the slices were just cut to what the loop reads and writes; f32 and u32 are alike in size and
                    // alignment; panels were packed for this level, which this processor has.
                    unsafe { run(length, of_tile.as_ptr(), words.as_ptr(), (to, ldo), from) }
                    continue;
                }
                let tile = &mut scratch.tile.get_mut()[..rows * width];
                // SAFETY: as above; the tile has rows of the panel's width.
                unsafe {
                    run(
                        length,
                        of_tile.as_ptr(),
                        words.as_ptr(),
                        (tile.as_mut_ptr(), width),
                        (std::ptr::null(), 0),
                    );
                }
                let columns = width.min(n - column);
                if word == Word::Int8 {
                    let bias = match base {
                        Base::Zero => &[][..],
                        Base::Bias(bias) => &bias[column..column + columns],
                        Base::Out => {
                            unreachable!("products of bytes are of encoding, which adds nothing up")
                        }
                    };
                    let (scales, sums) = (
                        &right.scales[column..][..columns],
                        &right.sums[column..][..columns],
                    );
                    let to = &mut out[row * ldo + column..][..(rows - 1) * ldo + columns];
                    super::from_bytes(
                        to,
                        ldo,
                        bias,
                        tile,
                        width,
                        &scratch.scales[row..row + rows],
                        scales,
                        sums,
                    );
                    continue;
                }
                for (i, tile) in tile.chunks_exact(width).enumerate() {
                    let to = &mut out[(row + i) * ldo + column..][..columns];
                    for (place, (to, sum)) in to.iter_mut().zip(tile).enumerate() {
                        let before = match base {
                            Base::Zero => 0.0,
                            Base::Bias(bias) => bias[column + place],
                            Base::Out => *to,
                        };
                        *to = before + f32::from_bits(*sum);
                    }
                }
            }
        }
    }
}

/// What a whole number stands for in each row.
fn scale_rows(a: &[f32], lda: usize, m: usize, k: usize, scales: &mut Vec<f32>) {
    scales.clear();
    scales.extend((0..m).map(|row| super::most(&a[row * lda..][..k]) / 127.0));
}

/// Packs the values `from` (first, number) of each row, tile after tile.
fn pack_left(
    a: &[f32],
    lda: usize,
    m: usize,
    (first, number): (usize, usize),
    (word, height, length): (Word, usize, usize),
    scales: &[f32],
    out: &mut [u32],
) {
    for row in (0..m).step_by(height) {
        let rows = height.min(m - row);
        let mut values: [&[f32]; 16] = [&[]; 16];
        let mut inverses = [0.0; 16];
        for (i, (values, inverse)) in values.iter_mut().zip(&mut inverses).take(rows).enumerate() {
            *values = &a[(row + i) * lda + first..][..number];
            if word == Word::Int8 && scales[row + i] > 0.0 {
                *inverse = 1.0 / scales[row + i];
            }
        }
        let out = &mut out[row * length..][..rows * length];
        pack::tile(&values[..rows], word, &inverses, length, out);
    }
}

/// `out[columns, k] += dy[t, columns]^T x[t, k]`: the gradient of some rows of a layer's weights, one chain over t; and of their
/// biases, the sums of the columns. Rows of `dy` lie `stride` values apart.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn gradient_of_weights(
    (dy, stride): (&[f32], usize),
    columns: std::ops::Range<usize>,
    (x, k): (&[f32], usize),
    (out, of_bias): (&mut [f32], &mut [f32]),
    precision: Precision,
    scratch: &mut Scratch,
) {
    let t = x.len() / k;
    let (level, word) = (Level::best(), precision.word());
    // Whole numbers are for encoding alone.
    let word = if word == Word::Int8 { Word::F32 } else { word };
    let (height, width) = (micro::rows(level), micro::columns(level));
    let per_word = values(word);
    let steps = t.div_ceil(per_word);
    let m = columns.len();
    assert!(
        columns.end <= stride && dy.len() >= t * stride && out.len() == m * k && of_bias.len() == m
    );
    let zeros = vec![0.0f32; m.max(width)];
    // One step's words from its rows: those of f32 as they are, of bfloat16 two rows side by side.
    let step_words = |values: &[f32], stride: usize, step: usize, first: usize, out: &mut [u32]| {
        let n = out.len();
        let row = |row: usize| {
            if row < t {
                &values[row * stride + first..][..n]
            } else {
                &zeros[..n]
            }
        };
        if word == Word::F32 {
            out.iter_mut()
                .zip(row(step))
                .for_each(|(to, value)| *to = value.to_bits());
        } else {
            pack::pairs(row(2 * step), row(2 * step + 1), out);
        }
    };
    scratch.left.reserve(m * steps);
    let mut line = vec![0u32; m];
    for step in 0..steps {
        step_words(dy, stride, step, columns.start, &mut line);
        let left = scratch.left.get_mut();
        for (tile, words) in line.chunks(height).enumerate() {
            let to = &mut left[tile * height * steps + step * words.len()..][..words.len()];
            if let (Some(to), Some(words)) = (to.first_chunk_mut::<14>(), words.first_chunk::<14>())
            {
                *to = *words;
            } else {
                to.copy_from_slice(words);
            }
        }
    }
    for row in dy.chunks_exact(stride).take(t) {
        super::add(of_bias, &row[columns.clone()]);
    }
    scratch.right.reserve(steps * width);
    scratch.tile.reserve(height * width);
    for column in (0..k).step_by(width) {
        let some = width.min(k - column);
        for (step, words) in scratch.right.get_mut()[..steps * width]
            .chunks_exact_mut(width)
            .enumerate()
        {
            let (words, rest) = words.split_at_mut(some);
            step_words(x, k, step, column, words);
            rest.fill(0);
        }
        let right = &scratch.right.get()[..steps * width];
        for row in (0..m).step_by(height) {
            let rows = height.min(m - row);
            let Some(run) = micro::micro(level, word, Way::Packed, 0, rows) else {
                unreachable!("there is a loop for every number of rows of a tile")
            };
            let left = &scratch.left.get()[row * steps..][..rows * steps];
            if some == width {
                let to = &mut out[row * k + column..][..(rows - 1) * k + width];
                // SAFETY: the slices were just cut to what the loop reads and writes; the level is this processor's.
                unsafe {
                    let to: *mut u32 = to.as_mut_ptr().cast();
                    run(
                        steps,
                        left.as_ptr(),
                        right.as_ptr(),
                        (to, k),
                        (to.cast_const(), k),
                    );
                }
                continue;
            }
            let tile = &mut scratch.tile.get_mut()[..rows * width];
            // SAFETY: as above; the tile has rows of the panel's width.
            unsafe {
                run(
                    steps,
                    left.as_ptr(),
                    right.as_ptr(),
                    (tile.as_mut_ptr(), width),
                    (std::ptr::null(), 0),
                );
            }
            for (i, tile) in tile.chunks_exact(width).enumerate() {
                let to = &mut out[(row + i) * k + column..][..some];
                to.iter_mut()
                    .zip(tile)
                    .for_each(|(to, sum)| *to += f32::from_bits(*sum));
            }
        }
    }
}

/// A left factor where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    values: &'a [f32],
    way: Way,
    stride: usize,
}

impl<'a> Left<'a> {
    /// Row i begins at `i * stride`, which is one of [`STRIDES`].
    pub fn rows(values: &'a [f32], stride: usize) -> Self {
        Self {
            values,
            way: Way::Rows,
            stride,
        }
    }

    /// The transpose of such rows.
    pub fn columns(values: &'a [f32], stride: usize) -> Self {
        Self {
            values,
            way: Way::Columns,
            stride,
        }
    }
}

/// A right factor that is packed for a few products, in room that is used again.
#[derive(Default)]
pub(crate) struct Right {
    words: Words,
    steps: usize,
    n: usize,
}

impl Right {
    /// Its columns rounded up to whole panels: the room that a row of the product needs.
    pub fn padded(n: usize) -> usize {
        n.next_multiple_of(micro::columns(Level::best()))
    }

    /// Rows of `values` are the contracted index: `steps` rows of `n` values, `stride` apart.
    pub fn straight(&mut self, values: &[f32], steps: usize, n: usize, stride: usize) {
        let width = micro::columns(Level::best());
        self.reserve(steps, n);
        for (panel, words) in self.words.get_mut()[..n.next_multiple_of(width) * steps]
            .chunks_exact_mut(width * steps)
            .enumerate()
        {
            let columns = width.min(n - panel * width);
            for (step, words) in words.chunks_exact_mut(width).enumerate() {
                let values = &values[step * stride + panel * width..][..columns];
                let (some, rest) = words.split_at_mut(columns);
                some.iter_mut()
                    .zip(values)
                    .for_each(|(to, value)| *to = value.to_bits());
                rest.fill(0);
            }
        }
    }

    /// The transpose: `n` rows of `steps` values, `stride` apart.
    pub fn transposed(&mut self, values: &[f32], n: usize, steps: usize, stride: usize) {
        let width = micro::columns(Level::best());
        self.reserve(steps, n);
        for (panel, words) in self.words.get_mut()[..n.next_multiple_of(width) * steps]
            .chunks_exact_mut(width * steps)
            .enumerate()
        {
            let columns = width.min(n - panel * width);
            for column in 0..width {
                let to = words[column..].iter_mut().step_by(width);
                if column < columns {
                    let values = &values[(panel * width + column) * stride..][..steps];
                    to.zip(values).for_each(|(to, value)| *to = value.to_bits());
                } else {
                    to.for_each(|to| *to = 0);
                }
            }
        }
    }

    fn reserve(&mut self, steps: usize, n: usize) {
        self.words.reserve(steps * Self::padded(n));
        (self.steps, self.n) = (steps, n);
    }
}

/// `out[m, padded n] (+)= left[m, steps] right[steps, n]`, one chain for each value: for the small products of attention.
/// Columns beyond n are filled too: rows of `out` lie `ldo` values apart and have room for [`Right::padded`].
///
/// # Panics
/// If a slice is too short.
pub(crate) fn product(
    left: Left<'_>,
    m: usize,
    right: &Right,
    (out, ldo): (&mut [f32], usize),
    add: bool,
) {
    let level = Level::best();
    let (height, width, steps) = (micro::rows(level), micro::columns(level), right.steps);
    if m == 0 || right.n == 0 {
        return;
    }
    let reach = match left.way {
        Way::Columns => (steps.max(1) - 1) * left.stride + m,
        _ => (m - 1) * left.stride + steps,
    };
    let padded = Right::padded(right.n);
    assert!(left.values.len() >= reach, "the left factor is too short");
    assert!(
        ldo >= padded && out.len() >= (m - 1) * ldo + padded,
        "there is no room for the product"
    );
    let words = &right.words.get()[..padded * steps];
    for row in (0..m).step_by(height) {
        let rows = height.min(m - row);
        let Some(run) = micro::micro(level, Word::F32, left.way, left.stride, rows) else {
            unreachable!("strides are those of STRIDES")
        };
        let from = match left.way {
            Way::Columns => &left.values[row..],
            _ => &left.values[row * left.stride..],
        };
        for panel in 0..padded / width {
            let to = &mut out[row * ldo + panel * width..][..(rows - 1) * ldo + width];
            let words = &words[panel * width * steps..][..width * steps];
            // SAFETY: that left and out reach far enough was asserted above for all rows, and so for these; the panel has a
            // row of the level's width for each step; the level is this processor's.
            unsafe {
                let to: *mut u32 = to.as_mut_ptr().cast();
                let base = if add {
                    to.cast_const()
                } else {
                    std::ptr::null()
                };
                run(
                    steps,
                    from.as_ptr().cast(),
                    words.as_ptr(),
                    (to, ldo),
                    (base, ldo),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, salt: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * 2_654_435_761 + salt * 40_503) % 2003) as f32 / 1001.5 - 1.0)
            .collect()
    }

    fn exact(a: &[f32], w: &[f32], m: usize, n: usize, k: usize) -> Vec<f64> {
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

    #[test]
    fn products_are_right_and_of_the_same_bits_at_every_level() {
        for (m, n, k) in [
            (1, 1, 1),
            (3, 5, 7),
            (14, 32, 384),
            (29, 100, 385),
            (61, 67, 1000),
        ] {
            let (a, w) = (numbers(m * k, 1), numbers(n * k, 2));
            let expected = exact(&a, &w, m, n, k);
            for (precision, share) in [
                (Precision::F32, 1e-6),
                (Precision::Bf16, 6e-3),
                (Precision::Int8, 2e-2),
            ] {
                let mut first: Option<Vec<f32>> = None;
                for level in Level::all().into_iter().filter(|level| level.is_here()) {
                    if precision == Precision::Bf16 && level != Level::best() {
                        continue;
                    }
                    let panels =
                        Panels::pack(n, k, precision, level, |step, column| w[column * k + step]);
                    let mut out = vec![0.5; m * (n + 3)];
                    let half = vec![0.5; n];
                    let base = if precision == Precision::Int8 {
                        Base::Bias(&half)
                    } else {
                        Base::Out
                    };
                    multiply(
                        (&a, k),
                        m,
                        &panels,
                        (&mut out, n + 3),
                        base,
                        &mut Scratch::default(),
                    );
                    for i in 0..m {
                        assert_eq!(out[i * (n + 3) + n..][..3], [0.5; 3], "beyond the row");
                        for j in 0..n {
                            let (found, expected) =
                                (f64::from(out[i * (n + 3) + j]) - 0.5, expected[i * n + j]);
                            let most = share * k as f64 + 1e-6;
                            assert!(
                                (found - expected).abs() < most,
                                "{precision:?} {level:?} {m}x{n}x{k}: {found} {expected}"
                            );
                        }
                    }
                    match &first {
                        None => first = Some(out),
                        Some(first) => assert_eq!(first, &out, "{precision:?} {level:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn small_products_are_right_from_rows_and_from_columns() {
        let (m, n, k) = (17, 40, 33);
        let (a, w) = (numbers(m * k, 3), numbers(n * k, 4));
        let expected = exact(&a, &w, m, n, k);
        let mut right = Right::default();
        right.transposed(&w, n, k, k);
        let (mut rows, mut columns) = (vec![0.0; m * 528], vec![0.0; k * 528]);
        for i in 0..m {
            for s in 0..k {
                rows[i * 528 + s] = a[i * k + s];
                columns[s * 528 + i] = a[i * k + s];
            }
        }
        let padded = Right::padded(n);
        for left in [Left::rows(&rows, 528), Left::columns(&columns, 528)] {
            let mut out = vec![0.0; m * padded];
            product(left, m, &right, (&mut out, padded), false);
            for i in 0..m {
                for j in 0..n {
                    assert!((f64::from(out[i * padded + j]) - expected[i * n + j]).abs() < 1e-5);
                }
                assert!(
                    out[i * padded + n..(i + 1) * padded]
                        .iter()
                        .all(|value| *value == 0.0)
                );
            }
        }
    }
}
