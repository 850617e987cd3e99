//! Self-attention of each text over its own tokens, and the way back. Scores are never kept: a block of queries at a time is
//! made, used, and on the way back made again from the logarithm of its sum (as in FlashAttention, Dao et al. 2022).

use std::ops::Range;

use super::dropout::{Dropout, Site};
use crate::kernels::{self, Left, Right, STRIDES};

/// Queries at a time: a multiple of every level's tile.
const BLOCK: usize = 42;

/// What attention is, in one layer.
#[derive(Clone, Copy)]
pub(super) struct Attention<'a> {
    pub heads: usize,
    /// Of a head.
    pub dim: usize,
    /// Tokens seen to each side; all, if none.
    pub window: Option<usize>,
    /// What is added to the scores by distance: for each head `2 * longest - 1` values, the distance 0 in the middle.
    pub relative: Option<(&'a [f32], usize)>,
    pub layer: usize,
}

/// Room of one thread.
#[derive(Default)]
pub(super) struct Desk {
    keys: Right,
    values: Right,
    across: Right,
    block: Right,
    queries: Vec<f32>,
    scores: Vec<f32>,
    slopes: Vec<f32>,
    out: Vec<f32>,
    of_keys: Vec<f32>,
    of_values: Vec<f32>,
}

/// Where the rows of a chunk's text are, and which text it is.
#[derive(Clone)]
pub(super) struct Text {
    pub rows: Range<usize>,
    pub number: usize,
}

fn stride(least: usize) -> usize {
    STRIDES
        .into_iter()
        .find(|stride| *stride >= least)
        .unwrap_or(least)
}

fn at_least(values: &mut Vec<f32>, length: usize) {
    if values.len() < length {
        values.resize(length, 0.0);
    }
}

impl Attention<'_> {
    fn hidden(&self) -> usize {
        self.heads * self.dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// The keys that the query may see.
    fn seen(&self, query: usize, length: usize) -> Range<usize> {
        match self.window {
            None => 0..length,
            Some(side) => query.saturating_sub(side)..length.min(query + side + 1),
        }
    }

    /// Copies a head's rows of `[rows, width]` to rows of `stride`.
    fn copy(
        &self,
        from: &[f32],
        (width, start): (usize, usize),
        rows: Range<usize>,
        to: &mut Vec<f32>,
        stride: usize,
    ) {
        at_least(to, rows.len() * stride);
        for (to, row) in to.chunks_exact_mut(stride).zip(rows) {
            to[..self.dim].copy_from_slice(&from[row * width + start..][..self.dim]);
        }
    }

    /// Copies padded rows back to a head's columns of `[rows, width]`.
    fn put(
        &self,
        from: &[f32],
        rows: Range<usize>,
        to: &mut [f32],
        (width, start): (usize, usize),
    ) {
        for (from, row) in from.chunks_exact(Right::padded(self.dim)).zip(rows) {
            to[row * width + start..][..self.dim].copy_from_slice(&from[..self.dim]);
        }
    }

    /// The scores of a block of queries of the text that begins at row `start`, with its keys on the desk: what the softmax is
    /// of, but for the scale that is returned.
    fn scores(
        &self,
        qkv: &[f32],
        start: usize,
        head: usize,
        block: &Range<usize>,
        length: usize,
        desk: &mut Desk,
    ) -> f32 {
        let (line, narrow) = (stride(Right::padded(length)), stride(self.dim));
        let place = (3 * self.hidden(), head * self.dim);
        let rows = block.start + start..block.end + start;
        self.copy(qkv, place, rows, &mut desk.queries, narrow);
        kernels::product(
            Left::rows(&desk.queries, narrow),
            block.len(),
            &desk.keys,
            (&mut desk.scores, line),
            false,
        );
        let Some((relative, longest)) = self.relative else {
            return self.scale();
        };
        let of_head = &relative[head * (2 * longest - 1)..][..2 * longest - 1];
        for (scores, query) in desk.scores.chunks_exact_mut(line).zip(block.clone()) {
            kernels::scale(&mut scores[..length], self.scale());
            kernels::add(
                &mut scores[..length],
                &of_head[longest - 1 - query..][..length],
            );
        }
        1.0
    }

    /// From `qkv` `[t, 3 hidden]` to `context` `[t, hidden]`; `logs` `[heads, t]` are for the way back.
    pub fn forward(
        &self,
        qkv: &[f32],
        texts: &[Text],
        context: &mut [f32],
        logs: &mut [f32],
        dropout: Option<&Dropout>,
        desk: &mut Desk,
    ) {
        let (hidden, width) = (self.hidden(), 3 * self.hidden());
        let rows_in_all = logs.len() / self.heads;
        let padded = Right::padded(self.dim);
        for text in texts {
            let (start, length) = (text.rows.start, text.rows.len());
            let line = stride(Right::padded(length));
            at_least(&mut desk.scores, BLOCK * line);
            at_least(&mut desk.out, BLOCK * padded);
            for head in 0..self.heads {
                let column = head * self.dim;
                let of_text = &qkv[start * width..];
                desk.keys
                    .transposed(&of_text[hidden + column..], length, self.dim, width);
                desk.values
                    .straight(&of_text[2 * hidden + column..], length, self.dim, width);
                for first in (0..length).step_by(BLOCK) {
                    let block = first..length.min(first + BLOCK);
                    let rows = block.start + start..block.end + start;
                    let scale = self.scores(qkv, start, head, &block, length, desk);
                    for (scores, query) in desk.scores.chunks_exact_mut(line).zip(block.clone()) {
                        let seen = self.seen(query, length);
                        scores[..seen.start].fill(0.0);
                        scores[seen.end..length].fill(0.0);
                        logs[head * rows_in_all + start + query] =
                            kernels::softmax(&mut scores[seen], scale);
                        if let Some(dropout) = dropout {
                            dropout.row(&mut scores[..length], self.site(head, text.number, query));
                        }
                    }
                    let left = Left::rows(&desk.scores, line);
                    if padded == self.dim {
                        let to = &mut context[rows.start * hidden + column..];
                        kernels::product(left, block.len(), &desk.values, (to, hidden), false);
                    } else {
                        kernels::product(
                            left,
                            block.len(),
                            &desk.values,
                            (&mut desk.out, padded),
                            false,
                        );
                        self.put(&desk.out, rows, context, (hidden, column));
                    }
                }
            }
        }
    }

    fn site(&self, head: usize, text: usize, query: usize) -> Site {
        Site {
            layer: self.layer,
            kind: 3 + head,
            text,
            position: query,
        }
    }

    /// From the gradient of `context` to that of `qkv`; that of the values added by distance is added to `of_relative`.
    #[allow(clippy::too_many_arguments)] // Each is one of the products' factors.
    pub fn backward(
        &self,
        qkv: &[f32],
        texts: &[Text],
        logs: &[f32],
        of_context: &[f32],
        of_qkv: &mut [f32],
        mut of_relative: Option<&mut [f32]>,
        dropout: Option<&Dropout>,
        desk: &mut Desk,
    ) {
        let (hidden, width) = (self.hidden(), 3 * self.hidden());
        let rows_in_all = logs.len() / self.heads;
        let padded = Right::padded(self.dim);
        for text in texts {
            let (start, length) = (text.rows.start, text.rows.len());
            let line = stride(Right::padded(length));
            let narrow = stride(self.dim);
            at_least(&mut desk.scores, BLOCK * line);
            at_least(&mut desk.slopes, BLOCK * line);
            at_least(&mut desk.out, BLOCK * padded);
            for sums in [&mut desk.of_keys, &mut desk.of_values] {
                at_least(sums, length * padded);
            }
            for head in 0..self.heads {
                let column = head * self.dim;
                let of_text = &qkv[start * width..];
                desk.keys
                    .transposed(&of_text[hidden + column..], length, self.dim, width);
                desk.across
                    .straight(&of_text[hidden + column..], length, self.dim, width);
                desk.values
                    .transposed(&of_text[2 * hidden + column..], length, self.dim, width);
                desk.of_keys[..length * padded].fill(0.0);
                desk.of_values[..length * padded].fill(0.0);
                for first in (0..length).step_by(BLOCK) {
                    let block = first..length.min(first + BLOCK);
                    let rows = block.start + start..block.end + start;
                    let scale = self.scores(qkv, start, head, &block, length, desk);
                    self.copy(
                        of_context,
                        (hidden, column),
                        rows.clone(),
                        &mut desk.queries,
                        narrow,
                    );
                    let outer = Left::rows(&desk.queries, narrow);
                    kernels::product(
                        outer,
                        block.len(),
                        &desk.values,
                        (&mut desk.slopes, line),
                        false,
                    );
                    for ((scores, slopes), query) in desk
                        .scores
                        .chunks_exact_mut(line)
                        .zip(desk.slopes.chunks_exact_mut(line))
                        .zip(block.clone())
                    {
                        let seen = self.seen(query, length);
                        let log = logs[head * rows_in_all + start + query];
                        scores[..seen.start].fill(0.0);
                        scores[seen.end..length].fill(0.0);
                        kernels::softmax_again(&mut scores[seen], scale, log);
                        let (scores, slopes) = (&mut scores[..length], &mut slopes[..length]);
                        let site = self.site(head, text.number, query);
                        if let Some(dropout) = dropout {
                            dropout.row(slopes, site);
                        }
                        let mean = kernels::dot(scores, slopes);
                        kernels::softmax_slope(slopes, scores, mean);
                        if let Some((sums, (_, longest))) =
                            of_relative.as_deref_mut().zip(self.relative)
                        {
                            let of_head = &mut sums[head * (2 * longest - 1)..][..2 * longest - 1];
                            kernels::add(&mut of_head[longest - 1 - query..][..length], slopes);
                        }
                        kernels::scale(slopes, self.scale());
                        if let Some(dropout) = dropout {
                            dropout.row(scores, site);
                        }
                    }
                    desk.block.straight(
                        &of_context[rows.start * hidden + column..],
                        block.len(),
                        self.dim,
                        hidden,
                    );
                    kernels::product(
                        Left::columns(&desk.scores, line),
                        length,
                        &desk.block,
                        (&mut desk.of_values, padded),
                        true,
                    );
                    desk.block.straight(
                        &qkv[rows.start * width + column..],
                        block.len(),
                        self.dim,
                        width,
                    );
                    kernels::product(
                        Left::columns(&desk.slopes, line),
                        length,
                        &desk.block,
                        (&mut desk.of_keys, padded),
                        true,
                    );
                    let slopes = Left::rows(&desk.slopes, line);
                    kernels::product(
                        slopes,
                        block.len(),
                        &desk.across,
                        (&mut desk.out, padded),
                        false,
                    );
                    self.put(&desk.out, rows, of_qkv, (width, column));
                }
                for (sums, part) in [(&desk.of_keys, 1), (&desk.of_values, 2)] {
                    let place = (width, part * hidden + column);
                    self.put(sums, text.rows.clone(), of_qkv, place);
                }
            }
        }
    }
}
