//! Matrix products whose bits depend on nothing but their inputs: every dot product in one fixed order, no fused
//! multiply-add, no thread count.

use std::borrow::Cow;

/// Dot product over eight lanes, then their sum: the same bits on every machine.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let mut sum = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5]))
        + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    for (x, y) in a_rest.iter().zip(b_rest) {
        sum += x * y;
    }
    sum
}

/// [`dot`] of one vector with four, bit for bit: four sums at a time hide how long additions and memory take.
#[must_use]
pub fn dots(a: &[f32], b: [&[f32]; 4]) -> [f32; 4] {
    let mut lanes = [[0.0f32; 8]; 4];
    let (a8, a_rest) = a.as_chunks::<8>();
    let b8 = b.map(|one| &one.as_chunks::<8>().0[..a8.len()]);
    for (step, x) in a8.iter().enumerate() {
        for one in 0..4 {
            let y = &b8[one][step];
            for lane in 0..8 {
                lanes[one][lane] += x[lane] * y[lane];
            }
        }
    }
    let mut sums = lanes.map(|lanes| {
        ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5]))
            + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]))
    });
    for (sum, one) in sums.iter_mut().zip(b) {
        for (x, y) in a_rest.iter().zip(&one[a8.len() * 8..]) {
            *sum += x * y;
        }
    }
    sums
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    // In squares, so that both sides stay in the first cache.
    const SIDE: usize = 32;
    for top in (0..rows).step_by(SIDE) {
        for left in (0..columns).step_by(SIDE) {
            for row in top..(top + SIDE).min(rows) {
                for column in left..(left + SIDE).min(columns) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
}

/// `C = alpha * op(A) op(B) + beta * C` for row-major matrices, op(A) `[m, k]`, op(B) `[k, n]`, C `[m, n]`.
#[allow(clippy::too_many_arguments)] // The signature of BLAS.
pub fn sgemm(
    (transpose_a, transpose_b): (bool, bool),
    (m, n, k): (usize, usize, usize),
    alpha: f32,
    a: &[f32],
    b: &[f32],
    beta: f32,
    c: &mut [f32],
) {
    let rows_of_a = if transpose_a {
        Cow::from(transposed(a, k, m))
    } else {
        Cow::from(a)
    };
    let columns_of_b = if transpose_b {
        Cow::from(b)
    } else {
        Cow::from(transposed(b, k, n))
    };
    let column_of_b = |column: usize| &columns_of_b[column * k..(column + 1) * k];
    let put = |place: &mut f32, product: f32| {
        let product = alpha * product;
        *place = if beta == 0.0 {
            product
        } else {
            product + beta * *place
        };
    };
    // A group of columns at a time, so that it is still in the cache for the next row.
    const GROUP: usize = 64;
    for first in (0..n).step_by(GROUP) {
        let last = (first + GROUP).min(n);
        for row in 0..m {
            let left = &rows_of_a[row * k..(row + 1) * k];
            let of_row = &mut c[row * n + first..row * n + last];
            let (fours, rest) = of_row.as_chunks_mut::<4>();
            let mut column = first;
            for four in fours {
                let right = [0, 1, 2, 3].map(|one| column_of_b(column + one));
                for (place, product) in four.iter_mut().zip(dots(left, right)) {
                    put(place, product);
                }
                column += 4;
            }
            for place in rest {
                put(place, dot(left, column_of_b(column)));
                column += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{dot, sgemm};

    #[test]
    fn every_way_of_storing_the_matrices_gives_the_product() {
        let (a, a_t) = ([1., 2., 3., 4., 5., 6.], [1., 4., 2., 5., 3., 6.]);
        let (b, b_t) = ([7., 8., 9., 10., 11., 12.], [7., 9., 11., 8., 10., 12.]);
        for (transposes, a, b) in [
            ((false, false), a, b),
            ((true, false), a_t, b),
            ((false, true), a, b_t),
            ((true, true), a_t, b_t),
        ] {
            let mut c = [1.0; 4];
            sgemm(transposes, (2, 2, 3), 1.0, &a, &b, 2.0, &mut c);
            assert_eq!(c, [60., 66., 141., 156.], "{transposes:?}");
        }
    }

    #[test]
    fn every_product_has_the_bits_of_dot() {
        let value = |n: usize| ((n * 2_654_435_761) % 2001) as f32 / 1000.0 - 1.0;
        for (m, n, k) in [(1, 1, 1), (3, 6, 7), (5, 130, 33), (70, 9, 384), (2, 3, 0)] {
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..n * k).map(|place| value(place + 77)).collect();
            let before: Vec<f32> = (0..m * n).map(|place| value(place + 5)).collect();
            let mut c = before.clone();
            sgemm((false, true), (m, n, k), 0.3, &a, &b, 0.7, &mut c);
            for place in 0..m * n {
                let (left, right) = (&a[place / n * k..][..k], &b[place % n * k..][..k]);
                let expected = 0.3 * dot(left, right) + 0.7 * before[place];
                assert_eq!(c[place].to_bits(), expected.to_bits(), "{m} {n} {k}");
            }
        }
    }
}
