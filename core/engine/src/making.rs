//! How samples come to be: tables for plugins, candidates into rows, difficulty and its bands.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::Bands;
use orchestrator_data::{Dataset, Document, Judgement, Label, Reading, Split};
use orchestrator_plugin_host::{Candidate, Metrics, Role as PluginRole, Table};
use orchestrator_store::{Provenance, Role, Sample, SampleId, SampleView, Tick, sample_id};

use crate::error::Error;
use crate::retrieval::DenseIndex;
use crate::seed::{seed, unit};

/// Columns of `orch.corpus/1`.
pub(crate) fn corpus_table(documents: &[Document]) -> Table {
    Table::new(documents.len())
        .i64s("document", (0..documents.len() as i64).collect())
        .strings("id", documents.iter().map(|one| one.id.as_str()))
        .strings("title", documents.iter().map(|one| one.title.as_str()))
        .string_lists(
            "sentences",
            documents
                .iter()
                .map(|one| one.sentences.iter().map(String::as_str)),
        )
        .strings(
            "metadata",
            documents.iter().map(|one| metadata(&one.metadata)),
        )
        .seal()
}

pub(crate) fn metadata(map: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::to_string(map).unwrap_or_default()
}

/// What training may know: the judgements of the training anchors, without those held back and not yet revealed, and what
/// annotators said.
pub(crate) struct Knowledge {
    known: Vec<Judgement>,
    reading: Reading,
}

/// What training is told beside the data, or not told of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Judged pairs that training may not know.
    pub hidden: BTreeSet<(usize, usize)>,
    /// Relevant pairs that are made negatives on purpose: hidden, too.
    pub spoiled: BTreeSet<(usize, usize)>,
    /// What annotators said of a pair; none = its document says nothing of the claim.
    pub said: BTreeMap<(usize, usize), Option<Label>>,
}

/// Whether a judged pair is held back for the oracle.
pub(crate) fn held_back(data: &Dataset, experiment_seed: u64, share: f64, one: &Judgement) -> bool {
    drawn(data, (experiment_seed, "hold back"), share, one)
}

/// Whether a judged pair, which is relevant as training reads it, is made a negative on purpose.
pub(crate) fn spoiled(data: &Dataset, experiment_seed: u64, share: f64, one: &Judgement) -> bool {
    drawn(data, (experiment_seed, "spoil"), share, one)
}

fn drawn(
    data: &Dataset,
    (experiment_seed, purpose): (u64, &str),
    share: f64,
    one: &Judgement,
) -> bool {
    if data.anchors[one.anchor].split != Split::Train {
        return false;
    }
    // By pair, so that the rationale sets of a document go together.
    let mut key = 0u64;
    for text in [
        &data.anchors[one.anchor].id,
        &data.documents[one.document].id,
    ] {
        for byte in text.bytes() {
            key = seed(key, "pair", &[u64::from(byte)]);
        }
    }
    unit(experiment_seed, purpose, &[key]) < share
}

impl Knowledge {
    /// Where an annotator says what the data say, their judgement is revealed with its sentences; else what was said stands,
    /// of the whole document.
    pub fn of(data: &Dataset, reading: Reading, told: &Told) -> Self {
        let mut known = Vec::new();
        let mut revealed = BTreeSet::new();
        for one in &data.judgements {
            let pair = (one.anchor, one.document);
            let knows = match told.said.get(&pair) {
                Some(said) => *said == Some(one.label),
                None => !told.hidden.contains(&pair),
            };
            if knows && data.anchors[one.anchor].split == Split::Train {
                revealed.insert(pair);
                known.push(one.clone());
            }
        }
        for (pair, said) in &told.said {
            if let Some(label) = *said
                && !revealed.contains(pair)
            {
                known.push(Judgement {
                    anchor: pair.0,
                    document: pair.1,
                    label,
                    sentences: Vec::new(),
                });
            }
        }
        Self { known, reading }
    }

    fn judgements(&self) -> impl Iterator<Item = &Judgement> {
        self.known.iter()
    }

    /// Columns of `orch.judgements/1`.
    pub fn table(&self) -> Table {
        let all: Vec<&Judgement> = self.judgements().collect();
        let relevant: Vec<bool> = all
            .iter()
            .map(|one| self.reading.relevant(one.label))
            .collect();
        Table::new(all.len())
            .i64s("anchor", all.iter().map(|one| one.anchor as i64).collect())
            .i64s(
                "document",
                all.iter().map(|one| one.document as i64).collect(),
            )
            .strings("label", all.iter().map(|one| one.label.name()))
            .bools("relevant", &relevant)
            .f32s(
                "grade",
                all.iter()
                    .map(|one| self.reading.grade(one.label))
                    .collect(),
            )
            .i32_lists(
                "sentences",
                all.iter()
                    .map(|one| one.sentences.iter().map(|&number| number as i32).collect()),
            )
            .seal()
    }

    /// The anchors of which anything is known, in order.
    pub fn anchors(&self) -> BTreeSet<usize> {
        self.judgements().map(|one| one.anchor).collect()
    }

    /// Known relevant documents by anchor.
    pub fn relevant(&self) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut relevant: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for one in self
            .judgements()
            .filter(|one| self.reading.relevant(one.label))
        {
            relevant.entry(one.anchor).or_default().insert(one.document);
        }
        relevant
    }

    /// Every pair of which anything is known.
    pub fn pairs(&self) -> BTreeSet<(usize, usize)> {
        self.judgements()
            .map(|one| (one.anchor, one.document))
            .collect()
    }
}

/// Columns of `orch.sampler/1`.
pub(crate) fn anchors_table(data: &Dataset, anchors: &BTreeSet<usize>) -> Table {
    let of = |number: &usize| &data.anchors[*number];
    Table::new(anchors.len())
        .i64s(
            "anchor",
            anchors.iter().map(|&number| number as i64).collect(),
        )
        .strings("id", anchors.iter().map(|number| of(number).id.as_str()))
        .strings(
            "text",
            anchors.iter().map(|number| of(number).text.as_str()),
        )
        .strings(
            "metadata",
            anchors.iter().map(|number| metadata(&of(number).metadata)),
        )
        .seal()
}

/// Columns of `orch.augmenter/1` and `orch.filter/1`.
pub(crate) fn samples_table(data: &Dataset, samples: &[&SampleView]) -> Table {
    let role = |view: &SampleView| match view.role {
        Role::Positive => PluginRole::Positive.code(),
        Role::Negative => PluginRole::Negative.code(),
    };
    Table::new(samples.len())
        .i64s(
            "anchor",
            samples.iter().map(|one| one.anchor as i64).collect(),
        )
        .i64s(
            "document",
            samples
                .iter()
                .map(|one| one.document.map_or(-1, |number| number as i64))
                .collect(),
        )
        .strings(
            "anchor_text",
            samples
                .iter()
                .map(|one| data.anchors[one.anchor].text.as_str()),
        )
        .strings("text", samples.iter().map(|one| one.text.as_str()))
        .i32s("role", samples.iter().map(|one| role(one)).collect())
        .f32s("label", samples.iter().map(|one| one.label).collect())
        .f32s("weight", samples.iter().map(|one| one.weight).collect())
        .f32s(
            "score",
            samples
                .iter()
                .map(|one| one.score.unwrap_or(f32::NAN))
                .collect(),
        )
        .strings("source", samples.iter().map(|one| one.source.as_str()))
        .strings(
            "metadata",
            samples.iter().map(|one| {
                one.document.map_or("{}".to_owned(), |number| {
                    metadata(&data.documents[number].metadata)
                })
            }),
        )
        .seal()
}

/// Anchors as samples of their own, for augmenters that work on them.
pub(crate) fn as_samples<'d>(
    data: &Dataset,
    anchors: impl Iterator<Item = &'d usize>,
) -> Vec<SampleView> {
    anchors
        .map(|&anchor| {
            let text = data.anchors[anchor].text.clone();
            SampleView {
                id: sample_id(&data.anchors[anchor].id, &text, Role::Positive),
                anchor,
                text,
                role: Role::Positive,
                label: 1.0,
                weight: 1.0,
                document: None,
                parent: None,
                fixed_difficulty: None,
                source: "anchor".to_owned(),
                score: None,
                kept: true,
                tick: 0,
                similarity: None,
                difficulty: None,
                band: None,
            }
        })
        .collect()
}

fn role_of(candidate: &Candidate) -> Role {
    match candidate.role {
        PluginRole::Positive => Role::Positive,
        PluginRole::Negative => Role::Negative,
    }
}

fn id_of(data: &Dataset, candidate: &Candidate) -> SampleId {
    let anchor = &data.anchors[candidate.anchor].id;
    sample_id(anchor, &candidate.text, role_of(candidate))
}

/// The samples that candidates become.
pub(crate) fn ids(data: &Dataset, candidates: &[Candidate]) -> BTreeSet<SampleId> {
    candidates.iter().map(|one| id_of(data, one)).collect()
}

/// Writes what the calls of a plugin reported.
pub(crate) fn write_reported(
    tick: &Tick<'_>,
    plugin: &str,
    reported: &Metrics,
) -> Result<(), Error> {
    for (name, value) in reported.take() {
        tick.add_metric(None, &format!("plugin/{plugin}/{name}"), value)?;
    }
    Ok(())
}

/// Writes what a plugin emitted. `parents` are the samples it was given, if it made them out of samples.
pub(crate) fn write_candidates(
    tick: &Tick<'_>,
    data: &Dataset,
    source: &str,
    candidates: &[Candidate],
    parents: Option<&[&SampleView]>,
) -> Result<(), Error> {
    for one in candidates {
        let role = role_of(one);
        let id = id_of(data, one);
        tick.add_sample(&Sample {
            id,
            anchor: one.anchor,
            text: &one.text,
            role,
            label: one.label,
            weight: one.weight,
            document: one.document,
            parent: parents.and_then(|parents| Some(parents[one.parent?].id)),
            difficulty: one.difficulty,
        })?;
        tick.add_provenance(&Provenance {
            sample: id,
            source,
            score: one.score,
            detail: &one.detail,
        })?;
    }
    Ok(())
}

/// How hard the negatives of an anchor can be: 0 at the floor, 1 at the positives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Median similarity to random documents.
    pub floor: f32,
    /// Mean similarity to its positives.
    pub positive: f32,
}

impl Scale {
    /// `(s - floor) / (positive - floor)`. Where the positives lie at the floor or below, the least height keeps the
    /// quotient from meaning nothing.
    pub fn difficulty(self, similarity: f32) -> f32 {
        (similarity - self.floor) / (self.positive - self.floor).max(LEAST_HEIGHT)
    }
}

/// Of the positives over the floor, in cosine.
const LEAST_HEIGHT: f32 = 0.05;

/// How many random documents the floor is measured on.
const FLOOR_DOCUMENTS: u64 = 101;

/// The median similarity of an anchor to random documents: the same ones whatever the model.
pub(crate) fn floor(index: &DenseIndex<'_>, experiment_seed: u64, anchor: usize) -> f32 {
    let n = index.documents() as u64;
    let mut similarities: Vec<f32> = (0..FLOOR_DOCUMENTS)
        .map(|draw| {
            let document = seed(experiment_seed, "floor", &[anchor as u64, draw]) % n;
            index.similarity(anchor, document as usize)
        })
        .collect();
    similarities.sort_by(f32::total_cmp);
    similarities[similarities.len() / 2]
}

const NAMES: [&str; 3] = ["easy", "medium", "hard"];

/// The band of each difficulty, in order.
pub(crate) fn bands(difficulties: &[f32], bounds: Bands) -> Vec<&'static str> {
    match bounds {
        Bands::Bounds(low, high) => difficulties
            .iter()
            .map(|&one| {
                NAMES[usize::from(f64::from(one) >= low) + usize::from(f64::from(one) >= high)]
            })
            .collect(),
        Bands::Terciles => by_rank(difficulties, |rank, n| rank * 3 / n),
        Bands::Quantiles(low, high) => by_rank(difficulties, |rank, n| {
            let share = rank as f64 / n as f64;
            usize::from(share >= low) + usize::from(share >= high)
        }),
    }
}

/// Bands by how many are easier, of how many.
fn by_rank(difficulties: &[f32], band: impl Fn(usize, usize) -> usize) -> Vec<&'static str> {
    let mut order: Vec<usize> = (0..difficulties.len()).collect();
    order.sort_by(|&a, &b| difficulties[a].total_cmp(&difficulties[b]).then(a.cmp(&b)));
    let mut bands = vec![NAMES[0]; difficulties.len()];
    for (rank, place) in order.into_iter().enumerate() {
        bands[place] = NAMES[band(rank, difficulties.len())];
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terciles_part_the_pool_in_three_and_bounds_where_they_say() {
        let difficulties = [0.9, 0.1, 0.5, 0.5, 0.2, 0.8];
        assert_eq!(
            bands(&difficulties, Bands::Terciles),
            ["hard", "easy", "medium", "medium", "easy", "hard"]
        );
        assert_eq!(
            bands(&difficulties, Bands::Bounds(0.5, 0.85)),
            ["hard", "easy", "medium", "medium", "easy", "medium"]
        );
        assert_eq!(
            bands(&difficulties, Bands::Quantiles(0.5, 0.9)),
            ["medium", "easy", "easy", "medium", "easy", "medium"]
        );
    }

    #[test]
    fn difficulty_is_zero_at_the_floor_and_one_at_the_positives() {
        let scale = Scale {
            floor: 0.2,
            positive: 0.6,
        };
        assert!(scale.difficulty(0.2).abs() < 1e-6);
        assert!((scale.difficulty(0.6) - 1.0).abs() < 1e-6);
        let flat = Scale {
            floor: 0.2,
            positive: 0.2,
        };
        assert!((flat.difficulty(0.25) - 1.0).abs() < 1e-5);
    }
}
