//! Why an endpoint cannot be set up, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use orchestrator_diagnostics::{Diagnostic, Kind};

use crate::Settings;

/// What is wrong with the settings of an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address. It is not repeated, since a password may be in it.
    #[error("`base_url` {why}")]
    BaseUrl {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another setting.
    #[error("`{setting}` must be {must}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// The key.
    #[error("the endpoint's key has characters that no HTTP header may have")]
    Key,
    /// The cache folder.
    #[error("cannot use `{path}` to keep the endpoint's answers: {why}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::BaseUrl { .. } => "for example: base_url: https://api.openai.com/v1",
            Self::Setting { .. } => "change the setting, or leave it out for its default",
            Self::Key => "set OPENAI_API_KEY to the key alone, without quotes or line breaks",
            Self::Cache { .. } => "check the path, its permissions and the space left",
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Cache { .. } => Kind::Data,
            _ => Kind::Experiment,
        };
        Self::new(kind, error.to_string()).help(error.help())
    }
}

/// Checks what is not an address, a key or a folder.
pub(crate) fn check(settings: &Settings) -> Result<(), Error> {
    let time = |time: Duration| !time.is_zero() && time <= Duration::from_secs(24 * 3600);
    let rate = settings.requests_per_minute;
    let rules = [
        (
            (1..=64).contains(&settings.concurrency),
            "concurrency",
            "between 1 and 64",
        ),
        (settings.retries <= 20, "retries", "at most 20"),
        (
            rate.is_none_or(|rate| (0.01..=1e6).contains(&rate)),
            "requests_per_minute",
            "between 0.01 and 1000000",
        ),
        (
            time(settings.timeout),
            "timeout",
            "more than 0 and at most a day",
        ),
        (
            time(settings.first_wait),
            "first_wait",
            "more than 0 and at most a day",
        ),
        (
            time(settings.longest_wait),
            "longest_wait",
            "more than 0 and at most a day",
        ),
    ];
    match rules.into_iter().find(|(holds, _, _)| !holds) {
        Some((_, setting, must)) => Err(Error::Setting { setting, must }),
        None => Ok(()),
    }
}
