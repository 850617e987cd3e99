//! What `compare` says beside the tests: the exact difference of the samples, query by query, what one source brings; as JSON, as
//! text and as a page. Checked against the stores themselves.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use orchestrator_tests::{browser, experiment, fail, succeed};
use rusqlite::Connection;
use serde_json::Value;

const SWEEP: &str = "name: small
data: { corpus: { format: builtin }, test: test }
model: { encoder: { static: { dim: 32, vocabulary: 2000 } } }
samples:
  propose: [explicit_positive: {}, hard_negative: { per_anchor: 3, refresh_every: 5 steps }, random: { per_anchor: 2 }]
  filter: [word_count: { min_words: 8 }]
train:
  batch: 8
  checkpoint_every: 4
  losses: [mnrl, contrastive]
  schedule: [{ epochs: 1 }]
sweep:
  seeds: [13, 14]
  variants:
    whole: {}
    no_random: { samples.propose: [explicit_positive: {}, hard_negative: { per_anchor: 3, refresh_every: 5 steps }] }
    strict: { samples.filter: [word_count: { min_words: 40 }] }
";

fn sweep() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = experiment(SWEEP);
            let _ = succeed(
                &["run", "x.yaml", "--run-dir", "s", "--json"],
                folder.path(),
            );
            folder
        })
        .path()
}

fn compared(arguments: &[&str], folder: &Path) -> Value {
    let all: Vec<&str> = ["compare", "--json"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    serde_json::from_str(&succeed(&all, folder)).unwrap()
}

/// What a store says of each of its samples.
#[derive(Debug, PartialEq)]
struct Sample {
    role: String,
    source: String,
    label: f64,
    weight: f64,
    kept: bool,
    verdicts: BTreeMap<String, bool>,
}

fn samples(run: &Path) -> BTreeMap<String, Sample> {
    let store = Connection::open(run.join("store.db")).unwrap();
    let mut statement = store
        .prepare(
            "SELECT s.id, s.role, (SELECT source FROM provenance p WHERE p.sample = s.id ORDER BY tick, source LIMIT 1),
                    s.label, s.weight, v.kept FROM sample s JOIN v_sample v ON v.id = s.id",
        )
        .unwrap();
    let mut all: BTreeMap<String, Sample> = statement
        .query_map([], |row| {
            Ok((
                row.get(0)?,
                Sample {
                    role: row.get(1)?,
                    source: row.get(2)?,
                    label: row.get(3)?,
                    weight: row.get(4)?,
                    kept: row.get(5)?,
                    verdicts: BTreeMap::new(),
                },
            ))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut statement = store
        .prepare("SELECT sample, filter, keep FROM verdict")
        .unwrap();
    let verdicts = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    for one in verdicts {
        let (sample, filter, keep): (String, String, bool) = one.unwrap();
        *all.get_mut(&sample)
            .unwrap()
            .verdicts
            .entry(filter)
            .or_insert(true) &= keep;
    }
    all
}

/// The same numbers by sets in memory.
fn by_sets(pairs: &[(&Path, &Path)]) -> BTreeMap<(String, String), [u64; 8]> {
    let mut counts: BTreeMap<(String, String), [u64; 8]> = BTreeMap::new();
    for (one, other) in pairs {
        let (before, after) = (samples(one), samples(other));
        for (id, sample) in &before {
            if !after.contains_key(id) {
                counts
                    .entry((sample.source.clone(), sample.role.clone()))
                    .or_default()[0] += 1;
            }
        }
        for (id, sample) in &after {
            let of = counts
                .entry((sample.source.clone(), sample.role.clone()))
                .or_default();
            let Some(there) = before.get(id) else {
                of[2] += 1;
                continue;
            };
            of[1] += 1;
            let differently = sample.verdicts.iter().any(|(filter, keep)| {
                there
                    .verdicts
                    .get(filter)
                    .is_some_and(|other| other != keep)
            });
            for (place, differs) in [
                (3, sample.label != there.label),
                (4, sample.weight != there.weight),
                (5, sample.kept && !there.kept),
                (6, !sample.kept && there.kept),
                (7, differently),
            ] {
                of[place] += u64::from(differs);
            }
        }
    }
    counts
}

#[test]
fn samples_differ_as_the_stores_do() {
    let folder = sweep();
    let comparison = compared(&["s", "--samples", "5"], folder);
    for variant in ["no_random", "strict"] {
        let of = |name: &str, seed: u32| folder.join(format!("s/{name}-{seed}"));
        let (a, b, c, d) = (
            of("whole", 13),
            of(variant, 13),
            of("whole", 14),
            of(variant, 14),
        );
        let expected = by_sets(&[(&a, &b), (&c, &d)]);
        let found = comparison["samples"].as_array().unwrap().iter();
        let found = found.clone().find(|one| one["variant"] == variant).unwrap();
        assert_eq!(found["runs"], 2);
        let counts: BTreeMap<(String, String), [u64; 8]> = found["counts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let text = |name: &str| one[name].as_str().unwrap().to_owned();
                let number = |name: &str| one[name].as_u64().unwrap();
                let values = [
                    "only_baseline",
                    "both",
                    "only_variant",
                    "other_label",
                    "other_weight",
                    "entered",
                    "left",
                    "other_verdict",
                ];
                ((text("source"), text("role")), values.map(number))
            })
            .collect();
        assert_eq!(counts, expected, "{variant}");
        let listed = &found["listed"];
        let (before, after) = (samples(&a), samples(&b));
        let ids = |name: &str| -> BTreeSet<String> {
            let rows = listed[name].as_array().unwrap().iter();
            rows.map(|one| one["id"].as_str().unwrap().to_owned())
                .collect()
        };
        assert!(
            ids("only_baseline")
                .iter()
                .all(|id| before.contains_key(id) && !after.contains_key(id))
        );
        assert!(
            ids("only_variant")
                .iter()
                .all(|id| after.contains_key(id) && !before.contains_key(id))
        );
        assert!(ids("changed").iter().all(|id| before[id] != after[id]));
        if variant == "strict" {
            assert_eq!(ids("changed").len(), 5);
            // Another state goes before another verdict; whoever is dropped says by whom.
            for one in listed["changed"].as_array().unwrap() {
                let id = one["id"].as_str().unwrap();
                assert_ne!(one["kept"][0], one["kept"][1]);
                for (place, samples) in [&before, &after].into_iter().enumerate() {
                    let sample = &samples[id];
                    assert_eq!(one["kept"][place], sample.kept);
                    let dropped = sample.verdicts.iter().find(|(_, keep)| !**keep);
                    let dropped = dropped.map_or(Value::Null, |(filter, _)| filter.as_str().into());
                    assert_eq!(one["dropped_by"][place], dropped);
                }
            }
        } else {
            assert_eq!(ids("only_baseline").len(), 5);
        }
        // The pools are what they were told to be before.
        let pools = comparison["pools"].as_array().unwrap().iter();
        let pool = pools.clone().find(|one| one["variant"] == variant).unwrap();
        let both: u64 = pool["sources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["both"].as_u64().unwrap())
            .sum();
        let in_both = |one: &Path, other: &Path| {
            let (before, after) = (samples(one), samples(other));
            let kept = after.iter().filter(|(_, sample)| sample.kept);
            kept.filter(|(id, _)| before.get(*id).is_some_and(|sample| sample.kept))
                .count() as u64
        };
        assert_eq!(both, in_both(&a, &b) + in_both(&c, &d));
    }
    // Nothing is listed that nobody asked for; the sweep's own file has no queries.
    assert!(
        compared(&["s"], folder)["samples"][0]
            .get("listed")
            .is_none()
    );
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("s/comparison.json")).unwrap())
            .unwrap();
    assert!(kept.get("queries").is_none() && kept["samples"][0]["counts"].is_array());
}

#[test]
fn labels_and_weights_that_were_changed_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["a", "b"] {
        std::fs::create_dir(folder.join(name)).unwrap();
        for file in ["store.db", "plan.json"] {
            std::fs::copy(
                sweep().join("s/whole-13").join(file),
                folder.join(name).join(file),
            )
            .unwrap();
        }
    }
    Connection::open(folder.join("b/store.db"))
        .unwrap()
        .execute_batch(
            "UPDATE sample SET label = 0.25 WHERE id = (SELECT min(id) FROM sample);
             UPDATE sample SET weight = 3 WHERE id = (SELECT max(id) FROM sample);",
        )
        .unwrap();
    let one = compared(&["a", "b", "--samples", "9"], folder);
    let listed = &one["samples"][0]["listed"];
    let changed = listed["changed"].as_array().unwrap();
    assert_eq!(changed.len(), 2);
    assert_eq!(changed[0]["label"][1], 0.25);
    assert_eq!(changed[1]["weight"][1], 3.0);
    assert_eq!(listed["only_baseline"].as_array().unwrap().len(), 0);
    let text = succeed(&["compare", "a", "b", "--samples", "9"], folder);
    assert!(
        text.contains("of both 1 with another label") && text.contains("-> 0.25"),
        "{text}"
    );
    // The other way round it is the other way round.
    let back = compared(&["b", "a", "--samples", "9"], folder);
    assert_eq!(back["samples"][0]["listed"]["changed"][0]["label"][0], 0.25);
}

#[test]
fn queries_are_told_one_by_one_and_the_most_moved_first() {
    let folder = sweep();
    let comparison = compared(&["s"], folder);
    let all = comparison["queries"].as_array().unwrap();
    // Two variants, validation and test, four metrics.
    assert_eq!(all.len(), 16);
    for one in all {
        let points = one["points"].as_array().unwrap();
        let row = comparison["rows"].as_array().unwrap().iter().find(|row| {
            row["slice"] == one["slice"]
                && row["metric"] == one["metric"]
                && row["variant"] == one["variant"]
        });
        let row = row.unwrap();
        let difference =
            |point: &Value| point["after"].as_f64().unwrap() - point["before"].as_f64().unwrap();
        let mean = points.iter().map(difference).sum::<f64>() / points.len() as f64;
        assert!((mean - row["difference"].as_f64().unwrap()).abs() < 1e-9);
        let won = points
            .iter()
            .filter(|point| difference(point) > 1e-12)
            .count();
        assert_eq!(row["wins"], won);
        for (name, sign) in [("winners", 1.0), ("losers", -1.0)] {
            let rows = one[name].as_array().unwrap();
            let moved: Vec<f64> = rows
                .iter()
                .map(|row| sign * row["difference"].as_f64().unwrap())
                .collect();
            assert!(
                moved.iter().all(|one| *one > 0.0) && moved.is_sorted_by(|a, b| a >= b),
                "{moved:?}"
            );
            assert!(
                rows.len() <= 10
                    && rows
                        .iter()
                        .all(|row| !row["text"].as_str().unwrap().is_empty())
            );
        }
    }
}

#[test]
fn a_source_is_told_by_the_variants_that_differ_by_it_alone() {
    let folder = sweep();
    let comparison = compared(&["s", "--metric", "ndcg@10"], folder);
    let sources = comparison["sources"].as_array().unwrap();
    assert!(!sources.is_empty());
    for one in sources {
        assert_eq!(
            (&one["source"], &one["with"], &one["without"]),
            (&"random".into(), &"whole".into(), &"no_random".into())
        );
        let row = comparison["rows"].as_array().unwrap().iter();
        let row = row
            .clone()
            .find(|row| row["slice"] == one["slice"] && row["variant"] == "no_random")
            .unwrap();
        // The other way round than the comparison: what it brings.
        assert!(
            (row["difference"].as_f64().unwrap() + one["difference"].as_f64().unwrap()).abs()
                < 1e-9
        );
        assert!(
            one["low"].as_f64() <= one["difference"].as_f64()
                && one["difference"].as_f64() <= one["high"].as_f64()
        );
    }
    let text = succeed(&["compare", "s"], folder);
    assert!(
        text.contains("What one source brings") && text.contains("whole minus no_random"),
        "{text}"
    );
    // A filter is no source, and two runs that differ by more tell nothing of one.
    assert!(
        compared(&["s/whole-13", "s/strict-13"], folder)
            .get("sources")
            .is_none()
    );
}

#[test]
fn the_page_holds_all_of_it_and_nothing_that_is_elsewhere() {
    let folder = sweep();
    // Texts that would be markup.
    let hostile = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::create_dir(hostile.path().join(name)).unwrap();
        let from = if name == "a" {
            "s/whole-13"
        } else {
            "s/no_random-13"
        };
        for file in ["store.db", "plan.json"] {
            std::fs::copy(
                folder.join(from).join(file),
                hostile.path().join(name).join(file),
            )
            .unwrap();
        }
        Connection::open(hostile.path().join(name).join("store.db"))
            .unwrap()
            .execute_batch("UPDATE text SET content = '</script><script>alert(1)</script>\u{1b}[2J' || id; UPDATE anchor SET id = '<b>' || id;")
            .unwrap();
    }
    for (arguments, folder, parts) in [
        (
            vec!["s"],
            folder,
            vec![
                "Which source pulls the metric",
                "哪个来源拉动指标",
                "whole",
                "no_random",
                "strict",
            ],
        ),
        (
            vec!["a", "b"],
            hostile.path(),
            vec!["&lt;script&gt;alert", "Only in"],
        ),
    ] {
        let mut all = vec!["compare", "--html", "page.html", "--samples", "3"];
        all.extend(&arguments);
        assert_eq!(succeed(&all, folder), "page.html\n");
        let page = std::fs::read_to_string(folder.join("page.html")).unwrap();
        for part in parts {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains("<svg") && page.contains("Query by query"));
        for never in ["<script>alert", "http://", "https://", "\u{1b}", "<b>1"] {
            assert!(!page.contains(never), "{never}");
        }
        assert!(page.len() < 2_000_000, "{}", page.len());
        // Every table belongs to a heading that is there.
        for part in page.split("aria-labelledby=\"").skip(1) {
            let id = part.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
    assert!(
        fail(
            &["compare", "s", "--html", "no/such/folder.html"],
            sweep(),
            3
        )
        .contains("cannot write")
    );
}

#[test]
fn the_page_is_read_without_a_network_at_every_width_in_both_languages() {
    let Some(browser) = browser::start() else {
        return;
    };
    let folder = sweep();
    let _ = succeed(&["compare", "s", "--html", "seen.html"], folder);
    let page = browser.person();
    page.offline();
    for width in [1280, 360] {
        page.wide(width);
        page.open(&format!("file://{}", folder.join("seen.html").display()));
        assert_eq!(page.beyond(), serde_json::json!([]), "{width}");
        page.picture(&format!("compare-{width}"));
    }
    // Every point lies within its axes.
    let outside = page.value(
        "[...document.querySelectorAll('#queries svg[role=img]')].filter((svg) => [...svg.querySelectorAll('.dots, .dot')].some((one) => {
           const [inner, outer] = [one.getBoundingClientRect(), svg.getBoundingClientRect()];
           return inner.left < outer.left || inner.right > outer.right || inner.top < outer.top || inner.bottom > outer.bottom; })).length",
    );
    assert_eq!(outside, 0);
    assert!(page.value("document.querySelectorAll('#queries svg[role=img] .dots, #queries svg[role=img] .dot').length").as_u64() > Some(2));
    page.value("document.getElementById('lang-zh').click()");
    assert_eq!(page.value("[...document.querySelectorAll('h2 [lang=en]')].filter((one) => one.offsetParent).length"), 0);
    if let Some(found) = page.violations(&["serious", "critical"]) {
        assert_eq!(found, serde_json::json!([]));
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
