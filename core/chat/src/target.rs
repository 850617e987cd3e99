//! Where an endpoint is: its address, and what tells it from others.

use ureq::http::Uri;

use crate::Error;

/// An address that requests go to.
pub(crate) struct Target {
    /// The whole address of the chat.
    pub url: String,
    /// `host:port`, for messages.
    pub host: String,
    /// Host, port and path: part of what an answer is kept under.
    pub identity: String,
}

impl Target {
    /// Takes a base URL apart. Errors never repeat it: a password may be in it.
    pub fn parse(base_url: &str) -> Result<Self, Error> {
        let wrong = |why| Error::BaseUrl { why };
        let base = base_url.trim().trim_end_matches('/');
        if base.contains('@') {
            return Err(wrong(
                "has a user or password in it: give the key by OPENAI_API_KEY",
            ));
        }
        if base.contains(['?', '#']) {
            return Err(wrong("has a query or fragment in it: give the path alone"));
        }
        if base.ends_with("/chat/completions") {
            return Err(wrong(
                "ends in /chat/completions, which is added to it: leave that out",
            ));
        }
        let port = match base
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase())
        {
            Some(scheme) if scheme == "http" => 80,
            Some(scheme) if scheme == "https" => 443,
            _ => return Err(wrong("begins with neither https:// nor http://")),
        };
        let uri: Uri = base.parse().map_err(|_| wrong("is not an address"))?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or(wrong("names no host"))?.to_ascii_lowercase();
        let host = format!("{host}:{}", uri.port_u16().unwrap_or(port));
        Ok(Self {
            url: format!("{base}/chat/completions"),
            identity: format!("{host}{}", uri.path().trim_end_matches('/')),
            host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn an_endpoint_is_its_host_port_and_path() {
        for (base, url, identity) in [
            (
                "https://API.example.org/v1/",
                "https://API.example.org/v1/chat/completions",
                "api.example.org:443/v1",
            ),
            (
                "http://localhost:8000",
                "http://localhost:8000/chat/completions",
                "localhost:8000",
            ),
            (
                "http://[::1]:11434/v1",
                "http://[::1]:11434/v1/chat/completions",
                "[::1]:11434/v1",
            ),
        ] {
            let target = Target::parse(base).expect("an address");
            assert_eq!(
                (target.url.as_str(), target.identity.as_str()),
                (url, identity)
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for (base, why) in [
            ("", "neither https:// nor http://"),
            ("api.example.org/v1", "neither https:// nor http://"),
            ("ftp://example.org", "neither https:// nor http://"),
            ("https://", "neither https:// nor http://"),
            ("https:// example.org", "is not an address"),
            ("https://user:hunter2@example.org/v1", "user or password"),
            ("https://example.org/v1?key=hunter2", "query or fragment"),
            ("https://example.org/v1/chat/completions/", "leave that out"),
        ] {
            let said = Target::parse(base).err().map(|error| error.to_string());
            let said = said.unwrap_or_default();
            assert!(
                said.contains(why) && !said.contains("hunter2"),
                "{base}: {said}"
            );
        }
    }
}
