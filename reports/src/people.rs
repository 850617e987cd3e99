//! What people and rules decided: rounds of questions, how far annotators agree, audits, changes of training.

use std::collections::BTreeMap;

use orchestrator_store::Store;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Error;

/// A round of questions; round 0 is what was before the first.
#[derive(Serialize)]
pub(crate) struct Round {
    round: usize,
    asked: u64,
    relevant: u64,
    mean_probability: f64,
    validation: Option<f64>,
}

/// How far two agree beyond chance.
#[derive(Serialize)]
pub(crate) struct Agreement {
    who: String,
    both: f64,
    agreed: f64,
    /// Cohen's; none where chance would bring as much.
    kappa: Option<f64>,
}

/// What people said of the samples of an audit.
#[derive(Serialize)]
pub(crate) struct Audit {
    questions: u64,
    answered: u64,
    agrees: u64,
    kappa: Option<f64>,
    /// By role: how many, how many agree.
    by_role: Vec<Map<String, Value>>,
    /// Samples that people find wrong.
    wrong: Vec<Map<String, Value>>,
}

/// Every change that a rule made of training, and every end that came before its time.
pub(crate) fn decisions(store: &Store) -> Result<Vec<String>, Error> {
    let rows = store.query(
        "SELECT detail FROM event WHERE kind IN ('adapt', 'early_stop', 'rounds_ended') ORDER BY id",
    )?;
    let text = |row: &Map<String, Value>| row["detail"].as_str().map(str::to_owned);
    Ok(rows.iter().filter_map(text).collect())
}

/// Of people with each other, and of a language model with people.
pub(crate) fn agreements(store: &Store) -> Result<Vec<Agreement>, Error> {
    let mut found: BTreeMap<(u32, String), Agreement> = BTreeMap::new();
    let metrics = store.curve("annotators/")?;
    for point in metrics.into_iter().chain(store.curve("llm/")?) {
        let Some((of, what)) = point.name.rsplit_once('/') else {
            continue;
        };
        let who = match of.strip_prefix("annotators/") {
            Some(pair) => pair.replace(", ", " and "),
            None => "the language model and people".to_owned(),
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

/// The audit, if there is one.
pub(crate) fn audit(store: &Store) -> Result<Option<Audit>, Error> {
    let count = |sql: &str| -> Result<u64, Error> {
        let rows = store.query(sql)?;
        let value = rows.first().and_then(|row| row["n"].as_u64());
        Ok(value.unwrap_or_default())
    };
    let questions = count("SELECT count(*) AS n FROM question WHERE round = 0")?;
    if questions == 0 {
        return Ok(None);
    }
    Ok(Some(Audit {
        questions,
        answered: count("SELECT count(*) AS n FROM audited")?,
        agrees: count("SELECT count(*) AS n FROM audited WHERE agrees")?,
        kappa: store.curve("audit/kappa")?.last().map(|point| point.value),
        by_role: store.query(
            "SELECT s.role AS role, count(*) AS n, sum(a.agrees) AS agrees FROM audited a JOIN sample s ON s.id = a.sample
             GROUP BY s.role ORDER BY s.role DESC",
        )?,
        wrong: store.query(
            "SELECT a.sample AS id, a.verdict, a.annotator, v.role, v.sources, v.anchor_text, substr(v.text, 1, 400) AS text,
                    length(v.text) AS length, v.similarity, v.difficulty, v.uses
             FROM audited a JOIN v_sample v ON v.id = a.sample WHERE NOT a.agrees ORDER BY v.uses DESC, a.sample LIMIT 40",
        )?,
    }))
}

pub(crate) fn rounds(store: &Store, metric: &str) -> Result<Vec<Round>, Error> {
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
