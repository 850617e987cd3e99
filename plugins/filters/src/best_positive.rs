//! What an anchor's best positive says of its negatives, by a model.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin::{Call, Config, Result, Role, Samples};

use crate::scoring;

/// How far below the anchor's best positive `pos` a negative must stay; of two, the stricter counts.
#[derive(Config)]
pub struct Margin {
    /// As a share: at most `pos - |pos| * relative`.
    #[config(min = 0, max = 1)]
    pub(crate) relative: Option<f64>,
    /// As a difference, in the unit of the model: at most `pos - absolute`.
    #[config(min = 0)]
    pub(crate) absolute: Option<f64>,
}

impl Margin {
    /// The greatest similarity a negative may have beside a positive of similarity `best`.
    pub(crate) fn limit(&self, best: f32) -> f32 {
        let best = f64::from(best);
        let mut limit = f64::INFINITY;
        if let Some(share) = self.relative {
            limit = limit.min(best - best.abs() * share);
        }
        if let Some(difference) = self.absolute {
            limit = limit.min(best - difference);
        }
        limit as f32
    }

    /// Whether it bounds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.relative.is_none() && self.absolute.is_none()
    }
}

/// The similarity of each anchor's best positive.
pub(crate) fn best_positives(
    anchors: &BTreeMap<i64, &str>,
    model: &str,
    samples: &Samples<'_>,
    call: &Call<'_>,
) -> Result<BTreeMap<i64, f32>> {
    let (corpus, judgements, pool) = (call.corpus()?, call.judgements()?, call.pool()?);
    let known: BTreeSet<(i64, i64)> = anchors
        .keys()
        .flat_map(|&anchor| {
            judgements
                .of(anchor)
                .filter(|one| one.relevant)
                .map(move |one| (anchor, one.document))
        })
        .collect();
    let documents: Vec<(i64, String)> = known
        .into_iter()
        .map(|(anchor, number)| (anchor, corpus.document(number as usize).full_text()))
        .collect();
    let texts: Vec<(i64, &str)> = pool
        .iter()
        .chain(samples.iter())
        .filter(|sample| sample.role == Role::Positive && anchors.contains_key(&sample.anchor))
        .map(|sample| (sample.anchor, sample.text))
        .chain(
            documents
                .iter()
                .map(|(anchor, text)| (*anchor, text.as_str())),
        )
        .collect();
    let pairs: Vec<_> = texts
        .iter()
        .map(|(anchor, text)| (anchors[anchor], *text))
        .collect();
    let mut best = BTreeMap::new();
    for ((anchor, _), score) in texts
        .iter()
        .zip(scoring::similarities(call, model, &pairs)?)
    {
        let of_anchor = best.entry(*anchor).or_insert(score);
        *of_anchor = of_anchor.max(score);
    }
    Ok(best)
}
