//! An instance in this process: the calls through the C interface, the sinks it is handed, the buffers it writes.

use std::cell::RefCell;
use std::ffi::c_void;

use orchestrator_plugin_abi as abi;
use serde_json::Value;

use crate::answers::{
    self, Emitted, Given, HandOn, LossResult, Needs, Proposed, RawRow, Reasons, Verdict,
};
use crate::batch::Batch;
use crate::call::{self, Calling};
use crate::error::Error;
use crate::guarded::{Guarded, Word};
use crate::library::{Ability, Functions};
use crate::table::Table;

/// An instance and the functions of its library.
pub(crate) struct Local {
    name: String,
    functions: Functions,
    raw: *mut c_void,
}

// SAFETY: the header lets an instance move between threads; it is used by one at a time, since `Local` is not `Sync`.
unsafe impl Send for Local {}

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: made by this library's `create`, destroyed once.
        unsafe { (self.functions.destroy)(self.raw) }
    }
}

impl Local {
    pub fn create(
        name: &str,
        functions: Functions,
        id: &str,
        settings: &Value,
        calling: Calling<'_>,
    ) -> Result<Self, Error> {
        let settings = settings.to_string();
        let mut raw = std::ptr::null_mut();
        call::run(name, "create", calling, |call| {
            // SAFETY: the library's function; the strings and the place for the instance outlive the call.
            unsafe {
                (functions.create)(
                    call,
                    abi::Str::new(id),
                    abi::Str::new(&settings),
                    &raw mut raw,
                )
            }
        })?;
        Ok(Self {
            name: name.to_owned(),
            functions,
            raw,
        })
    }

    fn violation(&self, call: &'static str, what: impl Into<String>) -> Error {
        Error::Violation {
            plugin: self.name.clone(),
            call,
            what: what.into(),
        }
    }

    fn lacks(&self, call: &'static str) -> Error {
        self.violation(call, "it has no such ability")
    }

    /// What was written into a buffer, if nothing was written beside it.
    fn open<T: Word>(
        &self,
        call: &'static str,
        buffer: Guarded<T>,
        name: &str,
    ) -> Result<Vec<T>, Error> {
        buffer.open(name).map_err(|what| self.violation(call, what))
    }

    pub fn propose(
        &self,
        calling: Calling<'_>,
        anchors: &Table,
        given: Given<'_>,
        hand_on: Option<HandOn<'_>>,
    ) -> Result<Proposed, Error> {
        let Ability::Sampler(abi::Sampler {
            propose: Some(function),
            ..
        }) = self.functions.ability
        else {
            return Err(self.lacks("propose"));
        };
        self.collect("propose", calling, given, hand_on, |call, sink| {
            // SAFETY: the plugin's function with its instance; all arguments outlive the call.
            unsafe { function(self.raw, call, anchors.lend(), sink) }
        })
    }

    pub fn augment(
        &self,
        calling: Calling<'_>,
        samples: &Table,
        given: Given<'_>,
        hand_on: Option<HandOn<'_>>,
    ) -> Result<Proposed, Error> {
        let Ability::Augmenter(abi::Augmenter {
            augment: Some(function),
            ..
        }) = self.functions.ability
        else {
            return Err(self.lacks("augment"));
        };
        self.collect("augment", calling, given, hand_on, |call, sink| {
            // SAFETY: the plugin's function with its instance; all arguments outlive the call.
            unsafe { function(self.raw, call, samples.lend(), sink) }
        })
    }

    fn collect(
        &self,
        what: &'static str,
        calling: Calling<'_>,
        given: Given<'_>,
        hand_on: Option<HandOn<'_>>,
        function: impl FnOnce(*const abi::Call, *const abi::SampleSink) -> abi::Status,
    ) -> Result<Proposed, Error> {
        let emitted = RefCell::new(Emitted::new(given, hand_on));
        let sink = abi::SampleSink {
            struct_size: size_of::<abi::SampleSink>() as u32,
            reserved: 0,
            host: std::ptr::from_ref(&emitted).cast::<c_void>().cast_mut(),
            push,
            count,
        };
        let result = call::run(&self.name, what, calling, |call| {
            function(call, &raw const sink)
        });
        // What it emitted wrongly says more than how it reacted to the refusal.
        let proposed = emitted.into_inner().close();
        let proposed = proposed.map_err(|refused| self.violation(what, refused))?;
        result.map(|()| proposed)
    }

    pub fn prepare(&self, calling: Calling<'_>) -> Result<(), Error> {
        let Ability::Filter(table) = self.functions.ability else {
            return Err(self.lacks("prepare"));
        };
        let Some(function) = table.prepare else {
            return Ok(());
        };
        call::run(&self.name, "prepare", calling, |call| {
            // SAFETY: the plugin's function with its instance.
            unsafe { function(self.raw, call) }
        })
    }

    pub fn judge(&self, calling: Calling<'_>, samples: &Table) -> Result<Vec<Verdict>, Error> {
        let Ability::Filter(abi::Filter {
            judge: Some(function),
            ..
        }) = self.functions.ability
        else {
            return Err(self.lacks("judge"));
        };
        let n = samples.rows();
        let (mut keep, mut score) = (Guarded::new(n, 1u8), Guarded::new(n, f32::NAN));
        let reasons = RefCell::new(Reasons::new(n));
        let verdicts = abi::Verdicts {
            struct_size: size_of::<abi::Verdicts>() as u32,
            reserved: 0,
            n: n as u64,
            keep: keep.as_mut_ptr(),
            score: score.as_mut_ptr(),
            host: std::ptr::from_ref(&reasons).cast::<c_void>().cast_mut(),
            reason,
        };
        let result = call::run(&self.name, "judge", calling, |call| {
            // SAFETY: the plugin's function with its instance; keep and score have a place a row.
            unsafe { function(self.raw, call, samples.lend(), &raw const verdicts) }
        });
        let wrong = |what| self.violation("judge", what);
        let reasons = reasons.into_inner().close().map_err(wrong)?;
        let keep = self.open("judge", keep, "keep")?;
        let score = self.open("judge", score, "score")?;
        result?;
        answers::verdicts(n, &keep, &score, reasons).map_err(wrong)
    }

    pub fn select(
        &self,
        calling: Calling<'_>,
        pool: &Table,
        budget: usize,
    ) -> Result<Vec<usize>, Error> {
        let Ability::Select(abi::Select {
            select: Some(function),
            ..
        }) = self.functions.ability
        else {
            return Err(self.lacks("select"));
        };
        let (mut chosen, mut n) = (Guarded::new(budget, u64::MAX), Guarded::new(1, 0u64));
        let result = call::run(&self.name, "select", calling, |call| {
            // SAFETY: the plugin's function with its instance; `chosen` has `budget` places, `n` has one.
            unsafe {
                function(
                    self.raw,
                    call,
                    pool.lend(),
                    budget as u64,
                    chosen.as_mut_ptr(),
                    n.as_mut_ptr(),
                )
            }
        });
        let chosen = self.open("select", chosen, "chosen")?;
        let n = self.open("select", n, "n_chosen")?[0];
        result?;
        answers::chosen(pool.rows(), budget, chosen, n)
            .map_err(|what| self.violation("select", what))
    }

    pub fn needs(&self) -> Result<Needs, Error> {
        let Ability::Loss(abi::Loss {
            needs: Some(function),
            ..
        }) = self.functions.ability
        else {
            return Err(self.lacks("needs"));
        };
        // SAFETY: the plugin's function with its instance.
        Ok(Needs::of_bits(unsafe { function(self.raw) }))
    }

    pub fn forward(&self, calling: Calling<'_>, batch: &Batch) -> Result<LossResult, Error> {
        let Ability::Loss(abi::Loss {
            forward: Some(function),
            ..
        }) = self.functions.ability
        else {
            return Err(self.lacks("forward"));
        };
        let lent = batch.lend();
        let mut row_loss = Guarded::new(batch.rows(), f32::NAN);
        let mut gradient = Guarded::new(batch.embeddings.len(), 0.0f32);
        let mut out = abi::LossOut {
            struct_size: size_of::<abi::LossOut>() as u32,
            reserved: 0,
            loss: 0.0,
            row_loss: row_loss.as_mut_ptr(),
            gradient: gradient.as_mut_ptr(),
        };
        let result = call::run(&self.name, "forward", calling, |call| {
            // SAFETY: the plugin's function with its instance; the outputs have the shapes the header gives.
            unsafe { function(self.raw, call, &raw const lent, &raw mut out) }
        });
        let row_loss = self.open("forward", row_loss, "row_loss")?;
        let gradient = self.open("forward", gradient, "gradient")?;
        result?;
        let shape = (batch.texts(), batch.dim, batch.rows());
        answers::loss_result(shape, out.loss, &row_loss, gradient)
            .map_err(|what| self.violation("forward", what))
    }
}

/// # Safety
/// `host` must be what [`Local::collect`] put there.
unsafe fn emitted<'a>(host: *mut c_void) -> Option<&'a RefCell<Emitted<'a>>> {
    // SAFETY: the caller promises it.
    unsafe { host.cast::<RefCell<Emitted<'a>>>().as_ref() }
}

unsafe extern "C" fn push(sink: *const abi::SampleSink, row: *const abi::SampleRow) -> abi::Status {
    // SAFETY: a plugin hands back the sink it was given, and a row of its own.
    unsafe {
        let (Some(sink), Some(row)) = (sink.as_ref(), row.as_ref()) else {
            return abi::status::DATA;
        };
        let Some(emitted) = emitted(sink.host) else {
            return abi::status::DATA;
        };
        let taken = emitted.borrow_mut().push(&RawRow {
            role: row.role,
            anchor: row.anchor,
            document: row.document,
            parent: row.parent,
            text: row.text.bytes(),
            label: row.label,
            weight: row.weight,
            score: row.score,
            difficulty: row.difficulty,
            detail: row.detail.bytes(),
        });
        if taken {
            abi::status::OK
        } else {
            abi::status::DATA
        }
    }
}

unsafe extern "C" fn count(sink: *const abi::SampleSink, what: abi::Str, n: u64) {
    // SAFETY: a plugin hands back the sink it was given, and a string of its own.
    unsafe {
        if let Some(emitted) = sink.as_ref().and_then(|sink| emitted(sink.host)) {
            emitted.borrow_mut().count(what.bytes(), n);
        }
    }
}

unsafe extern "C" fn reason(verdicts: *const abi::Verdicts, row: u64, text: abi::Str) {
    // SAFETY: a plugin hands back the verdicts it was given, and a string of its own.
    unsafe {
        if let Some(reasons) = verdicts
            .as_ref()
            .and_then(|verdicts| verdicts.host.cast::<RefCell<Reasons>>().as_ref())
        {
            reasons.borrow_mut().set(row, text.bytes());
        }
    }
}
