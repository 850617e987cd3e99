//! Distillation of margins.

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::shares::{self, RowLosses};
use crate::similarity::{Similarities, Similarity};
use crate::teacher;

/// Makes the margin between a positive and a negative what it is by the teacher:
/// `((s(anchor, positive) - s(anchor, negative)) - (t(anchor, positive) - t(anchor, negative)))²`, `t` the teacher's scores.
///
/// Every positive of an anchor with every negative of it; mean over these pairs by the product of the two rows' weights.
/// Labels are not used: the teacher grades.
///
/// Hofstätter et al. 2021; equal to sentence-transformers' `MarginMSELoss`, whose own default is `similarity: dot`.
#[derive(Config)]
pub struct MarginMse {
    /// What `s` is: `cosine`, or `dot` of the embeddings as they are. It should span what the teacher's scores span.
    #[config(default = Similarity::Cosine)]
    similarity: Similarity,
}

impl Loss for MarginMse {
    const NEEDS: Needs = Needs {
        positives: true,
        negatives: true,
        teacher: true,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        _: &Call<'_>,
    ) -> Result<f64> {
        let mut similarities = Similarities::of(batch, self.similarity);
        let mut of_rows = RowLosses::of(batch);
        let mut sum = 0.0;
        for pair in shares::pairs(batch) {
            let (positive, negative) = (pair.positive.1.text, pair.negative.1.text);
            let margin = similarities.between(pair.anchor, positive)
                - similarities.between(pair.anchor, negative);
            let wanted =
                teacher::score(batch, pair.positive.0)? - teacher::score(batch, pair.negative.0)?;
            let error = margin - wanted;
            let loss = error * error;
            of_rows.add(pair.positive.0, loss, pair.weight);
            of_rows.add(pair.negative.0, loss, pair.weight);
            sum += pair.share * f64::from(loss);
            let slope = 2.0 * error * pair.share as f32;
            similarities.pull(pair.anchor, positive, slope, out);
            similarities.pull(pair.anchor, negative, -slope, out);
        }
        similarities.write(out);
        of_rows.write(out);
        Ok(sum)
    }
}
