//! Documents the model takes for relevant and that are not known to be.

use std::collections::BTreeMap;

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Error, Result, Sampler, Sink, abi};
use serde_json::json;

/// Hard negatives: the documents the model puts nearest to the anchor, minus every known positive, minus those so near
/// that they may be positives nobody judged.
///
/// As sentence-transformers' `mine_hard_negatives`, with the relative margin made right for negative similarities.
#[derive(Config)]
pub struct HardNegative {
    /// How many of the nearest documents are looked at.
    #[config(default = 50, min = 1)]
    top_k: usize,
    /// How many an anchor gets at most, hardest first.
    #[config(default = 5, min = 1)]
    per_anchor: usize,
    /// How many of the nearest that are not known positives are passed over.
    #[config(default = 0)]
    skip: usize,
    /// How far below the anchor's best positive a negative must stay.
    margin: Option<Margin>,
}

/// How far below the anchor's best positive `pos` a negative must stay.
#[derive(Config)]
pub struct Margin {
    /// As a share: at most `pos - |pos| * relative`.
    #[config(min = 0, max = 1)]
    relative: Option<f64>,
    /// As a difference of cosines: at most `pos - absolute`.
    #[config(min = 0, max = 2)]
    absolute: Option<f64>,
}

impl Margin {
    fn limit(&self, best: f32) -> f32 {
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
}

impl Sampler for HardNegative {
    const SERVICES: &'static [&'static str] = &[
        abi::service::CORPUS,
        abi::service::JUDGEMENTS,
        abi::service::SEARCH,
    ];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let (corpus, judgements, search) = (call.corpus()?, call.judgements()?, call.search()?);
        // Looked at in blocks, so that the answer of the search stays small.
        let all: Vec<_> = anchors.iter().collect();
        for (block, some) in all.chunks(256).enumerate() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            call.progress((block * 256) as u64, all.len() as u64, "anchors");
            let numbers: Vec<i64> = some.iter().map(|anchor| anchor.number).collect();
            let nearest = search.top_k(&numbers, self.top_k.min(corpus.len()))?;
            for (anchor, found) in some.iter().zip(nearest) {
                let known: Vec<i64> = judgements
                    .of(anchor.number)
                    .filter(|one| one.relevant)
                    .map(|one| one.document)
                    .collect();
                let positives: BTreeMap<i64, f32> = known
                    .iter()
                    .copied()
                    .zip(search.score(&vec![anchor.number; known.len()], &known)?)
                    .collect();
                let best = positives.values().copied().reduce(f32::max);
                let limit = match (&self.margin, best) {
                    (Some(margin), Some(best)) => margin.limit(best),
                    _ => f32::INFINITY,
                };
                let (mut rank, mut taken) = (0, 0);
                for (document, score) in found {
                    if taken == self.per_anchor {
                        break;
                    }
                    if positives.contains_key(&document) {
                        sink.count("dropped: known positive", 1);
                        continue;
                    }
                    rank += 1;
                    if rank <= self.skip {
                        continue;
                    }
                    if score > limit {
                        sink.count("dropped: within the margin of the positive", 1);
                        continue;
                    }
                    let text = corpus.document(document as usize).full_text();
                    if text.trim().is_empty() {
                        sink.count("dropped: empty document", 1);
                        continue;
                    }
                    let mut candidate = Candidate::negative(anchor.number, &text);
                    candidate.document = Some(document);
                    candidate.score = score;
                    candidate.detail =
                        json!({ "rank": rank, "best_positive": best, "limit": limit.is_finite().then_some(limit) })
                            .to_string();
                    sink.push(&candidate)?;
                    taken += 1;
                }
                sink.count("asked", self.per_anchor);
                sink.count("found", taken);
            }
        }
        Ok(())
    }
}
