//! Understands the tree: every key known, every value of its type and within its bounds, every plugin there. Collects all
//! errors instead of stopping at the first.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use orchestrator_data::{Reading, Source};
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind as Problem};
use orchestrator_plugin_host::{Kind, PluginInfo};

use crate::experiment::{
    ActiveLearning, Annotator, AugmentStep, Bands, Bm25, Data as DataSection, Difficulty, Encoder,
    Evaluate, Experiment, LossStep, Metric, RoleFilter, Samples, Stage, Train,
};
use crate::expression::Expression;
use crate::node::{Data, Node};
use crate::reader::{Bound, Fields, Reader};
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
        let samples = self.samples(&top);
        let active_learning = self.active_learning(&top);
        let epochs_of_rounds = match &active_learning {
            Some(Some(active)) => active.rounds * active.epochs,
            _ => 0,
        };
        let train = self.train(&top, epochs_of_rounds);
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
        Some(DataSection {
            corpus: corpus?,
            train: train?,
            validation_share: share?,
            test: test?,
            reading: reading?,
        })
    }

    fn corpus(&self, node: &Node) -> Option<Source> {
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
                Some(Source::Builtin)
            }
            false => match fields.get("path") {
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
        let propose = self.steps(&fields, "propose", Kind::Sampler, &[], |_, step| step);
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
                Some(AugmentStep {
                    step: step?,
                    from: from?,
                })
            },
        );
        let filter = self.steps(&fields, "filter", Kind::Filter, &[], |_, step| step);
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

    fn train(&self, top: &Fields<'_>, epochs_of_rounds: usize) -> Option<Train> {
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
            &Bound::new("above 0 and at most 10", |x| x > 0.0 && x <= 10.0),
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
            Some(node) => self.ratio(node, epochs + epochs_of_rounds),
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
                step: step?,
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
            .collect::<Vec<Option<Stage>>>()
            .into_iter()
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
                .and_then(|(_, step)| step)
                .map(|mut step| {
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
        })
    }
}
