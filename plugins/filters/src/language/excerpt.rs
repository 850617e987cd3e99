//! As much of a text as it takes to tell its language, so that a long text takes no longer than a short one.

use std::borrow::Cow;

/// Characters of a text that is taken whole.
const LENGTH: usize = 270;
/// Characters of one piece of a longer text, and how many pieces are taken.
const PIECE: usize = 80;
const PIECES: usize = 3;

/// A text of up to 270 characters as it is; of a longer one, its thirds' middle 80 characters, at whole words where it has
/// spaces. The body of a text decides: not a title in English before it, nor a line of copyright after it.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= LENGTH {
        return Cow::Borrowed(text);
    }
    let (third, mut taken) = (length / PIECES, String::with_capacity(PIECES * PIECE * 3));
    let (mut rest, mut at) = (text, 0);
    for piece in 0..PIECES {
        let begin = piece * third + (third - PIECE) / 2;
        rest = after(rest, begin - at);
        let end = after(rest, PIECE);
        taken.push_str(whole_words(&rest[..rest.len() - end.len()]));
        taken.push(' ');
        (rest, at) = (end, begin + PIECE);
    }
    Cow::Owned(taken)
}

/// What follows the first `count` characters.
fn after(text: &str, count: usize) -> &str {
    let byte = text
        .char_indices()
        .nth(count)
        .map_or(text.len(), |(byte, _)| byte);
    &text[byte..]
}

/// A piece without the parts of words at its ends; all of it if half of it would go: its script may use few spaces.
fn whole_words(piece: &str) -> &str {
    match (piece.find(' '), piece.rfind(' ')) {
        (Some(first), Some(last)) if 2 * last.saturating_sub(first) > piece.len() => {
            &piece[first..last]
        }
        _ => piece,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_told_by_the_middles_of_its_thirds_and_a_short_one_by_all_of_it() {
        let short = "ab ".repeat(90);
        assert_eq!(excerpt(&short), short);
        let long = format!(
            "{}{}{}",
            "Title ".repeat(30),
            "körper ".repeat(300),
            "end ".repeat(40)
        );
        let taken = excerpt(&long);
        assert!(
            taken.split_whitespace().all(|word| word == "körper"),
            "{taken}"
        );
        assert!((200..=240).contains(&taken.chars().count()));
        // No spaces to cut at, or few.
        assert_eq!(excerpt(&"字".repeat(1000)).chars().count(), 243);
        let few = excerpt(&"字字字字字字字字字字字字字字字字 字字 ".repeat(50)).into_owned();
        assert!(few.chars().count() > 200, "{few}");
    }
}
