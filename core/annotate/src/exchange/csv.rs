//! Comma-separated values (RFC 4180), for spreadsheets. A text that a spreadsheet would take for a formula (it begins with one of
//! `= + - @`, a tab or a return) has an apostrophe before it, which is taken away again.

use orchestrator_store::QuestionView;

use super::{Read, Wrong};

const COLUMNS: [&str; 10] = [
    "question",
    "claim",
    "title",
    "text",
    "document",
    "shared",
    "verdict",
    "annotator",
    "comment",
    "flagged",
];

pub(super) fn write(questions: &[&QuestionView]) -> String {
    let mut file = COLUMNS.join(",") + "\r\n";
    for question in questions {
        let fields = [
            question.id.to_string(),
            question.anchor_text.clone(),
            question.title.clone().unwrap_or_default(),
            question.text.clone(),
            question.document_id.clone().unwrap_or_default(),
            if question.shared { "yes" } else { "" }.to_owned(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ];
        file.push_str(&fields.map(|field| quoted(&field)).join(","));
        file.push_str("\r\n");
    }
    file
}

fn quoted(field: &str) -> String {
    let apostrophe = if is_formula(field) { "'" } else { "" };
    if apostrophe.is_empty() && !field.contains([',', '"', '\r', '\n']) {
        return field.to_owned();
    }
    format!("\"{apostrophe}{}\"", field.replace('"', "\"\""))
}

fn is_formula(field: &str) -> bool {
    field.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

pub(super) fn read(file: &str) -> Result<Vec<Read>, Vec<Wrong>> {
    let mut records = records(file).map_err(|wrong| vec![wrong])?.into_iter();
    let Some((_, header)) = records.next() else {
        return Err(vec![(1, "the file is empty".to_owned())]);
    };
    let column = |name: &str| {
        header
            .iter()
            .position(|one| one.trim().eq_ignore_ascii_case(name))
    };
    let (Some(question), Some(verdict)) = (column("question"), column("verdict")) else {
        return Err(vec![(
            1,
            "the first line does not name the columns `question` and `verdict`".to_owned(),
        )]);
    };
    let (annotator, comment, flagged) = (column("annotator"), column("comment"), column("flagged"));
    let (mut answers, mut wrong) = (Vec::new(), Vec::new());
    for (line, fields) in records {
        if fields.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        if fields.len() != header.len() {
            wrong.push((
                line,
                format!(
                    "{} fields, where the first line has {}",
                    fields.len(),
                    header.len()
                ),
            ));
            continue;
        }
        let given = |place: Option<usize>| {
            let field = place.map(|place| fields[place].trim()).unwrap_or_default();
            let field = field
                .strip_prefix('\'')
                .filter(|rest| is_formula(rest))
                .unwrap_or(field);
            Some(field.to_owned()).filter(|field| !field.is_empty())
        };
        let Some(question) = given(Some(question)) else {
            wrong.push((line, "there is no number of a question".to_owned()));
            continue;
        };
        let flagged = match given(flagged).unwrap_or_default().to_lowercase().as_str() {
            "" | "no" | "false" | "0" => false,
            "yes" | "true" | "1" | "x" => true,
            other => {
                wrong.push((line, format!("`{other}` is neither yes nor no")));
                continue;
            }
        };
        answers.push(Read {
            line,
            question,
            annotator: given(annotator),
            verdict: given(Some(verdict)),
            comment: given(comment).unwrap_or_default(),
            flagged,
        });
    }
    if wrong.is_empty() {
        Ok(answers)
    } else {
        Err(wrong)
    }
}

/// Records with the lines they begin at. Lines end with `\n` or `\r\n`, fields in quotes may hold both.
fn records(file: &str) -> Result<Vec<(usize, Vec<String>)>, Wrong> {
    let (mut records, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut began) = (1, 1);
    let mut chars = file.chars().peekable();
    while let Some(one) = chars.next() {
        match one {
            '"' if field.is_empty() => {
                let opened = line;
                loop {
                    match chars.next() {
                        None => return Err((opened, "a quote is not closed".to_owned())),
                        Some('"') if chars.peek() == Some(&'"') => {
                            chars.next();
                            field.push('"');
                        }
                        Some('"') => break,
                        Some(inner) => {
                            line += usize::from(inner == '\n');
                            field.push(inner);
                        }
                    }
                }
                if !matches!(chars.peek(), None | Some(',' | '\r' | '\n')) {
                    return Err((line, "something follows a quoted field".to_owned()));
                }
            }
            ',' => fields.push(std::mem::take(&mut field)),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                fields.push(std::mem::take(&mut field));
                records.push((began, std::mem::take(&mut fields)));
                line += 1;
                began = line;
            }
            _ => field.push(one),
        }
    }
    if !field.is_empty() || !fields.is_empty() {
        fields.push(field);
        records.push((began, fields));
    }
    Ok(records)
}
