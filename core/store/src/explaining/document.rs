//! The life of a document: what the data say of it, what samples were made of it, who retrieves it and for whom wrongly.

use rusqlite::OptionalExtension as _;
use serde::Serialize;
use serde_json::Value;

use super::{
    AnchorBrief, Depth, Judged, Part, Place, QuestionLife, SampleBrief, TopicLife, cut, value,
};
use crate::Store;
use crate::error::Error;

/// All that is known of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentLife {
    /// Its number.
    pub number: usize,
    /// Its id in the data.
    pub id: String,
    /// Its title; may be empty.
    pub title: String,
    /// Its whole text.
    pub text: String,
    /// What else the data say.
    pub metadata: Value,
    /// The topic that it has most of.
    pub topic: Option<TopicLife>,
    /// Anchors that it is judged for.
    pub judgements: Part<Judged>,
    /// Positives made of it, by anchor.
    pub positives: Part<SampleBrief>,
    /// Negatives made of it, by anchor.
    pub negatives: Part<SampleBrief>,
    /// How often each model retrieves it.
    pub retrieved: Vec<RetrievedCount>,
    /// For whom though nobody judged it for them, the trained model's first.
    pub retrieved_wrongly: Part<RetrievedFor>,
    /// What people were asked of it.
    pub questions: Vec<QuestionLife>,
    /// Where pictures show it.
    pub places: Vec<Place>,
}

/// How often a model retrieves a document among the ten first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetrievedCount {
    /// The model.
    pub model: String,
    /// For anchors that it is judged for.
    pub judged: u64,
    /// For others.
    pub not_judged: u64,
    /// Its best rank.
    pub best_rank: u64,
}

/// An anchor that a document is retrieved for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `retrieved`.
pub struct RetrievedFor {
    pub model: String,
    pub anchor: AnchorBrief,
    pub rank: u64,
    pub score: f64,
}

impl Store {
    /// The life of the document of a number; `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn document_life(
        &self,
        number: usize,
        depth: Depth,
    ) -> Result<Option<DocumentLife>, Error> {
        let of = number as i64;
        let found = self
            .connection
            .query_row(
                "SELECT d.id, d.title, t.content, d.metadata FROM document d JOIN text t ON t.id = d.text WHERE d.number = ?1",
                [of],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .optional()?;
        let Some((id, title, text, metadata)) = found else {
            return Ok(None);
        };
        let samples = |role: &str| {
            self.briefs(
                &format!("s.document = ?1 AND s.role = '{role}'"),
                // Not by the index of anchors: there are few of a document, and all samples of the run.
                "+s.anchor, s.id",
                &of,
                depth,
            )
        };
        let retrieved = self.all(
            "SELECT r.model, sum(j.document IS NOT NULL), sum(j.document IS NULL), min(r.rank)
             FROM retrieved r LEFT JOIN (SELECT DISTINCT anchor, document FROM judgement WHERE document = ?1) j
               ON j.anchor = r.anchor AND j.document = r.document
             WHERE r.document = ?1 GROUP BY r.model ORDER BY min(r.tick), r.model",
            [of],
            |row| {
                Ok(RetrievedCount {
                    model: row.get(0)?,
                    judged: row.get::<_, i64>(1)? as u64,
                    not_judged: row.get::<_, i64>(2)? as u64,
                    best_rank: row.get::<_, i64>(3)? as u64,
                })
            },
        )?;
        Ok(Some(DocumentLife {
            number,
            id,
            title,
            text,
            metadata: value(metadata),
            topic: self.topic_of("document", number)?,
            judgements: self.judgements_of_document(number, depth)?,
            positives: samples("positive")?,
            negatives: samples("negative")?,
            retrieved_wrongly: Part {
                total: retrieved.iter().map(|one| one.not_judged).sum(),
                rows: self.retrieved_wrongly(of, depth)?,
            },
            retrieved,
            questions: self.questions_about("q.document = ?1 AND ?2 = ''", (of, ""))?,
            places: self.places("document", &of.to_string())?,
        }))
    }

    fn retrieved_wrongly(&self, document: i64, depth: Depth) -> Result<Vec<RetrievedFor>, Error> {
        self.all(
            &format!(
                "SELECT r.model, a.number, a.id, a.split, {}, r.rank, r.score
                 FROM retrieved r JOIN anchor a ON a.number = r.anchor JOIN text t ON t.id = a.text
                 WHERE r.document = ?1 AND NOT EXISTS (SELECT 1 FROM judgement j WHERE j.anchor = r.anchor AND j.document = r.document)
                 ORDER BY r.tick DESC, r.model DESC, r.rank, a.number LIMIT ?3",
                cut("t.content")
            ),
            (document, depth.characters(), depth.rows()),
            |row| {
                Ok(RetrievedFor {
                    model: row.get(0)?,
                    anchor: AnchorBrief {
                        number: row.get::<_, i64>(1)? as usize,
                        id: row.get(2)?,
                        split: row.get(3)?,
                        text: row.get(4)?,
                    },
                    rank: row.get::<_, i64>(5)? as u64,
                    score: row.get(6)?,
                })
            },
        )
    }
}
