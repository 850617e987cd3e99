//! The life of an anchor: what the data say of it, what was made for it, how models answer it.

use rusqlite::OptionalExtension as _;
use serde::Serialize;
use serde_json::Value;

use super::{Depth, DocumentBrief, Part, Place, QuestionLife, SampleBrief, TopicLife, cut, value};
use crate::Store;
use crate::error::Error;

/// All that is known of an anchor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnchorLife {
    /// Its number.
    pub number: usize,
    /// Its id in the data.
    pub id: String,
    /// `train`, `validation`, `test`, or `excluded`.
    pub split: String,
    /// Its whole text.
    pub text: String,
    /// What else the data say.
    pub metadata: Value,
    /// The topic that it has most of.
    pub topic: Option<TopicLife>,
    /// Documents judged for it.
    pub judgements: Vec<Judged>,
    /// Its positives.
    pub positives: Part<SampleBrief>,
    /// Its negatives, the nearest first.
    pub negatives: Part<SampleBrief>,
    /// How models answer it.
    pub evaluations: Vec<Evaluated>,
    /// What they retrieve.
    pub retrieved: Vec<Retrieved>,
    /// Slices of the evaluation that it is in.
    pub slices: Vec<SliceLife>,
    /// What people were asked of it.
    pub questions: Vec<QuestionLife>,
    /// Where pictures show it.
    pub places: Vec<Place>,
}

/// A judgement.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `judgement`.
pub struct Judged {
    pub anchor: String,
    pub split: String,
    pub document: DocumentBrief,
    pub label: String,
    pub sentences: Value,
    pub relevant: bool,
    pub grade: f64,
    pub held_back: bool,
    pub spoiled: bool,
}

/// A metric by a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `evaluation`.
pub struct Evaluated {
    pub model: String,
    pub metric: String,
    pub value: f64,
    pub first_relevant: Option<u64>,
}

/// A document that a model retrieved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retrieved {
    /// The model.
    pub model: String,
    /// From 1.
    pub rank: u64,
    /// The document.
    pub document: DocumentBrief,
    /// Cosine, or BM25's.
    pub score: f64,
    /// Whether the data judge it for this anchor, which evaluation calls relevant.
    pub judged: bool,
    /// What they call it.
    pub label: Option<String>,
}

/// A slice of the evaluation that an anchor is in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SliceLife {
    /// Its name.
    pub name: String,
    /// What is asked.
    pub text: String,
    /// Why it is in it, what was changed.
    pub detail: Value,
    /// How models answer it.
    pub values: Vec<SliceValue>,
}

/// A metric by a model on an item of a slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `slice_score`.
pub struct SliceValue {
    pub model: String,
    pub metric: String,
    pub value: f64,
}

const JUDGED: &str = "SELECT a.id, a.split, d.number, d.id, d.title, j.label, j.sentences, j.relevant, j.grade, j.held_back, j.spoiled
  FROM judgement j JOIN anchor a ON a.number = j.anchor JOIN document d ON d.number = j.document";

fn judged(row: &rusqlite::Row<'_>) -> rusqlite::Result<Judged> {
    Ok(Judged {
        anchor: row.get(0)?,
        split: row.get(1)?,
        document: DocumentBrief {
            number: row.get::<_, i64>(2)? as usize,
            id: row.get(3)?,
            title: row.get(4)?,
        },
        label: row.get(5)?,
        sentences: value(row.get(6)?),
        relevant: row.get(7)?,
        grade: row.get(8)?,
        held_back: row.get(9)?,
        spoiled: row.get(10)?,
    })
}

impl Store {
    /// The life of the anchor of a number; `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn anchor_life(&self, number: usize, depth: Depth) -> Result<Option<AnchorLife>, Error> {
        let of = number as i64;
        let found = self
            .connection
            .query_row(
                "SELECT a.id, a.split, t.content, a.metadata FROM anchor a JOIN text t ON t.id = a.text WHERE a.number = ?1",
                [of],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .optional()?;
        let Some((id, split, text, metadata)) = found else {
            return Ok(None);
        };
        let samples = |role: &str| {
            self.briefs(
                &format!("s.anchor = ?1 AND s.role = '{role}'"),
                "(SELECT c.similarity FROM score c WHERE c.sample = s.id ORDER BY c.tick DESC, c.model LIMIT 1) DESC, s.id",
                &of,
                depth,
            )
        };
        Ok(Some(AnchorLife {
            number,
            id,
            split,
            text,
            metadata: value(metadata),
            topic: self.topic_of("anchor", number)?,
            judgements: self.all(
                &format!("{JUDGED} WHERE j.anchor = ?1 ORDER BY j.relevant DESC, d.number, j.id"),
                [of],
                judged,
            )?,
            positives: samples("positive")?,
            negatives: samples("negative")?,
            evaluations: self.all(
                "SELECT model, metric, value, first_relevant FROM evaluation WHERE anchor = ?1
                 ORDER BY tick, length(model), model, metric",
                [of],
                |row| {
                    Ok(Evaluated {
                        model: row.get(0)?,
                        metric: row.get(1)?,
                        value: row.get(2)?,
                        first_relevant: row.get::<_, Option<i64>>(3)?.map(|rank| rank as u64),
                    })
                },
            )?,
            retrieved: self.all(
                "SELECT r.model, r.rank, d.number, d.id, d.title, r.score,
                        (SELECT j.label FROM judgement j WHERE j.anchor = r.anchor AND j.document = r.document ORDER BY j.relevant DESC, j.id LIMIT 1)
                 FROM retrieved r JOIN document d ON d.number = r.document
                 WHERE r.anchor = ?1 ORDER BY r.tick, r.model, r.rank",
                [of],
                |row| {
                    let label: Option<String> = row.get(6)?;
                    Ok(Retrieved {
                        model: row.get(0)?,
                        rank: row.get::<_, i64>(1)? as u64,
                        document: DocumentBrief {
                            number: row.get::<_, i64>(2)? as usize,
                            id: row.get(3)?,
                            title: row.get(4)?,
                        },
                        score: row.get(5)?,
                        judged: label.is_some(),
                        label,
                    })
                },
            )?,
            slices: self.slices_of(of, depth)?,
            questions: self.questions_about("q.anchor = ?1 AND ?2 = ''", (of, ""))?,
            places: self.places("anchor", &of.to_string())?,
        }))
    }

    /// What the data say of an anchor and a document.
    pub(super) fn judgements_of_pair(
        &self,
        anchor: usize,
        document: usize,
    ) -> Result<Vec<Judged>, Error> {
        self.all(
            &format!("{JUDGED} WHERE j.anchor = ?1 AND j.document = ?2 ORDER BY j.id"),
            (anchor as i64, document as i64),
            judged,
        )
    }

    /// What the data say of a document, and for how many anchors.
    pub(super) fn judgements_of_document(
        &self,
        document: usize,
        depth: Depth,
    ) -> Result<Part<Judged>, Error> {
        let total: i64 = self.connection.query_row(
            "SELECT count(*) FROM judgement WHERE document = ?1",
            [document as i64],
            |row| row.get(0),
        )?;
        let rows = self.all(
            &format!(
                "{JUDGED} WHERE j.document = ?1 ORDER BY j.relevant DESC, a.number, j.id LIMIT ?2"
            ),
            (document as i64, depth.rows()),
            judged,
        )?;
        Ok(Part {
            rows,
            total: total as u64,
        })
    }

    fn slices_of(&self, anchor: i64, depth: Depth) -> Result<Vec<SliceLife>, Error> {
        let items = self.all(
            &format!(
                "SELECT s.name, s.item, {}, s.detail FROM slice s JOIN text t ON t.id = s.text WHERE s.anchor = ?1
                 ORDER BY s.name, s.item",
                cut("t.content")
            ),
            (anchor, depth.characters()),
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, String>(3)?,
                ))
            },
        )?;
        items
            .into_iter()
            .map(|(name, item, text, detail)| {
                Ok(SliceLife {
                    values: self.all(
                        "SELECT model, metric, value FROM slice_score WHERE slice = ?1 AND item = ?2 ORDER BY tick, model, metric",
                        (&name, item),
                        |row| {
                            Ok(SliceValue {
                                model: row.get(0)?,
                                metric: row.get(1)?,
                                value: row.get(2)?,
                            })
                        },
                    )?,
                    name,
                    text,
                    detail: value(detail),
                })
            })
            .collect()
    }
}
