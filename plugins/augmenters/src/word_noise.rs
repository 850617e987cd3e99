//! Words lost, out of order, or said otherwise.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use orchestrator_plugin::{Augmenter, Call, Config, Error, Random, Result, Role, Samples, Sink};
use serde_json::json;

use crate::outcome::{outcome, role};

/// Word noise: each word may be deleted, swapped with the next, or replaced by a synonym from a file.
///
/// The operations are those of "EDA: Easy Data Augmentation" (Wei and Zou 2019), with the synonyms of one's own field in
/// place of WordNet's. As positives, texts should keep their meaning: then replace and delete little; as negatives they are
/// texts with the words of the positive that say it no more.
///
/// As positives it makes nothing of negatives.
#[derive(Config)]
pub struct WordNoise {
    /// Role of what comes out.
    #[config(default = "negative", one_of = ["negative", "positive"])]
    role: String,
    /// Share of words deleted.
    #[config(default = 0.1, min = 0, max = 1)]
    delete: f64,
    /// Share of words swapped with the next.
    #[config(default = 0.1, min = 0, max = 1)]
    swap: f64,
    /// Share of the words with synonyms that are replaced by one. Needs `synonyms`.
    #[config(default = 0.3, min = 0, max = 1)]
    replace: f64,
    /// File of synonyms: a group a line, its words or phrases parted by commas; what follows `#` is a comment.
    #[config(file)]
    synonyms: Option<String>,
    /// Weight of what comes out.
    #[config(default = 1.0, above = 0)]
    weight: f32,
}

/// Words and phrases that mean the same: by the first word in lower case, the phrases that begin with it, longest first.
#[derive(Default)]
struct Synonyms(HashMap<String, Vec<Phrase>>);

struct Phrase {
    /// Its words in lower case, without the first.
    rest: Vec<String>,
    /// What may stand for it.
    others: Vec<String>,
}

impl Synonyms {
    fn read(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: String| Error::config("/synonyms", what);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| wrong(format!("the file is not UTF-8: {error}")))?;
        // By phrase in lower case, what may stand for it: a phrase may be in several groups.
        let mut all: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let group: Vec<String> = line
                .split(',')
                .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
                .filter(|one| !one.is_empty())
                .collect();
            if group.len() == 1 {
                return Err(wrong(format!(
                    "line {} has one word or phrase, a group has at least two",
                    number + 1
                )));
            }
            for phrase in &group {
                let lower = phrase.to_lowercase();
                let others = group.iter().filter(|other| other.to_lowercase() != lower);
                let words = lower.split(' ').map(str::to_owned).collect();
                all.entry(words).or_default().extend(others.cloned());
            }
        }
        let mut found = Self::default();
        for (mut words, others) in all {
            let rest = words.split_off(1);
            let first = words.pop().unwrap_or_default();
            found
                .0
                .entry(first)
                .or_default()
                .push(Phrase { rest, others });
        }
        for phrases in found.0.values_mut() {
            phrases.sort_by_key(|phrase| Reverse(phrase.rest.len()));
        }
        Ok(found)
    }

    /// Other words for those from `place` on, and how many they replace: the longest phrase that has others.
    fn another(
        &self,
        words: &[Piece<'_>],
        place: usize,
        random: &mut Random,
    ) -> Option<(usize, String)> {
        let first = words[place];
        let phrases = self.0.get(&*lower(first.core()))?;
        let phrase = phrases.iter().find(|phrase| {
            let n = phrase.rest.len();
            let behind = words.get(place + 1..=place + n);
            behind.is_some_and(|behind| {
                let same = behind
                    .iter()
                    .zip(&phrase.rest)
                    .all(|(word, rest)| *lower(word.core()) == **rest);
                // Punctuation inside would get lost.
                let whole = words[place..place + n]
                    .iter()
                    .all(|word| word.text.ends_with(word.core()))
                    && behind.iter().all(|word| word.text.starts_with(word.core()));
                same && whole
            })
        })?;
        let chosen = random.choose(&phrase.others)?;
        let n = phrase.rest.len() + 1;
        let last = words[place + n - 1];
        let lead = &first.text[..first.text.len() - first.core_and_tail().len()];
        let tail = &last.core_and_tail()[last.core().len()..];
        Some((n, format!("{lead}{}{tail}", cased(first.core(), chosen))))
    }
}

fn lower(word: &str) -> Cow<'_, str> {
    if word
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(word.to_lowercase())
    }
}

/// `to` with a capital where `from` has one at its beginning alone.
fn cased(from: &str, to: &str) -> String {
    let mut letters = from.chars();
    let capital = letters.next().is_some_and(char::is_uppercase)
        && letters.clone().next().is_some()
        && letters.all(|letter| !letter.is_uppercase());
    let mut to_letters = to.chars();
    match to_letters.next() {
        Some(first) if capital => first.to_uppercase().chain(to_letters).collect(),
        _ => to.to_owned(),
    }
}

/// A word with its punctuation, and the space behind it.
#[derive(Clone, Copy)]
struct Piece<'t> {
    text: &'t str,
    space: &'t str,
}

impl<'t> Piece<'t> {
    fn core(&self) -> &'t str {
        self.text
            .trim_matches(|letter: char| !letter.is_alphanumeric())
    }

    fn core_and_tail(&self) -> &'t str {
        self.text
            .trim_start_matches(|letter: char| !letter.is_alphanumeric())
    }

    fn all(text: &'t str) -> Vec<Self> {
        let mut pieces = Vec::with_capacity(text.len() / 6 + 1);
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after.trim_start();
            pieces.push(Self {
                text: word,
                space: &after[..after.len() - rest.len()],
            });
        }
        pieces
    }
}

/// What was done to a text.
#[derive(Default)]
struct Done {
    deleted: usize,
    swapped: usize,
    replaced: usize,
}

impl WordNoise {
    fn disturb(&self, text: &str, synonyms: &Synonyms, random: &mut Random) -> (String, Done) {
        let words = Piece::all(text);
        let mut out = String::with_capacity(text.len());
        let (mut done, mut place) = (Done::default(), 0);
        while let Some(word) = words.get(place) {
            place += 1;
            let draw = random.unit();
            let mut bound = self.delete;
            if draw < bound {
                done.deleted += 1;
                continue;
            }
            bound += self.swap;
            if draw < bound
                && let Some(next) = words.get(place)
            {
                place += 1;
                done.swapped += 1;
                for part in [next.text, word.space, word.text, next.space] {
                    out.push_str(part);
                }
                continue;
            }
            if (bound..bound + self.replace).contains(&draw)
                && let Some((n, other)) = synonyms.another(&words, place - 1, random)
            {
                done.replaced += 1;
                place += n - 1;
                out.push_str(&other);
                out.push_str(words[place - 1].space);
                continue;
            }
            out.push_str(word.text);
            out.push_str(word.space);
        }
        out.truncate(out.trim_end().len());
        (out, done)
    }
}

impl Augmenter for WordNoise {
    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let synonyms = match &self.synonyms {
            Some(path) => Synonyms::read(call.file(path)?)?,
            None => Synonyms::default(),
        };
        let role = role(&self.role);
        for sample in samples.iter() {
            if sample.row % 4096 == 0 && call.is_cancelled() {
                return Err(Error::cancelled());
            }
            if role == Role::Positive && sample.role == Role::Negative {
                sink.count("passed over: negative", 1);
                continue;
            }
            let mut random = call.random(&[sample.row as u64]);
            let (text, done) = self.disturb(sample.text, &synonyms, &mut random);
            let same = || text.split_whitespace().eq(sample.text.split_whitespace());
            if text.is_empty() || same() {
                sink.count("dropped: nothing changed or nothing left", 1);
                continue;
            }
            let mut candidate = outcome(&sample, role, &text, self.weight);
            candidate.detail = json!({
                "words_deleted": done.deleted,
                "words_swapped": done.swapped,
                "words_replaced": done.replaced,
            })
            .to_string();
            sink.push(&candidate)?;
        }
        Ok(())
    }
}
