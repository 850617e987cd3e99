//! What the end-to-end tests share: the product built, experiments in folders of their own, the command as a user runs it.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

pub mod browser;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The folder of the built executable and libraries. Builds them once, in the profile of the tests: `cargo test` alone does
/// not build libraries that nothing links.
pub fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().unwrap().parent().unwrap().to_owned();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args([
                "build",
                "--workspace",
                "--quiet",
                "--profile",
                profile,
                "--target-dir",
            ])
            .arg(folder.parent().unwrap())
            .current_dir(repository())
            .status()
            .unwrap();
        assert!(status.success(), "the product does not build");
        folder
    })
}

/// A library of the workspace.
#[must_use]
pub fn library(name: &str) -> PathBuf {
    built().join(format!(
        "{}{name}{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ))
}

/// A library in C, compiled from `source` into `folder`.
#[must_use]
pub fn c_library(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let file = folder.join(format!("{name}.c"));
    let library = folder.join(format!("{name}.{}", std::env::consts::DLL_EXTENSION));
    std::fs::write(&file, source).unwrap();
    let status = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-I"])
        .arg(repository().join("plugins/abi/include"))
        .args(flags)
        .arg(&file)
        .arg("-o")
        .arg(&library)
        .arg("-lm")
        .status()
        .unwrap();
    assert!(status.success(), "{name} does not compile");
    library
}

/// The command, as a user with an empty environment of ours would run it.
#[must_use]
pub fn orchestrator(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(built().join("orchestrator"));
    command.args(arguments).current_dir(folder);
    for name in [
        "ORCHESTRATOR_PLUGIN_PATH",
        "ORCHESTRATOR_MEMORY",
        "SCIFACT",
        "RAYON_NUM_THREADS",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs the command to its end.
#[must_use]
pub fn run(arguments: &[&str], folder: &Path) -> Output {
    orchestrator(arguments, folder).output().unwrap()
}

/// Runs the command, which must succeed; its standard output.
#[must_use]
pub fn succeed(arguments: &[&str], folder: &Path) -> String {
    let output = run(arguments, folder);
    assert!(
        output.status.success(),
        "{arguments:?}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the command, which must fail with `code`; its standard error.
#[must_use]
pub fn fail(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = run(arguments, folder);
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{shown}");
    assert!(!shown.contains("panicked at"), "{shown}");
    shown
}

/// A small experiment on the built-in corpus with `change` lines instead of its own of the same beginning.
#[must_use]
pub fn small_experiment() -> String {
    "name: small
data: { corpus: { format: builtin }, test: test, reading: entailment }
model: { encoder: { static: { dim: 32, vocabulary: 2000 } } }
samples:
  propose:
    - explicit_positive: { join: both }
    - explicit_negative
    - random: { per_anchor: 2 }
    - hard_negative: { per_anchor: 3 }
  augment:
    - char_noise: {}
  filter:
    - word_count: { min_words: 8 }
    - retracted
train:
  batch: 8
  checkpoint_every: 4
  losses: [{ mnrl: { weight: 0.6 } }, { contrastive: { weight: 0.3 } }, { cosine_similarity: { weight: 0.1 } }]
  schedule: [{ epochs: 1, difficulty: easy }, { epochs: 1, difficulty: hard }]
active_learning: { rounds: 2, select: margin, budget: 10, annotator: oracle, hold_back: 0.3 }
"
    .to_owned()
}

/// The small experiment with hard negatives that are mined again as it goes.
#[must_use]
pub fn refreshed_experiment() -> String {
    small_experiment().replace(
        "hard_negative: { per_anchor: 3 }",
        "hard_negative: { per_anchor: 3, refresh_every: 5 steps }",
    )
}

/// Writes `text` as `x.yaml` into a folder of its own.
#[must_use]
pub fn experiment(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.yaml"), text).unwrap();
    folder
}
