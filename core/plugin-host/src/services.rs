//! What a call may use of ours: tables, the model that is current, matrix products. Only valid during the call.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use orchestrator_plugin_abi as abi;

use crate::call::{CallState, state};
use crate::linalg;
use crate::metrics::Metrics;
use crate::table::Table;

mod further;

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

/// Lexical search over the corpus. The engine implements it.
pub trait Lexical: Sync {
    /// For each query its `k` best documents with scores above 0, best first, ties by lower document.
    fn top_k(&self, queries: &[&str], k: usize) -> Vec<Vec<(i64, f32)>>;
}

/// Topics of the corpus. The engine implements it.
pub trait TopicModel: Sync {
    /// How many topics there are.
    fn count(&self) -> usize;
    /// The topics of texts, `[texts, topics]`; each row sums to 1.
    fn infer(&self, texts: &[&str]) -> Vec<f32>;
    /// The topics of the documents, `[documents, topics]`.
    fn documents(&self) -> &[f32];
}

/// Models by name. The engine implements it.
pub trait NamedModels: Sync {
    /// Whether there is a model of that name.
    fn knows(&self, model: &str) -> bool;
    /// The similarity of each (query, text), or `None` if there is no such model.
    fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Option<Vec<f32>>;
}

/// An endpoint that answers chat requests. The engine lends it.
pub trait ChatEndpoint: Sync {
    /// The text of the first choice for each request body, in order, or what went wrong. Stops early, with the rest
    /// unanswered, when `cancelled` is set.
    fn complete(
        &self,
        requests: &[&str],
        cancelled: &dyn Fn() -> bool,
    ) -> Vec<Result<String, String>>;
}

/// Files that settings name: the name as it stands in the settings, and the bytes.
pub type Files = std::collections::BTreeMap<String, Vec<u8>>;

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
    /// Lexical search.
    pub bm25: Option<&'a dyn Lexical>,
    /// Topics of the corpus.
    pub topics: Option<&'a dyn TopicModel>,
    /// The other corpora of the experiment, each with the columns of `orch.corpus/1`.
    pub corpora: Option<&'a [(String, Table)]>,
    /// Validation and test claims: columns of `orch.held_out/1`.
    pub held_out: Option<&'a Table>,
    /// The samples kept before the call: columns of `orch.filter/1`.
    pub pool: Option<&'a Table>,
    /// Files that the settings name.
    pub files: Option<&'a Files>,
    /// Models by name.
    pub models: Option<&'a dyn NamedModels>,
    /// For losses: the teacher's embeddings of the step's texts, `[texts, dim]`, and `dim`.
    pub teacher: Option<(usize, &'a [f32])>,
    /// An endpoint.
    pub chat: Option<&'a dyn ChatEndpoint>,
    /// Where reported numbers go.
    pub metrics: Option<&'a Metrics>,
    /// Set when the run is to stop.
    pub cancelled: Option<&'a AtomicBool>,
    /// Where progress goes.
    pub progress: Option<&'a Progress<'a>>,
}

/// What a plugin is handed to read rather than has done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lent {
    /// The documents.
    Corpus,
    /// The judgements of the training anchors.
    Judgements,
    /// Validation and test claims.
    HeldOut,
    /// The samples kept before the call.
    Pool,
    /// The other corpora.
    Corpora,
    /// Files that settings name.
    Files,
    /// The teacher's embeddings.
    Teacher,
}

/// Who hands it over. In the process of the run it is there already; in a child it is fetched when it is first asked for.
pub(crate) trait Lender {
    /// Whether this call has it.
    fn lends(&self, what: Lent) -> bool;
    /// One of the first four.
    fn table(&self, what: Lent) -> Option<&Table>;
    /// How many other corpora there are.
    fn corpora(&self) -> usize;
    /// The name and documents of one.
    fn corpus(&self, place: usize) -> Option<(&str, &Table)>;
    /// The bytes of a file.
    fn file(&self, name: &str) -> Option<&[u8]>;
    /// Length of an embedding, and the embeddings.
    fn teacher(&self) -> Option<(usize, &[f32])>;
    /// Whether the run is to stop.
    fn is_cancelled(&self) -> bool;
}

impl Lender for Services<'_> {
    fn lends(&self, what: Lent) -> bool {
        match what {
            Lent::Corpora => self.corpora.is_some(),
            Lent::Files => self.files.is_some(),
            Lent::Teacher => self.teacher.is_some(),
            table => self.table(table).is_some(),
        }
    }

    fn table(&self, what: Lent) -> Option<&Table> {
        match what {
            Lent::Corpus => self.corpus,
            Lent::Judgements => self.judgements,
            Lent::HeldOut => self.held_out,
            Lent::Pool => self.pool,
            Lent::Corpora | Lent::Files | Lent::Teacher => None,
        }
    }

    fn corpora(&self) -> usize {
        self.corpora.map_or(0, <[_]>::len)
    }

    fn corpus(&self, place: usize) -> Option<(&str, &Table)> {
        let (name, table) = self.corpora?.get(place)?;
        Some((name, table))
    }

    fn file(&self, name: &str) -> Option<&[u8]> {
        self.files?.get(name).map(Vec::as_slice)
    }

    fn teacher(&self) -> Option<(usize, &[f32])> {
        self.teacher
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
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

static BM25: abi::Bm25 = abi::Bm25 {
    struct_size: size_of::<abi::Bm25>() as u32,
    reserved: 0,
    top_k: further::lexical_top_k,
};
static TOPICS: abi::Topics = abi::Topics {
    struct_size: size_of::<abi::Topics>() as u32,
    reserved: 0,
    count: further::topic_count,
    infer: further::infer_topics,
    documents: further::document_topics,
};
static CORPORA: abi::Corpora = abi::Corpora {
    struct_size: size_of::<abi::Corpora>() as u32,
    reserved: 0,
    count: further::corpora_count,
    get: further::corpus,
};
static HELD_OUT: abi::HeldOut = abi::HeldOut {
    struct_size: size_of::<abi::HeldOut>() as u32,
    reserved: 0,
    table: further::held_out,
};
static POOL: abi::Pool = abi::Pool {
    struct_size: size_of::<abi::Pool>() as u32,
    reserved: 0,
    table: further::pool,
};
static FILES: abi::Files = abi::Files {
    struct_size: size_of::<abi::Files>() as u32,
    reserved: 0,
    read: further::read_file,
};
static SCORER: abi::Scorer = abi::Scorer {
    struct_size: size_of::<abi::Scorer>() as u32,
    reserved: 0,
    knows: further::knows_model,
    score: further::score_pairs,
};
static TEACHER: abi::Teacher = abi::Teacher {
    struct_size: size_of::<abi::Teacher>() as u32,
    reserved: 0,
    embeddings: further::teacher,
};
static CHAT: abi::Chat = abi::Chat {
    struct_size: size_of::<abi::Chat>() as u32,
    reserved: 0,
    complete: further::complete,
};

static METRICS: abi::Metrics = abi::Metrics {
    struct_size: size_of::<abi::Metrics>() as u32,
    reserved: 0,
    report: further::report,
};

pub(crate) fn find(state: &CallState<'_>, id: &[u8]) -> *const c_void {
    let (lent, lender) = (&state.services, state.lender);
    let given = |id: &str| -> Option<*const c_void> {
        let of = |there: bool, service: *const c_void| there.then_some(service);
        match id {
            abi::service::CORPUS => of(lender.lends(Lent::Corpus), (&raw const CORPUS).cast()),
            abi::service::JUDGEMENTS => of(
                lender.lends(Lent::Judgements),
                (&raw const JUDGEMENTS).cast(),
            ),
            abi::service::SEARCH => of(lent.model.is_some(), (&raw const SEARCH).cast()),
            abi::service::EMBEDDER => of(lent.model.is_some(), (&raw const EMBEDDER).cast()),
            abi::service::LINALG => Some((&raw const LINALG).cast()),
            abi::service::BM25 => of(lent.bm25.is_some(), (&raw const BM25).cast()),
            abi::service::TOPICS => of(lent.topics.is_some(), (&raw const TOPICS).cast()),
            abi::service::CORPORA => of(lender.lends(Lent::Corpora), (&raw const CORPORA).cast()),
            abi::service::HELD_OUT => of(lender.lends(Lent::HeldOut), (&raw const HELD_OUT).cast()),
            abi::service::POOL => of(lender.lends(Lent::Pool), (&raw const POOL).cast()),
            abi::service::FILES => of(lender.lends(Lent::Files), (&raw const FILES).cast()),
            abi::service::SCORER => of(lent.models.is_some(), (&raw const SCORER).cast()),
            abi::service::TEACHER => of(lender.lends(Lent::Teacher), (&raw const TEACHER).cast()),
            abi::service::CHAT => of(lent.chat.is_some(), (&raw const CHAT).cast()),
            abi::service::METRICS => of(lent.metrics.is_some(), (&raw const METRICS).cast()),
            _ => None,
        }
    };
    std::str::from_utf8(id)
        .ok()
        .and_then(given)
        .unwrap_or(std::ptr::null())
}

/// Lends a table, if this call has it.
///
/// # Safety
/// `out` must be null or writable.
pub(crate) unsafe fn lend(table: Option<&Table>, out: *mut abi::Batch) -> abi::Status {
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

/// # Safety
/// `call` must be null or a call that has not returned, `out` null or writable.
pub(crate) unsafe fn lend_table(
    call: *const abi::Call,
    what: Lent,
    out: *mut abi::Batch,
) -> abi::Status {
    // SAFETY: the caller promises it.
    unsafe { lend(state(call).and_then(|state| state.lender.table(what)), out) }
}

unsafe extern "C" fn documents(call: *const abi::Call, out: *mut abi::Batch) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { lend_table(call, Lent::Corpus, out) }
}

unsafe extern "C" fn judgements(call: *const abi::Call, out: *mut abi::Batch) -> abi::Status {
    // SAFETY: a plugin hands back the call it was given.
    unsafe { lend_table(call, Lent::Judgements, out) }
}

/// # Safety
/// `first` must be null or valid for `n` values during `'a`.
pub(crate) unsafe fn slice<'a, T>(first: *const T, n: u64) -> Option<&'a [T]> {
    if n == 0 {
        return Some(&[]);
    }
    // SAFETY: not null; the caller promises the rest.
    (!first.is_null()).then(|| unsafe { std::slice::from_raw_parts(first, n as usize) })
}

/// # Safety
/// `first` must be null or valid for `n` values during `'a`, and nobody else's.
pub(crate) unsafe fn slice_mut<'a, T>(first: *mut T, n: u64) -> Option<&'a mut [T]> {
    if n == 0 {
        return Some(&mut []);
    }
    // SAFETY: not null; the caller promises the rest.
    (!first.is_null()).then(|| unsafe { std::slice::from_raw_parts_mut(first, n as usize) })
}

/// The status of an optional answer: a plugin that asks for what is not there gets DATA.
pub(crate) fn status(answer: Option<()>) -> abi::Status {
    answer.map_or(abi::status::DATA, |()| abi::status::OK)
}

/// Lays rankings out as `[n, k]`, padded with -1 and NaN.
fn fill(rankings: Vec<Vec<(i64, f32)>>, k: usize, documents: &mut [i64], scores: &mut [f32]) {
    documents.fill(-1);
    scores.fill(f32::NAN);
    for (row, found) in rankings.into_iter().enumerate() {
        for (place, (document, score)) in found.into_iter().take(k).enumerate() {
            documents[row * k + place] = document;
            scores[row * k + place] = score;
        }
    }
}

/// Texts of the plugin's; `None` if one is not UTF-8.
///
/// # Safety
/// `first` must be null or valid for `n` strings during `'a`.
unsafe fn texts<'a>(first: *const abi::Str, n: u64) -> Option<Vec<&'a str>> {
    // SAFETY: the caller promises it.
    unsafe {
        slice(first, n)?
            .iter()
            .map(|text| std::str::from_utf8(text.bytes()).ok())
            .collect()
    }
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
        fill(model.top_k(anchors, k)?, k, documents, scores);
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
            let texts = self::texts(texts, n)?;
            let out = slice_mut(out, n.checked_mul(model.dim() as u64)?)?;
            out.copy_from_slice(&model.encode(&texts));
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
