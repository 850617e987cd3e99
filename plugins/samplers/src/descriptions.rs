//! Tables and figures of a document: out of its metadata, or of the sentences that mention one.

use orchestrator_plugin::Document;
use serde_json::Value;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    Figure,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "Table",
            Self::Figure => "Figure",
        }
    }
}

/// A table or a figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Description {
    pub kind: Kind,
    /// `Table 1`, `Figure 3a`.
    pub label: String,
    /// What it shows.
    pub text: String,
    /// The field of the metadata, or the number of the sentence.
    pub from: Value,
}

/// Those in the fields named; where there are none, those that sentences mention.
pub(crate) fn of(document: &Document<'_>, fields: &[String]) -> Vec<Description> {
    let metadata: Value = serde_json::from_str(document.metadata).unwrap_or(Value::Null);
    let mut found = Vec::new();
    for name in fields {
        let items = match metadata.get(name) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(one @ (Value::Object(_) | Value::String(_))) => std::slice::from_ref(one),
            _ => continue,
        };
        let of_field = (1..)
            .zip(items)
            .filter_map(|(n, item)| in_field(name, n, item));
        found.extend(of_field);
    }
    if found.is_empty() {
        let sentences = document.sentences.iter().enumerate();
        found = sentences
            .filter_map(|(number, sentence)| in_sentence(number, sentence))
            .collect();
    }
    found
}

/// An item of a field: a text (`Table 2: Doses`), or an object with a label and a caption.
fn in_field(field: &str, n: usize, item: &Value) -> Option<Description> {
    let part = |names: &[&str]| {
        let part = names.iter().find_map(|name| item.get(*name))?;
        match part {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    };
    let (label, text) = match item {
        Value::String(text) => match mention(text).filter(|one| one.first == 0) {
            Some(one) => {
                let rest = text[one.end..].trim_start_matches(['.', ':', ' ', '-', '–', '—']);
                (Some(one.label(text)), rest.trim().to_owned())
            }
            None => (None, text.trim().to_owned()),
        },
        _ => (
            part(&["label", "name", "number", "id"]),
            part(&["caption", "text", "description", "title"])?,
        ),
    };
    let label = label.unwrap_or_else(|| n.to_string());
    let kind = match (mention(&label), field.to_lowercase().contains("fig")) {
        (Some(one), _) => one.kind,
        (None, true) => Kind::Figure,
        (None, false) => Kind::Table,
    };
    // A label may be the number alone.
    let label = match mention(&label) {
        Some(one) => one.label(&label),
        None if label.starts_with(|letter: char| letter.is_ascii_digit()) => {
            format!("{} {label}", kind.name())
        }
        None => label,
    };
    (!text.is_empty()).then(|| Description {
        kind,
        label,
        text,
        from: field.into(),
    })
}

/// The first table or figure a sentence mentions; the mention itself is cut out where it stands in brackets or begins
/// the sentence as a heading.
fn in_sentence(number: usize, sentence: &str) -> Option<Description> {
    let one = mention(sentence)?;
    let (before, after) = (&sentence[..one.first], &sentence[one.end..]);
    let text = match (before.trim_end().strip_suffix('('), after.strip_prefix(')')) {
        (Some(before), Some(after)) => format!("{}{after}", before.trim_end()),
        _ if before.trim().is_empty() && after.starts_with(['.', ':', ' ']) && heading(after) => {
            after.trim_start_matches(['.', ':', ' ']).to_owned()
        }
        _ => sentence.to_owned(),
    };
    Some(Description {
        kind: one.kind,
        label: one.label(sentence),
        text: text.trim().to_owned(),
        from: number.into(),
    })
}

/// Whether what follows a label is a caption, and not the rest of a sentence: it begins like one, or after a mark.
fn heading(after: &str) -> bool {
    after.starts_with(['.', ':'])
        || after
            .trim_start()
            .starts_with(|letter: char| !letter.is_lowercase())
}

/// Where a text mentions a table or a figure.
struct Mention {
    kind: Kind,
    /// First byte of the word.
    first: usize,
    /// The number, in bytes.
    number: (usize, usize),
    /// The byte after the number.
    end: usize,
}

impl Mention {
    fn label(&self, text: &str) -> String {
        format!(
            "{} {}",
            self.kind.name(),
            &text[self.number.0..self.number.1]
        )
    }
}

/// The first of `Table 1`, `Tab. 2`, `Figure 3`, `Fig. 4a`, `Figs. S1`, in any case.
fn mention(text: &str) -> Option<Mention> {
    const WORDS: [(&str, Kind); 9] = [
        ("tables", Kind::Table),
        ("table", Kind::Table),
        ("tab.", Kind::Table),
        ("figures", Kind::Figure),
        ("figure", Kind::Figure),
        ("figs.", Kind::Figure),
        ("fig.", Kind::Figure),
        ("figs", Kind::Figure),
        ("fig", Kind::Figure),
    ];
    // Bytes stay where they are: only ASCII is lowered.
    let lower = text.to_ascii_lowercase();
    let starts = lower.char_indices().filter(|(place, _)| {
        let before = lower[..*place].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric())
    });
    for (first, _) in starts {
        let rest = &lower[first..];
        let Some((word, kind)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) else {
            continue;
        };
        let after = &rest[word.len()..];
        let start = first + word.len() + (after.len() - after.trim_start().len());
        let number = &lower[start..];
        let prefix = usize::from(number.starts_with('s'));
        let digits = number[prefix..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        if digits == 0 {
            continue;
        }
        let mut end = start + prefix + digits;
        // `4a` is a part of figure 4; `4and` is not.
        let letters: Vec<char> = lower[end..].chars().take(2).collect();
        if letters.first().is_some_and(char::is_ascii_lowercase)
            && !letters.get(1).is_some_and(|next| next.is_alphanumeric())
        {
            end += 1;
        }
        return Some(Mention {
            kind: *kind,
            first,
            number: (start, end),
            end,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document<'a>(sentences: Vec<&'a str>, metadata: &'a str) -> Document<'a> {
        Document {
            id: "d",
            title: "Title",
            sentences,
            metadata,
        }
    }

    #[test]
    fn mentions_in_sentences_are_found_and_labelled() {
        // Sentences as SciFact's abstracts have them.
        for (sentence, found) in [
            (
                "Segments are connected by loops (Figure 1).",
                Some(("Figure 1", "Segments are connected by loops.")),
            ),
            (
                "Established criteria (Table 1).1,2 Of the 47 patients, all met them.",
                Some((
                    "Table 1",
                    "Established criteria.1,2 Of the 47 patients, all met them.",
                )),
            ),
            (
                "Table 1    Main Assumptions of Two Models",
                Some(("Table 1", "Main Assumptions of Two Models")),
            ),
            ("Figure 1.    ", Some(("Figure 1", ""))),
            (
                "Table 1 lists the doses.",
                Some(("Table 1", "Table 1 lists the doses.")),
            ),
            (
                "As outlined in the scheme of Fig. 4a, it binds.",
                Some((
                    "Figure 4a",
                    "As outlined in the scheme of Fig. 4a, it binds.",
                )),
            ),
            (
                "It has plagued Asia (see Figure S1).",
                Some(("Figure S1", "It has plagued Asia (see Figure S1).")),
            ),
            (
                "See TAB. 2 and figs 3 to 5.",
                Some(("Table 2", "See TAB. 2 and figs 3 to 5.")),
            ),
            ("(Figs. 1 to 3)", Some(("Figure 1", "(Figs. 1 to 3)"))),
            ("A comfortable 3 of them; suitable 4; a fig tree.", None),
            ("A table of 5 by 5.", None),
            (
                "Ünder «Table 7», größer",
                Some(("Table 7", "Ünder «Table 7», größer")),
            ),
        ] {
            let sentences = vec![sentence];
            let all = of(&document(sentences, "{}"), &["tables".to_owned()]);
            let seen = all
                .first()
                .map(|one| (one.label.as_str(), one.text.as_str()));
            assert_eq!(seen, found, "{sentence}");
        }
    }

    #[test]
    fn fields_come_before_sentences_and_may_be_texts_or_objects() {
        let fields = ["tables".to_owned(), "figures".to_owned()];
        let metadata = r#"{
            "tables": [{ "label": "Table 2", "caption": "Doses" }, { "number": 3, "text": "Weights" }, { "x": 1 }, ""],
            "figures": ["Fig. 5b: Growth", "Survival", { "label": "Scheme 1", "description": "Synthesis" }]
        }"#;
        let all = of(&document(vec!["See Table 9."], metadata), &fields);
        let seen: Vec<(&str, &str, Kind)> = all
            .iter()
            .map(|one| (one.label.as_str(), one.text.as_str(), one.kind))
            .collect();
        assert_eq!(
            seen,
            [
                ("Table 2", "Doses", Kind::Table),
                ("Table 3", "Weights", Kind::Table),
                ("Figure 5b", "Growth", Kind::Figure),
                ("Figure 2", "Survival", Kind::Figure),
                ("Scheme 1", "Synthesis", Kind::Figure),
            ]
        );
        let empty = r#"{ "tables": [], "figures": null }"#;
        let all = of(&document(vec!["Nothing.", "See Table 9."], empty), &fields);
        assert_eq!(all[0].from, Value::from(1));
    }
}
