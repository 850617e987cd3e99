//! What an author's tests call: a built library, asked a few things.

use std::path::{Path, PathBuf};

use orchestrator_plugin_host::{
    Batch, Context, Instance, LossResult, Metrics, Proposed, Services, Verdict, probe,
};
use serde_json::Value;

use crate::checks::Subject;
use crate::children::{self, Options};
use crate::report::Report;
use crate::world::World;

/// The library that `cargo test` built of the package it is called in. Needs `crate-type = ["cdylib", "rlib"]`: without
/// the `rlib`, cargo builds no library for tests.
#[macro_export]
macro_rules! library {
    () => {
        $crate::built(env!("CARGO_PKG_NAME"))
    };
}

/// The library of the package `name` beside the running test: use [`library!`].
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let file = format!(
        "{}{}{}",
        std::env::consts::DLL_PREFIX,
        name.replace('-', "_"),
        std::env::consts::DLL_SUFFIX
    );
    let test = std::env::current_exe().expect("a test knows its own path");
    let near = test.ancestors().skip(1).take(2);
    let found = near
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "no {file} beside {}: Cargo.toml needs [lib] crate-type = [\"cdylib\", \"rlib\"]",
            test.display()
        )
    })
}

/// Some checks failed. Shown by a test's `main` that returns it.
pub struct Findings(Report);

impl Findings {
    /// All that was asked.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.0
    }
}

impl std::fmt::Debug for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the plugin library\n{}", self.0.render())
    }
}

/// First argument of a test that was started by itself.
const CHILD: &str = "--orchestrator-plugin-check";

/// Asks every plugin of the library everything that `orchestrator plugin check` asks, each check in a child process. For
/// the `main` of a test with `harness = false`, since the test starts itself again:
///
/// ```no_run
/// fn main() -> Result<(), orchestrator_testkit::Findings> {
///     orchestrator_testkit::check(&orchestrator_testkit::library!())
/// }
/// ```
///
/// # Errors
/// If a check fails.
pub fn check(library: &Path) -> Result<(), Findings> {
    check_with(library, &Options::default())
}

/// [`check`] with settings, a time limit, and checks left out.
///
/// # Errors
/// If a check fails.
///
/// # Panics
/// If the test does not know its own path.
pub fn check_with(library: &Path, options: &Options) -> Result<(), Findings> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(CHILD) {
        let (question, answer) = (arguments.next(), arguments.next());
        let (question, answer) = question.zip(answer).unwrap_or_default();
        // Whoever asked sees that there is no answer.
        let _ = children::answer(&question, Path::new(&answer));
        return Ok(());
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let report = children::check(library, options, &|question, answer| {
        let mut child = std::process::Command::new(&test);
        child.args([CHILD, question]).arg(answer);
        child
    });
    if report.counts()[1] == 0 {
        Ok(())
    } else {
        Err(Findings(report))
    }
}

/// A plugin of a built library with its settings, in this process. Its verbs panic, with what the host says, where a run
/// would end: they are for tests.
pub struct Opened {
    subject: Subject,
    instance: Instance,
    metrics: Metrics,
}

/// Opens the plugin `name` (its id or the last part of it) of a library, and makes an instance of it. What `settings` does
/// not say has its default.
///
/// # Panics
/// If there is no such plugin or it refuses the settings.
#[must_use]
pub fn open(library: &Path, name: &str, settings: &Value) -> Opened {
    let mut plugins = probe::open(library).unwrap_or_else(|error| panic!("{error}"));
    let found = plugins
        .iter()
        .position(|one| one.info().id == name || one.info().short() == name);
    let Some(place) = found else {
        panic!("{} holds no plugin `{name}`", library.display());
    };
    let subject = Subject::new(plugins.swap_remove(place), settings);
    let instance = expected(subject.create());
    Opened {
        subject,
        instance,
        metrics: Metrics::default(),
    }
}

fn expected<T>(result: Result<T, orchestrator_plugin_host::Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// The seed of every call.
const SEED: u64 = 13;

impl Opened {
    fn context<'a>(&'a self, world: &'a World) -> Context<'a> {
        Context {
            seed: SEED,
            services: Services {
                metrics: Some(&self.metrics),
                ..world.services()
            },
            ..Context::default()
        }
    }

    /// What its calls reported since this was last asked: the mean of each name, in the order of names.
    #[must_use]
    pub fn reported(&self) -> Vec<(String, f64)> {
        self.metrics.take()
    }

    /// The settings, defaults filled in.
    #[must_use]
    pub fn settings(&self) -> &Value {
        &self.subject.settings
    }

    /// A filter's verdicts on samples with these texts.
    ///
    /// # Panics
    /// If it fails, or is no filter.
    #[must_use]
    pub fn judge(&self, texts: &[&str]) -> Vec<Verdict> {
        let world = World::of_texts(texts);
        expected(self.instance.prepare(&self.context(&world)));
        expected(self.instance.judge(&self.context(&world), &world.samples))
    }

    /// What an augmenter makes of samples with these texts.
    ///
    /// # Panics
    /// If it fails, or is no augmenter.
    #[must_use]
    pub fn augment(&self, texts: &[&str]) -> Proposed {
        let world = World::of_texts(texts);
        let context = self.context(&world);
        expected(
            self.instance
                .augment(&context, &world.samples, &world.known),
        )
    }

    /// What a sampler proposes for the checker's own claims, of which there are six, out of its twelve documents.
    ///
    /// # Panics
    /// If it fails, or is no sampler.
    #[must_use]
    pub fn propose(&self) -> Proposed {
        let world = World::of_texts(&[]);
        let context = self.context(&world);
        expected(
            self.instance
                .propose(&context, &world.anchors, &world.known),
        )
    }

    /// The rows a selector chooses from `pairs` unjudged pairs of the checker's own.
    ///
    /// # Panics
    /// If it fails, or is no selector.
    #[must_use]
    pub fn select(&self, pairs: usize, budget: usize) -> Vec<usize> {
        let world = World::of_rows(pairs);
        expected(
            self.instance
                .select(&self.context(&world), &world.pool, budget),
        )
    }

    /// A loss and its gradient; [`crate::step`] makes the batch.
    ///
    /// # Panics
    /// If it fails, or is no loss.
    #[must_use]
    pub fn forward(&self, batch: &Batch) -> LossResult {
        let world = World::of_texts(&[]);
        expected(self.instance.forward(&self.context(&world), batch))
    }
}
