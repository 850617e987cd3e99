//! Our selectors, called through the ABI like anybody's: equal to modAL's, scipy's and small-text's orders, within the bound
//! for each anchor, by the seed.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin_host::{Context, CurrentModel, Host, Kind, SearchPath, Services, Table};
use orchestrator_tests::built;
use serde_json::{Value, json};

/// Pairs with their probabilities, texts with their embeddings.
struct Bench {
    pairs: Vec<(i64, i64, [f32; 3])>,
    judged: Vec<(i64, i64)>,
    embeddings: BTreeMap<String, Vec<f32>>,
    documents: usize,
}

impl CurrentModel for Bench {
    fn top_k(&self, _: &[i64], _: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        None
    }
    fn score(&self, _: &[i64], _: &[i64]) -> Option<Vec<f32>> {
        None
    }
    fn dim(&self) -> usize {
        self.embeddings.values().next().map_or(1, Vec::len)
    }
    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        let of = |text: &&str| self.embeddings[*text].clone();
        texts.iter().flat_map(of).collect()
    }
}

fn vectors(value: &Value) -> Vec<Vec<f32>> {
    let row = |row: &Value| {
        let numbers = row.as_array().unwrap().iter();
        numbers.map(|one| one.as_f64().unwrap() as f32).collect()
    };
    value.as_array().unwrap().iter().map(row).collect()
}

fn numbers(value: &Value) -> Vec<usize> {
    let all = value.as_array().unwrap().iter();
    all.map(|one| one.as_u64().unwrap() as usize).collect()
}

fn fixture() -> (Value, Bench) {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/selectors.json")).unwrap();
    let pairs = fixture["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            let shares = &vectors(&json!([pair["probabilities"]]))[0];
            (
                pair["anchor"].as_i64().unwrap(),
                pair["document"].as_i64().unwrap(),
                [shares[0], shares[1], shares[2]],
            )
        })
        .collect();
    let judged = fixture["judged"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one[0].as_i64().unwrap(), one[1].as_i64().unwrap()))
        .collect();
    let mut embeddings = BTreeMap::new();
    for (of, name) in [("anchors", "anchor"), ("documents", "document")] {
        for (number, vector) in vectors(&fixture[of]).into_iter().enumerate() {
            embeddings.insert(format!("{name} {number}"), vector);
        }
    }
    let documents = fixture["documents"].as_array().unwrap().len();
    let bench = Bench {
        pairs,
        judged,
        embeddings,
        documents,
    };
    (fixture, bench)
}

struct Lab {
    host: Host,
    _copies: tempfile::TempDir,
}

fn lab() -> Lab {
    let copies = tempfile::tempdir().unwrap();
    let host = Host::load(&SearchPath {
        beside_executable: Some(built().to_owned()),
        copies: copies.path().to_owned(),
        ..SearchPath::default()
    })
    .unwrap();
    Lab {
        host,
        _copies: copies,
    }
}

impl Lab {
    fn select(
        &self,
        bench: &Bench,
        name: &str,
        settings: &Value,
        budget: usize,
        seed: u64,
    ) -> Vec<usize> {
        let instance = self
            .host
            .find(Kind::Selector, name)
            .unwrap()
            .create(name, settings, seed)
            .unwrap();
        let pairs = &bench.pairs;
        let shares = |member: usize| pairs.iter().map(|pair| pair.2[member]).collect();
        let pool = Table::new(pairs.len())
            .i64s("anchor", pairs.iter().map(|pair| pair.0).collect())
            .i64s("document", pairs.iter().map(|pair| pair.1).collect())
            .strings(
                "anchor_text",
                pairs.iter().map(|pair| format!("anchor {}", pair.0)),
            )
            .strings(
                "text",
                pairs.iter().map(|pair| format!("document {}", pair.1)),
            )
            .f32s("score", vec![0.5; pairs.len()])
            .f32s("probability", shares(0))
            .f32s("probability_initial", shares(1))
            .f32s("probability_bm25", shares(2))
            .seal();
        let n = bench.documents;
        let corpus = Table::new(n)
            .i64s("document", (0..n as i64).collect())
            .strings("id", (0..n).map(|number| number.to_string()))
            .strings("title", (0..n).map(|number| format!("document {number}")))
            .string_lists("sentences", (0..n).map(|_| Vec::<String>::new()))
            .strings("metadata", (0..n).map(|_| "{}"))
            .seal();
        let judged = &bench.judged;
        let judgements = Table::new(judged.len())
            .i64s("anchor", judged.iter().map(|one| one.0).collect())
            .i64s("document", judged.iter().map(|one| one.1).collect())
            .strings("label", judged.iter().map(|_| "support"))
            .bools("relevant", &vec![true; judged.len()])
            .f32s("grade", vec![1.0; judged.len()])
            .i32_lists("sentences", judged.iter().map(|_| Vec::new()))
            .seal();
        let context = Context {
            step: 0,
            seed,
            services: Services {
                corpus: Some(&corpus),
                judgements: Some(&judgements),
                model: Some(bench),
                ..Services::default()
            },
        };
        instance.select(&context, &pool, budget).unwrap()
    }
}

const ALL: [&str; 6] = [
    "margin",
    "entropy",
    "least_confidence",
    "committee",
    "k_center",
    "random",
];

#[test]
fn uncertainty_and_disagreement_order_as_in_modal_and_scipy() {
    let (lab, (fixture, bench)) = (lab(), fixture());
    for case in fixture["orders"].as_array().unwrap() {
        let name = case["plugin"].as_str().unwrap();
        let mut settings = case["settings"].clone();
        settings["per_anchor"] = json!(0);
        let order = lab.select(&bench, name, &settings, bench.pairs.len(), 1);
        assert_eq!(order, numbers(&case["order"]), "{name} {settings}");
    }
}

#[test]
fn k_center_covers_the_pool_as_in_small_text() {
    let (lab, (fixture, bench)) = (lab(), fixture());
    for (judged, of) in [(1000, "from_judged"), (4, "from_uncertain")] {
        let settings = json!({ "per_anchor": 0, "judged": judged });
        let expected = numbers(&fixture["k_center"][of]);
        let chosen = lab.select(&bench, "k_center", &settings, expected.len(), 1);
        assert_eq!(chosen, expected, "{of}");
    }
    let nothing_judged = Bench {
        judged: Vec::new(),
        ..bench
    };
    let settings = json!({ "per_anchor": 0 });
    assert_eq!(
        lab.select(&nothing_judged, "k_center", &settings, 12, 1),
        numbers(&fixture["k_center"]["from_uncertain"])
    );
}

#[test]
fn every_selector_keeps_to_the_budget_and_to_the_bound_for_each_anchor() {
    let (lab, (_, bench)) = (lab(), fixture());
    for name in ALL {
        for (per_anchor, budget) in [(1, 40), (2, 5), (3, 40), (0, 40)] {
            let settings = json!({ "per_anchor": per_anchor });
            let chosen = lab.select(&bench, name, &settings, budget, 7);
            assert_eq!(
                chosen,
                lab.select(&bench, name, &settings, budget, 7),
                "{name}"
            );
            let mut of_anchor: BTreeMap<i64, usize> = BTreeMap::new();
            for &row in &chosen {
                *of_anchor.entry(bench.pairs[row].0).or_insert(0) += 1;
            }
            let mut available: BTreeMap<i64, usize> = BTreeMap::new();
            for pair in &bench.pairs {
                *available.entry(pair.0).or_insert(0) += 1;
            }
            let bound = if per_anchor == 0 { 40 } else { per_anchor };
            assert!(of_anchor.values().all(|&n| n <= bound), "{name}");
            let most: usize = available.values().map(|&n| n.min(bound)).sum();
            assert_eq!(chosen.len(), budget.min(most), "{name} {settings}");
        }
        let empty = Bench {
            pairs: Vec::new(),
            judged: Vec::new(),
            ..fixture().1
        };
        assert!(lab.select(&empty, name, &json!({}), 3, 1).is_empty());
    }
}

#[test]
fn random_selection_follows_the_seed_and_reaches_every_pair() {
    let (lab, (_, bench)) = (lab(), fixture());
    let draw = |seed| lab.select(&bench, "random", &json!({ "per_anchor": 0 }), 4, seed);
    assert_ne!(draw(1), draw(2));
    let seen: BTreeSet<usize> = (0..100).flat_map(draw).collect();
    assert_eq!(seen.len(), bench.pairs.len());
}

#[test]
fn random_names_a_selector_and_a_sampler() {
    let lab = lab();
    for (kind, id) in [
        (Kind::Selector, "org.orchestrator.select.random"),
        (Kind::Sampler, "org.orchestrator.random"),
    ] {
        assert_eq!(lab.host.find(kind, "random").unwrap().info().id, id);
    }
}
