//! What can go wrong with models by name, and what to do about it. Nothing here ever holds the token.

use std::path::PathBuf;

use orchestrator_diagnostics::{Diagnostic, Kind};

/// Why a model could not be pulled or described.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be the name of a model.
    #[error("`{name}` cannot be the name of a model: it {why}")]
    Name {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The address of the hub. It is not repeated, since a password may be in it.
    #[error("the address of the hub (HF_ENDPOINT) {0}")]
    Endpoint(&'static str),
    /// The token.
    #[error("the token (HF_TOKEN) has characters that no HTTP header may have")]
    Token,
    /// Downloads are off.
    #[error("`{0}` is not downloaded: HF_HUB_OFFLINE is set")]
    Offline(String),
    /// The hub says no.
    #[error("{host} does not give `{what}` to {}", if *.token { "the owner of this token" } else { "somebody without a token" })]
    Refused {
        /// The model or file.
        what: String,
        /// Who says it.
        host: String,
        /// What it said.
        said: Option<String>,
        /// Whether it was sent a token.
        token: bool,
        /// Whether there is one that was not sent, since anybody could read it on the way.
        withheld: bool,
        /// The status.
        status: u16,
    },
    /// The hub does not have it.
    #[error("{host} has no `{what}`")]
    Unknown {
        /// The model or file.
        what: String,
        /// Who says it.
        host: String,
        /// What it said.
        said: Option<String>,
    },
    /// The hub answers something that a hub does not answer.
    #[error("{host} does not answer as a hub does: {why}")]
    Answer {
        /// Who.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// A redirect that is not followed.
    #[error("{host} sends us on to {to}, {why}")]
    Redirect {
        /// Who.
        host: String,
        /// Where to: a host.
        to: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// A file of the listing would lie outside its folder.
    #[error("`{model}` lists a file {file:?}, which could lie outside its folder")]
    Path {
        /// The model.
        model: String,
        /// The file.
        file: String,
    },
    /// Its weights are pickles.
    #[error("`{model}` has its weights only as pickles ({files})")]
    Pickles {
        /// The model.
        model: String,
        /// Which.
        files: String,
    },
    /// There is nothing to compute with.
    #[error("`{model}` has no weights in the safetensors format")]
    NoWeights {
        /// The model.
        model: String,
        /// What it has instead.
        has: String,
    },
    /// What came is not what was promised.
    #[error("`{file}` of `{model}` came damaged: its {of} is {found}, not {expected}")]
    Checksum {
        /// The model.
        model: String,
        /// The file.
        file: String,
        /// `SHA-256`, `git SHA-1` or `length`.
        of: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// No answer, however often it was asked.
    #[error("cannot download `{what}`: {why}")]
    Lost {
        /// The model or file.
        what: String,
        /// What happened the last time.
        why: String,
    },
    /// A folder or file could not be read or written.
    #[error("cannot {what} `{path}`: {why}")]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A folder that holds no model.
    #[error("`{0}` is not the folder of a model: it has neither modules.json nor config.json")]
    NotAModel(PathBuf),
    /// A file of a model that is not what it should be.
    #[error("`{path}` {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The caller asked to stop.
    #[error("stopped before the model was whole")]
    Cancelled,
}

impl Error {
    /// Further facts, one a line.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::Refused { said, status, .. } => {
                let mut notes = vec![format!("the status is {status}")];
                notes.extend(said.iter().map(|said| format!("it says: {said}")));
                notes
            }
            Self::Unknown { said, .. } => {
                said.iter().map(|said| format!("it says: {said}")).collect()
            }
            Self::Pickles { .. } => vec![
                "a pickle is a program that runs when it is loaded: this one could do anything"
                    .to_owned(),
            ],
            Self::NoWeights { has, .. } => vec![format!("it has {has}")],
            Self::Checksum { .. } => vec!["what came was removed".to_owned()],
            _ => Vec::new(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Name { .. } => {
                "give a folder, or a name such as sentence-transformers/all-MiniLM-L6-v2".into()
            }
            Self::Endpoint(_) => "for example: HF_ENDPOINT=https://huggingface.co".into(),
            Self::Token => "set HF_TOKEN to the token alone, without quotes or line breaks".into(),
            Self::Offline(_) => "unset HF_HUB_OFFLINE, or give the folder of the model".into(),
            Self::Refused { withheld: true, .. } => {
                "HF_TOKEN is sent over https alone: give an HF_ENDPOINT that begins with https://".into()
            }
            Self::Refused { token: true, .. } => {
                "accept the model's conditions on its page, or use a token that may read it".into()
            }
            Self::Refused { what, .. } => format!(
                "check the name; if `{what}` is private or gated, accept its conditions on its page and set HF_TOKEN"
            ),
            Self::Unknown { what, .. } if !what.contains('/') => format!(
                "check the name; those of sentence-transformers begin so: sentence-transformers/{what}"
            ),
            Self::Unknown { .. } => "check the name and the revision".into(),
            Self::Answer { .. } => "check HF_ENDPOINT, and that no proxy answers in its place".into(),
            Self::Redirect { .. } => "check HF_ENDPOINT".into(),
            Self::Path { .. } => "do not use this model; tell the hub about it".into(),
            Self::Pickles { .. } => {
                "look for a revision with safetensors (--revision refs/pr/1 often is one), or convert it where you trust it: \
                 SentenceTransformer(NAME).save(FOLDER, safe_serialization=True)"
                    .into()
            }
            Self::NoWeights { .. } => "choose a model with model.safetensors".into(),
            Self::Checksum { .. } => {
                "run the command again; if it happens again, whatever lies between here and the hub changes files".into()
            }
            Self::Lost { .. } => {
                "run the command again when the network is back: it goes on where it stopped".into()
            }
            Self::File { .. } => "check the path, its permissions and the space left".into(),
            Self::NotAModel(_) => {
                "give the folder that SentenceTransformer.save or save_pretrained wrote, or `model` of a run".into()
            }
            Self::Malformed { .. } => "get the model again: orchestrator model pull NAME".into(),
            Self::Cancelled => "the same command goes on where it stopped".into(),
        }
    }
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Name { .. } | Error::Endpoint(_) | Error::Token => Kind::Experiment,
            Error::Cancelled => Kind::Interrupted,
            _ => Kind::Data,
        };
        let new = Self::new(kind, error.to_string()).help(error.help());
        error.notes().into_iter().fold(new, Self::note)
    }
}

/// A model that is neither a folder nor, whole, in the cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no model `{name}`{}", .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub struct NotFound {
    /// As it was given.
    pub name: String,
    /// What is there instead, if anything is.
    pub why: Option<String>,
    /// Where it was looked for.
    pub looked_in: Vec<PathBuf>,
    /// What to do about it.
    pub help: String,
}

impl From<NotFound> for Diagnostic {
    fn from(error: NotFound) -> Self {
        let new = Self::new(Kind::Data, error.to_string()).help(error.help);
        error.looked_in.iter().fold(new, |diagnostic, place| {
            diagnostic.note(format!("looked in {}", place.display()))
        })
    }
}
