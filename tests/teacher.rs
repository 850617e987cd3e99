//! Losses that learn from another model, losses on first dimensions, and steps in mini-batches, in whole runs.
#![allow(clippy::unwrap_used)]

use orchestrator_tests::{experiment, fail, small_experiment, succeed};
use rusqlite::Connection;

/// The small experiment with other losses and further keys of `train:`.
fn with(losses: &str, more: &str) -> String {
    let text = small_experiment();
    let line = text.lines().find(|line| line.contains("losses:")).unwrap();
    text.replace(line, &format!("  losses: {losses}\n{more}"))
}

fn losses(path: &std::path::Path) -> Vec<(String, f64)> {
    let store = Connection::open(path.join("store.db")).unwrap();
    let mut statement = store
        .prepare("SELECT name, avg(value) FROM metric WHERE name LIKE 'loss/%' GROUP BY name ORDER BY name")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn losses_learn_from_a_model_that_the_experiment_names_on_first_dimensions_too() {
    let folder = experiment(&small_experiment());
    let folder = folder.path();
    let _ = succeed(&["run", "x.yaml", "--run-dir", "first", "--json"], folder);
    let text = format!(
        "models: {{ first: first/model }}\n{}",
        with(
            "[gist, margin_mse, distill_kl]",
            "  teacher: first\n  matryoshka: [32, { dim: 16, weight: 0.5 }]\n  mini_batch: 7"
        )
    );
    std::fs::write(folder.join("x.yaml"), text).unwrap();
    let _ = succeed(&["run", "x.yaml", "--run-dir", "second", "--json"], folder);
    let names: Vec<String> = losses(&folder.join("second"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected: Vec<String> = ["distill_kl", "gist", "margin_mse"]
        .iter()
        .flat_map(|name| [format!("loss/{name}@16"), format!("loss/{name}@32")])
        .collect();
    assert_eq!(names, expected);
    // The model named is part of what the run is a function of.
    let weights = folder.join("first/model/0_StaticEmbedding/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let shown = fail(&["resume", "second"], folder, 2);
    assert!(shown.contains("`models.first` has changed"), "{shown}");
}

#[test]
fn a_mini_batch_changes_memory_and_not_the_training() {
    let folder = experiment(&with("[mnrl]", ""));
    let folder = folder.path();
    let run = |name: &str, set: &str| {
        let _ = succeed(
            &["run", "x.yaml", "--run-dir", name, "--json", "--set", set],
            folder,
        );
        losses(&folder.join(name))
    };
    let (whole, parts) = (run("whole", "seed=13"), run("parts", "train.mini_batch=4"));
    for ((name, one), (_, other)) in whole.iter().zip(&parts) {
        assert!(
            (one - other).abs() < 1e-3 * one.abs(),
            "{name}: {one} {other}"
        );
    }
}

#[test]
fn what_a_teacher_cannot_give_is_refused_with_its_line() {
    for (losses, more, said) in [
        (
            "[gist]",
            "",
            "guided by a second model, and the experiment has no `train.teacher`",
        ),
        ("[gist]", "  teacher: bm25", "bm25 has no embeddings"),
        (
            "[margin_mse]",
            "  teacher: initail",
            "did you mean `initial`?",
        ),
        ("[mnrl]", "  matryoshka: [64]", "`dim` must be from 1 to 32"),
    ] {
        let folder = experiment(&with(losses, more));
        let shown = fail(&["check", "x.yaml"], folder.path(), 2);
        assert!(shown.contains(said) && shown.contains("x.yaml:"), "{shown}");
    }
    let folder = experiment(&with("[margin_mse]", ""));
    let shown = fail(&["run", "x.yaml", "--run-dir", "r"], folder.path(), 2);
    assert!(
        shown.contains("needs teacher scores") && shown.contains("train.teacher"),
        "{shown}"
    );
}
