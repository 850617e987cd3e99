//! Mean pooling of table rows as one operation of candle's graph: a sparse matrix of shares times the table, and its
//! transpose on the way back. Gathering every token's row first would move a hundred times the memory.
//!
//! Every sum is in the order of the tokens, without fused multiply-add: the bits depend on neither threads nor machine.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// Texts a piece, whatever the number of threads.
const PIECE: usize = 8;

/// Which rows each text is the mean of.
pub(crate) struct Pooling {
    dim: usize,
    rows: usize,
    /// A text's entries are `entries[offsets[text]..offsets[text + 1]]`.
    offsets: Vec<usize>,
    /// (row, share): how often the row's token is in the text, by the text's length; rows ascending.
    entries: Vec<(u32, f32)>,
}

impl Pooling {
    /// Of texts whose tokens are places in the rows of a table `[rows, dim]`.
    pub fn new(texts: &[Vec<u32>], rows: usize, dim: usize) -> Self {
        let (mut offsets, mut entries) = (vec![0], Vec::new());
        for places in texts {
            let mut sorted = places.clone();
            sorted.sort_unstable();
            let length = sorted.len() as f32;
            for run in sorted.chunk_by(|a, b| a == b) {
                entries.push((run[0], run.len() as f32 / length));
            }
            offsets.push(entries.len());
        }
        Self {
            dim,
            rows,
            offsets,
            entries,
        }
    }

    fn texts(&self) -> usize {
        self.offsets.len() - 1
    }

    fn of_text(&self, text: usize) -> &[(u32, f32)] {
        &self.entries[self.offsets[text]..self.offsets[text + 1]]
    }

    fn forward(&self, table: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0f32; self.texts() * self.dim];
        out.par_chunks_mut(PIECE * self.dim)
            .enumerate()
            .for_each(|(piece, out)| {
                for (text, mean) in out.chunks_exact_mut(self.dim).enumerate() {
                    for &(row, share) in self.of_text(piece * PIECE + text) {
                        let from = &table[row as usize * self.dim..(row as usize + 1) * self.dim];
                        mean.iter_mut()
                            .zip(from)
                            .for_each(|(sum, value)| *sum += share * value);
                    }
                }
            });
        out
    }

    fn backward(&self, gradient: &[f32]) -> Vec<f32> {
        let mut of_row: Vec<Vec<(u32, f32)>> = vec![Vec::new(); self.rows];
        for text in 0..self.texts() {
            for &(row, share) in self.of_text(text) {
                of_row[row as usize].push((text as u32, share));
            }
        }
        let mut out = vec![0.0f32; self.rows * self.dim];
        out.par_chunks_mut(64 * self.dim)
            .zip(of_row.par_chunks(64))
            .for_each(|(out, rows)| {
                for (place, texts) in out.chunks_exact_mut(self.dim).zip(rows) {
                    for &(text, share) in texts {
                        let from =
                            &gradient[text as usize * self.dim..(text as usize + 1) * self.dim];
                        place
                            .iter_mut()
                            .zip(from)
                            .for_each(|(sum, value)| *sum += share * value);
                    }
                }
            });
        out
    }
}

impl CustomOp1 for Pooling {
    fn name(&self) -> &'static str {
        "mean-pooling"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (Some((first, last)), CpuStorage::F32(values)) = (layout.contiguous_offsets(), storage)
        else {
            bail!("mean-pooling is of a contiguous f32 table");
        };
        let pooled = self.forward(&values[first..last]);
        Ok((
            CpuStorage::F32(pooled),
            Shape::from((self.texts(), self.dim)),
        ))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
        Ok(Some(Tensor::from_vec(
            self.backward(&gradient),
            table.shape(),
            table.device(),
        )?))
    }
}
