//! The view model of a report: everything that its templates show, from the store alone. Described in docs/REPORT.md;
//! `orchestrator report RUN --json` prints it.

use orchestrator_store::{Overview, Store};
use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::again::Again;
use crate::better::Better;
use crate::failures::Failures;
use crate::figure::{Row, count, rows, text};
use crate::influence::Influenced;
use crate::negatives::Negatives;
use crate::opening::{self, Opened};
use crate::people::People;
use crate::picture::Picture;
use crate::pool::{Pool, SHOWN};
use crate::positives::Positives;
use crate::training::Training;
use crate::words::Said;

/// Everything a report shows.
#[derive(Serialize)]
pub struct View {
    /// Of orchestrator, with which the run was made.
    pub version: String,
    pub run: Run,
    /// Three sentences, each with the section that shows why it says so.
    pub opening: Vec<Opened>,
    pub warnings: Vec<Warning>,
    pub better: Better,
    pub pool: Pool,
    pub positives: Positives,
    pub negatives: Negatives,
    pub training: Training,
    pub picture: Picture,
    pub influence: Influenced,
    pub failures: Failures,
    pub people: People,
    pub again: Again,
}

/// What the run is.
#[derive(Serialize)]
pub struct Run {
    pub name: String,
    pub seed: u64,
    /// `static`, or the name of the transformer's folder.
    pub encoder: String,
    /// Which judged documents are positives in training.
    pub reading: String,
    /// Anchors by split, and documents.
    pub data: Vec<Row>,
    /// Why it is not finished; none if it is.
    pub status: Option<Said>,
    /// The metric that the run chooses by: the first of the experiment.
    pub metric: String,
    pub metrics: Vec<String>,
    /// The split that results are told of: test, if there is one.
    pub split: String,
    /// The epoch that became the trained model, from 1.
    pub trained_epoch: Option<usize>,
    pub epochs: usize,
    #[serde(skip)]
    pub plan: String,
}

/// Something the run warned of.
#[derive(Serialize)]
pub struct Warning {
    /// The rule that spoke.
    pub rule: String,
    pub what: String,
    pub advice: String,
}

pub(crate) fn build(store: &Store) -> Result<View, Error> {
    let seen = store.overview(SHOWN)?;
    let run = run(store, &seen)?;
    let better = Better::of(store, &run)?;
    let pool = Pool::of(store, &seen)?;
    let positives = Positives::of(store, &seen)?;
    let negatives = Negatives::of(store, &seen)?;
    let training = Training::of(store, &run, &seen)?;
    let influence = Influenced::of(store, &seen)?;
    let failures = Failures::of(store, &run)?;
    let warnings = warnings(store)?;
    Ok(View {
        version: store
            .run()?
            .map(|(_, _, version, _)| version)
            .unwrap_or_default(),
        opening: opening::sentences(&opening::Facts {
            run: &run,
            better: &better,
            pool: &pool,
            negatives: &negatives,
            influence: &influence,
            failures: &failures,
            warnings: &warnings,
        }),
        warnings,
        picture: Picture::of(store)?,
        people: People::of(store, &run.metric)?,
        again: Again::of(store, &run)?,
        run,
        better,
        pool,
        positives,
        negatives,
        training,
        influence,
        failures,
    })
}

fn run(store: &Store, seen: &Overview) -> Result<Run, Error> {
    let (name, seed, _, plan) = store.run()?.unwrap_or_default();
    let parsed: Value = serde_json::from_str(&plan).unwrap_or_default();
    let experiment = &parsed["experiment"];
    let metrics: Vec<String> = experiment["evaluate"]["metrics"]
        .as_array()
        .map(|all| {
            all.iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    let folder = experiment["encoder"]["folder"].as_str();
    let data = rows(
        store,
        "SELECT split, count(*) AS anchors, (SELECT count(*) FROM document) AS documents FROM anchor GROUP BY split ORDER BY split",
    )?;
    let tested = data
        .iter()
        .any(|row| text(row, "split") == "test" && count(row, "anchors") > 0);
    Ok(Run {
        encoder: match (experiment["encoder"]["kind"].as_str(), folder) {
            (_, Some(folder)) => folder.to_owned(),
            (kind, None) => kind.unwrap_or("static").to_owned(),
        },
        reading: experiment["data"]["reading"]
            .as_str()
            .unwrap_or("retrieval")
            .to_owned(),
        status: status(store)?,
        metric: metrics.first().cloned().unwrap_or_default(),
        metrics,
        split: if tested { "test" } else { "validation" }.to_owned(),
        trained_epoch: store.trained_epoch()?,
        epochs: seen.epochs.last().map_or(0, |epoch| epoch.epoch),
        name,
        seed,
        data,
        plan,
    })
}

/// Where a run that is not finished stopped, or is.
fn status(store: &Store) -> Result<Option<Said>, Error> {
    let events = rows(
        store,
        "SELECT kind, detail FROM event WHERE kind IN ('start', 'resume', 'interrupt', 'finish', 'fail') ORDER BY id DESC LIMIT 1",
    )?;
    let ticks = rows(
        store,
        "SELECT number, kind, detail FROM tick ORDER BY number DESC LIMIT 1",
    )?;
    let (number, what) = ticks.first().map_or((0, String::new()), |row| {
        let what = format!("{} {}", text(row, "kind"), text(row, "detail"));
        (count(row, "number"), what.trim().to_owned())
    });
    let last = events.first();
    let said = match last.map(|row| text(row, "kind")) {
        Some("finish") => return Ok(None),
        Some("interrupt") => Said::of("status.interrupted"),
        Some("fail") => Said::of("status.failed").with(
            "why",
            last.map(|row| text(row, "detail").chars().take(600).collect::<String>())
                .unwrap_or_default(),
        ),
        _ => Said::of("status.running"),
    };
    Ok(Some(said.with("tick", number).with("what", what)))
}

fn warnings(store: &Store) -> Result<Vec<Warning>, Error> {
    let parted = |text: String| {
        let (rule, rest) = text.split_once(": ").unwrap_or(("", text.as_str()));
        let (what, advice) = rest.split_once(". To do: ").unwrap_or((rest, ""));
        Warning {
            rule: rule.replace('_', " "),
            what: what.to_owned(),
            advice: advice.to_owned(),
        }
    };
    Ok(store.warnings()?.into_iter().map(parted).collect())
}
