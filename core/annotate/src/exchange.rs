//! Questions as files of other tools, and their answers back: for people who annotate where they always do.
//!
//! Reading is all or nothing: every answer of a file is checked before the first is kept, and everything that is wrong with it
//! is told at once, with its line. What is in the store already is not kept twice, so a file may be read again when it has grown
//! or was corrected.

mod argilla;
mod csv;
mod json;
mod jsonl;
mod label_studio;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind, Location, nearest};
use orchestrator_engine::desk::{Desk, Fate, Verdict, asked_last};
use orchestrator_store::{Answer, QuestionView, Store};

use crate::error::Error;
use crate::room::checked_name;

pub use label_studio::CONFIG as LABEL_STUDIO_CONFIG;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line. Out: `question` (its number), `claim`, `text`, `title`, `document` (its id), `document_text`,
    /// `shared`. Back: `question`, `verdict` (support, partial, contradict, unrelated or skip), and if wanted `annotator`,
    /// `comment`, `flagged`; other keys are left alone.
    Jsonl,
    /// RFC 4180 with a header and the columns that [`Format::Jsonl`] has as keys. Out: empty columns for the answer, to be
    /// filled in. Back: rows without a verdict are not answered.
    Csv,
    /// Label Studio 1.x. Out: tasks as its JSON import takes them (`data` with `claim`, `text` …), for the labelling
    /// configuration [`LABEL_STUDIO_CONFIG`]. Back: its JSON export (not JSON-MIN), each annotation with its choice.
    LabelStudio,
    /// Argilla 2.x. Out and back: the records that `dataset.records.to_json` and `from_json` know, with text fields `claim`, `title`
    /// and `text`, a label question `verdict` and a text question `comment`.
    Argilla,
}

impl Format {
    /// As the command line and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::LabelStudio => "label-studio",
            Self::Argilla => "argilla",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::LabelStudio | Self::Argilla => "json",
        }
    }

    /// What a file is by its name, if that tells: `.json` may be either tool's.
    #[must_use]
    pub fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "jsonl" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// One answer of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its line, from 1.
    pub line: usize,
    /// The number of the question, as it stands there.
    pub question: String,
    /// Who, if the file says.
    pub annotator: Option<String>,
    /// What: a verdict or `skip`, as it stands there; nothing if the question is not answered.
    pub verdict: Option<String>,
    /// In their own words.
    pub comment: String,
    /// Somebody should look at it.
    pub flagged: bool,
}

/// Where something is wrong in a file: line and what.
pub(crate) type Wrong = (usize, String);

/// Questions as a file.
#[must_use]
pub fn write(format: Format, questions: &[&QuestionView]) -> String {
    match format {
        Format::Jsonl => jsonl::write(questions),
        Format::Csv => csv::write(questions),
        Format::LabelStudio => label_studio::write(questions),
        Format::Argilla => argilla::write(questions),
    }
}

/// The answers of a file, as they stand there. `path` is for messages.
///
/// # Errors
/// If it is not such a file: everything that is wrong with it, each at its line.
pub fn read(format: Format, text: &str, path: &Path) -> Result<Vec<Read>, Diagnostics> {
    // As editors for Windows begin a file.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Jsonl => jsonl::read(text),
        Format::Csv => csv::read(text),
        Format::LabelStudio => label_studio::read(text),
        Format::Argilla => argilla::read(text),
    }
    .map_err(|wrong| told(wrong, text, path, format))
}

fn told(wrong: Vec<Wrong>, text: &str, path: &Path, format: Format) -> Diagnostics {
    let found = wrong
        .into_iter()
        .map(|(line, what)| {
            Diagnostic::new(Kind::Data, what)
                .at(Location::new(path, line.max(1), 1).in_source(&shortened(text, line), 1))
                .note("nothing of the file was kept")
                .help(format!(
                    "correct it and read it again; it was read as {}",
                    format.name()
                ))
        })
        .collect();
    match Diagnostics::fail_if_any(found) {
        Err(all) => all,
        Ok(()) => Diagnostic::new(Kind::Internal, "nothing is wrong").into(),
    }
}

/// The text with its line `line` cut to what a terminal shows.
fn shortened(text: &str, line: usize) -> String {
    let shown: String = text
        .lines()
        .nth(line.saturating_sub(1))
        .unwrap_or_default()
        .chars()
        .take(120)
        .collect();
    format!("{}{shown}", "\n".repeat(line.saturating_sub(1)))
}

/// Questions that were written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub text: String,
    /// How many questions are in it.
    pub questions: usize,
}

/// The open questions of the run in `folder`, for `annotator` if one is named: without those that they have answered.
///
/// # Errors
/// If it is no run's folder, or the store cannot be read.
pub fn export(
    folder: &Path,
    format: Format,
    annotator: Option<&str>,
) -> Result<Exported, Diagnostics> {
    let store = open(folder).map_err(diagnostics)?;
    let (questions, answers) = all(&store).map_err(diagnostics)?;
    let desk = Desk::new(&questions, &answers);
    let name = annotator
        .map(checked_name)
        .transpose()
        .map_err(diagnostics)?;
    let open: Vec<&QuestionView> = desk
        .fates()
        .filter(|(question, fate)| match &name {
            Some(name) => desk.open_for(question.id, name, 0),
            None => *fate == Fate::Open,
        })
        .map(|(question, _)| question)
        .collect();
    Ok(Exported {
        text: write(format, &open),
        questions: open.len(),
    })
}

/// What the annotator `file` waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Questions without an end.
    pub questions: usize,
    /// Where they are.
    pub written: PathBuf,
    /// Where their answers are to be.
    pub expected: PathBuf,
}

/// The annotator `file`: reads the answers that lie in the folder of the run, if they do; writes the questions there that are
/// still open. Nothing is waited for if none is. Files are called by the round: `questions-1.csv`, `answers-1.csv`.
///
/// # Errors
/// As [`import`], or if a file cannot be read or written.
pub fn by_file(folder: &Path, format: Format) -> Result<Option<Waiting>, Diagnostics> {
    let store = open(folder).map_err(diagnostics)?;
    let (questions, _) = all(&store).map_err(diagnostics)?;
    let Some(round) = questions.first().map(|question| question.round) else {
        return Ok(None);
    };
    let named = |what: &str| folder.join(format!("{what}-{round}.{}", format.extension()));
    let (written, expected) = (named("questions"), named("answers"));
    let fails = |what: &str, path: &Path, error: &std::io::Error| -> Diagnostics {
        Diagnostic::new(
            Kind::Data,
            format!("cannot {what} `{}`: {error}", path.display()),
        )
        .help("check the path, its permissions and the space left")
        .into()
    };
    if expected.exists() {
        let text =
            std::fs::read_to_string(&expected).map_err(|error| fails("read", &expected, &error))?;
        import(folder, format, &text, &expected, Some("file"))?;
    }
    let answers = store.answers().map_err(|error| diagnostics(error.into()))?;
    let desk = Desk::new(&questions, &answers);
    let open: Vec<&QuestionView> = desk
        .fates()
        .filter(|(_, fate)| matches!(fate, Fate::Open | Fate::Disputed))
        .map(|(question, _)| question)
        .collect();
    if open.is_empty() {
        return Ok(None);
    }
    let write_to = |path: &Path, text: &str| {
        std::fs::write(path, text).map_err(|error| fails("write", path, &error))
    };
    write_to(&written, &write(format, &open))?;
    if format == Format::LabelStudio {
        write_to(&written.with_extension("xml"), LABEL_STUDIO_CONFIG)?;
    }
    Ok(Some(Waiting {
        questions: open.len(),
        written,
        expected,
    }))
}

/// What became of a file's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Answers that were kept.
    pub kept: usize,
    /// Answers that were in the store already.
    pub known: usize,
    /// Questions that are still open: those to which the file says nothing, and those that wait for a second person.
    pub open: Vec<u64>,
    /// Questions that two people disagree about.
    pub disputed: Vec<u64>,
}

/// Reads answers into the run in `folder`: all, or none if one is wrong. `annotator` is who answered where the file does not say.
///
/// # Errors
/// Everything that is wrong, each at its line: no such question, no such verdict, nobody's name, a question that somebody
/// else has answered, or that is settled; two answers of one person; a file without any answer. What somebody says otherwise than
/// before is a correction. Or if the store fails.
pub fn import(
    folder: &Path,
    format: Format,
    text: &str,
    path: &Path,
    annotator: Option<&str>,
) -> Result<Imported, Diagnostics> {
    let read = read(format, text, path)?;
    let store = open(folder).map_err(diagnostics)?;
    let (questions, answers) = all(&store).map_err(diagnostics)?;
    let desk = Desk::new(&questions, &answers);
    let mut wrong: Vec<Wrong> = Vec::new();
    let mut new: BTreeMap<(u64, String), (usize, &Read, String)> = BTreeMap::new(); // by place in the file
    let (mut known, mut empty) = (0, BTreeSet::new());
    for (place, one) in read.iter().enumerate() {
        let found = one
            .question
            .trim()
            .parse()
            .ok()
            .filter(|&id| desk.question(id).is_some());
        let Some(question) = found else {
            wrong.push((
                one.line,
                format!(
                    "there is no question `{}` among those that are asked now",
                    one.question
                ),
            ));
            continue;
        };
        let Some(said) = &one.verdict else {
            empty.insert(question);
            continue;
        };
        let verdict = match verdict(said) {
            Ok(verdict) => verdict,
            Err(what) => {
                wrong.push((one.line, what));
                continue;
            }
        };
        let name = match name(one.annotator.as_deref().or(annotator)) {
            Ok(name) => name,
            Err(what) => {
                wrong.push((one.line, what));
                continue;
            }
        };
        let before = desk
            .said(question)
            .iter()
            .find(|said| said.annotator == name);
        if let Some(before) = before {
            if before.verdict.map_or("skip", Verdict::name) == verdict {
                known += 1;
            } else if desk.settled(question).is_some() {
                wrong.push((one.line, format!("question {question} is settled already")));
            } else if let Some((_, Read { line, .. }, _)) = new.get(&(question, name.clone())) {
                wrong.push((one.line, twice(&name, question, *line)));
            } else {
                // Corrected since it was read: the last counts.
                new.insert((question, name), (place, one, verdict.to_owned()));
            }
        } else if let Some((_, Read { line, .. }, _)) = new.get(&(question, name.clone())) {
            wrong.push((one.line, twice(&name, question, *line)));
        } else {
            let others = new
                .iter()
                .filter(|((of, _), (_, _, said))| *of == question && said != "skip")
                .count();
            if verdict == "skip" || desk.open_for(question, &name, others) {
                new.insert((question, name), (place, one, verdict.to_owned()));
            } else {
                wrong.push((
                    one.line,
                    format!("question {question} has all its answers already, from others"),
                ));
            }
        }
    }
    if wrong.is_empty() && new.is_empty() && known == 0 {
        wrong.push((1, missing(&empty)));
    }
    if !wrong.is_empty() {
        return Err(told(wrong, text, path, format));
    }
    // In the order of the file, so that the numbers of answers follow it.
    let mut rows: Vec<_> = new.into_iter().collect();
    rows.sort_by_key(|(_, (place, ..))| *place);
    let rows: Vec<Answer<'_>> = rows
        .iter()
        .map(|((question, name), (_, one, verdict))| Answer {
            question: *question,
            annotator: name,
            verdict,
            settles: false,
            flagged: one.flagged,
            comment: &one.comment,
        })
        .collect();
    store
        .answer_all(&rows)
        .map_err(|error| diagnostics(error.into()))?;
    let (questions, answers) = all(&store).map_err(diagnostics)?;
    let desk = Desk::new(&questions, &answers);
    let those = |wanted: &Fate| -> Vec<u64> {
        desk.fates()
            .filter(|(_, fate)| fate == wanted)
            .map(|(question, _)| question.id)
            .collect()
    };
    Ok(Imported {
        kept: rows.len(),
        known,
        open: those(&Fate::Open),
        disputed: those(&Fate::Disputed),
    })
}

fn twice(name: &str, question: u64, line: usize) -> String {
    format!("`{name}` answers question {question} in line {line} already")
}

fn missing(empty: &BTreeSet<u64>) -> String {
    if empty.is_empty() {
        return "there is no answer in the file".to_owned();
    }
    let shown: Vec<String> = empty.iter().take(10).map(u64::to_string).collect();
    let more = if empty.len() > shown.len() {
        " …"
    } else {
        ""
    };
    format!(
        "there is no answer in the file: nothing is said to question {}{more}",
        shown.join(", ")
    )
}

fn open(folder: &Path) -> Result<Store, Error> {
    let path = folder.join("store.db");
    if !path.is_file() {
        return Err(Error::NotARun(folder.to_owned()));
    }
    Ok(Store::open(&path)?)
}

fn all(store: &Store) -> Result<(Vec<QuestionView>, Vec<orchestrator_store::AnswerRow>), Error> {
    Ok((asked_last(store.questions()?), store.answers()?))
}

fn diagnostics(error: Error) -> Diagnostics {
    Diagnostic::from(error).into()
}

/// A verdict as the store knows it; as the page and the tools show it counts, too.
fn verdict(said: &str) -> Result<&'static str, String> {
    let small = said.trim().to_lowercase();
    let known = [
        ("support", Some(Verdict::Support)),
        ("supports", Some(Verdict::Support)),
        ("partial", Some(Verdict::Partial)),
        ("partly", Some(Verdict::Partial)),
        ("contradict", Some(Verdict::Contradict)),
        ("contradicts", Some(Verdict::Contradict)),
        ("unrelated", Some(Verdict::Unrelated)),
        ("skip", None),
    ];
    if let Some((_, verdict)) = known.iter().find(|(name, _)| *name == small) {
        return Ok(verdict.map_or("skip", Verdict::name));
    }
    let near = nearest(&small, known.iter().map(|(name, _)| *name))
        .map_or_else(String::new, |name| format!(": did you mean `{name}`?"));
    Err(format!(
        "`{}` is no verdict (support, partial, contradict, unrelated, skip){near}",
        said.trim()
    ))
}

fn name(given: Option<&str>) -> Result<String, String> {
    let Some(given) = given else {
        return Err("it does not say who answered: give --name".to_owned());
    };
    checked_name(given).map_err(|error| error.to_string())
}
