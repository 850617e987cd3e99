//! What can go wrong when questions are put to people.

use std::path::PathBuf;

use orchestrator_diagnostics::{Diagnostic, Kind};

/// Each says what the user can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a run's folder.
    #[error("`{0}` is not the folder of a run: it has no store.db")]
    NotARun(PathBuf),
    /// The store.
    #[error(transparent)]
    Store(#[from] orchestrator_store::Error),
    /// No server.
    #[error(transparent)]
    Serve(#[from] orchestrator_serve::Error),
    /// A name that cannot be given to an annotator.
    #[error("`{name}` cannot be the name of an annotator: {why}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::NotARun(_) => Self::new(Kind::Experiment, message)
                .help("give the folder that `orchestrator run` made"),
            Error::Store(error) => Self::new(Kind::Data, message).help(error.help()),
            Error::Serve(orchestrator_serve::Error::Listen { .. }) => Self::new(Kind::Experiment, message)
                .help("another program may listen there: choose another --port, or none for any that is free"),
            Error::Name { .. } => Self::new(Kind::Experiment, message)
                .help("a name is 1 to 40 letters, digits, spaces and signs, without a comma; not `llm` or `oracle`"),
            Error::Serve(orchestrator_serve::Error::System { .. }) => {
                Self::new(Kind::Internal, message)
            }
        }
    }
}
