//! Rounds of questions in whole runs: who answers, what becomes of the answers, when it is enough, and that a run waits for
//! people and goes on where it was.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use orchestrator_tests::{experiment, fail, orchestrator, small_experiment, succeed};
use rusqlite::Connection;
use serde_json::{Value, json};

fn with(active: &str) -> String {
    let text = small_experiment();
    let end = text.find("active_learning:").unwrap();
    format!("{}{active}", &text[..end])
}

fn ran(text: &str) -> (Connection, tempfile::TempDir) {
    let folder = experiment(text);
    let _ = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder.path(),
    );
    (opened(folder.path()), folder)
}

fn opened(folder: &Path) -> Connection {
    Connection::open(folder.join("r/store.db")).unwrap()
}

fn number(store: &Connection, sql: &str) -> i64 {
    store
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
}

fn text(store: &Connection, sql: &str) -> String {
    store
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// How often each kind of tick is there.
fn rounds(store: &Connection) -> i64 {
    number(store, "SELECT count(*) FROM tick WHERE kind = 'annotate'")
}

#[test]
fn an_oracle_that_errs_tells_training_something_else_than_the_data() {
    let (store, _folder) = ran(&with(
        "active_learning: { rounds: 2, select: margin, budget: 30, annotator: { oracle: { error_rate: 0.4 } }, hold_back: 0.4 }\n",
    ));
    assert_eq!(number(&store, "SELECT count(*) FROM question"), 60);
    assert_eq!(
        number(
            &store,
            "SELECT count(*) FROM answer WHERE annotator = 'oracle'"
        ),
        60
    );
    let wrong = number(
        &store,
        "SELECT count(*) FROM annotation n WHERE n.relevant <>
         EXISTS (SELECT 1 FROM judgement j WHERE j.anchor = n.anchor AND j.document = n.document AND j.relevant)",
    );
    assert!((12..=36).contains(&wrong), "{wrong} of 60");
    assert_eq!(
        wrong,
        number(
            &store,
            "SELECT CAST(sum(value) AS INTEGER) FROM metric WHERE name = 'oracle/wrong'"
        )
    );
    // What it called relevant without ground is a positive now; what it hid stays hidden.
    assert!(number(&store, "SELECT count(*) FROM sample s JOIN annotation n ON n.anchor = s.anchor AND n.document = s.document
        WHERE s.role = 'positive' AND n.relevant AND NOT EXISTS (SELECT 1 FROM judgement j WHERE j.anchor = n.anchor AND j.document = n.document)") > 0);
    assert_eq!(number(&store, "SELECT count(*) FROM sample s JOIN annotation n ON n.anchor = s.anchor AND n.document = s.document
        WHERE s.role = 'positive' AND NOT n.relevant"), 0);
}

#[test]
fn rounds_end_when_a_rule_says_that_it_is_enough() {
    for (rules, annotated, why) in [
        ("total: 15", 2, "all 15 questions are asked"),
        ("stop: { agreement: 0.01 }", 1, "the model was right about"),
        (
            "epochs: 1, stop: { no_gain: 1 }, start: cold",
            -1,
            "no better on validation for 1 rounds",
        ),
    ] {
        let (store, _folder) = ran(&with(&format!(
            "active_learning: {{ rounds: 6, select: margin, budget: 10, hold_back: 0.3, candidates: {{ nearest: 5, like_validation: 0.5 }}, {rules} }}\n"
        )));
        let done = rounds(&store);
        assert!(
            done < 6 && (annotated == -1 || done == annotated),
            "{rules}: {done}"
        );
        let told = text(
            &store,
            "SELECT detail FROM event WHERE kind = 'rounds_ended'",
        );
        assert!(told.contains(why), "{told}");
        if rules.starts_with("total") {
            assert_eq!(number(&store, "SELECT count(*) FROM question"), 15);
        }
    }
}

/// Everything open is answered by somebody else than the run.
fn answer(store: &Connection, name: &str, verdict: impl Fn(i64) -> &'static str) {
    let mut statement = store
        .prepare("SELECT id FROM question q WHERE round > 0 AND NOT EXISTS (SELECT 1 FROM annotation n WHERE n.round = q.round)
             AND (shared OR id NOT IN (SELECT question FROM answer)) ORDER BY id")
        .unwrap();
    let open: Vec<i64> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for question in open {
        store
            .execute(
                "INSERT INTO answer (question, annotator, verdict, settles, flagged, comment) VALUES (?1, ?2, ?3, 0, 0, '')",
                (question, name, verdict(question)),
            )
            .unwrap();
    }
}

#[test]
fn a_run_waits_for_people_and_goes_on_with_what_they_said() {
    let text = with(
        "active_learning: { rounds: 2, select: margin, budget: 8, annotator: { page: { people: 2, overlap: 0.25 } } }
audit: { samples: 6, from: suspicious }
",
    );
    let folder = experiment(&text);
    // Nobody is there to serve the page: quiet runs are told what to do.
    let waits = |arguments: &[&str]| {
        let shown = fail(arguments, folder.path(), 5);
        assert!(
            shown.contains("questions wait for an answer")
                && shown.contains("orchestrator annotate"),
            "{shown}"
        );
    };
    let one = |id: i64| ["support", "unrelated", "contradict", "skip"][id as usize % 4];
    waits(&["run", "x.yaml", "--run-dir", "r", "--no-page"]);
    let store = opened(folder.path());
    assert_eq!(number(&store, "SELECT count(*) FROM question"), 8);
    assert_eq!(
        number(&store, "SELECT count(*) FROM question WHERE shared"),
        2
    );
    waits(&["resume", "r", "--no-page"]);
    answer(&store, "ada", one);
    // The shared ones, and those she passed by, wait for somebody else.
    waits(&["resume", "r", "--no-page"]);
    assert_eq!(rounds(&store), 0);
    store
        .execute_batch(
            "INSERT INTO answer (question, annotator, verdict, settles, flagged, comment)
             SELECT q.id, 'bob', CASE a.verdict WHEN 'skip' THEN 'unrelated' ELSE a.verdict END, 0, 0, ''
             FROM question q JOIN answer a ON a.question = q.id WHERE q.shared OR a.verdict = 'skip'",
        )
        .unwrap();
    // A shared one that she passed by has one answer only, and nobody else is there to ask; the next round waits.
    waits(&["resume", "r", "--no-page"]);
    assert_eq!(rounds(&store), 1);
    answer(&store, "ada", |_| "support");
    answer(&store, "bob", |_| "support");
    let _ = succeed(&["resume", "r", "--no-page", "--json"], folder.path());
    assert_eq!(rounds(&store), 2);
    // What was said of a pair nobody had judged is a judgement now.
    assert!(number(&store, "SELECT count(*) FROM sample s JOIN annotation n ON n.anchor = s.anchor AND n.document = s.document
        WHERE s.role = 'positive' AND n.label = 'support'") > 0);
    assert_eq!(number(&store, "SELECT count(*) FROM sample s JOIN annotation n ON n.anchor = s.anchor AND n.document = s.document
        WHERE s.role = 'positive' AND n.label IS NULL"), 0);
    assert_eq!(
        number(
            &store,
            "SELECT count(*) FROM question WHERE round = 0 AND sample IS NOT NULL"
        ),
        6
    );
    // Nobody waits for an audit; once it is answered, what people said stands beside what the tool made of the samples.
    store
        .execute_batch(
            "INSERT INTO answer (question, annotator, verdict, settles, flagged, comment)
             SELECT id, 'ada', CASE id % 2 WHEN 0 THEN 'support' ELSE 'unrelated' END, 0, 0, '' FROM question WHERE round = 0",
        )
        .unwrap();
    let _ = succeed(&["resume", "r", "--json"], folder.path());
    let agreed = number(&store, "SELECT sum(a.agrees) FROM audited a");
    assert_eq!(
        agreed,
        number(
            &store,
            "SELECT count(*) FROM question q JOIN sample s ON s.id = q.sample WHERE q.round = 0 AND (s.role = 'positive') = (q.id % 2 = 0)"
        )
    );
    assert_eq!(
        number(
            &store,
            "SELECT CAST(value AS INTEGER) FROM metric WHERE name = 'audit/both'"
        ),
        6
    );
    let report = std::fs::read_to_string(folder.path().join("r/report.html")).unwrap();
    assert!(
        report.contains("What did people say?") && report.contains("audited samples, people agree")
    );
}

/// A model that supports every claim whose text has an even length.
fn endpoint() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let count = count.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let (mut length, mut line) = (0, String::new());
                    while reader.read_line(&mut line).unwrap_or(0) > 2 {
                        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    if length == 0 {
                        return;
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    count.fetch_add(1, Ordering::SeqCst);
                    let request: Value = serde_json::from_slice(&body).unwrap();
                    let asked: Value =
                        serde_json::from_str(request["messages"][1]["content"].as_str().unwrap())
                            .unwrap();
                    let even = asked["claim"].as_str().unwrap().len().is_multiple_of(2);
                    let says = if even { "SUPPORTS" } else { "UNRELATED" };
                    let answer = json!({ "choices": [{ "message": { "role": "assistant", "content": says } }] }).to_string();
                    let head = format!(
                        "HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        answer.len()
                    );
                    if stream.write_all((head + &answer).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, asked)
}

#[test]
fn a_language_model_annotates_and_is_held_against_what_people_judged() {
    let (url, asked) = endpoint();
    let folder = experiment(&with(&format!(
        "active_learning: {{ rounds: 1, select: margin, budget: 10, annotator: {{ llm: {{ model: m, check: 12 }} }} }}
chat: {{ base_url: \"{url}\", cache: answers }}
"
    )));
    let go = |name: &str| {
        let mut command = orchestrator(
            &["run", "x.yaml", "--run-dir", name, "--json"],
            folder.path(),
        );
        let output = command.env("OPENAI_API_KEY", "sk-key").output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        shown["content_hash"].clone()
    };
    let first = go("r");
    let sent = asked.load(Ordering::SeqCst);
    assert_eq!(sent, 22);
    assert_eq!(go("again"), first);
    assert_eq!(asked.load(Ordering::SeqCst), sent, "answers are kept");
    let store = opened(folder.path());
    assert_eq!(
        number(
            &store,
            "SELECT count(*) FROM annotation WHERE annotator = 'llm m'"
        ),
        10
    );
    assert_eq!(
        number(
            &store,
            "SELECT CAST(value AS INTEGER) FROM metric WHERE name = 'llm/both'"
        ),
        12
    );
    let each: Value = serde_json::from_str(&text(
        &store,
        "SELECT detail FROM event WHERE kind = 'llm_check'",
    ))
    .unwrap();
    assert_eq!(each.as_array().unwrap().len(), 12);
}
