//! `duplicate` and `leakage`: what repeats what, in tables of cases, by scikit-learn's numbers and by brute force.

use std::collections::BTreeSet;

use orchestrator_plugin_host::Role;
use serde_json::{Value, json};

use crate::lent::{
    Filters, Numbers, Row, World, builtin, fixture, from, held_out, negative, positive, samples,
};

/// Sixty different words, of which `changed` are others: one inner word changes three of 58 shingles.
fn long(changed: &[usize]) -> String {
    let word = |place: usize| {
        let letter = if changed.contains(&place) { 'x' } else { 'w' };
        format!("{letter}{place}")
    };
    (0..60).map(word).collect::<Vec<_>>().join(" ")
}

/// What it shows, settings, kept before, judged, why each goes ("" = it stays).
type Case<'a> = (&'a str, &'a Value, &'a [Row], &'a [Row], &'a [&'a str]);

#[test]
fn of_samples_that_repeat_each_other_the_first_stays_and_no_positive_goes_for_a_negative() {
    let filters = Filters::new();
    let world = |pool: &[Row]| World {
        pool: samples(pool),
        ..World::default()
    };
    let (whole, edited, again) = (long(&[]), long(&[30]), long(&[30, 45]));
    let empty: &[Row] = &[];
    let anchor = json!({});
    let all = json!({ "scope": "all" });
    let cases: &[Case<'_>] = &[
        (
            "case and spaces do not count",
            &anchor,
            empty,
            &[negative(1, "Sleep  helps"), negative(1, " sleep\nHELPS ")],
            &["", "repeats a negative of its anchor: \"Sleep helps\""],
        ),
        (
            "another anchor may have the same text, unless scope is all",
            &anchor,
            empty,
            &[negative(1, "sleep helps"), negative(2, "sleep helps")],
            &["", ""],
        ),
        (
            "scope all",
            &all,
            empty,
            &[negative(1, "sleep helps"), negative(2, "Sleep helps")],
            &["", "repeats a negative of another anchor"],
        ),
        (
            "a negative goes for a positive of its anchor that comes later",
            &anchor,
            empty,
            &[
                negative(1, &edited),
                positive(1, &whole),
                negative(2, &edited),
            ],
            &[
                "nearly repeats (Jaccard 0.902) a positive of its anchor: \"w0 w1 w2 w3 w4 w5 w6 w7 …\"",
                "",
                "",
            ],
        ),
        (
            "what was kept before goes first",
            &anchor,
            &[
                positive(1, &whole),
                negative(1, "sleep helps"),
                negative(2, "rest helps"),
            ],
            &[
                positive(1, &edited),
                negative(1, "Sleep helps"),
                negative(1, "rest helps"),
            ],
            &[
                "a positive of its anchor, kept in an earlier round",
                "repeats a negative of its anchor, kept in an earlier round",
                "",
            ],
        ),
        (
            "but no positive goes for a negative of an earlier round",
            &anchor,
            &[negative(1, &whole), negative(1, "sleep helps")],
            &[positive(1, &edited), positive(1, "sleep helps")],
            &["", ""],
        ),
        (
            "what was dropped drops nothing",
            &anchor,
            empty,
            &[
                negative(1, &whole),
                negative(1, &edited),
                negative(1, &again),
            ],
            &["", "nearly", ""],
        ),
        (
            "the reason names the positive of its own anchor before what comes first",
            &all,
            empty,
            &[
                positive(1, &whole),
                positive(2, &again),
                negative(2, &edited),
            ],
            &["", "", "a positive of its anchor: \"w0"],
        ),
        (
            "spared sources are only compared exactly",
            &json!({ "spare": ["keyword_edit"] }),
            empty,
            &[
                positive(1, &whole),
                from("keyword_edit", negative(1, &edited)),
                from("keyword_edit", negative(1, &again)),
                from("keyword_edit", negative(1, &whole.to_uppercase())),
                negative(1, &edited),
            ],
            &["", "", "", "repeats a positive", "repeats"],
        ),
        (
            "a higher threshold keeps what differs by a word",
            &json!({ "threshold": 0.95 }),
            empty,
            &[
                negative(1, &whole),
                negative(1, &edited),
                negative(1, &(whole.clone() + "!")),
            ],
            &["", "", "nearly repeats (Jaccard 1.000)"],
        ),
        (
            "texts without a word only repeat each other exactly",
            &anchor,
            empty,
            &[negative(1, "…"), negative(1, "—"), negative(1, "—")],
            &["", "", "repeats"],
        ),
    ];
    for (shows, settings, pool, rows, said) in cases {
        assert_eq!(rows.len(), said.len(), "{shows}");
        filters.expect("duplicate", settings, &world(pool), rows, said);
    }
}

#[test]
fn jaccard_and_containment_are_those_of_scikit_learn() {
    let filters = Filters::new();
    let (mut near, mut held) = (0, 0);
    for case in fixture()["texts"].as_array().unwrap() {
        let (a, b) = (case["a"].as_str().unwrap(), case["b"].as_str().unwrap());
        let expected = |key: &str| case[key].as_f64().unwrap();
        let settings = json!({ "shingle": case["shingle"], "threshold": 0.3 });
        let rows = [negative(1, a), negative(1, b)];
        let verdict = &filters.judge("duplicate", &settings, &World::default(), &rows)[1];
        let jaccard = expected("jaccard");
        if jaccard >= 0.3 {
            near += 1;
            let found = f64::from(verdict.score.unwrap());
            assert!(
                (found - jaccard).abs() < 1e-6 && !verdict.keep,
                "{found} {jaccard}: {a} | {b}"
            );
        } else {
            assert!(verdict.keep, "{jaccard}: {a} | {b}");
        }
        let world = World {
            held_out: held_out(&[("7", "test", a)]),
            ..World::default()
        };
        let settings = json!({ "shingle": case["shingle"] });
        let verdict = &filters.judge("leakage", &settings, &world, &rows)[1];
        let found = f64::from(verdict.score.unwrap_or(0.0));
        let containment = expected("containment");
        assert!(
            (found - containment).abs() < 1e-6,
            "{found} {containment}: {a} | {b}"
        );
        assert_eq!(verdict.keep, containment < 0.8);
        held += usize::from(!verdict.keep);
    }
    assert!(near > 20 && held > 20, "{near} {held}");
}

/// By definition: every pair, sets of strings.
fn brute_force(pool: &[Row], rows: &[Row], all: bool, threshold: f64) -> Vec<bool> {
    let set = |row: &Row| -> BTreeSet<String> {
        let text = row.text.to_lowercase();
        let words: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        words.windows(3).map(|some| some.join(" ")).collect()
    };
    let sets: Vec<_> = pool.iter().chain(rows).map(set).collect();
    let row = |place: usize| pool.iter().chain(rows).nth(place).unwrap();
    let mut kept: Vec<usize> = (0..pool.len()).collect();
    let mut answer = vec![true; rows.len()];
    for role in [Role::Positive, Role::Negative] {
        for place in (pool.len()..sets.len()).filter(|&place| row(place).role == role) {
            let repeats = kept.iter().any(|&other| {
                let common = sets[place].intersection(&sets[other]).count();
                let union = sets[place].len() + sets[other].len() - common;
                (all || row(other).anchor == row(place).anchor)
                    && (role == Role::Negative || row(other).role == Role::Positive)
                    && common as f64 / union as f64 >= threshold
            });
            if repeats {
                answer[place - pool.len()] = false;
            } else {
                kept.push(place);
            }
        }
    }
    answer
}

#[test]
fn near_repeats_are_those_of_brute_force_whatever_the_seed() {
    let filters = Filters::new();
    let (documents, _) = builtin();
    let mut numbers = Numbers(13);
    let vocabulary: Vec<&str> = documents
        .iter()
        .flatten()
        .flat_map(|text| text.split(' '))
        .collect();
    let rows: Vec<Row> = (0..700)
        .map(|_| {
            let text = documents[numbers.below(25)].join(" ");
            let mut words: Vec<&str> = text.split(' ').collect();
            for _ in 0..numbers.below(7) {
                let place = numbers.below(words.len());
                words[place] = vocabulary[numbers.below(vocabulary.len())];
            }
            let anchor = numbers.below(12) as i64;
            let text = words.join(" ");
            if numbers.below(4) == 0 {
                positive(anchor, &text)
            } else {
                negative(anchor, &text)
            }
        })
        .collect();
    let (pool, judged) = rows.split_at(100);
    for (scope, all) in [("anchor", false), ("all", true)] {
        for threshold in [0.9, 0.8, 0.6] {
            let expected = brute_force(pool, judged, all, threshold);
            let stay = expected.iter().filter(|&&keep| keep).count();
            assert!((20..580).contains(&stay), "{scope} {threshold}: {stay}");
            for seed in [1, 2, 3] {
                let world = World {
                    pool: samples(pool),
                    seed,
                    ..World::default()
                };
                let settings = json!({ "scope": scope, "threshold": threshold });
                let verdicts = filters.judge("duplicate", &settings, &world, judged);
                let found: Vec<bool> = verdicts.iter().map(|one| one.keep).collect();
                assert_eq!(found, expected, "{scope} {threshold} {seed}");
            }
        }
    }
}

#[test]
fn texts_that_hold_or_nearly_repeat_a_held_out_claim_go_and_others_stay() {
    let filters = Filters::new();
    let world = World {
        held_out: held_out(&[
            (
                "7",
                "test",
                "Daily walks of an hour lower the blood pressure of people over sixty years of age by a tenth.",
            ),
            ("8", "validation", "Sleep helps memory."),
            ("9", "validation", "Daily walks of an hour do nothing."),
            ("10", "test", ""),
        ]),
        ..World::default()
    };
    for (text, said) in [
        (
            "We found: daily walks - of an hour - LOWER the blood pressure of people over sixty years of age by a tenth!",
            "holds, word for word, the test claim `7`: \"Daily walks of an hour lower the blood …\"",
        ),
        (
            "Daily walks of an hour lower the blood pressure of people over seventy years of age by a tenth.",
            "holds 82 % of the test claim `7`",
        ),
        // Two words changed, of nineteen: 12 of 17 shingles.
        (
            "Daily runs of an hour lower the blood pressure of people over seventy years of age by a tenth.",
            "",
        ),
        (
            "The blood pressure of people over sixty is lower where walks of an hour are daily, by a tenth or more.",
            "",
        ),
        (
            "daily walks of an hour do nothing",
            "is the validation claim `9`",
        ),
        // Too short to be looked for inside a text.
        ("SLEEP helps memory", "is the validation claim `8`"),
        ("We asked whether sleep helps memory in mice", ""),
        ("…", ""),
    ] {
        for row in [positive(1, text), negative(1, text)] {
            filters.expect("leakage", &json!({}), &world, &[row], &[said]);
        }
    }
    let looser = json!({ "threshold": 0.6 });
    let row = negative(
        1,
        "Daily runs of an hour lower the blood pressure of people over seventy years of age by a tenth.",
    );
    filters.expect(
        "leakage",
        &looser,
        &world,
        &[row],
        &["holds 71 % of the test claim `7`"],
    );
}

#[test]
fn no_sentence_or_abstract_of_the_built_in_corpus_is_taken_for_a_test_claim() {
    let filters = Filters::new();
    let (documents, claims) = builtin();
    let claims: Vec<_> = claims
        .iter()
        .map(|(id, text)| (id.as_str(), "test", text.as_str()))
        .collect();
    let world = World {
        held_out: held_out(&claims),
        ..World::default()
    };
    let rows: Vec<Row> = documents
        .iter()
        .flat_map(|parts| parts.iter().cloned().chain([parts.join(" ")]))
        .map(|text| negative(1, &text))
        .collect();
    let verdicts = filters.judge("leakage", &json!({}), &world, &rows);
    assert!(claims.len() > 20 && rows.len() > 1000);
    for (verdict, row) in verdicts.iter().zip(&rows) {
        assert!(verdict.keep, "{row:?} {verdict:?}");
    }
}
