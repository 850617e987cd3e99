//! Named queries for watching a run: which sources an epoch used, what a source proposed and nobody used, what was warned of.

use serde::Serialize;

use crate::Store;
use crate::error::Error;
use crate::rows::SampleId;

/// A source none of whose samples was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnusedSource {
    /// Its name.
    pub source: String,
    /// Samples it proposed.
    pub proposed: u64,
    /// How many of them a filter dropped.
    pub dropped: u64,
}

/// Bands of difficulty in an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochBands {
    /// Negatives that it asked for and did not get.
    pub short: Vec<(String, u64)>,
    /// Negatives in the pool it began with.
    pub in_pool: Vec<(String, u64)>,
}

/// A negative that was in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // The columns of `sample`.
pub struct PastNegative {
    pub id: SampleId,
    pub anchor: usize,
    pub text: String,
}

impl Store {
    /// The negatives used in an epoch (from 0), by source: a use of a sample that several sources proposed counts for each in
    /// equal parts, so that the parts add up to the uses.
    ///
    /// # Errors
    /// As every other query: if the store cannot be read.
    pub fn negatives_used(&self, epoch: usize) -> Result<Vec<(String, f64)>, Error> {
        self.all(
            "WITH uses AS (
               SELECT u.sample, count(*) AS n FROM use u JOIN sample s ON s.id = u.sample
               WHERE u.epoch = ?1 AND s.role = 'negative' GROUP BY u.sample),
             sources AS (
               SELECT DISTINCT p.sample, p.source FROM provenance p JOIN uses ON uses.sample = p.sample
               WHERE p.tick < (SELECT max(tick) FROM use WHERE epoch = ?1)),
             shared AS (SELECT sample, count(*) AS n FROM sources GROUP BY sample)
             SELECT o.source, sum(CAST(uses.n AS REAL) / shared.n)
             FROM (SELECT sample, source FROM sources ORDER BY source, sample) o
             JOIN uses ON uses.sample = o.sample JOIN shared ON shared.sample = o.sample
             GROUP BY o.source ORDER BY o.source",
            [epoch as i64],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Sources that proposed samples, none of which was ever used.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn unused_sources(&self) -> Result<Vec<UnusedSource>, Error> {
        self.all(
            "WITH of_source AS (SELECT DISTINCT source, sample FROM provenance),
                  used AS (SELECT DISTINCT sample FROM use),
                  gone AS (SELECT DISTINCT sample FROM verdict WHERE keep = 0)
             SELECT o.source, count(*), sum(g.sample IS NOT NULL) FROM of_source o
             LEFT JOIN used u ON u.sample = o.sample LEFT JOIN gone g ON g.sample = o.sample
             GROUP BY o.source HAVING sum(u.sample IS NOT NULL) = 0 ORDER BY o.source",
            [],
            |row| {
                Ok(UnusedSource {
                    source: row.get(0)?,
                    proposed: row.get::<_, i64>(1)? as u64,
                    dropped: row.get::<_, i64>(2)? as u64,
                })
            },
        )
    }

    /// What an epoch (from 0) fell short of, and what there was. `None` if it had no steps.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn bands_of_epoch(&self, epoch: usize) -> Result<Option<EpochBands>, Error> {
        let ticks: Vec<(Option<u32>, Option<u32>)> = self.all(
            "SELECT min(tick), max(tick) FROM use WHERE epoch = ?1",
            [epoch as i64],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let Some(&(Some(first), Some(last))) = ticks.first() else {
            return Ok(None);
        };
        let band = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, f64>(1)? as u64));
        Ok(Some(EpochBands {
            short: self.all(
                "SELECT substr(name, 17), sum(value) FROM metric
                 WHERE tick BETWEEN ?1 AND ?2 AND step = -1 AND substr(name, 1, 16) = 'negatives_short/'
                 GROUP BY name ORDER BY name",
                (first, last),
                band,
            )?,
            in_pool: self.all(
                "SELECT band, CAST(count(*) AS REAL) FROM score
                 WHERE tick = (SELECT max(number) FROM tick WHERE kind = 'score' AND number < ?1) AND band IS NOT NULL
                 GROUP BY band ORDER BY band",
                [first],
                band,
            )?,
        }))
    }

    /// The negatives of a source that were in the pool when it was last scored before tick `number`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn negatives_before(&self, source: &str, number: u32) -> Result<Vec<PastNegative>, Error> {
        self.all(
            "SELECT s.id, s.anchor, t.content FROM score c
             JOIN sample s ON s.id = c.sample JOIN text t ON t.id = s.text
             WHERE c.tick = (SELECT max(number) FROM tick WHERE kind = 'score' AND number < ?2)
               AND s.role = 'negative'
               AND EXISTS (SELECT 1 FROM provenance p WHERE p.sample = s.id AND p.source = ?1 AND p.tick < ?2)
             ORDER BY s.id",
            (source, number),
            |row| {
                Ok(PastNegative {
                    id: crate::query::id(&row.get::<_, String>(0)?)?,
                    anchor: row.get::<_, i64>(1)? as usize,
                    text: row.get(2)?,
                })
            },
        )
    }

    /// The last tick of a kind, if there is one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_of_kind(&self, kind: &str) -> Result<Option<u32>, Error> {
        let rows = self.all(
            "SELECT max(number) FROM tick WHERE kind = ?1",
            [kind],
            |row| row.get(0),
        )?;
        Ok(rows.into_iter().next().flatten())
    }

    /// Everything that was warned of, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn warnings(&self) -> Result<Vec<String>, Error> {
        self.all(
            "SELECT detail FROM event WHERE kind = 'warning' ORDER BY id",
            [],
            |row| row.get(0),
        )
    }

    /// How many events there are: with the last tick, whether anything has changed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn events(&self) -> Result<u64, Error> {
        let count: i64 =
            self.connection
                .query_row("SELECT coalesce(max(id), 0) FROM event", [], |row| {
                    row.get(0)
                })?;
        Ok(count as u64)
    }

    /// The last of start, resume, interrupt, finish and fail.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_turn(&self) -> Result<Option<String>, Error> {
        Ok(self
            .all(
                "SELECT kind FROM event WHERE kind IN ('start', 'resume', 'interrupt', 'finish', 'fail') ORDER BY id DESC LIMIT 1",
                [],
                |row| row.get(0),
            )?
            .pop())
    }
}
