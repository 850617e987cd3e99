//! The fast matrix product, for where a bound on its error is enough: it adds in whatever order suits the processor, so
//! its last bits are those of the machine. What must be the same everywhere is summed in a fixed order elsewhere.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// The dot product of every row of `left` with every row of `right`, on this thread. `left` and `right` are
/// `[rows, dim]`, `out` is `[left rows, right rows]`, all row-major.
///
/// # Panics
/// If `out` has another shape.
pub fn products(left: &[f32], right: &[f32], dim: usize, out: &mut [f32]) {
    let (rows, columns) = (left.len() / dim, right.len() / dim);
    matmul(
        MatMut::from_row_major_slice_mut(out, rows, columns),
        Accum::Replace,
        MatRef::from_row_major_slice(left, rows, dim),
        MatRef::from_row_major_slice(right, columns, dim).transpose(),
        1.0,
        Par::Seq,
    );
}

/// How far from the exact value a dot product of `dim` f32 products may be, whatever the order of its sum, fused or not:
/// as a share of the product of both lengths (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), and an
/// absolute part for products too small for f32.
#[must_use]
pub fn rounding(dim: usize) -> (f64, f64) {
    // One more than there are products: a kernel may begin its sum with what it adds to.
    let n = (dim + 1) as f64;
    let unit = f64::from(f32::EPSILON) / 2.0;
    (
        n * unit / (1.0 - n * unit),
        n * f64::from(f32::MIN_POSITIVE),
    )
}

#[cfg(test)]
mod tests {
    use super::{products, rounding};

    #[test]
    fn products_are_within_the_rounding_of_the_exact_ones() {
        let value = |n: usize| ((n * 2_654_435_761) % 2001) as f32 / 1000.0 - 1.0;
        for (rows, columns, dim) in [(1, 1, 1), (3, 5, 7), (20, 33, 384), (65, 17, 1025)] {
            let left: Vec<f32> = (0..rows * dim).map(value).collect();
            let right: Vec<f32> = (0..columns * dim).map(|n| value(n + 77)).collect();
            let mut out = vec![f32::NAN; rows * columns];
            products(&left, &right, dim, &mut out);
            let (share, least) = rounding(dim);
            for (place, found) in out.iter().enumerate() {
                let a = &left[place / columns * dim..][..dim];
                let b = &right[place % columns * dim..][..dim];
                let sum = |x: &[f32], y: &[f32]| -> f64 {
                    let pairs = x.iter().zip(y);
                    pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
                };
                let bound = share * (sum(a, a) * sum(b, b)).sqrt() + least;
                assert!((f64::from(*found) - sum(a, b)).abs() <= bound);
            }
        }
    }
}
