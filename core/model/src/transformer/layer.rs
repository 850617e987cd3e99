//! One layer over the rows of a chunk, there and back: BERT's, which normalises after adding, and ModernBERT's, which
//! normalises before. What the way back needs is kept by [`Kept`]; what is cheap is made again.

use super::attention::{Attention, Desk, Text};
use super::dropout::{Dropout, Site};
use super::network::{DOWN, Family, Layer, Norm, OUT, QKV, UP};
use super::room::Room;
use super::rotary::Rotary;
use super::weights::Packed;
use crate::kernels::{self, Activation, Scratch};
use crate::parameters::Parameter;

/// What a layer is given.
pub(super) struct Setting<'a> {
    pub parameters: &'a [Parameter],
    pub layer: &'a Layer,
    pub packed: &'a [Packed; 4],
    pub attention: Attention<'a>,
    pub rotary: Option<&'a Rotary>,
    pub family: Family,
    pub activation: Activation,
    pub epsilon: f32,
    pub hidden: usize,
    pub inner: usize,
    pub dropout: Option<Dropout>,
    pub room: &'a Room,
}

/// Room of one thread.
#[derive(Default)]
pub(super) struct Bench {
    pub desk: Desk,
    pub scratch: Scratch,
}

/// What is kept of the way there, `t` rows each.
pub(super) struct Kept {
    pub qkv: Vec<f32>,
    pub logs: Vec<f32>,
    pub context: Vec<f32>,
    /// The rows that the norm of attention gave, before gain and bias, and 1 / deviation.
    pub first: (Vec<f32>, Vec<f32>),
    /// Before the activation.
    pub inner: Vec<f32>,
    /// As `first`, of the feed-forward part.
    pub second: (Vec<f32>, Vec<f32>),
}

/// Factors of the gradients of a layer's weights: for each product the gradient of its output, and its input.
pub(super) struct Factors {
    pub outputs: [Vec<f32>; 4],
    pub inputs: [Vec<f32>; 4],
    /// Of the norms of attention and of the feed-forward part: gain and bias.
    pub norms: [(Vec<f32>, Vec<f32>); 2],
    /// Of what attention adds by distance.
    pub relative: Vec<f32>,
}

/// Normalises each row in place; gives 1 / deviation of each.
pub(super) fn normalise_rows(rows: &mut [f32], hidden: usize, epsilon: f32) -> Vec<f32> {
    rows.chunks_exact_mut(hidden)
        .map(|row| kernels::normalise(row, epsilon))
        .collect()
}

/// `out = row * gain + bias` for each row.
pub(super) fn stretch_rows(
    out: &mut [f32],
    rows: &[f32],
    norm: &Norm,
    parameters: &[Parameter],
    hidden: usize,
) {
    let gain = &parameters[norm.gain].values;
    let zeros;
    let bias = match norm.bias {
        Some(bias) => &parameters[bias].values,
        None => {
            zeros = vec![0.0; hidden];
            &zeros
        }
    };
    for (out, row) in out.chunks_exact_mut(hidden).zip(rows.chunks_exact(hidden)) {
        kernels::stretch(out, row, gain, bias);
    }
}

/// Back through both: `slopes` become those of the rows before; gives the gradients of gain and bias.
pub(super) fn norm_backward(
    slopes: &mut [f32],
    (rows, inverses): (&[f32], &[f32]),
    norm: &Norm,
    parameters: &[Parameter],
    hidden: usize,
) -> (Vec<f32>, Vec<f32>) {
    let gain = &parameters[norm.gain].values;
    let (mut of_gain, mut of_bias) = (vec![0.0; hidden], vec![0.0; hidden]);
    for ((slope, row), inverse) in slopes
        .chunks_exact_mut(hidden)
        .zip(rows.chunks_exact(hidden))
        .zip(inverses)
    {
        kernels::normalise_slope(slope, row, *inverse, gain, &mut of_gain, &mut of_bias);
    }
    (of_gain, of_bias)
}

impl Setting<'_> {
    fn linear(&self, which: usize, x: &[f32], bench: &mut Bench) -> Vec<f32> {
        let packed = &self.packed[which];
        let rows = x.len() / packed.k;
        let mut out = self.room.take(rows * packed.n);
        packed.forward(x, &mut out, &mut bench.scratch);
        out
    }

    /// `slopes W`, added to `out`.
    fn back(&self, which: usize, slopes: &[f32], out: &mut [f32], add: bool, bench: &mut Bench) {
        self.packed[which].backward(slopes, out, add, &mut bench.scratch);
    }

    /// Drops some of what a part adds, the same on the way there and back.
    fn drop_rows(&self, rows: &mut [f32], texts: &[Text], kind: usize) {
        drop_rows(
            self.dropout.as_ref(),
            rows,
            self.hidden,
            texts,
            self.attention.layer,
            kind,
        );
    }

    /// A copy of the slopes of what a part adds, with its drops.
    fn dropped(&self, slopes: &[f32], texts: &[Text], kind: usize) -> Vec<f32> {
        let mut copy = self.room.take(slopes.len());
        copy.copy_from_slice(slopes);
        self.drop_rows(&mut copy, texts, kind);
        copy
    }

    /// The context of each row, and the logarithms for the way back.
    fn attend(&self, qkv: &[f32], texts: &[Text], bench: &mut Bench) -> (Vec<f32>, Vec<f32>) {
        let rows = qkv.len() / (3 * self.hidden);
        let mut context = self.room.take(rows * self.hidden);
        let mut logs = vec![0.0; self.attention.heads * rows];
        let dropout = self.dropout.as_ref();
        self.attention.forward(
            qkv,
            texts,
            &mut context,
            &mut logs,
            dropout,
            &mut bench.desk,
        );
        (context, logs)
    }

    /// What is wanted for the way back; else its room is given back.
    fn keep(&self, kept: Kept, keep: bool) -> Option<Kept> {
        if keep {
            return Some(kept);
        }
        for done in [
            kept.qkv,
            kept.context,
            kept.first.0,
            kept.inner,
            kept.second.0,
        ] {
            self.room.give(done);
        }
        None
    }

    fn rotate(&self, qkv: &mut [f32], texts: &[Text], back: bool) {
        if let Some(rotary) = self.rotary {
            for text in texts {
                rotary.turn(
                    &mut qkv[text.rows.start * 3 * self.hidden..text.rows.end * 3 * self.hidden],
                    self.attention.heads,
                    back,
                );
            }
        }
    }

    /// From `x` `[t, hidden]` to the next layer's; `kept` is for the way back, and absent where there is none.
    pub fn forward(
        &self,
        x: Vec<f32>,
        texts: &[Text],
        bench: &mut Bench,
        keep: bool,
    ) -> (Vec<f32>, Option<Kept>) {
        if self.family == Family::ModernBert {
            return self.forward_modern(x, texts, bench, keep);
        }
        let (room, hidden) = (self.room, self.hidden);
        let qkv = self.linear(QKV, &x, bench);
        let (context, logs) = self.attend(&qkv, texts, bench);
        let mut first = self.linear(OUT, &context, bench);
        self.drop_rows(&mut first, texts, 1);
        kernels::add(&mut first, &x);
        let mut middle = x;
        let first_inverse = normalise_rows(&mut first, hidden, self.epsilon);
        self.stretch(0, &mut middle, &first);
        let inner = self.linear(UP, &middle, bench);
        let (inner, mut second) = if keep {
            let mut active = room.take(inner.len());
            kernels::activate(&mut active, &inner, self.activation);
            let second = self.linear(DOWN, &active, bench);
            room.give(active);
            (inner, second)
        } else {
            let mut active = inner;
            kernels::activate_here(&mut active, self.activation);
            let second = self.linear(DOWN, &active, bench);
            (active, second)
        };
        self.drop_rows(&mut second, texts, 2);
        kernels::add(&mut second, &middle);
        let second_inverse = normalise_rows(&mut second, hidden, self.epsilon);
        let mut next = middle;
        self.stretch(1, &mut next, &second);
        let kept = Kept {
            qkv,
            logs,
            context,
            first: (first, first_inverse),
            inner,
            second: (second, second_inverse),
        };
        (next, self.keep(kept, keep))
    }

    fn norm(&self, which: usize) -> Option<&Norm> {
        if which == 0 {
            self.layer.attention_norm.as_ref()
        } else {
            Some(&self.layer.inner_norm)
        }
    }

    fn stretch(&self, which: usize, out: &mut [f32], rows: &[f32]) {
        match self.norm(which) {
            Some(norm) => stretch_rows(out, rows, norm, self.parameters, self.hidden),
            None => out.copy_from_slice(rows),
        }
    }

    fn norm_back(
        &self,
        which: usize,
        slopes: &mut [f32],
        kept: &(Vec<f32>, Vec<f32>),
    ) -> (Vec<f32>, Vec<f32>) {
        match self.norm(which) {
            Some(norm) => norm_backward(
                slopes,
                (&kept.0, &kept.1),
                norm,
                self.parameters,
                self.hidden,
            ),
            None => (Vec::new(), Vec::new()),
        }
    }

    /// From the gradient of the layer's output to that of its input `x`, which is given again.
    pub fn backward(
        &self,
        of_out: Vec<f32>,
        x: Vec<f32>,
        kept: Kept,
        texts: &[Text],
        bench: &mut Bench,
    ) -> (Vec<f32>, Factors) {
        if self.family == Family::ModernBert {
            return self.backward_modern(of_out, x, kept, texts, bench);
        }
        let (room, hidden) = (self.room, self.hidden);
        let mut slope = of_out;
        let second = self.norm_back(1, &mut slope, &kept.second);
        room.give(kept.second.0);
        let of_down = self.dropped(&slope, texts, 2);
        let mut of_inner = room.take(kept.inner.len());
        self.back(DOWN, &of_down, &mut of_inner, false, bench);
        kernels::activate_slope(&mut of_inner, &kept.inner, self.activation);
        let mut active = kept.inner;
        kernels::activate_here(&mut active, self.activation);
        self.back(UP, &of_inner, &mut slope, true, bench);
        let mut middle = room.take(slope.len());
        self.stretch(0, &mut middle, &kept.first.0);
        let first = self.norm_back(0, &mut slope, &kept.first);
        room.give(kept.first.0);
        let of_attention = self.dropped(&slope, texts, 1);
        let mut of_context = room.take(slope.len());
        self.back(OUT, &of_attention, &mut of_context, false, bench);
        let mut of_qkv = room.take(3 * slope.len());
        let mut relative = vec![
            0.0;
            self.attention
                .relative
                .map_or(0, |(values, _)| values.len())
        ];
        let of_relative = (!relative.is_empty()).then_some(relative.as_mut_slice());
        self.attention.backward(
            &kept.qkv,
            texts,
            &kept.logs,
            &of_context,
            &mut of_qkv,
            of_relative,
            self.dropout.as_ref(),
            &mut bench.desk,
        );
        room.give(of_context);
        room.give(kept.qkv);
        self.back(QKV, &of_qkv, &mut slope, true, bench);
        debug_assert_eq!(slope.len() % hidden, 0);
        let factors = Factors {
            outputs: [of_qkv, of_attention, of_inner, of_down],
            inputs: [x, kept.context, middle, active],
            norms: [first, second],
            relative,
        };
        (slope, factors)
    }

    fn gate(&self, inner: &[f32], out: &mut [f32]) {
        for (out, inner) in out
            .chunks_exact_mut(self.inner)
            .zip(inner.chunks_exact(2 * self.inner))
        {
            let (left, right) = inner.split_at(self.inner);
            kernels::activate(out, left, self.activation);
            kernels::times(out, right);
        }
    }

    fn forward_modern(
        &self,
        x: Vec<f32>,
        texts: &[Text],
        bench: &mut Bench,
        keep: bool,
    ) -> (Vec<f32>, Option<Kept>) {
        let (room, hidden) = (self.room, self.hidden);
        let rows = x.len() / hidden;
        let mut x = x;
        let mut first = room.take(x.len());
        first.copy_from_slice(&x);
        let first_inverse = match self.norm(0) {
            Some(_) => normalise_rows(&mut first, hidden, self.epsilon),
            None => Vec::new(),
        };
        let mut middle = room.take(x.len());
        self.stretch(0, &mut middle, &first);
        let mut qkv = self.linear(QKV, &middle, bench);
        self.rotate(&mut qkv, texts, false);
        let (context, logs) = self.attend(&qkv, texts, bench);
        let mut adds = self.linear(OUT, &context, bench);
        self.drop_rows(&mut adds, texts, 1);
        kernels::add(&mut x, &adds);
        let mut second = adds;
        second.copy_from_slice(&x);
        let second_inverse = normalise_rows(&mut second, hidden, self.epsilon);
        self.stretch(1, &mut middle, &second);
        let inner = self.linear(UP, &middle, bench);
        let mut gated = room.take(rows * self.inner);
        self.gate(&inner, &mut gated);
        let mut adds = self.linear(DOWN, &gated, bench);
        self.drop_rows(&mut adds, texts, 2);
        kernels::add(&mut x, &adds);
        for done in [gated, adds, middle] {
            room.give(done);
        }
        let kept = Kept {
            qkv,
            logs,
            context,
            first: (first, first_inverse),
            inner,
            second: (second, second_inverse),
        };
        (x, self.keep(kept, keep))
    }

    fn backward_modern(
        &self,
        of_out: Vec<f32>,
        x: Vec<f32>,
        kept: Kept,
        texts: &[Text],
        bench: &mut Bench,
    ) -> (Vec<f32>, Factors) {
        let room = self.room;
        // What came in is not needed: the norms' rows are kept.
        room.give(x);
        let mut slope = of_out;
        let of_down = self.dropped(&slope, texts, 2);
        let mut of_gated = room.take(kept.inner.len() / 2);
        self.back(DOWN, &of_down, &mut of_gated, false, bench);
        let mut of_inner = room.take(kept.inner.len());
        let mut active = room.take(of_gated.len());
        for (((of_inner, inner), of_gated), active) in of_inner
            .chunks_exact_mut(2 * self.inner)
            .zip(kept.inner.chunks_exact(2 * self.inner))
            .zip(of_gated.chunks_exact(self.inner))
            .zip(active.chunks_exact_mut(self.inner))
        {
            let (left, right) = inner.split_at(self.inner);
            let (of_left, of_right) = of_inner.split_at_mut(self.inner);
            kernels::activate(active, left, self.activation);
            of_right.copy_from_slice(active);
            kernels::times(of_right, of_gated);
            kernels::times(active, right);
            of_left.copy_from_slice(of_gated);
            kernels::times(of_left, right);
            kernels::activate_slope(of_left, left, self.activation);
        }
        room.give(of_gated);
        room.give(kept.inner);
        let mut through = room.take(slope.len());
        self.back(UP, &of_inner, &mut through, false, bench);
        let mut middle = room.take(slope.len());
        self.stretch(1, &mut middle, &kept.second.0);
        let second = self.norm_back(1, &mut through, &kept.second);
        room.give(kept.second.0);
        kernels::add(&mut slope, &through);
        let of_attention = self.dropped(&slope, texts, 1);
        let mut of_context = room.take(slope.len());
        self.back(OUT, &of_attention, &mut of_context, false, bench);
        let mut of_qkv = room.take(3 * slope.len());
        self.attention.backward(
            &kept.qkv,
            texts,
            &kept.logs,
            &of_context,
            &mut of_qkv,
            None,
            self.dropout.as_ref(),
            &mut bench.desk,
        );
        room.give(of_context);
        room.give(kept.qkv);
        self.rotate(&mut of_qkv, texts, true);
        self.back(QKV, &of_qkv, &mut through, false, bench);
        let mut before = room.take(slope.len());
        self.stretch(0, &mut before, &kept.first.0);
        let first = self.norm_back(0, &mut through, &kept.first);
        room.give(kept.first.0);
        kernels::add(&mut slope, &through);
        room.give(through);
        let factors = Factors {
            outputs: [of_qkv, of_attention, of_inner, of_down],
            inputs: [before, kept.context, middle, active],
            norms: [first, second],
            relative: Vec::new(),
        };
        (slope, factors)
    }
}

/// Drops some of the rows of every text.
pub(super) fn drop_rows(
    dropout: Option<&Dropout>,
    rows: &mut [f32],
    hidden: usize,
    texts: &[Text],
    layer: usize,
    kind: usize,
) {
    let Some(dropout) = dropout else { return };
    for text in texts {
        for (position, row) in text.rows.clone().enumerate() {
            let site = Site {
                layer,
                kind,
                text: text.number,
                position,
            };
            dropout.row(&mut rows[row * hidden..(row + 1) * hidden], site);
        }
    }
}
