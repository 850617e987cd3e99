//! The services since ABI 1.1: lexical search, topics, other corpora, held-out claims, the pool, files, named models, the
//! teacher, an endpoint.

use std::ffi::c_void;

use orchestrator_plugin_abi as abi;

use super::{Lent, fill, lend, lend_table, slice_mut, status, texts};
use crate::call::state;

pub(super) unsafe extern "C" fn lexical_top_k(
    call: *const abi::Call,
    queries: *const abi::Str,
    n: u64,
    k: u32,
    documents: *mut i64,
    scores: *mut f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's arrays, of the lengths the header gives.
        let (lexical, queries, documents, scores) = unsafe {
            let places = n.checked_mul(u64::from(k))?;
            (
                state(call)?.services.bm25?,
                texts(queries, n)?,
                slice_mut(documents, places)?,
                slice_mut(scores, places)?,
            )
        };
        let k = k as usize;
        fill(lexical.top_k(&queries, k), k, documents, scores);
        Some(())
    };
    status(answer())
}

pub(super) unsafe extern "C" fn topic_count(call: *const abi::Call) -> u64 {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { state(call) }
        .and_then(|state| state.services.topics)
        .map_or(0, |topics| topics.count() as u64)
}

pub(super) unsafe extern "C" fn infer_topics(
    call: *const abi::Call,
    given: *const abi::Str,
    n: u64,
    out: *mut f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's arrays, of the lengths the header gives.
        unsafe {
            let topics = state(call)?.services.topics?;
            let given = texts(given, n)?;
            let out = slice_mut(out, n.checked_mul(topics.count() as u64)?)?;
            out.copy_from_slice(&topics.infer(&given));
        }
        Some(())
    };
    status(answer())
}

pub(super) unsafe extern "C" fn document_topics(
    call: *const abi::Call,
    out: *mut f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's array, of the length the header gives.
        unsafe {
            let of_documents = state(call)?.services.topics?.documents();
            slice_mut(out, of_documents.len() as u64)?.copy_from_slice(of_documents);
        }
        Some(())
    };
    status(answer())
}

pub(super) unsafe extern "C" fn corpora_count(call: *const abi::Call) -> u64 {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { state(call) }.map_or(0, |state| state.lender.corpora() as u64)
}

pub(super) unsafe extern "C" fn corpus(
    call: *const abi::Call,
    index: u64,
    name: *mut abi::Str,
    documents: *mut abi::Batch,
) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given, with places of its own.
    unsafe {
        let Some(lender) = state(call).map(|state| state.lender) else {
            return abi::status::INTERNAL;
        };
        if !lender.lends(Lent::Corpora) {
            return abi::status::UNSUPPORTED;
        }
        let (Some((its_name, table)), Some(name)) = (lender.corpus(index as usize), name.as_mut())
        else {
            return abi::status::DATA;
        };
        *name = abi::Str::new(its_name);
        lend(Some(table), documents)
    }
}

pub(super) unsafe extern "C" fn held_out(
    call: *const abi::Call,
    out: *mut abi::Batch,
) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { lend_table(call, Lent::HeldOut, out) }
}

pub(super) unsafe extern "C" fn pool(call: *const abi::Call, out: *mut abi::Batch) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { lend_table(call, Lent::Pool, out) }
}

pub(super) unsafe extern "C" fn read_file(
    call: *const abi::Call,
    name: abi::Str,
    bytes: *mut *const u8,
    len: *mut u64,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's string and places; the bytes live as long as the call.
        unsafe {
            let name = std::str::from_utf8(name.bytes()).ok()?;
            let content = state(call)?.lender.file(name)?;
            *bytes.as_mut()? = content.as_ptr();
            *len.as_mut()? = content.len() as u64;
        }
        Some(())
    };
    status(answer())
}

pub(super) unsafe extern "C" fn knows_model(call: *const abi::Call, model: abi::Str) -> u8 {
    // SAFETY: a plugin hands back the call it was given, with a string of its own.
    unsafe {
        let name = std::str::from_utf8(model.bytes()).unwrap_or_default();
        let models = state(call).and_then(|state| state.services.models);
        u8::from(models.is_some_and(|models| models.knows(name)))
    }
}

pub(super) unsafe extern "C" fn score_pairs(
    call: *const abi::Call,
    model: abi::Str,
    queries: *const abi::Str,
    candidates: *const abi::Str,
    n: u64,
    out: *mut f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's arrays, of the lengths the header gives.
        unsafe {
            let models = state(call)?.services.models?;
            let model = std::str::from_utf8(model.bytes()).ok()?;
            let pairs: Vec<(&str, &str)> = texts(queries, n)?
                .into_iter()
                .zip(texts(candidates, n)?)
                .collect();
            slice_mut(out, n)?.copy_from_slice(&models.score(model, &pairs)?);
        }
        Some(())
    };
    status(answer())
}

pub(super) unsafe extern "C" fn teacher(
    call: *const abi::Call,
    n_texts: *mut u64,
    dim: *mut u64,
    embeddings: *mut *const f32,
) -> abi::Status {
    let answer = || {
        // SAFETY: the plugin's places; the embeddings live as long as the call.
        unsafe {
            let (length, values) = state(call)?.lender.teacher()?;
            *n_texts.as_mut()? = (values.len() / length.max(1)) as u64;
            *dim.as_mut()? = length as u64;
            *embeddings.as_mut()? = values.as_ptr();
        }
        Some(())
    };
    status(answer())
}

pub(super) unsafe extern "C" fn complete(
    call: *const abi::Call,
    requests: *const abi::Str,
    n: u64,
    user: *mut c_void,
    answer: abi::Answer,
) -> abi::Status {
    // SAFETY: the plugin's strings and its function, called on the thread that called us.
    unsafe {
        let Some(state) = state(call) else {
            return abi::status::INTERNAL;
        };
        let Some(chat) = state.services.chat else {
            return abi::status::UNSUPPORTED;
        };
        let Some(requests) = texts(requests, n) else {
            return abi::status::DATA;
        };
        let cancelled = || state.lender.is_cancelled();
        let answers = chat.complete(&requests, &cancelled);
        if cancelled() {
            return abi::status::CANCELLED;
        }
        for (index, one) in (0u64..).zip(&answers) {
            let (status, text) = match one {
                Ok(text) => (abi::status::OK, text),
                Err(why) => (abi::status::DATA, why),
            };
            answer(user, index, status, abi::Str::new(text));
        }
        abi::status::OK
    }
}

pub(super) unsafe extern "C" fn report(
    call: *const abi::Call,
    name: abi::Str,
    value: f64,
) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given, with a string of its own.
    unsafe {
        let Some(state) = state(call) else {
            return abi::status::INTERNAL;
        };
        if state.services.metrics.is_none() {
            return abi::status::UNSUPPORTED;
        }
        status(
            state
                .reported
                .borrow_mut()
                .set(name.bytes(), value)
                .then_some(()),
        )
    }
}
