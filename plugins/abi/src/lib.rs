//! The Rust mirror of `include/orchestrator_plugin.h`, which is the norm: same names without the `orch_` prefix, same
//! layout, same contracts (read them there). A test compiles the header with the C compiler and compares every size and
//! offset. Depends on nothing, decides nothing.

use std::ffi::{c_char, c_void};

/// First bytes of every [`PluginEntry`].
pub const MAGIC: [u8; 8] = *b"ORCHPLUG";
/// Structs are frozen within a major version.
pub const ABI_MAJOR: u16 = 1;
/// Grows when something is added.
pub const ABI_MINOR: u16 = 2;
/// The one symbol a library exports, with its terminating zero.
pub const ENTRY_SYMBOL: &[u8] = b"orch_plugin_entry_v1\0";

/// UTF-8 bytes with a length; `ptr` may be null when `len` is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Str {
    /// First byte.
    pub ptr: *const c_char,
    /// Bytes.
    pub len: u64,
}

impl Str {
    /// Borrows `text`; valid as long as `text` is.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self {
            ptr: text.as_ptr().cast(),
            len: text.len() as u64,
        }
    }

    /// The empty string.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            ptr: std::ptr::null(),
            len: 0,
        }
    }

    /// The bytes pointed at; empty for a null pointer.
    ///
    /// # Safety
    /// `ptr` must be null or valid for `len` bytes during `'a`.
    #[must_use]
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() {
            return &[];
        }
        // SAFETY: the caller promises that `ptr` is valid for `len` bytes.
        unsafe { std::slice::from_raw_parts(self.ptr.cast(), self.len as usize) }
    }
}

/// Outcome of a call: one of the constants in [`status`].
pub type Status = i32;

/// The statuses a call may return.
pub mod status {
    /// Done.
    pub const OK: i32 = 0;
    /// A setting is wrong.
    pub const CONFIG: i32 = 1;
    /// What was given to work on cannot be used.
    pub const DATA: i32 = 2;
    /// Stopped because the host asked.
    pub const CANCELLED: i32 = 3;
    /// A service or a need is missing.
    pub const UNSUPPORTED: i32 = 4;
    /// A fault of the plugin.
    pub const INTERNAL: i32 = 5;
    /// A panic or exception, caught inside the plugin.
    pub const PANIC: i32 = 6;
}

/// Kinds of plugin.
pub mod kind {
    /// Proposes samples, or selects from a pool.
    pub const SAMPLER: u32 = 1;
    /// Makes samples out of samples.
    pub const AUGMENTER: u32 = 2;
    /// Keeps or drops samples.
    pub const FILTER: u32 = 3;
    /// Gives a number and a gradient.
    pub const LOSS: u32 = 4;
}

/// Flags of a [`Descriptor`].
pub mod flag {
    /// One instance may be called from several threads at once.
    pub const CONCURRENT: u32 = 1;
    /// Equal seed and input give equal output.
    pub const DETERMINISTIC: u32 = 2;
}

/// Roles of a sample.
pub mod role {
    /// Relevant to its anchor.
    pub const POSITIVE: i32 = 1;
    /// Not relevant to its anchor.
    pub const NEGATIVE: i32 = 2;
}

/// Needs of a loss.
pub mod needs {
    /// Cannot work without positives.
    pub const POSITIVES: u32 = 1;
    /// Cannot work without negatives.
    pub const NEGATIVES: u32 = 2;
    /// Cannot work without teacher scores.
    pub const TEACHER: u32 = 4;
}

/// Ids of abilities.
pub mod ability {
    /// [`crate::Sampler`]
    pub const SAMPLER: &str = "orch.sampler/1";
    /// [`crate::Select`]
    pub const SELECT: &str = "orch.select/1";
    /// [`crate::Augmenter`]
    pub const AUGMENTER: &str = "orch.augmenter/1";
    /// [`crate::Filter`]
    pub const FILTER: &str = "orch.filter/1";
    /// [`crate::Loss`]
    pub const LOSS: &str = "orch.loss/1";
}

/// Ids of host services.
pub mod service {
    /// [`crate::Corpus`]
    pub const CORPUS: &str = "orch.corpus/1";
    /// [`crate::Judgements`]
    pub const JUDGEMENTS: &str = "orch.judgements/1";
    /// [`crate::Search`]
    pub const SEARCH: &str = "orch.search/1";
    /// [`crate::Embedder`]
    pub const EMBEDDER: &str = "orch.embedder/1";
    /// [`crate::Linalg`]
    pub const LINALG: &str = "orch.linalg/1";
    /// [`crate::Bm25`], since 1.1.
    pub const BM25: &str = "orch.bm25/1";
    /// [`crate::Topics`], since 1.1.
    pub const TOPICS: &str = "orch.topics/1";
    /// [`crate::Corpora`], since 1.1.
    pub const CORPORA: &str = "orch.corpora/1";
    /// [`crate::HeldOut`], since 1.1.
    pub const HELD_OUT: &str = "orch.held_out/1";
    /// [`crate::Pool`], since 1.1.
    pub const POOL: &str = "orch.pool/1";
    /// [`crate::Files`], since 1.1.
    pub const FILES: &str = "orch.files/1";
    /// [`crate::Scorer`], since 1.1.
    pub const SCORER: &str = "orch.scorer/1";
    /// [`crate::Teacher`], since 1.1.
    pub const TEACHER: &str = "orch.teacher/1";
    /// [`crate::Chat`], since 1.1.
    pub const CHAT: &str = "orch.chat/1";
    /// [`crate::Metrics`], since 1.2.
    pub const METRICS: &str = "orch.metrics/1";
    /// Every service of this ABI version.
    pub const ALL: [&str; 15] = [
        CORPUS, JUDGEMENTS, SEARCH, EMBEDDER, LINALG, BM25, TOPICS, CORPORA, HELD_OUT, POOL, FILES,
        SCORER, TEACHER, CHAT, METRICS,
    ];
}

/// Arrow C Data Interface: the type of a column.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Named and documented by the Arrow specification.
pub struct ArrowSchema {
    pub format: *const c_char,
    pub name: *const c_char,
    pub metadata: *const c_char,
    pub flags: i64,
    pub n_children: i64,
    pub children: *mut *mut ArrowSchema,
    pub dictionary: *mut ArrowSchema,
    pub release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    pub private_data: *mut c_void,
}

/// Arrow C Data Interface: the values of a column.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Named and documented by the Arrow specification.
pub struct ArrowArray {
    pub length: i64,
    pub null_count: i64,
    pub offset: i64,
    pub n_buffers: i64,
    pub n_children: i64,
    pub buffers: *mut *const c_void,
    pub children: *mut *mut ArrowArray,
    pub dictionary: *mut ArrowArray,
    pub release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    pub private_data: *mut c_void,
}

/// A table, borrowed for the call; columns are found by name.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// Type of the table, "+s".
    pub schema: *const ArrowSchema,
    /// Its columns.
    pub array: *const ArrowArray,
}

/// First argument of everything that may fail.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Call {
    pub struct_size: u32,
    pub reserved: u32,
    pub step: u64,
    pub seed: u64,
    pub host: *mut c_void,
    pub set_error: unsafe extern "C" fn(*const Call, Status, Str, Str),
    pub is_cancelled: unsafe extern "C" fn(*const Call) -> u8,
    pub progress: unsafe extern "C" fn(*const Call, u64, u64, Str),
    pub service: unsafe extern "C" fn(*const Call, Str) -> *const c_void,
}

/// What a plugin says of itself.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Descriptor {
    pub struct_size: u32,
    pub kind: u32,
    pub flags: u32,
    pub reserved: u32,
    pub id: Str,
    pub version: Str,
    pub name: Str,
    pub summary: Str,
    pub licence: Str,
    pub url: Str,
    pub config_schema: Str,
    pub requires_services: Str,
}

// SAFETY: a descriptor is read-only and points at data that lives as long as its library.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

/// The exported constant.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct PluginEntry {
    pub magic: [u8; 8],
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub min_host_minor: u16,
    pub reserved0: u16,
    pub reserved1: u32,
    pub toolchain: Str,
    pub init: Option<unsafe extern "C" fn() -> Status>,
    pub plugin_count: Option<unsafe extern "C" fn() -> u32>,
    pub descriptor: Option<unsafe extern "C" fn(u32) -> *const Descriptor>,
    pub create: Option<unsafe extern "C" fn(*const Call, Str, Str, *mut *mut c_void) -> Status>,
    pub destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    pub get_extension: Option<unsafe extern "C" fn(Str, Str) -> *const c_void>,
}

// SAFETY: an entry is a constant.
unsafe impl Sync for PluginEntry {}

/// A sample on its way to the host.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // Documented in the header.
pub struct SampleRow {
    pub struct_size: u32,
    pub role: i32,
    pub anchor: i64,
    pub document: i64,
    pub parent: i64,
    pub text: Str,
    pub label: f32,
    pub weight: f32,
    pub score: f32,
    pub difficulty: f32,
    pub detail: Str,
}

/// Where samples go.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct SampleSink {
    pub struct_size: u32,
    pub reserved: u32,
    pub host: *mut c_void,
    pub push: unsafe extern "C" fn(*const SampleSink, *const SampleRow) -> Status,
    pub count: unsafe extern "C" fn(*const SampleSink, Str, u64),
}

/// `orch.sampler/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Sampler {
    pub struct_size: u32,
    pub reserved: u32,
    pub propose:
        Option<unsafe extern "C" fn(*mut c_void, *const Call, Batch, *const SampleSink) -> Status>,
}

/// `orch.select/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Select {
    pub struct_size: u32,
    pub reserved: u32,
    pub select: Option<
        unsafe extern "C" fn(*mut c_void, *const Call, Batch, u64, *mut u64, *mut u64) -> Status,
    >,
}

/// `orch.augmenter/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Augmenter {
    pub struct_size: u32,
    pub reserved: u32,
    pub augment:
        Option<unsafe extern "C" fn(*mut c_void, *const Call, Batch, *const SampleSink) -> Status>,
}

/// Where a filter writes.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Verdicts {
    pub struct_size: u32,
    pub reserved: u32,
    pub n: u64,
    pub keep: *mut u8,
    pub score: *mut f32,
    pub host: *mut c_void,
    pub reason: unsafe extern "C" fn(*const Verdicts, u64, Str),
}

/// `orch.filter/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Filter {
    pub struct_size: u32,
    pub reserved: u32,
    pub prepare: Option<unsafe extern "C" fn(*mut c_void, *const Call) -> Status>,
    pub judge:
        Option<unsafe extern "C" fn(*mut c_void, *const Call, Batch, *const Verdicts) -> Status>,
}

/// A step, as a loss sees it.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct LossBatch {
    pub struct_size: u32,
    pub reserved: u32,
    pub n_texts: u64,
    pub dim: u64,
    pub n_rows: u64,
    pub n_groups: u64,
    pub embeddings: *const f32,
    pub row_anchor: *const u32,
    pub row_text: *const u32,
    pub row_label: *const f32,
    pub row_weight: *const f32,
    pub row_teacher: *const f32,
    pub group_anchor: *const u32,
    pub positive_offsets: *const u64,
    pub positive_rows: *const u32,
    pub negative_offsets: *const u64,
    pub negative_rows: *const u32,
    pub known_relevant: *const u8,
}

/// What a loss gives.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct LossOut {
    pub struct_size: u32,
    pub reserved: u32,
    pub loss: f64,
    pub row_loss: *mut f32,
    pub gradient: *mut f32,
}

/// `orch.loss/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Loss {
    pub struct_size: u32,
    pub reserved: u32,
    pub needs: Option<unsafe extern "C" fn(*mut c_void) -> u32>,
    pub forward: Option<
        unsafe extern "C" fn(*mut c_void, *const Call, *const LossBatch, *mut LossOut) -> Status,
    >,
}

/// `orch.corpus/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Corpus {
    pub struct_size: u32,
    pub reserved: u32,
    pub documents: unsafe extern "C" fn(*const Call, *mut Batch) -> Status,
}

/// `orch.judgements/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Judgements {
    pub struct_size: u32,
    pub reserved: u32,
    pub table: unsafe extern "C" fn(*const Call, *mut Batch) -> Status,
}

/// `orch.search/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Search {
    pub struct_size: u32,
    pub reserved: u32,
    pub top_k:
        unsafe extern "C" fn(*const Call, *const i64, u64, u32, *mut i64, *mut f32) -> Status,
    pub score: unsafe extern "C" fn(*const Call, *const i64, *const i64, u64, *mut f32) -> Status,
}

/// `orch.embedder/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Embedder {
    pub struct_size: u32,
    pub reserved: u32,
    pub dim: unsafe extern "C" fn(*const Call) -> u64,
    pub encode: unsafe extern "C" fn(*const Call, *const Str, u64, *mut f32) -> Status,
}

/// `orch.linalg/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Linalg {
    pub struct_size: u32,
    pub reserved: u32,
    pub sgemm: unsafe extern "C" fn(
        *const Call,
        u8,
        u8,
        u64,
        u64,
        u64,
        f32,
        *const f32,
        *const f32,
        f32,
        *mut f32,
    ) -> Status,
}

/// `orch.bm25/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Bm25 {
    pub struct_size: u32,
    pub reserved: u32,
    pub top_k:
        unsafe extern "C" fn(*const Call, *const Str, u64, u32, *mut i64, *mut f32) -> Status,
}

/// `orch.topics/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Topics {
    pub struct_size: u32,
    pub reserved: u32,
    pub count: unsafe extern "C" fn(*const Call) -> u64,
    pub infer: unsafe extern "C" fn(*const Call, *const Str, u64, *mut f32) -> Status,
    pub documents: unsafe extern "C" fn(*const Call, *mut f32) -> Status,
}

/// `orch.corpora/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Corpora {
    pub struct_size: u32,
    pub reserved: u32,
    pub count: unsafe extern "C" fn(*const Call) -> u64,
    pub get: unsafe extern "C" fn(*const Call, u64, *mut Str, *mut Batch) -> Status,
}

/// `orch.held_out/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct HeldOut {
    pub struct_size: u32,
    pub reserved: u32,
    pub table: unsafe extern "C" fn(*const Call, *mut Batch) -> Status,
}

/// `orch.pool/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Pool {
    pub struct_size: u32,
    pub reserved: u32,
    pub table: unsafe extern "C" fn(*const Call, *mut Batch) -> Status,
}

/// `orch.files/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Files {
    pub struct_size: u32,
    pub reserved: u32,
    pub read: unsafe extern "C" fn(*const Call, Str, *mut *const u8, *mut u64) -> Status,
}

/// `orch.scorer/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Scorer {
    pub struct_size: u32,
    pub reserved: u32,
    pub knows: unsafe extern "C" fn(*const Call, Str) -> u8,
    pub score:
        unsafe extern "C" fn(*const Call, Str, *const Str, *const Str, u64, *mut f32) -> Status,
}

/// `orch.teacher/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Teacher {
    pub struct_size: u32,
    pub reserved: u32,
    pub embeddings:
        unsafe extern "C" fn(*const Call, *mut u64, *mut u64, *mut *const f32) -> Status,
}

/// Takes one answer of [`Chat`]: its place, whether it came, and its text or what went wrong.
pub type Answer = unsafe extern "C" fn(*mut c_void, u64, Status, Str);

/// `orch.chat/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Chat {
    pub struct_size: u32,
    pub reserved: u32,
    pub complete: unsafe extern "C" fn(*const Call, *const Str, u64, *mut c_void, Answer) -> Status,
}

/// `orch.metrics/1`
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)] // Documented in the header.
pub struct Metrics {
    pub struct_size: u32,
    pub reserved: u32,
    pub report: unsafe extern "C" fn(*const Call, Str, f64) -> Status,
}
