//! Positives that do not look like their anchor.

use orchestrator_plugin::{
    Call, Config, Error, Filter, Result, Role, Sample, Samples, Verdict, abi,
};

use crate::scoring;

/// Drops or flags positives that two witnesses find too far from their anchor: likely errors of the labels. The first
/// witness is the similarity by a model, which must be below a low quantile of all positives'; the second, independent
/// of it, is the agreement of topics, which must be below a quantile too. Only where both say so is a positive suspected,
/// since either alone is often wrong: a paraphrase has few words in common, a good match may lie between topics.
///
/// Agreement of topics is `1 - D`, with the Jensen-Shannon distance `D` (base 2, so 0..1; Endres and Schindelin 2003)
/// between the topic mixtures of anchor and positive under latent Dirichlet allocation (Blei et al. 2003), fitted over
/// the corpus. Quantiles are those of the positives judged in the call and those kept in earlier rounds, interpolated
/// linearly. Negatives are not judged; labels and weights are not looked at. The verdict's score is the similarity.
#[derive(Config)]
pub struct Consistency {
    /// Which model measures: `current` (the one being trained), `initial` (before training), `bm25`, or a name under
    /// `models:`. An untrained `current` model is a weak witness: `bm25` or a named model may be a better one.
    #[config(default = "current")]
    model: String,
    /// Share of the positives, the least similar, that the first witness suspects.
    #[config(default = 0.05, min = 0, max = 1)]
    quantile: f64,
    /// Share of the positives, those of the least agreement, that the second witness suspects.
    #[config(default = 0.25, min = 0, max = 1)]
    topic_quantile: f64,
    /// The second witness: `topics`, or `none` to go by similarity alone, which always suspects the given share.
    #[config(default = "topics", one_of = ["topics", "none"])]
    witness: String,
    /// Whether what is suspected goes; if not, it stays with the reason noted.
    #[config(default = true)]
    drop: bool,
}

/// Texts whose topics are asked for at once.
const BLOCK: usize = 1024;

/// `1 - D` with the Jensen-Shannon distance of two distributions.
fn agreement(p: &[f32], q: &[f32]) -> f64 {
    let mut divergence = 0.0;
    for (&p, &q) in p.iter().zip(q) {
        let (p, q) = (f64::from(p), f64::from(q));
        let middle = f64::midpoint(p, q);
        for share in [p, q] {
            if share > 0.0 {
                divergence += share * (share / middle).log2() / 2.0;
            }
        }
    }
    // Rounding may leave equal mixtures a little under 0, disjoint ones a little over 1.
    1.0 - divergence.clamp(0.0, 1.0).sqrt()
}

/// The agreement of topics of each (anchor, text).
fn agreements(call: &Call<'_>, pairs: &[(&str, &str)]) -> Result<Vec<f64>> {
    let topics = call.topics()?;
    let count = topics.count();
    let mut texts: Vec<&str> = pairs
        .iter()
        .flat_map(|&(anchor, text)| [anchor, text])
        .collect();
    texts.sort_unstable();
    texts.dedup();
    let mut mixtures = Vec::with_capacity(texts.len() * count);
    for (block, some) in texts.chunks(BLOCK).enumerate() {
        if call.is_cancelled() {
            return Err(Error::cancelled());
        }
        call.progress((block * BLOCK) as u64, texts.len() as u64, "topics");
        mixtures.extend(topics.infer(some)?);
    }
    let of = |text: &str| {
        let place = texts.binary_search(&text).unwrap_or_default();
        &mixtures[place * count..(place + 1) * count]
    };
    Ok(pairs
        .iter()
        .map(|(anchor, text)| agreement(of(anchor), of(text)))
        .collect())
}

/// The value below which a share `q` of `values` lies, between two of them in proportion; NaN if there are none.
fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = q * last as f64;
    let (low, high) = (
        values[place.floor() as usize],
        values[place.ceil() as usize],
    );
    low + (high - low) * place.fract()
}

impl Filter for Consistency {
    const SERVICES: &'static [&'static str] = &[abi::service::POOL, abi::service::SCORER];

    fn prepare(&mut self, call: &Call<'_>) -> Result<()> {
        if self.witness == "topics" {
            call.topics()?;
        }
        scoring::check(call, &self.model)
    }

    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let positive = |sample: &Sample<'_>| sample.role == Role::Positive;
        let judged: Vec<_> = samples.iter().filter(positive).collect();
        let pool = call.pool()?;
        // Those judged come first: the rest only takes part in the quantiles.
        let pairs: Vec<_> = judged
            .iter()
            .copied()
            .chain(pool.iter().filter(positive))
            .map(|sample| scoring::pair(&sample))
            .collect();
        let similarities: Vec<f64> = scoring::similarities(call, &self.model, &pairs)?
            .into_iter()
            .map(f64::from)
            .collect();
        let least = quantile(similarities.clone(), self.quantile);
        let topics = if self.witness == "topics" {
            let agreements = agreements(call, &pairs)?;
            let least = quantile(agreements.clone(), self.topic_quantile);
            Some((agreements, least))
        } else {
            None
        };
        let mut verdicts = vec![Verdict::keep(); samples.len()];
        for (place, sample) in judged.iter().enumerate() {
            let similarity = similarities[place];
            let mut suspected = similarity < least;
            let mut why = format!(
                "similarity {similarity:.3} by {}, below {least:.3}",
                self.model
            );
            if let Some((agreements, least)) = &topics {
                suspected &= agreements[place] < *least;
                why += &format!(
                    "; agreement of topics {:.3}, below {least:.3}",
                    agreements[place]
                );
            }
            let mut verdict = Verdict::keep().scored(similarity as f32);
            if suspected {
                verdict.keep = !self.drop;
                verdict.reason = why;
            }
            verdicts[sample.row] = verdict;
        }
        Ok(verdicts)
    }
}
