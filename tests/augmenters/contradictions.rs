//! `contradict_rules`: a table of claims judged by hand, verbs against a dictionary, and the real claims of SciFact.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin_host::{Candidate, Error, Kind, Role, Services};
use serde_json::{Value, json};

use crate::{
    anchors, augment, augmenter, detail, differs_in_one_place, host, negative, positive, scifact,
    texts,
};

/// Rule, claim and expected text of each line; rule `-` = nothing comes out.
fn contradictions() -> Vec<(String, String, String)> {
    include_str!("../fixtures/contradictions.tsv")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut parts = line.split('\t').map(str::to_owned);
            let mut part = || parts.next().unwrap();
            (part(), part(), part())
        })
        .collect()
}

#[test]
fn each_claim_of_the_table_becomes_its_contradiction() {
    let (_copies, host) = host();
    let instance = augmenter(&host, "contradict_rules", &json!({}));
    let cases = contradictions();
    assert!(cases.len() > 130);
    let claims: Vec<&str> = cases.iter().map(|(_, claim, _)| claim.as_str()).collect();
    let proposed = augment(&instance, 0, Services::default(), &anchors(&claims)).unwrap();
    let found: BTreeMap<usize, &Candidate> = proposed
        .candidates
        .iter()
        .map(|one| (one.parent.unwrap(), one))
        .collect();
    assert_eq!(found.len(), proposed.candidates.len(), "one a sample");
    for (row, (rule, claim, expected)) in cases.iter().enumerate() {
        let Some(one) = found.get(&row) else {
            assert_eq!(rule, "-", "nothing came of: {claim}");
            continue;
        };
        assert_eq!(
            (&one.text, one.role, one.label),
            (expected, Role::Negative, 0.0)
        );
        assert_eq!(detail(one)["rule"], json!(rule), "{claim}");
        differs_in_one_place(claim, one);
    }
}

/// Forms that Merriam-Webster has and lemminflect has not.
const ELSEWHERE: [&str; 4] = ["fitted", "forecast", "mimicked", "reprogrammed"];

/// What lemminflect says of the verbs in our table (bench/fixtures/verb_forms.py).
#[test]
fn verbs_come_out_of_do_not_in_the_forms_of_a_dictionary() {
    let (_copies, host) = host();
    let instance = augmenter(
        &host,
        "contradict_rules",
        &json!({ "rules": ["negation_out"] }),
    );
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/verb_forms.json")).unwrap();
    let verbs = fixture.as_object().unwrap();
    assert!(verbs.len() > 700);
    let mut claims = Vec::new();
    for base in verbs.keys() {
        claims.push(format!("The agent does not {base} the target."));
        claims.push(format!("The agent did not {base} the target."));
    }
    let proposed = augment(&instance, 0, Services::default(), &anchors(&claims)).unwrap();
    let found = texts(&proposed);
    assert_eq!(found.len(), claims.len());
    let mut wrong = Vec::new();
    for (place, forms) in verbs.values().enumerate() {
        for (form, text) in ["third", "past"].iter().zip(&found[place * 2..]) {
            let verb = text.split(' ').nth(2).unwrap();
            let expected = forms[form].as_array().unwrap();
            if !expected.contains(&json!(verb)) && !ELSEWHERE.contains(&verb) {
                wrong.push(format!("{verb} {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_allowed_rules_are_applied_and_several_contradictions_differ() {
    let (_copies, host) = host();
    let claim = "All increased doses lead to a higher risk of stroke.";
    let settings = json!({ "per_sample": 9 });
    let instance = augmenter(&host, "contradict_rules", &settings);
    let proposed = augment(&instance, 0, Services::default(), &anchors(&[claim])).unwrap();
    let distinct: BTreeSet<&str> = texts(&proposed).into_iter().collect();
    assert_eq!(distinct.len(), proposed.candidates.len());
    let rules: Vec<Value> = proposed
        .candidates
        .iter()
        .map(|one| detail(one)["rule"].clone())
        .collect();
    // The best of each rule, then the second of each.
    assert_eq!(rules, ["direction", "quantifier", "condition", "direction"]);
    for rule in ["direction", "quantifier", "negation_in"] {
        let settings = json!({ "rules": [rule], "per_sample": 9 });
        let instance = augmenter(&host, "contradict_rules", &settings);
        let claims = ["Statins always reduce mortality.", claim];
        let proposed = augment(&instance, 0, Services::default(), &anchors(&claims)).unwrap();
        assert!(!proposed.candidates.is_empty(), "{rule}");
        assert!(
            proposed
                .candidates
                .iter()
                .all(|one| detail(one)["rule"] == rule)
        );
    }
    let refused = host
        .find(Kind::Augmenter, "contradict_rules")
        .unwrap()
        .create(
            "contradict_rules",
            &json!({ "rules": ["direction", "irony"] }),
            0,
        );
    let Err(Error::Config { pointer, .. }) = refused else {
        panic!("a rule there is not");
    };
    assert_eq!(pointer, "/rules/1");
}

#[test]
fn the_sentence_that_speaks_of_the_anchor_is_turned_and_long_texts_and_negatives_are_not() {
    let (_copies, host) = host();
    let instance = augmenter(&host, "contradict_rules", &json!({ "max_words": 30 }));
    let evidence = "We enrolled 40 adults. Vitamin D supplements reduced the number of falls. The trial was small.";
    let anchor = "Supplements of vitamin D prevent falls.";
    let long = "word ".repeat(31);
    let given = [
        positive(0, anchor, evidence),
        positive(0, anchor, &long),
        negative(0, anchor, "Vitamin D does not prevent falls."),
        positive(1, "X rises.", "X falls."),
        positive(1, "X rises.", "X rises."),
    ];
    let proposed = augment(&instance, 0, Services::default(), &given).unwrap();
    assert_eq!(
        texts(&proposed),
        [
            "We enrolled 40 adults. Vitamin D supplements increased the number of falls. The trial was small."
        ]
    );
    assert_eq!(
        proposed.counts,
        BTreeMap::from([
            ("asked".to_owned(), 4),
            ("found".to_owned(), 1),
            ("dropped: longer than 30 words".to_owned(), 1),
            ("dropped: a known positive says it".to_owned(), 2),
            ("passed over: negative".to_owned(), 1),
        ])
    );
}

/// At least 95 % of the real claims get a contradiction.
#[test]
fn nearly_every_claim_of_scifact_is_contradicted() {
    let (_copies, host) = host();
    let Some((_, claims)) = scifact() else {
        eprintln!("SKIPPED: SCIFACT does not name a folder");
        return;
    };
    let instance = augmenter(&host, "contradict_rules", &json!({}));
    let proposed = augment(&instance, 0, Services::default(), &anchors(&claims)).unwrap();
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    let mut contradicted = BTreeSet::new();
    for one in &proposed.candidates {
        let row = one.parent.unwrap();
        contradicted.insert(row);
        differs_in_one_place(&claims[row], one);
        *rules
            .entry(detail(one)["rule"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    eprintln!(
        "{} of {} claims: {rules:?}",
        contradicted.len(),
        claims.len()
    );
    assert!(contradicted.len() * 100 >= claims.len() * 95);
}
