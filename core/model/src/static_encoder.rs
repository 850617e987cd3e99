//! An embedding table over tokens: mean pooling, unit length. sentence-transformers calls it `StaticEmbedding` (followed
//! by `Normalize`); trained from nothing in seconds on two cores.

use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use tokenizers::Tokenizer;

use crate::parameters::{Gradient, Parameter, Slope};
use crate::pooling::Pooling;
use crate::{Error, Tokens, tokenizer};

/// Texts are worked on in pieces of this size whatever the number of threads, so that results do not depend on it.
const PIECE: usize = 64;

/// Tokeniser and table.
#[derive(Clone)]
pub struct StaticEncoder {
    tokenizer: Tokenizer,
    json: String,
    dim: usize,
    /// `[vocabulary, dim]`, row-major.
    table: Parameter,
}

fn parameter(dim: usize, values: Vec<f32>) -> Parameter {
    Parameter {
        name: "embedding.weight".to_owned(),
        shape: vec![values.len() / dim.max(1), dim],
        values,
        decays: true,
        // Most tokens are in no text of a step: their rows are not to move by the moments of earlier steps.
        lazy: true,
        trained: true,
    }
}

impl StaticEncoder {
    /// Trains a tokeniser on `texts` and fills the table: a random sign each, scaled by the token's inverse document
    /// frequency. Mean pooling of such rows is a random projection of tf-idf (Achlioptas 2003), which keeps cosines about
    /// as they are: the untrained model is a lexical one.
    ///
    /// # Errors
    /// If the tokeniser cannot be trained.
    pub fn train_from(
        texts: &[&str],
        vocabulary: usize,
        dim: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        let json = tokenizer::train(texts, vocabulary)?;
        let mut encoder = Self::with_table(json, dim, Vec::new())?;
        let size = encoder.tokenizer.get_vocab_size(true);
        let tokens = encoder.tokenize(texts)?;
        let mut documents = vec![0u32; size];
        for mut of_text in tokens {
            of_text.sort_unstable();
            of_text.dedup();
            for token in of_text {
                documents[token as usize] += 1;
            }
        }
        let all = texts.len() as f64;
        let unit = 1.0 / (dim as f64).sqrt();
        let mut table = Vec::with_capacity(size * dim);
        for (token, &n) in documents.iter().enumerate() {
            let idf = ((1.0 + all) / (1.0 + f64::from(n))).ln() + 1.0;
            table.extend(signs(seed, token as u64, dim).map(|sign| (sign * idf * unit) as f32));
        }
        encoder.table = parameter(dim, table);
        Ok(encoder)
    }

    /// A tokeniser (its `tokenizer.json`) with a table `[vocabulary, dim]`.
    ///
    /// # Errors
    /// If it is no tokeniser.
    pub fn with_table(json: String, dim: usize, table: Vec<f32>) -> Result<Self, Error> {
        Ok(Self {
            tokenizer: tokenizer::parse(&json)?,
            json,
            dim,
            table: parameter(dim, table),
        })
    }

    /// Length of an embedding.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many tokens it knows.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.table.shape[0]
    }

    /// One more than the highest number its tokeniser gives a token.
    pub(crate) fn tokens_known(&self) -> usize {
        let numbers = self.tokenizer.get_vocab(true).into_values();
        numbers.max().map_or(0, |highest| highest as usize + 1)
    }

    /// The table `[vocabulary, dim]`.
    #[must_use]
    pub fn table(&self) -> &[f32] {
        &self.table.values
    }

    /// Its one parameter: the table.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        std::slice::from_ref(&self.table)
    }

    /// The same, to be changed.
    pub fn parameters_mut(&mut self) -> &mut [Parameter] {
        std::slice::from_mut(&mut self.table)
    }

    /// The tokeniser as `tokenizer.json`.
    #[must_use]
    pub fn tokenizer_json(&self) -> &str {
        &self.json
    }

    /// The tokens of each text.
    ///
    /// # Errors
    /// If the tokeniser fails.
    pub fn tokenize(&self, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        texts
            .par_chunks(PIECE)
            .map(|piece| {
                piece
                    .iter()
                    .map(|text| tokenizer::encode(&self.tokenizer, text))
                    .collect()
            })
            .collect::<Result<Vec<Vec<Tokens>>, Error>>()
            .map(|pieces| pieces.into_iter().flatten().collect())
    }

    /// Unit-length embeddings `[texts, dim]`, row-major. A text without tokens is the zero vector.
    #[must_use]
    pub fn encode(&self, texts: &[Tokens]) -> Vec<f32> {
        let table = self.table();
        let mut out = vec![0.0f32; texts.len() * self.dim];
        out.par_chunks_mut(PIECE * self.dim)
            .zip(texts.par_chunks(PIECE))
            .for_each(|(out, texts)| {
                for (row, tokens) in out.chunks_exact_mut(self.dim).zip(texts) {
                    for &token in tokens {
                        let from = &table[token as usize * self.dim..][..self.dim];
                        row.iter_mut()
                            .zip(from)
                            .for_each(|(sum, value)| *sum += value);
                    }
                    let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
                    // The mean's divisor cancels in the normalisation.
                    if norm > 0.0 {
                        row.iter_mut().for_each(|value| *value /= norm);
                    }
                }
            });
        out
    }

    /// Encodes a batch so that a gradient can follow: see [`Forward`].
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn forward(&self, texts: &[&Tokens]) -> Result<Forward, Error> {
        let mut rows: Vec<u32> = texts
            .iter()
            .flat_map(|tokens| tokens.iter().copied())
            .collect();
        rows.sort_unstable();
        rows.dedup();
        let mut values = Vec::with_capacity(rows.len() * self.dim);
        for &row in &rows {
            values.extend_from_slice(&self.table()[row as usize * self.dim..][..self.dim]);
        }
        // Every token is in `rows`: they were collected from here.
        let place = |token: &u32| rows.partition_point(|row| row < token) as u32;
        let places: Vec<Vec<u32>> = texts
            .iter()
            .map(|tokens| tokens.iter().map(place).collect())
            .collect();
        // Only the rows the batch touches are in the graph: its cost does not grow with the vocabulary.
        let table = Var::from_vec(values, (rows.len(), self.dim), &Device::Cpu)?;
        let means = table
            .as_tensor()
            .apply_op1(Pooling::new(&places, rows.len(), self.dim))?;
        // A text without tokens stays the zero vector, with a gradient of zero.
        let norms = means.sqr()?.sum_keepdim(1)?.maximum(1e-24)?.sqrt()?;
        let embeddings = means.broadcast_div(&norms)?;
        Ok(Forward {
            rows,
            table,
            values: embeddings.flatten_all()?.to_vec1()?,
            embeddings,
        })
    }
}

/// A batch on its way through the encoder.
pub struct Forward {
    rows: Vec<u32>,
    table: Var,
    embeddings: Tensor,
    /// Of the embeddings.
    values: Vec<f32>,
}

impl Forward {
    /// The embeddings `[texts, dim]`, row-major.
    #[must_use]
    pub fn embeddings(&self) -> &[f32] {
        &self.values
    }

    /// From dloss/dE `[texts, dim]` to the gradient of the table, by candle's autodiff of `sum(E * gradient)`.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn backward(self, gradient: Vec<f32>) -> Result<Gradient, Error> {
        let outer = Tensor::from_vec(gradient, self.embeddings.shape(), self.embeddings.device())?;
        let gradients = (&self.embeddings * outer)?.sum_all()?.backward()?;
        let values = match gradients.get(&self.table) {
            Some(gradient) => gradient.flatten_all()?.to_vec1()?,
            None => vec![0.0; self.table.elem_count()],
        };
        let slope = Slope::Rows {
            rows: self.rows,
            values,
        };
        Ok(Gradient {
            slopes: vec![Some(slope)],
        })
    }
}

/// `dim` signs, ±1, by a hash of seed and token.
fn signs(seed: u64, token: u64, dim: usize) -> impl Iterator<Item = f64> {
    let mut bytes = Vec::with_capacity(dim / 8 + 32);
    let mut block = 0u64;
    while bytes.len() * 8 < dim {
        let mut hash = Sha256::new();
        hash.update(b"static table");
        for number in [seed, token, block] {
            hash.update(number.to_le_bytes());
        }
        bytes.extend_from_slice(&hash.finalize());
        block += 1;
    }
    (0..dim).map(move |bit| {
        if bytes[bit / 8] >> (bit % 8) & 1 == 1 {
            1.0
        } else {
            -1.0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder() -> StaticEncoder {
        let texts = [
            "Aspirin lowers fever in mice.",
            "Mice with fever drink more.",
            "Aspirin, again: aspirin.",
        ];
        StaticEncoder::train_from(&texts, 300, 16, 7).expect("train")
    }

    #[test]
    fn both_ways_of_encoding_agree_and_an_empty_text_is_zero() {
        let encoder = encoder();
        let tokens = encoder
            .tokenize(&["aspirin in mice", "", "fever ☃"])
            .expect("tokens");
        let plain = encoder.encode(&tokens);
        let refs: Vec<&Tokens> = tokens.iter().collect();
        let graph = encoder.forward(&refs).expect("forward");
        for (a, b) in plain.iter().zip(graph.embeddings()) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        assert!(plain[16..32].iter().all(|value| *value == 0.0));
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let encoder = encoder();
        let tokens = encoder
            .tokenize(&["aspirin in mice and aspirin", "fever"])
            .expect("tokens");
        let refs: Vec<&Tokens> = tokens.iter().collect();
        let outer: Vec<f32> = (0..32).map(|n| ((n * 7 % 11) as f32 - 5.0) / 5.0).collect();
        let value = |encoder: &StaticEncoder| -> f64 {
            let forward = encoder.forward(&refs).expect("forward");
            let embeddings = forward.embeddings().iter();
            embeddings.zip(&outer).map(|(e, g)| f64::from(e * g)).sum()
        };
        let gradient = encoder
            .forward(&refs)
            .and_then(|forward| forward.backward(outer.clone()))
            .expect("backward");
        let Some(Slope::Rows { rows, values }) = &gradient.slopes[0] else {
            panic!("{gradient:?}");
        };
        for (place, &row) in rows.iter().enumerate() {
            for column in [0, 5, 15] {
                let (mut up, mut down) = (encoder.clone(), encoder.clone());
                let at = row as usize * 16 + column;
                up.parameters_mut()[0].values[at] += 1e-2;
                down.parameters_mut()[0].values[at] -= 1e-2;
                let expected = (value(&up) - value(&down)) / 2e-2;
                let found = f64::from(values[place * 16 + column]);
                assert!(
                    (expected - found).abs() < 2e-3,
                    "row {row} column {column}: {expected} {found}"
                );
            }
        }
    }
}
