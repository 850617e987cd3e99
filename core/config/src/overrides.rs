//! Changes by path, of the command line (`--set train.batch=64`) and of a sweep's variants.

use std::rc::Rc;

use orchestrator_diagnostics::{Diagnostic, Kind};

use crate::node::{Data, Entry, Node, Place, Text};

/// What stands for a file where the command line gives a value.
pub(crate) const OVERRIDE: &str = "--set";

/// Lays `a.b=value` over the tree.
pub(crate) fn set(root: &mut Node, given: &str) -> Result<(), Diagnostic> {
    let text = Rc::new(Text {
        path: OVERRIDE.into(),
        content: given.to_owned(),
    });
    let place = Place {
        text: text.clone(),
        line: 1,
        column: 1,
        width: given.chars().count().max(1),
    };
    let help = "for example --set train.batch=64, --set samples.propose.random.per_anchor=3";
    let Some((path, value)) = given.split_once('=') else {
        return Err(
            Diagnostic::new(Kind::Experiment, format!("`{given}` has no `=`"))
                .at(place.location())
                .help(help),
        );
    };
    // Parsed as YAML, at the column where it stands.
    let padded = Rc::new(Text {
        path: OVERRIDE.into(),
        content: value.to_owned(),
    });
    let mut value = Node::parse(padded)?;
    if text.content.ends_with('=') {
        value.data = Data::Null;
    }
    place_all(&mut value, &place);
    lay(root, path, value, &place).map_err(|wrong| wrong.help(help))
}

/// Puts `value` at `path` (`a.b`), or adds it to the list there (`a.b+`). A list item is named by its number, or by its plugin.
/// What is new on the way, and an error, is at `place`.
pub(crate) fn lay(
    root: &mut Node,
    path: &str,
    value: Node,
    place: &Place,
) -> Result<(), Diagnostic> {
    let wrong = |message: String| Diagnostic::new(Kind::Experiment, message).at(place.location());
    let (path, adds) = match path.strip_suffix('+') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let mut node = root;
    for part in path.split('.') {
        if part.is_empty() {
            return Err(wrong(format!("`{path}` has an empty part")));
        }
        node = step_into(node, part, place)?;
    }
    if !adds {
        *node = value;
        return Ok(());
    }
    if matches!(node.data, Data::Null) {
        node.data = Data::List(Vec::new());
    }
    let kind = node.kind();
    let Data::List(items) = &mut node.data else {
        return Err(wrong(format!(
            "`{path}` is {kind}, not a list that can be added to"
        )));
    };
    match value.data {
        Data::List(further) => items.extend(further),
        _ => items.push(value),
    }
    Ok(())
}

/// The node under a part of a path, made if the group has none.
fn step_into<'n>(
    node: &'n mut Node,
    part: &str,
    place: &Place,
) -> Result<&'n mut Node, Diagnostic> {
    let wrong = |message: String| Diagnostic::new(Kind::Experiment, message).at(place.location());
    let nothing = || Node {
        data: Data::Null,
        place: place.clone(),
    };
    if matches!(node.data, Data::Null) {
        node.data = Data::Map(Vec::new());
    }
    let kind = node.kind();
    match &mut node.data {
        Data::Map(entries) => {
            let found = match entries.iter().position(|entry| entry.key == part) {
                Some(found) => found,
                None => {
                    entries.push(Entry {
                        key: part.to_owned(),
                        place: place.clone(),
                        value: nothing(),
                    });
                    entries.len() - 1
                }
            };
            Ok(&mut entries[found].value)
        }
        Data::List(items) => {
            let n = items.len();
            let is_named = |item: &Node| {
                item.get(part).is_some() || matches!(&item.data, Data::Text(name) if name == part)
            };
            let found = match part.parse::<usize>() {
                Ok(number) => Some(number).filter(|number| *number < n),
                Err(_) => items.iter().position(is_named),
            };
            let Some(found) = found else {
                return Err(wrong(format!("the list before `{part}` has no such item")));
            };
            let item = &mut items[found];
            // A plugin's name alone is the plugin with no settings.
            if matches!(&item.data, Data::Text(name) if name == part) {
                item.data = Data::Map(vec![Entry {
                    key: part.to_owned(),
                    place: item.place.clone(),
                    value: nothing(),
                }]);
            }
            // `hard_negative` names the item and goes on inside it.
            if item.get(part).is_some() {
                item.get_mut(part)
                    .ok_or_else(|| wrong(format!("no `{part}`")))
            } else {
                Ok(item)
            }
        }
        _ => Err(wrong(format!(
            "what is before `{part}` is {kind}, not a group of keys"
        ))),
    }
}

fn place_all(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.data {
        Data::List(items) => items.iter_mut().for_each(|item| place_all(item, place)),
        Data::Map(entries) => {
            for entry in entries {
                entry.place = place.clone();
                place_all(&mut entry.value, place);
            }
        }
        _ => {}
    }
}
