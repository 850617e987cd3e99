//! Queries of what was asked and answered, and of the pictures of embeddings. Every result is in a fixed order.

use serde::Serialize;

use crate::Store;
use crate::error::Error;

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // The columns of `annotation`.
pub struct Annotated {
    pub round: usize,
    pub anchor: usize,
    pub document: usize,
    pub relevant: bool,
    pub label: Option<String>,
    pub probability: f64,
}

/// A round of answers.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // Counts of annotations.
pub struct AnnotationRow {
    pub round: usize,
    pub asked: u64,
    pub relevant: u64,
    pub mean_probability: f64,
}

/// A question with what it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `question`.
pub struct QuestionView {
    pub id: u64,
    pub round: usize,
    pub anchor: usize,
    pub anchor_text: String,
    pub document: Option<usize>,
    /// The document's own id, title and whole text.
    pub document_id: Option<String>,
    pub title: Option<String>,
    pub document_text: Option<String>,
    /// What is judged.
    pub text: String,
    pub sample: Option<String>,
    /// Of the sample that is judged: its role.
    pub role: Option<String>,
    pub shared: bool,
    pub similarity: Option<f64>,
    /// By the model as it was, the untrained one and BM25.
    pub probabilities: Option<[f64; 3]>,
    pub tick: u32,
}

/// What an annotator said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // The columns of `answer`.
pub struct AnswerRow {
    pub id: u64,
    pub question: u64,
    pub annotator: String,
    pub verdict: String,
    pub settles: bool,
    pub flagged: bool,
    pub comment: String,
}

/// Where a picture shows something.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `projection`.
pub struct ProjectionRow {
    pub model: String,
    pub kind: String,
    pub item: String,
    pub x: f64,
    pub y: f64,
    pub method: String,
    pub tick: u32,
}

impl Store {
    /// What became of the questions of all rounds, round by round.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn annotated(&self) -> Result<Vec<Annotated>, Error> {
        self.all(
            "SELECT round, anchor, document, relevant, label, probability FROM annotation ORDER BY round, anchor, document",
            [],
            |row| {
                Ok(Annotated {
                    round: row.get::<_, i64>(0)? as usize,
                    anchor: row.get::<_, i64>(1)? as usize,
                    document: row.get::<_, i64>(2)? as usize,
                    relevant: row.get(3)?,
                    label: row.get(4)?,
                    probability: row.get(5)?,
                })
            },
        )
    }

    /// Rounds of answers.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn annotation_rounds(&self) -> Result<Vec<AnnotationRow>, Error> {
        self.all(
            "SELECT round, count(*), sum(relevant), avg(probability) FROM annotation GROUP BY round ORDER BY round",
            [],
            |row| {
                Ok(AnnotationRow {
                    round: row.get::<_, i64>(0)? as usize,
                    asked: row.get::<_, i64>(1)? as u64,
                    relevant: row.get::<_, i64>(2)? as u64,
                    mean_probability: row.get(3)?,
                })
            },
        )
    }

    /// Every question, in the order they are asked.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn questions(&self) -> Result<Vec<QuestionView>, Error> {
        self.all(
            "SELECT q.id, q.round, q.anchor, at.content, q.document, d.id, d.title, dt.content, t.content, q.sample, s.role,
                    q.shared, q.similarity, q.probability, q.probability_initial, q.probability_bm25, q.tick
             FROM question q
             JOIN anchor a ON a.number = q.anchor JOIN text at ON at.id = a.text
             JOIN text t ON t.id = q.text
             LEFT JOIN document d ON d.number = q.document LEFT JOIN text dt ON dt.id = d.text
             LEFT JOIN sample s ON s.id = q.sample
             ORDER BY q.id",
            [],
            |row| {
                let current: Option<f64> = row.get(13)?;
                let probabilities = match current {
                    Some(current) => Some([current, row.get(14)?, row.get(15)?]),
                    None => None,
                };
                Ok(QuestionView {
                    id: row.get::<_, i64>(0)? as u64,
                    round: row.get::<_, i64>(1)? as usize,
                    anchor: row.get::<_, i64>(2)? as usize,
                    anchor_text: row.get(3)?,
                    document: row.get::<_, Option<i64>>(4)?.map(|number| number as usize),
                    document_id: row.get(5)?,
                    title: row.get(6)?,
                    document_text: row.get(7)?,
                    text: row.get(8)?,
                    sample: row.get(9)?,
                    role: row.get(10)?,
                    shared: row.get(11)?,
                    similarity: row.get(12)?,
                    probabilities,
                    tick: row.get(16)?,
                })
            },
        )
    }

    /// Everything that annotators said, in the order it came.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn answers(&self) -> Result<Vec<AnswerRow>, Error> {
        self.all(
            "SELECT id, question, annotator, verdict, settles, flagged, comment FROM answer ORDER BY id",
            [],
            |row| {
                Ok(AnswerRow {
                    id: row.get::<_, i64>(0)? as u64,
                    question: row.get::<_, i64>(1)? as u64,
                    annotator: row.get(2)?,
                    verdict: row.get(3)?,
                    settles: row.get(4)?,
                    flagged: row.get(5)?,
                    comment: row.get(6)?,
                })
            },
        )
    }

    /// The pictures, model by model in the order they were made.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn projections(&self) -> Result<Vec<ProjectionRow>, Error> {
        self.all(
            "SELECT model, kind, item, x, y, method, tick FROM projection ORDER BY tick, model, kind, length(item), item",
            [],
            |row| {
                Ok(ProjectionRow {
                    model: row.get(0)?,
                    kind: row.get(1)?,
                    item: row.get(2)?,
                    x: row.get(3)?,
                    y: row.get(4)?,
                    method: row.get(5)?,
                    tick: row.get(6)?,
                })
            },
        )
    }
}
