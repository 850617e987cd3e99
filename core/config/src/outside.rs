//! Reads what an experiment names beside its own corpus: other corpora, further models, files of settings, an endpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;

use orchestrator_data::{BUILTIN_FIELDS, Source};
use orchestrator_diagnostics::{Diagnostic, Kind as Problem, nearest};
use serde_json::Value;

use crate::experiment::Chat;
use crate::node::{Data, Node};
use crate::reader::{Bound, Fields, Reader};
use crate::source::relative;

/// Names that models have without being named.
const MODELS: [&str; 3] = ["current", "initial", "bm25"];

impl Reader<'_> {
    /// `{ format: …, path: … }`
    pub(crate) fn corpus(&self, node: &Node, path: &str) -> Option<Source> {
        let fields = self.fields(node, path, &["format", "path", "fields"])?;
        let Some(format) = fields.get("format") else {
            self.missing(&fields, "format", "format: scifact");
            return None;
        };
        match self.word_of(format, "format", &[("builtin", true), ("scifact", false)])? {
            true => {
                if let Some(path) = fields.get("path") {
                    self.wrong(path, "the built-in corpus has no `path`");
                }
                let fields: Option<Vec<String>> = self
                    .items(&fields, "fields")?
                    .iter()
                    .map(|item| {
                        let words = BUILTIN_FIELDS.map(|field| (field, field));
                        self.word_of(item, "fields", &words).map(str::to_owned)
                    })
                    .collect();
                Some(Source::Builtin { fields: fields? })
            }
            false => {
                if let Some(given) = fields.get("fields") {
                    self.wrong(given, "only the built-in corpus has `fields`");
                }
                match fields.get("path") {
                    Some(path) => {
                        self.text(path, "path")?;
                        relative(path).map(|path| Source::Scifact { path })
                    }
                    None => {
                        self.missing(
                            &fields,
                            "path",
                            "path: ../data/scifact, the folder of corpus.jsonl",
                        );
                        None
                    }
                }
            }
        }
    }

    /// `data.other:` names to corpora.
    pub(crate) fn other_corpora(&self, data: &Fields<'_>) -> Option<BTreeMap<String, Source>> {
        self.named(
            data,
            "other",
            "a corpus, such as physics: { format: scifact, path: ../physics }",
            |name, node| self.corpus(node, &format!("/data/other/{name}")),
        )
    }

    /// `models:` names to model folders, and to labels of cross-encoders: `guide: FOLDER` or
    /// `judge: { folder: FOLDER, label: entailment }`.
    pub(crate) fn models(
        &self,
        top: &Fields<'_>,
    ) -> Option<(BTreeMap<String, PathBuf>, BTreeMap<String, String>)> {
        let named = self.named(
            top,
            "models",
            "a model folder, such as guide: runs/first/model",
            |name, node| {
                let (folder, label) = self.model_of(name, node)?;
                if MODELS.contains(&name) {
                    self.wrong(
                        node,
                        format!(
                            "`{name}` is a model that every experiment has: choose another name"
                        ),
                    );
                    return None;
                }
                Some((folder, label))
            },
        )?;
        let mut labels = BTreeMap::new();
        let mut folders = BTreeMap::new();
        for (name, (folder, label)) in named {
            labels.extend(label.map(|label| (name.clone(), label)));
            folders.insert(name, folder);
        }
        Some((folders, labels))
    }

    fn model_of(&self, name: &str, node: &Node) -> Option<(PathBuf, Option<String>)> {
        if !matches!(node.data, Data::Map(_)) {
            self.text(node, name)?;
            return Some((relative(node)?, None));
        }
        let fields = self.fields(node, &format!("/models/{name}"), &["folder", "label"])?;
        let label = match fields.get("label") {
            None => Some(None),
            Some(label) => match label.data {
                Data::Integer(number) if number >= 0 => Some(Some(number.to_string())),
                _ => self.text(label, "label").map(Some),
            },
        };
        let Some(folder) = fields.get("folder") else {
            self.missing(&fields, "folder", "folder: models/nli");
            return None;
        };
        self.text(folder, "folder")?;
        Some((relative(folder)?, label?))
    }

    /// A group of names, each to what `read` makes of it.
    fn named<T>(
        &self,
        fields: &Fields<'_>,
        key: &str,
        example: &str,
        read: impl Fn(&str, &Node) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let Some(node) = fields.get(key) else {
            return Some(BTreeMap::new());
        };
        let Data::Map(entries) = &node.data else {
            self.type_error(node, key, &format!("a group of names, each with {example}"));
            return None;
        };
        let mut all = BTreeMap::new();
        let mut complete = true;
        for entry in entries {
            match read(&entry.key, &entry.value) {
                Some(value) => {
                    all.insert(entry.key.clone(), value);
                }
                None => complete = false,
            }
        }
        complete.then_some(all)
    }

    /// `train.teacher:`
    #[allow(clippy::option_option)] // Absent, and wrong, are two things.
    pub(crate) fn teacher(
        &self,
        train: &Fields<'_>,
        models: &BTreeMap<String, PathBuf>,
    ) -> Option<Option<String>> {
        let Some(node) = train.get("teacher") else {
            return Some(None);
        };
        let name = self.text(node, "teacher")?;
        let known: Vec<&str> = ["initial", "bm25"]
            .into_iter()
            .chain(models.keys().map(String::as_str))
            .collect();
        if known.contains(&name.as_str()) {
            return Some(Some(name));
        }
        let help = nearest(&name, known.iter().copied()).map_or_else(
            || {
                format!(
                    "it can be {}; more are named under `models:`",
                    known.join(", ")
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        self.push(
            Diagnostic::new(Problem::Experiment, format!("there is no model `{name}`"))
                .at(node.place.location())
                .help(help),
        );
        None
    }

    /// `chat:`
    #[allow(clippy::option_option)] // Absent, and wrong, are two things.
    pub(crate) fn chat(&self, top: &Fields<'_>) -> Option<Option<Chat>> {
        let known = [
            "base_url",
            "concurrency",
            "retries",
            "requests_per_minute",
            "timeout",
            "cache",
        ];
        let Some(fields) = self.group(top, "chat", &known)? else {
            return Some(None);
        };
        let own = Some(&fields);
        let base_url = match fields.get("base_url") {
            Some(node) => self.text(node, "base_url").and_then(|url| {
                if url.starts_with("http://") || url.starts_with("https://") {
                    return Some(url.trim_end_matches('/').to_owned());
                }
                self.wrong(node, "`base_url` must begin with http:// or https://");
                None
            }),
            None => {
                self.missing(
                    &fields,
                    "base_url",
                    "base_url: ${OPENAI_BASE_URL:-https://api.openai.com/v1}",
                );
                None
            }
        };
        let above = || Bound::new("above 0", |x| x > 0.0);
        let requests_per_minute = match fields.get("requests_per_minute") {
            None => Some(None),
            Some(_) => self
                .number(own, "requests_per_minute", 60.0, &above())
                .map(Some),
        };
        let cache = match fields.get("cache") {
            None => Some(None),
            Some(node) => {
                self.text(node, "cache")?;
                relative(node).map(Some)
            }
        };
        let concurrency = self.whole(own, "concurrency", 4, 1);
        let retries = self.whole(own, "retries", 5, 0);
        let timeout = self.number(own, "timeout", 60.0, &above());
        Some(Some(Chat {
            base_url: base_url?,
            concurrency: concurrency?,
            retries: retries?,
            requests_per_minute: requests_per_minute?,
            timeout: timeout?,
            cache: cache?,
        }))
    }

    /// Notes the files that settings name, by the settings' values.
    pub(crate) fn files_of(&self, settings: &Value, schema: &Value, node: &Node) {
        let Some(properties) = schema["properties"].as_object() else {
            return;
        };
        for (key, property) in properties {
            let (Some(value), Some(place)) = (settings.get(key), node.get(key)) else {
                continue;
            };
            if property["format"] == "path"
                && let (Some(name), Some(path)) = (value.as_str(), relative(place))
            {
                self.note_file(place, name, path);
            } else if property.get("properties").is_some() {
                self.files_of(value, property, place);
            }
        }
    }

    /// Notes a file that is no plugin's, and gives its name.
    pub(crate) fn file(&self, node: &Node, key: &str) -> Option<String> {
        let (Some(path), Data::Text(name)) = (relative(node), &node.data) else {
            self.type_error(node, key, "the path of a file");
            return None;
        };
        self.note_file(node, name, path);
        Some(name.clone())
    }

    fn note_file(&self, place: &Node, name: &str, path: PathBuf) {
        let mut files = self.files.borrow_mut();
        if let Some(other) = files.insert(name.to_owned(), path.clone())
            && other != path
        {
            self.wrong(
                place,
                format!(
                    "`{name}` names two files here: `{}` and `{}`",
                    other.display(),
                    path.display()
                ),
            );
        }
    }
}
