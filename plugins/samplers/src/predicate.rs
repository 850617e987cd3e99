//! Questions about the fields of a document and of an anchor, answered with yes or no: `year < 2010 and domain !=
//! anchor.domain`. The language is described at [`crate::metadata::Metadata`]; `predicate_parser.rs` reads it.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use orchestrator_plugin::config::Setting;
use orchestrator_plugin::{Error, Result};
use serde_json::{Map, Value};

use crate::predicate_parser;

/// A question, with the text it was read from.
pub(crate) struct Predicate {
    text: String,
    root: Test,
}

/// A test of a document beside an anchor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Any(Vec<Test>),
    All(Vec<Test>),
    Not(Box<Test>),
    Exists(Field),
    /// A field alone: its value is `true`.
    True(Operand),
    Compare(Operand, Comparison, Operand),
    /// Whether the left is one of the values, or none of them.
    In {
        left: Operand,
        values: Vec<Operand>,
        wanted: bool,
    },
    Contains(Operand, Operand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Literal(Value),
    Field(Field),
}

/// A field by its dotted path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field {
    pub of_anchor: bool,
    pub path: Vec<String>,
}

/// The fields of a document or of an anchor.
pub(crate) struct Fields<'a> {
    pub id: &'a str,
    /// An anchor has none.
    pub title: Option<&'a str>,
    pub metadata: Value,
    text: OnceCell<String>,
    make_text: Box<dyn Fn() -> String + 'a>,
    words: OnceCell<f64>,
}

impl<'a> Fields<'a> {
    /// `metadata` is a JSON object; the text is made when it is first asked for.
    pub fn of(
        id: &'a str,
        title: Option<&'a str>,
        metadata: &str,
        text: impl Fn() -> String + 'a,
    ) -> Self {
        Self {
            id,
            title,
            metadata: serde_json::from_str(metadata).unwrap_or(Value::Null),
            text: OnceCell::new(),
            make_text: Box::new(text),
            words: OnceCell::new(),
        }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| (self.make_text)())
    }

    /// The value of a field. What every document has comes before a field of the metadata of the same name.
    fn get(&self, path: &[String]) -> Option<Seen<'_>> {
        if let [name] = path {
            match (name.as_str(), self.title) {
                ("id", _) => return Some(Seen::Text(self.id)),
                ("title", Some(title)) => return Some(Seen::Text(title)),
                ("text", _) => return Some(Seen::Text(self.text())),
                ("words", _) => {
                    let count = || self.text().split_whitespace().count() as f64;
                    return Some(Seen::Number(*self.words.get_or_init(count)));
                }
                _ => {}
            }
        }
        let mut value = &self.metadata;
        for name in path {
            value = value.get(name)?;
        }
        Some(Seen::of(value))
    }
}

/// A value, as comparisons see it.
#[derive(Clone, Copy)]
enum Seen<'v> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'v str),
    List(&'v [Value]),
    Group,
}

impl<'v> Seen<'v> {
    fn of(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items),
            Value::Object(_) => Self::Group,
        }
    }

    fn write(self) -> Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Number(number) => number.into(),
            Self::Text(text) => text.into(),
            Self::List(items) => items.to_vec().into(),
            Self::Null | Self::Group => Value::Null,
        }
    }

    /// Numbers as numbers, texts as texts; a number beside a text that reads as one as numbers. Nothing else has an order.
    fn order(self, other: Self) -> Option<Ordering> {
        let number = |text: &str| text.trim().parse::<f64>().ok();
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(&b),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Text(b)) => a.partial_cmp(&number(b)?),
            (Self::Text(a), Self::Number(b)) => number(a)?.partial_cmp(&b),
            _ => None,
        }
    }

    fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }
}

impl Test {
    fn holds(&self, document: &Fields<'_>, anchor: &Fields<'_>) -> bool {
        let value = |operand| Operand::value(operand, document, anchor);
        match self {
            Self::Any(tests) => tests.iter().any(|test| test.holds(document, anchor)),
            Self::All(tests) => tests.iter().all(|test| test.holds(document, anchor)),
            Self::Not(test) => !test.holds(document, anchor),
            Self::Exists(field) => field.value(document, anchor).is_some(),
            Self::True(operand) => matches!(value(operand), Some(Seen::Bool(true))),
            Self::Compare(left, comparison, right) => match (value(left), value(right)) {
                (Some(left), Some(right)) => comparison.holds(left, right),
                _ => false,
            },
            Self::In {
                left,
                values,
                wanted,
            } => value(left).is_some_and(|left| {
                let is_one = values.iter().filter_map(value).any(|one| match one {
                    Seen::List(items) => items.iter().any(|item| left.same(Seen::of(item))),
                    one => left.same(one),
                });
                is_one == *wanted
            }),
            Self::Contains(left, right) => match (value(left), value(right)) {
                (Some(Seen::List(items)), Some(right)) => {
                    items.iter().any(|item| Seen::of(item).same(right))
                }
                (Some(Seen::Text(text)), Some(Seen::Text(part))) => text.contains(part),
                _ => false,
            },
        }
    }

    /// Calls `visit` with each field whose value is asked for: all but those that `exists` asks about.
    fn fields<'t>(&'t self, visit: &mut impl FnMut(&'t Field)) {
        let operands: Vec<&Operand> = match self {
            Self::Any(tests) | Self::All(tests) => {
                return tests.iter().for_each(|test| test.fields(visit));
            }
            Self::Not(test) => return test.fields(visit),
            Self::Exists(_) => return,
            Self::True(operand) => vec![operand],
            Self::Compare(left, _, right) | Self::Contains(left, right) => vec![left, right],
            Self::In { left, values, .. } => values.iter().chain([left]).collect(),
        };
        for operand in operands {
            if let Operand::Field(field) = operand {
                visit(field);
            }
        }
    }

    fn asks_anchor(&self) -> bool {
        match self {
            Self::Any(tests) | Self::All(tests) => tests.iter().any(Self::asks_anchor),
            Self::Not(test) => test.asks_anchor(),
            Self::Exists(field) => field.of_anchor,
            _ => {
                let mut asks = false;
                self.fields(&mut |field| asks |= field.of_anchor);
                asks
            }
        }
    }
}

impl Comparison {
    fn holds(self, left: Seen<'_>, right: Seen<'_>) -> bool {
        let ordered = |test: fn(Ordering) -> bool| left.order(right).is_some_and(test);
        match self {
            Self::Equal => left.same(right),
            Self::Unequal => !left.same(right),
            Self::Less => ordered(Ordering::is_lt),
            Self::LessOrEqual => ordered(Ordering::is_le),
            Self::Greater => ordered(Ordering::is_gt),
            Self::GreaterOrEqual => ordered(Ordering::is_ge),
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, document: &'v Fields<'_>, anchor: &'v Fields<'_>) -> Option<Seen<'v>> {
        match self {
            Self::Literal(value) => Some(Seen::of(value)),
            Self::Field(field) => field.value(document, anchor),
        }
    }
}

impl Field {
    fn value<'v>(&'v self, document: &'v Fields<'_>, anchor: &'v Fields<'_>) -> Option<Seen<'v>> {
        let of = if self.of_anchor { anchor } else { document };
        of.get(&self.path)
    }

    /// As it is written.
    pub fn name(&self) -> String {
        let start = if self.of_anchor { "anchor." } else { "" };
        format!("{start}{}", self.path.join("."))
    }
}

impl Predicate {
    pub fn holds(&self, document: &Fields<'_>, anchor: &Fields<'_>) -> bool {
        self.root.holds(document, anchor)
    }

    /// Whether the answer may differ from anchor to anchor.
    pub fn asks_anchor(&self) -> bool {
        self.root.asks_anchor()
    }

    fn asked(&self) -> BTreeSet<&Field> {
        let mut asked = BTreeSet::new();
        self.root.fields(&mut |field| {
            asked.insert(field);
        });
        asked
    }

    /// What the fields asked for hold, without whole texts: why the answer is what it is.
    pub fn seen(&self, document: &Fields<'_>, anchor: &Fields<'_>) -> Map<String, Value> {
        self.asked()
            .into_iter()
            .filter(|field| field.path != ["text"])
            .filter_map(|field| {
                let value = field.value(document, anchor)?;
                Some((field.name(), value.write()))
            })
            .collect()
    }

    /// A field that is asked for and that none of `all` has: most likely a typing error.
    pub fn unknown_field(&self, all: &[Fields<'_>], of_anchor: bool) -> Option<&Field> {
        self.asked()
            .into_iter()
            .filter(|field| field.of_anchor == of_anchor)
            .find(|field| all.iter().all(|one| one.get(&field.path).is_none()))
    }
}

impl Setting for Predicate {
    fn schema() -> Map<String, Value> {
        Map::from_iter([("type".to_owned(), Value::from("string"))])
    }
    fn read(value: &Value) -> Result<Self> {
        let text = value
            .as_str()
            .ok_or_else(|| Error::config("", "must be text"))?;
        Ok(Self {
            text: text.to_owned(),
            root: predicate_parser::parse(text).map_err(|why| Error::config("", why))?,
        })
    }
    fn write(&self) -> Value {
        self.text.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_language_means_what_its_documentation_says() {
        let text = || "Brenavidol lowers it.".to_owned();
        let metadata = json!({
            "year": 2008, "volume": "12", "domain": "biology", "open": true, "shut": false, "none": null,
            "tags": ["cell", 7], "journal": { "name": "Acta", "rank": 2 }, "odd-name": 1, "in_press": true,
        })
        .to_string();
        let document = Fields::of("d7", Some("A title"), &metadata, text);
        let of_anchor =
            json!({ "year": 2010, "domain": "physics", "domains": ["biology", "physics"] })
                .to_string();
        let anchor = Fields::of("c1", None, &of_anchor, || "It is lowered".to_owned());
        for (holds, question) in [
            // Numbers, and texts that read as numbers beside one.
            (true, "year < 2010"),
            (true, "year <= 2008 and year >= 2008 and year == 2008"),
            (false, "year > 2008"),
            (false, "year != 2008"),
            (true, "2007.5 < year"),
            (true, "year < 2.1e3 and year > -5"),
            (true, "volume > 9"),
            (true, "volume == 12"),
            (true, "volume < '9'"),
            // Texts.
            (true, "domain == \"biology\" and domain == 'biology'"),
            (true, "domain < 'botany'"),
            (false, "domain == 'Biology'"),
            (true, r#"domain != "it's" and domain != 'a "b" \'c\' \\'"#),
            // Of other types: not equal, and without an order.
            (false, "domain == 5 or domain < 5 or domain > 5"),
            (true, "domain != 5"),
            (true, "open == true and shut == false and none == null"),
            (true, "none != 0 and open != 1 and tags != 'cell'"),
            (false, "open > false"),
            // What is not there is neither equal nor unequal.
            (false, "absent == 1 or absent != 1 or absent < 1"),
            (false, "absent == null or absent != null"),
            (false, "absent in [1] or absent not in [1]"),
            (true, "not absent == 1"),
            (true, "exists(year) and exists(none) and not exists(absent)"),
            (false, "exists(journal.publisher) or exists(year.month)"),
            // A field alone.
            (true, "open and not shut and not absent and not year"),
            (true, "true and not false"),
            // Lists.
            (true, "domain in ['physics', \"biology\"]"),
            (true, "domain not in ['physics']"),
            (true, "year in [1, 2008] and volume in [12]"),
            (false, "domain in []"),
            (
                true,
                "tags contains 'cell' and tags contains 7 and tags contains '7'",
            ),
            (false, "tags contains 'cel'"),
            (true, "domain contains 'olog'"),
            (false, "year contains 200"),
            (true, "domain in anchor.domains and 'cell' in tags"),
            // Paths, and fields that all have.
            (true, "journal.name == 'Acta' and journal.rank < 3"),
            (true, "odd-name == 1 and in_press"),
            (
                true,
                "id == 'd7' and title contains 'title' and text contains 'Bren'",
            ),
            (
                true,
                "words == 3 and anchor.words == 3 and anchor.id == 'c1'",
            ),
            (false, "exists(anchor.title)"),
            // The anchor's.
            (true, "domain != anchor.domain and year < $anchor.year"),
            // `and` binds closer than `or`, `not` closest.
            (true, "open or shut and shut"),
            (false, "(open or shut) and shut"),
            (true, "shut and shut or open"),
            (false, "not open or shut"),
            (true, "not (shut or shut) and open"),
            (true, "not not open"),
            (true, "!shut && (open || shut)"),
            (true, "OPEN == 1 OR open AND NOT shut"),
            (true, "year<2010and domain=='biology'"),
        ] {
            let predicate = Predicate::read(&json!(question))
                .unwrap_or_else(|why| panic!("{question}: {why:?}"));
            assert_eq!(predicate.holds(&document, &anchor), holds, "{question}");
        }
    }
}
