//! The rules that turn what is said: its direction, how much, what of, under which condition.

use super::Sentence;
use crate::clause::Finite;
use crate::edit::{Edit, Rule};
use crate::english::{ADVERB, BASE, Form, is_plural, listed};
use crate::opposites::{Part, opposite};

/// What "every" counts without speaking of the subject.
const OF_TIME: &str =
    "one two three day night week month year hour time season spring summer autumn winter other";

/// Verbs that pass an infinitive on: "tends to increase".
const PASSING: &str =
    "tend help manage continue begin act work serve appear seem use know show find report predict";

impl Sentence<'_, '_> {
    /// The direction of the effect turns: by the verb, by another word of the predicate, by a verb of cause.
    pub(super) fn direction(&self, edits: &mut Vec<Edit>) {
        if self.denied() {
            return;
        }
        let p = &self.predicate;
        let replace =
            |place: usize, n: usize, to| self.replace(Rule::Direction, place, place + n - 1, to);
        let verb = opposite(self.words, p.verb, Part::Verbs, Some(p.form))
            .filter(|(n, _)| !self.goes_from(p.verb + n));
        edits.extend(verb.map(|(n, to)| replace(p.verb, n, to)));
        for place in p.from..p.complement.end {
            if (place != p.verb || verb.is_none())
                && let Some((n, to)) = opposite(self.words, place, Part::Words, None)
                && let Some(to) = self.word(place, n, to)
            {
                edits.push(replace(place, n, to));
            }
        }
        if let Some((n, to)) = opposite(self.words, p.verb, Part::Causes, Some(p.form))
            && !self.has_infinitive(p.verb + n)
            && !listed(
                "similar comparable equal equivalent",
                self.plain(p.verb + n),
            )
        {
            edits.push(replace(p.verb, n, to));
        }
        if !listed(PASSING, self.verb()) {
            return;
        }
        for place in p.complement.clone() {
            if self.plain(place) == "to"
                && self.is(place + 1, BASE)
                && let Some((n, to)) =
                    opposite(self.words, place + 1, Part::Verbs, Some(Form::Base))
            {
                edits.push(replace(place + 1, n, to));
            }
        }
    }

    /// "rose from 5 to 9" cannot fall, "promoted as a way" means something else.
    fn goes_from(&self, place: usize) -> bool {
        match self.plain(place) {
            "as" => true,
            "from" if place + 1 < self.all.end => {
                let number = self.words.raw(place + 1);
                let year =
                    number.len() == 4 && (number.starts_with("19") || number.starts_with("20"));
                number.starts_with(|letter: char| letter.is_ascii_digit()) && !year
            }
            _ => false,
        }
    }

    /// "enables cells to grow" has no opposite in "prevents".
    fn has_infinitive(&self, from: usize) -> bool {
        (from..self.all.end)
            .take(8)
            .any(|place| self.plain(place) == "to" && self.is(place + 1, BASE))
    }

    /// The opposite `to` of a word of direction in the predicate, where it means one.
    fn word<'o>(&self, place: usize, n: usize, to: &'o str) -> Option<&'o str> {
        let p = &self.predicate;
        let before = self.plain(place.wrapping_sub(1));
        let next = self.plain(place + n);
        match self.plain(place) {
            // "later become", "can more than cancel"
            word if place < p.verb && !word.ends_with("ly") => None,
            // "survive longer"
            "longer" | "shorter" if place == p.verb + 1 && !self.ascribes() => None,
            "longer" if before == "no" => None,
            "rise" | "fall" if self.verb() == "give" => None,
            // A quantity: another rule's.
            "more" | "less" | "fewer" if next == "than" && self.numeric(place + 1) => None,
            "more" if self.words.joined(place) && is_plural(self.words.raw(place + 1)) => {
                Some("fewer")
            }
            "most" if before != "the" && !is_adjective(next) => None,
            "least" if before == "at" => None,
            _ => Some(to),
        }
    }

    /// Whether a number follows the word at `place`.
    fn numeric(&self, place: usize) -> bool {
        self.words.text[self.words.at(place).end..]
            .trim_start_matches([' ', '$', '~'])
            .starts_with(|letter: char| letter.is_ascii_digit())
            || listed(
                "half two three four five ten twice one",
                self.plain(place + 1),
            )
    }

    /// How many or how often turns.
    pub(super) fn quantifier(&self, edits: &mut Vec<Edit>) {
        let p = &self.predicate;
        let mut found = Vec::new();
        let replace =
            |place: usize, last, to: &str| self.replace(Rule::Quantifier, place, last, to);
        // How often: beside the verb or in the complement.
        for place in p.from..p.complement.end {
            if let Some((n, to)) = opposite(self.words, place, Part::Adverbs, None) {
                found.push((place, replace(place, place + n - 1, to)));
            }
        }
        // How many: of the subject, of the object.
        let subject = self.skip_adverbs(p.subject.start).min(p.at);
        for place in std::iter::once(subject).chain(p.complement.clone()) {
            if place + 1 == p.at && place < p.at {
                continue;
            }
            let of_subject = place == subject && place < p.at;
            if let Some((last, to)) = self.amount(place, of_subject) {
                found.push((place, replace(place, last, to)));
            } else if self.plain(place) == "both"
                && !of_subject
                && let Some(and) =
                    (place + 2..self.all.end.min(place + 10)).find(|&one| self.plain(one) == "and")
            {
                let between = &self.words.text[self.words.at(place).end..self.words.at(and).start];
                found.push((place, replace(place, and, &format!("neither{between}nor"))));
            }
        }
        // More or less than a number, in the subject or behind the verb.
        for place in p.subject.start..self.all.end {
            if let Some((last, to)) = self.bound(place)
                && self.numeric(last)
            {
                found.push((place, replace(place, last, to)));
            }
        }
        // Where something is denied, only the word that denies may turn.
        let denied = self.denied();
        edits.extend(
            found
                .into_iter()
                .filter(|(place, _)| !denied || self.denies(*place) && self.denials() == 1)
                .map(|(_, edit)| edit),
        );
    }

    /// The opposite of an amount, and the last word it takes the place of.
    fn amount(&self, place: usize, subject: bool) -> Option<(usize, &'static str)> {
        let (next, third) = (self.plain(place + 1), self.plain(place + 2));
        let before_noun = place + 1 < self.all.end && self.words.joined(place);
        let to = match (self.plain(place), next) {
            ("all", "of") | ("some", "of") => "none",
            ("none", "of") => "all",
            ("all", "the" | "these" | "those") => "none of",
            ("all", "two" | "three" | "four" | "five" | "six" | "but") => return None,
            ("little", "to" | "effect" | "influence" | "impact") => "much",
            ("every" | "each", next) if next.is_empty() || listed(OF_TIME, next) => return None,
            ("all" | "every", _) if before_noun => "no",
            ("each", _) if before_noun && subject => "no",
            ("most" | "many", "of") if subject && listed("the these those", third) => "few",
            ("most", _) if subject && before_noun && !is_adjective(next) => "few",
            ("many", _) if before_noun && next != "of" => "few",
            ("few", _) if before_noun && self.plain(place.wrapping_sub(1)) != "a" => "many",
            ("some", _) if before_noun => "no",
            _ => return None,
        };
        Some((place, to))
    }

    /// "more than" to "less than": what stands before a number, and the last word it takes the place of.
    fn bound(&self, place: usize) -> Option<(usize, &'static str)> {
        Some(match (self.plain(place), self.plain(place + 1)) {
            ("more" | "greater" | "higher" | "larger", "than") | ("at", "least") => {
                (place + 1, "less than")
            }
            ("less" | "fewer" | "lower" | "smaller", "than") | ("at", "most") | ("up", "to") => {
                (place + 1, "more than")
            }
            ("above" | "exceeding", _) => (place, "below"),
            ("below", _) => (place, "above"),
            ("over", "half") => (place, "under"),
            ("under", "half") => (place, "over"),
            _ => return None,
        })
    }

    /// What is said of the subject becomes its opposite.
    pub(super) fn antonym(&self, edits: &mut Vec<Edit>) {
        if self.denied() {
            return;
        }
        let p = &self.predicate;
        for place in p.from + 1..p.complement.end {
            let Some((n, to)) = opposite(self.words, place, Part::Adjectives, None) else {
                continue;
            };
            let manner = self.is(place, ADVERB);
            if !(self.ascribes() || manner) || place == p.verb && p.finite != Finite::Be {
                continue;
            }
            // "more likely" and "as common as" turn by their own words, "positively related" by its adverb.
            let before = self.plain(place - 1);
            let graded = "more less most least positively negatively partially partly largely";
            let well =
                self.plain(place) == "well" && (before == "as" || self.plain(place + 1) == "as");
            if !listed(graded, before) && !well {
                edits.push(self.replace(Rule::Antonym, place, place + n - 1, to));
            }
        }
    }

    /// What it is said of becomes its opposite.
    pub(super) fn condition(&self, edits: &mut Vec<Edit>) {
        if self.denied() {
            return;
        }
        let p = &self.predicate;
        for place in self.all.clone() {
            if let Some((n, to)) = opposite(self.words, place, Part::Conditions, None)
                && (p.subject.contains(&place) || n > 1)
                && !p.complement.contains(&place)
            {
                edits.push(self.replace(Rule::Condition, place, place + n - 1, to));
            }
        }
    }
}

/// Whether a word looks like an adjective: "most common" compares, "most patients" counts.
fn is_adjective(word: &str) -> bool {
    let ends = "ent ant ive al ous ful able ible ic ed ly mon ary ure";
    ends.split(' ').any(|end| word.ends_with(end)) && !listed("patient animal plant parent", word)
}
