//! Similarities by a model that a setting names, asked for in blocks.

use orchestrator_plugin::{Call, Error, Result, Sample};

/// Pairs asked for at once: many enough for a model to work on, few enough to stop between even if it reads every pair.
const BLOCK: usize = 512;

/// Refuses a model that nobody knows, before anything is judged.
pub(crate) fn check(call: &Call<'_>, model: &str) -> Result<()> {
    call.scorer()?.score(model, &[]).map(|_| ())
}

/// The query and text of a sample.
pub(crate) fn pair<'a>(sample: &Sample<'a>) -> (&'a str, &'a str) {
    (sample.anchor_text, sample.text)
}

/// The similarity of each (query, text) by `model`. Equal pairs are asked for once.
pub(crate) fn similarities(
    call: &Call<'_>,
    model: &str,
    pairs: &[(&str, &str)],
) -> Result<Vec<f32>> {
    let scorer = call.scorer()?;
    let mut distinct = pairs.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut scores = Vec::with_capacity(distinct.len());
    for block in distinct.chunks(BLOCK) {
        if call.is_cancelled() {
            return Err(Error::cancelled());
        }
        call.progress(scores.len() as u64, distinct.len() as u64, "pairs");
        scores.extend(scorer.score(model, block)?);
    }
    Ok(pairs
        .iter()
        .map(|pair| {
            distinct
                .binary_search(pair)
                .map_or(f32::NAN, |place| scores[place])
        })
        .collect())
}
