//! Plugins in an experiment: found by name, their settings checked by their own schemas, defaults filled in.

use orchestrator_diagnostics::{Diagnostic, Kind as Problem, nearest};
use orchestrator_plugin_host::{Kind, PluginInfo, service};
use serde_json::{Map, Value};

use crate::experiment::PluginStep;
use crate::node::{Data, Node, Place};
use crate::reader::{Fields, Reader, describe};

impl<'a> Reader<'a> {
    /// An item of a list that is `NAME` or `NAME: { settings }`: the name, where it stands, and the settings. `what` it is, and an
    /// `example`, are for the error.
    pub(crate) fn one_named<'n>(
        &self,
        item: &'n Node,
        what: &str,
        example: &str,
    ) -> Option<(&'n str, &'n Place, Option<&'n Node>)> {
        match &item.data {
            Data::Text(name) => Some((name.as_str(), &item.place, None)),
            Data::Map(entries) if entries.len() == 1 => {
                let only = &entries[0];
                Some((only.key.as_str(), &only.place, Some(&only.value)))
            }
            _ => {
                self.push(
                    Diagnostic::new(
                        Problem::Experiment,
                        format!("here goes one {what}, with its settings under it"),
                    )
                    .at(item.place.location())
                    .note(format!("it is {}", describe(item)))
                    .help(format!("for example - {example}")),
                );
                None
            }
        }
    }

    /// The plugins of a list. `own` are keys of ours beside the plugin's settings.
    pub(crate) fn steps<T>(
        &self,
        fields: &Fields<'_>,
        key: &str,
        kind: Kind,
        own: &[&str],
        finish: impl Fn(&Fields<'_>, Option<PluginStep>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut steps = Vec::new();
        let mut complete = true;
        for (place, item) in self.items(fields, key)?.iter().enumerate() {
            if is_off(item) {
                continue;
            }
            let path = format!("{}/{place}", fields.join(key));
            match self
                .step(item, &path, kind, own)
                .and_then(|(fields, step)| finish(&fields, step))
            {
                Some(step) => steps.push(step),
                None => complete = false,
            }
        }
        complete.then_some(steps)
    }

    /// `NAME` or `NAME: { settings }`.
    pub(crate) fn step<'n>(
        &self,
        item: &'n Node,
        path: &str,
        kind: Kind,
        own: &[&str],
    ) -> Option<(Fields<'n>, Option<PluginStep>)> {
        self.step_in("", item, path, kind, own)
    }

    /// The same, its name after `scope`: what is used in two places of an experiment needs no second name.
    pub(crate) fn step_in<'n>(
        &self,
        scope: &str,
        item: &'n Node,
        path: &str,
        kind: Kind,
        own: &[&str],
    ) -> Option<(Fields<'n>, Option<PluginStep>)> {
        let (given, place, settings) =
            self.one_named(item, kind.name(), "word_count: { min_words: 10 }")?;
        let Some(plugin) = self.plugin(kind, given) else {
            self.push(self.unknown_plugin(kind, given).at(place.location()));
            return None;
        };
        let at = format!("{path}/{given}");
        let node = match settings {
            Some(node) if !matches!(node.data, Data::Null) => node,
            _ => item,
        };
        let given_settings = match settings.map(|node| &node.data) {
            None | Some(Data::Null) => Map::new(),
            Some(Data::Map(_)) => match node.to_json() {
                Value::Object(map) => map,
                _ => Map::new(),
            },
            Some(_) => {
                self.type_error(node, given, "a group of settings");
                return None;
            }
        };
        let mut settings = given_settings;
        let fields = Fields {
            node,
            path: at.clone(),
        };
        let mut name = plugin.short().to_owned();
        if settings.shift_remove("as").is_some()
            && let Some(node) = fields.get("as")
        {
            name = self.text(node, "as")?;
        }
        let name = format!("{scope}{name}");
        for key in own.iter().chain(&["isolation"]) {
            settings.shift_remove(*key);
        }
        if self.names.borrow().contains(&name) {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    format!("`{name}` is here a second time"),
                )
                .at(place.location())
                .help("give one of them a name of its own: as: another_name"),
            );
            return None;
        }
        self.names.borrow_mut().push(name.clone());
        self.isolate(&name, plugin, &fields)?;
        let asks = |service: &str| plugin.services.iter().any(|one| one == service);
        if asks(service::CHAT) && !self.chat {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    format!("`{given}` asks a language model, and the experiment names no endpoint"),
                )
                .at(place.location())
                .help("for example chat: { base_url: \"${OPENAI_BASE_URL}\" }; the key comes from OPENAI_API_KEY"),
            );
            return None;
        }
        let step = self
            .settings(plugin, settings, &fields, own)
            .map(|settings| {
                self.files_of(&settings, &plugin.schema, fields.node);
                PluginStep {
                    name,
                    plugin: plugin.id.clone(),
                    settings,
                    at,
                }
            });
        Some((fields, step))
    }

    pub(crate) fn plugin(&self, kind: Kind, name: &str) -> Option<&'a PluginInfo> {
        PluginInfo::find(self.plugins.iter().copied(), kind, name).map(|place| self.plugins[place])
    }

    pub(crate) fn unknown_plugin(&self, kind: Kind, name: &str) -> Diagnostic {
        let same_name: Vec<&&PluginInfo> = self
            .plugins
            .iter()
            .filter(|one| one.short() == name)
            .collect();
        let of_kind: Vec<&str> = self
            .plugins
            .iter()
            .filter(|one| one.kind == kind)
            .map(|one| one.short())
            .collect();
        let mut diagnostic = Diagnostic::new(
            Problem::Experiment,
            format!("there is no {} `{name}`", kind.name()),
        );
        match same_name.first() {
            Some(other) if other.kind != kind => {
                return diagnostic.help(format!(
                    "`{name}` is a {}: it goes elsewhere",
                    other.kind.name()
                ));
            }
            Some(_) => {
                let ids: Vec<&str> = same_name.iter().map(|one| one.id.as_str()).collect();
                return diagnostic.help(format!(
                    "several have that name, use the whole id: {}",
                    ids.join(", ")
                ));
            }
            None => {}
        }
        diagnostic = diagnostic.help(nearest(name, of_kind.iter().copied()).map_or_else(
            || {
                if of_kind.is_empty() {
                    "no plugin of that kind was found: are the libraries beside the executable?"
                        .to_owned()
                } else {
                    format!("there are {}", of_kind.join(", "))
                }
            },
            |near| format!("did you mean `{near}`?"),
        ));
        for folder in self.looked_in {
            diagnostic = diagnostic.note(format!("looked in {}", folder.display()));
        }
        diagnostic
    }

    /// Checks settings by the plugin's schema and fills its defaults in.
    pub(crate) fn settings(
        &self,
        plugin: &PluginInfo,
        given: Map<String, Value>,
        fields: &Fields<'_>,
        own: &[&str],
    ) -> Option<Value> {
        let value = Value::Object(given);
        let validator = match jsonschema::validator_for(&closed(&plugin.schema)) {
            Ok(validator) => validator,
            Err(error) => {
                self.push(
                    Diagnostic::new(
                        Problem::Plugin,
                        format!("the settings of `{}` cannot be checked", plugin.id),
                    )
                    .note(format!("its schema is not JSON Schema: {error}"))
                    .help("report it to the plugin's author"),
                );
                return None;
            }
        };
        let mut fine = true;
        for error in validator.iter_errors(&value) {
            fine = false;
            self.settings_error(plugin, &error, fields, own);
        }
        fine.then(|| with_defaults(value, &plugin.schema))
    }

    pub(crate) fn settings_error(
        &self,
        plugin: &PluginInfo,
        error: &jsonschema::ValidationError<'_>,
        fields: &Fields<'_>,
        own: &[&str],
    ) {
        use jsonschema::error::ValidationErrorKind as Fault;
        let pointer = error.instance_path().to_string();
        let node = fields.node.at(&pointer);
        let key = pointer.rsplit('/').next().unwrap_or_default();
        let show = |message: String| {
            Diagnostic::new(Problem::Experiment, message).at(node.place.location())
        };
        let more = format!(
            "orchestrator plugin show {} lists the settings",
            plugin.short()
        );
        let value = error.instance();
        match error.kind() {
            Fault::AdditionalProperties { unexpected } => {
                let schema = plugin
                    .schema
                    .pointer(&schema_pointer(&pointer))
                    .unwrap_or(&plugin.schema);
                let mut known: Vec<&str> = schema["properties"]
                    .as_object()
                    .map(|properties| properties.keys().map(String::as_str).collect())
                    .unwrap_or_default();
                if pointer.is_empty() {
                    known.extend(own);
                    known.extend(["as", "isolation"]);
                }
                for unknown in unexpected {
                    let place = match &node.data {
                        Data::Map(entries) => entries
                            .iter()
                            .find(|entry| entry.key == *unknown)
                            .map(|entry| &entry.place),
                        _ => None,
                    };
                    let help = nearest(unknown, known.iter().copied()).map_or_else(
                        || match known.as_slice() {
                            ["as", "isolation"] => "it has no settings".to_owned(),
                            known => format!("it has {}", known.join(", ")),
                        },
                        |near| format!("did you mean `{near}`?"),
                    );
                    self.push(
                        Diagnostic::new(
                            Problem::Experiment,
                            format!("`{}` has no setting `{unknown}`", plugin.short()),
                        )
                        .at(place.unwrap_or(&node.place).location())
                        .help(help),
                    );
                }
            }
            Fault::Required { property } => {
                let property = property.as_str().unwrap_or_default();
                self.push(
                    show(format!(
                        "`{}` needs the setting `{property}`",
                        plugin.short()
                    ))
                    .help(more),
                );
            }
            Fault::Minimum { limit } => {
                self.push(
                    show(format!("`{key}` must be at least {limit}, not {value}")).help(more),
                );
            }
            Fault::Maximum { limit } => {
                self.push(show(format!("`{key}` must be at most {limit}, not {value}")).help(more));
            }
            Fault::ExclusiveMinimum { limit } => {
                self.push(show(format!("`{key}` must be above {limit}, not {value}")).help(more));
            }
            Fault::ExclusiveMaximum { limit } => {
                self.push(show(format!("`{key}` must be below {limit}, not {value}")).help(more));
            }
            Fault::Enum { options } => {
                let words: Vec<&str> = options
                    .as_array()
                    .map(|all| all.iter().filter_map(Value::as_str).collect())
                    .unwrap_or_default();
                let help = value
                    .as_str()
                    .and_then(|text| nearest(text, words.iter().copied()))
                    .map_or_else(
                        || format!("it can be {}", words.join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                self.push(show(format!("`{key}` cannot be {value}")).help(help));
            }
            _ => self
                .push(show(format!("setting `{key}` of `{}`: {error}", plugin.short())).help(more)),
        }
    }
}

/// `NAME: off` leaves a step out: for files that extend others, and for `--set`.
pub(crate) fn is_off(item: &Node) -> bool {
    match &item.data {
        Data::Map(entries) => match entries.as_slice() {
            [entry] => match &entry.value.data {
                Data::Bool(value) => !value,
                Data::Text(text) => text == "off",
                _ => false,
            },
            _ => false,
        },
        _ => false,
    }
}

/// The name of the plugin that a list item gives.
pub(crate) fn name_of(item: &Node) -> Option<&str> {
    match &item.data {
        Data::Text(name) => Some(name),
        Data::Map(entries) => entries.first().map(|entry| entry.key.as_str()),
        _ => None,
    }
}

/// The schema that refuses settings it does not list, unless it says itself what to do with them: a setting that nobody
/// declared is a typing error, and the plugin would never know.
fn closed(schema: &Value) -> Value {
    const OTHERWISE: [&str; 8] = [
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
    ];
    let mut schema = schema.clone();
    if let Some(map) = schema.as_object_mut()
        && !OTHERWISE.iter().any(|key| map.contains_key(*key))
    {
        map.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    schema
}

/// `/margin/relative` of an instance is `/properties/margin/properties/relative` of its schema.
fn schema_pointer(pointer: &str) -> String {
    pointer
        .split('/')
        .skip(1)
        .map(|part| format!("/properties/{part}"))
        .collect()
}

pub(crate) fn with_defaults(mut value: Value, schema: &Value) -> Value {
    if let (Some(map), Some(properties)) = (value.as_object_mut(), schema["properties"].as_object())
    {
        for (key, property) in properties {
            if let Some(inner) = map.get_mut(key) {
                *inner = with_defaults(inner.take(), property);
            } else if let Some(default) = property.get("default") {
                map.insert(key.clone(), default.clone());
            }
        }
    }
    value
}
