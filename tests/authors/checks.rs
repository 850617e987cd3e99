//! `plugin check`: our own plugins pass, broken ones are found out, and the command says what it is not told.

use std::process::Output;

use orchestrator_tests::{experiment, fail, library, orchestrator, repository, run, succeed};
use serde_json::{Value, json};

use crate::compile;

/// What `plugin check` found: (plugin, check, outcome, why).
fn findings(output: &Output) -> Vec<(String, String, String, String)> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                text(&one["plugin"]),
                text(&one["check"]),
                text(&one["outcome"]),
                text(&one["why"]),
            )
        })
        .collect()
}

/// Plugins that only an experiment can give settings, and some that they take.
const GIVEN: [(&str, &str, &str); 7] = [
    (
        "samplers",
        "metadata",
        r#"{"where": "words > 3 and id != anchor.id"}"#,
    ),
    ("augmenters", "contradict_llm", r#"{"model": "any"}"#),
    ("augmenters", "paraphrase_llm", r#"{"model": "any"}"#),
    (
        "filters",
        "pattern",
        r#"{"drop": ["\\bodd\\b"], "keep": ["."]}"#,
    ),
    (
        "filters",
        "cross_encoder",
        r#"{"model": "current", "min_positive": -0.5, "margin": {"absolute": 0.1}}"#,
    ),
    (
        "filters",
        "similarity_range",
        r#"{"min": -0.5, "max": 0.9}"#,
    ),
    (
        "filters",
        "similarity_range",
        r#"{"model": "bm25", "role": "negative", "max": 3}"#,
    ),
];

#[test]
fn our_own_plugins_and_the_examples_pass_the_checks() {
    let folder = experiment("");
    let failed = |name: &str, more: &[&str]| -> Vec<_> {
        let file = library(&format!("orchestrator_{name}"));
        let arguments = ["plugin", "check", "--timeout", "60", "--json"];
        let output = orchestrator(&arguments, folder.path())
            .arg(&file)
            .args(more)
            .output()
            .unwrap();
        let found = findings(&output);
        assert!(!found.is_empty());
        found
            .into_iter()
            .filter(|(_, _, outcome, _)| outcome == "failed")
            .collect()
    };
    for name in ["samplers", "augmenters", "filters", "losses", "examples"] {
        // Without settings, those that need some say so, once.
        let mut needing: Vec<&str> = GIVEN
            .iter()
            .filter(|(of, ..)| *of == name)
            .map(|(_, plugin, _)| *plugin)
            .collect();
        needing.dedup();
        let failed = failed(name, &[]);
        let plugins: Vec<&str> = failed
            .iter()
            .map(|(plugin, ..)| plugin.rsplit('.').next().unwrap())
            .collect();
        assert_eq!(plugins, needing, "{failed:#?}");
        assert!(
            failed.iter().all(|(_, check, ..)| check == "create"),
            "{failed:#?}"
        );
    }
    for (name, plugin, settings) in GIVEN {
        let failed = failed(name, &["--plugin", plugin, "--settings", settings]);
        assert!(failed.is_empty(), "{plugin} {settings}: {failed:#?}");
    }
}

#[test]
fn a_refusal_of_settings_is_told_once() {
    let folder = experiment("");
    let arguments = [
        "plugin",
        "check",
        "--json",
        "--plugin",
        "hard_negative",
        "--settings",
    ];
    let output = orchestrator(&arguments, folder.path())
        .arg(json!({ "range_min": 50, "top_k": 10 }).to_string())
        .arg(library("orchestrator_samplers"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let (mut failed, mut skipped) = (Vec::new(), 0);
    for (_, check, outcome, why) in findings(&output) {
        match outcome.as_str() {
            "failed" => failed.push((check, why)),
            "skipped" => {
                assert_eq!(why, "it refuses its settings: see `create`", "{check}");
                skipped += 1;
            }
            _ => assert!(["load", "description"].contains(&check.as_str()), "{check}"),
        }
    }
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0].0, "create");
    assert!(
        failed[0].1.contains("must be below top_k, which is 10"),
        "{failed:#?}"
    );
    assert!(skipped >= 9, "{skipped}");
}

/// Ways to break a template in C: the template, what is replaced, by what, the check that must find it, what it says.
const BROKEN: &[(&str, &str, &str, &str, &str)] = &[
    (
        "filter",
        "static orch_status init(void) {",
        "__attribute__((constructor)) static void early(void) { abort(); }\nstatic orch_status init(void) {",
        "load",
        "signal 6",
    ),
    (
        "filter",
        "ORCH_STR(\"MIT\")",
        "ORCH_STR(\"\")",
        "description",
        "licence is empty",
    ),
    (
        "filter",
        "\\\"default\\\":5",
        "\\\"default\\\":0",
        "description",
        "its schema refuses the settings",
    ),
    (
        "filter",
        "*instance = self;",
        "*instance = NULL;\n  return fail(call, ORCH_CONFIG, \"/min_words\", \"no\");",
        "create",
        "refuses its settings: no",
    ),
    (
        "filter",
        "uint64_t words = 0;",
        "uint64_t words = 0;\n  if (text.len > 0 && (unsigned char)text.ptr[0] > 0xE0) *(volatile int *)0 = 1;",
        "odd",
        "signal 11",
    ),
    (
        "filter",
        "char reason[80];",
        "char reason[80];\n    if (row == 99999) for (volatile int on = 1; on;) {}",
        "huge",
        "had not ended after 4 s",
    ),
    (
        "filter",
        "return ORCH_OK;\n}\n\n/* `prepare`",
        "verdicts->keep[verdicts->n] = 1;\n  return ORCH_OK;\n}\n\n/* `prepare`",
        "canaries",
        "keep[59], of 59",
    ),
    (
        "filter",
        "(float)words; /*",
        "(float)words + (float)(state++ % 7); /*",
        "determinism",
        "verdict 0 is",
    ),
    (
        "filter",
        "(float)words; /*",
        "(state++, usleep(50), (float)words + (float)(--state)); /*",
        "threads",
        "with 8 threads at once: verdict",
    ),
    (
        "filter",
        "if (row % 4096 == 0 && call->is_cancelled(call)) return ORCH_CANCELLED;",
        "if (row % 1000 == 0) usleep(20000);",
        "cancellation",
        "is_cancelled said 1",
    ),
    (
        "filter",
        "uint64_t words = 0;",
        "uint64_t words = 0;\n  char *lost = malloc(256);\n  if (lost) lost[state++ % 256] = 1;",
        "memory_leak",
        "memory grew by",
    ),
    (
        "filter",
        "*instance = self;",
        "pthread_t other;\n  pthread_create(&other, NULL, forever, NULL);\n  pthread_detach(other);\n  *instance = self;",
        "thread_leak",
        "threads after the first instance",
    ),
    (
        "loss",
        "? -1 : 1) * share",
        "? -1 : 2) * share",
        "gradient",
        "finite differences of the loss say",
    ),
    (
        "loss",
        "out->row_loss[row] = part;",
        "out->row_loss[row] = part;\n  ((float *)anchor)[0] += 1e-3f;",
        "canaries",
        "which it may only read",
    ),
    (
        "loss",
        "for (uint64_t i = 0; i < dim; i++) {",
        "for (uint64_t i = 0; i <= dim; i++) {",
        "canaries",
        "gradient[",
    ),
    (
        "loss",
        "double share = batch->row_weight[row] / total;",
        "double share = batch->row_weight[row] / total / (double)(batch->dim - 1);",
        "odd",
        "the loss is",
    ),
    (
        "loss",
        "return ORCH_OK;\n}\n\nstatic const orch_loss",
        "out->loss /= total;\n  return ORCH_OK;\n}\n\nstatic const orch_loss",
        "empty",
        "NaN",
    ),
    (
        "sampler",
        "if (status != ORCH_OK) return status;",
        "(void)status;",
        "errors",
        "return the status that `push` gave",
    ),
    (
        "sampler",
        "? random_bits(call, (uint64_t)anchor, 0) % n",
        "? state++ % n",
        "determinism",
        "candidate",
    ),
    (
        "sampler",
        ".text = title,",
        ".text = { title.ptr, title.len > 9 ? title.len - 1 : title.len },",
        "odd",
        "a text that is not UTF-8",
    ),
    (
        "selector",
        "chosen[i] = all[i].row;",
        "chosen[i] = all[i].row;\n  chosen[*n_chosen] = 0;",
        "canaries",
        "chosen[",
    ),
    (
        "augmenter",
        ".parent = (int64_t)row,",
        ".parent = -1,",
        "seeds",
        "a sample without a parent",
    ),
];

#[test]
fn every_check_finds_the_plugin_it_is_there_for() {
    let folder = experiment("");
    let path = folder.path();
    let mut missed = Vec::new();
    for (number, (kind, from, to, check, said)) in BROKEN.iter().enumerate() {
        let template = repository().join(format!("plugins/templates/c/{kind}.c"));
        let text = std::fs::read_to_string(template).unwrap();
        let broken = text.replacen(from, to, 1);
        assert_ne!(text, broken, "{kind} has no `{from}`");
        let source = path.join(format!("broken{number}.c"));
        let state = "#define _GNU_SOURCE\n#include <pthread.h>\n#include <unistd.h>\nstatic volatile int state;\n\
                     static inline void *forever(void *nothing) { for (;;) pause(); return nothing; }\n\
                     static inline void *(*used(void))(void *) { return state ? forever : NULL; }\n";
        std::fs::write(&source, format!("{state}{broken}")).unwrap();
        let object = path.join(format!("broken{number}.so"));
        compile(&source, &object);
        let arguments = ["plugin", "check", "--timeout", "4", "--json"];
        let output = orchestrator(&arguments, path)
            .arg(&object)
            .output()
            .unwrap();
        let found = findings(&output);
        let is_it = |of: &String, why: &String| of == check && why.contains(said);
        let failed: Vec<_> = found
            .into_iter()
            .filter(|(_, _, outcome, _)| outcome == "failed")
            .collect();
        if !failed.iter().any(|(_, of, _, why)| is_it(of, why)) {
            missed.push(format!("{kind} with `{to}`: {failed:#?}"));
        }
        assert_eq!(output.status.code(), Some(4), "{kind} with `{to}`");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_check_command_says_what_it_is_not_told() {
    let folder = experiment("");
    let path = folder.path();
    let bad = library("orchestrator_misbehaving");
    let bad = bad.to_str().unwrap();
    for (arguments, code, said) in [
        (&["--settings", "[1]"][..], 2, "not a JSON object"),
        (&["--timeout", "0"], 2, "--timeout must be above 0"),
        (&["--skip", "hoge"], 2, "did you mean `huge`?"),
        (&["--plugin", "nobody"], 4, "1 of 2 checks"),
        (&["--plugin", "bad_filter"], 4, "checks of"),
    ] {
        let mut all = vec!["plugin", "check", bad];
        all.extend(arguments);
        let shown = fail(&all, path, code);
        assert!(shown.contains(said), "{arguments:?}: {shown}");
    }
    // A required setting is asked for, and taken.
    let shown = run(&["plugin", "check", bad, "--plugin", "bad_filter"], path);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("give --settings '{\"how\":"), "{shown}");
    let arguments = [
        "plugin",
        "check",
        bad,
        "--plugin",
        "bad_filter",
        "--json",
        "--settings",
    ];
    let drops = orchestrator(&arguments, path)
        .arg("{\"how\": \"drop\"}")
        .output()
        .unwrap();
    assert!(drops.status.success(), "{:#?}", findings(&drops));
    let panics = orchestrator(&arguments, path)
        .arg("{\"how\": \"panic\"}")
        .output()
        .unwrap();
    assert!(
        findings(&panics)
            .iter()
            .any(|(_, check, _, why)| check == "huge"
                && why.contains("panicked in judge: the filter fell over"))
    );
    assert!(fail(&["plugin", "check", "nothing.so"], path, 4).contains("there is no file"));
    assert!(succeed(&["plugin", "check", "--help"], path).contains("no orch.state/1 yet"));
}
