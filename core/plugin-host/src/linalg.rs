//! Matrix products whose bits depend on nothing but their inputs: every dot product in one fixed order, no fused
//! multiply-add, no thread count.

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

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for row in 0..rows {
        for column in 0..columns {
            out[column * rows + row] = values[row * columns + column];
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
        transposed(a, k, m)
    } else {
        a.to_vec()
    };
    let columns_of_b = if transpose_b {
        b.to_vec()
    } else {
        transposed(b, k, n)
    };
    for row in 0..m {
        let left = &rows_of_a[row * k..(row + 1) * k];
        for column in 0..n {
            let product = alpha * dot(left, &columns_of_b[column * k..(column + 1) * k]);
            let place = &mut c[row * n + column];
            *place = if beta == 0.0 {
                product
            } else {
                product + beta * *place
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sgemm;

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
}
