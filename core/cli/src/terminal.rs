//! Text laid out for a terminal: headings, fields, tables, wrapped to its width. What comes from data is shown and never obeyed:
//! control characters, and those that turn the direction of writing, are made visible.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use console::measure_text_width;

/// Where there is no terminal, and the environment says nothing: what files and pipes get.
const WIDTH: usize = 100;
/// Lines are no longer, however wide the window: nobody reads them.
const WIDEST: usize = 132;
const NARROWEST: usize = 40;

/// How text is laid out on standard output.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    width: usize,
    bold: bool,
}

impl Terminal {
    /// As standard output is.
    pub fn of_output() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let told = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        let width = if is_terminal {
            console::Term::stdout()
                .size_checked()
                .map(|(_, columns)| usize::from(columns))
        } else {
            None
        };
        Self {
            width: told.or(width).unwrap_or(WIDTH).clamp(NARROWEST, WIDEST),
            bold: is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    #[cfg(test)]
    fn plain(width: usize) -> Self {
        Self { width, bold: false }
    }
}

/// A text that is being laid out.
pub struct Sheet {
    terminal: Terminal,
    /// Characters that a text may have; `None` = as many as it has.
    longest: Option<usize>,
    text: String,
    cut: bool,
}

/// A column of a table.
pub struct Column {
    title: &'static str,
    right: bool,
    wraps: bool,
}

impl Column {
    /// Words, as wide as the widest.
    pub const fn words(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            wraps: false,
        }
    }

    /// Numbers, to the right.
    pub const fn numbers(title: &'static str) -> Self {
        Self {
            title,
            right: true,
            wraps: false,
        }
    }

    /// Text that is wrapped into what the others leave; the last one.
    pub const fn text(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            wraps: true,
        }
    }
}

impl Sheet {
    /// An empty one, whose texts are cut at `longest` characters.
    pub fn new(terminal: Terminal, longest: Option<usize>) -> Self {
        Self {
            terminal,
            longest,
            text: String::new(),
            cut: false,
        }
    }

    /// What was laid out, and whether a text was cut.
    pub fn finish(self) -> (String, bool) {
        (self.text, self.cut)
    }

    /// The first line.
    pub fn title(&mut self, title: &str) {
        let shown = visible(title);
        let lines = wrap(&shown, self.terminal.width);
        for line in lines {
            let line = self.emphasised(&line);
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    /// What a section is called.
    pub fn heading(&mut self, title: &str) {
        let title = self.emphasised(&visible(title));
        self.text.push_str(&format!("\n{title}\n"));
    }

    fn emphasised(&self, text: &str) -> String {
        if self.terminal.bold {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A sentence or two, indented.
    pub fn paragraph(&mut self, text: &str) {
        let shown = self.shortened(text);
        for line in wrap(&shown, self.terminal.width.saturating_sub(2)) {
            self.text.push_str(&format!("  {line}\n"));
        }
    }

    /// A name and its value, wrapped beside it.
    pub fn field(&mut self, name: &str, value: &str) {
        const NAMES: usize = 12;
        let shown = self.shortened(value);
        let room = self.terminal.width.saturating_sub(NAMES + 2);
        for (place, line) in wrap(&shown, room).into_iter().enumerate() {
            let name = if place == 0 { name } else { "" };
            self.text.push_str(&format!("  {name:<NAMES$}{line}\n"));
        }
    }

    /// Rows under the titles of their columns. Titles that are empty throughout take no line.
    pub fn table(&mut self, columns: &[Column], rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| self.shortened(cell)).collect())
            .collect();
        // Columns that hold nothing are left out.
        let kept: Vec<usize> = (0..columns.len())
            .filter(|&place| rows.iter().any(|row| !row[place].is_empty()))
            .collect();
        let mut widths: Vec<usize> = kept
            .iter()
            .map(|&place| {
                let cells = rows.iter().map(|row| measure_text_width(&row[place]));
                cells
                    .chain([measure_text_width(columns[place].title)])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let gaps = 2 * kept.len();
        if let Some(place) = kept.iter().position(|&place| columns[place].wraps) {
            let others: usize = widths.iter().sum::<usize>() - widths[place];
            let room = self.terminal.width.saturating_sub(others + gaps);
            // Too narrow to read beside the others: it goes below them.
            if room < 40 && widths[place] > room {
                self.stacked(columns, &kept, &widths, place, &rows);
                return;
            }
            widths[place] = widths[place].min(room);
        }
        let titles: Vec<String> = columns.iter().map(|one| one.title.to_owned()).collect();
        if kept.iter().any(|&place| !titles[place].is_empty()) {
            self.row(columns, &kept, &widths, &titles);
        }
        for row in &rows {
            self.row(columns, &kept, &widths, row);
        }
    }

    fn row(&mut self, columns: &[Column], kept: &[usize], widths: &[usize], row: &[String]) {
        let cells: Vec<Vec<String>> = kept
            .iter()
            .zip(widths)
            .map(|(&place, width)| {
                if columns[place].wraps {
                    wrap(&row[place], *width)
                } else {
                    vec![row[place].clone()]
                }
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        for line in 0..height {
            let mut text = String::new();
            for ((cell, width), &place) in cells.iter().zip(widths).zip(kept) {
                let shown = cell.get(line).map_or("", String::as_str);
                let fill = " ".repeat(width.saturating_sub(measure_text_width(shown)));
                text.push_str("  ");
                if columns[place].right {
                    text.push_str(&fill);
                    text.push_str(shown);
                } else {
                    text.push_str(shown);
                    text.push_str(&fill);
                }
            }
            self.text.push_str(text.trim_end());
            self.text.push('\n');
        }
    }

    /// In a narrow window: the text of each row below its other cells.
    fn stacked(
        &mut self,
        columns: &[Column],
        kept: &[usize],
        widths: &[usize],
        text: usize,
        rows: &[Vec<String>],
    ) {
        let others: Vec<usize> = kept
            .iter()
            .copied()
            .filter(|&place| !columns[place].wraps)
            .collect();
        let their: Vec<usize> = widths
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != text)
            .map(|(_, width)| *width)
            .collect();
        let titles: Vec<String> = columns.iter().map(|one| one.title.to_owned()).collect();
        let fits = their.iter().sum::<usize>() + 2 * their.len() <= self.terminal.width;
        if fits {
            self.row(columns, &others, &their, &titles);
        }
        for row in rows {
            if fits {
                self.row(columns, &others, &their, row);
            } else {
                // Not even these: one after the other, without a head.
                let cells: Vec<&str> = others.iter().map(|&place| row[place].as_str()).collect();
                for line in wrap(&cells.join("  "), self.terminal.width.saturating_sub(2)) {
                    self.text.push_str(&format!("  {line}\n"));
                }
            }
            for line in wrap(&row[kept[text]], self.terminal.width.saturating_sub(6)) {
                self.text.push_str(&format!("      {line}\n"));
            }
        }
    }

    fn shortened(&mut self, text: &str) -> String {
        let shown = visible(text);
        let Some(longest) = self.longest else {
            return shown.into_owned();
        };
        match shown.char_indices().nth(longest) {
            Some((end, _)) => {
                self.cut = true;
                format!("{}…", &shown[..end])
            }
            None => shown.into_owned(),
        }
    }
}

/// A text that a terminal shows and does not obey: white space is a space, other control characters and those that turn the
/// direction of writing are named.
pub fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |one: char| {
        one.is_control()
            || matches!(one, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '\n' | '\t' | '\u{2028}' | '\u{2029}' => shown.push(' '),
            '\r' => {}
            // There are pictures of the first 32, and of what follows the letters.
            '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(one))),
            '\u{7f}' => shown.push('␡'),
            one if hidden(one) => shown.push_str(&format!("<U+{:04X}>", u32::from(one))),
            one => shown.push(one),
        }
    }
    Cow::Owned(shown)
}

/// Lines of at most `width` columns, parted between words where that is possible. At least one line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let wide = measure_text_width(word);
        if used > 0 && used + 1 + wide > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        if wide <= width {
            line.push_str(word);
            used += wide;
            continue;
        }
        // Longer than a line: Chinese, a hash, a word of an attacker.
        for one in word.chars() {
            let wide = measure_text_width(one.encode_utf8(&mut [0; 4]));
            if used + wide > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(one);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::{Column, Sheet, Terminal, visible, wrap};

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (given, shown) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "␛[31mred␛[0m"),
            ("a\u{7}b\0", "a␇b␀"),
            ("two\r\nlines\tand", "two lines and"),
            ("\u{202e}gnp.exe", "<U+202E>gnp.exe"),
            ("\u{9b}2J", "<U+009B>2J"),
            // Joined emoji, and right-to-left letters by themselves, are writing.
            ("👩\u{200d}🔬 שלום", "👩\u{200d}🔬 שלום"),
        ] {
            assert_eq!(visible(given), shown);
        }
    }

    #[test]
    fn lines_are_as_wide_as_they_are_shown() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        // Each of these takes two columns.
        assert_eq!(wrap("汉字汉字汉字", 8), ["汉字汉字", "汉字"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn a_table_wraps_its_text_and_leaves_out_what_is_empty() {
        let mut sheet = Sheet::new(Terminal::plain(60), Some(60));
        let columns = [
            Column::words("who"),
            Column::numbers("n"),
            Column::words("never"),
            Column::text("text"),
        ];
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        sheet.table(
            &columns,
            &[
                row(["first", "1", "", "short"]),
                row([
                    "2nd",
                    "22",
                    "",
                    "a text that does not fit into one line, however it is",
                ]),
            ],
        );
        let (text, cut) = sheet.finish();
        assert_eq!(
            text,
            "  who     n  text\n  first   1  short\n  2nd    22  a text that does not fit into one line, however\n             it is\n"
        );
        assert!(!cut);
    }
}
