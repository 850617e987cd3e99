//! Query by committee.

use orchestrator_plugin::{Call, Config, Pair, Pool, Result, Select};

use crate::entropy::entropy;
use crate::share_of_anchors;

/// Selects the pairs that a committee of three disagrees on most: the current model, the untrained model and BM25, each
/// with a calibrated probability (Seung et al. 1992).
///
/// Disagreement is the mean divergence of the members from their consensus, which is the mean of their probabilities
/// (McCallum & Nigam 1998), or the entropy of their votes, a vote being a probability of at least one half (Dagan &
/// Engelson 1995). Three votes on two classes have two values only, so ties are many: the pair whose consensus has the
/// higher entropy comes first, then the one that is first in the pool.
#[derive(Config)]
pub struct Committee {
    /// What disagreement is: `kl`, the mean Kullback-Leibler divergence to the consensus; `vote`, the entropy of votes.
    #[config(default = "kl", one_of = ["kl", "vote"])]
    by: String,
    /// At most this many pairs of one anchor, so that a round does not go to a few anchors; 0 = no bound.
    #[config(default = 2)]
    per_anchor: usize,
}

fn members(pair: &Pair<'_>) -> [f64; 3] {
    [
        pair.probability,
        pair.probability_initial,
        pair.probability_bm25,
    ]
    .map(f64::from)
}

fn mean(shares: [f64; 3]) -> f64 {
    shares.iter().sum::<f64>() / 3.0
}

/// The mean divergence of the members from their mean: the entropy of the mean less the mean of the entropies, which is
/// the same and has no quotient of small numbers.
fn divergence(shares: [f64; 3]) -> f64 {
    entropy(mean(shares)) - mean(shares.map(entropy))
}

fn vote_entropy(shares: [f64; 3]) -> f64 {
    entropy(mean(shares.map(|share| f64::from(u8::from(share >= 0.5)))))
}

impl Select for Committee {
    fn select(&self, pool: &Pool<'_>, budget: usize, _: &Call<'_>) -> Result<Vec<usize>> {
        let worth: Vec<(f64, f64)> = pool
            .iter()
            .map(|pair| {
                let shares = members(&pair);
                let disagreement = match self.by.as_str() {
                    "vote" => vote_entropy(shares),
                    _ => divergence(shares),
                };
                (disagreement, entropy(mean(shares)))
            })
            .collect();
        let mut rows: Vec<usize> = (0..worth.len()).collect();
        rows.sort_by(|&a, &b| {
            let (one, other) = (worth[a], worth[b]);
            (other.0.total_cmp(&one.0))
                .then(other.1.total_cmp(&one.1))
                .then(a.cmp(&b))
        });
        Ok(share_of_anchors::within(
            pool,
            rows,
            self.per_anchor,
            budget,
        ))
    }
}
