//! Who may ask what of the server. It listens on this machine, but so does every page open in the browser and every other user:
//! an address with a secret in it, exchanged for a cookie; the names it is called by; where a request comes from; how many of
//! them. Every check stands here, every response carries what it says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Instant;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderName, HeaderValue, LOCATION,
    ORIGIN, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use crate::error::Error;

/// Nothing but our own files, and none of it inline; no frame around it; no text ever becomes markup (Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// On every response, errors too.
const HEADERS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Requests of those who have the cookie: a burst, and so many a second.
const KNOWN: (f64, f64) = (300.0, 100.0);
/// Requests of those who do not.
const UNKNOWN: (f64, f64) = (100.0, 20.0);

/// The secrets of a server: the one in its address, and the one in the cookie that it is exchanged for. Kept for the next
/// server of the same process, they let a page that is open go on with it.
#[derive(Clone)]
pub struct Access {
    token: String,
    session: String,
}

impl Access {
    /// New ones, 256 random bits each.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            token: secret()?,
            session: secret()?,
        })
    }

    /// What the address has.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Access(…)")
    }
}

fn secret() -> Result<String, Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::System {
        what: "get random bytes",
        why: error.to_string(),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Sets what every response says.
pub fn mark(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        // A page may have a policy of its own, which is as strict.
        if name != CONTENT_SECURITY_POLICY || !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// So many requests: the bucket fills with time and each request takes one.
struct Bucket {
    left: f64,
    at: Instant,
    size: f64,
    each_second: f64,
}

impl Bucket {
    fn new((size, each_second): (f64, f64)) -> Mutex<Self> {
        Mutex::new(Self {
            left: size,
            at: Instant::now(),
            size,
            each_second,
        })
    }

    fn take(&mut self) -> bool {
        let since = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        self.left = (self.left + since * self.each_second).min(self.size);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

/// The checks, with the secrets they need.
pub struct Guard {
    access: Access,
    /// The beginnings of the paths that need the cookie, and what whoever lacks it is told.
    private: &'static [&'static str],
    refusal: StatusCode,
    cookie: String,
    /// Listens to this machine alone.
    loopback: bool,
    known: Mutex<Bucket>,
    unknown: Mutex<Bucket>,
}

impl Guard {
    /// Guards a server at `address`; what lies under the paths `private` needs the cookie, without which one gets `refusal`.
    #[must_use]
    pub fn new(
        access: Access,
        address: SocketAddr,
        private: &'static [&'static str],
        refusal: StatusCode,
    ) -> Self {
        Self {
            access,
            private,
            refusal,
            // Cookies do not tell ports apart: two servers of one machine have two names.
            cookie: format!("orchestrator_{}", address.port()),
            loopback: address.ip().is_loopback(),
            known: Bucket::new(KNOWN),
            unknown: Bucket::new(UNKNOWN),
        }
    }

    /// The cookie that the token is exchanged for, if it is the right one. Takes as long for every wrong token.
    #[must_use]
    pub fn exchange(&self, token: &str) -> Option<String> {
        let right: bool = self.access.token.as_bytes().ct_eq(token.as_bytes()).into();
        right.then(|| {
            format!(
                "{}={}; HttpOnly; SameSite=Strict; Path=/",
                self.cookie, self.access.session
            )
        })
    }

    /// The answer to an address with a token: the cookie and the way to the page without it, or a refusal. `None` without a token.
    #[must_use]
    pub fn enter(&self, uri: &Uri) -> Option<Response> {
        let mut pairs = uri.query()?.split('&');
        let token = pairs.find_map(|pair| pair.strip_prefix("token="))?;
        Some(match self.exchange(token) {
            Some(cookie) => (
                StatusCode::SEE_OTHER,
                [(LOCATION, "/".to_owned()), (SET_COOKIE, cookie)],
            )
                .into_response(),
            None => (
                StatusCode::FORBIDDEN,
                "This address is not of the program that runs now: open the one it printed.\n",
            )
                .into_response(),
        })
    }

    /// Whether a request may be looked at, and if not, why not.
    ///
    /// # Errors
    /// The status and the words of the refusal.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), (StatusCode, &'static str)> {
        let (headers, path) = (request.headers(), request.uri().path());
        if request.uri().scheme().is_some() || request.uri().authority().is_some() {
            return Err((StatusCode::BAD_REQUEST, "this is no proxy"));
        }
        let host = one(headers, &HOST)
            .flatten()
            .ok_or((StatusCode::BAD_REQUEST, "one Host is needed"))?;
        if !self.called(host) {
            return Err((StatusCode::FORBIDDEN, "this is not the name of this server"));
        }
        let origin =
            one(headers, &ORIGIN).ok_or((StatusCode::BAD_REQUEST, "more than one Origin"))?;
        let elsewhere = Err((StatusCode::FORBIDDEN, "this comes from another page"));
        match origin {
            Some(origin) if origin.strip_prefix("http://") != Some(host) => return elsewhere,
            None if request.method() == Method::POST => return elsewhere,
            _ => {}
        }
        let site = one(headers, &SEC_FETCH_SITE).flatten();
        // The address may be clicked on anywhere; what it leads to holds nothing of the run.
        let entrance = path == "/" && request.method() == Method::GET;
        if !entrance && site.is_some_and(|site| !["same-origin", "none"].contains(&site)) {
            return elsewhere;
        }
        let known = self.knows(headers);
        let bucket = if known { &self.known } else { &self.unknown };
        let mut bucket = bucket
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !bucket.take() {
            return Err((StatusCode::TOO_MANY_REQUESTS, "too many requests"));
        }
        if !known && self.private.iter().any(|start| path.starts_with(start)) {
            return Err((self.refusal, "open the address that the program printed"));
        }
        Ok(())
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .any(|(_, value)| {
                value
                    .as_bytes()
                    .ct_eq(self.access.session.as_bytes())
                    .into()
            })
    }

    /// Whether this server may be called so. A page elsewhere can make its own name mean this machine (DNS rebinding), but not
    /// an address written in numbers, nor `localhost`. The port may be another: it may be forwarded.
    fn called(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((name, port)) if port.is_empty() || port.starts_with(':') => name,
                _ => return false,
            },
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        name.parse::<IpAddr>()
            .is_ok_and(|address| !self.loopback || address.is_loopback())
    }
}

/// The one value of a header: `Some(None)` if it is not there, nothing if it is there twice or no text.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Some(None),
        (Some(value), None) => value.to_str().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use axum::http::StatusCode;

    use super::{Access, Guard};

    #[test]
    fn only_names_that_nobody_can_make_mean_this_machine_are_its_own() {
        let access = Access::new().expect("random bytes");
        let guard = |address| {
            let address = SocketAddr::new(IpAddr::V4(address), 80);
            Guard::new(
                access.clone(),
                address,
                &["/api/"],
                StatusCode::UNAUTHORIZED,
            )
        };
        let here = guard(Ipv4Addr::LOCALHOST);
        let everywhere = guard(Ipv4Addr::UNSPECIFIED);
        for (host, of_loopback, of_all) in [
            ("localhost:80", true, true),
            ("LocalHost", true, true),
            ("127.0.0.1:9999", true, true),
            ("[::1]:80", true, true),
            ("192.168.1.7:80", false, true),
            ("evil.example:80", false, false),
            ("localhost.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("[::1]evil.example", false, false),
            ("2130706433", false, false),
            ("", false, false),
        ] {
            assert_eq!(here.called(host), of_loopback, "{host}");
            assert_eq!(everywhere.called(host), of_all, "{host}");
        }
    }
}
