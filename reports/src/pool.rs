//! What was it trained on? The funnel by source, what filters dropped, examples.

use std::collections::BTreeMap;

use orchestrator_store::{FunnelRow, Store};
use serde::Serialize;

use crate::Error;
use crate::figure::{Figure, Row, count, number, quoted, rows, text};
use crate::view::Run;
use crate::words::Said;

/// Examples a source, and dropped samples a filter.
const EXAMPLES: usize = 3;
const DROPPED: usize = 4;

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
    pub(crate) fn of(store: &Store, _: &Run) -> Result<Self, Error> {
        let funnel = store.funnel()?;
        let filters: Vec<Filter> = store
            .dropped_by_filter()?
            .into_iter()
            .map(|(filter, judged, dropped)| Filter {
                filter,
                judged,
                dropped,
                share: dropped as f64 / judged.max(1) as f64,
            })
            .collect();
        let mut sources: Vec<&str> = funnel.iter().map(|row| row.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        let examples = examples(store, &sources)?;
        let used = rows(
            store,
            "SELECT s.role, count(*) AS uses FROM use u JOIN sample s ON s.id = u.sample GROUP BY s.role",
        )?;
        let uses = |role: &str| {
            used.iter()
                .find(|row| text(row, "role") == role)
                .map_or(0, |row| count(row, "uses"))
        };
        let distinct = rows(store, "SELECT count(DISTINCT sample) AS n FROM use")?;
        Ok(Self {
            sources: sources.len(),
            positives: uses("positive"),
            negatives: uses("negative"),
            samples: distinct.first().map_or(0, |row| count(row, "n")),
            dropped: dropped(store, &filters)?,
            filters: Figure::some(
                "filters",
                FILTERS,
                (!filters.is_empty()).then_some(filters),
                "why.no-filters",
            ),
            examples,
            funnel: if funnel.is_empty() {
                Figure::empty("funnel", FUNNEL, Said::of("why.no-samples"))
            } else {
                let shown = Funnel {
                    most: funnel
                        .iter()
                        .map(|row| row.proposed)
                        .max()
                        .unwrap_or(1)
                        .max(1),
                    mined_away: funnel.iter().any(|row| row.left > 0),
                    shortfalls: shortfalls(store)?,
                    rows: funnel,
                };
                Figure::new("funnel", FUNNEL, shown)
            },
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
    let short = asked.into_iter().filter(|(_, missing)| *missing > 0.0);
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

/// A few samples of each source, the first by id, which is a hash.
fn examples(store: &Store, sources: &[&str]) -> Result<Figure<Vec<Examples>>, Error> {
    let sql = |source: &str| {
        let which = format!(
            "FROM (SELECT DISTINCT sample FROM provenance WHERE source = {} LIMIT {EXAMPLES}) p JOIN sample s ON s.id = p.sample",
            quoted(source)
        );
        samples_sql(&which, "")
    };
    let mut found = Vec::new();
    for source in sources.iter().take(60) {
        found.push(Examples {
            source: (*source).to_owned(),
            rows: rows(store, &sql(source))?,
        });
    }
    let shown = (!found.is_empty()).then_some(found);
    let first = sources.first().copied().unwrap_or_default();
    Ok(Figure::some(
        "examples",
        sql(first),
        shown,
        "why.no-samples",
    ))
}

/// A few samples that each filter dropped.
fn dropped(store: &Store, filters: &[Filter]) -> Result<Figure<Vec<Row>>, Error> {
    let sql = |filter: &str| {
        let which = format!(
            "FROM (SELECT sample, filter, reason FROM verdict WHERE keep = 0 AND filter = {} LIMIT {DROPPED}) v JOIN sample s ON s.id = v.sample",
            quoted(filter)
        );
        samples_sql(&which, "v.filter, v.reason, ")
    };
    let mut found = Vec::new();
    let with_any = filters.iter().filter(|filter| filter.dropped > 0);
    for filter in with_any.clone().take(40) {
        found.extend(rows(store, &sql(&filter.filter))?);
    }
    let first = with_any
        .map(|filter| filter.filter.as_str())
        .next()
        .unwrap_or_default();
    let shown = (!found.is_empty()).then_some(found);
    Ok(Figure::some(
        "dropped",
        sql(first),
        shown,
        "why.nothing-dropped",
    ))
}
