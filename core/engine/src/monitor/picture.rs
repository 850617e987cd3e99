//! Embeddings in the plane: principal components (Pearson 1901), and the turn that lays one picture over another (orthogonal
//! Procrustes, Schönemann 1966), so that pictures of two epochs can be compared.

use rayon::prelude::*;

use super::clusters::Rows;

/// A place in the plane.
pub(crate) type Point = [f64; 2];

/// Directions that are looked for at once: more than two, so that the first two are found soon.
const BLOCK: usize = 8;

/// Rounds after which the plane is what it is.
const ROUNDS: usize = 60;

/// The rows on their first two principal components: subspace iteration over the centred rows (Bauer 1957, with Rayleigh-Ritz),
/// sums in a fixed order. Signs are such that the largest share of each direction is positive. Without spread all are at 0.
pub(crate) fn principal_plane(rows: Rows<'_>) -> Vec<Point> {
    let (n, dim) = (rows.len(), rows.dim);
    if n == 0 || dim == 0 {
        return vec![[0.0; 2]; n];
    }
    let centred = centred(rows);
    let block = BLOCK.min(dim).max(2);
    // Anything that is not at right angles to what is sought will do to begin with: cosines of whole multiples.
    let mut basis: Vec<Vec<f64>> = (0..block)
        .map(|direction| {
            (0..dim)
                .map(|place| {
                    let mixed = crate::seed::mix((direction * dim + place) as u64);
                    (mixed >> 11) as f64 / (1u64 << 53) as f64 - 0.5
                })
                .collect()
        })
        .collect();
    orthonormal(&mut basis);
    let mut shown = project(&centred, dim, &basis);
    let mut before = [0.0; 2];
    for _ in 0..ROUNDS {
        // The basis times the covariance: a column at a time, each summed over the rows in order.
        let columns: Vec<[f64; BLOCK]> = (0..dim)
            .into_par_iter()
            .map(|column| {
                let mut sums = [0.0; BLOCK];
                for (row, of_row) in shown.iter().enumerate() {
                    let value = centred[row * dim + column];
                    for (sum, one) in sums.iter_mut().zip(of_row) {
                        *sum += value * one;
                    }
                }
                sums
            })
            .collect();
        for (direction, one) in basis.iter_mut().enumerate() {
            for (value, sums) in one.iter_mut().zip(&columns) {
                *value = sums[direction];
            }
        }
        orthonormal(&mut basis);
        shown = project(&centred, dim, &basis);
        let spreads = turn_to_axes(&mut basis, &mut shown);
        let settled = |place: usize| {
            (spreads[place] - before[place]).abs() <= 1e-13 * spreads[0].max(f64::MIN_POSITIVE)
        };
        if settled(0) && settled(1) {
            break;
        }
        before = [spreads[0], spreads[1]];
    }
    let sign = |direction: &[f64]| {
        let largest = direction.iter().fold(0.0f64, |largest, value| {
            if value.abs() > largest.abs() {
                *value
            } else {
                largest
            }
        });
        if largest < 0.0 { -1.0 } else { 1.0 }
    };
    let signs = [sign(&basis[0]), sign(&basis[1])];
    shown
        .iter()
        .map(|row| [signs[0] * row[0], signs[1] * row[1]])
        .collect()
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

/// Each centred row along each direction.
fn project(centred: &[f64], dim: usize, basis: &[Vec<f64>]) -> Vec<[f64; BLOCK]> {
    centred
        .par_chunks_exact(dim)
        .map(|row| {
            let mut shown = [0.0; BLOCK];
            for (shown, direction) in shown.iter_mut().zip(basis) {
                *shown = product(row, direction);
            }
            shown
        })
        .collect()
}

/// Turns directions and rows so that the spread along each direction is the most that is left (Rayleigh-Ritz): the eigenvectors
/// of a small symmetric matrix by Jacobi's rotations (1846). The spreads, largest first.
fn turn_to_axes(basis: &mut [Vec<f64>], shown: &mut [[f64; BLOCK]]) -> [f64; BLOCK] {
    let mut matrix = [[0.0f64; BLOCK]; BLOCK];
    for row in shown.iter() {
        for a in 0..BLOCK {
            for b in 0..BLOCK {
                matrix[a][b] += row[a] * row[b];
            }
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
    let turned = |values: &[f64; BLOCK]| -> [f64; BLOCK] {
        std::array::from_fn(|place| {
            (0..BLOCK)
                .map(|one| values[one] * turn[one][order[place]])
                .sum()
        })
    };
    shown.iter_mut().for_each(|row| *row = turned(row));
    let dim = basis.first().map_or(0, Vec::len);
    for column in 0..dim {
        let mut values = [0.0; BLOCK];
        for (value, direction) in values.iter_mut().zip(basis.iter()) {
            *value = direction[column];
        }
        let values = turned(&values);
        for (direction, value) in basis.iter_mut().zip(values) {
            direction[column] = value;
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
