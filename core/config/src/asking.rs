//! Reads `active_learning:` and `audit:`: whom to ask what, how often, and when to stop.

use orchestrator_diagnostics::{Diagnostic, Kind as Problem};
use orchestrator_plugin_host::Kind;
use serde::{Deserialize, Serialize};

use crate::experiment::PluginStep;
use crate::node::Data;
use crate::reader::{Bound, Fields, Reader};

/// `active_learning:`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveLearning {
    /// How often: train, select, annotate, update.
    pub rounds: usize,
    /// The selector.
    pub select: PluginStep,
    /// Questions a round.
    pub budget: usize,
    /// Questions over all rounds, if bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// Who answers.
    pub annotator: Annotator,
    /// Share of the training judgements held back: what an oracle reveals, and others are asked about anew.
    pub hold_back: f64,
    /// Epochs of training after each round's answers.
    pub epochs: usize,
    /// What may be asked about.
    #[serde(default, skip_serializing_if = "is_default")]
    pub candidates: Candidates,
    /// Where the model stands when a round's training begins.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start: Start,
    /// When there are no more rounds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stop: StopRules,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Annotator {
    /// Reveals judgements that were held back: a simulation.
    Oracle,
    /// The same, wrong in a share of its answers: to study noise.
    NoisyOracle {
        /// The share, 0..1.
        error_rate: f64,
    },
    /// People, on a page.
    Page(People),
    /// Whoever reads a file and writes one back.
    File {
        /// How the file is written.
        format: Format,
    },
    /// A language model.
    Llm(Llm),
}

/// How many people answer, and how much of it twice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct People {
    /// How many.
    pub people: usize,
    /// Share of the questions that two of them answer, neither of whom sees the other's.
    pub overlap: f64,
}

/// How questions are written to a file, and answers read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A line of JSON each.
    Jsonl,
    /// A line of comma-separated values each.
    Csv,
    /// Tasks of Label Studio.
    LabelStudio,
    /// Records of Argilla.
    Argilla,
}

impl Format {
    const NAMES: [(&'static str, Self); 4] = [
        ("jsonl", Self::Jsonl),
        ("csv", Self::Csv),
        ("label-studio", Self::LabelStudio),
        ("argilla", Self::Argilla),
    ];

    /// As in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, one)| *one == self);
        found.map_or("jsonl", |(name, _)| name)
    }
}

/// A language model as an annotator, at the endpoint that `chat:` names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Llm {
    /// Its name, as the endpoint knows it.
    pub model: String,
    /// How freely it answers.
    pub temperature: f64,
    /// Pairs a round that people have judged already, to measure how far it agrees with them.
    pub check: usize,
}

/// What may be asked about: pairs of an anchor and one of its nearest documents of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidates {
    /// How many of an anchor's nearest documents.
    pub nearest: usize,
    /// Of all training anchors (1), or of the share of them that is most like the validation anchors.
    pub like_validation: f64,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            nearest: 10,
            like_validation: 1.0,
        }
    }
}

/// Where the model stands when a round's training begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Where the round before left it.
    #[default]
    Warm,
    /// Where it stood before any training.
    Cold,
}

/// When there are no more rounds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StopRules {
    /// After so many rounds in which the best validation score has not risen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_gain: Option<usize>,
    /// Once the model was right about such a share of a round's questions before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
}

/// `audit:`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// How many samples people are asked about.
    pub samples: usize,
    /// Which.
    pub from: Slice,
    /// How many people, and how much of it twice.
    #[serde(flatten)]
    pub people: People,
}

/// Which samples an audit is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slice {
    /// Any that were used.
    Random,
    /// Negatives that look relevant, positives that do not.
    Suspicious,
}

fn share() -> Bound {
    Bound::new("from 0 to 1", |x| (0.0..=1.0).contains(&x))
}

impl Reader<'_> {
    #[allow(clippy::option_option)] // Absent, and wrong, are two things.
    pub(crate) fn active_learning(&self, top: &Fields<'_>) -> Option<Option<ActiveLearning>> {
        let known = [
            "rounds",
            "select",
            "budget",
            "total",
            "annotator",
            "hold_back",
            "epochs",
            "candidates",
            "start",
            "stop",
        ];
        let Some(fields) = self.group(top, "active_learning", &known)? else {
            return Some(None);
        };
        let own = Some(&fields);
        let rounds = self.whole(own, "rounds", 3, 0);
        let budget = self.whole(own, "budget", 40, 1);
        let total = match fields.get("total") {
            None => Some(None),
            Some(_) => self.whole(own, "total", 1, 1).map(Some),
        };
        let annotator = self.annotator(&fields);
        let is_oracle = matches!(
            annotator,
            Some(Annotator::Oracle | Annotator::NoisyOracle { .. })
        );
        let hold_back = self.number(
            own,
            "hold_back",
            if is_oracle { 0.5 } else { 0.0 },
            &Bound::new("at least 0 and below 1", |x| (0.0..1.0).contains(&x)),
        );
        let epochs = self.whole(own, "epochs", 1, 1);
        let candidates = self.candidates(&fields);
        let start = self.word(
            own,
            "start",
            Start::Warm,
            &[("warm", Start::Warm), ("cold", Start::Cold)],
        );
        let stop = self.stop_rules(&fields);
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
            total: total?,
            annotator: annotator?,
            hold_back: hold_back?,
            epochs: epochs?,
            candidates: candidates?,
            start: start?,
            stop: stop?,
        }))
    }

    /// `oracle`, `page`, `file`, or one of them with its settings; `llm: { model: … }`.
    fn annotator(&self, fields: &Fields<'_>) -> Option<Annotator> {
        const KNOWN: [&str; 4] = ["oracle", "page", "file", "llm"];
        let Some(node) = fields.get("annotator") else {
            return Some(Annotator::Oracle);
        };
        let path = fields.join("annotator");
        let Data::Map(_) = node.data else {
            let alone = [
                ("oracle", Annotator::Oracle),
                ("page", Annotator::Page(People::ONE)),
                (
                    "file",
                    Annotator::File {
                        format: Format::Jsonl,
                    },
                ),
            ];
            let words: Vec<(&str, &Annotator)> =
                alone.iter().map(|(name, one)| (*name, one)).collect();
            return self.word_of(node, "annotator", &words).cloned();
        };
        let group = self.fields(node, &path, &KNOWN)?;
        let given: Vec<&str> = KNOWN
            .into_iter()
            .filter(|name| group.get(name).is_some())
            .collect();
        match given.as_slice() {
            ["oracle"] => {
                let own = self.group(&group, "oracle", &["error_rate"])??;
                let error_rate = self.number(Some(&own), "error_rate", 0.0, &share())?;
                Some(if error_rate > 0.0 {
                    Annotator::NoisyOracle { error_rate }
                } else {
                    Annotator::Oracle
                })
            }
            ["page"] => {
                let own = self.group(&group, "page", &["people", "overlap"])??;
                self.people(&own).map(Annotator::Page)
            }
            ["file"] => {
                let own = self.group(&group, "file", &["format"])??;
                let format = self.word(Some(&own), "format", Format::Jsonl, &Format::NAMES)?;
                Some(Annotator::File { format })
            }
            ["llm"] => self.llm(&group),
            _ => {
                self.type_error(node, "annotator", &format!("one of {}", KNOWN.join(", ")));
                None
            }
        }
    }

    fn llm(&self, group: &Fields<'_>) -> Option<Annotator> {
        let own = self.group(group, "llm", &["model", "temperature", "check"])??;
        let Some(model) = own.get("model") else {
            self.missing(&own, "model", "model: gpt-4o-mini");
            return None;
        };
        if !self.chat {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    "`llm` asks a language model, and the experiment names no endpoint",
                )
                .at(own.node.place.location())
                .help("for example chat: { base_url: \"${OPENAI_BASE_URL}\" }; the key comes from OPENAI_API_KEY"),
            );
            return None;
        }
        let at_least_0 = Bound::new("at least 0", |x| x >= 0.0);
        Some(Annotator::Llm(Llm {
            model: self.text(model, "model")?,
            temperature: self.number(Some(&own), "temperature", 0.0, &at_least_0)?,
            check: self.whole(Some(&own), "check", 20, 0)?,
        }))
    }

    /// `people: 2, overlap: 0.2`
    fn people(&self, own: &Fields<'_>) -> Option<People> {
        let people = self.whole(Some(own), "people", 1, 1)?;
        let default = if people > 1 { 0.2 } else { 0.0 };
        let overlap = self.number(Some(own), "overlap", default, &share())?;
        if people == 1 && overlap > 0.0 {
            self.wrong(
                own.get("overlap").unwrap_or(own.node),
                "an overlap needs two people: people: 2",
            );
            return None;
        }
        Some(People { people, overlap })
    }

    fn candidates(&self, fields: &Fields<'_>) -> Option<Candidates> {
        let known = ["nearest", "like_validation"];
        let Some(group) = self.group(fields, "candidates", &known)? else {
            return Some(Candidates::default());
        };
        let above = Bound::new("above 0 and at most 1", |x| x > 0.0 && x <= 1.0);
        let nearest = self.whole(Some(&group), "nearest", 10, 1);
        let like = self.number(Some(&group), "like_validation", 1.0, &above);
        Some(Candidates {
            nearest: nearest?,
            like_validation: like?,
        })
    }

    fn stop_rules(&self, fields: &Fields<'_>) -> Option<StopRules> {
        let Some(group) = self.group(fields, "stop", &["no_gain", "agreement"])? else {
            return Some(StopRules::default());
        };
        let no_gain = match group.get("no_gain") {
            None => Some(None),
            Some(_) => self.whole(Some(&group), "no_gain", 1, 1).map(Some),
        };
        let agreement = match group.get("agreement") {
            None => Some(None),
            Some(_) => self
                .number(Some(&group), "agreement", 1.0, &share())
                .map(Some),
        };
        Some(StopRules {
            no_gain: no_gain?,
            agreement: agreement?,
        })
    }

    #[allow(clippy::option_option)] // As above.
    pub(crate) fn audit(&self, top: &Fields<'_>) -> Option<Option<Audit>> {
        let known = ["samples", "from", "people", "overlap"];
        let Some(group) = self.group(top, "audit", &known)? else {
            return Some(None);
        };
        let samples = self.whole(Some(&group), "samples", 50, 1);
        let from = self.word(
            Some(&group),
            "from",
            Slice::Suspicious,
            &[("random", Slice::Random), ("suspicious", Slice::Suspicious)],
        );
        let people = self.people(&group);
        Some(Some(Audit {
            samples: samples?,
            from: from?,
            people: people?,
        }))
    }
}

impl People {
    /// One person, who answers everything once.
    pub const ONE: Self = Self {
        people: 1,
        overlap: 0.0,
    };
}
