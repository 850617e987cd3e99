//! What every call gets: seed, services, cancellation, progress; and how it says what is wrong.

use orchestrator_plugin_abi as abi;

use crate::Random;
use crate::rows::Samples;
use crate::services::{
    Bm25, Chat, Corpus, Embedder, HeldOut, Judgements, Linalg, Scorer, Search, Topics,
};

/// Why a call failed, and which setting is to blame if one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub(crate) status: abi::Status,
    pub(crate) pointer: String,
    pub(crate) message: String,
}

/// Of a call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn new(status: abi::Status, message: impl Into<String>) -> Self {
        Self {
            status,
            pointer: String::new(),
            message: message.into(),
        }
    }

    /// The setting at JSON pointer `pointer` ("/margin") cannot be used.
    pub fn config(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            ..Self::new(abi::status::CONFIG, message)
        }
    }

    /// What was given to work on cannot be used.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(abi::status::DATA, message)
    }

    /// The host asked to stop.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(abi::status::CANCELLED, "cancelled")
    }

    /// The host does not lend what this needs.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(abi::status::UNSUPPORTED, message)
    }

    /// A fault of the plugin.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(abi::status::INTERNAL, message)
    }

    pub(crate) fn panicked(message: impl Into<String>) -> Self {
        Self::new(abi::status::PANIC, message)
    }

    pub(crate) fn host(status: abi::Status, what: &str) -> Self {
        Self::new(status, format!("{what}: the host answered status {status}"))
    }
}

/// First argument of everything that may fail.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub(crate) raw: &'a abi::Call,
}

impl<'a> Call<'a> {
    /// Training step, or 0 outside training.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.raw.step
    }

    /// A generator for this call and `salt` (an anchor's number, say): the same whatever the order rows are worked on.
    #[must_use]
    pub fn random(&self, salt: &[u64]) -> Random {
        Random::new(self.raw.seed, salt)
    }

    /// Whether the run is stopping; then return [`Error::cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: the host's function, with the host's own call.
        unsafe { (self.raw.is_cancelled)(self.raw) != 0 }
    }

    /// For the progress display; `total` 0 = not known.
    pub fn progress(&self, done: u64, total: u64, label: &str) {
        // SAFETY: the host's function; `label` outlives the call.
        unsafe { (self.raw.progress)(self.raw, done, total, abi::Str::new(label)) }
    }

    /// The documents.
    ///
    /// # Errors
    /// If the host does not lend them here.
    pub fn corpus(&self) -> Result<Corpus<'a>> {
        Corpus::lent(*self)
    }

    /// Who is relevant to whom, among the training anchors.
    ///
    /// # Errors
    /// If the host does not lend them here.
    pub fn judgements(&self) -> Result<Judgements<'a>> {
        Judgements::lent(*self)
    }

    /// Exact search over the corpus.
    ///
    /// # Errors
    /// If the host does not lend it here.
    pub fn search(&self) -> Result<Search<'a>> {
        Ok(Search {
            call: *self,
            raw: self.service(abi::service::SEARCH)?,
        })
    }

    /// Texts to embeddings.
    ///
    /// # Errors
    /// If the host does not lend it here.
    pub fn embedder(&self) -> Result<Embedder<'a>> {
        Ok(Embedder {
            call: *self,
            raw: self.service(abi::service::EMBEDDER)?,
        })
    }

    /// Matrix products.
    ///
    /// # Errors
    /// If the host does not lend them here.
    pub fn linalg(&self) -> Result<Linalg<'a>> {
        Ok(Linalg {
            call: *self,
            raw: self.service(abi::service::LINALG)?,
        })
    }

    /// Lexical search over the corpus.
    ///
    /// # Errors
    /// If the host does not lend it here.
    pub fn bm25(&self) -> Result<Bm25<'a>> {
        Ok(Bm25 {
            call: *self,
            raw: self.service(abi::service::BM25)?,
        })
    }

    /// Topics of the corpus.
    ///
    /// # Errors
    /// If the host does not lend them here.
    pub fn topics(&self) -> Result<Topics<'a>> {
        Ok(Topics {
            call: *self,
            raw: self.service(abi::service::TOPICS)?,
        })
    }

    /// The other corpora that the experiment names, each with its name.
    ///
    /// # Errors
    /// If the host does not lend them here.
    pub fn other_corpora(&self) -> Result<Vec<(&'a str, Corpus<'a>)>> {
        Corpus::others(*self)
    }

    /// The claims of validation and test: what must not leak into training.
    ///
    /// # Errors
    /// If the host does not lend them here.
    pub fn held_out(&self) -> Result<HeldOut<'a>> {
        HeldOut::lent(*self)
    }

    /// The samples kept before this call.
    ///
    /// # Errors
    /// If the host does not lend them here.
    pub fn pool(&self) -> Result<Samples<'a>> {
        Samples::kept(*self)
    }

    /// The bytes of the file that a setting names: one marked `#[config(file)]`, by its value.
    ///
    /// # Errors
    /// If the host does not lend files here, or no setting names this one.
    pub fn file(&self, name: &str) -> Result<&'a [u8]> {
        crate::services::file(*self, name)
    }

    /// Similarity of texts by a named model.
    ///
    /// # Errors
    /// If the host does not lend it here.
    pub fn scorer(&self) -> Result<Scorer<'a>> {
        Ok(Scorer {
            call: *self,
            raw: self.service(abi::service::SCORER)?,
        })
    }

    /// For losses: the length of the teacher's embeddings, and those of the step's texts, `[texts, dim]`, unit length.
    ///
    /// # Errors
    /// If the experiment has no teacher.
    pub fn teacher(&self) -> Result<(usize, &'a [f32])> {
        crate::services::teacher(*self)
    }

    /// An OpenAI-compatible endpoint.
    ///
    /// # Errors
    /// If the host does not lend it here.
    pub fn chat(&self) -> Result<Chat<'a>> {
        Ok(Chat {
            call: *self,
            raw: self.service(abi::service::CHAT)?,
        })
    }

    /// Reports a number worth seeing, which the run keeps as the metric `plugin/INSTANCE/name` and the report draws: of the
    /// training step (losses), or of the tick. `name` is words of a-z, 0-9 and _ parted by /, at most 64 bytes; at most 32
    /// names a call. Reported again in the same call, the last value counts: a filter counts in [`crate::Filter::judge_all`],
    /// which is one call. Over several calls of a step or a tick (the batches of a step) the mean is kept. Nothing else
    /// depends on it, and where the host takes none nothing happens.
    ///
    /// # Errors
    /// If the name is no such name, the value not finite, or there are too many; the call fails then.
    pub fn metric(&self, name: &str, value: f64) -> Result<()> {
        let Ok(raw) = self.service::<abi::Metrics>(abi::service::METRICS) else {
            return Ok(());
        };
        // SAFETY: the host's function; `name` outlives the call.
        let status = unsafe { (raw.report)(self.raw, abi::Str::new(name), value) };
        match status {
            abi::status::OK => Ok(()),
            status => Err(Error::host(status, &format!("metric `{name}`"))),
        }
    }

    /// The service `id` as the struct the header gives it.
    pub(crate) fn service<T>(&self, id: &str) -> Result<&'a T> {
        // SAFETY: the host's function; a service lives as long as the call.
        let raw = unsafe { (self.raw.service)(self.raw, abi::Str::new(id)) };
        if raw.is_null() {
            return Err(Error::unsupported(format!(
                "the host does not lend the service {id} here"
            )));
        }
        // SAFETY: not null, and by contract the struct that `id` names.
        Ok(unsafe { &*raw.cast::<T>() })
    }

    pub(crate) fn report(&self, error: &Error) {
        // SAFETY: the host's function; both strings outlive the call.
        unsafe {
            (self.raw.set_error)(
                self.raw,
                error.status,
                abi::Str::new(&error.pointer),
                abi::Str::new(&error.message),
            );
        }
    }
}
