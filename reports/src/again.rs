//! How do I get it again? The command, the plan, the plugins, what the store holds.

use orchestrator_store::{PluginRow, Store};
use serde::Serialize;

use crate::Error;
use crate::figure::{Figure, Row, rows};
use crate::view::Run;

/// The last section.
#[derive(Serialize)]
pub struct Again {
    pub plugins: Figure<Vec<PluginRow>>,
    pub tables: Vec<Table>,
    pub events: Figure<Vec<Row>>,
    /// plan.json, cut where it is long.
    pub plan: String,
    pub plan_length: usize,
}

#[derive(Serialize)]
pub struct Table {
    pub name: String,
    pub rows: u64,
}

const PLUGINS: &str = "SELECT name, id, kind, version, sha256, settings FROM plugin ORDER BY rowid";
const EVENTS: &str = "SELECT kind, count(*) AS n, datetime(min(at) / 1000, 'unixepoch') AS first, datetime(max(at) / 1000, 'unixepoch') AS last
FROM event GROUP BY kind ORDER BY min(id)";

/// Of the plan.
const LONGEST: usize = 60_000;

impl Again {
    pub(crate) fn of(store: &Store, run: &Run) -> Result<Self, Error> {
        let plugins = store.plugins()?;
        let tables = store.row_counts()?.into_iter();
        Ok(Self {
            plugins: Figure::some(
                "plugins",
                PLUGINS,
                (!plugins.is_empty()).then_some(plugins),
                "why.no-plugins",
            ),
            tables: tables.map(|(name, rows)| Table { name, rows }).collect(),
            events: Figure::new("events", EVENTS, rows(store, EVENTS)?),
            plan: run.plan.chars().take(LONGEST).collect(),
            plan_length: run.plan.chars().count(),
        })
    }
}
