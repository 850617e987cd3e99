//! Slices of the evaluation: what the store says of each is what its rows, the saved model and the corpus say; nothing else of the
//! run depends on them; the same whatever the threads and wherever it was interrupted; bad settings are told at their place.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use orchestrator_tests::{experiment, orchestrator, repository, small_experiment, succeed};
use rusqlite::Connection;
use serde_json::Value;

#[path = "slices/settings.rs"]
mod settings;
#[path = "slices/whole.rs"]
mod whole;

/// The small experiment on two fields, with a third as another corpus.
fn two_fields() -> String {
    small_experiment().replace(
        "corpus: { format: builtin }",
        "corpus: { format: builtin, fields: [biomedicine, cognition_society] }, \
         other: { physics: { format: builtin, fields: [materials_physics] } }",
    )
}

fn sliced() -> String {
    format!(
        "{}evaluate: {{ slices: [nuance, long_tail: {{ share: 0.3 }}, adversarial, cross_domain: {{ corpora: [physics], claims: test }}] }}\n",
        two_fields()
    )
}

/// A run with all slices, made once.
fn ran() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = experiment(&sliced());
            let _ = succeed(
                &["run", "x.yaml", "--run-dir", "r", "--json"],
                folder.path(),
            );
            folder
        })
        .path()
}

fn open(folder: &Path) -> Connection {
    Connection::open(folder.join("store.db")).unwrap()
}

fn rows<T>(
    store: &Connection,
    sql: &str,
    read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| read(row)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn one<T: rusqlite::types::FromSql>(store: &Connection, sql: &str) -> T {
    store
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
}

fn close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 2e-6,
        "{what}: {found} in the store, {expected} expected"
    );
}

/// A claim of a slice.
struct Item {
    number: i64,
    anchor: Option<i64>,
    text: String,
    detail: Value,
}

fn items(store: &Connection, slice: &str) -> Vec<Item> {
    let sql = format!(
        "SELECT s.item, s.anchor, t.content, s.detail FROM slice s JOIN text t ON t.id = s.text
         WHERE s.name = '{slice}' ORDER BY s.item"
    );
    let found = rows(store, &sql, |row| {
        Ok(Item {
            number: row.get(0)?,
            anchor: row.get(1)?,
            text: row.get(2)?,
            detail: serde_json::from_str(&row.get::<_, String>(3)?).unwrap_or_default(),
        })
    });
    assert!(!found.is_empty(), "{slice} has no claims");
    found
}

fn score(store: &Connection, slice: &str, item: i64, model: &str, metric: &str) -> f64 {
    one(
        store,
        &format!(
            "SELECT value FROM slice_score WHERE slice = '{slice}' AND item = {item} AND model = '{model}' AND metric = '{metric}'"
        ),
    )
}

/// Embeddings by the trained model, as anybody gets them.
fn encode(side: &str, texts: &[String]) -> Vec<Vec<f64>> {
    let arguments = ["model", "encode", "r/model", "--side", side];
    let mut child = orchestrator(&arguments, ran())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = String::new();
    for text in texts {
        assert!(!text.contains('\n'));
        lines.push_str(text);
        lines.push('\n');
    }
    let mut input = child.stdin.take().unwrap();
    std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<f64>> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), texts.len());
    rows
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Whether the first of two is nearer: half where neither is.
fn right(margin: f64) -> f64 {
    f64::midpoint(
        f64::from(u8::from(margin > 0.0)),
        f64::from(u8::from(margin >= 0.0)),
    )
}

/// The documents of a store, by number.
fn documents(store: &Connection) -> Vec<String> {
    rows(
        store,
        "SELECT t.content FROM document d JOIN text t ON t.id = d.text ORDER BY d.number",
        |row| row.get(0),
    )
}

/// The documents judged for each anchor of a split, whatever they say.
fn judged(store: &Connection, split: &str) -> BTreeMap<i64, BTreeSet<usize>> {
    let sql = format!(
        "SELECT DISTINCT j.anchor, j.document FROM judgement j JOIN anchor a ON a.number = j.anchor WHERE a.split = '{split}'"
    );
    let mut all: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
    for (anchor, document) in rows(store, &sql, |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)? as usize))
    }) {
        all.entry(anchor).or_default().insert(document);
    }
    all
}

/// The places of documents, the nearest to `query` first.
fn ranking(query: &[f64], documents: &[Vec<f64>]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..documents.len()).collect();
    places.sort_by(|&a, &b| {
        let (one, other) = (dot(query, &documents[a]), dot(query, &documents[b]));
        other.total_cmp(&one).then(a.cmp(&b))
    });
    places
}

/// The metrics that experiments have if they name none, by their definitions.
fn metrics(ranking: &[usize], relevant: &BTreeSet<usize>) -> BTreeMap<&'static str, f64> {
    let hit = |rank: usize| f64::from(u8::from(relevant.contains(&ranking[rank])));
    let discount = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
    let within = |depth: usize| 0..depth.min(ranking.len());
    let ideal: f64 = (0..relevant.len().min(10)).map(discount).sum();
    let gain: f64 = within(10).map(|rank| hit(rank) * discount(rank)).sum();
    let found: f64 = within(100).map(hit).sum();
    let first = within(10).find(|&rank| hit(rank) > 0.0);
    let precisions = within(1000).filter(|&rank| hit(rank) > 0.0);
    let precisions = precisions
        .enumerate()
        .map(|(before, rank)| (before + 1) as f64 / (rank + 1) as f64);
    let n = relevant.len() as f64;
    BTreeMap::from([
        ("ndcg@10", gain / ideal),
        ("recall@100", found / n),
        ("mrr@10", first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64)),
        ("map", precisions.sum::<f64>() / n),
    ])
}

/// Title, sentences and id of the documents, and the claims, of a field of the built-in corpus.
fn field(name: &str) -> (Vec<Value>, Vec<Value>) {
    let read = |kind: &str| {
        let path = repository().join(format!("experiments/data/mini/{name}.{kind}.jsonl"));
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    (read("corpus"), read("claims"))
}

fn full_text(document: &Value) -> String {
    let sentences = document["abstract"].as_array().unwrap();
    let parts = std::iter::once(&document["title"]).chain(sentences);
    let parts: Vec<&str> = parts.map(|one| one.as_str().unwrap().trim()).collect();
    parts.join(" ")
}

#[test]
fn the_ten_first_documents_of_each_model_are_kept_as_they_were_scored() {
    let store = open(&ran().join("r"));
    let mut relevant = judged(&store, "validation");
    relevant.extend(judged(&store, "test"));
    for model in ["bm25", "initial", "trained"] {
        let mut found: BTreeMap<i64, Vec<(usize, f64)>> = BTreeMap::new();
        let sql = format!(
            "SELECT anchor, rank, document, score FROM retrieved WHERE model = '{model}' ORDER BY anchor, rank"
        );
        for (anchor, rank, document, score) in rows(&store, &sql, |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, f64>(3)?,
            ))
        }) {
            let of_anchor = found.entry(anchor).or_default();
            of_anchor.push((document as usize, score));
            assert_eq!(rank as usize, of_anchor.len(), "ranks from 1");
        }
        assert!(found.keys().eq(relevant.keys()), "{model}: anchors");
        for (anchor, documents) in &found {
            assert_eq!(documents.len(), 10);
            assert!(documents.is_sorted_by(|a, b| a.1 >= b.1), "best first");
            let ranking: Vec<usize> = documents.iter().map(|(one, _)| *one).collect();
            let expected = metrics(&ranking, &relevant[anchor]);
            for metric in ["ndcg@10", "mrr@10"] {
                let sql = format!(
                    "SELECT value FROM evaluation WHERE model = '{model}' AND anchor = {anchor} AND metric = '{metric}'"
                );
                close(
                    one(&store, &sql),
                    expected[metric],
                    &format!("{model} {metric} of {anchor}"),
                );
            }
        }
        if model == "trained" {
            let documents = encode("document", &documents(&store));
            let claims = rows(
                &store,
                "SELECT t.content FROM anchor a JOIN text t ON t.id = a.text ORDER BY a.number",
                |row| row.get(0),
            );
            let claims = encode("anchor", &claims);
            for (anchor, kept) in &found {
                let query = &claims[*anchor as usize];
                let nearest = ranking(query, &documents);
                for ((document, score), expected) in kept.iter().zip(nearest) {
                    assert_eq!(*document, expected, "of anchor {anchor}");
                    close(*score, dot(query, &documents[expected]), "score");
                }
            }
        }
    }
    // They are written by the tick that evaluates, and of no epoch.
    let ticks: i64 = one(
        &store,
        "SELECT count(*) FROM retrieved r JOIN tick t ON t.number = r.tick WHERE t.kind <> 'evaluate'
         OR (r.model = 'trained') <> (t.detail LIKE 'trained%') OR (r.model <> 'trained') <> (t.detail = 'baselines')",
    );
    assert_eq!(ticks, 0);
}

#[test]
fn nuance_is_how_much_nearer_a_claim_is_to_its_evidence_than_its_contradiction() {
    let store = open(&ran().join("r"));
    let by_id: BTreeMap<String, Value> = ["biomedicine", "cognition_society"]
        .into_iter()
        .flat_map(|name| field(name).0)
        .map(|document| (document["doc_id"].to_string(), document))
        .collect();
    let mut asked = 0;
    for item in items(&store, "nuance") {
        let anchor = item.anchor.unwrap();
        let claim: String = one(
            &store,
            &format!(
                "SELECT t.content FROM anchor a JOIN text t ON t.id = a.text WHERE a.number = {anchor} AND a.split = 'test'"
            ),
        );
        // A minimal edit: putting back what was replaced gives the claim.
        let (start, to) = (
            item.detail["start"].as_u64().unwrap() as usize,
            item.detail["to"].as_str().unwrap(),
        );
        let mut back = item.text.clone();
        back.replace_range(
            start..start + to.len(),
            item.detail["from"].as_str().unwrap(),
        );
        assert_eq!(back, claim);
        // Only what supports it is evidence.
        let sets = rows(
            &store,
            &format!(
                "SELECT d.id, j.sentences FROM judgement j JOIN document d ON d.number = j.document
                 WHERE j.anchor = {anchor} AND j.label IN ('support', 'partial')"
            ),
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        );
        let texts: BTreeSet<String> = sets
            .iter()
            .map(|(id, sentences)| {
                let sentences: BTreeSet<usize> = serde_json::from_str(sentences).unwrap();
                let all = &by_id[id]["abstract"];
                let texts: Vec<&str> = sentences
                    .iter()
                    .map(|&one| all[one].as_str().unwrap().trim())
                    .collect();
                texts.join(" ")
            })
            .collect();
        assert!(!texts.is_empty(), "claim {anchor} has no evidence");
        let texts: Vec<String> = texts.into_iter().collect();
        let claims = encode("anchor", &[claim, item.text.clone()]);
        let evidence = encode("document", &texts);
        let margins = evidence
            .iter()
            .map(|text| dot(&claims[0], text) - dot(&claims[1], text));
        let margin = margins.sum::<f64>() / evidence.len() as f64;
        close(
            score(&store, "nuance", item.number, "trained", "margin"),
            margin,
            "margin",
        );
        for model in ["bm25", "initial", "trained"] {
            let margin = score(&store, "nuance", item.number, model, "margin");
            let accuracy = score(&store, "nuance", item.number, model, "accuracy");
            close(accuracy, right(margin), "accuracy");
        }
        asked += 1;
    }
    let counted: f64 = one(
        &store,
        "SELECT value FROM metric WHERE name = 'nuance/contradict_rules/found'",
    );
    close(f64::from(asked), counted, "claims");
}

#[test]
fn the_long_tail_is_the_share_of_claims_with_the_rarest_terms() {
    let store = open(&ran().join("r"));
    let (tail, others) = (items(&store, "long_tail"), items(&store, "not_long_tail"));
    let all: BTreeSet<i64> = tail
        .iter()
        .chain(&others)
        .map(|one| one.anchor.unwrap())
        .collect();
    assert!(
        all.iter().eq(judged(&store, "test").keys()),
        "each claim once"
    );
    assert_eq!(all.len(), tail.len() + others.len());
    assert_eq!(tail.len(), (0.3 * all.len() as f64).round() as usize);
    let rarity = |item: &Item| item.detail["rarity"].as_f64().unwrap();
    let rarest = others.iter().map(rarity).fold(0.0, f64::max);
    assert!(tail.iter().all(|item| rarity(item) >= rarest));
    // A term that no training text has is in none of them, word for word.
    let trained: Vec<String> = rows(
        &store,
        "SELECT t.content FROM anchor a JOIN text t ON t.id = a.text WHERE a.split = 'train'
         UNION ALL SELECT DISTINCT t.content FROM judgement j JOIN anchor a ON a.number = j.anchor
         JOIN document d ON d.number = j.document JOIN text t ON t.id = d.text WHERE a.split = 'train'",
        |row| row.get(0),
    );
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|one: char| !one.is_alphanumeric());
        words.map(str::to_lowercase).collect()
    };
    let mut unseen = 0;
    for item in &tail {
        for one in item.detail["rarest"].as_array().unwrap() {
            let term = one["term"].as_str().unwrap();
            if one["texts"] == 0 && words(&item.text).contains(term) {
                unseen += 1;
                assert!(
                    trained.iter().all(|text| !words(text).contains(term)),
                    "{term}"
                );
            }
        }
    }
    assert!(unseen > 0, "no rare term is a word as it stands");
    // Their scores are those of the evaluation.
    for (slice, items) in [("long_tail", &tail), ("not_long_tail", &others)] {
        for model in ["bm25", "initial", "trained"] {
            for metric in ["ndcg@10", "recall@100", "mrr@10", "map"] {
                let mut sum = 0.0;
                for item in items {
                    let anchor = item.anchor.unwrap();
                    let sql = format!(
                        "SELECT value FROM evaluation WHERE model = '{model}' AND anchor = {anchor} AND metric = '{metric}'"
                    );
                    let expected: f64 = one(&store, &sql);
                    close(
                        score(&store, slice, item.number, model, metric),
                        expected,
                        metric,
                    );
                    sum += expected;
                }
                let name = format!("slice/{slice}/{model}/{metric}");
                let mean: f64 = one(
                    &store,
                    &format!("SELECT value FROM metric WHERE name = '{name}'"),
                );
                close(mean, sum / items.len() as f64, &name);
            }
        }
    }
}

#[test]
fn edited_claims_retrieve_what_their_edited_text_does() {
    let store = open(&ran().join("r"));
    let documents = encode("document", &documents(&store));
    let relevant = judged(&store, "test");
    for slice in ["adversarial/char_noise", "adversarial/keyword_edit"] {
        let items = items(&store, slice);
        let texts: Vec<String> = items.iter().map(|one| one.text.clone()).collect();
        for (item, query) in items.iter().zip(encode("anchor", &texts)) {
            let anchor = item.anchor.unwrap();
            let claim: String = one(
                &store,
                &format!(
                    "SELECT t.content FROM anchor a JOIN text t ON t.id = a.text WHERE a.number = {anchor}"
                ),
            );
            assert_ne!(item.text, claim);
            let expected = metrics(&ranking(&query, &documents), &relevant[&anchor]);
            for (metric, value) in expected {
                close(
                    score(&store, slice, item.number, "trained", metric),
                    value,
                    &format!("{slice} {metric}"),
                );
                for model in ["bm25", "initial", "trained"] {
                    let clean: f64 = one(
                        &store,
                        &format!(
                            "SELECT value FROM evaluation WHERE model = '{model}' AND anchor = {anchor} AND metric = '{metric}'"
                        ),
                    );
                    close(
                        score(
                            &store,
                            slice,
                            item.number,
                            model,
                            &format!("clean/{metric}"),
                        ),
                        clean,
                        "clean",
                    );
                }
            }
        }
    }
    // The noise is that of its rate.
    let changed: f64 = items(&store, "adversarial/char_noise")
        .iter()
        .map(|item| item.detail["characters_changed"].as_f64().unwrap())
        .sum();
    let letters: i64 = one(
        &store,
        "SELECT sum(length(replace(t.content, ' ', ''))) FROM slice s JOIN anchor a ON a.number = s.anchor JOIN text t ON t.id = a.text
         WHERE s.name = 'adversarial/char_noise'",
    );
    let rate = changed / letters as f64;
    assert!((0.07..0.13).contains(&rate), "{rate}");
}

#[test]
fn a_distractor_is_a_supporting_document_but_for_one_edit() {
    let store = open(&ran().join("r"));
    let documents = documents(&store);
    for item in items(&store, "adversarial/distractors") {
        let anchor = item.anchor.unwrap();
        let number = item.detail["document"].as_u64().unwrap();
        let supports: i64 = one(
            &store,
            &format!(
                "SELECT count(*) FROM judgement WHERE anchor = {anchor} AND document = {number} AND label IN ('support', 'partial')"
            ),
        );
        assert!(supports > 0);
        let distractor = item.detail["distractor"].as_str().unwrap();
        let (edit, document) = (&item.detail["edit"], &documents[number as usize]);
        let (start, to) = (
            edit["start"].as_u64().unwrap() as usize,
            edit["to"].as_str().unwrap(),
        );
        let mut back = distractor.to_owned();
        back.replace_range(start..start + to.len(), edit["from"].as_str().unwrap());
        assert_eq!(&back, document);
        assert!(
            !documents.iter().any(|one| one == distractor),
            "the corpus stays as it is"
        );
        let claim = encode("anchor", std::slice::from_ref(&item.text));
        let both = encode("document", &[document.clone(), distractor.to_owned()]);
        let margin = dot(&claim[0], &both[0]) - dot(&claim[0], &both[1]);
        close(
            score(
                &store,
                "adversarial/distractors",
                item.number,
                "trained",
                "margin",
            ),
            margin,
            "margin",
        );
        let accuracy = score(
            &store,
            "adversarial/distractors",
            item.number,
            "trained",
            "accuracy",
        );
        let of_store = score(
            &store,
            "adversarial/distractors",
            item.number,
            "trained",
            "margin",
        );
        close(accuracy, right(of_store), "accuracy");
    }
}

#[test]
fn another_corpus_is_scored_over_its_own_documents_and_never_trained_on() {
    let store = open(&ran().join("r"));
    let (corpus, claims) = field("materials_physics");
    let texts: Vec<String> = corpus.iter().map(full_text).collect();
    let places: BTreeMap<String, usize> = corpus
        .iter()
        .enumerate()
        .map(|(place, document)| (document["doc_id"].to_string(), place))
        .collect();
    let mut expected: BTreeMap<String, (String, BTreeSet<usize>)> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| claim["split"] == "test") {
        let evidence = claim["evidence"].as_object().unwrap().keys().cloned();
        let cited = claim["cited_doc_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(ToString::to_string);
        let relevant: BTreeSet<usize> = evidence.chain(cited).map(|id| places[&id]).collect();
        let text = claim["claim"].as_str().unwrap().to_owned();
        expected.insert(claim["id"].to_string(), (text, relevant));
    }
    let documents = encode("document", &texts);
    let items = items(&store, "cross_domain/physics");
    assert_eq!(items.len(), expected.len());
    for item in items {
        assert!(item.anchor.is_none());
        let (text, relevant) = &expected[item.detail["id"].as_str().unwrap()];
        assert_eq!(&item.text, text);
        let query = encode("anchor", std::slice::from_ref(text));
        for (metric, value) in metrics(&ranking(&query[0], &documents), relevant) {
            close(
                score(
                    &store,
                    "cross_domain/physics",
                    item.number,
                    "trained",
                    metric,
                ),
                value,
                metric,
            );
        }
    }
    for text in &texts {
        let seen: i64 = store
            .query_row(
                "SELECT count(*) FROM text t WHERE t.content = ?1 AND EXISTS (SELECT 1 FROM sample s WHERE s.text = t.id)",
                [text],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(seen, 0, "{text}");
    }
}
