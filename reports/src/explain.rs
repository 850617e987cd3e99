//! The life of one thing of a run (a sample, an anchor, a document), and the lists that one begins with: what `explain` shows
//! in a terminal, as JSON and as a page. All three are of the same view.

use orchestrator_store::SampleId;
use orchestrator_store::Store;
use orchestrator_store::explaining::{
    AnchorLife, Depth, DocumentLife, Harmful, RunState, SampleLife, Suspected,
};
use serde::Serialize;

use crate::Error;

pub use crate::explain_page::{render, write};

/// What is explained, with the run it is of. As JSON: `{ run, kind, sample | anchor | document | worst | suspects }`.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The run, as far as it is.
    pub run: RunState,
    /// The name of what follows.
    pub kind: &'static str,
    /// What it is.
    #[serde(flatten)]
    pub of: Of,
}

/// What is explained.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A sample.
    Sample(Box<SampleLife>),
    /// An anchor.
    Anchor(Box<AnchorLife>),
    /// A document.
    Document(Box<DocumentLife>),
    /// The samples that hurt most.
    Worst(Worst),
    /// Those whose label is suspected.
    Suspects(Suspects),
}

/// The most harmful samples.
#[derive(Debug, Serialize)]
pub struct Worst {
    /// How many samples have their influence measured; 0 if it was not measured.
    pub measured: u64,
    /// The most harmful first.
    pub rows: Vec<Harmful>,
}

/// Suspects by role, the most suspicious first.
#[derive(Debug, Serialize)]
pub struct Suspects {
    /// Negatives that may be relevant.
    pub negatives: Vec<Suspected>,
    /// Positives that may not be.
    pub positives: Vec<Suspected>,
}

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// By influence.
    Worst,
    /// By suspicion.
    Suspects,
}

/// One thing of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A sample.
    Sample(SampleId),
    /// The number of an anchor.
    Anchor(usize),
    /// The number of a document.
    Document(usize),
}

/// The life of a thing; `None` if the run has no such thing.
///
/// # Errors
/// If the store cannot be read.
pub fn life(store: &Store, thing: Thing, depth: Depth) -> Result<Option<Explanation>, Error> {
    let (kind, of) = match thing {
        Thing::Sample(id) => (
            "sample",
            store
                .sample_life(id, depth)?
                .map(|life| Of::Sample(Box::new(life))),
        ),
        Thing::Anchor(number) => (
            "anchor",
            store
                .anchor_life(number, depth)?
                .map(|life| Of::Anchor(Box::new(life))),
        ),
        Thing::Document(number) => (
            "document",
            store
                .document_life(number, depth)?
                .map(|life| Of::Document(Box::new(life))),
        ),
    };
    let run = store.run_state()?;
    Ok(of.map(|of| Explanation { run, kind, of }))
}

/// The first rows of a list.
///
/// # Errors
/// If the store cannot be read.
pub fn list(store: &Store, list: List, depth: Depth) -> Result<Explanation, Error> {
    let (kind, of) = match list {
        List::Worst => (
            "worst",
            Of::Worst(Worst {
                measured: store.measured_influences()?,
                rows: store.worst(depth)?,
            }),
        ),
        List::Suspects => (
            "suspects",
            Of::Suspects(Suspects {
                negatives: store.suspected("negative", depth)?,
                positives: store.suspected("positive", depth)?,
            }),
        ),
    };
    Ok(Explanation {
        run: store.run_state()?,
        kind,
        of,
    })
}
