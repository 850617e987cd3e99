//! A text as words and sentences with their places, so that an edit can change one word and leave every other byte alone.
//! Knows nothing of what words mean.

use std::cmp::Reverse;
use std::ops::Range;

use crate::fnv::WordSet;

/// One word: a run without spaces, less the punctuation around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// First byte.
    pub start: usize,
    /// Past its last byte.
    pub end: usize,
    /// Made of letters, hyphens and apostrophes, in lower case (but for the first letter of a sentence): a word of the
    /// language and not a name, an acronym or a formula.
    pub plain: bool,
    /// Inside brackets or quotation marks.
    pub aside: bool,
    /// What stands between it and the next word.
    pub stop: Stop,
}

/// What follows a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Nothing but space.
    None,
    /// Punctuation inside a sentence.
    Pause,
    /// The end of a sentence.
    End,
}

/// The words of a text.
pub struct Words<'t> {
    /// The text itself.
    pub text: &'t str,
    /// With ASCII letters in lower case: the same places.
    lower: String,
    words: Vec<Word>,
    sentences: Vec<Range<usize>>,
}

/// Ends of words that are shortened by a full stop.
const SHORTENED: &str = "al approx ca cf dr e.g eq etc fig i.e no sp spp st subsp vs";

impl<'t> Words<'t> {
    /// Finds them.
    pub fn of(text: &'t str) -> Self {
        let mut found = Self {
            text,
            lower: text.to_ascii_lowercase(),
            words: Vec::with_capacity(text.len() / 6 + 1),
            sentences: Vec::new(),
        };
        found.find_words();
        found.find_sentences();
        for sentence in found.sentences.clone() {
            for place in sentence.clone() {
                let word = found.words[place];
                found.words[place].plain =
                    is_plain(&text[word.start..word.end], place == sentence.start);
            }
        }
        found
    }

    fn find_words(&mut self) {
        let text = self.text;
        // Brackets that do not pair say nothing.
        let count = |wanted: u8| text.bytes().filter(|&byte| byte == wanted).count();
        let asides = text.contains(['(', '[', '"']);
        let brackets = asides && count(b'(') == count(b')') && count(b'[') == count(b']');
        let quotes = asides && count(b'"') % 2 == 0;
        let (mut depth, mut quoted) = (0i32, false);
        for chunk in text.split_ascii_whitespace() {
            let start = chunk.as_ptr() as usize - text.as_ptr() as usize;
            let core = core(chunk);
            let lead = core.as_ptr() as usize - chunk.as_ptr() as usize;
            let mut mark = |part: &str| {
                if !asides {
                    return false;
                }
                for byte in part.bytes() {
                    match byte {
                        b'(' | b'[' if brackets => depth += 1,
                        b')' | b']' if brackets => depth -= 1,
                        b'"' if quotes => quoted = !quoted,
                        _ => {}
                    }
                }
                depth > 0 || quoted
            };
            if core.is_empty() {
                mark(chunk);
                if let Some(last) = self.words.last_mut() {
                    last.stop = last.stop.max(Stop::Pause);
                }
                continue;
            }
            let aside = mark(&chunk[..lead]);
            mark(&chunk[lead..]);
            if lead > 0
                && let Some(last) = self.words.last_mut()
            {
                last.stop = last.stop.max(Stop::Pause);
            }
            let (start, tail) = (start + lead, &chunk[lead + core.len()..]);
            let stop = match tail.trim_start_matches(['%', '+', '\'']) {
                "" => Stop::None,
                tail if tail.contains(['.', '!', '?']) => Stop::End,
                ":" if core.bytes().all(|byte| byte.is_ascii_uppercase()) => Stop::End,
                _ => Stop::Pause,
            };
            self.words.push(Word {
                start,
                end: start + core.len(),
                plain: false,
                aside,
                stop,
            });
        }
    }

    fn find_sentences(&mut self) {
        let mut first = 0;
        for place in 0..self.words.len() {
            let word = self.words[place];
            if word.stop == Stop::End {
                let core = &self.lower[word.start..word.end];
                let next = self.words.get(place + 1).map(|next| {
                    self.text.as_bytes()[next.start].is_ascii_lowercase()
                        || core.len() == 1 && core.bytes().all(|byte| byte.is_ascii_alphabetic())
                        || word.aside && next.aside
                        || SHORTENED.split(' ').any(|one| one == core)
                });
                if next == Some(true) {
                    self.words[place].stop = Stop::None;
                    continue;
                }
                self.sentences.push(first..place + 1);
                first = place + 1;
            }
        }
        if first < self.words.len() {
            self.sentences.push(first..self.words.len());
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The word at `place`.
    pub fn at(&self, place: usize) -> Word {
        self.words[place]
    }

    /// The word at `place` in lower case if it is plain and not aside, else "": so that no rule ever meets a name.
    pub fn plain(&self, place: usize) -> &str {
        match self.words.get(place) {
            Some(word) if word.plain && !word.aside => &self.lower[word.start..word.end],
            _ => "",
        }
    }

    /// The word at `place` as it stands.
    pub fn raw(&self, place: usize) -> &'t str {
        let word = self.words[place];
        &self.text[word.start..word.end]
    }

    /// The word at `place` in lower case, whatever it is.
    pub fn lower(&self, place: usize) -> &str {
        let word = self.words[place];
        &self.lower[word.start..word.end]
    }

    /// Places of the words of each sentence.
    pub fn sentences(&self) -> &[Range<usize>] {
        &self.sentences
    }

    /// The sentences, those first that share most words of four letters and more with `anchor`, then in order.
    pub fn by_overlap(&self, anchor: &str) -> Vec<Range<usize>> {
        if self.sentences.len() < 2 {
            return self.sentences.clone();
        }
        let lower = anchor.to_ascii_lowercase();
        let mut wanted = WordSet::default();
        wanted.reserve(lower.len() / 6);
        wanted.extend(
            lower
                .split_ascii_whitespace()
                .map(core)
                .filter(|word| word.len() > 3),
        );
        let shared = |sentence: &Range<usize>| {
            sentence
                .clone()
                .filter(|&place| {
                    let word = self.lower(place);
                    word.len() > 3 && wanted.contains(word)
                })
                .count()
        };
        let mut order = self.sentences.clone();
        order.sort_by_cached_key(|sentence| Reverse(shared(sentence)));
        order
    }

    /// Whether only a space parts the words at `place` and `place + 1`.
    pub fn joined(&self, place: usize) -> bool {
        place + 1 < self.words.len()
            && self.text[self.words[place].end..self.words[place + 1].start] == *" "
    }

    /// Whether the sentence that ends with the word at `place` asks.
    pub fn asks(&self, place: usize) -> bool {
        let end = self.words[place].end;
        let next = self
            .words
            .get(place + 1)
            .map_or(self.text.len(), |next| next.start);
        self.text[end..next].contains('?')
    }
}

/// A chunk without the punctuation around it.
fn core(chunk: &str) -> &str {
    let bytes = chunk.as_bytes();
    match (bytes.first(), bytes.last()) {
        // As most are.
        (Some(first), Some(last))
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() =>
        {
            chunk
        }
        _ => chunk.trim_matches(|letter: char| !letter.is_alphanumeric()),
    }
}

fn is_plain(word: &str, first: bool) -> bool {
    let mut letters = word.bytes();
    let opening = letters.next().is_some_and(|byte| {
        byte.is_ascii_lowercase() || first && byte.is_ascii_uppercase() || byte == b'-'
    });
    opening
        && letters.all(|byte| {
            // The bytes of a typographic apostrophe too.
            byte.is_ascii_lowercase() || matches!(byte, b'-' | b'\'' | 0xE2 | 0x80 | 0x99)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_place_what_is_plain_and_where_sentences_end() {
        let text =
            "RESULTS: Levels of IL-10 (TNF and not NO) fell by 5%. In S. cerevisiae, it is so.";
        let words = Words::of(text);
        let raw: Vec<&str> = (0..words.len()).map(|place| words.raw(place)).collect();
        assert_eq!(
            raw,
            [
                "RESULTS",
                "Levels",
                "of",
                "IL-10",
                "TNF",
                "and",
                "not",
                "NO",
                "fell",
                "by",
                "5",
                "In",
                "S",
                "cerevisiae",
                "it",
                "is",
                "so"
            ]
        );
        assert_eq!(words.sentences(), [0..1, 1..11, 11..17]);
        let plain: Vec<&str> = (0..words.len())
            .map(|place| words.plain(place))
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(
            plain,
            [
                "levels",
                "of",
                "fell",
                "by",
                "in",
                "cerevisiae",
                "it",
                "is",
                "so"
            ]
        );
    }
}
