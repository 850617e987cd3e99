//! Runs whose plugins have processes of their own: the same results, stopped like any other, and nothing left behind.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orchestrator_tests::{
    c_library, experiment, fail, orchestrator, refreshed_experiment, repository, small_experiment,
    succeed,
};

/// The small experiment with every plugin in a process of its own.
fn all_isolated() -> String {
    let mut text = refreshed_experiment();
    for (from, to) in [
        ("{ join: both }", "{ join: both, isolation: process }"),
        (
            "- explicit_negative\n",
            "- explicit_negative: { isolation: process }\n",
        ),
        ("{ per_anchor: 2 }", "{ per_anchor: 2, isolation: process }"),
        ("{ per_anchor: 3,", "{ per_anchor: 3, isolation: process,"),
        ("char_noise: {}", "char_noise: { isolation: process }"),
        ("{ min_words: 8 }", "{ min_words: 8, isolation: process }"),
        ("- retracted\n", "- retracted: { isolation: process }\n"),
        ("{ weight: 0.6 }", "{ weight: 0.6, isolation: process }"),
        (
            "{ weight: 0.3 }",
            "{ weight: 0.3, isolation: { process: { timeout: 60 } } }",
        ),
        ("{ weight: 0.1 }", "{ weight: 0.1, isolation: process }"),
        (
            "select: margin",
            "select: { margin: { isolation: process } }",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

fn finished(text: &str) -> (serde_json::Value, Vec<u8>, String) {
    let folder = experiment(text);
    let told = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder.path(),
    );
    let model = std::fs::read(
        folder
            .path()
            .join("r/model/0_StaticEmbedding/model.safetensors"),
    )
    .unwrap();
    let plan = std::fs::read_to_string(folder.path().join("r/plan.json")).unwrap();
    (serde_json::from_str(&told).unwrap(), model, plan)
}

#[test]
fn samples_model_and_plan_are_the_same_bytes_with_every_plugin_in_its_own_process() {
    // Where a step stands in the file is in the plan: so it stands at one place in both.
    let here = refreshed_experiment().replace("select: margin", "select: { margin: {} }");
    let (here, model_here, plan_here) = finished(&here);
    let (there, model_there, plan_there) = finished(&all_isolated());
    assert_eq!(here["content_hash"], there["content_hash"]);
    assert_eq!(here["results"], there["results"]);
    assert!(model_here == model_there);
    assert_eq!(plan_here, plan_there);
}

fn wild(folder: &Path, how: &str, isolation: &str) -> String {
    let source = std::fs::read_to_string(repository().join("tests/fixtures/misbehaving.c"));
    let bad = c_library(folder, "misbehaving", &source.unwrap(), &[]);
    let _ = succeed(&["plugin", "trust", bad.to_str().unwrap()], folder);
    let text = small_experiment().replacen(
        "    - explicit_negative\n",
        &format!("    - wild_sampler: {{ how: {how}, isolation: {isolation} }}\n"),
        1,
    );
    format!("plugins: [\"{}\"]\n{text}", bad.display())
}

fn begin(folder: &Path, text: &str) -> Child {
    std::fs::write(folder.join("x.yaml"), text).unwrap();
    orchestrator(&["run", "x.yaml", "--run-dir", "r"], folder)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The number of the process that the plugin tells on standard error.
fn told_pid(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().starts_with("pid "));
    line.unwrap().unwrap()["pid ".len()..].to_owned()
}

/// Whether a process of that number is there and has not ended.
fn is_there(pid: &str) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", pid]).output();
    let state = String::from_utf8(output.unwrap().stdout).unwrap();
    !state.trim().is_empty() && !state.starts_with('Z')
}

fn gone(pid: &str) -> bool {
    let began = Instant::now();
    while is_there(pid) && began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    !is_there(pid)
}

#[test]
fn a_run_that_is_stopped_ends_a_plugin_that_does_not_listen_and_keeps_the_store() {
    let folder = experiment("");
    let text = wild(folder.path(), "tells_and_hangs", "process");
    let mut run = begin(folder.path(), &text);
    let pid = told_pid(&mut run);
    let stop = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(stop.unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(5));
    assert!(gone(&pid));
    assert!(folder.path().join("r/store.db").is_file());
    assert!(!folder.path().join("r/report.html").exists());
}

#[test]
fn a_run_that_is_killed_leaves_no_process_behind_even_if_the_plugin_hangs() {
    let folder = experiment("");
    let text = wild(folder.path(), "tells_and_hangs", "process");
    let mut run = begin(folder.path(), &text);
    let pid = told_pid(&mut run);
    assert!(is_there(&pid));
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(gone(&pid), "process {pid} is still there");
}

#[test]
fn what_a_plugin_prints_does_not_get_among_what_the_run_prints() {
    let folder = experiment("");
    std::fs::write(
        folder.path().join("x.yaml"),
        wild(folder.path(), "prints", "process"),
    )
    .unwrap();
    let arguments = ["run", "x.yaml", "--run-dir", "r", "--json"];
    let told = succeed(&arguments, folder.path());
    assert!(
        serde_json::from_str::<serde_json::Value>(&told).is_ok(),
        "{told}"
    );
}

#[test]
fn a_library_that_crashes_while_it_is_loaded_is_an_error_of_every_command_that_needs_it() {
    let folder = experiment("");
    let source = std::fs::read_to_string(repository().join("tests/fixtures/misbehaving.c"));
    let bad = c_library(
        folder.path(),
        "initialiser",
        &source.unwrap(),
        &["-DINITIALISER"],
    );
    let refused = fail(
        &["plugin", "trust", bad.to_str().unwrap()],
        folder.path(),
        4,
    );
    assert!(refused.contains("signal 11"), "{refused}");
    // `plugin trust` looks into it first, and would not pin it.
    orchestrator_plugin_host::trust(&bad, &folder.path().join("plugins.lock")).unwrap();
    std::fs::write(
        folder.path().join("x.yaml"),
        format!("plugins: [\"{}\"]\n{}", bad.display(), small_experiment()),
    )
    .unwrap();
    for command in ["check", "run"] {
        let shown = fail(&[command, "x.yaml"], folder.path(), 4);
        assert!(
            shown.contains("initialiser") && shown.contains("crashed in load: signal 11"),
            "{shown}"
        );
    }
}

#[test]
fn isolation_that_cannot_be_is_shown_at_its_line() {
    for (from, to, said) in [
        (
            "name: small",
            "name: small\nisolation: proces",
            &[
                "`isolation` cannot be `proces`",
                "did you mean `process`?",
                "x.yaml:2:12",
            ][..],
        ),
        (
            "name: small",
            "name: small\nisolation: 3",
            &[
                "`isolation` cannot be `3`",
                "none, process, or { process:",
                "x.yaml:2:12",
            ],
        ),
        (
            "name: small",
            "name: small\nisolation: { thread: {} }",
            &["`isolation` cannot be", "x.yaml:2:12"],
        ),
        (
            "{ per_anchor: 2 }",
            "{ per_anchor: 2, isolation: { process: { timeout: 0 } } }",
            &[
                "`timeout` must be a whole number of at least 1",
                "x.yaml:8:",
            ],
        ),
        (
            "{ per_anchor: 2 }",
            "{ per_anchor: 2, isolation: { process: { memory: 9 } } }",
            &["unknown key `memory`", "x.yaml:8:"],
        ),
        (
            "{ per_anchor: 2 }",
            "{ per_anchor: 2, isolations: process }",
            &[
                "`random` has no setting `isolations`",
                "did you mean `isolation`?",
            ],
        ),
    ] {
        let text = small_experiment().replacen(from, to, 1);
        assert!(text.contains(to), "{from}");
        let folder = experiment(&text);
        let shown = fail(&["check", "x.yaml"], folder.path(), 2);
        for part in said {
            assert!(shown.contains(part), "{to}: {part} is not in\n{shown}");
        }
    }
}

#[test]
fn a_setting_that_a_schema_does_not_list_is_refused_even_if_the_schema_does_not_say_so() {
    let folder = experiment("");
    let source = std::fs::read_to_string(repository().join("tests/fixtures/misbehaving.c"));
    let source = source
        .unwrap()
        .replace("\\\"additionalProperties\\\":false,", "");
    assert!(!source.contains("additionalProperties"));
    let bad = c_library(folder.path(), "open", &source, &[]);
    let _ = succeed(&["plugin", "trust", bad.to_str().unwrap()], folder.path());
    let text = small_experiment().replacen(
        "    - explicit_negative\n",
        "    - wild_sampler: { how: well, hwo: ill }\n",
        1,
    );
    let text = format!("plugins: [\"{}\"]\n{text}", bad.display());
    std::fs::write(folder.path().join("x.yaml"), text).unwrap();
    let shown = fail(&["check", "x.yaml"], folder.path(), 2);
    assert!(
        shown.contains("`wild_sampler` has no setting `hwo`"),
        "{shown}"
    );
}
