//! Understands the tree: every key known, every value of its type and within its bounds, every plugin there. Collects all
//! errors instead of stopping at the first.

use std::cell::RefCell;
use std::path::PathBuf;

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind as Problem, nearest};
use orchestrator_plugin_host::{Kind, PluginInfo};
use serde_json::{Map, Value};

use crate::experiment::{
    ActiveLearning, Annotator, AugmentStep, Bands, Bm25, Corpus, Data as DataSection, Difficulty,
    Encoder, Evaluate, Experiment, LossStep, Metric, PluginStep, Reading, RoleFilter, Samples,
    Stage, Train,
};
use crate::expression::Expression;
use crate::node::{Data, Node};
use crate::source::relative;

pub(crate) fn experiment(
    root: &Node,
    plugins: &[&PluginInfo],
    looked_in: &[PathBuf],
) -> Result<Experiment, Diagnostics> {
    let reader = Reader {
        plugins,
        looked_in,
        errors: RefCell::default(),
        names: RefCell::default(),
    };
    let experiment = reader.experiment(root);
    Diagnostics::fail_if_any(reader.errors.take())?;
    experiment.ok_or_else(|| {
        // Every way to `None` pushes an error: this is a fault of ours.
        Diagnostic::new(
            Problem::Internal,
            "the experiment could not be read, and no error says why",
        )
        .into()
    })
}

struct Reader<'a> {
    plugins: &'a [&'a PluginInfo],
    looked_in: &'a [PathBuf],
    errors: RefCell<Vec<Diagnostic>>,
    names: RefCell<Vec<String>>,
}

/// The keys of a group, each looked up once.
struct Fields<'n> {
    node: &'n Node,
    path: String,
}

const TOP: [&str; 9] = [
    "name",
    "seed",
    "plugins",
    "data",
    "model",
    "samples",
    "train",
    "active_learning",
    "evaluate",
];

impl<'a> Reader<'a> {
    fn push(&self, diagnostic: Diagnostic) {
        self.errors.borrow_mut().push(diagnostic);
    }

    fn wrong(&self, node: &Node, message: impl Into<String>) {
        self.push(Diagnostic::new(Problem::Experiment, message).at(node.place.location()));
    }

    /// The fields of a group of keys; unknown keys and other types are errors.
    fn fields<'n>(&self, node: &'n Node, path: &str, known: &[&str]) -> Option<Fields<'n>> {
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
    fn group<'n>(
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

    fn missing(&self, fields: &Fields<'_>, key: &str, example: &str) {
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

    fn type_error(&self, node: &Node, key: &str, expected: &str) {
        self.wrong(
            node,
            format!("`{key}` must be {expected}, not {}", describe(node)),
        );
    }

    fn number(
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

    fn whole(
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

    fn text(&self, node: &Node, key: &str) -> Option<String> {
        match &node.data {
            Data::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                self.type_error(node, key, "text");
                None
            }
        }
    }

    /// One of a few words.
    fn word<T: Copy>(
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

    fn word_of<T: Copy>(&self, node: &Node, key: &str, words: &[(&str, T)]) -> Option<T> {
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

    fn items<'n>(&self, fields: &Fields<'n>, key: &str) -> Option<&'n [Node]> {
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

    fn experiment(&self, root: &Node) -> Option<Experiment> {
        let top = self.fields(root, "", &TOP)?;
        let name = match top.get("name") {
            Some(node) => self.text(node, "name").filter(|name| {
                let fine = name
                    .chars()
                    .all(|c| c.is_alphanumeric() || "-_.".contains(c))
                    && !name.starts_with('.');
                if !fine {
                    self.wrong(
                        node,
                        "`name` names a folder: letters, digits, `-`, `_` and `.` only",
                    );
                }
                fine
            }),
            None => {
                self.missing(&top, "name", "name: my-experiment");
                None
            }
        };
        let seed = self.whole(Some(&top), "seed", 13, 0);
        let plugins: Option<Vec<PathBuf>> = self.items(&top, "plugins").and_then(|items| {
            items
                .iter()
                .map(|item| {
                    let path = relative(item);
                    if path.is_none() {
                        self.type_error(item, "plugins", "a list of paths");
                    }
                    path
                })
                .collect()
        });
        let data = self.data(&top);
        let encoder = self.model(&top);
        let samples = self.samples(&top);
        let active_learning = self.active_learning(&top);
        let train = self.train(&top, active_learning.is_some());
        let evaluate = self.evaluate(&top);
        Some(Experiment {
            name: name?,
            seed: seed? as u64,
            plugins: plugins?,
            data: data?,
            encoder: encoder?,
            samples: samples?,
            train: train?,
            active_learning: active_learning?,
            evaluate: evaluate?,
        })
    }

    fn data(&self, top: &Fields<'_>) -> Option<DataSection> {
        let Some(node) = top.get("data") else {
            self.missing(top, "data", "data: { corpus: { format: builtin } }");
            return None;
        };
        let fields = self.fields(
            node,
            "/data",
            &["corpus", "train", "validation", "test", "reading"],
        )?;
        let corpus = match fields.get("corpus") {
            Some(node) => self.corpus(node),
            None => {
                self.missing(&fields, "corpus", "corpus: { format: builtin }");
                None
            }
        };
        let train = match fields.get("train") {
            Some(node) => self.text(node, "train"),
            None => Some("train".to_owned()),
        };
        let validation = self.group(&fields, "validation", &["from", "share"])?;
        if let (Some(from), Some(train)) = (
            validation.as_ref().and_then(|group| group.get("from")),
            &train,
        ) && self.text(from, "from").is_some_and(|from| from != *train)
        {
            self.wrong(
                from,
                format!(
                    "`from` must be the training split, `{train}`: validation is held out of it"
                ),
            );
        }
        let share = self.number(
            validation.as_ref(),
            "share",
            0.15,
            &Bound::new("above 0 and below 1", |x| x > 0.0 && x < 1.0),
        );
        let test = match fields.get("test") {
            Some(node) => Some(Some(self.text(node, "test")?)),
            None => Some(None),
        };
        if let (Some(Some(test)), Some(train), Some(node)) = (&test, &train, fields.get("test"))
            && test == train
        {
            self.wrong(node, format!("`test` is `{train}`, which is trained on"));
        }
        let reading = self.word(
            Some(&fields),
            "reading",
            Reading::Retrieval,
            &[
                ("retrieval", Reading::Retrieval),
                ("entailment", Reading::Entailment),
            ],
        );
        Some(DataSection {
            corpus: corpus?,
            train: train?,
            validation_share: share?,
            test: test?,
            reading: reading?,
        })
    }

    fn corpus(&self, node: &Node) -> Option<Corpus> {
        let fields = self.fields(node, "/data/corpus", &["format", "path"])?;
        let Some(format) = fields.get("format") else {
            self.missing(&fields, "format", "format: scifact");
            return None;
        };
        match self.word_of(format, "format", &[("builtin", true), ("scifact", false)])? {
            true => {
                if let Some(path) = fields.get("path") {
                    self.wrong(path, "the built-in corpus has no `path`");
                }
                Some(Corpus::Builtin)
            }
            false => match fields.get("path") {
                Some(path) => {
                    self.text(path, "path")?;
                    relative(path).map(|path| Corpus::Scifact { path })
                }
                None => {
                    self.missing(
                        &fields,
                        "path",
                        "path: ../data/scifact, the folder of corpus.jsonl",
                    );
                    None
                }
            },
        }
    }

    fn model(&self, top: &Fields<'_>) -> Option<Encoder> {
        let model = self.group(top, "model", &["encoder"])?;
        let encoder = model.as_ref().and_then(|model| model.get("encoder"));
        let fields = match encoder.map(|node| (&node.data, node)) {
            None => None,
            Some((Data::Text(_), node)) => {
                self.word_of(node, "encoder", &[("static", ())])?;
                None
            }
            Some((_, node)) => {
                let outer = self.fields(node, "/model/encoder", &["static"])?;
                match outer.get("static") {
                    Some(inner) => {
                        Some(self.fields(inner, "/model/encoder/static", &["dim", "vocabulary"])?)
                    }
                    None => {
                        self.missing(&outer, "static", "static: { dim: 256, vocabulary: 8000 }");
                        return None;
                    }
                }
            }
        };
        let dim = self.whole(fields.as_ref(), "dim", 256, 8);
        let vocabulary = self.whole(fields.as_ref(), "vocabulary", 8000, 300);
        Some(Encoder::Static {
            dim: dim?,
            vocabulary: vocabulary?,
        })
    }

    fn samples(&self, top: &Fields<'_>) -> Option<Samples> {
        let Some(node) = top.get("samples") else {
            self.missing(
                top,
                "samples",
                "samples: { propose: [{ explicit_positive: {} }] }",
            );
            return None;
        };
        let fields = self.fields(node, "/samples", &["propose", "augment", "filter"])?;
        let propose = self.steps(&fields, "propose", Kind::Sampler, &[], |_, step| Some(step));
        let augment = self.steps(
            &fields,
            "augment",
            Kind::Augmenter,
            &["from"],
            |own, step| {
                let from = self.word(
                    Some(own),
                    "from",
                    RoleFilter::Positive,
                    &[
                        ("positive", RoleFilter::Positive),
                        ("negative", RoleFilter::Negative),
                        ("any", RoleFilter::Any),
                    ],
                );
                Some(AugmentStep { step, from: from? })
            },
        );
        let filter = self.steps(&fields, "filter", Kind::Filter, &[], |_, step| Some(step));
        if propose.as_ref().is_some_and(Vec::is_empty) {
            self.missing(&fields, "propose", "propose: [{ explicit_positive: {} }]");
            return None;
        }
        Some(Samples {
            propose: propose?,
            augment: augment?,
            filter: filter?,
        })
    }

    /// The plugins of a list. `own` are keys of ours beside the plugin's settings.
    fn steps<T>(
        &self,
        fields: &Fields<'_>,
        key: &str,
        kind: Kind,
        own: &[&str],
        finish: impl Fn(&Fields<'_>, PluginStep) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut steps = Vec::new();
        let mut complete = true;
        for (place, item) in self.items(fields, key)?.iter().enumerate() {
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
    fn step<'n>(
        &self,
        item: &'n Node,
        path: &str,
        kind: Kind,
        own: &[&str],
    ) -> Option<(Fields<'n>, PluginStep)> {
        let (given, place, settings) = match &item.data {
            Data::Text(name) => (name.as_str(), &item.place, None),
            Data::Map(entries) if entries.len() == 1 => (
                entries[0].key.as_str(),
                &entries[0].place,
                Some(&entries[0].value),
            ),
            _ => {
                self.push(
                    Diagnostic::new(
                        Problem::Experiment,
                        format!("here goes one {}, with its settings under it", kind.name()),
                    )
                    .at(item.place.location())
                    .note(format!("it is {}", describe(item)))
                    .help("for example - word_count: { min_words: 10 }"),
                );
                return None;
            }
        };
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
        for key in own {
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
        let settings = self.settings(plugin, settings, &fields, own)?;
        Some((
            fields,
            PluginStep {
                name,
                plugin: plugin.id.clone(),
                settings,
                at,
            },
        ))
    }

    fn plugin(&self, kind: Kind, name: &str) -> Option<&'a PluginInfo> {
        let mut of_kind = self.plugins.iter().filter(|one| one.kind == kind);
        if let Some(exact) = of_kind.clone().find(|one| one.id == name) {
            return Some(exact);
        }
        let mut short = of_kind.by_ref().filter(|one| one.short() == name);
        short.next().filter(|_| short.next().is_none()).copied()
    }

    fn unknown_plugin(&self, kind: Kind, name: &str) -> Diagnostic {
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
    fn settings(
        &self,
        plugin: &PluginInfo,
        given: Map<String, Value>,
        fields: &Fields<'_>,
        own: &[&str],
    ) -> Option<Value> {
        let value = Value::Object(given);
        let validator = match jsonschema::validator_for(&plugin.schema) {
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

    fn settings_error(
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
                    known.push("as");
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
                        || format!("it has {}", known.join(", ")),
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

    fn train(&self, top: &Fields<'_>, _active: bool) -> Option<Train> {
        let Some(node) = top.get("train") else {
            self.missing(
                top,
                "train",
                "train: { losses: [{ mnrl: {} }], schedule: [{ epochs: 3 }] }",
            );
            return None;
        };
        let fields = self.fields(
            node,
            "/train",
            &[
                "batch",
                "learning_rate",
                "weight_decay",
                "warmup",
                "checkpoint_every",
                "losses",
                "ratio",
                "bands",
                "schedule",
            ],
        )?;
        let own = Some(&fields);
        let batch = self.whole(own, "batch", 32, 1);
        let learning_rate = self.number(
            own,
            "learning_rate",
            0.01,
            &Bound::new("above 0", |x| x > 0.0),
        );
        let weight_decay = self.number(
            own,
            "weight_decay",
            0.0,
            &Bound::new("at least 0", |x| x >= 0.0),
        );
        let warmup = self.number(
            own,
            "warmup",
            0.1,
            &Bound::new("from 0 to 1", |x| (0.0..=1.0).contains(&x)),
        );
        let checkpoint_every = self.whole(own, "checkpoint_every", 50, 1);
        let losses = self.losses(&fields);
        let ratio = self.group(&fields, "ratio", &["negatives_per_positive"])?;
        let schedule = self.schedule(&fields);
        let epochs = schedule
            .as_ref()
            .map_or(1, |stages| stages.iter().map(|stage| stage.epochs).sum());
        let ratio = match ratio
            .as_ref()
            .and_then(|ratio| ratio.get("negatives_per_positive"))
        {
            Some(node) => self.ratio(node, epochs),
            None => "3".parse().ok(),
        };
        let bands = match fields.get("bands") {
            None => Some(Bands::Terciles),
            Some(node) => self.bands(node),
        };
        Some(Train {
            batch: batch?,
            learning_rate: learning_rate?,
            weight_decay: weight_decay?,
            warmup: warmup?,
            checkpoint_every: checkpoint_every?,
            losses: losses?,
            negatives_per_positive: ratio?,
            bands: bands?,
            schedule: schedule?,
        })
    }

    fn losses(&self, fields: &Fields<'_>) -> Option<Vec<LossStep>> {
        let losses = self.steps(fields, "losses", Kind::Loss, &["weight"], |own, step| {
            let weight = self.number(
                Some(own),
                "weight",
                1.0,
                &Bound::new("at least 0", |x| x >= 0.0),
            );
            Some(LossStep {
                step,
                weight: weight?,
            })
        })?;
        if losses.is_empty() {
            self.missing(fields, "losses", "losses: [{ mnrl: {} }]");
            return None;
        }
        if losses.iter().map(|loss| loss.weight).sum::<f64>() <= 0.0 {
            let node = fields.get("losses").unwrap_or(fields.node);
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    "the weights of the losses sum to zero: nothing would be trained",
                )
                .at(node.place.location())
                .help("give at least one loss a weight above 0"),
            );
            return None;
        }
        Some(losses)
    }

    fn ratio(&self, node: &Node, epochs: usize) -> Option<Expression> {
        let text = match &node.data {
            Data::Text(text) => text.clone(),
            Data::Integer(value) => value.to_string(),
            Data::Float(value) => value.to_string(),
            _ => {
                self.type_error(
                    node,
                    "negatives_per_positive",
                    "a number or an expression of `epoch`",
                );
                return None;
            }
        };
        match text.parse::<Expression>() {
            Ok(expression) => {
                for epoch in 0..epochs {
                    let value = expression.at(epoch);
                    if !(value.is_finite() && (0.0..=1000.0).contains(&value)) {
                        self.wrong(
                            node,
                            format!(
                                "`{text}` is {value} in epoch {epoch}; it must be from 0 to 1000"
                            ),
                        );
                        return None;
                    }
                }
                Some(expression)
            }
            Err(why) => {
                self.push(
                    Diagnostic::new(
                        Problem::Experiment,
                        format!("`{text}` is not an expression of `epoch`"),
                    )
                    .at(node.place.location())
                    .note(why)
                    .help("for example \"3 * (1 + 0.2 * epoch)\""),
                );
                None
            }
        }
    }

    fn bands(&self, node: &Node) -> Option<Bands> {
        let numbers: Option<Vec<f64>> = match &node.data {
            Data::Text(text) if text == "terciles" => return Some(Bands::Terciles),
            Data::List(items) => items
                .iter()
                .map(|item| match item.data {
                    Data::Integer(value) => Some(value as f64),
                    Data::Float(value) => Some(value),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        match numbers.as_deref() {
            Some([low, high]) if low < high => Some(Bands::Bounds(*low, *high)),
            _ => {
                self.type_error(
                    node,
                    "bands",
                    "`terciles`, or two rising difficulties such as [0.4, 0.7]",
                );
                None
            }
        }
    }

    fn schedule(&self, fields: &Fields<'_>) -> Option<Vec<Stage>> {
        let items = self.items(fields, "schedule")?;
        if fields.get("schedule").is_none() {
            return Some(vec![Stage {
                epochs: 3,
                difficulty: Difficulty::Any,
            }]);
        }
        if items.is_empty() {
            self.missing(
                fields,
                "schedule",
                "schedule: [{ epochs: 3, difficulty: any }]",
            );
            return None;
        }
        items
            .iter()
            .enumerate()
            .map(|(place, item)| {
                let stage = self.fields(
                    item,
                    &format!("/train/schedule/{place}"),
                    &["epochs", "difficulty"],
                )?;
                let epochs = self.whole(Some(&stage), "epochs", 1, 1);
                let difficulty = self.word(
                    Some(&stage),
                    "difficulty",
                    Difficulty::Any,
                    &[
                        ("easy", Difficulty::Easy),
                        ("medium", Difficulty::Medium),
                        ("hard", Difficulty::Hard),
                        ("any", Difficulty::Any),
                    ],
                );
                Some(Stage {
                    epochs: epochs?,
                    difficulty: difficulty?,
                })
            })
            .collect()
    }

    #[allow(clippy::option_option)] // Absent, and wrong, are two things.
    fn active_learning(&self, top: &Fields<'_>) -> Option<Option<ActiveLearning>> {
        let known = [
            "rounds",
            "select",
            "budget",
            "annotator",
            "hold_back",
            "epochs",
        ];
        let Some(fields) = self.group(top, "active_learning", &known)? else {
            return Some(None);
        };
        let own = Some(&fields);
        let rounds = self.whole(own, "rounds", 3, 1);
        let budget = self.whole(own, "budget", 40, 1);
        let hold_back = self.number(
            own,
            "hold_back",
            0.5,
            &Bound::new("above 0 and below 1", |x| x > 0.0 && x < 1.0),
        );
        let epochs = self.whole(own, "epochs", 1, 1);
        let annotator = self.word(
            own,
            "annotator",
            Annotator::Oracle,
            &[("oracle", Annotator::Oracle)],
        );
        let select = match fields.get("select") {
            Some(node) => self
                .step(node, "/active_learning/select", Kind::Selector, &[])
                .map(|(_, mut step)| {
                    // `select: margin` has no list item around it.
                    step.at = "/active_learning/select".to_owned();
                    if matches!(node.data, Data::Map(_)) {
                        step.at.push_str(&format!(
                            "/{}",
                            step.plugin.rsplit('.').next().unwrap_or_default()
                        ));
                    }
                    step
                }),
            None => {
                self.missing(&fields, "select", "select: margin");
                None
            }
        };
        Some(Some(ActiveLearning {
            rounds: rounds?,
            select: select?,
            budget: budget?,
            annotator: annotator?,
            hold_back: hold_back?,
            epochs: epochs?,
        }))
    }

    fn evaluate(&self, top: &Fields<'_>) -> Option<Evaluate> {
        let fields = self.group(top, "evaluate", &["metrics", "bm25"])?;
        let defaults = ["ndcg@10", "recall@100", "mrr@10", "map"];
        let metrics: Option<Vec<Metric>> =
            match fields.as_ref().and_then(|fields| fields.get("metrics")) {
                None => defaults.iter().map(|text| text.parse().ok()).collect(),
                Some(node) => match &node.data {
                    Data::List(items) if !items.is_empty() => items
                        .iter()
                        .map(|item| {
                            let text = self.text(item, "metrics")?;
                            match text.parse() {
                                Ok(metric) => Some(metric),
                                Err(why) => {
                                    self.wrong(item, why);
                                    None
                                }
                            }
                        })
                        .collect(),
                    _ => {
                        self.type_error(node, "metrics", "a list such as [ndcg@10, recall@100]");
                        None
                    }
                },
            };
        let bm25 = match &fields {
            Some(fields) => self.group(fields, "bm25", &["k1", "b"])?,
            None => None,
        };
        let k1 = self.number(
            bm25.as_ref(),
            "k1",
            0.9,
            &Bound::new("at least 0", |x| x >= 0.0),
        );
        let b = self.number(
            bm25.as_ref(),
            "b",
            0.4,
            &Bound::new("from 0 to 1", |x| (0.0..=1.0).contains(&x)),
        );
        Some(Evaluate {
            metrics: metrics?,
            bm25: Bm25 { k1: k1?, b: b? },
        })
    }
}

/// What a number must be, in words and as a test.
struct Bound {
    text: &'static str,
    test: fn(f64) -> bool,
}

impl Bound {
    fn new(text: &'static str, test: fn(f64) -> bool) -> Self {
        Self { text, test }
    }

    fn holds(&self, value: f64) -> bool {
        value.is_finite() && (self.test)(value)
    }
}

impl<'n> Fields<'n> {
    fn get(&self, key: &str) -> Option<&'n Node> {
        self.node
            .get(key)
            .filter(|node| !matches!(node.data, Data::Null))
    }

    fn join(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }
}

fn last(path: &str) -> &str {
    match path.rsplit('/').next() {
        None | Some("") => "the experiment",
        Some(last) => last,
    }
}

fn describe(node: &Node) -> String {
    match &node.data {
        Data::Bool(value) => format!("`{value}`"),
        Data::Integer(value) => format!("`{value}`"),
        Data::Float(value) => format!("`{value}`"),
        Data::Text(text) if text.chars().count() <= 40 => format!("the text `{text}`"),
        _ => node.kind().to_owned(),
    }
}

/// `/margin/relative` of an instance is `/properties/margin/properties/relative` of its schema.
fn schema_pointer(pointer: &str) -> String {
    pointer
        .split('/')
        .skip(1)
        .map(|part| format!("/properties/{part}"))
        .collect()
}

fn with_defaults(mut value: Value, schema: &Value) -> Value {
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
