//! Watching a run: what the store says of the pool and of mining again is what its rows say; the same whatever the threads and
//! wherever it was interrupted; troubled runs are warned of once, healthy ones never.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use orchestrator_tests::{
    experiment, orchestrator, refreshed_experiment, small_experiment, succeed,
};
use rusqlite::Connection;
use serde_json::Value;

fn open(folder: &Path) -> Connection {
    Connection::open(folder.join("store.db")).unwrap()
}

fn run(text: &str) -> tempfile::TempDir {
    let folder = experiment(text);
    let _ = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder.path(),
    );
    folder
}

fn rows<T>(
    store: &Connection,
    sql: &str,
    read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| read(row)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The metrics of a tick by name.
fn metrics(store: &Connection, tick: i64) -> BTreeMap<String, f64> {
    let sql = format!("SELECT name, value FROM metric WHERE tick = {tick} AND step = -1");
    rows(store, &sql, |row| Ok((row.get(0)?, row.get(1)?)))
        .into_iter()
        .collect()
}

fn warnings(store: &Connection) -> Vec<String> {
    rows(
        store,
        "SELECT detail FROM event WHERE kind = 'warning' ORDER BY id",
        |row| row.get(0),
    )
}

fn close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 1e-6,
        "{what}: {found} in the store, {expected} from its rows"
    );
}

/// By interpolation between neighbours.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - place.floor())
}

#[test]
fn figures_of_the_pool_are_those_of_its_rows() {
    let folder = run(&small_experiment());
    let store = open(&folder.path().join("r"));
    let tick: i64 = store
        .query_row(
            "SELECT number FROM tick WHERE kind = 'score' AND detail = 'initial'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let found = metrics(&store, tick);
    let found = |name: &str| found[&format!("monitor/{name}")];
    let scored = rows(
        &store,
        &format!(
            "SELECT s.role, c.similarity, c.difficulty FROM score c JOIN sample s ON s.id = c.sample WHERE c.tick = {tick}"
        ),
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, f64>(1)?,
                row.get::<_, Option<f64>>(2)?,
            ))
        },
    );
    let of_role = |role: &str| -> Vec<f64> {
        let rows = scored.iter().filter(|(of, ..)| of == role);
        rows.map(|(_, similarity, _)| *similarity).collect()
    };
    let (positives, negatives) = (of_role("positive"), of_role("negative"));
    // The built-in corpus is small: all of it is looked at.
    close(found("positives"), positives.len() as f64, "positives");
    close(found("negatives"), negatives.len() as f64, "negatives");
    let mut above = 0.0;
    for positive in &positives {
        for negative in &negatives {
            above += if positive > negative {
                1.0
            } else if positive == negative {
                0.5
            } else {
                0.0
            };
        }
    }
    let auroc = above / (positives.len() * negatives.len()) as f64;
    close(found("auroc"), auroc, "auroc");
    close(found("cliffs_delta"), 2.0 * auroc - 1.0, "cliffs_delta");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    close(found("gap"), mean(&positives) - mean(&negatives), "gap");
    for (role, values) in [("positive", &positives), ("negative", &negatives)] {
        for percent in [5, 25, 50, 75, 95] {
            let name = format!("{role}_p{percent:02}");
            let expected = quantile(values, f64::from(percent) / 100.0);
            close(found(&name), expected, &name);
        }
    }
    let difficulties: Vec<f64> = scored.iter().filter_map(|one| one.2).collect();
    let share = |holds: fn(&f64) -> bool| {
        difficulties.iter().filter(|one| holds(one)).count() as f64 / difficulties.len() as f64
    };
    close(
        found("difficulty"),
        quantile(&difficulties, 0.5),
        "difficulty",
    );
    close(found("false_negatives"), share(|one| *one > 1.0), "false");
    close(found("too_easy"), share(|one| *one < 0.0), "too_easy");
    assert!((0.0..=1.0).contains(&found("entropy")));
    assert!((-1.0..1.0).contains(&found("random_similarity")));
    assert!(warnings(&store).is_empty(), "{:?}", warnings(&store));
}

#[test]
fn shares_of_sources_are_those_of_the_uses() {
    let folder = run(&small_experiment());
    let store = open(&folder.path().join("r"));
    let epochs = rows(
        &store,
        "SELECT number, CAST(substr(detail, 7) AS INTEGER) FROM tick WHERE kind = 'evaluate' AND detail LIKE 'epoch-%'",
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    );
    assert_eq!(epochs.len(), 4, "two epochs, and one after each round");
    for (tick, epoch) in epochs {
        let mut uses: BTreeMap<String, f64> = BTreeMap::new();
        let mut all = 0.0;
        for sources in rows(
            &store,
            &format!(
                "SELECT (SELECT group_concat(DISTINCT p.source) FROM provenance p WHERE p.sample = u.sample AND p.tick < u.tick)
                 FROM use u JOIN sample s ON s.id = u.sample WHERE s.role = 'negative' AND u.epoch = {epoch} - 1"
            ),
            |row| row.get::<_, String>(0),
        ) {
            let sources: Vec<&str> = sources.split(',').collect();
            for source in &sources {
                *uses.entry((*source).to_owned()).or_default() += 1.0 / sources.len() as f64;
            }
            all += 1.0;
        }
        let found = metrics(&store, tick);
        close(found["monitor/negatives_used"], all, "negatives used");
        for (source, n) in uses {
            let name = format!("monitor/used/{source}");
            close(found[&name], n / all, &name);
        }
    }
}

#[test]
fn what_mining_again_brought_is_what_the_rows_say_and_costs_what_it_says() {
    let folder = run(&refreshed_experiment());
    let store = open(&folder.path().join("r"));
    let ticks = |sql: &str| rows(&store, sql, |row| row.get::<_, i64>(0));
    let refreshed = ticks("SELECT number FROM tick WHERE kind = 'refresh' ORDER BY number");
    assert!(!refreshed.is_empty());
    for number in refreshed {
        let one = |sql: &str| ticks(sql).first().copied().unwrap();
        let scored = one(&format!(
            "SELECT min(number) FROM tick WHERE kind = 'score' AND number > {number}"
        ));
        let proposed = |tick: i64| -> BTreeSet<String> {
            let sql = format!(
                "SELECT sample FROM provenance WHERE source = 'hard_negative' AND tick = {tick}"
            );
            rows(&store, &sql, |row| row.get(0)).into_iter().collect()
        };
        let before = one(&format!(
            "SELECT max(number) FROM tick WHERE detail = 'hard_negative' AND kind IN ('propose', 'refresh') AND number < {number}"
        ));
        let (now, before) = (proposed(number), proposed(before));
        let of: BTreeMap<String, f64> = rows(
            &store,
            &format!("SELECT sample, difficulty FROM score WHERE tick = {scored} AND difficulty IS NOT NULL"),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .into_iter()
        .collect();
        let mut found = metrics(&store, number);
        let in_refresh = found.clone();
        found.extend(metrics(&store, scored));
        let entered_pool = found["hard_negative/entered_pool"];
        close(
            in_refresh["hard_negative/entered"],
            now.difference(&before).count() as f64,
            "entered",
        );
        let entered: Vec<f64> = now
            .difference(&before)
            .filter_map(|id| of.get(id).copied())
            .collect();
        let stayed: Vec<f64> = now
            .intersection(&before)
            .filter_map(|id| of.get(id).copied())
            .collect();
        close(entered_pool, entered.len() as f64, "entered the pool");
        let likely_false = entered.iter().filter(|one| **one > 1.0).count();
        close(
            found["hard_negative/entered_likely_false"],
            likely_false as f64,
            "likely false",
        );
        for (name, values) in [("entered", &entered), ("stayed", &stayed)] {
            let name = format!("hard_negative/difficulty_of_{name}");
            match found.get(&name) {
                Some(found) => close(*found, quantile(values, 0.5), &name),
                None => assert!(values.is_empty(), "{name}"),
            }
        }
    }
    let left = "SELECT count(*) FROM metric WHERE name = 'hard_negative/difficulty_of_left'";
    assert!(ticks(left)[0] > 0, "something left");
    costs_are_what_was_encoded(&store);
}

/// What every mining counted as encoded is what an uninterrupted run encoded.
fn costs_are_what_was_encoded(store: &Connection) -> Vec<(String, u64, f64)> {
    let counted = rows(
        store,
        "SELECT t.detail, m.value FROM metric m JOIN tick t ON t.number = m.tick
         WHERE m.name = 'mining/encoded' ORDER BY m.tick",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, f64>(1)?)),
    );
    let events: Vec<Value> = rows(
        store,
        "SELECT detail FROM event WHERE kind = 'mined' ORDER BY id",
        |row| row.get::<_, String>(0),
    )
    .iter()
    .map(|detail| serde_json::from_str(detail).unwrap())
    .collect();
    assert_eq!(counted.len(), events.len());
    let both: Vec<(String, u64, f64)> = events
        .iter()
        .zip(&counted)
        .map(|(event, (model, counted))| {
            assert_eq!(event["model"], *model);
            (model.clone(), event["encoded"].as_u64().unwrap(), *counted)
        })
        .collect();
    for (model, encoded, counted) in &both {
        close(*counted, *encoded as f64, model);
    }
    both
}

#[test]
fn weights_that_have_not_changed_encode_nothing_again() {
    // Both are asked again after the last step of an epoch: first one, by steps, then the other, by epochs.
    let text = small_experiment()
        .replace(
            "hard_negative: { per_anchor: 3 }",
            "hard_negative: { per_anchor: 3, refresh_every: 1 steps }",
        )
        .replace(
            "random: { per_anchor: 2 }",
            "random: { per_anchor: 2, refresh_every: 1 epochs }",
        )
        .replace("char_noise: {}", "char_noise: { per_sample: 1 }")
        .replace("  augment:\n    - char_noise: { per_sample: 1 }\n", "");
    let folder = run(&text);
    let store = open(&folder.path().join("r"));
    let costs = costs_are_what_was_encoded(&store);
    let mut again = 0;
    for pair in costs.windows(2) {
        if pair[0].0 == pair[1].0 {
            again += 1;
            assert_eq!(pair[1].1, 0, "{} is asked a second time", pair[1].0);
        }
    }
    assert!(again > 0, "no version of the model mined twice: {costs:?}");
    // A version that is new has everything to encode.
    assert!(costs[1].1 > 100, "{costs:?}");
}

#[test]
fn threads_and_interruptions_change_no_figure_and_no_warning() {
    // Bands nothing can be in, so that there is something to warn of.
    let text = refreshed_experiment().replace("train:\n", "train:\n  bands: [0.4, 50]\n");
    let folder = experiment(&text);
    let folder = folder.path();
    let state = |name: &str, printed: &str| {
        let outcome: Value = serde_json::from_str(printed).unwrap();
        let store = open(&folder.join(name));
        let hash = outcome["content_hash"].as_str().unwrap().to_owned();
        (hash, warnings(&store))
    };
    let with_threads = |threads: &str| {
        let output = orchestrator(&["run", "x.yaml", "--run-dir", threads, "--json"], folder)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        state(threads, &String::from_utf8(output.stdout).unwrap())
    };
    let whole = with_threads("1");
    assert!(!whole.1.is_empty(), "nothing was warned of");
    assert_eq!(with_threads("2"), whole);
    let mut interrupted = 0;
    for milliseconds in [40u64, 150, 250, 350, 450, 600, 900] {
        let name = format!("killed-{milliseconds}");
        let mut child = orchestrator(&["run", "x.yaml", "--run-dir", &name, "--json"], folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while !folder.join(&name).join("store.db").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        interrupted += usize::from(!child.wait().unwrap().success());
        let printed = succeed(&["resume", &name, "--json"], folder);
        assert_eq!(state(&name, &printed), whole, "{milliseconds} ms");
    }
    assert!(interrupted > 0, "every run was over before it was killed");
}

#[test]
fn a_troubled_run_is_warned_of_once_and_its_report_says_so_first() {
    let text = small_experiment()
        .replace("train:\n", "train:\n  bands: [40, 50]\n")
        .replace(
            "schedule: [{ epochs: 1, difficulty: easy }, { epochs: 1, difficulty: hard }]",
            "schedule: [{ epochs: 2, difficulty: hard }]",
        )
        .lines()
        .filter(|line| !line.starts_with("active_learning"))
        .collect::<Vec<_>>()
        .join("\n");
    let folder = experiment(&text);
    let output = orchestrator(&["run", "x.yaml", "--run-dir", "r"], folder.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8(output.stderr).unwrap();
    let warned = warnings(&open(&folder.path().join("r")));
    for warning in &warned {
        assert!(shown.contains(&format!("warning: {warning}")), "{shown}");
    }
    let of_rule = |rule: &str| {
        let mut of_rule = warned.iter().filter(|one| one.starts_with(rule));
        let first = of_rule
            .next()
            .unwrap_or_else(|| panic!("{rule}: {warned:?}"));
        assert!(of_rule.next().is_none(), "twice: {warned:?}");
        first
    };
    assert!(of_rule("band_without_negatives: ").contains("epoch 1 wanted hard negatives"));
    let unused = of_rule("source_never_used: ");
    assert!(
        unused.contains("random (") && unused.contains("hard_negative ("),
        "{unused}"
    );
    let report = std::fs::read_to_string(folder.path().join("r/report.html")).unwrap();
    let place = |what: &str| report.find(what).unwrap_or_else(|| panic!("no {what}"));
    assert!(place("epoch 1 wanted hard negatives") < place("id=\"better\""));
    assert!(place("id=\"monitoring\"") < place("id=\"picture\""));
}

#[test]
fn pictures_show_validation_claims_with_their_documents_and_turn_to_the_one_before() {
    let folder = run(&small_experiment());
    let store = open(&folder.path().join("r"));
    let count = |sql: &str| -> i64 { store.query_row(sql, [], |row| row.get(0)).unwrap() };
    let pictures = count("SELECT count(DISTINCT model) FROM projection");
    assert_eq!(pictures, 5, "the untrained model and four epochs");
    assert_eq!(
        count(
            "SELECT count(*) FROM projection p JOIN anchor a ON a.number = CAST(p.item AS INTEGER)
             WHERE p.kind = 'anchor' AND a.split <> 'validation'"
        ),
        0
    );
    // All that is judged for them is there, and something that is not.
    assert_eq!(
        count(
            "SELECT count(*) FROM judgement j JOIN anchor a ON a.number = j.anchor WHERE a.split = 'validation'
             AND NOT EXISTS (SELECT 1 FROM projection p WHERE p.kind = 'document' AND p.model = 'epoch-1'
                             AND CAST(p.item AS INTEGER) = j.document)"
        ),
        0
    );
    // Turned as far as it can be: no turn of the second picture is nearer to the first.
    let pairs = rows(
        &store,
        "SELECT a.x, a.y, b.x, b.y FROM projection a JOIN projection b ON b.kind = a.kind AND b.item = a.item
         WHERE a.model = 'epoch-1' AND b.model = 'epoch-2'",
        |row| Ok([row.get::<_, f64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?]),
    );
    assert!(pairs.len() > 10);
    let distance = |degrees: f64, flip: f64| -> f64 {
        let (s, c) = degrees.to_radians().sin_cos();
        let far = |[ax, ay, bx, by]: &[f64; 4]| {
            let (x, y) = (c * bx - s * flip * by, s * bx + c * flip * by);
            (x - ax).powi(2) + (y - ay).powi(2)
        };
        pairs.iter().map(far).sum()
    };
    let as_it_is = distance(0.0, 1.0);
    for degrees in (0..360).step_by(5) {
        for flip in [1.0, -1.0] {
            let other = distance(f64::from(degrees), flip);
            assert!(as_it_is <= other + 1e-9, "{degrees} degrees, {flip}");
        }
    }
}
