//! The table of opposites, `tables/opposites.txt`, with the forms of its verbs.

use std::sync::LazyLock;

use crate::english::{self, Form};
use crate::fnv::WordMap;
use crate::words::Words;

/// The parts of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Direction of effect, said by the verb.
    Verbs,
    /// Cause and prevention, said by the verb.
    Causes,
    /// Direction, said by another word.
    Words,
    /// Opposites of what is said of the subject.
    Adjectives,
    /// How often.
    Adverbs,
    /// Under which condition.
    Conditions,
}

const PARTS: [(&str, Part); 6] = [
    ("[verbs]", Part::Verbs),
    ("[causes]", Part::Causes),
    ("[words]", Part::Words),
    ("[adjectives]", Part::Adjectives),
    ("[adverbs]", Part::Adverbs),
    ("[conditions]", Part::Conditions),
];

struct Opposite {
    /// The form of the verb, in parts of verbs.
    form: Option<Form>,
    /// The words that must follow the first.
    rest: Vec<String>,
    to: String,
}

type Table = Vec<WordMap<String, Vec<Opposite>>>;

/// By part, then by first word; those of most words first.
static TABLE: LazyLock<Table> = LazyLock::new(read);

fn read() -> Table {
    let mut table: Table = PARTS.iter().map(|_| WordMap::default()).collect();
    let mut part = Part::Verbs;
    for line in include_str!("tables/opposites.txt").lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some((_, found)) = PARTS.iter().find(|(head, _)| *head == line) {
            part = *found;
        } else if let Some((a, b)) = line.split_once(" > ") {
            add(&mut table, part, a, b);
        } else if let Some((a, b)) = line.split_once(" = ") {
            add(&mut table, part, a, b);
            add(&mut table, part, b, a);
        }
    }
    table
}

fn add(table: &mut Table, part: Part, from: &str, to: &str) {
    let cut = |phrase: &str| -> (String, Vec<String>) {
        let mut words = phrase.split(' ').map(str::to_owned);
        (words.next().unwrap_or_default(), words.collect())
    };
    let ((from, rest), (to, tail)) = (cut(from), cut(to));
    let mut put = |from: &str, to: &str, form: Option<Form>| {
        let all = table[part as usize].entry(from.to_owned()).or_default();
        // The first line that gives a word an opposite wins.
        if !all.iter().any(|one| one.rest == rest && one.form == form) {
            let words: Vec<&str> = std::iter::once(to)
                .chain(tail.iter().map(String::as_str))
                .collect();
            all.push(Opposite {
                form,
                rest: rest.clone(),
                to: words.join(" "),
            });
            all.sort_by_key(|one| std::cmp::Reverse(one.rest.len()));
        }
    };
    if matches!(part, Part::Verbs | Part::Causes) {
        let (from, to) = (english::verb(&from), english::verb(&to));
        for form in Form::ALL {
            put(from.form(form), to.form(form), Some(form));
        }
    } else {
        put(&from, &to, None);
    }
}

/// What `part` sets against the words from `place` on: how many words it takes up, and the opposite. `form` is that of the
/// verb, in parts of verbs.
pub fn opposite(
    words: &Words<'_>,
    place: usize,
    part: Part,
    form: Option<Form>,
) -> Option<(usize, &'static str)> {
    let first = words.plain(place);
    if first.is_empty() {
        return None;
    }
    let found = TABLE[part as usize].get(first)?.iter().find(|one| {
        one.form == form
            && one
                .rest
                .iter()
                .enumerate()
                .all(|(n, word)| words.joined(place + n) && words.plain(place + n + 1) == word)
    })?;
    Some((1 + found.rest.len(), &found.to))
}
