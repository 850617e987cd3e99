//! Elements of a JSON array with the lines they begin at, which serde_json does not tell, and fields of objects.

use serde_json::{Map, Value};

use super::{Read, Wrong};

/// An object of a file with the line it begins at.
pub(super) type Object = (usize, Map<String, Value>);

/// What `of` reads of each object of a file that is one JSON array; all that is wrong with it, or all of it.
pub(super) fn read_each(
    text: &str,
    of: impl Fn(usize, &Map<String, Value>) -> Result<Vec<Read>, String>,
) -> Result<Vec<Read>, Vec<Wrong>> {
    let (mut answers, mut wrong) = (Vec::new(), Vec::new());
    for (line, object) in objects(text)? {
        match of(line, &object) {
            Ok(found) => answers.extend(found),
            Err(what) => wrong.push((line, what)),
        }
    }
    if wrong.is_empty() {
        Ok(answers)
    } else {
        Err(wrong)
    }
}

/// The objects of a file that is one JSON array, each with its line.
fn objects(text: &str) -> Result<Vec<Object>, Vec<Wrong>> {
    let values: Vec<Value> = match serde_json::from_str(text) {
        Ok(Value::Array(values)) => values,
        Ok(_) => return Err(vec![(1, "the file is not one JSON array".to_owned())]),
        Err(error) => return Err(vec![(error.line(), format!("this is no JSON: {error}"))]),
    };
    let mut wrong = Vec::new();
    let mut objects = Vec::new();
    for (value, line) in values.into_iter().zip(lines_of_elements(text)) {
        match value {
            Value::Object(object) => objects.push((line, object)),
            _ => wrong.push((line, "this is no JSON object".to_owned())),
        }
    }
    if wrong.is_empty() {
        Ok(objects)
    } else {
        Err(wrong)
    }
}

/// The line at which each element of the outermost array begins. The text is valid JSON.
fn lines_of_elements(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let (mut line, mut depth, mut in_string, mut escaped, mut expected) =
        (1, 0u32, false, false, false);
    for byte in text.bytes() {
        if byte == b'\n' {
            line += 1;
        }
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        if expected && byte != b']' {
            lines.push(line);
            expected = false;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                expected = depth == 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => expected = true,
            _ => {}
        }
    }
    lines
}

/// A value that should be a text or a number, as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::lines_of_elements;

    #[test]
    fn elements_are_found_at_their_lines() {
        let text = "[\n {\"a\": \"],\\\"[\\n\"},\n\n {\n\"b\": [1,\n 2]},\n3]";
        assert_eq!(lines_of_elements(text), [2, 4, 7]);
        assert!(lines_of_elements(" [ ] ").is_empty());
    }
}
