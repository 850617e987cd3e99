//! What a model makes of the claims of slices.

use std::collections::BTreeMap;
use std::sync::Arc;

use orchestrator_config::{DISTRACTORS, EvaluationSlice, Metric};
use orchestrator_data::{Dataset, Document, Split};
use orchestrator_model::Side;
use orchestrator_plugin_host::NamedModels as _;
use orchestrator_store::SliceRow;
use serde_json::Value;

use super::{LONG_TAIL, NOT_LONG_TAIL, evidence};
use crate::driver::Driver;
use crate::error::Error;
use crate::evaluating::{Evaluated, rank_in_blocks};
use crate::lent::Models;
use crate::progress::Event;
use crate::retrieval::{Bm25Index, DEPTH, DenseIndex, Embedded, Ranking, Texts};

/// A metric of a claim of a slice.
pub(super) struct ItemScore {
    pub slice: String,
    pub item: usize,
    pub model: &'static str,
    pub metric: String,
    pub value: f64,
}

/// A model that scores.
pub(super) struct Seer<'m> {
    pub name: &'static str,
    pub models: &'m Models<'m>,
    /// None = BM25.
    pub index: Option<&'m DenseIndex<'m>>,
}

impl Seer<'_> {
    /// How near it puts the texts of each pair (query, text): the cosine, or BM25's score.
    fn nearness(&self, pairs: &[(&str, &str)]) -> Result<Vec<f32>, Error> {
        let model = self.index.map_or("bm25", |_| "current");
        let scores = self.models.score(model, pairs).unwrap_or_default();
        if let Some(index) = self.index {
            index.check()?;
        }
        Ok(scores)
    }

    /// The nearest documents of texts that are asked.
    fn rank(&self, bm25: &Bm25Index, queries: &[&str]) -> Result<Vec<Ranking>, Error> {
        let Some(index) = self.index else {
            return Ok(bm25.rankings(queries, DEPTH));
        };
        let tokens = index.encoder().tokenize(queries, Side::Anchor)?;
        let embeddings = index.embed(&tokens.iter().collect::<Vec<_>>())?;
        Ok(index.nearest_to(&embeddings, DEPTH))
    }
}

/// Mean over the claims, by slice and metric, metrics in the order they came.
pub(super) fn means(scores: &[ItemScore]) -> Vec<(String, String, f64)> {
    let mut sums: Vec<(String, String, f64, f64)> = Vec::new();
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for one in scores {
        let place = *places.entry((&one.slice, &one.metric)).or_insert_with(|| {
            sums.push((one.slice.clone(), one.metric.clone(), 0.0, 0.0));
            sums.len() - 1
        });
        sums[place].2 += one.value;
        sums[place].3 += 1.0;
    }
    sums.into_iter()
        .map(|(slice, metric, sum, n)| (slice, metric, sum / n))
        .collect()
}

/// The scores of one model as they come.
struct Scores<'m> {
    model: &'static str,
    metrics: &'m [Metric],
    all: Vec<ItemScore>,
}

impl Scores<'_> {
    fn add(&mut self, row: &SliceRow, metric: &str, value: f64) {
        self.all.push(ItemScore {
            slice: row.name.clone(),
            item: row.item,
            model: self.model,
            metric: metric.to_owned(),
            value,
        });
    }

    /// The experiment's retrieval metrics, their names after `prefix`.
    fn add_retrieval(&mut self, row: &SliceRow, prefix: &str, values: &[f64]) {
        for (metric, value) in self.metrics.iter().zip(values) {
            self.add(row, &format!("{prefix}{metric}"), *value);
        }
    }
}

impl Driver<'_> {
    /// What a model makes of the claims of all slices; `evaluated` is what it made of the claims as they are.
    pub(super) fn score_slices(
        &self,
        items: &[SliceRow],
        seer: &Seer<'_>,
        evaluated: &Evaluated,
    ) -> Result<Vec<ItemScore>, Error> {
        let mut of_slice: BTreeMap<&str, Vec<&SliceRow>> = BTreeMap::new();
        for row in items {
            of_slice.entry(&row.name).or_default().push(row);
        }
        let rows = |name: &str| of_slice.get(name).map_or(&[][..], Vec::as_slice);
        let of_claim: BTreeMap<usize, &[f64]> = evaluated
            .scored
            .iter()
            .map(|(anchor, scored)| (*anchor, scored.values.as_slice()))
            .collect();
        let mut scores = Scores {
            model: seer.name,
            metrics: &self.experiment.evaluate.metrics,
            all: Vec::new(),
        };
        for slice in &self.experiment.evaluate.slices {
            self.stop_if_asked()?;
            match slice {
                EvaluationSlice::Nuance { .. } => {
                    let contrasts = self.contradictions(rows(slice.name()));
                    compare(&contrasts, seer, &mut scores)?;
                }
                EvaluationSlice::LongTail { .. } => {
                    for row in [LONG_TAIL, NOT_LONG_TAIL].into_iter().flat_map(rows) {
                        if let Some(values) = row.anchor.and_then(|one| of_claim.get(&one)) {
                            scores.add_retrieval(row, "", values);
                        }
                    }
                }
                EvaluationSlice::Adversarial { by, .. } => {
                    for step in by {
                        self.score_edited(rows(&step.name), seer, &of_claim, &mut scores)?;
                    }
                    let contrasts = self.distractors(rows(DISTRACTORS));
                    compare(&contrasts, seer, &mut scores)?;
                }
                EvaluationSlice::CrossDomain { corpora, .. } => {
                    for (name, other) in &self.foreign {
                        if corpora.contains(name) {
                            let rows = rows(&format!("{}/{name}", slice.name()));
                            self.score_foreign(other, rows, seer, &mut scores)?;
                        }
                    }
                }
            }
        }
        Ok(scores.all)
    }

    /// Claims as they were edited: what they retrieve, and what they did before.
    fn score_edited(
        &self,
        rows: &[&SliceRow],
        seer: &Seer<'_>,
        of_claim: &BTreeMap<usize, &[f64]>,
        scores: &mut Scores<'_>,
    ) -> Result<(), Error> {
        let qrels = self.data.qrels(self.sliced_split());
        let relevant: Vec<&[usize]> = rows
            .iter()
            .map(|row| {
                let documents = row.anchor.and_then(|anchor| qrels.get(&anchor));
                documents.map_or(&[][..], Vec::as_slice)
            })
            .collect();
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        let lent = &*self.lent;
        let found = rank_in_blocks(&relevant, scores.metrics, |places| {
            seer.rank(&lent.bm25, &texts[places])
        })?;
        for (row, (scored, _)) in rows.iter().zip(&found) {
            scores.add_retrieval(row, "", &scored.values);
            if let Some(clean) = row.anchor.and_then(|one| of_claim.get(&one)) {
                scores.add_retrieval(row, "clean/", clean);
            }
        }
        Ok(())
    }

    /// Claims of another corpus, over that corpus.
    fn score_foreign(
        &self,
        other: &Dataset,
        rows: &[&SliceRow],
        seer: &Seer<'_>,
        scores: &mut Scores<'_>,
    ) -> Result<(), Error> {
        let qrels = other.qrels(Split::Test);
        let relevant: Vec<&[usize]> = qrels.values().map(Vec::as_slice).collect();
        let documents: Vec<String> = other.documents.iter().map(Document::full_text).collect();
        let claims: Vec<&str> = qrels
            .keys()
            .map(|&anchor| other.anchors[anchor].text.as_str())
            .collect();
        let metrics = scores.metrics;
        let found = match seer.index {
            None => {
                let bm25 = self.experiment.evaluate.bm25;
                let bm25 = Bm25Index::build(&documents, bm25.k1, bm25.b);
                rank_in_blocks(&relevant, metrics, |places| {
                    Ok(bm25.rankings(&claims[places], DEPTH))
                })?
            }
            Some(index) => {
                let encoder = index.encoder();
                let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
                let texts = Texts::cut(encoder, &documents, &claims)?;
                let embedded = Embedded::of(encoder, &texts, |done, total| {
                    let (done, total) = (done as u64, total as u64);
                    self.show(Event::Advance { done, total });
                    self.stop_if_asked()
                })?;
                let index = DenseIndex::new(encoder, Arc::new(texts), Arc::new(embedded));
                rank_in_blocks(&relevant, metrics, |places| {
                    Ok(index.nearest(&places.collect::<Vec<_>>(), DEPTH))
                })?
            }
        };
        for (row, (scored, _)) in rows.iter().zip(&found) {
            scores.add_retrieval(row, "", &scored.values);
        }
        Ok(())
    }

    /// Each claim and its contradiction, beside each text that supports the claim.
    fn contradictions<'r>(&self, rows: &[&'r SliceRow]) -> Vec<Contrast<'r>> {
        rows.iter()
            .filter_map(|row| {
                let anchor = row.anchor?;
                let claim = &self.data.anchors[anchor].text;
                let pairs = evidence(self.data, anchor).into_iter().map(|text| {
                    let right = (claim.clone(), text.clone());
                    (right, (row.text.clone(), text))
                });
                Some(Contrast {
                    row,
                    pairs: pairs.collect(),
                })
            })
            .collect()
    }

    /// Each claim beside a document that is relevant, and beside what was made of it.
    fn distractors<'r>(&self, rows: &[&'r SliceRow]) -> Vec<Contrast<'r>> {
        rows.iter()
            .filter_map(|row| {
                let detail: Value = serde_json::from_str(&row.detail).ok()?;
                let document = usize::try_from(detail["document"].as_u64()?).ok()?;
                let right = self.data.documents.get(document)?.full_text();
                let wrong = detail["distractor"].as_str()?.to_owned();
                let claim = || row.text.clone();
                Some(Contrast {
                    row,
                    pairs: vec![((claim(), right), (claim(), wrong))],
                })
            })
            .collect()
    }
}

/// Two texts that are compared: what is asked, and a text.
type Pair = (String, String);

/// A claim with pairs of which the first is to be nearer.
struct Contrast<'r> {
    row: &'r SliceRow,
    pairs: Vec<(Pair, Pair)>,
}

/// The mean difference of nearness (`margin`), and whether it is above 0 (`accuracy`: 1 or 0, and 0.5 where there is none: BM25
/// does not see what the other side does not have).
fn compare(
    contrasts: &[Contrast<'_>],
    seer: &Seer<'_>,
    scores: &mut Scores<'_>,
) -> Result<(), Error> {
    let pairs: Vec<(&str, &str)> = contrasts
        .iter()
        .flat_map(|contrast| &contrast.pairs)
        .flat_map(|(right, wrong)| [right, wrong])
        .map(|(query, text)| (query.as_str(), text.as_str()))
        .collect();
    let nearness = seer.nearness(&pairs)?;
    let mut differences = nearness
        .chunks_exact(2)
        .map(|both| f64::from(both[0]) - f64::from(both[1]));
    for contrast in contrasts {
        let n = contrast.pairs.len();
        let margin = differences.by_ref().take(n).sum::<f64>() / n.max(1) as f64;
        let accuracy = if margin > 0.0 {
            1.0
        } else if margin < 0.0 {
            0.0
        } else {
            0.5
        };
        scores.add(contrast.row, "accuracy", accuracy);
        scores.add(contrast.row, "margin", margin);
    }
    Ok(())
}
