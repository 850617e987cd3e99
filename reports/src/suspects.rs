//! Samples whose label may be wrong, ranked, with what speaks for it.

use orchestrator_store::Store;
use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::figure::{Figure, Row, maybe, one, rows, text};
use crate::pool::samples_sql;
use crate::words::Said;

/// Suspects of a role that are shown.
const SHOWN: usize = 100;

/// The suspects of a role.
#[derive(Serialize)]
pub struct Suspects {
    pub all: u64,
    pub shown: u64,
    pub rows: Vec<Suspect>,
}

#[derive(Serialize)]
pub struct Suspect {
    /// The sample: the columns of every list of samples, its place and probability.
    #[serde(flatten)]
    pub row: Row,
    /// What speaks for it: an object with any of similarity, nearest_positive, beats_positive, duplicate_of, overlap,
    /// initial, bm25, trained, person, influence, loss.
    pub evidence: Value,
}

pub(crate) fn suspects(
    store: &Store,
    id: &'static str,
    role: &str,
    why: &'static str,
) -> Result<Figure<Suspects>, Error> {
    let which = format!("FROM suspect u JOIN sample s ON s.id = u.sample AND s.role = '{role}'");
    let all = one(store, &format!("SELECT count(*) AS n {which}"))?.unwrap_or_default() as u64;
    let sql = format!(
        "{} WHERE u.probability >= 0.01 OR u.place <= 10 OR u.sample IN (SELECT sample FROM audited WHERE NOT agrees)
         ORDER BY u.sample IN (SELECT sample FROM audited WHERE NOT agrees) DESC, u.place LIMIT {SHOWN}",
        samples_sql(
            &which,
            "u.place, u.probability, u.evidence, (SELECT verdict FROM audited d WHERE d.sample = u.sample) AS person, "
        )
    );
    if all == 0 {
        return Ok(Figure::empty(id, sql, Said::of(why)));
    }
    let found: Vec<Suspect> = rows(store, &sql)?
        .into_iter()
        .map(|mut row| {
            let mut evidence: Value =
                serde_json::from_str(text(&row, "evidence")).unwrap_or_default();
            row.remove("evidence");
            // What people say of an audit comes after the looking back.
            if let (Some(person), Some(said)) = (row.remove("person"), evidence.as_object_mut())
                && !person.is_null()
            {
                said.insert("person".to_owned(), person);
            }
            Suspect { row, evidence }
        })
        .collect();
    let shown = Suspects {
        all,
        shown: found.len() as u64,
        rows: found,
    };
    Ok(Figure::new(id, sql, shown))
}

/// The estimated share of wrong labels among negatives, with its interval, and how well spoiled labels are found, where
/// labels were spoiled on purpose.
#[derive(Serialize)]
pub struct Share {
    pub share: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub looked_at: Option<u64>,
    pub spoiled: Option<Spoiled>,
}

#[derive(Serialize)]
pub struct Spoiled {
    /// The first so many suspects are counted: 100, or as many as were spoiled.
    pub first: u64,
    pub precision: f64,
    pub recall: Option<f64>,
    /// Precision by chance, and by other rankings.
    pub chance: Option<f64>,
    pub by_loss: Option<f64>,
    pub by_influence: Option<f64>,
    pub by_similarity: Option<f64>,
}

const SHARE: &str =
    "SELECT name, value FROM metric WHERE step = -1 AND name LIKE 'suspects/%' ORDER BY tick, name";

pub(crate) fn share(store: &Store) -> Result<Figure<Share>, Error> {
    let found = rows(store, SHARE)?;
    let named = |wanted: &dyn Fn(&str) -> bool| {
        let mut rows = found.iter().rev();
        rows.find(|row| {
            text(row, "name")
                .strip_prefix("suspects/")
                .is_some_and(wanted)
        })
    };
    let value = |name: &str| named(&|one| one == name).and_then(|row| maybe(row, "value"));
    let first = named(&|one| one.starts_with("precision@"))
        .and_then(|row| text(row, "name").rsplit_once('@')?.1.parse::<u64>().ok());
    let at = |what: &str| first.and_then(|first| value(&format!("{what}@{first}")));
    let shown = value("negatives/share").map(|share| Share {
        share,
        low: value("negatives/share_low"),
        high: value("negatives/share_high"),
        looked_at: value("negatives/looked_at").map(|n| n as u64),
        spoiled: first
            .zip(at("precision"))
            .map(|(first, precision)| Spoiled {
                first,
                precision,
                recall: at("recall"),
                chance: value("chance"),
                by_loss: at("by_loss/precision"),
                by_influence: at("by_influence/precision"),
                by_similarity: at("by_similarity/precision"),
            }),
    });
    let n = shown
        .as_ref()
        .and_then(|share| share.looked_at)
        .unwrap_or(u64::MAX);
    Ok(Figure::some("suspect-share", SHARE, shown, "why.no-analysis").of(n))
}
