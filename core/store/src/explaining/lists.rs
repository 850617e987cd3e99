//! Where to begin: the samples that hurt most, and those whose label is suspected most.

use serde::Serialize;
use serde_json::Value;

use super::{Depth, SampleBrief, brief, briefs, value};
use crate::Store;
use crate::error::Error;

/// A sample with what it does to the loss on validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Harmful {
    /// Added up over the versions of the model (TracIn); below 0 it hurts.
    pub value: f64,
    /// Versions that it was measured at.
    pub models: u64,
    /// The sample.
    pub sample: SampleBrief,
}

/// A sample whose label may be wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspected {
    /// From 1, of its role.
    pub place: u64,
    /// That its label is wrong.
    pub probability: f64,
    /// What speaks for it.
    pub evidence: Value,
    /// The sample.
    pub sample: SampleBrief,
}

impl Store {
    /// The `depth.rows` samples of the least influence, the most harmful first. Helpful ones are not among them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn worst(&self, depth: Depth) -> Result<Vec<Harmful>, Error> {
        let found: Vec<(String, f64, i64)> = self.all(
            "SELECT sample, sum(value) AS total, count(*) FROM influence GROUP BY sample HAVING total < 0
             ORDER BY total, sample LIMIT ?1",
            [depth.rows()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        found
            .into_iter()
            .map(|(id, value, models)| {
                Ok(Harmful {
                    value,
                    models: models as u64,
                    sample: self.brief_of(&id, depth)?,
                })
            })
            .collect()
    }

    /// How many samples have their influence measured.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn measured_influences(&self) -> Result<u64, Error> {
        let count: i64 = self.connection.query_row(
            "SELECT count(DISTINCT sample) FROM influence",
            [],
            |row| row.get(0),
        )?;
        Ok(count as u64)
    }

    /// The suspects of a role in their order, `depth.rows` of them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn suspected(&self, role: &str, depth: Depth) -> Result<Vec<Suspected>, Error> {
        let found: Vec<(String, i64, f64, String)> = self.all(
            "SELECT x.sample, x.place, x.probability, x.evidence FROM suspect x JOIN sample s ON s.id = x.sample
             WHERE s.role = ?1 ORDER BY x.place, x.sample LIMIT ?2",
            (role, depth.rows()),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        found
            .into_iter()
            .map(|(id, place, probability, evidence)| {
                Ok(Suspected {
                    place: place as u64,
                    probability,
                    evidence: value(evidence),
                    sample: self.brief_of(&id, depth)?,
                })
            })
            .collect()
    }

    fn brief_of(&self, id: &str, depth: Depth) -> Result<SampleBrief, Error> {
        Ok(self.connection.query_row(
            &format!("{} WHERE s.id = ?1", briefs()),
            (id, depth.characters()),
            brief,
        )?)
    }
}
