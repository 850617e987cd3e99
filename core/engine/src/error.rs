//! What can end a run, as diagnostics.

use std::path::PathBuf;

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};

/// Every way a run can end early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files given by the user.
    #[error("{}", .0.render(false))]
    Diagnostics(Diagnostics),
    /// Something the experiment names at a JSON pointer.
    #[error("{}", .1.render(false))]
    At(String, Box<Diagnostic>),
    /// A plugin.
    #[error(transparent)]
    Plugin(#[from] orchestrator_plugin_host::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] orchestrator_store::Error),
    /// A model.
    #[error(transparent)]
    Model(#[from] orchestrator_model::Error),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] orchestrator_train::CheckpointError),
    /// A file of the run folder.
    #[error("cannot {what} `{path}`: {why}")]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The run folder is there already.
    #[error("the run folder `{0}` exists")]
    RunExists(PathBuf),
    /// The folder of the sweep is there already.
    #[error("the sweep's folder `{0}` exists")]
    SweepExists(PathBuf),
    /// Another process works on it.
    #[error("another process is working on the run `{0}`")]
    Locked(PathBuf),
    /// Not a run folder.
    #[error("`{0}` is not the folder of a run: it has no {1}")]
    NotARun(PathBuf, &'static str),
    /// The inputs have changed since the run began.
    #[error("the run cannot be resumed: {0}")]
    Changed(String),
    /// Nothing to train on.
    #[error("no positives are left to train on")]
    NoPositives(Vec<String>),
    /// A loss cannot work with what the experiment gives.
    #[error("loss `{loss}` needs {needs}, and the pool has none")]
    LossNeeds {
        /// Its name.
        loss: String,
        /// What it needs.
        needs: &'static str,
    },
    /// Training left the numbers.
    #[error("the weights are no longer finite after step {0}")]
    Diverged(u64),
    /// A language model that annotates gave no answer.
    #[error("the language model that annotates did not answer: {0}")]
    Annotator(String),
    /// People are to answer first.
    #[error("{1} questions wait for an answer")]
    Waiting(PathBuf, usize),
    /// Stopped by the user.
    #[error("the run was stopped before its end")]
    Interrupted(PathBuf),
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Diagnostics(diagnostics)
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Diagnostics(diagnostic.into())
    }
}

impl Error {
    /// As the user is told it.
    #[must_use]
    pub fn into_diagnostics(self) -> Diagnostics {
        let message = self.to_string();
        let new = |kind| Diagnostic::new(kind, message.clone());
        match self {
            Self::Diagnostics(all) => all,
            Self::At(_, diagnostic) => (*diagnostic).into(),
            Self::Plugin(error @ orchestrator_plugin_host::Error::Config { .. }) => {
                new(Kind::Experiment).help(error.help()).into()
            }
            Self::Plugin(error @ orchestrator_plugin_host::Error::Unwritable { .. }) => {
                new(Kind::Data).help(error.help()).into()
            }
            Self::Plugin(error) => new(Kind::Plugin).help(error.help()).into(),
            Self::Store(error) => new(Kind::Data).help(error.help()).into(),
            Self::Model(orchestrator_model::Error::File { .. })
            | Self::Checkpoint(_)
            | Self::File { .. } => new(Kind::Data)
                .help("check the path, its permissions and the space left, then resume the run")
                .into(),
            Self::Model(orchestrator_model::Error::Unsupported(_)) => new(Kind::Data).into(),
            Self::Model(_) => new(Kind::Internal).into(),
            Self::RunExists(path) => new(Kind::Experiment)
                .note("the same plan was run there before, or is being run; a run folder is never overwritten")
                .help(if path.join("report.html").is_file() {
                    format!(
                        "it is finished: see {}; or choose another folder: --run-dir",
                        path.join("report.html").display()
                    )
                } else {
                    format!(
                        "go on with it: orchestrator resume {}; or choose another folder: --run-dir",
                        path.display()
                    )
                })
                .into(),
            Self::SweepExists(path) => new(Kind::Experiment)
                .note("the same runs were begun there before; no folder is ever overwritten")
                .help(format!(
                    "go on with it: orchestrator resume {}; or choose another folder: --run-dir",
                    path.display()
                ))
                .into(),
            Self::Locked(folder) => new(Kind::Experiment)
                .note(
                    "a run folder has one writer at a time; nothing here is in the way of reading: orchestrator report",
                )
                .help(format!(
                    "wait until that process is done, or stop it, then: orchestrator resume {}",
                    folder.display()
                ))
                .into(),
            Self::NotARun(..) => new(Kind::Experiment)
                .help("give the folder that `orchestrator run` made")
                .into(),
            Self::Changed(_) => new(Kind::Experiment)
                .help("put back what has changed, or run the experiment anew")
                .into(),
            Self::NoPositives(facts) => {
                let mut diagnostic = new(Kind::Data).help(
                    "loosen the filters, or add a sampler of positives such as explicit_positive",
                );
                for fact in facts {
                    diagnostic = diagnostic.note(fact);
                }
                diagnostic.into()
            }
            Self::LossNeeds { needs, .. } => new(Kind::Experiment)
                .help(if needs == "teacher scores" {
                    "name a model: train.teacher: initial, or one under `models:`"
                } else {
                    "add a sampler that proposes them, or take the loss out"
                })
                .into(),
            Self::Diverged(_) => new(Kind::Experiment)
                .help("lower train.learning_rate")
                .into(),
            Self::Annotator(_) => new(Kind::Data)
                .help("check the endpoint under `chat:`, then resume the run: what it answered is kept and not asked again")
                .into(),
            Self::Waiting(folder, _) => new(Kind::Interrupted)
                .note("everything up to the questions is kept")
                .help(format!(
                    "answer them: orchestrator annotate {0}; the run goes on when all are answered, or with orchestrator resume {0}",
                    folder.display()
                ))
                .into(),
            Self::Interrupted(folder) => new(Kind::Interrupted)
                .note("everything up to the last completed tick is kept")
                .help(format!("go on: orchestrator resume {}", folder.display()))
                .into(),
        }
    }
}
