//! What the host lends: corpus, judgements, search, embedder, matrix products.

use orchestrator_plugin_abi as abi;

use crate::table::{Lists, Strings, Table};
use crate::{Call, Error, Result};

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
        Ok(Self {
            ids: table.strings("id")?,
            titles: table.strings("title")?,
            sentences: table.string_lists("sentences")?,
            metadata: table.strings("metadata")?,
            len: table.len(),
        })
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
        let n = anchors.len();
        let (Ok(asked), Some(_)) = (u32::try_from(k), n.checked_mul(k)) else {
            return Err(Error::data(format!(
                "{k} documents for each of {n} anchors are too many"
            )));
        };
        let (mut documents, mut scores) = (vec![-1; n * k], vec![f32::NAN; n * k]);
        // SAFETY: the host's function; both outputs have n * k places.
        let status = unsafe {
            (self.raw.top_k)(
                self.call.raw,
                anchors.as_ptr(),
                n as u64,
                asked,
                documents.as_mut_ptr(),
                scores.as_mut_ptr(),
            )
        };
        check(status, "search")?;
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
        let raw: Vec<abi::Str> = texts.iter().map(|text| abi::Str::new(text)).collect();
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
