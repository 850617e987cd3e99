//! Rotary positions (Su et al. 2021): queries and keys are turned by angles that grow with the position.

/// Cosines and sines `[positions, dim / 2]`.
pub(super) struct Rotary {
    dim: usize,
    angles: Vec<(f32, f32)>,
}

impl Rotary {
    /// For heads of `dim`, up to `positions`.
    pub fn new(dim: usize, positions: usize, theta: f64) -> Self {
        let half = dim / 2;
        let angles = (0..positions).flat_map(|position| {
            (0..half).map(move |pair| {
                // As Hugging Face does it: the frequencies in f32, and their products with the position.
                let frequency = (1.0 / theta.powf((2 * pair) as f64 / dim as f64)) as f32;
                let angle = position as f32 * frequency;
                (angle.cos(), angle.sin())
            })
        });
        Self {
            dim,
            angles: angles.collect(),
        }
    }

    /// Turns the queries and keys of one text, `[t, 3 hidden]`; the other way if `back`.
    pub fn turn(&self, qkv: &mut [f32], heads: usize, back: bool) {
        let (half, hidden) = (self.dim / 2, heads * self.dim);
        for (row, angles) in qkv
            .chunks_exact_mut(3 * hidden)
            .zip(self.angles.chunks_exact(half))
        {
            for head in row[..2 * hidden].chunks_exact_mut(self.dim) {
                let (low, high) = head.split_at_mut(half);
                for ((low, high), (cosine, sine)) in low.iter_mut().zip(high).zip(angles) {
                    let sine = if back { -sine } else { *sine };
                    (*low, *high) = (*low * cosine - *high * sine, *high * cosine + *low * sine);
                }
            }
        }
    }
}
