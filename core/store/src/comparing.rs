//! What a comparison of runs reads beside the evaluations: whose queries these are, and which samples one store has and another
//! has not. Two stores are read side by side, row by row: neither is ever held in memory.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::{PATIENCE, Store};

/// Samples of a store that are alike in what a comparison asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each is a question of its own.
pub struct SampleTally {
    /// Who proposed them first, in this store.
    pub source: String,
    /// `positive` or `negative`.
    pub role: String,
    /// Whether the other store has them.
    pub in_other: bool,
    /// Whether they are in the pool, here.
    pub kept: bool,
    /// … and there.
    pub kept_in_other: bool,
    /// Whether their labels differ.
    pub label: bool,
    /// Whether their weights differ.
    pub weight: bool,
    /// Whether a filter that both have judges them differently.
    pub verdict: bool,
    /// How many they are.
    pub count: u64,
}

/// A sample that only one store has.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `sample`.
pub struct OnlyThere {
    pub id: String,
    pub source: String,
    pub role: String,
    pub anchor: String,
    pub anchor_text: String,
    pub text: String,
    pub label: f64,
    /// Whether it is in the pool.
    pub kept: bool,
    /// How often training used it.
    pub uses: u64,
}

/// A sample that both stores have, and that is not the same in both.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // The columns of `sample`.
pub struct Changed {
    pub id: String,
    pub source: String,
    pub role: String,
    pub anchor: String,
    pub anchor_text: String,
    pub text: String,
    /// In this store, in the other.
    pub label: [f64; 2],
    pub weight: [f64; 2],
    /// Whether it is in the pool.
    pub kept: [bool; 2],
    /// The filter that dropped it, if one did.
    pub dropped_by: [Option<String>; 2],
    pub uses: [u64; 2],
}

/// Two stores that are read side by side.
pub struct Pair {
    store: Store,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    This,
    /// The other.
    Other,
}

impl Side {
    /// Its name in queries, and the other's.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::This => ("main", "other"),
            Self::Other => ("other", "main"),
        }
    }
}

/// Characters of a text that is listed.
const LISTED: i64 = 240;

/// Whether a sample `alias` is in the pool of a store.
fn kept(store: &str, alias: &str) -> String {
    format!(
        "(NOT EXISTS (SELECT 1 FROM {store}.verdict v WHERE v.sample = {alias}.id AND v.keep = 0)
          AND EXISTS (SELECT 1 FROM {store}.provenance p WHERE p.sample = {alias}.id AND NOT EXISTS (
            SELECT 1 FROM {store}.tick t WHERE t.kind = 'refresh' AND t.detail = p.source AND t.number > p.tick)))"
    )
}

fn first_source(store: &str, alias: &str) -> String {
    format!(
        "(SELECT p.source FROM {store}.provenance p WHERE p.sample = {alias}.id ORDER BY p.tick, p.source LIMIT 1)"
    )
}

/// Whether a filter of both stores keeps the sample `s` in one of them alone. Most are dropped by none: that is found first.
const JUDGED_DIFFERENTLY: &str = "(EXISTS (SELECT 1 FROM main.verdict v WHERE v.sample = s.id AND v.keep = 0
    AND EXISTS (SELECT 1 FROM other.verdict w WHERE w.sample = s.id AND w.filter = v.filter)
    AND NOT EXISTS (SELECT 1 FROM other.verdict w WHERE w.sample = s.id AND w.filter = v.filter AND w.keep = 0))
  OR EXISTS (SELECT 1 FROM other.verdict v WHERE v.sample = s.id AND v.keep = 0
    AND EXISTS (SELECT 1 FROM main.verdict w WHERE w.sample = s.id AND w.filter = v.filter)
    AND NOT EXISTS (SELECT 1 FROM main.verdict w WHERE w.sample = s.id AND w.filter = v.filter AND w.keep = 0)))";

fn dropped_by(store: &str) -> String {
    format!(
        "(SELECT v.filter FROM {store}.verdict v WHERE v.sample = s.id AND v.keep = 0 ORDER BY v.tick, v.filter LIMIT 1)"
    )
}

fn uses(store: &str) -> String {
    format!("(SELECT count(*) FROM {store}.use u WHERE u.sample = s.id)")
}

fn cut(column: &str) -> String {
    format!(
        "CASE WHEN length({column}) > {LISTED} THEN substr({column}, 1, {LISTED}) || '…' ELSE {column} END"
    )
}

impl Pair {
    /// Opens two stores to read.
    ///
    /// # Errors
    /// If one of them is no store, or of a newer version.
    pub fn open(this: &Path, other: &Path) -> Result<Self, Error> {
        // Brought to this version first, if it is older.
        drop(Store::open_to_read(other)?);
        let store = Store::open(this)?;
        let connection = &store.connection;
        connection.busy_timeout(PATIENCE)?;
        connection.execute("ATTACH ?1 AS other", [&other.to_string_lossy()])?;
        // As much as the first has.
        connection.execute_batch("PRAGMA other.cache_size = -65536")?;
        connection.pragma_update(None, "query_only", true)?;
        connection.execute_batch("BEGIN")?;
        Ok(Self { store })
    }

    /// Counts a store's samples against the other's. In what those of both differ is told of the other's alone.
    ///
    /// # Errors
    /// If a store cannot be read.
    pub fn tallies(&self, side: Side) -> Result<Vec<SampleTally>, Error> {
        let (this, other) = side.names();
        let differ = match side {
            Side::This => "0, 0, 0".to_owned(),
            Side::Other => format!(
                "o.id IS NOT NULL AND s.label <> o.label, o.id IS NOT NULL AND s.weight <> o.weight,
                 CASE WHEN o.id IS NULL THEN 0 ELSE {JUDGED_DIFFERENTLY} END"
            ),
        };
        self.store.all(
            &format!(
                "SELECT {source}, s.role, o.id IS NOT NULL, {kept}, CASE WHEN o.id IS NULL THEN 0 ELSE {kept_there} END,
                        {differ}, count(*)
                 FROM {this}.sample s LEFT JOIN {other}.sample o ON o.id = s.id
                 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8",
                source = first_source(this, "s"),
                kept = kept(this, "s"),
                kept_there = kept(other, "s"),
            ),
            [],
            |row| {
                Ok(SampleTally {
                    source: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
                    role: row.get(1)?,
                    in_other: row.get(2)?,
                    kept: row.get(3)?,
                    kept_in_other: row.get(4)?,
                    label: row.get(5)?,
                    weight: row.get(6)?,
                    verdict: row.get(7)?,
                    count: row.get::<_, i64>(8)? as u64,
                })
            },
        )
    }

    /// Samples that only one store has, those in its pool and used most first.
    ///
    /// # Errors
    /// If a store cannot be read.
    pub fn only_in(&self, side: Side, limit: usize) -> Result<Vec<OnlyThere>, Error> {
        let (this, other) = side.names();
        self.store.all(
            &format!(
                "SELECT s.id, {source}, s.role, a.id, {anchor_text}, {text}, s.label, chosen.kept, chosen.uses
                 FROM (SELECT s.id AS id, {kept} AS kept, {uses} AS uses FROM {this}.sample s
                       WHERE NOT EXISTS (SELECT 1 FROM {other}.sample o WHERE o.id = s.id)
                       ORDER BY 2 DESC, 3 DESC, 1 LIMIT ?1) chosen
                 JOIN {this}.sample s ON s.id = chosen.id JOIN {this}.anchor a ON a.number = s.anchor
                 JOIN {this}.text at ON at.id = a.text JOIN {this}.text t ON t.id = s.text
                 ORDER BY chosen.kept DESC, chosen.uses DESC, s.id",
                source = first_source(this, "s"),
                kept = kept(this, "s"),
                uses = uses(this),
                anchor_text = cut("at.content"),
                text = cut("t.content"),
            ),
            [limit as i64],
            |row| {
                Ok(OnlyThere {
                    id: row.get(0)?,
                    source: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                    role: row.get(2)?,
                    anchor: row.get(3)?,
                    anchor_text: row.get(4)?,
                    text: row.get(5)?,
                    label: row.get(6)?,
                    kept: row.get(7)?,
                    uses: row.get::<_, i64>(8)? as u64,
                })
            },
        )
    }

    /// Samples that are not the same in both: another label first, then another state, those used most first.
    ///
    /// # Errors
    /// If a store cannot be read.
    pub fn changed(&self, limit: usize) -> Result<Vec<Changed>, Error> {
        self.store.all(
            &format!(
                "SELECT s.id, {source}, s.role, a.id, {anchor_text}, {text}, s.label, o.label, s.weight, o.weight,
                        chosen.is_kept, chosen.is_kept_there, {dropped}, {dropped_there}, {uses}, {uses_there}
                 FROM (SELECT s.id AS id, {kept} AS is_kept, {kept_there} AS is_kept_there, s.label <> o.label AS of_label,
                              s.weight <> o.weight AS of_weight, {JUDGED_DIFFERENTLY} AS of_verdict, {uses} + {uses_there} AS all_uses
                       FROM main.sample s JOIN other.sample o ON o.id = s.id
                       WHERE of_label OR of_weight OR is_kept <> is_kept_there OR of_verdict
                       ORDER BY of_label DESC, is_kept <> is_kept_there DESC, all_uses DESC, s.id LIMIT ?1) chosen
                 JOIN main.sample s ON s.id = chosen.id JOIN other.sample o ON o.id = chosen.id
                 JOIN main.anchor a ON a.number = s.anchor JOIN main.text at ON at.id = a.text JOIN main.text t ON t.id = s.text
                 ORDER BY chosen.of_label DESC, chosen.is_kept <> chosen.is_kept_there DESC, chosen.all_uses DESC, s.id",
                source = first_source("main", "s"),
                kept = kept("main", "s"),
                kept_there = kept("other", "s"),
                dropped = dropped_by("main"),
                dropped_there = dropped_by("other"),
                uses = uses("main"),
                uses_there = uses("other"),
                anchor_text = cut("at.content"),
                text = cut("t.content"),
            ),
            [limit as i64],
            |row| {
                Ok(Changed {
                    id: row.get(0)?,
                    source: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                    role: row.get(2)?,
                    anchor: row.get(3)?,
                    anchor_text: row.get(4)?,
                    text: row.get(5)?,
                    label: [row.get(6)?, row.get(7)?],
                    weight: [row.get(8)?, row.get(9)?],
                    kept: [row.get(10)?, row.get(11)?],
                    dropped_by: [row.get(12)?, row.get(13)?],
                    uses: [
                        row.get::<_, i64>(14)? as u64,
                        row.get::<_, i64>(15)? as u64,
                    ],
                })
            },
        )
    }
}

impl Store {
    /// The id and the text of some anchors, by number; texts cut at 240 characters.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn anchors_numbered(
        &self,
        numbers: impl IntoIterator<Item = usize>,
    ) -> Result<BTreeMap<usize, (String, String)>, Error> {
        let sql = format!(
            "SELECT a.id, {} FROM anchor a JOIN text t ON t.id = a.text WHERE a.number = ?1",
            cut("t.content")
        );
        let mut found = BTreeMap::new();
        for number in numbers {
            let rows = self.all(&sql, [number as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
            found.extend(rows.into_iter().map(|row| (number, row)));
        }
        Ok(found)
    }
}
