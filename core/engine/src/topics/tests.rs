//! Against scikit-learn and scipy (bench/fixtures/topics.py), and against the topics that a corpus was drawn from.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use orchestrator_plugin_host::TopicModel as _;
use serde_json::Value;

use super::Topics;
use super::variational::{Counts, Lda, digamma};

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../tests/topics.json")).unwrap()
}

fn matrix(value: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// `[topics, terms]` as `[terms, topics]`, one after the other.
fn turned(rows: &[Vec<f64>]) -> Vec<f64> {
    let terms = 0..rows[0].len();
    terms
        .flat_map(|term| rows.iter().map(move |row| row[term]))
        .collect()
}

fn documents(fixture: &Value) -> Vec<Counts> {
    matrix(&fixture["texts"])
        .iter()
        .map(|text| {
            let mut counts = BTreeMap::new();
            for &term in text {
                *counts.entry(term as u32).or_insert(0.0) += 1.0;
            }
            counts.into_iter().collect()
        })
        .collect()
}

fn word(term: f64) -> String {
    format!("w{term:03}")
}

fn texts(fixture: &Value) -> Vec<String> {
    matrix(&fixture["texts"])
        .iter()
        .map(|text| {
            let words: Vec<String> = text.iter().map(|&term| word(term)).collect();
            words.join(" ")
        })
        .collect()
}

fn assert_near(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (place, (one, other)) in ours.iter().zip(theirs).enumerate() {
        let off = (one - other).abs() / other.abs().max(1.0);
        assert!(off < tolerance, "{place}: {one} and {other}");
    }
}

#[test]
fn digamma_is_scipys() {
    for point in matrix(&fixture()["digamma"]) {
        let off = (digamma(point[0]) - point[1]).abs() / point[1].abs().max(1.0);
        assert!(off < 1e-13, "{point:?}: {}", digamma(point[0]));
    }
}

#[test]
fn the_mixtures_of_documents_are_scikit_learns() {
    let fixture = fixture();
    let components = matrix(&fixture["components"]);
    let model = Lda::of(turned(&components), components.len());
    for (counts, gamma) in documents(&fixture)
        .iter()
        .zip(matrix(&fixture["gamma_of_first_50"]))
    {
        assert_near(&model.find(counts).gamma, &gamma, 1e-6);
    }
}

#[test]
fn what_is_learned_of_batches_is_what_scikit_learn_learns() {
    let fixture = fixture();
    let (start, documents) = (matrix(&fixture["start"]), documents(&fixture));
    let documents: Vec<&Counts> = documents.iter().collect();
    let mut model = Lda::of(turned(&start), start.len());
    for batch in documents.chunks(100) {
        model.learn(batch, documents.len());
    }
    let theirs = matrix(&fixture["after_one_pass_of_batches_of_100"]);
    assert_near(&model.lambda, &turned(&theirs), 1e-6);

    let mut model = Lda::of(turned(&start), start.len());
    for _ in 0..3 {
        model.learn(&documents, documents.len());
    }
    let theirs = matrix(&fixture["after_three_steps_of_all"]);
    assert_near(&model.lambda, &turned(&theirs), 1e-6);
}

/// As the fixture's `quality`: perplexity, UMass coherence, least cosine of a true topic.
fn quality(topics: &Topics, fixture: &Value) -> [f64; 3] {
    let k = topics.count();
    let shares: Vec<BTreeMap<String, f64>> = (0..k)
        .map(|topic| {
            topics
                .terms_of_topic(topic, usize::MAX)
                .into_iter()
                .collect()
        })
        .collect();
    let texts = texts(fixture);
    let split: Vec<Vec<&str>> = texts.iter().map(|text| text.split(' ').collect()).collect();
    let (mut log, mut n) = (0.0, 0.0);
    for (text, mixture) in split.iter().zip(topics.documents().chunks(k)) {
        for word in text.iter().filter(|word| shares[0].contains_key(**word)) {
            let of_topics = shares.iter().zip(mixture);
            let likely: f64 = of_topics
                .map(|(share, part)| share[*word] * f64::from(*part))
                .sum();
            log += likely.ln();
            n += 1.0;
        }
    }
    let together = |a: &str, b: &str| {
        let both = split
            .iter()
            .filter(|text| text.contains(&a) && text.contains(&b));
        both.count() as f64
    };
    let mut coherence = Vec::new();
    for topic in 0..k {
        let top = topics.terms_of_topic(topic, 10);
        for (place, (a, _)) in top.iter().enumerate() {
            for (b, _) in &top[..place] {
                coherence.push(((together(a, b) + 1.0) / together(b, b)).ln());
            }
        }
    }
    let nearest = matrix(&fixture["topics"]).into_iter().map(|topic| {
        let truth: BTreeMap<String, f64> = (0..).map(f64::from).map(word).zip(topic).collect();
        let cosines = shares.iter().map(|share| {
            let dot: f64 = share.iter().map(|(word, part)| part * truth[word]).sum();
            let length = |part: &BTreeMap<String, f64>| {
                let squares = share.keys().map(|word| part[word] * part[word]);
                squares.sum::<f64>().sqrt()
            };
            dot / (length(share) * length(&truth))
        });
        cosines.fold(0.0, f64::max)
    });
    let least = nearest.fold(1.0, f64::min);
    let said = (0..k).filter_map(|topic| topics.coherence(topic, 10));
    let said = said.sum::<f64>() / k as f64;
    let mean = coherence.iter().sum::<f64>() / coherence.len() as f64;
    assert!((said - mean).abs() < 1e-9, "{said} {mean}");
    [(-log / n).exp(), mean, least]
}

#[test]
fn a_fit_is_as_good_as_scikit_learns_and_finds_the_topics_a_corpus_was_drawn_from() {
    let fixture = fixture();
    let texts = texts(&fixture);
    for (name, whole) in [("whole", usize::MAX), ("batches", 0)] {
        let theirs = &fixture["scikit_learn"][name];
        let mut all: Vec<[f64; 3]> = (0..5)
            .map(|seed| quality(&Topics::fit_whole_up_to(whole, &texts, 5, seed), &fixture))
            .collect();
        let mut median = |part: usize| {
            all.sort_by(|a, b| a[part].total_cmp(&b[part]));
            all[2][part]
        };
        let (perplexity, umass, cosine) = (median(0), median(1), median(2));
        let theirs = |part: &str| theirs[part].as_f64().unwrap();
        let said = format!("{name}: {perplexity:.3} {umass:.4} {cosine:.3}");
        assert!(perplexity < theirs("perplexity") * 1.05, "{said}");
        assert!(
            umass > theirs("umass") - 0.05 * theirs("umass").abs(),
            "{said}"
        );
        if name == "whole" {
            assert!(cosine >= 0.9, "{said}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_topics_for_any_number_of_threads() {
    let texts = texts(&fixture());
    let fit = |threads: usize, whole: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let topics = Topics::fit_whole_up_to(whole, &texts, 5, seed);
            let bits: Vec<u64> = topics
                .model
                .lambda
                .iter()
                .map(|one| one.to_bits())
                .collect();
            (bits, topics.documents)
        })
    };
    for whole in [0, usize::MAX] {
        let one = fit(1, whole, 7);
        assert!(one == fit(3, whole, 7));
        assert!(one != fit(1, whole, 8));
    }
}

#[test]
fn mixtures_sum_to_1_and_are_the_same_for_a_document_and_its_text() {
    let texts = texts(&fixture());
    let topics = Topics::fit(&texts, 5, 7);
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(topics.infer(&borrowed), topics.documents());
    for row in topics.documents().chunks(topics.count()) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
    let terms = topics.terms_of_topic(0, 3);
    assert_eq!(terms.len(), 3);
    assert!(terms[0].1 >= terms[1].1 && terms[1].1 >= terms[2].1);
    assert!(topics.terms_of_topic(5, 3).is_empty());
}

#[test]
fn texts_without_known_words_are_of_all_topics_alike() {
    let even = [0.25; 4];
    let topics = Topics::fit(&texts(&fixture()), 4, 7);
    assert_eq!(topics.infer(&["", "unheard of"]), [even, even].concat());
    assert!(topics.infer(&[]).is_empty());
    for texts in [vec![], vec![String::new()], vec!["one text alone".into()]] {
        let topics = Topics::fit(&texts, 4, 7);
        assert_eq!(topics.documents(), even.repeat(texts.len()));
        assert_eq!(topics.infer(&["a text"]), even);
        assert!(topics.terms_of_topic(0, 10).is_empty());
    }
    assert_eq!(Topics::fit(&texts(&fixture()), 0, 7).count(), 1);
}
