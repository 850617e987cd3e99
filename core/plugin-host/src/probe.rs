//! For those who check plugins and not for runs: a library opened because somebody asks what it is worth, instances called
//! by several threads at once, outputs that lie between guard words, sinks that refuse. Everything it is told is what the
//! header lets a host say.

use std::ffi::c_void;
use std::ops::Deref;
use std::path::Path;

use orchestrator_plugin_abi as abi;
use serde_json::Value;

use crate::batch::Batch;
use crate::call::{self, Calling, Context};
use crate::error::Error;
use crate::guarded::Guarded;
use crate::instance::Instance;
use crate::library::{self, Ability, Functions, Plugin};
use crate::table::Table;
use crate::trust;

/// Opens `file` where it lies and checks what it says of itself. It is pinned nowhere: opening it runs its initialisers, so
/// this is for processes that may end with it.
///
/// # Errors
/// If it is no plugin library.
pub fn open(file: &Path) -> Result<Vec<Plugin>, Error> {
    let hash = trust::sha256(&trust::read(file)?);
    // The loader looks for a bare name along a path of its own.
    let place = file.canonicalize().map_err(|error| Error::File {
        what: "cannot read",
        path: file.to_owned(),
        why: error.to_string(),
    })?;
    library::opened(file, &place, (&hash, false), None)
}

/// An instance that several threads may call at once, because its plugin says so.
pub struct Shared(Instance);

// SAFETY: ORCH_CONCURRENT says that one instance may be called from several threads at once, and an `Instance` in this
// process has no state of its own that a call changes.
unsafe impl Sync for Shared {}

impl Shared {
    /// `None` if `plugin`, which made the instance in this process, does not allow it.
    #[must_use]
    pub fn of(plugin: &Plugin, instance: Instance) -> Option<Self> {
        (plugin.info().concurrent && instance.is_here()).then_some(Self(instance))
    }
}

impl Deref for Shared {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.0
    }
}

/// An instance reached without the checks of [`Instance`].
struct Raw<'p> {
    plugin: &'p Plugin,
    functions: Functions,
    instance: *mut c_void,
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // SAFETY: made by this library's `create`, destroyed once.
        unsafe { (self.functions.destroy)(self.instance) }
    }
}

impl<'p> Raw<'p> {
    fn new(plugin: &'p Plugin, settings: &Value) -> Result<Self, Error> {
        let functions = plugin.functions()?;
        let settings = settings.to_string();
        let mut instance = std::ptr::null_mut();
        let id = &plugin.info().id;
        let context = Context::default();
        call::run(id, "create", Calling::here(&context), |call| {
            // SAFETY: the library's function; the strings and the place for the instance outlive the call.
            unsafe {
                (functions.create)(
                    call,
                    abi::Str::new(id),
                    abi::Str::new(&settings),
                    &raw mut instance,
                )
            }
        })?;
        Ok(Self {
            plugin,
            functions,
            instance,
        })
    }

    fn run(
        &self,
        what: &'static str,
        context: &Context<'_>,
        function: impl FnOnce(*const abi::Call) -> abi::Status,
    ) -> Result<(), Error> {
        let calling = Calling::here(context);
        call::run(self.plugin.info().short(), what, calling, function)
    }
}

fn struct_size<T>() -> u32 {
    size_of::<T>() as u32
}

/// Lets a filter judge into guarded memory: what it wrote where it must not.
///
/// # Errors
/// If the call fails, or the plugin is no filter.
pub fn judge(
    plugin: &Plugin,
    settings: &Value,
    context: &Context<'_>,
    samples: &Table,
) -> Result<Vec<String>, Error> {
    unsafe extern "C" fn deaf(_: *const abi::Verdicts, _: u64, _: abi::Str) {}
    let Ability::Filter(abi::Filter {
        prepare,
        judge: Some(judge),
        ..
    }) = plugin.functions()?.ability
    else {
        return Ok(Vec::new());
    };
    let raw = Raw::new(plugin, settings)?;
    if let Some(prepare) = prepare {
        // SAFETY: the plugin's function with its instance.
        raw.run("prepare", context, |call| unsafe {
            prepare(raw.instance, call)
        })?;
    }
    let mut keep = Guarded::new(samples.rows(), 1u8);
    let mut score = Guarded::new(samples.rows(), f32::NAN);
    let verdicts = abi::Verdicts {
        struct_size: struct_size::<abi::Verdicts>(),
        reserved: 0,
        n: samples.rows() as u64,
        keep: keep.as_mut_ptr(),
        score: score.as_mut_ptr(),
        host: std::ptr::null_mut(),
        reason: deaf,
    };
    // SAFETY: the plugin's function with its instance; keep and score have a place a row.
    raw.run("judge", context, |call| unsafe {
        judge(raw.instance, call, samples.lend(), &raw const verdicts)
    })?;
    Ok([keep.open("keep").err(), score.open("score").err()]
        .into_iter()
        .flatten()
        .collect())
}

/// Lets a selector choose into guarded memory: what it wrote where it must not.
///
/// # Errors
/// If the call fails, or the plugin is no selector.
pub fn select(
    plugin: &Plugin,
    settings: &Value,
    context: &Context<'_>,
    pool: &Table,
    budget: usize,
) -> Result<Vec<String>, Error> {
    let Ability::Select(abi::Select {
        select: Some(select),
        ..
    }) = plugin.functions()?.ability
    else {
        return Ok(Vec::new());
    };
    let raw = Raw::new(plugin, settings)?;
    let mut chosen = Guarded::new(budget, u64::MAX);
    let mut n = Guarded::new(1, 0u64);
    // SAFETY: the plugin's function with its instance; `chosen` has `budget` places and `n_chosen` one.
    raw.run("select", context, |call| unsafe {
        select(
            raw.instance,
            call,
            pool.lend(),
            budget as u64,
            chosen.as_mut_ptr(),
            n.as_mut_ptr(),
        )
    })?;
    Ok([chosen.open("chosen").err(), n.open("n_chosen").err()]
        .into_iter()
        .flatten()
        .collect())
}

/// Lets a loss write into guarded memory: what it wrote where it must not, the embeddings it was lent included.
///
/// # Errors
/// If the call fails, or the plugin is no loss.
pub fn forward(
    plugin: &Plugin,
    settings: &Value,
    context: &Context<'_>,
    batch: &Batch,
) -> Result<Vec<String>, Error> {
    let Ability::Loss(abi::Loss {
        forward: Some(forward),
        ..
    }) = plugin.functions()?.ability
    else {
        return Ok(Vec::new());
    };
    let raw = Raw::new(plugin, settings)?;
    let mut embeddings = Guarded::of(&batch.embeddings);
    let lent = abi::LossBatch {
        embeddings: embeddings.as_mut_ptr(),
        ..batch.lend()
    };
    let mut row_loss = Guarded::new(batch.rows(), f32::NAN);
    let mut gradient = Guarded::new(batch.embeddings.len(), 0.0f32);
    let mut out = abi::LossOut {
        struct_size: struct_size::<abi::LossOut>(),
        reserved: 0,
        loss: 0.0,
        row_loss: row_loss.as_mut_ptr(),
        gradient: gradient.as_mut_ptr(),
    };
    // SAFETY: the plugin's function with its instance; the outputs have the shapes the header gives.
    raw.run("forward", context, |call| unsafe {
        forward(raw.instance, call, &raw const lent, &raw mut out)
    })?;
    let mut damage: Vec<String> = [
        row_loss.open("row_loss").err(),
        gradient.open("gradient").err(),
    ]
    .into_iter()
    .flatten()
    .collect();
    match embeddings.open("embeddings") {
        Err(beside) => damage.push(beside),
        Ok(now) => {
            let changed = now
                .iter()
                .zip(&batch.embeddings)
                .position(|(now, before)| now.to_bits() != before.to_bits());
            damage
                .extend(changed.map(|place| {
                    format!("it changed embeddings[{place}], which it may only read")
                }));
        }
    }
    Ok(damage)
}

/// What a sampler or augmenter did with a sink that refuses every row.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// How many rows it pushed in all.
    pub pushed: u64,
    /// How the call ended: it should have failed if anything was pushed.
    pub result: Result<(), Error>,
}

/// Gives a sampler (anchors) or augmenter (samples) a sink that refuses every row.
///
/// # Errors
/// If no instance can be made.
pub fn refuse(
    plugin: &Plugin,
    settings: &Value,
    context: &Context<'_>,
    table: &Table,
) -> Result<Refusal, Error> {
    unsafe extern "C" fn push(
        sink: *const abi::SampleSink,
        _: *const abi::SampleRow,
    ) -> abi::Status {
        // SAFETY: a plugin hands back the sink it was given, whose host is the counter below.
        unsafe { *(*sink).host.cast::<u64>() += 1 };
        abi::status::DATA
    }
    unsafe extern "C" fn count(_: *const abi::SampleSink, _: abi::Str, _: u64) {}
    let raw = Raw::new(plugin, settings)?;
    let mut pushed = 0u64;
    let sink = abi::SampleSink {
        struct_size: struct_size::<abi::SampleSink>(),
        reserved: 0,
        host: (&raw mut pushed).cast(),
        push,
        count,
    };
    let result = raw.run("propose", context, |call| {
        // SAFETY: the plugin's function with its instance; all arguments outlive the call.
        unsafe {
            match raw.functions.ability {
                Ability::Sampler(abi::Sampler {
                    propose: Some(propose),
                    ..
                }) => propose(raw.instance, call, table.lend(), &raw const sink),
                Ability::Augmenter(abi::Augmenter {
                    augment: Some(augment),
                    ..
                }) => augment(raw.instance, call, table.lend(), &raw const sink),
                _ => abi::status::OK,
            }
        }
    });
    Ok(Refusal { pushed, result })
}
