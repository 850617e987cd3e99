//! Rules that change training by what the validation share says, after each epoch. What they changed is in no checkpoint: it is
//! found again from what the store holds of each epoch, as everything else is.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_config::{Change, IN_RULES, PluginStep, Rule, Stage, with_number};
use serde_json::Value;

use crate::driver::{Driver, Standing};
use crate::epochs::{Ended, ratio_of};
use crate::error::Error;

/// What rules made of the experiment so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adapted {
    /// What the ratio is multiplied by.
    pub ratio_times: f64,
    /// How much wider bands are, in shares of the pool: on the easy side, on the hard side.
    pub wider: (f64, f64),
    /// Numbers among settings: plugin and pointer to value.
    settings: BTreeMap<(String, String), f64>,
    /// Epochs done when each rule last did something.
    changed: BTreeMap<usize, usize>,
}

impl Default for Adapted {
    fn default() -> Self {
        Self {
            ratio_times: 1.0,
            wider: (0.0, 0.0),
            settings: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }
}

/// What rules decided after an epoch.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Decided {
    /// Each with its reason, for people.
    pub events: Vec<String>,
    pub stop: bool,
}

/// What rules may look at, by name; what is not known is not there.
pub(crate) type Seen = BTreeMap<&'static str, f64>;

/// The names that these rules look at and that are not their own.
pub(crate) fn looked_at(rules: &[Rule]) -> BTreeSet<&'static str> {
    let in_rules: BTreeSet<&str> = rules.iter().flat_map(|rule| rule.when.names()).collect();
    IN_RULES
        .into_iter()
        .filter(|name| in_rules.contains(name) && *name != "epochs_since_change")
        .collect()
}

impl Adapted {
    /// The step with what rules made of its settings.
    pub fn step(&self, step: &PluginStep) -> PluginStep {
        let mut step = step.clone();
        for ((_, pointer), value) in self.settings.iter().filter(|((of, _), _)| *of == step.name) {
            step.settings = with_number(&step.settings, pointer, *value);
        }
        step
    }

    /// Looks at the rules in their order. `ratio` is what was asked for in this epoch, `step_of` finds a plugin's step.
    pub fn decide(
        &mut self,
        rules: &[Rule],
        seen: &Seen,
        epochs: usize,
        ratio: f64,
        stage: &Stage,
        step_of: impl Fn(&str) -> Option<Value>,
    ) -> Decided {
        let mut decided = Decided::default();
        for (place, rule) in rules.iter().enumerate() {
            let since = epochs - self.changed.get(&place).copied().unwrap_or(0);
            let of = |name: &str| match name {
                "epochs_since_change" => since as f64,
                name => seen.get(name).copied().unwrap_or(f64::NAN),
            };
            if !rule.when.holds(&of) {
                continue;
            }
            let what = match &rule.change {
                Change::Ratio(by) => {
                    // Of what the expression gives in this epoch.
                    let expression = ratio / self.ratio_times;
                    let new = by.of(ratio);
                    if expression > 0.0 && new != ratio {
                        self.ratio_times = new / expression;
                        Some(format!(
                            "negatives per positive from {ratio:.3} to {new:.3}"
                        ))
                    } else {
                        None
                    }
                }
                Change::Band { easier, harder } => {
                    let within = |value: f64| value.clamp(-1.0, 1.0);
                    let new = (within(self.wider.0 + easier), within(self.wider.1 + harder));
                    (new != self.wider).then(|| {
                        self.wider = new;
                        format!(
                            "the band ({}) is now wider than the experiment says by {:+.2} of the pool on the easy side and {:+.2} on the hard side",
                            stage.negatives.name(), new.0, new.1
                        )
                    })
                }
                Change::Setting { of, pointer, by } => {
                    let key = (of.clone(), pointer.clone());
                    let given = || step_of(of)?.pointer(pointer)?.as_f64();
                    let before = self.settings.get(&key).copied().or_else(given);
                    before.and_then(|before| {
                        let new = by.of(before);
                        (new != before).then(|| {
                            self.settings.insert(key, new);
                            let path = pointer.trim_start_matches('/').replace('/', ".");
                            format!("{path} of {of} from {before:.4} to {new:.4}")
                        })
                    })
                }
                Change::Stop => {
                    decided.stop = true;
                    Some("training stops".to_owned())
                }
            };
            let Some(what) = what else { continue };
            self.changed.insert(place, epochs);
            let facts: Vec<String> = rule
                .when
                .names()
                .into_iter()
                .map(|name| format!("{name} = {:.4}", of(name)))
                .collect();
            decided.events.push(format!(
                "after epoch {epochs}: {what}, since {} ({})",
                rule.when,
                facts.join(", ")
            ));
        }
        decided
    }
}

impl Driver<'_> {
    /// Negatives a positive that were asked for when an epoch ended.
    pub(crate) fn ratio_asked(&self, standing: &Standing, ended: &Ended<'_>) -> f64 {
        let train = &self.experiment.train;
        let ratio = ratio_of(ended.stage, &train.negatives_per_positive);
        let asked = ratio.value(&|name| match name {
            "epoch" => standing.epochs as f64 - 1.0,
            "stage" => ended.stage_number as f64,
            _ => ended.first_step as f64,
        });
        asked * self.adapted.ratio_times
    }

    /// What the rules look at.
    pub(crate) fn seen_now(
        &self,
        standing: &Standing,
        ended: &Ended<'_>,
        value: Option<f64>,
        best_before: Option<f64>,
        ratio: f64,
        monitored: &dyn Fn(&str) -> Option<f64>,
    ) -> Result<Seen, Error> {
        let mut seen = Seen::new();
        for name in looked_at(&self.experiment.train.adapt) {
            let found = match name {
                "value" => value,
                "best" => best_before,
                "gain" => value.zip(standing.value).map(|(now, before)| now - before),
                "epochs_since_best" => Some(standing.epochs_since_best as f64),
                "epoch" => Some(standing.epochs as f64),
                "step" => Some(standing.steps as f64),
                "stage" => Some(ended.stage_number as f64),
                "ratio" => Some(ratio),
                "short" => {
                    let sum = |what| self.store.metric_sum(what, ended.first_tick);
                    let asked = sum("negatives_asked")?;
                    (asked > 0.0)
                        .then(|| sum("negatives_short_of_ratio").map(|short| short / asked))
                        .transpose()?
                }
                name => name.strip_prefix("monitor.").and_then(monitored),
            };
            if let Some(found) = found.filter(|found| found.is_finite()) {
                seen.insert(name, found);
            }
        }
        Ok(seen)
    }

    /// Looks at the rules.
    pub(crate) fn decide(
        &mut self,
        standing: &Standing,
        ended: &Ended<'_>,
        seen: &Seen,
        ratio: f64,
    ) -> Decided {
        let experiment = self.experiment;
        let settings = |name: &str| {
            let mut steps = experiment.steps().into_iter();
            let step = steps.find(|(_, step)| step.name == name);
            step.map(|(_, step)| step.settings.clone())
        };
        let rules = &experiment.train.adapt;
        self.adapted
            .decide(rules, seen, standing.epochs, ratio, ended.stage, settings)
    }

    /// What the rules looked at, as it was when the store took it in.
    pub(crate) fn seen_before(&self, tick: u32) -> Result<Seen, Error> {
        let mut seen = Seen::new();
        for name in looked_at(&self.experiment.train.adapt) {
            if let Some(value) = self.store.metric(tick, &format!("adapt/{name}"))? {
                seen.insert(name, value);
            }
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use orchestrator_config::{Bounded, Expression};

    use super::*;

    fn rule(when: &str, change: Change) -> Rule {
        Rule {
            when: Expression::read(when, &IN_RULES).expect("a condition"),
            change,
        }
    }

    #[test]
    fn rules_change_what_they_say_within_their_bounds_and_say_why() {
        let twice = Bounded {
            times: 2.0,
            plus: 0.0,
            at_least: 0.0,
            at_most: 5.0,
        };
        let more = Bounded {
            times: 1.0,
            plus: 0.02,
            at_least: 0.0,
            at_most: 0.1,
        };
        let rules = [
            rule("gain < 0", Change::Ratio(twice)),
            rule(
                "monitor.false_negatives > 0.1 and epochs_since_change >= 1",
                Change::Setting {
                    of: "hard_negative".to_owned(),
                    pointer: "/margin/relative".to_owned(),
                    by: more,
                },
            ),
            rule(
                "epochs_since_best >= 2",
                Change::Band {
                    easier: 0.1,
                    harder: 0.0,
                },
            ),
            rule("epochs_since_best >= 4", Change::Stop),
        ];
        let settings = |_: &str| Some(serde_json::json!({ "margin": { "relative": 0.05 } }));
        let stage = Stage::of_epochs(1);
        let mut adapted = Adapted::default();
        let seen = Seen::from([
            ("gain", -0.01),
            ("monitor.false_negatives", 0.2),
            ("epochs_since_best", 1.0),
        ]);
        let decided = adapted.decide(&rules, &seen, 1, 3.0, &stage, settings);
        assert_eq!(decided.events.len(), 2, "{decided:?}");
        assert!(
            decided.events[0].contains("from 3.000 to 5.000, since gain < 0 (gain = -0.0100)"),
            "{decided:?}"
        );
        let step = PluginStep {
            name: "hard_negative".to_owned(),
            plugin: String::new(),
            settings: serde_json::json!({ "margin": { "relative": 0.05 } }),
            at: String::new(),
        };
        let margin = adapted.step(&step).settings["margin"]["relative"].as_f64();
        assert!((margin.unwrap_or(0.0) - 0.07).abs() < 1e-12);
        // At its bound a rule does nothing, and says nothing; without validation none holds.
        let again = adapted.decide(&rules, &seen, 2, 5.0, &stage, settings);
        assert_eq!(again.events.len(), 1, "{again:?}");
        let none = adapted
            .clone()
            .decide(&rules, &Seen::new(), 3, 5.0, &stage, settings);
        assert_eq!(none, Decided::default());
        let late = Seen::from([("epochs_since_best", 4.0)]);
        let last = adapted.decide(&rules, &late, 4, 5.0, &stage, settings);
        assert!(last.stop);
        assert_eq!(adapted.wider, (0.1, 0.0));
    }
}
