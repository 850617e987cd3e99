//! New plugin projects: the files in `plugins/templates`, under a name of the author's.

use std::path::{Path, PathBuf};

use orchestrator_plugin_host::Kind;

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Through the SDK.
    Rust,
    /// From the header.
    C,
    /// From the header.
    Cpp,
}

const HEADER: &str = include_str!("../../abi/include/orchestrator_plugin.h");
const READING: &str = include_str!("../../templates/c/reading.h");

/// A file: its path in the project, its text.
pub type File = (PathBuf, String);

/// Why `name` cannot be the name of a plugin.
#[must_use]
pub fn fault_of_name(name: &str) -> Option<&'static str> {
    // Names that are no identifiers in Rust, C or C++, or that cargo keeps for itself.
    const TAKEN: [&str; 20] = [
        "abstract", "as", "auto", "build", "case", "char", "class", "const", "deps", "double",
        "dyn", "enum", "export", "fn", "int", "test", "core", "std", "struct", "type",
    ];
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("it must begin with a small letter")
    } else if !name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    {
        Some("it may hold small letters, digits and _ only")
    } else if name.len() < 3 || name.len() > 64 {
        Some("it must have 3 to 64 characters")
    } else if TAKEN.contains(&name) {
        Some("that word means something to a compiler")
    } else {
        None
    }
}

/// `near_miss` as `NearMiss`.
fn camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|part| {
            let mut letters = part.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
        })
        .collect()
}

/// The files of a project that builds, with tests that pass. `checkout` is a checkout of orchestrator, for the SDK and the
/// testkit: only Rust needs it.
#[must_use]
pub fn project(name: &str, kind: Kind, language: Language, checkout: &Path) -> Vec<File> {
    let own = |text: &str| {
        text.replace("path/to/orchestrator", &checkout.display().to_string())
            .replace("my_plugin", name)
            .replace("MyPlugin", &camel_case(name))
    };
    macro_rules! of_kind {
        ($before:literal, $after:literal) => {
            match kind {
                Kind::Sampler => include_str!(concat!($before, "sampler", $after)),
                Kind::Selector => include_str!(concat!($before, "selector", $after)),
                Kind::Augmenter => include_str!(concat!($before, "augmenter", $after)),
                Kind::Filter => include_str!(concat!($before, "filter", $after)),
                Kind::Loss => include_str!(concat!($before, "loss", $after)),
            }
        };
    }
    let of_language: Vec<(String, &str)> = match language {
        Language::Rust => vec![
            (
                "Cargo.toml".to_owned(),
                include_str!("../../templates/rust/Cargo.toml"),
            ),
            (
                "src/lib.rs".to_owned(),
                of_kind!("../../templates/rust/", "/lib.rs"),
            ),
            (
                "tests/behaviour.rs".to_owned(),
                of_kind!("../../templates/rust/", "/behaviour.rs"),
            ),
            (
                "tests/checks.rs".to_owned(),
                include_str!("../../templates/rust/tests/checks.rs"),
            ),
            (".gitignore".to_owned(), "/target\n"),
        ],
        Language::C => vec![
            (
                "Makefile".to_owned(),
                include_str!("../../templates/c/Makefile"),
            ),
            (format!("{name}.c"), of_kind!("../../templates/c/", ".c")),
        ],
        Language::Cpp => vec![
            (
                "Makefile".to_owned(),
                include_str!("../../templates/cpp/Makefile"),
            ),
            (
                format!("{name}.cpp"),
                of_kind!("../../templates/cpp/", ".cpp"),
            ),
        ],
    };
    let mut files: Vec<File> = of_language
        .into_iter()
        .map(|(path, text)| (path.into(), own(text)))
        .collect();
    if language != Language::Rust {
        // As they are: the header is the norm.
        files.push(("orchestrator_plugin.h".into(), HEADER.to_owned()));
        files.push(("reading.h".into(), READING.to_owned()));
        files.push((".gitignore".into(), "*.so\n".to_owned()));
    }
    files
}

/// The checkout of orchestrator that one of `places` lies in: the first with an SDK.
#[must_use]
pub fn checkout_above<'p>(places: impl IntoIterator<Item = &'p Path>) -> Option<PathBuf> {
    places
        .into_iter()
        .flat_map(Path::ancestors)
        .find(|folder| folder.join("plugins/sdk/Cargo.toml").is_file())
        .map(Path::to_owned)
}
