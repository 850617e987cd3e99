//! An experiment from YAML to report, as a user runs it: the same whatever the threads, wherever it was interrupted.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use orchestrator_tests::{
    experiment, fail, library, orchestrator, refreshed_experiment, repository, run,
    small_experiment, succeed,
};
use serde_json::Value;

fn outcome(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What must be equal between equal runs: the store's content and the model's bytes.
fn identity(folder: &Path, outcome: &Value) -> (String, Vec<u8>) {
    let model = folder.join("model/0_StaticEmbedding/model.safetensors");
    (
        outcome["content_hash"].as_str().unwrap().to_owned(),
        std::fs::read(model).unwrap(),
    )
}

#[test]
fn a_run_leaves_samples_a_model_a_store_and_a_report() {
    let folder = experiment(&small_experiment());
    let folder = folder.path();
    let result = outcome(&succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder,
    ));
    assert!(
        result["results"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["model"] == "trained" && row["split"] == "test")
    );
    for name in [
        "experiment.yaml",
        "plan.json",
        "store.db",
        "report.html",
        "model/modules.json",
        "model/0_StaticEmbedding/tokenizer.json",
    ] {
        assert!(folder.join("r").join(name).is_file(), "{name}");
    }
    let store = rusqlite::Connection::open(folder.join("r/store.db")).unwrap();
    let count = |sql: &str| {
        store
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    for table in [
        "run",
        "tick",
        "plugin",
        "text",
        "document",
        "anchor",
        "judgement",
        "sample",
        "provenance",
        "verdict",
        "score",
        "use",
        "metric",
        "evaluation",
        "annotation",
        "checkpoint",
        "event",
    ] {
        assert!(
            count(&format!("SELECT count(*) FROM {table}")) > 0,
            "{table} is empty"
        );
    }
    // Every sample says where it is from; every kept one was scored; nothing dropped was used.
    assert_eq!(
        count(
            "SELECT count(*) FROM sample s WHERE NOT EXISTS (SELECT 1 FROM provenance p WHERE p.sample = s.id)"
        ),
        0
    );
    assert_eq!(
        count("SELECT count(*) FROM v_sample WHERE kept AND similarity IS NULL"),
        0
    );
    assert_eq!(
        count(
            "SELECT count(*) FROM use u JOIN verdict v ON v.sample = u.sample AND v.keep = 0 AND v.tick < u.tick"
        ),
        0
    );
    // Augmented samples name what they were made of; what was held back was not known before it was revealed.
    assert!(count("SELECT count(*) FROM sample WHERE parent IS NOT NULL") > 0);
    assert_eq!(
        count(
            "SELECT count(*) FROM sample s JOIN judgement j ON j.anchor = s.anchor AND j.document = s.document
             WHERE s.role = 'positive' AND j.held_back AND NOT EXISTS
               (SELECT 1 FROM annotation a WHERE a.anchor = s.anchor AND a.document = s.document AND a.tick <= s.tick)"
        ),
        0
    );
    // Validation and test claims have no samples.
    assert_eq!(
        count(
            "SELECT count(*) FROM sample s JOIN anchor a ON a.number = s.anchor WHERE a.split <> 'train'"
        ),
        0
    );
    // Easy epochs use easy negatives only, hard ones hard.
    assert_eq!(
        count(
            "SELECT count(*) FROM use u JOIN score c ON c.sample = u.sample AND c.model = 'initial'
             WHERE c.band IS NOT NULL AND ((u.epoch = 0 AND c.band <> 'easy') OR (u.epoch = 1 AND c.band <> 'hard'))
             AND NOT EXISTS (SELECT 1 FROM score l WHERE l.sample = u.sample AND l.tick > c.tick AND l.tick < u.tick)"
        ),
        0
    );
    let report = std::fs::read_to_string(folder.join("r/report.html")).unwrap();
    assert!(report.contains("Did it get better?") && report.len() < 2_000_000);
    assert!(
        !report.contains("http://") && !report.contains("https://"),
        "a report needs no network"
    );
    // The report can be drawn again, from the store alone.
    let again = succeed(&["report", "r", "--output", "again.html"], folder);
    assert_eq!(again.trim(), "again.html");
    assert_eq!(
        std::fs::read_to_string(folder.join("again.html")).unwrap(),
        report
    );
}

#[test]
fn the_thread_count_changes_nothing() {
    let folder = experiment(&refreshed_experiment());
    let folder = folder.path();
    let identities: Vec<_> = ["1", "2", "5"]
        .iter()
        .map(|threads| {
            let output = orchestrator(&["run", "x.yaml", "--run-dir", threads, "--json"], folder)
                .env("RAYON_NUM_THREADS", threads)
                .output()
                .unwrap();
            identity(
                &folder.join(threads),
                &outcome(&String::from_utf8(output.stdout).unwrap()),
            )
        })
        .collect();
    assert_eq!(identities[0], identities[1]);
    assert_eq!(identities[0], identities[2]);
    // And another seed changes everything.
    let other = outcome(&succeed(
        &[
            "run",
            "x.yaml",
            "--run-dir",
            "other",
            "--json",
            "--set",
            "seed=14",
        ],
        folder,
    ));
    assert_ne!(identity(&folder.join("other"), &other), identities[0]);
}

#[test]
fn a_run_killed_anywhere_resumes_to_the_same_end() {
    let folder = experiment(&refreshed_experiment());
    let folder = folder.path();
    let whole = outcome(&succeed(
        &["run", "x.yaml", "--run-dir", "whole", "--json"],
        folder,
    ));
    let expected = identity(&folder.join("whole"), &whole);
    let mut interrupted = 0;
    for (number, milliseconds) in [20u64, 60, 120, 200, 300, 420, 560, 800]
        .into_iter()
        .enumerate()
    {
        let name = format!("killed-{number}");
        let mut child = orchestrator(&["run", "x.yaml", "--run-dir", &name, "--json"], folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Until there is something to resume, then a while longer.
        while !folder.join(&name).join("store.db").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        interrupted += usize::from(!child.wait().unwrap().success());
        let resumed = outcome(&succeed(&["resume", &name, "--json"], folder));
        assert_eq!(
            identity(&folder.join(&name), &resumed),
            expected,
            "killed after {milliseconds} ms"
        );
    }
    assert!(interrupted > 0, "every run was over before it was killed");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_run_that_says_how_to_go_on() {
    let folder = experiment(&small_experiment().replace(
        "epochs: 1, difficulty: hard",
        "epochs: 400, difficulty: hard",
    ));
    let folder = folder.path();
    let child = orchestrator(&["run", "x.yaml", "--run-dir", "r"], folder)
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.join("r/checkpoints").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(400));
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{shown}");
    assert!(shown.contains("orchestrator resume r"), "{shown}");
}

#[test]
fn a_run_folder_is_never_overwritten() {
    let folder = experiment(&small_experiment());
    std::fs::create_dir(folder.path().join("r")).unwrap();
    let shown = fail(&["run", "x.yaml", "--run-dir", "r"], folder.path(), 2);
    assert!(
        shown.contains("the run folder `r` exists") && shown.contains("orchestrator resume r"),
        "{shown}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path().join("r")).unwrap().count(),
        0
    );
}

#[test]
fn a_newer_store_and_what_is_no_store_are_refused() {
    let folder = experiment("");
    let path = folder.path().join("store.db");
    let store = rusqlite::Connection::open(&path).unwrap();
    store
        .execute_batch(
            "PRAGMA application_id = 1869767528; PRAGMA user_version = 99; CREATE TABLE t (x);",
        )
        .unwrap();
    drop(store);
    let shown = fail(&["report", "."], folder.path(), 3);
    assert!(shown.contains("version 99"), "{shown}");
    std::fs::write(&path, "not a database at all, by any means").unwrap();
    let shown = fail(&["report", "."], folder.path(), 3);
    assert!(shown.contains("store"), "{shown}");
    assert!(!folder.path().join("report.html").exists());
    std::fs::remove_file(&path).unwrap();
    let shown = fail(&["report", "."], folder.path(), 2);
    assert!(shown.contains("is not the folder of a run"), "{shown}");
}

#[test]
fn changed_inputs_are_not_resumed() {
    let folder = experiment(&small_experiment());
    let folder = folder.path();
    let _ = succeed(&["run", "x.yaml", "--run-dir", "r", "--json"], folder);
    let plan = std::fs::read_to_string(folder.join("r/plan.json")).unwrap();
    let mut changed: Value = serde_json::from_str(&plan).unwrap();
    changed["data_fingerprint"] = "something else".into();
    std::fs::write(folder.join("r/plan.json"), changed.to_string()).unwrap();
    let shown = fail(&["resume", "r"], folder, 2);
    assert!(shown.contains("the data have changed"), "{shown}");
}

#[test]
fn a_loss_in_c_takes_part_in_a_run() {
    let folder = experiment(&small_experiment().replace(
        "losses: [{ mnrl: { weight: 0.6 } }",
        "losses: [{ org.example.triplet: { weight: 0.6, margin: 0.3 } }, { mnrl: { weight: 0.6 } }",
    ));
    let path = folder.path();
    let object = path.join(format!("triplet{}", std::env::consts::DLL_SUFFIX));
    let compiled = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args([
            "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-I",
        ])
        .arg(repository().join("plugins/abi/include"))
        .arg(repository().join("plugins/examples/triplet.c"))
        .arg("-o")
        .arg(&object)
        .arg("-lm")
        .status()
        .unwrap();
    assert!(compiled.success());
    let yaml = std::fs::read_to_string(path.join("x.yaml")).unwrap();
    std::fs::write(
        path.join("x.yaml"),
        format!("plugins: [triplet{}]\n{yaml}", std::env::consts::DLL_SUFFIX),
    )
    .unwrap();
    // Not pinned: refused, with the command that pins it.
    let shown = fail(&["run", "x.yaml", "--run-dir", "r"], path, 4);
    assert!(
        shown.contains("is not trusted") && shown.contains("orchestrator plugin trust"),
        "{shown}"
    );
    assert!(!path.join("r").exists());
    let _ = succeed(&["plugin", "trust", object.to_str().unwrap()], path);
    let result = outcome(&succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        path,
    ));
    assert!(result["steps"].as_u64().unwrap() > 0);
    let store = rusqlite::Connection::open(path.join("r/store.db")).unwrap();
    let (n, mean): (i64, f64) = store
        .query_row(
            "SELECT count(*), avg(value) FROM metric WHERE name = 'loss/triplet'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert!(n > 0 && mean > 0.0, "{n} {mean}");
    // Changed since: refused, with both hashes.
    let mut bytes = std::fs::read(&object).unwrap();
    bytes.push(0);
    std::fs::write(&object, bytes).unwrap();
    let shown = fail(&["run", "x.yaml", "--run-dir", "again"], path, 4);
    assert!(
        shown.contains("it has changed since it was pinned"),
        "{shown}"
    );
}

#[test]
fn plugins_are_listed_and_shown_with_their_settings() {
    let folder = experiment("");
    let listed = succeed(&["plugin", "list"], folder.path());
    for name in [
        "explicit_positive",
        "explicit_negative",
        "random",
        "hard_negative",
        "margin",
        "char_noise",
        "word_count",
        "retracted",
        "mnrl",
        "contrastive",
        "cosine_similarity",
    ] {
        assert!(listed.contains(name), "{name}:\n{listed}");
    }
    let shown = succeed(&["plugin", "show", "hard_negative"], folder.path());
    assert!(
        shown.contains("margin.relative") && shown.contains("default 50"),
        "{shown}"
    );
    assert!(
        fail(&["plugin", "show", "hard_negativ"], folder.path(), 2)
            .contains("did you mean `hard_negative`?")
    );
    assert!(library("orchestrator_losses").is_file());
    assert!(succeed(&["completions", "bash"], folder.path()).contains("orchestrator"));
}

#[test]
fn the_shipped_experiments_pass_the_schema_and_the_check() {
    let folder = experiment("");
    let schema: Value = serde_json::from_str(&succeed(&["schema"], folder.path())).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut seen = 0;
    let files = ["experiments", "experiments/techniques"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(repository().join(folder)).unwrap());
    for entry in files {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let value: Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let output = run(&["check", path.to_str().unwrap()], folder.path());
        let shown = String::from_utf8_lossy(&output.stderr);
        // The real SciFact and MiniLM are not in the repository: those, and nothing else, may be missing.
        let absent = [
            "corpus.jsonl",
            "orchestrator model pull sentence-transformers/",
        ];
        assert!(
            output.status.success() || absent.iter().any(|one| shown.contains(one)),
            "{}: {shown}",
            path.display()
        );
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn a_full_disk_ends_the_run_cleanly_and_it_can_be_resumed() {
    // A file-size limit of the shell stands in for a full disk: writes beyond it fail. It lets the libraries be copied, and
    // not a checkpoint of this many weights.
    let folder = experiment(&small_experiment().replace("dim: 32", "dim: 1024"));
    let folder = folder.path();
    let largest = ["samplers", "augmenters", "filters", "losses"]
        .iter()
        .map(|name| {
            std::fs::metadata(library(&format!("orchestrator_{name}")))
                .unwrap()
                .len()
        })
        .max()
        .unwrap();
    let limit = largest / 1024 + 64;
    assert!(
        limit * 1024 < 3 * 1024 * 4 * 2000,
        "the libraries are larger than a checkpoint"
    );
    let binary = orchestrator(&[], folder).get_program().to_owned();
    let script = format!(
        "trap '' XFSZ; ulimit -f {limit}; exec {} run x.yaml --run-dir r",
        binary.to_str().unwrap()
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(
        shown.contains("resume") && !shown.contains("panicked"),
        "{shown}"
    );
    assert!(
        !folder.join("r/report.html").exists(),
        "half a run has no report"
    );
    assert_eq!(
        std::fs::read_dir(folder.join("r/checkpoints"))
            .unwrap()
            .count(),
        0,
        "half a checkpoint"
    );
    let resumed = outcome(&succeed(&["resume", "r", "--json"], folder));
    let whole = outcome(&succeed(
        &["run", "x.yaml", "--run-dir", "whole", "--json"],
        folder,
    ));
    assert_eq!(
        identity(&folder.join("r"), &resumed),
        identity(&folder.join("whole"), &whole)
    );
}
