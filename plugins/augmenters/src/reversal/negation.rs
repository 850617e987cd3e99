//! The rules that take a negation out or put one in.

use super::{Sentence, contracted};
use crate::clause::Finite;
use crate::edit::{Edit, Rule};
use crate::english::{
    self, ADVERB, BASE, BE, CONJUNCTION, DETERMINER, Form, HAVE, MODAL, PAST, PREPOSITION,
    RELATIVE, SUBORDINATE, THIRD, Verb, article, is_plural, listed,
};
use crate::words::Stop;

/// Nouns that take an article where there is one of them: "no effect", "an effect".
const COUNTED: &str = "advantage affinity association benefit cause change connection consequence correlation decline \
    decrease dependence deterioration difference disadvantage drop effect excess fall gain gradient impact improvement \
    increase indication influence interaction link loss mechanism overlap preference reduction relation relationship \
    requirement response rise risk role sign tendency threshold trend";

/// Words that make "not" say something else than the opposite: "some do not" does not contradict "some do".
const QUANTIFIED: &str = "all certain each every few many neither no none not several some";

impl Sentence<'_, '_> {
    /// A negation goes.
    pub(super) fn negation_out(&self) -> Option<Edit> {
        match self.negated_auxiliary() {
            Some(place) => self.without_not(place),
            None => self
                .no_phrase()
                .or_else(|| self.failing())
                .or_else(|| self.contrast())
                .or_else(|| self.neither()),
        }
    }

    fn out(&self, first: usize, last: usize, to: &str) -> Edit {
        self.replace(Rule::NegationOut, first, last, to)
    }

    /// The word at `place` and the space before it go, or become `to`.
    fn out_with_space(&self, place: usize, to: &str) -> Edit {
        Edit {
            rule: Rule::NegationOut,
            from: self.words.at(place - 1).end..self.words.at(place).end,
            to: to.to_owned(),
        }
    }

    /// The "not", "cannot" or "doesn't" of the predicate.
    fn negated_auxiliary(&self) -> Option<usize> {
        let p = &self.predicate;
        (p.at..=p.verb.max(p.at + 2).min(self.all.end - 1)).find(|&place| {
            let word = self.plain(place);
            let not = word == "cannot"
                || word == "not" && place > p.at && self.denies(place)
                || contracted(word).is_some();
            not && !self.corrects(place)
        })
    }

    /// Whether what "not" at `place` denies is put right after it: "not X but Y".
    fn corrects(&self, place: usize) -> bool {
        let behind = place + 1..self.all.end;
        let but = |one: usize| self.plain(one) == "but";
        behind
            .clone()
            .any(|one| but(one) && self.plain(one + 1) != "not")
            && !behind
                .clone()
                .any(|one| self.words.at(one).stop == Stop::Pause && !but(one + 1))
    }

    fn without_not(&self, place: usize) -> Option<Edit> {
        let p = &self.predicate;
        let word = self.plain(place);
        let aux = match word {
            "cannot" => "can",
            _ => contracted(word).unwrap_or(self.plain(p.at)),
        };
        if matches!(aux, "does" | "do" | "did") {
            self.without_do(if word == "not" { p.at } else { place }, place, aux)
        } else if word == "not" {
            Some(self.out_with_space(place, ""))
        } else {
            Some(self.out(place, place, aux))
        }
    }

    /// "does not affect" to "affects".
    fn without_do(&self, aux: usize, not: usize, word: &str) -> Option<Edit> {
        let verb = (not + 1..self.all.end)
            .find(|&place| !self.is(place, ADVERB) || self.is(place, BASE))?;
        let base = self.plain(verb);
        if base.is_empty() || verb > not + 1 && !self.words.joined(verb - 1) {
            return None;
        }
        // A second verb would have to be inflected too: "does repress or delay" keeps both as they are.
        let second = (verb + 1..self.predicate.clause.end).any(|place| {
            let next = self.skip_adverbs(place + 1);
            let verb = self.reader.kinds(next).verb();
            // "affects growth or delay" has a noun there.
            let acts =
                !self.plain(next + 1).is_empty() && !self.is(next + 1, PREPOSITION | CONJUNCTION);
            self.is(place, CONJUNCTION)
                && self.is(next, BASE)
                && verb.is_some_and(|verb| !verb.noun || acts)
        });
        if second && word != "do" {
            return Some(if aux == not {
                self.out(aux, aux, word)
            } else {
                self.out_with_space(not, "")
            });
        }
        let form = match word {
            "does" => Form::Third,
            "did" => Form::Past,
            _ => Form::Base,
        };
        let mut to = self.adverbs(not + 1, verb);
        to.push_str(english::verb(base).form(form));
        let mut last = verb;
        if self.plain(verb + 1) == "any" {
            last += 1;
            to.push_str(" some");
        }
        Some(self.out(aux, last, &to))
    }

    /// The words from `first` to before `end`, each with a space behind it.
    fn adverbs(&self, first: usize, end: usize) -> String {
        (first..end).fold(String::new(), |text, place| {
            text + self.words.raw(place) + " "
        })
    }

    /// "is no longer", "has no effect", "no effect was seen", "not all"
    fn no_phrase(&self) -> Option<Edit> {
        let p = &self.predicate;
        let mut places =
            std::iter::once(p.clause.start).chain(p.at + 1..p.complement.end.min(self.all.end));
        places.find_map(|place| match (self.plain(place), self.plain(place + 1)) {
            ("no", _) => self.without_no(place),
            ("not", "all" | "every" | "always") => {
                Some(self.out(place, place + 1, self.words.raw(place + 1)))
            }
            _ => None,
        })
    }

    /// "no effect" to "an effect", "no longer" to "still", "no patients" to "some patients".
    fn without_no(&self, place: usize) -> Option<Edit> {
        if !self.words.joined(place) {
            return None;
        }
        match self.plain(place + 1) {
            "longer" => return Some(self.out(place, place + 1, "still")),
            "more" | "less" | "fewer" | "other" | "one" | "matter" | "such" | "doubt" => {
                return None;
            }
            next @ ("better" | "worse" | "higher" | "lower") => {
                return Some(self.out(place, place + 1, next));
            }
            _ => {}
        }
        // Its noun: the last word before whatever ends the phrase.
        let ends =
            PREPOSITION | CONJUNCTION | SUBORDINATE | RELATIVE | BE | HAVE | MODAL | DETERMINER;
        let mut noun = place + 1;
        while noun + 1 < self.all.end
            && noun < place + 5
            && self.words.at(noun).stop == Stop::None
            && !self.words.at(noun + 1).aside
            && !listed(COUNTED, self.plain(noun))
            && !self.is(noun + 1, ends)
        {
            noun += 1;
        }
        Some(if listed(COUNTED, self.plain(noun)) {
            self.out(place, place, article(self.words.raw(place + 1)))
        } else if is_plural(self.words.raw(noun)) && place > self.predicate.at {
            // With the space behind it.
            Edit {
                rule: Rule::NegationOut,
                from: self.words.at(place).start..self.words.at(place + 1).start,
                to: String::new(),
            }
        } else {
            self.out(place, place, "some")
        })
    }

    /// "fails to reduce" to "reduces", "lacks a nucleus" to "has a nucleus"
    fn failing(&self) -> Option<Edit> {
        let at = self.predicate.at;
        let Finite::Verb(form) = self.predicate.finite else {
            return None;
        };
        let verb = self.reader.kinds(at).verb()?;
        match verb.base.as_str() {
            "fail" if self.plain(at + 1) == "to" && self.is(at + 2, BASE) => {
                let verb = english::verb(self.plain(at + 2));
                Some(self.out(at, at + 2, verb.form(form)))
            }
            "lack" => Some(self.out(at, at, english::verb("have").form(form))),
            _ => None,
        }
    }

    /// "in fat, not in muscle" to "in fat and in muscle"
    fn contrast(&self) -> Option<Edit> {
        (self.predicate.verb + 1..self.all.end).find_map(|place| {
            match (self.plain(place - 1), self.plain(place)) {
                ("but", "not") => Some(self.out(place - 1, place, "and also")),
                ("and", "not") => Some(self.out(place - 1, place, "and")),
                (_, "not") if self.contrasts(place) => Some(self.out_with_space(place, " and")),
                ("rather", "than") => Some(self.out(place - 1, place, "as well as")),
                _ => None,
            }
        })
    }

    /// Whether "not" at `place` sets something right: "in fat, not in muscle".
    fn contrasts(&self, place: usize) -> bool {
        self.plain(place) == "not"
            && self.denies(place)
            && (matches!(self.plain(place - 1), "but" | "and")
                || self.words.at(place - 1).stop == Stop::Pause)
    }

    /// "neither A nor B" to "both A and B", where it is no subject.
    fn neither(&self) -> Option<Edit> {
        let first = (self.predicate.verb + 1..self.all.end)
            .find(|&place| self.plain(place) == "neither")?;
        let nor =
            (first + 2..self.all.end.min(first + 12)).find(|&place| self.plain(place) == "nor")?;
        let between = &self.words.text[self.words.at(first).end..self.words.at(nor).start];
        Some(self.out(first, nor, &format!("both{between}and")))
    }

    /// A negation comes.
    pub(super) fn negation_in(&self) -> Option<Edit> {
        let p = &self.predicate;
        let quantified = std::iter::once(p.subject.start)
            .chain(p.at.saturating_sub(4).max(p.clause.start)..p.at)
            .any(|place| listed(QUANTIFIED, self.plain(place)));
        let contrasts = (p.verb + 1..self.all.end).any(|place| self.contrasts(place));
        if quantified || contrasts || self.denied() {
            return None;
        }
        let finite = self.words.raw(p.at);
        let (first, last, to) = match p.finite {
            Finite::Be if p.at > p.clause.start && self.plain(p.at - 1) == "there" => {
                match (self.plain(p.at + 1), self.plain(p.at + 2)) {
                    ("a" | "an", "estimated") | ("the" | "many" | "much" | "several", _) => {
                        (p.at, p.at, format!("{finite} not"))
                    }
                    ("a" | "an" | "some" | "any", _) => (p.at, p.at + 1, format!("{finite} no")),
                    _ => (p.at, p.at, format!("{finite} no")),
                }
            }
            Finite::Modal => match self.plain(p.at) {
                "can" | "may" | "might" => (p.at, p.at, "cannot".to_owned()),
                "must" => (p.at, p.at, "need not".to_owned()),
                _ => (p.at, p.at, format!("{finite} not")),
            },
            Finite::Be | Finite::Have | Finite::Do => (p.at, p.at, format!("{finite} not")),
            Finite::Verb(form) => self.with_do(form)?,
        };
        Some(self.replace(Rule::NegationIn, first, last, &to))
    }

    /// "increases" to "does not increase"
    fn with_do(&self, form: Form) -> Option<(usize, usize, String)> {
        let p = &self.predicate;
        let aux = match form {
            Form::Third => "does not ",
            Form::Past => "did not ",
            _ => "do not ",
        };
        // "also", "still" and the like stay where they are.
        let first = (p.from..p.at)
            .rev()
            .take_while(|&place| self.plain(place).ends_with("ly"))
            .last()
            .unwrap_or(p.at);
        let verb = self.reader.kinds(p.at).verb()?;
        let mut to = format!("{aux}{}{}", self.adverbs(first, p.at), verb.base);
        let mut last = p.at;
        // "generates, expands and maintains"
        while let Some((place, verb)) = self.coordinated(last, form) {
            to.push_str(&self.words.text[self.words.at(last).end..self.words.at(place).start]);
            to.push_str(&verb.base);
            last = place;
        }
        if self.plain(last + 1) == "some" {
            to.push_str(" any");
            last += 1;
        }
        Some((first, last, to))
    }

    /// The verb of the same form that "and", "or" or a comma joins to the verb at `place`.
    fn coordinated(&self, place: usize, form: Form) -> Option<(usize, &'static Verb)> {
        let joined = self.is(place + 1, CONJUNCTION);
        if !joined && (place + 1 >= self.all.end || self.words.at(place).stop != Stop::Pause) {
            return None;
        }
        let next = place + 1 + usize::from(joined);
        let wanted = match form {
            Form::Third => THIRD,
            Form::Past => PAST,
            _ => BASE,
        };
        let verb = self.reader.kinds(next).verb()?;
        self.is(next, wanted).then_some((next, verb))
    }
}
