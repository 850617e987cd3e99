//! What reading any part of an experiment needs: fields of a group, typed values within bounds, and all errors collected.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use orchestrator_diagnostics::{Diagnostic, Kind as Problem, nearest};
use orchestrator_plugin_host::{Isolation, PluginInfo};

use crate::node::{Data, Node};

pub(crate) struct Reader<'a> {
    pub(crate) plugins: &'a [&'a PluginInfo],
    pub(crate) looked_in: &'a [PathBuf],
    pub(crate) errors: RefCell<Vec<Diagnostic>>,
    pub(crate) names: RefCell<Vec<String>>,
    pub(crate) files: RefCell<BTreeMap<String, PathBuf>>,
    pub(crate) chat: bool,
    /// Where plugins run that were not shipped and say nothing else.
    pub(crate) isolation: Isolation,
    /// Steps that run elsewhere than in the run's own process.
    pub(crate) isolated: RefCell<BTreeMap<String, Isolation>>,
}

/// The keys of a group, each looked up once.
pub(crate) struct Fields<'n> {
    pub(crate) node: &'n Node,
    pub(crate) path: String,
}

impl<'a> Reader<'a> {
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        self.errors.borrow_mut().push(diagnostic);
    }

    pub(crate) fn wrong(&self, node: &Node, message: impl Into<String>) {
        self.push(Diagnostic::new(Problem::Experiment, message).at(node.place.location()));
    }

    /// The fields of a group of keys; unknown keys and other types are errors.
    pub(crate) fn fields<'n>(
        &self,
        node: &'n Node,
        path: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let Data::Map(entries) = &node.data else {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    format!(
                        "`{}` must be a group of keys, not {}",
                        last(path),
                        node.kind()
                    ),
                )
                .at(node.place.location())
                .help(format!("known here: {}", known.join(", "))),
            );
            return None;
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                let help = nearest(&entry.key, known.iter().copied()).map_or_else(
                    || format!("known here: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.push(
                    Diagnostic::new(Problem::Experiment, format!("unknown key `{}`", entry.key))
                        .at(entry.place.location())
                        .help(help),
                );
            }
        }
        Some(Fields {
            node,
            path: path.to_owned(),
        })
    }

    /// The group under a key, or an empty one in its place if it may be left out.
    pub(crate) fn group<'n>(
        &self,
        fields: &Fields<'n>,
        key: &str,
        known: &[&str],
    ) -> Option<Option<Fields<'n>>> {
        match fields.get(key) {
            None => Some(None),
            Some(node) => self.fields(node, &fields.join(key), known).map(Some),
        }
    }

    pub(crate) fn missing(&self, fields: &Fields<'_>, key: &str, example: &str) {
        self.push(
            Diagnostic::new(
                Problem::Experiment,
                format!(
                    "`{}` is missing",
                    fields.join(key).trim_start_matches('/').replace('/', ".")
                ),
            )
            .at(fields.node.place.location())
            .help(format!("for example {example}")),
        );
    }

    pub(crate) fn type_error(&self, node: &Node, key: &str, expected: &str) {
        self.wrong(
            node,
            format!("`{key}` must be {expected}, not {}", describe(node)),
        );
    }

    pub(crate) fn number(
        &self,
        fields: Option<&Fields<'_>>,
        key: &str,
        default: f64,
        bound: &Bound,
    ) -> Option<f64> {
        let Some(node) = fields.and_then(|fields| fields.get(key)) else {
            return Some(default);
        };
        let value = match node.data {
            Data::Integer(value) => value as f64,
            Data::Float(value) => value,
            _ => {
                self.type_error(node, key, "a number");
                return None;
            }
        };
        if !bound.holds(value) {
            self.wrong(node, format!("`{key}` must be {}, not {value}", bound.text));
            return None;
        }
        Some(value)
    }

    pub(crate) fn whole(
        &self,
        fields: Option<&Fields<'_>>,
        key: &str,
        default: usize,
        least: usize,
    ) -> Option<usize> {
        let Some(node) = fields.and_then(|fields| fields.get(key)) else {
            return Some(default);
        };
        match node.data {
            Data::Integer(value) if usize::try_from(value).is_ok_and(|value| value >= least) => {
                usize::try_from(value).ok()
            }
            _ => {
                self.type_error(node, key, &format!("a whole number of at least {least}"));
                None
            }
        }
    }

    pub(crate) fn text(&self, node: &Node, key: &str) -> Option<String> {
        match &node.data {
            Data::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                self.type_error(node, key, "text");
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &self,
        fields: Option<&Fields<'_>>,
        key: &str,
        default: T,
        words: &[(&str, T)],
    ) -> Option<T> {
        let Some(node) = fields.and_then(|fields| fields.get(key)) else {
            return Some(default);
        };
        self.word_of(node, key, words)
    }

    pub(crate) fn word_of<T: Copy>(
        &self,
        node: &Node,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let known = || words.iter().map(|(word, _)| *word);
        if let Data::Text(text) = &node.data {
            if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
                return Some(*value);
            }
            let help = nearest(text, known()).map(|near| format!("did you mean `{near}`?"));
            self.push(
                Diagnostic::new(Problem::Experiment, format!("`{key}` cannot be `{text}`"))
                    .at(node.place.location())
                    .help(help.unwrap_or_else(|| {
                        format!("it can be {}", known().collect::<Vec<_>>().join(", "))
                    })),
            );
            return None;
        }
        self.type_error(
            node,
            key,
            &format!("one of {}", known().collect::<Vec<_>>().join(", ")),
        );
        None
    }

    pub(crate) fn items<'n>(&self, fields: &Fields<'n>, key: &str) -> Option<&'n [Node]> {
        match fields.get(key) {
            None => Some(&[]),
            Some(node) => match &node.data {
                Data::List(items) => Some(items),
                _ => {
                    self.type_error(node, key, "a list");
                    None
                }
            },
        }
    }
}

/// What a number must be, in words and as a test.
pub(crate) struct Bound {
    pub(crate) text: &'static str,
    pub(crate) test: fn(f64) -> bool,
}

impl Bound {
    pub(crate) fn new(text: &'static str, test: fn(f64) -> bool) -> Self {
        Self { text, test }
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        value.is_finite() && (self.test)(value)
    }
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.node
            .get(key)
            .filter(|node| !matches!(node.data, Data::Null))
    }

    pub(crate) fn join(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }
}

pub(crate) fn last(path: &str) -> &str {
    match path.rsplit('/').next() {
        None | Some("") => "the experiment",
        Some(last) => last,
    }
}

pub(crate) fn describe(node: &Node) -> String {
    match &node.data {
        Data::Bool(value) => format!("`{value}`"),
        Data::Integer(value) => format!("`{value}`"),
        Data::Float(value) => format!("`{value}`"),
        Data::List(items) if items.is_empty() => "an empty list".to_owned(),
        Data::Text(text) if text.chars().count() <= 40 => format!("the text `{text}`"),
        _ => node.kind().to_owned(),
    }
}
