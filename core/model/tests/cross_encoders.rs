//! Tiny random cross-encoders, against what sentence-transformers gives for pairs (`bench/fixtures/cross_encoders.py`).
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use orchestrator_model::CrossEncoder;
use orchestrator_model::transformer::Precision;
use serde_json::{Value, json};

/// Folders, and the labels to choose from where there are several.
const ALL: [(&str, &[&str]); 6] = [
    ("bert", &[]),
    ("bert-saved", &[]),
    (
        "bert-three-labels",
        &["contradiction", "entailment", "neutral"],
    ),
    ("distilbert", &[]),
    ("mpnet", &[]),
    ("roberta", &[]),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/cross_encoders")
        .join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What is expected of each folder, label by label: its pairs, tokens, types and scores.
struct Expected {
    pairs: Vec<(String, String)>,
    ids: Vec<Vec<u32>>,
    types: Vec<Vec<u32>>,
    scores: Vec<Vec<f32>>,
}

impl Expected {
    fn of(name: &str) -> Self {
        let mut all = json(&folder(name).join("expected.json"));
        let mut take = |key: &str| all[key].take();
        Self {
            pairs: serde_json::from_value(take("pairs")).unwrap(),
            ids: serde_json::from_value(take("ids")).unwrap(),
            types: serde_json::from_value(take("types")).unwrap(),
            scores: serde_json::from_value(take("scores")).unwrap(),
        }
    }

    fn pairs(&self) -> Vec<(&str, &str)> {
        let pairs = self.pairs.iter();
        pairs.map(|(a, b)| (a.as_str(), b.as_str())).collect()
    }
}

fn load(name: &str, label: Option<&str>, precision: Precision) -> CrossEncoder {
    CrossEncoder::load(&folder(name), None, precision, label).unwrap()
}

/// Every folder with every label there is to choose: its number, and the model.
fn all(precision: Precision) -> Vec<(&'static str, usize, CrossEncoder)> {
    let mut all = Vec::new();
    for (name, labels) in ALL {
        if labels.is_empty() {
            all.push((name, 0, load(name, None, precision)));
        }
        for (number, label) in labels.iter().enumerate() {
            all.push((name, number, load(name, Some(label), precision)));
        }
    }
    all
}

#[test]
fn tokens_types_and_scores_are_those_of_sentence_transformers() {
    for (name, label, model) in all(Precision::F32) {
        let expected = Expected::of(name);
        let tokens = model.tokenize(&expected.pairs()).unwrap();
        for (pair, (tokens, types)) in tokens.iter().enumerate() {
            assert_eq!(tokens, &expected.ids[pair], "{name}: {pair}");
            assert_eq!(types, &expected.types[pair], "{name}: {pair}");
        }
        let scores = model.scores(&expected.pairs()).unwrap();
        assert_eq!(scores.len(), expected.pairs.len());
        for (pair, score) in scores.iter().enumerate() {
            let wanted = expected.scores[pair][label];
            let near = (score - wanted).abs() < 1e-5;
            assert!(near, "{name}: {pair}: {score} {wanted}");
        }
    }
    assert!(
        load("bert", None, Precision::F32)
            .scores(&[])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_pairs_score_depends_neither_on_threads_nor_on_the_pairs_beside_it() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for (name, _, model) in all(precision) {
            let expected = Expected::of(name);
            // Several chunks.
            let pairs: Vec<_> = expected.pairs().repeat(5);
            let many = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let pool = pool.build().unwrap();
                pool.install(|| model.scores(&pairs).unwrap())
            };
            let one = many(1);
            assert_eq!(one, many(3), "{name} {precision:?}");
            for (pair, score) in pairs.iter().zip(&one).take(expected.pairs.len()) {
                let alone = model.scores(&[*pair]).unwrap();
                assert_eq!(&alone, &[*score], "{name} {precision:?} {pair:?}");
            }
        }
    }
}

#[test]
fn labels_are_chosen_by_name_or_number_and_a_shorter_limit_cuts() {
    let by_number = load("bert-three-labels", Some("1"), Precision::F32);
    let by_name = load("bert-three-labels", Some("entailment"), Precision::F32);
    assert_eq!(by_name.labels(), ["contradiction", "entailment", "neutral"]);
    let pair = [("a", "b")];
    assert_eq!(
        by_number.scores(&pair).unwrap(),
        by_name.scores(&pair).unwrap()
    );
    let short = CrossEncoder::load(&folder("bert"), Some(9), Precision::F32, None).unwrap();
    let tokens = short
        .tokenize(&[("the cell", "the protein binds to the receptor")])
        .unwrap();
    assert_eq!((tokens[0].0.len(), short.max_tokens()), (9, 9));
}

/// A copy of a folder with changed JSON in one file, or without a file.
fn changed(name: &str, file: &str, change: &Value) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join(file);
    let mut content = if path.is_file() {
        json(&path)
    } else {
        json!({})
    };
    if let (Some(content), Some(change)) = (content.as_object_mut(), change.as_object()) {
        content.extend(change.clone());
    } else {
        content = change.clone();
    }
    std::fs::write(path, content.to_string()).unwrap();
    copy
}

#[test]
fn what_is_not_supported_is_named() {
    let modules = |later: &str| {
        let one = |kind: &str| json!({ "path": "", "type": format!("x.{kind}") });
        json!([one("Transformer"), one(later)])
    };
    for (name, file, change, label, wanted) in [
        (
            "bert",
            "config.json",
            json!({ "model_type": "t5" }),
            None,
            "the architecture `t5`",
        ),
        (
            "bert",
            "modules.json",
            modules("LogitScore"),
            None,
            "the module `LogitScore`",
        ),
        (
            "bert",
            "config.json",
            json!({ "sentence_transformers": { "activation_fn": "torch.nn.modules.activation.ReLU" } }),
            None,
            "the activation `ReLU`",
        ),
        (
            "bert",
            "config_sentence_transformers.json",
            json!({ "default_prompt_name": "query" }),
            None,
            "`query`",
        ),
        ("bert", "config.json", json!({}), Some("good"), "`good`"),
        (
            "bert-three-labels",
            "config.json",
            json!({}),
            None,
            "3 labels: say which one's share is the score: contradiction, entailment, neutral",
        ),
        (
            "bert-three-labels",
            "config.json",
            json!({}),
            Some("3"),
            "no label `3`: there are contradiction",
        ),
        (
            "bert-three-labels",
            "config.json",
            json!({ "problem_type": "multi_label_classification" }),
            Some("1"),
            "multi_label_classification",
        ),
        // BERT's tensors but for the head, which is another's.
        (
            "bert",
            "config.json",
            json!({ "model_type": "roberta", "pad_token_id": -1 }),
            None,
            "the tensor `classifier.dense.weight` is missing",
        ),
    ] {
        let copy = changed(name, file, &change);
        let given = CrossEncoder::load(copy.path(), None, Precision::F32, label);
        let said = given.err().map(|error| error.to_string());
        let said = said.unwrap_or_else(|| panic!("{name} {change}: loaded"));
        assert!(said.contains(wanted), "{name} {change}: {said}");
    }
}

#[test]
fn a_folder_is_told_from_those_of_encoders() {
    let encoders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers");
    for (name, _) in ALL {
        assert!(CrossEncoder::is_in(&folder(name)), "{name}");
    }
    for name in ["bert", "bert-plain", "roberta", "nowhere"] {
        assert!(!CrossEncoder::is_in(&encoders.join(name)), "{name}");
    }
    // Pooled: an encoder, whatever its weights were once.
    let pooled = json!([{ "path": "", "type": "x.Transformer" }, { "path": "1_Pooling", "type": "x.Pooling" }]);
    let copy = changed("bert", "modules.json", &pooled);
    assert!(!CrossEncoder::is_in(copy.path()));
}
