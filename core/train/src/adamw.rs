//! AdamW over the rows of a table, lazily: only rows that have a gradient move, as in PyTorch's `SparseAdam`; with
//! decoupled weight decay (Loshchilov, Hutter 2019) on those rows. Its moments can be saved, so that a run resumes
//! exactly; every sum is in a fixed order.

/// The optimiser's state for a table `[rows, dim]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// Length of a row.
    pub dim: usize,
    /// Steps taken.
    pub step: u64,
    /// First moments `[rows, dim]`.
    pub first: Vec<f32>,
    /// Second moments `[rows, dim]`.
    pub second: Vec<f32>,
    /// Decoupled weight decay.
    pub weight_decay: f32,
}

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

impl AdamW {
    /// A fresh state.
    #[must_use]
    pub fn new(rows: usize, dim: usize, weight_decay: f32) -> Self {
        Self {
            dim,
            step: 0,
            first: vec![0.0; rows * dim],
            second: vec![0.0; rows * dim],
            weight_decay,
        }
    }

    /// One step: `gradient` `[rows.len(), dim]` belongs to the `rows` of `table`, each named once.
    ///
    /// # Panics
    /// If a row is not in the table or the gradient has another shape.
    pub fn update(&mut self, table: &mut [f32], rows: &[u32], gradient: &[f32], rate: f64) {
        assert_eq!(
            gradient.len(),
            rows.len() * self.dim,
            "a gradient row for each row named"
        );
        self.step += 1;
        let exponent = i32::try_from(self.step).unwrap_or(i32::MAX);
        let (bias1, bias2) = (
            1.0 - f64::from(BETA1).powi(exponent),
            1.0 - f64::from(BETA2).powi(exponent),
        );
        // As PyTorch writes it: the bias corrections go into the step size.
        let size = (rate * bias2.sqrt() / bias1) as f32;
        let keep = 1.0 - (rate as f32) * self.weight_decay;
        for (&row, gradient) in rows.iter().zip(gradient.chunks_exact(self.dim)) {
            let range = row as usize * self.dim..(row as usize + 1) * self.dim;
            let first = &mut self.first[range.clone()];
            let second = &mut self.second[range.clone()];
            for (((value, m), v), &g) in
                table[range].iter_mut().zip(first).zip(second).zip(gradient)
            {
                *m += (g - *m) * (1.0 - BETA1);
                *v += (g * g - *v) * (1.0 - BETA2);
                *value = *value * keep - size * *m / (v.sqrt() + EPSILON);
            }
        }
    }
}
