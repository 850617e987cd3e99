//! What loads, what is refused and how, and that the qrels are BEIR's.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use orchestrator_data::{Label, Source, Split, load, load_claims};

const DOCUMENT: &str = r#"{"doc_id": 1, "title": "T", "abstract": ["A.", "B."], "year": 2001}"#;
const CLAIM: &str = r#"{"id": 7, "claim": "C", "evidence": {"1": [{"sentences": [1], "label": "REFUTE"}]}, "cited_doc_ids": [1]}"#;

fn folder(corpus: &str, claims: &str) -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("corpus.jsonl"), corpus).unwrap();
    std::fs::write(folder.path().join("claims_train.jsonl"), claims).unwrap();
    let source = Source::Scifact {
        path: folder.path().to_owned(),
    };
    (folder, source)
}

/// The real SciFact, where the variable SCIFACT says it lies.
fn scifact() -> Option<PathBuf> {
    let path = std::env::var_os("SCIFACT").map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIPPED: set SCIFACT to the folder of the real SciFact to run this test");
    }
    path
}

#[test]
fn both_spellings_of_contradiction_and_further_fields_are_read() {
    let (_folder, source) = folder(
        DOCUMENT,
        &format!(
            "{CLAIM}\n\n{}",
            CLAIM.replace("REFUTE", "CONTRADICT").replace("7", "8")
        ),
    );
    let data = load(&source, "train", None).unwrap();
    assert_eq!(data.documents[0].metadata["year"], 2001);
    assert_eq!(data.judgements.len(), 2);
    assert!(
        data.judgements
            .iter()
            .all(|one| one.label == Label::Contradict && one.sentences == [1])
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let cases = [
        ("{", CLAIM, "corpus.jsonl:1:", "is not JSON"),
        ("[]", CLAIM, "corpus.jsonl:1:", "not an object"),
        (
            r#"{"doc_id": 1, "title": "T"}"#,
            CLAIM,
            "corpus.jsonl:1:",
            "field `abstract` is missing",
        ),
        (
            r#"{"doc_id": 1, "title": 3, "abstract": []}"#,
            CLAIM,
            "corpus.jsonl:1:",
            "field `title` must be a text",
        ),
        (
            &format!("{DOCUMENT}\n{DOCUMENT}"),
            CLAIM,
            "corpus.jsonl:2:",
            "document `1` is here a second time",
        ),
        (
            DOCUMENT,
            &format!("{CLAIM}\n{CLAIM}"),
            "claims_train.jsonl:2:",
            "claim `7` is here a second time",
        ),
        (
            DOCUMENT,
            &CLAIM.replace("[1], \"label\"", "[2], \"label\""),
            "claims_train.jsonl:1:",
            "names sentence 2, but the document has 2",
        ),
        (
            DOCUMENT,
            &CLAIM.replace("ids\": [1]", "ids\": [1, 9]"),
            "claims_train.jsonl:1:",
            "cites document `9`, which is not in the corpus",
        ),
        (
            DOCUMENT,
            &CLAIM.replace("REFUTE", "DENY"),
            "claims_train.jsonl:1:",
            "has the label `DENY`",
        ),
        (
            "",
            CLAIM,
            "claims_train.jsonl:1:",
            "document `1`, which is not in the corpus",
        ),
        ("", "", "corpus.jsonl:1:", "the corpus holds no documents"),
        (
            DOCUMENT,
            "",
            "claims_train.jsonl:1:",
            "no claims to train on",
        ),
    ];
    for (corpus, claims, place, message) in cases {
        let (_folder, source) = folder(corpus, claims);
        let shown = load(&source, "train", None).unwrap_err().render(false);
        assert!(
            shown.contains(place) && shown.contains(message),
            "{place} {message}:\n{shown}"
        );
    }
}

#[test]
fn claims_that_are_only_scored_are_loaded_without_any_to_train_on() {
    let (_folder, source) = folder(DOCUMENT, CLAIM);
    let data = load_claims(&source, "train").unwrap();
    assert_eq!((data.documents.len(), data.judgements.len()), (1, 1));
    assert!(data.anchors.iter().all(|one| one.split == Split::Test));
    let (_folder, empty) = folder(DOCUMENT, "");
    let refused = load_claims(&empty, "train").unwrap_err().render(false);
    assert!(
        refused.contains("there are no claims to score"),
        "{refused}"
    );
    let builtin = Source::Builtin {
        fields: vec!["biomedicine".to_owned()],
    };
    let refused = load_claims(&builtin, "tset").unwrap_err().render(false);
    assert!(refused.contains("no split `tset`"), "{refused}");
}

#[test]
fn a_missing_file_says_how_to_give_it() {
    let source = Source::Scifact {
        path: "/nowhere/scifact".into(),
    };
    let shown = load(&source, "train", Some("dev"))
        .unwrap_err()
        .render(false);
    assert!(shown.contains("--set data.corpus.path"), "{shown}");
}

#[test]
fn the_builtin_corpus_loads_and_holds_out_by_seed() {
    let mut data = load(
        &Source::Builtin { fields: Vec::new() },
        "train",
        Some("test"),
    )
    .unwrap();
    let mut again = data.clone();
    data.hold_out(13, 0.2);
    again.hold_out(13, 0.2);
    assert_eq!(data, again);
    let held: BTreeSet<usize> = data.of_split(Split::Validation).collect();
    assert!(!held.is_empty() && held.len() < data.of_split(Split::Train).count());
    again.hold_out(14, 0.2);
    assert_ne!(held, again.of_split(Split::Validation).collect());
}

#[test]
fn claims_that_say_the_same_are_never_parted_between_training_and_scoring() {
    let claim = |id: u32, text: &str| {
        CLAIM
            .replace("\"id\": 7", &format!("\"id\": {id}"))
            .replace("\"C\"", &format!("\"{text}\""))
    };
    let train: Vec<String> = (0..40)
        .flat_map(|n| {
            [
                claim(n, &format!("Claim {n}.")),
                claim(100 + n, &format!("claim  {n}")),
            ]
        })
        .collect();
    let (folder, source) = folder(DOCUMENT, &train.join("\n"));
    std::fs::write(
        folder.path().join("claims_dev.jsonl"),
        claim(900, "CLAIM 3"),
    )
    .unwrap();
    let mut data = load(&source, "train", Some("dev")).unwrap();
    assert_eq!(data.exclude_leaks(), 2);
    data.hold_out(13, 0.5);
    let split = |id: u32| {
        data.anchors
            .iter()
            .find(|one| one.id == id.to_string())
            .unwrap()
            .split
    };
    assert_eq!((split(3), split(103)), (Split::Excluded, Split::Excluded));
    assert!((0..40).all(|n| split(n) == split(100 + n)));
    assert!(data.of_split(Split::Validation).count() > 10);
}

#[test]
fn scifact_s_qrels_are_the_published_ones() {
    let Some(path) = scifact() else { return };
    let data = load(
        &Source::Scifact { path: path.clone() },
        "train",
        Some("dev"),
    )
    .unwrap();
    assert_eq!((data.documents.len(), data.anchors.len()), (5183, 1109));
    for (split, file) in [(Split::Train, "train.tsv"), (Split::Test, "test.tsv")] {
        let mut published: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in std::fs::read_to_string(path.join("qrels").join(file))
            .unwrap()
            .lines()
            .skip(1)
        {
            let mut fields = line.split('\t');
            let (query, document) = (fields.next().unwrap(), fields.next().unwrap());
            published
                .entry(query.to_owned())
                .or_default()
                .insert(document.to_owned());
        }
        let ours: BTreeMap<String, BTreeSet<String>> = data
            .qrels(split)
            .into_iter()
            .map(|(anchor, documents)| {
                let documents = documents
                    .into_iter()
                    .map(|one| data.documents[one].id.clone());
                (data.anchors[anchor].id.clone(), documents.collect())
            })
            .collect();
        assert_eq!(ours, published, "{file}");
    }
}
