//! What a comparison of runs reads beside the evaluations.

use crate::Store;
use crate::error::Error;

impl Store {
    /// The pool as it is now: the id of each kept sample, in order, with its first source.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn pool(&self) -> Result<Vec<(String, String)>, Error> {
        self.all(
            "SELECT s.id, (SELECT p.source FROM provenance p WHERE p.sample = s.id ORDER BY p.tick, p.source LIMIT 1)
             FROM sample s
             WHERE s.id IN (SELECT sample FROM v_live)
               AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND v.keep = 0)
             ORDER BY s.id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}
