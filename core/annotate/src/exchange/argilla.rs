//! Argilla's records, as `dataset.records.from_json` reads and `to_json` writes them in version 2.8: a JSON array of objects with
//! `id`, `fields`, `metadata`, `suggestions`, `responses` (by question, each with `value` and `user_id`), `vectors`, `status`.
//! The dataset needs text fields `claim`, `title` and `text`, a label question `verdict` with support, partial, contradict, unrelated
//! (and skip, if wanted), and a text question `comment`. The export does not tell a draft
//! or a discarded response from a submitted one: export records that are submitted (`rg.Filter(("response.status", "==", "submitted"))`).

use std::collections::BTreeMap;

use orchestrator_store::QuestionView;
use serde_json::{Map, Value, json};

use super::json::{read_each, text};
use super::{Read, Wrong};

pub(super) fn write(questions: &[&QuestionView]) -> String {
    let records: Vec<Value> = questions
        .iter()
        .map(|question| {
            json!({
                "id": question.id.to_string(),
                "fields": {
                    "claim": question.anchor_text,
                    "title": question.title.as_deref().filter(|title| !title.is_empty()).unwrap_or("–"),
                    "text": question.text,
                },
                "metadata": {},
                "suggestions": {},
                "responses": {},
                "vectors": {},
                "status": "pending",
                "_server_id": null,
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(records))
}

pub(super) fn read(file: &str) -> Result<Vec<Read>, Vec<Wrong>> {
    read_each(file, of_record)
}

fn of_record(line: usize, record: &Map<String, Value>) -> Result<Vec<Read>, String> {
    let question = record
        .get("id")
        .and_then(text)
        .ok_or("the record has no `id`: this is not what records.to_json writes")?;
    let responses = match record.get("responses") {
        Some(Value::Object(responses)) => responses,
        _ => return Err("the record has no `responses`: export with_responses=True".to_owned()),
    };
    let verdicts = by_user(responses, "verdict")?;
    let comments = by_user(responses, "comment")?;
    if verdicts.is_empty() {
        return Ok(vec![Read {
            line,
            question,
            annotator: None,
            verdict: None,
            comment: String::new(),
            flagged: false,
        }]);
    }
    Ok(verdicts
        .into_iter()
        .map(|(user, verdict)| Read {
            line,
            question: question.clone(),
            comment: comments.get(&user).cloned().unwrap_or_default(),
            annotator: user,
            verdict: Some(verdict),
            flagged: false,
        })
        .collect())
}

/// What each user said to a question; their id, as Argilla's export has no names.
fn by_user(
    responses: &Map<String, Value>,
    question: &str,
) -> Result<BTreeMap<Option<String>, String>, String> {
    let Some(given) = responses.get(question) else {
        return Ok(BTreeMap::new());
    };
    let given = given
        .as_array()
        .ok_or_else(|| format!("`responses.{question}` is no list"))?;
    given
        .iter()
        .map(|one| {
            let value = one
                .get("value")
                .and_then(text)
                .ok_or_else(|| format!("a response to `{question}` has no value"))?;
            let user = one
                .get("user_id")
                .and_then(text)
                .filter(|user| user != "None");
            Ok((user, value))
        })
        .collect()
}
