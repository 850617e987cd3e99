//! `sweep:`: one experiment in variants, each with some changes by path (`--set`'s), each with several seeds.

use std::cell::RefCell;
use std::collections::BTreeSet;

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind, nearest};
use orchestrator_plugin_host::Isolation;
use serde_json::Value;

use crate::node::{Data, Entry, Node, Place};
use crate::overrides::lay;
use crate::reader::{Fields, Reader};
use crate::source::Source;

/// What a `sweep:` asks for.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// In the order of the file.
    pub variants: Vec<Variant>,
    /// Each variant is run with each of them; `None` = with the one it has.
    pub seeds: Option<Vec<u64>>,
}

/// One of the experiments that a sweep compares.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Names its runs: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The variant whose changes come before its own.
    pub extends: Option<String>,
    /// Its own changes, as the file gives them: path and value.
    pub changes: Vec<(String, Value)>,
    /// The experiment with all changes; its name is the experiment's and the variant's.
    pub source: Source,
}

/// A change as it stands in the file.
#[derive(Debug, Clone)]
struct Change {
    path: String,
    place: Place,
    value: Node,
}

/// A variant as it stands in the file.
struct Given {
    name: String,
    extends: Option<(String, Place)>,
    own: Vec<Change>,
}

const VARIANT: &str = "a group of changes by path, such as { train.batch: 64 }";

impl Source {
    /// The sweep that the file asks for, if it does: every change laid over the experiment.
    ///
    /// # Errors
    /// All that is wrong with `sweep:`, and every path that leads nowhere. What is wrong with a variant's experiment is told
    /// by its own [`Source::experiment`].
    pub fn sweep(&self) -> Result<Option<Sweep>, Diagnostics> {
        let Some(node) = &self.sweep else {
            return Ok(None);
        };
        let reader = Reader {
            plugins: &[],
            looked_in: &[],
            errors: RefCell::default(),
            names: RefCell::default(),
            files: RefCell::default(),
            chat: false,
            isolation: Isolation::None,
            isolated: RefCell::default(),
        };
        let sweep = reader.sweep(node, self);
        Diagnostics::fail_if_any(reader.errors.take())?;
        Ok(sweep)
    }

    /// The same experiment with another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        let mut other = self.clone();
        other.put(
            "seed",
            Data::Integer(i64::try_from(seed).unwrap_or(i64::MAX)),
        );
        other
    }

    /// Puts a value under a key of the top.
    fn put(&mut self, key: &str, data: Data) {
        let place = self.root.place.clone();
        let Data::Map(entries) = &mut self.root.data else {
            return;
        };
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.value.data = data,
            None => entries.push(Entry {
                key: key.to_owned(),
                place: place.clone(),
                value: Node { data, place },
            }),
        }
    }
}

impl Reader<'_> {
    fn sweep(&self, node: &Node, source: &Source) -> Option<Sweep> {
        let fields = self.fields(node, "/sweep", &["seeds", "variants", "matrix", "only"])?;
        let seeds = self.seeds(&fields);
        let given = self.variants(&fields);
        let only = given.as_ref().and_then(|given| self.only(&fields, given));
        let cells = self.cells(&fields);
        if fields.get("seeds").is_none()
            && fields.get("variants").is_none()
            && fields.get("matrix").is_none()
        {
            self.push(
                Diagnostic::new(Kind::Experiment, "`sweep` asks for nothing")
                    .at(node.place.location())
                    .help("give it variants, a matrix or seeds: sweep: { seeds: [13, 14, 15] }"),
            );
        }
        let (seeds, given, only, cells) = (seeds?, given?, only?, cells?);
        // What is wrong with it is told with the rest of the experiment.
        let of = source.name().map(str::to_owned);
        let mut variants = Vec::new();
        for one in given.iter().filter(|one| only.contains(&one.name)) {
            let Some(inherited) = self.inherited(one, &given) else {
                continue;
            };
            for (label, cell) in &cells {
                let parts = [one.name.as_str(), label.as_str()];
                let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                let name = parts.join("_");
                let own = one.own.iter().chain(cell);
                let mut source = source.clone();
                source.sweep = None;
                if let Some(of) = of.as_ref().filter(|_| !name.is_empty()) {
                    source.put("name", Data::Text(format!("{of}-{name}")));
                }
                for change in inherited.iter().copied().chain(own.clone()) {
                    self.change(&mut source.root, change, seeds.is_some());
                }
                let name = match (name.is_empty(), &of) {
                    (false, _) => name,
                    // Seeds alone: there is one variant, the experiment itself.
                    (true, Some(of)) if names_a_folder(of) => of.clone(),
                    (true, _) => "experiment".to_owned(),
                };
                let changes = own.map(|change| (change.path.clone(), change.value.to_json()));
                variants.push(Variant {
                    name,
                    // In the same cell of the matrix.
                    extends: one.extends.as_ref().map(|(name, _)| match label.as_str() {
                        "" => name.clone(),
                        label => format!("{name}_{label}"),
                    }),
                    changes: changes.collect(),
                    source,
                });
            }
        }
        Some(Sweep { variants, seeds })
    }

    fn change(&self, root: &mut Node, change: &Change, seeds: bool) {
        let wrong = |message: &str, help: &str| {
            self.push_once(
                Diagnostic::new(Kind::Experiment, message)
                    .at(change.place.location())
                    .help(help),
            );
        };
        match change.path.split('.').next().unwrap_or_default() {
            "seed" if seeds => wrong(
                "`sweep.seeds` says the seeds of every variant",
                "leave one of the two out",
            ),
            "name" => wrong(
                "a variant's name is the one it stands under",
                "the run is called by the experiment's name and the variant's",
            ),
            "sweep" => wrong(
                "a variant has no sweep of its own",
                "give `sweep.matrix` beside `sweep.variants`",
            ),
            _ => {
                if let Err(told) = lay(root, &change.path, change.value.clone(), &change.place) {
                    self.push_once(told.help(
                        "a path as of --set: train.batch, samples.propose.random.per_anchor; samples.propose+ adds to the list",
                    ));
                }
            }
        }
    }

    /// A change that several variants have is told once.
    fn push_once(&self, diagnostic: Diagnostic) {
        if !self.errors.borrow().contains(&diagnostic) {
            self.push(diagnostic);
        }
    }

    #[allow(clippy::option_option)] // Absent, and wrong, are two things.
    fn seeds(&self, fields: &Fields<'_>) -> Option<Option<Vec<u64>>> {
        let Some(node) = fields.get("seeds") else {
            return Some(None);
        };
        let Data::List(items) = &node.data else {
            self.type_error(node, "seeds", "a list such as [13, 14, 15]");
            return None;
        };
        if items.is_empty() {
            self.type_error(node, "seeds", "a list such as [13, 14, 15]");
            return None;
        }
        let mut seeds = Vec::new();
        let mut complete = true;
        for item in items {
            match item.data {
                Data::Integer(seed) if seed >= 0 => {
                    let seed = seed.unsigned_abs();
                    if seeds.contains(&seed) {
                        self.wrong(item, format!("the seed {seed} is here a second time"));
                        complete = false;
                    }
                    seeds.push(seed);
                }
                _ => {
                    self.type_error(item, "seeds", "whole numbers of at least 0");
                    complete = false;
                }
            }
        }
        complete.then_some(Some(seeds))
    }

    /// The variants of the file, or one without a name and without changes.
    fn variants(&self, fields: &Fields<'_>) -> Option<Vec<Given>> {
        let Some(node) = fields.get("variants") else {
            return Some(vec![Given {
                name: String::new(),
                extends: None,
                own: Vec::new(),
            }]);
        };
        let entries = match &node.data {
            Data::Map(entries) if !entries.is_empty() => entries,
            _ => {
                self.type_error(node, "variants", "a group of variants by name");
                return None;
            }
        };
        let mut complete = true;
        let mut all = Vec::new();
        for entry in entries {
            if !names_a_folder(&entry.key) {
                self.push(
                    Diagnostic::new(
                        Kind::Experiment,
                        format!(
                            "`{}` names a folder: letters, digits, `-`, `_` and `.` only",
                            entry.key
                        ),
                    )
                    .at(entry.place.location()),
                );
                complete = false;
            }
            match self.variant(entry) {
                Some(given) => all.push(given),
                None => complete = false,
            }
        }
        complete.then_some(all)
    }

    /// Which variants are run, by name: those of `only`, or all.
    fn only(&self, fields: &Fields<'_>, given: &[Given]) -> Option<Vec<String>> {
        let names = || given.iter().map(|one| one.name.as_str());
        let Some(node) = fields.get("only") else {
            return Some(names().map(str::to_owned).collect());
        };
        let items = match &node.data {
            Data::List(items) if !items.is_empty() => items,
            _ => {
                self.type_error(node, "only", "a list of variants");
                return None;
            }
        };
        let name = |item: &Node| {
            let name = self.text(item, "only")?;
            let known = names().any(|one| one == name);
            if !known {
                self.push(self.no_variant(&name, &item.place, given));
            }
            known.then_some(name)
        };
        // All errors, not the first.
        let found: Vec<Option<String>> = items.iter().map(name).collect();
        found.into_iter().collect()
    }

    fn no_variant(&self, name: &str, place: &Place, all: &[Given]) -> Diagnostic {
        let names = || all.iter().map(|one| one.name.as_str());
        let told = Diagnostic::new(Kind::Experiment, format!("there is no variant `{name}`"))
            .at(place.location());
        if names().all(str::is_empty) {
            return told.help("give `sweep.variants`");
        }
        match nearest(name, names()) {
            Some(near) => told.help(format!("did you mean `{near}`?")),
            None => told.help(format!(
                "there are {}",
                names().collect::<Vec<_>>().join(", ")
            )),
        }
    }

    fn variant(&self, entry: &Entry) -> Option<Given> {
        let changes: &[Entry] = match &entry.value.data {
            Data::Null => &[],
            Data::Map(changes) => changes,
            _ => {
                self.type_error(&entry.value, &entry.key, VARIANT);
                return None;
            }
        };
        let mut given = Given {
            name: entry.key.clone(),
            extends: None,
            own: Vec::new(),
        };
        for change in changes {
            if change.key == "extends" {
                let name = self.text(&change.value, "extends")?;
                given.extends = Some((name, change.value.place.clone()));
            } else {
                given.own.push(Change {
                    path: change.key.clone(),
                    place: change.place.clone(),
                    value: change.value.clone(),
                });
            }
        }
        Some(given)
    }

    /// The changes of all variants that one extends, the farthest first.
    fn inherited<'g>(&self, one: &'g Given, all: &'g [Given]) -> Option<Vec<&'g Change>> {
        let mut lists = Vec::new();
        let mut seen = BTreeSet::from([one.name.as_str()]);
        let mut now = one;
        while let Some((name, place)) = &now.extends {
            let Some(next) = all.iter().find(|other| other.name == *name) else {
                self.push_once(self.no_variant(name, place, all));
                return None;
            };
            if !seen.insert(&next.name) {
                let message = format!("the variant `{name}` extends itself");
                self.push_once(
                    Diagnostic::new(Kind::Experiment, message)
                        .at(place.location())
                        .help("take one `extends` out of the circle"),
                );
                return None;
            }
            lists.push(&next.own);
            now = next;
        }
        Some(lists.into_iter().rev().flatten().collect())
    }

    /// Every combination of the matrix with its label, or one that changes nothing.
    fn cells(&self, fields: &Fields<'_>) -> Option<Vec<(String, Vec<Change>)>> {
        let mut cells = vec![(String::new(), Vec::new())];
        let Some(node) = fields.get("matrix") else {
            return Some(cells);
        };
        let entries = match &node.data {
            Data::Map(entries) if !entries.is_empty() => entries,
            _ => {
                self.type_error(
                    node,
                    "matrix",
                    "a group of lists by path, such as { train.batch: [16, 32] }",
                );
                return None;
            }
        };
        let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        for entry in entries {
            let values = match &entry.value.data {
                Data::List(values) if !values.is_empty() => values,
                _ => {
                    self.type_error(
                        &entry.value,
                        &entry.key,
                        "a list of values, such as [16, 32]",
                    );
                    return None;
                }
            };
            // Two paths that end in the same word are called by all of their words.
            let ambiguous = entries
                .iter()
                .filter(|one| last(&one.key) == last(&entry.key))
                .count()
                > 1;
            let called = if ambiguous {
                entry.key.clone()
            } else {
                last(&entry.key)
            };
            let called: String = called
                .chars()
                .filter(|c| names_a_folder_within(*c))
                .collect();
            let mut next = Vec::new();
            for (label, changes) in &cells {
                for (place, value) in values.iter().enumerate() {
                    let own = format!("{called}-{}", label_of(value, place, values));
                    let label = if label.is_empty() {
                        own
                    } else {
                        format!("{label}_{own}")
                    };
                    let mut changes: Vec<Change> = changes.clone();
                    changes.push(Change {
                        path: entry.key.clone(),
                        place: entry.place.clone(),
                        value: value.clone(),
                    });
                    next.push((label, changes));
                }
            }
            cells = next;
        }
        Some(cells)
    }
}

/// A value in a name: itself where it can stand there and is the only one so called, else its number.
fn label_of(value: &Node, place: usize, all: &[Node]) -> String {
    let text = |node: &Node| match &node.data {
        Data::Bool(value) => Some(value.to_string()),
        Data::Integer(value) => Some(value.to_string()),
        Data::Float(value) => Some(value.to_string()),
        Data::Text(text) => Some(text.clone()),
        _ => None,
    };
    text(value)
        .filter(|own| !own.is_empty() && own.len() <= 40 && own.chars().all(names_a_folder_within))
        .filter(|own| {
            all.iter()
                .filter(|one| text(one).as_ref() == Some(own))
                .count()
                == 1
        })
        .unwrap_or_else(|| (place + 1).to_string())
}

fn names_a_folder_within(c: char) -> bool {
    c.is_alphanumeric() || "-_.".contains(c)
}

fn names_a_folder(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(names_a_folder_within)
}
