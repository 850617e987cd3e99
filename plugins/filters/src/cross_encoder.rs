//! Samples that a cross-encoder contradicts.

use std::collections::BTreeMap;

use orchestrator_plugin::{
    Call, Config, Error, Filter, Result, Role, Sample, Samples, Verdict, abi,
};

use crate::best_positive::{Margin, best_positives};
use crate::scoring;

/// Scores each sample anew by a cross-encoder, a model that reads the anchor and the text together (Nogueira and Cho 2019),
/// and drops positives that it finds too weak and negatives that it finds too good: by bounds that are the same for all, or
/// by the anchor's best positive. Cross-encoders judge pairs better than embeddings do, and cost a pass of the model for
/// every pair; cleaning mined negatives with one is RocketQA's denoising (Qu et al. 2021).
///
/// The model is a folder of Hugging Face's sequence classification under `models:`. With one label the score is from 0 to 1,
/// the sigmoid of its logit, or the logit itself where the folder says so (those of ms-marco do); with several it is the
/// share of the label that the experiment names: `judge: { folder: models/nli, label: entailment }`. Another model may stand
/// in its place: then the score is its similarity.
///
/// An anchor's positives are those judged in the same call, those kept in earlier rounds, and the documents known to be
/// relevant to it; an anchor without any is judged by `max_negative` alone. Only samples that some setting bounds are scored:
/// positives by `min_positive`, negatives by the others. Labels and weights are not looked at. The verdict's score is the
/// model's.
///
/// A negative that an augmenter made by changing a few characters or words of a text (`char_noise`, `keyword_edit`,
/// `contradict_rules`) may be too good on purpose: name such sources in `spare`.
#[derive(Config)]
#[config(check = Self::check)]
pub struct CrossEncoder {
    /// The model that scores: a name under `models:` whose folder is a cross-encoder.
    model: String,
    /// The least score a positive may have, in the unit of the model. Left out, positives are not judged.
    min_positive: Option<f32>,
    /// The greatest score a negative may have, whatever its anchor's positives.
    max_negative: Option<f32>,
    /// How far below the anchor's best positive a negative must stay. Left out, there is no such bound.
    margin: Option<Margin>,
    /// Names of sources (samplers and augmenters, as the experiment calls them) whose samples are not judged.
    #[config(default = Vec::new())]
    spare: Vec<String>,
}

impl CrossEncoder {
    fn check(&self) -> Result<()> {
        if self.margin.as_ref().is_some_and(Margin::is_empty) {
            return Err(Error::config(
                "/margin",
                "give `relative`, `absolute` or both, or leave the margin out",
            ));
        }
        if self.min_positive.is_none() && self.max_negative.is_none() && self.margin.is_none() {
            return Err(Error::config(
                "",
                "nothing is bounded: give `min_positive`, `max_negative` or `margin`",
            ));
        }
        Ok(())
    }

    /// Whether a sample is bounded by a setting.
    fn judges(&self, sample: &Sample<'_>) -> bool {
        let bounded = match sample.role {
            Role::Positive => self.min_positive.is_some(),
            Role::Negative => self.max_negative.is_some() || self.margin.is_some(),
        };
        bounded && !self.spare.iter().any(|name| name == sample.source)
    }

    /// The verdict on a sample of such a score; `best` is its anchor's best positive's.
    fn verdict(&self, role: Role, score: f32, best: Option<f32>) -> Verdict {
        let model = &self.model;
        if role == Role::Positive {
            let bound = self.min_positive.unwrap_or(f32::NEG_INFINITY);
            return Verdict::keep_if(score >= bound, || {
                format!("score {score:.3} by {model}, below {bound}")
            });
        }
        if let Some(bound) = self.max_negative.filter(|bound| score > *bound) {
            return Verdict::drop(format!("score {score:.3} by {model}, above {bound}"));
        }
        if let (Some(margin), Some(best)) = (&self.margin, best) {
            let limit = margin.limit(best);
            return Verdict::keep_if(score <= limit, || {
                format!(
                    "score {score:.3} by {model}, above {limit:.3}: its anchor's best positive has {best:.3}"
                )
            });
        }
        Verdict::keep()
    }
}

impl Filter for CrossEncoder {
    const SERVICES: &'static [&'static str] = &[
        abi::service::CORPUS,
        abi::service::JUDGEMENTS,
        abi::service::POOL,
        abi::service::SCORER,
    ];

    fn prepare(&mut self, call: &Call<'_>) -> Result<()> {
        scoring::check(call, &self.model)
    }

    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let judged: Vec<_> = samples
            .iter()
            .filter(|sample| self.judges(sample))
            .collect();
        let best = if self.margin.is_some() {
            let anchors = judged
                .iter()
                .filter(|sample| sample.role == Role::Negative)
                .map(|sample| (sample.anchor, sample.anchor_text))
                .collect();
            best_positives(&anchors, &self.model, samples, call)?
        } else {
            BTreeMap::new()
        };
        let pairs: Vec<_> = judged.iter().map(scoring::pair).collect();
        let scores = scoring::similarities(call, &self.model, &pairs)?;
        let mut verdicts = vec![Verdict::keep(); samples.len()];
        for (sample, score) in judged.iter().zip(scores) {
            let best = best.get(&sample.anchor).copied();
            verdicts[sample.row] = self.verdict(sample.role, score, best).scored(score);
        }
        Ok(verdicts)
    }
}
