//! Negatives that may be positives nobody judged.

use std::collections::BTreeMap;

use orchestrator_plugin::{Call, Config, Error, Filter, Result, Role, Samples, Verdict, abi};

use crate::best_positive::{Margin, best_positives};
use crate::scoring;

/// Drops negatives that a model puts nearly as near to their anchor as its best positive, or nearer: likely positives
/// that nobody judged. The bound follows the anchor: its best positive's similarity less `margin`. This is the
/// positive-aware margin of NV-Retriever (Moreira et al. 2024), there to mine by and here to judge what any sampler
/// proposed, with the relative margin made right for negative similarities: `pos - |pos| * relative`.
///
/// An anchor's positives are those judged in the same call, those kept in earlier rounds, and the documents known to be
/// relevant to it. An anchor without any has no bound but `max_score`. Positives are not judged; labels and weights are
/// not looked at. The verdict's score is the negative's similarity.
///
/// A negative that an augmenter made by changing a few characters or words of a text (`char_noise`, `keyword_edit`,
/// `contradict_rules`) is near its anchor on purpose, and this filter drops most of them: name such sources in `spare`.
#[derive(Config)]
#[config(check = Self::check)]
pub struct FalseNegative {
    /// Which model measures: `current` (the one being trained), `initial` (before training), `bm25`, or a name under
    /// `models:`.
    #[config(default = "current")]
    model: String,
    /// How far below the anchor's best positive a negative must stay; left out, it is `{ relative: 0.05 }`. `{}` is no
    /// margin and no bound by positives: then only `max_score` judges.
    margin: Option<Margin>,
    /// The greatest similarity a negative may have whatever its anchor's positives: a cosine, or a BM25 score. Left out,
    /// there is no such bound.
    max_score: Option<f32>,
    /// Names of sources (samplers and augmenters, as the experiment calls them) whose negatives are not judged.
    #[config(default = Vec::new())]
    spare: Vec<String>,
}

/// Where neither the experiment nor its `margin` says anything.
const MARGIN: Margin = Margin {
    relative: Some(0.05),
    absolute: None,
};

impl FalseNegative {
    fn check(&self) -> Result<()> {
        let margin = self.margin.as_ref().unwrap_or(&MARGIN);
        if margin.is_empty() && self.max_score.is_none() {
            return Err(Error::config(
                "/margin",
                "with an empty margin, give `max_score`",
            ));
        }
        Ok(())
    }
}

impl Filter for FalseNegative {
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
            .filter(|sample| sample.role == Role::Negative)
            .filter(|sample| !self.spare.iter().any(|name| name == sample.source))
            .collect();
        let margin = self.margin.as_ref().unwrap_or(&MARGIN);
        let anchors: BTreeMap<i64, &str> = judged
            .iter()
            .map(|sample| (sample.anchor, sample.anchor_text))
            .collect();
        let best = best_positives(&anchors, &self.model, samples, call)?;
        let pairs: Vec<_> = judged.iter().map(scoring::pair).collect();
        let similarities = scoring::similarities(call, &self.model, &pairs)?;
        let mut verdicts = vec![Verdict::keep(); samples.len()];
        for (sample, similarity) in judged.iter().zip(similarities) {
            let by_positive = best
                .get(&sample.anchor)
                .map(|&best| (best, margin.limit(best)));
            let verdict = match (by_positive, self.max_score) {
                (Some((best, limit)), _) if similarity > limit => Verdict::drop(format!(
                    "similarity {similarity:.3} by {}, above {limit:.3}: its anchor's best positive has {best:.3}",
                    self.model
                )),
                (_, Some(bound)) if similarity > bound => Verdict::drop(format!(
                    "similarity {similarity:.3} by {}, above {bound}",
                    self.model
                )),
                _ => Verdict::keep(),
            };
            verdicts[sample.row] = verdict.scored(similarity);
        }
        Ok(verdicts)
    }
}
