//! A training step as a loss sees it: embeddings, rows and groups over them, and a gradient to add to.

use orchestrator_plugin_abi as abi;

use crate::{Error, Result};

/// What a loss cannot work without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Positives.
    pub positives: bool,
    /// Negatives.
    pub negatives: bool,
    /// Teacher scores.
    pub teacher: bool,
}

impl Needs {
    pub(crate) fn bits(self) -> u32 {
        u32::from(self.positives) * abi::needs::POSITIVES
            + u32::from(self.negatives) * abi::needs::NEGATIVES
            + u32::from(self.teacher) * abi::needs::TEACHER
    }
}

/// One (anchor, candidate) pair of the step.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Text index of the anchor.
    pub anchor: usize,
    /// Text index of the candidate.
    pub text: usize,
    /// 0..1.
    pub label: f32,
    /// > 0.
    pub weight: f32,
    /// A teacher's score, if the experiment gives one.
    pub teacher: Option<f32>,
}

/// One anchor with its rows.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Text index of the anchor.
    pub anchor: usize,
    /// Row numbers of its positives.
    pub positives: &'a [u32],
    /// Row numbers of its negatives.
    pub negatives: &'a [u32],
    known_relevant: &'a [u8],
}

impl Group<'_> {
    /// Whether the text is a known positive of this anchor, and so may never serve as its negative.
    #[must_use]
    pub fn knows_relevant(&self, text: usize) -> bool {
        self.known_relevant[text] != 0
    }
}

/// A step: every distinct text once, encoded.
#[derive(Debug, Clone, Copy)]
pub struct LossBatch<'a> {
    /// Length of an embedding.
    pub dim: usize,
    /// `[texts, dim]`, row-major.
    pub embeddings: &'a [f32],
    row_anchor: &'a [u32],
    row_text: &'a [u32],
    row_label: &'a [f32],
    row_weight: &'a [f32],
    row_teacher: Option<&'a [f32]>,
    group_anchor: &'a [u32],
    positive_offsets: &'a [u64],
    positive_rows: &'a [u32],
    negative_offsets: &'a [u64],
    negative_rows: &'a [u32],
    known_relevant: &'a [u8],
}

impl<'a> LossBatch<'a> {
    /// # Safety
    /// `raw` must be what the header says, for `'a`.
    pub(crate) unsafe fn borrow(raw: &'a abi::LossBatch) -> Result<Self> {
        let (texts, rows, groups) = (
            raw.n_texts as usize,
            raw.n_rows as usize,
            raw.n_groups as usize,
        );
        /// # Safety
        /// `first` must be null or hold `n` values.
        unsafe fn slice<'a, T>(first: *const T, n: usize) -> Result<&'a [T]> {
            if n == 0 {
                return Ok(&[]);
            }
            if first.is_null() {
                return Err(Error::data("the host gave an incomplete loss batch"));
            }
            // SAFETY: not null; the caller promises `n` values.
            Ok(unsafe { std::slice::from_raw_parts(first, n) })
        }
        // SAFETY: the lengths are those the header gives.
        unsafe {
            let positive_offsets = slice(raw.positive_offsets, groups + 1)?;
            let negative_offsets = slice(raw.negative_offsets, groups + 1)?;
            Ok(Self {
                dim: raw.dim as usize,
                embeddings: slice(raw.embeddings, texts * raw.dim as usize)?,
                row_anchor: slice(raw.row_anchor, rows)?,
                row_text: slice(raw.row_text, rows)?,
                row_label: slice(raw.row_label, rows)?,
                row_weight: slice(raw.row_weight, rows)?,
                row_teacher: if raw.row_teacher.is_null() {
                    None
                } else {
                    Some(slice(raw.row_teacher, rows)?)
                },
                group_anchor: slice(raw.group_anchor, groups)?,
                positive_offsets,
                positive_rows: slice(raw.positive_rows, positive_offsets[groups] as usize)?,
                negative_offsets,
                negative_rows: slice(raw.negative_rows, negative_offsets[groups] as usize)?,
                known_relevant: slice(raw.known_relevant, groups * texts)?,
            })
        }
    }

    /// How many distinct texts there are.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.embeddings.len() / self.dim.max(1)
    }

    /// The embedding of a text, `[dim]`.
    #[must_use]
    pub fn embedding(&self, text: usize) -> &'a [f32] {
        &self.embeddings[text * self.dim..(text + 1) * self.dim]
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.row_text.len()
    }

    /// The row numbered `row`.
    #[must_use]
    pub fn row(&self, row: usize) -> Row {
        Row {
            anchor: self.row_anchor[row] as usize,
            text: self.row_text[row] as usize,
            label: self.row_label[row],
            weight: self.row_weight[row],
            teacher: self.row_teacher.map(|scores| scores[row]),
        }
    }

    /// The groups, in order.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Group<'a>> + use<'a> {
        let this = *self;
        let texts = this.texts();
        (0..this.group_anchor.len()).map(move |group| Group {
            anchor: this.group_anchor[group] as usize,
            positives: &this.positive_rows
                [this.positive_offsets[group] as usize..this.positive_offsets[group + 1] as usize],
            negatives: &this.negative_rows
                [this.negative_offsets[group] as usize..this.negative_offsets[group + 1] as usize],
            known_relevant: &this.known_relevant[group * texts..(group + 1) * texts],
        })
    }
}

/// Where a loss writes.
pub struct LossOutput<'a> {
    dim: usize,
    row_loss: &'a mut [f32],
    gradient: &'a mut [f32],
}

impl<'a> LossOutput<'a> {
    /// # Safety
    /// `raw` must be what the header says, of the shape of `batch`, for `'a`.
    pub(crate) unsafe fn borrow(raw: &'a mut abi::LossOut, batch: &LossBatch<'_>) -> Result<Self> {
        if raw.gradient.is_null() || raw.row_loss.is_null() {
            return Err(Error::data("the host gave nowhere to write"));
        }
        // SAFETY: the lengths are those the header gives.
        unsafe {
            Ok(Self {
                dim: batch.dim,
                row_loss: std::slice::from_raw_parts_mut(raw.row_loss, batch.rows()),
                gradient: std::slice::from_raw_parts_mut(raw.gradient, batch.embeddings.len()),
            })
        }
    }

    /// Records the part of the loss that `row` has, before the mean.
    pub fn set_row(&mut self, row: usize, loss: f32) {
        self.row_loss[row] = loss;
    }

    /// Adds `scale * direction` to the gradient of a text's embedding.
    pub fn add(&mut self, text: usize, scale: f32, direction: &[f32]) {
        let place = &mut self.gradient[text * self.dim..(text + 1) * self.dim];
        for (out, value) in place.iter_mut().zip(direction) {
            *out += scale * value;
        }
    }
}

/// Dot product in a fixed order: eight lanes, then their sum. No fused multiply-add, so that every machine agrees.
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
