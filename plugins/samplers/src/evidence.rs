//! The texts that a judgement's evidence gives.

use std::collections::BTreeSet;

use orchestrator_plugin::{Document, Judgement};

/// A text, and the numbers of the sentences it is made of; none = title and abstract.
pub(crate) type Passage = (String, Vec<i32>);

/// The sentences of a judgement with their numbers, in the order of the document, each once.
pub(crate) fn sentences<'a>(
    document: &Document<'a>,
    judgement: &Judgement<'_>,
) -> Vec<(i32, &'a str)> {
    let numbers: BTreeSet<i32> = judgement.sentences.iter().copied().collect();
    numbers
        .into_iter()
        .filter_map(|number| {
            let sentence = document.sentences.get(usize::try_from(number).ok()?)?;
            Some((number, sentence.trim()))
        })
        .collect()
}

/// The sentences as one text, as they follow each other.
pub(crate) fn joined(sentences: &[(i32, &str)]) -> String {
    let texts: Vec<&str> = sentences.iter().map(|(_, text)| *text).collect();
    texts.join(" ")
}

/// The texts of a judgement by the setting `join`: `rationale`, `sentence`, `abstract` or `both` (rationale and abstract).
/// A judgement of the whole document gives its abstract.
pub(crate) fn passages(
    document: &Document<'_>,
    judgement: &Judgement<'_>,
    join: &str,
) -> Vec<Passage> {
    let sentences = sentences(document, judgement);
    let whole = || (document.full_text(), Vec::new());
    if sentences.is_empty() || join == "abstract" {
        return vec![whole()];
    }
    if join == "sentence" {
        return sentences
            .into_iter()
            .map(|(number, text)| (text.to_owned(), vec![number]))
            .collect();
    }
    let numbers = sentences.iter().map(|(number, _)| *number).collect();
    let mut passages = vec![(joined(&sentences), numbers)];
    if join == "both" {
        passages.push(whole());
    }
    passages
}
