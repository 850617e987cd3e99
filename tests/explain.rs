//! `explain`: the life of a sample, an anchor, a document, told from a real run and checked against the rows themselves.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use orchestrator_tests::{browser, experiment, fail, orchestrator, refreshed_experiment, succeed};
use rusqlite::Connection;
use serde_json::Value;

/// A run that all tests read: hard negatives mined again, an augmenter, filters, rounds of questions.
fn finished() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = experiment(&refreshed_experiment());
            let _ = succeed(
                &["run", "x.yaml", "--run-dir", "r", "--json"],
                folder.path(),
            );
            folder
        })
        .path()
}

/// Its store alone, to be changed.
fn changed(change: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("r")).unwrap();
    let copy = folder.path().join("r/store.db");
    std::fs::copy(finished().join("r/store.db"), &copy).unwrap();
    Connection::open(copy)
        .unwrap()
        .execute_batch(&format!("PRAGMA foreign_keys = off; {change}"))
        .unwrap();
    folder
}

fn store(folder: &Path) -> Connection {
    Connection::open(folder.join("r/store.db")).unwrap()
}

fn text(folder: &Path, sql: &str) -> String {
    store(folder)
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
}

fn number(folder: &Path, sql: &str) -> u64 {
    let found: i64 = store(folder)
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
    found as u64
}

fn explained(folder: &Path, arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["explain", "r", "--json"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    serde_json::from_str(&succeed(&all, folder)).unwrap()
}

fn shown(folder: &Path, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["explain", "r"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    succeed(&all, folder)
}

fn length(value: &Value) -> u64 {
    value.as_array().unwrap().len() as u64
}

#[test]
fn a_sample_is_told_from_its_proposal_to_its_uses() {
    let folder = finished();
    for (what, condition, why) in [
        ("kept", "v.kept AND v.uses > 2", "kept"),
        (
            "dropped",
            "EXISTS (SELECT 1 FROM verdict WHERE sample = v.id AND keep = 0)",
            "dropped",
        ),
        (
            "mined away",
            "NOT v.kept AND NOT EXISTS (SELECT 1 FROM verdict WHERE sample = v.id AND keep = 0)",
            "mined_away",
        ),
        ("made of another", "v.parent IS NOT NULL", ""),
    ] {
        let id = text(
            folder,
            &format!(
                "SELECT v.id FROM v_sample v WHERE {condition} ORDER BY v.uses DESC, v.id LIMIT 1"
            ),
        );
        let told = explained(folder, &[&id[..10]]);
        assert_eq!(
            (&told["kind"], &told["run"]["finished"]),
            (&"sample".into(), &true.into())
        );
        let life = &told["sample"];
        assert_eq!(life["id"], id.as_str(), "{what}");
        if !why.is_empty() {
            assert_eq!(life["state"]["why"], why, "{what}");
        }
        let kept = number(
            folder,
            &format!("SELECT kept FROM v_sample WHERE id = '{id}'"),
        ) == 1;
        assert_eq!(life["state"]["in_pool"], kept, "{what}");
        for (part, table) in [
            ("origins", "provenance"),
            ("verdicts", "verdict"),
            ("scores", "score"),
        ] {
            let rows = number(
                folder,
                &format!("SELECT count(*) FROM {table} WHERE sample = '{id}'"),
            );
            assert_eq!(length(&life[part]), rows, "{what}: {part}");
        }
        let uses = number(
            folder,
            &format!("SELECT count(*) FROM use WHERE sample = '{id}'"),
        );
        let by_epoch = life["epochs"].as_array().unwrap().iter();
        assert_eq!(
            by_epoch
                .map(|one| one["uses"].as_u64().unwrap())
                .sum::<u64>(),
            uses,
            "{what}"
        );
        assert_eq!(life["uses"]["total"], uses, "{what}");

        let page = shown(folder, &[&id]);
        assert!(page.contains(&id), "{page}");
        let source = life["origins"][0]["source"].as_str().unwrap();
        assert!(page.contains(source), "{page}");
        match why {
            "kept" => assert!(page.contains("In the pool"), "{page}"),
            "dropped" => {
                let filter = life["state"]["filter"].as_str().unwrap();
                let reason = life["state"]["reason"].as_str().unwrap();
                assert!(
                    page.contains(&format!("{filter} dropped it at tick")),
                    "{page}"
                );
                assert!(page.contains(reason.split(' ').next().unwrap()), "{page}");
            }
            "mined_away" => assert!(page.contains("was asked again at tick"), "{page}"),
            _ => {
                let parent = text(
                    folder,
                    &format!("SELECT parent FROM sample WHERE id = '{id}'"),
                );
                assert_eq!(life["parents"][0]["id"], parent.as_str());
                assert!(
                    page.contains("What it was made from") && page.contains(&parent[..12]),
                    "{page}"
                );
                let its = explained(folder, &[&parent]);
                let children = its["sample"]["children"]["rows"].as_array().unwrap();
                assert!(children.iter().any(|one| one["id"] == id.as_str()));
            }
        }
    }
}

/// What later ticks find out, laid into a copy as they lay it.
fn analysed() -> tempfile::TempDir {
    changed(
        "DELETE FROM influence; DELETE FROM suspect; DELETE FROM retrieved; DELETE FROM topical; DELETE FROM topic; DELETE FROM slice_score; DELETE FROM slice;
         INSERT INTO influence SELECT s.id, e.model, (row_number() OVER (ORDER BY s.id) - 20) * 0.001, 0.5, 1, 0
           FROM sample s, (SELECT 'epoch-1' AS model UNION SELECT 'epoch-2') e WHERE s.id IN (SELECT id FROM sample ORDER BY id LIMIT 60);
         INSERT INTO suspect SELECT id, row_number() OVER (PARTITION BY role ORDER BY id DESC), 0.9, '{\"nearer than its positive\":0.25}', 0 FROM sample;
         INSERT INTO topic VALUES (0, '[\"nerv\",\"cell\"]', 7, 0.25, NULL, 0);
         INSERT INTO topical SELECT 'anchor', number, 0, 0.5, 0 FROM anchor;
         INSERT INTO topical SELECT 'document', number, 0, 0.75, 0 FROM document;
         INSERT INTO retrieved SELECT 'trained', a.number, d.number + 1, d.number, 0.5, 0 FROM anchor a, document d WHERE a.split = 'test' AND d.number < 10;
         INSERT INTO retrieved SELECT 'trained', j.anchor, 11, j.document, 0.4, 0 FROM judgement j JOIN anchor a ON a.number = j.anchor
           WHERE a.split = 'test' AND j.document >= 10 GROUP BY j.anchor;
         INSERT INTO slice SELECT 'long_tail', a.number, a.number, a.text, '{\"terms\":[\"rare\"]}', 0 FROM anchor a WHERE a.split = 'test';
         INSERT INTO slice_score SELECT 'long_tail', a.number, 'trained', 'ndcg@10', 0.125, 0 FROM anchor a WHERE a.split = 'test';",
    )
}

#[test]
fn an_anchor_is_told_with_what_is_made_for_it_and_how_it_is_answered() {
    let folder = analysed();
    let folder = folder.path();
    for split in ["train", "validation", "test"] {
        let of = format!(
            "SELECT number FROM anchor WHERE split = '{split}' ORDER BY
            (SELECT count(*) FROM sample WHERE anchor = number) DESC, number LIMIT 1"
        );
        let place = number(folder, &of);
        let id = text(
            folder,
            &format!("SELECT id FROM anchor WHERE number = {place}"),
        );
        let told = explained(folder, &[&id, "--kind", "anchor"]);
        let life = &told["anchor"];
        assert_eq!(
            (&life["id"], &life["split"]),
            (&id.as_str().into(), &split.into())
        );
        for role in ["positive", "negative"] {
            let there = number(
                folder,
                &format!("SELECT count(*) FROM sample WHERE anchor = {place} AND role = '{role}'"),
            );
            assert_eq!(life[format!("{role}s")]["total"], there, "{split} {role}");
        }
        let judged = number(
            folder,
            &format!("SELECT count(*) FROM judgement WHERE anchor = {place}"),
        );
        assert_eq!(length(&life["judgements"]), judged);
        let scored = number(
            folder,
            &format!("SELECT count(*) FROM evaluation WHERE anchor = {place}"),
        );
        assert_eq!(length(&life["evaluations"]), scored);
        assert_eq!(life["topic"]["terms"][0], "nerv");
        let page = shown(folder, &[&id, "--kind", "anchor"]);
        assert!(
            page.starts_with(&format!("Claim {id} ({split})\n")),
            "{page}"
        );
        if split == "train" {
            assert!(scored == 0 && page.contains("Negatives: "), "{page}");
        }
        if split != "test" {
            continue;
        }
        for one in life["retrieved"].as_array().unwrap() {
            let document = one["document"]["number"].as_u64().unwrap();
            let judged = number(
                folder,
                &format!(
                    "SELECT count(*) FROM judgement WHERE anchor = {place} AND document = {document}"
                ),
            ) > 0;
            assert_eq!(one["judged"], judged, "{one}");
        }
        assert!(page.contains("✓"), "{page}");
        assert!(
            page.contains("In the slice long_tail") && page.contains("0.1250"),
            "{page}"
        );
        assert!(
            page.contains("first relevant at") && page.contains("untrained"),
            "{page}"
        );
    }
}

#[test]
fn a_document_is_told_with_what_is_made_of_it_and_who_retrieves_it_wrongly() {
    let folder = analysed();
    let folder = folder.path();
    let told = explained(
        folder,
        &[
            &text(folder, "SELECT id FROM document WHERE number = 3"),
            "--kind",
            "document",
        ],
    );
    let life = &told["document"];
    for role in ["positive", "negative"] {
        let there = number(
            folder,
            &format!("SELECT count(*) FROM sample WHERE document = 3 AND role = '{role}'"),
        );
        assert_eq!(life[format!("{role}s")]["total"], there);
    }
    let tests = number(folder, "SELECT count(*) FROM anchor WHERE split = 'test'");
    let judged = number(
        folder,
        "SELECT count(DISTINCT j.anchor) FROM judgement j JOIN anchor a ON a.number = j.anchor WHERE j.document = 3 AND a.split = 'test'",
    );
    let counted = &life["retrieved"][0];
    assert_eq!(
        (&counted["judged"], &counted["not_judged"]),
        (&judged.into(), &(tests - judged).into())
    );
    assert_eq!(life["retrieved_wrongly"]["total"], tests - judged);
    assert_eq!(life["topic"]["share"], 0.75);
    let page = shown(
        folder,
        &["--full", "--kind", "document", life["id"].as_str().unwrap()],
    );
    assert!(
        page.contains("Retrieved wrongly for") && page.contains("metadata"),
        "{page}"
    );
}

#[test]
fn lists_begin_with_the_worst_and_the_most_suspicious() {
    let folder = analysed();
    let folder = folder.path();
    let worst = explained(folder, &["--worst", "5"]);
    let rows = worst["worst"]["rows"].as_array().unwrap();
    assert_eq!(worst["worst"]["measured"], 60);
    assert_eq!(rows.len(), 5);
    let expected = text(
        folder,
        "SELECT sample FROM influence GROUP BY sample ORDER BY sum(value), sample LIMIT 1",
    );
    assert_eq!(rows[0]["sample"]["id"], expected.as_str());
    assert!(
        rows.windows(2)
            .all(|pair| pair[0]["value"].as_f64() <= pair[1]["value"].as_f64())
    );
    // What helps does not hurt, however many are asked for.
    let all = explained(folder, &["--worst", "1000"]);
    let hurts = number(
        folder,
        "SELECT count(*) FROM (SELECT 1 FROM influence GROUP BY sample HAVING sum(value) < 0)",
    );
    assert_eq!(length(&all["worst"]["rows"]), hurts);

    let suspects = explained(folder, &["--suspects", "3"]);
    for role in ["positive", "negative"] {
        let rows = suspects["suspects"][format!("{role}s")].as_array().unwrap();
        let places: Vec<u64> = rows
            .iter()
            .map(|one| one["place"].as_u64().unwrap())
            .collect();
        assert_eq!(places, [1, 2, 3]);
        assert!(rows.iter().all(|one| one["sample"]["role"] == role));
    }
    let page = shown(folder, &["--suspects", "3"]);
    assert!(
        page.contains("90.0 %") && page.contains("nearer than its positive: 0.25"),
        "{page}"
    );
    let page = shown(folder, &["--worst", "2"]);
    assert!(
        page.contains(&format!("orchestrator explain r {expected}")),
        "{page}"
    );
    let sample = shown(folder, &[&expected]);
    assert!(
        sample.contains("1 of 60") && sample.contains("Its label is suspected: place"),
        "{sample}"
    );

    // Without the analysis it says so.
    let plain = changed("DELETE FROM influence; DELETE FROM suspect;");
    assert!(shown(plain.path(), &["--worst", "2"]).contains("was not measured"));
    assert!(shown(plain.path(), &["--suspects", "2"]).contains("None is listed"));
}

#[test]
fn what_is_named_wrongly_or_twice_is_told() {
    let folder = changed(
        "UPDATE document SET id = (SELECT id FROM anchor WHERE number = 0) WHERE number = 5;
         UPDATE anchor SET id = (SELECT id FROM anchor WHERE number = 1), split = 'test' WHERE number = 2;
         UPDATE anchor SET split = 'train' WHERE number IN (0, 1);
         UPDATE document SET id = 'document-of-note' WHERE number = 6;",
    );
    let folder = folder.path();
    let both = text(folder, "SELECT id FROM anchor WHERE number = 0");
    let twice = text(folder, "SELECT id FROM anchor WHERE number = 1");
    let sample = text(folder, "SELECT id FROM sample ORDER BY id LIMIT 1");
    let mistyped = format!("{}g", &sample[..9]);
    let late = format!(
        "{}{}",
        &sample[..31],
        if sample.ends_with('0') { '1' } else { '0' }
    );
    for (arguments, told) in [
        (
            vec![both.as_str()],
            vec!["several things", "--kind anchor or --kind document"],
        ),
        (
            vec![&twice],
            vec!["anchor of train", "anchor of test", "--split"],
        ),
        (
            vec!["document-of-nota"],
            vec![
                "no sample, anchor or document",
                "the document `document-of-note`",
            ],
        ),
        (
            vec!["document-of-note", "--kind", "anchor"],
            vec!["has no anchor"],
        ),
        (vec![&mistyped], vec!["has no sample, anchor or document"]),
        (vec![&late], vec!["did you mean", &sample]),
        (vec![""], vec!["with the id ``"]),
        (vec!["\u{1b}[31m"], vec!["has no sample"]),
    ] {
        let all: Vec<&str> = ["explain", "r"].into_iter().chain(arguments).collect();
        let shown = fail(&all, folder, 2);
        for part in told {
            assert!(shown.contains(part), "{all:?}: {part}\n{shown}");
        }
    }
    assert_eq!(
        explained(folder, &[&both, "--kind", "document"])["document"]["number"],
        5
    );
    assert_eq!(
        explained(folder, &[&twice, "--split", "test"])["anchor"]["number"],
        2
    );

    // Several samples of one beginning.
    let common = text(
        folder,
        "SELECT substr(id, 1, 4) FROM sample GROUP BY 1 HAVING count(*) > 1
         UNION ALL SELECT '' ORDER BY 1 DESC LIMIT 1",
    );
    if !common.is_empty() {
        assert!(
            fail(&["explain", "r", &common], folder, 2)
                .contains("begins the ids of several samples")
        );
    }
    let _ = fail(&["explain", "r"], folder, 2);
    let _ = fail(&["explain", "r", &sample, "--worst", "3"], folder, 2);
    assert!(fail(&["explain", ".", &sample], folder, 2).contains("not the folder of a run"));
    std::fs::write(folder.join("r/store.db"), "no store").unwrap();
    let _ = fail(&["explain", "r", &sample], folder, 3);
}

/// A text that would move the cursor, turn the direction, and be markup.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}gnp\u{0} <script>alert(1)</script> \"'& שלום 👩\u{200d}🔬";

#[test]
fn hostile_texts_are_shown_and_not_obeyed() {
    let folder = analysed();
    let folder = folder.path();
    let long = format!("{HOSTILE} {}", "long ".repeat(20_000));
    store(folder)
        .execute("UPDATE text SET content = ?1 || id", [&long])
        .unwrap();
    store(folder)
        .execute_batch(&format!(
            "UPDATE document SET title = '{0}', metadata = json_object('{0}', '{0}');
             UPDATE verdict SET reason = '{0}'; UPDATE provenance SET detail = '{0}'; UPDATE topic SET terms = json_array('{0}');
             UPDATE slice SET detail = '{0}';",
            HOSTILE.replace('\u{0}', "").replace('\'', "''")
        ))
        .unwrap();
    let sample = text(
        folder,
        "SELECT sample FROM verdict WHERE keep = 0 ORDER BY sample LIMIT 1",
    );
    let test = text(
        folder,
        "SELECT id FROM anchor WHERE split = 'test' ORDER BY number LIMIT 1",
    );
    let document = text(folder, "SELECT id FROM document WHERE number = 3");
    for arguments in [
        vec![sample.as_str()],
        vec![&sample, "--full"],
        vec![&test, "--kind", "anchor"],
        vec![&document, "--kind", "document"],
        vec!["--worst", "3"],
        vec!["--suspects", "3"],
    ] {
        let page = shown(folder, &arguments);
        let obeyed = page.chars().find(|one| {
            (one.is_control() && *one != '\n') || ('\u{202a}'..='\u{202e}').contains(one)
        });
        assert_eq!(obeyed, None, "{arguments:?}");
        assert!(page.contains("␛[2J"), "{arguments:?}:\n{page}");
        let full = arguments.contains(&"--full");
        assert_eq!(page.len() > 90_000, full, "{arguments:?}: {}", page.len());
        // JSON has them as they are, escaped.
        let value = explained(folder, &arguments);
        assert!(value.to_string().contains("<script>"), "{arguments:?}");
        let html = format!("{}.html", arguments.join("").replace('-', ""));
        let mut all = vec!["explain", "r", "--html", &html];
        all.extend(&arguments);
        let _ = succeed(&all, folder);
        let written = std::fs::read_to_string(folder.join(&html)).unwrap();
        assert!(!written.contains("<script>alert"), "{arguments:?}");
        assert!(written.contains("&lt;script&gt;alert"), "{arguments:?}");
    }
}

#[test]
fn lines_are_no_wider_than_the_window() {
    let folder = analysed();
    let folder = folder.path();
    let sample = text(
        folder,
        "SELECT sample FROM verdict WHERE keep = 0 ORDER BY sample LIMIT 1",
    );
    let test = text(
        folder,
        "SELECT id FROM anchor WHERE split = 'test' ORDER BY number LIMIT 1",
    );
    for columns in ["60", "80", "120"] {
        for arguments in [
            vec![sample.as_str()],
            vec![&test, "--kind", "anchor"],
            vec!["--suspects", "5"],
        ] {
            let all: Vec<&str> = ["explain", "r"].into_iter().chain(arguments).collect();
            let output = orchestrator(&all, folder)
                .env("COLUMNS", columns)
                .output()
                .unwrap();
            let page = String::from_utf8(output.stdout).unwrap();
            // Of what cannot be broken (a row of numbers) a narrow window takes more than it has.
            let widest = page.lines().map(|line| line.chars().count()).max().unwrap();
            let most: usize = columns.parse().unwrap();
            assert!(widest <= most.max(80), "{columns}: {widest}\n{page}");
        }
    }
}

#[test]
fn a_run_that_was_stopped_is_told_as_far_as_it_is() {
    // As it would be if it had been killed after its first proposals.
    let folder = changed(
        "CREATE TEMP TABLE last AS SELECT max(number) AS n FROM tick WHERE kind = 'propose' AND number < (SELECT min(number) FROM tick WHERE kind = 'judge');
         DELETE FROM use; DELETE FROM evaluation; DELETE FROM annotation; DELETE FROM answer; DELETE FROM question; DELETE FROM projection;
         DELETE FROM verdict; DELETE FROM score; DELETE FROM metric WHERE tick > (SELECT n FROM last);
         DELETE FROM provenance WHERE tick > (SELECT n FROM last); DELETE FROM sample WHERE tick > (SELECT n FROM last);
         DELETE FROM influence; DELETE FROM suspect; DELETE FROM retrieved;
         DELETE FROM tick WHERE number > (SELECT n FROM last);",
    );
    let sample = text(folder.path(), "SELECT id FROM sample ORDER BY id LIMIT 1");
    let told = explained(folder.path(), &[&sample]);
    assert_eq!(told["run"]["finished"], false);
    assert_eq!(told["sample"]["state"]["why"], "waiting");
    let page = shown(folder.path(), &[&sample]);
    assert!(
        page.contains("not finished: its last complete tick is"),
        "{page}"
    );
    assert!(page.contains("before its filters had judged it"), "{page}");

    // Killed while it goes, wherever that is.
    let folder = experiment(&refreshed_experiment());
    let folder = folder.path();
    let mut run = orchestrator(&["run", "x.yaml", "--run-dir", "r", "--quiet"], folder)
        .spawn()
        .unwrap();
    let path: PathBuf = folder.join("r/store.db");
    let began = Instant::now();
    let trains = || {
        let store =
            Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        let sql = "SELECT count(*) FROM tick WHERE kind = 'train'";
        store
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .ok()
            .filter(|n| *n > 0)
    };
    while trains().is_none() && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let used = text(folder, "SELECT sample FROM use ORDER BY sample LIMIT 1");
    let told = explained(folder, &[&used]);
    assert_eq!(told["run"]["finished"], false);
    assert!(told["sample"]["uses"]["total"].as_u64().unwrap() > 0);
}

#[test]
fn pages_are_read_without_a_network_at_every_width_in_both_languages() {
    let Some(browser) = browser::start() else {
        return;
    };
    let folder = analysed();
    let folder = folder.path();
    let sample = text(
        folder,
        "SELECT s.id FROM sample s WHERE s.parent IS NOT NULL ORDER BY (SELECT count(*) FROM use WHERE sample = s.id) DESC, s.id LIMIT 1",
    );
    let test = text(
        folder,
        "SELECT id FROM anchor WHERE split = 'test' ORDER BY number LIMIT 1",
    );
    let document = text(folder, "SELECT id FROM document WHERE number = 3");
    for (name, arguments) in [
        ("sample", vec![sample.as_str()]),
        ("anchor", vec![&test, "--kind", "anchor"]),
        ("document", vec![&document, "--kind", "document"]),
        ("worst", vec!["--worst", "20"]),
        ("suspects", vec!["--suspects", "20"]),
    ] {
        let file = format!("{name}.html");
        let mut all = vec!["explain", "r", "--html", &file];
        all.extend(&arguments);
        let _ = succeed(&all, folder);
        let page = browser.person();
        page.offline();
        for width in [1280, 360] {
            page.wide(width);
            page.open(&format!("file://{}", folder.join(&file).display()));
            page.value(
                "document.querySelectorAll('details').forEach((one) => { one.open = true; })",
            );
            assert_eq!(page.beyond(), serde_json::json!([]), "{name} {width}");
        }
        let lost = page.value(
            "[...document.querySelectorAll('.contents a')].filter((one) => !document.getElementById(one.hash.slice(1))).map((one) => one.outerHTML)",
        );
        assert_eq!(lost, serde_json::json!([]), "{name}");
        page.value("document.getElementById('lang-zh').click()");
        let left = page.value(
            "[...document.querySelectorAll('h2 [lang=en]')].filter((one) => one.offsetParent).length",
        );
        assert_eq!(left, 0, "{name}");
        if let Some(found) = page.violations(&["serious", "critical"]) {
            assert_eq!(found, serde_json::json!([]), "{name}");
        }
        page.picture(&format!("explain-{name}"));
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
    }
}
