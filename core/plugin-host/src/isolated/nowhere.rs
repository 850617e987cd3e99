//! Systems on which no instance can run in a process of its own: asking for one is an error, never an instance elsewhere.

use std::path::Path;

use serde_json::Value;

use super::{ChildCommand, Limits};
use crate::answers::{Given, LossResult, Needs, Proposed, Verdict};
use crate::batch::Batch;
use crate::call::Context;
use crate::error::Error;
use crate::info::{Kind, RawInfo};
use crate::table::Table;

fn refused(plugin: &str) -> Error {
    Error::Isolation {
        plugin: plugin.to_owned(),
        why: "it needs a Unix system".to_owned(),
    }
}

/// Of which there is none.
pub(crate) enum Remote {}

pub(crate) fn describe(
    _: &ChildCommand,
    file: &Path,
    _: &Path,
) -> Result<Vec<(Kind, RawInfo)>, Error> {
    Err(refused(&file.to_string_lossy()))
}

/// Runs one plugin instance for the process that started this one: not on this system.
///
/// # Errors
/// Always.
pub fn serve() -> Result<(), Error> {
    Err(refused("plugin-child"))
}

#[allow(clippy::unused_self)]
impl Remote {
    pub fn create(
        _: &ChildCommand,
        (name, _, _): (&str, &Path, &Path),
        _: &str,
        _: &Value,
        _: u64,
        _: Limits,
    ) -> Result<Self, Error> {
        Err(refused(name))
    }

    pub fn propose(&self, _: &Context<'_>, _: &Table, _: Given<'_>) -> Result<Proposed, Error> {
        match *self {}
    }

    pub fn augment(&self, _: &Context<'_>, _: &Table, _: Given<'_>) -> Result<Proposed, Error> {
        match *self {}
    }

    pub fn prepare(&self, _: &Context<'_>) -> Result<(), Error> {
        match *self {}
    }

    pub fn judge(&self, _: &Context<'_>, _: &Table) -> Result<Vec<Verdict>, Error> {
        match *self {}
    }

    pub fn select(&self, _: &Context<'_>, _: &Table, _: usize) -> Result<Vec<usize>, Error> {
        match *self {}
    }

    pub fn needs(&self) -> Result<Needs, Error> {
        match *self {}
    }

    pub fn forward(&self, _: &Context<'_>, _: &Batch) -> Result<LossResult, Error> {
        match *self {}
    }
}
