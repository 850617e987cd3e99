//! What people and rules decided: rounds of questions, how far annotators agree, audits, changes of training.

use std::collections::BTreeMap;

use orchestrator_store::Store;
use serde::Serialize;

use crate::Error;
use crate::charts::Interval;
use crate::figure::{Figure, Row, rows};
use crate::pool::samples_sql;
use crate::words::{Name, Said};

/// A round of questions; round 0 is what was before the first.
#[derive(Serialize)]
pub struct Round {
    pub round: usize,
    pub asked: u64,
    pub relevant: u64,
    pub mean_probability: f64,
    pub validation: Option<f64>,
}

/// How far two agree beyond chance.
#[derive(Serialize)]
pub struct Agreement {
    pub who: Name,
    pub both: f64,
    pub agreed: f64,
    /// Cohen's; none where chance would bring as much.
    pub kappa: Option<f64>,
}

/// What people said of the samples of an audit.
#[derive(Serialize)]
pub struct Audit {
    pub questions: u64,
    pub answered: u64,
    pub agrees: u64,
    /// The share that agrees, with Wilson's interval (1927).
    pub share: Option<Interval>,
    pub kappa: Option<f64>,
    /// By role: how many, how many agree.
    pub by_role: Vec<Row>,
    /// Samples that people find wrong, and how many there are.
    pub wrong: Vec<Row>,
    pub wrongs: u64,
}

/// Of people with each other, and of a language model with people.
fn agreements(store: &Store) -> Result<Vec<Agreement>, Error> {
    let mut found: BTreeMap<(u32, String), Agreement> = BTreeMap::new();
    let metrics = store.curve("annotators/")?;
    for point in metrics.into_iter().chain(store.curve("llm/")?) {
        let Some((of, what)) = point.name.rsplit_once('/') else {
            continue;
        };
        let who = match of.strip_prefix("annotators/") {
            Some(pair) => Name::Data(pair.to_owned()),
            None => Name::word("people.model"),
        };
        let one = found
            .entry((point.tick, of.to_owned()))
            .or_insert(Agreement {
                who,
                both: 0.0,
                agreed: 0.0,
                kappa: None,
            });
        match what {
            "both" => one.both = point.value,
            "agreed" => one.agreed = point.value,
            "kappa" => one.kappa = Some(point.value),
            _ => {}
        }
    }
    Ok(found.into_values().filter(|one| one.both > 0.0).collect())
}

/// Share of successes with the interval of Wilson (1927), which holds for few and for shares near 0 and 1.
fn wilson(successes: u64, n: u64) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (n_, z) = (n as f64, 1.96f64);
    let share = successes as f64 / n_;
    let scale = 1.0 + z * z / n_;
    let middle = (share + z * z / (2.0 * n_)) / scale;
    let half = z * (share * (1.0 - share) / n_ + z * z / (4.0 * n_ * n_)).sqrt() / scale;
    Some(Interval {
        mean: share,
        low: middle - half,
        high: middle + half,
        n,
    })
}

/// Samples of an audit that are shown.
const WRONG: usize = 40;

const AUDIT: &str = "SELECT s.role, count(*) AS n, sum(a.agrees) AS agrees FROM audited a JOIN sample s ON s.id = a.sample
GROUP BY s.role ORDER BY s.role DESC";

/// The audit, if there is one.
fn audit(store: &Store) -> Result<Figure<Audit>, Error> {
    let count = |sql: &str| -> Result<u64, Error> {
        let rows = store.query(sql)?;
        let value = rows.first().and_then(|row| row["n"].as_u64());
        Ok(value.unwrap_or_default())
    };
    let questions = count("SELECT count(*) AS n FROM question WHERE round = 0")?;
    if questions == 0 {
        return Ok(Figure::empty("audit", AUDIT, Said::of("why.no-audit")));
    }
    let answered = count("SELECT count(*) AS n FROM audited")?;
    let agrees = count("SELECT count(*) AS n FROM audited WHERE agrees")?;
    let which = "FROM audited a0 JOIN sample s ON s.id = a0.sample AND NOT a0.agrees";
    let shown = Audit {
        questions,
        answered,
        agrees,
        share: wilson(agrees, answered),
        kappa: store.curve("audit/kappa")?.last().map(|point| point.value),
        by_role: store.query(AUDIT)?,
        wrong: rows(
            store,
            &format!(
                "{} ORDER BY uses DESC, s.id LIMIT {WRONG}",
                samples_sql(which, "a0.verdict, a0.annotator, ")
            ),
        )?,
        wrongs: answered - agrees,
    };
    Ok(Figure::new("audit", AUDIT, shown).of(answered.max(1)))
}

/// The section of people.
#[derive(Serialize)]
pub struct People {
    pub rounds: Figure<Vec<Round>>,
    pub audit: Figure<Audit>,
    pub agreements: Figure<Vec<Agreement>>,
}

const ROUNDS: &str = "SELECT round, count(*) AS asked, sum(relevant) AS relevant, avg(probability) AS mean_probability FROM annotation GROUP BY round";
const AGREEMENTS: &str = "SELECT tick, name, value FROM metric WHERE name LIKE 'annotators/%' OR name LIKE 'llm/%' ORDER BY tick, name";

impl People {
    pub(crate) fn of(store: &Store, metric: &str) -> Result<Self, Error> {
        let rounds = rounds(store, metric)?;
        let agreements = agreements(store)?;
        Ok(Self {
            rounds: Figure::some(
                "active",
                ROUNDS,
                (!rounds.is_empty()).then_some(rounds),
                "why.no-rounds",
            ),
            audit: audit(store)?,
            agreements: Figure::some(
                "agreements",
                AGREEMENTS,
                (!agreements.is_empty()).then_some(agreements),
                "why.no-agreements",
            ),
        })
    }
}

fn rounds(store: &Store, metric: &str) -> Result<Vec<Round>, Error> {
    // The validation score after a round is that of the last epoch before the next round's answers.
    let scores = store.query(
        "SELECT t.number AS tick, m.value AS value, m.name AS name FROM metric m JOIN tick t ON t.number = m.tick
         WHERE t.kind = 'evaluate' AND m.name LIKE 'epoch-%' ORDER BY t.number",
    )?;
    let suffix = format!("/validation/{metric}");
    let scores: Vec<(i64, f64)> = scores
        .iter()
        .filter(|row| {
            row["name"]
                .as_str()
                .is_some_and(|name| name.ends_with(&suffix))
        })
        .filter_map(|row| Some((row["tick"].as_i64()?, row["value"].as_f64()?)))
        .collect();
    let ticks: Vec<(i64, i64)> = store
        .query("SELECT round, min(tick) AS tick FROM annotation GROUP BY round ORDER BY round")?
        .iter()
        .filter_map(|row| Some((row["round"].as_i64()?, row["tick"].as_i64()?)))
        .collect();
    let after = |from: i64, to: i64| {
        scores
            .iter()
            .rev()
            .find(|(tick, _)| *tick > from && *tick < to)
            .map(|(_, value)| *value)
    };
    let rows = store.annotation_rounds()?;
    let mut rounds = Vec::new();
    if let Some((_, first)) = ticks.first() {
        rounds.push(Round {
            round: 0,
            asked: 0,
            relevant: 0,
            mean_probability: 0.0,
            validation: after(-1, *first),
        });
    }
    for (place, row) in rows.into_iter().enumerate() {
        let from = ticks.get(place).map_or(-1, |(_, tick)| *tick);
        let to = ticks.get(place + 1).map_or(i64::MAX, |(_, tick)| *tick);
        rounds.push(Round {
            round: row.round,
            asked: row.asked,
            relevant: row.relevant,
            mean_probability: row.mean_probability,
            validation: after(from, to),
        });
    }
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_interval_of_a_share_is_that_of_statsmodels() {
        // statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")
        let one = super::wilson(8, 10).expect("interval");
        assert!(
            (one.low - 0.490_16).abs() < 1e-3 && (one.high - 0.943_32).abs() < 1e-3,
            "{one:?}"
        );
    }
}
