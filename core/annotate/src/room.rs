//! What happens between the people who answer and the store: who is asked what, what is taken, what is refused. Knows nothing
//! of HTTP. One connection to the store, one question at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use orchestrator_engine::desk::{Agreement, Desk, Fate, Progress, Verdict, asked_last};
use orchestrator_store::{Answer, AnswerRow, QuestionView, Store};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::passage::{Piece, cut};

/// Who has not been heard of for so long is gone: what they were looking at goes to others.
const GONE: Duration = Duration::from_secs(90);
/// Characters of a comment.
const COMMENT: usize = 2_000;
/// Characters of a name.
const NAME: usize = 40;

/// The questions that a run asks now, with the people at them.
pub(crate) struct Room {
    store: Store,
    run: String,
    questions: Vec<QuestionView>,
    /// Who is looking at what, and when they were last heard of.
    present: BTreeMap<String, (Option<u64>, Instant)>,
}

/// What somebody says to a question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    pub name: String,
    pub question: u64,
    /// A verdict, or `skip`.
    pub verdict: String,
    #[serde(default)]
    pub flagged: bool,
    #[serde(default)]
    pub comment: String,
    /// It decides where two people disagreed.
    #[serde(default)]
    pub settles: bool,
}

/// What somebody takes back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenBack {
    pub name: String,
    /// The number of the answer, so that asking twice takes back once.
    pub answer: u64,
}

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// No such question, answer or verdict; a name that cannot be one.
    Unknown,
    /// Others, or the same person, have answered meanwhile.
    Answered,
    /// There is nothing to settle.
    NotDisputed,
}

/// What can end a request early.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Refusal),
    Store(orchestrator_store::Error),
}

impl From<orchestrator_store::Error> for Failure {
    fn from(error: orchestrator_store::Error) -> Self {
        Self::Store(error)
    }
}

/// A question as the page shows it: nothing that would tell what models or other people think.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    id: u64,
    claim: String,
    title: Option<String>,
    document_id: Option<String>,
    /// What is judged.
    text: String,
    /// The document around it, if what is judged is a part of it.
    around: Option<Vec<Piece>>,
    /// The document it was made from, if it is not a part of it.
    source: Option<String>,
    shared: bool,
}

/// The last thing somebody said: what an undo takes back.
#[derive(Debug, Serialize)]
pub(crate) struct Last {
    answer: u64,
    question: u64,
    verdict: &'static str,
}

/// Everything the page needs to go on.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    name: String,
    progress: Progress,
    question: Option<Shown>,
    last: Option<Last>,
    /// The last thing they settled.
    last_settled: Option<Last>,
    people: Vec<String>,
    agreements: Vec<Pair>,
    /// Nobody is to do anything any more.
    done: bool,
}

/// How far two people agree.
#[derive(Debug, Serialize)]
pub(crate) struct Pair {
    first: String,
    second: String,
    #[serde(flatten)]
    agreement: Agreement,
}

/// A disagreement.
#[derive(Debug, Serialize)]
pub(crate) struct Dispute {
    question: Shown,
    said: Vec<Opinion>,
}

/// What one of those who disagree said.
#[derive(Debug, Serialize)]
pub(crate) struct Opinion {
    name: String,
    verdict: &'static str,
    flagged: bool,
    comment: String,
}

/// What models think of a question, on demand.
#[derive(Debug, Serialize)]
pub(crate) struct Thoughts {
    similarity: Option<f64>,
    /// By the model as it is, the untrained one and BM25.
    probabilities: Option<[f64; 3]>,
    /// What the tool took it for, in an audit.
    role: Option<String>,
}

impl Room {
    pub(crate) fn open(store: Store) -> Result<Self, Error> {
        let questions = asked_last(store.questions()?);
        let run = store
            .query("SELECT name FROM run")?
            .first()
            .and_then(|row| row.get("name")?.as_str().map(str::to_owned))
            .unwrap_or_default();
        Ok(Self {
            store,
            run,
            questions,
            present: BTreeMap::new(),
        })
    }

    /// The name of the run.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// How many questions there are.
    pub(crate) fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Who has said something so far.
    pub(crate) fn people(&self) -> Result<Vec<String>, Failure> {
        let answers = self.store.answers()?;
        let desk = Desk::new(&self.questions, &answers);
        Ok(desk.people().map(str::to_owned).collect())
    }

    /// Whether nobody has anything left to do: as the store has it, and nobody here has a question open that others passed by.
    pub(crate) fn done(&self) -> Result<bool, orchestrator_store::Error> {
        let answers = self.store.answers()?;
        Ok(self.done_at(&Desk::new(&self.questions, &answers)))
    }

    fn done_at(&self, desk: &Desk<'_>) -> bool {
        desk.done()
            && self
                .present
                .iter()
                .filter(|(_, (_, heard))| heard.elapsed() < GONE)
                .all(|(name, _)| desk.progress(name).open == 0)
    }

    /// What `name` sees now. They are asked what they were asked before, if that is still open, else the next question.
    pub(crate) fn view(&mut self, name: &str) -> Result<View, Failure> {
        let answers = self.store.answers()?;
        let name = self.name(name, &answers)?;
        let desk = Desk::new(&self.questions, &answers);
        let mut held: BTreeMap<u64, usize> = BTreeMap::new();
        for (other, (question, heard)) in &self.present {
            if let Some(question) = question
                && *other != name
                && heard.elapsed() < GONE
                && desk
                    .said(*question)
                    .iter()
                    .all(|said| said.annotator != other)
            {
                *held.entry(*question).or_default() += 1;
            }
        }
        let before = self.present.get(&name).and_then(|(question, _)| *question);
        let question = before
            .filter(|&question| desk.open_for(question, &name, 0))
            .or_else(|| desk.next(&name, &held).map(|question| question.id));
        self.present
            .insert(name.clone(), (question, Instant::now()));
        let progress = desk.progress(&name);
        Ok(View {
            progress,
            question: question
                .and_then(|question| desk.question(question))
                .map(shown),
            last: desk.last_of(&name).map(|(question, said)| Last {
                answer: said.answer,
                question: question.id,
                verdict: said.verdict.map_or("skip", Verdict::name),
            }),
            last_settled: desk
                .questions()
                .filter_map(|question| Some((question.id, desk.settled(question.id)?)))
                .filter(|(_, said)| said.annotator == name)
                .max_by_key(|(_, said)| said.answer)
                .map(|(question, said)| Last {
                    answer: said.answer,
                    question,
                    verdict: said.verdict.map_or("skip", Verdict::name),
                }),
            people: desk.people().map(str::to_owned).collect(),
            agreements: desk
                .agreements()
                .into_iter()
                .map(|(first, second, agreement)| Pair {
                    first: first.to_owned(),
                    second: second.to_owned(),
                    agreement,
                })
                .collect(),
            done: self.done_at(&desk),
            name,
        })
    }

    /// Takes an answer: it is in the store when this returns. The same answer given again, by a page that never heard that it
    /// was taken, is taken once.
    pub(crate) fn take(&mut self, given: &Given) -> Result<(), Failure> {
        let answers = self.store.answers()?;
        let name = self.name(&given.name, &answers)?;
        let verdict = Verdict::of(&given.verdict);
        if verdict.is_none() && given.verdict != "skip" || given.comment.chars().count() > COMMENT {
            return Err(Failure::Refused(Refusal::Unknown));
        }
        let desk = Desk::new(&self.questions, &answers);
        let fate = desk
            .fate(given.question)
            .ok_or(Failure::Refused(Refusal::Unknown))?;
        let before = if given.settles {
            desk.settled(given.question)
                .filter(|said| said.annotator == name)
        } else {
            desk.said(given.question)
                .iter()
                .copied()
                .find(|said| said.annotator == name)
        };
        if let Some(said) = before {
            let same = said.verdict == verdict
                && said.flagged == given.flagged
                && said.comment == given.comment;
            return if same {
                Ok(())
            } else {
                Err(Failure::Refused(Refusal::Answered))
            };
        }
        if given.settles && fate != Fate::Disputed {
            return Err(Failure::Refused(Refusal::NotDisputed));
        }
        if !given.settles && !desk.open_for(given.question, &name, 0) {
            return Err(Failure::Refused(Refusal::Answered));
        }
        self.store.answer(&Answer {
            question: given.question,
            annotator: &name,
            verdict: &given.verdict,
            settles: given.settles,
            flagged: given.flagged,
            comment: &given.comment,
        })?;
        Ok(())
    }

    /// Takes an answer back and puts its question again. Asked twice, takes back once.
    pub(crate) fn take_back(&mut self, taken: &TakenBack) -> Result<(), Failure> {
        let answers = self.store.answers()?;
        let name = self.name(&taken.name, &answers)?;
        let row = answers
            .iter()
            .find(|row| row.id == taken.answer && row.annotator == name && row.verdict != "undo")
            .ok_or(Failure::Refused(Refusal::Unknown))?;
        let desk = Desk::new(&self.questions, &answers);
        let settled = desk.settled(row.question);
        let stands = if row.settles {
            settled.is_some_and(|said| said.answer == row.id)
        } else if settled.is_some() {
            return Err(Failure::Refused(Refusal::Answered));
        } else {
            desk.said(row.question)
                .iter()
                .any(|said| said.answer == row.id)
        };
        if stands {
            self.store.answer(&Answer {
                question: row.question,
                annotator: &name,
                verdict: "undo",
                settles: row.settles,
                flagged: false,
                comment: "",
            })?;
        }
        if !row.settles {
            self.present
                .insert(name, (Some(row.question), Instant::now()));
        }
        Ok(())
    }

    /// What two people disagree about.
    pub(crate) fn disputes(&self) -> Result<Vec<Dispute>, Failure> {
        let answers = self.store.answers()?;
        let desk = Desk::new(&self.questions, &answers);
        Ok(desk
            .disputes()
            .map(|(question, said)| Dispute {
                question: shown(question),
                said: said
                    .iter()
                    .map(|said| Opinion {
                        name: said.annotator.to_owned(),
                        verdict: said.verdict.map_or("skip", Verdict::name),
                        flagged: said.flagged,
                        comment: said.comment.to_owned(),
                    })
                    .collect(),
            })
            .collect())
    }

    /// What models think of a question.
    pub(crate) fn thoughts(&self, question: u64) -> Option<Thoughts> {
        let question = self.questions.iter().find(|one| one.id == question)?;
        Some(Thoughts {
            similarity: question.similarity,
            probabilities: question.probabilities,
            role: question.role.clone(),
        })
    }

    /// A name as it is kept: spelled as it was the first time, so that `ann` and `Ann` are one person.
    fn name(&self, given: &str, answers: &[AnswerRow]) -> Result<String, Failure> {
        let name = checked_name(given).map_err(|_| Failure::Refused(Refusal::Unknown))?;
        let small = name.to_lowercase();
        let known: BTreeSet<&str> = answers
            .iter()
            .map(|row| row.annotator.as_str())
            .chain(self.present.keys().map(String::as_str))
            .collect();
        Ok(known
            .into_iter()
            .find(|one| one.to_lowercase() == small)
            .map_or(name, str::to_owned))
    }
}

/// A name without spaces around it, if it can be one: `oracle` and `llm` are no people, a comma stands between names.
pub(crate) fn checked_name(given: &str) -> Result<String, Error> {
    let name = given.trim();
    let why = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > NAME {
        "it is too long"
    } else if name.chars().any(|one| one.is_control() || one == ',') {
        "it has a comma or a control character"
    } else if ["oracle", "llm"].contains(&name.to_lowercase().as_str()) {
        "an annotator that is no person is called so"
    } else {
        return Ok(name.to_owned());
    };
    Err(Error::Name {
        name: given.to_owned(),
        why,
    })
}

fn shown(question: &QuestionView) -> Shown {
    let document = question.document_text.as_deref();
    let title = question.title.as_deref().filter(|title| !title.is_empty());
    // The text of a document begins with its title, which stands above it.
    let body = |text: &str| -> String {
        title
            .and_then(|title| text.strip_prefix(title))
            .map_or(text, str::trim_start)
            .to_owned()
    };
    let whole = document.is_some_and(|document| document.trim() == question.text.trim());
    let around = document.and_then(|document| {
        let body = body(document);
        cut(&body, &question.text).or_else(|| cut(document, &question.text))
    });
    Shown {
        id: question.id,
        claim: question.anchor_text.clone(),
        title: title.map(str::to_owned),
        document_id: question.document_id.clone(),
        text: if whole {
            body(&question.text)
        } else {
            question.text.clone()
        },
        source: document.filter(|_| !whole && around.is_none()).map(body),
        around,
        shared: question.shared,
    }
}
