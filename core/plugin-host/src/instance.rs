//! Calls into an instance, and the checks of everything that comes back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::sync::Arc;

use orchestrator_plugin_abi as abi;

use crate::call::{self, Context};
use crate::error::Error;
use crate::guarded::{Guarded, Word};
use crate::library::{Ability, Entry};
use crate::table::Table;

/// Whether a sample is relevant to its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Relevant.
    Positive,
    /// Not relevant.
    Negative,
}

impl Role {
    /// The ABI's number for it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Positive => abi::role::POSITIVE,
            Self::Negative => abi::role::NEGATIVE,
        }
    }
}

/// A sample as a plugin emitted it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Number of the anchor.
    pub anchor: usize,
    /// Its role.
    pub role: Role,
    /// Not empty.
    pub text: String,
    /// Number of the document.
    pub document: Option<usize>,
    /// Row of the sample it was made from.
    pub parent: Option<usize>,
    /// 0..1.
    pub label: f32,
    /// > 0.
    pub weight: f32,
    /// Similarity that led to the choice.
    pub score: Option<f32>,
    /// 0..1, if the plugin fixed it.
    pub difficulty: Option<f32>,
    /// A JSON object, or empty.
    pub detail: String,
}

/// What a sampler or augmenter emitted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proposed {
    /// In the order emitted.
    pub candidates: Vec<Candidate>,
    /// What it counted.
    pub counts: BTreeMap<String, u64>,
}

/// What a filter thinks of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it stays.
    pub keep: bool,
    /// What was measured.
    pub score: Option<f32>,
    /// Why; may be empty.
    pub reason: String,
}

/// What a loss cannot work without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Positives.
    pub positives: bool,
    /// Negatives.
    pub negatives: bool,
    /// Teacher scores.
    pub teacher: bool,
}

/// A training step: every distinct text once, rows and groups over them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Length of an embedding.
    pub dim: usize,
    /// `[texts, dim]`, row-major.
    pub embeddings: Vec<f32>,
    /// `[rows]` text index of the row's anchor.
    pub row_anchor: Vec<u32>,
    /// `[rows]` text index of the row's candidate.
    pub row_text: Vec<u32>,
    /// `[rows]` 0..1.
    pub row_label: Vec<f32>,
    /// `[rows]` > 0.
    pub row_weight: Vec<f32>,
    /// `[rows]` teacher scores, or empty.
    pub row_teacher: Vec<f32>,
    /// `[groups]` text index.
    pub group_anchor: Vec<u32>,
    /// `[groups + 1]` into `positive_rows`.
    pub positive_offsets: Vec<u64>,
    /// Row numbers.
    pub positive_rows: Vec<u32>,
    /// `[groups + 1]` into `negative_rows`.
    pub negative_offsets: Vec<u64>,
    /// Row numbers.
    pub negative_rows: Vec<u32>,
    /// `[groups, texts]`: 1 where the text is a known positive of the group's anchor.
    pub known_relevant: Vec<u8>,
}

/// What a loss gave.
#[derive(Debug, Clone, PartialEq)]
pub struct LossResult {
    /// The scalar, before the host's weight.
    pub loss: f64,
    /// `[rows]`; `None` where the row took no part.
    pub rows: Vec<Option<f32>>,
    /// `[texts, dim]`.
    pub gradient: Vec<f32>,
}

/// A plugin with its settings.
pub struct Instance {
    name: String,
    entry: Arc<Entry>,
    ability: Ability,
    raw: *mut c_void,
}

// SAFETY: the header lets an instance move between threads; it is used by one at a time, since `Instance` is not `Sync`.
unsafe impl Send for Instance {}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: made by this library's `create`, destroyed once.
        unsafe { (self.entry.destroy)(self.raw) }
    }
}

impl Instance {
    pub(crate) fn new(name: &str, entry: Arc<Entry>, ability: Ability, raw: *mut c_void) -> Self {
        Self {
            name: name.to_owned(),
            entry,
            ability,
            raw,
        }
    }

    /// The name the experiment gives it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn violation(&self, call: &'static str, what: impl Into<String>) -> Error {
        Error::Violation {
            plugin: self.name.clone(),
            call,
            what: what.into(),
        }
    }

    /// What was written into a buffer, if nothing was written beside it: that says more than the status of the call.
    fn open<T: Word>(
        &self,
        call: &'static str,
        buffer: Guarded<T>,
        name: &str,
    ) -> Result<Vec<T>, Error> {
        buffer.open(name).map_err(|what| self.violation(call, what))
    }

    fn lacks(&self, call: &'static str) -> Error {
        self.violation(call, "it has no such ability")
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
        let Ability::Sampler(table) = self.ability else {
            return Err(self.lacks("propose"));
        };
        let Some(function) = table.propose else {
            return Err(self.lacks("propose"));
        };
        self.collect("propose", context, known, 0, |call, sink| {
            // SAFETY: the plugin's function with its instance; all arguments outlive the call.
            unsafe { function(self.raw, call, anchors.lend(), sink) }
        })
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
        let Ability::Augmenter(table) = self.ability else {
            return Err(self.lacks("augment"));
        };
        let Some(function) = table.augment else {
            return Err(self.lacks("augment"));
        };
        let parents = samples.rows();
        let proposed = self.collect("augment", context, known, parents, |call, sink| {
            // SAFETY: the plugin's function with its instance; all arguments outlive the call.
            unsafe { function(self.raw, call, samples.lend(), sink) }
        })?;
        if proposed.candidates.iter().any(|one| one.parent.is_none()) {
            return Err(self.violation("augment", "a sample without a parent"));
        }
        Ok(proposed)
    }

    fn collect(
        &self,
        what: &'static str,
        context: &Context<'_>,
        anchors: &BTreeSet<usize>,
        parents: usize,
        function: impl FnOnce(*const abi::Call, *const abi::SampleSink) -> abi::Status,
    ) -> Result<Proposed, Error> {
        let collected = Collected {
            anchors,
            documents: context.services.corpus.map_or(usize::MAX, Table::rows),
            parents,
            proposed: RefCell::default(),
            refused: RefCell::default(),
        };
        let sink = abi::SampleSink {
            struct_size: size_of::<abi::SampleSink>() as u32,
            reserved: 0,
            host: std::ptr::from_ref(&collected).cast::<c_void>().cast_mut(),
            push,
            count,
        };
        let result = call::run(&self.name, what, context, |call| {
            function(call, &raw const sink)
        });
        // What it emitted wrongly says more than how it reacted to the refusal.
        if let Some(refused) = collected.refused.take() {
            return Err(self.violation(what, refused));
        }
        result?;
        Ok(collected.proposed.take())
    }

    /// Lets a filter look at the corpus before it judges.
    ///
    /// # Errors
    /// If the plugin fails.
    pub fn prepare(&self, context: &Context<'_>) -> Result<(), Error> {
        let Ability::Filter(table) = self.ability else {
            return Err(self.lacks("prepare"));
        };
        let Some(function) = table.prepare else {
            return Ok(());
        };
        call::run(&self.name, "prepare", context, |call| {
            // SAFETY: the plugin's function with its instance.
            unsafe { function(self.raw, call) }
        })
    }

    /// Asks a filter about `samples` (columns of `orch.filter/1`), a verdict a row.
    ///
    /// # Errors
    /// If the plugin fails or gives what cannot be.
    pub fn judge(&self, context: &Context<'_>, samples: &Table) -> Result<Vec<Verdict>, Error> {
        let Ability::Filter(table) = self.ability else {
            return Err(self.lacks("judge"));
        };
        let Some(function) = table.judge else {
            return Err(self.lacks("judge"));
        };
        let n = samples.rows();
        let (mut keep, mut score) = (Guarded::new(n, 1u8), Guarded::new(n, f32::NAN));
        let reasons = Reasons {
            texts: RefCell::new(vec![String::new(); n]),
            refused: RefCell::default(),
        };
        let verdicts = abi::Verdicts {
            struct_size: size_of::<abi::Verdicts>() as u32,
            reserved: 0,
            n: n as u64,
            keep: keep.as_mut_ptr(),
            score: score.as_mut_ptr(),
            host: std::ptr::from_ref(&reasons).cast::<c_void>().cast_mut(),
            reason,
        };
        let result = call::run(&self.name, "judge", context, |call| {
            // SAFETY: the plugin's function with its instance; keep and score have a place a row.
            unsafe { function(self.raw, call, samples.lend(), &raw const verdicts) }
        });
        if let Some(refused) = reasons.refused.take() {
            return Err(self.violation("judge", refused));
        }
        let keep = self.open("judge", keep, "keep")?;
        let score = self.open("judge", score, "score")?;
        result?;
        keep.into_iter()
            .zip(score)
            .zip(reasons.texts.take())
            .enumerate()
            .map(|(row, ((keep, score), reason))| {
                if keep > 1 {
                    return Err(
                        self.violation("judge", format!("keep[{row}] is {keep}, neither 0 nor 1"))
                    );
                }
                if score.is_infinite() {
                    return Err(self.violation("judge", format!("score[{row}] is {score}")));
                }
                Ok(Verdict {
                    keep: keep == 1,
                    score: (!score.is_nan()).then_some(score),
                    reason,
                })
            })
            .collect()
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
        let Ability::Select(table) = self.ability else {
            return Err(self.lacks("select"));
        };
        let Some(function) = table.select else {
            return Err(self.lacks("select"));
        };
        let budget = budget.min(pool.rows());
        let (mut chosen, mut n) = (Guarded::new(budget, u64::MAX), 0u64);
        let result = call::run(&self.name, "select", context, |call| {
            // SAFETY: the plugin's function with its instance; `chosen` has `budget` places.
            unsafe {
                function(
                    self.raw,
                    call,
                    pool.lend(),
                    budget as u64,
                    chosen.as_mut_ptr(),
                    &raw mut n,
                )
            }
        });
        let mut chosen = self.open("select", chosen, "chosen")?;
        result?;
        if n > budget as u64 {
            return Err(self.violation(
                "select",
                format!("it chose {n} rows of a budget of {budget}"),
            ));
        }
        chosen.truncate(n as usize);
        let mut seen = BTreeSet::new();
        for &row in &chosen {
            if row >= pool.rows() as u64 {
                return Err(
                    self.violation("select", format!("row {row} of a pool of {}", pool.rows()))
                );
            }
            if !seen.insert(row) {
                return Err(self.violation("select", format!("row {row} twice")));
            }
        }
        Ok(chosen.into_iter().map(|row| row as usize).collect())
    }

    /// What a loss cannot work without.
    ///
    /// # Errors
    /// If this is no loss.
    pub fn needs(&self) -> Result<Needs, Error> {
        let Ability::Loss(abi::Loss {
            needs: Some(function),
            ..
        }) = self.ability
        else {
            return Err(self.lacks("needs"));
        };
        // SAFETY: the plugin's function with its instance.
        let bits = unsafe { function(self.raw) };
        Ok(Needs {
            positives: bits & abi::needs::POSITIVES != 0,
            negatives: bits & abi::needs::NEGATIVES != 0,
            teacher: bits & abi::needs::TEACHER != 0,
        })
    }

    /// Loss and gradient of a step.
    ///
    /// # Errors
    /// If the plugin fails or gives numbers that are not finite.
    ///
    /// # Panics
    /// If the batch is not of one shape: that is a fault of the caller.
    pub fn forward(&self, context: &Context<'_>, batch: &Batch) -> Result<LossResult, Error> {
        let Ability::Loss(abi::Loss {
            forward: Some(function),
            ..
        }) = self.ability
        else {
            return Err(self.lacks("forward"));
        };
        let (rows, groups) = (batch.row_text.len(), batch.group_anchor.len());
        let texts = batch.embeddings.len() / batch.dim.max(1);
        assert_eq!(
            batch.known_relevant.len(),
            groups * texts,
            "known_relevant [groups, texts]"
        );
        assert_eq!(
            batch.positive_offsets.len(),
            groups + 1,
            "positive_offsets [groups + 1]"
        );
        assert_eq!(
            batch.negative_offsets.len(),
            groups + 1,
            "negative_offsets [groups + 1]"
        );
        for column in [
            batch.row_anchor.len(),
            batch.row_label.len(),
            batch.row_weight.len(),
        ] {
            assert_eq!(column, rows, "one value a row");
        }
        let raw = abi::LossBatch {
            struct_size: size_of::<abi::LossBatch>() as u32,
            reserved: 0,
            n_texts: texts as u64,
            dim: batch.dim as u64,
            n_rows: rows as u64,
            n_groups: groups as u64,
            embeddings: batch.embeddings.as_ptr(),
            row_anchor: batch.row_anchor.as_ptr(),
            row_text: batch.row_text.as_ptr(),
            row_label: batch.row_label.as_ptr(),
            row_weight: batch.row_weight.as_ptr(),
            row_teacher: if batch.row_teacher.is_empty() {
                std::ptr::null()
            } else {
                batch.row_teacher.as_ptr()
            },
            group_anchor: batch.group_anchor.as_ptr(),
            positive_offsets: batch.positive_offsets.as_ptr(),
            positive_rows: batch.positive_rows.as_ptr(),
            negative_offsets: batch.negative_offsets.as_ptr(),
            negative_rows: batch.negative_rows.as_ptr(),
            known_relevant: batch.known_relevant.as_ptr(),
        };
        let mut row_loss = Guarded::new(rows, f32::NAN);
        let mut gradient = Guarded::new(batch.embeddings.len(), 0.0f32);
        let mut out = abi::LossOut {
            struct_size: size_of::<abi::LossOut>() as u32,
            reserved: 0,
            loss: 0.0,
            row_loss: row_loss.as_mut_ptr(),
            gradient: gradient.as_mut_ptr(),
        };
        let result = call::run(&self.name, "forward", context, |call| {
            // SAFETY: the plugin's function with its instance; the outputs have the shapes the header gives.
            unsafe { function(self.raw, call, &raw const raw, &raw mut out) }
        });
        let row_loss = self.open("forward", row_loss, "row_loss")?;
        let gradient = self.open("forward", gradient, "gradient")?;
        result?;
        if !out.loss.is_finite() {
            return Err(self.violation("forward", format!("the loss is {}", out.loss)));
        }
        if let Some(place) = gradient.iter().position(|value| !value.is_finite()) {
            let (text, column) = (place / batch.dim, place % batch.dim);
            return Err(self.violation(
                "forward",
                format!(
                    "the gradient of text {text} is {} at {column}",
                    gradient[place]
                ),
            ));
        }
        if let Some(row) = row_loss.iter().position(|value| value.is_infinite()) {
            return Err(self.violation("forward", format!("the loss of row {row} is infinite")));
        }
        Ok(LossResult {
            loss: out.loss,
            rows: row_loss
                .into_iter()
                .map(|loss| (!loss.is_nan()).then_some(loss))
                .collect(),
            gradient,
        })
    }
}

/// Behind `orch_sample_sink.host` while a call runs.
struct Collected<'a> {
    anchors: &'a BTreeSet<usize>,
    documents: usize,
    parents: usize,
    proposed: RefCell<Proposed>,
    refused: RefCell<Option<String>>,
}

impl Collected<'_> {
    /// # Safety
    /// The strings of `row` must be valid.
    unsafe fn check(&self, row: &abi::SampleRow) -> Result<Candidate, String> {
        let text = |text: abi::Str, what: &str| {
            // SAFETY: the caller promises it.
            std::str::from_utf8(unsafe { text.bytes() })
                .map(str::to_owned)
                .map_err(|_| format!("a {what} that is not UTF-8"))
        };
        let anchor = usize::try_from(row.anchor)
            .ok()
            .filter(|anchor| self.anchors.contains(anchor))
            .ok_or_else(|| format!("anchor {}, which was not among those given", row.anchor))?;
        let role = match row.role {
            abi::role::POSITIVE => Role::Positive,
            abi::role::NEGATIVE => Role::Negative,
            other => return Err(format!("the role {other}")),
        };
        let optional = |value: i64, bound: usize, what: &str| match usize::try_from(value) {
            Ok(value) if value < bound => Ok(Some(value)),
            Err(_) if value == -1 => Ok(None),
            _ => Err(format!("{what} {value}, of {bound}")),
        };
        let document = optional(row.document, self.documents, "document")?;
        let parent = optional(row.parent, self.parents, "parent")?;
        let text_given = text(row.text, "text")?;
        if text_given.trim().is_empty() {
            return Err("an empty text".to_owned());
        }
        if !(0.0..=1.0).contains(&row.label) {
            return Err(format!("the label {}, not within 0..1", row.label));
        }
        if !(row.weight.is_finite() && row.weight > 0.0) {
            return Err(format!("the weight {}, not a positive number", row.weight));
        }
        if row.score.is_infinite() {
            return Err(format!("the score {}", row.score));
        }
        if !row.difficulty.is_nan() && !(0.0..=1.0).contains(&row.difficulty) {
            return Err(format!(
                "the difficulty {}, not within 0..1",
                row.difficulty
            ));
        }
        let detail = text(row.detail, "detail")?;
        if !detail.is_empty()
            && !serde_json::from_str::<serde_json::Value>(&detail)
                .is_ok_and(|value| value.is_object())
        {
            return Err(format!("a detail that is not a JSON object: {detail}"));
        }
        Ok(Candidate {
            anchor,
            role,
            text: text_given,
            document,
            parent,
            label: row.label,
            weight: row.weight,
            score: (!row.score.is_nan()).then_some(row.score),
            difficulty: (!row.difficulty.is_nan()).then_some(row.difficulty),
            detail,
        })
    }
}

unsafe extern "C" fn push(sink: *const abi::SampleSink, row: *const abi::SampleRow) -> abi::Status {
    // SAFETY: a plugin hands back the sink it was given, and a row of its own.
    unsafe {
        let (Some(sink), Some(row)) = (sink.as_ref(), row.as_ref()) else {
            return abi::status::DATA;
        };
        let Some(collected) = sink.host.cast::<Collected<'_>>().as_ref() else {
            return abi::status::DATA;
        };
        match collected.check(row) {
            Ok(candidate) => {
                collected.proposed.borrow_mut().candidates.push(candidate);
                abi::status::OK
            }
            Err(why) => {
                collected
                    .refused
                    .borrow_mut()
                    .get_or_insert(format!("it emitted {why}"));
                abi::status::DATA
            }
        }
    }
}

unsafe extern "C" fn count(sink: *const abi::SampleSink, what: abi::Str, n: u64) {
    // SAFETY: a plugin hands back the sink it was given, and a string of its own.
    unsafe {
        if let Some(collected) = sink
            .as_ref()
            .and_then(|sink| sink.host.cast::<Collected<'_>>().as_ref())
        {
            let what = String::from_utf8_lossy(what.bytes()).into_owned();
            *collected
                .proposed
                .borrow_mut()
                .counts
                .entry(what)
                .or_insert(0) += n;
        }
    }
}

/// Behind `orch_verdicts.host` while a call runs.
struct Reasons {
    texts: RefCell<Vec<String>>,
    refused: RefCell<Option<String>>,
}

unsafe extern "C" fn reason(verdicts: *const abi::Verdicts, row: u64, text: abi::Str) {
    // SAFETY: a plugin hands back the verdicts it was given, and a string of its own.
    unsafe {
        let Some(reasons) = verdicts
            .as_ref()
            .and_then(|verdicts| verdicts.host.cast::<Reasons>().as_ref())
        else {
            return;
        };
        let mut texts = reasons.texts.borrow_mut();
        let n = texts.len();
        let refuse = |why: String| {
            reasons.refused.borrow_mut().get_or_insert(why);
        };
        match (
            texts.get_mut(row as usize),
            std::str::from_utf8(text.bytes()),
        ) {
            (Some(place), Ok(text)) => text.clone_into(place),
            (None, _) => refuse(format!("a reason for row {row} of {n}")),
            (_, Err(_)) => refuse(format!("a reason for row {row} that is not UTF-8")),
        }
    }
}
