//! Texts in another language.

mod candidates;
mod excerpt;

use candidates::candidates;
use excerpt::excerpt;
use orchestrator_plugin::{Call, Config, Error, Filter, Result, Samples, Verdict};
use whatlang::{Detector, Info, Lang, Script, detect_script};

/// Keeps texts in the languages named. A text goes only if another language is detected reliably, and only if it has
/// letters enough to tell: what is short or undecided stays. The detector is whatlang (alphabets and trigrams, after
/// Cavnar and Trenkle 1994), which knows 70 languages; one it does not know it may take for a neighbour. Positives and
/// negatives alike; the verdict's score is the detector's confidence, 0..1.
///
/// A text of more than 270 characters is told by 240 of them, the middle 80 of each third: the body decides, not a title in
/// English over it nor a line of copyright under it. Languages in Latin letters are told apart in two steps, which short
/// words and trigrams suit (Grefenstette 1995): the eight languages most of whose commonest short words the text has, with
/// English and those wanted, are those that the detector compares. A long text without two such words of any language is no
/// running text, and stays.
///
/// English, if wanted, is first looked for by its commonest words: a text of which one word in eight is "the", "of", "and"
/// or the like is English, without asking the slower detector, and has no score.
#[derive(Config)]
#[config(check = Self::check)]
pub struct Language {
    /// Languages by their codes of ISO 639-3 (`eng`) or 639-1 (`en`).
    #[config(default = vec!["eng".to_owned()])]
    languages: Vec<String>,
    /// Texts of fewer letters are kept, whatever their language.
    #[config(default = 40)]
    min_letters: usize,
}

/// Codes of ISO 639-1, and of macrolanguages in ISO 639-3, each with the code by which the detector knows the language.
const CODES: [&str; 76] = [
    "af afr", "ak aka", "am amh", "ar ara", "az aze", "be bel", "bg bul", "bn ben", "ca cat",
    "cs ces", "cy cym", "da dan", "de deu", "el ell", "en eng", "eo epo", "es spa", "et est",
    "fa pes", "fas pes", "fi fin", "fil tgl", "fr fra", "gu guj", "he heb", "hi hin", "hr hrv",
    "hu hun", "hy hye", "id ind", "it ita", "ja jpn", "jv jav", "ka kat", "km khm", "kn kan",
    "ko kor", "la lat", "lt lit", "lv lav", "mk mkd", "ml mal", "mr mar", "my mya", "nb nob",
    "ne nep", "nl nld", "no nob", "nor nob", "or ori", "ory ori", "pa pan", "pl pol", "pt por",
    "ro ron", "ru rus", "si sin", "sk slk", "sl slv", "sn sna", "sr srp", "sv swe", "ta tam",
    "te tel", "th tha", "tk tuk", "tl tgl", "tr tur", "uk ukr", "ur urd", "uz uzb", "vi vie",
    "yi yid", "zh cmn", "zho cmn", "zu zul",
];

fn language(code: &str) -> Option<Lang> {
    let known = CODES
        .iter()
        .filter_map(|pair| pair.split_once(' '))
        .find(|(given, _)| *given == code);
    Lang::from_code(known.map_or(code, |(_, known)| known))
}

/// Words that are common in English and hardly occur in other languages.
const ENGLISH: [&str; 16] = [
    "and", "been", "from", "have", "its", "of", "than", "that", "the", "their", "these", "this",
    "those", "were", "which", "with",
];

/// Whether one word in eight is one of [`ENGLISH`], and three of them are there.
fn english(text: &str) -> bool {
    let (mut words, mut common, mut different) = (0, 0, 0u32);
    for word in text.split(|letter: char| !letter.is_alphabetic()) {
        if word.is_empty() {
            continue;
        }
        words += 1;
        if word.len() > 5 {
            continue;
        }
        if let Some(place) = ENGLISH
            .iter()
            .position(|one| one.eq_ignore_ascii_case(word))
        {
            common += 1;
            different |= 1 << place;
        }
    }
    different.count_ones() >= 3 && common * 8 >= words
}

/// Bytes from which a text must have common words of some language: any sentences of this length have.
const RUNNING: usize = 150;

/// The language of `text`, none where there is nothing to tell by; `wanted` are not passed over.
fn detect(text: &str, wanted: &[Lang]) -> Option<Info> {
    if detect_script(text) != Some(Script::Latin) {
        return Detector::new().detect(text);
    }
    let those = candidates(text, wanted);
    if !those.is_empty() {
        return Detector::with_allowlist(those).detect(text);
    }
    (text.len() < RUNNING).then(|| Detector::new().detect(text))?
}

impl Language {
    fn check(&self) -> Result<()> {
        if self.languages.is_empty() {
            return Err(Error::config("/languages", "no language is named"));
        }
        self.wanted().map(|_| ())
    }

    fn wanted(&self) -> Result<Vec<Lang>> {
        let one = |(place, code): (usize, &String)| {
            language(code).ok_or_else(|| {
                Error::config(
                    format!("/languages/{place}"),
                    format!("`{code}` is no code of a language that can be detected: `eng` or `en`, `deu` or `de`, …"),
                )
            })
        };
        self.languages.iter().enumerate().map(one).collect()
    }

    fn verdict(&self, text: &str, wanted: &[Lang]) -> Verdict {
        let letters = text.chars().filter(|letter| letter.is_alphabetic());
        if letters.take(self.min_letters).count() < self.min_letters {
            return Verdict::keep();
        }
        let text = &*excerpt(text);
        if wanted.contains(&Lang::Eng) && english(text) {
            return Verdict::keep();
        }
        let Some(found) = detect(text, wanted) else {
            return Verdict::keep();
        };
        let keep = wanted.contains(&found.lang()) || !found.is_reliable();
        Verdict::keep_if(keep, || {
            format!(
                "it is {} ({})",
                found.lang().eng_name(),
                found.lang().code()
            )
        })
        .scored(found.confidence() as f32)
    }
}

impl Filter for Language {
    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let wanted = self.wanted()?;
        samples
            .iter()
            .map(|sample| {
                if sample.row % 4096 == 4095 && call.is_cancelled() {
                    return Err(Error::cancelled());
                }
                Ok(self.verdict(sample.text, &wanted))
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_language_of_the_detector_has_a_code_of_two_letters() {
        let mut two = BTreeSet::new();
        for pair in CODES {
            let (given, known) = pair.split_once(' ').unwrap();
            let found = language(given).unwrap();
            assert_eq!(found.code(), known);
            if given.len() == 2 {
                two.insert(known);
            }
        }
        for one in Lang::all() {
            assert!(two.contains(one.code()), "{one}");
            assert_eq!(language(one.code()), Some(*one));
        }
        assert_eq!(language("xx"), None);
    }

    #[test]
    fn english_is_known_by_several_of_its_commonest_words_and_by_nothing_less() {
        for (text, expected) in [
            (
                "The rate of decay was the same in the control group and that of the others",
                true,
            ),
            (
                "Of the mice, those with a graft lived longer than the rest",
                true,
            ),
            // One word alone, however often.
            ("the the the the the the", false),
            // A title in English over an abstract that is not.
            (
                "The effect of sleep and rest. Der Schlaf der Probanden wurde über mehrere Wochen im Labor gemessen, \
              und zwar jede Nacht, von zehn Uhr abends bis sechs Uhr morgens, ohne jede Unterbrechung",
                false,
            ),
            (
                "Wir haben das Wachstum von Algen im Dunkeln gemessen",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(english(text), expected, "{text}");
        }
    }
}
