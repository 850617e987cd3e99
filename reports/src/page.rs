//! What every page is made with: our templates, those that stand in for them, the words, and the filters that show
//! numbers and texts. A page extends `page.html.j2`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::text::{passage, prose};
use crate::words::{Place, Words, number};

/// Every file of ours by the name under which another may stand in for it.
const OURS: &[(&str, &str)] = &[
    ("style.css", include_str!("../assets/style.css")),
    ("report.js", include_str!("../assets/report.js")),
    ("explain.css", include_str!("../assets/explain.css")),
    ("live.css", include_str!("../assets/live.css")),
    ("live.js", include_str!("../assets/live.js")),
    ("live.html.j2", include_str!("../templates/live.html.j2")),
    ("page.html.j2", include_str!("../templates/page.html.j2")),
    (
        "explain.html.j2",
        include_str!("../templates/explain.html.j2"),
    ),
    (
        "explain-sample.html.j2",
        include_str!("../templates/explain-sample.html.j2"),
    ),
    (
        "explain-anchor.html.j2",
        include_str!("../templates/explain-anchor.html.j2"),
    ),
    (
        "explain-document.html.j2",
        include_str!("../templates/explain-document.html.j2"),
    ),
    (
        "compare.html.j2",
        include_str!("../templates/compare.html.j2"),
    ),
    (
        "charts.html.j2",
        include_str!("../templates/charts.html.j2"),
    ),
    ("parts.html.j2", include_str!("../templates/parts.html.j2")),
    (
        "samples.html.j2",
        include_str!("../templates/samples.html.j2"),
    ),
    (
        "suspects.html.j2",
        include_str!("../templates/suspects.html.j2"),
    ),
    (
        "report.html.j2",
        include_str!("../templates/report.html.j2"),
    ),
    (
        "opening.html.j2",
        include_str!("../templates/opening.html.j2"),
    ),
    (
        "better.html.j2",
        include_str!("../templates/better.html.j2"),
    ),
    ("pool.html.j2", include_str!("../templates/pool.html.j2")),
    (
        "positives.html.j2",
        include_str!("../templates/positives.html.j2"),
    ),
    (
        "negatives.html.j2",
        include_str!("../templates/negatives.html.j2"),
    ),
    (
        "training.html.j2",
        include_str!("../templates/training.html.j2"),
    ),
    (
        "picture.html.j2",
        include_str!("../templates/picture.html.j2"),
    ),
    (
        "influence.html.j2",
        include_str!("../templates/influence.html.j2"),
    ),
    (
        "failures.html.j2",
        include_str!("../templates/failures.html.j2"),
    ),
    (
        "people.html.j2",
        include_str!("../templates/people.html.j2"),
    ),
    ("again.html.j2", include_str!("../templates/again.html.j2")),
];

/// Our catalogues of words: the report's, and those of the pages beside it.
const WORDS: &[(&str, &str)] = &[
    ("words.json", include_str!("../assets/words.json")),
    (
        "words-explain.json",
        include_str!("../assets/words-explain.json"),
    ),
    ("words-live.json", include_str!("../assets/words-live.json")),
    (
        "words-compare.json",
        include_str!("../assets/words-compare.json"),
    ),
];

fn our_words() -> Result<Words, Error> {
    let mut all = Words::default();
    for (name, text) in WORDS {
        all.replace(Words::read(text).map_err(|why| Error::Words {
            path: PathBuf::from(name),
            why,
        })?);
    }
    Ok(all)
}

/// A section that somebody else adds: a template and the query that gives its `rows`.
#[derive(Debug, Clone)]
pub struct Section {
    /// The name of its files, without their endings.
    pub name: String,
    /// The template's name.
    pub template: String,
    /// The query.
    pub sql: String,
    /// Where the query stands.
    pub path: PathBuf,
}

/// The templates, words, styles and scripts that pages are made with.
#[derive(Debug, Clone)]
pub struct Templates {
    files: BTreeMap<String, String>,
    folder: Option<PathBuf>,
    words: Words,
    sections: Vec<Section>,
}

impl Templates {
    /// Ours.
    ///
    /// # Errors
    /// If our catalogue of words cannot be read: a fault of ours, which a test would find.
    pub fn ours() -> Result<Self, Error> {
        let files = OURS.iter();
        Ok(Self {
            files: files
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            folder: None,
            words: our_words()?,
            sections: Vec::new(),
        })
    }

    /// Ours, with the files of `folder` standing in for those of the same name, its `words.json` added, and a section for
    /// each `sections/NAME.html.j2` with its `sections/NAME.sql`.
    ///
    /// # Errors
    /// If a file cannot be read, no file of ours has such a name, or a section lacks its query.
    pub fn with(folder: &Path) -> Result<Self, Error> {
        let mut all = Self::ours()?;
        all.folder = Some(folder.to_owned());
        for path in listed(folder)? {
            let name = file_name(&path);
            if path.is_dir() || name.starts_with('.') {
                continue;
            }
            let text = read(&path)?;
            if name == "words.json" {
                all.words
                    .replace(Words::read(&text).map_err(|why| Error::Words { path, why })?);
            } else if all.files.contains_key(&name)
                || name.ends_with(".j2")
                || name.ends_with(".css")
                || name.ends_with(".js")
            {
                all.files.insert(name, text);
            }
        }
        let sections = folder.join("sections");
        if sections.is_dir() {
            for path in listed(&sections)? {
                let file = file_name(&path);
                let Some(name) = file.strip_suffix(".html.j2") else {
                    continue;
                };
                let query = sections.join(format!("{name}.sql"));
                let template = format!("sections/{file}");
                all.files.insert(template.clone(), read(&path)?);
                all.sections.push(Section {
                    name: name.to_owned(),
                    template,
                    sql: read(&query)?.trim().trim_end_matches(';').to_owned(),
                    path: query,
                });
            }
        }
        Ok(all)
    }

    /// The sections that somebody else adds, by name.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Whether every template can be read.
    ///
    /// # Errors
    /// If one is wrong: which, where and why.
    pub fn check(&self) -> Result<(), Error> {
        self.environment()
            .map(drop)
            .map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &minijinja::Error) -> Error {
        Error::Template {
            ours: self.folder.is_none(),
            why: located(error, self.folder.as_deref()),
        }
    }

    /// A page as HTML.
    ///
    /// # Errors
    /// If a template is wrong: which, where and why.
    pub fn render(&self, name: &str, context: Value) -> Result<String, Error> {
        self.environment()
            .and_then(|environment| environment.get_template(name)?.render(context))
            .map(|html| html.trim_start().to_owned())
            .map_err(|error| self.wrong(&error))
    }

    /// Everything a template may use.
    fn environment(&self) -> Result<Environment<'_>, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        let words = self.words.clone();
        environment.add_function("t", move |key: &str, values: Kwargs| {
            said(&words, key, &values, Place::Page)
        });
        let words = self.words.clone();
        environment.add_function("ts", move |key: &str, values: Kwargs| {
            said(&words, key, &values, Place::Picture)
        });
        let words = self.words.clone();
        environment.add_filter("say", move |value: &Value| {
            safe(words.name(value, Place::Page))
        });
        let words = self.words.clone();
        environment.add_filter("says", move |value: &Value| {
            safe(words.name(value, Place::Picture))
        });
        environment.add_filter("number", |value: &Value, digits: Option<usize>| {
            numeric(value, &digits.unwrap_or(3).to_string())
        });
        environment.add_filter("signed", |value: &Value, digits: Option<usize>| {
            numeric(value, &format!("+{}", digits.unwrap_or(3)))
        });
        environment.add_filter("percent", |value: &Value| numeric(value, "p"));
        environment.add_filter("count", |value: &Value| numeric(value, "c"));
        environment.add_filter("text", |value: &Value, most: Option<usize>| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            Value::from_safe_string(passage(&text, most.unwrap_or(100_000)))
        });
        environment.add_filter("prose", |value: &Value| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            Value::from_safe_string(prose(&text))
        });
        environment.add_filter("sha256", |value: &Value| {
            Value::from_safe_string(format!(
                "sha256-{}",
                base64(&Sha256::digest(value.to_string()))
            ))
        });
        for (name, text) in &self.files {
            environment.add_template(name, text)?;
        }
        Ok(environment)
    }
}

fn said(
    words: &Words,
    key: &str,
    values: &Kwargs,
    place: Place,
) -> Result<Value, minijinja::Error> {
    safe(words.say(key, &|name| values.get::<Value>(name).ok(), place))
}

fn safe(markup: Result<String, String>) -> Result<Value, minijinja::Error> {
    markup
        .map(Value::from_safe_string)
        .map_err(|why| minijinja::Error::new(ErrorKind::InvalidOperation, why))
}

/// A number as markup; a dash where there is none.
fn numeric(value: &Value, how: &str) -> Value {
    Value::from_safe_string(match f64::try_from(value.clone()) {
        Ok(value) if value.is_finite() => number(value, how, Place::Page),
        _ => "–".to_owned(),
    })
}

/// What is wrong with a template, and where.
fn located(error: &minijinja::Error, folder: Option<&Path>) -> String {
    // The innermost error knows the place; those around it, what it was included from.
    let mut place = error;
    let mut why = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<minijinja::Error>() {
            place = inner;
            why = inner
                .detail()
                .map_or_else(|| inner.kind().to_string(), str::to_owned);
        } else {
            why = inner.to_string();
        }
        source = inner.source();
    }
    let name = place.name().unwrap_or("a template");
    let name = folder
        .map(|folder| folder.join(name))
        .filter(|path| path.is_file())
        .map_or_else(|| name.to_owned(), |path| path.display().to_string());
    match place.line() {
        Some(line) => format!("{name}:{line}: {why}"),
        None => format!("{name}: {why}"),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|why| Error::Read {
        path: path.to_owned(),
        why,
    })
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |why| Error::Read {
        path: folder.to_owned(),
        why,
    };
    let mut paths = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// RFC 4648, as a content security policy wants hashes.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .chain([0; 2].iter())
            .take(3)
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..4 {
            out.push(if place > three.len() {
                '='
            } else {
                char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63])
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn every_word_is_there_in_both_languages_and_used() {
        let templates = Templates::ours().expect("templates");
        let mut all: String = OURS.iter().map(|(_, text)| *text).collect();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for path in listed(&sources).expect("sources") {
            all.push_str(&read(&path).expect("source"));
        }
        for (key, both) in templates.words.keys() {
            assert!(both.iter().all(|text| !text.trim().is_empty()), "{key}");
            // Some are put together from a beginning, and something that has an id or a name.
            let parts = key.split_once('.').unwrap_or((key, ""));
            let beginning = all.contains(&format!("\"{}.\"", parts.0));
            let figure = matches!(parts.0, "fig" | "def");
            assert!(
                all.contains(&format!("\"{key}\""))
                    || (beginning && (!figure || all.contains(&format!("\"{}\"", parts.1)))),
                "nothing says `{key}`"
            );
            let places = |text: &str| {
                let mut names: Vec<String> = text
                    .split('{')
                    .skip(1)
                    .map(|part| {
                        part.split([':', '}', '?'])
                            .next()
                            .unwrap_or_default()
                            .to_owned()
                    })
                    .collect();
                names.sort();
                names.dedup();
                names
            };
            assert_eq!(places(&both[0]), places(&both[1]), "{key}");
        }
    }
}
