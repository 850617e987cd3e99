//! What an endpoint's reply means: a text, a failure that goes by, or one that stays; and what to do about it.

use std::time::Duration;

use serde_json::Value;

use crate::key::Key;

/// How much of a reply is read.
pub(crate) const LIMIT: u64 = 4 << 20;

/// How many characters of the server's own words are shown.
const SHOWN: usize = 300;

/// A text that came back.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub text: String,
    /// The model that says it answered; empty if it does not say.
    pub model: String,
}

/// Why there is none.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure {
    /// Another try may do.
    Passing {
        why: String,
        /// How long the endpoint asks to be left alone.
        wait: Option<Duration>,
        /// There was no reply at all.
        silent: bool,
    },
    /// It would be the same again.
    Lasting {
        why: String,
        /// And the same for every other request.
        for_all: bool,
    },
}

impl Failure {
    pub fn lasting(why: impl Into<String>) -> Self {
        Self::Lasting {
            why: why.into(),
            for_all: false,
        }
    }

    fn for_all(why: String) -> Self {
        Self::Lasting { why, for_all: true }
    }
}

/// A reply as it came.
pub(crate) struct Reply<'a> {
    /// The key that was sent, which the reply may repeat.
    pub key: Option<&'a Key>,
    pub status: u16,
    /// Where to, if it is a redirect.
    pub location: Option<String>,
    pub wait: Option<Duration>,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl Reply<'_> {
    /// What it means.
    pub fn understand(&self) -> Result<Answer, Failure> {
        match self.status {
            200..=299 => self.completion(),
            status => Err(self.refusal(status, &self.words())),
        }
    }

    /// A status that is an error, with what the server says about it.
    fn refusal(&self, status: u16, words: &str) -> Failure {
        let says = if words.is_empty() {
            String::new()
        } else {
            format!(": {words}")
        };
        let quota = status == 429 && self.error_is("insufficient_quota");
        match status {
            300..=399 => {
                let to = self.location.as_deref().unwrap_or("no address");
                let to = to.split(['?', '#']).next().unwrap_or_default();
                Failure::for_all(format!(
                    "the endpoint redirects ({status}) to {}, which is not followed: set `base_url` to where it really is",
                    self.clip(to)
                ))
            }
            400 => Failure::lasting(format!("the endpoint refuses the request (400){says}")),
            401 if self.key.is_some() => Failure::for_all(format!(
                "the endpoint does not accept the key (401){says}; set OPENAI_API_KEY to one it knows"
            )),
            401 => Failure::for_all(format!(
                "the endpoint wants a key (401){says}; set OPENAI_API_KEY"
            )),
            403 => Failure::lasting(format!(
                "the endpoint does not allow this (403){says}; check that OPENAI_API_KEY may use the model"
            )),
            404 => Failure::lasting(format!(
                "there is nothing at this address (404){says}; check `model` and `base_url`, which usually ends in /v1"
            )),
            429 if quota => Failure::for_all(format!(
                "the account has no quota left (429){says}; check its plan and billing"
            )),
            429 => self.passing(format!("the endpoint is asked too often (429){says}")),
            408 | 409 | 500..=599 => {
                self.passing(format!("the endpoint fails for now ({status}){says}"))
            }
            _ => Failure::lasting(format!("the endpoint answers with status {status}{says}")),
        }
    }

    fn passing(&self, why: String) -> Failure {
        Failure::Passing {
            why,
            wait: self.wait,
            silent: false,
        }
    }

    /// The text of the first choice. What the content type says does not matter if the body is right.
    fn completion(&self) -> Result<Answer, Failure> {
        let Ok(text) = std::str::from_utf8(&self.body) else {
            return Err(Failure::lasting("the answer is not UTF-8"));
        };
        let text = text.trim_ascii_start();
        let value: Value =
            serde_json::from_str(text).map_err(|error| self.not_json(text, &error))?;
        let choices = value["choices"].as_array();
        let Some(choice) = choices.and_then(|choices| choices.first()) else {
            return Err(self.no_choice(&value));
        };
        let message = &choice["message"];
        if let Some(text) = content(&message["content"]) {
            return Ok(Answer {
                text: self
                    .key
                    .map_or_else(|| text.clone(), |key| key.redact_data(&text)),
                model: self.clip(value["model"].as_str().unwrap_or_default()),
            });
        }
        let refusal = message["refusal"].as_str().unwrap_or_default();
        let reason = choice["finish_reason"].as_str().unwrap_or("not given");
        Err(Failure::lasting(match reason {
            _ if !refusal.is_empty() => format!("the model refuses: {}", self.clip(refusal)),
            "length" => {
                "the answer has no text: it was cut off at its greatest length; raise `max_tokens`"
                    .into()
            }
            "content_filter" => "the answer has no text: a content filter withheld it".into(),
            other => format!(
                "the answer has no text (finish reason: {})",
                self.clip(other)
            ),
        }))
    }

    fn not_json(&self, text: &str, error: &serde_json::Error) -> Failure {
        let html = self.content_type.contains("html") || text.starts_with('<');
        Failure::lasting(if html {
            "the endpoint answers with a web page instead of JSON; check `base_url`, which usually ends in /v1".into()
        } else if text.is_empty() {
            "the answer is empty".to_owned()
        } else if text.starts_with("data:") {
            "the endpoint answers with a stream, which was not asked for".into()
        } else {
            format!("the answer is not valid JSON: {error}")
        })
    }

    /// Some endpoints report errors with status 200 and the real status in the body.
    fn no_choice(&self, value: &Value) -> Failure {
        let code = value["error"]["code"].as_u64();
        match code.and_then(|code| u16::try_from(code).ok()) {
            Some(status @ 400..=599) => self.refusal(status, &self.words()),
            _ if value.get("error").is_some_and(|error| !error.is_null()) => Failure::lasting(
                format!("the endpoint answers with an error: {}", self.words()),
            ),
            _ => Failure::lasting("the answer is not that of a chat: it has no `choices`"),
        }
    }

    /// What the server says about an error.
    fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let html = self.content_type.contains("html") || text.trim_ascii_start().starts_with('<');
        if html {
            return "a web page".into();
        }
        let said = serde_json::from_str::<Value>(&text).ok().and_then(|value| {
            let places = ["/error/message", "/error", "/message", "/detail"];
            let found = places
                .iter()
                .find_map(|place| value.pointer(place)?.as_str());
            found.map(str::to_owned)
        });
        self.clip(&said.unwrap_or_else(|| text.into_owned()))
    }

    /// Words of a stranger: in one line, without the key and control characters, not too many. The key goes first, or half of
    /// it might be left.
    fn clip(&self, words: &str) -> String {
        clip(words, self.key)
    }

    fn error_is(&self, code: &str) -> bool {
        serde_json::from_slice::<Value>(&self.body)
            .is_ok_and(|value| value["error"]["code"] == *code || value["error"]["type"] == *code)
    }
}

/// The text of a message: a string, or parts that have texts. `None` if there is nothing in it.
fn content(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    };
    (!text.trim().is_empty()).then_some(text)
}

/// See [`Reply::clip`].
pub(crate) fn clip(words: &str, key: Option<&Key>) -> String {
    let words = key.map_or_else(|| words.to_owned(), |key| key.redact(words));
    let mut shown: String = words
        .split(|one: char| one.is_whitespace() || one.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}
