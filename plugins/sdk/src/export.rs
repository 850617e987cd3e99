//! From traits to the C interface: what [`crate::export!`] writes into a library. Catches every panic.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use orchestrator_plugin_abi as abi;

use crate::config::Settings;
use crate::table::Table;
use crate::{
    Anchors, Augmenter, Call, Config, Error, Filter, Loss, LossBatch, LossOutput, Pool, Result,
    Sampler, Samples, Select, Sink,
};

/// Exports the plugins of a library, by kind: `samplers`, `selectors`, `augmenters`, `filters`, `losses`. Once a library.
#[macro_export]
macro_rules! export {
    ( $( $kind:ident : [ $( $plugin:ty as $id:literal ),* $(,)? ] ),* $(,)? ) => {
        #[cfg(panic = "abort")]
        compile_error!("a plugin must be built with panic = \"unwind\": its panics are caught and reported");

        const _: () = {
            struct Library;
            impl $crate::export::Library for Library {
                fn registrations() -> &'static [$crate::export::Registration] {
                    static ALL: ::std::sync::OnceLock<::std::vec::Vec<$crate::export::Registration>> =
                        ::std::sync::OnceLock::new();
                    ALL.get_or_init(|| ::std::vec![
                        $($(
                            $crate::export::Registration::$kind::<$plugin>(
                                $id,
                                env!("CARGO_PKG_VERSION"),
                                env!("CARGO_PKG_LICENSE"),
                                env!("CARGO_PKG_REPOSITORY"),
                            ),
                        )*)*
                    ])
                }
            }
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            pub static orch_plugin_entry_v1: $crate::abi::PluginEntry =
                $crate::export::entry::<Library>();
        };
    };
}

/// The plugins of a library. Written by [`crate::export!`].
pub trait Library {
    /// All of them, in the order named.
    fn registrations() -> &'static [Registration];
}

/// One plugin of a library.
pub struct Registration {
    id: &'static str,
    descriptor: abi::Descriptor,
    ability: &'static str,
    vtable: Vtable,
    create: fn(&str) -> Result<Instance>,
}

#[derive(Clone, Copy)]
struct Vtable(*const c_void);
// SAFETY: points at a constant.
unsafe impl Send for Vtable {}
// SAFETY: as above.
unsafe impl Sync for Vtable {}

type Instance = Box<dyn Any + Send + Sync>;

impl Registration {
    fn new<P: Config + Send + Sync + 'static>(
        id: &'static str,
        about: [&'static str; 3],
        kind: u32,
        services: &[&str],
        ability: &'static str,
        vtable: *const c_void,
    ) -> Self {
        // Leaked once a library, which is never unloaded: descriptors live as long as it.
        let leak = |text: String| abi::Str::new(Box::leak(text.into_boxed_str()));
        let [version, licence, url] = about;
        Self {
            id,
            descriptor: abi::Descriptor {
                struct_size: size_of::<abi::Descriptor>() as u32,
                kind,
                flags: abi::flag::CONCURRENT | abi::flag::DETERMINISTIC,
                reserved: 0,
                id: abi::Str::new(id),
                version: abi::Str::new(version),
                name: abi::Str::new(id.rsplit('.').next().unwrap_or(id)),
                summary: abi::Str::new(P::SUMMARY),
                licence: abi::Str::new(licence),
                url: abi::Str::new(url),
                config_schema: leak(P::schema().to_string()),
                requires_services: leak(services.join(" ")),
            },
            ability,
            vtable: Vtable(vtable),
            create: |settings| Ok(Box::new(P::read(&Settings::parse::<P>(settings)?)?)),
        }
    }

    /// A sampler.
    #[must_use]
    pub fn samplers<P: Sampler>(
        id: &'static str,
        version: &'static str,
        licence: &'static str,
        url: &'static str,
    ) -> Self {
        let vtable: &'static abi::Sampler = &const {
            abi::Sampler {
                struct_size: size_of::<abi::Sampler>() as u32,
                reserved: 0,
                propose: Some(propose::<P>),
            }
        };
        Self::new::<P>(
            id,
            [version, licence, url],
            abi::kind::SAMPLER,
            P::SERVICES,
            abi::ability::SAMPLER,
            std::ptr::from_ref(vtable).cast(),
        )
    }

    /// A sampler that selects.
    #[must_use]
    pub fn selectors<P: Select>(
        id: &'static str,
        version: &'static str,
        licence: &'static str,
        url: &'static str,
    ) -> Self {
        let vtable: &'static abi::Select = &const {
            abi::Select {
                struct_size: size_of::<abi::Select>() as u32,
                reserved: 0,
                select: Some(select::<P>),
            }
        };
        Self::new::<P>(
            id,
            [version, licence, url],
            abi::kind::SAMPLER,
            P::SERVICES,
            abi::ability::SELECT,
            std::ptr::from_ref(vtable).cast(),
        )
    }

    /// An augmenter.
    #[must_use]
    pub fn augmenters<P: Augmenter>(
        id: &'static str,
        version: &'static str,
        licence: &'static str,
        url: &'static str,
    ) -> Self {
        let vtable: &'static abi::Augmenter = &const {
            abi::Augmenter {
                struct_size: size_of::<abi::Augmenter>() as u32,
                reserved: 0,
                augment: Some(augment::<P>),
            }
        };
        Self::new::<P>(
            id,
            [version, licence, url],
            abi::kind::AUGMENTER,
            P::SERVICES,
            abi::ability::AUGMENTER,
            std::ptr::from_ref(vtable).cast(),
        )
    }

    /// A filter.
    #[must_use]
    pub fn filters<P: Filter>(
        id: &'static str,
        version: &'static str,
        licence: &'static str,
        url: &'static str,
    ) -> Self {
        let vtable: &'static abi::Filter = &const {
            abi::Filter {
                struct_size: size_of::<abi::Filter>() as u32,
                reserved: 0,
                prepare: Some(prepare::<P>),
                judge: Some(judge::<P>),
            }
        };
        Self::new::<P>(
            id,
            [version, licence, url],
            abi::kind::FILTER,
            P::SERVICES,
            abi::ability::FILTER,
            std::ptr::from_ref(vtable).cast(),
        )
    }

    /// A loss.
    #[must_use]
    pub fn losses<P: Loss>(
        id: &'static str,
        version: &'static str,
        licence: &'static str,
        url: &'static str,
    ) -> Self {
        let vtable: &'static abi::Loss = &const {
            abi::Loss {
                struct_size: size_of::<abi::Loss>() as u32,
                reserved: 0,
                needs: Some(needs::<P>),
                forward: Some(forward::<P>),
            }
        };
        Self::new::<P>(
            id,
            [version, licence, url],
            abi::kind::LOSS,
            P::SERVICES,
            abi::ability::LOSS,
            std::ptr::from_ref(vtable).cast(),
        )
    }
}

/// The constant a library exports.
#[must_use]
pub const fn entry<L: Library>() -> abi::PluginEntry {
    abi::PluginEntry {
        magic: abi::MAGIC,
        struct_size: size_of::<abi::PluginEntry>() as u32,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        min_host_minor: 0,
        reserved0: 0,
        reserved1: 0,
        toolchain: abi::Str::new(concat!("orchestrator-plugin ", env!("CARGO_PKG_VERSION"))),
        init: Some(init::<L>),
        plugin_count: Some(count::<L>),
        descriptor: Some(descriptor::<L>),
        create: Some(create::<L>),
        destroy: Some(destroy),
        get_extension: Some(get_extension::<L>),
    }
}

thread_local! {
    /// Where the last panic of this thread was.
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// A library has its own copy of std, and with it its own panic hook: ours notes the place and prints nothing. The host
/// tells the user.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        PANICKED_AT.set(info.location().map(ToString::to_string));
    }));
}

/// Runs `work`, and turns a panic into an error with its message.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(Error::panicked(match PANICKED_AT.take() {
            Some(place) => format!("{message} (at {place})"),
            None => message,
        }))
    })
}

/// [`guarded`] for a call: says what is wrong and gives the status.
///
/// # Safety
/// `call` must be null or a call of the host.
unsafe fn answer<'a>(
    call: *const abi::Call,
    work: impl FnOnce(&Call<'a>) -> Result<()>,
) -> abi::Status {
    // SAFETY: the caller promises it.
    let Some(raw) = (unsafe { call.as_ref() }) else {
        return abi::status::INTERNAL;
    };
    let call = Call { raw };
    match guarded(|| work(&call)) {
        Ok(()) => abi::status::OK,
        Err(error) => {
            call.report(&error);
            error.status
        }
    }
}

/// # Safety
/// `instance` must come from `create` of a plugin of type `P`.
unsafe fn plugin<'a, P: 'static>(instance: *mut c_void) -> Result<&'a mut P> {
    // SAFETY: `create` made it from a boxed Instance; the host does not use it twice at once for a `&mut` call.
    unsafe { instance.cast::<Instance>().as_mut() }
        .and_then(|boxed| boxed.downcast_mut::<P>())
        .ok_or_else(|| Error::internal("called with an instance of another plugin"))
}

/// As [`plugin`], shared: for calls that may be concurrent.
///
/// # Safety
/// `instance` must come from `create` of a plugin of type `P`.
unsafe fn shared<'a, P: 'static>(instance: *mut c_void) -> Result<&'a P> {
    // SAFETY: `create` made it from a boxed Instance.
    unsafe { instance.cast::<Instance>().as_ref() }
        .and_then(|boxed| boxed.downcast_ref::<P>())
        .ok_or_else(|| Error::internal("called with an instance of another plugin"))
}

unsafe extern "C" fn init<L: Library>() -> abi::Status {
    quiet_panics();
    match guarded(|| Ok(L::registrations().len())) {
        Ok(_) => abi::status::OK,
        Err(error) => error.status,
    }
}

unsafe extern "C" fn count<L: Library>() -> u32 {
    guarded(|| Ok(L::registrations().len())).unwrap_or(0) as u32
}

unsafe extern "C" fn descriptor<L: Library>(index: u32) -> *const abi::Descriptor {
    guarded(|| Ok(L::registrations().get(index as usize)))
        .ok()
        .flatten()
        .map_or(std::ptr::null(), |one| &raw const one.descriptor)
}

unsafe extern "C" fn create<L: Library>(
    call: *const abi::Call,
    id: abi::Str,
    config_json: abi::Str,
    out: *mut *mut c_void,
) -> abi::Status {
    // SAFETY: strings and `out` are the host's, valid during the call.
    unsafe {
        answer(call, |_| {
            let id = id.bytes();
            let settings = std::str::from_utf8(config_json.bytes())
                .map_err(|_| Error::config("", "settings are not UTF-8"))?;
            let one = L::registrations()
                .iter()
                .find(|one| one.id.as_bytes() == id)
                .ok_or_else(|| Error::internal("no plugin of that id in this library"))?;
            let instance = (one.create)(settings)?;
            *out = Box::into_raw(Box::new(instance)).cast();
            Ok(())
        })
    }
}

unsafe extern "C" fn destroy(instance: *mut c_void) {
    if !instance.is_null() {
        // SAFETY: made by `create`, destroyed once. A panic in a destructor ends here.
        let _ = catch_unwind(AssertUnwindSafe(|| unsafe {
            drop(Box::from_raw(instance.cast::<Instance>()));
        }));
    }
}

unsafe extern "C" fn get_extension<L: Library>(id: abi::Str, extension: abi::Str) -> *const c_void {
    // SAFETY: strings are the host's, valid during the call.
    let (id, extension) = unsafe { (id.bytes(), extension.bytes()) };
    guarded(|| {
        Ok(L::registrations()
            .iter()
            .find(|one| one.id.as_bytes() == id && one.ability.as_bytes() == extension)
            .map(|one| one.vtable.0))
    })
    .ok()
    .flatten()
    .unwrap_or(std::ptr::null())
}

unsafe extern "C" fn propose<P: Sampler>(
    instance: *mut c_void,
    call: *const abi::Call,
    anchors: abi::Batch,
    sink: *const abi::SampleSink,
) -> abi::Status {
    // SAFETY: everything is the host's and valid during the call.
    unsafe {
        answer(call, |call| {
            let anchors = Anchors::read(Table::borrow(anchors)?)?;
            shared::<P>(instance)?.propose(&anchors, call, &mut Sink { raw: &*sink })
        })
    }
}

unsafe extern "C" fn select<P: Select>(
    instance: *mut c_void,
    call: *const abi::Call,
    pool: abi::Batch,
    budget: u64,
    chosen: *mut u64,
    n_chosen: *mut u64,
) -> abi::Status {
    // SAFETY: everything is the host's and valid during the call; `chosen` has `budget` places.
    unsafe {
        answer(call, |call| {
            let pool = Pool::read(Table::borrow(pool)?)?;
            let rows = shared::<P>(instance)?.select(&pool, budget as usize, call)?;
            if rows.len() as u64 > budget {
                return Err(Error::internal("chose more than the budget"));
            }
            for (place, row) in rows.iter().enumerate() {
                *chosen.add(place) = *row as u64;
            }
            *n_chosen = rows.len() as u64;
            Ok(())
        })
    }
}

unsafe extern "C" fn augment<P: Augmenter>(
    instance: *mut c_void,
    call: *const abi::Call,
    samples: abi::Batch,
    sink: *const abi::SampleSink,
) -> abi::Status {
    // SAFETY: everything is the host's and valid during the call.
    unsafe {
        answer(call, |call| {
            let samples = Samples::read(Table::borrow(samples)?)?;
            shared::<P>(instance)?.augment(&samples, call, &mut Sink { raw: &*sink })
        })
    }
}

unsafe extern "C" fn prepare<P: Filter>(
    instance: *mut c_void,
    call: *const abi::Call,
) -> abi::Status {
    // SAFETY: the instance is the host's and `prepare` is never concurrent with another call.
    unsafe { answer(call, |call| plugin::<P>(instance)?.prepare(call)) }
}

unsafe extern "C" fn judge<P: Filter>(
    instance: *mut c_void,
    call: *const abi::Call,
    samples: abi::Batch,
    verdicts: *const abi::Verdicts,
) -> abi::Status {
    // SAFETY: everything is the host's and valid during the call; keep and score have a place a row.
    unsafe {
        answer(call, |call| {
            let samples = Samples::read(Table::borrow(samples)?)?;
            let filter = shared::<P>(instance)?;
            let out = &*verdicts;
            let all = filter.judge_all(&samples, call)?;
            if all.len() != samples.len() {
                return Err(Error::internal(format!(
                    "{} verdicts for {} samples",
                    all.len(),
                    samples.len()
                )));
            }
            for (row, verdict) in all.iter().enumerate() {
                *out.keep.add(row) = u8::from(verdict.keep);
                *out.score.add(row) = verdict.score;
                if !verdict.reason.is_empty() {
                    (out.reason)(out, row as u64, abi::Str::new(&verdict.reason));
                }
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn needs<P: Loss>(_: *mut c_void) -> u32 {
    P::NEEDS.bits()
}

unsafe extern "C" fn forward<P: Loss>(
    instance: *mut c_void,
    call: *const abi::Call,
    batch: *const abi::LossBatch,
    out: *mut abi::LossOut,
) -> abi::Status {
    // SAFETY: everything is the host's and valid during the call.
    unsafe {
        answer(call, |call| {
            let batch = LossBatch::borrow(&*batch)?;
            let mut output = LossOutput::borrow(&mut *out, &batch)?;
            let loss = shared::<P>(instance)?.forward(&batch, &mut output, call)?;
            (*out).loss = loss;
            Ok(())
        })
    }
}
