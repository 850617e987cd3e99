//! What was it trained on? The funnel by source, what filters dropped, examples.

use std::collections::BTreeMap;

use orchestrator_store::{FunnelRow, Overview, Shown, Store};
use serde::Serialize;

use crate::Error;
use crate::figure::{Figure, Row, number, quoted, rows, text};

/// How many samples are shown of each kind.
pub(crate) const SHOWN: Shown = Shown {
    examples: 3,
    rejected: 4,
    extremes: 25,
};

/// The second section.
#[derive(Serialize)]
pub struct Pool {
    pub funnel: Figure<Funnel>,
    pub filters: Figure<Vec<Filter>>,
    pub examples: Figure<Vec<Examples>>,
    pub dropped: Figure<Vec<Row>>,
    /// Sources, and uses of each role in training.
    pub sources: usize,
    pub positives: u64,
    pub negatives: u64,
    pub samples: u64,
}

#[derive(Serialize)]
pub struct Funnel {
    pub rows: Vec<FunnelRow>,
    pub most: u64,
    /// Whether anything left the pool because its source was asked again.
    pub mined_away: bool,
    /// Samplers that found fewer than they were asked for.
    pub shortfalls: Vec<Shortfall>,
}

#[derive(Serialize)]
pub struct Shortfall {
    pub source: String,
    pub missing: u64,
}

#[derive(Serialize)]
pub struct Filter {
    pub filter: String,
    pub judged: u64,
    pub dropped: u64,
    pub share: f64,
}

/// Samples of a source.
#[derive(Serialize)]
pub struct Examples {
    pub source: String,
    pub rows: Vec<Row>,
}

/// The same numbers as the funnel's, for people.
const FUNNEL: &str = "WITH gone AS (SELECT DISTINCT sample FROM verdict WHERE keep = 0),
     used AS (SELECT sample, count(*) AS uses, avg(loss) AS loss FROM use GROUP BY sample),
     sources AS (SELECT DISTINCT sample, source FROM provenance)
SELECT o.source, s.role, count(*) AS proposed, sum(g.sample IS NOT NULL) AS dropped, sum(u.sample IS NOT NULL) AS used,
       sum(u.uses) AS uses, avg(u.loss) AS mean_loss
FROM sources o JOIN sample s ON s.id = o.sample LEFT JOIN gone g ON g.sample = o.sample LEFT JOIN used u ON u.sample = o.sample
GROUP BY o.source, s.role ORDER BY proposed DESC";

const FILTERS: &str = "SELECT filter, count(*) AS judged, sum(keep = 0) AS dropped FROM verdict GROUP BY filter ORDER BY min(tick), filter";

impl Pool {
    pub(crate) fn of(store: &Store, seen: &Overview) -> Result<Self, Error> {
        let filters: Vec<Filter> = seen
            .filters
            .iter()
            .map(|row| Filter {
                filter: row.filter.clone(),
                judged: row.judged,
                dropped: row.dropped,
                share: row.dropped as f64 / row.judged.max(1) as f64,
            })
            .collect();
        let mut sources: Vec<&str> = seen.funnel.iter().map(|row| row.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        let most = seen.funnel.iter().map(|row| row.proposed).max();
        let funnel = match most {
            None => None,
            Some(most) => Some(Funnel {
                most: most.max(1),
                mined_away: seen.funnel.iter().any(|row| row.left > 0),
                shortfalls: shortfalls(store)?,
                rows: seen.funnel.clone(),
            }),
        };
        Ok(Self {
            sources: sources.len(),
            positives: seen.epochs.iter().map(|epoch| epoch.positives).sum(),
            negatives: seen.epochs.iter().map(|epoch| epoch.negatives).sum(),
            samples: seen.used,
            dropped: dropped(store, seen)?,
            filters: Figure::some(
                "filters",
                FILTERS,
                (!filters.is_empty()).then_some(filters),
                "why.no-filters",
            ),
            examples: examples(store, seen)?,
            funnel: Figure::some("funnel", FUNNEL, funnel, "why.no-samples"),
        })
    }
}

/// How much less than asked a sampler found, by name.
fn shortfalls(store: &Store) -> Result<Vec<Shortfall>, Error> {
    let mut asked: BTreeMap<String, f64> = BTreeMap::new();
    for row in rows(
        store,
        "SELECT name, sum(value) AS value FROM metric WHERE step = -1 AND (name LIKE '%/asked' OR name LIKE '%/found') GROUP BY name",
    )? {
        let (name, value) = (text(&row, "name"), number(&row, "value"));
        if let Some(source) = name.strip_suffix("/asked") {
            *asked.entry(source.to_owned()).or_default() += value;
        } else if let Some(source) = name.strip_suffix("/found") {
            *asked.entry(source.to_owned()).or_default() -= value;
        }
    }
    // What slices of the evaluation asked for has a slash in its name.
    let short = asked
        .into_iter()
        .filter(|(source, missing)| *missing > 0.0 && !source.contains('/'));
    Ok(short
        .map(|(source, missing)| Shortfall {
            source,
            missing: missing as u64,
        })
        .collect())
}

/// A sample as the lists of a report show it. `which` names its ids.
pub(crate) fn samples_sql(which: &str, more: &str) -> String {
    format!(
        "SELECT {more}s.id, a.id AS anchor, substr(at.content, 1, 300) AS anchor_text, length(at.content) AS anchor_length, s.role,
       s.label, substr(t.content, 1, 400) AS text, length(t.content) AS length, d.id AS document, s.parent,
       (SELECT group_concat(source, ', ') FROM (SELECT DISTINCT source FROM provenance p WHERE p.sample = s.id ORDER BY source)) AS sources,
       NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND v.keep = 0) AS passed,
       (SELECT similarity FROM score c WHERE c.sample = s.id ORDER BY tick LIMIT 1) AS similarity,
       (SELECT difficulty FROM score c WHERE c.sample = s.id ORDER BY tick LIMIT 1) AS difficulty,
       (SELECT count(*) FROM use u WHERE u.sample = s.id) AS uses,
       (SELECT avg(loss) FROM use u WHERE u.sample = s.id) AS mean_loss
{which}
JOIN anchor a ON a.number = s.anchor JOIN text at ON at.id = a.text JOIN text t ON t.id = s.text
LEFT JOIN document d ON d.number = s.document"
    )
}

/// Samples of a list by id.
pub(crate) fn samples(
    store: &Store,
    ids: &mut dyn Iterator<Item = &str>,
) -> Result<BTreeMap<String, Row>, Error> {
    let ids: Vec<String> = ids.map(quoted).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let which = samples_sql("FROM sample s", "");
    let found = rows(
        store,
        &format!("{which} WHERE s.id IN ({})", ids.join(", ")),
    )?;
    Ok(found
        .into_iter()
        .map(|row| (text(&row, "id").to_owned(), row))
        .collect())
}

/// Sources and filters whose samples are shown.
const MOST: usize = 60;

/// A few samples of each source, the first by id, which is a hash.
fn examples(store: &Store, seen: &Overview) -> Result<Figure<Vec<Examples>>, Error> {
    let named = &seen.examples[..seen.examples.len().min(MOST)];
    let mut ids = named
        .iter()
        .flat_map(|one| &one.samples)
        .map(String::as_str);
    let known = samples(store, &mut ids)?;
    let found: Vec<Examples> = named
        .iter()
        .map(|one| Examples {
            source: one.of.clone(),
            rows: one
                .samples
                .iter()
                .filter_map(|id| known.get(id).cloned())
                .collect(),
        })
        .collect();
    let first = named.first().map_or("", |one| one.of.as_str());
    let which = format!(
        "FROM (SELECT DISTINCT sample FROM provenance WHERE source = {} ORDER BY sample LIMIT {}) p JOIN sample s ON s.id = p.sample",
        quoted(first),
        SHOWN.examples
    );
    let shown = (!found.is_empty()).then_some(found);
    Ok(Figure::some(
        "examples",
        samples_sql(&which, ""),
        shown,
        "why.no-samples",
    ))
}

/// Why a filter dropped samples: by id.
pub(crate) fn reasons(store: &Store, filter: &str, ids: &[String]) -> Result<Vec<Row>, Error> {
    let known = samples(store, &mut ids.iter().map(String::as_str))?;
    let list: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
    let told = rows(
        store,
        &format!(
            "SELECT sample, filter, reason FROM verdict WHERE keep = 0 AND filter = {} AND sample IN ({}) GROUP BY sample ORDER BY sample",
            quoted(filter),
            list.join(", ")
        ),
    )?;
    Ok(told
        .into_iter()
        .filter_map(|mut row| {
            row.extend(known.get(text(&row, "sample"))?.clone());
            Some(row)
        })
        .collect())
}

/// The query of samples that a filter dropped.
pub(crate) fn dropped_sql(filter: &str) -> String {
    let which = format!(
        "FROM (SELECT sample, filter, reason FROM verdict WHERE keep = 0 AND filter = {} LIMIT {}) v JOIN sample s ON s.id = v.sample",
        quoted(filter),
        SHOWN.rejected
    );
    samples_sql(&which, "v.filter, v.reason, ")
}

/// A few samples that each filter dropped.
fn dropped(store: &Store, seen: &Overview) -> Result<Figure<Vec<Row>>, Error> {
    let mut found = Vec::new();
    for one in seen.rejected.iter().take(MOST) {
        found.extend(reasons(store, &one.of, &one.samples)?);
    }
    let first = seen.rejected.first().map_or("", |one| one.of.as_str());
    let shown = (!found.is_empty()).then_some(found);
    Ok(Figure::some(
        "dropped",
        dropped_sql(first),
        shown,
        "why.nothing-dropped",
    ))
}
