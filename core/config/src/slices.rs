//! Reads `evaluate.slices:`: parts of the test claims, and texts made of them, that are scored on their own.

use orchestrator_diagnostics::{Diagnostic, Kind as Problem, nearest};
use orchestrator_plugin_host::{Kind, PluginInfo, service};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::experiment::{Data as DataSection, PluginStep, Samples};
use crate::node::{Data, Node};
use crate::reader::{Bound, Fields, Reader};
use crate::steps::{is_off, with_defaults};

/// One of `evaluate.slices:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "slice", rename_all = "snake_case")]
pub enum EvaluationSlice {
    /// Claims against their contradictions.
    Nuance {
        /// The augmenter that turns a claim round.
        by: PluginStep,
    },
    /// Claims whose terms are rare in what is trained on.
    LongTail {
        /// Their share of the claims, above 0 and below 1.
        share: f64,
    },
    /// Claims and documents that were edited.
    Adversarial {
        /// The augmenters that edit claims; the name of each is that of its slice, `adversarial/NAME`.
        by: Vec<PluginStep>,
        /// The augmenter that makes a distractor of a relevant document, if there are to be some.
        distractors: Option<PluginStep>,
    },
    /// Other corpora with claims of their own.
    CrossDomain {
        /// Names of `data.other`. They are kept from training.
        corpora: Vec<String>,
        /// Which of their claims: the name of a split.
        claims: String,
    },
}

impl EvaluationSlice {
    /// As in the file.
    pub const NAMES: [&'static str; 4] = ["nuance", "long_tail", "adversarial", "cross_domain"];

    /// As in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nuance { .. } => Self::NAMES[0],
            Self::LongTail { .. } => Self::NAMES[1],
            Self::Adversarial { .. } => Self::NAMES[2],
            Self::CrossDomain { .. } => Self::NAMES[3],
        }
    }

    /// The augmenters it uses.
    #[must_use]
    pub fn steps(&self) -> Vec<&PluginStep> {
        match self {
            Self::Nuance { by } => vec![by],
            Self::Adversarial { by, distractors } => by.iter().chain(distractors).collect(),
            Self::LongTail { .. } | Self::CrossDomain { .. } => Vec::new(),
        }
    }
}

/// The slice of documents against what was made of them.
pub const DISTRACTORS: &str = "adversarial/distractors";

/// Of the claims that a long tail has.
const SHARE: f64 = 0.25;

impl Reader<'_> {
    /// The slices, none if not given. What depends on other parts of the experiment is looked at where those could be read.
    pub(crate) fn slices(
        &self,
        evaluate: &Fields<'_>,
        data: Option<&DataSection>,
        samples: Option<&Samples>,
    ) -> Option<Vec<EvaluationSlice>> {
        let mut slices: Vec<EvaluationSlice> = Vec::new();
        let mut complete = true;
        for (place, item) in self.items(evaluate, "slices")?.iter().enumerate() {
            if is_off(item) {
                continue;
            }
            let path = format!("{}/{place}", evaluate.join("slices"));
            match self.slice(item, &path, data, samples) {
                Some(slice) if slices.iter().any(|one| one.name() == slice.name()) => {
                    self.wrong(
                        item,
                        format!("the slice `{}` is here a second time", slice.name()),
                    );
                    complete = false;
                }
                Some(slice) => slices.push(slice),
                None => complete = false,
            }
        }
        complete.then_some(slices)
    }

    /// `NAME` or `NAME: { settings }`.
    fn slice(
        &self,
        item: &Node,
        path: &str,
        data: Option<&DataSection>,
        samples: Option<&Samples>,
    ) -> Option<EvaluationSlice> {
        let (name, place, settings) =
            self.one_named(item, "slice", "long_tail: { share: 0.25 }")?;
        let known: &[&str] = match name {
            "nuance" => &["by"],
            "long_tail" => &["share"],
            "adversarial" => &["by", "distractors"],
            "cross_domain" => &["corpora", "claims"],
            other => {
                let names = EvaluationSlice::NAMES;
                let help = nearest(other, names).map_or_else(
                    || format!("there are {}", names.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.push(
                    Diagnostic::new(Problem::Experiment, format!("there is no slice `{other}`"))
                        .at(place.location())
                        .help(help),
                );
                return None;
            }
        };
        let path = format!("{path}/{name}");
        let own = match settings {
            Some(node) if !matches!(node.data, Data::Null) => {
                Some(self.fields(node, &path, known)?)
            }
            _ => None,
        };
        let own = own.as_ref();
        match name {
            "nuance" => {
                let scope = "nuance/";
                let by = match own.and_then(|own| own.get("by")) {
                    Some(node) => self
                        .step_in(scope, node, &format!("{path}/by"), Kind::Augmenter, &[])
                        .and_then(|(_, step)| step),
                    None => self.shipped(scope, item, &path, "contradict_rules", json!({})),
                };
                Some(EvaluationSlice::Nuance { by: by? })
            }
            "long_tail" => {
                let bound = Bound::new("above 0 and below 1", |x| x > 0.0 && x < 1.0);
                let share = self.number(own, "share", SHARE, &bound)?;
                Some(EvaluationSlice::LongTail { share })
            }
            "adversarial" => self.adversarial(item, own, &path),
            _ => self.cross_domain(item, own, data, samples),
        }
    }

    fn adversarial(
        &self,
        item: &Node,
        own: Option<&Fields<'_>>,
        path: &str,
    ) -> Option<EvaluationSlice> {
        let scope = "adversarial/";
        let given = own.filter(|own| own.get("by").is_some());
        let by = match given {
            Some(own) => {
                let mut by = Vec::new();
                let mut complete = true;
                for (place, step) in self.items(own, "by")?.iter().enumerate() {
                    if is_off(step) {
                        continue;
                    }
                    let at = format!("{path}/by/{place}");
                    match self.step_in(scope, step, &at, Kind::Augmenter, &[]) {
                        Some((_, Some(read))) if read.name == DISTRACTORS => {
                            self.wrong(
                                step,
                                "`distractors` is a slice of its own: choose another name",
                            );
                            complete = false;
                        }
                        Some((_, Some(read))) => by.push(read),
                        _ => complete = false,
                    }
                }
                complete.then_some(by)
            }
            None => [
                ("char_noise", json!({ "delete": 0.1 })),
                ("keyword_edit", json!({})),
            ]
            .into_iter()
            .map(|(name, settings)| self.shipped(scope, item, path, name, settings))
            .collect(),
        };
        let scope = format!("{DISTRACTORS}/");
        let distractors = match own.and_then(|own| own.get("distractors")) {
            None => self
                .shipped(&scope, item, path, "keyword_edit", json!({}))
                .map(Some),
            Some(node) if says_off(node) => Some(None),
            Some(node) => {
                let at = format!("{path}/distractors");
                let step = self.step_in(&scope, node, &at, Kind::Augmenter, &[]);
                step.and_then(|(_, step)| step).map(Some)
            }
        };
        let (by, distractors) = (by?, distractors?);
        if by.is_empty() && distractors.is_none() {
            self.wrong(
                item,
                "`adversarial` has nothing to edit by and no distractors: leave it out instead",
            );
            return None;
        }
        Some(EvaluationSlice::Adversarial { by, distractors })
    }

    /// An augmenter of ours that the file does not name.
    fn shipped(
        &self,
        scope: &str,
        item: &Node,
        path: &str,
        name: &str,
        settings: Value,
    ) -> Option<PluginStep> {
        let Some(plugin) = self.plugin(Kind::Augmenter, &format!("org.orchestrator.{name}")) else {
            let unknown = self.unknown_plugin(Kind::Augmenter, name);
            self.push(unknown.at(item.place.location()));
            return None;
        };
        Some(PluginStep {
            name: format!("{scope}{name}"),
            plugin: plugin.id.clone(),
            settings: with_defaults(settings, &plugin.schema),
            at: path.to_owned(),
        })
    }

    fn cross_domain(
        &self,
        item: &Node,
        own: Option<&Fields<'_>>,
        data: Option<&DataSection>,
        samples: Option<&Samples>,
    ) -> Option<EvaluationSlice> {
        let claims = match own.and_then(|own| own.get("claims")) {
            Some(node) => Some(self.text(node, "claims")?),
            None => None,
        };
        let named = match own {
            Some(own) => self.items(own, "corpora")?,
            None => &[],
        };
        let mut corpora = Vec::new();
        for node in named {
            let name = self.text(node, "corpora")?;
            if corpora.contains(&name) {
                self.wrong(node, format!("`{name}` is here a second time"));
                return None;
            }
            corpora.push(name);
        }
        let data = data?;
        let known = || data.other.keys().map(String::as_str);
        if data.other.is_empty() {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    "`cross_domain` is scored on other corpora, and data.other names none",
                )
                .at(item.place.location())
                .help("for example data: { other: { physics: { format: scifact, path: ../physics } } }"),
            );
            return None;
        }
        for (node, name) in named.iter().zip(&corpora) {
            if !data.other.contains_key(name) {
                let help = nearest(name, known()).map_or_else(
                    || format!("data.other has {}", known().collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.push(
                    Diagnostic::new(
                        Problem::Experiment,
                        format!("data.other has no corpus `{name}`"),
                    )
                    .at(node.place.location())
                    .help(help),
                );
                return None;
            }
        }
        if corpora.is_empty() {
            corpora = known().map(str::to_owned).collect();
        }
        if corpora.len() == data.other.len()
            && let Some(needs) = samples.and_then(|samples| self.looks_elsewhere(samples))
        {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    format!("`cross_domain` keeps every corpus of data.other from training, and none is left for `{needs}`"),
                )
                .at(item.place.location())
                .help("give it a corpus more under data.other, and name here those that are scored: corpora: [NAME]"),
            );
            return None;
        }
        let of_test = || data.test.clone().unwrap_or_else(|| data.train.clone());
        Some(EvaluationSlice::CrossDomain {
            corpora,
            claims: claims.unwrap_or_else(of_test),
        })
    }

    /// The first step that cannot work without other corpora.
    fn looks_elsewhere<'s>(&self, samples: &'s Samples) -> Option<&'s str> {
        let asks = |step: &&PluginStep| {
            let find = |plugin: &&&PluginInfo| plugin.id == step.plugin;
            let plugin = self.plugins.iter().find(find);
            plugin.is_some_and(|plugin| plugin.services.iter().any(|one| one == service::CORPORA))
        };
        let propose = samples.propose.iter().map(|one| &one.step);
        let augment = samples.augment.iter().map(|one| &one.step);
        let mut all = propose.chain(augment).chain(&samples.filter);
        all.find(asks).map(|step| step.name.as_str())
    }
}

fn says_off(node: &Node) -> bool {
    match &node.data {
        Data::Bool(value) => !value,
        Data::Text(text) => text == "off",
        _ => false,
    }
}

/// Their JSON Schema. `augmenter` is that of one augmenter with its settings.
pub(crate) fn schema(augmenter: &Value) -> Value {
    let off = json!({ "enum": [false, "off"] });
    let properties = json!({
        "nuance": slice(
            json!({ "by": augmenter }),
            "Test claims against their contradictions, which an augmenter makes; contradict_rules if not given.",
        ),
        "long_tail": slice(
            json!({ "share": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": SHARE, "description": "Of the claims." } }),
            "Test claims whose terms are rare in what is trained on.",
        ),
        "adversarial": slice(
            json!({
                "by": { "type": "array", "items": augmenter, "description": "What edits claims; char_noise (delete: 0.1) and keyword_edit if not given." },
                "distractors": { "oneOf": [off, augmenter], "description": "What makes distractors of relevant documents; keyword_edit if not given." },
            }),
            "Test claims that were edited, and relevant documents against edited ones.",
        ),
        "cross_domain": slice(
            json!({
                "corpora": { "type": "array", "items": { "type": "string" }, "description": "Names of data.other, all if not given; they are kept from training." },
                "claims": { "type": "string", "description": "The split of their claims; that of data.test if not given." },
            }),
            "Claims of other corpora over those.",
        ),
    });
    let named = json!({ "type": "object", "minProperties": 1, "maxProperties": 1 });
    let with = |key: &str, value: Value| {
        let mut one = named.clone();
        one[key] = value;
        one
    };
    let mut settings = with("properties", properties);
    settings["additionalProperties"] = Value::Bool(false);
    json!({
        "type": "array",
        "items": { "oneOf": [
            { "enum": EvaluationSlice::NAMES },
            with("additionalProperties", off),
            settings,
        ] },
        "description": "Parts of the test claims, and texts made of them, that are scored on their own at the end.",
    })
}

fn slice(properties: Value, description: &str) -> Value {
    let mut group = Map::new();
    group.insert("type".to_owned(), json!(["object", "null"]));
    group.insert("additionalProperties".to_owned(), Value::Bool(false));
    group.insert("properties".to_owned(), properties);
    group.insert("description".to_owned(), description.into());
    Value::Object(group)
}
