//! Our losses, called through the ABI like anybody's: equal to sentence-transformers' numbers, their gradients to finite
//! differences, and never a known positive as a negative.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use orchestrator_plugin_host::{
    Batch, Context, Error, Host, Instance, Kind, LossResult, Metrics, SearchPath, Services,
    Truncation, WeightedLoss, combine,
};
use orchestrator_tests::built;
use serde_json::{Value, json};

fn host(copies: &Path) -> Host {
    Host::load(&SearchPath {
        beside_executable: Some(built().to_owned()),
        copies: copies.to_owned(),
        ..SearchPath::default()
    })
    .unwrap()
}

fn loss(host: &Host, name: &str, settings: &Value) -> Instance {
    host.find(Kind::Loss, name)
        .unwrap()
        .create(name, settings, 0)
        .unwrap()
}

/// An anchor's candidate.
#[derive(Clone, Copy)]
struct Row {
    anchor: u32,
    text: u32,
    label: f32,
    positive: bool,
    weight: f32,
    teacher: f32,
}

/// Rows (anchor, text, label, positive).
fn rows(given: &[(u32, u32, f32, bool)]) -> Vec<Row> {
    let row = |&(anchor, text, label, positive): &(u32, u32, f32, bool)| Row {
        anchor,
        text,
        label,
        positive,
        weight: 1.0,
        teacher: label - 0.1 * text as f32,
    };
    given.iter().map(row).collect()
}

/// The batch of `rows`, grouped by anchor. Beside its positives, an anchor knows what `known` says: (anchor, text).
fn batch(embeddings: Vec<f32>, dim: usize, rows: &[Row], known: &[(u32, u32)]) -> Batch {
    let texts = (embeddings.len() / dim) as u32;
    let mut batch = Batch {
        dim,
        embeddings,
        row_anchor: rows.iter().map(|row| row.anchor).collect(),
        row_text: rows.iter().map(|row| row.text).collect(),
        row_label: rows.iter().map(|row| row.label).collect(),
        row_weight: rows.iter().map(|row| row.weight).collect(),
        row_teacher: rows.iter().map(|row| row.teacher).collect(),
        positive_offsets: vec![0],
        negative_offsets: vec![0],
        ..Batch::default()
    };
    let anchors: BTreeSet<u32> = rows.iter().map(|row| row.anchor).collect();
    for anchor in anchors {
        let mut relevant = BTreeSet::new();
        for (number, row) in (0..).zip(rows).filter(|(_, row)| row.anchor == anchor) {
            if row.positive {
                batch.positive_rows.push(number);
                relevant.insert(row.text);
            } else {
                batch.negative_rows.push(number);
            }
        }
        let more = known.iter().filter(|(knows, _)| *knows == anchor);
        relevant.extend(more.map(|(_, text)| *text));
        batch.group_anchor.push(anchor);
        batch
            .positive_offsets
            .push(batch.positive_rows.len() as u64);
        batch
            .negative_offsets
            .push(batch.negative_rows.len() as u64);
        batch
            .known_relevant
            .extend((0..texts).map(|text| u8::from(relevant.contains(&text))));
    }
    batch
}

/// Embeddings without pattern, about 1 an entry.
fn embeddings(texts: usize, dim: usize) -> Vec<f32> {
    (0..texts * dim)
        .map(|n| ((n * n * 31 + n * 37 + 5) % 97) as f32 / 40.0 - 1.2)
        .collect()
}

/// The step most tests take: three anchors with several positives, negatives, weights and graded labels; the third has
/// no negative.
fn step() -> Batch {
    let mut rows = rows(&[
        (0, 3, 1.0, true),
        (0, 4, 0.7, true),
        (0, 5, 0.0, false),
        (0, 6, 0.2, false),
        (1, 7, 1.0, true),
        (1, 8, 0.0, false),
        (2, 9, 0.8, true),
    ]);
    for (row, weight) in rows.iter_mut().zip([1.0, 0.5, 2.0, 1.5, 1.0, 0.3, 0.8]) {
        row.weight = weight;
    }
    batch(embeddings(10, 6), 6, &rows, &[])
}

/// What a guide makes of texts: unlike what the embeddings say.
fn guide(texts: usize) -> Vec<f32> {
    let turn = |text: usize| (text * text) as f32 * 0.7;
    (0..texts)
        .flat_map(|text| [turn(text).cos(), turn(text).sin()])
        .collect()
}

/// With a guide's embeddings of the texts.
fn guided(instance: &Instance, batch: &Batch, guide: &[f32]) -> Result<LossResult, Error> {
    let texts = batch.embeddings.len() / batch.dim;
    let context = Context {
        services: Services {
            teacher: Some((guide.len() / texts.max(1), guide)),
            ..Services::default()
        },
        ..Context::default()
    };
    instance.forward(&context, batch)
}

fn forward(instance: &Instance, batch: &Batch) -> LossResult {
    let texts = batch.embeddings.len() / batch.dim;
    guided(instance, batch, &guide(texts)).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    let rows = value.as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap())
        .map(|one| one.as_f64().unwrap() as f32)
        .collect()
}

/// Every loss with settings under which it can be told what is wrong: a moderate scale, margins that cut some triplets.
fn every_loss() -> Vec<(&'static str, Value)> {
    vec![
        ("mnrl", json!({ "scale": 5 })),
        ("mnrl", json!({ "temperature": 0.3, "in_batch": false })),
        ("mnrl", json!({ "scale": 5, "symmetric": true })),
        (
            "mnrl",
            json!({ "scale": 5, "directions": ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"] }),
        ),
        ("gist", json!({ "temperature": 0.2, "margin": -0.5 })),
        (
            "gist",
            json!({ "temperature": 0.2, "contrast_anchors": false, "contrast_positives": false }),
        ),
        ("contrastive", json!({ "margin": 1.2 })),
        (
            "contrastive",
            json!({ "margin": 3, "distance": "euclidean" }),
        ),
        (
            "contrastive",
            json!({ "margin": 6, "distance": "manhattan" }),
        ),
        ("online_contrastive", json!({ "margin": 1.2 })),
        (
            "online_contrastive",
            json!({ "margin": 4, "distance": "euclidean" }),
        ),
        ("cosine_similarity", json!({})),
        ("triplet", json!({ "margin": 0.6 })),
        ("triplet", json!({ "margin": 1, "distance": "euclidean" })),
        ("triplet", json!({ "margin": 2, "distance": "manhattan" })),
        ("batch_hard_triplet", json!({ "margin": 0.6 })),
        ("batch_hard_triplet", json!({ "soft_margin": true })),
        (
            "batch_hard_triplet",
            json!({ "margin": 2, "distance": "euclidean" }),
        ),
        ("cosent", json!({ "scale": 5 })),
        ("angle", json!({ "scale": 5 })),
        ("margin_mse", json!({})),
        ("margin_mse", json!({ "similarity": "dot" })),
        ("distill_kl", json!({ "temperature": 0.3 })),
        (
            "distill_kl",
            json!({ "similarity": "dot", "teacher_temperature": 0.5 }),
        ),
    ]
}

#[test]
fn losses_and_gradients_are_those_of_sentence_transformers() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let fixture: Value = serde_json::from_str(include_str!("fixtures/losses.json")).unwrap();
    let (mut wrong, mut checked) = (Vec::new(), BTreeSet::new());
    for case in fixture["cases"].as_array().unwrap() {
        let number = |row: &Value, key: &str, otherwise: f64| {
            row.get(key).map_or(otherwise, |one| one.as_f64().unwrap()) as f32
        };
        let rows: Vec<Row> = case["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| Row {
                anchor: row["anchor"].as_u64().unwrap() as u32,
                text: row["text"].as_u64().unwrap() as u32,
                label: number(row, "label", f64::NAN),
                positive: row["positive"].as_bool().unwrap(),
                weight: number(row, "weight", 1.0),
                teacher: number(row, "teacher", f64::NAN),
            })
            .collect();
        let known: Vec<(u32, u32)> = case
            .get("known")
            .map(|known| serde_json::from_value(known.clone()).unwrap())
            .unwrap_or_default();
        let dim = case["embeddings"][0].as_array().unwrap().len();
        let batch = batch(floats(&case["embeddings"]), dim, &rows, &known);
        let (name, settings) = (case["plugin"].as_str().unwrap(), &case["settings"]);
        let of_guide = case.get("guide").map(floats).unwrap_or_default();
        let result = guided(&loss(&host, name, settings), &batch, &of_guide).unwrap();
        checked.insert(name.to_owned());
        let gradient = floats(&case["gradient"]);
        let largest = gradient
            .iter()
            .fold(0.0f32, |most, one| most.max(one.abs()));
        let of_gradient = result
            .gradient
            .iter()
            .zip(&gradient)
            .fold(0.0f32, |most, (ours, theirs)| {
                most.max((ours - theirs).abs())
            })
            / largest;
        let expected = case["loss"].as_f64().unwrap();
        let of_loss = (result.loss - expected).abs() / expected.abs();
        if !(of_loss < 1e-5 && of_gradient < 1e-5) {
            wrong.push(format!(
                "{name} {settings}: loss {} {expected} ({of_loss:.1e}), gradient {of_gradient:.1e}",
                result.loss
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let ours = host
        .plugins()
        .filter(|plugin| plugin.kind == Kind::Loss && plugin.id.starts_with("org.orchestrator."));
    let ours: BTreeSet<String> = ours.map(|plugin| plugin.short().to_owned()).collect();
    assert_eq!(checked, ours, "every loss is checked");
}

#[test]
fn losses_on_first_dimensions_are_those_of_sentence_transformers() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let fixture: Value = serde_json::from_str(include_str!("fixtures/matryoshka.json")).unwrap();
    let given: Vec<(u32, u32, f32, bool)> = fixture["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let label = row[2].as_f64().unwrap() as f32;
            let number = |place: usize| row[place].as_u64().unwrap() as u32;
            (number(0), number(1), label, label > 0.0)
        })
        .collect();
    let batch = batch(floats(&fixture["embeddings"]), 8, &rows(&given), &[]);
    let losses: Vec<WeightedLoss> = fixture["losses"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, weight)| WeightedLoss {
            instance: loss(&host, name, &json!({})),
            weight: weight.as_f64().unwrap(),
        })
        .collect();
    let truncations: Vec<Truncation> = [(8, 1.0), (4, 0.5), (2, 0.25)]
        .map(|(dim, weight)| Truncation { dim, weight })
        .into();
    let sum = combine(&losses, &truncations, &batch, |_| Context::default()).unwrap();
    let expected = fixture["loss"].as_f64().unwrap();
    assert!(
        (sum.loss - expected).abs() < 1e-5 * expected.abs(),
        "{} {expected}",
        sum.loss
    );
    let expected = floats(&fixture["gradient"]);
    let largest = expected.iter().fold(0f32, |most, one| most.max(one.abs()));
    for (ours, theirs) in sum.gradient.iter().zip(&expected) {
        assert!((ours - theirs).abs() < 1e-5 * largest, "{ours} {theirs}");
    }
    assert_eq!(sum.parts.len(), 6);
    assert!(sum.parts.iter().any(|(name, _)| name == "mnrl@4"));
}

#[test]
fn gradients_agree_with_finite_differences_with_several_positives_weights_and_grades() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let step = step();
    for (name, settings) in every_loss() {
        let instance = loss(&host, name, &settings);
        let result = forward(&instance, &step);
        let largest = result
            .gradient
            .iter()
            .fold(0.0f32, |most, one| most.max(one.abs()));
        assert!(largest > 1e-3, "{name} {settings}: nothing to check");
        for place in 0..step.embeddings.len() {
            let value = |shift: f32| {
                let mut moved = step.clone();
                moved.embeddings[place] += shift;
                forward(&instance, &moved).loss
            };
            // Of fourth order, so that the step may be wide enough for float32.
            let h = 4e-3;
            let expected = (8.0 * (value(h) - value(-h)) - (value(2.0 * h) - value(-2.0 * h)))
                / (12.0 * f64::from(h));
            let found = f64::from(result.gradient[place]);
            assert!(
                (expected - found).abs() < 1e-3 * f64::from(largest),
                "{name} {settings} at {place}: {expected} {found}"
            );
        }
    }
}

#[test]
fn a_weight_of_two_is_a_row_twice() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let given = rows(&[
        (0, 3, 1.0, true),
        (0, 4, 0.7, true),
        (0, 5, 0.0, false),
        (0, 6, 0.2, false),
        (1, 7, 1.0, true),
        (1, 8, 0.0, false),
        (2, 9, 0.8, true),
    ]);
    for (name, settings) in every_loss() {
        // Of one mean for each anchor, and of the hardest alone: a second copy is nothing new.
        if ["distill_kl", "batch_hard_triplet"].contains(&name) {
            continue;
        }
        let instance = loss(&host, name, &settings);
        for row in 0..given.len() {
            let (mut heavy, mut twice) = (given.clone(), given.clone());
            heavy[row].weight = 2.0;
            twice.push(given[row]);
            let heavy = forward(&instance, &batch(embeddings(10, 6), 6, &heavy, &[]));
            let twice = forward(&instance, &batch(embeddings(10, 6), 6, &twice, &[]));
            assert!(
                (heavy.loss - twice.loss).abs() <= 1e-6 * twice.loss.abs(),
                "{name} {settings}, row {row}: {} {}",
                heavy.loss,
                twice.loss
            );
            for (one, other) in heavy.gradient.iter().zip(&twice.gradient) {
                assert!((one - other).abs() < 1e-5, "{name} {settings}, row {row}");
            }
        }
    }
}

/// Losses with in-batch negatives, under each setting that adds some.
fn in_batch() -> Vec<(&'static str, Value)> {
    let mut losses = every_loss();
    losses.retain(|(name, settings)| {
        ["mnrl", "gist", "batch_hard_triplet"].contains(name)
            && settings["in_batch"] != json!(false)
    });
    losses
}

#[test]
fn a_known_positive_is_never_an_in_batch_negative() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let guide = guide(6);
    // Text 5 is a negative, or another positive, of anchor 1; what changes for anchor 0 if it comes to lie on anchor 0's
    // positive?
    for positive in [false, true] {
        let rows = rows(&[
            (0, 3, 1.0, true),
            (1, 4, 1.0, true),
            (1, 5, f32::from(u8::from(positive)), positive),
        ]);
        let mut near = embeddings(6, 6);
        near.copy_within(3 * 6..4 * 6, 5 * 6);
        for (name, settings) in in_batch() {
            let instance = loss(&host, name, &settings);
            let of_anchor_0 = |embeddings: Vec<f32>, known: &[(u32, u32)]| {
                let batch = batch(embeddings, 6, &rows, known);
                guided(&instance, &batch, &guide).unwrap().rows[0].unwrap()
            };
            let strange = of_anchor_0(near.clone(), &[]) - of_anchor_0(embeddings(6, 6), &[]);
            assert!(strange > 1e-3, "{name} {settings}: not a negative at all");
            let known =
                of_anchor_0(near.clone(), &[(0, 5)]) - of_anchor_0(embeddings(6, 6), &[(0, 5)]);
            assert!(known.abs() < 1e-7, "{name} {settings}: {known}");
        }
    }
}

#[test]
fn where_everything_is_relevant_nothing_pulls() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    for (name, settings) in in_batch() {
        let rows = rows(&[(0, 2, 1.0, true), (1, 3, 1.0, true)]);
        let mut batch = batch(embeddings(4, 4), 4, &rows, &[]);
        batch.known_relevant.fill(1);
        let result = forward(&loss(&host, name, &settings), &batch);
        assert!(
            result.gradient.iter().all(|value| value.abs() < 1e-6),
            "{name} {settings}"
        );
    }
}

#[test]
fn anchors_that_share_a_positive_are_not_told_apart() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let guide = guide(5);
    let rows = rows(&[(0, 3, 1.0, true), (1, 3, 1.0, true), (2, 4, 1.0, true)]);
    let mut near = embeddings(5, 6);
    near.copy_within(0..6, 6);
    for (name, settings) in in_batch() {
        let instance = loss(&host, name, &settings);
        let of_anchor_0 = |embeddings: Vec<f32>| {
            let batch = batch(embeddings, 6, &rows, &[]);
            guided(&instance, &batch, &guide).unwrap().rows[0]
        };
        assert_eq!(
            of_anchor_0(near.clone()),
            of_anchor_0(embeddings(5, 6)),
            "{name} {settings}"
        );
    }
}

#[test]
fn steps_that_lack_something_cost_a_finite_amount() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let everything = [
        (0, 2, 1.0, true),
        (0, 3, 0.0, false),
        (1, 4, 1.0, true),
        (1, 5, 0.0, false),
    ];
    let of = |keep: fn(&(u32, u32, f32, bool)) -> bool| -> Vec<Row> {
        let kept: Vec<_> = everything.into_iter().filter(keep).collect();
        rows(&kept)
    };
    for (name, settings) in every_loss() {
        let instance = loss(&host, name, &settings);
        for (what, rows) in [
            ("positives alone", of(|row| row.3)),
            ("negatives alone", of(|row| !row.3)),
            ("one positive", of(|row| row.1 == 2)),
            ("one negative", of(|row| row.1 == 3)),
            (
                "a positive here, a negative there",
                of(|row| row.1 == 2 || row.1 == 5),
            ),
            ("no rows", Vec::new()),
            ("everything", of(|_| true)),
        ] {
            for (of_texts, embeddings) in [
                ("different", embeddings(6, 6)),
                ("equal", vec![0.5; 36]),
                ("zero", vec![0.0; 36]),
            ] {
                // The host refuses what is not finite.
                let result = guided(&instance, &batch(embeddings, 6, &rows, &[]), &guide(6));
                assert!(
                    result.is_ok(),
                    "{name} {settings}: {what}, {of_texts} texts: {result:?}"
                );
            }
        }
    }
}

#[test]
fn rows_without_a_part_in_the_loss_say_so() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    for (name, taking_part) in [
        ("mnrl", "++--+-+"),
        ("gist", "++--+-+"),
        ("contrastive", "+++++++"),
        ("cosine_similarity", "+++++++"),
        // Anchor 2 has no negative.
        ("triplet", "++++++-"),
        ("margin_mse", "++++++-"),
        ("distill_kl", "++++++-"),
        ("batch_hard_triplet", "++--+-+"),
        ("cosent", "+++++++"),
        ("angle", "+++++++"),
    ] {
        let result = forward(&loss(&host, name, &json!({})), &step());
        let found = result
            .rows
            .iter()
            .map(|row| if row.is_some() { '+' } else { '-' });
        assert_eq!(found.collect::<String>(), taking_part, "{name}");
    }
}

#[test]
fn losses_say_what_they_need_and_refuse_to_work_without() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    for (name, expected) in [
        ("mnrl", "positives"),
        ("gist", "positives teacher"),
        ("contrastive", ""),
        ("online_contrastive", ""),
        ("cosine_similarity", ""),
        ("triplet", "positives negatives"),
        ("batch_hard_triplet", "positives"),
        ("cosent", ""),
        ("angle", ""),
        ("margin_mse", "positives negatives teacher"),
        ("distill_kl", "teacher"),
    ] {
        let instance = loss(&host, name, &json!({}));
        let needs = instance.needs().unwrap();
        let named = [
            (needs.positives, "positives"),
            (needs.negatives, "negatives"),
            (needs.teacher, "teacher"),
        ];
        let named = named.into_iter().filter(|(needed, _)| *needed);
        let found: Vec<&str> = named.map(|(_, what)| what).collect();
        assert_eq!(found.join(" "), expected, "{name}");

        let mut untaught = step();
        untaught.row_teacher.clear();
        let result = instance.forward(&Context::default(), &untaught);
        match result {
            Err(Error::Failed { message, .. }) => {
                assert!(
                    needs.teacher && message.contains("teacher"),
                    "{name}: {message}"
                );
            }
            other => assert!(!needs.teacher && other.is_ok(), "{name}: {other:?}"),
        }
    }
}

#[test]
fn mnrl_reports_how_often_the_positive_is_the_nearest() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    // Two anchors at right angles. No document is nearer to the first than its positive (weight 3), though the other's positive
    // is as near; the second's positive (weight 1) is further from it than its negative.
    let embeddings = vec![1.0, 0.0, 0.0, 1.0, 0.8, 0.6, 0.6, 0.8, 0.8, 0.6, 0.0, 1.0];
    let mut of_step = rows(&[
        (0, 2, 1.0, true),
        (0, 3, 0.0, false),
        (1, 4, 1.0, true),
        (1, 5, 0.0, false),
    ]);
    of_step[0].weight = 3.0;
    for (settings, expected) in [
        (json!({}), 0.75),
        (json!({ "in_batch": false }), 0.75),
        (json!({ "symmetric": true }), 0.75),
    ] {
        let metrics = Metrics::default();
        let context = Context {
            services: Services {
                metrics: Some(&metrics),
                ..Services::default()
            },
            ..Context::default()
        };
        let batch = batch(embeddings.clone(), 2, &of_step, &[]);
        let loss = loss(&host, "mnrl", &settings);
        let with = loss.forward(&context, &batch).unwrap();
        assert_eq!(metrics.take(), [("accuracy".to_owned(), expected)]);
        let without = loss.forward(&Context::default(), &batch).unwrap();
        assert_eq!(with, without, "who listens changes nothing");
    }
}

#[test]
fn a_guide_of_other_texts_is_refused() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    let context = Context {
        services: Services {
            teacher: Some((2, &[1.0, 0.0])),
            ..Services::default()
        },
        ..Context::default()
    };
    let result = loss(&host, "gist", &json!({})).forward(&context, &step());
    assert!(matches!(result, Err(Error::Failed { .. })), "{result:?}");
}

#[test]
fn settings_that_contradict_each_other_are_refused_where_they_stand() {
    let copies = tempfile::tempdir().unwrap();
    let host = host(copies.path());
    for (name, settings, expected) in [
        (
            "mnrl",
            json!({ "scale": 20, "temperature": 0.05 }),
            "/temperature",
        ),
        ("mnrl", json!({ "directions": [] }), "/directions"),
        (
            "mnrl",
            json!({ "directions": ["doc_to_query"] }),
            "/directions",
        ),
        (
            "mnrl",
            json!({ "directions": ["query_to_doc", "doc_to_dog"] }),
            "/directions/1",
        ),
        (
            "mnrl",
            json!({ "directions": ["query_to_doc", "doc_to_doc"], "partition": "per_direction" }),
            "/partition",
        ),
        (
            "mnrl",
            json!({ "symmetric": true, "directions": ["query_to_doc", "doc_to_doc"] }),
            "/symmetric",
        ),
        (
            "mnrl",
            json!({ "symmetric": true, "in_batch": false }),
            "/in_batch",
        ),
        ("mnrl", json!({ "hardness": "hard_negatives" }), "/hardness"),
        (
            "mnrl",
            json!({ "hardness_strength": 9 }),
            "/hardness_strength",
        ),
        ("triplet", json!({ "margin": 5 }), "/margin"),
        ("triplet", json!({ "distance": "hamming" }), "/distance"),
        ("contrastive", json!({ "margin": 2.5 }), "/margin"),
        ("online_contrastive", json!({ "margin": 2.5 }), "/margin"),
        ("batch_hard_triplet", json!({ "margin": 2.5 }), "/margin"),
    ] {
        let result = host
            .find(Kind::Loss, name)
            .unwrap()
            .create(name, &settings, 0);
        match result {
            Err(Error::Config { pointer, .. }) => {
                assert_eq!(pointer, expected, "{name} {settings}")
            }
            Err(other) => panic!("{name} {settings}: {other}"),
            Ok(_) => panic!("{name} {settings} is taken"),
        }
    }
}
