//! English, as far as the rules need it: forms of verbs, little words by their kind, a or an. The verbs are in
//! `tables/verbs.txt`; a verb that is not there is inflected as a regular one.

use std::sync::LazyLock;

use crate::fnv::WordMap;

/// A verb and its forms.
#[derive(Debug)]
pub struct Verb {
    /// "show"
    pub base: String,
    /// "shows"
    pub third: String,
    /// "showed"
    pub past: String,
    /// "shown"
    pub participle: String,
    /// "showing"
    pub ing: String,
    /// Base and third person are nouns too.
    pub noun: bool,
    /// Its base is an adjective too.
    pub adjective: bool,
    /// Its past may stand before a preposition.
    pub prepositional: bool,
}

/// The forms of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// "increase"
    Base,
    /// "increases"
    Third,
    /// "increased" of its own
    Past,
    /// "increased" after "is" or "has"
    Participle,
    /// "increasing"
    Ing,
}

impl Form {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Base,
        Self::Third,
        Self::Past,
        Self::Participle,
        Self::Ing,
    ];
}

impl Verb {
    /// The verb in this form.
    pub fn form(&self, form: Form) -> &str {
        match form {
            Form::Base => &self.base,
            Form::Third => &self.third,
            Form::Past => &self.past,
            Form::Participle => &self.participle,
            Form::Ing => &self.ing,
        }
    }
}

/// The base form, after "to" or a plural.
pub const BASE: u32 = 1;
/// The third person singular.
pub const THIRD: u32 = 1 << 1;
/// The past.
pub const PAST: u32 = 1 << 2;
/// The past participle.
pub const PARTICIPLE: u32 = 1 << 3;
/// a, the, this, every …
pub const DETERMINER: u32 = 1 << 4;
/// of, in, by …
pub const PREPOSITION: u32 = 1 << 5;
/// when, if, because …
pub const SUBORDINATE: u32 = 1 << 6;
/// which, who …
pub const RELATIVE: u32 = 1 << 7;
/// and, or, but
pub const CONJUNCTION: u32 = 1 << 8;
/// also, often … and what ends in -ly
pub const ADVERB: u32 = 1 << 9;
/// is, are, was, were
pub const BE: u32 = 1 << 10;
/// has, have, had
pub const HAVE: u32 = 1 << 11;
/// does, do, did
pub const DO: u32 = 1 << 12;
/// can, may …
pub const MODAL: u32 = 1 << 13;
/// it, they, we …
pub const PRONOUN: u32 = 1 << 14;

/// What a word may be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kinds {
    bits: u32,
    verb: Option<u16>,
}

impl Kinds {
    /// Whether it may be one of `kinds`.
    pub fn any(self, kinds: u32) -> bool {
        self.bits & kinds != 0
    }

    /// The verb it is a form of.
    pub fn verb(self) -> Option<&'static Verb> {
        self.verb.map(|number| &LEXICON.verbs[usize::from(number)])
    }
}

struct Lexicon {
    verbs: Vec<Verb>,
    words: WordMap<String, Kinds>,
}

const LITTLE: &[(u32, &str)] = &[
    (
        DETERMINER,
        "a an the this these those its their his her our your my each every all some any no both either neither another \
         such many most few several more less fewer one two three four five six seven eight nine ten",
    ),
    (
        PREPOSITION,
        "of in by with on at for from to during after before through via into onto over under between among amongst \
         against within without per upon across along around despite toward towards since until like unlike as than \
         including versus vs throughout near above below beyond behind beneath following about off out amid except aboard atop inside outside",
    ),
    (
        SUBORDINATE,
        "when while if because although though whereas unless once whether whenever wherever so",
    ),
    (RELATIVE, "which who whose whom where that"),
    (CONJUNCTION, "and or but nor"),
    (
        ADVERB,
        "also often always never sometimes still then thus therefore however only even just already later now not too \
         very more most less least highly well almost quite rather further seldom soon together instead alone ever there \
         up down back away again twice once here yet much",
    ),
    (BE, "is are was were isn't aren't wasn't weren't"),
    (HAVE, "has have had hasn't haven't hadn't"),
    (DO, "does do did doesn't don't didn't"),
    (
        MODAL,
        "can could may might must shall should will would cannot can't couldn't won't wouldn't shouldn't",
    ),
    (PRONOUN, "it they we he she i you there them him us"),
];

/// Words in -ly that are no adverbs.
const NOT_ADVERBS: &str = "family assembly anomaly belly early daily elderly likely";

static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::read);

impl Lexicon {
    fn read() -> Self {
        let mut lexicon = Self {
            verbs: Vec::new(),
            words: WordMap::default(),
        };
        let (regular, irregular) = include_str!("tables/verbs.txt")
            .split_once("# base past participle\n")
            .unwrap_or_default();
        for line in irregular.lines() {
            let mut forms = line.split_whitespace();
            if let (Some(base), Some(past), Some(participle)) =
                (forms.next(), forms.next(), forms.next())
            {
                lexicon.add(base, Some((past, participle)));
            }
        }
        for line in regular.lines().filter(|line| !line.starts_with('#')) {
            for base in line.split_whitespace() {
                lexicon.add(base, None);
            }
        }
        for &(bits, words) in LITTLE {
            for word in words.split_whitespace() {
                lexicon.words.entry(word.to_owned()).or_default().bits |= bits;
            }
        }
        lexicon
    }

    fn add(&mut self, marked: &str, irregular: Option<(&str, &str)>) {
        let base = marked.trim_end_matches(['*', '+', '!', '~']);
        let marks = &marked[base.len()..];
        let mut verb = regular(base, marks.contains('!'));
        if let Some((past, participle)) = irregular {
            verb.past = past.to_owned();
            verb.participle = participle.to_owned();
        }
        verb.noun = marks.contains('*');
        verb.adjective = marks.contains('~');
        verb.prepositional = marks.contains('+');
        let number = self.verbs.len() as u16;
        for (form, bit) in [
            (&verb.base, BASE),
            (&verb.third, THIRD),
            (&verb.past, PAST),
            (&verb.participle, PARTICIPLE),
        ] {
            let kinds = self.words.entry(form.clone()).or_default();
            // A form of two verbs is of the one that came first.
            if *kinds.verb.get_or_insert(number) == number {
                kinds.bits |= bit;
            }
        }
        self.verbs.push(verb);
    }
}

/// What `word`, in lower case, may be.
pub fn kinds(word: &str) -> Kinds {
    match LEXICON.words.get(word) {
        Some(&kinds) => kinds,
        None if !word.is_ascii() => {
            // A typographic apostrophe.
            let plain = word.replace('\u{2019}', "'");
            LEXICON.words.get(&plain).copied().unwrap_or_default()
        }
        None if is_adverb(word) => Kinds {
            bits: ADVERB,
            verb: None,
        },
        None => Kinds::default(),
    }
}

fn is_adverb(word: &str) -> bool {
    word.len() > 4 && word.ends_with("ly") && !listed(NOT_ADVERBS, word)
}

/// The verb with this base form: from the table, or regular.
pub fn verb(base: &str) -> Verb {
    let known = LEXICON.words.get(base).filter(|kinds| kinds.any(BASE));
    match known.and_then(|kinds| kinds.verb()) {
        Some(verb) => Verb {
            base: verb.base.clone(),
            third: verb.third.clone(),
            past: verb.past.clone(),
            participle: verb.participle.clone(),
            ing: verb.ing.clone(),
            ..*verb
        },
        None => regular(base, is_short(base)),
    }
}

/// One vowel between consonants, as in "stop": the last is doubled.
fn is_short(base: &str) -> bool {
    let vowel = |letter: u8| b"aeiou".contains(&letter);
    match base.as_bytes() {
        [first @ .., before, last] if first.len() <= 2 => {
            vowel(*before)
                && !vowel(*last)
                && !b"wxy".contains(last)
                && !first.iter().any(|&letter| vowel(letter))
        }
        _ => false,
    }
}

fn regular(base: &str, doubled: bool) -> Verb {
    let last = base.chars().next_back().unwrap_or('e');
    let before = base.chars().rev().nth(1).unwrap_or('e');
    let to_i = last == 'y' && !"aeiou".contains(before);
    let stem = &base[..base.len() - last.len_utf8()];
    let past = match last {
        'e' => format!("{base}d"),
        'y' if to_i => format!("{stem}ied"),
        'c' => format!("{base}ked"),
        _ if doubled => format!("{base}{last}ed"),
        _ => format!("{base}ed"),
    };
    let third = match base {
        "have" => "has".to_owned(),
        "be" => "is".to_owned(),
        _ if to_i => format!("{stem}ies"),
        _ if ["s", "x", "z", "ch", "sh", "o"]
            .iter()
            .any(|end| base.ends_with(end)) =>
        {
            format!("{base}es")
        }
        _ => format!("{base}s"),
    };
    let ing = match last {
        'e' if before == 'i' => format!("{}ying", &stem[..stem.len() - 1]),
        'e' if !"eoy".contains(before) && base != "be" => format!("{stem}ing"),
        'c' => format!("{base}king"),
        _ if doubled => format!("{base}{last}ing"),
        _ => format!("{base}ing"),
    };
    Verb {
        base: base.to_owned(),
        third,
        participle: past.clone(),
        past,
        ing,
        noun: false,
        adjective: false,
        prepositional: false,
    }
}

/// Whether `word` is one of `list`, which spaces part.
pub fn listed(list: &str, word: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

/// "a" or "an", as the word after it sounds.
pub fn article(next: &str) -> &'static str {
    let word = next.trim_start_matches(|letter: char| !letter.is_alphanumeric());
    let lower = word.to_ascii_lowercase();
    let letters: String = word
        .chars()
        .take_while(|letter| letter.is_alphabetic())
        .collect();
    // Spelt out, as HIV and mRNA are; LASER-like ones are not told apart.
    let spelt = letters.len() < 2
        || letters
            .chars()
            .skip(1)
            .all(|letter| letter.is_ascii_uppercase());
    let begins = |starts: &[&str]| starts.iter().any(|start| lower.starts_with(start));
    let vowel = if spelt {
        match word.chars().next() {
            Some('1') => begins(&["11", "18"]),
            Some(first) => "8aefhilmnorsxAEFHILMNORSX".contains(first),
            None => false,
        }
    } else if begins(&["hour", "honest", "honour", "heir", "unin", "unim", "unid"]) {
        true
    } else {
        begins(&["a", "e", "i", "o", "u"])
            && !begins(&[
                "uni", "use", "usu", "uti", "ute", "ubi", "ura", "ure", "eu", "one",
            ])
    };
    if vowel { "an" } else { "a" }
}

/// Whether a noun looks like a plural.
pub fn is_plural(noun: &str) -> bool {
    const PLURALS: &str = "people men women children mice data media criteria phenomena fungi nuclei loci foci feet teeth \
        larvae algae elderly microglia bacteria mitochondria progeny";
    let lower = noun.to_ascii_lowercase();
    lower.ends_with('s') && !["ss", "us", "is"].iter().any(|end| lower.ends_with(end))
        || listed(PLURALS, &lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_or_an_goes_by_sound() {
        for (word, expected) in [
            ("effective", "an"),
            ("unimportant", "an"),
            ("unilateral", "a"),
            ("university", "a"),
            ("useful", "a"),
            ("hour", "an"),
            ("higher", "a"),
            ("HIV", "an"),
            ("mRNA", "an"),
            ("TNF", "a"),
            ("M2-like", "an"),
            ("European", "a"),
            ("8-fold", "an"),
            ("11-year", "an"),
            ("12-year", "a"),
            ("one-sided", "a"),
            ("uninformative", "an"),
        ] {
            assert_eq!(article(word), expected, "{word}");
        }
    }
}
