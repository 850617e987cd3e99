//! The small products of attention: a left factor where it lies, a right one that is packed for a few products.

use super::Level;
use super::micro::{self, Way, Word};
use super::panels::Words;

/// Lengths of rows, in values, at which [`Left::rows`] and [`Left::columns`] may lie: whatever fits rounded up to one.
pub(crate) const STRIDES: [usize; 4] = [80, 528, 2064, 8208];

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
    use super::super::numbers_of_tests::{exact, numbers};
    use super::*;

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
