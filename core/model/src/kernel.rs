//! Which of many dot products are high enough: the fast way to them, for where a bound on their error is enough. Its last
//! bits are those of the machine; what must be the same everywhere is summed in a fixed order elsewhere.
//!
//! Two kernels. With AVX2, vectors become whole numbers of 16 bits, each scaled by its length: the processor multiplies and
//! adds twice as many of those at a time as floats, and their sums are exact. Elsewhere, and for lengths that f32 strains to
//! hold, the products are floats, by candle's matrix product.

use candle_core::{Device, Tensor};

use crate::error::Error;

#[cfg(target_arch = "x86_64")]
use crate::whole::Whole;

/// How far from the exact value a product may be: `share * length * length + least`.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Of the product of both lengths.
    pub share: f64,
    /// Whatever the lengths.
    pub least: f64,
}

impl Bound {
    /// Of a sum of `dim` products of f32, in whatever order, fused or not (Higham, Accuracy and Stability of Numerical
    /// Algorithms, 3.1), and of products too small for f32.
    #[must_use]
    pub fn of_floats(dim: usize) -> Self {
        // One more than there are products: a kernel may begin its sum with what it adds to.
        let n = (dim + 1) as f64;
        let unit = f64::from(f32::EPSILON) / 2.0;
        Self {
            share: n * unit / (1.0 - n * unit),
            least: n * f64::from(f32::MIN_POSITIVE),
        }
    }
}

/// Between what the lengths of some vectors lie, zero vectors left out.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    /// No more than the shortest.
    pub shortest: f64,
    /// No less than the longest; infinite or NaN if one has such numbers, or is too long.
    pub longest: f64,
}

impl Lengths {
    /// Of no vectors.
    pub const NONE: Self = Self {
        shortest: f64::INFINITY,
        longest: 0.0,
    };

    /// Of vectors `[rows, dim]`.
    #[must_use]
    pub fn of(vectors: &[f32], dim: usize) -> Self {
        let bound = Bound::of_floats(dim);
        let mut lengths = Self::NONE;
        for one in vectors.chunks_exact(dim) {
            let square = f64::from(square(one));
            let highest = (square * (1.0 + 2.0 * bound.share) + bound.least).sqrt();
            let lowest = (square * (1.0 - 2.0 * bound.share) - bound.least)
                .max(0.0)
                .sqrt();
            if square > 0.0 || one.iter().any(|value| *value != 0.0) {
                lengths = lengths.and(Self {
                    shortest: lowest,
                    longest: highest,
                });
            }
        }
        lengths
    }

    /// Of these vectors and of others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let longer = other.longest > self.longest || other.longest.is_nan();
        Self {
            shortest: self.shortest.min(other.shortest),
            longest: if longer { other.longest } else { self.longest },
        }
    }

    /// Whether lengths and their products are far from the ends of f32.
    #[cfg(any(test, target_arch = "x86_64"))]
    fn are_moderate(self) -> bool {
        self.shortest > 1e-15 && self.longest < 1e15
    }
}

/// The square of a length, in f32.
#[inline(always)]
pub(crate) fn square(vector: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (sixteens, rest) = vector.as_chunks::<16>();
    for some in sixteens {
        for (lane, value) in lanes.iter_mut().zip(some) {
            *lane += value * value;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
}

/// A product: numbers of the left and the right vector, and its value.
pub type Hit = (u32, u32, f32);

/// Vectors made ready for products with many others, on one thread.
pub struct Products {
    dim: usize,
    kernel: Kernel,
}

enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Whole(Box<Whole>),
    /// `[dim, rows]`.
    Float(Tensor),
}

impl Products {
    /// Makes `left` `[rows, dim]` ready. `lengths` are those of left and right vectors.
    ///
    /// # Errors
    /// If candle has no room.
    pub fn of(left: &[f32], dim: usize, lengths: Lengths) -> Result<Self, Error> {
        #[cfg(target_arch = "x86_64")]
        if lengths.are_moderate()
            && let Some(whole) = Whole::of(left, dim)
        {
            let kernel = Kernel::Whole(Box::new(whole));
            return Ok(Self { dim, kernel });
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = lengths;
        let left = Tensor::from_slice(left, (left.len() / dim, dim), &Device::Cpu)?;
        let kernel = Kernel::Float(left.t()?);
        Ok(Self { dim, kernel })
    }

    /// How far a product may be from the exact one.
    #[must_use]
    pub fn bound(&self) -> Bound {
        match &self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Whole(_) => Whole::bound(self.dim),
            Kernel::Float(_) => Bound::of_floats(self.dim),
        }
    }

    /// Appends every product with a vector of `right` `[rows, dim]` that is at least what `enter` says for the left one.
    ///
    /// # Errors
    /// If candle has no room.
    pub fn reaching(
        &mut self,
        right: &[f32],
        enter: &[f32],
        hits: &mut Vec<Hit>,
    ) -> Result<(), Error> {
        match &mut self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Whole(whole) => whole.reaching(right, enter, hits),
            Kernel::Float(left) => {
                let shape = (right.len() / self.dim, self.dim);
                let right = Tensor::from_slice(right, shape, &Device::Cpu)?;
                let products = right.matmul(left)?.flatten_all()?.to_vec1::<f32>()?;
                for (row, scores) in products.chunks_exact(enter.len()).enumerate() {
                    for (place, (score, enter)) in scores.iter().zip(enter).enumerate() {
                        if score >= enter {
                            hits.push((place as u32, row as u32, *score));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Lengths, Products};

    #[test]
    fn products_are_within_their_bound_of_the_exact_ones_by_either_kernel() {
        let value = |n: usize| ((n * 2_654_435_761) % 2001) as f32 / 1000.0 - 1.0;
        for (rows, columns, dim) in [(1, 1, 1), (3, 5, 7), (20, 33, 384), (65, 17, 1025)] {
            // Such lengths are for the kernel of floats.
            for scale in [1.0, 1e-3, 3e4, 1e16] {
                let left: Vec<f32> = (0..rows * dim).map(|n| value(n) * scale).collect();
                let right: Vec<f32> = (0..columns * dim).map(|n| value(n + 77)).collect();
                let lengths = Lengths::of(&left, dim).and(Lengths::of(&right, dim));
                let mut products = Products::of(&left, dim, lengths).unwrap();
                let mut hits = Vec::new();
                let all = vec![f32::NEG_INFINITY; rows];
                products.reaching(&right, &all, &mut hits).unwrap();
                assert_eq!(hits.len(), rows * columns);
                let bound = products.bound();
                for (row, column, found) in hits {
                    let a = &left[row as usize * dim..][..dim];
                    let b = &right[column as usize * dim..][..dim];
                    let sum = |x: &[f32], y: &[f32]| -> f64 {
                        let pairs = x.iter().zip(y);
                        pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
                    };
                    let most = bound.share * (sum(a, a) * sum(b, b)).sqrt() + bound.least;
                    assert!((f64::from(found) - sum(a, b)).abs() <= most);
                }
            }
        }
    }

    #[test]
    fn only_what_reaches_is_given() {
        let left = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8];
        let right = [0.8, 0.6, 0.0, -1.0];
        let lengths = Lengths::of(&left, 2);
        let mut hits = Vec::new();
        let mut products = Products::of(&left, 2, lengths).unwrap();
        products
            .reaching(&right, &[0.9, -2.0, 0.5], &mut hits)
            .unwrap();
        hits.sort_unstable_by_key(|hit| (hit.0, hit.1));
        let places: Vec<(u32, u32)> = hits.iter().map(|hit| (hit.0, hit.1)).collect();
        assert_eq!(places, [(1, 0), (1, 1), (2, 0)]);
    }

    #[test]
    fn lengths_leave_zero_vectors_out_and_tell_what_is_not_finite() {
        let lengths = Lengths::of(&[3.0, 4.0, 0.0, 0.0, 0.6, 0.8], 2);
        assert!((lengths.shortest - 1.0).abs() < 1e-6 && (lengths.longest - 5.0).abs() < 1e-5);
        assert!(lengths.are_moderate());
        for odd in [f32::NAN, f32::INFINITY, 1e30, 1e-30] {
            assert!(
                !Lengths::of(&[1.0, 1.0, odd, 0.0], 2).are_moderate(),
                "{odd}"
            );
        }
    }
}
