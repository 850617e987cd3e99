//! One change of one place of a text, and the rule that makes it.

use std::ops::Range;

use orchestrator_plugin::config::Setting;
use orchestrator_plugin::{Error, Result};
use serde_json::{Map, Value};

use crate::english::article;
use crate::words::Words;

/// The rules, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A negation goes.
    NegationOut,
    /// The direction of the effect turns.
    Direction,
    /// All becomes none, more than becomes less than.
    Quantifier,
    /// What is said of the subject becomes its opposite.
    Antonym,
    /// A negation comes.
    NegationIn,
    /// What it is said of becomes its opposite.
    Condition,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NegationOut,
        Self::Direction,
        Self::Quantifier,
        Self::Antonym,
        Self::NegationIn,
        Self::Condition,
    ];

    /// As experiments and `detail` write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NegationOut => "negation_out",
            Self::Direction => "direction",
            Self::Quantifier => "quantifier",
            Self::Antonym => "antonym",
            Self::NegationIn => "negation_in",
            Self::Condition => "condition",
        }
    }
}

impl Setting for Rule {
    fn schema() -> Map<String, Value> {
        let names: Vec<Value> = Self::ALL.iter().map(|rule| rule.name().into()).collect();
        Map::from_iter([("enum".to_owned(), Value::Array(names))])
    }

    fn read(value: &Value) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|rule| value == rule.name())
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|rule| rule.name()).collect();
                Error::config("", format!("must be one of {}", names.join(", ")))
            })
    }

    fn write(&self) -> Value {
        self.name().into()
    }
}

/// One change of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The rule that makes it.
    pub rule: Rule,
    /// The bytes replaced.
    pub from: Range<usize>,
    /// What replaces them.
    pub to: String,
}

impl Edit {
    /// The text with the change.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.to.len());
        out.push_str(&text[..self.from.start]);
        out.push_str(&self.to);
        out.push_str(&text[self.from.end..]);
        out
    }
}

/// A replacement of the words `first..=last` that keeps a capital and mends the article before it.
pub fn replace(words: &Words<'_>, rule: Rule, first: usize, last: usize, to: &str) -> Edit {
    let (mut start, end) = (words.at(first).start, words.at(last).end);
    let mut to = to.to_owned();
    if words.text[start..].starts_with(|letter: char| letter.is_ascii_uppercase())
        && words.at(first).plain
    {
        capitalise(&mut to);
    }
    if first > 0 && words.joined(first - 1) {
        let before = words.plain(first - 1);
        if matches!(before, "a" | "an") && article(&to) != before {
            let mut mended = article(&to).to_owned();
            if words.raw(first - 1).starts_with('A') {
                capitalise(&mut mended);
            }
            start = words.at(first - 1).start;
            to = format!("{mended} {to}");
        }
    }
    Edit {
        rule,
        from: start..end,
        to,
    }
}

fn capitalise(text: &mut str) {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
}
