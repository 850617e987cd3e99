//! A sentence turned into its opposite by one edit: the rules of `contradict_rules`, and what they all ask of a sentence.

use std::ops::Range;

use crate::clause::{Finite, Predicate, Reader};
use crate::edit::{Edit, Rule, replace};
use crate::english::{ADVERB, DETERMINER, listed};
use crate::words::Words;

mod meaning;
mod negation;

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
            Rule::NegationOut => edits.extend(sentence.negation_out()),
            Rule::Direction => sentence.direction(&mut edits),
            Rule::Quantifier => sentence.quantifier(&mut edits),
            Rule::Antonym => sentence.antonym(&mut edits),
            Rule::NegationIn => edits.extend(sentence.negation_in()),
            Rule::Condition => sentence.condition(&mut edits),
        }
    }
    edits
}

/// One sentence, read.
struct Sentence<'s, 't> {
    words: &'s Words<'t>,
    reader: &'s Reader<'s, 't>,
    all: Range<usize>,
    predicate: Predicate,
}

/// Verbs that say something of their subject.
const ASCRIBING: &str = "be become remain seem appear stay prove have play show exhibit display possess retain demonstrate \
    experience lead result receive confer provide offer carry require make render reveal suffer occur exert";

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

    /// How many words of the claim deny.
    fn denials(&self) -> usize {
        let p = &self.predicate;
        (p.clause.start..p.complement.end)
            .filter(|&place| {
                self.denies(place) && !(place < p.at && self.plain(place) == "without")
            })
            .count()
    }

    /// Whether what is claimed is denied: an opposite would not contradict it.
    fn denied(&self) -> bool {
        self.denials() > 0 || matches!(self.verb(), "fail" | "lack")
    }

    /// The base form of the verb, or "".
    fn verb(&self) -> &'static str {
        let verb = self.reader.kinds(self.predicate.verb).verb();
        verb.map_or("", |verb| &verb.base)
    }

    /// Whether the verb says something of its subject, as "is", "has" and "plays" do; "regulates mature cells" says it of
    /// something else.
    fn ascribes(&self) -> bool {
        self.predicate.finite == Finite::Be || listed(ASCRIBING, self.verb())
    }

    fn replace(&self, rule: Rule, first: usize, last: usize, to: &str) -> Edit {
        replace(self.words, rule, first, last, to)
    }

    fn skip_adverbs(&self, mut place: usize) -> usize {
        while self.all.contains(&place) && self.is(place, ADVERB) && !self.is(place, DETERMINER) {
            place += 1;
        }
        place
    }
}
