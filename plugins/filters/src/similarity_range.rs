//! Samples too far from their anchor, or too near.

use orchestrator_plugin::{Call, Config, Error, Filter, Result, Role, Samples, Verdict, abi};

use crate::scoring;

/// Keeps samples whose similarity to their anchor lies in a range, its ends included. For negatives neither trivial nor
/// suspicious, or positives that are not copies of their anchor. `false_negative` goes by the anchor's own positives
/// instead; this filter's bounds are the same for all.
///
/// The similarity is what `model` gives for (anchor, text); it is the verdict's score.
#[derive(Config)]
#[config(check = Self::check)]
pub struct SimilarityRange {
    /// Which model measures: `current` (the one being trained), `initial` (before training), `bm25`, or a name under
    /// `models:`.
    #[config(default = "current")]
    model: String,
    /// The least similarity that stays: a cosine, or a BM25 score. Left out, there is no bound.
    min: Option<f32>,
    /// The greatest similarity that stays, in the same unit. Left out, there is no bound.
    max: Option<f32>,
    /// Which samples are judged; the others stay.
    #[config(default = "any", one_of = ["any", "positive", "negative"])]
    role: String,
}

impl SimilarityRange {
    fn check(&self) -> Result<()> {
        match (self.min, self.max) {
            (None, None) => Err(Error::config("", "neither `min` nor `max` is given")),
            (Some(min), Some(max)) if min > max => Err(Error::config(
                "/min",
                format!("{min} is more than `max`, {max}"),
            )),
            _ => Ok(()),
        }
    }
}

impl Filter for SimilarityRange {
    const SERVICES: &'static [&'static str] = &[abi::service::SCORER];

    fn prepare(&mut self, call: &Call<'_>) -> Result<()> {
        scoring::check(call, &self.model)
    }

    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let judged: Vec<_> = samples
            .iter()
            .filter(|sample| match self.role.as_str() {
                "positive" => sample.role == Role::Positive,
                "negative" => sample.role == Role::Negative,
                _ => true,
            })
            .collect();
        let pairs: Vec<_> = judged.iter().map(scoring::pair).collect();
        let similarities = scoring::similarities(call, &self.model, &pairs)?;
        let (min, max) = (
            self.min.unwrap_or(f32::NEG_INFINITY),
            self.max.unwrap_or(f32::INFINITY),
        );
        let mut verdicts = vec![Verdict::keep(); samples.len()];
        for (sample, similarity) in judged.iter().zip(similarities) {
            verdicts[sample.row] = Verdict::keep_if((min..=max).contains(&similarity), || {
                let (side, bound) = if similarity > max {
                    ("above", max)
                } else {
                    ("below", min)
                };
                format!(
                    "similarity {similarity:.3} by {}, {side} {bound}",
                    self.model
                )
            })
            .scored(similarity);
        }
        Ok(verdicts)
    }
}
