//! What judgements give: `explicit_positive`, `explicit_negative`, `same_document`.

use std::collections::BTreeSet;

use orchestrator_plugin_host::{Proposed, Role};
use serde_json::{Value, json};

use crate::world::{Known, Lab, World, counts, paper};

fn known(document: usize, label: &'static str, relevant: bool, sentences: &[i32]) -> Known {
    Known {
        anchor: 0,
        document,
        label,
        relevant,
        sentences: sentences.to_vec(),
    }
}

/// One claim: two rationale sets that support it, one that supports a part, one that contradicts, one paper only cited.
fn world() -> World {
    World {
        papers: vec![
            paper(
                "Zero",
                &["Nought a.", "Nought b. ", "Nought c.", "Nought d."],
            ),
            paper("One", &["Un a.", "Un b.", "Un c."]),
            paper("Two", &["Due a.", "Due b.", "Due c."]),
            paper("Three", &["Tre a.", "Tre b."]),
        ],
        claims: vec!["A claim".to_owned()],
        judgements: vec![
            known(0, "support", true, &[2, 0]),
            known(0, "partial", true, &[0]),
            known(0, "support", true, &[1]),
            known(1, "partial", true, &[2]),
            known(2, "contradict", false, &[0, 1]),
            known(3, "neutral", false, &[]),
        ],
        ..World::default()
    }
}

/// Text, label and weight of each sample.
fn seen(proposed: &Proposed) -> Vec<(&str, f32, f32)> {
    let all = proposed.candidates.iter();
    all.map(|one| (one.text.as_str(), one.label, one.weight))
        .collect()
}

#[test]
fn positives_are_joined_as_the_setting_says() {
    let (lab, world) = (Lab::new(), world());
    let whole = "Zero Nought a. Nought b. Nought c. Nought d.";
    let cases: &[(&str, &[(&str, f32)])] = &[
        (
            "rationale",
            &[
                ("Nought a. Nought c.", 1.0),
                ("Nought a.", 0.7),
                ("Nought b.", 1.0),
                ("Un c.", 0.7),
            ],
        ),
        // The sentence of a part is also one of the whole: the higher grade stands.
        (
            "sentence",
            &[
                ("Nought a.", 1.0),
                ("Nought c.", 1.0),
                ("Nought b.", 1.0),
                ("Un c.", 0.7),
            ],
        ),
        ("abstract", &[(whole, 1.0), ("One Un a. Un b. Un c.", 0.7)]),
        (
            "both",
            &[
                ("Nought a. Nought c.", 1.0),
                (whole, 1.0),
                ("Nought a.", 0.7),
                ("Nought b.", 1.0),
                ("Un c.", 0.7),
                ("One Un a. Un b. Un c.", 0.7),
            ],
        ),
    ];
    for (join, expected) in cases {
        let proposed = lab.propose(&world, "explicit_positive", &json!({ "join": join }));
        let found: Vec<(&str, f32)> = seen(&proposed)
            .into_iter()
            .map(|(text, label, weight)| {
                assert!((weight - 1.0).abs() < 1e-9);
                (text, label)
            })
            .collect();
        assert_eq!(&found, expected, "{join}");
        assert!(
            proposed
                .candidates
                .iter()
                .all(|one| one.role == Role::Positive)
        );
        let passed_over =
            counts(&proposed)["passed over: contradict is not relevant under this reading"];
        assert_eq!(passed_over, 1);
    }
    let proposed = lab.propose(&world, "explicit_positive", &json!({}));
    let detail: Value = serde_json::from_str(&proposed.candidates[0].detail).unwrap();
    assert_eq!(
        detail,
        json!({ "judgement": "support", "sentences": [0, 2] })
    );
}

#[test]
fn a_grade_sets_the_label_the_weight_or_both() {
    let (lab, world) = (Lab::new(), world());
    for (settings, label, weight) in [
        (json!({}), 0.7, 1.0),
        (json!({ "partial": 0.4 }), 0.4, 1.0),
        (json!({ "grades": "weight" }), 1.0, 0.7),
        (json!({ "grades": "weight", "partial": 0.25 }), 1.0, 0.25),
        (json!({ "grades": "both", "partial": 0.5 }), 0.5, 0.5),
    ] {
        let proposed = lab.propose(&world, "explicit_positive", &settings);
        let found = seen(&proposed);
        assert_eq!(found[3], ("Un c.", label, weight), "{settings}");
        assert_eq!(found[0], ("Nought a. Nought c.", 1.0, 1.0), "{settings}");
    }
}

#[test]
fn explicit_negatives_are_those_of_the_labels_asked_for() {
    let (lab, world) = (Lab::new(), world());
    let whole = "Two Due a. Due b. Due c.";
    let cases: &[(Value, &[&str])] = &[
        (json!({}), &["Due a. Due b.", "Three Tre a. Tre b."]),
        (json!({ "labels": ["contradict"] }), &["Due a. Due b."]),
        (json!({ "labels": ["neutral"] }), &["Three Tre a. Tre b."]),
        (json!({ "labels": [] }), &[]),
        (
            json!({ "labels": ["contradict"], "join": "sentence" }),
            &["Due a.", "Due b."],
        ),
        (
            json!({ "labels": ["contradict"], "join": "both" }),
            &["Due a. Due b.", whole],
        ),
    ];
    for (settings, expected) in cases {
        let proposed = lab.propose(&world, "explicit_negative", settings);
        let texts: Vec<&str> = seen(&proposed).iter().map(|one| one.0).collect();
        assert_eq!(&texts, expected, "{settings}");
        let are_negatives = proposed
            .candidates
            .iter()
            .all(|one| one.role == Role::Negative && one.label == 0.0);
        assert!(are_negatives);
    }
    let (pointer, message) = lab.refusal(
        &world,
        "explicit_negative",
        &json!({ "labels": ["support"] }),
    );
    assert_eq!(
        (pointer.as_str(), message.as_str()),
        ("/labels/0", "must be contradict or neutral")
    );
}

#[test]
fn an_explicit_negative_never_says_what_a_positive_says() {
    let (lab, mut world) = (Lab::new(), world());
    // The contradicting paper repeats the evidence; the cited one is a copy of the first; another speaks both ways.
    world.papers[2].sentences[1] = "NOUGHT  b.".to_owned();
    world.papers[3] = world.papers[0].clone();
    world
        .judgements
        .insert(4, known(1, "contradict", false, &[0]));
    let proposed = lab.propose(&world, "explicit_negative", &json!({ "join": "sentence" }));
    let texts: Vec<&str> = seen(&proposed).iter().map(|one| one.0).collect();
    assert_eq!(texts, ["Due a."]);
    assert_eq!(
        counts(&proposed)["dropped: same text as a known positive"],
        2
    );
    assert_eq!(counts(&proposed)["dropped: known positive"], 1);
}

/// One paper of nine sentences with evidence in 4, one judged as a whole, one that repeats the evidence.
fn long_paper() -> World {
    let sentences: Vec<String> = (0..9)
        .map(|n| format!("Sentence {n} has quite enough words."))
        .collect();
    let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
    World {
        papers: vec![
            paper("Long", &sentences),
            paper("Whole", &["This whole paper was judged at once."]),
            paper(
                "Repeats",
                &[
                    "Something else entirely is said here first.",
                    "This is what contradicts it, they say.",
                    "SENTENCE 4  has quite enough words.",
                    "Short one here.",
                ],
            ),
        ],
        claims: vec!["A claim".to_owned()],
        judgements: vec![
            known(0, "support", true, &[4]),
            known(1, "neutral", true, &[]),
            known(2, "contradict", false, &[1]),
        ],
        ..World::default()
    }
}

/// Document and sentences of each sample.
fn passages(proposed: &Proposed) -> BTreeSet<(usize, Vec<u64>)> {
    let all = proposed.candidates.iter();
    all.map(|one| {
        let detail: Value = serde_json::from_str(&one.detail).unwrap();
        let numbers = detail["sentences"].as_array().unwrap().iter();
        (
            one.document.unwrap(),
            numbers.map(|number| number.as_u64().unwrap()).collect(),
        )
    })
    .collect()
}

#[test]
fn passages_of_the_same_document_hold_no_evidence() {
    let (lab, world) = (Lab::new(), long_paper());
    let every = |settings: &Value| -> BTreeSet<(usize, Vec<u64>)> {
        (0..50)
            .flat_map(|seed| {
                let proposed = lab
                    .try_propose(&world, "same_document", settings, seed)
                    .unwrap();
                passages(&proposed)
            })
            .collect()
    };
    let of = |document: usize, firsts: &[u64], window: u64| -> BTreeSet<(usize, Vec<u64>)> {
        let passage = |first: &u64| (document, (*first..first + window).collect());
        firsts.iter().map(passage).collect()
    };
    // Neither the evidence nor its neighbours, nor the sentence elsewhere that repeats it, nor the short one.
    let expected = of(0, &[0, 1, 2, 6, 7, 8], 1);
    assert_eq!(every(&json!({ "per_anchor": 2 })), expected);
    let mut expected = of(0, &[0, 1, 2, 3, 5, 6, 7, 8], 1);
    expected.extend(of(2, &[0], 1));
    assert_eq!(every(&json!({ "avoid_neighbours": 0 })), expected);
    assert_eq!(
        every(&json!({ "window": 2 })),
        of(0, &[0, 1, 6, 7], 2),
        "no window reaches into what is avoided"
    );
    let settings = json!({ "window": 3, "avoid_neighbours": 0, "min_words": 18 });
    assert_eq!(every(&settings), of(0, &[0, 1, 5, 6], 3));
}

#[test]
fn passages_do_not_overlap_and_name_their_document() {
    let (lab, world) = (Lab::new(), long_paper());
    for seed in 0..30 {
        let proposed = lab
            .try_propose(
                &world,
                "same_document",
                &json!({ "window": 2, "per_anchor": 9 }),
                seed,
            )
            .unwrap();
        let mut sentences: Vec<u64> = passages(&proposed)
            .into_iter()
            .flat_map(|(_, numbers)| numbers)
            .collect();
        let n = sentences.len();
        sentences.sort_unstable();
        sentences.dedup();
        assert_eq!(sentences.len(), n);
        // Three sentences before and three after: one passage of each.
        assert_eq!(proposed.candidates.len(), 2);
        let counts = counts(&proposed);
        assert_eq!((counts["asked"], counts["found"]), (9, 2));
        assert_eq!(counts["passed over: document judged as a whole"], 1);
    }
}
