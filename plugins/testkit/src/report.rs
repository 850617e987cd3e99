//! What the checks found, for people and for scripts.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::check::Check;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Why not.
    Failed(String),
    /// It could not be asked: why.
    Skipped(String),
}

/// A check that was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The plugin's id; `None` for the library.
    pub plugin: Option<String>,
    /// What was asked.
    pub check: Check,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

/// Everything that was asked of a library.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The library.
    pub library: PathBuf,
    /// Plugin by plugin, in the order of [`Check::ALL`].
    pub asked: Vec<Asked>,
}

impl Report {
    /// How many passed, failed, were skipped.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for one in &self.asked {
            counts[match one.outcome {
                Outcome::Passed => 0,
                Outcome::Failed(_) => 1,
                Outcome::Skipped(_) => 2,
            }] += 1;
        }
        counts
    }

    /// As text: a line a check, plugin by plugin, and the sum.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{}\n", self.library.display());
        let mut plugin = None;
        for one in &self.asked {
            // Writing into a String cannot fail.
            if one.plugin != plugin {
                plugin.clone_from(&one.plugin);
                let _ = writeln!(text, "\n{}", plugin.as_deref().unwrap_or_default());
            }
            let (word, why) = match &one.outcome {
                Outcome::Passed => ("ok", None),
                Outcome::Failed(why) => ("FAILED", Some(why)),
                Outcome::Skipped(why) => ("skipped", Some(why)),
            };
            let _ = writeln!(
                text,
                "  {word:<8} {:<13} {}",
                one.check.name(),
                one.check.asks()
            );
            if let Some(why) = why {
                let _ = writeln!(text, "           {:<13} -> {why}", "");
            }
        }
        let [passed, failed, skipped] = self.counts();
        let _ = writeln!(
            text,
            "\n{passed} passed, {failed} failed, {skipped} skipped"
        );
        text
    }

    /// As one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let asked: Vec<Value> = self
            .asked
            .iter()
            .map(|one| {
                let (outcome, why) = match &one.outcome {
                    Outcome::Passed => ("passed", None),
                    Outcome::Failed(why) => ("failed", Some(why)),
                    Outcome::Skipped(why) => ("skipped", Some(why)),
                };
                json!({
                    "plugin": one.plugin,
                    "check": one.check.name(),
                    "outcome": outcome,
                    "why": why,
                    "seconds": (one.seconds * 1e3).round() / 1e3,
                })
            })
            .collect();
        let [passed, failed, skipped] = self.counts();
        json!({
            "library": self.library,
            "checks": asked,
            "passed": passed,
            "failed": failed,
            "skipped": skipped,
        })
    }
}
