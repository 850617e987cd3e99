//! Names: genes, acronyms, compounds, places. What has capitals or digits and is no word of the language.

use std::collections::BTreeMap;

use orchestrator_plugin::{Corpus, Random};

use crate::english::listed;
use crate::fnv::WordSet;
use crate::words::{Stop, Words};

/// The names of a corpus by shape.
pub struct Entities<'c> {
    of: BTreeMap<String, Vec<&'c str>>,
    /// The words of the language.
    plain: WordSet<String>,
}

/// Names that mean the same everywhere, units, and what a text speaks of itself by.
const COMMON: &str = "AIC ANOVA AUC BIC CI Ca2 DNA Fe2 Fe3 GPa Gy HR Hz ICC II III IQR IV IX MHz MPa Mg2 OR PCR PDF Pa RNA ROC \
    RR SD SE SEM UK UN US USA VI VII VIII WHO XI XII Zn2 eV kDa kHz kPa keV mA mM mRNA mV mW pH April August December \
    February Fig Figure Friday January July June March May Monday November October Saturday September Sunday Table Thursday \
    Tuesday Wednesday";

/// Words whose next is a label and no name: "vitamin B6".
const LABELLING: &str = "vitamin type phase grade stage class haplogroup group table figure";

/// How many names of a shape are enough to take none that one document alone has: those are often slips.
const ENOUGH: usize = 8;

/// How a name looks: runs of capitals, small letters and digits; whole words in it stand for themselves.
fn shape(name: &str) -> String {
    let mut shape = String::new();
    for part in name.split_inclusive(['-', '/']) {
        let letters = part.trim_end_matches(['-', '/']);
        if is_literal(letters) {
            shape.push_str(part);
            continue;
        }
        let mut before = ' ';
        for letter in part.chars() {
            let kind = match letter {
                _ if letter.is_uppercase() => 'A',
                _ if letter.is_alphabetic() => 'a',
                _ if letter.is_numeric() => '0',
                other => other,
            };
            // One capital is another shape than several.
            if kind != before || kind == 'A' && !shape.ends_with("AA") {
                shape.push(kind);
            }
            before = kind;
        }
    }
    shape
}

/// A word in a name, as "dependent" in "UCP1-dependent".
fn is_literal(part: &str) -> bool {
    part.len() > 2 && part.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Places of the names of a text.
pub fn found(words: &Words<'_>) -> Vec<usize> {
    words
        .sentences()
        .iter()
        .flat_map(|sentence| sentence.clone().map(|place| (place, sentence.start)))
        .filter(|&(place, first)| is_name(words, place, first))
        .map(|(place, _)| place)
        .collect()
}

fn is_name(words: &Words<'_>, place: usize, first: usize) -> bool {
    let word = words.at(place);
    let raw = words.raw(place);
    let mut letters = raw.chars();
    let begins = letters.next().is_some_and(char::is_alphabetic);
    let marked = raw
        .chars()
        .any(|letter| letter.is_uppercase() || letter.is_ascii_digit());
    if word.plain || word.aside || !begins || !marked || raw.len() < 2 {
        return false;
    }
    if listed(COMMON, raw.strip_suffix('s').unwrap_or(raw)) || listed(COMMON, raw) {
        return false;
    }
    let labelled = place > first && listed(LABELLING, words.lower(place - 1));
    // "METHODS:", "MAIN OUTCOME:"
    let heading = raw.bytes().all(|byte| byte.is_ascii_uppercase())
        && words.text[word.end..].starts_with(':');
    let label = labelled || heading || place == first && word.stop == Stop::End;
    !label
        && (!is_capitalised(raw)
            || place > first && !opens(words, place) && stands_alone(words, place))
}

/// "Drosophila": a capital and small letters.
fn is_capitalised(raw: &str) -> bool {
    let mut letters = raw.chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.all(|letter| letter.is_lowercase() || letter == '\'')
}

/// Whether something before the word gives it a capital: a colon, a full stop, a quotation mark.
fn opens(words: &Words<'_>, place: usize) -> bool {
    words.text[..words.at(place).start]
        .trim_end()
        .ends_with([':', '.', '!', '?', ';', '"', '\u{201C}'])
}

/// No part of a longer name ("United Kingdom") or of a species' ("Escherichia coli").
fn stands_alone(words: &Words<'_>, place: usize) -> bool {
    let beside = |at: usize| is_capitalised(words.raw(at));
    let before = words.joined(place - 1) && beside(place - 1);
    let species = ["us", "is", "um", "ae", "i", "ans", "ens", "a"];
    let behind = words.joined(place)
        && (beside(place + 1)
            || species
                .iter()
                .any(|end| words.lower(place + 1).ends_with(end)));
    !before && !behind
}

/// Whether a word of the language, in capitals or with a number, is taken for a name: "USED", "injury2-4". Parts that stand
/// for themselves in the shape may be any.
fn is_word(name: &str, plain: &WordSet<String>) -> bool {
    name.split(['-', '/'])
        .filter(|part| !is_literal(part))
        .flat_map(|part| part.split(|letter: char| !letter.is_alphabetic()))
        .any(|letters| {
            let capitals = letters.chars().skip(1).all(char::is_uppercase);
            let small = letters.chars().skip(1).all(char::is_lowercase);
            letters.len() > 2 && (capitals || small) && plain.contains(&letters.to_lowercase())
        })
}

impl<'c> Entities<'c> {
    /// Of the sentences of a corpus; titles may be all in capitals.
    pub fn of(corpus: &Corpus<'c>) -> Self {
        // By shape the names, and of each the document it was met in and whether in another too.
        let mut met: BTreeMap<String, BTreeMap<&'c str, (usize, bool)>> = BTreeMap::new();
        let mut plain: WordSet<String> = WordSet::default();
        for number in 0..corpus.len() {
            for sentence in corpus.document(number).sentences {
                let words = Words::of(sentence);
                for place in found(&words) {
                    let name = words.raw(place);
                    let names = met.entry(shape(name)).or_default();
                    let (first, more) = names.entry(name).or_insert((number, false));
                    *more |= *first != number;
                }
                for place in 0..words.len() {
                    let word = words.plain(place);
                    if !word.is_empty() && !plain.contains(word) {
                        plain.insert(word.to_owned());
                    }
                }
            }
        }
        let of = met.into_iter().map(|(shape, names)| {
            let names = names.into_iter().filter(|(name, _)| !is_word(name, &plain));
            let (often, once): (Vec<_>, Vec<_>) = names.partition(|(_, (_, more))| *more);
            let mut all: Vec<&str> = often.into_iter().map(|(name, _)| name).collect();
            if all.len() < ENOUGH {
                all.extend(once.into_iter().map(|(name, _)| name));
                all.sort_unstable();
            }
            (shape, all)
        });
        Self {
            of: of.collect(),
            plain,
        }
    }

    /// A name of the same shape that `unknown` allows, chosen by the seed.
    pub fn another(
        &self,
        name: &str,
        random: &mut Random,
        unknown: impl Fn(&str) -> bool,
    ) -> Option<&'c str> {
        let same = self
            .of
            .get(&shape(name))
            .filter(|_| !is_word(name, &self.plain))?;
        let first = if same.is_empty() {
            return None;
        } else {
            random.below(same.len())
        };
        (0..same.len())
            .map(|step| same[(first + step) % same.len()])
            .find(|other| *other != name && unknown(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_shape_may_stand_for_each_other() {
        for (a, b, same) in [
            ("IL-10", "TDP-43", true),
            ("BRCA1", "GATA3", true),
            ("BRCA1", "HNF4A", false),
            ("Foxp3", "Klf4", true),
            ("HIV", "LDL", true),
            ("MSCs", "HSCs", true),
            ("MSCs", "Drosophila", false),
            ("UCP1-dependent", "TNF2-dependent", true),
            ("UCP1-dependent", "TNF2-independent", false),
            ("T-cell", "B-cell", true),
            ("mTECs", "pDCs", true),
        ] {
            assert_eq!(shape(a) == shape(b), same, "{a} {b}");
        }
    }
}
