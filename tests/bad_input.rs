//! Bad input gets a good error: what, where, why, what to do; the exit code of its kind; nothing half-written.
#![allow(clippy::unwrap_used)]

use orchestrator_tests::{experiment, fail, small_experiment};

/// (what to replace in the small experiment, by what, exit code, what the error says)
const CASES: &[(&str, &str, i32, &[&str])] = &[
    ("name: small", "name: [", 2, &["is not YAML", "x.yaml:"]),
    (
        "batch: 8",
        "bacth: 8",
        2,
        &[
            "unknown key `bacth`",
            "x.yaml:16:3",
            "did you mean `batch`?",
            "^^^^^",
        ],
    ),
    (
        "batch: 8",
        "batch: many",
        2,
        &[
            "`batch` must be a whole number of at least 1, not the text `many`",
            "x.yaml:16:",
        ],
    ),
    ("batch: 8", "batch: 0", 2, &["at least 1"]),
    (
        "    - retracted\n",
        "    - retrackted\n",
        2,
        &[
            "there is no filter `retrackted`",
            "did you mean `retracted`?",
            "looked in",
        ],
    ),
    (
        "    - retracted\n",
        "    - mnrl\n",
        2,
        &["`mnrl` is a loss"],
    ),
    (
        "    - retracted\n",
        "    - word_count\n",
        2,
        &["`word_count` is here a second time", "as: another_name"],
    ),
    (
        "min_words: 8",
        "min_words: 0",
        2,
        &[
            "`min_words` must be at least 1, not 0",
            "plugin show word_count",
            "x.yaml:13:",
        ],
    ),
    (
        "min_words: 8",
        "min_wrods: 8",
        2,
        &[
            "`word_count` has no setting `min_wrods`",
            "did you mean `min_words`?",
        ],
    ),
    (
        "join: both",
        "join: bot",
        2,
        &["`join` cannot be \"bot\"", "did you mean `both`?"],
    ),
    (
        "hard_negative: { per_anchor: 3 }",
        "hard_negative: { margin: { relativ: 1 } }",
        2,
        &["no setting `relativ`", "did you mean `relative`?"],
    ),
    (
        "weight: 0.6",
        "weight: -1",
        2,
        &["`weight` must be at least 0, not -1"],
    ),
    (
        "losses: [{ mnrl: { weight: 0.6 } }, { contrastive: { weight: 0.3 } }, { cosine_similarity: { weight: 0.1 } }]",
        "losses: [{ mnrl: { weight: 0 } }]",
        2,
        &["the weights of the losses sum to zero", "x.yaml:"],
    ),
    (
        "  batch: 8\n",
        "  batch: 8\n  ratio: { negatives_per_positive: \"3 * epochs\" }\n",
        2,
        &["`epochs` at character 5", "for example"],
    ),
    (
        "difficulty: easy",
        "difficulty: esay",
        2,
        &["`difficulty` cannot be `esay`", "did you mean `easy`?"],
    ),
    (
        "select: margin",
        "select: margni",
        2,
        &["there is no selector `margni`", "did you mean `margin`?"],
    ),
    ("test: test", "test: tset", 3, &["no split `tset`"]),
    (
        "test: test",
        "test: train",
        2,
        &["`test` is `train`, which is trained on"],
    ),
    (
        "corpus: { format: builtin }",
        "corpus: { format: scifact, path: nowhere }",
        3,
        &["cannot read", "corpus.jsonl", "--set data.corpus.path"],
    ),
    (
        "corpus: { format: builtin }",
        "corpus: { format: scifact, path: \"${NOT_SET}\" }",
        2,
        &["the variable NOT_SET is not set"],
    ),
    (
        "name: small\n",
        "name: small\nname: twice\n",
        2,
        &["is not YAML", "x.yaml:"],
    ),
    ("name: small", "name: a/b", 2, &["`name` names a folder"]),
    (
        "min_words: 8",
        "min_words: 5000",
        3,
        &["no positives are left", "word_count dropped"],
    ),
    (
        "name: small",
        "extends: x.yaml\nname: small",
        2,
        &["extends itself"],
    ),
    (
        "name: small",
        "extends: other.yaml\nname: small",
        2,
        &["cannot read", "other.yaml", "relative to the file"],
    ),
    (
        "name: small",
        "evaluate: { metrics: [ndgc@10] }\nname: small",
        2,
        &["unknown metric `ndgc@10`"],
    ),
    (
        "batch: 8",
        "ratio: { negatives_per_positive: \"2 - epoch\" }\n  batch: 8",
        2,
        &["`2 - epoch` is -1 in epoch 3"],
    ),
    (
        "name: small",
        "evaluate: { metrics: [map, ndcg@10, map] }\nname: small",
        2,
        &["`map` is here a second time", "x.yaml:1:"],
    ),
    (
        "encoder: { static: { dim: 32, vocabulary: 2000 } }",
        "encoder: transformer",
        2,
        &["`encoder` must be `static`, or a group", "x.yaml:3:"],
    ),
    (
        "static: { dim: 32, vocabulary: 2000 }",
        "static: { dim: 32 }, transformer: MiniLM",
        2,
        &["two encoders", "x.yaml:3:"],
    ),
    (
        "static: { dim: 32, vocabulary: 2000 }",
        "transfromer: MiniLM",
        2,
        &["unknown key `transfromer`", "did you mean `transformer`?"],
    ),
    (
        "static: { dim: 32, vocabulary: 2000 }",
        "transformer: MiniLM, precision: bf61, dropout: 1, max_tokens: 0, lora: { rank: 0 }",
        2,
        &[
            "`precision` cannot be `bf61`",
            "did you mean `bf16`?",
            "`dropout` must be at least 0 and below 1, not 1",
            "`max_tokens` must be a whole number of at least 8",
            "`rank` must be a whole number of at least 1",
        ],
    ),
    (
        "batch: 8",
        "after_warmup: linaer\n  accumulate: 0\n  clip: -1\n  early_stopping: { patience: 0 }\n  batch: 8",
        2,
        &[
            "did you mean `linear`?",
            "`accumulate` must be a whole number of at least 1",
            "`clip` must be above 0, or `off`, not -1",
            "`patience` must be a whole number of at least 1",
            "x.yaml:16:",
            "x.yaml:19:",
        ],
    ),
    (
        "batch: 8",
        "early_stopping: {}\n  batch: 8",
        2,
        &["`train.early_stopping.patience` is missing", "patience: 2"],
    ),
    (
        "name: small",
        "plugins: [missing.so]\nname: small",
        4,
        &["missing.so"],
    ),
];

#[test]
fn each_is_told_where_and_what_to_do() {
    for (from, to, code, said) in CASES {
        let text = small_experiment();
        assert!(text.contains(from), "{from}");
        let folder = experiment(&text.replacen(from, to, 1));
        let shown = fail(&["run", "x.yaml", "--run-dir", "r"], folder.path(), *code);
        for part in *said {
            assert!(shown.contains(part), "{to}: {part} is not in\n{shown}");
        }
        // What fails before the first sample leaves no folder; later, no report.
        assert!(!folder.path().join("r/report.html").exists(), "{to}");
        if *code == 2 {
            assert!(!folder.path().join("r").exists(), "{to}");
        }
    }
}

/// Settings that their schemas take and their plugins do not: (what to replace, by what, what the error says).
const REFUSED: &[(&str, &str, &[&str])] = &[
    (
        "    - explicit_negative\n",
        "    - explicit_negative\n    - metadata:\n        where: \"year <\"\n",
        &[
            "`metadata` refuses its settings",
            "x.yaml:",
            "where: \"year <\"",
            "plugin show org.orchestrator.metadata",
        ],
    ),
    (
        "hard_negative: { per_anchor: 3 }",
        "hard_negative: { per_anchor: 3, top_k: 5, range_min: 9 }",
        &["must be below top_k, which is 5", "x.yaml:", "^"],
    ),
    (
        "    - retracted\n",
        "    - retracted\n    - pattern: { drop: [\"(a\"] }\n",
        &["`(a` is not a regular expression", "x.yaml:", "^"],
    ),
    (
        "mnrl: { weight: 0.6 }",
        "mnrl: { weight: 0.6, scale: 20, temperature: 0.05 }",
        &[
            "is the inverse of `scale`: give one of them",
            "x.yaml:",
            "^",
        ],
    ),
];

#[test]
fn settings_that_only_the_plugin_can_refuse_are_told_before_anything_is_written() {
    let mut every = small_experiment();
    for (from, to, said) in REFUSED {
        let text = small_experiment();
        assert!(text.contains(from), "{from}");
        every = every.replacen(from, to, 1);
        let folder = experiment(&text.replacen(from, to, 1));
        for command in [
            &["check", "x.yaml"][..],
            &["run", "x.yaml", "--run-dir", "r"],
        ] {
            let shown = fail(command, folder.path(), 2);
            for part in *said {
                assert!(shown.contains(part), "{to}: {part} is not in\n{shown}");
            }
        }
        assert!(!folder.path().join("r").exists(), "{to}");
    }
    // All at once, each at its line; a plugin in a process of its own too.
    let every = every.replace("pattern: {", "pattern: { isolation: process,");
    let folder = experiment(&every);
    let shown = fail(&["check", "x.yaml", "--json"], folder.path(), 2);
    let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let lines: Vec<u64> = value["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["location"]["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines.len(), REFUSED.len(), "{shown}");
    for (line, mark) in lines
        .iter()
        .zip(["year <", "range_min", "(a", "temperature"])
    {
        let text = every.lines().nth(*line as usize - 1).unwrap();
        assert!(text.contains(mark), "{line}: {text}");
    }
}

#[test]
fn all_errors_of_a_file_are_told_at_once() {
    let text = small_experiment()
        .replace("batch: 8", "bacth: 8")
        .replace("min_words: 8", "min_words: -3")
        .replace("difficulty: hard", "difficulty: hrad");
    let folder = experiment(&text);
    let shown = fail(&["check", "x.yaml"], folder.path(), 2);
    assert!(
        ["bacth", "min_words", "hrad"]
            .iter()
            .all(|part| shown.contains(part)),
        "{shown}"
    );
    let json = fail(&["check", "x.yaml", "--json"], folder.path(), 2);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["errors"].as_array().unwrap().len(), 3, "{json}");
    assert_eq!(value["errors"][0]["location"]["path"], "x.yaml");
}

#[test]
fn a_missing_experiment_suggests_the_nearest_file() {
    let folder = experiment("");
    let shown = fail(&["run", "y.yaml"], folder.path(), 2);
    assert!(
        shown.contains("cannot read `y.yaml`") && shown.contains("did you mean"),
        "{shown}"
    );
}

#[test]
fn overrides_and_extends_change_what_they_say_and_nothing_else() {
    let folder = experiment(&small_experiment());
    std::fs::write(
        folder.path().join("y.yaml"),
        "extends: x.yaml\nname: changed\ntrain: { batch: 4 }\n",
    )
    .unwrap();
    let check = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&orchestrator_tests::succeed(
            &[&["check", "--json"], arguments].concat(),
            folder.path(),
        ))
        .unwrap()
    };
    let base = check(&["x.yaml"]);
    let extended = check(&[
        "y.yaml",
        "--set",
        "samples.propose.hard_negative.per_anchor=7",
        "--set",
        "seed=99",
    ]);
    assert_eq!(extended["experiment"]["name"], "changed");
    assert_eq!(extended["experiment"]["train"]["batch"], 4);
    assert_eq!(extended["experiment"]["seed"], 99);
    assert_eq!(
        extended["experiment"]["samples"]["propose"][3]["settings"]["per_anchor"],
        7
    );
    assert_eq!(
        base["experiment"]["train"]["losses"],
        extended["experiment"]["train"]["losses"]
    );
    let shown = fail(
        &["check", "x.yaml", "--set", "train.bacth=4"],
        folder.path(),
        2,
    );
    assert!(
        shown.contains("--set:1:1") && shown.contains("did you mean `batch`?"),
        "{shown}"
    );
}
