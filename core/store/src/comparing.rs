//! What a comparison of runs reads beside the evaluations.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Store;
use crate::error::Error;
use crate::query::id;
use crate::rows::SampleId;

impl Store {
    /// The pool as it is now: each kept sample, in the order of ids, with its first source.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn pool(&self) -> Result<Vec<(SampleId, Arc<str>)>, Error> {
        // There are few sources: each name is held once.
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        self.all(
            "SELECT s.id, (SELECT p.source FROM provenance p WHERE p.sample = s.id ORDER BY p.tick, p.source LIMIT 1)
             FROM sample s
             WHERE s.id IN (SELECT sample FROM v_live)
               AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND v.keep = 0)
             ORDER BY s.id",
            [],
            |row| {
                let source: Arc<str> = row.get::<_, String>(1)?.into();
                let source = names.get(&source).cloned().unwrap_or_else(|| {
                    names.insert(source.clone());
                    source
                });
                Ok((id(&row.get::<_, String>(0)?)?, source))
            },
        )
    }
}
