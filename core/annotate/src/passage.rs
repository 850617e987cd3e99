//! Where a passage stands in its document, so that the page can show it with what is around it.

use serde::Serialize;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Piece {
    pub text: String,
    /// It is what is judged, or a part of it.
    pub marked: bool,
}

/// A document cut so that what is judged stands apart, if it is a part of the document.
///
/// A passage may be sentences that do not follow each other, joined by a space: where it is not found as a whole, its
/// sentences are looked for one after the other. Nothing if one of them is not there: then the text was changed. Nothing, too,
/// if the passage is the whole document.
pub(crate) fn cut(document: &str, passage: &str) -> Option<Vec<Piece>> {
    if passage.trim().is_empty() || passage.trim() == document.trim() {
        return None;
    }
    let mut places = Vec::new();
    let mut from = 0;
    let mut rest = passage.trim();
    while !rest.is_empty() {
        let (start, length) = prefixes(rest).find_map(|length| {
            let found = document[from..].find(&rest[..length])?;
            Some((from + found, length))
        })?;
        places.push((start, start + length));
        from = start + length;
        rest = rest[length..].trim_start();
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut end = 0;
    for (start, stop) in places {
        let between = &document[end..start];
        match pieces.last_mut() {
            // Sentences that follow each other are one piece.
            Some(last) if last.marked && between.trim().is_empty() => {
                last.text.push_str(&document[end..stop]);
                end = stop;
                continue;
            }
            _ => {}
        }
        if !between.is_empty() {
            pieces.push(Piece {
                text: between.to_owned(),
                marked: false,
            });
        }
        pieces.push(Piece {
            text: document[start..stop].to_owned(),
            marked: true,
        });
        end = stop;
    }
    if end < document.len() {
        pieces.push(Piece {
            text: document[end..].to_owned(),
            marked: false,
        });
    }
    Some(pieces)
}

/// Lengths of the beginnings of a text that end where a sentence may: the whole first, then shorter ones.
fn prefixes(text: &str) -> impl Iterator<Item = usize> {
    let mut ends: Vec<usize> = text
        .char_indices()
        .filter(|(_, one)| matches!(one, '.' | '!' | '?' | '。' | '！' | '？'))
        .map(|(place, one)| place + one.len_utf8())
        .filter(|&end| end < text.len())
        .collect();
    ends.push(text.len());
    ends.into_iter().rev()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn passages_are_found_in_their_documents() {
        let document = "On mice. Mice eat 3.5 g. They sleep. Some dream! 你好。";
        let cases: &[(&str, Option<&[&str]>)] = &[
            (
                "They sleep.",
                Some(&[
                    "On mice. Mice eat 3.5 g. ",
                    "*They sleep.",
                    " Some dream! 你好。",
                ]),
            ),
            (
                "On mice.",
                Some(&[
                    "*On mice.",
                    " Mice eat 3.5 g. They sleep. Some dream! 你好。",
                ]),
            ),
            (
                "Mice eat 3.5 g. Some dream! 你好。",
                Some(&[
                    "On mice. ",
                    "*Mice eat 3.5 g.",
                    " They sleep. ",
                    "*Some dream! 你好。",
                ]),
            ),
            (
                "They sleep.  Some dream!",
                Some(&[
                    "On mice. Mice eat 3.5 g. ",
                    "*They sleep. Some dream!",
                    " 你好。",
                ]),
            ),
            ("They slept.", None),
            ("", None),
            (document, None),
        ];
        for (passage, expected) in cases {
            let found = cut(document, passage).map(|pieces| {
                pieces
                    .into_iter()
                    .map(|piece| format!("{}{}", if piece.marked { "*" } else { "" }, piece.text))
                    .collect::<Vec<_>>()
            });
            let expected = expected.map(|all| all.iter().map(|one| (*one).to_owned()).collect());
            assert_eq!(found, expected, "{passage}");
        }
    }
}
