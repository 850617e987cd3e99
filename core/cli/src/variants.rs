//! The variants of a sweep on the command line: each understood, tried and compiled before anything runs.

use orchestrator_config::{Experiment, Source};
use orchestrator_diagnostics::{Diagnostic, Diagnostics};
use orchestrator_engine::sweeping::{Sweep, SweepRun, SweepVariant};
use orchestrator_engine::{Estimate, Memory, Plan};
use orchestrator_plugin_host::{Host, PluginInfo};
use serde_json::{Value, json};

use crate::commands::{
    Scratch, fits, internal, load_host, lock_beside, placed, search_path, try_settings,
};
use crate::{memory, model, show};

/// A variant that could be run.
pub struct Ready {
    pub variant: SweepVariant,
    seeds: Vec<u64>,
    pub source: Source,
    pub experiment: Experiment,
    plan: Plan,
    memory: Option<Memory>,
}

/// Checks every variant and lists them.
pub fn check(
    source: &Source,
    sweep: orchestrator_config::Sweep,
    json: bool,
) -> Result<(), Diagnostics> {
    let available = memory::available()?;
    let ready = prepare(source, sweep, None, json)?;
    let sweep = sweep_of(source, &ready);
    let mut seeds: Vec<u64> = Vec::new();
    for seed in ready.iter().flat_map(|one| &one.seeds) {
        if !seeds.contains(seed) {
            seeds.push(*seed);
        }
    }
    let variants: Vec<Value> = ready
        .iter()
        .map(|one| {
            let mut value = json!({ "name": one.variant.name });
            if let Some(extends) = &one.variant.extends {
                value["extends"] = json!(extends);
            }
            if !one.variant.changes.is_empty() {
                value["changes"] = json!(one.variant.changes);
            }
            if let Some(memory) = &one.memory {
                value["memory"] = json!(memory.needed);
            }
            if json {
                value["plan"] = json!(one.plan);
            }
            value
        })
        .collect();
    let listed = json!({ "sweep": {
        "name": sweep.name, "runs": sweep.runs.len(), "seeds": seeds, "variants": variants,
    }});
    let shown = if json {
        serde_json::to_string_pretty(&listed)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string())
    } else {
        serde_yaml::to_string(&listed).map_err(|error| error.to_string())
    };
    show::out(&shown.map_err(|error| internal("cannot print the sweep", &error))?);
    // It may be meant for another machine.
    let largest = ready.iter().filter_map(|one| one.memory.as_ref());
    if let (Some(largest), Some(available)) = (largest.map(|one| one.needed).max(), available)
        && largest > available
    {
        let message = format!(
            "here, a run would take about {} of memory, and {} are there for it",
            model::size(largest),
            model::size(available)
        );
        show::warning(&message, json);
    }
    Ok(())
}

/// Understands, tries and compiles every variant. All errors at once: what is wrong with all of them once, what is wrong with
/// some with their names.
pub fn prepare(
    base: &Source,
    sweep: orchestrator_config::Sweep,
    available: Option<u64>,
    json: bool,
) -> Result<Vec<Ready>, Diagnostics> {
    let lock = lock_beside(base.path());
    let mut plugins = base.plugins();
    for path in sweep.variants.iter().flat_map(|one| one.source.plugins()) {
        if !plugins.contains(&path) {
            plugins.push(path);
        }
    }
    let scratch = Scratch::new();
    let host = load_host(&search_path(&plugins, lock, scratch.0.clone())?, json)?;
    let count = sweep.variants.len();
    let mut ready = Vec::new();
    let mut wrong: Vec<(Diagnostic, Vec<String>)> = Vec::new();
    for variant in sweep.variants {
        let name = variant.name.clone();
        match prepare_one(variant, sweep.seeds.as_deref(), &host, available) {
            Ok(one) => ready.push(one),
            Err(told) => {
                for diagnostic in told.all() {
                    match wrong.iter_mut().find(|(known, _)| known == diagnostic) {
                        Some((_, variants)) => variants.push(name.clone()),
                        None => wrong.push((diagnostic.clone(), vec![name.clone()])),
                    }
                }
            }
        }
    }
    let told = wrong.into_iter().map(|(diagnostic, variants)| {
        if variants.len() == count {
            diagnostic
        } else {
            diagnostic.note(format!("in the variant {}", variants.join(", ")))
        }
    });
    Diagnostics::fail_if_any(told.collect())?;
    Ok(ready)
}

fn prepare_one(
    variant: orchestrator_config::Variant,
    seeds: Option<&[u64]>,
    host: &Host,
    available: Option<u64>,
) -> Result<Ready, Diagnostics> {
    let mut source = variant.source;
    // What a seed changes is which claims are held out: each variant is checked with the first.
    if let Some(seed) = seeds.and_then(<[u64]>::first) {
        source = source.with_seed(*seed);
    }
    let found = source.find_models(&model::find_beside);
    let infos: Vec<&PluginInfo> = host.plugins().collect();
    let experiment = source.experiment(&infos, host.looked_in())?;
    found?;
    try_settings(&source, &experiment, host)?;
    let explained = |error| placed(error, &source, &experiment);
    let (plan, inputs) = orchestrator_engine::compile(&experiment, host).map_err(explained)?;
    let estimate = Estimate::of(&experiment, &inputs).map_err(explained)?;
    let memory = estimate.as_ref().map(Estimate::memory);
    fits(Ok(estimate), available).map_err(explained)?;
    Ok(Ready {
        variant: SweepVariant {
            name: variant.name,
            extends: variant.extends,
            changes: variant.changes.into_iter().collect(),
            plan: plan.hash(),
            memory: memory.as_ref().map(|memory| memory.needed),
        },
        seeds: seeds.map_or_else(|| vec![experiment.seed], <[u64]>::to_vec),
        source,
        experiment,
        plan,
        memory,
    })
}

/// The runs in the order they are begun: every variant once before any a second time, so that what was stopped half-way can be
/// compared.
pub fn sweep_of(base: &Source, ready: &[Ready]) -> Sweep {
    let most = ready.iter().map(|one| one.seeds.len()).max().unwrap_or(0);
    let runs = (0..most).flat_map(|turn| {
        ready.iter().filter_map(move |one| {
            let seed = one.seeds.get(turn)?;
            Some(SweepRun::new(&one.variant.name, *seed))
        })
    });
    Sweep {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: base.name().unwrap_or("sweep").to_owned(),
        variants: ready.iter().map(|one| one.variant.clone()).collect(),
        runs: runs.collect(),
    }
}
