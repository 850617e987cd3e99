//! Reads SciFact's format (Wadden et al. 2020) and the built-in corpus, which has the same with optional fields, and
//! says everything that is wrong at once, by file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind, Location, nearest};
use serde_json::{Map, Value};

use crate::{Anchor, Dataset, Document, Judgement, Label, Source, Split, builtin, fingerprint};

/// More than this many errors of one load are not told: the first say enough.
const MOST_ERRORS: usize = 20;

/// A file read.
pub(crate) struct File {
    pub path: PathBuf,
    pub text: String,
}

/// Loads a corpus with its train and test claims. `train` and `test` are names of splits: of `claims_NAME.jsonl` for
/// SciFact's format, of the field `split` for the built-in corpus.
///
/// # Errors
/// All that is wrong with the files, each with its line.
pub fn load(source: &Source, train: &str, test: Option<&str>) -> Result<Dataset, Diagnostics> {
    let train = (train, Split::Train);
    let test = test.map(|name| (name, Split::Test));
    read(
        source,
        &std::iter::once(train).chain(test).collect::<Vec<_>>(),
    )
}

/// Loads a corpus with the claims of one split, all for test: there is nothing to train on.
///
/// # Errors
/// All that is wrong with the files, each with its line.
pub fn load_claims(source: &Source, split: &str) -> Result<Dataset, Diagnostics> {
    read(source, &[(split, Split::Test)])
}

/// Reads a corpus with claims: names of splits, and what they are for. There must be some of the first.
fn read(source: &Source, parts: &[(&str, Split)]) -> Result<Dataset, Diagnostics> {
    let mut errors = Errors::default();
    let (corpora, claims) = match source {
        Source::Builtin { fields } => {
            let known: BTreeSet<&str> = ["train", "dev", "test"].into();
            for (split, _) in parts {
                if !known.contains(split) {
                    errors.push(
                        Diagnostic::new(
                            Kind::Data,
                            format!("the built-in corpus has no split `{split}`"),
                        )
                        .help("it has train, dev and test"),
                    );
                }
            }
            let of = |split: &str, part| {
                let split = split.to_owned();
                let files = builtin::claims(fields).into_iter();
                files.map(move |file| (file, part, Some(split.clone())))
            };
            let claims = parts.iter().flat_map(|(split, part)| of(split, *part));
            (builtin::corpora(fields), claims.collect())
        }
        Source::Scifact { path } => {
            let corpora = errors.read(&path.join("corpus.jsonl"), path);
            let mut claims = Vec::new();
            for (name, part) in parts {
                let file = errors.read(&path.join(format!("claims_{name}.jsonl")), path);
                claims.extend(file.map(|file| (file, *part, None)));
            }
            (corpora.into_iter().collect(), claims)
        }
    };
    Diagnostics::fail_if_any(std::mem::take(&mut errors.found))?;
    let pieces = corpora.iter().chain(claims.iter().map(|(file, ..)| file));
    let fingerprint = fingerprint(pieces.map(|file| file.text.as_bytes()));
    let (documents, numbers) = read_documents(&corpora, &mut errors);
    let mut anchors = Vec::new();
    let mut judgements = Vec::new();
    let mut seen = BTreeMap::new();
    for (file, part, split) in &claims {
        read_claims(
            file,
            *part,
            split.as_deref(),
            (&documents, &numbers),
            (&mut anchors, &mut judgements, &mut seen),
            &mut errors,
        );
    }
    if errors.found.is_empty() && documents.is_empty() {
        errors.push(empty("the corpus holds no documents", corpora.first()));
    }
    let needed = parts.first().map(|(_, part)| *part);
    let there = anchors
        .iter()
        .any(|anchor: &Anchor| Some(anchor.split) == needed);
    if errors.found.is_empty() && !there {
        let what = match needed {
            Some(Split::Train) => "there are no claims to train on",
            _ => "there are no claims to score",
        };
        errors.push(empty(what, claims.first().map(|(file, ..)| file)));
    }
    Diagnostics::fail_if_any(errors.found)?;
    Ok(Dataset {
        documents,
        anchors,
        judgements,
        fingerprint,
    })
}

/// Loads the documents of a corpus alone, with the SHA-256 of the bytes they were read from.
///
/// # Errors
/// All that is wrong with the file, each with its line.
pub fn load_documents(source: &Source) -> Result<(Vec<Document>, String), Diagnostics> {
    let mut errors = Errors::default();
    let corpora: Vec<File> = match source {
        Source::Builtin { fields } => builtin::corpora(fields),
        Source::Scifact { path } => errors
            .read(&path.join("corpus.jsonl"), path)
            .into_iter()
            .collect(),
    };
    Diagnostics::fail_if_any(std::mem::take(&mut errors.found))?;
    let fingerprint = fingerprint(corpora.iter().map(|file| file.text.as_bytes()));
    let (documents, _) = read_documents(&corpora, &mut errors);
    if errors.found.is_empty() && documents.is_empty() {
        errors.push(empty("the corpus holds no documents", corpora.first()));
    }
    Diagnostics::fail_if_any(errors.found)?;
    Ok((documents, fingerprint))
}

fn empty(what: &str, file: Option<&File>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Kind::Data, what)
        .help("each line is a JSON object; see README.md, \"Your data\"");
    match file {
        Some(file) => diagnostic.at(Location::new(&file.path, 1, 1)),
        None => diagnostic,
    }
}

#[derive(Default)]
struct Errors {
    found: Vec<Diagnostic>,
    untold: usize,
}

impl Errors {
    fn push(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < MOST_ERRORS {
            self.found.push(diagnostic);
        } else {
            self.untold += 1;
        }
    }

    /// The text of a file; says what is wrong if there is none.
    fn read(&mut self, path: &Path, folder: &Path) -> Option<File> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(File {
                path: path.to_owned(),
                text,
            }),
            Err(error) => {
                let help = if folder.is_dir() {
                    "SciFact's format is corpus.jsonl and claims_NAME.jsonl for each split named in `data:`"
                } else {
                    "the folder is not there: give it with --set data.corpus.path=FOLDER"
                };
                self.push(
                    Diagnostic::new(Kind::Data, format!("cannot read `{}`", path.display()))
                        .note(error.to_string())
                        .help(help),
                );
                None
            }
        }
    }
}

/// One line of a file, parsed.
struct Line<'a> {
    file: &'a File,
    number: usize,
    fields: Map<String, Value>,
}

impl Line<'_> {
    fn wrong(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Kind::Data, message).at(Location::new(&self.file.path, self.number, 1))
    }

    /// Takes a field and reads it; what is missing or of another type is an error.
    fn take<T>(
        &mut self,
        names: &[&str],
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, Diagnostic> {
        for name in names {
            if let Some(value) = self.fields.shift_remove(*name) {
                return read(&value).ok_or_else(|| {
                    self.wrong(format!("field `{name}` must be {expected}"))
                        .note(format!("it is {}", short(&value)))
                });
            }
        }
        Err(self
            .wrong(format!("field `{}` is missing", names[0]))
            .note(format!("it must be {expected}")))
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 {
        format!("{}…", text.chars().take(60).collect::<String>())
    } else {
        text
    }
}

fn lines<'a>(file: &'a File, errors: &mut Errors) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (place, text) in file.text.lines().enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        let number = place + 1;
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => lines.push(Line {
                file,
                number,
                fields,
            }),
            Ok(_) => errors.push(
                Diagnostic::new(Kind::Data, "the line is JSON but not an object")
                    .at(Location::new(&file.path, number, 1)),
            ),
            Err(error) => errors.push(
                Diagnostic::new(Kind::Data, "the line is not JSON")
                    .at(Location::new(&file.path, number, error.column().max(1)))
                    .note(error.to_string()),
            ),
        }
    }
    lines
}

/// An id is a number or a text in the file, and a text here.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn read_documents(files: &[File], errors: &mut Errors) -> (Vec<Document>, BTreeMap<String, usize>) {
    let mut documents: Vec<Document> = Vec::new();
    let mut numbers = BTreeMap::new();
    let mut first_lines = Vec::new();
    for file in files {
        for mut line in lines(file, errors) {
            let mut read = || {
                Ok::<_, Diagnostic>(Document {
                    id: line.take(&["doc_id"], "a number or a text", id)?,
                    title: line.take(&["title"], "a text", text)?,
                    sentences: line.take(&["abstract"], "a list of sentences", |value| {
                        value.as_array()?.iter().map(text).collect()
                    })?,
                    metadata: Map::new(),
                })
            };
            match read() {
                Ok(mut document) => {
                    if let Some(&first) = numbers.get(&document.id) {
                        let (path, number): &(PathBuf, usize) = &first_lines[first];
                        errors.push(
                            line.wrong(format!("document `{}` is here a second time", document.id))
                                .note(format!("first at {}:{number}", path.display()))
                                .help("ids must be unique: remove or rename one"),
                        );
                        continue;
                    }
                    document.metadata = std::mem::take(&mut line.fields);
                    numbers.insert(document.id.clone(), documents.len());
                    first_lines.push((file.path.clone(), line.number));
                    documents.push(document);
                }
                Err(diagnostic) => errors.push(diagnostic),
            }
        }
    }
    (documents, numbers)
}

type Corpus<'a> = (&'a [Document], &'a BTreeMap<String, usize>);
type Out<'a> = (
    &'a mut Vec<Anchor>,
    &'a mut Vec<Judgement>,
    &'a mut BTreeMap<String, (PathBuf, usize)>,
);

fn read_claims(
    file: &File,
    part: Split,
    only: Option<&str>,
    corpus: Corpus<'_>,
    (anchors, judgements, seen): Out<'_>,
    errors: &mut Errors,
) {
    for mut line in lines(file, errors) {
        if let Some(only) = only {
            match line.take(&["split"], "train, dev or test", text) {
                Ok(split) if split == only => {}
                Ok(_) => continue,
                Err(diagnostic) => {
                    errors.push(diagnostic);
                    continue;
                }
            }
        }
        let mut read = || {
            let id = line.take(&["id"], "a number or a text", id)?;
            let claim = line.take(&["claim"], "a text", |value| {
                text(value).filter(|text| !text.trim().is_empty())
            })?;
            let evidence = line.take(
                &["evidence"],
                "an object of rationale sets by document",
                |value| value.as_object().cloned(),
            )?;
            let cited = line.take(&["cited_doc_ids"], "a list of document ids", |value| {
                value
                    .as_array()?
                    .iter()
                    .map(self::id)
                    .collect::<Option<Vec<String>>>()
            })?;
            Ok::<_, Diagnostic>((id, claim, evidence, cited))
        };
        let (id, claim, evidence, cited) = match read() {
            Ok(read) => read,
            Err(diagnostic) => {
                errors.push(diagnostic);
                continue;
            }
        };
        if let Some((path, first)) = seen.get(&id) {
            errors.push(
                line.wrong(format!("claim `{id}` is here a second time"))
                    .note(format!("first at {}:{first}", path.display()))
                    .help("ids must be unique over all splits: remove or rename one"),
            );
            continue;
        }
        seen.insert(id.clone(), (file.path.clone(), line.number));
        let number = anchors.len();
        match read_judgements(&line, number, &id, &evidence, &cited, corpus) {
            Ok(of_claim) => judgements.extend(of_claim),
            Err(found) => found.into_iter().for_each(|one| errors.push(one)),
        }
        anchors.push(Anchor {
            id,
            text: claim,
            split: part,
            metadata: std::mem::take(&mut line.fields),
        });
    }
}

/// The rationale sets of a claim by document, then cited documents without evidence as neutral.
fn read_judgements(
    line: &Line<'_>,
    anchor: usize,
    claim: &str,
    evidence: &Map<String, Value>,
    cited: &[String],
    (documents, numbers): Corpus<'_>,
) -> Result<Vec<Judgement>, Vec<Diagnostic>> {
    let mut found: Vec<Judgement> = Vec::new();
    let mut errors = Vec::new();
    let find = |id: &str, what: &str, errors: &mut Vec<Diagnostic>| {
        let number = numbers.get(id).copied();
        if number.is_none() {
            let mut diagnostic = line.wrong(format!(
                "claim `{claim}` {what} document `{id}`, which is not in the corpus"
            ));
            if let Some(near) = nearest(id, numbers.keys().map(String::as_str)) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            errors.push(diagnostic);
        }
        number
    };
    for (id, sets) in evidence {
        let Some(document) = find(id, "has evidence in", &mut errors) else {
            continue;
        };
        let sentences = documents[document].sentences.len();
        let Some(sets) = sets.as_array() else {
            errors.push(line.wrong(format!(
                "the evidence in document `{id}` must be a list of rationale sets"
            )));
            continue;
        };
        for set in sets {
            match read_set(set, sentences) {
                Ok((label, sentences)) => found.push(Judgement {
                    anchor,
                    document,
                    label,
                    sentences,
                }),
                Err(why) => errors.push(
                    line.wrong(format!(
                        "the evidence of claim `{claim}` in document `{id}` {why}"
                    ))
                    .note(format!("it is {}", short(set))),
                ),
            }
        }
    }
    for id in cited {
        let Some(document) = find(id, "cites", &mut errors) else {
            continue;
        };
        if !found.iter().any(|one| one.document == document) {
            found.push(Judgement {
                anchor,
                document,
                label: Label::Neutral,
                sentences: Vec::new(),
            });
        }
    }
    // By document; the order of a document's sets stays that of the file.
    found.sort_by_key(|one| one.document);
    if errors.is_empty() {
        Ok(found)
    } else {
        Err(errors)
    }
}

fn read_set(set: &Value, in_document: usize) -> Result<(Label, Vec<usize>), String> {
    let label = match set.get("label").and_then(Value::as_str) {
        Some("SUPPORT" | "SUPPORTS") => Label::Support,
        Some("PARTIALLY_SUPPORT") => Label::Partial,
        Some("CONTRADICT" | "REFUTE" | "REFUTES") => Label::Contradict,
        Some(other) => {
            return Err(format!(
                "has the label `{other}`: SUPPORT, PARTIALLY_SUPPORT, CONTRADICT or REFUTE are known"
            ));
        }
        None => return Err("has a rationale set without `label`".to_owned()),
    };
    let sentences = set
        .get("sentences")
        .and_then(Value::as_array)
        .filter(|sentences| !sentences.is_empty())
        .ok_or("has a rationale set without `sentences`")?;
    let numbers = sentences
        .iter()
        .map(|number| {
            let number = number
                .as_u64()
                .ok_or_else(|| format!("has {number} for a sentence number"))?
                as usize;
            if number < in_document {
                Ok(number)
            } else {
                Err(format!(
                    "names sentence {number}, but the document has {in_document} (numbered from 0)"
                ))
            }
        })
        .collect::<Result<Vec<usize>, String>>()?;
    Ok((label, numbers))
}
