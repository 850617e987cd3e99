//! A sentence turned into its opposite by one edit: the rules of `contradict_rules`.

use std::ops::Range;

use serde_json::{Map, Value};

use orchestrator_plugin::config::Setting;
use orchestrator_plugin::{Error, Result};

use crate::clause::{Finite, Predicate, Reader};
use crate::english::{
    self, ADVERB, BASE, BE, CONJUNCTION, DETERMINER, Form, HAVE, MODAL, PAST, PREPOSITION,
    RELATIVE, SUBORDINATE, THIRD, article, is_plural,
};
use crate::opposites::{Part, opposite};
use crate::words::{Stop, Words};

/// The rules, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A negation goes.
    NegationOut,
    /// The direction of the effect turns.
    Direction,
    /// All becomes none, more than becomes less than.
    Quantifier,
    /// What is said of the subject becomes its opposite.
    Antonym,
    /// A negation comes.
    NegationIn,
    /// What it is said of becomes its opposite.
    Condition,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NegationOut,
        Self::Direction,
        Self::Quantifier,
        Self::Antonym,
        Self::NegationIn,
        Self::Condition,
    ];

    /// As experiments and `detail` write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NegationOut => "negation_out",
            Self::Direction => "direction",
            Self::Quantifier => "quantifier",
            Self::Antonym => "antonym",
            Self::NegationIn => "negation_in",
            Self::Condition => "condition",
        }
    }
}

impl Setting for Rule {
    fn schema() -> Map<String, Value> {
        let names: Vec<Value> = Self::ALL.iter().map(|rule| rule.name().into()).collect();
        Map::from_iter([("enum".to_owned(), Value::Array(names))])
    }

    fn read(value: &Value) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|rule| value == rule.name())
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|rule| rule.name()).collect();
                Error::config("", format!("must be one of {}", names.join(", ")))
            })
    }

    fn write(&self) -> Value {
        self.name().into()
    }
}

/// One change of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The rule that makes it.
    pub rule: Rule,
    /// The bytes replaced.
    pub from: Range<usize>,
    /// What replaces them.
    pub to: String,
}

impl Edit {
    /// The text with the change.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + self.to.len());
        out.push_str(&text[..self.from.start]);
        out.push_str(&self.to);
        out.push_str(&text[self.from.end..]);
        out
    }
}

/// A replacement of the words `first..=last` that keeps a capital and mends the article before it.
pub fn replace(words: &Words<'_>, rule: Rule, first: usize, last: usize, to: &str) -> Edit {
    let (mut start, end) = (words.at(first).start, words.at(last).end);
    let mut to = to.to_owned();
    if words.text[start..].starts_with(|letter: char| letter.is_ascii_uppercase())
        && words.at(first).plain
    {
        capitalise(&mut to);
    }
    if first > 0 && words.joined(first - 1) {
        let before = words.plain(first - 1);
        if matches!(before, "a" | "an") && article(&to) != before {
            let mut mended = article(&to).to_owned();
            if words.raw(first - 1).starts_with('A') {
                capitalise(&mut mended);
            }
            start = words.at(first - 1).start;
            to = format!("{mended} {to}");
        }
    }
    Edit {
        rule,
        from: start..end,
        to,
    }
}

fn capitalise(text: &mut String) {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
}

/// Every edit that turns the sentence into its opposite, by preference.
pub fn reversals(words: &Words<'_>, sentence: &Range<usize>, allowed: &[Rule]) -> Vec<Edit> {
    if sentence.is_empty() || words.asks(sentence.end - 1) {
        return Vec::new();
    }
    let reader = Reader::new(words, sentence.clone());
    let Some(predicate) = reader.predicate() else {
        return Vec::new();
    };
    let sentence = Sentence {
        words,
        reader: &reader,
        all: sentence.clone(),
        predicate,
    };
    let mut edits = Vec::new();
    for rule in Rule::ALL.into_iter().filter(|rule| allowed.contains(rule)) {
        match rule {
            Rule::NegationOut => sentence.negation_out(&mut edits),
            Rule::Direction => sentence.direction(&mut edits),
            Rule::Quantifier => sentence.quantifier(&mut edits),
            Rule::Antonym => sentence.antonym(&mut edits),
            Rule::NegationIn => sentence.negation_in(&mut edits),
            Rule::Condition => sentence.condition(&mut edits),
        }
    }
    edits
}

struct Sentence<'s, 't> {
    words: &'s Words<'t>,
    reader: &'s Reader<'s, 't>,
    all: Range<usize>,
    predicate: Predicate,
}

/// Nouns of one effect that take an article: "no effect", "an effect".
const COUNTED: [&str; 44] = [
    "advantage",
    "affinity",
    "association",
    "benefit",
    "cause",
    "change",
    "connection",
    "consequence",
    "correlation",
    "decline",
    "decrease",
    "dependence",
    "deterioration",
    "difference",
    "disadvantage",
    "drop",
    "effect",
    "excess",
    "fall",
    "gain",
    "gradient",
    "impact",
    "improvement",
    "increase",
    "indication",
    "influence",
    "interaction",
    "link",
    "loss",
    "mechanism",
    "overlap",
    "preference",
    "reduction",
    "relation",
    "relationship",
    "requirement",
    "response",
    "rise",
    "risk",
    "role",
    "sign",
    "threshold",
    "trend",
    "tendency",
];

/// Verbs that say something of their subject.
const ASCRIBING: [&str; 30] = [
    "be",
    "become",
    "remain",
    "seem",
    "appear",
    "stay",
    "prove",
    "have",
    "play",
    "show",
    "exhibit",
    "display",
    "possess",
    "retain",
    "demonstrate",
    "experience",
    "lead",
    "result",
    "receive",
    "confer",
    "provide",
    "offer",
    "carry",
    "require",
    "make",
    "render",
    "reveal",
    "suffer",
    "occur",
    "exert",
];

/// What "every" counts without speaking of the subject.
const OF_TIME: [&str; 16] = [
    "one", "two", "three", "day", "night", "week", "month", "year", "hour", "time", "season",
    "spring", "summer", "autumn", "winter", "other",
];

/// The auxiliary in a contraction with "not".
fn contracted(word: &str) -> Option<&str> {
    let stem = word
        .strip_suffix("n't")
        .or_else(|| word.strip_suffix("n\u{2019}t"))?;
    Some(match stem {
        "ca" => "can",
        "wo" => "will",
        "is" | "are" | "was" | "were" | "do" | "does" | "did" | "has" | "have" | "had"
        | "could" | "would" | "should" | "might" | "must" => stem,
        _ => return None,
    })
}

impl Sentence<'_, '_> {
    fn plain(&self, place: usize) -> &str {
        if self.all.contains(&place) {
            self.words.plain(place)
        } else {
            ""
        }
    }

    fn is(&self, place: usize, bits: u32) -> bool {
        self.reader.kinds(place).any(bits)
    }

    /// Whether the word at `place` denies.
    fn denies(&self, place: usize) -> bool {
        let word = self.plain(place);
        match word {
            "not" => !matches!(self.plain(place + 1), "only" | "merely" | "just" | "least"),
            "no" | "never" | "none" | "neither" | "nor" | "cannot" | "nobody" | "nothing"
            | "without" | "little" => {
                word != "little" || self.predicate.complement.contains(&place)
            }
            _ => contracted(word).is_some(),
        }
    }

    /// Whether what is claimed is denied: an opposite would not contradict it.
    fn denied(&self) -> bool {
        let p = &self.predicate;
        let fails = self
            .reader
            .kinds(p.verb)
            .verb()
            .is_some_and(|verb| matches!(verb.base.as_str(), "fail" | "lack"));
        fails
            || (p.clause.start..p.complement.end).any(|place| {
                self.denies(place) && !(self.plain(place) == "without" && place < p.at)
            })
    }

    /// Whether the verb says something of its subject, as "is", "has" and "plays" do; "regulates mature cells" says it of
    /// something else.
    fn ascribes(&self) -> bool {
        let verb = self.reader.kinds(self.predicate.verb).verb();
        self.predicate.finite == Finite::Be
            || verb.is_some_and(|verb| ASCRIBING.contains(&verb.base.as_str()))
    }

    fn replace(&self, rule: Rule, first: usize, last: usize, to: &str) -> Edit {
        replace(self.words, rule, first, last, to)
    }

    fn negation_out(&self, edits: &mut Vec<Edit>) {
        let p = &self.predicate;
        let rule = Rule::NegationOut;
        // "is not", "cannot", "does not affect"
        for place in p.at..=p.verb.max(p.at + 2).min(self.all.end - 1) {
            let word = self.plain(place);
            let (aux, to) = match word {
                "cannot" => (place, "can"),
                "not" if place > p.at && self.denies(place) => (p.at, ""),
                "never" if place != p.at => (p.at, ""),
                _ => match contracted(word) {
                    Some(to) => (place, to),
                    None => continue,
                },
            };
            if word == "never" || self.corrects(place) {
                continue;
            }
            let aux_word = if to.is_empty() { self.plain(aux) } else { to };
            if matches!(aux_word, "does" | "do" | "did") {
                edits.extend(self.without_do(aux, place, aux_word));
            } else if to.is_empty() {
                // "not" with the space before it.
                edits.push(Edit {
                    rule,
                    from: self.words.at(place - 1).end..self.words.at(place).end,
                    to: String::new(),
                });
            } else {
                edits.push(self.replace(rule, place, place, to));
            }
            return;
        }
        // "is no longer", "has no effect", "no effect was seen"
        for place in std::iter::once(p.clause.start).chain(p.at + 1..p.complement.end) {
            if self.plain(place) == "no" && !self.words.at(place).aside {
                edits.extend(self.without_no(place));
                return;
            }
            if self.plain(place) == "not"
                && matches!(self.plain(place + 1), "all" | "every" | "always")
                && place + 1 < self.all.end
            {
                let next = self.words.raw(place + 1);
                edits.push(self.replace(rule, place, place + 1, next));
                return;
            }
        }
        let verb = self.reader.kinds(p.verb).verb();
        if let (Some(verb), Finite::Verb(form)) = (verb, p.finite) {
            // "fails to reduce", "lacks a nucleus"
            if verb.base == "fail" && self.plain(p.at + 1) == "to" && self.is(p.at + 2, BASE) {
                let verb = english::verb(self.plain(p.at + 2));
                edits.push(self.replace(rule, p.at, p.at + 2, verb.form(form)));
                return;
            }
            if verb.base == "lack" {
                edits.push(self.replace(rule, p.at, p.at, english::verb("have").form(form)));
                return;
            }
        }
        // "in fat, not in muscle"
        for place in p.verb + 1..self.all.end {
            let before = self.plain(place - 1);
            if self.plain(place) == "not" && self.denies(place) && place + 1 < self.all.end {
                let comma = self.words.at(place - 1).stop == Stop::Pause;
                let (first, to) = match before {
                    "but" if self.words.at(place.max(2) - 2).stop == Stop::Pause => {
                        (place - 1, "and also")
                    }
                    "but" => (place - 1, "and also"),
                    "and" => (place - 1, "and"),
                    _ if comma => (place, "and"),
                    _ => continue,
                };
                if first == place {
                    edits.push(Edit {
                        rule,
                        from: self.words.at(place - 1).end..self.words.at(place).end,
                        to: " and".to_owned(),
                    });
                } else {
                    edits.push(self.replace(rule, first, place, to));
                }
                return;
            }
            if before == "rather" && self.plain(place) == "than" {
                edits.push(self.replace(rule, place - 1, place, "as well as"));
                return;
            }
        }
        self.neither(edits);
    }

    /// Whether what "not" at `place` denies is put right after it: "not X but Y".
    fn corrects(&self, place: usize) -> bool {
        (place + 1..self.all.end)
            .any(|one| self.plain(one) == "but" && self.plain(one + 1) != "not")
            && !(place + 1..self.all.end)
                .any(|one| self.words.at(one).stop == Stop::Pause && self.plain(one + 1) != "but")
    }

    /// "does not affect" to "affects".
    fn without_do(&self, aux: usize, not: usize, aux_word: &str) -> Option<Edit> {
        let rule = Rule::NegationOut;
        let verb = (not + 1..self.all.end)
            .find(|&place| !self.is(place, ADVERB) || self.is(place, BASE))?;
        let base = self.plain(verb);
        if base.is_empty() || !self.words.joined(verb - 1) && verb > not + 1 {
            return None;
        }
        // A second verb would have to be inflected too: "does repress or delay" keeps both as they are.
        let coordinated = (verb + 1..self.predicate.clause.end).any(|place| {
            let next = self.skip_adverbs(place + 1);
            self.is(place, CONJUNCTION)
                && self.is(next, BASE)
                && self
                    .reader
                    .kinds(next)
                    .verb()
                    .is_some_and(|verb| !verb.noun)
        });
        if coordinated && aux_word != "do" {
            return Some(if aux == not {
                self.replace(rule, aux, aux, aux_word)
            } else {
                Edit {
                    rule,
                    from: self.words.at(not - 1).end..self.words.at(not).end,
                    to: String::new(),
                }
            });
        }
        let forms = english::verb(base);
        let inflected = match aux_word {
            "does" => forms.third,
            "did" => forms.past,
            _ => forms.base,
        };
        let mut to = String::new();
        for place in not + 1..verb {
            to.push_str(self.words.raw(place));
            to.push(' ');
        }
        to.push_str(&inflected);
        let mut last = verb;
        if self.plain(verb + 1) == "any" {
            last += 1;
            to.push_str(" some");
        }
        Some(self.replace(rule, aux, last, &to))
    }

    fn skip_adverbs(&self, mut place: usize) -> usize {
        while self.all.contains(&place) && self.is(place, ADVERB) {
            place += 1;
        }
        place
    }

    /// "no effect" to "an effect", "no longer" to "still", "no patients" to "some patients".
    fn without_no(&self, place: usize) -> Option<Edit> {
        let rule = Rule::NegationOut;
        let next = self.plain(place + 1);
        if !self.words.joined(place) {
            return None;
        }
        match next {
            "longer" => return Some(self.replace(rule, place, place + 1, "still")),
            "more" | "less" | "fewer" | "other" | "one" | "matter" | "such" | "doubt" => {
                return None;
            }
            "better" | "worse" | "higher" | "lower" => {
                let next = next.to_owned();
                return Some(self.replace(rule, place, place + 1, &next));
            }
            _ => {}
        }
        // Its noun: the last word before whatever ends the phrase.
        let mut noun = place + 1;
        while noun + 1 < self.all.end
            && noun < place + 5
            && self.words.at(noun).stop == Stop::None
            && !self.words.at(noun + 1).aside
            && !COUNTED.contains(&self.plain(noun))
            && !self.is(
                noun + 1,
                PREPOSITION | CONJUNCTION | SUBORDINATE | RELATIVE | BE | HAVE | MODAL | DETERMINER,
            )
        {
            noun += 1;
        }
        let subject = place < self.predicate.at;
        if COUNTED.contains(&self.plain(noun)) {
            let to = article(self.words.raw(place + 1));
            Some(self.replace(rule, place, place, to))
        } else if is_plural(self.words.raw(noun)) && !subject {
            // With the space behind it.
            Some(Edit {
                rule,
                from: self.words.at(place).start..self.words.at(place + 1).start,
                to: String::new(),
            })
        } else {
            Some(self.replace(rule, place, place, "some"))
        }
    }

    /// "neither A nor B" to "both A and B", where it is no subject.
    fn neither(&self, edits: &mut Vec<Edit>) {
        let p = &self.predicate;
        let Some(first) = (p.verb + 1..self.all.end).find(|&place| self.plain(place) == "neither")
        else {
            return;
        };
        let Some(nor) =
            (first + 2..self.all.end.min(first + 12)).find(|&place| self.plain(place) == "nor")
        else {
            return;
        };
        let between = &self.words.text[self.words.at(first).end..self.words.at(nor).start];
        edits.push(self.replace(Rule::NegationOut, first, nor, &format!("both{between}and")));
    }

    fn direction(&self, edits: &mut Vec<Edit>) {
        if self.denied() {
            return;
        }
        let p = &self.predicate;
        let rule = Rule::Direction;
        let verb = opposite(self.words, p.verb, Part::Verbs, Some(p.form))
            .filter(|(n, _)| !self.goes_from(p.verb + n));
        if let Some((n, to)) = verb {
            edits.push(self.replace(rule, p.verb, p.verb + n - 1, to));
        }
        for place in p.from..p.complement.end {
            if (place != p.verb || verb.is_none())
                && let Some((n, to)) = opposite(self.words, place, Part::Words, None)
            {
                edits.extend(self.word(place, n, to));
            }
        }
        if let Some((n, to)) = opposite(self.words, p.verb, Part::Causes, Some(p.form))
            && !self.has_infinitive(p.verb + n)
            && !matches!(
                self.plain(p.verb + n),
                "similar" | "comparable" | "equal" | "equivalent"
            )
        {
            edits.push(self.replace(rule, p.verb, p.verb + n - 1, to));
        }
        // "tends to increase"
        let verb = self
            .reader
            .kinds(p.verb)
            .verb()
            .map_or("", |verb| &verb.base);
        for place in p.complement.clone() {
            if self.plain(place) == "to"
                && matches!(
                    verb,
                    "tend"
                        | "help"
                        | "manage"
                        | "continue"
                        | "begin"
                        | "act"
                        | "work"
                        | "serve"
                        | "appear"
                        | "seem"
                        | "use"
                        | "know"
                        | "show"
                        | "find"
                        | "report"
                        | "predict"
                )
                && let Some((n, to)) =
                    opposite(self.words, place + 1, Part::Verbs, Some(Form::Base))
                && self.is(place + 1, BASE)
            {
                edits.push(self.replace(rule, place + 1, place + n, to));
            }
        }
    }

    /// "rose from 5 to 9" cannot fall, "promoted as a way" is another meaning.
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

    /// A word of direction in the complement, where it means one.
    fn word(&self, place: usize, n: usize, to: &str) -> Option<Edit> {
        let p = &self.predicate;
        let (word, next) = (self.plain(place), self.plain(place + n));
        let to = match word {
            // "later become", "can more than cancel"
            _ if place < p.verb && !word.ends_with("ly") => return None,
            // "survive longer"
            "longer" | "shorter" if place == p.verb + 1 && !self.ascribes() => return None,
            "rise" | "fall"
                if self
                    .reader
                    .kinds(p.verb)
                    .verb()
                    .is_some_and(|verb| verb.base == "give") =>
            {
                return None;
            }
            // "more than 5" is a quantity.
            "more" | "less" | "fewer" if next == "than" => {
                if self.words.text[self.words.at(place + 1).end..]
                    .trim_start()
                    .starts_with(|letter: char| letter.is_ascii_digit())
                {
                    return None;
                }
                to
            }
            "more"
                if place + 1 < self.all.end
                    && self.words.joined(place)
                    && is_plural(self.words.raw(place + 1)) =>
            {
                "fewer"
            }
            "most" if !(self.plain(place.wrapping_sub(1)) == "the" || is_adjective(next)) => {
                return None;
            }
            "least" if self.plain(place.wrapping_sub(1)) == "at" => return None,
            // "a fall" is one, "falls asleep" none.
            "longer" if self.plain(place.wrapping_sub(1)) == "no" => return None,
            _ => to,
        };
        Some(self.replace(Rule::Direction, place, place + n - 1, to))
    }

    fn quantifier(&self, edits: &mut Vec<Edit>) {
        if self.denied()
            && !(self.predicate.clause.start..self.predicate.complement.end)
                .any(|place| matches!(self.plain(place), "never" | "none" | "little"))
        {
            return;
        }
        let p = &self.predicate;
        let rule = Rule::Quantifier;
        // How often: beside the verb or in the complement.
        for place in p.from..p.complement.end {
            if let Some((n, to)) = opposite(self.words, place, Part::Adverbs, None) {
                edits.push(self.replace(rule, place, place + n - 1, to));
            }
        }
        // How many: of the subject, of the object.
        let subject = self.skip_adverbs(p.subject.start).min(p.at);
        for place in std::iter::once(subject).chain(p.complement.clone()) {
            edits.extend(self.amount(place, place == subject && place < p.at));
        }
        // More or less than a number, in the subject or behind the verb.
        for place in p.subject.start..self.all.end {
            edits.extend(self.bound(place));
        }
    }

    fn amount(&self, place: usize, subject: bool) -> Option<Edit> {
        let rule = Rule::Quantifier;
        let (word, next) = (self.plain(place), self.plain(place + 1));
        let plural = place + 1 < self.all.end && self.words.joined(place);
        let (last, to) = match (word, next) {
            ("all", "of") => (place, "none"),
            ("none", "of") => (place, "all"),
            ("all", "the" | "these" | "those") => (place, "none of"),
            ("all", "two" | "three" | "four" | "five" | "six" | "but") => return None,
            ("little", "to" | "effect" | "or" | "influence" | "impact") if next != "or" => {
                (place, "much")
            }
            ("every" | "each", _) if next.is_empty() || OF_TIME.contains(&next) => return None,
            _ if place + 1 == self.predicate.at => return None,
            ("all" | "every" | "each", _) if plural && (subject || word != "each") => (place, "no"),
            ("most" | "many", "of")
                if subject && matches!(self.plain(place + 2), "the" | "these" | "those") =>
            {
                (place, "few")
            }
            ("most", _) if subject && plural && !is_adjective(next) => (place, "few"),
            ("many", _) if plural && next != "of" => (place, "few"),
            ("few", _) if plural && self.plain(place.wrapping_sub(1)) != "a" => (place, "many"),
            ("some", _) if plural && next != "of" => (place, "no"),
            ("some", "of") => (place, "none"),
            ("both", _) if !subject => {
                let and = (place + 2..self.all.end.min(place + 10))
                    .find(|&one| self.plain(one) == "and")?;
                let between = &self.words.text[self.words.at(place).end..self.words.at(and).start];
                return Some(self.replace(rule, place, and, &format!("neither{between}nor")));
            }
            _ => return None,
        };
        Some(self.replace(rule, place, last, to))
    }

    /// "more than 50" to "less than 50".
    fn bound(&self, place: usize) -> Option<Edit> {
        let rule = Rule::Quantifier;
        let (word, next) = (self.plain(place), self.plain(place + 1));
        let behind = |last: usize| {
            self.words.text[self.words.at(last).end..]
                .trim_start_matches([' ', '$', '~'])
                .starts_with(|letter: char| letter.is_ascii_digit())
                || matches!(
                    self.plain(last + 1),
                    "half" | "two" | "three" | "four" | "five" | "ten" | "twice" | "one"
                )
        };
        let (last, to) = match (word, next) {
            ("more" | "greater" | "higher" | "larger", "than") => (place + 1, "less than"),
            ("less" | "fewer" | "lower" | "smaller", "than") => (place + 1, "more than"),
            ("at", "least") => (place + 1, "less than"),
            ("at", "most") => (place + 1, "more than"),
            ("up", "to") => (place + 1, "more than"),
            ("above" | "exceeding", _) => (place, "below"),
            ("below", _) => (place, "above"),
            ("over", "half") => (place, "under"),
            ("under", "half") => (place, "over"),
            _ => return None,
        };
        behind(last).then(|| self.replace(rule, place, last, to))
    }

    fn antonym(&self, edits: &mut Vec<Edit>) {
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
            let before = self.plain(place - 1);
            if matches!(
                before,
                "positively" | "negatively" | "partially" | "partly" | "largely"
            ) {
                continue;
            }
            // "likely" before "to" or "that"; "well" not in "as well as".
            if self.plain(place) == "well"
                && (self.plain(place.wrapping_sub(1)) == "as" || self.plain(place + 1) == "as")
            {
                continue;
            }
            // Compared: "more likely", "as common as" turn by their own words.
            if matches!(
                self.plain(place.wrapping_sub(1)),
                "more" | "less" | "most" | "least"
            ) {
                continue;
            }
            edits.push(self.replace(Rule::Antonym, place, place + n - 1, to));
        }
    }

    /// Whether "not" at `place` sets something right: "in fat, not in muscle".
    fn contrasts(&self, place: usize) -> bool {
        self.plain(place) == "not"
            && self.denies(place)
            && (matches!(self.plain(place - 1), "but" | "and")
                || self.words.at(place - 1).stop == Stop::Pause)
    }

    fn negation_in(&self, edits: &mut Vec<Edit>) {
        let p = &self.predicate;
        let quantified = std::iter::once(p.subject.start)
            .chain(p.at.saturating_sub(4).max(p.clause.start)..p.at)
            .any(|place| {
                matches!(
                    self.plain(place),
                    "all"
                        | "every"
                        | "each"
                        | "some"
                        | "certain"
                        | "several"
                        | "many"
                        | "no"
                        | "none"
                        | "few"
                        | "neither"
                        | "not"
                )
            });
        if quantified
            || self.denied()
            || (p.verb + 1..self.all.end).any(|place| self.contrasts(place))
        {
            return;
        }
        let rule = Rule::NegationIn;
        let next = p.at + 1;
        let edit = match p.finite {
            Finite::Be
                if matches!(self.plain(p.at.wrapping_sub(1)), "there") && p.at > p.clause.start =>
            {
                match self.plain(next) {
                    "a" | "an" if self.plain(next + 1) == "estimated" => {
                        self.replace(rule, p.at, p.at, &format!("{} not", self.words.raw(p.at)))
                    }
                    "a" | "an" | "some" | "any" => {
                        self.replace(rule, p.at, next, &format!("{} no", self.words.raw(p.at)))
                    }
                    "the" | "many" | "much" | "several" => {
                        self.replace(rule, p.at, p.at, &format!("{} not", self.words.raw(p.at)))
                    }
                    _ => self.replace(rule, p.at, p.at, &format!("{} no", self.words.raw(p.at))),
                }
            }
            Finite::Modal => {
                let to = match self.plain(p.at) {
                    "can" | "may" | "might" => "cannot".to_owned(),
                    "must" => "need not".to_owned(),
                    other => format!("{other} not"),
                };
                self.replace(rule, p.at, p.at, &to)
            }
            Finite::Be | Finite::Have | Finite::Do => {
                let to = format!("{} not", self.words.raw(p.at));
                self.replace(rule, p.at, p.at, &to)
            }
            Finite::Verb(form) => {
                let Some(verb) = self.reader.kinds(p.at).verb() else {
                    return;
                };
                let aux = match form {
                    Form::Third => "does not ",
                    Form::Past => "did not ",
                    _ => "do not ",
                };
                // "also", "still" and the like stay where they are.
                let from = (p.from..p.at)
                    .rev()
                    .take_while(|&place| self.plain(place).ends_with("ly"))
                    .last()
                    .unwrap_or(p.at);
                let mut to = aux.to_owned();
                for place in from..p.at {
                    to.push_str(self.words.raw(place));
                    to.push(' ');
                }
                to.push_str(&verb.base);
                let mut last = p.at;
                // "generates, expands and maintains"
                while let Some((place, base)) = self.coordinated(last, form) {
                    to.push_str(
                        &self.words.text[self.words.at(last).end..self.words.at(place).start],
                    );
                    to.push_str(base);
                    last = place;
                }
                let next = last + 1;
                if self.plain(next) == "some" {
                    to.push_str(" any");
                    last = next;
                }
                self.replace(rule, from, last, &to)
            }
        };
        edits.push(edit);
    }

    /// The verb of the same form that "and", "or" or a comma joins to the verb at `place`.
    fn coordinated(&self, place: usize, form: Form) -> Option<(usize, &str)> {
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
        let verb = self
            .reader
            .kinds(next)
            .verb()
            .filter(|_| self.is(next, wanted))?;
        Some((next, &verb.base))
    }

    fn condition(&self, edits: &mut Vec<Edit>) {
        if self.denied() {
            return;
        }
        let p = &self.predicate;
        let rule = Rule::Condition;
        for place in self.all.clone() {
            let in_subject = p.subject.contains(&place);
            if let Some((n, to)) = opposite(self.words, place, Part::Conditions, None)
                && (in_subject || n > 1)
                && !p.complement.contains(&place)
            {
                edits.push(self.replace(rule, place, place + n - 1, to));
            }
        }
    }
}

/// Whether a word looks like an adjective: "most common" compares, "most patients" counts.
fn is_adjective(word: &str) -> bool {
    [
        "ent", "ant", "ive", "al", "ous", "ful", "able", "ible", "ic", "ed", "ly", "mon", "ary",
        "ure",
    ]
    .iter()
    .any(|end| word.ends_with(end))
        && !matches!(word, "patient" | "animal" | "plant" | "parent")
}
