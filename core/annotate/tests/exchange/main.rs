//! Questions out and answers back, in every format: what other tools' own libraries wrote is read, what is wrong is told at its
//! line, and nothing is kept of a file that is wrong.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use orchestrator_annotate::exchange::{
    Format, LABEL_STUDIO_CONFIG, Read, by_file, export, import, read, write,
};
use orchestrator_store::{Anchor, Answer, Document, Question, QuestionView, Run, Store};

const FORMATS: [Format; 4] = [
    Format::Jsonl,
    Format::Csv,
    Format::LabelStudio,
    Format::Argilla,
];

/// Three questions, the second asked of two people, with texts that formats stumble over.
fn run(folder: &Path) {
    let mut store = Store::create(&folder.join("store.db")).unwrap();
    let tick = store.tick(0, "data", "").unwrap();
    tick.add_run(&Run {
        name: "a run",
        seed: 13,
        version: "0",
        data_fingerprint: "",
        plan: "{}",
    })
    .unwrap();
    for (number, text) in [
        "Mice, \"all\" of them,\nsleep.",
        "=1+1 is two",
        "睡眠 🐁 <b>helps</b>",
    ]
    .into_iter()
    .enumerate()
    {
        tick.add_anchor(&Anchor {
            number,
            id: &format!("claim-{number}"),
            split: "train",
            text,
            metadata: "{}",
        })
        .unwrap();
    }
    tick.add_document(&Document {
        number: 0,
        id: "doc-0",
        title: "On mice",
        text: "On mice They eat. They sleep.",
        metadata: "{}",
    })
    .unwrap();
    for id in 1..=3 {
        tick.add_question(&Question {
            id,
            round: 1,
            anchor: id as usize - 1,
            document: (id != 3).then_some(0),
            text: "They sleep.",
            sample: None,
            shared: id == 2,
            similarity: None,
            probabilities: None,
        })
        .unwrap();
    }
    tick.complete().unwrap();
}

fn questions(folder: &Path) -> Vec<QuestionView> {
    let store = Store::open_to_read(&folder.join("store.db")).unwrap();
    store.questions().unwrap()
}

fn said(folder: &Path) -> Vec<(u64, String, String, String)> {
    let store = Store::open_to_read(&folder.join("store.db")).unwrap();
    store
        .answers()
        .unwrap()
        .into_iter()
        .map(|row| (row.question, row.annotator, row.verdict, row.comment))
        .collect()
}

/// What is wrong with a file, as it is told: `line: what`.
fn wrong(folder: &Path, format: Format, text: &str, name: Option<&str>) -> Vec<String> {
    let before = said(folder);
    let error = import(folder, format, text, Path::new("answers"), name).unwrap_err();
    assert_eq!(said(folder), before, "nothing is kept");
    error
        .all()
        .iter()
        .map(|one| {
            let place = one.location.as_ref().unwrap();
            assert_eq!(place.path, Path::new("answers"));
            format!("{}: {}", place.line, one.message)
        })
        .collect()
}

#[test]
fn what_is_written_is_what_other_tools_were_given() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let questions = questions(folder.path());
    let all: Vec<&QuestionView> = questions.iter().collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchange");
    for (name, text) in [
        ("questions.argilla.json", write(Format::Argilla, &all)),
        (
            "questions.label-studio.json",
            write(Format::LabelStudio, &all),
        ),
        ("questions.label-studio.xml", LABEL_STUDIO_CONFIG.to_owned()),
    ] {
        if std::env::var_os("WRITE_FIXTURES").is_some() {
            std::fs::write(here.join(name), &text).unwrap();
        }
        let kept = std::fs::read_to_string(here.join(name)).unwrap();
        assert_eq!(
            text, kept,
            "WRITE_FIXTURES=1 writes {name} anew; then run bench/fixtures/exchange.py"
        );
    }
}

#[test]
fn what_argilla_and_label_studio_wrote_is_read() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let text = include_str!("answers.argilla.json");
    let (ann, bob) = (
        "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000002",
    );
    let done = import(
        folder.path(),
        Format::Argilla,
        text,
        Path::new("a.json"),
        None,
    )
    .unwrap();
    assert_eq!(
        (done.kept, done.known, done.open, done.disputed),
        (3, 0, vec![3], vec![2])
    );
    let rows = |rows: &[(u64, &str, &str, &str)]| -> Vec<(u64, String, String, String)> {
        rows.iter()
            .map(|(question, who, what, why)| {
                (*question, (*who).into(), (*what).into(), (*why).into())
            })
            .collect()
    };
    assert_eq!(
        said(folder.path()),
        rows(&[
            (1, ann, "support", "as it says"),
            (2, ann, "contradict", ""),
            (2, bob, "unrelated", "")
        ])
    );
    let again = import(
        folder.path(),
        Format::Argilla,
        text,
        Path::new("a.json"),
        None,
    )
    .unwrap();
    assert_eq!((again.kept, again.known), (0, 3), "read twice, kept once");

    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let text = include_str!("answers.label-studio.json");
    let done = import(
        folder.path(),
        Format::LabelStudio,
        text,
        Path::new("a.json"),
        None,
    )
    .unwrap();
    assert_eq!((done.kept, done.open), (3, vec![3]));
    assert_eq!(
        said(folder.path()),
        rows(&[
            (1, "user 7", "support", "as it says"),
            (2, "user 7", "contradict", ""),
            (2, "bob@example.org", "skip", "")
        ])
    );
}

#[test]
fn a_file_that_is_filled_in_comes_back() {
    for format in [Format::Jsonl, Format::Csv] {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path());
        let out = export(folder.path(), format, None).unwrap();
        assert_eq!(out.questions, 3);
        let filled: String = match format {
            Format::Jsonl => out
                .text
                .replacen("{\"question\":1,", "{\"question\":1,\"verdict\":\"Supports\",\"comment\":\"=so\",\"flagged\":true,", 1)
                .replacen("{\"question\":2,", "{\"question\":\"2\",\"verdict\":\"skip\",\"annotator\":\"bob\",", 1),
            // With other line ends and a mark at the beginning, as a spreadsheet saves it.
            _ => format!(
                "\u{feff}{}",
                out.text
                    .replace(",,,,,\r\n", ",,,,,\n")
                    .replacen("doc-0,,,,,\n", "doc-0,,Supports,,'=so,x\n", 1)
                    .replacen("doc-0,yes,,,,", "doc-0,yes,skip,bob,,", 1)
            ),
        };
        let done = import(folder.path(), format, &filled, Path::new("f"), Some("ann")).unwrap();
        assert_eq!((done.kept, done.open.len()), (2, 2), "{format:?}: {filled}");
        assert_eq!(
            said(folder.path()),
            [
                (1, "ann".into(), "support".into(), "=so".into()),
                (2, "bob".to_owned(), "skip".to_owned(), String::new())
            ],
            "{format:?}"
        );
        // What is asked next is what is left, for each.
        let left = |name| export(folder.path(), format, name).unwrap().questions;
        assert_eq!(
            (left(None), left(Some("ann")), left(Some("bob"))),
            (2, 2, 1)
        );
    }
}

#[test]
fn csv_survives_what_texts_hold() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let text = export(folder.path(), Format::Csv, None).unwrap().text;
    assert!(
        text.contains("\"Mice, \"\"all\"\" of them,\nsleep.\""),
        "{text}"
    );
    assert!(
        text.contains("\"'=1+1 is two\""),
        "no formula for a spreadsheet: {text}"
    );
    let read = read(Format::Csv, &text, Path::new("f")).unwrap();
    let lines: Vec<(usize, &str)> = read
        .iter()
        .map(|one| (one.line, one.question.as_str()))
        .collect();
    assert_eq!(
        lines,
        [(2, "1"), (4, "2"), (5, "3")],
        "a field of two lines counts"
    );
    assert!(read.iter().all(|one| one.verdict.is_none()));
}

#[test]
fn what_is_wrong_is_told_at_its_line_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let store = Store::open(&folder.path().join("store.db")).unwrap();
    store
        .answer(&Answer {
            question: 1,
            annotator: "ann",
            verdict: "support",
            settles: false,
            flagged: false,
            comment: "",
        })
        .unwrap();
    let cases: &[(Format, &str, Option<&str>, &[&str])] = &[
        (
            Format::Jsonl,
            "{\"question\":9,\"verdict\":\"support\"}\n\n{\"question\":3,\"verdict\":\"suport\"}\n{\"question\":3,\"verdict\":\"skip\"}\n",
            Some("ann"),
            &[
                "1: there is no question `9` among those that are asked now",
                "3: `suport` is no verdict (support, partial, contradict, unrelated, skip): did you mean `support`?",
            ],
        ),
        (
            Format::Jsonl,
            "{\"question\":3,\"verdict\":\"skip\"}\n{\"question\":3,\"verdict\":\"skip\"",
            Some("ann"),
            &["2: this is no JSON object: EOF while parsing an object at line 1 column 30"],
        ),
        (
            Format::Jsonl,
            "{\"verdict\":\"skip\"}\n{\"question\":3,\"verdict\":7,\"flagged\":\"no\"}\n[]",
            None,
            &[
                "1: there is no `question`",
                "2: `flagged` is neither true nor false",
                "3: this is no JSON object: invalid type: sequence, expected a map at line 1 column 0",
            ],
        ),
        (
            Format::Jsonl,
            "{\"question\":3,\"verdict\":\"skip\"}",
            None,
            &["1: it does not say who answered: give --name"],
        ),
        (
            Format::Jsonl,
            "{\"question\":3,\"verdict\":\"skip\",\"annotator\":\"LLM\"}",
            None,
            &[
                "1: `LLM` cannot be the name of an annotator: an annotator that is no person is called so",
            ],
        ),
        (
            Format::Jsonl,
            "{\"question\":1,\"verdict\":\"partial\"}\n{\"question\":1,\"verdict\":\"skip\"}\n\
             {\"question\":3,\"verdict\":\"skip\"}\n{\"question\":3,\"verdict\":\"partial\"}",
            Some("ann"),
            &[
                "2: `ann` answers question 1 in line 1 already",
                "4: `ann` answers question 3 in line 3 already",
            ],
        ),
        (
            Format::Jsonl,
            "{\"question\":1,\"verdict\":\"partial\"}\n{\"question\":3,\"verdict\":\"partial\"}\n\
             {\"question\":3,\"verdict\":\"partial\",\"annotator\":\"cy\"}",
            Some("bob"),
            &[
                "1: question 1 has all its answers already, from others",
                "3: question 3 has all its answers already, from others",
            ],
        ),
        (
            Format::Jsonl,
            "",
            None,
            &["1: there is no answer in the file"],
        ),
        (
            Format::Jsonl,
            "{\"question\":2}\n{\"question\":3,\"verdict\":null}",
            None,
            &["1: there is no answer in the file: nothing is said to question 2, 3"],
        ),
        (Format::Csv, "", None, &["1: the file is empty"]),
        (
            Format::Csv,
            "claim,label\nx,y\n",
            None,
            &["1: the first line does not name the columns `question` and `verdict`"],
        ),
        (
            Format::Csv,
            "question,verdict,flagged\n3,skip\n\"3\",\"skip\",perhaps\n,skip,\n",
            None,
            &[
                "2: 2 fields, where the first line has 3",
                "3: `perhaps` is neither yes nor no",
                "4: there is no number of a question",
            ],
        ),
        (
            Format::Csv,
            "question,verdict\n3,\"sk\nip\n",
            None,
            &["2: a quote is not closed"],
        ),
        (
            Format::Csv,
            "question,verdict\n3,\"skip\"x\n",
            None,
            &["2: something follows a quoted field"],
        ),
        (
            Format::LabelStudio,
            "{}",
            None,
            &["1: the file is not one JSON array"],
        ),
        (
            Format::LabelStudio,
            "[\n{\"data\":{}},\n3]",
            None,
            &["3: this is no JSON object"],
        ),
        (
            Format::LabelStudio,
            "[\n{\"data\":{\"question\":3},\"annotations\":[{\"completed_by\":1,\"result\":[\n\
             {\"from_name\":\"verdict\",\"value\":{\"choices\":[\"support\",\"partial\"]}}]}]},\n{\"data\":{}}]",
            None,
            &[
                "2: more than one choice: support, partial",
                "4: the task has no `data.question`: it is not one that was exported from here, or this is not the JSON export",
            ],
        ),
        (
            Format::Argilla,
            "[{\"id\":\"3\"},\n{\"responses\":{}},\n{\"id\":\"3\",\"responses\":{\"verdict\":[{\"user_id\":\"a\"}]}}]",
            None,
            &[
                "1: the record has no `responses`: export with_responses=True",
                "2: the record has no `id`: this is not what records.to_json writes",
                "3: a response to `verdict` has no value",
            ],
        ),
        (
            Format::Argilla,
            "[{\"id\":\"3\",\"responses\":{\"verdict\":[{\"user_id\":\"None\",\"value\":\"yes\"}]}}]",
            Some("ann"),
            &["1: `yes` is no verdict (support, partial, contradict, unrelated, skip)"],
        ),
    ];
    for (format, text, name, expected) in cases {
        assert_eq!(
            wrong(folder.path(), *format, text, *name),
            *expected,
            "{format:?}: {text}"
        );
    }
}

#[test]
fn formats_have_names_and_empty_files_of_each_have_no_answers() {
    for (format, empty) in FORMATS
        .into_iter()
        .zip(["", "question,verdict\n", "[]", "[]"])
    {
        assert_eq!(
            read(format, empty, Path::new("f")).unwrap(),
            Vec::<Read>::new()
        );
    }
    assert_eq!(Format::of(Path::new("a/b.jsonl")), Some(Format::Jsonl));
    assert_eq!(Format::of(Path::new("b.csv")), Some(Format::Csv));
    assert_eq!(Format::of(Path::new("b.json")), None);
    assert_eq!(Format::of(Path::new("b")), None);
}

#[test]
fn the_annotator_file_writes_waits_and_reads_what_is_there() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path());
        let waiting = by_file(folder.path(), format).unwrap().unwrap();
        assert_eq!(waiting.questions, 3);
        assert!(waiting.written.is_file() && !waiting.expected.exists());
        let xml = waiting.written.with_extension("xml").is_file();
        assert_eq!(xml, format == Format::LabelStudio);
    }
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let answers = folder.path().join("answers-1.csv");
    let given = |text: &str| {
        std::fs::write(&answers, text).unwrap();
        by_file(folder.path(), Format::Csv)
    };
    let waiting = given("question,verdict\n1,support\n2,partial\n")
        .unwrap()
        .unwrap();
    assert_eq!((waiting.questions, waiting.expected), (2, answers.clone()));
    let written = std::fs::read_to_string(&waiting.written).unwrap();
    assert!(
        !written.contains("\n1,") && written.contains("\n2,"),
        "what is left: {written}"
    );
    // Corrected, and grown.
    let wrong = given("question,verdict\n1,unrelatd\n").unwrap_err();
    assert!(
        wrong.render(false).contains("answers-1.csv:2:1"),
        "{}",
        wrong.render(false)
    );
    let done = given(
        "question,verdict,annotator\n1,unrelated,\n2,partial,\n2,partial,bob\n3,skip,\n3,partial,bob\n",
    );
    assert_eq!(done.unwrap(), None);
    let verdicts: Vec<String> = said(folder.path())
        .into_iter()
        .map(|(question, who, what, _)| format!("{question} {who} {what}"))
        .collect();
    assert_eq!(
        verdicts,
        [
            "1 file support",
            "2 file partial",
            "1 file unrelated",
            "2 bob partial",
            "3 file skip",
            "3 bob partial"
        ]
    );
}
