//! The plan: an experiment with everything that could change its result nailed down.

use std::path::{Path, PathBuf};

use orchestrator_config::{Experiment, PluginStep};
use orchestrator_data::{Dataset, Source};
use orchestrator_plugin_host::{Host, Kind, PluginInfo};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// What a run is a function of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Of orchestrator.
    pub version: String,
    /// Every default filled in.
    pub experiment: Experiment,
    /// SHA-256 of corpus and claims.
    pub data_fingerprint: String,
    /// In the order of the experiment.
    pub plugins: Vec<PluginUsed>,
}

/// A plugin the experiment uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginUsed {
    /// Its name in the experiment.
    pub name: String,
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// Its version.
    pub version: String,
    /// SHA-256 of its library.
    pub sha256: String,
}

/// Where a run's inputs lie: what `resume` needs beside the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The experiment file.
    pub experiment: PathBuf,
    /// Where the corpus is from, its path absolute.
    pub corpus: Source,
    /// Further plugin libraries, absolute.
    pub plugins: Vec<PathBuf>,
    /// The lock file that pins them, absolute.
    pub lock: PathBuf,
}

impl Origin {
    /// Of the run in `folder`.
    ///
    /// # Errors
    /// If it is not the folder of a run.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        std::fs::read(folder.join("origin.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| Error::NotARun(folder.to_owned(), "origin.json"))
    }
}

/// Every plugin step of an experiment with its kind, in order.
pub(crate) fn steps(experiment: &Experiment) -> Vec<(Kind, &PluginStep)> {
    let samples = &experiment.samples;
    let mut steps: Vec<(Kind, &PluginStep)> = Vec::new();
    steps.extend(samples.propose.iter().map(|step| (Kind::Sampler, step)));
    steps.extend(
        samples
            .augment
            .iter()
            .map(|one| (Kind::Augmenter, &one.step)),
    );
    steps.extend(samples.filter.iter().map(|step| (Kind::Filter, step)));
    steps.extend(
        experiment
            .train
            .losses
            .iter()
            .map(|one| (Kind::Loss, &one.step)),
    );
    steps.extend(
        experiment
            .active_learning
            .iter()
            .map(|active| (Kind::Selector, &active.select)),
    );
    steps
}

/// Loads the data and pins the plugins.
///
/// # Errors
/// If the data cannot be read or a plugin is gone.
pub fn compile(experiment: &Experiment, host: &Host) -> Result<(Plan, Dataset), Error> {
    let data = load(experiment)?;
    let plugins = steps(experiment)
        .into_iter()
        .map(|(kind, step)| {
            let info: &PluginInfo = host
                .find(kind, &step.plugin)
                .map(orchestrator_plugin_host::Plugin::info)
                .ok_or_else(|| {
                    Error::Changed(format!("the plugin `{}` is not there", step.plugin))
                })?;
            Ok(PluginUsed {
                name: step.name.clone(),
                id: info.id.clone(),
                kind,
                version: info.version.clone(),
                sha256: info.sha256.clone(),
            })
        })
        .collect::<Result<_, Error>>()?;
    // Where things lie is no part of the plan: the same run elsewhere has the same plan. See `Origin`.
    let mut placeless = experiment.clone();
    placeless.plugins.clear();
    if let Source::Scifact { path } = &mut placeless.data.corpus {
        *path = path.file_name().map(PathBuf::from).unwrap_or_default();
    }
    let plan = Plan {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        experiment: placeless,
        data_fingerprint: data.fingerprint.clone(),
        plugins,
    };
    Ok((plan, data))
}

/// The data of an experiment, its validation share held out.
pub(crate) fn load(experiment: &Experiment) -> Result<Dataset, Error> {
    let mut data = orchestrator_data::load(
        &experiment.data.corpus,
        &experiment.data.train,
        experiment.data.test.as_deref(),
    )?;
    data.exclude_leaks();
    data.hold_out(experiment.seed, experiment.data.validation_share);
    Ok(data)
}

impl Plan {
    /// As `plan.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The folder a run of it gets by default: name and a short hash of the plan.
    #[must_use]
    pub fn folder_name(&self) -> String {
        let digest = Sha256::digest(self.to_json().as_bytes());
        let short: String = digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{}-{short}", self.experiment.name)
    }
}
