//! Makes a store as a run with so many samples would leave it, to measure what reads it: `report`, `compare`, queries.
//!
//!     orchestrator-bench-store make FOLDER SAMPLES [SEED]   # FOLDER/store.db
//!     orchestrator-bench-store read FOLDER                  # seconds of each query of a report
//!
//! Everything that the report reads is there: a corpus, claims of three parts, judgements, sources, verdicts, scores by three
//! versions of the model, five epochs of training, evaluations, slices, topics, influence, suspects, pictures. The numbers are
//! drawn, not trained: they are plausible in shape (positives nearer than negatives, a loss that falls), and nothing more.
//! Equal arguments give equal rows. A million samples take a few minutes and some 3 GB.

mod data;
mod draw;
mod found;
mod pool;
mod reading;
mod training;

use std::error::Error;
use std::path::Path;

use orchestrator_store::{Plugin, Run, Store};
use serde_json::json;

use crate::data::Data;
use crate::draw::Draw;

/// Metrics of the evaluation.
pub(crate) const METRICS: [&str; 3] = ["ndcg@10", "recall@10", "mrr@10"];
/// Epochs of training.
pub(crate) const EPOCHS: usize = 5;

/// A store that is being written, and the number of its next tick.
pub(crate) struct Writing {
    store: Store,
    next: u32,
}

impl Writing {
    /// The next tick: `write` adds its rows.
    pub(crate) fn tick(
        &mut self,
        kind: &str,
        detail: &str,
        write: impl FnOnce(&orchestrator_store::Tick<'_>) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let tick = self.store.tick(self.next, kind, detail)?;
        write(&tick)?;
        tick.complete()?;
        self.next += 1;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["make", folder, samples] => make(Path::new(folder), samples.parse()?, 1),
        ["make", folder, samples, seed] => make(Path::new(folder), samples.parse()?, seed.parse()?),
        ["read", folder] => reading::read(Path::new(folder)),
        _ => Err("make FOLDER SAMPLES [SEED], or read FOLDER".into()),
    }
}

fn make(folder: &Path, samples: usize, seed: u64) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let mut writing = Writing {
        store: Store::create(&folder.join("store.db"))?,
        next: 0,
    };
    writing.store.event("start", "made by bench/store")?;
    let draw = Draw::new(seed);
    let data = Data::new(&draw, samples);
    let plan = json!({
        "experiment": {
            "name": "made",
            "data": { "reading": "retrieval" },
            "evaluate": { "metrics": METRICS },
        }
    });
    writing.tick("data", "", |tick| {
        tick.add_run(&Run {
            name: "made",
            seed,
            version: env!("CARGO_PKG_VERSION"),
            data_fingerprint: &"0".repeat(64),
            plan: &plan.to_string(),
        })?;
        let plugins = pool::SOURCES
            .iter()
            .map(|source| (source.name, source.kind));
        let filters = pool::FILTERS.iter().map(|filter| (filter.name, "filter"));
        for (name, kind) in plugins.chain(filters).chain([("mnrl", "loss")]) {
            tick.add_plugin(&Plugin {
                name,
                id: name,
                kind,
                version: env!("CARGO_PKG_VERSION"),
                sha256: &"0".repeat(64),
                settings: "{}",
            })?;
        }
        data.write(tick, &draw)
    })?;
    found::evaluate(&mut writing, &data, &draw, "bm25", 0.30)?;
    found::evaluate(&mut writing, &data, &draw, "initial", 0.34)?;
    let mut pool = pool::make(&mut writing, &data, &draw, samples)?;
    training::train(&mut writing, &data, &draw, &mut pool)?;
    found::find(&mut writing, &data, &draw, &pool)?;
    writing.store.event("finish", "")?;
    writing.store.close()?;
    Ok(())
}
