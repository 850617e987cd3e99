//! The key of an endpoint: it goes into one header and nowhere else. Whatever the server says passes through here before
//! anybody sees it, since servers repeat what they were sent.

use std::fmt;

use ureq::http::HeaderValue;

/// Shorter keys are placeholders such as `EMPTY` for servers that want none: as words they may well be in an answer.
const SECRET: usize = 16;

const HIDDEN: &str = "[key]";

/// A key. It cannot be shown.
pub(crate) struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key")
    }
}

impl Key {
    /// The key without the white space around it, which often comes with a file; nothing if nothing is left; an error if a
    /// header cannot hold it.
    pub fn new(text: &str) -> Result<Option<Self>, ()> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let fits = text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Some(Self(text.to_owned()))).ok_or(())
    }

    /// The header's value, marked as sensitive.
    pub fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A message without the key, in capitals or not.
    pub fn redact(&self, message: &str) -> String {
        let (key, bytes) = (self.0.as_bytes(), message.as_bytes());
        let mut out = String::with_capacity(message.len());
        let (mut kept, mut place) = (0, 0);
        while place + key.len() <= bytes.len() {
            // The key is ASCII, so that a match begins and ends at characters.
            if bytes[place..place + key.len()].eq_ignore_ascii_case(key) {
                out.push_str(&message[kept..place]);
                out.push_str(HIDDEN);
                place += key.len();
                kept = place;
            } else {
                place += 1;
            }
        }
        out.push_str(&message[kept..]);
        out
    }

    /// A text that is data, not a message: without the key if it is a real one.
    pub fn redact_data(&self, text: &str) -> String {
        if self.secret() {
            self.redact(text)
        } else {
            text.to_owned()
        }
    }

    /// Whether a text has the key in it, if it is a real one.
    pub fn is_in(&self, text: &str) -> bool {
        self.secret() && self.redact(text) != text
    }

    fn secret(&self) -> bool {
        self.0.len() >= SECRET
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    fn key(text: &str) -> Key {
        Key::new(text).expect("fits").expect("not empty")
    }

    #[test]
    fn a_key_is_shown_nowhere() {
        let secret = key("sk-Abcdefgh12345678\n");
        assert_eq!(format!("{secret:?}"), "Key");
        assert_eq!(format!("{:?}", secret.header().expect("fits")), "Sensitive");
        assert_eq!(
            secret.redact("é sk-abcdefgh12345678sk-Abcdefgh12345678 ü"),
            "é [key][key] ü"
        );
        assert!(secret.is_in("Bearer sk-Abcdefgh12345678"));
    }

    #[test]
    fn a_placeholder_may_be_a_word_of_an_answer_but_of_no_message() {
        let empty = key("EMPTY");
        assert_eq!(empty.redact_data("an empty set"), "an empty set");
        assert_eq!(empty.redact("bad key EMPTY"), "bad key [key]");
        assert!(!empty.is_in("an empty set"));
    }

    #[test]
    fn a_key_must_fit_into_a_header() {
        assert!(Key::new(" \n").expect("fits").is_none());
        for bad in ["two words", "line\nbreak", "schlüssel"] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
    }
}
