//! Online variational Bayes for latent Dirichlet allocation (Hoffman, Blei, Bach 2010), step by step as scikit-learn's
//! `LatentDirichletAllocation` does it, so that each step can be compared. Only the start differs: a document's mixture
//! begins even in every step, not drawn. A batch that is all documents makes it ordinary variational Bayes.

use rayon::prelude::*;

use crate::seed::{mix, seed};

/// How slowly early steps are forgotten, and how much: `(OFFSET + step) ^ -DECAY` is the weight of a step.
const OFFSET: f64 = 10.0;
const DECAY: f64 = 0.7;

/// A document's mixture is found when its topics change less than this on average, or after so many rounds.
const TOLERANCE: f64 = 1e-3;
const ROUNDS: usize = 100;

/// Documents, and rows of terms, that a thread takes at a time.
const PIECE: usize = 16;
const ROWS: usize = 256;

/// A document's terms, ascending, and how often it has each.
pub(super) type Counts = Vec<(u32, f64)>;

/// A model.
pub(super) struct Lda {
    topics: usize,
    /// Of the mixtures and of the topics: 1 / topics.
    prior: f64,
    /// `[terms, topics]`: how many words of each term are of each topic, and the prior.
    pub(super) lambda: Vec<f64>,
    /// `[terms, topics]`: exp(E[log of the topic's share of the term]).
    weights: Vec<f64>,
    /// The number of the next step, from 1.
    steps: u32,
}

/// What one document says.
pub(super) struct Found {
    /// The parameters of its mixture.
    pub(super) gamma: Vec<f64>,
    /// exp(E[log mixture]).
    mixture: Vec<f64>,
    /// For each of its terms, its count over what model and mixture expect.
    ratios: Vec<f64>,
}

impl Lda {
    /// A model that has seen nothing: each value drawn from Gamma(100, 1/100).
    pub fn start(terms: usize, topics: usize, experiment: u64) -> Self {
        let key = seed(experiment, "topics", &[]);
        let drawn = (0..terms * topics).map(|place| {
            // The mean of 100 exponential numbers; a product of 100 uniform ones stays far from 0.
            let product: f64 = (0..100)
                .map(|one| {
                    let bits = mix(key.wrapping_add(mix((place * 100 + one) as u64)));
                    ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64
                })
                .product();
            -product.ln() / 100.0
        });
        Self::of(drawn.collect(), topics)
    }

    /// A model with the given `[terms, topics]`.
    pub fn of(lambda: Vec<f64>, topics: usize) -> Self {
        let mut model = Self {
            topics,
            prior: 1.0 / topics as f64,
            weights: vec![0.0; lambda.len()],
            lambda,
            steps: 1,
        };
        model.weigh();
        model
    }

    /// Learns from a batch, as one of `all` documents.
    pub fn learn(&mut self, batch: &[&Counts], all: usize) {
        let found: Vec<Found> = batch
            .par_chunks(PIECE)
            .flat_map_iter(|piece| piece.iter().map(|counts| self.find(counts)))
            .collect();
        // Summed document by document, whatever thread found it.
        let mut sums = vec![0.0; self.lambda.len()];
        for (counts, found) in batch.iter().zip(&found) {
            for (&(term, _), ratio) in counts.iter().zip(&found.ratios) {
                let place = term as usize * self.topics;
                for (sum, share) in sums[place..place + self.topics]
                    .iter_mut()
                    .zip(&found.mixture)
                {
                    *sum += share * ratio;
                }
            }
        }
        // All documents say all there is: nothing earlier is worth keeping.
        let weight = if batch.len() == all {
            1.0
        } else {
            (OFFSET + f64::from(self.steps)).powf(-DECAY)
        };
        let scale = all as f64 / batch.len().max(1) as f64;
        for ((value, sum), share) in self.lambda.iter_mut().zip(&sums).zip(&self.weights) {
            *value = *value * (1.0 - weight) + weight * (self.prior + scale * (sum * share));
        }
        self.steps += 1;
        self.weigh();
    }

    /// Brings `weights` up to date with `lambda`.
    fn weigh(&mut self) {
        let of_totals: Vec<f64> = self.totals().into_iter().map(digamma).collect();
        let piece = ROWS * self.topics;
        self.weights
            .par_chunks_mut(piece)
            .zip(self.lambda.par_chunks(piece))
            .for_each(|(weights, lambda)| {
                let totals = of_totals.iter().cycle();
                for ((weight, value), total) in weights.iter_mut().zip(lambda).zip(totals) {
                    *weight = (digamma(*value) - total).exp();
                }
            });
    }

    /// The sum of each topic over all terms.
    fn totals(&self) -> Vec<f64> {
        let mut totals = vec![0.0; self.topics];
        for row in self.lambda.chunks_exact(self.topics) {
            for (total, value) in totals.iter_mut().zip(row) {
                *total += value;
            }
        }
        totals
    }

    /// Each topic's share of each term, `[terms, topics]`: the columns sum to 1.
    pub fn shares(&self) -> Vec<f64> {
        let totals = self.totals();
        let shares = self.lambda.iter().zip(totals.iter().cycle());
        shares.map(|(value, total)| value / total).collect()
    }

    /// The mixture of each document, `[documents, topics]`: the rows sum to 1.
    pub fn mixtures(&self, documents: &[Counts]) -> Vec<f32> {
        documents
            .par_chunks(PIECE)
            .flat_map_iter(|piece| {
                piece.iter().flat_map(|counts| {
                    let gamma = self.find(counts).gamma;
                    let total: f64 = gamma.iter().sum();
                    gamma.into_iter().map(move |one| (one / total) as f32)
                })
            })
            .collect()
    }

    /// Mixture and topics of a document's words, by turns until they agree.
    pub(super) fn find(&self, counts: &Counts) -> Found {
        let topics = self.topics;
        // Next to each other, since they are gone through many times.
        let rows: Vec<f64> = counts
            .iter()
            .flat_map(|&(term, _)| &self.weights[term as usize * topics..][..topics])
            .copied()
            .collect();
        let mut gamma = vec![1.0; topics];
        let mut mixture = vec![0.0; topics];
        expected(&gamma, &mut mixture);
        let mut next = vec![0.0; topics];
        for _ in 0..ROUNDS {
            next.fill(0.0);
            for (row, (_, count)) in rows.chunks_exact(topics).zip(counts) {
                let ratio = count / (dot(&mixture, row) + f64::EPSILON);
                for (sum, share) in next.iter_mut().zip(row) {
                    *sum += ratio * share;
                }
            }
            let mut change = 0.0;
            for ((sum, share), old) in next.iter_mut().zip(&mixture).zip(&gamma) {
                *sum = self.prior + *sum * share;
                change += (*sum - old).abs();
            }
            std::mem::swap(&mut gamma, &mut next);
            expected(&gamma, &mut mixture);
            if change / (topics as f64) < TOLERANCE {
                break;
            }
        }
        let ratios = rows
            .chunks_exact(topics)
            .zip(counts)
            .map(|(row, (_, count))| count / (dot(&mixture, row) + f64::EPSILON))
            .collect();
        Found {
            gamma,
            mixture,
            ratios,
        }
    }
}

/// exp(E[log x]) of a Dirichlet distribution.
fn expected(parameters: &[f64], out: &mut [f64]) {
    let of_total = digamma(parameters.iter().sum());
    for (out, parameter) in out.iter_mut().zip(parameters) {
        *out = (digamma(*parameter) - of_total).exp();
    }
}

/// Four sums side by side, then together: fast, and always in the same order.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

/// The derivative of the logarithm of the gamma function, for positive numbers: moved up by `digamma(x) = digamma(x + 1) -
/// 1/x`, the fractions added as one, then the asymptotic series (Abramowitz and Stegun 6.3.18).
pub(super) fn digamma(x: f64) -> f64 {
    let (mut x, mut over, mut under) = (x, 0.0, 1.0);
    while x < 10.0 {
        over = over * x + under;
        under *= x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32760.0,
    ];
    let tail = series
        .iter()
        .rev()
        .fold(0.0, |sum, factor| (sum + factor) * square);
    x.ln() - 0.5 / x - tail - over / under
}
