//! Addresses: taken apart, followed, and who may be told the token.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::Error;

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    secure: bool,
    /// In small letters.
    host: String,
    port: u16,
    /// Path and query, from `/` on.
    rest: String,
}

impl Address {
    /// The address of a hub.
    pub fn of_hub(text: &str) -> Result<Self, Error> {
        let text = text.trim().trim_end_matches('/');
        if text.contains('@') {
            return Err(Error::Endpoint(
                "has a user or password in it: give a token by HF_TOKEN",
            ));
        }
        if text.contains(['?', '#']) {
            return Err(Error::Endpoint("has a query or fragment in it"));
        }
        Self::parse(text).ok_or(Error::Endpoint(
            "is no address that begins with https:// or http://",
        ))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.split('#').next()?;
        let uri: Uri = text.parse().ok()?;
        let secure = match uri.scheme_str()?.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        if uri.authority()?.as_str().contains('@') {
            return None;
        }
        let host = uri.host().filter(|host| !host.is_empty())?;
        Some(Self {
            secure,
            host: host.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            rest: uri
                .path_and_query()
                .map_or("/", |rest| rest.as_str())
                .into(),
        })
    }

    /// The address of `path`, which begins with `/`, below this one.
    pub fn below(&self, path: &str) -> Self {
        Self {
            rest: format!("{}{path}", self.rest.trim_end_matches('/')),
            ..self.clone()
        }
    }

    /// Where a `Location` leads from here (RFC 3986, 5.2, without `..`, which servers are left to resolve).
    pub fn join(&self, location: &str) -> Option<Self> {
        let location = location.trim();
        let scheme = location.find("://");
        if scheme.is_some_and(|at| !location[..at].contains(['/', '?', '#'])) {
            return Self::parse(location);
        }
        let scheme = if self.secure { "https" } else { "http" };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let rest = if location.starts_with('/') {
            location.to_owned()
        } else {
            let path = self.rest.split('?').next().unwrap_or("/");
            format!("{}/{location}", path.rsplit_once('/')?.0)
        };
        Self::parse(&format!("{scheme}://{}{rest}", self.host()))
    }

    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host(), self.rest)
    }

    /// Host, and port if it is not the usual one: for people, and for addresses.
    pub fn host(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// Whether it is this machine.
    fn is_here(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn same_place(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// Whether a request for this address may be sent on to `to`, when the hub is `hub`; if not, why.
    pub fn may_lead_to(&self, to: &Self, hub: &Self) -> Result<(), &'static str> {
        if to.secure {
            return Ok(());
        }
        if self.secure || hub.secure {
            return Err("without encryption");
        }
        if to.same_place(hub) || (hub.is_here() && to.is_here()) {
            return Ok(());
        }
        Err("another host without encryption")
    }

    /// Whether the token of `hub` may be sent here: only to the hub itself, and not where others can read it on the way.
    pub fn may_have_token(&self, hub: &Self) -> bool {
        self.same_place(hub) && (self.secure || self.is_here())
    }
}

/// A text as a part of a path: `/` is kept if `slashes`.
pub(crate) fn quoted(text: &str, slashes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (slashes && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Address, quoted};

    fn address(text: &str) -> Address {
        Address::of_hub(text).unwrap()
    }

    #[test]
    fn a_location_leads_where_rfc_3986_says() {
        let from = address("https://Hub.example/mirror").below("/org/model/resolve/main/a.json");
        for (location, to) in [
            ("https://cdn.example/x?y=1#z", "https://cdn.example/x?y=1"),
            ("//cdn.example:8443/x", "https://cdn.example:8443/x"),
            ("/api/x?u=http://y", "https://hub.example/api/x?u=http://y"),
            (
                "b.json",
                "https://hub.example/mirror/org/model/resolve/main/b.json",
            ),
        ] {
            assert_eq!(from.join(location).unwrap().url(), to);
        }
        for location in ["ftp://example.org/x", "https://me:secret@example.org/x"] {
            assert!(from.join(location).is_none(), "{location}");
        }
    }

    #[test]
    fn redirects_never_lose_encryption_and_never_take_the_token_along() {
        let (here, hub) = ("http://127.0.0.1:80", "https://hub.example");
        // (hub, to, may follow, may send the token)
        for (hub, to, follow, token) in [
            (hub, "https://hub.example/x", true, true),
            (hub, "https://cdn.example/x", true, false),
            (hub, "https://hub.example:444/x", true, false),
            (hub, "http://hub.example/x", false, false),
            (hub, "http://127.0.0.1/x", false, false),
            (here, "http://127.0.0.1/x", true, true),
            (here, "http://localhost:81/x", true, false),
            (here, "http://[::1]:81/x", true, false),
            (here, "http://hub.example/x", false, false),
            (here, "https://hub.example/x", true, false),
            ("http://lan.example", "http://lan.example/x", true, false),
            ("http://lan.example", "http://127.0.0.1/x", false, false),
        ] {
            let (hub, to) = (address(hub), address(to));
            let from = hub.below("/file");
            assert_eq!(
                from.may_lead_to(&to, &hub).is_ok(),
                follow,
                "{hub:?} {to:?}"
            );
            assert_eq!(to.may_have_token(&hub), token, "{hub:?} {to:?}");
        }
    }

    #[test]
    fn the_address_of_a_hub_has_no_secrets_in_it() {
        for text in [
            "",
            "hub.example",
            "ftp://hub.example",
            "https://me:hunter2@hub.example",
            "https://hub.example?token=hunter2",
        ] {
            let said = Address::of_hub(text).unwrap_err().to_string();
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(
            quoted("1_Pooling/a b%.json", true),
            "1_Pooling/a%20b%25.json"
        );
        assert_eq!(quoted("refs/pr/1", false), "refs%2Fpr%2F1");
    }
}
