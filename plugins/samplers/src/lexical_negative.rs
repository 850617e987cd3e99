//! Documents with the same words.

use orchestrator_plugin::{
    Anchor, Anchors, Call, Candidate, Config, Error, Judgements, Result, Sampler, Sink, abi,
};
use serde_json::json;

use crate::evidence;
use crate::known_positives::{Admission, Documents};

/// Documents that BM25 puts highest and that are not known to be relevant: the same terms, often in another context
/// (Karpukhin et al. 2020 mine such negatives).
///
/// With `max_similarity`, those that the model too takes for near are left out: what remains shares the words and, as far
/// as the model knows, not the meaning. Label 0, weight 1; the score is that of BM25.
#[derive(Config)]
pub struct LexicalNegative {
    /// What is searched for: `anchor`, its text; `positive`, each of its positives' evidence (the abstract where none is
    /// marked), and the best of each in turn; the anchor's text where it has no positive.
    #[config(default = "anchor", one_of = ["anchor", "positive"])]
    query: String,
    /// How many an anchor gets at most, the best first.
    #[config(default = 5, min = 1)]
    per_anchor: usize,
    /// How many of the best are looked at, known positives not counted.
    #[config(default = 50, min = 1)]
    top_k: usize,
    /// Whether documents judged not to be relevant to the anchor are left out too.
    #[config(default = false)]
    skip_judged: bool,
    /// The highest cosine to the anchor, by the current model, that a negative may have.
    #[config(min = -1, max = 1)]
    max_similarity: Option<f64>,
}

/// How many anchors are searched for at once.
const BLOCK: usize = 128;

impl LexicalNegative {
    fn queries(
        &self,
        anchor: &Anchor<'_>,
        judgements: &Judgements<'_>,
        documents: &Documents<'_>,
    ) -> Vec<String> {
        let mut queries: Vec<String> = Vec::new();
        if self.query == "positive" {
            for judgement in judgements.of(anchor.number).filter(|one| one.relevant) {
                let document = documents.get(judgement.document);
                for (text, _) in evidence::passages(&document, &judgement, "rationale") {
                    if !queries.contains(&text) {
                        queries.push(text);
                    }
                }
            }
        }
        if queries.is_empty() {
            queries.push(anchor.text.to_owned());
        }
        queries
    }

    /// What an anchor may be given, in the order of the ranks, then of the queries.
    fn found(
        &self,
        rankings: &[Vec<(i64, f32)>],
        admission: &mut Admission<'_, '_>,
        sink: &mut Sink<'_>,
    ) -> Vec<(i64, f32)> {
        let deepest = rankings.iter().map(Vec::len).max().unwrap_or(0);
        let mut seen = std::collections::BTreeSet::new();
        let mut found = Vec::new();
        for rank in 0..deepest {
            for &(document, score) in rankings.iter().filter_map(|ranking| ranking.get(rank)) {
                if found.len() == self.top_k {
                    return found;
                }
                // What several queries find is one find.
                if !seen.insert(document) {
                    continue;
                }
                match admission.document(document) {
                    Ok(()) => found.push((document, score)),
                    Err(why) => sink.count(why, 1),
                }
            }
        }
        found
    }
}

impl Sampler for LexicalNegative {
    const SERVICES: &'static [&'static str] = &[
        abi::service::CORPUS,
        abi::service::JUDGEMENTS,
        abi::service::BM25,
    ];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let (judgements, bm25) = (call.judgements()?, call.bm25()?);
        let documents = Documents::of(call.corpus()?);
        let search = self.max_similarity.map(|_| call.search()).transpose()?;
        let all: Vec<_> = anchors.iter().collect();
        for (block, some) in all.chunks(BLOCK).enumerate() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            call.progress((block * BLOCK) as u64, all.len() as u64, "anchors");
            let queries: Vec<Vec<String>> = some
                .iter()
                .map(|anchor| self.queries(anchor, &judgements, &documents))
                .collect();
            let mut admissions: Vec<Admission<'_, '_>> = some
                .iter()
                .map(|anchor| {
                    let admission = Admission::of(anchor.number, &judgements, &documents);
                    if self.skip_judged {
                        admission.without_judged()
                    } else {
                        admission
                    }
                })
                .collect();
            let most = admissions.iter().map(|one| one.judged().len()).max();
            let depth = (self.top_k + most.unwrap_or(0)).min(documents.len());
            let flat: Vec<&str> = queries.iter().flatten().map(String::as_str).collect();
            let mut rankings = bm25.top_k(&flat, depth)?.into_iter();
            for ((anchor, admission), queries) in some.iter().zip(&mut admissions).zip(&queries) {
                let depth = self.top_k + admission.judged().len();
                let its: Vec<Vec<(i64, f32)>> = rankings
                    .by_ref()
                    .take(queries.len())
                    .map(|mut ranking| {
                        // As deep for this anchor whatever the others of its block have.
                        ranking.truncate(depth);
                        ranking
                    })
                    .collect();
                let found = self.found(&its, admission, sink);
                let cosines = match &search {
                    Some(search) => {
                        let numbers: Vec<i64> = found.iter().map(|one| one.0).collect();
                        search.score(&vec![anchor.number; numbers.len()], &numbers)?
                    }
                    None => Vec::new(),
                };
                let max = self.max_similarity.map_or(f32::INFINITY, |one| one as f32);
                let mut taken = 0;
                for (rank, &(document, score)) in found.iter().enumerate() {
                    if taken == self.per_anchor {
                        break;
                    }
                    let cosine = cosines.get(rank).copied();
                    if cosine.is_some_and(|cosine| cosine > max) {
                        sink.count("dropped: above max_similarity", 1);
                        continue;
                    }
                    let text = documents.text(document);
                    let mut candidate = Candidate::negative(anchor.number, &text);
                    candidate.document = Some(document);
                    candidate.score = score;
                    candidate.detail =
                        json!({ "rank": rank + 1, "query": self.query, "cosine": cosine })
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
