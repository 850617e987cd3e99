//! The words that topics are made of: those that BM25 indexes, without what says nothing about a subject, neither rare nor
//! in most texts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::variational::Counts;
use crate::retrieval::terms;

/// From this many documents on, a term must be in 5 of them; else in 2.
const LARGE: usize = 1000;

/// Snowball's English stop words (snowballstem.org/algorithms/english/stop.txt), without those of one letter and contractions.
const FUNCTION_WORDS: &str = "me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her \
hers herself it its itself they them their theirs themselves what which who whom this that these those am is are was were be \
been being have has had having do does did doing would should could ought an the and but if or because as until while of at by \
for with about against between into through during before after above below to from up down in out on off over under again \
further then once here there when where why how all any both each few more most other some such no nor not only own same so \
than too very";

static STOPPED: LazyLock<BTreeSet<String>> =
    LazyLock::new(|| terms(FUNCTION_WORDS).into_iter().collect());

/// The stems of a text that may say what it is about: no function words, numbers, or single letters.
pub(super) fn of(text: &str) -> Vec<String> {
    let says = |term: &String| {
        term.chars().nth(1).is_some()
            && term.chars().any(char::is_alphabetic)
            && !STOPPED.contains(term)
    };
    terms(text).into_iter().filter(says).collect()
}

/// The terms that are in at least 2 documents (5 if there are many), and in at most half of them; in order.
pub(super) fn vocabulary(documents: &[Vec<String>]) -> Vec<String> {
    let mut frequency: BTreeMap<&str, usize> = BTreeMap::new();
    for words in documents {
        let of_document: BTreeSet<&str> = words.iter().map(String::as_str).collect();
        for term in of_document {
            *frequency.entry(term).or_insert(0) += 1;
        }
    }
    let least = if documents.len() < LARGE { 2 } else { 5 };
    frequency
        .into_iter()
        .filter(|(_, n)| (least..=documents.len() / 2).contains(n))
        .map(|(term, _)| term.to_owned())
        .collect()
}

/// How often a document has each term of the vocabulary.
pub(super) fn counts(vocabulary: &[String], words: &[String]) -> Counts {
    let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
    for word in words {
        if let Ok(term) = vocabulary.binary_search(word) {
            *counts.entry(term as u32).or_insert(0.0) += 1.0;
        }
    }
    counts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{counts, of, vocabulary};

    #[test]
    fn words_say_what_a_text_is_about() {
        assert_eq!(
            of("We had 3.5 mg of the Proteins, than which a B-cell binds more; T cells too"),
            ["mg", "protein", "cell", "bind", "cell"]
        );
    }

    #[test]
    fn terms_are_in_two_documents_and_in_at_most_half_of_them() {
        let documents = ["cat dog", "cat cat mouse", "cow dog", "cat", "cow"].map(of);
        let vocabulary = vocabulary(&documents);
        assert_eq!(vocabulary, ["cow", "dog"]);
        assert_eq!(counts(&vocabulary, &documents[2]), [(0, 1.0), (1, 1.0)]);
        assert_eq!(counts(&vocabulary, &of("dog, dogs and horses")), [(1, 2.0)]);
    }
}
