//! Reads what training does when: ratio, bands, schedule, rules.

use orchestrator_diagnostics::{Diagnostic, Kind as Problem, nearest};
use orchestrator_plugin_host::Kind;
use serde_json::Value;

use crate::curriculum::{
    Bands, Bounded, Change, Difficulty, IN_RATIOS, IN_RULES, Negatives, Pacing, PacingFunction,
    Rule, Stage,
};
use crate::experiment::{LossStep, PluginStep, Samples};
use crate::expression::Expression;
use crate::node::{Data, Node};
use crate::reader::{Bound, Fields, Reader};

/// How many epochs the stages have at most: one of steps alone counts as many as it could have.
pub(crate) fn most_epochs(stages: &[Stage]) -> usize {
    let of = |stage: &Stage| stage.epochs.or(stage.steps).unwrap_or(1);
    stages.iter().map(of).sum()
}

const BANDS: [(&str, Difficulty); 4] = [
    ("easy", Difficulty::Easy),
    ("medium", Difficulty::Medium),
    ("hard", Difficulty::Hard),
    ("any", Difficulty::Any),
];

impl Reader<'_> {
    /// A number or an expression of `epoch`, `step` and `stage` that gives a ratio.
    pub(crate) fn ratio(&self, node: &Node, epochs: usize) -> Option<Expression> {
        let expression = self.expression(
            node,
            "negatives_per_positive",
            &IN_RATIOS,
            "\"3 * (1 + 0.2 * epoch)\"",
        )?;
        // Every epoch; of steps those that tell a line that leaves the bounds.
        let steps = [0.0, 1.0, 10.0, 100.0, 1e3, 1e4];
        let steps = if expression.names().contains("step") {
            &steps[..]
        } else {
            &steps[..1]
        };
        for epoch in 0..epochs.min(1000) {
            for &step in steps {
                let value = expression.value(&|name| match name {
                    "epoch" => epoch as f64,
                    "step" => step,
                    _ => 0.0,
                });
                if !(value.is_finite() && (0.0..=1000.0).contains(&value)) {
                    let at = if steps.len() > 1 {
                        format!(" at step {step}")
                    } else {
                        String::new()
                    };
                    self.wrong(
                        node,
                        format!(
                            "`{expression}` is {value} in epoch {epoch}{at}; it must be from 0 to 1000"
                        ),
                    );
                    return None;
                }
            }
        }
        Some(expression)
    }

    fn expression(
        &self,
        node: &Node,
        key: &str,
        names: &[&str],
        example: &str,
    ) -> Option<Expression> {
        let text = match &node.data {
            Data::Text(text) => text.clone(),
            Data::Integer(value) => value.to_string(),
            Data::Float(value) => value.to_string(),
            _ => {
                self.type_error(
                    node,
                    key,
                    &format!("a number or an expression of {}", names.join(", ")),
                );
                return None;
            }
        };
        match Expression::read(&text, names) {
            Ok(expression) => Some(expression),
            Err(why) => {
                self.push(
                    Diagnostic::new(
                        Problem::Experiment,
                        format!("`{text}` is not an expression"),
                    )
                    .at(node.place.location())
                    .note(why)
                    .help(format!("for example {example}")),
                );
                None
            }
        }
    }

    pub(crate) fn bands(&self, node: &Node) -> Option<Bands> {
        let numbers = |items: &[Node]| -> Option<Vec<f64>> {
            items
                .iter()
                .map(|item| match item.data {
                    Data::Integer(value) => Some(value as f64),
                    Data::Float(value) => Some(value),
                    _ => None,
                })
                .collect()
        };
        let found = match &node.data {
            Data::Text(text) if text == "terciles" => return Some(Bands::Terciles),
            Data::List(items) => match numbers(items).as_deref() {
                Some([low, high]) if low < high => Some(Bands::Bounds(*low, *high)),
                _ => None,
            },
            Data::Map(_) => {
                let group = self.fields(node, "/train/bands", &["quantiles"])?;
                match self.items(&group, "quantiles").and_then(numbers).as_deref() {
                    Some([low, high]) if 0.0 < *low && low < high && *high < 1.0 => {
                        Some(Bands::Quantiles(*low, *high))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        if found.is_none() {
            self.type_error(
                node,
                "bands",
                "`terciles`, two rising difficulties such as [0.4, 0.7], or { quantiles: [0.25, 0.75] }",
            );
        }
        found
    }

    /// The stages; names of sources and losses are checked where those are known.
    pub(crate) fn schedule(
        &self,
        fields: &Fields<'_>,
        samples: Option<&Samples>,
        losses: Option<&[LossStep]>,
    ) -> Option<Vec<Stage>> {
        let items = self.items(fields, "schedule")?;
        if fields.get("schedule").is_none() {
            return Some(vec![Stage::of_epochs(3)]);
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
            .map(|(place, item)| self.stage(item, place, samples, losses))
            .collect::<Vec<Option<Stage>>>()
            .into_iter()
            .collect()
    }

    fn stage(
        &self,
        item: &Node,
        place: usize,
        samples: Option<&Samples>,
        losses: Option<&[LossStep]>,
    ) -> Option<Stage> {
        let path = format!("/train/schedule/{place}");
        let stage = self.fields(
            item,
            &path,
            &[
                "epochs",
                "steps",
                "difficulty",
                "pacing",
                "losses",
                "learning_rate",
                "sources",
                "ratio",
            ],
        )?;
        let own = Some(&stage);
        let (epochs, steps) = match (stage.get("epochs"), stage.get("steps")) {
            (Some(_), Some(node)) => {
                self.wrong(
                    node,
                    "a stage is measured in `epochs` or in `steps`, not both",
                );
                return None;
            }
            (None, Some(_)) => (None, Some(self.whole(own, "steps", 1, 1)?)),
            _ => (Some(self.whole(own, "epochs", 1, 1)?), None),
        };
        let negatives = match stage.get("difficulty") {
            None => Some(Negatives::Of(Difficulty::Any)),
            Some(node) => self.negatives(node, &stage.join("difficulty")),
        };
        let pacing = match stage.get("pacing") {
            None => Some(None),
            Some(node) => self.pacing(node, &stage.join("pacing")).map(Some),
        };
        if let (Some(Some(_)), Some(negatives), Some(node)) =
            (pacing, negatives, stage.get("pacing"))
            && negatives != Negatives::Of(Difficulty::Any)
        {
            self.wrong(
                node,
                "`pacing` opens the pool from the easiest negatives on: `difficulty` must be any",
            );
            return None;
        }
        let learning_rate = match stage.get("learning_rate") {
            None => Some(None),
            Some(_) => {
                let bound = Bound::new("above 0 and at most 10", |x| x > 0.0 && x <= 10.0);
                self.number(own, "learning_rate", 1.0, &bound).map(Some)
            }
        };
        let sources = match stage.get("sources") {
            None => Some(None),
            Some(node) => self.stage_sources(node, samples).map(Some),
        };
        let of_losses = match stage.get("losses") {
            None => Some(None),
            Some(node) => self.stage_losses(node, losses).map(Some),
        };
        let ratio = match stage.get("ratio") {
            None => Some(None),
            Some(node) => self.ratio(node, epochs.or(steps).unwrap_or(1)).map(Some),
        };
        Some(Stage {
            epochs,
            steps,
            negatives: negatives?,
            pacing: pacing?,
            losses: of_losses?,
            learning_rate: learning_rate?,
            sources: sources?,
            negatives_per_positive: ratio?,
        })
    }

    /// A band, or shares of bands.
    fn negatives(&self, node: &Node, path: &str) -> Option<Negatives> {
        let Data::Map(_) = node.data else {
            return self.word_of(node, "difficulty", &BANDS).map(Negatives::Of);
        };
        let shares = self.fields(node, path, &["easy", "medium", "hard"])?;
        let bound = Bound::new("from 0 to 1", |x| (0.0..=1.0).contains(&x));
        let share = |band| self.number(Some(&shares), band, 0.0, &bound);
        let (easy, medium, hard) = (share("easy"), share("medium"), share("hard"));
        let (easy, medium, hard) = (easy?, medium?, hard?);
        let sum = easy + medium + hard;
        if (sum - 1.0).abs() > 1e-6 {
            self.wrong(
                node,
                format!("the shares of a mixture sum to 1, not to {sum}"),
            );
            return None;
        }
        Some(Negatives::Mixture { easy, medium, hard })
    }

    /// `linear`, or `{ function: step, from: 0.2, to: 1, jumps: 4 }`
    fn pacing(&self, node: &Node, path: &str) -> Option<Pacing> {
        const JUMPS: usize = 4;
        let functions = [
            ("linear", PacingFunction::Linear),
            ("root", PacingFunction::Root),
            ("step", PacingFunction::Step(JUMPS)),
        ];
        if !matches!(node.data, Data::Map(_)) {
            return Some(Pacing {
                function: self.word_of(node, "pacing", &functions)?,
                from: 0.2,
                to: 1.0,
            });
        }
        let group = self.fields(node, path, &["function", "from", "to", "jumps"])?;
        let own = Some(&group);
        let function = self.word(own, "function", PacingFunction::Linear, &functions);
        let bound = Bound::new("above 0 and at most 1", |x| x > 0.0 && x <= 1.0);
        let from = self.number(own, "from", 0.2, &bound);
        let to = self.number(own, "to", 1.0, &bound);
        let jumps = self.whole(own, "jumps", JUMPS, 1);
        let (from, to, jumps) = (from?, to?, jumps?);
        let function = match function? {
            PacingFunction::Step(_) => PacingFunction::Step(jumps),
            _ if group.get("jumps").is_some() => {
                self.wrong(node, "only the function `step` has `jumps`");
                return None;
            }
            other => other,
        };
        if from > to {
            self.wrong(node, format!("`from` is {from}, above `to`, which is {to}"));
            return None;
        }
        Some(Pacing { function, from, to })
    }

    fn stage_sources(&self, node: &Node, samples: Option<&Samples>) -> Option<Vec<String>> {
        let names = self.names_in(node, "sources")?;
        let Some(samples) = samples else {
            return Some(names.into_iter().map(|(name, _)| name).collect());
        };
        let proposed = samples.propose.iter().map(|one| one.step.name.as_str());
        let made = samples.augment.iter().map(|one| one.step.name.as_str());
        let known: Vec<&str> = proposed.chain(made).chain(["annotation"]).collect();
        self.all_known(names, &known, "source of samples")
    }

    /// `[mnrl, triplet]`, or weights by name.
    fn stage_losses(&self, node: &Node, losses: Option<&[LossStep]>) -> Option<Vec<(String, f64)>> {
        let weight_of = |name: &str| {
            let all = losses.unwrap_or_default();
            let found = all.iter().find(|one| one.step.name == name);
            found.map_or(1.0, |one| one.weight)
        };
        let mut given = Vec::new();
        let mut weights = Vec::new();
        match &node.data {
            Data::Map(entries) => {
                let bound = Bound::new("above 0", |x| x > 0.0);
                let group = Fields {
                    node,
                    path: String::new(),
                };
                for entry in entries {
                    weights.push(self.number(Some(&group), &entry.key, 1.0, &bound)?);
                    given.push((entry.key.clone(), &entry.value));
                }
            }
            _ => {
                given = self.names_in(node, "losses")?;
                weights.extend(given.iter().map(|(name, _)| weight_of(name)));
            }
        }
        let names = match losses {
            Some(losses) => {
                let known: Vec<&str> = losses.iter().map(|one| one.step.name.as_str()).collect();
                self.all_known(given, &known, "loss in `train.losses`")?
            }
            None => given.into_iter().map(|(name, _)| name).collect(),
        };
        let all: Vec<(String, f64)> = names.into_iter().zip(weights).collect();
        if all.iter().map(|(_, weight)| weight).sum::<f64>() <= 0.0 {
            self.wrong(
                node,
                "the weights of the stage's losses sum to zero: nothing would be trained",
            );
            return None;
        }
        Some(all)
    }

    fn names_in<'n>(&self, node: &'n Node, key: &str) -> Option<Vec<(String, &'n Node)>> {
        match &node.data {
            Data::List(items) if !items.is_empty() => items
                .iter()
                .map(|item| Some((self.text(item, key)?, item)))
                .collect(),
            _ => {
                self.type_error(node, key, "a list of names");
                None
            }
        }
    }

    fn all_known(
        &self,
        names: Vec<(String, &Node)>,
        known: &[&str],
        what: &str,
    ) -> Option<Vec<String>> {
        names
            .into_iter()
            .map(|(name, node)| {
                if known.contains(&name.as_str()) {
                    return Some(name);
                }
                let help = nearest(&name, known.iter().copied()).map_or_else(
                    || format!("there are {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.push(
                    Diagnostic::new(Problem::Experiment, format!("there is no {what} `{name}`"))
                        .at(node.place.location())
                        .help(help),
                );
                None
            })
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    /// The rules. `again`: samplers are asked again whatever they say, since there are rounds.
    pub(crate) fn adapt(
        &self,
        fields: &Fields<'_>,
        samples: Option<&Samples>,
        losses: Option<&[LossStep]>,
        again: bool,
    ) -> Option<Vec<Rule>> {
        self.items(fields, "adapt")?
            .iter()
            .enumerate()
            .map(|(place, item)| {
                let path = format!("/train/adapt/{place}");
                let known = ["when", "ratio", "band", "setting", "stop"];
                let rule = self.fields(item, &path, &known)?;
                let Some(when) = rule.get("when") else {
                    self.missing(&rule, "when", "when: \"epochs_since_best >= 2\"");
                    return None;
                };
                let when =
                    self.expression(when, "when", &IN_RULES, "\"gain < 0 and epoch >= 2\"");
                let changes: Vec<&str> = known[1..]
                    .iter()
                    .copied()
                    .filter(|key| rule.get(key).is_some())
                    .collect();
                let change = match changes.as_slice() {
                    ["ratio"] => self.bounded(&rule, "ratio", &[], 1000.0).map(Change::Ratio),
                    ["band"] => self.band_change(&rule),
                    ["setting"] => self.setting_change(&rule, samples, losses, again),
                    ["stop"] => match rule.get("stop").map(|node| (&node.data, node)) {
                        Some((Data::Bool(true), _)) => Some(Change::Stop),
                        Some((_, node)) => {
                            self.type_error(node, "stop", "`true`");
                            None
                        }
                        None => None,
                    },
                    _ => {
                        self.push(
                            Diagnostic::new(
                                Problem::Experiment,
                                "a rule changes one thing: ratio, band, setting, or it stops",
                            )
                            .at(item.place.location())
                            .help("for example { when: \"epochs_since_best >= 2\", ratio: { times: 1.5, at_most: 8 } }"),
                        );
                        None
                    }
                };
                Some(Rule {
                    when: when?,
                    change: change?,
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    /// `{ times: 1.5, at_most: 8 }`, `{ plus: 0.02, at_most: 0.2 }`
    fn bounded(&self, rule: &Fields<'_>, key: &str, more: &[&str], most: f64) -> Option<Bounded> {
        let mut known = vec!["times", "plus", "at_least", "at_most"];
        known.extend(more);
        let group = self.group(rule, key, &known)??;
        let own = Some(&group);
        let any = Bound::new("a number", |_| true);
        let above = Bound::new("above 0", |x| x > 0.0);
        let times = self.number(own, "times", 1.0, &above);
        let plus = self.number(own, "plus", 0.0, &any);
        let at_least = self.number(own, "at_least", 0.0, &any);
        let at_most = self.number(own, "at_most", most, &any);
        let by = Bounded {
            times: times?,
            plus: plus?,
            at_least: at_least?,
            at_most: at_most?,
        };
        if by.times == 1.0 && by.plus == 0.0 {
            self.missing(&group, "times", "times: 1.5, or plus: 0.02");
            return None;
        }
        let (up, bounded) = if by.times > 1.0 || by.plus > 0.0 {
            ("at_most", group.get("at_most").is_some())
        } else {
            ("at_least", group.get("at_least").is_some())
        };
        if !bounded {
            self.missing(&group, up, "at_most: 8: a rule may hold again and again");
            return None;
        }
        if by.at_least > by.at_most {
            self.wrong(group.node, "`at_least` is above `at_most`");
            return None;
        }
        Some(by)
    }

    fn band_change(&self, rule: &Fields<'_>) -> Option<Change> {
        let group = self.group(rule, "band", &["easier", "harder"])??;
        let bound = Bound::new("from -1 to 1", |x| (-1.0..=1.0).contains(&x));
        let easier = self.number(Some(&group), "easier", 0.0, &bound)?;
        let harder = self.number(Some(&group), "harder", 0.0, &bound)?;
        if easier == 0.0 && harder == 0.0 {
            self.missing(&group, "harder", "harder: 0.1, a share of the pool");
            return None;
        }
        Some(Change::Band { easier, harder })
    }

    /// `{ of: hard_negative, at: margin.relative, plus: 0.02, at_most: 0.2 }`
    fn setting_change(
        &self,
        rule: &Fields<'_>,
        samples: Option<&Samples>,
        losses: Option<&[LossStep]>,
        again: bool,
    ) -> Option<Change> {
        let by = self.bounded(rule, "setting", &["of", "at"], f64::MAX);
        let group = Fields {
            node: rule.get("setting")?,
            path: rule.join("setting"),
        };
        let (Some(of), Some(at)) = (group.get("of"), group.get("at")) else {
            self.missing(&group, "of", "of: hard_negative, at: margin.relative");
            return None;
        };
        let name = self.text(of, "of")?;
        let path = self.text(at, "at")?;
        let pointer: String = path.split('.').map(|key| format!("/{key}")).collect();
        let by = by?;
        let (Some(samples), Some(losses)) = (samples, losses) else {
            // What is wrong with those is told already.
            return None;
        };
        let mut steps: Vec<(Kind, &PluginStep, bool)> = Vec::new();
        let living = |refresh: bool| refresh || again;
        let refreshed = samples.propose.iter().any(|one| one.refresh.is_some());
        for one in &samples.propose {
            steps.push((Kind::Sampler, &one.step, living(one.refresh.is_some())));
        }
        steps.extend(
            samples
                .augment
                .iter()
                .map(|one| (Kind::Augmenter, &one.step, again)),
        );
        let filters = samples.filter.iter();
        steps.extend(filters.map(|step| (Kind::Filter, step, living(refreshed))));
        steps.extend(losses.iter().map(|one| (Kind::Loss, &one.step, true)));
        let known: Vec<&str> = steps
            .iter()
            .map(|(_, step, _)| step.name.as_str())
            .collect();
        self.all_known(
            vec![(name.clone(), of)],
            &known,
            "plugin in this experiment",
        )?;
        let (kind, step, lives) = *steps.iter().find(|(_, step, _)| step.name == name)?;
        if !lives {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    format!(
                        "`{name}` is asked once only: a change of its settings would change nothing"
                    ),
                )
                .at(of.place.location())
                .help("ask it again as training goes on: refresh_every: 1 epochs"),
            );
            return None;
        }
        let plugin = self.plugin(kind, &step.plugin)?;
        if step
            .settings
            .pointer(&pointer)
            .and_then(Value::as_f64)
            .is_none()
        {
            self.push(
                Diagnostic::new(
                    Problem::Experiment,
                    format!("`{name}` has no number at `{path}` that could be changed"),
                )
                .at(at.place.location())
                .note(format!("its settings are {}", step.settings))
                .help("give it one in the experiment, or name another"),
            );
            return None;
        }
        // Whatever lies between the bounds must be a setting that the plugin takes.
        let node = group.node;
        for (bound, value) in [("at_least", by.at_least), ("at_most", by.at_most)] {
            if node.get(bound).is_none() {
                continue;
            }
            let changed = with_number(&step.settings, &pointer, value);
            let validator = jsonschema::validator_for(&plugin.schema).ok()?;
            if let Err(error) = validator.validate(&changed) {
                self.wrong(
                    node.get(bound).unwrap_or(node),
                    format!("`{name}` does not take {value} at `{path}`: {error}"),
                );
                return None;
            }
        }
        Some(Change::Setting {
            of: name,
            pointer,
            by,
        })
    }
}

/// Settings with another number at a place; a whole number stays one.
#[must_use]
pub fn with_number(settings: &Value, pointer: &str, value: f64) -> Value {
    let mut settings = settings.clone();
    if let Some(place) = settings.pointer_mut(pointer) {
        *place = if place.is_i64() || place.is_u64() {
            Value::from(value.round() as i64)
        } else {
            Value::from(value)
        };
    }
    settings
}
