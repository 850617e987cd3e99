//! One call: what the plugin is handed first, and what it left behind.

use std::cell::RefCell;
use std::ffi::c_void;

use orchestrator_plugin_abi as abi;

use crate::error::Error;
use crate::metrics::OfCall;
use crate::services::{self, Lender, Services};

/// What a call is given: where in training, which seed, which services.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// Training step, or 0 outside training.
    pub step: u64,
    /// Derived from experiment seed, instance and step.
    pub seed: u64,
    /// What is lent.
    pub services: Services<'a>,
}

/// A call as it is made: in the process of the run or in a child of it.
#[derive(Clone, Copy)]
pub(crate) struct Calling<'a> {
    pub step: u64,
    pub seed: u64,
    /// What is done for the plugin.
    pub services: Services<'a>,
    /// What is handed to it.
    pub lender: &'a dyn Lender,
}

impl<'a> Calling<'a> {
    /// Everything lent is there already.
    pub fn here(context: &'a Context<'a>) -> Self {
        Self {
            step: context.step,
            seed: context.seed,
            services: context.services,
            lender: &context.services,
        }
    }
}

/// Behind `orch_call.host` while the call runs.
pub(crate) struct CallState<'a> {
    pub services: Services<'a>,
    pub lender: &'a dyn Lender,
    /// What it reported.
    pub reported: RefCell<OfCall>,
    said: RefCell<Option<(abi::Status, String, String)>>,
}

/// # Safety
/// `call` must be null or a call made by [`run`] that has not returned.
pub(crate) unsafe fn state<'a>(call: *const abi::Call) -> Option<&'a CallState<'a>> {
    // SAFETY: the caller promises it; `host` is the state that `run` put there.
    unsafe {
        call.as_ref()
            .and_then(|call| call.host.cast::<CallState<'a>>().as_ref())
    }
}

/// Makes a call and turns its status into a result. `plugin` and `what` are for the message.
pub(crate) fn run(
    plugin: &str,
    what: &'static str,
    calling: Calling<'_>,
    function: impl FnOnce(*const abi::Call) -> abi::Status,
) -> Result<(), Error> {
    let state = CallState {
        services: calling.services,
        lender: calling.lender,
        reported: RefCell::default(),
        said: RefCell::new(None),
    };
    let call = abi::Call {
        struct_size: size_of::<abi::Call>() as u32,
        reserved: 0,
        step: calling.step,
        seed: calling.seed,
        host: std::ptr::from_ref(&state).cast::<c_void>().cast_mut(),
        set_error,
        is_cancelled,
        progress,
        service,
    };
    let status = function(&raw const call);
    // What it reported wrongly says more than how it reacted to the refusal.
    let reported = state.reported.take().close();
    let reported = reported.map_err(|refused| Error::Violation {
        plugin: plugin.to_owned(),
        call: what,
        what: refused,
    })?;
    if status == abi::status::OK {
        if let Some(metrics) = calling.services.metrics {
            metrics.add(reported);
        }
        return Ok(());
    }
    let (pointer, message) = match state.said.take() {
        Some((_, pointer, message)) => (pointer, message),
        None => (String::new(), format!("status {status}, no message")),
    };
    let plugin = plugin.to_owned();
    Err(match status {
        abi::status::CONFIG => Error::Config {
            plugin,
            pointer,
            message,
        },
        abi::status::CANCELLED => Error::Cancelled { plugin },
        abi::status::PANIC => Error::Panicked {
            plugin,
            call: what,
            message,
        },
        _ => Error::Failed {
            plugin,
            call: what,
            message,
        },
    })
}

/// A plugin's text for people: whatever is not UTF-8 becomes a mark.
///
/// # Safety
/// `text` must be valid during the call.
unsafe fn lossy(text: abi::Str) -> String {
    // SAFETY: the caller promises it.
    String::from_utf8_lossy(unsafe { text.bytes() }).into_owned()
}

unsafe extern "C" fn set_error(
    call: *const abi::Call,
    status: abi::Status,
    pointer: abi::Str,
    message: abi::Str,
) {
    // SAFETY: a plugin hands back the call it was given, with strings of its own.
    unsafe {
        if let Some(state) = state(call) {
            state
                .said
                .replace(Some((status, lossy(pointer), lossy(message))));
        }
    }
}

unsafe extern "C" fn is_cancelled(call: *const abi::Call) -> u8 {
    // SAFETY: a plugin hands back the call it was given.
    u8::from(unsafe { state(call) }.is_some_and(|state| state.lender.is_cancelled()))
}

unsafe extern "C" fn progress(call: *const abi::Call, done: u64, total: u64, label: abi::Str) {
    // SAFETY: a plugin hands back the call it was given, with a string of its own.
    unsafe {
        if let Some(show) = state(call).and_then(|state| state.services.progress) {
            show(done, total, &lossy(label));
        }
    }
}

unsafe extern "C" fn service(call: *const abi::Call, id: abi::Str) -> *const c_void {
    // SAFETY: a plugin hands back the call it was given, with a string of its own.
    unsafe { state(call).map_or(std::ptr::null(), |state| services::find(state, id.bytes())) }
}
