//! `hard_negative` and `random`.

use serde_json::{Value, json};

use crate::world::{Known, Lab, Paper, World, counts, documents, ladder, paper};

#[test]
fn hard_negatives_are_the_nearest_that_the_settings_leave() {
    let (lab, world) = (Lab::new(), ladder());
    // Similarities 0.9, 0.8 … 0.0 of documents 0, 1 … 9; the positives are 1 (0.8) and 3 (0.6).
    let cases: &[(Value, &[usize])] = &[
        (json!({ "per_anchor": 3 }), &[0, 2, 4]),
        // As many are looked at as top_k says, positives not counted.
        (json!({ "top_k": 4, "per_anchor": 9 }), &[0, 2, 4, 5]),
        (json!({ "range_min": 1, "per_anchor": 2 }), &[2, 4]),
        // Below the best positive by a tenth: at most 0.72.
        (
            json!({ "margin": { "relative": 0.1 }, "per_anchor": 2 }),
            &[2, 4],
        ),
        // Below the worst, as sentence-transformers: at most 0.54.
        (
            json!({ "margin": { "relative": 0.1, "against": "worst" }, "per_anchor": 2 }),
            &[4, 5],
        ),
        // The mean is 0.7: at most 0.63.
        (
            json!({ "margin": { "relative": 0.1, "against": "mean" }, "per_anchor": 2 }),
            &[4, 5],
        ),
        (
            json!({ "margin": { "absolute": 0.25 }, "per_anchor": 2 }),
            &[4, 5],
        ),
        // The narrower of the two counts.
        (
            json!({ "margin": { "absolute": 0.45, "relative": 0.1 }, "per_anchor": 2 }),
            &[6, 7],
        ),
        // What the margin turned away does not count as passed over.
        (
            json!({ "margin": { "absolute": 0.25 }, "range_min": 1, "per_anchor": 2 }),
            &[5, 6],
        ),
        (
            json!({ "max_score": 0.55, "min_score": 0.25, "per_anchor": 9 }),
            &[4, 5, 6],
        ),
    ];
    for (settings, expected) in cases {
        assert_eq!(
            lab.documents(&world, "hard_negative", settings),
            *expected,
            "{settings}"
        );
    }
}

#[test]
fn a_relative_margin_lies_below_a_positive_of_negative_similarity_too() {
    // sentence-transformers #3819: pos * (1 - margin) would lie above -0.5.
    let (lab, mut world) = (Lab::new(), ladder());
    world.judgements.truncate(1);
    world.similarities = vec![vec![
        -0.48, -0.5, -0.52, -0.6, -0.7, -0.8, -0.9, -0.9, -0.9, -0.9,
    ]];
    let settings = json!({ "margin": { "relative": 0.1 }, "per_anchor": 2 });
    assert_eq!(lab.documents(&world, "hard_negative", &settings), [3, 4]);
}

#[test]
fn hard_negatives_are_those_of_sentence_transformers() {
    let lab = Lab::new();
    let fixture: Value =
        serde_json::from_str(include_str!("../fixtures/hard_negatives.json")).unwrap();
    let numbers = |value: &Value| -> Vec<usize> {
        let all = value.as_array().unwrap().iter();
        all.map(|one| one.as_u64().unwrap() as usize).collect()
    };
    let mut world = World::default();
    for (claim, row) in fixture["similarities"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let cosines = row.as_array().unwrap().iter();
        let cosines: Vec<f32> = cosines.map(|one| one.as_f64().unwrap() as f32).collect();
        world.papers = (0..cosines.len())
            .map(|number| paper(&format!("Paper {number}"), &[]))
            .collect();
        world.claims.push(format!("Claim {claim}"));
        world.similarities.push(cosines);
        world
            .judgements
            .extend(
                numbers(&fixture["positives"][claim])
                    .into_iter()
                    .map(|document| Known {
                        anchor: claim,
                        document,
                        label: "support",
                        relevant: true,
                        sentences: Vec::new(),
                    }),
            );
    }
    for case in fixture["cases"].as_array().unwrap() {
        let proposed = lab.propose(&world, "hard_negative", &case["settings"]);
        for (claim, chosen) in case["chosen"].as_array().unwrap().iter().enumerate() {
            let settings = &case["settings"];
            assert_eq!(
                documents(&proposed, claim),
                numbers(chosen),
                "{settings}, claim {claim}"
            );
        }
    }
}

#[test]
fn counts_of_hard_negatives_add_up_to_what_was_looked_at() {
    let (lab, world) = (Lab::new(), ladder());
    let settings = json!({ "margin": { "relative": 0.1 }, "range_min": 1, "min_score": 0.15, "per_anchor": 3 });
    let proposed = lab.propose(&world, "hard_negative", &settings);
    let counts = counts(&proposed);
    assert_eq!(documents(&proposed, 0), [4, 5, 6]);
    assert_eq!(counts["asked"], 3);
    assert_eq!(counts["found"], 3);
    assert_eq!(counts["dropped: known positive"], 2);
    assert_eq!(counts["dropped: within the margin of the positive"], 1);
    assert_eq!(counts["dropped: below min_score"], 2);
    assert_eq!(counts["dropped: nearer than range_min"], 1);
}

#[test]
fn hard_negatives_at_random_stay_within_the_range_and_follow_the_seed() {
    let (lab, world) = (Lab::new(), ladder());
    let settings = json!({ "sampling": "random", "top_k": 7, "range_min": 1, "per_anchor": 3 });
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let draw = |seed| {
            let proposed = lab
                .try_propose(&world, "hard_negative", &settings, seed)
                .unwrap();
            documents(&proposed, 0)
        };
        let drawn = draw(seed);
        assert_eq!(drawn, draw(seed));
        assert_eq!(drawn.len(), 3);
        assert!(drawn.is_sorted(), "nearest first: {drawn:?}");
        seen.extend(drawn);
    }
    // Of 0, 2, 4, 5, 6, 7, 8 the nearest is passed over.
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [2, 4, 5, 6, 7, 8]);
}

#[test]
fn settings_that_leave_nothing_are_refused() {
    let (lab, world) = (Lab::new(), ladder());
    for (settings, pointer) in [
        (json!({ "range_min": 50 }), "/range_min"),
        (json!({ "min_score": 0.5, "max_score": 0.4 }), "/min_score"),
    ] {
        assert_eq!(lab.refusal(&world, "hard_negative", &settings).0, pointer);
    }
}

/// The positive's abstract a second time, under another id and in other case and spaces; one document twice; one empty.
fn with_copies() -> World {
    let mut world = ladder();
    world.papers[0] = Paper {
        title: "PAPER  1".to_owned(),
        sentences: vec!["about\nthing 1. ".to_owned()],
        ..world.papers[0].clone()
    };
    world.papers[4] = world.papers[2].clone();
    world.papers[5] = Paper {
        title: String::new(),
        sentences: vec![" ".to_owned()],
        ..world.papers[5].clone()
    };
    world
}

#[test]
fn no_copy_of_a_positive_and_no_text_twice_becomes_a_negative() {
    let (lab, world) = (Lab::new(), with_copies());
    for name in ["hard_negative", "random"] {
        let proposed = lab.propose(&world, name, &json!({ "per_anchor": 10 }));
        let mut found = documents(&proposed, 0);
        found.sort_unstable();
        found.retain(|document| *document != 4 && *document != 2);
        assert_eq!(found, [6, 7, 8, 9], "{name}");
        assert_eq!(proposed.candidates.len(), 5, "{name}: one of 2 and 4");
        let counts = counts(&proposed);
        for (what, n) in [
            ("asked", 10),
            ("found", 5),
            ("dropped: known positive", 2),
            ("dropped: same text as a known positive", 1),
            ("dropped: same text twice", 1),
            ("dropped: empty document", 1),
        ] {
            assert_eq!(counts[what], n, "{name}: {what}");
        }
    }
}

#[test]
fn random_documents_follow_the_seed_and_reach_all() {
    let (lab, world) = (Lab::new(), ladder());
    let draw = |seed| {
        let proposed = lab
            .try_propose(&world, "random", &json!({ "per_anchor": 2 }), seed)
            .unwrap();
        documents(&proposed, 0)
    };
    assert_eq!(draw(5), draw(5));
    let seen: std::collections::BTreeSet<usize> = (0..60).flat_map(draw).collect();
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [0, 2, 4, 5, 6, 7, 8, 9]
    );
}
