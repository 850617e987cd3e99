//! What holds of every sampler of ours.

use std::collections::BTreeSet;

use orchestrator_plugin_host::{Candidate, Role};
use serde_json::{Value, json};

use crate::world::{Known, Lab, Paper, World, paper};

/// Every sampler, in its several ways.
fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("explicit_positive", json!({ "join": "both" })),
        ("explicit_negative", json!({ "join": "both" })),
        (
            "same_document",
            json!({ "min_words": 1, "avoid_neighbours": 0, "per_anchor": 9 }),
        ),
        ("same_topic", json!({ "per_anchor": 9 })),
        ("same_topic", json!({ "by": "embedding", "per_anchor": 9 })),
        ("hard_negative", json!({ "per_anchor": 9 })),
        (
            "hard_negative",
            json!({ "per_anchor": 9, "sampling": "random" }),
        ),
        ("lexical_negative", json!({ "per_anchor": 9 })),
        (
            "lexical_negative",
            json!({ "per_anchor": 9, "query": "positive" }),
        ),
        ("random", json!({ "per_anchor": 9 })),
        ("metadata", json!({ "per_anchor": 9, "where": "year > 0" })),
        (
            "metadata",
            json!({ "per_anchor": 9, "where": "year > 0", "order": "near" }),
        ),
        ("structured", json!({ "per_anchor": 9, "min_words": 1 })),
        (
            "structured",
            json!({ "per_anchor": 9, "min_words": 1, "order": "random" }),
        ),
        ("cross_domain", json!({ "per_anchor": 9 })),
        ("cross_domain", json!({ "per_anchor": 9, "order": "near" })),
    ]
}

/// Three claims about twelve papers that share words; some papers are copies of positives in other case and spaces.
fn world() -> World {
    let mut papers: Vec<Paper> = (0..12)
        .map(|n| {
            let mut one = paper(
                &format!("Study {n} of cells"),
                &[
                    &format!("Group {n} was given the drug."),
                    &format!("Cells of group {} died, as Table {n} shows.", n % 4),
                    &format!("Group {n} was followed for years."),
                ],
            );
            one.metadata = json!({ "year": 2000 + n });
            one
        })
        .collect();
    papers[10] = Paper {
        title: papers[0].title.to_uppercase(),
        sentences: papers[0]
            .sentences
            .iter()
            .map(|one| format!("  {}", one.replace(' ', "  ")))
            .collect(),
        ..papers[0].clone()
    };
    let mut judgements = Vec::new();
    for (anchor, document, label, sentences) in [
        (0, 0, "support", vec![1]),
        (0, 1, "contradict", vec![0]),
        (0, 2, "neutral", vec![]),
        (1, 3, "partial", vec![0, 2]),
        (1, 3, "support", vec![1]),
        (1, 4, "support", vec![]),
        (2, 5, "contradict", vec![2]),
    ] {
        judgements.push(Known {
            anchor,
            document,
            label,
            relevant: matches!(label, "support" | "partial"),
            sentences,
        });
    }
    let others = vec![papers[0].clone(), paper("Stones", &["They fall."])];
    World {
        topics: (0..12)
            .map(|n| vec![0.5 + n as f32 / 24.0, 0.5 - n as f32 / 24.0])
            .collect(),
        claims: [
            "Cells of group 0 die",
            "The drug is given",
            "Years were followed",
        ]
        .map(str::to_owned)
        .to_vec(),
        papers,
        judgements,
        others: vec![("stones".to_owned(), others)],
        ..World::default()
    }
}

fn normalised(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

#[test]
fn no_negative_is_a_known_positive_of_its_anchor() {
    let (lab, world) = (Lab::new(), world());
    for (name, settings) in all() {
        let proposed = lab.propose(&world, name, &settings);
        assert!(!proposed.candidates.is_empty(), "{name} {settings}");
        let negatives = proposed
            .candidates
            .iter()
            .filter(|one| one.role == Role::Negative);
        for negative in negatives {
            let relevant = world
                .judgements
                .iter()
                .filter(|one| one.relevant && one.anchor == negative.anchor);
            for one in relevant {
                let document = &world.papers[one.document];
                let said = normalised(&negative.text);
                // A passage of a relevant document may be a negative, the document and its evidence may not.
                assert!(
                    name == "same_document" || negative.document != Some(one.document),
                    "{name} {settings}: {said}"
                );
                assert_ne!(said, normalised(&document.text()), "{name} {settings}");
                for &number in &one.sentences {
                    let evidence = normalised(&document.sentences[number as usize]);
                    assert_ne!(said, evidence, "{name} {settings}");
                }
            }
        }
        let texts: BTreeSet<(usize, String)> = proposed
            .candidates
            .iter()
            .filter(|one| one.role == Role::Negative)
            .map(|one| (one.anchor, normalised(&one.text)))
            .collect();
        let negatives = proposed
            .candidates
            .iter()
            .filter(|one| one.role == Role::Negative)
            .count();
        assert_eq!(texts.len(), negatives, "{name} {settings}: a text twice");
    }
}

#[test]
fn equal_seeds_give_equal_samples_and_other_anchors_change_nothing() {
    let (lab, world) = (Lab::new(), world());
    for (name, settings) in all() {
        let together = lab.propose(&world, name, &settings);
        assert_eq!(together, lab.propose(&world, name, &settings), "{name}");
        let mut alone: Vec<Candidate> = Vec::new();
        for anchor in 0..world.claims.len() {
            let proposed = lab
                .propose_for(&world, name, &settings, 1, &BTreeSet::from([anchor]))
                .unwrap();
            alone.extend(proposed.candidates);
        }
        assert_eq!(alone, together.candidates, "{name} {settings}");
    }
}

#[test]
fn every_sampler_counts_what_was_asked_and_what_it_found() {
    let (lab, world) = (Lab::new(), world());
    for (name, settings) in all() {
        let proposed = lab.propose(&world, name, &settings);
        let found = proposed.counts.get("found").copied();
        assert_eq!(found, Some(proposed.candidates.len() as u64), "{name}");
        assert!(proposed.counts["asked"] >= found.unwrap(), "{name}");
        let known = |what: &str| {
            ["asked", "found", "matched"].contains(&what)
                || what.starts_with("dropped: ")
                || what.starts_with("passed over: ")
        };
        assert!(proposed.counts.keys().all(|what| known(what)), "{name}");
    }
}

#[test]
fn a_call_without_anchors_gives_nothing() {
    let (lab, world) = (Lab::new(), world());
    for (name, settings) in all() {
        let proposed = lab
            .propose_for(&world, name, &settings, 1, &BTreeSet::new())
            .unwrap();
        assert!(proposed.candidates.is_empty(), "{name}");
    }
}
