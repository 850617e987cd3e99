//! The words of the pages, in English and in Chinese, from one catalogue (`assets/words.json`), and how numbers and texts of
//! the data are put into them. Everything that comes from the data is escaped here, once.

use std::collections::BTreeMap;

use minijinja::Value;
use serde::Serialize;

use crate::text::{self, escaped};

/// The languages, in the order of the catalogue.
const LANGUAGES: [&str; 2] = ["en", "zh"];

/// A sentence of the catalogue with what is put into it, or something that the data call so.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Name {
    /// Of the data: shown as it is, escaped.
    Data(String),
    /// Of the catalogue.
    Word(Said),
}

/// A sentence of the catalogue with what is put into it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// The key in the catalogue.
    pub word: &'static str,
    /// What its `{name}`s stand for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<&'static str, serde_json::Value>,
}

impl Said {
    /// A sentence with nothing put in.
    pub(crate) fn of(word: &'static str) -> Self {
        Self {
            word,
            values: BTreeMap::new(),
        }
    }

    /// … with something put in.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.values.insert(name, value.into());
        self
    }

    /// … with another sentence put in.
    pub(crate) fn saying(self, name: &'static str, other: &Self) -> Self {
        self.with(name, serde_json::to_value(other).unwrap_or_default())
    }
}

impl Name {
    /// A name of the catalogue.
    pub(crate) fn word(word: &'static str) -> Self {
        Self::Word(Said::of(word))
    }
}

impl From<Said> for Name {
    fn from(said: Said) -> Self {
        Self::Word(said)
    }
}

/// Where words stand: between tags of HTML, or in a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Page,
    Picture,
}

/// The catalogue: a key to its words in each language.
#[derive(Debug, Clone, Default)]
pub struct Words(BTreeMap<String, [String; 2]>);

impl Words {
    /// Reads a catalogue: a JSON object of `"key": ["English", "中文"]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Takes over the words of another catalogue.
    pub(crate) fn replace(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The keys.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&String, &[String; 2])> {
        self.0.iter()
    }

    /// A sentence in both languages, as markup.
    ///
    /// # Errors
    /// If there is no such key, or something is to be put in that is not given.
    pub(crate) fn say(
        &self,
        key: &str,
        values: &dyn Fn(&str) -> Option<Value>,
        place: Place,
    ) -> Result<String, String> {
        let both = self
            .0
            .get(key)
            .ok_or_else(|| format!("the catalogue of words has no `{key}`"))?;
        let tag = match place {
            Place::Page => "span",
            Place::Picture => "tspan",
        };
        if both[0] == both[1] && !both[0].contains('{') {
            return Ok(both[0].clone());
        }
        let mut out = String::new();
        for (language, code) in LANGUAGES.iter().enumerate() {
            let filled = self.fill(key, language, values, place)?;
            out.push_str(&format!("<{tag} lang=\"{code}\">{filled}</{tag}>"));
        }
        Ok(out)
    }

    /// A sentence in one language, with everything put in.
    fn fill(
        &self,
        key: &str,
        language: usize,
        values: &dyn Fn(&str) -> Option<Value>,
        place: Place,
    ) -> Result<String, String> {
        let both = self
            .0
            .get(key)
            .ok_or_else(|| format!("the catalogue of words has no `{key}`"))?;
        let mut out = String::new();
        let mut rest = both[language].as_str();
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (inner, after) = after
                .split_once('}')
                .ok_or_else(|| format!("`{key}`: a brace is not closed"))?;
            let name = inner.split([':', '?']).next().unwrap_or_default();
            let value = values(name).ok_or_else(|| format!("`{key}` wants `{name}`"))?;
            out.push_str(&self.put_in(&value, &inner[name.len()..], language, place)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn put_in(
        &self,
        value: &Value,
        how: &str,
        language: usize,
        place: Place,
    ) -> Result<String, String> {
        // {n?claim|claims}
        if let Some(forms) = how.strip_prefix('?') {
            let (one, many) = forms.split_once('|').unwrap_or((forms, forms));
            let is_one = f64::try_from(value.clone()).is_ok_and(|n| n == 1.0);
            return Ok(if is_one { one } else { many }.to_owned());
        }
        if value.is_number() {
            let n = f64::try_from(value.clone()).map_err(|error| error.to_string())?;
            return Ok(number(n, how.strip_prefix(':').unwrap_or("c"), place));
        }
        if let Some(key) = word_of(value) {
            let values = |name: &str| value_of(value, name);
            return self.fill(&key, language, &values, place);
        }
        Ok(shown(value, place))
    }

    /// A [`Name`], a number or a text as markup.
    ///
    /// # Errors
    /// As [`Words::say`].
    pub(crate) fn name(&self, value: &Value, place: Place) -> Result<String, String> {
        match word_of(value) {
            Some(key) => self.say(&key, &|name| value_of(value, name), place),
            None => Ok(shown(value, place)),
        }
    }
}

/// Text of the data, or markup that was made before.
fn shown(value: &Value, place: Place) -> String {
    if value.is_safe() {
        return value.to_string();
    }
    if value.is_none() || value.is_undefined() {
        return "–".to_owned();
    }
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    match place {
        Place::Page => text::isolated(&text),
        Place::Picture => escaped(&text::visible(&text)),
    }
}

fn word_of(value: &Value) -> Option<String> {
    let word = value.get_attr("word").ok()?;
    word.as_str().map(str::to_owned)
}

fn value_of(said: &Value, name: &str) -> Option<Value> {
    let values = said.get_attr("values").ok()?;
    let value = values.get_attr(name).ok()?;
    (!value.is_undefined()).then_some(value)
}

/// A number as people read it. How: `c` a count, `4` so many decimals, `+4` with its sign, `p` a share as per cent.
/// Beside it stands its value, from which a script makes the form of the reader's country.
pub(crate) fn number(value: f64, how: &str, place: Place) -> String {
    let text = formatted(value, how);
    match place {
        Place::Page => format!(
            "<data value=\"{}\" data-n=\"{how}\">{text}</data>",
            short(value, how)
        ),
        Place::Picture => text,
    }
}

/// The number as text, in the English form.
pub(crate) fn formatted(value: f64, how: &str) -> String {
    let sign = if how.starts_with('+') && value > 0.0 {
        "+"
    } else {
        ""
    };
    let how = how.trim_start_matches('+');
    if how == "c" {
        return grouped(value.round() as i64);
    }
    if let Some(digits) = how.strip_prefix('p') {
        let digits: usize = digits.parse().unwrap_or(1);
        return format!("{sign}{:.digits$} %", 100.0 * value);
    }
    let digits: usize = how.parse().unwrap_or(3);
    let text = format!("{value:.digits$}");
    let (whole, rest) = text
        .split_once('.')
        .map_or((text.as_str(), ""), |parts| parts);
    let negative = whole.starts_with('-');
    let whole = grouped(whole.trim_start_matches('-').parse().unwrap_or_default());
    let minus = if negative { "-" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{minus}{whole}{point}{rest}")
}

/// The value itself, with two digits more than are shown.
fn short(value: f64, how: &str) -> String {
    let digits = match how.trim_start_matches('+') {
        "c" => 0,
        how if how.starts_with('p') => 5,
        how => how.parse().unwrap_or(3) + 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// 12345 as 12,345.
fn grouped(value: i64) -> String {
    let digits = value.abs().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_form_they_are_asked_for() {
        for (value, how, expected) in [
            (0.0, "c", "0"),
            (-1_234_567.0, "c", "-1,234,567"),
            (0.12345, "3", "0.123"),
            (0.12345, "+4", "+0.1235"),
            (-0.5, "+2", "-0.50"),
            (12_345.678, "1", "12,345.7"),
            (0.0234, "p", "2.3 %"),
            (0.5, "p0", "50 %"),
        ] {
            assert_eq!(formatted(value, how), expected, "{value} {how}");
        }
    }

    #[test]
    fn what_is_put_into_a_sentence_is_escaped_and_counted() {
        let words = Words::read(
            r#"{"a": ["{n} {n?claim|claims} of {who}", "{who}的 {n} 条"], "b": ["us", "我们"]}"#,
        )
        .expect("catalogue");
        let said = Said::of("a").with("n", 1).with("who", "<b>");
        let shown = words
            .name(&Value::from(minijinja::value::Serde(&said)), Place::Page)
            .expect("said");
        assert_eq!(
            shown,
            "<span lang=\"en\"><data value=\"1\" data-n=\"c\">1</data> claim of <bdi>&lt;b&gt;</bdi></span>\
             <span lang=\"zh\"><bdi>&lt;b&gt;</bdi>的 <data value=\"1\" data-n=\"c\">1</data> 条</span>"
        );
        let said = Said::of("a").with("n", 2).saying("who", &Said::of("b"));
        let shown = words
            .name(&Value::from(minijinja::value::Serde(&said)), Place::Picture)
            .expect("said");
        assert_eq!(
            shown,
            "<tspan lang=\"en\">2 claims of us</tspan><tspan lang=\"zh\">我们的 2 条</tspan>"
        );
        assert!(
            words
                .name(
                    &Value::from(minijinja::value::Serde(Said::of("a"))),
                    Place::Page
                )
                .is_err()
        );
    }
}
