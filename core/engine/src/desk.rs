//! The desk where questions lie until people have answered them: who has said what, what is open for whom, where two people
//! disagree, what was decided in the end and by whom. A function of the rows of `question` and `answer` and nothing else, so
//! that everybody who opens a store sees the same: the page, files that are read back, the engine that goes on.
//!
//! A question is answered once, by whoever comes first; a shared one by two, neither of whom sees what the other said. A skip
//! hands a question on: it is left without an answer when everybody who takes part has passed it by.

mod agreement;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use orchestrator_data::Label;
use orchestrator_store::{AnswerRow, QuestionView};
use serde::Serialize;

use crate::error::Error;

pub use agreement::{Agreement, cohen_kappa};

/// Whoever answers the questions of a run: what the engine waits for.
pub trait People: Sync {
    /// Returns when every question in the store of the run `folder` is answered, or settled, or left.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if `cancelled` is set before; what was answered is kept. Others if questions cannot be put.
    fn answer(&self, folder: &Path, cancelled: &AtomicBool) -> Result<(), Error>;
}

/// What somebody thinks that a text says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It supports it.
    Support,
    /// It supports a part of it.
    Partial,
    /// It contradicts it.
    Contradict,
    /// It is about something else.
    Unrelated,
}

impl Verdict {
    /// All, in the order of the keys 1 to 4.
    pub const ALL: [Self; 4] = [
        Self::Support,
        Self::Partial,
        Self::Contradict,
        Self::Unrelated,
    ];

    /// As in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Partial => "partial",
            Self::Contradict => "contradict",
            Self::Unrelated => "unrelated",
        }
    }

    /// The verdict of that name, if it is one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The label of a judgement that says the same. What is unrelated is no judgement.
    #[must_use]
    pub fn label(self) -> Option<Label> {
        match self {
            Self::Support => Some(Label::Support),
            Self::Partial => Some(Label::Partial),
            Self::Contradict => Some(Label::Contradict),
            Self::Unrelated => None,
        }
    }
}

/// What somebody said to a question and has not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// Number of the answer.
    pub answer: u64,
    /// Who.
    pub annotator: &'a str,
    /// What; nothing if it was passed by.
    pub verdict: Option<Verdict>,
    /// Somebody should look at it.
    pub flagged: bool,
    /// In their own words.
    pub comment: &'a str,
}

/// What became of a question so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Somebody is still to answer it.
    Open,
    /// Two people disagree and nobody has settled it.
    Disputed,
    /// It is answered.
    Answered {
        /// What was said in the end.
        verdict: Verdict,
        /// Who said it: all who agree, joined by a comma, or who settled it.
        by: String,
        /// Two disagreed and somebody decided.
        settled: bool,
    },
    /// Everybody passed it by, or whoever was to settle it could not tell either.
    Left,
}

/// How far a set of questions is, as one person sees it. Counts of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// In the set.
    pub questions: usize,
    /// With an end: answered, settled or left.
    pub ended: usize,
    /// Answered by this person.
    pub answered: usize,
    /// Passed by, by this person.
    pub skipped: usize,
    /// Open for this person.
    pub open: usize,
    /// That wait for somebody else.
    pub waiting: usize,
    /// That wait for somebody to settle them.
    pub disputed: usize,
}

struct Item<'a> {
    question: &'a QuestionView,
    /// In the order it was said.
    said: Vec<Said<'a>>,
    settled: Option<Said<'a>>,
}

impl Item<'_> {
    fn needs(&self) -> usize {
        if self.question.shared { 2 } else { 1 }
    }

    fn verdicts(&self) -> impl Iterator<Item = (&str, Verdict)> {
        self.said
            .iter()
            .filter_map(|said| said.verdict.map(|verdict| (said.annotator, verdict)))
    }

    /// Whether it is still to be put to `name`, while `held` others look at it.
    fn open_for(&self, name: &str, held: usize) -> bool {
        self.settled.is_none()
            && self.verdicts().count() + held < self.needs()
            && self.said.iter().all(|said| said.annotator != name)
    }

    fn fate(&self, people: &BTreeSet<&str>) -> Fate {
        if let Some(said) = &self.settled {
            return said.verdict.map_or(Fate::Left, |verdict| Fate::Answered {
                verdict,
                by: said.annotator.to_owned(),
                settled: true,
            });
        }
        let asked_all = people.len() >= self.needs()
            && people
                .iter()
                .all(|name| self.said.iter().any(|said| said.annotator == *name));
        if self.verdicts().count() < self.needs() && !asked_all {
            return Fate::Open;
        }
        let Some((_, verdict)) = self.verdicts().next() else {
            return Fate::Left;
        };
        if self.verdicts().any(|(_, other)| other != verdict) {
            return Fate::Disputed;
        }
        let by: Vec<&str> = self.verdicts().map(|(name, _)| name).collect();
        Fate::Answered {
            verdict,
            by: by.join(", "),
            settled: false,
        }
    }
}

/// The questions that were asked last, all in one tick: a round's, or the audit's. Those before had their end before a run
/// went on to ask these, and whoever took part then need not be here now.
#[must_use]
pub fn asked_last(mut questions: Vec<QuestionView>) -> Vec<QuestionView> {
    let last = questions.iter().map(|question| question.tick).max();
    questions.retain(|question| Some(question.tick) == last);
    questions
}

/// Questions with what was said to them.
pub struct Desk<'a> {
    items: BTreeMap<u64, Item<'a>>,
    /// Who has said something to one of them.
    people: BTreeSet<&'a str>,
}

impl<'a> Desk<'a> {
    /// A set of questions and every answer of the store. Answers to other questions are passed over.
    ///
    /// Of a person's answers to one question the last counts. `undo` takes the one before it back, whatever it was; what
    /// stood before that one stands again. Answers that settle are apart: they can be given beside one's own answer.
    #[must_use]
    pub fn new(
        questions: impl IntoIterator<Item = &'a QuestionView>,
        answers: &'a [AnswerRow],
    ) -> Self {
        let mut items: BTreeMap<u64, Item<'a>> = questions
            .into_iter()
            .map(|question| {
                let item = Item {
                    question,
                    said: Vec::new(),
                    settled: None,
                };
                (question.id, item)
            })
            .collect();
        let mut stacks: BTreeMap<(u64, bool, &str), Vec<Said<'a>>> = BTreeMap::new();
        for row in answers {
            let stack = stacks
                .entry((row.question, row.settles, &row.annotator))
                .or_default();
            if row.verdict == "undo" {
                stack.pop();
            } else {
                stack.push(Said {
                    answer: row.id,
                    annotator: &row.annotator,
                    verdict: Verdict::of(&row.verdict),
                    flagged: row.flagged,
                    comment: &row.comment,
                });
            }
        }
        let mut people = BTreeSet::new();
        for ((question, settles, _), stack) in stacks {
            let (Some(item), Some(said)) = (items.get_mut(&question), stack.last()) else {
                continue;
            };
            if !settles {
                item.said.push(*said);
                people.insert(said.annotator);
            } else if item.settled.is_none_or(|other| other.answer < said.answer) {
                item.settled = Some(*said);
            }
        }
        for item in items.values_mut() {
            item.said.sort_by_key(|said| said.answer);
        }
        Self { items, people }
    }

    /// Who has said something that stands.
    pub fn people(&self) -> impl Iterator<Item = &'a str> {
        self.people.iter().copied()
    }

    /// The questions, in their order.
    pub fn questions(&self) -> impl Iterator<Item = &'a QuestionView> {
        self.items.values().map(|item| item.question)
    }

    /// The question of that number, if it is in the set.
    #[must_use]
    pub fn question(&self, question: u64) -> Option<&'a QuestionView> {
        self.items.get(&question).map(|item| item.question)
    }

    /// What stands of what was said to a question, in the order it was said; without what settles.
    #[must_use]
    pub fn said(&self, question: u64) -> &[Said<'a>] {
        self.items
            .get(&question)
            .map_or(&[], |item| item.said.as_slice())
    }

    /// What settled a question, if somebody did.
    #[must_use]
    pub fn settled(&self, question: u64) -> Option<Said<'a>> {
        self.items.get(&question)?.settled
    }

    /// Whether a question is still to be put to `name`, while `held` others are looking at it.
    #[must_use]
    pub fn open_for(&self, question: u64, name: &str, held: usize) -> bool {
        self.items
            .get(&question)
            .is_some_and(|item| item.open_for(name, held))
    }

    /// The first question that is to be put to `name`. `held`: how many others are looking at a question now.
    #[must_use]
    pub fn next(&self, name: &str, held: &BTreeMap<u64, usize>) -> Option<&'a QuestionView> {
        self.items
            .values()
            .find(|item| item.open_for(name, held.get(&item.question.id).copied().unwrap_or(0)))
            .map(|item| item.question)
    }

    /// What `name` said last and has not taken back, with its question: what an undo would take back. What is settled stays.
    #[must_use]
    pub fn last_of(&self, name: &str) -> Option<(&'a QuestionView, Said<'a>)> {
        self.items
            .values()
            .filter(|item| item.settled.is_none())
            .flat_map(|item| item.said.iter().map(|said| (item.question, *said)))
            .filter(|(_, said)| said.annotator == name)
            .max_by_key(|(_, said)| said.answer)
    }

    /// The questions two people disagree about, with what each said, that nobody has settled.
    pub fn disputes(&self) -> impl Iterator<Item = (&'a QuestionView, &[Said<'a>])> {
        self.items
            .values()
            .filter(|item| item.fate(&self.people) == Fate::Disputed)
            .map(|item| (item.question, item.said.as_slice()))
    }

    /// What became of a question; nothing if it is not in the set.
    #[must_use]
    pub fn fate(&self, question: u64) -> Option<Fate> {
        self.items
            .get(&question)
            .map(|item| item.fate(&self.people))
    }

    /// What became of each question, in their order.
    pub fn fates(&self) -> impl Iterator<Item = (&'a QuestionView, Fate)> {
        self.items
            .values()
            .map(|item| (item.question, item.fate(&self.people)))
    }

    /// Whether nobody is to answer or settle anything any more.
    #[must_use]
    pub fn done(&self) -> bool {
        self.fates()
            .all(|(_, fate)| !matches!(fate, Fate::Open | Fate::Disputed))
    }

    /// How far the set is, as `name` sees it.
    #[must_use]
    pub fn progress(&self, name: &str) -> Progress {
        let mut progress = Progress {
            questions: self.items.len(),
            ended: 0,
            answered: 0,
            skipped: 0,
            open: 0,
            waiting: 0,
            disputed: 0,
        };
        for item in self.items.values() {
            let fate = item.fate(&self.people);
            let open = item.open_for(name, 0);
            progress.open += usize::from(open);
            match fate {
                Fate::Open => progress.waiting += usize::from(!open),
                Fate::Disputed => progress.disputed += 1,
                Fate::Answered { .. } | Fate::Left => progress.ended += 1,
            }
            match item.said.iter().find(|said| said.annotator == name) {
                Some(said) if said.verdict.is_some() => progress.answered += 1,
                Some(_) => progress.skipped += 1,
                None => {}
            }
        }
        progress
    }

    /// How far each two people agree on the shared questions that both answered: names in their order, pairs without a
    /// question in common left out. All four verdicts count as different from each other.
    #[must_use]
    pub fn agreements(&self) -> Vec<(&'a str, &'a str, Agreement)> {
        let mut pairs: BTreeMap<(&'a str, &'a str), Vec<(Verdict, Verdict)>> = BTreeMap::new();
        for item in self.items.values().filter(|item| item.question.shared) {
            for one in &item.said {
                for other in item
                    .said
                    .iter()
                    .filter(|other| one.annotator < other.annotator)
                {
                    if let (Some(first), Some(second)) = (one.verdict, other.verdict) {
                        pairs
                            .entry((one.annotator, other.annotator))
                            .or_default()
                            .push((first, second));
                    }
                }
            }
        }
        pairs
            .into_iter()
            .map(|((one, other), pairs)| (one, other, cohen_kappa(&pairs)))
            .collect()
    }

    /// How far `name` agrees with labels that are given, such as the role that the tool gave a sample: `given` of a question
    /// (nothing = it has none, and does not count) beside `heard` of what `name` said to it.
    #[must_use]
    pub fn agreement_with<T: Ord>(
        &self,
        name: &str,
        given: impl Fn(&QuestionView) -> Option<T>,
        heard: impl Fn(Verdict) -> T,
    ) -> Agreement {
        let pairs: Vec<(T, T)> = self
            .items
            .values()
            .filter_map(|item| {
                let said = item.said.iter().find(|said| said.annotator == name)?;
                Some((heard(said.verdict?), given(item.question)?))
            })
            .collect();
        cohen_kappa(&pairs)
    }

    /// As [`Desk::agreement_with`], of what was said in the end, whoever said it.
    #[must_use]
    pub fn agreement_in_the_end<T: Ord>(
        &self,
        given: impl Fn(&QuestionView) -> Option<T>,
        heard: impl Fn(Verdict) -> T,
    ) -> Agreement {
        let pairs: Vec<(T, T)> = self
            .fates()
            .filter_map(|(question, fate)| match fate {
                Fate::Answered { verdict, .. } => Some((heard(verdict), given(question)?)),
                _ => None,
            })
            .collect();
        cohen_kappa(&pairs)
    }
}
