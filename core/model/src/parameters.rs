//! What training changes: named tensors, and their gradients, in one order.

use rayon::prelude::*;

/// Values that one thread works on at a time: fixed, so that sums do not depend on the number of threads.
const PIECE: usize = 4096;

/// A tensor of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// As the model's own files call it.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Vec<f32>,
    /// Whether weight decay draws it towards zero: weights of products, not biases and gains (as Hugging Face's trainer).
    pub decays: bool,
    /// Whether only rows that have a gradient move (PyTorch's `SparseAdam`), instead of all (`AdamW`).
    pub lazy: bool,
    /// Whether training changes it at all.
    pub trained: bool,
}

/// The gradient of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Slope {
    /// Of all its values.
    Dense(Vec<f32>),
    /// Of some rows of a table; of the others it is zero.
    Rows {
        /// Row numbers, ascending.
        rows: Vec<u32>,
        /// `[rows, columns]`.
        values: Vec<f32>,
    },
}

impl Slope {
    /// Its values that are not zero by their place.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Dense(values) | Self::Rows { values, .. } => values,
        }
    }

    fn values_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Dense(values) | Self::Rows { values, .. } => values,
        }
    }

    fn add(&mut self, other: &Self, columns: usize) {
        match (&mut *self, other) {
            (Self::Dense(sum), Self::Dense(values)) => {
                sum.iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value);
            }
            (Self::Dense(sum), Self::Rows { rows, values }) => {
                for (&row, values) in rows.iter().zip(values.chunks_exact(columns)) {
                    let sum = &mut sum[row as usize * columns..][..columns];
                    sum.iter_mut()
                        .zip(values)
                        .for_each(|(sum, value)| *sum += value);
                }
            }
            (Self::Rows { .. }, Self::Dense(values)) => {
                let rows = std::mem::replace(self, Self::Dense(values.clone()));
                // Sums of two are the same either way.
                self.add(&rows, columns);
            }
            (
                Self::Rows { rows, values },
                Self::Rows {
                    rows: others,
                    values: more,
                },
            ) => {
                let mut merged = (Vec::new(), Vec::new());
                let (mut mine, mut theirs) = (0, 0);
                while mine < rows.len() || theirs < others.len() {
                    let (a, b) = (rows.get(mine), others.get(theirs));
                    let take_mine = b.is_none_or(|b| a.is_some_and(|a| a <= b));
                    let take_theirs = a.is_none_or(|a| b.is_some_and(|b| b <= a));
                    let start = merged.1.len();
                    if take_mine {
                        merged.0.push(rows[mine]);
                        merged
                            .1
                            .extend_from_slice(&values[mine * columns..][..columns]);
                        mine += 1;
                    }
                    if take_theirs {
                        let row = &more[theirs * columns..][..columns];
                        if take_mine {
                            let sum = merged.1[start..].iter_mut();
                            sum.zip(row).for_each(|(sum, value)| *sum += value);
                        } else {
                            merged.0.push(others[theirs]);
                            merged.1.extend_from_slice(row);
                        }
                        theirs += 1;
                    }
                }
                (*rows, *values) = merged;
            }
        }
    }
}

/// The gradient of a model: a slope for each parameter, in the parameters' order; none where it is zero or not asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradient {
    /// One for each parameter.
    pub slopes: Vec<Option<Slope>>,
}

impl Gradient {
    /// Adds another, of the same parameters.
    pub fn add(&mut self, other: Self, parameters: &[Parameter]) {
        if self.slopes.is_empty() {
            *self = other;
            return;
        }
        for ((mine, theirs), parameter) in self.slopes.iter_mut().zip(other.slopes).zip(parameters)
        {
            let columns = parameter.shape.last().copied().unwrap_or(1);
            match (mine.as_mut(), theirs) {
                (Some(sum), Some(more)) => sum.add(&more, columns),
                (None, more) => *mine = more,
                (Some(_), None) => {}
            }
        }
    }

    /// Multiplies every value.
    pub fn scale(&mut self, factor: f32) {
        for slope in self.slopes.iter_mut().flatten() {
            let pieces = slope.values_mut().par_chunks_mut(PIECE);
            pieces.for_each(|piece| piece.iter_mut().for_each(|value| *value *= factor));
        }
    }

    /// Its length, all parameters together, summed in their order.
    #[must_use]
    pub fn norm(&self) -> f64 {
        let squares = self.slopes.iter().flatten().map(|slope| {
            let of_piece = |piece: &[f32]| piece.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
            let pieces: Vec<f64> = slope.values().par_chunks(PIECE).map(of_piece).collect();
            pieces.iter().sum::<f64>()
        });
        squares.sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_add_whether_of_all_values_or_of_some_rows() {
        let parameter = Parameter {
            name: "table".to_owned(),
            shape: vec![4, 2],
            values: vec![0.0; 8],
            decays: false,
            lazy: false,
            trained: true,
        };
        let dense = Slope::Dense((1..=8u8).map(f32::from).collect());
        let rows = |rows: &[u32], values: &[f32]| Slope::Rows {
            rows: rows.to_vec(),
            values: values.to_vec(),
        };
        let sum = |a: &Slope, b: &Slope| {
            let of = |slope: &Slope| Gradient {
                slopes: vec![Some(slope.clone())],
            };
            let mut sum = of(a);
            sum.add(of(b), std::slice::from_ref(&parameter));
            sum.slopes.remove(0).expect("a slope")
        };
        let some = rows(&[1, 3], &[10.0, 20.0, 30.0, 40.0]);
        let both = Slope::Dense(vec![1.0, 2.0, 13.0, 24.0, 5.0, 6.0, 37.0, 48.0]);
        assert_eq!(sum(&dense, &some), both);
        assert_eq!(sum(&some, &dense), both);
        let more = rows(&[0, 3], &[1.0, 1.0, 2.0, 2.0]);
        assert_eq!(
            sum(&some, &more),
            rows(&[0, 1, 3], &[1.0, 1.0, 10.0, 20.0, 32.0, 42.0])
        );
        let mut gradient = Gradient {
            slopes: vec![None, Some(rows(&[0], &[3.0, 4.0]))],
        };
        assert!((gradient.norm() - 5.0).abs() < 1e-12);
        gradient.scale(2.0);
        assert!((gradient.norm() - 10.0).abs() < 1e-12);
    }
}
