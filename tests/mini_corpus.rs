//! The built-in corpus keeps the promises its README makes: every reference resolves, every split holds every label.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

fn field_files(suffix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/data/mini");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no *{suffix} in the mini corpus");
    files
}

fn lines(files: &[PathBuf]) -> Vec<Value> {
    files
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect::<Vec<Value>>()
        })
        .collect()
}

fn sentence_counts() -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for document in lines(&field_files(".corpus.jsonl")) {
        let id = document["doc_id"].as_u64().unwrap();
        let sentences = document["abstract"].as_array().unwrap().len();
        assert!(
            counts.insert(id, sentences).is_none(),
            "document {id} twice"
        );
    }
    counts
}

#[test]
fn every_piece_of_evidence_points_at_a_sentence_of_a_cited_document() {
    let counts = sentence_counts();
    let mut seen = BTreeSet::new();
    for claim in lines(&field_files(".claims.jsonl")) {
        let id = claim["id"].as_u64().unwrap();
        assert!(seen.insert(id), "claim {id} twice");
        let cited: Vec<u64> = claim["cited_doc_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|document| document.as_u64().unwrap())
            .collect();
        assert!(
            cited.iter().all(|document| counts.contains_key(document)),
            "claim {id}"
        );
        for (document, sets) in claim["evidence"].as_object().unwrap() {
            let document: u64 = document.parse().unwrap();
            assert!(
                cited.contains(&document),
                "claim {id}: evidence not cited: {document}"
            );
            for set in sets.as_array().unwrap() {
                for sentence in set["sentences"].as_array().unwrap() {
                    let sentence = sentence.as_u64().unwrap() as usize;
                    assert!(
                        sentence < counts[&document],
                        "claim {id}: {document}[{sentence}]"
                    );
                }
            }
        }
    }
}

#[test]
fn every_split_holds_every_label() {
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for claim in lines(&field_files(".claims.jsonl")) {
        let of_split = labels
            .entry(claim["split"].as_str().unwrap().to_owned())
            .or_default();
        let evidence = claim["evidence"].as_object().unwrap();
        if evidence.is_empty() {
            of_split.insert("NEUTRAL".to_owned());
        }
        for set in evidence.values().flat_map(|sets| sets.as_array().unwrap()) {
            of_split.insert(set["label"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        labels.keys().map(String::as_str).collect::<Vec<_>>(),
        ["dev", "test", "train"]
    );
    for (split, found) in labels {
        assert_eq!(found.len(), 4, "{split} holds only {found:?}");
    }
}
