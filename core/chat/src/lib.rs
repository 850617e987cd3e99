//! A client of OpenAI-compatible endpoints: the host's side of the service `orch.chat/1`. It bounds what runs at once, keeps to
//! a rate, tries again what may pass, keeps answers on disk, and trusts nothing that comes back. Beside `core/hub` the only
//! crate that knows ureq. Never prints, never reads the environment (proxies included), follows no redirect, and shows the
//! key to nobody but the endpoint.
//!
//! `http://` is allowed, to any host, for servers on this machine or a network of one's own: key and texts are then readable on
//! the way. HTTPS trusts the certificate authorities of Mozilla, which are compiled in.

mod answer;
mod cache;
mod call;
mod error;
mod key;
mod pace;
mod request;
mod target;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orchestrator_plugin_host::ChatEndpoint;
use ureq::config::Config;

use crate::cache::Cache;
use crate::call::Call;
use crate::key::Key;
use crate::pace::Pace;
use crate::request::Request;
use crate::target::Target;

pub use error::Error;

/// How an endpoint is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is, without `/chat/completions`: `https://api.openai.com/v1`. No user, password or query: the key does not
    /// belong here.
    pub base_url: String,
    /// How many requests of a call run at once, 1 to 64.
    pub concurrency: usize,
    /// How often a request is tried again, at most 20 times.
    pub retries: u32,
    /// How many requests a minute, tries included; no bound if `None`.
    pub requests_per_minute: Option<f64>,
    /// How long one try may take, from the look-up of the host to the last byte.
    pub timeout: Duration,
    /// The wait before the second try; doubled for each further one.
    pub first_wait: Duration,
    /// The longest wait between two tries. An endpoint that asks to wait longer is not asked again.
    pub longest_wait: Duration,
    /// Where answers are kept; not kept if `None`.
    pub cache: Option<PathBuf>,
    /// Sends nothing: what is not kept is an error.
    pub offline: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".into(),
            concurrency: 4,
            retries: 5,
            requests_per_minute: None,
            timeout: Duration::from_secs(120),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            cache: None,
            offline: false,
        }
    }
}

/// What has happened at an endpoint so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that plugins made.
    pub asked: u64,
    /// Of these: answered from the cache.
    pub from_cache: u64,
    /// Of these: the same as another one of its call, and answered with it.
    pub repeated: u64,
    /// Of these: without an answer.
    pub failed: u64,
    /// What was sent, tries included.
    pub sent: u64,
    /// Answers that could not be written into the cache.
    pub unsaved: u64,
}

/// An endpoint.
///
/// The answer to a request is kept under the SHA-256 of (host, port and path of the endpoint; the request's body without what
/// only concerns its transport, keys in order). So it is asked again if the model, the messages, any parameter or the endpoint
/// changes, and not if the key, `https` or a plugin's order of keys does. Only answers are kept, failures are not.
///
/// A call ends in bounded time: a request takes at most `(retries + 1) · timeout + retries · longest_wait` beside its turn in
/// the rate; when as many requests in a row as run at once (at least 3) got no whole reply in all their tries, the remaining
/// ones are not sent, nor are they once the endpoint has said what holds for all: a wrong key, no quota, a redirect.
pub struct Endpoint {
    inner: Arc<Inner>,
}

/// What threads share.
struct Inner {
    settings: Settings,
    target: Target,
    key: Option<Key>,
    config: Config,
    pace: Pace,
    cache: Option<Cache>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    asked: AtomicU64,
    from_cache: AtomicU64,
    repeated: AtomicU64,
    failed: AtomicU64,
    sent: AtomicU64,
    unsaved: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Endpoint {
    /// An endpoint to be asked; nothing is sent yet. The cache folder is made.
    ///
    /// # Errors
    /// If a setting is out of its bounds, the key does not fit into a header, or the cache folder cannot be made.
    pub fn new(settings: Settings, key: Option<String>) -> Result<Self, Error> {
        error::check(&settings)?;
        let target = Target::parse(&settings.base_url)?;
        let key = match key {
            Some(key) => Key::new(&key).map_err(|()| Error::Key)?,
            None => None,
        };
        let cache = match &settings.cache {
            Some(folder) => {
                Some(
                    Cache::open(folder, &target.identity).map_err(|why| Error::Cache {
                        path: folder.clone(),
                        why,
                    })?,
                )
            }
            None => None,
        };
        let config = Config::builder()
            // The library would take one from the environment.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout))
            .max_idle_connections_per_host(settings.concurrency)
            .max_idle_connections(settings.concurrency)
            .user_agent(concat!("orchestrator/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .build();
        Ok(Self {
            inner: Arc::new(Inner {
                pace: Pace::new(settings.requests_per_minute),
                settings,
                target,
                key,
                config,
                cache,
                counters: Counters::default(),
            }),
        })
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.inner.counters;
        Counts {
            asked: of(&counters.asked),
            from_cache: of(&counters.from_cache),
            repeated: of(&counters.repeated),
            failed: of(&counters.failed),
            sent: of(&counters.sent),
            unsaved: of(&counters.unsaved),
        }
    }
}

impl ChatEndpoint for Endpoint {
    fn complete(
        &self,
        requests: &[&str],
        cancelled: &dyn Fn() -> bool,
    ) -> Vec<Result<String, String>> {
        let inner = &self.inner;
        let mut answers: Vec<Option<Result<String, String>>> = vec![None; requests.len()];
        // Digest to the places that ask it, and the requests to send in the order in which they came.
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut to_send = Vec::new();
        for (place, body) in requests.iter().enumerate() {
            count(&inner.counters.asked);
            if cancelled() {
                break;
            }
            let request = match inner.read(body) {
                Ok(request) => request,
                Err(why) => {
                    answers[place] = Some(Err(why));
                    continue;
                }
            };
            if let Some(same) = places.get_mut(&request.digest) {
                count(&inner.counters.repeated);
                same.push(place);
                continue;
            }
            if let Some(kept) = inner.cache.as_ref().and_then(|cache| cache.read(&request)) {
                count(&inner.counters.from_cache);
                answers[place] = Some(Ok(kept));
            } else if inner.settings.offline {
                answers[place] = Some(Err(OFFLINE.into()));
            } else {
                places.insert(request.digest.clone(), vec![place]);
                to_send.push(request);
            }
        }
        let digests: Vec<String> = to_send.iter().map(|one| one.digest.clone()).collect();
        Call::run(inner, to_send, cancelled, |number, answer| {
            for &place in &places[&digests[number]] {
                answers[place] = Some(answer.clone());
            }
        });
        let left = if cancelled() {
            call::STOPPED
        } else {
            NO_THREAD
        };
        let answers: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(left.into())))
            .collect();
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        inner
            .counters
            .failed
            .fetch_add(failed as u64, Ordering::Relaxed);
        answers
    }
}

const NO_THREAD: &str = "not answered: the system gives no thread to ask with";
const OFFLINE: &str = "not asked: the answer is not in the cache, and the run is offline";

impl Inner {
    /// A request as it may be sent.
    fn read(&self, body: &str) -> Result<Request, String> {
        if self.key.as_ref().is_some_and(|key| key.is_in(body)) {
            return Err("the request has the endpoint's key in it".into());
        }
        Request::read(body, &self.target.identity)
    }
}
