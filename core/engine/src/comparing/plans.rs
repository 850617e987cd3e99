//! In what two plans differ: the paths, and what stands there in each.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::plan::Plan;

/// A place where two plans differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathDifference {
    /// Keys with dots between them; an item of a list is named by its plugin's name, or by its number.
    pub path: String,
    /// What the first has there; `None` = nothing.
    pub before: Option<Value>,
    /// What the other has there.
    pub after: Option<Value>,
}

/// Every place where two plans differ, but for their names and seeds, in the order of the first's keys.
#[must_use]
pub fn plan_differences(before: &Plan, after: &Plan) -> Vec<PathDifference> {
    let mut found = Vec::new();
    differ(&compared(before), &compared(after), "", &mut found);
    found
}

/// What of a plan is compared: the experiment, and what was pinned for it.
fn compared(plan: &Plan) -> Value {
    let mut tree = serde_json::to_value(&plan.experiment).unwrap_or_default();
    if let Value::Object(map) = &mut tree {
        map.remove("name");
        map.remove("seed");
        map.insert("version".to_owned(), plan.version.as_str().into());
        map.insert(
            "pins".to_owned(),
            serde_json::to_value(&plan.pins).unwrap_or_default(),
        );
        // By plugin: a library that both use and that was built anew in between is told at each of its plugins.
        let libraries = plan
            .plugins
            .iter()
            .map(|one| (one.id.clone(), Value::from(one.sha256.as_str())));
        map.insert("libraries".to_owned(), Value::Object(libraries.collect()));
    }
    tree
}

fn differ(before: &Value, after: &Value, path: &str, found: &mut Vec<PathDifference>) {
    if before == after {
        return;
    }
    let named = |list: &Value| by_name(list);
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            of_maps(one, other, path, found);
        }
        (Value::Array(_), Value::Array(_)) => match (named(before), named(after)) {
            (Some(one), Some(other)) => {
                let order = |list: &[(String, Value)], of: &[(String, Value)]| -> Vec<String> {
                    list.iter()
                        .map(|(name, _)| name.clone())
                        .filter(|name| of.iter().any(|(other, _)| other == name))
                        .collect()
                };
                let (first, second) = (order(&one, &other), order(&other, &one));
                if first != second {
                    found.push(PathDifference {
                        path: format!("{path} (order)"),
                        before: Some(first.into()),
                        after: Some(second.into()),
                    });
                }
                let map = |list: Vec<(String, Value)>| list.into_iter().collect();
                of_maps(&map(one), &map(other), path, found);
            }
            _ => found.push(PathDifference {
                path: path.to_owned(),
                before: Some(before.clone()),
                after: Some(after.clone()),
            }),
        },
        _ => found.push(PathDifference {
            path: path.to_owned(),
            before: Some(before.clone()).filter(|value| !value.is_null()),
            after: Some(after.clone()).filter(|value| !value.is_null()),
        }),
    }
}

fn of_maps(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    path: &str,
    found: &mut Vec<PathDifference>,
) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        // Where a step stands in the file is not what it does.
        if key == "at" {
            continue;
        }
        let inside = match path {
            "" => key.clone(),
            _ => format!("{path}.{key}"),
        };
        match (before.get(key), after.get(key)) {
            (Some(one), Some(other)) => differ(one, other, &inside, found),
            // A library that only one uses follows from its plugins.
            _ if path == "libraries" => {}
            (one, other) => found.push(PathDifference {
                path: inside,
                before: one.map(without_places),
                after: other.map(without_places),
            }),
        }
    }
}

/// The items of a list with their plugins' names, if each has one of its own.
fn by_name(list: &Value) -> Option<Vec<(String, Value)>> {
    let items = list.as_array()?;
    let name = |item: &Value| item.get("name")?.as_str().map(str::to_owned);
    let named: Option<Vec<(String, Value)>> = items
        .iter()
        .map(|item| Some((name(item)?, item.clone())))
        .collect();
    let names: BTreeSet<String> = items.iter().filter_map(name).collect();
    named.filter(|_| names.len() == items.len())
}

/// A step as it is set, without where it stands in the file.
fn without_places(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| *key != "at")
            .map(|(key, value)| (key.clone(), without_places(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_places).collect(),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differ;

    #[test]
    fn plans_differ_by_paths_that_a_reader_knows() {
        let step = |name: &str, at: usize, k: usize| json!({ "name": name, "at": format!("/{at}"), "settings": { "k": k } });
        for (before, after, expected) in [
            (json!({ "a": 1 }), json!({ "a": 1 }), json!([])),
            (
                json!({ "train": { "batch": 8, "clip": null } }),
                json!({ "train": { "batch": 16, "clip": 1.0 } }),
                json!([["train.batch", 8, 16], ["train.clip", null, 1.0]]),
            ),
            // Where a step stands in the file is no difference; an item is named by its plugin.
            (
                json!({ "filter": [step("one", 0, 1), step("two", 1, 1)] }),
                json!({ "filter": [step("two", 0, 2)] }),
                json!([
                    ["filter.one", { "name": "one", "settings": { "k": 1 } }, null],
                    ["filter.two.settings.k", 1, 2],
                ]),
            ),
            // The order of steps is.
            (
                json!({ "filter": [step("one", 0, 1), step("two", 1, 1)] }),
                json!({ "filter": [step("two", 0, 1), step("one", 1, 1)] }),
                json!([["filter (order)", ["one", "two"], ["two", "one"]]]),
            ),
            (
                json!({ "schedule": [{ "epochs": 1 }] }),
                json!({ "schedule": [{ "epochs": 1 }, { "epochs": 2 }] }),
                json!([["schedule", [{ "epochs": 1 }], [{ "epochs": 1 }, { "epochs": 2 }]]]),
            ),
            // A library follows from its plugins, unless it is another than it was.
            (
                json!({ "libraries": { "one": "a" } }),
                json!({ "libraries": { "one": "b", "two": "c" } }),
                json!([["libraries.one", "a", "b"]]),
            ),
        ] {
            let mut found = Vec::new();
            differ(&before, &after, "", &mut found);
            let found: Vec<_> = found
                .into_iter()
                .map(|one| json!([one.path, one.before, one.after]))
                .collect();
            assert_eq!(json!(found), expected, "{before} {after}");
        }
    }
}
