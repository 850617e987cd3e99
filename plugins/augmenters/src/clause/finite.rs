//! Whether a word is the finite one of its clause, by its forms and its neighbours.

use super::{MEASURED, Reader};
use crate::english::{
    ADVERB, BASE, BE, CONJUNCTION, DETERMINER, DO, HAVE, MODAL, PARTICIPLE, PAST, PREPOSITION,
    PRONOUN, RELATIVE, THIRD, Verb, is_plural, listed,
};
use crate::words::Stop;

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sure {
    No,
    Perhaps,
    Yes,
}

/// A verb that may be finite, and what stands around it.
struct Verbal {
    place: usize,
    verb: &'static Verb,
    /// The beginning of the clause.
    start: usize,
    /// The word before it that is no adverb.
    before: usize,
    /// The word behind it that is no adverb.
    behind: usize,
    /// Nothing follows without a pause.
    last: bool,
}

impl Reader<'_, '_> {
    /// Of the word at `place`, in the clause that begins at `start`.
    pub(super) fn sure(&self, place: usize, start: usize) -> Sure {
        let of = self.kinds(place);
        let prior = |words: &[&str]| place > start && words.contains(&self.words.plain(place - 1));
        if of.any(MODAL) {
            return Sure::Yes;
        }
        if of.any(BE) {
            // "higher than are"
            let compares = place > start && self.is(place - 1, PREPOSITION);
            return if compares { Sure::No } else { Sure::Yes };
        }
        if of.any(HAVE | DO) {
            let other = prior(&["than", "as", "to", "not"]);
            return if other { Sure::No } else { Sure::Yes };
        }
        let before = self.before(place).filter(|&before| before >= start);
        let (Some(verb), Some(before)) = (of.verb(), before) else {
            return Sure::No;
        };
        let verbal = Verbal {
            place,
            verb,
            start,
            before,
            behind: self.behind(place + 1),
            last: place + 1 >= self.end() || self.words.at(place).stop != Stop::None,
        };
        if self.is(before, RELATIVE) && of.any(BASE | THIRD | PAST) {
            return Sure::Yes;
        }
        if self.is_noun(&verbal) {
            return Sure::No;
        }
        if of.any(THIRD) {
            self.third(&verbal)
        } else if of.any(PAST) {
            self.past(&verbal)
        } else if of.any(BASE) {
            self.base(&verbal)
        } else {
            Sure::No
        }
    }

    /// Whether its neighbours make it a noun, a participle or an infinitive.
    fn is_noun(&self, verbal: &Verbal) -> bool {
        let &Verbal {
            place,
            verb,
            start,
            before,
            behind,
            last,
        } = verbal;
        let of = self.kinds(place);
        let prior = self.words.plain(before);
        // "therapeutics receiving accelerated approval"
        let object = prior.ends_with("ing")
            && of.any(PAST)
            && before > start
            && is_plural(self.words.raw(before - 1));
        let pronoun = matches!(
            prior,
            "some" | "most" | "all" | "both" | "many" | "few" | "one" | "off" | "each"
        );
        let led = self.is(before, DETERMINER | PREPOSITION | MODAL | BE | HAVE | DO) && !pronoun;
        let joined = self.is(before, CONJUNCTION) && !of.any(THIRD);
        if object || led || joined || prior == "to" {
            return true;
        }
        // Two finite words do not stand side by side: the first is a noun.
        let followed = !last
            && behind < self.end()
            && (self.surely_finite(behind)
                || verb.noun
                    && self.is(behind, PAST)
                    && !listed(MEASURED, self.words.plain(behind)));
        followed || verb.noun && (looks_adjective(prior) || self.is_count(before, start))
    }

    fn surely_finite(&self, place: usize) -> bool {
        let of = self.kinds(place);
        let only = of.any(BASE | THIRD) && !of.any(PARTICIPLE | ADVERB | PREPOSITION | DETERMINER);
        of.any(BE | MODAL | HAVE | DO)
            || only
                && of
                    .verb()
                    .is_some_and(|verb| !verb.noun && (!verb.adjective || of.any(THIRD)))
    }

    /// "480 fragments", not "PGE 2 causes".
    fn is_count(&self, place: usize, start: usize) -> bool {
        self.words
            .raw(place)
            .starts_with(|letter: char| letter.is_ascii_digit())
            && !(place > start && self.words.plain(place - 1).is_empty())
    }

    fn third(&self, verbal: &Verbal) -> Sure {
        let &Verbal {
            place,
            verb,
            before,
            behind,
            last,
            ..
        } = verbal;
        let of_noun = verb.noun && self.words.plain(place + 1) == "of";
        if self.is(before, CONJUNCTION) || of_noun {
            return Sure::No;
        }
        let subject = self.words.raw(before);
        // "markers changes" is not said.
        let plural = is_plural(subject) && !subject.ends_with("ics");
        let alone = last
            || self.is(behind, CONJUNCTION)
            || self.is(behind, PREPOSITION) && !verb.prepositional;
        if verb.noun && (alone || plural) {
            Sure::Perhaps
        } else {
            Sure::Yes
        }
    }

    fn base(&self, verbal: &Verbal) -> Sure {
        let &Verbal {
            place,
            verb,
            start,
            before,
            behind,
            last,
        } = verbal;
        let prior = self.words.plain(before);
        // The head of the subject: before its first preposition or participle.
        let head = (start + 1..before).find(|&one| {
            self.is(one, PREPOSITION | RELATIVE | PARTICIPLE)
                || self.words.plain(one).ends_with("ing")
        });
        let plural = is_plural(self.words.raw(before))
            || head.is_some_and(|one| is_plural(self.words.raw(one - 1)))
            || self.is(before, PRONOUN)
            || matches!(prior, "most" | "all" | "both" | "many" | "few" | "some")
            || (start..before).any(|one| self.words.plain(one) == "and");
        let object = !last && !self.is(behind, PREPOSITION | CONJUNCTION);
        let governs = verb.prepositional && !last;
        let goes_on =
            governs && self.is(behind, PREPOSITION) && self.words.plain(place + 1) != "of";
        match (plural, verb.noun || verb.adjective) {
            (true, false) => Sure::Yes,
            (true, true) if object || goes_on => Sure::Yes,
            (false, false) if object || governs => Sure::Perhaps,
            _ => Sure::No,
        }
    }

    fn past(&self, verbal: &Verbal) -> Sure {
        let &Verbal {
            place,
            verb,
            start,
            before,
            behind,
            last,
        } = verbal;
        if !self.is(place, PARTICIPLE) {
            return Sure::Yes;
        }
        // "raised reported distraction", "22 culled barrens"
        let participle =
            self.is(before, PAST) && !self.is(before, PREPOSITION) || self.is_count(before, start);
        let alone = last || self.is(behind, PREPOSITION);
        if participle || alone && !verb.prepositional {
            Sure::No
        } else {
            Sure::Perhaps
        }
    }
}

/// Nouns with the end of an adjective.
const NOUNS: &str = "animal approval arrival arsenic clinic epidemic fabric hospital individual interval mammal material metal \
    pandemic potential removal renewal signal survival topic traffic trial";

/// Whether a word looks like an adjective by its end.
fn looks_adjective(word: &str) -> bool {
    let ends = |list: &str| list.split(' ').any(|end| word.ends_with(end));
    let compound = word.contains('-') && ends("ant ent ed able ible");
    (ends("al ic ive ous ful") || compound) && !listed(NOUNS, word)
}
