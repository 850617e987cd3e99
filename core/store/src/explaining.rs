//! Queries behind `explain`: what is known of one sample, one anchor, one document, and how each is found by what people call
//! it. Rows are short where there may be many, and say how many there are: a store may hold a million samples.

mod anchor;
mod document;
mod lists;
mod sample;

use rusqlite::{OptionalExtension as _, Row};
use serde::Serialize;

use crate::Store;
use crate::error::Error;

pub use anchor::{AnchorLife, Evaluated, Judged, Retrieved, SliceLife, SliceValue};
pub use document::{DocumentLife, RetrievedCount, RetrievedFor};
pub use lists::{Harmful, Suspected};
pub use sample::{
    AuditedLife, EpochUse, InfluenceLife, OneUse, Origin, SampleLife, ScoreLife, SuspectLife,
    VerdictLife,
};

/// How much is read of what there may be much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Rows of each list.
    pub rows: usize,
    /// Characters of each text of a list.
    pub characters: usize,
}

impl Depth {
    /// What fits a screen and a page.
    pub const SHORT: Self = Self {
        rows: 40,
        characters: 400,
    };
    /// Everything.
    pub const FULL: Self = Self {
        rows: usize::MAX,
        characters: usize::MAX,
    };

    fn rows(self) -> i64 {
        i64::try_from(self.rows).unwrap_or(i64::MAX)
    }

    fn characters(self) -> i64 {
        i64::try_from(self.characters).unwrap_or(i64::MAX)
    }
}

/// The first rows of a list, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // As said.
pub struct Part<T> {
    pub rows: Vec<T>,
    pub total: u64,
}

/// A run, as far as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunState {
    /// Its name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Of orchestrator.
    pub version: String,
    /// Whether its trained model is scored.
    pub finished: bool,
    /// The last tick that is complete.
    pub last_tick: Option<TickLife>,
    /// Epochs that were begun.
    pub epochs: u64,
}

/// A tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // The columns of `tick`.
pub struct TickLife {
    pub number: u32,
    pub kind: String,
    pub detail: String,
}

/// An anchor, short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // The columns of `anchor`.
pub struct AnchorBrief {
    pub number: usize,
    pub id: String,
    pub split: String,
    pub text: String,
}

/// A document, short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // The columns of `document`.
pub struct DocumentBrief {
    pub number: usize,
    pub id: String,
    pub title: String,
}

/// Why a sample is in the pool, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No filter dropped it and a source proposes it.
    Kept,
    /// A filter dropped it.
    Dropped,
    /// Its sources were asked again and propose it no longer.
    MinedAway,
    /// The run has not come to judge it yet.
    Waiting,
}

/// Where a sample stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolState {
    /// Whether training may use it.
    pub in_pool: bool,
    /// Why, or why not.
    pub why: Why,
    /// The first filter that dropped it.
    pub filter: Option<String>,
    /// What that filter said.
    pub reason: Option<String>,
    /// When it left.
    pub tick: Option<u32>,
}

/// A sample, short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleBrief {
    /// Its id.
    pub id: String,
    /// `positive` or `negative`.
    pub role: String,
    /// Its text.
    pub text: String,
    /// 0..1.
    pub label: f64,
    /// What it is a candidate for.
    pub anchor: AnchorBrief,
    /// Where its text is from.
    pub document: Option<DocumentBrief>,
    /// Who proposed it.
    pub sources: String,
    /// Where it stands.
    pub state: PoolState,
    /// Cosine to its anchor, by the model that scored it last.
    pub similarity: Option<f64>,
    /// Its difficulty by that model.
    pub difficulty: Option<f64>,
    /// How often training used it.
    pub uses: u64,
    /// Mean of its loss over these.
    pub mean_loss: Option<f64>,
    /// Its place among the suspects of its role.
    pub suspect_place: Option<u64>,
    /// Its influence, added up over the versions of the model.
    pub influence: Option<f64>,
}

/// The topic that an anchor or document has most of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `topical` and `topic`.
pub struct TopicLife {
    pub number: u64,
    pub share: f64,
    pub terms: Vec<String>,
    pub documents: u64,
}

/// Where a picture shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `projection`.
pub struct Place {
    pub model: String,
    pub method: String,
    pub x: f64,
    pub y: f64,
}

/// A question to people, with what they said and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `question`, `answer` and `annotation`.
pub struct QuestionLife {
    pub id: u64,
    pub round: u64,
    pub anchor: String,
    pub document: Option<String>,
    pub sample: Option<String>,
    pub probability: Option<f64>,
    pub answers: Vec<Said>,
    /// What was made of it: whether the pair is relevant.
    pub relevant: Option<bool>,
    /// Who decided that.
    pub annotator: Option<String>,
    /// The label of the judgement that it revealed.
    pub label: Option<String>,
}

/// What somebody said to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // The columns of `answer`.
pub struct Said {
    pub annotator: String,
    pub verdict: String,
    pub settles: bool,
    pub flagged: bool,
    pub comment: String,
}

/// Something that a name may mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// `sample`, `anchor` or `document`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// Of an anchor or document: its number.
    pub number: usize,
    /// Of an anchor: its split.
    pub split: Option<String>,
}

/// A text of a list, cut: `column`'s first `?2` characters.
fn cut(column: &str) -> String {
    format!("CASE WHEN length({column}) > ?2 THEN substr({column}, 1, ?2) || '…' ELSE {column} END")
}

/// The columns that [`state`] reads, of a sample `s`.
const STATE: &str = "
    (SELECT v.filter FROM verdict v WHERE v.sample = s.id AND v.keep = 0 ORDER BY v.tick, v.filter LIMIT 1),
    (SELECT v.reason FROM verdict v WHERE v.sample = s.id AND v.keep = 0 ORDER BY v.tick, v.filter LIMIT 1),
    (SELECT v.tick FROM verdict v WHERE v.sample = s.id AND v.keep = 0 ORDER BY v.tick, v.filter LIMIT 1),
    EXISTS (SELECT 1 FROM provenance p WHERE p.sample = s.id AND NOT EXISTS (
      SELECT 1 FROM tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick)),
    (SELECT max((SELECT min(t.number) FROM tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick))
     FROM provenance p WHERE p.sample = s.id),
    EXISTS (SELECT 1 FROM tick t WHERE t.kind = 'score' AND t.number > (SELECT max(p.tick) FROM provenance p WHERE p.sample = s.id))
      OR EXISTS (SELECT 1 FROM score c WHERE c.sample = s.id)";

fn state(row: &Row<'_>, first: usize) -> rusqlite::Result<PoolState> {
    let filter: Option<String> = row.get(first)?;
    let live: bool = row.get(first + 3)?;
    let scored: bool = row.get(first + 5)?;
    let why = match (&filter, live, scored) {
        (Some(_), ..) => Why::Dropped,
        (None, false, _) => Why::MinedAway,
        (None, true, true) => Why::Kept,
        (None, true, false) => Why::Waiting,
    };
    Ok(PoolState {
        in_pool: why == Why::Kept,
        why,
        filter,
        reason: row.get(first + 1)?,
        tick: match why {
            Why::Dropped => row.get(first + 2)?,
            Why::MinedAway => row.get(first + 4)?,
            Why::Kept | Why::Waiting => None,
        },
    })
}

/// The query of [`SampleBrief`]s: samples `s` with what is joined to them, up to its `WHERE`. `?2` is how many characters.
fn briefs() -> String {
    format!(
        "SELECT s.id, s.role, {}, s.label, a.number, a.id, a.split, {}, d.number, d.id, d.title,
           (SELECT group_concat(source, ', ') FROM (SELECT DISTINCT source FROM provenance p WHERE p.sample = s.id ORDER BY source)),
           (SELECT c.similarity FROM score c WHERE c.sample = s.id ORDER BY c.tick DESC, c.model LIMIT 1),
           (SELECT c.difficulty FROM score c WHERE c.sample = s.id ORDER BY c.tick DESC, c.model LIMIT 1),
           (SELECT count(*) FROM use u WHERE u.sample = s.id), (SELECT avg(u.loss) FROM use u WHERE u.sample = s.id),
           (SELECT place FROM suspect x WHERE x.sample = s.id), (SELECT sum(i.value) FROM influence i WHERE i.sample = s.id),
           {STATE}
         FROM sample s JOIN anchor a ON a.number = s.anchor JOIN text at ON at.id = a.text JOIN text t ON t.id = s.text
         LEFT JOIN document d ON d.number = s.document",
        cut("t.content"),
        cut("at.content")
    )
}

fn brief(row: &Row<'_>) -> rusqlite::Result<SampleBrief> {
    Ok(SampleBrief {
        id: row.get(0)?,
        role: row.get(1)?,
        text: row.get(2)?,
        label: row.get(3)?,
        anchor: AnchorBrief {
            number: row.get::<_, i64>(4)? as usize,
            id: row.get(5)?,
            split: row.get(6)?,
            text: row.get(7)?,
        },
        document: document_brief(row, 8)?,
        sources: row.get::<_, Option<String>>(11)?.unwrap_or_default(),
        similarity: row.get(12)?,
        difficulty: row.get(13)?,
        uses: row.get::<_, i64>(14)? as u64,
        mean_loss: row.get(15)?,
        suspect_place: row.get::<_, Option<i64>>(16)?.map(|place| place as u64),
        influence: row.get(17)?,
        state: state(row, 18)?,
    })
}

/// Number, id and title, if there is a document.
fn document_brief(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<DocumentBrief>> {
    let Some(number) = row.get::<_, Option<i64>>(first)? else {
        return Ok(None);
    };
    Ok(Some(DocumentBrief {
        number: number as usize,
        id: row.get(first + 1)?,
        title: row.get(first + 2)?,
    }))
}

fn strings(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// What a column holds as JSON: as it is, or as text if it is none.
fn value(text: String) -> serde_json::Value {
    if text.is_empty() {
        return serde_json::Value::Null;
    }
    serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
}

impl Store {
    /// How far the run is.
    ///
    /// # Errors
    /// As every other query: if the store cannot be read.
    pub fn run_state(&self) -> Result<RunState, Error> {
        let (name, seed, version) = self
            .run()?
            .map_or_else(Default::default, |(name, seed, version, _)| {
                (name, seed, version)
            });
        let last = self
            .all(
                "SELECT number, kind, detail FROM tick ORDER BY number DESC LIMIT 1",
                [],
                |row| {
                    Ok(TickLife {
                        number: row.get(0)?,
                        kind: row.get(1)?,
                        detail: row.get(2)?,
                    })
                },
            )?
            .pop();
        let epochs: i64 = self.connection.query_row(
            "SELECT count(*) FROM (SELECT DISTINCT detail FROM tick WHERE kind = 'train')",
            [],
            |row| row.get(0),
        )?;
        Ok(RunState {
            name,
            seed,
            version,
            finished: self.trained_epoch()?.is_some(),
            last_tick: last,
            epochs: epochs as u64,
        })
    }

    /// The anchors and the document that have exactly this id, and the sample whose whole id it is.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn named(&self, id: &str) -> Result<Vec<Named>, Error> {
        self.all(
            "SELECT 'sample', id, 0, NULL FROM sample WHERE id = lower(?1)
             UNION ALL SELECT 'anchor', id, number, split FROM anchor WHERE id = ?1
             UNION ALL SELECT 'document', id, number, NULL FROM document WHERE id = ?1",
            [id],
            |row| {
                let kind: String = row.get(0)?;
                Ok(Named {
                    kind: match kind.as_str() {
                        "sample" => "sample",
                        "anchor" => "anchor",
                        _ => "document",
                    },
                    id: row.get(1)?,
                    number: row.get::<_, i64>(2)? as usize,
                    split: row.get(3)?,
                })
            },
        )
    }

    /// The first `limit` samples whose ids begin so, by id; `prefix` is of hex digits.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn samples_named(&self, prefix: &str, limit: usize) -> Result<Vec<String>, Error> {
        let prefix = prefix.to_ascii_lowercase();
        self.all(
            "SELECT id FROM sample WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT ?2",
            (prefix, i64::try_from(limit).unwrap_or(i64::MAX)),
            |row| row.get(0),
        )
    }

    /// Ids of anchors and documents of a length between two, at most `limit` of each kind: for suggestions.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn ids_of_length(
        &self,
        (shortest, longest): (usize, usize),
        limit: usize,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let mut found = Vec::new();
        for (kind, sql) in [
            (
                "anchor",
                "SELECT DISTINCT id FROM anchor WHERE length(id) BETWEEN ?1 AND ?2 ORDER BY number LIMIT ?3",
            ),
            (
                "document",
                "SELECT id FROM document WHERE length(id) BETWEEN ?1 AND ?2 ORDER BY number LIMIT ?3",
            ),
        ] {
            let bounds = (shortest as i64, longest as i64, limit as i64);
            found.extend(
                self.all(sql, bounds, |row| row.get(0))?
                    .into_iter()
                    .map(|id: String| (kind, id)),
            );
        }
        Ok(found)
    }

    fn tick_life(&self, number: u32) -> Result<Option<TickLife>, Error> {
        Ok(self
            .connection
            .query_row(
                "SELECT number, kind, detail FROM tick WHERE number = ?1",
                [number],
                |row| {
                    Ok(TickLife {
                        number: row.get(0)?,
                        kind: row.get(1)?,
                        detail: row.get(2)?,
                    })
                },
            )
            .optional()?)
    }

    fn topic_of(&self, kind: &str, item: usize) -> Result<Option<TopicLife>, Error> {
        Ok(self
            .connection
            .query_row(
                "SELECT t.number, o.share, t.terms, t.documents FROM topical o JOIN topic t ON t.number = o.topic
                 WHERE o.kind = ?1 AND o.item = ?2",
                (kind, item as i64),
                |row| {
                    Ok(TopicLife {
                        number: row.get::<_, i64>(0)? as u64,
                        share: row.get(1)?,
                        terms: strings(&row.get::<_, String>(2)?),
                        documents: row.get::<_, i64>(3)? as u64,
                    })
                },
            )
            .optional()?)
    }

    fn places(&self, kind: &str, item: &str) -> Result<Vec<Place>, Error> {
        self.all(
            "SELECT model, method, x, y FROM projection WHERE kind = ?1 AND item = ?2 ORDER BY tick, model",
            (kind, item),
            |row| {
                Ok(Place {
                    model: row.get(0)?,
                    method: row.get(1)?,
                    x: row.get(2)?,
                    y: row.get(3)?,
                })
            },
        )
    }

    /// Questions of which `condition` holds (of `q`, with `?1` and `?2`), with their answers.
    fn questions_about(
        &self,
        condition: &str,
        values: (i64, &str),
    ) -> Result<Vec<QuestionLife>, Error> {
        let mut questions = self.all(
            &format!(
                "SELECT q.id, q.round, a.id, d.id, q.sample, q.probability, n.relevant, n.annotator, n.label
                 FROM question q JOIN anchor a ON a.number = q.anchor LEFT JOIN document d ON d.number = q.document
                 LEFT JOIN annotation n ON n.round = q.round AND n.anchor = q.anchor AND n.document = q.document
                 WHERE {condition} ORDER BY q.id"
            ),
            values,
            |row| {
                Ok(QuestionLife {
                    id: row.get::<_, i64>(0)? as u64,
                    round: row.get::<_, i64>(1)? as u64,
                    anchor: row.get(2)?,
                    document: row.get(3)?,
                    sample: row.get(4)?,
                    probability: row.get(5)?,
                    answers: Vec::new(),
                    relevant: row.get(6)?,
                    annotator: row.get(7)?,
                    label: row.get(8)?,
                })
            },
        )?;
        for question in &mut questions {
            question.answers = self.all(
                "SELECT annotator, verdict, settles, flagged, comment FROM answer WHERE question = ?1 ORDER BY id",
                [question.id as i64],
                |row| {
                    Ok(Said {
                        annotator: row.get(0)?,
                        verdict: row.get(1)?,
                        settles: row.get(2)?,
                        flagged: row.get(3)?,
                        comment: row.get(4)?,
                    })
                },
            )?;
        }
        Ok(questions)
    }

    /// Samples of which `condition` holds (of `s`, with `?1`), in an `order`, `depth` of them.
    fn briefs(
        &self,
        condition: &str,
        order: &str,
        value: &dyn rusqlite::ToSql,
        depth: Depth,
    ) -> Result<Part<SampleBrief>, Error> {
        let rows = self.all(
            // Which ones come first is found before what is told of them.
            &format!(
                "{} WHERE s.id IN (SELECT s.id FROM sample s WHERE {condition} ORDER BY {order} LIMIT ?3) ORDER BY {order}",
                briefs()
            ),
            (value, depth.characters(), depth.rows()),
            brief,
        )?;
        // Where not all are shown, they are counted.
        let total = if rows.len() < depth.rows {
            rows.len() as i64
        } else {
            self.connection.query_row(
                &format!("SELECT count(*) FROM sample s WHERE {condition}"),
                [value],
                |row| row.get(0),
            )?
        };
        Ok(Part {
            rows,
            total: total as u64,
        })
    }
}
