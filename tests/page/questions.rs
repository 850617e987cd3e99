//! A run that waits for people, with texts that mean harm, and the program that puts its questions.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use orchestrator_store::{Anchor, AnswerRow, Document, Question, Run, Store};
use orchestrator_tests::{orchestrator, small_experiment};
use serde_json::Value;

pub const MARKUP: &str =
    "<script>window.harmed = 1</script><img src=x onerror=\"window.harmed = 1\"> &amp; &lt;b&gt;";
pub const RIGHT_TO_LEFT: &str = "فيتامين د يقلل من خطر الكسور (vitamin D) בקרב מבוגרים";
pub const CONTROLS: &str =
    "A family 👩‍👩‍👧 sees \u{1b}[31mred\u{7} and \u{202e}txt.exe\u{202c} and 🏳️‍🌈.";

const CLAIMS: [&str; 6] = [
    MARKUP,
    "Vitamin D lowers the risk of fractures in older adults.",
    CONTROLS,
    RIGHT_TO_LEFT,
    "0-dimensional biomaterials show inductive properties.",
    "Statins lower cholesterol.",
];

const TITLE: &str = "Vitamin D and fractures: a randomised trial <i>in</i> older adults";
const SENTENCES: [&str; 6] = [
    "Whether vitamin D prevents fractures in people who live at home is not known.",
    "We assigned 5,110 adults aged 50 to 84 to monthly vitamin D3 or to placebo, and followed them for 3.3 years.",
    "Fractures were the outcome, as hospitals and insurers recorded them.",
    "A first fracture occurred in 156 of 2,558 people given vitamin D and in 136 of 2,550 given placebo.",
    "The hazard ratio was 1.19 (95% confidence interval 0.94 to 1.50).",
    "High monthly doses of vitamin D did not prevent fractures in this population.",
];

/// Six questions, the second and the fourth asked of two people.
pub fn run_with_questions(folder: &Path) {
    // What makes it a run's folder.
    std::fs::write(folder.join("plan.json"), "{}").unwrap();
    let mut store = Store::create(&folder.join("store.db")).unwrap();
    let tick = store.tick(0, "data", "").unwrap();
    tick.add_run(&Run {
        name: "scifact <u>in</u> small",
        seed: 13,
        version: "0",
        data_fingerprint: "",
        plan: "{}",
    })
    .unwrap();
    for (number, text) in CLAIMS.into_iter().enumerate() {
        tick.add_anchor(&Anchor {
            number,
            id: &format!("claim-{number}"),
            split: "train",
            text,
            metadata: "{}",
        })
        .unwrap();
    }
    let whole = format!("{TITLE} {}", SENTENCES.join(" "));
    tick.add_document(&Document {
        number: 0,
        id: "doc-0",
        title: TITLE,
        text: &whole,
        metadata: "{}",
    })
    .unwrap();
    let passage = format!("{} {}", SENTENCES[3], SENTENCES[5]);
    let texts = [
        MARKUP,
        &passage,
        CONTROLS,
        RIGHT_TO_LEFT,
        &whole,
        "Statins lower cholestrol.",
    ];
    for (place, text) in texts.into_iter().enumerate() {
        tick.add_question(&Question {
            id: place as u64 + 1,
            round: 1,
            anchor: place,
            document: Some(0),
            text,
            sample: None,
            shared: [1, 3].contains(&place),
            similarity: Some(0.421),
            probabilities: Some([0.37, 0.21, 0.66]),
        })
        .unwrap();
    }
    tick.complete().unwrap();
}

/// A small experiment that asks three questions in each of two rounds.
pub fn asking(annotator: &str) -> String {
    let small = small_experiment();
    let (before, _) = small.split_once("active_learning:").unwrap();
    format!(
        "{before}active_learning: {{ rounds: 2, select: margin, budget: 3, annotator: {annotator}, hold_back: 0.3 }}\n"
    )
}

/// What was said: question, who, what, whether it settles.
pub fn said(folder: &Path) -> Vec<(u64, String, String, bool)> {
    rows(folder)
        .into_iter()
        .map(|row| (row.question, row.annotator, row.verdict, row.settles))
        .collect()
}

pub fn rows(folder: &Path) -> Vec<AnswerRow> {
    let store = Store::open_to_read(&folder.join("store.db")).unwrap();
    store.answers().unwrap()
}

/// `orchestrator annotate`.
pub struct Program {
    pub child: Child,
    pub address: String,
    pub port: String,
}

impl Program {
    pub fn start(folder: &Path, port: &str) -> Self {
        let arguments = ["annotate", ".", "--json", "--no-resume", "--port", port];
        Self::that(folder, &arguments)
    }

    /// A command that comes to put questions.
    pub fn that(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = orchestrator(arguments, folder)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut shown = BufReader::new(child.stderr.take().unwrap());
        shown.read_line(&mut line).unwrap();
        // What else it says is read, or it would wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut shown, &mut std::io::sink()));
        let told: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let address = told["questions"]["address"].as_str().unwrap().to_owned();
        let port = address.split([':', '/']).nth(4).unwrap().to_owned();
        Self {
            child,
            address,
            port,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
