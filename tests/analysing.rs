//! Looking back at a run: labels spoiled on purpose are found, samples can be left out by their ids, what is said of samples is what
//! their rows say, and all of it is the same whatever the threads and wherever the run was interrupted.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use orchestrator_tests::{experiment, fail, orchestrator, repository, small_experiment, succeed};
use rusqlite::Connection;
use serde_json::Value;

fn open(folder: &Path) -> Connection {
    Connection::open(folder.join("store.db")).unwrap()
}

fn metric(store: &Connection, name: &str) -> f64 {
    store
        .query_row(
            "SELECT value FROM metric WHERE name = ?1 ORDER BY tick DESC",
            [name],
            |row| row.get(0),
        )
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn all<T: rusqlite::types::FromSql>(store: &Connection, sql: &str) -> Vec<T> {
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

const SPOILED: &str = "SELECT sample FROM provenance WHERE source = 'spoiled' ORDER BY sample";

#[test]
fn spoiled_labels_are_among_the_first_suspects_and_what_is_left_out_is_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let noisy = repository().join("experiments/noisy.yaml");
    let noisy = noisy.to_str().unwrap();
    let _ = succeed(&["run", noisy, "--run-dir", "r", "--json"], folder.path());
    let store = open(&folder.path().join("r"));
    let spoiled: BTreeSet<String> = all(&store, SPOILED).into_iter().collect();
    // They are relevant by the data, and nothing in training knew.
    let wrong: i64 = store
        .query_row(
            "SELECT count(*) FROM sample s WHERE s.id IN (SELECT sample FROM provenance WHERE source = 'spoiled')
               AND NOT EXISTS (SELECT 1 FROM judgement j WHERE j.anchor = s.anchor AND j.document = s.document AND j.spoiled)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(wrong, 0);
    let positives: Vec<String> = all(
        &store,
        "SELECT s.id FROM sample s JOIN judgement j ON j.anchor = s.anchor AND j.document = s.document
         WHERE s.role = 'positive' AND j.spoiled",
    );
    assert!(positives.is_empty(), "{positives:?}");
    let chance = metric(&store, "suspects/chance");
    assert!(
        (0.15..0.25).contains(&chance),
        "about a fifth are spoiled: {chance}"
    );
    // What the metric says is what the rows say.
    let suspects: Vec<String> = all(
        &store,
        "SELECT x.sample FROM suspect x JOIN sample s ON s.id = x.sample WHERE s.role = 'negative' ORDER BY x.place",
    );
    let n = spoiled.len().min(100);
    let found = suspects
        .iter()
        .take(n)
        .filter(|one| spoiled.contains(*one))
        .count();
    let precision = found as f64 / n as f64;
    assert!((metric(&store, &format!("suspects/precision@{n}")) - precision).abs() < 1e-12);
    assert!(precision > 3.0 * chance, "{precision} against {chance}");
    assert!(precision > metric(&store, &format!("suspects/by_loss/precision@{n}")));
    let (low, high) = (
        metric(&store, "suspects/negatives/share_low"),
        metric(&store, "suspects/negatives/share_high"),
    );
    assert!(low <= chance && chance <= high, "{low} {chance} {high}");

    // Without them.
    let list: Vec<String> = suspects.into_iter().take(n).collect();
    std::fs::write(folder.path().join("list.txt"), list.join("\n")).unwrap();
    let list_path = folder.path().join("list.txt");
    let leave_out = format!("samples.leave_out={}", list_path.display());
    let _ = succeed(
        &[
            "run",
            noisy,
            "--run-dir",
            "l",
            "--set",
            &leave_out,
            "--json",
        ],
        folder.path(),
    );
    let store = open(&folder.path().join("l"));
    let dropped: BTreeSet<String> = all(
        &store,
        "SELECT sample FROM verdict WHERE filter = 'left_out' AND NOT keep",
    )
    .into_iter()
    .collect();
    assert_eq!(dropped, list.into_iter().collect());
    let used: Vec<String> = all(&store, "SELECT DISTINCT sample FROM use");
    assert!(used.iter().all(|one| !dropped.contains(one)));

    std::fs::write(&list_path, "no id\n").unwrap();
    let shown = fail(
        &["run", noisy, "--run-dir", "f", "--set", &leave_out],
        folder.path(),
        3,
    );
    assert!(
        shown.contains("line 1 of") && shown.contains("no id of a sample"),
        "{shown}"
    );
}

#[test]
fn influence_topics_and_pictures_are_of_the_samples_that_there_were() {
    let folder = experiment(&small_experiment());
    let _ = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder.path(),
    );
    let store = open(&folder.path().join("r"));
    // Each sample of the pool once at each version: before training, and after each epoch.
    let models: Vec<String> = all(
        &store,
        "SELECT DISTINCT model FROM influence ORDER BY model",
    );
    let epochs: i64 = store
        .query_row("SELECT count(DISTINCT epoch) FROM use", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(models.len() as i64, epochs + 1, "{models:?}");
    let at_first: i64 = store
        .query_row(
            "SELECT count(*) FROM influence WHERE model = 'initial'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let scored: i64 = store
        .query_row(
            "SELECT count(*) FROM score WHERE model = 'initial'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(at_first, scored);
    // Every document has a topic, and topics count them.
    let counted: i64 = store
        .query_row("SELECT sum(documents) FROM topic", [], |row| row.get(0))
        .unwrap();
    let there: i64 = store
        .query_row("SELECT count(*) FROM document", [], |row| row.get(0))
        .unwrap();
    assert_eq!(counted, there);
    assert!(metric(&store, "topics/positives_agree") > 2.0 * metric(&store, "topics/random_agree"));
    // One layout through the epochs.
    let methods: Vec<String> = all(&store, "SELECT DISTINCT method FROM projection");
    assert_eq!(methods, ["umap"]);
    let kinds: Vec<String> = all(&store, "SELECT DISTINCT kind FROM projection ORDER BY kind");
    assert_eq!(kinds, ["anchor", "document", "sample"]);
    assert!(metric(&store, "picture/trustworthiness") > 0.6);
    // A negative nearer than its positives is not on its side, by the untrained model as the scores have it.
    let evidence: Vec<String> = all(&store, "SELECT evidence FROM suspect");
    for one in evidence {
        let said: BTreeMap<String, Value> = serde_json::from_str(&one).unwrap();
        assert!(
            said.contains_key("similarity") && said.contains_key("trained"),
            "{one}"
        );
        if let Some(nearest) = said.get("nearest_positive") {
            let beats = said["similarity"].as_f64().unwrap() > nearest.as_f64().unwrap();
            // Equal but for the digits that are kept.
            let near =
                (said["similarity"].as_f64().unwrap() - nearest.as_f64().unwrap()).abs() < 1e-5;
            assert!(
                near || said["beats_positive"] == Value::Bool(beats),
                "{one}"
            );
        }
    }
    for (what, missing) in [
        ("analysis.influence=off", "influence"),
        ("analysis.topics=off", "topic"),
        ("analysis.picture=off", "projection"),
    ] {
        let name = missing;
        let _ = succeed(
            &["run", "x.yaml", "--run-dir", name, "--set", what, "--json"],
            folder.path(),
        );
        let store = open(&folder.path().join(name));
        let n: i64 = store
            .query_row(&format!("SELECT count(*) FROM {missing}"), [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(n, 0, "{what}");
    }
}

#[test]
fn what_is_found_is_the_same_whatever_the_threads_and_wherever_it_was_interrupted() {
    let text =
        small_experiment().replace("reading: entailment }", "reading: entailment, spoil: 0.2 }");
    let folder = experiment(&text);
    let hash = |name: &str| {
        let store =
            orchestrator_store::Store::open_to_read(&folder.path().join(name).join("store.db"))
                .unwrap();
        store.content_hash().unwrap()
    };
    for threads in ["1", "4"] {
        let status = orchestrator(
            &["run", "x.yaml", "--run-dir", threads, "--json"],
            folder.path(),
        )
        .env("RAYON_NUM_THREADS", threads)
        .output()
        .unwrap();
        assert!(status.status.success());
    }
    assert_eq!(hash("1"), hash("4"));
    let mut child = orchestrator(
        &["run", "x.yaml", "--run-dir", "k", "--json"],
        folder.path(),
    )
    .stdout(std::process::Stdio::null())
    .stderr(std::process::Stdio::null())
    .spawn()
    .unwrap();
    // Somewhere amid it: wherever that is on this machine.
    let store = folder.path().join("k/store.db");
    while !store.is_file() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(400));
    let _ = child.kill();
    let _ = child.wait();
    if folder.path().join("k").is_dir() {
        let _ = succeed(&["resume", "k", "--json"], folder.path());
        assert_eq!(hash("k"), hash("1"));
    }
}
