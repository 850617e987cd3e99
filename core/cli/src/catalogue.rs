//! Plugins on paper: one line each, one with all its settings, all of them as a page.

use std::fmt::Write as _;

use orchestrator_plugin_host::{Kind, PluginInfo};
use serde_json::Value;

/// One line a plugin.
pub fn lines(infos: &[&PluginInfo]) -> String {
    let width = infos
        .iter()
        .map(|info| info.short().len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for info in infos {
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "{:<9} {:<width$}  {}",
            info.kind.name(),
            info.short(),
            first_sentence(&info.summary)
        );
    }
    text
}

/// A plugin with its settings as a table.
pub fn one(info: &PluginInfo) -> String {
    let mut text = format!(
        "{} ({}) {}\n{}\n\nlicence  {}\nlibrary  {}\nsha256   {}\n",
        info.id,
        info.kind.name(),
        info.version,
        info.summary,
        info.licence,
        info.library.display(),
        info.sha256
    );
    if !info.services.is_empty() {
        let _ = writeln!(text, "services {}", info.services.join(", "));
    }
    let all = settings(&info.schema);
    if all.is_empty() {
        text.push_str("\nno settings\n\n");
        return text;
    }
    text.push_str("\nsettings\n");
    for one in all {
        let mut facts = vec![one.of_type];
        facts.extend(one.bounds);
        facts.extend(one.default.map(|value| format!("default {value}")));
        if one.required {
            facts.push("required".to_owned());
        }
        let _ = writeln!(text, "  {}  ({})", one.path, facts.join(", "));
        if !one.description.is_empty() {
            let _ = writeln!(text, "      {}", one.description);
        }
    }
    text.push('\n');
    text
}

/// The command that writes the page, as the page says.
const REFRESH: &str = "orchestrator plugin list --markdown > docs/PLUGINS.md";

/// Every plugin by kind, with what it says of itself and a table of its settings, as Markdown. Nothing in it depends on
/// where or when it is made.
pub fn markdown(infos: &[&PluginInfo]) -> String {
    let mut text = format!(
        "# The plugins\n\nWhat comes with orchestrator. Generated from the plugins themselves; a test holds it fresh. To write it \
         again:\n\n    {REFRESH}\n\nIn an experiment a plugin goes by the last part of its id. Settings that have no default \
         and are not required\nmay be left out; `orchestrator plugin show NAME` prints one plugin. Your own: \
         [plugins/GUIDE.md](../plugins/GUIDE.md).\n"
    );
    for (kind, title, place) in [
        (
            Kind::Sampler,
            "Samplers",
            "Propose samples for anchors: `samples.propose`.",
        ),
        (
            Kind::Augmenter,
            "Augmenters",
            "Make samples out of samples: `samples.augment`.",
        ),
        (
            Kind::Filter,
            "Filters",
            "Keep or drop samples: `samples.filter`.",
        ),
        (
            Kind::Loss,
            "Losses",
            "What training makes small: `train.losses`.",
        ),
        (
            Kind::Selector,
            "Selectors",
            "Choose what a person is asked about: `active_learning.select`.",
        ),
    ] {
        let of_kind: Vec<_> = infos.iter().filter(|info| info.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {title}\n\n{place}\n\n");
        for info in &of_kind {
            let _ = writeln!(
                text,
                "- [`{0}`](#{0}-{1}): {2}",
                info.short(),
                kind.name(),
                escaped(first_sentence(&info.summary).trim_end_matches('.'))
            );
        }
        for info in of_kind {
            section(info, &mut text);
        }
    }
    text
}

fn section(info: &PluginInfo, text: &mut String) {
    let _ = write!(
        text,
        "\n### {} ({})\n\n{}\n\nId `{}`, version {}.",
        info.short(),
        info.kind.name(),
        escaped(&info.summary),
        info.id,
        info.version
    );
    if !info.services.is_empty() {
        let names: Vec<String> = info
            .services
            .iter()
            .map(|service| format!("`{service}`"))
            .collect();
        let _ = write!(text, " Needs the services {}.", names.join(", "));
    }
    if !info.deterministic {
        text.push_str(" Equal seeds may give other results.");
    }
    text.push('\n');
    let all = settings(&info.schema);
    if all.is_empty() {
        text.push_str("\nNo settings.\n");
        return;
    }
    text.push_str("\n| setting | type | bounds | default | meaning |\n|---|---|---|---|---|\n");
    for one in all {
        let default = match (one.default, one.required) {
            (Some(value), _) => format!("`{value}`"),
            (None, true) => "required".to_owned(),
            (None, false) => String::new(),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {default} | {} |",
            one.path,
            one.of_type,
            escaped(&one.bounds.join(", ")),
            escaped(&one.description).replace('|', "\\|")
        );
    }
}

/// Text of an author's as Markdown: what stands in backquotes stays, no tag and no stray mark elsewhere.
fn escaped(text: &str) -> String {
    let mut in_code = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '`' => in_code = !in_code,
            '<' | '*' | '_' | '[' | ']' if !in_code => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}

/// Up to the first full stop that a capital letter follows.
fn first_sentence(text: &str) -> &str {
    let mut ends = text.match_indices(". ").map(|(place, _)| place);
    ends.find(|place| text[place + 2..].starts_with(char::is_uppercase))
        .map_or(text, |place| &text[..place])
}

/// A setting, as its schema describes it.
struct Setting {
    /// `margin.relative`.
    path: String,
    of_type: String,
    bounds: Vec<String>,
    default: Option<Value>,
    required: bool,
    description: String,
}

/// Every setting of a schema, those of a group after it.
fn settings(schema: &Value) -> Vec<Setting> {
    let mut all = Vec::new();
    collect(schema, "", &mut all);
    all
}

fn collect(schema: &Value, prefix: &str, all: &mut Vec<Setting>) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|keys| keys.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let bounds = [
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("exclusiveMinimum", "above"),
            ("exclusiveMaximum", "below"),
            ("enum", "one of"),
        ]
        .iter()
        .filter_map(|(name, word)| Some(format!("{word} {}", shown(property.get(name)?))))
        .collect();
        let of_type = |schema: &Value| schema["type"].as_str().unwrap_or("any").to_owned();
        all.push(Setting {
            path: format!("{prefix}{key}"),
            of_type: match &property["items"] {
                Value::Null => of_type(property),
                items => format!("{} of {}", of_type(property), of_type(items)),
            },
            bounds,
            default: property.get("default").cloned(),
            required: required.contains(&key.as_str()),
            description: property["description"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        });
        collect(property, &format!("{prefix}{key}."), all);
        collect(&property["items"], &format!("{prefix}{key}[]."), all);
    }
}

/// The values of a list in words, anything else as JSON.
fn shown(value: &Value) -> String {
    match value.as_array() {
        Some(all) => all
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" or "),
        None => value.to_string(),
    }
}
