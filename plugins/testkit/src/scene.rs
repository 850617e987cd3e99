//! What a call is given, and what it gives.

use orchestrator_plugin_host::{LossResult, Proposed, Verdict};

use crate::step::{self, Step};
use crate::world::World;

/// What a call is given.
pub(crate) struct Scene {
    pub world: World,
    pub steps: Vec<Step>,
}

impl Scene {
    pub fn ordinary() -> Self {
        Self {
            world: World::of_rows(59),
            steps: step::ordinary(),
        }
    }

    pub fn empty() -> Self {
        Self {
            world: World::of_rows(0),
            steps: vec![Step::new(step::step(8, Vec::new(), &[]))],
        }
    }

    pub fn of_rows(rows: usize, of_loss: usize) -> Self {
        Self {
            world: World::of_rows(rows),
            steps: vec![Step::new(step::large(of_loss, 128))],
        }
    }

    pub fn huge() -> Self {
        Self::of_rows(100_000, 4_096)
    }

    pub fn odd() -> Self {
        Self {
            world: World::odd(),
            steps: step::odd(),
        }
    }
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Proposed(Proposed),
    Chosen(Vec<usize>),
    Verdicts(Vec<Verdict>),
    Losses(Vec<LossResult>),
}

impl Answer {
    /// How the first difference between two answers reads.
    pub fn difference(&self, other: &Self) -> String {
        fn first<T: PartialEq + std::fmt::Debug>(what: &str, a: &[T], b: &[T]) -> String {
            if a.len() != b.len() {
                return format!("{} {what}s, then {}", a.len(), b.len());
            }
            let short = |one: &T| {
                let text = format!("{one:?}");
                if text.len() > 300 {
                    text.chars().take(300).chain("…".chars()).collect()
                } else {
                    text
                }
            };
            a.iter().zip(b).position(|(a, b)| a != b).map_or_else(
                || "counts differ".to_owned(),
                |place| {
                    format!(
                        "{what} {place} is {}, then {}",
                        short(&a[place]),
                        short(&b[place])
                    )
                },
            )
        }
        match (self, other) {
            (Self::Proposed(a), Self::Proposed(b)) => {
                first("candidate", &a.candidates, &b.candidates)
            }
            (Self::Chosen(a), Self::Chosen(b)) => first("row", a, b),
            (Self::Verdicts(a), Self::Verdicts(b)) => first("verdict", a, b),
            (Self::Losses(a), Self::Losses(b)) => first("loss", a, b),
            _ => "another kind of answer".to_owned(),
        }
    }
}
