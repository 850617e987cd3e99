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

/// The cosine of each of some texts with each of others, and the slope of the loss along each: a table filled once,
/// however many positives ask about the same pair.
pub struct Cosines {
    left: Side,
    right: Side,
    values: Vec<f32>,
    // Of a positive picked almost surely, 1 is taken from nearly 1: float32 would leave little of it.
    slopes: Vec<f64>,
}

impl Cosines {
    /// `left` and `right` are texts, each once.
    pub fn between(units: &Units, left: &[usize], right: &[usize]) -> Self {
        let values: Vec<f32> = left
            .iter()
            .flat_map(|&a| right.iter().map(move |&b| units.cosine(a, b)))
            .collect();
        Self {
            slopes: vec![0.0; values.len()],
            values,
            left: Side::of(left, units.norms.len()),
            right: Side::of(right, units.norms.len()),
        }
    }

    fn place(&self, a: usize, b: usize) -> usize {
        self.left.place[a] * self.right.texts.len() + self.right.place[b]
    }

    /// The cosine of text `a` of the left and text `b` of the right.
    pub fn at(&self, a: usize, b: usize) -> f32 {
        self.values[self.place(a, b)]
    }

    /// Notes `d loss / d cos(a, b) += slope`.
    pub fn add_slope(&mut self, (a, b): (usize, usize), slope: f64) {
        let place = self.place(a, b);
        self.slopes[place] += slope;
    }

    /// Hands what was noted on.
    pub fn pull(self, units: &mut Units) {
        for (row, &a) in self.left.texts.iter().enumerate() {
            for (column, &b) in self.right.texts.iter().enumerate() {
                let slope = self.slopes[row * self.right.texts.len() + column];
                if slope != 0.0 {
                    units.pull(a, b, slope as f32);
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
