//! Where the predicate of a sentence stands. There is no parser here: little words, forms of verbs and their neighbours
//! decide, and where they do not, nothing is found and the sentence is left alone.

mod finite;

use std::ops::Range;

use crate::english::{
    ADVERB, BASE, BE, CONJUNCTION, DETERMINER, DO, Form, HAVE, Kinds, MODAL, PARTICIPLE, PAST,
    PREPOSITION, RELATIVE, SUBORDINATE, THIRD, kinds, listed,
};
use crate::words::{Stop, Words};
use finite::Sure;

/// What the finite word of a predicate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finite {
    /// is, are, was, were
    Be,
    /// has, have, had before a participle
    Have,
    /// does, do, did
    Do,
    /// can, may …
    Modal,
    /// A verb, in this form.
    Verb(Form),
}

/// The predicate of a sentence, by the places of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// What kind it is.
    pub finite: Finite,
    /// The finite word.
    pub at: usize,
    /// Its verb: the finite word, or the participle or base form that belongs to it.
    pub verb: usize,
    /// The form of that verb.
    pub form: Form,
    /// The first of the adverbs right before the finite word, or the finite word.
    pub from: usize,
    /// What it says of its subject: from behind the verb to the first preposition that the verb does not govern.
    pub complement: Range<usize>,
    /// The subject, up to its first preposition.
    pub subject: Range<usize>,
    /// The clause it stands in.
    pub clause: Range<usize>,
}

/// Verbs after which "that" begins what is claimed.
const REPORTING: &str = "show find suggest demonstrate indicate reveal predict report conclude hypothesize hypothesise observe believe \
    think know confirm propose prove imply establish say note mean assume";

/// Participles that stand before a noun more often than after "have".
const MEASURED: &str = "increased decreased reduced elevated impaired enhanced improved diminished altered activated limited unwanted \
    known raised lowered";

/// Participles that may have an object of their own: "children taught phonics".
const GIVEN: &str = "taught given fed left called named made born";

/// Prepositions of time: what stands behind them is not what is claimed.
const OF_TIME: &str = "during after before until since throughout when";

/// Reads one sentence.
pub struct Reader<'w, 't> {
    words: &'w Words<'t>,
    kinds: Vec<Kinds>,
    first: usize,
}

impl<'w, 't> Reader<'w, 't> {
    /// Of the words at the places of `sentence`.
    pub fn new(words: &'w Words<'t>, sentence: Range<usize>) -> Self {
        Self {
            words,
            kinds: sentence
                .clone()
                .map(|place| kinds(words.plain(place)))
                .collect(),
            first: sentence.start,
        }
    }

    /// What the word at `place` may be.
    pub fn kinds(&self, place: usize) -> Kinds {
        place
            .checked_sub(self.first)
            .and_then(|place| self.kinds.get(place))
            .copied()
            .unwrap_or_default()
    }

    fn end(&self) -> usize {
        self.first + self.kinds.len()
    }

    fn is(&self, place: usize, bits: u32) -> bool {
        self.kinds(place).any(bits)
    }

    /// The last word before `place` that is neither aside nor an adverb.
    fn before(&self, place: usize) -> Option<usize> {
        (self.first..place)
            .rev()
            .find(|&one| !self.words.at(one).aside && !self.only_adverb(one))
    }

    fn only_adverb(&self, place: usize) -> bool {
        self.is(place, ADVERB) && !self.is(place, DETERMINER | PREPOSITION)
    }

    /// The first word from `place` on that is neither aside nor an adverb, in the same sentence.
    pub fn behind(&self, place: usize) -> usize {
        (place..self.end())
            .find(|&one| !self.words.at(one).aside && !self.only_adverb(one))
            .unwrap_or(self.end())
    }

    /// The predicate, if one is found.
    pub fn predicate(&self) -> Option<Predicate> {
        let mut start = self.main_clause();
        let mut best: Option<(usize, Sure)> = None;
        // The finite word that comes next belongs to a relative clause, or may belong to one of time.
        let (mut relative, mut of_time) = (false, false);
        let mut fallback = None;
        let mut place = start;
        while place < self.end() {
            let here = place;
            place += 1;
            let word = self.words.plain(here);
            if word.is_empty() {
                continue;
            }
            if word == "that" && self.reports(here) {
                // What is reported is the claim.
                (start, best, relative, of_time) = (here + 1, None, false, false);
                continue;
            }
            if self.is(here, RELATIVE) && !self.is_that_of(here) {
                relative = true;
                continue;
            }
            if self.is(here, SUBORDINATE) && here > start {
                if best.is_some() || fallback.is_some() {
                    break;
                }
                match (here..self.end()).find(|&one| self.words.at(one).stop == Stop::Pause) {
                    // "X, when combined with Y, does"
                    Some(pause) if self.words.at(here - 1).stop == Stop::Pause => place = pause + 1,
                    _ => relative = true,
                }
                continue;
            }
            if matches!(word, "after" | "before" | "until" | "since" | "as") && here > start {
                of_time = true;
                continue;
            }
            let sure = self.sure(here, start);
            if sure == Sure::No {
                continue;
            }
            if relative {
                relative = false;
                place = self.group_end(here);
                continue;
            }
            if of_time {
                of_time = false;
                fallback = fallback.or(Some((here, sure)));
                place = self.group_end(here);
                continue;
            }
            match best {
                None => best = Some((here, sure)),
                Some((_, so_far)) if sure > so_far => best = Some((here, sure)),
                // Of two pasts, the one with an object is no participle.
                Some((at, so_far))
                    if sure == so_far
                        && self.has_object(here)
                        && (!self.has_object(at) || listed(GIVEN, self.words.plain(at))) =>
                {
                    best = Some((here, sure));
                }
                Some(_) => {}
            }
            if sure == Sure::Yes {
                break;
            }
        }
        best.or(fallback).map(|(at, _)| self.describe(at, start))
    }

    /// Whether "that" at `place` stands for a noun: "higher than that of".
    fn is_that_of(&self, place: usize) -> bool {
        self.words.plain(place) == "that"
            && (self.words.plain(place + 1) == "of"
                || place > self.first && self.is(place - 1, PREPOSITION))
    }

    /// Where the main clause begins: behind an opening phrase or clause and its comma.
    fn main_clause(&self) -> usize {
        let opening = self.is(self.first, PREPOSITION | SUBORDINATE)
            || matches!(
                self.words.plain(self.first),
                "compared" | "given" | "based" | "together"
            );
        if !opening || self.words.plain(self.first) == "than" {
            return self.first;
        }
        let comma = (self.first..self.end().saturating_sub(2))
            .find(|&place| self.words.at(place).stop == Stop::Pause && !self.words.at(place).aside);
        match comma {
            Some(place)
                if place - self.first < 20
                    && (self.is(self.first, SUBORDINATE)
                        || !(self.first..place)
                            .any(|one| self.is(one, BE | HAVE | MODAL | DO))) =>
            {
                place + 1
            }
            _ => self.first,
        }
    }

    /// Whether "that" at `place` opens what somebody reports.
    fn reports(&self, place: usize) -> bool {
        let Some(before) = place.checked_sub(1).filter(|&before| before >= self.first) else {
            return false;
        };
        matches!(
            self.words.plain(before),
            "evidence" | "likely" | "possible" | "clear" | "proven" | "hypothesis"
        ) || self
            .kinds(before)
            .verb()
            .is_some_and(|verb| listed(REPORTING, &verb.base))
    }

    /// Whether something that a verb may act on follows `place`.
    fn has_object(&self, place: usize) -> bool {
        let next = self.behind(place + 1);
        next < self.end()
            && self.words.at(place).stop == Stop::None
            && !self.is(next, PREPOSITION | CONJUNCTION | SUBORDINATE | RELATIVE)
    }

    /// Past the words that belong to the finite word at `place`.
    fn group_end(&self, place: usize) -> usize {
        let mut end = self.skip(place + 1);
        if self.is(place, BE | HAVE | DO | MODAL) {
            while matches!(self.words.plain(end), "be" | "been" | "being" | "have") {
                end = self.skip(end + 1);
            }
            if self.is(end, PARTICIPLE | BASE) && !self.is(end, HAVE | DO) {
                end += 1;
            }
        }
        end
    }

    /// The predicate whose finite word is at `at`, of the clause that begins at `start`.
    fn describe(&self, at: usize, start: usize) -> Predicate {
        let of = self.kinds(at);
        let mut next = self.skip(at + 1);
        if self.words.plain(next) == "long" && self.words.plain(next + 1) == "been" {
            next += 1;
        }
        let finite = if of.any(BE) {
            Finite::Be
        } else if of.any(MODAL) {
            Finite::Modal
        } else if of.any(DO) && self.is(next, BASE) {
            Finite::Do
        } else if of.any(HAVE) && self.is_perfect(next) {
            Finite::Have
        } else if of.any(THIRD) {
            Finite::Verb(Form::Third)
        } else if of.any(PAST) {
            Finite::Verb(Form::Past)
        } else {
            Finite::Verb(Form::Base)
        };
        let (mut verb, mut form, mut from) = (at, Form::Participle, at);
        if let Finite::Verb(own) = finite {
            form = own;
            while from > start
                && self.only_adverb(from - 1)
                && self.words.at(from - 1).stop == Stop::None
            {
                from -= 1;
            }
        } else {
            if matches!(finite, Finite::Modal | Finite::Do) {
                form = Form::Base;
            }
            while matches!(self.words.plain(next), "be" | "been" | "being" | "have") {
                (verb, form) = (next, Form::Participle);
                next = self.skip(next + 1);
            }
            let wanted = if form == Form::Base { BASE } else { PARTICIPLE };
            let ing = self.words.plain(next).ends_with("ing");
            if (ing || self.is(next, wanted)) && !(finite == Finite::Be && self.modifies(next)) {
                verb = next;
            }
            if self.words.plain(verb).ends_with("ing") {
                form = Form::Ing;
            }
        }
        let ends = PREPOSITION | RELATIVE | SUBORDINATE;
        let subject = (start..from)
            .find(|&place| self.is(place, ends) || self.words.at(place).stop != Stop::None)
            .map_or(from, |place| place + usize::from(!self.is(place, ends)));
        let clause = (at..self.end()).find(|&place| self.is(place, SUBORDINATE | RELATIVE));
        Predicate {
            finite,
            at,
            verb,
            form,
            from,
            complement: self.complement(verb + 1),
            subject: start..subject,
            clause: start..clause.unwrap_or(self.end()),
        }
    }

    /// Past adverbs and "not".
    fn skip(&self, mut place: usize) -> usize {
        while place < self.end() && (self.only_adverb(place) || self.words.plain(place) == "not") {
            place += 1;
        }
        place
    }

    /// Whether "has" before `place` makes a perfect ("has been shown") and no possession ("have increased risk").
    fn is_perfect(&self, place: usize) -> bool {
        if self.words.plain(place) == "been" {
            return true;
        }
        self.is(place, PARTICIPLE) && !self.modifies(place)
    }

    /// Whether the participle at `place` belongs to a noun behind it.
    fn modifies(&self, place: usize) -> bool {
        let next = place + 1;
        let word = self.words.plain(place);
        listed(MEASURED, word)
            && next < self.end()
            && self.words.at(place).stop == Stop::None
            && !self.is(
                next,
                PREPOSITION | DETERMINER | CONJUNCTION | SUBORDINATE | ADVERB,
            )
    }

    /// From `start` to the first preposition that the verb before it does not govern, or the next pause.
    fn complement(&self, start: usize) -> Range<usize> {
        let paused = |place: usize| {
            let before = self.words.at(place - 1);
            let aside = place > start && (before.aside || self.words.at(place).aside);
            before.stop != Stop::None && !aside
        };
        let first = self.behind(start);
        let end = (start..self.end()).find(|&place| {
            let governed = place <= first && !listed(OF_TIME, self.words.plain(place));
            paused(place)
                || self.is(place, PREPOSITION) && !governed
                || self.is(place, SUBORDINATE | RELATIVE | CONJUNCTION)
        });
        start..end.unwrap_or(self.end()).max(start)
    }
}
