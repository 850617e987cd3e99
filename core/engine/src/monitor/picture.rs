//! Embeddings in the plane: principal components (Pearson 1901), and the turn that lays one picture over another (orthogonal
//! Procrustes, Schönemann 1966), so that pictures of two epochs can be compared.

use rayon::prelude::*;

use super::clusters::Rows;
use crate::seed::mix;

/// A place in the plane.
pub(crate) type Point = [f64; 2];

/// Directions that are looked for at once: more than two, so that the first two are found soon.
const BLOCK: usize = 8;

/// Rounds after which the plane is what it is.
const ROUNDS: usize = 100;

/// The rows on their first two principal components: the products of the centred rows with each other, or of their columns
/// where those are fewer, and subspace iteration over that matrix (Bauer 1957, with Rayleigh-Ritz); sums in a fixed order. Signs
/// are such that the largest share of each direction is positive. Without spread all are at 0.
pub(crate) fn principal_plane(rows: Rows<'_>) -> Vec<Point> {
    let (n, dim) = (rows.len(), rows.dim);
    if n == 0 || dim == 0 {
        return vec![[0.0; 2]; n];
    }
    let centred = centred(rows);
    let columns: Vec<f64> = (0..dim)
        .flat_map(|column| centred.iter().skip(column).step_by(dim))
        .copied()
        .collect();
    let of_columns = |weights: &[f64]| -> Vec<f64> {
        let columns = columns.chunks_exact(n);
        columns.map(|column| product(column, weights)).collect()
    };
    let found = if n < dim {
        leading(&products(&centred, dim), n)
    } else {
        leading(&products(&columns, n), dim)
    };
    let mut directions: Vec<Vec<f64>> = found
        .into_iter()
        .map(|one| if n < dim { of_columns(&one) } else { one })
        .collect();
    orthonormal(&mut directions);
    for direction in &mut directions {
        let largest = direction.iter().fold(0.0f64, |largest, value| {
            if value.abs() > largest.abs() {
                *value
            } else {
                largest
            }
        });
        if largest < 0.0 {
            direction.iter_mut().for_each(|value| *value = -*value);
        }
    }
    centred
        .chunks_exact(dim)
        .map(|row| [0, 1].map(|place| product(row, &directions[place])))
        .collect()
}

/// Products of vectors `[n, length]` with each other, `[n, n]`.
fn products(vectors: &[f64], length: usize) -> Vec<f64> {
    let n = vectors.len() / length;
    let of = |place: usize| &vectors[place * length..(place + 1) * length];
    let lower: Vec<Vec<f64>> = (0..n)
        .into_par_iter()
        .map(|one| (0..=one).map(|other| product(of(one), of(other))).collect())
        .collect();
    let mut all = vec![0.0; n * n];
    for (one, row) in lower.iter().enumerate() {
        for (other, value) in row.iter().enumerate() {
            all[one * n + other] = *value;
            all[other * n + one] = *value;
        }
    }
    all
}

/// The two eigenvectors of a symmetric matrix `[n, n]` without negative eigenvalues that have the largest ones.
fn leading(matrix: &[f64], n: usize) -> [Vec<f64>; 2] {
    // Anything that is not at right angles to what is sought will do to begin with.
    let mut basis: Vec<Vec<f64>> = (0..BLOCK as u64)
        .map(|direction| {
            let value = |place: u64| (mix(direction << 32 | place) >> 11) as f64;
            (0..n as u64)
                .map(|place| value(place) / (1u64 << 53) as f64 - 0.5)
                .collect()
        })
        .collect();
    let mut before = [0.0; 2];
    for _ in 0..ROUNDS {
        orthonormal(&mut basis);
        let mut image: Vec<Vec<f64>> = basis
            .iter()
            .map(|one| {
                matrix
                    .chunks_exact(n)
                    .map(|row| product(row, one))
                    .collect()
            })
            .collect();
        let eigenvalues = turn_to_axes(&mut basis, &mut image);
        let settled = |place: usize| {
            let change = (eigenvalues[place] - before[place]).abs();
            change <= 1e-13 * eigenvalues[0].max(f64::MIN_POSITIVE)
        };
        if settled(0) && settled(1) {
            break;
        }
        before = [eigenvalues[0], eigenvalues[1]];
        basis = image;
    }
    orthonormal(&mut basis);
    let mut basis = basis.into_iter();
    [(); 2].map(|()| basis.next().unwrap_or_default())
}

fn centred(rows: Rows<'_>) -> Vec<f64> {
    let (n, dim) = (rows.len(), rows.dim);
    let mut means = vec![0.0f64; dim];
    for place in 0..n {
        for (mean, value) in means.iter_mut().zip(rows.at(place)) {
            *mean += f64::from(*value);
        }
    }
    means.iter_mut().for_each(|mean| *mean /= n as f64);
    rows.values
        .chunks_exact(dim)
        .flat_map(|row| {
            row.iter()
                .zip(&means)
                .map(|(value, mean)| f64::from(*value) - mean)
        })
        .collect()
}

/// Gram-Schmidt, twice: what nothing is left of becomes zero.
fn orthonormal(basis: &mut [Vec<f64>]) {
    for place in 0..basis.len() {
        let (done, rest) = basis.split_at_mut(place);
        let one = &mut rest[0];
        let whole = product(one, one).sqrt();
        for _ in 0..2 {
            for other in done.iter() {
                let share = product(one, other);
                for (value, other) in one.iter_mut().zip(other) {
                    *value -= share * other;
                }
            }
        }
        let length = product(one, one).sqrt();
        // What is left of a direction that the others span is rounding.
        let scale = if length > 1e-12 * whole {
            1.0 / length
        } else {
            0.0
        };
        one.iter_mut().for_each(|value| *value *= scale);
    }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 4];
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    for (x, y) in a4.iter().zip(b4) {
        for lane in 0..4 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

/// Turns a basis and its image so that each direction has the largest eigenvalue that is left (Rayleigh-Ritz): the eigenvectors
/// of a small symmetric matrix by Jacobi's rotations (1846). The eigenvalues, largest first.
fn turn_to_axes(basis: &mut [Vec<f64>], image: &mut [Vec<f64>]) -> [f64; BLOCK] {
    let mut matrix = [[0.0f64; BLOCK]; BLOCK];
    for a in 0..BLOCK {
        for b in 0..=a {
            matrix[a][b] = product(&basis[a], &image[b]);
            matrix[b][a] = matrix[a][b];
        }
    }
    let mut turn = [[0.0f64; BLOCK]; BLOCK];
    (0..BLOCK).for_each(|place| turn[place][place] = 1.0);
    for _ in 0..30 {
        for a in 0..BLOCK {
            for b in a + 1..BLOCK {
                if matrix[a][b] == 0.0 {
                    continue;
                }
                let theta = (matrix[b][b] - matrix[a][a]) / (2.0 * matrix[a][b]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in &mut matrix {
                    (row[a], row[b]) = (c * row[a] - s * row[b], s * row[a] + c * row[b]);
                }
                let (above, below) = matrix.split_at_mut(b);
                for (x, y) in above[a].iter_mut().zip(&mut below[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
                for row in &mut turn {
                    (row[a], row[b]) = (c * row[a] - s * row[b], s * row[a] + c * row[b]);
                }
            }
        }
    }
    let mut order: [usize; BLOCK] = std::array::from_fn(|place| place);
    order.sort_by(|a, b| matrix[*b][*b].total_cmp(&matrix[*a][*a]).then(a.cmp(b)));
    for vectors in [basis, image] {
        for place in 0..vectors[0].len() {
            let values: [f64; BLOCK] = std::array::from_fn(|one| vectors[one][place]);
            for (vector, to) in vectors.iter_mut().zip(order) {
                vector[place] = (0..BLOCK).map(|one| values[one] * turn[one][to]).sum();
            }
        }
    }
    std::array::from_fn(|place| matrix[order[place]][order[place]])
}

/// Turns and mirrors `points` so that those of `pairs` (a place in `points`, where it was before) lie as near as they can to where
/// they were: orthogonal Procrustes, in closed form in the plane. Nothing moves without pairs.
pub(crate) fn laid_over(points: &[Point], pairs: &[(usize, Point)]) -> Vec<Point> {
    let mut sums = [[0.0f64; 2]; 2];
    for (place, before) in pairs {
        for a in 0..2 {
            for b in 0..2 {
                sums[a][b] += points[*place][a] * before[b];
            }
        }
    }
    let [[xx, xy], [yx, yy]] = sums;
    // Of all turns, and of all turns of a mirrored picture, the best; then the better of the two.
    let turned = [xx + yy, xy - yx];
    let mirrored = [xx - yy, xy + yx];
    let length = |one: [f64; 2]| (one[0] * one[0] + one[1] * one[1]).sqrt();
    let (best, flip) = if length(turned) >= length(mirrored) {
        (turned, 1.0)
    } else {
        (mirrored, -1.0)
    };
    let whole = length(best);
    if whole == 0.0 {
        return points.to_vec();
    }
    let (c, s) = (best[0] / whole, best[1] / whole);
    points
        .iter()
        .map(|[x, y]| [x * c - flip * y * s, x * s + flip * y * c])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, numbers};
    use super::*;

    fn points(of: &serde_json::Value) -> Vec<Point> {
        let values = numbers(of);
        values.as_chunks::<2>().0.to_vec()
    }

    fn assert_close(found: &[Point], expected: &[Point], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (place, (a, b)) in found.iter().zip(expected).enumerate() {
            let far = (a[0] - b[0]).abs().max((a[1] - b[1]).abs());
            assert!(far < tolerance, "{place}: {a:?} against {b:?}");
        }
    }

    #[test]
    fn the_plane_is_the_one_scikit_learn_finds() {
        let cases = fixture()["planes"].clone();
        for case in cases.as_array().expect("cases") {
            let values: Vec<f32> = numbers(&case["rows"])
                .into_iter()
                .map(|one| one as f32)
                .collect();
            let rows = Rows {
                values: &values,
                dim: case["dim"].as_u64().expect("dim") as usize,
            };
            assert_close(&principal_plane(rows), &points(&case["points"]), 1e-5);
        }
    }

    #[test]
    fn a_picture_is_laid_over_another_as_scipy_does() {
        let cases = fixture()["procrustes"].clone();
        for case in cases.as_array().expect("cases") {
            let (now, before) = (points(&case["now"]), points(&case["before"]));
            let pairs: Vec<(usize, Point)> = before.into_iter().enumerate().collect();
            assert_close(&laid_over(&now, &pairs), &points(&case["laid"]), 1e-9);
        }
    }

    #[test]
    fn what_has_no_spread_or_no_pairs_stays() {
        let same = [0.6f32, 0.8].repeat(5);
        let rows = Rows {
            values: &same,
            dim: 2,
        };
        for point in principal_plane(rows) {
            assert!(point[0].abs() < 1e-9 && point[1].abs() < 1e-9);
        }
        let none = Rows {
            values: &[],
            dim: 2,
        };
        assert!(principal_plane(none).is_empty());
        assert_eq!(laid_over(&[[1.0, 2.0]], &[]), [[1.0, 2.0]]);
    }
}
