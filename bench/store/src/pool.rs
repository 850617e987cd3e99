//! The samples: what proposed them, what filters thought of them, how three versions of the model see them.

use std::collections::BTreeSet;
use std::error::Error;

use orchestrator_store::{Provenance, Role, Sample, SampleId, Score, Verdict, sample_id};

use crate::Writing;
use crate::data::Data;
use crate::draw::Draw;

/// Something that proposes samples.
pub(crate) struct Source {
    pub name: &'static str,
    pub kind: &'static str,
    role: Role,
    /// Of all samples, in percent.
    share: usize,
    /// Mean cosine of its samples to their anchors, by the untrained model and at the end.
    nearness: [f64; 2],
}

/// Something that drops samples.
pub(crate) struct Filter {
    pub name: &'static str,
    /// Share of what it sees.
    drops: f64,
}

const fn source(
    name: &'static str,
    kind: &'static str,
    role: Role,
    share: usize,
    nearness: [f64; 2],
) -> Source {
    Source {
        name,
        kind,
        role,
        share,
        nearness,
    }
}

/// The first is the judged pairs, the last two are made from them.
pub(crate) const SOURCES: [Source; 6] = [
    source(
        "explicit_positive",
        "sampler",
        Role::Positive,
        10,
        [0.55, 0.75],
    ),
    source("hard_negative", "sampler", Role::Negative, 30, [0.50, 0.35]),
    source(
        "lexical_negative",
        "sampler",
        Role::Negative,
        20,
        [0.42, 0.28],
    ),
    source("random", "sampler", Role::Negative, 15, [0.10, 0.05]),
    source("word_noise", "augmenter", Role::Negative, 15, [0.48, 0.40]),
    source(
        "keyword_edit",
        "augmenter",
        Role::Positive,
        10,
        [0.53, 0.70],
    ),
];

pub(crate) const FILTERS: [Filter; 4] = [
    Filter {
        name: "word_count",
        drops: 0.01,
    },
    Filter {
        name: "duplicate",
        drops: 0.04,
    },
    Filter {
        name: "leakage",
        drops: 0.001,
    },
    Filter {
        name: "false_negative",
        drops: 0.07,
    },
];

/// A sample as it is remembered here.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    pub id: SampleId,
    /// Its place among [`SOURCES`].
    pub source: u8,
    /// Its place among all, from which its numbers are drawn.
    pub place: u32,
    /// Not dropped, and still proposed.
    pub kept: bool,
}

impl Made {
    pub(crate) fn role(&self) -> Role {
        SOURCES[usize::from(self.source)].role
    }

    /// Its cosine when so much (0..1) of the training is over.
    pub(crate) fn similarity(&self, draw: &Draw, done: f64) -> f64 {
        let [first, last] = SOURCES[usize::from(self.source)].nearness;
        let place = u64::from(self.place);
        let spread =
            0.12 * draw.normal("nearness", place) + 0.05 * draw.normal("moved", place) * done;
        (first + (last - first) * done + spread).clamp(-0.99, 0.99)
    }
}

/// Makes the pool, in the order of ids.
pub(crate) fn make(
    writing: &mut Writing,
    data: &Data,
    draw: &Draw,
    samples: usize,
) -> Result<Vec<Made>, Box<dyn Error>> {
    let mut pool: Vec<Made> = Vec::with_capacity(samples);
    let mut known: BTreeSet<SampleId> = BTreeSet::new();
    for (source, about) in SOURCES.iter().enumerate() {
        let kind = if about.kind == "sampler" {
            "propose"
        } else {
            "augment"
        };
        let asked = samples * about.share / 100;
        writing.tick(kind, about.name, |tick| {
            // In the order of ids: a page of the file is written once.
            let mut texts: Vec<(SampleId, u32, String, Option<usize>)> = (0..asked)
                .map(|nth| {
                    let anchor = nth % data.train;
                    let place = (source * samples + nth) as u64;
                    let document = match about.role {
                        Role::Positive => {
                            let relevant = data.relevant(draw, anchor);
                            relevant[nth / data.train % relevant.len()]
                        }
                        Role::Negative => draw.below("negative", place, data.documents.len()),
                    };
                    // Judged pairs run out: a sentence of the document stands for it then.
                    let whole = about.kind == "sampler"
                        && (about.role == Role::Negative || nth < data.train);
                    let text = if whole {
                        data.documents[document].clone()
                    } else {
                        draw.text("made", place, 30)
                    };
                    let id = sample_id(&Data::id(anchor), &text, about.role);
                    (id, anchor as u32, text, Some(document))
                })
                .collect();
            texts.sort_by_key(|(id, ..)| *id);
            for (id, anchor, text, document) in &texts {
                tick.add_sample(&Sample {
                    id: *id,
                    anchor: *anchor as usize,
                    text,
                    role: about.role,
                    label: f32::from(about.role == Role::Positive),
                    weight: 1.0,
                    document: *document,
                    parent: None,
                    difficulty: None,
                })?;
                let score = draw.share("score", u64::from(*anchor)) as f32;
                let mined = about.name.ends_with("_negative");
                tick.add_provenance(&Provenance {
                    sample: *id,
                    source: about.name,
                    score: mined.then_some(score),
                    detail: if mined { r#"{"rank": 7}"# } else { "" },
                })?;
                if known.insert(*id) {
                    pool.push(Made {
                        id: *id,
                        source: source as u8,
                        place: pool.len() as u32,
                        kept: true,
                    });
                }
            }
            // Some are proposed by a second source too.
            if source > 0 {
                for one in pool
                    .iter()
                    .filter(|one| usize::from(one.source) + 1 == source)
                    .step_by(8)
                {
                    tick.add_provenance(&Provenance {
                        sample: one.id,
                        source: about.name,
                        score: None,
                        detail: "",
                    })?;
                }
            }
            tick.add_metric(
                None,
                &format!("{}/asked", about.name),
                (asked + asked / 50) as f64,
            )?;
            tick.add_metric(None, &format!("{}/found", about.name), asked as f64)?;
            Ok(())
        })?;
    }
    drop(known);
    pool.sort_by_key(|one| one.id);
    for filter in &FILTERS {
        writing.tick("judge", filter.name, |tick| {
            for one in pool.iter_mut().filter(|one| one.kept) {
                let place = u64::from(one.place);
                one.kept = draw.share(filter.name, place) >= filter.drops;
                tick.add_verdict(&Verdict {
                    sample: one.id,
                    filter: filter.name,
                    keep: one.kept,
                    score: Some(draw.share("measured", place) as f32),
                    reason: if one.kept {
                        ""
                    } else {
                        "beyond what the experiment allows"
                    },
                })?;
            }
            Ok(())
        })?;
    }
    score(writing, draw, &pool, "initial", 0.0)?;
    Ok(pool)
}

/// Scores the pool by a version of the model, when so much (0..1) of the training is over.
pub(crate) fn score(
    writing: &mut Writing,
    draw: &Draw,
    pool: &[Made],
    model: &str,
    done: f64,
) -> Result<(), Box<dyn Error>> {
    writing.tick("score", model, |tick| {
        for one in pool.iter().filter(|one| one.kept) {
            let similarity = one.similarity(draw, done);
            let difficulty = (one.role() == Role::Negative).then_some(similarity / 0.55);
            tick.add_score(&Score {
                sample: one.id,
                model,
                similarity: similarity as f32,
                difficulty: difficulty.map(|value| value as f32),
                band: difficulty.map(|value| match value {
                    value if value < 0.33 => "easy",
                    value if value < 0.66 => "medium",
                    _ => "hard",
                }),
            })?;
        }
        Ok(())
    })
}
