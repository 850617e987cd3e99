//! Our augmenters, called through the ABI like anybody's: what each changes, what it leaves alone, what it says it did.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // What was skipped or measured is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use orchestrator_plugin_host::{
    Candidate, Context, Error, Files, Host, Instance, Kind, Proposed, Role, SearchPath, Services,
    Table,
};
use orchestrator_tests::{built, repository};
use serde_json::{Value, json};

#[path = "augmenters/contradictions.rs"]
mod contradictions;
#[path = "augmenters/keyword_edit.rs"]
mod keyword_edit;
#[path = "augmenters/language_models.rs"]
mod language_models;

/// A host with our libraries; the folder must outlive it.
fn host() -> (tempfile::TempDir, Host) {
    let copies = tempfile::tempdir().unwrap();
    let host = Host::load(&SearchPath {
        beside_executable: Some(built().to_owned()),
        copies: copies.path().to_owned(),
        ..SearchPath::default()
    })
    .unwrap();
    (copies, host)
}

fn augmenter(host: &Host, name: &str, settings: &Value) -> Instance {
    host.find(Kind::Augmenter, name)
        .unwrap()
        .create(name, settings, 0)
        .unwrap()
}

/// A sample; anchor and text are often one.
#[derive(Clone)]
struct Given {
    anchor: usize,
    anchor_text: String,
    text: String,
    role: Role,
    label: f32,
    document: i64,
}

fn positive(anchor: usize, anchor_text: &str, text: &str) -> Given {
    Given {
        anchor,
        anchor_text: anchor_text.to_owned(),
        text: text.to_owned(),
        role: Role::Positive,
        label: 0.7,
        document: 3,
    }
}

fn negative(anchor: usize, anchor_text: &str, text: &str) -> Given {
    Given {
        role: Role::Negative,
        label: 0.0,
        ..positive(anchor, anchor_text, text)
    }
}

/// Anchors as samples: what `from: anchor` gives.
fn anchors<S: AsRef<str>>(texts: &[S]) -> Vec<Given> {
    texts
        .iter()
        .enumerate()
        .map(|(number, text)| positive(number, text.as_ref(), text.as_ref()))
        .collect()
}

/// Columns of `orch.augmenter/1`.
fn table(given: &[Given]) -> Table {
    Table::new(given.len())
        .i64s(
            "anchor",
            given.iter().map(|one| one.anchor as i64).collect(),
        )
        .i64s("document", given.iter().map(|one| one.document).collect())
        .strings("anchor_text", given.iter().map(|one| &one.anchor_text))
        .strings("text", given.iter().map(|one| &one.text))
        .i32s("role", given.iter().map(|one| one.role.code()).collect())
        .f32s("label", given.iter().map(|one| one.label).collect())
        .f32s("weight", vec![1.0; given.len()])
        .f32s("score", vec![f32::NAN; given.len()])
        .strings("source", vec!["test"; given.len()])
        .strings("metadata", vec!["{}"; given.len()])
        .seal()
}

/// Columns of `orch.corpus/1`.
fn corpus_table(documents: &[Vec<String>]) -> Table {
    let n = documents.len();
    Table::new(n)
        .i64s("document", (0..n as i64).collect())
        .strings("id", (0..n).map(|number| number.to_string()))
        .strings("title", vec![""; n])
        .string_lists("sentences", documents.iter().map(|one| one.iter()))
        .strings("metadata", vec!["{}"; n])
        .seal()
}

fn augment(
    instance: &Instance,
    seed: u64,
    services: Services<'_>,
    given: &[Given],
) -> Result<Proposed, Error> {
    let known: BTreeSet<usize> = given.iter().map(|one| one.anchor).collect();
    let context = Context {
        seed,
        services,
        ..Context::default()
    };
    instance.augment(&context, &table(given), &known)
}

fn texts(proposed: &Proposed) -> Vec<&str> {
    proposed
        .candidates
        .iter()
        .map(|one| one.text.as_str())
        .collect()
}

fn detail(candidate: &Candidate) -> Value {
    serde_json::from_str(&candidate.detail).unwrap()
}

/// The documents and claims of the built-in corpus.
fn mini() -> (Vec<Vec<String>>, Vec<String>) {
    let folder = repository().join("experiments/data/mini");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let (mut documents, mut claims) = (Vec::new(), Vec::new());
    for path in files {
        let name = path.to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        if name.ends_with(".corpus.jsonl") {
            documents.extend(jsonl(&text).map(|one| sentences(&one)));
        } else if name.ends_with(".claims.jsonl") {
            claims.extend(jsonl(&text).map(|one| one["claim"].as_str().unwrap().to_owned()));
        }
    }
    (documents, claims)
}

fn jsonl(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn sentences(document: &Value) -> Vec<String> {
    let all = document["abstract"].as_array().unwrap();
    all.iter()
        .map(|one| one.as_str().unwrap().to_owned())
        .collect()
}

/// Documents and training claims of the real SciFact, if the environment says where it is.
fn scifact() -> Option<(Vec<Vec<String>>, Vec<String>)> {
    let folder = std::env::var_os("SCIFACT")?;
    let read = |name: &str| std::fs::read_to_string(Path::new(&folder).join(name)).unwrap();
    let documents = jsonl(&read("corpus.jsonl"))
        .map(|one| sentences(&one))
        .collect();
    let claims = jsonl(&read("claims_train.jsonl"))
        .map(|one| one["claim"].as_str().unwrap().to_owned())
        .collect();
    Some((documents, claims))
}

/// How many bytes of `a` lie between what both texts begin and what both end with.
fn difference(a: &str, b: &str) -> usize {
    let alike =
        |pairs: &mut dyn Iterator<Item = (u8, u8)>| pairs.take_while(|(a, b)| a == b).count();
    let start = alike(&mut a.bytes().zip(b.bytes()));
    let end = alike(&mut a.bytes().rev().zip(b.bytes().rev()));
    a.len() - start - end.min(a.len().min(b.len()) - start)
}

/// One place of the parent was replaced, the one its detail names, and nothing else.
fn differs_in_one_place(parent: &str, candidate: &Candidate) {
    let detail = detail(candidate);
    let start = detail["start"].as_u64().unwrap() as usize;
    let (from, to) = (
        detail["from"].as_str().unwrap(),
        detail["to"].as_str().unwrap(),
    );
    assert_ne!(from, to, "{parent}");
    assert_eq!(
        candidate.text,
        format!("{}{to}{}", &parent[..start], &parent[start + from.len()..]),
        "{parent}"
    );
    assert!(
        difference(parent, &candidate.text) <= from.len(),
        "{parent}"
    );
}

#[test]
fn what_is_scanned_wrong_is_in_the_table_and_other_characters_stay() {
    let (_copies, host) = host();
    let settings = json!({ "delete": 0, "ocr": 1 });
    let instance = augmenter(&host, "char_noise", &settings);
    for (text, possible) in [
        ("0", &["O", "D", "Q"][..]),
        ("1", &["l", "I", "i"]),
        ("l", &["1", "I", "i"]),
        ("I", &["1", "l", "i"]),
        ("rn", &["m"]),
        ("m", &["rn", "in"]),
        ("cl", &["d"]),
        ("d", &["cl"]),
        ("5", &["S"]),
        ("S", &["5"]),
        ("8", &["B"]),
        ("B", &["8", "R"]),
        ("e", &["c"]),
        ("c", &["e"]),
        ("xe, x", &["xc, x"]),
    ] {
        let given = anchors(&vec![text; 40]);
        let proposed = augment(&instance, 5, Services::default(), &given).unwrap();
        let seen: BTreeSet<&str> = texts(&proposed).into_iter().collect();
        assert_eq!(seen, possible.iter().copied().collect(), "{text}");
    }
}

#[test]
fn the_share_of_characters_is_kept() {
    let (_copies, host) = host();
    let text = "e".repeat(20_000);
    for (setting, share) in [("ocr", 0.2), ("delete", 0.3), ("keyboard", 0.1)] {
        let mut settings = json!({ "delete": 0 });
        settings[setting] = json!(share);
        let instance = augmenter(&host, "char_noise", &settings);
        let proposed = augment(&instance, 1, Services::default(), &anchors(&[&text])).unwrap();
        let changed = detail(&proposed.candidates[0])["characters_changed"]
            .as_f64()
            .unwrap();
        assert!((changed / 20_000.0 - share).abs() < 0.01, "{setting}");
    }
}

#[test]
fn noise_as_a_positive_keeps_its_parents_label_and_passes_negatives_over() {
    let (_copies, host) = host();
    let given = [
        positive(4, "an anchor", "a text of several words"),
        negative(4, "an anchor", "another text of several words"),
    ];
    for name in ["char_noise", "word_noise"] {
        let settings = json!({ "role": "positive", "delete": 0.5, "weight": 0.5 });
        let instance = augmenter(&host, name, &settings);
        let proposed = augment(&instance, 1, Services::default(), &given).unwrap();
        assert_eq!(proposed.candidates.len(), 1, "{name}");
        let one = &proposed.candidates[0];
        assert_eq!(
            (one.role, one.label, one.weight),
            (Role::Positive, 0.7, 0.5)
        );
        assert_eq!(
            (one.anchor, one.document, one.parent),
            (4, Some(3), Some(0))
        );
        assert_eq!(proposed.counts["passed over: negative"], 1, "{name}");
        let instance = augmenter(&host, name, &json!({ "delete": 0.5 }));
        let proposed = augment(&instance, 1, Services::default(), &given).unwrap();
        let of: Vec<(Role, f32)> = proposed
            .candidates
            .iter()
            .map(|one| (one.role, one.label))
            .collect();
        assert_eq!(of, [(Role::Negative, 0.0); 2], "{name}");
    }
}

#[test]
fn words_are_deleted_swapped_and_replaced_in_the_shares_asked_for() {
    let (_copies, host) = host();
    let text = (0..4000)
        .map(|number| format!("w{number}"))
        .collect::<Vec<_>>()
        .join(" ");
    let settings = json!({ "delete": 0.2, "swap": 0.1 });
    let instance = augmenter(&host, "word_noise", &settings);
    let given = anchors(&vec![text; 10]);
    let proposed = augment(&instance, 3, Services::default(), &given).unwrap();
    let (mut all_deleted, mut all_swapped) = (0, 0);
    for one in &proposed.candidates {
        let detail = detail(one);
        let deleted = detail["words_deleted"].as_u64().unwrap() as usize;
        let swapped = detail["words_swapped"].as_u64().unwrap() as usize;
        let left: Vec<&str> = one.text.split(' ').collect();
        assert_eq!(left.len(), 4000 - deleted);
        let inversions = left
            .windows(2)
            .filter(|pair| pair[0][1..].parse::<u32>().unwrap() > pair[1][1..].parse().unwrap())
            .count();
        assert_eq!(inversions, swapped, "adjacent words alone are swapped");
        all_deleted += deleted;
        all_swapped += swapped;
    }
    // A swap takes up two words: of 40,000 words as many are drawn for as there are words less the second of each swap.
    let drawn = 40_000.0 / 1.1;
    assert!(
        (all_deleted as f64 / drawn - 0.2).abs() < 0.01,
        "{all_deleted}"
    );
    assert!(
        (all_swapped as f64 / drawn - 0.1).abs() < 0.01,
        "{all_swapped}"
    );
}

const SYNONYMS: &str = "# of the heart
heart attack, myocardial infarction
mice, murine animals   # by species
raise, increase
";

#[test]
fn synonyms_come_from_the_file_with_phrases_capitals_and_punctuation() {
    let (_copies, host) = host();
    let files = Files::from([("words/mine.csv".to_owned(), SYNONYMS.as_bytes().to_vec())]);
    let services = Services {
        files: Some(&files),
        ..Services::default()
    };
    let settings = json!({ "delete": 0, "swap": 0, "replace": 1, "synonyms": "words/mine.csv", "role": "positive" });
    let instance = augmenter(&host, "word_noise", &settings);
    let given = anchors(&[
        "Heart attack, in (mice), may raise  risk.",
        "Myocardial infarction.",
        "Nothing here is known.",
        "The heart. Attack is best.",
    ]);
    let proposed = augment(&instance, 1, services, &given).unwrap();
    assert_eq!(
        texts(&proposed),
        [
            "Myocardial infarction, in (murine animals), may increase  risk.",
            "Heart attack."
        ]
    );
    assert_eq!(detail(&proposed.candidates[0])["words_replaced"], 3);
    assert_eq!(
        proposed.counts["dropped: nothing changed or nothing left"],
        2
    );
    for (content, said) in [
        (&b"one\n"[..], "line 1 has one word or phrase"),
        (b"a, b\n\xFF\n", "not UTF-8"),
    ] {
        let files = Files::from([("words/mine.csv".to_owned(), content.to_vec())]);
        let services = Services {
            files: Some(&files),
            ..Services::default()
        };
        let Err(Error::Config {
            pointer, message, ..
        }) = augment(&instance, 1, services, &given)
        else {
            panic!("{said}");
        };
        assert_eq!(pointer, "/synonyms");
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn equal_seeds_give_equal_samples_and_other_seeds_others() {
    let (_copies, host) = host();
    let (documents, claims) = mini();
    let corpus = corpus_table(&documents);
    let services = Services {
        corpus: Some(&corpus),
        ..Services::default()
    };
    for (name, settings) in offline() {
        let given = anchors(&claims);
        let run = |seed| {
            let instance = augmenter(&host, name, &settings);
            augment(&instance, seed, services, &given).unwrap()
        };
        let first = run(1);
        assert_eq!(first, run(1), "{name}");
        // Rules are the only ones that do not draw.
        let drawn = name != "contradict_rules";
        assert_eq!(first == run(2), !drawn, "{name}");
        assert!(!first.candidates.is_empty(), "{name}");
        for one in &first.candidates {
            assert_ne!(one.text, claims[one.parent.unwrap()], "{name}");
        }
    }
}

/// The augmenters that need no endpoint, with everything they can do.
fn offline() -> [(&'static str, Value); 4] {
    [
        (
            "char_noise",
            json!({ "delete": 0.1, "swap": 0.05, "insert": 0.05, "keyboard": 0.05, "ocr": 0.1 }),
        ),
        ("word_noise", json!({})),
        ("contradict_rules", json!({ "max_words": 1000 })),
        ("keyword_edit", json!({})),
    ]
}

/// The seconds this thread has had a processor, where the system tells: what else the machine does is not counted.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// `cargo test --release -p orchestrator-tests --test augmenters -- --ignored --nocapture`
#[test]
#[ignore = "measures; run it alone, in release"]
fn rates_at_100_000_samples() {
    const SAMPLES: usize = 100_000;
    let (_copies, host) = host();
    let (documents, claims) = mini();
    let corpus = corpus_table(&documents);
    let files = Files::from([("words.csv".to_owned(), SYNONYMS.as_bytes().to_vec())]);
    let services = Services {
        corpus: Some(&corpus),
        files: Some(&files),
        ..Services::default()
    };
    let single: Vec<String> = documents.iter().flatten().chain(&claims).cloned().collect();
    let whole: Vec<String> = documents.iter().map(|one| one.join(" ")).collect();
    for (what, source) in [("sentences and claims", &single), ("abstracts", &whole)] {
        let given: Vec<Given> = source
            .iter()
            .cycle()
            .take(SAMPLES)
            .enumerate()
            .map(|(number, text)| positive(number, text, text))
            .collect();
        let words: usize = given
            .iter()
            .map(|one| one.text.split_whitespace().count())
            .sum();
        let (known, table) = (given.iter().map(|one| one.anchor).collect(), table(&given));
        let mean = words as f64 / SAMPLES as f64;
        eprintln!("{SAMPLES} {what}, {mean:.0} words each:");
        for (name, mut settings) in offline() {
            if name == "word_noise" {
                settings["synonyms"] = json!("words.csv");
            }
            let instance = augmenter(&host, name, &settings);
            let context = Context {
                seed: 1,
                services,
                ..Context::default()
            };
            let (wall, cpu) = (Instant::now(), processor_seconds());
            let proposed = instance.augment(&context, &table, &known).unwrap();
            let wall = wall.elapsed().as_secs_f64();
            let seconds = processor_seconds()
                .zip(cpu)
                .map_or(wall, |(end, start)| end - start);
            let rate = SAMPLES as f64 / seconds;
            let made = proposed.candidates.len();
            let by_clock = SAMPLES as f64 / wall;
            eprintln!("  {name:18} {rate:9.0} samples/s ({by_clock:.0} by the clock), {made} made");
            assert!(rate >= 20_000.0, "{name} on {what}: {rate:.0} samples/s");
        }
    }
}
