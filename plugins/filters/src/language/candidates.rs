//! Which languages a text in Latin letters may be in, by the short words it has: the detector compares it with these only.

use std::sync::LazyLock;

use whatlang::Lang;

/// Languages that are looked for at most, besides English and those wanted.
const CANDIDATES: usize = 8;

/// Languages in Latin letters and their commonest short words in the Universal Declaration of
/// Human Rights (bench/fixtures/common_words.py).
static WORDS: &str = include_str!("common_words.txt");

/// [`WORDS`], by word.
struct Common {
    /// In the order of the lines: a bit each.
    languages: Vec<Lang>,
    /// Every word in order, with the bits of the languages that have it.
    words: Vec<(&'static str, u64)>,
}

static COMMON: LazyLock<Common> = LazyLock::new(|| {
    let (mut languages, mut words) = (Vec::new(), Vec::new());
    for line in WORDS.lines() {
        let mut parts = line.split(' ');
        let Some(language) = parts.next().and_then(Lang::from_code) else {
            continue;
        };
        words.extend(parts.map(|word| (word, 1u64 << languages.len())));
        languages.push(language);
    }
    words.sort_unstable();
    words.dedup_by(|word, kept| {
        let same = word.0 == kept.0;
        kept.1 |= if same { word.1 } else { 0 };
        same
    });
    Common { languages, words }
});

/// The languages most of whose common words `text` has, with English and those wanted, so that none of them is passed over
/// for want of a word; none at all if the text has next to no word of any language.
pub fn candidates(text: &str, wanted: &[Lang]) -> Vec<Lang> {
    let Common { languages, words } = &*COMMON;
    let mut found = vec![0u32; languages.len()];
    let lower = text.to_lowercase();
    for word in lower.split(|letter: char| !letter.is_alphabetic()) {
        if let Ok(place) = words.binary_search_by(|(one, _)| (*one).cmp(word)) {
            let mut bits = words[place].1;
            while bits != 0 {
                found[bits.trailing_zeros() as usize] += 1;
                bits &= bits - 1;
            }
        }
    }
    let mut by_words: Vec<_> = found.into_iter().zip(languages.iter().copied()).collect();
    // Stable: languages of equally many words in the order of the table.
    by_words.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    if by_words.first().is_none_or(|(count, _)| *count < 2) {
        return Vec::new();
    }
    by_words.truncate(CANDIDATES);
    let mut those: Vec<Lang> = by_words.into_iter().map(|(_, language)| language).collect();
    for language in wanted.iter().chain(&[Lang::Eng]) {
        if !those.contains(language) {
            those.push(*language);
        }
    }
    those
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_in_latin_letters_has_its_line_of_words() {
        let Common { languages, words } = &*COMMON;
        let mut known = languages.clone();
        let mut expected = whatlang::Script::Latin.langs().to_vec();
        known.sort_unstable_by_key(|one| one.code());
        expected.sort_unstable_by_key(|one| one.code());
        assert_eq!(known, expected);
        assert!(words.is_sorted_by(|one, other| one.0 < other.0));
        for (bit, language) in languages.iter().enumerate() {
            let theirs = words.iter().filter(|(_, bits)| bits >> bit & 1 == 1);
            assert!(theirs.count() >= 10, "{language}");
        }
    }

    #[test]
    fn english_and_what_is_wanted_are_always_among_them_unless_there_are_no_words() {
        let those = candidates("der Schlaf und die Zeit", &[Lang::Zul]);
        assert_eq!(those[0], Lang::Deu);
        assert!(those.contains(&Lang::Eng) && those.contains(&Lang::Zul));
        assert!(those.len() <= CANDIDATES + 2);
        assert_eq!(candidates("tgf-b1 il-6 tnf cd4", &[Lang::Zul]), []);
        assert_eq!(candidates("", &[]), []);
    }
}
