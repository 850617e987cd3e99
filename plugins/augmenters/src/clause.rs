//! Where the predicate of a sentence stands. There is no parser here: little words, forms of verbs and their neighbours
//! decide, and where they do not, nothing is found and the sentence is left alone.

use std::ops::Range;

use crate::english::{
    ADVERB, BASE, BE, CONJUNCTION, DETERMINER, DO, Form, HAVE, Kinds, MODAL, PARTICIPLE, PAST,
    PREPOSITION, PRONOUN, RELATIVE, SUBORDINATE, THIRD, is_plural, kinds,
};
use crate::words::{Stop, Words};

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

/// How sure it is that a word is the finite one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sure {
    No,
    Perhaps,
    Yes,
}

/// Verbs after which "that" begins what is claimed.
const REPORTING: [&str; 24] = [
    "show",
    "find",
    "suggest",
    "demonstrate",
    "indicate",
    "reveal",
    "predict",
    "report",
    "conclude",
    "hypothesize",
    "hypothesise",
    "observe",
    "believe",
    "think",
    "know",
    "confirm",
    "propose",
    "prove",
    "imply",
    "establish",
    "say",
    "note",
    "mean",
    "assume",
];

/// Participles that stand before a noun more often than after "have".
const MEASURED: [&str; 15] = [
    "increased",
    "decreased",
    "reduced",
    "elevated",
    "impaired",
    "enhanced",
    "improved",
    "diminished",
    "altered",
    "activated",
    "limited",
    "unwanted",
    "known",
    "raised",
    "lowered",
];

/// Participles that may have an object of their own: "children taught phonics".
const GIVEN: [&str; 8] = [
    "taught", "given", "fed", "left", "called", "named", "made", "born",
];

/// Prepositions of time: what stands behind them is not what is claimed.
const OF_TIME: [&str; 7] = [
    "during",
    "after",
    "before",
    "until",
    "since",
    "throughout",
    "when",
];

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
                        && (!self.has_object(at) || GIVEN.contains(&self.words.plain(at))) =>
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
            .is_some_and(|verb| REPORTING.contains(&verb.base.as_str()))
    }

    /// Whether something that a verb may act on follows `place`.
    fn has_object(&self, place: usize) -> bool {
        let next = self.behind(place + 1);
        next < self.end()
            && self.words.at(place).stop == Stop::None
            && !self.is(next, PREPOSITION | CONJUNCTION | SUBORDINATE | RELATIVE)
    }

    fn sure(&self, place: usize, start: usize) -> Sure {
        let of = self.kinds(place);
        if of.any(BE | MODAL) {
            // "a can" is not met with; "than are" and "as do" compare.
            return if place > start && self.is(place - 1, PREPOSITION) && !self.is(place, MODAL) {
                Sure::No
            } else {
                Sure::Yes
            };
        }
        if of.any(HAVE | DO) {
            let compares = place > start
                && matches!(self.words.plain(place - 1), "than" | "as" | "to" | "not");
            return if compares { Sure::No } else { Sure::Yes };
        }
        let (Some(verb), Some(before)) = (
            of.verb(),
            self.before(place).filter(|&before| before >= start),
        ) else {
            return Sure::No;
        };
        let next = place + 1;
        let last = next >= self.end() || self.words.at(place).stop != Stop::None;
        let follows = self.behind(next);
        let prior = self.words.plain(before);
        if self.is(before, RELATIVE) && of.any(BASE | THIRD | PAST) {
            return Sure::Yes;
        }
        // "therapeutics receiving accelerated approval"
        if prior.ends_with("ing")
            && of.any(PAST)
            && before > start
            && is_plural(self.words.raw(before - 1))
        {
            return Sure::No;
        }
        if self.is(before, DETERMINER | PREPOSITION | MODAL | BE | HAVE | DO)
            && !matches!(
                prior,
                "some" | "most" | "all" | "both" | "many" | "few" | "one" | "off" | "each"
            )
            || prior == "to"
            || self.is(before, CONJUNCTION) && !of.any(THIRD)
        {
            return Sure::No;
        }
        // Two finite words do not stand side by side: the first is a noun.
        let sure_verb = |place: usize| {
            self.is(place, BE | MODAL | HAVE | DO)
                || self.is(place, BASE | THIRD)
                    && !self.is(place, PARTICIPLE | ADVERB | PREPOSITION | DETERMINER)
                    && self.kinds(place).verb().is_some_and(|verb| {
                        !verb.noun && (!verb.adjective || self.is(place, THIRD))
                    })
        };
        if !last && follows < self.end() {
            let past = verb.noun
                && self.is(follows, PAST)
                && !MEASURED.contains(&self.words.plain(follows));
            if sure_verb(follows) || past {
                return Sure::No;
            }
        }
        // "480 fragments", not "PGE 2 causes"
        let counted = self
            .words
            .raw(before)
            .starts_with(|letter: char| letter.is_ascii_digit())
            && !(before > start && self.words.plain(before - 1).is_empty());
        if verb.noun && (looks_adjective(prior) || counted) {
            return Sure::No;
        }
        if of.any(THIRD) {
            if self.is(before, CONJUNCTION) || verb.noun && self.words.plain(next) == "of" {
                return Sure::No;
            }
            return if !verb.noun {
                Sure::Yes
            } else if last || self.is(follows, CONJUNCTION) {
                Sure::Perhaps
            } else if self.is(follows, PREPOSITION) && !verb.prepositional {
                Sure::Perhaps
            } else if is_plural(self.words.raw(before)) && !self.words.raw(before).ends_with("ics")
            {
                // "markers changes" is not said.
                Sure::Perhaps
            } else {
                Sure::Yes
            };
        }
        if of.any(BASE) && !of.any(PAST) {
            let head = (start..before)
                .find(|&one| {
                    self.is(one, PREPOSITION | RELATIVE)
                        || one > start && self.is(one, PARTICIPLE)
                        || self.words.plain(one).ends_with("ing")
                })
                .and_then(|one| one.checked_sub(1))
                .filter(|&one| one >= start);
            let plural = is_plural(self.words.raw(before))
                || head.is_some_and(|head| is_plural(self.words.raw(head)))
                || self.is(before, PRONOUN)
                || matches!(prior, "most" | "all" | "both" | "many" | "few" | "some")
                || (start..before).any(|one| self.words.plain(one) == "and");
            let object = !last && !self.is(follows, PREPOSITION | CONJUNCTION);
            return match (plural, verb.noun || verb.adjective) {
                (true, false) => Sure::Yes,
                (true, true)
                    if object
                        || verb.prepositional
                            && !last
                            && self.is(follows, PREPOSITION)
                            && self.words.plain(next) != "of" =>
                {
                    Sure::Yes
                }
                (false, false) if object || verb.prepositional && !last => Sure::Perhaps,
                _ => Sure::No,
            };
        }
        if of.any(PAST) {
            if !of.any(PARTICIPLE) {
                return Sure::Yes;
            }
            // "raised reported distraction", "22 culled barrens"
            if self.is(before, PAST) && !self.is(before, PREPOSITION) || counted {
                return Sure::No;
            }
            let preposition = !last && self.is(self.behind(next), PREPOSITION);
            return if last && !verb.prepositional || preposition && !verb.prepositional {
                Sure::No
            } else {
                Sure::Perhaps
            };
        }
        Sure::No
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

    fn describe(&self, at: usize, start: usize) -> Predicate {
        let of = self.kinds(at);
        let mut verb = at;
        let mut finite = if of.any(BE) {
            Finite::Be
        } else if of.any(MODAL) {
            Finite::Modal
        } else if of.any(DO) {
            Finite::Do
        } else {
            Finite::Verb(if of.any(THIRD) {
                Form::Third
            } else if of.any(PAST) {
                Form::Past
            } else {
                Form::Base
            })
        };
        let mut next = self.skip(at + 1);
        if of.any(HAVE) {
            if self.words.plain(next) == "long" && self.words.plain(next + 1) == "been" {
                next += 1;
            }
            if self.is_perfect(next) {
                finite = Finite::Have;
            }
        }
        let helps = !matches!(finite, Finite::Verb(_));
        if helps {
            while matches!(self.words.plain(next), "be" | "been" | "being")
                || self.words.plain(next) == "have"
            {
                verb = next;
                next = self.skip(next + 1);
            }
            let wanted = if matches!(finite, Finite::Modal | Finite::Do) && verb == at {
                BASE
            } else {
                PARTICIPLE
            };
            let belongs = self.is(next, wanted) || self.words.plain(next).ends_with("ing");
            if belongs && next < self.end() && !(finite == Finite::Be && self.modifies(next)) {
                verb = next;
            }
        }
        let form = match finite {
            Finite::Verb(form) => form,
            _ if self.words.plain(verb).ends_with("ing") => Form::Ing,
            Finite::Modal | Finite::Do
                if (at..verb)
                    .all(|one| !matches!(self.words.plain(one), "be" | "been" | "have")) =>
            {
                Form::Base
            }
            _ => Form::Participle,
        };
        let mut from = at;
        if matches!(finite, Finite::Verb(_)) {
            while from > start
                && self.only_adverb(from - 1)
                && self.words.at(from - 1).stop == Stop::None
            {
                from -= 1;
            }
        }
        let complement = self.complement(verb + 1);
        let subject_end = (start..at)
            .find(|&place| {
                self.is(place, PREPOSITION | RELATIVE | SUBORDINATE)
                    || self.words.at(place).stop != Stop::None
            })
            .map_or(from, |place| {
                if self.is(place, PREPOSITION | RELATIVE | SUBORDINATE) {
                    place
                } else {
                    place + 1
                }
            });
        let clause_end = (at..self.end())
            .find(|&place| self.is(place, SUBORDINATE | RELATIVE))
            .unwrap_or(self.end());
        Predicate {
            finite,
            at,
            verb,
            form,
            from,
            complement,
            subject: start..subject_end.min(from),
            clause: start..clause_end,
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
        MEASURED.contains(&word)
            && next < self.end()
            && self.words.at(place).stop == Stop::None
            && !self.is(
                next,
                PREPOSITION | DETERMINER | CONJUNCTION | SUBORDINATE | ADVERB,
            )
    }

    fn complement(&self, start: usize) -> Range<usize> {
        let mut place = start;
        let mut governed = false;
        let stops = |place: usize| {
            start <= place
                && place > 0
                && place > start
                && self.words.at(place - 1).stop != Stop::None
                && !self.words.at(place - 1).aside
                && !self.words.at(place).aside
        };
        while place < self.end() {
            if start > 0 && place == start && self.words.at(place - 1).stop != Stop::None
                || stops(place)
            {
                break;
            }
            if self.is(place, PREPOSITION) {
                let word = self.words.plain(place);
                if governed || OF_TIME.contains(&word) || place > self.behind(start) {
                    break;
                }
                governed = true;
            } else if self.is(place, SUBORDINATE | RELATIVE | CONJUNCTION) {
                break;
            }
            place += 1;
        }
        start..place
    }
}

/// Whether a word looks like an adjective by its end.
fn looks_adjective(word: &str) -> bool {
    const NOUNS: [&str; 22] = [
        "animal",
        "approval",
        "arrival",
        "arsenic",
        "clinic",
        "epidemic",
        "fabric",
        "hospital",
        "individual",
        "interval",
        "mammal",
        "material",
        "metal",
        "pandemic",
        "potential",
        "removal",
        "renewal",
        "signal",
        "survival",
        "topic",
        "traffic",
        "trial",
    ];
    ["al", "ic", "ive", "ous", "ful"]
        .iter()
        .any(|end| word.ends_with(end))
        && !NOUNS.contains(&word)
}
