//! Named queries: what the engine needs to go on, and what the report is drawn from. Every result is in a fixed order.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, Params, Row};
use serde::Serialize;

use crate::Store;
use crate::error::Error;
use crate::rows::{Role, SampleId};

/// A sample with its state, for going on after an interruption.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // The columns of the tables: see schema.sql.
pub struct SampleView {
    pub id: SampleId,
    pub anchor: usize,
    pub text: String,
    pub role: Role,
    pub label: f32,
    pub weight: f32,
    pub document: Option<usize>,
    pub parent: Option<SampleId>,
    pub fixed_difficulty: Option<f32>,
    pub source: String,
    pub score: Option<f32>,
    pub kept: bool,
    pub tick: u32,
    pub similarity: Option<f32>,
    pub difficulty: Option<f32>,
    pub band: Option<String>,
}

/// A source with what became of its samples.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // Counts of samples.
pub struct FunnelRow {
    pub source: String,
    pub role: String,
    pub proposed: u64,
    pub dropped: u64,
    /// No longer proposed since its source was asked again.
    pub left: u64,
    pub pool: u64,
    pub used: u64,
    pub uses: u64,
    /// Uses before the trained model's epoch was over: those that went into it.
    pub uses_in_trained: u64,
    pub mean_loss: Option<f64>,
}

/// What an epoch was, as asked and as it came.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // Counts of uses.
pub struct EpochRow {
    /// From 1.
    pub epoch: usize,
    pub band: String,
    pub positives: u64,
    pub negatives: u64,
    pub ratio_asked: f64,
    pub short: u64,
    /// Rounds of answers before it.
    pub round: u64,
}

/// A metric of a model on a split.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // The columns of `evaluation`.
pub struct EvaluationRow {
    pub model: String,
    pub split: String,
    pub metric: String,
    pub mean: f64,
    pub anchors: u64,
}

/// A value at a step.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // The columns of `metric`.
pub struct CurvePoint {
    pub name: String,
    pub step: i64,
    pub tick: u32,
    pub value: f64,
}

/// A plugin instance.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)] // The columns of `plugin`.
pub struct PluginRow {
    pub name: String,
    pub id: String,
    pub kind: String,
    pub version: String,
    pub sha256: String,
    pub settings: String,
}

pub(crate) fn id(text: &str) -> rusqlite::Result<SampleId> {
    u128::from_str_radix(text, 16)
        .map(SampleId)
        .map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                0,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })
}

impl Store {
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(values, read)?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// Every sample that was there after tick `up_to`, with its state then, in the order they came to be.
    ///
    /// # Errors
    /// As every other query: if the store cannot be read.
    pub fn samples(&self, up_to: u32) -> Result<Vec<SampleView>, Error> {
        self.samples_since(0, up_to)
    }

    /// Those of [`Store::samples`] that came at tick `first` or later.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn samples_since(&self, first: u32, up_to: u32) -> Result<Vec<SampleView>, Error> {
        self.all(
            "SELECT s.id, s.anchor, t.content, s.role, s.label, s.weight, s.document, s.parent, s.difficulty,
                    p.source, p.score,
                    NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND v.keep = 0 AND v.tick <= ?1)
                      AND EXISTS (SELECT 1 FROM provenance p WHERE p.sample = s.id AND p.tick <= ?1 AND NOT EXISTS (
                        SELECT 1 FROM tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick AND t.number <= ?1)),
                    c.similarity, c.difficulty, c.band, s.tick
             FROM sample s
             JOIN text t ON t.id = s.text
             JOIN provenance p ON p.sample = s.id
               AND (p.tick, p.source) = (SELECT q.tick, q.source FROM provenance q WHERE q.sample = s.id ORDER BY q.tick, q.source LIMIT 1)
             LEFT JOIN score c ON c.sample = s.id
               AND c.tick = (SELECT max(d.tick) FROM score d WHERE d.sample = s.id AND d.tick <= ?1)
             WHERE s.tick <= ?1 AND s.tick >= ?2
             ORDER BY s.tick, s.anchor, s.id",
            [up_to, first],
            |row| {
                let role: String = row.get(3)?;
                let parent: Option<String> = row.get(7)?;

                Ok(SampleView {
                    id: id(&row.get::<_, String>(0)?)?,
                    anchor: row.get::<_, i64>(1)? as usize,
                    text: row.get(2)?,
                    role: if role == "positive" { Role::Positive } else { Role::Negative },
                    label: row.get(4)?,
                    weight: row.get(5)?,
                    document: row.get::<_, Option<i64>>(6)?.map(|number| number as usize),
                    parent: parent.as_deref().map(id).transpose()?,
                    fixed_difficulty: row.get(8)?,
                    source: row.get(9)?,
                    score: row.get(10)?,
                    kept: row.get(11)?,
                    tick: row.get(15)?,
                    similarity: row.get(12)?,
                    difficulty: row.get(13)?,
                    band: row.get(14)?,
                })
            },
        )
    }

    /// The samples that training has used.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn used(&self) -> Result<BTreeSet<SampleId>, Error> {
        let rows = self.all("SELECT DISTINCT sample FROM use", [], |row| {
            id(&row.get::<_, String>(0)?)
        })?;
        Ok(rows.into_iter().collect())
    }

    /// The samples that a source proposed and has not been asked anew since, up to tick `up_to`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn live_of(&self, source: &str, up_to: u32) -> Result<BTreeSet<SampleId>, Error> {
        let rows = self.all(
            "SELECT DISTINCT sample FROM provenance p WHERE p.source = ?1 AND p.tick <= ?2 AND NOT EXISTS (
               SELECT 1 FROM tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick AND t.number <= ?2)",
            (source, up_to),
            |row| id(&row.get::<_, String>(0)?),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// The metrics of a tick as a whole.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn metric(&self, tick: u32, name: &str) -> Result<Option<f64>, Error> {
        Ok(self
            .connection
            .query_row(
                "SELECT value FROM metric WHERE tick = ?1 AND step = -1 AND name = ?2",
                (tick, name),
                |row| row.get(0),
            )
            .optional()?)
    }

    /// The sum of a metric over the ticks as wholes from tick `first` on.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn metric_sum(&self, name: &str, first: u32) -> Result<f64, Error> {
        Ok(self.connection.query_row(
            "SELECT coalesce(sum(value), 0.0) FROM metric WHERE tick >= ?2 AND step = -1 AND name = ?1",
            (name, first),
            |row| row.get(0),
        )?)
    }

    /// `(name, seed, version, plan)` of the run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn run(&self) -> Result<Option<(String, u64, String, String)>, Error> {
        Ok(self
            .connection
            .query_row("SELECT name, seed, version, plan FROM run", [], |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, i64>(1)? as u64,
                    row.get(2)?,
                    row.get(3)?,
                ))
            })
            .optional()?)
    }

    /// The plugins of the run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plugins(&self) -> Result<Vec<PluginRow>, Error> {
        self.all(
            "SELECT name, id, kind, version, sha256, settings FROM plugin ORDER BY rowid",
            [],
            |row| {
                Ok(PluginRow {
                    name: row.get(0)?,
                    id: row.get(1)?,
                    kind: row.get(2)?,
                    version: row.get(3)?,
                    sha256: row.get(4)?,
                    settings: row.get(5)?,
                })
            },
        )
    }

    /// Which epoch's model is the trained one, counted from 1; `None` before the end.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn trained_epoch(&self) -> Result<Option<usize>, Error> {
        let detail: Option<String> = self
            .connection
            .query_row(
                "SELECT detail FROM tick WHERE detail LIKE 'trained = epoch-%'",
                [],
                |row| row.get(0),
            )
            .optional()?;
        Ok(detail.and_then(|text| text.rsplit('-').next()?.parse().ok()))
    }

    /// How many samples each filter dropped.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn dropped_by_filter(&self) -> Result<Vec<(String, u64, u64)>, Error> {
        self.all(
            "SELECT filter, count(*), sum(keep = 0) FROM verdict GROUP BY filter ORDER BY min(tick), filter",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get::<_, i64>(1)? as u64,
                    row.get::<_, i64>(2)? as u64,
                ))
            },
        )
    }

    /// Mean metrics by model and split.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn evaluations(&self) -> Result<Vec<EvaluationRow>, Error> {
        self.all(
            "SELECT e.model, a.split, e.metric, avg(e.value), count(*)
             FROM evaluation e JOIN anchor a ON a.number = e.anchor
             GROUP BY e.model, a.split, e.metric ORDER BY min(e.tick), e.model, a.split, e.metric",
            [],
            |row| {
                Ok(EvaluationRow {
                    model: row.get(0)?,
                    split: row.get(1)?,
                    metric: row.get(2)?,
                    mean: row.get(3)?,
                    anchors: row.get::<_, i64>(4)? as u64,
                })
            },
        )
    }

    /// The test anchors with a judged document that is judged for a training anchor too.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn overlapping_with_training(&self) -> Result<Vec<usize>, Error> {
        self.all(
            "WITH trained_on AS (SELECT DISTINCT j.document FROM judgement j JOIN anchor a ON a.number = j.anchor WHERE a.split = 'train')
             SELECT DISTINCT j.anchor FROM judgement j JOIN trained_on t ON t.document = j.document
             JOIN anchor a ON a.number = j.anchor WHERE a.split = 'test' ORDER BY 1",
            [],
            |row| Ok(row.get::<_, i64>(0)? as usize),
        )
    }

    /// One metric of every anchor of a split, by anchor.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn per_anchor(
        &self,
        model: &str,
        split: &str,
        metric: &str,
    ) -> Result<Vec<(usize, f64)>, Error> {
        self.all(
            "SELECT e.anchor, e.value FROM evaluation e JOIN anchor a ON a.number = e.anchor
             WHERE e.model = ?1 AND a.split = ?2 AND e.metric = ?3 ORDER BY e.anchor",
            (model, split, metric),
            |row| Ok((row.get::<_, i64>(0)? as usize, row.get(1)?)),
        )
    }

    /// Metrics whose name begins with `prefix`, by step and tick.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn curve(&self, prefix: &str) -> Result<Vec<CurvePoint>, Error> {
        self.all(
            "SELECT name, step, tick, value FROM metric WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name, tick, step",
            [prefix],
            |row| {
                Ok(CurvePoint {
                    name: row.get(0)?,
                    step: row.get(1)?,
                    tick: row.get(2)?,
                    value: row.get(3)?,
                })
            },
        )
    }

    /// Any query, every value as JSON: for examples in the report and for the documentation's queries.
    ///
    /// # Errors
    /// If the query is wrong or the store cannot be read.
    pub fn query(
        &self,
        sql: &str,
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, Error> {
        use rusqlite::types::ValueRef;
        let mut statement = self.connection.prepare(sql)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let rows = statement
            .query_map([], |row| {
                names
                    .iter()
                    .enumerate()
                    .map(|(place, name)| {
                        let value = match row.get_ref(place)? {
                            ValueRef::Null => serde_json::Value::Null,
                            ValueRef::Integer(value) => value.into(),
                            ValueRef::Real(value) => value.into(),
                            ValueRef::Text(value) | ValueRef::Blob(value) => {
                                String::from_utf8_lossy(value).into_owned().into()
                            }
                        };
                        Ok((name.clone(), value))
                    })
                    .collect()
            })?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// How many rows each table holds.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn row_counts(&self) -> Result<Vec<(String, u64)>, Error> {
        let tables: Vec<String> = self.all(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
            [],
            |row| row.get(0),
        )?;
        tables
            .into_iter()
            .map(|table| {
                let n: i64 = self.connection.query_row(
                    &format!("SELECT count(*) FROM {table}"),
                    [],
                    |row| row.get(0),
                )?;
                Ok((table, n as u64))
            })
            .collect()
    }
}
