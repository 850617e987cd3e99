//! A figure: what is shown, the query it is drawn from, on how many it was measured, or why there is nothing. And how rows
//! of queries are read.

use orchestrator_store::Store;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::words::Said;

/// Fewer than so many are said to be few.
const FEW: u64 = 30;

/// A row of a query, by column.
pub(crate) type Row = Map<String, Value>;

/// Something that is shown, with its source.
#[derive(Serialize)]
pub struct Figure<T> {
    /// Its address in the page; its title and definition are the words `fig.ID` and `def.ID`.
    pub id: &'static str,
    /// The query that gives what is shown.
    pub sql: String,
    /// Of how many it was measured, if those are few.
    pub few: Option<u64>,
    /// Why there is nothing.
    pub empty: Option<Said>,
    /// What is shown.
    pub shown: Option<T>,
}

impl<T> Figure<T> {
    pub(crate) fn new(id: &'static str, sql: impl Into<String>, shown: T) -> Self {
        Self {
            id,
            sql: sql.into(),
            few: None,
            empty: None,
            shown: Some(shown),
        }
    }

    /// Nothing to be shown, and why.
    pub(crate) fn empty(id: &'static str, sql: impl Into<String>, why: Said) -> Self {
        Self {
            id,
            sql: sql.into(),
            few: None,
            empty: Some(why),
            shown: None,
        }
    }

    /// What is shown, if there is something; otherwise why not.
    pub(crate) fn some(
        id: &'static str,
        sql: impl Into<String>,
        shown: Option<T>,
        why: &'static str,
    ) -> Self {
        match shown {
            Some(shown) => Self::new(id, sql, shown),
            None => Self::empty(id, sql, Said::of(why)),
        }
    }

    /// On how many it was measured.
    pub(crate) fn of(mut self, n: u64) -> Self {
        self.few = (n < FEW && self.shown.is_some()).then_some(n);
        self
    }
}

/// The rows of a query, and the query itself.
pub(crate) fn rows(store: &Store, sql: &str) -> Result<Vec<Row>, Error> {
    Ok(store.query(sql)?)
}

pub(crate) fn number(row: &Row, name: &str) -> f64 {
    row.get(name).and_then(Value::as_f64).unwrap_or_default()
}

pub(crate) fn maybe(row: &Row, name: &str) -> Option<f64> {
    row.get(name).and_then(Value::as_f64)
}

pub(crate) fn count(row: &Row, name: &str) -> u64 {
    row.get(name)
        .and_then(Value::as_f64)
        .unwrap_or_default()
        .max(0.0) as u64
}

pub(crate) fn text<'r>(row: &'r Row, name: &str) -> &'r str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The first number of the first row.
pub(crate) fn one(store: &Store, sql: &str) -> Result<Option<f64>, Error> {
    let rows = store.query(sql)?;
    Ok(rows
        .first()
        .and_then(|row| row.values().next())
        .and_then(Value::as_f64))
}

/// A text as SQL writes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Epochs that a version of the model was trained for; `None` for what is no end of an epoch.
pub(crate) fn epoch_of(model: &str) -> Option<u32> {
    match model {
        "initial" => Some(0),
        other => other.strip_prefix("epoch-")?.parse().ok(),
    }
}
