//! Texts of the data, shown as they are and harming nothing: markup is escaped, control characters are made visible,
//! right-to-left scripts stay in their own place.

/// As text of HTML or the value of an attribute. The slash is escaped too, so that no address stands in a page.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '/' => out.push_str("&#47;"),
            one => out.push(one),
        }
    }
    out
}

/// With every character that would be invisible, or turn the text around, as a picture of itself: U+0007 as ␇, U+202E as
/// ⟨U+202E⟩. Ends of lines, tabs, and the joiners of emoji and Persian stay.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for one in text.chars() {
        match one {
            '\n' | '\t' => out.push(one),
            '\r' => out.push('␍'),
            '\u{0}'..='\u{1f}' => {
                out.push(char::from_u32(0x2400 + one as u32).unwrap_or('␀'));
            }
            '\u{7f}' => out.push('␡'),
            // A text may join what stands beside it once, not a thousand times.
            '\u{200c}' | '\u{200d}' if before != one => out.push(one),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e001f}' => out.push_str(&format!("⟨U+{:04X}⟩", one as u32)),
            one => out.push(one),
        }
        before = one;
    }
    out
}

/// A short text in a line of ours, which keeps its direction.
pub(crate) fn isolated(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(&visible(text)))
}

/// A text as a block or cell of its own: its first strong letter says which way it runs.
pub(crate) fn passage(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    format!(
        "<bdi dir=\"auto\" class=\"text\">{}</bdi>",
        escaped(visible(&cut).trim_end())
    )
}

/// A text of the program itself, in which `code` stands between backticks.
pub(crate) fn prose(text: &str) -> String {
    let mut out = String::from("<bdi>");
    for (place, part) in visible(text).split('`').enumerate() {
        match place % 2 {
            0 => out.push_str(&escaped(part)),
            _ => out.push_str(&format!("<code>{}</code>", escaped(part))),
        }
    }
    out + "</bdi>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_are_shown_and_harm_nothing() {
        for (text, expected) in [
            (
                "</script><script>x</script>",
                "&lt;&#47;script&gt;&lt;script&gt;x&lt;&#47;script&gt;",
            ),
            ("\u{7}\u{1b}[2J", "␇␛[2J"),
            ("a\u{202e}b\u{2066}", "a⟨U+202E⟩b⟨U+2066⟩"),
            ("\r\n", "␍\n"),
            (
                "👩\u{200d}🔬 می\u{200c}خواهم",
                "👩\u{200d}🔬 می\u{200c}خواهم",
            ),
            ("\u{200d}\u{200d}", "\u{200d}⟨U+200D⟩"),
            ("'\"&", "&#39;&quot;&amp;"),
        ] {
            assert_eq!(escaped(&visible(text)), expected);
        }
        assert_eq!(
            passage("שלום world", 4),
            "<bdi dir=\"auto\" class=\"text\">שלום</bdi>"
        );
    }
}
