//! Sweeps and comparisons as a user runs them: every variant checked first, each run an ordinary one, the end the same
//! wherever it was stopped.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orchestrator_tests::{experiment, fail, orchestrator, repository, succeed};
use serde_json::{Value, json};

/// Lines 1 to 10, then a sweep from line 11 on.
const BASE: &str = "name: small
data: { corpus: { format: builtin }, test: test }
model: { encoder: { static: { dim: 32, vocabulary: 2000 } } }
samples:
  propose: [explicit_positive: {}]
train:
  batch: 8
  checkpoint_every: 4
  losses: [mnrl]
  schedule: [{ epochs: 1 }]
";

fn with(sweep: &str) -> String {
    format!("{BASE}{sweep}")
}

const TWO_BY_TWO: &str = "sweep:
  seeds: [13, 14]
  variants:
    plain: {}
    hard: { extends: plain, samples.propose+: { hard_negative: { per_anchor: 3 } } }
";

const RUNS: [&str; 4] = ["plain-13", "hard-13", "plain-14", "hard-14"];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// What each run of a sweep holds: the hash of its store, all but the clock, and its weights.
fn contents(folder: &Path, sweep: &str) -> BTreeMap<String, (String, Vec<u8>)> {
    let of = |name: &&str| {
        let run = format!("{sweep}/{name}");
        let outcome = parsed(&succeed(&["resume", &run, "--json"], folder));
        let model = folder
            .join(&run)
            .join("model/0_StaticEmbedding/model.safetensors");
        let hash = outcome["content_hash"].as_str().unwrap().to_owned();
        ((*name).to_owned(), (hash, std::fs::read(model).unwrap()))
    };
    RUNS.iter().map(of).collect()
}

fn wait_until(child: &mut Child, what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before {what}"
        );
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_sweep_ends_the_same_wherever_it_is_stopped_and_its_runs_are_ordinary_runs() {
    let folder = experiment(&with(TWO_BY_TWO));
    let folder = folder.path();
    let whole = parsed(&succeed(
        &["run", "x.yaml", "--run-dir", "whole", "--json"],
        folder,
    ));
    assert_eq!(whole["finished"], 4);
    let expected = contents(folder, "whole");
    for name in RUNS {
        assert!(
            folder
                .join("whole")
                .join(name)
                .join("report.html")
                .is_file()
        );
    }
    // The same by itself, from what the sweep keeps of its experiment.
    let alone = parsed(&succeed(
        &[
            "run",
            "whole/experiments/hard-14.yaml",
            "--run-dir",
            "alone",
            "--json",
        ],
        folder,
    ));
    assert_eq!(alone["content_hash"], expected["hard-14"].0.as_str());
    // What differs is what the variant says; the seeds do.
    let plan =
        |name: &str| parsed(&std::fs::read_to_string(folder.join(name).join("plan.json")).unwrap());
    let (plain, hard) = (plan("whole/plain-14"), plan("whole/hard-13"));
    assert_eq!(plain["experiment"]["name"], "small-plain");
    assert_eq!(
        (&plain["experiment"]["seed"], &hard["experiment"]["seed"]),
        (&14.into(), &13.into())
    );
    assert_eq!(
        plain["experiment"]["samples"]["propose"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        hard["experiment"]["samples"]["propose"][1]["settings"]["per_anchor"],
        3
    );

    // Asked to stop while its second run goes; then killed while its third does; then gone on with to the end.
    let mut sweep = start(&["run", "x.yaml", "--run-dir", "cut"], folder);
    wait_until(&mut sweep, "its second run", || {
        folder.join("cut/hard-13/store.db").is_file()
    });
    let told = Command::new("kill")
        .args(["-INT", &sweep.id().to_string()])
        .status()
        .unwrap();
    assert!(told.success());
    let stopped = sweep.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&stopped.stderr);
    assert_eq!(stopped.status.code(), Some(5), "{shown}");
    assert!(shown.contains("orchestrator resume cut"), "{shown}");
    assert!(
        !folder.join("cut/plain-14").exists(),
        "nothing is begun after it was asked to stop"
    );
    assert!(!folder.join("cut/comparison.json").exists());

    let mut sweep = start(&["resume", "cut"], folder);
    wait_until(&mut sweep, "its third run", || {
        folder.join("cut/plain-14/store.db").is_file()
    });
    // One process at a time.
    let refused = fail(&["resume", "cut"], folder, 2);
    assert!(refused.contains("another process"), "{refused}");
    sweep.kill().unwrap();
    sweep.wait().unwrap();

    // A run of it that somebody removed is begun again.
    std::fs::remove_dir_all(folder.join("cut/plain-13")).unwrap();
    let resumed = parsed(&succeed(
        &["resume", "cut", "--jobs", "2", "--json"],
        folder,
    ));
    assert_eq!(resumed["finished"], 4);
    assert_eq!(contents(folder, "cut"), expected);
    let comparison =
        |name: &str| std::fs::read_to_string(folder.join(name).join("comparison.json")).unwrap();
    assert_eq!(comparison("cut"), comparison("whole"));
    assert_eq!(parsed(&comparison("cut")), resumed["comparison"]);
    assert_eq!(whole["comparison"], resumed["comparison"]);
    let again = succeed(&["resume", "cut"], folder);
    assert!(
        again.contains("hard against plain") && again.contains("4 of 4 runs"),
        "{again}"
    );
    let refused = fail(&["run", "x.yaml", "--run-dir", "cut"], folder, 2);
    assert!(refused.contains("orchestrator resume cut"), "{refused}");

    a_comparison_says_what_the_stores_say(folder);
    runs_are_compared_by_their_folders(folder);
}

fn start(arguments: &[&str], folder: &Path) -> Child {
    let mut command = orchestrator(arguments, folder);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Test queries' values of a run.
fn values(folder: &Path, run: &str) -> BTreeMap<i64, f64> {
    let store = rusqlite::Connection::open(folder.join(run).join("store.db")).unwrap();
    let mut query = store
        .prepare(
            "SELECT e.anchor, e.value FROM evaluation e JOIN anchor a ON a.number = e.anchor
             WHERE e.model = 'trained' AND e.metric = 'ndcg@10' AND a.split = 'test'",
        )
        .unwrap();
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn row<'c>(comparison: &'c Value, slice: &str, metric: &str, variant: &str) -> &'c Value {
    let rows = comparison["rows"].as_array().unwrap().iter();
    let mut found = rows.filter(|row| {
        row["slice"] == slice && row["metric"] == metric && row["variant"] == variant
    });
    found
        .next()
        .unwrap_or_else(|| panic!("no row {slice} {metric} {variant}"))
}

fn a_comparison_says_what_the_stores_say(folder: &Path) {
    let comparison = parsed(&succeed(&["compare", "whole", "--json"], folder));
    let mean_over_seeds = |variant: &str| -> BTreeMap<i64, f64> {
        let one = values(folder, &format!("whole/{variant}-13"));
        let other = values(folder, &format!("whole/{variant}-14"));
        one.into_iter()
            .map(|(anchor, value)| (anchor, f64::midpoint(value, other[&anchor])))
            .collect()
    };
    let (plain, hard) = (mean_over_seeds("plain"), mean_over_seeds("hard"));
    let mean = |of: &BTreeMap<i64, f64>| of.values().sum::<f64>() / of.len() as f64;
    let found = row(&comparison, "test", "ndcg@10", "hard");
    let near = |key: &str, expected: f64| {
        let value = found[key].as_f64().unwrap();
        assert!(
            (value - expected).abs() < 1e-12,
            "{key}: {value}, {expected}"
        );
    };
    near("mean", mean(&hard));
    near("difference", mean(&hard) - mean(&plain));
    let wins = hard
        .iter()
        .filter(|(anchor, value)| **value > plain[anchor] + 1e-12)
        .count();
    assert_eq!(found["wins"], wins);
    assert_eq!(found["queries"], hard.len());
    let counted = ["wins", "ties", "losses"].map(|key| found[key].as_u64().unwrap());
    assert_eq!(counted.iter().sum::<u64>(), hard.len() as u64);
    let (p, corrected) = (
        found["p"].as_f64().unwrap(),
        found["p_holm"].as_f64().unwrap(),
    );
    assert!(
        0.0 < p && p <= corrected && corrected <= 1.0,
        "{p}, {corrected}"
    );
    assert!(found["low"].as_f64().unwrap() <= found["difference"].as_f64().unwrap());
    assert_eq!(found["by_seed"].as_array().unwrap().len(), 2);
    assert!(
        row(&comparison, "test", "ndcg@10", "plain")
            .get("p")
            .is_none()
    );
    // Validation, test, and the test queries of new documents where there are some, by four metrics.
    let rows = comparison["rows"].as_array().unwrap();
    assert_eq!(comparison["comparisons"], rows.len() / 2);
    assert!(rows.len() >= 16, "{}", rows.len());
    let paths = comparison["plans"][0]["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert_eq!(paths[0]["path"], "samples.propose.hard_negative");
    let sources = comparison["pools"][0]["sources"].as_array().unwrap();
    let of = |name: &str| sources.iter().find(|one| one["source"] == name).unwrap();
    assert!(of("hard_negative")["only_variant"].as_u64().unwrap() > 100);
    assert_eq!(of("hard_negative")["both"], 0);
    assert!(of("explicit_positive")["both"].as_u64().unwrap() > 100);
    assert_eq!(found["baseline"], "plain");
    // One metric alone is corrected for less.
    let fewer = parsed(&succeed(
        &["compare", "whole", "--metric", "ndcg@10", "--json"],
        folder,
    ));
    assert_eq!(fewer["comparisons"], rows.len() / 8);
    let alone = row(&fewer, "test", "ndcg@10", "hard");
    assert_eq!(alone["p"], found["p"]);
    assert!(alone["p_holm"].as_f64() <= found["p_holm"].as_f64());
}

fn runs_are_compared_by_their_folders(folder: &Path) {
    let arguments = [
        "compare",
        "whole/plain-13",
        "whole/hard-13",
        "--baseline",
        "whole/hard-13",
    ];
    let turned = succeed(&arguments, folder);
    assert!(turned.contains("plain-13 against hard-13"), "{turned}");
    assert!(
        turned.contains("samples.propose.hard_negative: left out"),
        "{turned}"
    );
    for (arguments, message) in [
        (&["compare", "alone"][..], "nothing to compare it to"),
        (&["compare", "alone", "alone"], "given twice"),
        (&["compare", "alone", "whole"], "is a sweep"),
        (
            &["compare", "alone", "experiments"],
            "is not the folder of a run",
        ),
        (
            &["compare", "whole", "--baseline", "hrad"],
            "--baseline can be plain, hard",
        ),
        (
            &["compare", "whole", "--metric", "ndcg@3"],
            "every run has ndcg@10",
        ),
        (&["resume", "alone", "--jobs", "2"], "--jobs is for sweeps"),
    ] {
        let shown = fail(arguments, folder, 2);
        assert!(shown.contains(message), "{arguments:?}: {shown}");
    }
    // Other data: only some of the corpus' fields.
    let other = BASE.replace("format: builtin", "format: builtin, fields: [biomedicine]");
    std::fs::write(folder.join("other.yaml"), other).unwrap();
    let _ = succeed(&["run", "other.yaml", "--run-dir", "other"], folder);
    let shown = fail(&["compare", "alone", "other"], folder, 2);
    assert!(shown.contains("are over different data"), "{shown}");
    // Half a run has no result.
    let store = rusqlite::Connection::open(folder.join("alone/store.db")).unwrap();
    store
        .execute(
            "UPDATE tick SET detail = 'cut' WHERE detail LIKE 'trained = %'",
            [],
        )
        .unwrap();
    let shown = fail(&["compare", "whole/plain-13", "alone"], folder, 2);
    assert!(
        shown.contains("is not finished") && shown.contains("orchestrator resume alone"),
        "{shown}"
    );
}

#[test]
fn a_run_that_fails_or_crashes_leaves_the_others_alone() {
    let sweep = "sweep:
  variants:
    plain: {}
    nothing: { samples.filter+: { word_count: { min_words: 100000 } } }
    random: { samples.propose+: random }
    more: { extends: random, samples.propose.random.per_anchor: 6 }
";
    let folder = experiment(&with(sweep));
    let folder = folder.path();
    let shown = fail(&["run", "x.yaml", "--run-dir", "s"], folder, 3);
    assert!(
        shown.contains("no positives are left to train on"),
        "{shown}"
    );
    assert!(
        shown.contains("in the run `nothing-13` of the sweep s"),
        "{shown}"
    );
    let comparison = parsed(&succeed(&["compare", "s", "--json"], folder));
    let names: Vec<&Value> = comparison["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["plain", "random", "more"]);
    // What each adds to what it extends.
    let stepwise = parsed(&succeed(&["compare", "s", "--stepwise", "--json"], folder));
    let pairs = stepwise["plans"].as_array().unwrap().iter();
    let pairs: Vec<_> = pairs
        .map(|one| (&one["variant"], &one["baseline"], &one["paths"][0]["path"]))
        .collect();
    let settings = "samples.propose.random.settings.per_anchor";
    assert_eq!(
        json!(pairs),
        json!([
            ["random", "plain", "samples.propose.random"],
            ["more", "random", settings]
        ])
    );
    assert_eq!(
        row(&stepwise, "test", "ndcg@10", "more")["baseline"],
        "random"
    );
    let text = succeed(&["compare", "s", "--stepwise"], folder);
    assert!(text.contains("more against random"), "{text}");
    // It fails again, with the same code, and in JSON with its error as an object.
    let shown = fail(&["resume", "s", "--json"], folder, 3);
    assert_eq!(parsed(&shown)["errors"][0]["kind"], "data", "{shown}");
}

#[test]
fn what_is_wrong_with_a_sweep_is_told_at_its_line_before_anything_runs() {
    let folder = experiment("");
    for (sweep, message, place) in [
        ("sweep: {}", "`sweep` asks for nothing", "11:8"),
        ("sweep: { seed: [1] }", "did you mean `seeds`?", "11:10"),
        ("sweep: { seeds: 3 }", "`seeds` must be a list", "11:17"),
        (
            "sweep: { seeds: [1, 1] }",
            "the seed 1 is here a second time",
            "11:21",
        ),
        ("sweep: { seeds: [-1] }", "whole numbers", "11:18"),
        (
            "sweep:\n  seeds: [1]\n  variants: { a: { seed: 2 } }",
            "`sweep.seeds` says the seeds",
            "13:20",
        ),
        (
            "sweep:\n  variants: { a: 3 }",
            "`a` must be a group of changes by path",
            "12:18",
        ),
        ("sweep:\n  variants: { a/b: {} }", "names a folder", "12:15"),
        (
            "sweep:\n  variants: { plain: {}, b: { extends: plan } }",
            "did you mean `plain`?",
            "12:40",
        ),
        (
            "sweep:\n  variants: { a: { extends: b }, b: { extends: a } }",
            "extends itself",
            "12:48",
        ),
        (
            "sweep:\n  variants: { plain: {}, b: {} }\n  only: [b, plan]",
            "did you mean `plain`?",
            "13:13",
        ),
        (
            "sweep: { seeds: [1], only: [b] }",
            "give `sweep.variants`",
            "11:29",
        ),
        (
            "sweep:\n  variants:\n    a:\n      train.batch+: 3",
            "is a number, not a list that can be added to",
            "14:7",
        ),
        (
            "sweep:\n  variants:\n    a:\n      samples.propose.random.top_k: 3",
            "the list before `random` has no such item",
            "14:7",
        ),
        // In the experiment that a change makes: at the change, and in which variant.
        (
            "sweep:\n  variants:\n    a: {}\n    b:\n      train.bacth: 3",
            "did you mean `batch`?",
            "15:7",
        ),
        (
            "sweep:\n  variants:\n    a: {}\n    b:\n      train.batch: none",
            "in the variant b",
            "15:20",
        ),
        (
            "sweep:\n  variants:\n    a: {}\n    b:\n      samples.propose+:\n        - hard_negativ: { per_anchor: 3 }",
            "did you mean `hard_negative`?",
            "16:11",
        ),
        (
            "sweep:\n  matrix: { train.batch: 3 }",
            "a list of values",
            "12:26",
        ),
        (
            "sweep:\n  matrix: { train.batch: [8, 0] }",
            "in the variant batch-0",
            "12:30",
        ),
    ] {
        std::fs::write(folder.path().join("x.yaml"), with(sweep)).unwrap();
        for command in ["check", "run"] {
            let shown = fail(&[command, "x.yaml"], folder.path(), 2);
            assert!(shown.contains(message), "{sweep}\n{shown}");
            assert!(
                shown.contains(&format!("x.yaml:{place}")),
                "{sweep}, {place}\n{shown}"
            );
        }
    }
    // What is wrong with the experiment itself is told once, not for each variant.
    let wrong = with(TWO_BY_TWO).replace("losses: [mnrl]", "losses: [mrnl]");
    std::fs::write(folder.path().join("x.yaml"), wrong).unwrap();
    let shown = fail(&["check", "x.yaml"], folder.path(), 2);
    assert_eq!(shown.matches("did you mean `mnrl`?").count(), 1, "{shown}");
    assert!(
        !shown.contains("in the variant") && !folder.path().join("runs").exists(),
        "{shown}"
    );
}

#[test]
fn variants_and_a_matrix_are_multiplied_and_a_file_may_change_another_files_sweep() {
    let sweep = "sweep:
  variants:
    plain: {}
    noisy: { samples.augment+: char_noise }
    noisier: { extends: noisy, samples.augment.char_noise.delete: 0.5, samples.propose.0.explicit_positive.join: both }
  matrix:
    train.batch: [8, 16]
    train.schedule: [[{ epochs: 1 }], [{ epochs: 2 }]]
";
    let folder = experiment(&with(sweep));
    let listed = parsed(&succeed(&["check", "x.yaml", "--json"], folder.path()));
    let variants = listed["sweep"]["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 12);
    let last = variants.last().unwrap();
    assert_eq!(last["name"], "noisier_batch-16_schedule-2");
    let plan = &last["plan"]["experiment"];
    assert_eq!(plan["train"]["batch"], 16);
    assert_eq!(plan["train"]["schedule"][0]["epochs"], 2);
    assert_eq!(plan["samples"]["augment"][0]["settings"]["delete"], 0.5);
    assert_eq!(plan["samples"]["propose"][0]["settings"]["join"], "both");
    let over = "extends: x.yaml
sweep:
  seeds: [1, 2, 3]
  matrix: { train.batch: [4], train.schedule: [[{ epochs: 1 }]] }
  variants: { longer: { train.schedule: [{ epochs: 5 }] } }
  only: [plain, noisy, longer]
";
    std::fs::write(folder.path().join("y.yaml"), over).unwrap();
    let listed = parsed(&succeed(&["check", "y.yaml", "--json"], folder.path()));
    assert_eq!(listed["sweep"]["runs"], 9);
    // And the command line one of both; without its sweep, a file is one experiment.
    let text = succeed(
        &["check", "y.yaml", "--set", "sweep.seeds=[7]"],
        folder.path(),
    );
    assert!(text.contains("runs: 3") && text.contains("- 7"), "{text}");
    let one = succeed(&["check", "y.yaml", "--set", "sweep="], folder.path());
    assert!(one.contains("data_fingerprint"), "{one}");
}

#[test]
fn the_ablation_adds_one_technique_with_each_variant() {
    let folder = experiment("");
    let file = repository().join("experiments/ablation.yaml");
    let file = file.to_str().unwrap();
    let listed = parsed(&succeed(&["check", file, "--json"], folder.path()));
    assert_eq!(listed["sweep"]["runs"], 33);
    let variants = listed["sweep"]["variants"].as_array().unwrap();
    for pair in variants.windows(2) {
        let [before, after] = pair else {
            unreachable!()
        };
        assert_eq!(after["extends"], before["name"]);
        assert_eq!(after["changes"].as_object().unwrap().len(), 1, "{after}");
    }
    // None of them, and all of them together.
    let arguments = ["run", file, "--run-dir", "s"];
    let set = ["seeds=[13]", "only=[plain, ratio]"].map(|value| format!("sweep.{value}"));
    let set = set.iter().flat_map(|value| ["--set", value]);
    let arguments: Vec<&str> = arguments.into_iter().chain(set).collect();
    let shown = succeed(&arguments, folder.path());
    assert!(shown.contains("ratio against plain"), "{shown}");
    assert!(shown.contains("2 of 2 runs are finished"), "{shown}");
    for path in ["samples.propose.same_topic", "train.negatives_per_positive"] {
        assert!(shown.contains(path), "{path}: {shown}");
    }
}

#[test]
fn the_experiments_that_compare_run_on_the_built_in_corpus() {
    let folder = experiment("");
    for (name, only, against) in [
        (
            "curriculum",
            "[plain, paced, adaptive]",
            "adaptive against plain",
        ),
        (
            "dynamic-mining",
            "[once, every-epoch]",
            "every-epoch against once",
        ),
        (
            "active-learning",
            "[nobody, margin, cold]",
            "cold against nobody",
        ),
    ] {
        let file = repository().join(format!("experiments/{name}.yaml"));
        let only = format!("sweep.only={only}");
        let shown = succeed(
            &[
                "run",
                file.to_str().unwrap(),
                "--run-dir",
                name,
                "--set",
                "sweep.seeds=[13]",
                "--set",
                &only,
            ],
            folder.path(),
        );
        assert!(shown.contains(against), "{shown}");
    }
}
