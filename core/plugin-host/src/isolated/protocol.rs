//! What the two sides say to each other. Both are the same executable: there is one version of it at a time, and a frame
//! that cannot be read is an error and never a guess.
//!
//! To the child: `DESCRIBE` or `CREATE` first, then calls, one at a time; in a call, answers to what it asks, and `CANCEL`
//! at any time; `BYE` at the end. To the parent: in a call, `ROWS`, `PROGRESS` and `ASK`; at its end `METRICS`, if there are
//! any, and `DONE` or `FAILED`.

use std::path::Path;

use super::codec::{Malformed, Reader, Result, Writer};
use crate::call::Context;
use crate::error::Error;
use crate::info::{Kind, PluginInfo, RawInfo};
use crate::services::Services;

/// Changes with every change of a frame.
pub(crate) const VERSION: u32 = 2;

/// Tags of what goes to the child.
pub(crate) mod to_child {
    pub const DESCRIBE: u8 = 1;
    pub const CREATE: u8 = 2;
    pub const PROPOSE: u8 = 3;
    pub const AUGMENT: u8 = 4;
    pub const PREPARE: u8 = 5;
    pub const JUDGE: u8 = 6;
    pub const SELECT: u8 = 7;
    pub const NEEDS: u8 = 8;
    pub const FORWARD: u8 = 9;
    pub const ANSWER: u8 = 10;
    pub const CANCEL: u8 = 11;
    pub const BYE: u8 = 12;
}

/// Tags of what goes to the parent.
pub(crate) mod to_parent {
    pub const DONE: u8 = 1;
    pub const FAILED: u8 = 2;
    pub const ROWS: u8 = 3;
    pub const PROGRESS: u8 = 4;
    pub const ASK: u8 = 5;
    pub const METRICS: u8 = 6;
}

/// What a child asks for in a call; the first byte of an `ASK`.
pub(crate) mod ask {
    pub const TABLE: u8 = 1;
    pub const FILE: u8 = 2;
    pub const TEACHER: u8 = 3;
    pub const TOP_K: u8 = 4;
    pub const SCORE: u8 = 5;
    pub const ENCODE: u8 = 6;
    pub const LEXICAL: u8 = 7;
    pub const TOPICS: u8 = 8;
    pub const TOPICS_OF_DOCUMENTS: u8 = 9;
    pub const KNOWS: u8 = 10;
    pub const SCORE_PAIRS: u8 = 11;
    pub const CHAT: u8 = 12;
}

/// A table that is lent: which version of it, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableFacts {
    pub version: u64,
    pub rows: u64,
}

/// What a call comes with, as far as a child needs to know it in advance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    pub step: u64,
    pub seed: u64,
    /// Corpus, judgements, held-out claims, pool.
    pub tables: [Option<TableFacts>; 4],
    /// Names of the other corpora.
    pub corpora: Option<Vec<(String, TableFacts)>>,
    /// Length of an embedding of the current model.
    pub model: Option<u64>,
    pub bm25: bool,
    /// How many topics there are.
    pub topics: Option<u64>,
    pub files: bool,
    pub models: bool,
    pub teacher: bool,
    pub chat: bool,
    pub progress: bool,
    pub metrics: bool,
}

fn facts_of(table: &crate::table::Table) -> TableFacts {
    TableFacts {
        version: table.version(),
        rows: table.rows() as u64,
    }
}

impl Facts {
    pub fn of(context: &Context<'_>) -> Self {
        let lent: &Services<'_> = &context.services;
        Self {
            step: context.step,
            seed: context.seed,
            tables: [lent.corpus, lent.judgements, lent.held_out, lent.pool]
                .map(|table| table.map(facts_of)),
            corpora: lent.corpora.map(|all| {
                all.iter()
                    .map(|(name, table)| (name.clone(), facts_of(table)))
                    .collect()
            }),
            model: lent.model.map(|model| model.dim() as u64),
            bm25: lent.bm25.is_some(),
            topics: lent.topics.map(|topics| topics.count() as u64),
            files: lent.files.is_some(),
            models: lent.models.is_some(),
            teacher: lent.teacher.is_some(),
            chat: lent.chat.is_some(),
            progress: lent.progress.is_some(),
            metrics: lent.metrics.is_some(),
        }
    }

    pub fn write(&self, out: &mut Writer) {
        let table = |out: &mut Writer, table: TableFacts| {
            out.number(table.version);
            out.number(table.rows);
        };
        out.number(self.step);
        out.number(self.seed);
        for one in self.tables {
            out.optional(one, table);
        }
        out.optional(self.corpora.as_ref(), |out, all| {
            out.number(all.len() as u64);
            for (name, facts) in all {
                out.text(name);
                table(out, *facts);
            }
        });
        out.optional(self.model, Writer::number);
        out.optional(self.topics, Writer::number);
        for flag in [
            self.bm25,
            self.files,
            self.models,
            self.teacher,
            self.chat,
            self.progress,
            self.metrics,
        ] {
            out.flag(flag);
        }
    }

    pub fn read(from: &mut Reader<'_>) -> Result<Self> {
        let table = |from: &mut Reader<'_>| {
            Ok(TableFacts {
                version: from.number()?,
                rows: from.number()?,
            })
        };
        Ok(Self {
            step: from.number()?,
            seed: from.number()?,
            tables: [
                from.optional(table)?,
                from.optional(table)?,
                from.optional(table)?,
                from.optional(table)?,
            ],
            corpora: from.optional(|from| {
                let n = from.count(24)?;
                (0..n)
                    .map(|_| Ok((from.text()?.to_owned(), table(from)?)))
                    .collect()
            })?,
            model: from.optional(Reader::number)?,
            topics: from.optional(Reader::number)?,
            bm25: from.flag()?,
            files: from.flag()?,
            models: from.flag()?,
            teacher: from.flag()?,
            chat: from.flag()?,
            progress: from.flag()?,
            metrics: from.flag()?,
        })
    }
}

/// Long enough for every message that says something.
const LONGEST_MESSAGE: usize = 16 << 10;

fn write_message(out: &mut Writer, text: &str) {
    let mut end = text.len().min(LONGEST_MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.text(&text[..end]);
}

/// An error of the child's side. Names of plugins, calls and files are not sent: the parent knows which it meant.
pub(crate) fn write_error(out: &mut Writer, error: &Error) {
    let (code, first, second): (u8, &str, &str) = match error {
        Error::Config {
            pointer, message, ..
        } => (0, message, pointer),
        Error::Failed { message, .. } => (1, message, ""),
        Error::Panicked { message, .. } => (2, message, ""),
        Error::Violation { what, .. } => (3, what, ""),
        Error::Cancelled { .. } => (4, "", ""),
        Error::NotALibrary { why, .. } => (5, why, ""),
        Error::NotAPlugin { why, .. } => (6, why, ""),
        Error::Abi { theirs, ours, .. } => (7, theirs, ours),
        Error::Descriptor { why, .. } => (8, why, ""),
        Error::Isolation { why, .. } => (9, why, ""),
        other => {
            out.number(9u8);
            write_message(out, &other.to_string());
            return out.text("");
        }
    };
    out.number(code);
    write_message(out, first);
    write_message(out, second);
}

/// Who and what an error of the child's side is about.
pub(crate) struct About<'a> {
    pub plugin: &'a str,
    pub call: &'static str,
    pub file: &'a Path,
}

pub(crate) fn read_error(from: &mut Reader<'_>, about: &About<'_>) -> Result<Error> {
    let (plugin, call) = (about.plugin.to_owned(), about.call);
    let path = about.file.to_owned();
    let code = from.number::<u8>()?;
    let (message, second) = (from.text()?.to_owned(), from.text()?.to_owned());
    Ok(match code {
        0 => Error::Config {
            plugin,
            pointer: second,
            message,
        },
        1 => Error::Failed {
            plugin,
            call,
            message,
        },
        2 => Error::Panicked {
            plugin,
            call,
            message,
        },
        3 => Error::Violation {
            plugin,
            call,
            what: message,
        },
        4 => Error::Cancelled { plugin },
        5 => Error::NotALibrary { path, why: message },
        6 => Error::NotAPlugin { path, why: message },
        7 => Error::Abi {
            path,
            theirs: message,
            ours: second,
        },
        8 => Error::Descriptor { path, why: message },
        9 => Error::Isolation {
            plugin,
            why: message,
        },
        _ => return Err(Malformed),
    })
}

const KINDS: [Kind; 5] = [
    Kind::Sampler,
    Kind::Selector,
    Kind::Augmenter,
    Kind::Filter,
    Kind::Loss,
];

pub(crate) fn write_info(out: &mut Writer, info: &PluginInfo) {
    let kind = KINDS.iter().position(|kind| *kind == info.kind);
    out.number(kind.unwrap_or(KINDS.len()) as u8);
    out.number(info.flags());
    for text in [
        &info.id,
        &info.version,
        &info.name,
        &info.summary,
        &info.licence,
        &info.url,
        &info.schema.to_string(),
        &info.services.join(" "),
    ] {
        out.text(text);
    }
}

pub(crate) fn read_info(from: &mut Reader<'_>) -> Result<(Kind, RawInfo)> {
    let kind = *KINDS
        .get(usize::from(from.number::<u8>()?))
        .ok_or(Malformed)?;
    let flags = from.number()?;
    let mut text = || from.text().map(str::to_owned);
    let info = RawInfo {
        flags,
        id: text()?,
        version: text()?,
        name: text()?,
        summary: text()?,
        licence: text()?,
        url: text()?,
        schema: text()?,
        services: text()?,
    };
    Ok((kind, info))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::codec::PREFIX;
    use super::*;

    #[test]
    fn a_call_arrives_with_all_it_comes_with() {
        let table = TableFacts {
            version: 3,
            rows: 8,
        };
        let facts = Facts {
            step: 4,
            seed: u64::MAX,
            tables: [Some(table), None, Some(table), None],
            corpora: Some(vec![("notes".to_owned(), table)]),
            model: Some(384),
            topics: None,
            bm25: true,
            chat: true,
            metrics: true,
            ..Facts::default()
        };
        let mut frame = Writer::new(1);
        facts.write(&mut frame);
        let bytes = frame.finish();
        let (_, mut from) = Reader::new(&bytes[PREFIX..]).unwrap();
        assert_eq!(Facts::read(&mut from), Ok(facts));
        assert_eq!(from.end(), Ok(()));
    }
}
