//! A plugin with its settings, wherever it runs.

use std::collections::BTreeSet;

use crate::answers::{Given, LossResult, Needs, Proposed, Verdict};
use crate::batch::Batch;
use crate::call::{Calling, Context};
use crate::error::Error;
use crate::isolated::Remote;
use crate::local::Local;
use crate::table::Table;

/// A plugin with its settings. What it gives back has passed every check.
pub struct Instance {
    name: String,
    place: Place,
}

enum Place {
    Here(Local),
    Child(Remote),
}

impl Instance {
    pub(crate) fn here(name: &str, local: Local) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Here(local),
        }
    }

    pub(crate) fn in_child(name: &str, remote: Remote) -> Self {
        Self {
            name: name.to_owned(),
            place: Place::Child(remote),
        }
    }

    /// Whether it is in this process.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// The name the experiment gives it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks a sampler for samples. `anchors` has the columns of `orch.sampler/1`; `known` are the numbers in it.
    ///
    /// # Errors
    /// If the plugin fails or emits what cannot be.
    pub fn propose(
        &self,
        context: &Context<'_>,
        anchors: &Table,
        known: &BTreeSet<usize>,
    ) -> Result<Proposed, Error> {
        let given = Given {
            anchors: known,
            documents: context.services.corpus.map_or(usize::MAX, Table::rows),
            parents: 0,
            parent_needed: false,
            rows: anchors.rows(),
        };
        match &self.place {
            Place::Here(local) => local.propose(Calling::here(context), anchors, given, None),
            Place::Child(remote) => remote.propose(context, anchors, given),
        }
    }

    /// Asks an augmenter for samples out of `samples` (columns of `orch.augmenter/1`).
    ///
    /// # Errors
    /// If the plugin fails or emits what cannot be.
    pub fn augment(
        &self,
        context: &Context<'_>,
        samples: &Table,
        known: &BTreeSet<usize>,
    ) -> Result<Proposed, Error> {
        let given = Given {
            anchors: known,
            documents: context.services.corpus.map_or(usize::MAX, Table::rows),
            parents: samples.rows(),
            parent_needed: true,
            rows: samples.rows(),
        };
        match &self.place {
            Place::Here(local) => local.augment(Calling::here(context), samples, given, None),
            Place::Child(remote) => remote.augment(context, samples, given),
        }
    }

    /// Lets a filter look at the corpus before it judges.
    ///
    /// # Errors
    /// If the plugin fails.
    pub fn prepare(&self, context: &Context<'_>) -> Result<(), Error> {
        match &self.place {
            Place::Here(local) => local.prepare(Calling::here(context)),
            Place::Child(remote) => remote.prepare(context),
        }
    }

    /// Asks a filter about `samples` (columns of `orch.filter/1`), a verdict a row.
    ///
    /// # Errors
    /// If the plugin fails or gives what cannot be.
    pub fn judge(&self, context: &Context<'_>, samples: &Table) -> Result<Vec<Verdict>, Error> {
        match &self.place {
            Place::Here(local) => local.judge(Calling::here(context), samples),
            Place::Child(remote) => remote.judge(context, samples),
        }
    }

    /// Asks a selector for at most `budget` distinct rows of `pool` (columns of `orch.select/1`).
    ///
    /// # Errors
    /// If the plugin fails or chooses what cannot be.
    pub fn select(
        &self,
        context: &Context<'_>,
        pool: &Table,
        budget: usize,
    ) -> Result<Vec<usize>, Error> {
        let budget = budget.min(pool.rows());
        match &self.place {
            Place::Here(local) => local.select(Calling::here(context), pool, budget),
            Place::Child(remote) => remote.select(context, pool, budget),
        }
    }

    /// What a loss cannot work without.
    ///
    /// # Errors
    /// If this is no loss.
    pub fn needs(&self) -> Result<Needs, Error> {
        match &self.place {
            Place::Here(local) => local.needs(),
            Place::Child(remote) => remote.needs(),
        }
    }

    /// Loss and gradient of a step.
    ///
    /// # Errors
    /// If the plugin fails or gives numbers that are not finite.
    ///
    /// # Panics
    /// If the batch is not of one shape: that is a fault of the caller.
    pub fn forward(&self, context: &Context<'_>, batch: &Batch) -> Result<LossResult, Error> {
        batch.assert_shape();
        match &self.place {
            Place::Here(local) => local.forward(Calling::here(context), batch),
            Place::Child(remote) => remote.forward(context, batch),
        }
    }
}
