//! One JSON object a line.

use orchestrator_store::QuestionView;
use serde_json::{Map, Value, json};

use super::json::text;
use super::{Read, Wrong};

pub(super) fn write(questions: &[&QuestionView]) -> String {
    questions
        .iter()
        .map(|question| {
            let object = json!({
                "question": question.id,
                "claim": question.anchor_text,
                "text": question.text,
                "title": question.title,
                "document": question.document_id,
                "document_text": question.document_text,
                "shared": question.shared,
            });
            format!("{object}\n")
        })
        .collect()
}

pub(super) fn read(file: &str) -> Result<Vec<Read>, Vec<Wrong>> {
    let (mut answers, mut wrong) = (Vec::new(), Vec::new());
    for (place, line) in file.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match one(place + 1, line) {
            Ok(answer) => answers.push(answer),
            Err(what) => wrong.push((place + 1, what)),
        }
    }
    if wrong.is_empty() {
        Ok(answers)
    } else {
        Err(wrong)
    }
}

fn one(line: usize, content: &str) -> Result<Read, String> {
    let object: Map<String, Value> = serde_json::from_str(content)
        .map_err(|error| format!("this is no JSON object: {error}"))?;
    let given = |key: &str| object.get(key).filter(|value| !value.is_null());
    let string = |key: &str| match given(key) {
        None => Ok(None),
        Some(value) => text(value)
            .map(|text| Some(text).filter(|text| !text.trim().is_empty()))
            .ok_or_else(|| format!("`{key}` is no text")),
    };
    Ok(Read {
        line,
        question: string("question")?.ok_or("there is no `question`")?,
        annotator: string("annotator")?,
        verdict: string("verdict")?,
        comment: string("comment")?.unwrap_or_default(),
        flagged: match given("flagged") {
            None => false,
            Some(value) => value
                .as_bool()
                .ok_or("`flagged` is neither true nor false")?,
        },
    })
}
