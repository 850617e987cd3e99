//! What is chosen by fields, structure or corpus: `metadata`, `structured`, `cross_domain`.

use std::collections::BTreeSet;

use orchestrator_plugin_host::Proposed;
use serde_json::{Value, json};

use crate::world::{Known, Lab, Paper, World, counts, documents, paper};

/// Six papers of three fields; 4 is the positive of claim 0, and 5 a copy of it. Claim 1 has none.
fn fields() -> World {
    let of = |title: &str, metadata: Value| Paper {
        metadata,
        ..paper(title, &["Something is said here."])
    };
    World {
        papers: vec![
            of(
                "Zero",
                json!({ "year": 1999, "domain": "physics", "tables": [] }),
            ),
            of("One", json!({ "year": 2005, "domain": "biology" })),
            of("Two", json!({ "year": 2011, "domain": "physics" })),
            of("Three", json!({ "domain": "physics" })),
            of("Four", json!({ "year": 2001, "domain": "physics" })),
            of("four", json!({ "year": 2001, "domain": "physics" })),
        ],
        claims: vec!["A claim".to_owned(), "Another".to_owned()],
        claim_metadata: vec![
            json!({ "domain": "biology" }),
            json!({ "domain": "physics" }),
        ],
        judgements: vec![Known {
            anchor: 0,
            document: 4,
            label: "support",
            relevant: true,
            sentences: vec![0],
        }],
        similarities: vec![
            vec![0.1, 0.2, 0.3, 0.4, 0.9, 0.9],
            vec![0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
        ],
        ..World::default()
    }
}

/// In ascending order; of 4 and its copy 5 only one is proposed.
fn sorted(proposed: &Proposed, anchor: usize) -> Vec<usize> {
    let mut found = documents(proposed, anchor);
    for document in &mut found {
        *document = (*document).min(4);
    }
    found.sort_unstable();
    found
}

#[test]
fn metadata_negatives_are_those_of_which_the_predicate_holds() {
    let (lab, world) = (Lab::new(), fields());
    let cases: &[(&str, &[usize], &[usize])] = &[
        ("year < 2010", &[0, 1], &[0, 1, 4]),
        // The article's own, with its spelling of the anchor.
        ("year < 2010 and domain != $anchor.domain", &[0], &[1]),
        ("domain == anchor.domain", &[1], &[0, 2, 3, 4]),
        ("not exists(year)", &[3], &[3]),
        (
            "title in ['One', 'Two'] or id == 'd3'",
            &[1, 2, 3],
            &[1, 2, 3],
        ),
        ("words > 100", &[], &[]),
    ];
    for (predicate, first, second) in cases {
        let settings = json!({ "where": predicate, "per_anchor": 9 });
        let proposed = lab.propose(&world, "metadata", &settings);
        assert_eq!(sorted(&proposed, 0), *first, "{predicate}");
        assert_eq!(sorted(&proposed, 1), *second, "{predicate}");
    }
    let settings = json!({ "where": "year < 2010 and domain != anchor.domain" });
    let proposed = lab.propose(&world, "metadata", &settings);
    let detail: Value = serde_json::from_str(&proposed.candidates[0].detail).unwrap();
    assert_eq!(
        detail,
        json!({ "year": 1999.0, "domain": "physics", "anchor.domain": "biology" })
    );
    let counts = counts(&proposed);
    assert_eq!(
        (counts["matched"], counts["asked"], counts["found"]),
        (4, 10, 2)
    );
    assert_eq!(counts["dropped: known positive"], 1);
    assert_eq!(counts["dropped: same text as a known positive"], 1);
}

#[test]
fn metadata_negatives_come_nearest_first_or_by_the_seed() {
    let (lab, world) = (Lab::new(), fields());
    let near = json!({ "where": "domain == 'physics'", "order": "near", "per_anchor": 2 });
    let proposed = lab.propose(&world, "metadata", &near);
    assert_eq!(documents(&proposed, 0), [3, 2]);
    assert_eq!(documents(&proposed, 1), [0, 2]);
    assert_eq!(proposed.candidates[0].score, Some(0.4));
    let random = json!({ "where": "domain == 'physics'", "per_anchor": 1 });
    let draw = |seed| {
        let proposed = lab.try_propose(&world, "metadata", &random, seed).unwrap();
        documents(&proposed, 0)
    };
    assert_eq!(draw(1), draw(1));
    let seen: BTreeSet<usize> = (0..40).flat_map(draw).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 2, 3]);
}

#[test]
fn a_predicate_that_cannot_be_is_refused_with_its_place() {
    let (lab, world) = (Lab::new(), fields());
    for (predicate, what) in [
        (
            "year < and domain == 'x'",
            "expected a field or a value, found `and` at column 8\n  year < and domain == 'x'\n         ^",
        ),
        (
            "yaer < 2010",
            "no document has the field `yaer`: they have id, title, text, words, domain, tables, year;",
        ),
        (
            "domain != anchor.field",
            "no claim has the field `anchor.field`: they have id, text, words, domain;",
        ),
    ] {
        let (pointer, message) = lab.refusal(&world, "metadata", &json!({ "where": predicate }));
        assert_eq!(pointer, "/where");
        assert!(message.starts_with(what), "{message}");
    }
    // To ask whether it is there is no error.
    let settings = json!({ "where": "not exists(yaer)", "per_anchor": 9 });
    assert_eq!(lab.documents(&world, "metadata", &settings).len(), 4);
}

/// Papers with tables and figures in their metadata, in their sentences, or nowhere.
fn structures() -> World {
    let mut papers = vec![
        paper("Relevant", &["See Table 9 for all of it."]),
        paper("In a field", &["We refer to Table 7 in passing."]),
        paper(
            "In a sentence",
            &["It is known.", "Rates rose in the second year (Fig. 2b)."],
        ),
        paper("Nowhere", &["No structure here."]),
        paper("Bare", &["Figure 1."]),
    ];
    papers[1].metadata = json!({
        "tables": [{ "label": "Table 1", "caption": "Doses by arm and year" }],
        "figures": [],
        "schemes": ["Fig. 3: Reaction of the two"],
    });
    World {
        papers,
        claims: vec!["A claim".to_owned()],
        judgements: vec![Known {
            anchor: 0,
            document: 0,
            label: "support",
            relevant: true,
            sentences: vec![0],
        }],
        similarities: vec![vec![0.9, 0.3, 0.6, 0.5, 0.8]],
        ..World::default()
    }
}

#[test]
fn tables_and_figures_of_other_papers_become_sentences() {
    let (lab, world) = (Lab::new(), structures());
    let texts = |settings: &Value| -> Vec<String> {
        let proposed = lab.propose(&world, "structured", settings);
        let all = proposed.candidates.into_iter();
        all.map(|one| one.text).collect()
    };
    assert_eq!(
        texts(&json!({})),
        [
            "Figure 2b demonstrates: Rates rose in the second year.",
            "As shown in Table 1: Doses by arm and year",
        ]
    );
    let settings = json!({
        "fields": ["schemes"],
        "templates": { "figure": "{text} ({label})" },
        "per_anchor": 2,
    });
    assert_eq!(
        texts(&settings),
        [
            "Rates rose in the second year. (Figure 2b)",
            "Reaction of the two (Figure 3)",
        ]
    );
    let settings = json!({ "min_words": 6, "order": "random" });
    assert_eq!(texts(&settings).len(), 1);
    let (pointer, _) = lab.refusal(
        &world,
        "structured",
        &json!({ "templates": { "table": "Table" } }),
    );
    assert_eq!(pointer, "/templates/table");
    let proposed = lab.propose(&world, "structured", &json!({}));
    assert_eq!(documents(&proposed, 0), [2, 1]);
    let counts = counts(&proposed);
    assert_eq!((counts["asked"], counts["found"]), (3, 2));
    assert_eq!(counts["dropped: known positive"], 1);
}

fn with_other_fields() -> World {
    let mut world = fields();
    let of = |field: &str| -> Vec<Paper> {
        (0..6)
            .map(|n| paper(&format!("{field} {n}"), &["It is said."]))
            .collect()
    };
    world.others = vec![
        ("biology".to_owned(), of("Cell")),
        ("physics".to_owned(), of("Atom")),
    ];
    // A copy of the positive.
    world.others[0].1[0] = world.papers[4].clone();
    world.claims[0] = "Atom 3".to_owned();
    world
}

#[test]
fn papers_of_other_corpora_name_their_corpus_and_no_document() {
    let (lab, world) = (Lab::new(), with_other_fields());
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let proposed = lab
            .try_propose(&world, "cross_domain", &json!({}), seed)
            .unwrap();
        assert_eq!(proposed.candidates.len(), 6);
        for one in &proposed.candidates {
            assert_eq!(one.document, None);
            let detail: Value = serde_json::from_str(&one.detail).unwrap();
            let of = |key: &str| detail[key].as_str().unwrap().to_owned();
            seen.insert((one.anchor, of("corpus"), of("id")));
        }
    }
    // All twelve for claim 1, all but the copy of its positive for claim 0.
    assert_eq!(seen.len(), 23);
    assert!(!seen.contains(&(0, "biology".to_owned(), "d0".to_owned())));
}

#[test]
fn papers_of_other_corpora_may_be_the_nearest() {
    let (lab, world) = (Lab::new(), with_other_fields());
    let settings = json!({ "order": "near", "per_anchor": 1, "corpora": ["physics"] });
    let proposed = lab.propose(&world, "cross_domain", &settings);
    assert_eq!(proposed.candidates[0].text, "Atom 3 It is said.");
    assert!(proposed.candidates[0].score.unwrap() > 0.5);
    // Of fewer candidates, by the seed.
    let settings = json!({ "order": "near", "per_anchor": 9, "candidates": 4 });
    let proposed = lab.propose(&world, "cross_domain", &settings);
    let of_second = proposed.candidates.iter().filter(|one| one.anchor == 1);
    assert_eq!(of_second.count(), 4);
}

#[test]
fn a_corpus_that_is_not_there_is_refused() {
    let (lab, mut world) = (Lab::new(), with_other_fields());
    let (pointer, message) = lab.refusal(
        &world,
        "cross_domain",
        &json!({ "corpora": ["physics", "geology"] }),
    );
    assert_eq!(pointer, "/corpora/1");
    assert!(message.contains("biology, physics"), "{message}");
    world.others.clear();
    let (pointer, message) = lab.refusal(&world, "cross_domain", &json!({}));
    assert_eq!(pointer, "/corpora");
    assert!(message.contains("data.other"), "{message}");
}
