//! The name of a model on a hub.

use std::fmt;

use crate::Error;

/// `organisation/name@revision`, checked: no part of it can lead out of a folder or change an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    repository: String,
    revision: String,
}

impl Name {
    /// Reads `organisation/name`, or `name` alone as Hugging Face's oldest models have it, with `@revision` (a branch, a tag or
    /// a commit) or without, which is `main`.
    ///
    /// # Errors
    /// If it is no such name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, revision),
            None => (text, "main"),
        };
        let name = Self {
            repository: repository.to_owned(),
            revision: "main".to_owned(),
        };
        let wrong = |why| Error::Name {
            name: text.to_owned(),
            why,
        };
        let parts: Vec<&str> = repository.split('/').collect();
        if parts.len() > 2 {
            return Err(wrong("has more than one `/`"));
        }
        for part in parts {
            if part.is_empty() || part.len() > 96 {
                return Err(wrong("has a part that is empty or longer than 96 letters"));
            }
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !part.chars().all(fits) {
                return Err(wrong(
                    "has characters other than letters, digits, `-`, `_` and `.`",
                ));
            }
            // As Hugging Face has it; `--` stands for `/` in the cache.
            if part.contains("--") || part.contains("..") {
                return Err(wrong("has `--` or `..` in it"));
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return Err(wrong("has a part that begins or ends with `-` or `.`"));
            }
        }
        name.at(revision).map_err(|_| wrong(REVISION))
    }

    /// The same model at another revision.
    ///
    /// # Errors
    /// If that cannot be the name of a revision.
    pub fn at(self, revision: &str) -> Result<Self, Error> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let good = revision.chars().all(fits)
            && revision.len() <= 200
            && revision.split('/').all(|part| {
                !part.is_empty() && !part.starts_with(['.', '-']) && !part.contains("..")
            });
        if !good {
            return Err(Error::Name {
                name: format!("{}@{revision}", self.repository),
                why: REVISION,
            });
        }
        Ok(Self {
            repository: self.repository,
            revision: revision.to_owned(),
        })
    }

    /// `organisation/name`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The branch, tag or commit.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The folder of the model in the cache.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}", self.repository.replace('/', "--"))
    }
}

const REVISION: &str = "has a revision that is no branch, tag or commit";

/// Whether a text is a whole commit, as refs have them.
pub(crate) fn is_commit(text: &str) -> bool {
    is_hash(text, 40)
}

/// Whether a text is that many hexadecimal digits, in small letters.
pub(crate) fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.repository)?;
        match self.revision.as_str() {
            "main" => Ok(()),
            revision => write!(formatter, "@{revision}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn a_name_is_an_organisation_a_model_and_a_revision() {
        for (text, repository, revision) in [
            ("org/a-model_v1.5", "org/a-model_v1.5", "main"),
            ("bert-base-uncased", "bert-base-uncased", "main"),
            ("org/model@v2", "org/model", "v2"),
            ("org/model@refs/pr/3", "org/model", "refs/pr/3"),
        ] {
            let name = Name::parse(text).expect("a name");
            assert_eq!((name.repository(), name.revision()), (repository, revision));
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        for text in [
            "",
            "/etc/passwd",
            "../model",
            "org/..",
            "org/a/b",
            "org/a--b",
            "org/a?b",
            "org/a b",
            "org/.hidden",
            "org/model@",
            "org/model@../../x",
            "org/model@/x",
            "org/model@a@b",
            "C:\\model",
        ] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
