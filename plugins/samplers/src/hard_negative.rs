//! Documents the model takes for relevant and that are not known to be.

use orchestrator_plugin::{
    Anchors, Call, Candidate, Config, Error, Random, Result, Sampler, Sink, abi,
};
use serde_json::json;

use crate::draw;
use crate::known_positives::{Admission, Documents};

/// Hard negatives: the documents the model puts nearest to the anchor, minus every known positive, minus those so near
/// that they may be positives nobody judged.
///
/// As sentence-transformers' `mine_hard_negatives` (6.2), in its order: the `top_k` nearest documents that are no known
/// positives, by document or by their words (its `range_max`); minus those the margins or the bounds of the score turn
/// away; minus the `range_min` nearest of what is left; of these the nearest `per_anchor`, or as many at random. An
/// anchor without known positives has no margin. With `against: worst` both choose the same documents wherever `top_k`
/// holds enough; sentence-transformers looks at as many more as the anchor with most positives has. Label 0, weight 1;
/// the score is the cosine.
#[derive(Config)]
#[config(check = Self::check)]
pub struct HardNegative {
    /// How many of the nearest documents are looked at, known positives not counted.
    #[config(default = 50, min = 1)]
    top_k: usize,
    /// How many of the nearest that margins and bounds have left are passed over.
    #[config(default = 0)]
    range_min: usize,
    /// How many an anchor gets at most.
    #[config(default = 5, min = 1)]
    per_anchor: usize,
    /// How far below the anchor's positives a negative must stay.
    margin: Option<Margin>,
    /// The highest cosine a negative may have.
    #[config(min = -1, max = 1)]
    max_score: Option<f64>,
    /// The lowest cosine a negative may have.
    #[config(min = -1, max = 1)]
    min_score: Option<f64>,
    /// Which of those left an anchor gets: `top`, the nearest; `random`, drawn by the seed.
    #[config(default = "top", one_of = ["top", "random"])]
    sampling: String,
}

/// How far below a positive of cosine `pos` a negative must stay.
#[derive(Config)]
pub struct Margin {
    /// As a share: at most `pos - |pos| * relative`, which lies below `pos` for a negative `pos` too.
    #[config(min = 0, max = 1)]
    relative: Option<f64>,
    /// As a difference of cosines: at most `pos - absolute`.
    #[config(min = 0, max = 2)]
    absolute: Option<f64>,
    /// Which `pos` where an anchor has several positives: `best`, the highest; `worst`, the lowest, as
    /// sentence-transformers does (fewer false negatives, fewer negatives); `mean`.
    #[config(default = "best", one_of = ["best", "worst", "mean"])]
    against: String,
}

impl Margin {
    /// The highest cosine a negative may have beside positives of these; none if there are none.
    fn limit(&self, positives: &[f32]) -> Option<f32> {
        if positives.is_empty() {
            return None;
        }
        let positive = match self.against.as_str() {
            "worst" => positives.iter().copied().reduce(f32::min)?,
            "mean" => {
                let sum: f64 = positives.iter().map(|&score| f64::from(score)).sum();
                (sum / positives.len() as f64) as f32
            }
            _ => positives.iter().copied().reduce(f32::max)?,
        };
        let positive = f64::from(positive);
        let share = self.relative.map(|share| positive - positive.abs() * share);
        let difference = self.absolute.map(|difference| positive - difference);
        let limit = share.into_iter().chain(difference).reduce(f64::min)?;
        Some(limit as f32)
    }
}

/// How many anchors are searched for at once, so that the answer of the search stays small.
const BLOCK: usize = 256;

/// One document on its way.
struct Near {
    document: i64,
    score: f32,
    /// Among those looked at, from 1.
    rank: usize,
}

impl HardNegative {
    fn check(&self) -> Result<()> {
        if self.range_min >= self.top_k {
            return Err(Error::config(
                "/range_min",
                format!("must be below top_k, which is {}", self.top_k),
            ));
        }
        match (self.min_score, self.max_score) {
            (Some(min), Some(max)) if min > max => Err(Error::config(
                "/min_score",
                format!("must be at most max_score, which is {max}"),
            )),
            _ => Ok(()),
        }
    }
}

impl Sampler for HardNegative {
    const SERVICES: &'static [&'static str] = &[
        abi::service::CORPUS,
        abi::service::JUDGEMENTS,
        abi::service::SEARCH,
    ];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let (judgements, search) = (call.judgements()?, call.search()?);
        let documents = Documents::of(call.corpus()?);
        let all: Vec<_> = anchors.iter().collect();
        for (block, some) in all.chunks(BLOCK).enumerate() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            call.progress((block * BLOCK) as u64, all.len() as u64, "anchors");
            let mut admissions: Vec<Admission<'_, '_>> = some
                .iter()
                .map(|anchor| Admission::of(anchor.number, &judgements, &documents))
                .collect();
            let numbers: Vec<i64> = some.iter().map(|anchor| anchor.number).collect();
            let most = admissions.iter().map(|one| one.positives().len()).max();
            let depth = (self.top_k + most.unwrap_or(0)).min(documents.len());
            let nearest = search.top_k(&numbers, depth)?;
            let (of_pairs, positives): (Vec<i64>, Vec<i64>) = admissions
                .iter()
                .zip(&numbers)
                .flat_map(|(one, &anchor)| {
                    one.positives().iter().map(move |&known| (anchor, known))
                })
                .unzip();
            let mut scores = search.score(&of_pairs, &positives)?.into_iter();
            for ((anchor, admission), found) in some.iter().zip(&mut admissions).zip(nearest) {
                let known = admission.positives().len();
                let positives: Vec<f32> = scores.by_ref().take(known).collect();
                let limit = self.margin.as_ref().and_then(|one| one.limit(&positives));
                // As deep for this anchor whatever the others of its block have.
                let found = &found[..found.len().min(self.top_k + known)];
                let random = call.random(&[anchor.number as u64]);
                let chosen = self.choose(admission, found, limit, random, sink);
                for near in &chosen {
                    let text = documents.text(near.document);
                    let mut candidate = Candidate::negative(anchor.number, &text);
                    candidate.document = Some(near.document);
                    candidate.score = near.score;
                    candidate.detail =
                        json!({ "rank": near.rank, "positives": positives, "limit": limit })
                            .to_string();
                    sink.push(&candidate)?;
                }
                sink.count("asked", self.per_anchor);
                sink.count("found", chosen.len());
            }
        }
        Ok(())
    }
}

impl HardNegative {
    fn choose(
        &self,
        admission: &mut Admission<'_, '_>,
        found: &[(i64, f32)],
        limit: Option<f32>,
        random: Random,
        sink: &mut Sink<'_>,
    ) -> Vec<Near> {
        let limit = limit.unwrap_or(f32::INFINITY);
        let max = self.max_score.map_or(f32::INFINITY, |one| one as f32);
        let min = self.min_score.map_or(f32::NEG_INFINITY, |one| one as f32);
        let (mut looked_at, mut left) = (0, Vec::new());
        for &(document, score) in found {
            if looked_at == self.top_k {
                break;
            }
            if let Err(why) = admission.document(document) {
                sink.count(why, 1);
                continue;
            }
            looked_at += 1;
            if score > limit {
                sink.count("dropped: within the margin of the positive", 1);
            } else if score > max {
                sink.count("dropped: above max_score", 1);
            } else if score < min {
                sink.count("dropped: below min_score", 1);
            } else {
                left.push(Near {
                    document,
                    score,
                    rank: looked_at,
                });
            }
        }
        let passed_over = self.range_min.min(left.len());
        if passed_over > 0 {
            sink.count("dropped: nearer than range_min", passed_over);
        }
        let mut left = left.split_off(passed_over);
        if self.sampling == "random" {
            return draw::some(random, left, self.per_anchor);
        }
        left.truncate(self.per_anchor);
        left
    }
}
