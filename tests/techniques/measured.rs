//! The techniques that measure: how good samples are, what the model makes of them, slices of the evaluation, comparisons, audits.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_tests::{experiment, repository, succeed};
use rusqlite::Connection;
use serde_json::Value;

use crate::{Ran, difference};

impl Ran {
    fn rows<T>(
        &self,
        sql: &str,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let mut statement = self.store.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| read(row)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn number(&self, sql: &str) -> f64 {
        self.store
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// A metric of a slice by a model, over its claims; the mean in the store is that of its rows.
    fn slice(&self, slice: &str, model: &str, metric: &str) -> f64 {
        let named = format!("slice/{slice}/{model}/{metric}");
        let mean = self.number(&format!("SELECT value FROM metric WHERE name = '{named}'"));
        let of_rows = self.number(&format!(
            "SELECT avg(value) FROM slice_score WHERE slice = '{slice}' AND model = '{model}' AND metric = '{metric}'"
        ));
        assert!((mean - of_rows).abs() < 1e-9, "{named}: {mean} {of_rows}");
        mean
    }
}

#[test]
fn row_16_samples_and_validation_claims_are_laid_out_in_two_dimensions_epoch_by_epoch() {
    let ran = Ran::of("16-picture");
    for look in ["initial", "epoch-1", "epoch-2"] {
        ran.none(
            "judged documents of validation claims that are not shown",
            &format!(
                "SELECT count(*) FROM judgement j JOIN anchor a ON a.number = j.anchor WHERE a.split = 'validation'
                 AND (SELECT count(*) FROM projection p WHERE p.model = '{look}' AND (p.kind = 'anchor' AND p.item = CAST(j.anchor AS TEXT)
                      OR p.kind = 'document' AND p.item = CAST(j.document AS TEXT))) <> 2"
            ),
        );
        // Every sample has a role and sources to be coloured by.
        for source in ["explicit_positive", "random", "hard_negative"] {
            ran.some(
                &format!("samples of {source} in the picture of {look}"),
                &format!(
                    "SELECT count(*) FROM projection p JOIN sample s ON s.id = p.item JOIN provenance o ON o.sample = s.id
                     WHERE p.model = '{look}' AND p.kind = 'sample' AND o.source = '{source}'"
                ),
            );
        }
        ran.none(
            "points of another method",
            &format!("SELECT count(*) FROM projection WHERE model = '{look}' AND method <> 'umap'"),
        );
        let trusted = ran.number(&format!(
            "SELECT m.value FROM metric m JOIN tick t ON t.number = m.tick WHERE t.detail = '{look}' AND m.name = 'picture/trustworthiness'"
        ));
        assert!((0.7..=1.0).contains(&trusted), "{look}: {trusted}");
    }
    // What is near in it is near to the model: a claim's positives lie nearer to one another than to those of other claims.
    let distance = |condition: &str| {
        ran.number(&format!(
            "SELECT avg((p.x - q.x) * (p.x - q.x) + (p.y - q.y) * (p.y - q.y)) FROM projection p JOIN sample s ON s.id = p.item
             JOIN projection q ON q.model = p.model AND q.kind = 'sample' JOIN sample o ON o.id = q.item
             WHERE p.model = 'epoch-2' AND p.kind = 'sample' AND s.role = 'positive' AND o.role = 'positive' AND p.item < q.item
             AND {condition}"
        ))
    };
    let (own, others) = (
        distance("s.anchor = o.anchor"),
        distance("s.anchor <> o.anchor"),
    );
    assert!(own * 2.0 < others, "{own} {others}");
}

#[test]
fn row_19_positives_lie_markedly_above_negatives_and_are_on_their_claims_topics() {
    let ran = Ran::of("19-positive-quality");
    let apart = |model: &str, source: &str, what: &str| {
        ran.number(&format!(
            "SELECT value FROM metric WHERE name = 'apart/{model}/{source}/{what}'"
        ))
    };
    for source in ["random", "hard_negative", "all"] {
        let of = |what: &str| apart("trained", source, what);
        assert!(
            of("cliffs_delta_low") > 0.474,
            "a large effect (Romano et al. 2006): {source}"
        );
        assert!(
            of("cliffs_delta_low") <= of("cliffs_delta")
                && of("cliffs_delta") <= of("cliffs_delta_high")
        );
        let gained = apart("initial", source, "overlap") - of("overlap");
        assert!(
            gained > 0.05,
            "{source}: they overlap less than before training, by {gained}"
        );
    }
    // How often a positive is nearer than a random negative, counted here pair by pair.
    let near = |role: &str, source: &str| {
        let sql = format!(
            "SELECT DISTINCT s.id, c.similarity FROM sample s JOIN score c ON c.sample = s.id AND c.model = 'initial'
             JOIN provenance p ON p.sample = s.id WHERE s.role = '{role}' AND p.source = '{source}'"
        );
        ran.rows(&sql, |row| row.get::<_, f64>(1))
    };
    let (positives, negatives) = (
        near("positive", "explicit_positive"),
        near("negative", "random"),
    );
    let nearer = |positive: &f64| {
        let points = negatives
            .iter()
            .map(|negative| match positive.total_cmp(negative) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            });
        points.sum::<f64>()
    };
    let auroc =
        positives.iter().map(nearer).sum::<f64>() / (positives.len() * negatives.len()) as f64;
    let told = apart("initial", "random", "auroc");
    assert!((auroc - told).abs() < 1e-6, "{auroc} {told}");
    // Topics.
    let agree = ran.number(
        "SELECT avg(a.topic = d.topic) FROM sample s JOIN topical a ON a.kind = 'anchor' AND a.item = s.anchor
         JOIN topical d ON d.kind = 'document' AND d.item = s.document
         WHERE s.role = 'positive' AND s.parent IS NULL AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.sample = s.id AND NOT v.keep)",
    );
    let metric = |name: &str| {
        ran.number(&format!(
            "SELECT value FROM metric WHERE name = 'topics/{name}'"
        ))
    };
    assert!((agree - metric("positives_agree")).abs() < 1e-9);
    assert!(
        agree > 2.0 * metric("random_agree"),
        "{agree} {}",
        metric("random_agree")
    );
    assert_eq!(
        ran.count("SELECT count(*) FROM topic WHERE json_array_length(terms) >= 5"),
        8
    );
    ran.some(
        "doubtful positives",
        "SELECT count(*) FROM verdict WHERE filter = 'consistency' AND reason <> ''",
    );
}

#[test]
fn row_20_negatives_have_difficulties_by_source_and_their_spread_is_measured() {
    let ran = Ran::of("20-negative-quality");
    let mean = |source: &str| {
        ran.number(&format!(
            "SELECT avg(c.difficulty) FROM score c JOIN provenance p ON p.sample = c.sample WHERE p.source = '{source}'"
        ))
    };
    let (random, hard, edited) = (mean("random"), mean("hard_negative"), mean("keyword_edit"));
    assert!(
        random.abs() < 0.15,
        "random documents are at the floor: {random}"
    );
    assert!(hard > random + 0.3, "{hard} {random}");
    assert!(
        edited > random + 0.2,
        "an edited positive is near its claim: {edited} {random}"
    );
    // A histogram: bands part the negatives in three, by difficulty.
    let bands: BTreeMap<String, (f64, f64, i64)> = ran
        .rows(
            "SELECT c.band, min(c.difficulty), max(c.difficulty), count(*) FROM score c WHERE c.model = 'initial' AND c.band IS NOT NULL
             GROUP BY c.band",
            |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))),
        )
        .into_iter()
        .collect();
    let (easy, medium, hard) = (bands["easy"], bands["medium"], bands["hard"]);
    assert!(easy.1 <= medium.0 && medium.1 <= hard.0);
    assert!((easy.2 - hard.2).abs() <= 1 && (easy.2 - medium.2).abs() <= 1);
    // Before training and after each epoch.
    let entropies = ran.rows(
        "SELECT value FROM metric WHERE name = 'monitor/entropy' ORDER BY tick",
        |row| row.get::<_, f64>(0),
    );
    assert_eq!(entropies.len(), 3);
    assert!(
        entropies.iter().all(|one| (0.3..=1.0).contains(one)),
        "{entropies:?}"
    );
    let clusters = ran.number("SELECT max(value) FROM metric WHERE name = 'monitor/clusters'");
    assert!((clusters - 16.0).abs() < 1e-9);
}

#[test]
fn row_21_each_epoch_the_negatives_and_the_space_around_dev_claims_are_looked_at() {
    let ran = Ran::of("21-dynamic-monitoring");
    let looks = ["initial", "epoch-1", "epoch-2", "epoch-3", "epoch-4"];
    for look in looks {
        for name in [
            "gap",
            "auroc",
            "cliffs_delta",
            "difficulty",
            "false_negatives",
            "entropy",
        ] {
            ran.some(
                &format!("{name} of {look}"),
                &format!("SELECT count(*) FROM metric m JOIN tick t ON t.number = m.tick WHERE t.detail = '{look}' AND m.name = 'monitor/{name}'"),
            );
        }
        ran.none(
            "validation claims that are not in the picture",
            &format!(
                "SELECT count(*) FROM anchor a WHERE a.split = 'validation' AND EXISTS (SELECT 1 FROM judgement j WHERE j.anchor = a.number)
                 AND NOT EXISTS (SELECT 1 FROM projection p WHERE p.model = '{look}' AND p.kind = 'anchor' AND p.item = CAST(a.number AS TEXT))"
            ),
        );
    }
    // The current negatives: after each epoch others are looked at, and they are harder to tell apart than the mined ones were.
    let entered = ran.some(
        "negatives that came in later",
        "SELECT CAST(sum(value) AS INTEGER) FROM metric WHERE name = 'hard_negative/entered_pool'",
    );
    assert!(entered > 50, "{entered}");
    let auroc = |look: &str| {
        ran.number(&format!(
            "SELECT m.value FROM metric m JOIN tick t ON t.number = m.tick WHERE t.detail = '{look}' AND m.name = 'monitor/auroc'"
        ))
    };
    assert!(
        auroc("epoch-4") > auroc("initial"),
        "it learns to tell them apart"
    );
}

#[test]
fn row_25_claims_are_told_from_their_minimal_contradictions() {
    let ran = Ran::of("25-semantic-nuance");
    let asked = ran.rows(
        "SELECT c.content, t.content, a.split FROM slice s JOIN text t ON t.id = s.text JOIN anchor a ON a.number = s.anchor
         JOIN text c ON c.id = a.text WHERE s.name = 'nuance'",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
            ))
        },
    );
    assert!(asked.len() >= 10, "{}", asked.len());
    for (claim, contradiction, split) in &asked {
        assert_eq!(split, "test");
        let (from, to) = difference(claim, contradiction);
        assert!(
            (1..=6).contains(&(from.len() + to.len())),
            "not minimal: {from:?} {to:?}"
        );
    }
    for model in ["bm25", "initial", "trained"] {
        let accuracy = ran.slice("nuance", model, "accuracy");
        assert!((0.0..=1.0).contains(&accuracy));
        // BM25 sees a difference only where the evidence has the word that was edited.
        assert!(
            model != "bm25" || (accuracy - 0.5).abs() < 0.2,
            "{accuracy}"
        );
        let _ = ran.slice("nuance", model, "margin");
    }
    ran.none(
        "contradictions of test claims in the pool",
        "SELECT count(*) FROM slice s JOIN sample p ON p.text = s.text WHERE s.name = 'nuance'",
    );
}

#[test]
fn row_26_the_long_tail_is_of_claims_whose_words_training_hardly_has() {
    let ran = Ran::of("26-long-tail");
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.to_lowercase();
        let words = words.split(|one: char| !one.is_alphanumeric());
        words
            .filter(|word| word.len() > 3)
            .map(str::to_owned)
            .collect()
    };
    let trained: Vec<BTreeSet<String>> = ran
        .rows(
            "SELECT t.content FROM anchor a JOIN text t ON t.id = a.text WHERE a.split = 'train'
             UNION SELECT t.content FROM judgement j JOIN anchor a ON a.number = j.anchor JOIN document d ON d.number = j.document
             JOIN text t ON t.id = d.text WHERE a.split = 'train'",
            |row| row.get::<_, String>(0),
        )
        .iter()
        .map(|text| words(text))
        .collect();
    // How many texts have a word, on average: counted here by words as they stand.
    let common = |slice: &str| {
        let sql = format!(
            "SELECT t.content FROM slice s JOIN text t ON t.id = s.text WHERE s.name = '{slice}'"
        );
        let claims = ran.rows(&sql, |row| row.get::<_, String>(0));
        let of_claim = |claim: &String| {
            let words = words(claim);
            let having = |word: &String| trained.iter().filter(|text| text.contains(word)).count();
            words.iter().map(having).sum::<usize>() as f64 / words.len() as f64
        };
        (
            claims.len(),
            claims.iter().map(of_claim).sum::<f64>() / claims.len() as f64,
        )
    };
    let ((tail, rare), (rest, usual)) = (common("long_tail"), common("not_long_tail"));
    assert_eq!((tail, rest), (8, 22), "a quarter of 30");
    assert!(rare * 1.5 < usual, "{rare} {usual}");
    for slice in ["long_tail", "not_long_tail"] {
        for model in ["bm25", "initial", "trained"] {
            let _ = ran.slice(slice, model, "ndcg@10");
        }
    }
}

#[test]
fn row_27_edited_claims_and_distractors_stand_beside_the_clean_ones() {
    let ran = Ran::of("27-adversarial");
    for slice in ["adversarial/char_noise", "adversarial/keyword_edit"] {
        ran.some(
            slice,
            &format!("SELECT count(*) FROM slice WHERE name = '{slice}'"),
        );
        ran.none(
            "claims that were not edited",
            &format!("SELECT count(*) FROM slice s JOIN anchor a ON a.number = s.anchor AND a.text = s.text WHERE s.name = '{slice}'"),
        );
        for model in ["bm25", "initial", "trained"] {
            let (edited, clean) = (
                ran.slice(slice, model, "ndcg@10"),
                ran.slice(slice, model, "clean/ndcg@10"),
            );
            // Words are what BM25 has: it loses where they are broken.
            assert!(
                model != "bm25" || edited < clean,
                "{slice}: {edited} {clean}"
            );
        }
    }
    let distractors = ran.rows(
        "SELECT t.content, json_extract(s.detail, '$.distractor') FROM slice s JOIN document d ON d.number = json_extract(s.detail, '$.document')
         JOIN text t ON t.id = d.text WHERE s.name = 'adversarial/distractors'",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
    );
    assert!(distractors.len() >= 8);
    for (document, distractor) in &distractors {
        let (from, to) = difference(document, distractor);
        assert!(
            (1..=6).contains(&(from.len() + to.len())),
            "not one edit: {from:?} {to:?}"
        );
    }
    for model in ["bm25", "initial", "trained"] {
        let _ = ran.slice("adversarial/distractors", model, "accuracy");
    }
}

#[test]
fn row_28_corpora_of_other_fields_are_scored_and_never_trained_on() {
    let ran = Ran::of("28-cross-domain-generalisation");
    for (slice, field) in [
        ("physics", "materials_physics"),
        ("ecology", "ecology_climate"),
    ] {
        let file = repository().join(format!("experiments/data/mini/{field}.claims.jsonl"));
        let claims: BTreeSet<String> = std::fs::read_to_string(file)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|claim| claim["split"] == "test")
            .map(|claim| claim["claim"].as_str().unwrap().to_owned())
            .collect();
        let sql = format!(
            "SELECT t.content FROM slice s JOIN text t ON t.id = s.text WHERE s.name = 'cross_domain/{slice}'"
        );
        let scored: BTreeSet<String> = ran.rows(&sql, |row| row.get(0)).into_iter().collect();
        assert_eq!(scored, claims);
        for model in ["bm25", "initial", "trained"] {
            assert!(ran.slice(&format!("cross_domain/{slice}"), model, "ndcg@10") > 0.2);
        }
    }
    let documents = ran.count("SELECT count(*) FROM document");
    assert_eq!(documents, 52, "the corpus is that of biomedicine");
    ran.none(
        "samples that are of no document of it",
        "SELECT count(*) FROM sample WHERE document IS NULL",
    );
}

/// A sweep of a technique, with the stores of its runs by name.
struct Swept {
    comparison: Value,
    runs: BTreeMap<String, Connection>,
    _folder: tempfile::TempDir,
}

impl Swept {
    fn of(name: &str) -> Self {
        let folder = experiment("");
        let file = repository().join(format!("experiments/techniques/{name}.yaml"));
        let arguments = ["run", file.to_str().unwrap(), "--run-dir", "s", "--json"];
        let _ = succeed(&arguments, folder.path());
        let sweep = folder.path().join("s");
        let text = std::fs::read_to_string(sweep.join("comparison.json")).unwrap();
        let comparison: Value = serde_json::from_str(&text).unwrap();
        let names = comparison["variants"].as_array().unwrap();
        let names = names.iter().flat_map(|one| one["runs"].as_array().unwrap());
        let runs = names
            .map(|name| {
                let name = name.as_str().unwrap().to_owned();
                let store = Connection::open(sweep.join(&name).join("store.db")).unwrap();
                (name, store)
            })
            .collect();
        Self {
            comparison,
            runs,
            _folder: folder,
        }
    }
}

#[test]
fn row_29_one_technique_more_with_each_variant_and_what_each_adds_is_tested() {
    let swept = Swept::of("29-ablation");
    let expected: [(&str, &[&str]); 3] = [
        ("plain", &["explicit_positive"]),
        ("hard", &["explicit_positive", "hard_negative"]),
        (
            "noise",
            &["char_noise", "explicit_positive", "hard_negative"],
        ),
    ];
    for (variant, sources) in expected {
        for seed in [13, 14] {
            let store = &swept.runs[&format!("{variant}-{seed}")];
            let mut statement = store
                .prepare("SELECT DISTINCT p.source FROM provenance p JOIN use u ON u.sample = p.sample ORDER BY 1")
                .unwrap();
            let used: Vec<String> = statement
                .query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert_eq!(used, sources, "{variant}-{seed}");
        }
    }
    let rows = swept.comparison["rows"].as_array().unwrap();
    for variant in ["hard", "noise"] {
        let row = rows
            .iter()
            .find(|row| {
                row["variant"] == variant && row["slice"] == "test" && row["metric"] == "ndcg@10"
            })
            .unwrap();
        let of = |key: &str| row[key].as_f64().unwrap();
        assert!(of("low") <= of("difference") && of("difference") <= of("high"));
        assert!(of("p") <= of("p_holm") && of("p_holm") <= 1.0 && of("p") > 0.0);
        assert_eq!(row["by_seed"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn row_30_the_quality_of_samples_is_followed_and_a_collapse_is_warned_of() {
    let ran = Ran::of("30-quality-drift");
    // The distribution, look by look.
    for role in ["positive", "negative"] {
        let sql = format!(
            "SELECT {} FROM metric WHERE name LIKE 'monitor/{role}_p%' GROUP BY tick ORDER BY tick",
            ["05", "25", "50", "75", "95"]
                .map(|percent| format!(
                    "max(CASE name WHEN 'monitor/{role}_p{percent}' THEN value END)"
                ))
                .join(", ")
        );
        let looks = ran.rows(&sql, |row| {
            (0..5)
                .map(|place| row.get(place))
                .collect::<Result<Vec<f64>, _>>()
        });
        assert_eq!(looks.len(), 5);
        assert!(looks.iter().all(|look| look.is_sorted()), "{looks:?}");
    }
    let warnings = ran.rows("SELECT detail FROM event WHERE kind = 'warning'", |row| {
        row.get::<_, String>(0)
    });
    let collapse: Vec<&String> = warnings
        .iter()
        .filter(|one| one.starts_with("embeddings_collapse: "))
        .collect();
    assert_eq!(collapse.len(), 1, "{warnings:?}");
    // It says what was measured, and what to do.
    let first = ran.number(
        "SELECT value FROM metric WHERE name = 'monitor/random_similarity' ORDER BY tick LIMIT 1",
    );
    assert!(
        collapse[0].contains(&format!("{first:.2} before training"))
            && collapse[0].contains("To do: ")
    );
    let most = ran.number("SELECT max(value) FROM metric WHERE name = 'monitor/random_similarity'");
    assert!(most > first + 0.3, "{first} {most}");
}

#[test]
fn row_31_a_slice_of_samples_goes_to_a_person_whose_agreement_is_recorded() {
    let ran = Ran::of("31-audit");
    assert_eq!(
        ran.count("SELECT count(*) FROM question WHERE round = 0"),
        12
    );
    ran.none(
        "questions of what was not used",
        "SELECT count(*) FROM question q WHERE NOT EXISTS (SELECT 1 FROM use u WHERE u.sample = q.sample)",
    );
    // Suspicious: the negatives asked about are harder than those that are not.
    let mean = |asked: &str| {
        ran.number(&format!(
            "SELECT avg(c.difficulty) FROM score c JOIN sample s ON s.id = c.sample WHERE s.role = 'negative' AND s.id {asked} IN
             (SELECT sample FROM question)"
        ))
    };
    assert!(mean("") > mean("NOT") + 0.3, "{} {}", mean(""), mean("NOT"));
    // A person says of every sample that it supports its claim: right of positives, wrong of negatives.
    ran.store
        .execute_batch(
            "INSERT INTO answer (question, annotator, verdict, settles, flagged, comment)
             SELECT id, 'ada', 'support', 0, 0, '' FROM question",
        )
        .unwrap();
    let _ = succeed(&["resume", "r", "--json"], ran.folder.path());
    assert_eq!(ran.count("SELECT count(*) FROM audited"), 12);
    ran.none(
        "agreements that are none",
        "SELECT count(*) FROM audited a JOIN sample s ON s.id = a.sample WHERE a.agrees <> (s.role = 'positive')",
    );
    let positives = ran.count("SELECT count(*) FROM question q JOIN sample s ON s.id = q.sample WHERE s.role = 'positive'");
    assert_eq!(ran.count("SELECT sum(agrees) FROM audited"), positives);
    let both = ran.number("SELECT value FROM metric WHERE name = 'audit/both'");
    assert!((both - 12.0).abs() < 1e-9);
}

#[test]
fn row_32_ratio_band_and_margin_follow_the_dev_metric() {
    let ran = Ran::of("32-adjust-by-validation");
    let events = ran.rows(
        "SELECT detail FROM event WHERE kind = 'adapt' ORDER BY id",
        |row| row.get::<_, String>(0),
    );
    // What a decision rests on is the change of the metric on validation: the rows say the same.
    let values = ran.rows(
        "SELECT avg(e.value) FROM evaluation e JOIN anchor a ON a.number = e.anchor
         WHERE a.split = 'validation' AND e.metric = 'ndcg@10' AND e.model LIKE 'epoch-%' GROUP BY e.model ORDER BY e.model",
        |row| row.get::<_, f64>(0),
    );
    assert_eq!(values.len(), 6);
    for epoch in 2..=6 {
        let gain = values[epoch - 1] - values[epoch - 2];
        let of_epoch: Vec<&String> = events
            .iter()
            .filter(|event| {
                event.starts_with(&format!("after epoch {epoch}: "))
                    && event.contains("gain < 0.02")
            })
            .collect();
        assert_eq!(
            !of_epoch.is_empty(),
            gain < 0.02,
            "epoch {epoch}: {gain}, {events:?}"
        );
        for event in of_epoch {
            assert!(event.contains(&format!("(gain = {gain:.4})")), "{event}");
        }
    }
    for what in [
        "negatives per positive from 2.000 to 3.000",
        "margin.relative of hard_negative from 0.0500 to 0.1000",
        "the band (medium) is now wider",
    ] {
        assert!(
            events.iter().any(|event| event.contains(what)),
            "{what}: {events:?}"
        );
    }
    // The ratio that training had is the one that was decided; the margin holds where the sampler was asked again.
    let asked = ran.rows(
        "SELECT CAST(negatives AS REAL) / positives FROM v_epoch ORDER BY epoch",
        |row| row.get::<_, f64>(0),
    );
    assert!(asked[0] <= 2.2 && asked[5] > 4.0, "{asked:?}");
    let margins = ran.rows(
        "SELECT p.tick, json_extract(p.detail, '$.limit'), json_extract(p.detail, '$.positives') FROM provenance p
         WHERE p.source = 'hard_negative' AND json_extract(p.detail, '$.limit') IS NOT NULL ORDER BY p.tick",
        |row| {
            let positives: Vec<f64> = serde_json::from_str(&row.get::<_, String>(2)?).unwrap();
            let best = positives.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Ok((row.get::<_, i64>(0)?, 1.0 - row.get::<_, f64>(1)? / best))
        },
    );
    let (first, last) = (margins[0].0, margins[margins.len() - 1].0);
    let of_tick = |tick: i64, margin: f64| {
        let mut of_tick = margins.iter().filter(|(one, _)| *one == tick);
        of_tick.all(|(_, found)| (found - margin).abs() < 1e-4)
    };
    assert!(of_tick(first, 0.05), "the margin that was asked for");
    assert!(last > first && !of_tick(last, 0.05), "the margin stayed");
}
