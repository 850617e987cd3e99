//! `false_negative`, `consistency`, `similarity_range` and `cross_encoder`: filters that ask a model.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::lent::{
    Filters, Mixtures, World, corpus, fixture, from, judgements, negative, positive, samples,
};

#[test]
fn a_negative_nearly_as_near_as_its_anchors_best_positive_goes() {
    let filters = Filters::new();
    let world = World {
        corpus: corpus(&["0.7 known", "0.95 not relevant"]),
        judgements: judgements(&[(4, 0, true), (4, 1, false)]),
        pool: samples(&[positive(3, "0.6 earlier"), negative(3, "0.99 earlier")]),
        ..World::default()
    };
    let rows = [
        // Anchor 1: the better of two positives counts.
        positive(1, "0.5 p"),
        positive(1, "0.8 p"),
        negative(1, "0.75 n"),
        negative(1, "0.77 n"),
        from("char_noise", negative(1, "0.79 n")),
        // Anchor 2: below 0 as well, a negative must stay below its positive.
        positive(2, "-0.2 p"),
        negative(2, "-0.205 n"),
        negative(2, "-0.22 n"),
        // Anchor 3: its positive is of an earlier round; anchor 4: only a judgement; anchor 5: none.
        negative(3, "0.58 n"),
        negative(3, "0.5 n"),
        negative(4, "0.68 n"),
        negative(4, "0.6 n"),
        negative(5, "0.97 n"),
    ];
    let stays = [""; 13];
    let dropped = |which: &[(usize, &'static str)]| {
        let mut said = stays;
        for &(place, reason) in which {
            said[place] = reason;
        }
        said
    };
    for (settings, said) in [
        (
            json!({}),
            dropped(&[
                (
                    3,
                    "similarity 0.770 by current, above 0.760: its anchor's best positive has 0.800",
                ),
                (4, "0.790"),
                (6, "above -0.210"),
                (8, "above 0.570"),
                (10, "above 0.665"),
            ]),
        ),
        (
            json!({ "spare": ["char_noise"], "margin": { "relative": 0 } }),
            stays,
        ),
        (
            json!({ "margin": { "relative": 0, "absolute": 0.06 }, "spare": ["char_noise"] }),
            dropped(&[
                (2, "above 0.740"),
                (3, "0.770"),
                (6, "above -0.260"),
                (7, "-0.220"),
                (8, "above 0.540"),
                (10, "above 0.640"),
            ]),
        ),
        (
            json!({ "margin": {}, "max_score": 0.785 }),
            dropped(&[
                (4, "similarity 0.790 by current, above 0.785"),
                (12, "0.970"),
            ]),
        ),
        (
            json!({ "model": "halved", "margin": { "absolute": 0.02 } }),
            dropped(&[
                (3, "similarity 0.385 by halved, above 0.380"),
                (4, "0.395"),
                (6, "-0.102"),
                (7, "-0.110"),
                (8, "above 0.280"),
                (10, "0.340"),
            ]),
        ),
    ] {
        filters.expect("false_negative", &settings, &world, &rows, &said);
    }
    let verdicts = filters.judge("false_negative", &json!({}), &world, &rows);
    let scores: Vec<Option<f32>> = verdicts.iter().map(|one| one.score).collect();
    assert_eq!(scores[..4], [None, None, Some(0.75), Some(0.77)]);
}

#[test]
fn positives_below_both_quantiles_are_those_of_numpy_and_scipy() {
    let filters = Filters::new();
    let floats = |value: &Value| -> Vec<f32> {
        let numbers = value.as_array().unwrap().iter();
        numbers.map(|one| one.as_f64().unwrap() as f32).collect()
    };
    for case in fixture()["consistency"].as_array().unwrap() {
        let similarities = floats(&case["similarities"]);
        let mut topics = BTreeMap::new();
        let mut rows = Vec::new();
        for (number, similarity) in similarities.iter().enumerate() {
            let text = format!("{similarity} p{number}");
            topics.insert(format!("a{number}"), floats(&case["anchors"][number]));
            topics.insert(text.clone(), floats(&case["positives"][number]));
            rows.push(positive(number as i64, &text));
        }
        let count = topics["a0"].len();
        // A negative is not judged and moves no quantile.
        rows.push(negative(0, "-1 n"));
        let mut expected: Vec<usize> = case["dropped"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_u64().unwrap() as usize)
            .collect();
        let mut settings = case["settings"].clone();
        for earlier in [0, rows.len() / 2] {
            // Those kept before take part in the quantiles and are not judged.
            let world = World {
                pool: samples(&rows[..earlier]),
                topics: Mixtures(count, topics.clone()),
                ..World::default()
            };
            expected.retain(|&place| place >= earlier);
            let judged = &rows[earlier..];
            for drop in [true, false] {
                settings["drop"] = json!(drop);
                let verdicts = filters.judge("consistency", &settings, &world, judged);
                let suspected: Vec<usize> = (0..judged.len())
                    .filter(|&place| !verdicts[place].reason.is_empty())
                    .map(|place| place + earlier)
                    .collect();
                assert_eq!(suspected, expected, "{settings}");
                for (place, verdict) in verdicts.iter().enumerate() {
                    let said = expected.contains(&(place + earlier));
                    assert_eq!(verdict.keep, !(said && drop));
                    let similarity = similarities.get(place + earlier).copied();
                    assert_eq!(verdict.score, similarity);
                    if said {
                        let mut parts = vec![format!(
                            "similarity {:.3} by current, below",
                            similarity.unwrap()
                        )];
                        if settings["witness"] != "none" {
                            let agreement = case["agreements"][place + earlier].as_f64().unwrap();
                            parts.push(format!("agreement of topics {agreement:.3}, below"));
                        }
                        assert!(
                            parts.iter().all(|part| verdict.reason.contains(part)),
                            "{verdict:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn samples_outside_the_range_of_similarity_go() {
    let filters = Filters::new();
    let rows = [
        positive(1, "0.2 p"),
        positive(1, "0.95 p"),
        negative(1, "0.2 n"),
        negative(1, "0.5 n"),
        negative(1, "0.9 n"),
    ];
    for (settings, said) in [
        (
            json!({ "min": 0.2, "max": 0.9 }),
            ["", "similarity 0.950 by current, above 0.9", "", "", ""],
        ),
        (
            json!({ "min": 0.3, "role": "positive" }),
            ["similarity 0.200 by current, below 0.3", "", "", "", ""],
        ),
        (
            json!({ "min": 0.3, "max": 0.8, "role": "negative" }),
            ["", "", "below 0.3", "", "above 0.8"],
        ),
        (
            json!({ "max": 0.3, "model": "halved" }),
            ["", "0.475 by halved", "", "", "0.450"],
        ),
    ] {
        filters.expect(
            "similarity_range",
            &settings,
            &World::default(),
            &rows,
            &said,
        );
    }
}

#[test]
fn positives_found_weak_and_negatives_found_good_go_by_bounds_or_by_the_anchors_best() {
    let filters = Filters::new();
    let world = World {
        corpus: corpus(&["0.6 known"]),
        judgements: judgements(&[(3, 0, true)]),
        pool: samples(&[positive(2, "0.5 earlier"), negative(2, "0.99 earlier")]),
        ..World::default()
    };
    let rows = [
        positive(1, "0.9 p"),
        positive(1, "0.3 p"),
        negative(1, "0.85 n"),
        negative(1, "0.4 n"),
        // Its positive is of an earlier round; the next one's is only judged; the last has none.
        negative(2, "0.45 n"),
        negative(3, "0.58 n"),
        negative(4, "0.8 n"),
        from("char_noise", negative(1, "0.89 n")),
        // Logits are below 0 too.
        positive(5, "-2 p"),
        negative(5, "-2.1 n"),
    ];
    for (settings, said) in [
        (
            json!({ "min_positive": 0.3 }),
            [
                "",
                "",
                "",
                "",
                "",
                "",
                "",
                "",
                "score -2.000 by current, below 0.3",
                "",
            ],
        ),
        (
            json!({ "min_positive": 0.4, "max_negative": 0.8 }),
            [
                "",
                "score 0.300 by current, below 0.4",
                "score 0.850 by current, above 0.8",
                "",
                "",
                "",
                "",
                "0.890",
                "below 0.4",
                "",
            ],
        ),
        (
            json!({ "margin": { "relative": 0.1 }, "spare": ["char_noise"] }),
            [
                "",
                "",
                "score 0.850 by current, above 0.810: its anchor's best positive has 0.900",
                "",
                "",
                "above 0.540",
                "",
                "",
                "",
                "above -2.200",
            ],
        ),
        (
            json!({ "model": "halved", "margin": { "absolute": 0.03 }, "max_negative": 0.44 }),
            [
                "",
                "",
                "score 0.425 by halved, above 0.420",
                "",
                "0.225",
                "above 0.270",
                "",
                "score 0.445 by halved, above 0.44",
                "",
                "",
            ],
        ),
    ] {
        let mut settings = settings;
        if settings.get("model").is_none() {
            settings["model"] = json!("current");
        }
        filters.expect("cross_encoder", &settings, &world, &rows, &said);
    }
    // What no setting bounds is not scored.
    let settings = json!({ "model": "current", "max_negative": 2 });
    let verdicts = filters.judge("cross_encoder", &settings, &world, &rows);
    let scores: Vec<Option<f32>> = verdicts.iter().map(|one| one.score).collect();
    assert_eq!(scores[..4], [None, None, Some(0.85), Some(0.4)]);
}
