//! Words lost, out of order, or said otherwise.

use std::collections::HashMap;

use orchestrator_plugin::{Augmenter, Call, Config, Error, Random, Result, Role, Samples, Sink};
use serde_json::json;

use crate::outcome::{folded, outcome, role};

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

/// Groups of words and phrases that mean the same.
#[derive(Default)]
struct Synonyms {
    groups: Vec<Vec<String>>,
    /// By phrase in lower case: its groups.
    of: HashMap<String, Vec<usize>>,
    /// The most words a phrase has.
    longest: usize,
}

impl Synonyms {
    fn read(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: String| Error::config("/synonyms", what);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| wrong(format!("the file is not UTF-8: {error}")))?;
        let mut found = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let group: Vec<String> = line
                .split(',')
                .map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "))
                .filter(|one| !one.is_empty())
                .collect();
            match group.len() {
                0 => continue,
                1 => {
                    return Err(wrong(format!(
                        "line {} has one word or phrase, a group has at least two",
                        number + 1
                    )));
                }
                _ => {}
            }
            for phrase in &group {
                found.longest = found.longest.max(phrase.split(' ').count());
                let groups = found.of.entry(folded(phrase)).or_default();
                groups.push(found.groups.len());
            }
            found.groups.push(group);
        }
        Ok(found)
    }

    /// Another word for those from `place` on, and how many it replaces: the longest phrase that has one.
    fn another(
        &self,
        words: &[Piece<'_>],
        place: usize,
        random: &mut Random,
    ) -> Option<(usize, String)> {
        for n in (1..=self.longest.min(words.len() - place)).rev() {
            let phrase = words[place..place + n]
                .iter()
                .map(|word| word.core().to_lowercase())
                .collect::<Vec<_>>()
                .join(" ");
            // Punctuation inside would get lost.
            let whole = words[place..place + n - 1]
                .iter()
                .all(|word| word.text.ends_with(word.core()))
                && words[place + 1..place + n]
                    .iter()
                    .all(|word| word.text.starts_with(word.core()));
            let Some(groups) = self.of.get(&phrase).filter(|_| whole) else {
                continue;
            };
            let others: Vec<&String> = groups
                .iter()
                .flat_map(|&group| &self.groups[group])
                .filter(|other| folded(other) != phrase)
                .collect();
            let chosen = random.choose(&others)?;
            let (first, last) = (&words[place], &words[place + n - 1]);
            let lead = &first.text[..first.text.len() - first.core_and_tail().len()];
            let with_tail = last.core_and_tail();
            let tail = &with_tail[last.core().len()..];
            return Some((n, format!("{lead}{}{tail}", cased(first.core(), chosen))));
        }
        None
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
            if text.is_empty() || folded(&text) == folded(sample.text) {
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
