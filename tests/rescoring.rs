//! Cross-encoders in whole runs: the filter by one, a teacher that is one, and what is told of folders and labels.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use orchestrator_model::CrossEncoder;
use orchestrator_model::transformer::Precision;
use orchestrator_tests::{experiment, fail, repository, small_experiment, succeed};
use rusqlite::Connection;
use serde_json::Value;

/// A tiny random model (`bench/fixtures/cross_encoders.py`, `encoders.py`), copied into `folder`.
fn model(kind: &str, name: &str, folder: &Path) {
    let from = repository()
        .join("core/model/tests/fixtures")
        .join(kind)
        .join(name);
    let to = folder.join(name);
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// The small experiment with such models and a filter beside the others.
fn with(models: &str, filter: &str) -> String {
    small_experiment()
        .replace("name: small", &format!("models: {models}\nname: small"))
        .replace(
            "    - retracted\n",
            &format!("    - retracted\n    - {filter}\n"),
        )
}

/// What the filter thought: query, text, role, whether it kept it, score.
type Thought = (String, String, String, bool, f64);

fn thoughts(store: &Connection) -> Vec<Thought> {
    let sql = "SELECT s.anchor_text, s.text, s.role, v.keep, v.score FROM verdict v JOIN v_sample s ON s.id = v.sample
               WHERE v.filter LIKE '%cross_encoder' AND v.score IS NOT NULL";
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement
        .query_map([], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn samples_are_scored_by_a_cross_encoder_and_go_by_its_bounds() {
    let filter = "cross_encoder: { model: judge, min_positive: 0.15, max_negative: 0.4 }";
    let models = "{ judge: { folder: bert-three-labels, label: entailment } }";
    let text = with(models, filter);
    let line = text.lines().find(|line| line.contains("losses:")).unwrap();
    let text = text.replace(line, "  losses: [margin_mse]\n  teacher: judge");
    let folder = experiment(&text);
    let folder = folder.path();
    model("cross_encoders", "bert-three-labels", folder);
    let run = succeed(&["run", "x.yaml", "--run-dir", "r", "--json"], folder);
    let store = Connection::open(folder.join("r/store.db")).unwrap();
    let found = thoughts(&store);
    let at = folder.join("bert-three-labels");
    let judge = CrossEncoder::load(&at, None, Precision::F32, Some("1")).unwrap();
    let pairs: Vec<(&str, &str)> = found
        .iter()
        .map(|(query, text, ..)| (query.as_str(), text.as_str()))
        .collect();
    let scores = judge.scores(&pairs).unwrap();
    let mut counts = [[0; 2]; 2];
    for ((query, text, role, kept, score), wanted) in found.iter().zip(scores) {
        assert_eq!(*score as f32, wanted, "{query}: {text}");
        let positive = role == "positive";
        let right = if positive {
            wanted >= 0.15
        } else {
            wanted <= 0.4
        };
        assert_eq!(*kept, right, "{role} {wanted}: {query}: {text}");
        counts[usize::from(positive)][usize::from(*kept)] += 1;
    }
    // Some of each kind went, some stayed.
    assert!(
        counts.iter().flatten().all(|count| *count > 0),
        "{counts:?}"
    );
    // The same again, in a process of its own.
    let isolated = text.replace(
        filter,
        &filter.replace("model:", "isolation: process, model:"),
    );
    std::fs::write(folder.join("x.yaml"), isolated).unwrap();
    let again = succeed(&["run", "x.yaml", "--run-dir", "again", "--json"], folder);
    let hash = |run: &str| serde_json::from_str::<Value>(run).unwrap()["content_hash"].clone();
    assert_eq!(hash(&run), hash(&again));
    // The folder is pinned by content, the label by the plan.
    let plan = std::fs::read_to_string(folder.join("r/plan.json")).unwrap();
    assert!(plan.contains("models.judge/model.safetensors"), "{plan}");
    assert!(plan.contains(r#""judge": "entailment""#), "{plan}");
    assert!(!plan.contains(folder.to_str().unwrap()), "{plan}");
    let config = at.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text} ")).unwrap();
    let shown = fail(&["resume", "r"], folder, 2);
    assert!(
        shown.contains("`models.judge/config.json` has changed"),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_with_a_further_model_is_told_at_its_line() {
    let filter = "cross_encoder: { model: judge, min_positive: 0.5 }";
    for (models, code, said) in [
        (
            "{ judge: bert-three-labels }",
            3,
            &[
                "there are 3 labels",
                "contradiction, entailment, neutral",
                "{ folder: FOLDER, label: NAME }",
            ][..],
        ),
        (
            "{ judge: { folder: bert-three-labels, label: entails } }",
            3,
            &["no label `entails`"],
        ),
        (
            "{ judge: { folder: bert-plain, label: 1 } }",
            2,
            &["only a cross-encoder has labels"],
        ),
        (
            "{ judge: { folder: nowhere, label: 1 } }",
            3,
            &["there is no model `nowhere`"],
        ),
        (
            "{ judge: { label: 1 } }",
            2,
            &["`models.judge.folder` is missing"],
        ),
        (
            "{ judge: { folder: roberta, lable: 1 } }",
            2,
            &["unknown key `lable`", "did you mean `label`?"],
        ),
    ] {
        let folder = experiment(&with(models, filter));
        model("cross_encoders", "bert-three-labels", folder.path());
        model("cross_encoders", "roberta", folder.path());
        model("transformers", "bert-plain", folder.path());
        let shown = fail(&["run", "x.yaml", "--run-dir", "r"], folder.path(), code);
        for part in said.iter().chain(&["x.yaml:"]) {
            assert!(shown.contains(part), "{models}: {part} is not in\n{shown}");
        }
        assert!(!folder.path().join("r").exists(), "{models}");
    }
}

#[test]
fn a_loss_that_is_guided_by_embeddings_refuses_a_cross_encoder_at_its_line() {
    let text = small_experiment();
    let line = text.lines().find(|line| line.contains("losses:")).unwrap();
    let text = text.replace(line, "  losses: [gist]\n  teacher: judge");
    let folder = experiment(&format!("models: {{ judge: roberta }}\n{text}"));
    model("cross_encoders", "roberta", folder.path());
    let shown = fail(&["check", "x.yaml"], folder.path(), 2);
    assert!(
        shown.contains("judge, a cross-encoder, has no embeddings") && shown.contains("x.yaml:"),
        "{shown}"
    );
}

#[test]
fn paths_of_further_models_are_kept_whole_and_the_schema_knows_labels() {
    let folder = experiment(&with(
        "{ judge: { folder: bert-three-labels, label: 1 }, other: roberta }",
        "cross_encoder: { model: judge, min_positive: 0 }",
    ));
    let folder = folder.path();
    model("cross_encoders", "bert-three-labels", folder);
    model("cross_encoders", "roberta", folder);
    let shown = succeed(&["check", "x.yaml"], folder);
    assert!(shown.contains("judge"), "{shown}");
    let schema: Value = serde_json::from_str(&succeed(&["schema"], folder)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (models, valid) in [
        (
            "{ a: folder, b: { folder: x, label: 1 }, c: { folder: x, label: good } }",
            true,
        ),
        ("{ a: { label: 1 } }", false),
        ("{ a: { folder: x, label: [1] } }", false),
    ] {
        let value: Value = serde_yaml::from_str(&format!("models: {models}")).unwrap();
        assert_eq!(validator.is_valid(&value), valid, "{models}");
    }
}
