//! `keyword_edit`: exactly one place changes, and what stands there then is another of its kind.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin_host::{Proposed, Role, Services};
use serde_json::json;

use crate::{
    anchors, augment, augmenter, corpus_table, detail, differs_in_one_place, host, mini, negative,
    positive, scifact, texts,
};

fn edited(
    documents: &[Vec<String>],
    samples: &[crate::Given],
    kinds: &[&str],
    seed: u64,
) -> Proposed {
    let (_copies, host) = host();
    let corpus = corpus_table(documents);
    let services = Services {
        corpus: Some(&corpus),
        ..Services::default()
    };
    let instance = augmenter(&host, "keyword_edit", &json!({ "kinds": kinds }));
    augment(&instance, seed, services, samples).unwrap()
}

/// Capitals, small letters and digits, runs as one; a single capital apart.
fn shape(name: &str) -> String {
    let kinds: Vec<char> = name
        .chars()
        .map(|letter| match letter {
            _ if letter.is_uppercase() => 'A',
            _ if letter.is_lowercase() => 'a',
            _ if letter.is_ascii_digit() => '0',
            other => other,
        })
        .collect();
    let mut shape = String::new();
    for run in kinds.chunk_by(|a, b| a == b) {
        shape.push(run[0]);
        if run[0] == 'A' && run.len() > 1 {
            shape.push('A');
        }
    }
    shape
}

/// Checks every output over texts that are their own anchors; how many of each kind there are.
fn over(documents: &[Vec<String>], texts: &[String]) -> BTreeMap<String, usize> {
    let whole = documents.concat().join(" ");
    let mut kinds = BTreeMap::new();
    for kind in ["number", "entity", "direction"] {
        let proposed = edited(documents, &anchors(texts), &[kind], 11);
        for one in &proposed.candidates {
            let parent = &texts[one.parent.unwrap()];
            differs_in_one_place(parent, one);
            let detail = detail(one);
            assert_eq!(detail["kind"], kind);
            let start = detail["start"].as_u64().unwrap() as usize;
            let (from, to) = (
                detail["from"].as_str().unwrap(),
                detail["to"].as_str().unwrap(),
            );
            let behind = &parent[start + from.len()..];
            match kind {
                "number" if from.starts_with(|letter: char| letter.is_ascii_digit()) => {
                    let decimals = |one: &str| one.split_once('.').map(|(_, part)| part.len());
                    assert_eq!(decimals(from), decimals(to), "{parent}");
                    let value: f64 = to.replace(',', "").parse().unwrap();
                    assert!(value > 0.0, "{parent}");
                    assert!(!behind.starts_with('%') || value <= 100.0, "{}", one.text);
                }
                "entity" => {
                    let name = to.trim_start_matches("a ").trim_start_matches("an ");
                    let from = from.trim_start_matches("a ").trim_start_matches("an ");
                    assert!(whole.contains(name), "{name} is not in the corpus");
                    assert!(!parent.contains(name), "{parent}: {name}");
                    assert_eq!(shape(from), shape(name), "{from} {name}");
                }
                _ => {}
            }
        }
        kinds.insert(kind.to_owned(), proposed.candidates.len());
    }
    kinds
}

#[test]
fn every_edit_over_the_built_in_corpus_changes_one_place() {
    let (documents, claims) = mini();
    let texts: Vec<String> = documents.concat().into_iter().chain(claims).collect();
    let kinds = over(&documents, &texts);
    eprintln!("of {} sentences and claims: {kinds:?}", texts.len());
    assert!(
        kinds["number"] > 500 && kinds["entity"] > 100 && kinds["direction"] > 200,
        "{kinds:?}"
    );
}

#[test]
fn every_edit_over_scifact_changes_one_place() {
    let Some((documents, claims)) = scifact() else {
        eprintln!("SKIPPED: SCIFACT does not name a folder");
        return;
    };
    let kinds = over(&documents, &claims);
    eprintln!("of {} claims: {kinds:?}", claims.len());
    assert!(kinds["entity"] > 200, "{kinds:?}");
}

#[test]
fn numbers_in_names_labels_and_intervals_stay_and_amounts_keep_unit_and_format() {
    // (text, what may be changed)
    let cases: &[(&str, &[&str])] = &[
        ("IL-10 and vitamin B12 act at 37 °C.", &["37"]),
        (
            "In 1999, 250,000 adults took 2.5 mg/day.",
            &["1999", "250,000", "2.5"],
        ),
        (
            "Table 2 gives a ratio of 0.69 (95% CI 0.56 to 0.85).",
            &["0.69", "0.85"],
        ),
        (
            "4-PBA, 5'-nucleotidase, H3K9me3 and 6MP are compounds.",
            &[],
        ),
        ("A 7-day-old worm of type 2 weighs 40mg.", &["7", "2", "40"]),
        (
            "Between 20-30% of three groups (p < 0.05) left.",
            &["30", "three", "0.05"],
        ),
        ("One mouse in 10/66 studies.", &[]),
        (
            "Adults aged 16 to 24 were three quarters, four in five in London.",
            &["24"],
        ),
        ("The share fell from 23% to 16%.", &[]),
    ];
    for (text, possible) in cases {
        let given = anchors(&vec![*text; 60]);
        let proposed = edited(&documents(), &given, &["number"], 3);
        let changed: BTreeSet<String> = proposed
            .candidates
            .iter()
            .map(|one| detail(one)["from"].as_str().unwrap().to_owned())
            .collect();
        let possible: BTreeSet<String> = possible.iter().map(|&one| one.to_owned()).collect();
        assert_eq!(changed, possible, "{text}");
        for one in &proposed.candidates {
            differs_in_one_place(text, one);
        }
    }
    // Bounds, over many draws.
    for (text, holds) in [
        (
            "In 90% of cases it failed.",
            (|value| value <= 100.0) as fn(f64) -> bool,
        ),
        ("The value was small (p = 0.6).", |value| value < 1.0),
        ("In 2019 it failed.", |value| {
            (2000.0..2040.0).contains(&value)
        }),
        ("It took 20-30 days.", |value| value > 20.0),
        ("It took 20 to 30 days.", |value| value > 20.0),
        ("Two grades: grade 3 is worse.", |value| {
            (1.0..=4.0).contains(&value)
        }),
    ] {
        let proposed = edited(&documents(), &anchors(&vec![text; 200]), &["number"], 9);
        assert_eq!(proposed.candidates.len(), 200);
        for one in &proposed.candidates {
            let to = detail(one)["to"].as_str().unwrap().to_owned();
            assert!(
                to.parse().is_ok_and(holds) || to.parse::<f64>().is_err(),
                "{}",
                one.text
            );
        }
    }
}

fn documents() -> Vec<Vec<String>> {
    let text = [
        "The receptor binds BRCA1, GATA3 and KLF4 in cells.",
        "Expression of TNF and of HIV falls, and LDL rises.",
        "We gave IL-10 or TDP-43 to Drosophila and to Xenopus tadpoles.",
        "An HPV vaccine was given: Patients were well, other patients not.",
    ];
    text.map(|one| vec![one.to_owned()]).to_vec()
}

#[test]
fn a_name_becomes_another_of_its_shape_that_is_nowhere_in_the_sample() {
    let to = |text: &str, anchor: &str| -> BTreeSet<String> {
        let given: Vec<_> = (0..60)
            .map(|number| positive(number, anchor, text))
            .collect();
        texts(&edited(&documents(), &given, &["entity"], 4))
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let same = |text: &str| to(text, text);
    let set =
        |all: &[&str]| -> BTreeSet<String> { all.iter().map(|&one| one.to_owned()).collect() };
    assert_eq!(
        same("Loss of BRCA1 is rare."),
        set(&["Loss of GATA3 is rare.", "Loss of KLF4 is rare."])
    );
    assert_eq!(
        same("Loss of BRCA1 with KLF4 (GATA3)."),
        set(&[]),
        "all three are in the sample"
    );
    assert_eq!(same("BRCA1 binds BRCA1 here."), set(&[]), "twice named");
    assert_eq!(same("Here IL-10 acts."), set(&["Here TDP-43 acts."]));
    assert_eq!(
        same("Eggs of Drosophila hatch."),
        set(&["Eggs of Xenopus hatch."])
    );
    assert_eq!(
        same("The DNA of Patients and 12 mice."),
        set(&[]),
        "no names, or too common"
    );
    // The article goes with the name.
    assert_eq!(
        same("It was an HPV assay."),
        set(&[
            "It was a TNF assay.",
            "It was an HIV assay.",
            "It was an LDL assay."
        ])
    );
    // Only what the anchor has too.
    assert_eq!(
        to("IL-10 and BRCA1 act.", "It is BRCA1."),
        set(&["IL-10 and GATA3 act.", "IL-10 and KLF4 act."])
    );
}

#[test]
fn only_what_the_anchor_has_is_changed_unless_anything_may_be() {
    let (_copies, host) = host();
    let given = [
        positive(0, "The dose was 15 mg.", "In 40 adults, 15 mg sufficed."),
        positive(1, "The dose was low.", "In 40 adults, 15 mg sufficed."),
        negative(2, "The dose was 15 mg.", "The dose was 15 mg."),
    ];
    let run = |settings| {
        let instance = augmenter(&host, "keyword_edit", &settings);
        augment(&instance, 2, Services::default(), &given).unwrap()
    };
    let proposed = run(json!({ "kinds": ["number"] }));
    assert_eq!(proposed.candidates.len(), 1);
    let one = &proposed.candidates[0];
    assert_eq!(
        (one.parent, one.role, one.label),
        (Some(0), Role::Negative, 0.0)
    );
    assert_eq!(detail(one)["from"], "15");
    assert_eq!(
        proposed.counts,
        BTreeMap::from(
            [
                ("asked", 2),
                ("found", 1),
                ("changed: number", 1),
                ("dropped: no key word to change", 1),
                ("passed over: negative", 1),
            ]
            .map(|(what, n)| (what.to_owned(), n))
        )
    );
    let proposed = run(json!({ "kinds": ["number"], "only_shared": false }));
    assert_eq!(proposed.candidates.len(), 2);
}
