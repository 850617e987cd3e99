//! Plugins with their settings: made for a tick, and each once before there is a run.

use orchestrator_config::{Experiment, PluginStep};
use orchestrator_plugin_host::{Host, Instance, Kind};

use crate::error::Error;
use crate::seed::seed;

/// The plugin of a step, where the experiment says.
pub(crate) fn create(
    experiment: &Experiment,
    host: &Host,
    kind: Kind,
    step: &PluginStep,
) -> Result<Instance, Error> {
    let plugin = host
        .find(kind, &step.plugin)
        .ok_or_else(|| Error::Changed(format!("the plugin `{}` is not there", step.plugin)))?;
    let seed = seed(experiment.seed, &step.name, &[]);
    let isolation = experiment.isolation.get(&step.name);
    let isolation = isolation.copied().unwrap_or_default();
    Ok(plugin.create_in(isolation, &step.name, &step.settings, seed)?)
}

/// Makes each plugin once and drops it: settings that a plugin refuses, though its schema takes them, are told before
/// anything is written. What it refuses only once it sees data is told in the run.
///
/// # Errors
/// All that are refused, in the order of the experiment; the first that fails in another way, alone.
pub fn try_settings(experiment: &Experiment, host: &Host) -> Result<(), Vec<Error>> {
    let mut refused = Vec::new();
    for (kind, step) in experiment.steps() {
        match create(experiment, host, kind, step) {
            Ok(instance) => drop(instance),
            Err(error @ Error::Plugin(orchestrator_plugin_host::Error::Config { .. })) => {
                refused.push(error);
            }
            Err(other) => return Err(vec![other]),
        }
    }
    if refused.is_empty() {
        Ok(())
    } else {
        Err(refused)
    }
}
