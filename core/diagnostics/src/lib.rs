//! One [`Diagnostic`] for everything that goes wrong because of what somebody gave us, with one place that maps kinds to
//! exit codes. Libraries keep their own `thiserror` enums; they become diagnostics at the edge. Never prints.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What went wrong, by who can mend it. The exit code of the process follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A fault of ours.
    Internal,
    /// The command line or the experiment file.
    Experiment,
    /// Corpora, claims, judgements, stores.
    Data,
    /// A plugin library, or what one returned.
    Plugin,
    /// Stopped before the end; `resume` goes on.
    Interrupted,
}

impl Kind {
    /// Exit code: 1 internal, 2 usage or experiment file, 3 data, 4 plugin, 5 interrupted (resumable).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Experiment => 2,
            Self::Data => 3,
            Self::Plugin => 4,
            Self::Interrupted => 5,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Internal => "internal error",
            Self::Experiment => "error",
            Self::Data => "data error",
            Self::Plugin => "plugin error",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A place in a text file. Lines and columns count from 1; a column counts characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file as the user named it.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters to underline, at least 1.
    pub width: usize,
    /// The line itself, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Location {
    /// The place `line:column` of `path`, its line not shown.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, line: usize, column: usize) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            line,
            column,
            width: 1,
            text: None,
        }
    }

    /// The same place with its line taken out of `source` and `width` characters underlined.
    #[must_use]
    pub fn in_source(mut self, source: &str, width: usize) -> Self {
        self.text = source
            .lines()
            .nth(self.line.saturating_sub(1))
            .map(str::to_owned);
        self.width = width.max(1);
        self
    }
}

/// What, where, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Who can mend it.
    pub kind: Kind,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where, if it is in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Why: further facts, one a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic with a message alone.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            location: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The text a terminal shows, ending in a newline; `color` adds ANSI codes.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let (red, blue, bold, off) = if color {
            ("\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m")
        } else {
            ("", "", "", "")
        };
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "{red}{}{off}: {bold}{}{off}",
            self.kind.label(),
            self.message
        );
        if let Some(place) = &self.location {
            let gutter = place.line.to_string().len();
            let _ = writeln!(
                out,
                "{:gutter$}{blue}-->{off} {}:{}:{}",
                "",
                place.path.display(),
                place.line,
                place.column
            );
            if let Some(text) = &place.text {
                let text = text.replace('\t', " ");
                let indent = place.column.saturating_sub(1);
                let _ = writeln!(out, "{:gutter$} {blue}|{off}", "");
                let _ = writeln!(out, "{blue}{} |{off} {text}", place.line);
                let _ = writeln!(
                    out,
                    "{:gutter$} {blue}|{off} {:indent$}{red}{}{off}",
                    "",
                    "",
                    "^".repeat(place.width)
                );
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "  {blue}={off} {note}");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  {blue}={off} help: {help}");
        }
        out
    }
}

/// One or more diagnostics, all that were found at once. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// `Err` with all of them if there are any, else `Ok`.
    ///
    /// # Errors
    /// When `found` is not empty.
    pub fn fail_if_any(found: Vec<Diagnostic>) -> Result<(), Self> {
        if found.is_empty() {
            Ok(())
        } else {
            Err(Self(found))
        }
    }

    /// The diagnostics in the order found.
    #[must_use]
    pub fn all(&self) -> &[Diagnostic] {
        &self.0
    }

    /// The exit code of the first of them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.0.first().map_or(1, |first| first.kind.exit_code())
    }

    /// All of them as a terminal shows them, a blank line between two.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let parts: Vec<String> = self.0.iter().map(|one| one.render(color)).collect();
        parts.join("\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

/// The candidate nearest to `typed` that is near enough to be a typing error, if any.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_what_where_and_what_to_do() {
        let source = "train:\n  bacth: 32\n";
        let shown = Diagnostic::new(Kind::Experiment, "unknown key `bacth`")
            .at(Location::new("x.yaml", 2, 3).in_source(source, 5))
            .help("did you mean `batch`?")
            .render(false);
        assert_eq!(
            shown,
            "error: unknown key `bacth`\n --> x.yaml:2:3\n  |\n2 |   bacth: 32\n  |   ^^^^^\n  = help: did you mean `batch`?\n"
        );
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        assert_eq!(nearest("bacth", ["batch", "epochs"]), Some("batch"));
        assert_eq!(nearest("zebra", ["batch", "epochs"]), None);
    }
}
