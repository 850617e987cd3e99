//! What training does when: stages with their negatives, bands of difficulty, and rules that change them by what the
//! validation share says.

use serde::{Deserialize, Serialize};

use crate::Expression;

/// A band of difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// The lowest third, or below the first bound.
    Easy,
    /// The middle third, or between the bounds.
    Medium,
    /// The highest third, or from the second bound.
    Hard,
    /// Every negative.
    Any,
}

impl Difficulty {
    /// The bands, from the easiest on.
    pub const BANDS: [Self; 3] = [Self::Easy, Self::Medium, Self::Hard];

    /// As in the file and the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
            Self::Any => "any",
        }
    }
}

/// Where the bands of difficulty part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bands {
    /// Thirds of the pool.
    Terciles,
    /// At these shares of the pool, ordered by difficulty.
    Quantiles(f64, f64),
    /// At fixed difficulties.
    Bounds(f64, f64),
}

/// Which negatives a stage uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Negatives {
    /// Of one band, or all.
    Of(Difficulty),
    /// Shares of the three bands; they sum to 1.
    Mixture {
        /// Of the easy band.
        easy: f64,
        /// Of the medium band.
        medium: f64,
        /// Of the hard band.
        hard: f64,
    },
}

impl Negatives {
    /// What a report calls it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Of(band) => band.name().to_owned(),
            Self::Mixture { easy, medium, hard } => [easy, medium, hard]
                .iter()
                .zip(Difficulty::BANDS)
                .filter(|(share, _)| **share > 0.0)
                .map(|(share, band)| format!("{} % {}", (share * 100.0).round(), band.name()))
                .collect::<Vec<_>>()
                .join(" + "),
        }
    }
}

/// How the pool is opened in a stage, from the easiest negatives on (competence, Platanios et al. 2019).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pacing {
    /// How the open share grows.
    pub function: PacingFunction,
    /// The share that is open at the beginning of the stage, 0..1.
    pub from: f64,
    /// The share at which it ends, 0..1.
    pub to: f64,
}

/// How the open share of the pool grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacingFunction {
    /// In a straight line.
    Linear,
    /// With the square root of the time: each step brings as many new negatives as it can be learned from equally long.
    Root,
    /// In so many equal jumps.
    Step(usize),
}

impl Pacing {
    /// The open share when `progress` (0..1) of the stage is done.
    #[must_use]
    pub fn open(self, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        let Self { from, to, .. } = self;
        match self.function {
            PacingFunction::Linear => from + (to - from) * progress,
            PacingFunction::Root => (from * from + (to * to - from * from) * progress).sqrt(),
            PacingFunction::Step(jumps) => {
                // The last jump is over before the end, so that all of it is used for a while.
                let done = (progress * (jumps + 1) as f64).floor().min(jumps as f64);
                from + (to - from) * done / jumps as f64
            }
        }
    }
}

/// A stage of the curriculum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// How often every positive is seen; none where it is measured in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// How many steps it has, where it is not measured in epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Which negatives it uses.
    #[serde(rename = "difficulty")]
    pub negatives: Negatives,
    /// How the pool is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pacing: Option<Pacing>,
    /// The losses it uses, by name, with their weights; none = as `train.losses` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<Vec<(String, f64)>>,
    /// Its learning rate; none = the training's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Where its negatives are from; none = from everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// Its ratio; none = the training's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negatives_per_positive: Option<Expression>,
}

impl Stage {
    /// Some epochs on all of the pool.
    #[must_use]
    pub fn of_epochs(epochs: usize) -> Self {
        Self {
            epochs: Some(epochs),
            steps: None,
            negatives: Negatives::Of(Difficulty::Any),
            pacing: None,
            losses: None,
            learning_rate: None,
            sources: None,
            negatives_per_positive: None,
        }
    }

    /// What a report calls it.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = self.negatives.name();
        if let Some(pacing) = self.pacing {
            name = format!(
                "the easiest {} to {} %",
                (pacing.from * 100.0).round(),
                (pacing.to * 100.0).round()
            );
        }
        if let Some(sources) = &self.sources {
            name.push_str(&format!(" of {}", sources.join(" and ")));
        }
        name
    }
}

/// The names that a ratio may use: counted from 0, the step over the whole run.
pub const IN_RATIOS: [&str; 3] = ["epoch", "step", "stage"];

/// The names that the condition of a rule may use.
pub const IN_RULES: [&str; 18] = [
    // The first metric on validation: now, the best before, its last change.
    "value",
    "best",
    "gain",
    "epochs_since_best",
    // Epochs and steps done, the stage from 0, epochs since the rule last did something.
    "epoch",
    "step",
    "stage",
    "epochs_since_change",
    // Negatives a positive as asked, and the share of them that the pool did not have.
    "ratio",
    "short",
    // What is monitored of the pool.
    "monitor.auroc",
    "monitor.cliffs_delta",
    "monitor.gap",
    "monitor.entropy",
    "monitor.difficulty",
    "monitor.false_negatives",
    "monitor.too_easy",
    "monitor.random_similarity",
];

/// A rule that changes training after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// When.
    pub when: Expression,
    /// What.
    pub change: Change,
}

/// A change, and how far it may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Of the negatives a positive: what the expression gives is multiplied.
    Ratio(Bounded),
    /// Of the stage's band, in shares of the pool: so much wider on the easy side, and on the hard side; negative = narrower.
    Band {
        /// On the easy side.
        easier: f64,
        /// On the hard side.
        harder: f64,
    },
    /// Of a number among a plugin's settings: a margin, a temperature.
    Setting {
        /// The plugin, by its name in the experiment.
        of: String,
        /// JSON pointer into its settings.
        pointer: String,
        /// How.
        by: Bounded,
    },
    /// Training ends.
    Stop,
}

/// `value * times + plus`, kept within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounded {
    /// What it is multiplied by.
    pub times: f64,
    /// What is added.
    pub plus: f64,
    /// It does not fall below.
    pub at_least: f64,
    /// It does not rise above.
    pub at_most: f64,
}

impl Bounded {
    /// The changed value.
    #[must_use]
    pub fn of(self, value: f64) -> f64 {
        (value * self.times + self.plus).clamp(self.at_least, self.at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::{Pacing, PacingFunction};

    #[test]
    fn pacing_opens_the_pool_as_it_says() {
        let of = |function| Pacing {
            function,
            from: 0.2,
            to: 1.0,
        };
        for (function, progress, open) in [
            (PacingFunction::Linear, 0.0, 0.2),
            (PacingFunction::Linear, 0.5, 0.6),
            (PacingFunction::Linear, 1.0, 1.0),
            // Platanios et al. 2019, equation 7 with p = 2.
            (
                PacingFunction::Root,
                0.5,
                (0.5f64 * (1.0 - 0.04) + 0.04).sqrt(),
            ),
            (PacingFunction::Root, 1.0, 1.0),
            (PacingFunction::Step(2), 0.3, 0.2),
            (PacingFunction::Step(2), 0.4, 0.6),
            (PacingFunction::Step(2), 0.7, 1.0),
        ] {
            let found = of(function).open(progress);
            assert!(
                (found - open).abs() < 1e-12,
                "{function:?} at {progress}: {found}"
            );
        }
    }
}
