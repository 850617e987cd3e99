//! Named queries for slices of the evaluation.

use crate::Store;
use crate::error::Error;

/// A claim of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // The columns of `slice`: see schema_3.sql.
pub struct SliceRow {
    pub name: String,
    pub item: usize,
    pub anchor: Option<usize>,
    pub text: String,
    pub detail: String,
}

impl Store {
    /// The claims of all slices, by slice and number.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn slices(&self) -> Result<Vec<SliceRow>, Error> {
        self.all(
            "SELECT s.name, s.item, s.anchor, t.content, s.detail FROM slice s JOIN text t ON t.id = s.text
             ORDER BY s.name, s.item",
            [],
            |row| {
                Ok(SliceRow {
                    name: row.get(0)?,
                    item: row.get::<_, i64>(1)? as usize,
                    anchor: row.get::<_, Option<i64>>(2)?.map(|one| one as usize),
                    text: row.get(3)?,
                    detail: row.get(4)?,
                })
            },
        )
    }
}
