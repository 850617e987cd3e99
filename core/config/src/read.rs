//! Understands the tree: every key known, every value of its type and within its bounds, every plugin there. Collects all
//! errors instead of stopping at the first.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use orchestrator_data::Reading;
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind as Problem};
use orchestrator_plugin_host::{Isolation, Kind, PluginInfo};
use serde_json::{Map, Value};

use crate::experiment::{
    AugmentStep, Bm25, Data as DataSection, Evaluate, Experiment, Metric, PluginStep, ProposeStep,
    Refresh, RoleFilter, Samples,
};
use crate::node::{Data, Node};
use crate::reader::{Bound, Fields, Reader};
use crate::source::relative;
use crate::steps::{name_of, with_defaults};

pub(crate) fn experiment(
    root: &Node,
    plugins: &[&PluginInfo],
    looked_in: &[PathBuf],
) -> Result<Experiment, Diagnostics> {
    let mut reader = Reader {
        plugins,
        looked_in,
        errors: RefCell::default(),
        names: RefCell::default(),
        files: RefCell::default(),
        chat: root
            .get("chat")
            .is_some_and(|node| !matches!(node.data, Data::Null)),
        isolation: Isolation::None,
        isolated: RefCell::default(),
    };
    let top = Fields {
        node: root,
        path: String::new(),
    };
    // What is wrong with it is told all the same, with the rest.
    reader.isolation = reader.isolation(&top, Isolation::None).unwrap_or_default();
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

/// The filter that is there without being named.
const LEAKAGE: &str = "org.orchestrator.leakage";

const TOP: [&str; 16] = [
    "name",
    "seed",
    "plugins",
    "isolation",
    "data",
    "model",
    "models",
    "chat",
    "samples",
    "train",
    "active_learning",
    "audit",
    "evaluate",
    "report",
    "analysis",
    // Taken out before anything is understood; here so that it is suggested.
    "sweep",
];

impl Reader<'_> {
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
        let (models, labels) = self.models(&top).unzip();
        let chat = self.chat(&top);
        let samples = self.samples(&top);
        let active_learning = self.active_learning(&top);
        let epochs_of_rounds = match &active_learning {
            Some(Some(active)) => active.rounds * active.epochs,
            _ => 0,
        };
        let no_models = BTreeMap::new();
        let train = self.train(
            &top,
            epochs_of_rounds,
            models.as_ref().unwrap_or(&no_models),
            encoder.as_ref(),
            samples.as_ref(),
        );
        let audit = self.audit(&top);
        let evaluate = self.evaluate(&top, data.as_ref(), samples.as_ref());
        let templates = self.templates(&top);
        let analysis = self.analysis(&top);
        Some(Experiment {
            name: name?,
            seed: seed? as u64,
            plugins: plugins?,
            data: data?,
            encoder: encoder?,
            models: models?,
            labels: labels?,
            chat: chat?,
            samples: samples?,
            train: train?,
            active_learning: active_learning?,
            audit: audit?,
            evaluate: evaluate?,
            templates: templates?,
            analysis: analysis?,
            files: self.files.take(),
            isolation: self.isolated.take(),
        })
    }

    /// `report: { templates: FOLDER }`
    fn templates(&self, top: &Fields<'_>) -> Option<Option<PathBuf>> {
        let group = self.group(top, "report", &["templates"])?;
        let Some(node) = group.as_ref().and_then(|group| group.get("templates")) else {
            return Some(None);
        };
        match relative(node) {
            Some(folder) if folder.is_dir() => Some(Some(folder)),
            Some(folder) => {
                self.wrong(
                    node,
                    format!(
                        "`{}` is no folder: `templates` names one with templates of the report",
                        folder.display()
                    ),
                );
                None
            }
            None => {
                self.type_error(node, "templates", "the path of a folder");
                None
            }
        }
    }

    fn data(&self, top: &Fields<'_>) -> Option<DataSection> {
        let Some(node) = top.get("data") else {
            self.missing(top, "data", "data: { corpus: { format: builtin } }");
            return None;
        };
        let fields = self.fields(
            node,
            "/data",
            &[
                "corpus",
                "other",
                "train",
                "validation",
                "test",
                "reading",
                "spoil",
            ],
        )?;
        let corpus = match fields.get("corpus") {
            Some(node) => self.corpus(node, "/data/corpus"),
            None => {
                self.missing(&fields, "corpus", "corpus: { format: builtin }");
                None
            }
        };
        let other = self.other_corpora(&fields);
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
                    "validation is held out of the training split, but `from` is another than `train`, which is `{train}`: make them the same"
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
        let spoil = self.number(
            Some(&fields),
            "spoil",
            0.0,
            &Bound::new("at least 0 and below 1", |x| (0.0..1.0).contains(&x)),
        );
        Some(DataSection {
            corpus: corpus?,
            other: other?,
            train: train?,
            validation_share: share?,
            test: test?,
            reading: reading?,
            spoil: spoil?,
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
        let fields = self.fields(
            node,
            "/samples",
            &["topics", "propose", "augment", "filter", "leave_out"],
        )?;
        let leave_out = match fields.get("leave_out") {
            Some(node) => Some(Some(self.file(node, "leave_out")?)),
            None => Some(None),
        };
        let topics = self.whole(Some(&fields), "topics", 20, 2);
        let propose = self.steps(
            &fields,
            "propose",
            Kind::Sampler,
            &["refresh_every"],
            |own, step| {
                let refresh = match own.get("refresh_every") {
                    None => None,
                    Some(node) => Some(self.refresh(node)?),
                };
                Some(ProposeStep {
                    step: step?,
                    refresh,
                })
            },
        );
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
                        ("anchor", RoleFilter::Anchor),
                    ],
                );
                Some(AugmentStep {
                    step: step?,
                    from: from?,
                })
            },
        );
        let filter = self
            .steps(&fields, "filter", Kind::Filter, &[], |_, step| step)
            .map(|steps| self.with_leakage(&fields, steps));
        if propose.as_ref().is_some_and(Vec::is_empty) {
            self.missing(&fields, "propose", "propose: [{ explicit_positive: {} }]");
            return None;
        }
        Some(Samples {
            topics: topics?,
            propose: propose?,
            augment: augment?,
            filter: filter?,
            leave_out: leave_out?,
        })
    }

    /// Nothing of validation and test may leak into training: that filter is there unless the file speaks of it itself,
    /// be it to switch it off (`leakage: off`).
    fn with_leakage(&self, samples: &Fields<'_>, mut steps: Vec<PluginStep>) -> Vec<PluginStep> {
        let Some(plugin) = self.plugin(Kind::Filter, LEAKAGE) else {
            return steps;
        };
        let named = self.items(samples, "filter").into_iter().flatten();
        let spoken_of = named
            .filter_map(name_of)
            .any(|name| name == plugin.id || name == plugin.short());
        if !spoken_of {
            steps.push(PluginStep {
                name: plugin.short().to_owned(),
                plugin: plugin.id.clone(),
                settings: with_defaults(Value::Object(Map::new()), &plugin.schema),
                at: samples.join("filter"),
            });
        }
        steps
    }

    /// `50 steps`, `2 epochs`
    fn refresh(&self, node: &Node) -> Option<Refresh> {
        let read = |text: &str| {
            let (number, unit) = text.trim().split_once(' ')?;
            let number = number.parse::<usize>().ok().filter(|number| *number > 0)?;
            match unit.trim() {
                "step" | "steps" => Some(Refresh::Steps(number)),
                "epoch" | "epochs" => Some(Refresh::Epochs(number)),
                _ => None,
            }
        };
        let refresh = match &node.data {
            Data::Text(text) => read(text),
            _ => None,
        };
        if refresh.is_none() {
            self.type_error(node, "refresh_every", "such as `50 steps` or `2 epochs`");
        }
        refresh
    }

    fn evaluate(
        &self,
        top: &Fields<'_>,
        data: Option<&DataSection>,
        samples: Option<&Samples>,
    ) -> Option<Evaluate> {
        let fields = self.group(top, "evaluate", &["metrics", "bm25", "slices"])?;
        let slices = match &fields {
            Some(fields) => self.slices(fields, data, samples),
            None => Some(Vec::new()),
        };
        let seen = RefCell::new(BTreeSet::new());
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
                                Ok(metric) => {
                                    if seen.borrow_mut().insert(metric) {
                                        Some(metric)
                                    } else {
                                        self.wrong(item, format!("`{text}` is here a second time"));
                                        None
                                    }
                                }
                                Err(why) => {
                                    self.wrong(item, why);
                                    None
                                }
                            }
                        })
                        .collect::<Vec<Option<Metric>>>()
                        .into_iter()
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
            slices: slices?,
        })
    }
}
