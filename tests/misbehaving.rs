//! Plugins that break the interface are named, and the run ends with the store consistent.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use orchestrator_tests::{
    c_library, experiment, fail, library, repository, run, small_experiment, succeed,
};
use sha2::{Digest as _, Sha256};

/// (where in the experiment, what is put there, what the error says)
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: panic }\n",
        &["`bad_sampler` panicked in propose: the sampler fell over"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: anchor }\n",
        &["anchor 1000000"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: document }\n",
        &["document 1000000"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: label }\n",
        &["the label 1.5"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: weight }\n",
        &["the weight NaN"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: score }\n",
        &["the score inf"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: text }\n",
        &["an empty text"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: detail }\n",
        &["not a JSON object: not json"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: parent }\n",
        &["parent 0"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: endless }\n",
        &["it emitted more than ", " samples for the "],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: swallows }\n",
        &["anchor -7"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: error }\n",
        &["the moon is in the wrong phase"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: metric }\n",
        &["the metric `worth/seeing` is inf"],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: metric_name }\n",
        &["a metric called \"Not A Name\""],
    ),
    (
        "    - explicit_negative\n",
        "    - bad_sampler: { how: service }\n",
        &["`bad_sampler` failed in propose"],
    ),
    (
        "    - retracted\n",
        "    - bad_filter: { how: panic }\n",
        &["`bad_filter` panicked in judge: the filter fell over"],
    ),
    (
        "    - retracted\n",
        "    - bad_filter: { how: score }\n",
        &["score[0] is inf"],
    ),
    (
        "    - char_noise: {}\n",
        "    - bad_augmenter\n",
        &["a sample without a parent"],
    ),
    (
        "mnrl: {",
        "bad_loss: { how: panic,",
        &["`bad_loss` panicked in forward: the loss fell over"],
    ),
    (
        "mnrl: {",
        "bad_loss: { how: gradient,",
        &["the gradient of text 0 is NaN"],
    ),
    (
        "mnrl: {",
        "bad_loss: { how: row,",
        &["the loss of row 0 is infinite"],
    ),
    (
        "mnrl: {",
        "bad_loss: { how: index,",
        &["panicked in forward: index out of bounds"],
    ),
    ("mnrl: {", "bad_loss: { how: nan,", &["the loss is NaN"]),
    (
        "select: margin",
        "select: { bad_selector: { how: range } }",
        &["row ", " of a pool of "],
    ),
    (
        "select: margin",
        "select: { bad_selector: { how: twice } }",
        &["row 0 twice"],
    ),
];

/// What a library in C does. (where, what is put there, what the error says, whether that is so in the run's own process too)
const WILD: &[(&str, &str, &str, bool)] = &[
    (
        SAMPLER,
        "segfault",
        "`wild_sampler` crashed in propose: signal 11 (SIGSEGV",
        false,
    ),
    (
        SAMPLER,
        "abort",
        "`wild_sampler` crashed in propose: signal 6 (SIGABRT",
        false,
    ),
    (
        SAMPLER,
        "exit",
        "crashed in propose: it ended the process with exit code 3",
        false,
    ),
    (
        SAMPLER,
        "hang",
        "`wild_sampler` took more than 2 s in propose, and was ended",
        false,
    ),
    (
        SAMPLER,
        "memory",
        "crashed in propose: signal 6 (SIGABRT",
        false,
    ),
    (
        SAMPLER,
        "endless_and_deaf",
        "`wild_sampler` took more than 2 s in propose",
        false,
    ),
    (
        SAMPLER,
        "crash_in_create",
        "`wild_sampler` crashed in create: signal 11",
        false,
    ),
    (SAMPLER, "text", "a text that is not UTF-8", true),
    (SAMPLER, "detail", "a detail that is not UTF-8", true),
    (
        SAMPLER,
        "counters",
        "it named more than 1000 counters",
        true,
    ),
    (
        SAMPLER,
        "undeclared",
        "the setting `/secret`, which its schema does not declare",
        true,
    ),
    (
        AUGMENTER,
        "segfault",
        "`wild_augmenter` crashed in augment: signal 11",
        false,
    ),
    (
        AUGMENTER,
        "parent",
        "`wild_augmenter` broke the interface in augment",
        true,
    ),
    (
        FILTER,
        "segfault",
        "`wild_filter` crashed in judge: signal 11",
        false,
    ),
    (
        FILTER,
        "crash_in_prepare",
        "`wild_filter` crashed in prepare: signal 11",
        false,
    ),
    (FILTER, "past_keep", "it wrote keep[", true),
    (FILTER, "before_keep", "it wrote keep[-1], of ", true),
    (FILTER, "past_score", "it wrote score[", true),
    (FILTER, "keep", "keep[0] is 2, neither 0 nor 1", true),
    (
        FILTER,
        "reason",
        "a reason for row 0 that is not UTF-8",
        true,
    ),
    (FILTER, "reason_row", "it gave a reason for row", true),
    (
        LOSS,
        "segfault",
        "`wild_loss` crashed in forward: signal 11",
        false,
    ),
    (
        LOSS,
        "crash_in_needs",
        "`wild_loss` crashed in needs: signal 11",
        false,
    ),
    (
        LOSS,
        "hang",
        "`wild_loss` took more than 2 s in forward, and was ended",
        false,
    ),
    (LOSS, "nan", "the loss is NaN", true),
    (LOSS, "past_row_loss", "it wrote row_loss[", true),
    (LOSS, "past_gradient", "it wrote gradient[", true),
    (
        LOSS,
        "far_past_gradient",
        "`wild_loss` crashed in forward: signal 11",
        false,
    ),
    (
        SELECTOR,
        "segfault",
        "`wild_selector` crashed in select: signal 11",
        false,
    ),
    (SELECTOR, "many", "it chose 11 rows of a budget of 10", true),
    (SELECTOR, "past_chosen", "it wrote chosen[", true),
    (
        SELECTOR,
        "range",
        "`wild_selector` broke the interface in select: it chose row",
        true,
    ),
];

const SAMPLER: &str = "    - explicit_negative\n=    - wild_sampler: { how: HOW }\n";
const AUGMENTER: &str = "    - char_noise: {}\n=    - wild_augmenter: { how: HOW }\n";
const FILTER: &str = "    - retracted\n=    - wild_filter: { how: HOW }\n";
const LOSS: &str = "mnrl: {=wild_loss: { how: HOW,";
const SELECTOR: &str = "select: margin=select: { wild_selector: { how: HOW } }";

fn consistent(path: &Path) {
    let store = rusqlite::Connection::open(path).unwrap();
    let check: String = store
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let broken: i64 = store
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(broken, 0);
}

/// Runs an experiment with a plugin of `bad` that ends it: the error names the plugin and says what it did, the store is
/// whole, and `resume` goes on to where it ended; or there is no run yet.
fn ends_well(bad: &Path, text: &str, isolation: &str, said: &[&str]) {
    let folder = experiment(&format!(
        "plugins: [\"{}\"]\n{isolation}{text}",
        bad.display()
    ));
    let path = folder.path();
    let _ = succeed(&["plugin", "trust", bad.to_str().unwrap()], path);
    let shown = fail(&["run", "x.yaml", "--run-dir", "r"], path, 4);
    for part in said {
        assert!(shown.contains(part), "{isolation}{part} is not in\n{shown}");
    }
    if shown.contains(" in create") {
        // Before there was a run.
        assert!(!path.join("r").exists(), "{isolation}{said:?}");
        return;
    }
    consistent(&path.join("r/store.db"));
    assert!(!path.join("r/report.html").exists(), "{isolation}{said:?}");
    let again = fail(&["resume", "r"], path, 4);
    assert!(again.contains(said[0]), "{isolation}{said:?}\n{again}");
    consistent(&path.join("r/store.db"));
}

/// The shipped plugins stay where they are: only what was not shipped runs in a process of its own.
const ISOLATED: &str = "isolation: { process: { timeout: 2, memory_mib: 256 } }\n";

fn violations_end_well(isolation: &str) {
    let bad = library("orchestrator_misbehaving");
    for (from, to, said) in CASES {
        let text = small_experiment().replacen(from, to, 1);
        assert!(text.contains(to), "{from}");
        ends_well(&bad, &text, isolation, said);
    }
}

#[test]
fn every_violation_is_named_and_leaves_a_consistent_store() {
    violations_end_well("");
}

#[test]
fn every_violation_is_named_and_leaves_a_consistent_store_in_a_process_of_its_own() {
    violations_end_well(ISOLATED);
}

fn wild_plugins_end_well(isolation: &str) {
    let folder = experiment("");
    let source = std::fs::read_to_string(repository().join("tests/fixtures/misbehaving.c"));
    let bad = c_library(folder.path(), "misbehaving", &source.unwrap(), &[]);
    for (place, how, said, in_process_too) in WILD {
        if isolation.is_empty() && !in_process_too {
            continue;
        }
        let (from, to) = place.split_once('=').unwrap();
        let text = small_experiment().replacen(from, &to.replace("HOW", how), 1);
        assert!(text.contains(how), "{from}");
        ends_well(&bad, &text, isolation, &[said]);
    }
}

#[test]
fn what_can_be_caught_of_a_wild_library_is_caught_in_process() {
    wild_plugins_end_well("");
}

#[test]
fn a_wild_library_is_contained_in_a_process_of_its_own() {
    wild_plugins_end_well(ISOLATED);
}

#[test]
fn a_setting_that_only_the_plugin_can_refuse_is_shown_at_its_line() {
    let bad = library("orchestrator_misbehaving");
    let text = small_experiment().replace(
        "    - explicit_negative\n",
        "    - bad_sampler: { how: refuses }\n",
    );
    let folder = experiment(&format!("plugins: [\"{}\"]\n{text}", bad.display()));
    let _ = succeed(&["plugin", "trust", bad.to_str().unwrap()], folder.path());
    let shown = fail(&["run", "x.yaml", "--run-dir", "r"], folder.path(), 2);
    assert!(
        shown.contains("`bad_sampler` refuses its settings: not today"),
        "{shown}"
    );
    assert!(shown.contains("x.yaml:8:27"), "{shown}");
}

#[test]
fn what_is_no_plugin_is_refused_with_a_reason() {
    let folder = experiment("");
    let path = folder.path();
    let compile = |name: &str, source: &str| {
        std::fs::write(path.join("source.c"), source).unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-I"])
            .arg(repository().join("plugins/abi/include"))
            .args(["source.c", "-o", name])
            .current_dir(path)
            .status()
            .unwrap();
        assert!(status.success());
    };
    let triplet = std::fs::read_to_string(repository().join("plugins/examples/triplet.c")).unwrap();
    std::fs::write(path.join("text.so"), "I am a text").unwrap();
    compile("empty.so", "int nothing;");
    compile(
        "magic.so",
        &triplet.replace("'O', 'R', 'C', 'H'", "'O', 'R', 'C', 'A'"),
    );
    compile(
        "major.so",
        &triplet.replace(".abi_major = ORCH_ABI_MAJOR", ".abi_major = 2"),
    );
    compile(
        "newer.so",
        &triplet.replace(".toolchain", ".min_host_minor = 7, .toolchain"),
    );
    compile(
        "schema.so",
        &triplet.replace("{\\\"type\\\":\\\"object\\\"", "{\\\"type\\\":\\\"obj"),
    );
    compile("ability.so", &triplet.replace("orch.loss/1", "orch.lost/1"));
    compile("id.so", &triplet.replace("org.example.triplet", "no dots"));
    compile(
        "service.so",
        &triplet.replace(
            ".requires_services = ORCH_STR(\"\")",
            ".requires_services = ORCH_STR(\"orch.moon/1\")",
        ),
    );
    compile(
        "twice.so",
        &triplet.replace("org.example.triplet", "org.orchestrator.mnrl"),
    );
    for (name, said) in [
        ("text.so", "is not a shared library"),
        ("empty.so", "does not export orch_plugin_entry_v1"),
        ("magic.so", "does not begin with ORCHPLUG"),
        (
            "major.so",
            "built for plugin ABI 2.0, this orchestrator has 1.2",
        ),
        (
            "newer.so",
            "built for plugin ABI 1.7, this orchestrator has 1.2",
        ),
        ("schema.so", "is not JSON"),
        ("ability.so", "lacks the ability of its kind"),
        ("id.so", "is not reverse DNS"),
        ("service.so", "requires the service `orch.moon/1`"),
        ("twice.so", "is in two libraries"),
    ] {
        // Where it can be told in time, it is not pinned in the first place; a lock written by hand helps nobody.
        let refused = run(&["plugin", "trust", name], path);
        let shown = String::from_utf8_lossy(&refused.stderr);
        assert!(
            shown.contains(said) || name == "twice.so" && refused.status.success(),
            "{name}: {shown}"
        );
        let bytes = std::fs::read(path.join(name)).unwrap();
        let hash: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let file = path.join(name).canonicalize().unwrap();
        std::fs::write(
            path.join("plugins.lock"),
            serde_json::json!({ file.to_str().unwrap(): hash }).to_string(),
        )
        .unwrap();
        std::fs::write(
            path.join("x.yaml"),
            format!("plugins: [{name}]\n{}", small_experiment()),
        )
        .unwrap();
        let shown = fail(&["check", "x.yaml"], path, 4);
        assert!(
            shown.contains(said) && shown.contains(name),
            "{name}: {shown}"
        );
        assert!(shown.contains("help:"), "{name}: {shown}");
    }
}
