//! Products of matrices whose right factor is in panels, and the gradient of weights.

use super::Level;
use super::micro::{self, Micro, Way, Word};
use super::pack;
use super::panels::{Panels, Precision, Words, values};

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
    let tiles = Tiles::of(level, word, m);
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
            if word != Word::Int8 {
                let place = (column, width.min(n - column));
                tiles.add(
                    left,
                    m,
                    length,
                    words,
                    (&mut *out, ldo),
                    place,
                    base,
                    &mut scratch.tile,
                );
                continue;
            }
            let columns = width.min(n - column);
            let bias = match base {
                Base::Zero => &[][..],
                Base::Bias(bias) => &bias[column..column + columns],
                Base::Out => {
                    unreachable!("products of bytes are of encoding, which adds nothing up")
                }
            };
            for row in (0..m).step_by(height) {
                let rows = height.min(m - row);
                let of_tile = &left[row * length..][..rows * length];
                let tile = tiles.apart(rows, length, of_tile, words, &mut scratch.tile);
                super::from_bytes(
                    &mut out[row * ldo + column..][..(rows - 1) * ldo + columns],
                    ldo,
                    bias,
                    tile,
                    width,
                    &scratch.scales[row..row + rows],
                    &right.scales[column..][..columns],
                    &right.sums[column..][..columns],
                );
            }
        }
    }
}

/// The loops for tiles of packed rows by a panel: for whole tiles, and for what is left of the rows.
struct Tiles {
    height: usize,
    width: usize,
    whole: Micro,
    last: Micro,
}

impl Tiles {
    /// For `m` rows.
    fn of(level: Level, word: Word, m: usize) -> Self {
        let height = micro::rows(level);
        let of_rows = |rows: usize| {
            let Some(run) = micro::micro(level, word, Way::Packed, 0, rows) else {
                unreachable!("there is a loop for every number of rows of a tile")
            };
            run
        };
        let left = m % height;
        Self {
            height,
            width: micro::columns(level),
            whole: of_rows(height),
            last: of_rows(if left == 0 { height } else { left }),
        }
    }

    fn run(&self, rows: usize) -> Micro {
        if rows == self.height {
            self.whole
        } else {
            self.last
        }
    }

    /// The sums of a tile of `rows`, by themselves.
    fn apart<'t>(
        &self,
        rows: usize,
        steps: usize,
        left: &[u32],
        panel: &[u32],
        tile: &'t mut Words,
    ) -> &'t [u32] {
        let tile = &mut tile.get_mut()[..rows * self.width];
        assert!(left.len() == rows * steps && panel.len() == self.width * steps);
        // SAFETY: left, panel and tile have what the loop reads and writes, as was just asserted and cut; the loops are of a
        // level that this processor has.
        unsafe {
            self.run(rows)(
                steps,
                left.as_ptr(),
                panel.as_ptr(),
                (tile.as_mut_ptr(), self.width),
                (std::ptr::null(), 0),
            );
        }
        tile
    }

    /// The products of all rows with a panel, of f32 sums, into the `place` (first column, number) of `out`.
    #[allow(clippy::too_many_arguments)] // They are what one product has.
    fn add(
        &self,
        left: &[u32],
        m: usize,
        steps: usize,
        panel: &[u32],
        (out, ldo): (&mut [f32], usize),
        (column, columns): (usize, usize),
        base: Base<'_>,
        tile: &mut Words,
    ) {
        let width = self.width;
        assert_eq!(panel.len(), width * steps);
        for row in (0..m).step_by(self.height) {
            let rows = self.height.min(m - row);
            let left = &left[row * steps..][..rows * steps];
            if columns == width {
                let to = &mut out[row * ldo + column..][..(rows - 1) * ldo + width];
                let to: *mut u32 = to.as_mut_ptr().cast();
                let from = match base {
                    Base::Zero => (std::ptr::null(), 0),
                    Base::Bias(bias) => (bias[column..column + width].as_ptr().cast(), 0),
                    Base::Out => (to.cast_const(), ldo),
                };
                // SAFETY: the slices were just cut to what the loop reads and writes; f32 and u32 are alike in size and
                // alignment; the loops are of a level that this processor has.
                unsafe { self.run(rows)(steps, left.as_ptr(), panel.as_ptr(), (to, ldo), from) }
                continue;
            }
            let tile = self.apart(rows, steps, left, panel, tile);
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
    let tiles = Tiles::of(level, word, m);
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
        let left = scratch.left.get();
        tiles.add(
            left,
            m,
            steps,
            right,
            (&mut *out, k),
            (column, some),
            Base::Out,
            &mut scratch.tile,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers_of_tests::{exact, numbers};
    use super::*;

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
}
