//! YAML as a tree that remembers where everything stands, whatever was extended, overridden or substituted.

use std::path::PathBuf;
use std::rc::Rc;

use orchestrator_diagnostics::{Diagnostic, Kind, Location};
use saphyr::{LoadableYamlNode as _, MarkedYamlOwned, ScalarOwned, YamlDataOwned};
use serde_json::{Map, Value};

/// A text that positions point into: a file, or an override of the command line.
#[derive(Debug)]
pub(crate) struct Text {
    pub path: PathBuf,
    pub content: String,
}

/// Where something stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub text: Rc<Text>,
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Place {
    pub fn location(&self) -> Location {
        Location::new(&self.text.path, self.line, self.column)
            .in_source(&self.text.content, self.width)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub data: Data,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

impl Node {
    /// Parses a text of one YAML document.
    pub fn parse(text: Rc<Text>) -> Result<Self, Diagnostic> {
        let whole = Place {
            text: text.clone(),
            line: 1,
            column: 1,
            width: 1,
        };
        let mut documents = MarkedYamlOwned::load_from_str(&text.content).map_err(|error| {
            let place = Place {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                ..whole.clone()
            };
            Diagnostic::new(Kind::Experiment, "the file is not YAML")
                .at(place.location())
                .note(error.info())
        })?;
        match documents.len() {
            0 => Ok(Self {
                data: Data::Map(Vec::new()),
                place: whole,
            }),
            1 => convert(&documents.remove(0), &text),
            n => Err(Diagnostic::new(
                Kind::Experiment,
                format!("the file holds {n} YAML documents"),
            )
            .at(whole.location())
            .help(
                "give one experiment a file; variants go in files of their own that `extends` it",
            )),
        }
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Integer(_) | Data::Float(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a group of keys",
        }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.value),
            _ => None,
        }
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.data {
            Data::Map(entries) => entries
                .iter_mut()
                .find(|entry| entry.key == key)
                .map(|entry| &mut entry.value),
            _ => None,
        }
    }

    /// Takes out what is under a key.
    pub fn take(&mut self, key: &str) -> Option<Self> {
        let Data::Map(entries) = &mut self.data else {
            return None;
        };
        let place = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(place).value)
    }

    /// The node under these keys, one in the other.
    pub fn under(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The same, to be changed.
    pub fn under_mut(&mut self, keys: &[&str]) -> Option<&mut Self> {
        keys.iter().try_fold(self, |node, key| node.get_mut(key))
    }

    /// The node at a JSON pointer, or the nearest above it that is there.
    pub fn at(&self, pointer: &str) -> &Self {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = match &node.data {
                Data::Map(_) => node.get(&part),
                Data::List(items) => part
                    .parse::<usize>()
                    .ok()
                    .and_then(|place| items.get(place)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::from(*value),
            Data::Integer(value) => Value::from(*value),
            Data::Float(value) => Value::from(*value),
            Data::Text(value) => Value::from(value.as_str()),
            Data::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(entries) => {
                let pairs = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// Lays `over` on this: groups of keys are merged, everything else is replaced.
    pub fn overlay(&mut self, over: Self) {
        let over = match (&mut self.data, over) {
            (
                Data::Map(below),
                Self {
                    data: Data::Map(entries),
                    place,
                },
            ) => {
                self.place = place;
                for entry in entries {
                    match below.iter_mut().find(|one| one.key == entry.key) {
                        Some(one) => {
                            one.place = entry.place;
                            one.value.overlay(entry.value);
                        }
                        None => below.push(entry),
                    }
                }
                return;
            }
            (_, over) => over,
        };
        *self = over;
    }

    /// Calls `change` on every text in it.
    pub fn each_text(&mut self, change: &mut impl FnMut(&mut Self)) {
        match &mut self.data {
            Data::Text(_) => change(self),
            Data::List(items) => items.iter_mut().for_each(|item| item.each_text(change)),
            Data::Map(entries) => entries
                .iter_mut()
                .for_each(|entry| entry.value.each_text(change)),
            _ => {}
        }
    }
}

fn convert(yaml: &MarkedYamlOwned, text: &Rc<Text>) -> Result<Node, Diagnostic> {
    let (start, end) = (yaml.span.start, yaml.span.end);
    let place = Place {
        text: text.clone(),
        line: start.line(),
        column: start.col() + 1,
        // What goes over several lines is underlined at its beginning only.
        width: if start.line() == end.line() {
            end.col().saturating_sub(start.col()).max(1)
        } else {
            1
        },
    };
    let refuse =
        |what: &str| Err(Diagnostic::new(Kind::Experiment, what.to_owned()).at(place.location()));
    let data = match &yaml.data {
        YamlDataOwned::Value(ScalarOwned::Null) => Data::Null,
        YamlDataOwned::Value(ScalarOwned::Boolean(value)) => Data::Bool(*value),
        YamlDataOwned::Value(ScalarOwned::Integer(value)) => Data::Integer(*value),
        YamlDataOwned::Value(ScalarOwned::FloatingPoint(value)) => Data::Float(value.into_inner()),
        YamlDataOwned::Value(ScalarOwned::String(value)) => Data::Text(value.clone()),
        YamlDataOwned::Sequence(items) => Data::List(
            items
                .iter()
                .map(|item| convert(item, text))
                .collect::<Result<_, _>>()?,
        ),
        YamlDataOwned::Mapping(pairs) => {
            let mut entries = Vec::new();
            for (key, value) in pairs {
                let key = convert(key, text)?;
                let name = match &key.data {
                    Data::Text(name) => name.clone(),
                    Data::Integer(number) => number.to_string(),
                    _ => {
                        return Err(Diagnostic::new(Kind::Experiment, "a key must be text")
                            .at(key.place.location()));
                    }
                };
                entries.push(Entry {
                    key: name,
                    place: key.place,
                    value: convert(value, text)?,
                });
            }
            Data::Map(entries)
        }
        YamlDataOwned::Tagged(..) => return refuse("YAML tags (`!name`) mean nothing here"),
        _ => return refuse("YAML aliases (`*name`) are not supported here: use `extends`"),
    };
    Ok(Node { data, place })
}
