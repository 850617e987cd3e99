//! A loss: a number to make small, and its gradient.
#![forbid(unsafe_code)]

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result, dot};

/// Hinge loss: a positive's cosine is to be above `above`, a negative's below `below`. The mean over rows, by weight.
///
/// This comment is what `orchestrator plugin show my_plugin` prints: the first sentence is the summary; then say how it
/// works and where the method is from.
#[derive(Config)]
pub struct MyPlugin {
    /// What the cosine of a positive should reach.
    #[config(default = 0.8, min = -1, max = 1)]
    above: f32,
    /// What the cosine of a negative should stay under.
    #[config(default = 0.3, min = -1, max = 1)]
    below: f32,
}

impl Loss for MyPlugin {
    const NEEDS: Needs = Needs {
        positives: false,
        negatives: false,
        teacher: false,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        _call: &Call<'_>,
    ) -> Result<f64> {
        let total: f64 = (0..batch.rows())
            .map(|row| f64::from(batch.row(row).weight))
            .sum();
        let mut loss = 0.0;
        for group in batch.groups() {
            let positives = group.positives.iter().map(|&row| (row, true));
            let negatives = group.negatives.iter().map(|&row| (row, false));
            for (number, positive) in positives.chain(negatives) {
                let row = batch.row(number as usize);
                let (anchor, text) = (batch.embedding(row.anchor), batch.embedding(row.text));
                // Embeddings are of length one: their dot product is their cosine.
                let cosine = dot(anchor, text);
                let (distance, slope) = if positive {
                    (self.above - cosine, -1.0)
                } else {
                    (cosine - self.below, 1.0)
                };
                let part = distance.max(0.0);
                out.set_row(number as usize, part);
                let share = f64::from(row.weight) / total;
                loss += share * f64::from(part);
                if part > 0.0 {
                    // d cos(a, t) / da = t, d cos(a, t) / dt = a; both are ADDED to what other rows did.
                    let scale = slope * share as f32;
                    out.add(row.anchor, scale, text);
                    out.add(row.text, scale, anchor);
                }
            }
        }
        Ok(loss)
    }
}

// The id is reverse DNS: change `org.example` to a domain of yours.
orchestrator_plugin::export! { losses: [MyPlugin as "org.example.my_plugin"] }
