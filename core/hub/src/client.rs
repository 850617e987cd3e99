//! Requests to a hub: redirects followed with care, tries repeated, the token told to nobody else.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ureq::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RANGE, RETRY_AFTER,
};
use ureq::{Agent, Body};

use crate::address::Address;
use crate::{Error, Settings};

/// More redirects in a row are a circle.
const REDIRECTS: usize = 8;

/// A listing is not longer.
const LISTING: u64 = 32 << 20;

/// How often a wait looks whether to stop.
const WATCH: Duration = Duration::from_millis(20);

/// With so much more than at the last try, a download goes forward: its tries are counted anew.
pub(crate) const FORWARD: u64 = 1 << 20;

/// The token: in one header, in no message.
struct Token {
    text: String,
    header: HeaderValue,
}

impl Token {
    fn new(text: &str) -> Result<Option<Self>, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Token);
        }
        let mut header =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| Error::Token)?;
        header.set_sensitive(true);
        Ok(Some(Self {
            text: text.to_owned(),
            header,
        }))
    }
}

/// Asks one hub.
pub(crate) struct Client<'a> {
    agent: Agent,
    hub: Address,
    token: Option<Token>,
    settings: &'a Settings,
    cancelled: &'a AtomicBool,
    /// Whether anybody has answered at all. If not, the address is wrong or there is no network: few tries tell it.
    reached: AtomicBool,
}

/// How a try failed.
pub(crate) enum Failure {
    /// Another try may do better.
    Passing {
        why: String,
        /// How long the hub asks us to wait.
        wait: Option<Duration>,
        /// Whether this try brought much, all the same.
        forward: bool,
    },
    /// None will.
    Lasting(Error),
}

impl Failure {
    pub fn passing(why: impl Into<String>) -> Self {
        Self::Passing {
            why: why.into(),
            wait: None,
            forward: false,
        }
    }
}

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// What the hub says of a file, from the hub itself.
    Headers,
    /// A file from this byte on.
    From(u64),
}

/// An answer that is worth reading.
pub(crate) struct Reply {
    /// 200, 206 or 416; or a redirect, if only headers were wanted.
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Body,
    /// Who gave it.
    pub host: String,
}

impl Reply {
    /// The hash that the hub gives a file: of what is linked, else its own.
    pub fn etag(&self) -> Option<&str> {
        let linked = HeaderName::from_static("x-linked-etag");
        let tag = text(&self.headers, &linked).or_else(|| text(&self.headers, &ETAG))?;
        Some(tag.trim_start_matches("W/").trim_matches('"'))
    }

    /// The length of a file that only headers were wanted of.
    pub fn length(&self) -> Option<u64> {
        let linked = HeaderName::from_static("x-linked-size");
        let size = text(&self.headers, &linked).or_else(|| {
            let whole = self.status == 200;
            whole
                .then(|| text(&self.headers, &CONTENT_LENGTH))
                .flatten()
        });
        size?.parse().ok()
    }
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl<'a> Client<'a> {
    pub fn new(settings: &'a Settings, cancelled: &'a AtomicBool) -> Result<Self, Error> {
        let config = ureq::config::Config::builder()
            // The library would take one from the environment.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(settings.timeout))
            .timeout_connect(Some(settings.timeout))
            .timeout_recv_response(Some(settings.timeout))
            .timeout_per_read(Some(settings.timeout))
            .user_agent(concat!("orchestrator/", env!("CARGO_PKG_VERSION")))
            .build();
        let token = settings.token.as_deref().map(Token::new).transpose()?;
        Ok(Self {
            agent: config.new_agent(),
            hub: Address::of_hub(&settings.endpoint)?,
            token: token.flatten(),
            settings,
            cancelled,
            reached: AtomicBool::new(false),
        })
    }

    pub fn hub(&self) -> &Address {
        &self.hub
    }

    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Ends what is on its way as soon as the caller wants to stop; returns when `done`.
    pub fn watch(&self, done: &AtomicBool) {
        while !done.load(Ordering::Relaxed) {
            if self.cancelled() {
                self.agent.clone().shutdown();
                return;
            }
            std::thread::park_timeout(WATCH);
        }
    }

    /// Tries until it works, may not work, or has been tried often enough.
    pub fn retrying<T>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut tries = 0;
        loop {
            if self.cancelled() {
                return Err(Error::Cancelled);
            }
            let (why, wait, forward) = match attempt() {
                Ok(value) => return Ok(value),
                Err(_) if self.cancelled() => return Err(Error::Cancelled),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing { why, wait, forward }) => (why, wait, forward),
            };
            let lost = |why: String| Error::Lost {
                what: what.to_owned(),
                why: self.clean(&why),
            };
            let asked = wait.unwrap_or_default();
            if asked > self.settings.longest_wait {
                let seconds = asked.as_secs();
                return Err(lost(format!(
                    "{why}; it asks to be left alone for {seconds} s"
                )));
            }
            tries = if forward { 1 } else { tries + 1 };
            let allowed = match self.reached.load(Ordering::Relaxed) {
                true => self.settings.retries,
                false => self.settings.retries.min(1),
            };
            if tries > allowed {
                return Err(lost(format!("{why}; tried {tries} times")));
            }
            let doubled = self
                .settings
                .first_wait
                .saturating_mul(1 << (tries - 1).min(20));
            let until = Instant::now() + doubled.min(self.settings.longest_wait).max(asked);
            while Instant::now() < until && !self.cancelled() {
                std::thread::sleep(WATCH.min(until.saturating_duration_since(Instant::now())));
            }
        }
    }

    /// The JSON that the hub answers at a path.
    pub fn json(&self, what: &str, path: &str) -> Result<serde_json::Value, Error> {
        let address = self.hub.below(path);
        self.retrying(what, || {
            let mut reply = self.once(what, &address, Want::From(0))?;
            let body = reply.body.with_config().limit(LISTING).read_to_vec();
            let body = body.map_err(|error| self.lost(&reply.host, &error))?;
            serde_json::from_slice(&body).map_err(|_| {
                Failure::Lasting(Error::Answer {
                    host: reply.host.clone(),
                    why: "what should be JSON is not".into(),
                })
            })
        })
    }

    /// One try.
    pub fn once(&self, what: &str, address: &Address, want: Want) -> Result<Reply, Failure> {
        let mut at = address.clone();
        for _ in 0..=REDIRECTS {
            let url = at.url();
            let mut request = match want {
                Want::Headers => self.agent.head(&url),
                Want::From(_) => self.agent.get(&url),
            };
            // Hashes and ranges are of the files as they are.
            request = request.header(ACCEPT_ENCODING, "identity");
            if let Want::From(byte @ 1..) = want {
                request = request.header(RANGE, format!("bytes={byte}-"));
            }
            let told = self.token.as_ref().filter(|_| at.may_have_token(&self.hub));
            if let Some(token) = told {
                request = request.header(AUTHORIZATION, token.header.clone());
            }
            let host = at.host();
            let reply = request.call().map_err(|error| self.lost(&host, &error))?;
            self.reached.store(true, Ordering::Relaxed);
            let status = reply.status().as_u16();
            let (parts, body) = reply.into_parts();
            let reply = Reply {
                status,
                headers: parts.headers,
                body,
                host,
            };
            match status {
                200 | 206 | 416 => return Ok(reply),
                301 | 302 | 303 | 307 | 308 => {
                    let next = self.next(&at, &reply)?;
                    // A hub tells about its large files before it sends us on to where they are.
                    let known = text(&reply.headers, &HeaderName::from_static("x-linked-etag"));
                    if want == Want::Headers && known.is_some() {
                        return Ok(reply);
                    }
                    at = next;
                }
                _ => return Err(self.refusal(what, reply, told.is_some())),
            }
        }
        Err(Failure::Lasting(Error::Answer {
            host: at.host(),
            why: "its redirects do not end".into(),
        }))
    }

    /// Where a redirect leads, if it may be followed.
    fn next(&self, at: &Address, reply: &Reply) -> Result<Address, Failure> {
        let location = text(&reply.headers, &LOCATION);
        let next = location.and_then(|location| at.join(location));
        let next = next.ok_or_else(|| {
            Failure::Lasting(Error::Answer {
                host: reply.host.clone(),
                why: "a redirect leads nowhere".into(),
            })
        })?;
        at.may_lead_to(&next, &self.hub).map_err(|why| {
            Failure::Lasting(Error::Redirect {
                host: reply.host.clone(),
                to: next.host(),
                why,
            })
        })?;
        Ok(next)
    }

    /// What a status other than success means.
    fn refusal(&self, what: &str, mut reply: Reply, token: bool) -> Failure {
        let (host, status) = (reply.host.clone(), reply.status);
        let header = HeaderName::from_static("x-error-message");
        let said = text(&reply.headers, &header).map(str::to_owned);
        let said = said.or_else(|| {
            let body = reply.body.with_config().limit(1 << 16).read_to_vec().ok()?;
            let value: serde_json::Value = serde_json::from_slice(&body).ok()?;
            Some(value.get("error")?.as_str()?.to_owned())
        });
        let said = said
            .map(|said| self.clean(&said))
            .filter(|said| !said.is_empty());
        let from_hub = host == self.hub.host();
        match status {
            401 | 403 if from_hub => Failure::Lasting(Error::Refused {
                what: what.to_owned(),
                host,
                said,
                token,
                withheld: !token && self.token.is_some(),
                status,
            }),
            404 | 410 if from_hub => Failure::Lasting(Error::Unknown {
                what: what.to_owned(),
                host,
                said,
            }),
            // Whoever stores files for a hub refuses addresses that are too old: the hub gives a new one.
            401 | 403 | 404 | 408 | 410 | 429 | 500.. => Failure::Passing {
                why: format!("{host} answers with status {status}"),
                wait: text(&reply.headers, &RETRY_AFTER)
                    .and_then(|text| text.trim().parse().ok())
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
                forward: false,
            },
            _ => Failure::Lasting(Error::Answer {
                host,
                why: match said {
                    Some(said) => format!("status {status}, {said}"),
                    None => format!("status {status}"),
                },
            }),
        }
    }

    /// There is no whole reply.
    pub fn lost(&self, host: &str, error: &ureq::Error) -> Failure {
        let insecure = |error: &dyn std::fmt::Display| {
            Failure::Lasting(Error::Answer {
                host: host.to_owned(),
                why: format!("no secure connection: {}", self.clean(&error.to_string())),
            })
        };
        match error {
            ureq::Error::Rustls(error) => insecure(error),
            ureq::Error::Tls(error) => insecure(error),
            // As rustls hands on what it cannot read or believe.
            ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => insecure(error),
            ureq::Error::BodyExceedsLimit(limit) => Failure::Lasting(Error::Answer {
                host: host.to_owned(),
                why: format!("the answer is longer than {} MiB", limit >> 20),
            }),
            ureq::Error::Timeout(_) => Failure::passing(format!(
                "{host} says nothing for {} s",
                self.settings.timeout.as_secs_f64()
            )),
            ureq::Error::HostNotFound => Failure::passing(format!("no host {host} is found")),
            // As the standard library says it, without a kind.
            ureq::Error::Io(error) if error.to_string().contains("lookup address") => {
                Failure::passing(format!("no host {host} is found"))
            }
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                Failure::passing(format!("nobody listens at {host}"))
            }
            error => Failure::passing(format!("the connection to {host} broke: {error}")),
        }
    }

    /// A message as it may be shown: one line, not too long, without the token.
    fn clean(&self, message: &str) -> String {
        let mut message = message.to_owned();
        if let Some(token) = &self.token {
            message = message.replace(&token.text, "[token]");
        }
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let message: String = message.chars().map(plain).take(300).collect();
        message.trim().to_owned()
    }
}
