//! Rows of what was found out about a run: topics, slices of the evaluation, what was retrieved, influence, suspects.

use std::collections::{BTreeMap, BTreeSet};

use crate::Store;
use crate::error::Error;
use crate::query::id;
use crate::rows::SampleId;
use crate::tick::Tick;

/// A topic of the corpus.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // The columns of the table of that name: see schema_3.sql.
pub struct Topic<'a> {
    pub number: usize,
    pub terms: &'a [String],
    pub documents: usize,
    pub share: f64,
    pub coherence: Option<f64>,
}

/// A claim of a slice.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Slice<'a> {
    pub name: &'a str,
    pub item: usize,
    pub anchor: Option<usize>,
    pub text: &'a str,
    pub detail: &'a str,
}

/// A metric of a claim of a slice.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct SliceScore<'a> {
    pub slice: &'a str,
    pub item: usize,
    pub model: &'a str,
    pub metric: &'a str,
    pub value: f64,
}

/// What a sample does to the model, at a version of it.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Influence {
    pub sample: SampleId,
    pub value: f64,
    pub loss: Option<f64>,
    pub on_its_side: bool,
}

/// A sample whose label may be wrong.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // As above.
pub struct Suspect<'a> {
    pub sample: SampleId,
    pub place: usize,
    pub probability: f64,
    pub evidence: &'a str,
}

impl Tick<'_> {
    /// Adds a topic.
    ///
    /// # Errors
    /// As every other addition: if the store cannot be written.
    pub fn add_topic(&self, topic: &Topic<'_>) -> Result<(), Error> {
        let _ = self.insert(
            "INSERT INTO topic (number, terms, documents, share, coherence, tick) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                topic.number as i64,
                serde_json::to_string(topic.terms).unwrap_or_default(),
                topic.documents as i64,
                topic.share,
                topic.coherence,
                self.number(),
            ),
        )?;
        Ok(())
    }

    /// Adds the topic that an anchor or a document (`kind`) has most of.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_topical(
        &self,
        kind: &str,
        item: usize,
        topic: usize,
        share: f64,
    ) -> Result<(), Error> {
        let _ = self.insert(
            "INSERT INTO topical (kind, item, topic, share, tick) VALUES (?1, ?2, ?3, ?4, ?5)",
            (kind, item as i64, topic as i64, share, self.number()),
        )?;
        Ok(())
    }

    /// Adds the influence of a sample at a version of the model.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_influence(&self, model: &str, influence: &Influence) -> Result<(), Error> {
        let _ = self.insert(
            "INSERT INTO influence (sample, model, value, loss, on_its_side, tick) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                influence.sample.to_string(),
                model,
                influence.value,
                influence.loss,
                influence.on_its_side,
                self.number(),
            ),
        )?;
        Ok(())
    }

    /// Adds a suspect.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_suspect(&self, suspect: &Suspect<'_>) -> Result<(), Error> {
        let _ = self.insert(
            "INSERT INTO suspect (sample, place, probability, evidence, tick) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                suspect.sample.to_string(),
                suspect.place as i64,
                suspect.probability,
                suspect.evidence,
                self.number(),
            ),
        )?;
        Ok(())
    }

    /// Adds a document that a model retrieved for an anchor, at a rank from 1.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_retrieved(
        &self,
        model: &str,
        anchor: usize,
        rank: usize,
        (document, score): (usize, f32),
    ) -> Result<(), Error> {
        let _ = self.insert(
            "INSERT INTO retrieved (model, anchor, rank, document, score, tick) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                model,
                anchor as i64,
                rank as i64,
                document as i64,
                score,
                self.number(),
            ),
        )?;
        Ok(())
    }

    /// Adds a claim of a slice.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_slice(&self, slice: &Slice<'_>) -> Result<(), Error> {
        let text = self.text(slice.text)?;
        let _ = self.insert(
            "INSERT INTO slice (name, item, anchor, text, detail, tick) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                slice.name,
                slice.item as i64,
                slice.anchor.map(|one| one as i64),
                text,
                slice.detail,
                self.number(),
            ),
        )?;
        Ok(())
    }

    /// Adds a metric of a claim of a slice.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn add_slice_score(&self, score: &SliceScore<'_>) -> Result<(), Error> {
        let _ = self.insert(
            "INSERT INTO slice_score (slice, item, model, metric, value, tick) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                score.slice,
                score.item as i64,
                score.model,
                score.metric,
                score.value,
                self.number(),
            ),
        )?;
        Ok(())
    }
}

impl Store {
    /// The mean loss of each sample over its uses, where losses looked at it alone.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn mean_losses(&self) -> Result<BTreeMap<SampleId, f64>, Error> {
        self.by_sample(
            "SELECT sample, sum(loss) / count(loss) FROM (SELECT sample, loss FROM use ORDER BY sample, step)
             GROUP BY sample HAVING count(loss) > 0",
        )
    }

    /// The influence of each sample, summed over the versions of the model.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn influences(&self) -> Result<BTreeMap<SampleId, f64>, Error> {
        self.by_sample(
            "SELECT sample, sum(value) FROM (SELECT sample, value FROM influence ORDER BY sample, model) GROUP BY sample",
        )
    }

    /// The samples that a source proposed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of_source(&self, source: &str) -> Result<BTreeSet<SampleId>, Error> {
        let ids = self.all(
            "SELECT DISTINCT sample FROM provenance WHERE source = ?1",
            [source],
            |row| id(&row.get::<_, String>(0)?),
        )?;
        Ok(ids.into_iter().collect())
    }

    /// The sources of each sample that still propose it, by name.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn sources(&self) -> Result<BTreeMap<SampleId, Vec<String>>, Error> {
        let rows = self.all(
            "SELECT DISTINCT p.sample, p.source FROM provenance p
             WHERE NOT EXISTS (SELECT 1 FROM tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick)
             ORDER BY p.sample, p.source",
            [],
            |row| Ok((id(&row.get::<_, String>(0)?)?, row.get::<_, String>(1)?)),
        )?;
        let mut sources: BTreeMap<SampleId, Vec<String>> = BTreeMap::new();
        for (sample, source) in rows {
            sources.entry(sample).or_default().push(source);
        }
        Ok(sources)
    }

    fn by_sample(&self, sql: &str) -> Result<BTreeMap<SampleId, f64>, Error> {
        let rows = self.all(sql, [], |row| {
            Ok((id(&row.get::<_, String>(0)?)?, row.get(1)?))
        })?;
        Ok(rows.into_iter().collect())
    }
}
