//! Slices in whole runs: nothing depends on them, nor they on threads, processes and kills.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use orchestrator_tests::{experiment, orchestrator, succeed};
use rusqlite::Connection;
use serde_json::Value;

use crate::{items, one, open, ran, rows, sliced, two_fields};

#[test]
fn nothing_else_of_a_run_depends_on_its_slices() {
    let without = experiment(&two_fields());
    let _ = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        without.path(),
    );
    let read = |folder: &Path| {
        std::fs::read(folder.join("r/model/0_StaticEmbedding/model.safetensors")).unwrap()
    };
    assert!(
        read(ran()) == read(without.path()),
        "the trained model is another"
    );
    let (with, without) = (open(&ran().join("r")), open(&without.path().join("r")));
    for sql in [
        "SELECT id || anchor || role || weight FROM sample ORDER BY id",
        "SELECT sample || step || loss FROM use ORDER BY step, sample",
        "SELECT model || anchor || metric || value FROM evaluation ORDER BY 1",
        "SELECT tick || step || name || value FROM metric WHERE name NOT LIKE 'slice/%' AND name NOT LIKE 'nuance/%'
         AND name NOT LIKE 'adversarial/%' ORDER BY tick, step, name",
    ] {
        let of = |store: &Connection| rows(store, sql, |row| row.get::<_, Option<String>>(0));
        assert!(of(&with) == of(&without), "{sql}");
    }
    assert_eq!(one::<i64>(&without, "SELECT count(*) FROM slice"), 0);
}

#[test]
fn without_test_claims_slices_are_of_validation() {
    let folder = experiment(&format!(
        "{}evaluate: {{ slices: [long_tail, nuance: {{ by: {{ keyword_edit: {{ only_shared: false }} }} }}] }}\n",
        two_fields().replace(", test: test", "")
    ));
    let _ = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder.path(),
    );
    let store = open(&folder.path().join("r"));
    for slice in ["nuance", "long_tail", "not_long_tail"] {
        for item in items(&store, slice) {
            let anchor = item.anchor.unwrap();
            let split: String = one(
                &store,
                &format!("SELECT split FROM anchor WHERE number = {anchor}"),
            );
            assert_eq!(split, "validation");
            let scores: i64 = one(
                &store,
                &format!(
                    "SELECT count(DISTINCT model) FROM slice_score WHERE slice = '{slice}' AND item = {}",
                    item.number
                ),
            );
            assert_eq!(scores, 3);
        }
    }
    let plugin: String = one(
        &store,
        "SELECT id FROM plugin WHERE name = 'nuance/keyword_edit'",
    );
    assert_eq!(plugin, "org.orchestrator.keyword_edit");
}

#[test]
fn an_isolated_augmenter_and_any_number_of_threads_give_the_same_bytes() {
    let hash = |printed: &[u8]| -> String {
        let outcome: Value = serde_json::from_slice(printed).unwrap();
        outcome["content_hash"].as_str().unwrap().to_owned()
    };
    let by = |isolation: &str| {
        let by =
            format!("[nuance: {{ by: {{ contradict_rules: {{ isolation: {isolation} }} }} }},");
        sliced().replace("[nuance,", &by)
    };
    let folder = experiment(&by("none"));
    std::fs::write(folder.path().join("isolated.yaml"), by("process")).unwrap();
    let mut hashes = BTreeSet::new();
    for (file, threads) in [("x.yaml", "1"), ("x.yaml", "8"), ("isolated.yaml", "2")] {
        let name = format!("{file}-{threads}");
        let output = orchestrator(&["run", file, "--run-dir", &name, "--json"], folder.path())
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        hashes.insert(hash(&output.stdout));
    }
    assert_eq!(hashes.len(), 1);
    // Killed and resumed, at whatever moment.
    let whole = hashes.into_iter().next().unwrap();
    let mut interrupted = 0;
    for milliseconds in [10u64, 60, 120, 240, 400, 700] {
        let name = format!("killed-{milliseconds}");
        let mut child = orchestrator(
            &["run", "x.yaml", "--run-dir", &name, "--json"],
            folder.path(),
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
        while !folder.path().join(&name).join("store.db").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        interrupted += usize::from(!child.wait().unwrap().success());
        let printed = succeed(&["resume", &name, "--json"], folder.path());
        assert_eq!(hash(printed.as_bytes()), whole, "{milliseconds} ms");
    }
    assert!(interrupted > 0, "every run was over before it was killed");
}
