//! One call: threads that take requests in order, try again what may pass, and end early when the call is stopped or the
//! endpoint is not worth asking any more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER,
};

use crate::answer::{Answer, Failure, LIMIT, Reply, clip};
use crate::pace::{Stop, back_off, retry_after};
use crate::request::Request;
use crate::{Inner, count};

/// What is said about requests that were left when the call was stopped.
pub(crate) const STOPPED: &str = "not answered: the run was stopped";

/// How often the caller is asked whether to stop.
const WATCH: Duration = Duration::from_millis(20);

/// What the threads of a call share.
pub(crate) struct Call {
    requests: Vec<Request>,
    /// The next request nobody has taken.
    next: AtomicUsize,
    stop: Stop,
    agent: Agent,
    /// Why the rest is not sent.
    ended: OnceLock<String>,
    /// Requests in a row that got no whole reply in all their tries.
    silent: AtomicUsize,
}

type Answered = (usize, Result<String, String>);

impl Call {
    /// Sends `requests` and hands on each answer with its number, in the order in which they come. Returns at once when
    /// `cancelled`, and shuts down what is on its way then. What is not answered without that had no thread.
    pub fn run(
        inner: &Arc<Inner>,
        requests: Vec<Request>,
        cancelled: &dyn Fn() -> bool,
        mut answered: impl FnMut(usize, Result<String, String>),
    ) {
        let mut left = requests.len();
        if left == 0 || cancelled() {
            return;
        }
        let call = Arc::new(Self {
            requests,
            next: AtomicUsize::new(0),
            stop: Stop::default(),
            agent: inner.config.new_agent(),
            ended: OnceLock::new(),
            silent: AtomicUsize::new(0),
        });
        let (sender, receiver) = mpsc::channel();
        // Not scoped: a look-up or a connection being made cannot be shut down, and nobody waits for it.
        for _ in 0..inner.settings.concurrency.min(left) {
            let (inner, call, sender) = (Arc::clone(inner), Arc::clone(&call), sender.clone());
            let started = std::thread::Builder::new()
                .name("chat".into())
                .spawn(move || call.work(&inner, &sender));
            if started.is_err() {
                break;
            }
        }
        drop(sender);
        while left > 0 {
            match receiver.recv_timeout(WATCH) {
                Ok((number, answer)) => {
                    answered(number, answer);
                    left -= 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // No thread could be started, or all have failed: what is left stays unanswered.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if cancelled() {
                call.stop.stop();
                call.agent.clone().shutdown();
                receiver
                    .try_iter()
                    .for_each(|(number, answer)| answered(number, answer));
                break;
            }
        }
    }

    fn work(&self, inner: &Inner, sender: &Sender<Answered>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = self.requests.get(number) else {
                return;
            };
            if self.stop.stopped() {
                return;
            }
            let answer = match self.ended.get() {
                Some(why) => Err(format!("not sent: {why}")),
                None => self.answer(inner, request),
            };
            if sender.send((number, answer)).is_err() {
                return;
            }
        }
    }

    /// The answer to one request, after as many tries as it takes and may take.
    fn answer(&self, inner: &Inner, request: &Request) -> Result<String, String> {
        let settings = &inner.settings;
        for attempt in 1.. {
            if !inner.pace.turn(&self.stop) {
                break;
            }
            count(&inner.counters.sent);
            let failure = match self.send(inner, request) {
                Ok(answer) => {
                    self.silent.store(0, Ordering::Relaxed);
                    let cache = inner.cache.as_ref();
                    let kept = cache.map(|cache| cache.write(request, &answer.text, &answer.model));
                    if let Some(Err(_)) = kept {
                        count(&inner.counters.unsaved);
                    }
                    return Ok(answer.text);
                }
                Err(failure) => failure,
            };
            if self.stop.stopped() {
                break;
            }
            let (why, wait, silent) = match failure {
                Failure::Passing { why, wait, silent } => (why, wait, silent),
                Failure::Lasting { why, for_all } => {
                    self.silent.store(0, Ordering::Relaxed);
                    if for_all {
                        let _ = self.ended.set(why.clone());
                    }
                    return Err(why);
                }
            };
            if !silent {
                self.silent.store(0, Ordering::Relaxed);
            }
            let asked = wait.unwrap_or_default();
            if asked > settings.longest_wait {
                let seconds = asked.as_secs();
                return Err(format!(
                    "{why}; it asks to be left alone for {seconds} s: run again after that"
                ));
            }
            if attempt > settings.retries {
                let why = match attempt {
                    1 => why,
                    _ => format!("{why}; tried {attempt} times"),
                };
                if silent {
                    let in_a_row = self.silent.fetch_add(1, Ordering::Relaxed) + 1;
                    if in_a_row >= settings.concurrency.max(3) {
                        let _ = self.ended.set(why.clone());
                    }
                }
                return Err(why);
            }
            inner.pace.pause(asked);
            let jitter = request.jitter(attempt);
            let wait = back_off(settings.first_wait, settings.longest_wait, attempt, jitter);
            if self.stop.sleep(wait.max(asked)) {
                break;
            }
        }
        Err(STOPPED.into())
    }

    /// One try.
    fn send(&self, inner: &Inner, request: &Request) -> Result<Answer, Failure> {
        let key = inner.key.as_ref();
        let mut post = self
            .agent
            .post(&inner.target.url)
            .header(CONTENT_TYPE, "application/json");
        if let Some(value) = key.and_then(|key| key.header()) {
            post = post.header(AUTHORIZATION, value);
        }
        let mut reply = post
            .send(&request.body)
            .map_err(|error| inner.lost(&error))?;
        let status = reply.status().as_u16();
        let headers = reply.headers().clone();
        let body = reply.body_mut().with_config().limit(LIMIT).read_to_vec();
        let body = match body {
            Ok(body) => body,
            // The status says enough.
            Err(_) if status >= 300 => Vec::new(),
            Err(error) => return Err(inner.lost(&error)),
        };
        let text = |name: HeaderName| text(&headers, &name);
        Reply {
            key,
            status,
            location: text(LOCATION),
            wait: text(RETRY_AFTER).and_then(|asked| retry_after(&asked, text(DATE).as_deref())),
            content_type: text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
            body,
        }
        .understand()
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

impl Inner {
    /// There is no whole reply.
    fn lost(&self, error: &ureq::Error) -> Failure {
        use std::io::ErrorKind;
        let host = &self.target.host;
        let words = |error: &dyn std::fmt::Display| clip(&error.to_string(), self.key.as_ref());
        let passing = |why: String| Failure::Passing {
            why,
            wait: None,
            silent: true,
        };
        let unknown = || passing(format!("no host `{host}` is found; check `base_url`"));
        let insecure = |error: &dyn std::fmt::Display| Failure::Lasting {
            why: format!(
                "no secure connection to `{host}`: {}; check `base_url` and the server's certificate",
                words(error)
            ),
            for_all: true,
        };
        match error {
            ureq::Error::Rustls(error) => insecure(error),
            ureq::Error::Tls(error) => insecure(error),
            // As rustls hands on what it cannot read or believe.
            ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => insecure(error),
            ureq::Error::Timeout(_) => passing(format!(
                "`{host}` gave no whole answer within {} s (`timeout`)",
                self.settings.timeout.as_secs_f64()
            )),
            ureq::Error::HostNotFound => unknown(),
            // As the standard library says it, without a kind.
            ureq::Error::Io(error) if error.to_string().contains("lookup address") => unknown(),
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => passing(
                format!("nobody listens at `{host}`; start the server, or check `base_url`"),
            ),
            ureq::Error::BodyExceedsLimit(_) => {
                Failure::lasting(format!("the answer is longer than {} MiB", LIMIT >> 20))
            }
            ureq::Error::Io(error) => passing(format!(
                "the connection to `{host}` broke: {}",
                words(error)
            )),
            error => passing(format!(
                "`{host}` does not answer as HTTP has it: {}",
                words(error)
            )),
        }
    }
}
