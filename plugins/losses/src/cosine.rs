//! Cosines of embeddings, and the way back from the slope of the loss along a cosine to the gradient of the embeddings.

use orchestrator_plugin::{LossBatch, LossOutput, dot};

/// The embeddings of a step at unit length, and the gradient collected on them so far.
pub struct Units {
    dim: usize,
    values: Vec<f32>,
    norms: Vec<f32>,
    gradient: Vec<f32>,
}

impl Units {
    /// Of every text. A zero vector stays zero, with gradient zero.
    pub fn of(batch: &LossBatch<'_>) -> Self {
        let mut values = batch.embeddings.to_vec();
        let norms = values
            .chunks_exact_mut(batch.dim.max(1))
            .map(|row| {
                let norm = dot(row, row).sqrt();
                if norm > 0.0 {
                    row.iter_mut().for_each(|value| *value /= norm);
                }
                norm
            })
            .collect();
        Self {
            dim: batch.dim,
            gradient: vec![0.0; values.len()],
            values,
            norms,
        }
    }

    pub fn of_text(&self, text: usize) -> &[f32] {
        &self.values[text * self.dim..(text + 1) * self.dim]
    }

    pub fn cosine(&self, a: usize, b: usize) -> f32 {
        dot(self.of_text(a), self.of_text(b))
    }

    /// Notes `d loss / d cos(a, b) = slope`.
    pub fn pull(&mut self, a: usize, b: usize, slope: f32) {
        for (one, other) in [(a, b), (b, a)] {
            let other = &self.values[other * self.dim..(other + 1) * self.dim];
            let place = &mut self.gradient[one * self.dim..(one + 1) * self.dim];
            for (out, value) in place.iter_mut().zip(other) {
                *out += slope * value;
            }
        }
    }

    /// Notes `d loss / d unit(text) += slope * direction`.
    pub fn push(&mut self, text: usize, slope: f32, direction: &[f32]) {
        let place = &mut self.gradient[text * self.dim..(text + 1) * self.dim];
        for (out, value) in place.iter_mut().zip(direction) {
            *out += slope * value;
        }
    }

    /// Adds what was noted to the gradient of the embeddings: of a gradient `g` on `u = e / |e|`, the part across `u`,
    /// `(g - (g · u) u) / |e|`.
    pub fn write(self, out: &mut LossOutput<'_>) {
        for (text, &norm) in self.norms.iter().enumerate() {
            let gradient = &self.gradient[text * self.dim..(text + 1) * self.dim];
            if norm > 0.0 && gradient.iter().any(|value| *value != 0.0) {
                let unit = self.of_text(text);
                out.add(text, 1.0 / norm, gradient);
                out.add(text, -dot(gradient, unit) / norm, unit);
            }
        }
    }
}

/// The cosines of some texts with others, and the slopes of the loss along them: each measured once and handed on once,
/// however many positives ask about the same pair.
pub struct Cosines {
    left: Side,
    right: Side,
    // Row by row of the left, empty until a pair of the row is asked for. NaN = not measured yet.
    rows: Vec<Vec<Pair>>,
}

#[derive(Clone, Copy)]
struct Pair {
    cosine: f32,
    // Where a positive is picked almost surely, 1 is taken from nearly 1: float32 would leave little of it.
    slope: f64,
}

impl Cosines {
    /// `left` and `right` are texts of a step of `texts`, each once.
    pub fn between(left: &[usize], right: &[usize], texts: usize) -> Self {
        Self {
            rows: vec![Vec::new(); left.len()],
            left: Side::of(left, texts),
            right: Side::of(right, texts),
        }
    }

    fn pair(&mut self, (a, b): (usize, usize)) -> &mut Pair {
        let row = &mut self.rows[self.left.place[a]];
        if row.is_empty() {
            let unknown = Pair {
                cosine: f32::NAN,
                slope: 0.0,
            };
            row.resize(self.right.texts.len(), unknown);
        }
        &mut row[self.right.place[b]]
    }

    /// The cosine of a text of the left and one of the right.
    pub fn at(&mut self, units: &Units, (a, b): (usize, usize)) -> f32 {
        let pair = self.pair((a, b));
        if pair.cosine.is_nan() {
            pair.cosine = units.cosine(a, b);
        }
        pair.cosine
    }

    /// Notes `d loss / d cos(a, b) += slope`.
    pub fn add_slope(&mut self, pair: (usize, usize), slope: f64) {
        self.pair(pair).slope += slope;
    }

    /// Hands what was noted on: some texts of the left at a time, so that each of the right is fetched once for all of them.
    pub fn pull(self, units: &mut Units) {
        let left: Vec<(usize, Vec<Pair>)> = self.left.texts.into_iter().zip(self.rows).collect();
        for some in left.chunks(16) {
            for (column, &b) in self.right.texts.iter().enumerate() {
                for (a, row) in some {
                    match row.get(column) {
                        Some(pair) if pair.slope != 0.0 => units.pull(*a, b, pair.slope as f32),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Texts, and where each stands among them.
struct Side {
    texts: Vec<usize>,
    place: Vec<usize>,
}

impl Side {
    fn of(texts: &[usize], all: usize) -> Self {
        let mut place = vec![usize::MAX; all];
        for (number, &text) in texts.iter().enumerate() {
            place[text] = number;
        }
        Self {
            texts: texts.to_vec(),
            place,
        }
    }
}
