//! `orchestrator annotate` without a browser: stopped, and through files.

use std::process::Command;

use orchestrator_tests::{experiment, fail, succeed};
use serde_json::{Value, json};

use crate::questions::{Program, run_with_questions, said};

#[test]
fn stopped_by_hand_it_says_how_to_go_on() {
    let run = tempfile::tempdir().unwrap();
    run_with_questions(run.path());
    let mut program = Program::start(run.path(), "0");
    let signal = Command::new("kill")
        .args(["-INT", &program.child.id().to_string()])
        .status()
        .unwrap();
    assert!(signal.success());
    assert_eq!(program.child.wait().unwrap().code(), Some(5));
    let elsewhere = fail(&["annotate", "nowhere"], run.path(), 2);
    assert!(
        elsewhere.contains("is not the folder of a run"),
        "{elsewhere}"
    );
    let name = fail(&["annotate", ".", "--name", "oracle"], run.path(), 2);
    assert!(name.contains("`oracle` cannot be the name"), "{name}");
}

#[test]
fn files_of_every_format_go_out_and_answers_come_back() {
    let run = tempfile::tempdir().unwrap();
    let folder = run.path();
    run_with_questions(folder);
    for (format, file) in [
        ("jsonl", "q.jsonl"),
        ("csv", "q.csv"),
        ("label-studio", "q.json"),
        ("argilla", "a.json"),
    ] {
        let shown = succeed(
            &["annotate", ".", "--export", file, "--format", format],
            folder,
        );
        assert!(shown.starts_with("6 open questions: "), "{shown}");
        assert!(folder.join(file).is_file());
    }
    assert!(
        folder.join("q.xml").is_file(),
        "the labelling configuration"
    );
    let unknown = fail(&["annotate", ".", "--export", "q.json"], folder, 2);
    assert!(unknown.contains("--format"), "{unknown}");
    let first = succeed(&["annotate", ".", "--export", "-", "--name", "Ann"], folder);
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(first["question"], 1);

    let lines = |verdict: &str| -> String {
        (1..=6)
            .map(|question| format!("{}\n", json!({ "question": question, "verdict": verdict })))
            .collect()
    };
    std::fs::write(
        folder.join("wrong.jsonl"),
        lines("support") + "{\"question\":7,\"verdict\":\"suport\"}",
    )
    .unwrap();
    let wrong = fail(
        &["annotate", ".", "--import", "wrong.jsonl", "--name", "Ann"],
        folder,
        3,
    );
    assert!(
        wrong.contains("wrong.jsonl:7:1") && wrong.contains("there is no question `7`"),
        "{wrong}"
    );
    assert!(said(folder).is_empty());
    std::fs::write(folder.join("ann.jsonl"), lines("support")).unwrap();
    let shown = succeed(
        &["annotate", ".", "--import", "ann.jsonl", "--name", "Ann"],
        folder,
    );
    assert_eq!(
        shown,
        "6 answers were kept, 0 were there already.\nQuestions still open: 2, 4\n"
    );
    std::fs::write(
        folder.join("bob.csv"),
        "question,verdict,annotator\n2,support,Bob\n4,contradict,Bob\n",
    )
    .unwrap();
    let shown = succeed(&["annotate", ".", "--import", "bob.csv", "--json"], folder);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        shown,
        json!({ "kept": 2, "known": 0, "open": [], "disputed": [4] })
    );
}

#[test]
fn a_run_whose_annotator_is_a_file_waits_for_it_in_every_round() {
    let folder = experiment(&crate::questions::asking("{ file: { format: csv } }"));
    let folder = folder.path();
    let answers = |round: u32, verdict: &str| {
        let questions =
            std::fs::read_to_string(folder.join(format!("r/questions-{round}.csv"))).unwrap();
        let numbers = questions
            .lines()
            .skip(1)
            .filter_map(|line| line.split(',').next()?.parse::<u64>().ok());
        let lines: String = numbers
            .map(|number| format!("{number},{verdict}\n"))
            .collect();
        std::fs::write(
            folder.join(format!("r/answers-{round}.csv")),
            format!("question,verdict\n{lines}"),
        )
        .unwrap();
    };
    let waits = |arguments: &[&str]| {
        let shown = fail(arguments, folder, 5);
        assert!(shown.contains("3 questions wait for an answer"), "{shown}");
        assert!(
            shown.contains("answers-") && shown.contains("orchestrator resume r"),
            "{shown}"
        );
    };
    waits(&["run", "x.yaml", "--run-dir", "r"]);
    waits(&["resume", "r"]);
    answers(1, "suport");
    let wrong = fail(&["resume", "r"], folder, 3);
    assert!(
        wrong.contains("answers-1.csv:2:1") && wrong.contains("did you mean `support`?"),
        "{wrong}"
    );
    answers(1, "support");
    waits(&["resume", "r"]);
    answers(2, "unrelated");
    let _ = succeed(&["resume", "r"], folder);
    let verdicts: Vec<String> = said(&folder.join("r"))
        .into_iter()
        .map(|row| row.2)
        .collect();
    assert_eq!(
        verdicts,
        [
            "support",
            "support",
            "support",
            "unrelated",
            "unrelated",
            "unrelated"
        ]
    );
}
