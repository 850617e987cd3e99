//! Label Studio's files, as its documentation of 1.x has them: tasks to import (<https://labelstud.io/guide/tasks>), the JSON export
//! (<https://labelstud.io/guide/export>, task format <https://labelstud.io/guide/task_format>), and the tags of the labelling
//! configuration (<https://labelstud.io/tags/>).

use orchestrator_store::QuestionView;
use serde_json::{Map, Value, json};

use super::json::{read_each, text};
use super::{Read, Wrong};

/// The labelling configuration of the project that the tasks are imported into.
pub const CONFIG: &str = r#"<View>
  <Header value="Claim" size="4"/>
  <Text name="claim" value="$claim"/>
  <Header value="$title" size="5"/>
  <Text name="text" value="$text"/>
  <Choices name="verdict" toName="text" choice="single-radio" showInline="true" required="true">
    <Choice value="support" hotkey="1"/>
    <Choice value="partial" hotkey="2"/>
    <Choice value="contradict" hotkey="3"/>
    <Choice value="unrelated" hotkey="4"/>
  </Choices>
  <TextArea name="comment" toName="text" placeholder="Comment" maxSubmissions="1" editable="true"/>
</View>
"#;

pub(super) fn write(questions: &[&QuestionView]) -> String {
    let tasks: Vec<Value> = questions
        .iter()
        .map(|question| {
            json!({ "data": {
                "question": question.id,
                "claim": question.anchor_text,
                // A header without a text is an error there.
                "title": question.title.as_deref().filter(|title| !title.is_empty()).unwrap_or("Text"),
                "text": question.text,
                "document": question.document_id,
                "shared": question.shared,
            } })
        })
        .collect();
    format!("{:#}\n", Value::Array(tasks))
}

pub(super) fn read(file: &str) -> Result<Vec<Read>, Vec<Wrong>> {
    read_each(file, of_task)
}

fn of_task(line: usize, task: &Map<String, Value>) -> Result<Vec<Read>, String> {
    let question = task
        .get("data")
        .and_then(|data| text(data.get("question")?))
        .ok_or("the task has no `data.question`: it is not one that was exported from here, or this is not the JSON export")?;
    let annotations = match task.get("annotations") {
        Some(Value::Array(annotations)) => annotations.as_slice(),
        None => &[],
        Some(_) => return Err("`annotations` is no list".to_owned()),
    };
    if annotations.is_empty() {
        return Ok(vec![Read {
            line,
            question,
            annotator: None,
            verdict: None,
            comment: String::new(),
            flagged: false,
        }]);
    }
    annotations
        .iter()
        .map(|annotation| {
            let skipped = annotation.get("was_cancelled") == Some(&Value::Bool(true));
            let chosen = result(annotation, "verdict", "choices")?;
            let verdict = if skipped {
                Some("skip".to_owned())
            } else if chosen.len() > 1 {
                return Err(format!("more than one choice: {}", chosen.join(", ")));
            } else {
                chosen.into_iter().next()
            };
            Ok(Read {
                line,
                question: question.clone(),
                annotator: annotation.get("completed_by").and_then(who),
                verdict,
                comment: result(annotation, "comment", "text")?.join("\n"),
                flagged: false,
            })
        })
        .collect()
}

/// The values that an annotation has for the control `name`.
fn result(annotation: &Value, name: &str, kind: &str) -> Result<Vec<String>, String> {
    let Some(results) = annotation.get("result").and_then(Value::as_array) else {
        return Err("an annotation has no `result`".to_owned());
    };
    let values = results
        .iter()
        .filter(|one| one.get("from_name").and_then(Value::as_str) == Some(name))
        .filter_map(|one| one.get("value")?.get(kind));
    let mut found = Vec::new();
    for value in values {
        match value {
            Value::Array(all) => found.extend(all.iter().filter_map(text)),
            one => found.extend(text(one)),
        }
    }
    Ok(found)
}

/// Who annotated: a number, or an object with an address, as the export and the interface of programs have it.
fn who(completed_by: &Value) -> Option<String> {
    match completed_by {
        Value::Number(number) => Some(format!("user {number}")),
        Value::String(name) => Some(name.clone()),
        Value::Object(user) => user
            .get("email")
            .and_then(text)
            .or_else(|| Some(format!("user {}", text(user.get("id")?)?))),
        _ => None,
    }
}
