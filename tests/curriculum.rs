//! The curriculum and its rules in whole runs: what each stage asks for is what its steps use, what the pool did not have is told,
//! and rules change training when they say and no further.
#![allow(clippy::unwrap_used)]

use orchestrator_tests::{experiment, fail, small_experiment, succeed};
use rusqlite::Connection;

/// The small experiment without rounds, with this under `train:`.
fn with(train: &str) -> String {
    let text = small_experiment();
    let end = text.find("  schedule:").unwrap();
    format!("{}{train}", &text[..end])
}

fn ran(text: &str) -> (Connection, tempfile::TempDir) {
    let folder = experiment(text);
    let _ = succeed(
        &["run", "x.yaml", "--run-dir", "r", "--json"],
        folder.path(),
    );
    let store = Connection::open(folder.path().join("r/store.db")).unwrap();
    (store, folder)
}

fn number(store: &Connection, sql: &str) -> f64 {
    store
        .query_row(sql, [], |row| row.get::<_, Option<f64>>(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
        .unwrap_or(f64::NAN)
}

/// Uses of negatives by epoch and band, as the pool was scored before training.
fn bands(store: &Connection, epoch: usize) -> [f64; 3] {
    ["easy", "medium", "hard"].map(|band| {
        number(
            store,
            &format!(
                "SELECT count(*) + 0.0 FROM use u JOIN score c ON c.sample = u.sample AND c.model = 'initial'
                 WHERE u.epoch = {epoch} AND c.band = '{band}'"
            ),
        )
    })
}

#[test]
fn each_stage_uses_the_negatives_losses_and_rate_that_it_names() {
    let (store, _folder) = ran(&with(
        "  ratio: { negatives_per_positive: \"2 + stage\" }
  bands: { quantiles: [0.5, 0.8] }
  after_warmup: constant
  warmup: 0
  schedule:
    - { epochs: 1, difficulty: { easy: 0.75, hard: 0.25 } }
    - { steps: 3, learning_rate: 0.002, losses: { contrastive: 2 } }
    - { epochs: 1, pacing: { function: linear, from: 0.3 }, ratio: 1 }
    - { epochs: 1, sources: [random], losses: [mnrl] }
",
    ));
    // 0: three easy ones to a hard one, as far as claims have them; none of the middle.
    let [easy, medium, hard] = bands(&store, 0);
    let of_epoch = |epoch: usize, name: &str| {
        number(
            &store,
            &format!(
                "SELECT sum(value) FROM metric WHERE name = '{name}' AND step = -1 AND tick IN
                 (SELECT tick FROM use WHERE epoch = {epoch})"
            ),
        )
    };
    let (asked, short) = (
        of_epoch(0, "negatives_asked"),
        of_epoch(0, "negatives_short_of_ratio"),
    );
    assert!(medium == 0.0 && easy > 0.0 && hard > 0.0);
    // A sample that a step was dealt twice is one use.
    let told = easy + hard + short;
    assert!(
        told <= asked && told > 0.95 * asked,
        "{easy} {hard} {short} {asked}"
    );
    let short_of_hard = of_epoch(0, "negatives_short/hard");
    let short_of_hard = if short_of_hard.is_nan() {
        0.0
    } else {
        short_of_hard
    };
    assert!((hard + short_of_hard - asked / 4.0).abs() <= 0.05 * asked);
    // 1: three steps, another rate, one loss with its weight.
    assert_eq!(
        number(
            &store,
            "SELECT count(DISTINCT step) + 0.0 FROM use WHERE epoch = 1"
        ),
        3.0
    );
    let rates = |epoch: usize| {
        number(
            &store,
            &format!(
                "SELECT avg(value) FROM metric WHERE name = 'learning_rate' AND step IN (SELECT step FROM use WHERE epoch = {epoch})"
            ),
        )
    };
    assert!((rates(0) - 0.01).abs() < 1e-9 && (rates(1) - 0.002).abs() < 1e-9);
    let twice = number(
        &store,
        "SELECT max(abs(l.value - 2 * p.value)) FROM metric l JOIN metric p ON p.step = l.step AND p.name = 'loss/contrastive'
         WHERE l.name = 'loss' AND l.step IN (SELECT step FROM use WHERE epoch = 1)",
    );
    assert!(twice < 1e-6, "{twice}");
    let parts = |epoch: usize, name: &str| {
        number(
            &store,
            &format!(
                "SELECT count(*) + 0.0 FROM metric WHERE name = 'loss/{name}' AND step IN (SELECT step FROM use WHERE epoch = {epoch})"
            ),
        )
    };
    assert!(parts(1, "mnrl") == 0.0 && parts(0, "mnrl") > 0.0 && parts(3, "mnrl") > 0.0);
    assert!(parts(3, "contrastive") == 0.0);
    // 2: the ratio of its own; the hardest negatives come later than the easiest.
    let first_half = number(
        &store,
        "SELECT avg(c.difficulty) FROM use u JOIN score c ON c.sample = u.sample AND c.model = 'initial' AND c.difficulty IS NOT NULL
         WHERE u.epoch = 2 AND u.step < (SELECT avg(step) FROM use WHERE epoch = 2)",
    );
    let second_half = number(
        &store,
        "SELECT avg(c.difficulty) FROM use u JOIN score c ON c.sample = u.sample AND c.model = 'initial' AND c.difficulty IS NOT NULL
         WHERE u.epoch = 2 AND u.step > (SELECT avg(step) FROM use WHERE epoch = 2)",
    );
    assert!(first_half < second_half, "{first_half} {second_half}");
    assert_eq!(
        number(
            &store,
            "SELECT avg(value) FROM metric m JOIN (SELECT DISTINCT tick FROM use WHERE epoch = 2) u ON u.tick = m.tick WHERE m.name = 'ratio'"
        ),
        1.0
    );
    // 3: its negatives are from one source.
    assert_eq!(
        number(
            &store,
            "SELECT count(*) + 0.0 FROM use u JOIN sample s ON s.id = u.sample AND s.role = 'negative' WHERE u.epoch = 3
             AND NOT EXISTS (SELECT 1 FROM provenance p WHERE p.sample = s.id AND p.source = 'random')"
        ),
        0.0
    );
}

#[test]
fn rules_change_training_within_their_bounds_and_each_decision_is_an_event() {
    let text = with(
        "  ratio: { negatives_per_positive: 1 }
  schedule: [{ epochs: 6, difficulty: medium }]
  adapt:
    - { when: \"epoch == 1\", ratio: { times: 4, at_most: 2.5 } }
    - { when: \"epoch == 1\", band: { harder: 0.3 } }
    - { when: \"epochs_since_change >= 2\", setting: { of: hard_negative, at: margin.relative, plus: 0.03, at_most: 0.1 } }
    - { when: \"epoch >= 4 and value > 0\", stop: true }
",
    )
    .replace(
        "hard_negative: { per_anchor: 3 }",
        "hard_negative: { per_anchor: 3, margin: { relative: 0.05 }, refresh_every: 1 epochs }",
    );
    let (store, folder) = ran(&text);
    let ratio = |epoch: usize| {
        number(
            &store,
            &format!(
                "SELECT max(m.value) FROM metric m JOIN use u ON u.tick = m.tick AND u.epoch = {epoch} WHERE m.name = 'ratio'"
            ),
        )
    };
    assert_eq!((ratio(0), ratio(1), ratio(3)), (1.0, 2.5, 2.5));
    let [easy, medium, hard] = bands(&store, 0);
    assert!(easy == 0.0 && hard == 0.0 && medium > 0.0);
    let mut statement = store
        .prepare("SELECT detail FROM event WHERE kind = 'adapt' ORDER BY id")
        .unwrap();
    let events: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let wanted = [
        "after epoch 1: negatives per positive from 1.000 to 2.500, since epoch == 1",
        "after epoch 1: the band (medium)",
        "after epoch 2: margin.relative of hard_negative from 0.0500 to 0.0800",
        "after epoch 4: margin.relative of hard_negative from 0.0800 to 0.1000",
        "after epoch 4: training stops, since epoch >= 4 and value > 0",
    ];
    assert_eq!(events.len(), wanted.len(), "{events:#?}");
    for (event, wanted) in events.iter().zip(wanted) {
        assert!(event.starts_with(wanted), "{event}\n{wanted}");
    }
    assert_eq!(number(&store, "SELECT max(epoch) + 0.0 FROM use"), 3.0);
    // The same again, to the byte, on one thread.
    let hash = |name: &str| {
        let shown = succeed(
            &["run", "x.yaml", "--run-dir", name, "--json"],
            folder.path(),
        );
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["content_hash"].clone()
    };
    assert_eq!(hash("r2"), hash("r3"));
}

#[test]
fn what_is_wrong_with_a_curriculum_is_told_at_its_line() {
    for (train, line, says) in [
        (
            "  schedule: [{ epochs: 1, steps: 2 }]\n",
            "x.yaml:19:",
            "measured in `epochs` or in `steps`",
        ),
        (
            "  schedule: [{ epochs: 1, difficulty: { easy: 0.5, hard: 0.6 } }]\n",
            "x.yaml:19:",
            "sum to 1, not to 1.1",
        ),
        (
            "  schedule: [{ epochs: 1, difficulty: easy, pacing: root }]\n",
            "x.yaml:19:",
            "`difficulty` must be any",
        ),
        (
            "  schedule: [{ epochs: 1, sources: [randon] }]\n",
            "x.yaml:19:",
            "did you mean `random`?",
        ),
        (
            "  schedule: [{ epochs: 1, losses: { mnlr: 1 } }]\n",
            "x.yaml:19:",
            "did you mean `mnrl`?",
        ),
        (
            "  schedule: [{ epochs: 2 }]\n  adapt: [{ when: \"gains < 0\", stop: true }]\n",
            "x.yaml:20:",
            "`gains` at character 1",
        ),
        (
            "  schedule: [{ epochs: 2 }]\n  adapt: [{ when: \"gain < 0\", ratio: { times: 2 } }]\n",
            "x.yaml:20:",
            "at_most` is missing",
        ),
        (
            "  adapt: [{ when: \"gain < 0\", setting: { of: hard_negative, at: margin.relative, plus: 1, at_most: 2 } }]\n",
            "x.yaml:19:",
            "`hard_negative` is asked once only",
        ),
        (
            "  adapt: [{ when: \"gain < 0\", setting: { of: contrastive, at: margins, plus: 1, at_most: 2 } }]\n",
            "x.yaml:19:",
            "no number at `margins`",
        ),
        (
            "  ratio: { negatives_per_positive: \"step\" }\n",
            "x.yaml:19:",
            "is 10000 in epoch 0 at step 10000",
        ),
    ] {
        let folder = experiment(&with(train));
        let shown = fail(&["check", "x.yaml"], folder.path(), 2);
        assert!(
            shown.contains(line) && shown.contains(says),
            "{train}\n{shown}"
        );
    }
}
