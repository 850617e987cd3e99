//! What the host lends: corpora, judgements, held-out claims, search, models, topics, files, an endpoint, matrix products.

use orchestrator_plugin_abi as abi;

use crate::table::{Lists, Strings, Table};
use crate::{Call, Error, Result, Samples};

fn check(status: abi::Status, what: &str) -> Result<()> {
    if status == abi::status::OK {
        Ok(())
    } else {
        Err(Error::host(status, what))
    }
}

fn empty_batch() -> abi::Batch {
    abi::Batch {
        schema: std::ptr::null(),
        array: std::ptr::null(),
    }
}

/// The documents, numbered 0, 1, 2 ….
pub struct Corpus<'a> {
    ids: Strings<'a>,
    titles: Strings<'a>,
    sentences: Lists<'a, Strings<'a>>,
    metadata: Strings<'a>,
    len: usize,
}

/// One document.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    /// Its id in the data.
    pub id: &'a str,
    /// Its title.
    pub title: &'a str,
    /// Its sentences, in order.
    pub sentences: Vec<&'a str>,
    /// A JSON object.
    pub metadata: &'a str,
}

impl Document<'_> {
    /// Title and sentences as one text, the way documents are indexed and embedded.
    #[must_use]
    pub fn full_text(&self) -> String {
        let mut text = self.title.to_owned();
        for sentence in &self.sentences {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(sentence.trim());
        }
        text
    }
}

impl<'a> Corpus<'a> {
    pub(crate) fn lent(call: Call<'a>) -> Result<Self> {
        let raw: &abi::Corpus = call.service(abi::service::CORPUS)?;
        let mut batch = empty_batch();
        // SAFETY: the host's function; the table lives as long as the call.
        let table = unsafe {
            check((raw.documents)(call.raw, &raw mut batch), "corpus")?;
            Table::borrow(batch)?
        };
        Self::read(table)
    }

    fn read(table: Table<'a>) -> Result<Self> {
        Ok(Self {
            ids: table.strings("id")?,
            titles: table.strings("title")?,
            sentences: table.string_lists("sentences")?,
            metadata: table.strings("metadata")?,
            len: table.len(),
        })
    }

    pub(crate) fn others(call: Call<'a>) -> Result<Vec<(&'a str, Self)>> {
        let raw: &abi::Corpora = call.service(abi::service::CORPORA)?;
        // SAFETY: the host's function with its own call.
        let count = unsafe { (raw.count)(call.raw) };
        (0..count)
            .map(|index| {
                let (mut name, mut batch) = (abi::Str::empty(), empty_batch());
                // SAFETY: the host's function; name and table live as long as the call.
                unsafe {
                    check(
                        (raw.get)(call.raw, index, &raw mut name, &raw mut batch),
                        "corpora",
                    )?;
                    let name = std::str::from_utf8(name.bytes()).unwrap_or_default();
                    Ok((name, Self::read(Table::borrow(batch)?)?))
                }
            })
            .collect()
    }

    /// How many documents there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The document numbered `number`.
    ///
    /// # Panics
    /// If there is no such document.
    #[must_use]
    pub fn document(&self, number: usize) -> Document<'a> {
        Document {
            id: self.ids.get(number),
            title: self.titles.get(number),
            sentences: self.sentences.get(number).collect(),
            metadata: self.metadata.get(number),
        }
    }
}

/// What is known of anchor and document, one rationale set a row; sorted by anchor, then document, then set.
pub struct Judgements<'a> {
    anchors: &'a [i64],
    documents: &'a [i64],
    labels: Strings<'a>,
    relevant: Vec<bool>,
    grades: &'a [f32],
    sentences: Lists<'a, &'a [i32]>,
}

/// One row of [`Judgements`].
#[derive(Debug, Clone, Copy)]
pub struct Judgement<'a> {
    /// Number of the document.
    pub document: i64,
    /// `support`, `partial`, `contradict` or `neutral`.
    pub label: &'a str,
    /// A known positive under the reading the experiment trains.
    pub relevant: bool,
    /// 0..1.
    pub grade: f32,
    /// The rationale set: sentence numbers; empty = the whole document.
    pub sentences: &'a [i32],
}

impl<'a> Judgements<'a> {
    pub(crate) fn lent(call: Call<'a>) -> Result<Self> {
        let raw: &abi::Judgements = call.service(abi::service::JUDGEMENTS)?;
        let mut batch = empty_batch();
        // SAFETY: the host's function; the table lives as long as the call.
        let table = unsafe {
            check((raw.table)(call.raw, &raw mut batch), "judgements")?;
            Table::borrow(batch)?
        };
        Ok(Self {
            anchors: table.i64s("anchor")?,
            documents: table.i64s("document")?,
            labels: table.strings("label")?,
            relevant: table.bools("relevant")?,
            grades: table.f32s("grade")?,
            sentences: table.i32_lists("sentences")?,
        })
    }

    /// The judgements of one anchor.
    pub fn of(&self, anchor: i64) -> impl Iterator<Item = Judgement<'a>> + '_ {
        let first = self.anchors.partition_point(|&one| one < anchor);
        let last = self.anchors.partition_point(|&one| one <= anchor);
        (first..last).map(|row| Judgement {
            document: self.documents[row],
            label: self.labels.get(row),
            relevant: self.relevant[row],
            grade: self.grades[row],
            sentences: self.sentences.get(row),
        })
    }
}

/// Calls a search that fills `[n, k]` documents and scores, and parts its answer by row.
fn rankings(
    n: usize,
    k: usize,
    search: impl FnOnce(u32, *mut i64, *mut f32) -> Result<()>,
) -> Result<Vec<Vec<(i64, f32)>>> {
    let (Ok(asked), Some(places)) = (u32::try_from(k), n.checked_mul(k)) else {
        return Err(Error::data(format!(
            "{k} documents for each of {n} queries are too many"
        )));
    };
    let (mut documents, mut scores) = (vec![-1; places], vec![f32::NAN; places]);
    search(asked, documents.as_mut_ptr(), scores.as_mut_ptr())?;
    Ok((0..n)
        .map(|row| {
            let range = row * k..(row + 1) * k;
            documents[range.clone()]
                .iter()
                .copied()
                .zip(scores[range].iter().copied())
                .filter(|(document, _)| *document >= 0)
                .collect()
        })
        .collect())
}

fn borrowed(texts: &[&str]) -> Vec<abi::Str> {
    texts.iter().map(|text| abi::Str::new(text)).collect()
}

/// Exact cosine search over the corpus by the model that is current for this call.
pub struct Search<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) raw: &'a abi::Search,
}

impl Search<'_> {
    /// For each anchor its `k` nearest documents with their cosine, best first; fewer if the corpus is smaller.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn top_k(&self, anchors: &[i64], k: usize) -> Result<Vec<Vec<(i64, f32)>>> {
        rankings(anchors.len(), k, |asked, documents, scores| {
            // SAFETY: the host's function; both outputs have n * k places.
            let status = unsafe {
                (self.raw.top_k)(
                    self.call.raw,
                    anchors.as_ptr(),
                    anchors.len() as u64,
                    asked,
                    documents,
                    scores,
                )
            };
            check(status, "search")
        })
    }

    /// The cosine of each pair.
    ///
    /// # Errors
    /// If the host refuses.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn score(&self, anchors: &[i64], documents: &[i64]) -> Result<Vec<f32>> {
        assert_eq!(anchors.len(), documents.len(), "one document an anchor");
        let mut scores = vec![f32::NAN; anchors.len()];
        // SAFETY: the host's function; the three arrays have equal length.
        let status = unsafe {
            (self.raw.score)(
                self.call.raw,
                anchors.as_ptr(),
                documents.as_ptr(),
                anchors.len() as u64,
                scores.as_mut_ptr(),
            )
        };
        check(status, "search")?;
        Ok(scores)
    }
}

/// Texts to unit-length embeddings by the model that is current for this call.
pub struct Embedder<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) raw: &'a abi::Embedder,
}

impl Embedder<'_> {
    /// Length of an embedding.
    #[must_use]
    pub fn dim(&self) -> usize {
        // SAFETY: the host's function with its own call.
        unsafe { (self.raw.dim)(self.call.raw) as usize }
    }

    /// Embeddings `[texts, dim]`, row-major.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<f32>> {
        let raw = borrowed(texts);
        let mut out = vec![0.0; texts.len() * self.dim()];
        // SAFETY: the host's function; `out` has n * dim places.
        let status = unsafe {
            (self.raw.encode)(
                self.call.raw,
                raw.as_ptr(),
                raw.len() as u64,
                out.as_mut_ptr(),
            )
        };
        check(status, "embedder")?;
        Ok(out)
    }
}

/// Matrix products that do not depend on the number of threads.
pub struct Linalg<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) raw: &'a abi::Linalg,
}

impl Linalg<'_> {
    /// `A [m, k] · Bᵀ` with `B [n, k]`: all dot products of rows, `[m, n]`.
    ///
    /// # Errors
    /// If the host refuses.
    ///
    /// # Panics
    /// If the lengths do not fit the shapes.
    pub fn products(&self, a: &[f32], b: &[f32], k: usize) -> Result<Vec<f32>> {
        let (m, n) = (a.len() / k, b.len() / k);
        assert!(m * k == a.len() && n * k == b.len(), "rows of length {k}");
        let mut c = vec![0.0; m * n];
        // SAFETY: the host's function; a, b and c have the shapes given.
        let status = unsafe {
            (self.raw.sgemm)(
                self.call.raw,
                0,
                1,
                m as u64,
                n as u64,
                k as u64,
                1.0,
                a.as_ptr(),
                b.as_ptr(),
                0.0,
                c.as_mut_ptr(),
            )
        };
        check(status, "linalg")?;
        Ok(c)
    }
}

/// Lexical search over the corpus (BM25).
pub struct Bm25<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) raw: &'a abi::Bm25,
}

impl Bm25<'_> {
    /// For each query its `k` best documents with their scores, best first; fewer where fewer share a word with it.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn top_k(&self, queries: &[&str], k: usize) -> Result<Vec<Vec<(i64, f32)>>> {
        let raw = borrowed(queries);
        rankings(queries.len(), k, |asked, documents, scores| {
            // SAFETY: the host's function; both outputs have n * k places.
            let status = unsafe {
                (self.raw.top_k)(
                    self.call.raw,
                    raw.as_ptr(),
                    raw.len() as u64,
                    asked,
                    documents,
                    scores,
                )
            };
            check(status, "bm25")
        })
    }
}

/// Topics of the corpus (latent Dirichlet allocation), fitted by the host.
pub struct Topics<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) raw: &'a abi::Topics,
}

impl Topics<'_> {
    /// How many topics there are.
    #[must_use]
    pub fn count(&self) -> usize {
        // SAFETY: the host's function with its own call.
        unsafe { (self.raw.count)(self.call.raw) as usize }
    }

    /// The topics of texts, `[texts, topics]`; each row sums to 1.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn infer(&self, texts: &[&str]) -> Result<Vec<f32>> {
        let raw = borrowed(texts);
        let mut out = vec![0.0; texts.len() * self.count()];
        // SAFETY: the host's function; `out` has n * topics places.
        let status = unsafe {
            (self.raw.infer)(
                self.call.raw,
                raw.as_ptr(),
                raw.len() as u64,
                out.as_mut_ptr(),
            )
        };
        check(status, "topics")?;
        Ok(out)
    }

    /// The topics of the documents, `[documents, topics]`; each row sums to 1.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn documents(&self) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.call.corpus()?.len() * self.count()];
        // SAFETY: the host's function; `out` has documents * topics places.
        let status = unsafe { (self.raw.documents)(self.call.raw, out.as_mut_ptr()) };
        check(status, "topics")?;
        Ok(out)
    }
}

/// The claims of validation and test.
pub struct HeldOut<'a> {
    ids: Strings<'a>,
    splits: Strings<'a>,
    texts: Strings<'a>,
    len: usize,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct HeldOutAnchor<'a> {
    /// Its id in the data.
    pub id: &'a str,
    /// `validation` or `test`.
    pub split: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl<'a> HeldOut<'a> {
    pub(crate) fn lent(call: Call<'a>) -> Result<Self> {
        let raw: &abi::HeldOut = call.service(abi::service::HELD_OUT)?;
        let mut batch = empty_batch();
        // SAFETY: the host's function; the table lives as long as the call.
        let table = unsafe {
            check((raw.table)(call.raw, &raw mut batch), "held out")?;
            Table::borrow(batch)?
        };
        Ok(Self {
            ids: table.strings("id")?,
            splits: table.strings("split")?,
            texts: table.strings("text")?,
            len: table.len(),
        })
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = HeldOutAnchor<'a>> + '_ {
        (0..self.len).map(|row| HeldOutAnchor {
            id: self.ids.get(row),
            split: self.splits.get(row),
            text: self.texts.get(row),
        })
    }
}

impl<'a> Samples<'a> {
    pub(crate) fn kept(call: Call<'a>) -> Result<Self> {
        let raw: &abi::Pool = call.service(abi::service::POOL)?;
        let mut batch = empty_batch();
        // SAFETY: the host's function; the table lives as long as the call.
        unsafe {
            check((raw.table)(call.raw, &raw mut batch), "pool")?;
            Self::read(Table::borrow(batch)?)
        }
    }
}

pub(crate) fn file<'a>(call: Call<'a>, name: &str) -> Result<&'a [u8]> {
    let raw: &abi::Files = call.service(abi::service::FILES)?;
    let (mut bytes, mut len) = (std::ptr::null(), 0u64);
    // SAFETY: the host's function; the bytes live as long as the call.
    unsafe {
        let status = (raw.read)(call.raw, abi::Str::new(name), &raw mut bytes, &raw mut len);
        check(status, &format!("file `{name}`"))?;
        if len == 0 || bytes.is_null() {
            return Ok(&[]);
        }
        Ok(std::slice::from_raw_parts(bytes, len as usize))
    }
}

/// Similarity of texts by a named model.
pub struct Scorer<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) raw: &'a abi::Scorer,
}

impl Scorer<'_> {
    /// Whether there is a model of that name: `current`, `initial`, `bm25`, or one of the experiment's.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        // SAFETY: the host's function; `model` outlives the call.
        unsafe { (self.raw.knows)(self.call.raw, abi::Str::new(model)) != 0 }
    }

    /// The similarity of each (query, text): a cosine, the BM25 score, or what a cross-encoder says of the pair.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Result<Vec<f32>> {
        if !self.knows(model) {
            return Err(Error::config(
                "/model",
                format!(
                    "there is no model `{model}`: current, initial, bm25 and those under `models:` are known"
                ),
            ));
        }
        let (queries, texts): (Vec<abi::Str>, Vec<abi::Str>) = pairs
            .iter()
            .map(|(query, text)| (abi::Str::new(query), abi::Str::new(text)))
            .unzip();
        let mut out = vec![f32::NAN; pairs.len()];
        // SAFETY: the host's function; the three arrays have equal length.
        let status = unsafe {
            (self.raw.score)(
                self.call.raw,
                abi::Str::new(model),
                queries.as_ptr(),
                texts.as_ptr(),
                pairs.len() as u64,
                out.as_mut_ptr(),
            )
        };
        check(status, "scorer")?;
        Ok(out)
    }
}

pub(crate) fn teacher<'a>(call: Call<'a>) -> Result<(usize, &'a [f32])> {
    let raw: &abi::Teacher = call.service(abi::service::TEACHER)?;
    let (mut texts, mut dim, mut values) = (0u64, 0u64, std::ptr::null());
    // SAFETY: the host's function; the embeddings live as long as the call.
    unsafe {
        let status = (raw.embeddings)(call.raw, &raw mut texts, &raw mut dim, &raw mut values);
        check(status, "teacher")?;
        if texts == 0 || dim == 0 || values.is_null() {
            return Ok((0, &[]));
        }
        let places = texts as usize * dim as usize;
        Ok((dim as usize, std::slice::from_raw_parts(values, places)))
    }
}

/// An OpenAI-compatible endpoint. Concurrency, retries, rate limit and cache are the host's.
pub struct Chat<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) raw: &'a abi::Chat,
}

/// The answers so far, by their place.
type Answers = Vec<std::result::Result<String, String>>;

impl Chat<'_> {
    /// Sends bodies of `POST /chat/completions`; for each in order the text of its first choice, or what went wrong.
    ///
    /// # Errors
    /// If there is no endpoint, or the run is stopping.
    pub fn complete(&self, requests: &[serde_json::Value]) -> Result<Answers> {
        let bodies: Vec<String> = requests.iter().map(ToString::to_string).collect();
        let raw = borrowed(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        let mut answers: Answers = vec![Err("no answer".to_owned()); requests.len()];
        // SAFETY: the host's function; `answers` outlives the call and is used by this thread alone.
        let status = unsafe {
            (self.raw.complete)(
                self.call.raw,
                raw.as_ptr(),
                raw.len() as u64,
                (&raw mut answers).cast(),
                take_answer,
            )
        };
        match status {
            abi::status::OK => Ok(answers),
            abi::status::CANCELLED => Err(Error::cancelled()),
            status => Err(Error::host(status, "chat")),
        }
    }
}

unsafe extern "C" fn take_answer(
    user: *mut std::ffi::c_void,
    index: u64,
    status: abi::Status,
    text: abi::Str,
) {
    // SAFETY: `user` is what `complete` gave; the text is the host's, valid during the call.
    unsafe {
        let text = String::from_utf8_lossy(text.bytes()).into_owned();
        if let Some(place) = user
            .cast::<Answers>()
            .as_mut()
            .and_then(|answers| answers.get_mut(index as usize))
        {
            *place = if status == abi::status::OK {
                Ok(text)
            } else {
                Err(text)
            };
        }
    }
}
