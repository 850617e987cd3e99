//! The life of a thing as a terminal shows it: the answer first, then what it rests on.

mod anchor;
mod document;
mod lists;
mod sample;

use std::path::Path;

use orchestrator_reports::explain::{Explanation, Of};
use orchestrator_store::explaining::{
    Judged, Part, Place, PoolState, QuestionLife, RunState, SampleBrief, TopicLife, Why,
};
use serde_json::Value;

use crate::terminal::{Column, Sheet, Terminal};

/// Characters of a text, unless all are asked for.
const LONGEST: usize = 700;
/// Rows of a list, unless all are asked for.
const ROWS: usize = 12;

/// All of an explanation.
pub fn text(explanation: &Explanation, run: &Path, terminal: Terminal, full: bool) -> String {
    let mut laid = Laid {
        sheet: Sheet::new(terminal, (!full).then_some(LONGEST)),
        full,
        left_out: false,
    };
    match &explanation.of {
        Of::Sample(life) => laid.sample(life, &explanation.run),
        Of::Anchor(life) => laid.anchor(life, &explanation.run),
        Of::Document(life) => laid.document(life, &explanation.run),
        Of::Worst(worst) => laid.worst(worst, &explanation.run, run),
        Of::Suspects(suspects) => laid.suspects(suspects, &explanation.run, run),
    }
    let left_out = laid.left_out;
    let (mut text, cut) = laid.sheet.finish();
    if cut || left_out {
        text.push_str("\n… marks what was left out: --full shows all of it.\n");
    }
    text
}

struct Laid {
    sheet: Sheet,
    full: bool,
    left_out: bool,
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}

fn maybe(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// Influences are small, and of any size.
fn influence(value: f64) -> String {
    format!("{value:+.3e}")
}

fn share(value: f64) -> String {
    format!("{:.1} %", 100.0 * value)
}

fn count(n: u64, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

/// `initial` is what nothing was trained into.
fn model(name: &str) -> String {
    if name == "initial" { "untrained" } else { name }.to_owned()
}

/// The members of an object, one after the other; everything else as JSON has it.
fn told(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let shown: Vec<String> = members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{}: {}", name.replace('_', " "), inner(value)))
                .collect();
            shown.join("; ")
        }
        other => inner(other),
    }
}

fn inner(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(one) if one.is_f64() => {
            let value = one.as_f64().unwrap_or_default();
            format!("{}", (value * 10_000.0).round() / 10_000.0)
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inner).collect();
            if items.is_empty() {
                "none".to_owned()
            } else {
                items.join(", ")
            }
        }
        other => other.to_string(),
    }
}

/// A few words for a table.
fn state(state: &PoolState) -> String {
    match state.why {
        Why::Kept => "in the pool".to_owned(),
        Why::Dropped => format!("dropped by {}", state.filter.as_deref().unwrap_or_default()),
        Why::MinedAway => "mined away".to_owned(),
        Why::Waiting => "not judged yet".to_owned(),
    }
}

fn state_in_full(state: &PoolState) -> String {
    let tick = state.tick.map(|tick| format!(" at tick {tick}"));
    let tick = tick.unwrap_or_default();
    match state.why {
        Why::Kept => "In the pool: no filter dropped it, and a source proposes it.".to_owned(),
        Why::Dropped => {
            let reason = state.reason.as_deref().unwrap_or_default();
            let why = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            format!(
                "Not in the pool: {} dropped it{tick}{why}.",
                state.filter.as_deref().unwrap_or_default()
            )
        }
        Why::MinedAway => {
            format!("Not in the pool: its source was asked again{tick} and proposes it no longer.")
        }
        Why::Waiting => "Proposed; the run stopped before its filters had judged it.".to_owned(),
    }
}

impl Laid {
    fn rows<'r, T>(&mut self, rows: &'r [T]) -> &'r [T] {
        if self.full || rows.len() <= ROWS {
            return rows;
        }
        self.left_out = true;
        &rows[..ROWS]
    }

    /// `n of total`, where not all are shown.
    fn heading_of<T>(&mut self, title: &str, part: &Part<T>) {
        let shown = if self.full {
            part.rows.len()
        } else {
            part.rows.len().min(ROWS)
        } as u64;
        if shown < part.total {
            self.left_out = true;
            self.sheet
                .heading(&format!("{title}: {shown} of {}", part.total));
        } else {
            self.sheet.heading(&format!("{title}: {}", part.total));
        }
    }

    fn run(&mut self, run: &RunState) {
        let how_far = match (&run.last_tick, run.finished) {
            (_, true) => "finished".to_owned(),
            (Some(tick), false) => format!(
                "not finished: its last complete tick is {} ({}{}{})",
                tick.number,
                tick.kind,
                if tick.detail.is_empty() { "" } else { " " },
                tick.detail
            ),
            (None, false) => "just begun".to_owned(),
        };
        self.sheet.field(
            "run",
            &format!("{}, seed {}, {how_far}", run.name, run.seed),
        );
    }

    fn metadata(&mut self, metadata: &Value) {
        let shown = told(metadata);
        if !shown.is_empty() {
            self.sheet.field("metadata", &shown);
        }
    }

    fn topic(&mut self, topic: Option<&TopicLife>) {
        if let Some(topic) = topic {
            let terms: Vec<&str> = topic.terms.iter().take(8).map(String::as_str).collect();
            self.sheet.field(
                "topic",
                &format!(
                    "{}: {} ({} of it)",
                    topic.number,
                    terms.join(", "),
                    share(topic.share)
                ),
            );
        }
    }

    fn judgements(&mut self, title: &str, judgements: &[Judged]) {
        if judgements.is_empty() {
            return;
        }
        self.sheet
            .heading(&format!("{title}: {}", judgements.len()));
        let shown = self.rows(judgements);
        self.judged(shown, false);
    }

    fn judged(&mut self, judgements: &[Judged], by_document: bool) {
        let rows: Vec<Vec<String>> = judgements
            .iter()
            .map(|one| {
                let mut notes = Vec::new();
                if !one.relevant {
                    notes.push("no positive under this reading");
                }
                if one.held_back {
                    notes.push("held back for questions");
                }
                if one.spoiled {
                    notes.push("SPOILED on purpose");
                }
                let sentences = told(&one.sentences);
                vec![
                    one.label.clone(),
                    number(one.grade),
                    if sentences == "none" {
                        "whole".to_owned()
                    } else {
                        sentences
                    },
                    if by_document {
                        format!("{} ({})", one.anchor, one.split)
                    } else {
                        one.document.id.clone()
                    },
                    notes.join(", "),
                    if by_document {
                        String::new()
                    } else {
                        one.document.title.clone()
                    },
                ]
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        self.sheet.table(
            &[
                Column::words("label"),
                Column::numbers("grade"),
                Column::words("sentences"),
                Column::words(if by_document { "claim" } else { "document" }),
                Column::words("note"),
                Column::text("title"),
            ],
            &rows,
        );
    }

    fn briefs(&mut self, samples: &[SampleBrief], with_anchor: bool, with_role: bool) {
        let shown = self.rows(samples);
        if shown.is_empty() {
            return;
        }
        let mut rows: Vec<Vec<String>> = shown
            .iter()
            .map(|one| brief_row(one, with_anchor))
            .collect();
        if !with_role {
            // The heading says it.
            for row in &mut rows {
                row[1].clear();
            }
        }
        self.sheet.table(&brief_columns(), &rows);
    }

    fn questions(&mut self, questions: &[QuestionLife]) {
        if questions.is_empty() {
            return;
        }
        self.sheet.heading("What people were asked");
        for question in questions {
            let asked = if question.round == 0 {
                format!("in the audit (question {})", question.id)
            } else {
                format!("in round {} (question {})", question.round, question.id)
            };
            let probability = question
                .probability
                .map(|value| format!(", the model held it {} likely to be relevant", share(value)))
                .unwrap_or_default();
            let about = match (&question.sample, &question.document) {
                (Some(sample), _) => format!("sample {sample}"),
                (None, Some(document)) => {
                    format!("claim {} and document {document}", question.anchor)
                }
                (None, None) => format!("claim {}", question.anchor),
            };
            self.sheet
                .paragraph(&format!("{about}, {asked}{probability}"));
            for said in &question.answers {
                self.sheet.field(
                    "",
                    &format!(
                        "{}: {}{}{}{}",
                        said.annotator,
                        said.verdict,
                        if said.settles {
                            ", which settles it"
                        } else {
                            ""
                        },
                        if said.flagged { ", flagged" } else { "" },
                        if said.comment.is_empty() {
                            String::new()
                        } else {
                            format!(": {}", said.comment)
                        }
                    ),
                );
            }
            if let Some(relevant) = question.relevant {
                self.sheet.field(
                    "",
                    if relevant {
                        "-> relevant from then on"
                    } else {
                        "-> not relevant from then on"
                    },
                );
            } else if question.answers.is_empty() {
                self.sheet.field("", "nobody has answered");
            }
        }
    }

    fn places(&mut self, places: &[Place]) {
        if places.is_empty() {
            return;
        }
        self.sheet.heading("Where the pictures show it");
        let shown = self.rows(places);
        let rows: Vec<Vec<String>> = shown
            .iter()
            .map(|place| {
                vec![
                    model(&place.model),
                    place.method.clone(),
                    format!("{:.3}", place.x),
                    format!("{:.3}", place.y),
                ]
            })
            .collect();
        self.sheet.table(
            &[
                Column::words("version"),
                Column::words("by"),
                Column::numbers("x"),
                Column::numbers("y"),
            ],
            &rows,
        );
    }
}

fn brief_columns() -> Vec<Column> {
    vec![
        Column::words("sample"),
        Column::words("role"),
        Column::words("state"),
        Column::words("from"),
        Column::numbers("cosine"),
        Column::numbers("uses"),
        Column::text("text"),
    ]
}

fn brief_row(sample: &SampleBrief, with_anchor: bool) -> Vec<String> {
    /// So much of a text tells which one it is.
    const BEGINNING: usize = 160;
    let beginning = |text: &str| match text.char_indices().nth(BEGINNING) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    vec![
        // Twelve digits tell samples apart in any store that fits a disk.
        sample.id.chars().take(12).collect(),
        sample.role.clone(),
        state(&sample.state),
        sample.sources.clone(),
        maybe(sample.similarity),
        sample.uses.to_string(),
        if with_anchor {
            format!(
                "claim {}: {} | {}",
                sample.anchor.id,
                beginning(&sample.anchor.text),
                beginning(&sample.text)
            )
        } else {
            beginning(&sample.text)
        },
    ]
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
