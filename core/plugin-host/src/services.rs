//! What a call may use of ours: tables, the model that is current, matrix products. Only valid during the call.

use std::ffi::c_void;
use std::sync::atomic::AtomicBool;

use orchestrator_plugin_abi as abi;

use crate::call::{CallState, state};
use crate::linalg;
use crate::table::Table;

/// The model that is current for a call. The engine implements it.
pub trait CurrentModel: Sync {
    /// For each anchor (by number) its `k` nearest documents and their cosines, best first, ties by lower document; `None` if a number is
    /// out of range.
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>>;
    /// The cosine of each pair; `None` if a number is out of range.
    fn score(&self, anchors: &[i64], documents: &[i64]) -> Option<Vec<f32>>;
    /// Length of an embedding.
    fn dim(&self) -> usize;
    /// Unit-length embeddings `[texts, dim]`.
    fn encode(&self, texts: &[&str]) -> Vec<f32>;
}

/// Shows how far a call is: done, total (0 = not known), a label.
pub type Progress<'a> = dyn Fn(u64, u64, &str) + 'a;

/// The services lent to a call. What is `None` is not lent.
#[derive(Clone, Copy, Default)]
pub struct Services<'a> {
    /// The documents: columns of `orch.corpus/1`.
    pub corpus: Option<&'a Table>,
    /// The judgements of the training anchors: columns of `orch.judgements/1`.
    pub judgements: Option<&'a Table>,
    /// Search and embedder.
    pub model: Option<&'a dyn CurrentModel>,
    /// Set when the run is to stop.
    pub cancelled: Option<&'a AtomicBool>,
    /// Where progress goes.
    pub progress: Option<&'a Progress<'a>>,
}

static CORPUS: abi::Corpus = abi::Corpus {
    struct_size: size_of::<abi::Corpus>() as u32,
    reserved: 0,
    documents,
};
static JUDGEMENTS: abi::Judgements = abi::Judgements {
    struct_size: size_of::<abi::Judgements>() as u32,
    reserved: 0,
    table: judgements,
};
static SEARCH: abi::Search = abi::Search {
    struct_size: size_of::<abi::Search>() as u32,
    reserved: 0,
    top_k,
    score,
};
static EMBEDDER: abi::Embedder = abi::Embedder {
    struct_size: size_of::<abi::Embedder>() as u32,
    reserved: 0,
    dim,
    encode,
};
static LINALG: abi::Linalg = abi::Linalg {
    struct_size: size_of::<abi::Linalg>() as u32,
    reserved: 0,
    sgemm,
};

pub(crate) fn find(state: &CallState<'_>, id: &[u8]) -> *const c_void {
    let lent = &state.services;
    let of = str::as_bytes;
    if id == of(abi::service::CORPUS) && lent.corpus.is_some() {
        (&raw const CORPUS).cast()
    } else if id == of(abi::service::JUDGEMENTS) && lent.judgements.is_some() {
        (&raw const JUDGEMENTS).cast()
    } else if id == of(abi::service::SEARCH) && lent.model.is_some() {
        (&raw const SEARCH).cast()
    } else if id == of(abi::service::EMBEDDER) && lent.model.is_some() {
        (&raw const EMBEDDER).cast()
    } else if id == of(abi::service::LINALG) {
        (&raw const LINALG).cast()
    } else {
        std::ptr::null()
    }
}

/// Lends a table, if this call has it.
///
/// # Safety
/// `out` must be null or writable.
unsafe fn lend(table: Option<&Table>, out: *mut abi::Batch) -> abi::Status {
    match table {
        Some(table) if !out.is_null() => {
            // SAFETY: not null; the caller promises the rest.
            unsafe { *out = table.lend() };
            abi::status::OK
        }
        Some(_) => abi::status::INTERNAL,
        None => abi::status::UNSUPPORTED,
    }
}

unsafe extern "C" fn documents(call: *const abi::Call, out: *mut abi::Batch) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { lend(state(call).and_then(|state| state.services.corpus), out) }
}

unsafe extern "C" fn judgements(call: *const abi::Call, out: *mut abi::Batch) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { lend(state(call).and_then(|state| state.services.judgements), out) }
}

/// # Safety
/// `first` must be null or valid for `n` values during `'a`.
unsafe fn slice<'a, T>(first: *const T, n: u64) -> Option<&'a [T]> {
    if n == 0 {
        return Some(&[]);
    }
    // SAFETY: not null; the caller promises the rest.
    (!first.is_null()).then(|| unsafe { std::slice::from_raw_parts(first, n as usize) })
}

/// # Safety
/// `first` must be null or valid for `n` values during `'a`, and nobody else's.
unsafe fn slice_mut<'a, T>(first: *mut T, n: u64) -> Option<&'a mut [T]> {
    if n == 0 {
        return Some(&mut []);
    }
    // SAFETY: not null; the caller promises the rest.
    (!first.is_null()).then(|| unsafe { std::slice::from_raw_parts_mut(first, n as usize) })
}

/// The status of an optional answer: a plugin that asks for what is not there gets DATA.
fn status(answer: Option<()>) -> abi::Status {
    answer.map_or(abi::status::DATA, |()| abi::status::OK)
}

unsafe extern "C" fn top_k(
    call: *const abi::Call,
    anchors: *const i64,
    n: u64,
    k: u32,
    documents: *mut i64,
    scores: *mut f32,
) -> abi::Status {
    let answer = || {
        let k = k as usize;
        // SAFETY: the plugin's arrays, of the lengths the header gives.
        let (model, anchors, documents, scores) = unsafe {
            let places = n.checked_mul(k as u64)?;
            (
                state(call)?.services.model?,
                slice(anchors, n)?,
                slice_mut(documents, places)?,
                slice_mut(scores, places)?,
            )
        };
        documents.fill(-1);
        scores.fill(f32::NAN);
        for (row, found) in model.top_k(anchors, k)?.into_iter().enumerate() {
            for (place, (document, score)) in found.into_iter().take(k).enumerate() {
                documents[row * k + place] = document;
                scores[row * k + place] = score;
            }
        }
        Some(())
    };
    status(answer())
}

unsafe extern "C" fn score(
    call: *const abi::Call,
    anchors: *const i64,
    documents: *const i64,
    n: u64,
    scores: *mut f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's arrays, of the lengths the header gives.
        let (model, anchors, documents, scores) = unsafe {
            (
                state(call)?.services.model?,
                slice(anchors, n)?,
                slice(documents, n)?,
                slice_mut(scores, n)?,
            )
        };
        scores.copy_from_slice(&model.score(anchors, documents)?);
        Some(())
    };
    status(answer())
}

unsafe extern "C" fn dim(call: *const abi::Call) -> u64 {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { state(call) }
        .and_then(|state| state.services.model)
        .map_or(0, |model| model.dim() as u64)
}

unsafe extern "C" fn encode(
    call: *const abi::Call,
    texts: *const abi::Str,
    n: u64,
    out: *mut f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's arrays, of the lengths the header gives.
        unsafe {
            let model = state(call)?.services.model?;
            let texts: Option<Vec<&str>> = slice(texts, n)?
                .iter()
                .map(|text| std::str::from_utf8(text.bytes()).ok())
                .collect();
            let out = slice_mut(out, n.checked_mul(model.dim() as u64)?)?;
            out.copy_from_slice(&model.encode(&texts?));
        }
        Some(())
    };
    status(answer())
}

unsafe extern "C" fn sgemm(
    _: *const abi::Call,
    trans_a: u8,
    trans_b: u8,
    m: u64,
    n: u64,
    k: u64,
    alpha: f32,
    a: *const f32,
    b: *const f32,
    beta: f32,
    c: *mut f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's matrices, of the shapes the header gives.
        unsafe {
            linalg::sgemm(
                (trans_a != 0, trans_b != 0),
                (m as usize, n as usize, k as usize),
                alpha,
                slice(a, m.checked_mul(k)?)?,
                slice(b, k.checked_mul(n)?)?,
                beta,
                slice_mut(c, m.checked_mul(n)?)?,
            );
        }
        Some(())
    };
    status(answer())
}
