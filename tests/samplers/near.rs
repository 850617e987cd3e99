//! What lies near: `same_topic`, `lexical_negative`.

use serde_json::{Value, json};

use crate::world::{Known, Lab, World, counts, documents, paper};

fn positive(document: usize) -> Known {
    Known {
        anchor: 0,
        document,
        label: "support",
        relevant: true,
        sentences: vec![0],
    }
}

/// Eight papers on a line between two topics; the positive is 0, 1 is its near-duplicate, 2 was judged.
fn topics() -> World {
    let long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
    let share = [1.0, 1.0, 0.95, 0.9, 0.8, 0.6, 0.3, 0.0f32];
    let mut papers: Vec<_> = (0..8)
        .map(|n| paper(&format!("Paper {n}"), &["Text."]))
        .collect();
    papers[0] = paper("Same", &[long]);
    papers[1] = paper("Same", &[&format!("{long} fifteen")]);
    World {
        papers,
        claims: vec!["A claim".to_owned()],
        judgements: vec![
            positive(0),
            Known {
                label: "contradict",
                relevant: false,
                ..positive(2)
            },
        ],
        topics: share.iter().map(|&a| vec![a, 1.0 - a]).collect(),
        ..World::default()
    }
}

#[test]
fn papers_on_the_topic_are_ranked_by_the_cosine_of_their_mixtures() {
    let (lab, world) = (Lab::new(), topics());
    // Cosines of (a, 1 - a) with (1, 0): a / sqrt(a² + (1 - a)²).
    let cosine = |a: f32| a / (a * a + (1.0 - a) * (1.0 - a)).sqrt();
    let cases: &[(Value, &[usize])] = &[
        (json!({ "sampling": "top", "per_anchor": 3 }), &[3, 4, 5]),
        (
            json!({ "sampling": "top", "per_anchor": 9 }),
            &[3, 4, 5, 6, 7],
        ),
        (
            json!({ "sampling": "top", "top_k": 4, "range_min": 1, "per_anchor": 9 }),
            &[4, 5, 6],
        ),
        // 0.9 is cosine 0.994, 0.8 0.970, 0.6 0.832.
        (
            json!({ "sampling": "top", "max_similarity": 0.98, "per_anchor": 2 }),
            &[4, 5],
        ),
        (
            json!({ "sampling": "top", "min_similarity": 0.9, "per_anchor": 9 }),
            &[3, 4],
        ),
        (json!({ "top_k": 2, "per_anchor": 2 }), &[3, 4]),
    ];
    for (settings, expected) in cases {
        let found = lab.documents(&world, "same_topic", settings);
        assert_eq!(found, *expected, "{settings}");
    }
    let settings = json!({ "sampling": "top", "per_anchor": 3 });
    let proposed = lab.propose(&world, "same_topic", &settings);
    for (candidate, share) in proposed.candidates.iter().zip([0.9, 0.8, 0.6]) {
        assert!((candidate.score.unwrap() - cosine(share)).abs() < 1e-6);
        let detail: Value = serde_json::from_str(&candidate.detail).unwrap();
        assert_eq!(
            (&detail["near"], &detail["by"]),
            (&json!("d0"), &json!("topic"))
        );
    }
    let counts = counts(&proposed);
    assert_eq!(counts["dropped: near-duplicate of a positive"], 1);
    assert_eq!(counts["dropped: judged for this anchor"], 1);
    assert_eq!((counts["asked"], counts["found"]), (3, 3));
}

#[test]
fn a_near_duplicate_is_what_the_setting_says() {
    let (lab, world) = (Lab::new(), topics());
    // "Same" and fourteen words: 13 runs of three, all of them among the 14 of the copy.
    for (near_duplicate, first) in [(0.92, 3), (0.94, 1)] {
        let settings =
            json!({ "sampling": "top", "per_anchor": 1, "near_duplicate": near_duplicate });
        assert_eq!(lab.documents(&world, "same_topic", &settings), [first]);
    }
}

#[test]
fn an_anchor_with_several_positives_is_near_to_the_nearest_and_one_without_to_itself() {
    let (lab, mut world) = (Lab::new(), topics());
    world.judgements = vec![positive(0), positive(7)];
    let settings = json!({ "sampling": "top", "per_anchor": 4 });
    assert_eq!(lab.documents(&world, "same_topic", &settings), [2, 3, 4, 6]);
    world.judgements.clear();
    world.claims = vec!["Paper 6".to_owned()];
    // Cosines with (0.3, 0.7): 1, 0.919, 0.838, 0.605.
    assert_eq!(lab.documents(&world, "same_topic", &settings), [6, 7, 5, 4]);
}

#[test]
fn papers_on_the_topic_by_embedding_share_its_words() {
    let (lab, mut world) = (Lab::new(), topics());
    world.topics.clear();
    world.papers[5] = paper(
        "Elsewhere",
        &["one two three four and then other words entirely"],
    );
    let settings = json!({ "by": "embedding", "sampling": "top", "per_anchor": 1 });
    assert_eq!(lab.documents(&world, "same_topic", &settings), [5]);
    assert!(
        lab.try_propose(&world, "same_topic", &json!({}), 1)
            .is_err(),
        "no topics are lent"
    );
}

#[test]
fn random_papers_on_the_topic_follow_the_seed() {
    let (lab, world) = (Lab::new(), topics());
    let settings = json!({ "top_k": 4, "per_anchor": 2 });
    let draw = |seed| {
        let proposed = lab
            .try_propose(&world, "same_topic", &settings, seed)
            .unwrap();
        documents(&proposed, 0)
    };
    assert_eq!(draw(3), draw(3));
    let seen: std::collections::BTreeSet<usize> = (0..40).flat_map(draw).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
}

/// Papers that share fewer and fewer words with the claim; 1 is the positive, 2 was judged not to be relevant.
fn words() -> World {
    World {
        papers: vec![
            paper("alpha beta gamma delta", &["zero"]),
            paper("alpha beta gamma", &["evidence of epsilon zeta"]),
            paper("alpha beta", &["two"]),
            paper("alpha beta", &["three"]),
            paper("epsilon zeta", &["four", "evidence"]),
            paper("alpha", &["five"]),
            paper("nothing", &["shared"]),
        ],
        claims: vec!["alpha beta gamma delta".to_owned()],
        judgements: vec![
            positive(1),
            Known {
                label: "neutral",
                relevant: false,
                sentences: Vec::new(),
                ..positive(2)
            },
        ],
        similarities: vec![vec![0.9, 0.8, 0.3, 0.6, 0.2, 0.1, 0.0]],
        ..World::default()
    }
}

#[test]
fn lexical_negatives_share_words_with_what_is_searched_for() {
    let (lab, world) = (Lab::new(), words());
    let cases: &[(Value, &[usize])] = &[
        (json!({}), &[0, 2, 3, 5]),
        (json!({ "per_anchor": 2 }), &[0, 2]),
        (json!({ "top_k": 3 }), &[0, 2, 3]),
        (json!({ "skip_judged": true }), &[0, 3, 5]),
        // The same words, but not to the model.
        (json!({ "max_similarity": 0.5 }), &[2, 5]),
        // The positive's evidence, not its title.
        (json!({ "query": "positive" }), &[4]),
    ];
    for (settings, expected) in cases {
        let found = lab.documents(&world, "lexical_negative", settings);
        assert_eq!(found, *expected, "{settings}");
    }
    let proposed = lab.propose(
        &world,
        "lexical_negative",
        &json!({ "max_similarity": 0.5 }),
    );
    let counts = counts(&proposed);
    assert_eq!(counts["dropped: known positive"], 1);
    assert_eq!(counts["dropped: above max_similarity"], 2);
    assert_eq!((counts["asked"], counts["found"]), (5, 2));
}

#[test]
fn what_several_positives_find_is_taken_in_turn() {
    let (lab, mut world) = (Lab::new(), words());
    // The second positive says "five": its best is 5; then come the second best of each.
    world.papers.push(paper("Another", &["five three"]));
    world.similarities[0].push(0.5);
    world.judgements.push(positive(7));
    let found = lab.documents(&world, "lexical_negative", &json!({ "query": "positive" }));
    assert_eq!(found, [4, 3, 5]);
}
