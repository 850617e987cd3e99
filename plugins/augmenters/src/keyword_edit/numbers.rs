//! Amounts in a text: where they stand, what they count, what else they might be.

use std::ops::Range;

use orchestrator_plugin::Random;

use crate::english::listed;
use crate::words::Words;

/// An amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// Its bytes, without sign and unit.
    pub place: Range<usize>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Counts or measures.
    Amount,
    /// Of a hundred.
    Percentage,
    /// 1800 to 2099.
    Year,
    /// Below one and to stay so: a p-value, a correlation.
    Share,
    /// The upper end of a range, which begins there.
    Upper(usize),
    /// Of type 1, grade 2.
    Rank,
    /// In letters.
    Spelt,
}

const SPELT: [&str; 11] = [
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
];

/// Units that are written without a space.
const UNITS: &str = "mg g kg ug µg μg ng pg ml mL l dl dL ul µl mM nM uM µM mmol mol nm um µm μm mm cm m km h hr s ms min Hz kHz \
    MHz GHz K kb Mb bp kDa Da ppm ppb wk yr fold x kV V mV mA W mW J kJ Pa kPa MPa GPa Gy IU U ha t eV keV";

/// What a hyphen may part from its number: "7-day-old".
const MEASURES: &str = "day week month year hour minute second fold point mm cm m km nm mg g kg ml bp kb kDa Gy K fach";

/// Words before numbers that are labels.
const LABELS: &str = "table tables figure figures fig figs ref refs reference chapter section appendix equation eq no number \
    chromosome interleukin interferon vitamin version experiment study cohort protocol channel day site model";

/// Words before numbers that are ranks.
const RANKS: &str = "type grade stage phase class category types grades stages";

/// Whether `number` stands in `text` as a number of its own.
pub fn has(text: &str, number: &str) -> bool {
    let edge = |letter: Option<char>| {
        letter.is_none_or(|letter| !letter.is_alphanumeric() && !matches!(letter, '.' | ','))
    };
    text.match_indices(number).any(|(at, _)| {
        let mut behind = text[at + number.len()..].chars();
        let next = behind.next();
        let open = match next {
            // The end of a sentence, no fraction.
            Some('.' | ',') => !behind.next().is_some_and(|letter| letter.is_ascii_digit()),
            // A unit.
            Some(letter) => !letter.is_ascii_digit(),
            None => true,
        };
        open && edge(text[..at].chars().next_back())
    })
}

/// The amounts of a text.
pub fn numbers(words: &Words<'_>) -> Vec<Number> {
    let text = words.text;
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        let end = number_end(bytes, start);
        at = end;
        if let Some(kind) = kind(text, start, end) {
            found.push(Number {
                place: start..end,
                kind,
            });
        } else {
            // Whatever belongs to a name is passed over whole.
            while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.') {
                at += 1;
            }
        }
    }
    found.extend((0..words.len()).filter_map(|place| {
        let word = words.at(place);
        let counts = SPELT.contains(&words.plain(place)) && !is_fraction(words, place);
        counts.then_some(Number {
            place: word.start..word.end,
            kind: Kind::Spelt,
        })
    }));
    found
}

/// Whether a number in letters is part of a share: "three quarters", "four in five".
fn is_fraction(words: &Words<'_>, place: usize) -> bool {
    let ends = ["rds", "ths", "half", "halves", "quarters"];
    let next = words.plain(place + 1);
    let in_ratio = |at: usize| words.plain(at) == "in" || words.plain(at) == "of";
    ends.iter().any(|end| next.ends_with(end))
        || in_ratio(place + 1) && SPELT.contains(&words.plain(place + 2))
        || place > 1 && in_ratio(place - 1) && SPELT.contains(&words.plain(place - 2))
}

/// Past the digits from `start` on, with groups of thousands and a fraction.
fn number_end(bytes: &[u8], start: usize) -> usize {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(start);
    while bytes.get(end) == Some(&b',') && digits(end + 1) == end + 4 && end - start <= 3 {
        end += 4;
        while bytes.get(end) == Some(&b',') && digits(end + 1) == end + 4 {
            end += 4;
        }
    }
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    end
}

/// What the number at these bytes is, `None` where it is part of a name, a label or a ratio.
fn kind(text: &str, start: usize, end: usize) -> Option<Kind> {
    let (before, behind) = (&text[..start], &text[end..]);
    let mut lead = before.chars().rev();
    let upper = match lead.next() {
        None => None,
        Some(letter) if letter.is_whitespace() || "([<>=~≥≤±−$€£\"".contains(letter) => {
            None
        }
        Some('-' | '–') => match lead.next() {
            None => None,
            Some(letter) if letter.is_whitespace() || letter == '(' => None,
            Some(letter) if letter.is_ascii_digit() => Some(range_start(text, start)?),
            Some(_) => return None,
        },
        Some(_) => return None,
    };
    let unit = unit_end(behind)?;
    let rest = behind[unit..].trim_start();
    let percentage = behind.starts_with('%')
        || ["percent", "per cent", "percentage"]
            .iter()
            .any(|word| rest.starts_with(word));
    let previous = before.split_whitespace().next_back().unwrap_or("");
    let word = previous.trim_matches(|letter: char| !letter.is_alphanumeric());
    let lower = word.to_lowercase();
    let digits = &text[start..end];
    let joined = before.ends_with(' ') && previous.ends_with(word);
    if joined && !percentage {
        if listed(LABELS, &lower) {
            return None;
        }
        if listed(RANKS, &lower) {
            let rank = digits.len() == 1 && unit == 0;
            return rank.then_some(Kind::Rank);
        }
        // "PGE 2", "S 12": part of a name, where no unit follows.
        let named = word.len() > 1 && word.chars().skip(1).any(char::is_uppercase);
        if named && unit == 0 && !behind.starts_with(" m") {
            return None;
        }
    }
    // "16 to 24": the upper end alone is changed.
    let digit = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
    if let Some(upper_end) = rest
        .trim_start_matches('%')
        .trim_start()
        .strip_prefix("to ")
        && digit(upper_end)
    {
        return None;
    }
    if let Some(lower_end) = upper.or_else(|| before.strip_suffix(" to ").and_then(lower_end)) {
        return Some(Kind::Upper(lower_end));
    }
    if percentage {
        let interval = ["CI", "confidence", "credible", "prediction"];
        let of_interval = rest
            .trim_start_matches('%')
            .trim_start()
            .split(|letter: char| !letter.is_alphanumeric())
            .next()
            .is_some_and(|next| interval.contains(&next));
        return (!of_interval).then_some(Kind::Percentage);
    }
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole && digits.len() == 4 && unit == 0 && ("1800".."2100").contains(&digits) {
        return Some(Kind::Year);
    }
    if digits.starts_with("0.") && before.trim_end().ends_with(['=', '<', '>', '≤', '≥']) {
        return Some(Kind::Share);
    }
    // A singular cannot count another number; "1 in 5" stays below one.
    if matches!(digits, "0" | "1") || has_ratio(behind) {
        return None;
    }
    Some(Kind::Amount)
}

/// Past the unit that is glued to a number; `None` where what is glued to it makes it no number.
fn unit_end(behind: &str) -> Option<usize> {
    let mut letters = behind.chars();
    match letters.next() {
        None => Some(0),
        Some(letter) if letter.is_alphabetic() => {
            let end = behind
                .find(|letter: char| !letter.is_alphabetic())
                .unwrap_or(behind.len());
            listed(UNITS, &behind[..end]).then_some(end)
        }
        Some('-') => {
            let word = behind[1..]
                .split(|letter: char| !letter.is_alphabetic())
                .next()
                .unwrap_or("");
            listed(MEASURES, word).then_some(1 + word.len())
        }
        // The lower end of a range, a date, a ratio, a version, 5' of DNA: not touched.
        Some('–' | '\'' | '′' | '’' | '^' | '_' | '×') => None,
        Some('/' | ':' | '.' | ',') if letters.next().is_some_and(|next| next.is_ascii_digit()) => {
            None
        }
        Some(_) => Some(0),
    }
}

/// The lower end of the range whose upper end begins at `start`.
fn range_start(text: &str, start: usize) -> Option<usize> {
    let lead = text[..start].trim_end_matches(['-', '–']);
    let from = lead
        .rfind(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ',')
        .map_or(0, |at| {
            at + text[at..].chars().next().map_or(1, char::len_utf8)
        });
    let clean = lead[..from]
        .chars()
        .next_back()
        .is_none_or(|letter| letter.is_whitespace() || letter == '(');
    (clean && lead.len() > from).then_some(from)
}

/// Where the number begins that a text ends with, its unit aside.
fn lower_end(text: &str) -> Option<usize> {
    let word = text.rsplit(char::is_whitespace).next()?;
    let from = text.len() - word.len();
    let end = number_end(text.as_bytes(), from);
    (end > from && unit_end(&text[end..]).is_some()).then_some(from)
}

fn has_ratio(behind: &str) -> bool {
    let mut words = behind.split_whitespace();
    matches!(words.next(), Some("in" | "of" | "out"))
        && words
            .next()
            .is_some_and(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// A number without its point and commas, and how many digits stand behind the point.
fn scaled(digits: &str) -> Option<(u64, usize)> {
    let plain: String = digits.chars().filter(|letter| *letter != ',').collect();
    let decimals = plain.split_once('.').map_or(0, |(_, part)| part.len());
    let value = plain.replace('.', "").parse().ok()?;
    (value < u64::MAX / 1000).then_some((value, decimals))
}

fn written(value: u64, decimals: usize, grouped: bool) -> String {
    let mut digits = format!("{value:0width$}", width = decimals + 1);
    let fraction = digits.split_off(digits.len() - decimals);
    if grouped {
        let mut at = digits.len();
        while at > 3 {
            at -= 3;
            digits.insert(at, ',');
        }
    }
    if decimals > 0 {
        digits.push('.');
        digits.push_str(&fraction);
    }
    digits
}

/// What an amount is multiplied by: numerator and denominator.
const FACTORS: [(u64, u64); 8] = [
    (1, 4),
    (1, 3),
    (1, 2),
    (3, 5),
    (3, 2),
    (2, 1),
    (3, 1),
    (4, 1),
];

impl Number {
    /// Another number for this place that `new` allows.
    pub fn another(
        &self,
        text: &str,
        random: &mut Random,
        new: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let digits = &text[self.place.clone()];
        match self.kind {
            Kind::Spelt => {
                let lower = digits.to_ascii_lowercase();
                let first = random.below(SPELT.len());
                (0..SPELT.len())
                    .map(|step| SPELT[(first + step) % SPELT.len()])
                    .find(|other| **other != lower && new(other))
                    .map(|other| {
                        let mut other = other.to_owned();
                        if digits.starts_with(|letter: char| letter.is_ascii_uppercase()) {
                            other[..1].make_ascii_uppercase();
                        }
                        other
                    })
            }
            Kind::Year => {
                let year: u64 = digits.parse().ok()?;
                let first = random.below(20) as u64;
                (0..20)
                    .map(|step| (first + step) % 20)
                    .map(|step| {
                        if step < 10 {
                            year - 1 - step
                        } else {
                            year + step - 9
                        }
                    })
                    .filter(|other| (1800..2100).contains(other))
                    .map(|other| other.to_string())
                    .find(|other| new(other))
            }
            Kind::Rank => {
                let first = random.below(4);
                (0..4)
                    .map(|step| ((first + step) % 4 + 1).to_string())
                    .find(|other| other != digits && new(other))
            }
            _ => self.scaled_up_or_down(text, random, new),
        }
    }

    fn scaled_up_or_down(
        &self,
        text: &str,
        random: &mut Random,
        new: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let digits = &text[self.place.clone()];
        let (value, decimals) = scaled(digits)?;
        let one = 10u64.checked_pow(decimals as u32)?;
        let behind = &text[self.place.end..];
        let percentage = self.kind == Kind::Percentage || behind.starts_with('%');
        let most = match self.kind {
            Kind::Share => one - 1,
            _ if percentage => 100 * one,
            _ => u64::MAX,
        };
        let least = match self.kind {
            Kind::Upper(from) => {
                let lower = &text[from..number_end(text.as_bytes(), from)];
                let (lower, lower_decimals) = scaled(lower)?;
                let scale = 10u64.checked_pow(decimals.abs_diff(lower_decimals) as u32)?;
                let lower = if lower_decimals <= decimals {
                    lower * scale
                } else {
                    lower / scale
                };
                // A fall is no range.
                if lower >= value {
                    return None;
                }
                lower + 1
            }
            // Two and more: what is counted stands in the plural.
            Kind::Amount if decimals == 0 => 2,
            _ => 1,
        };
        let first = random.below(FACTORS.len());
        (0..FACTORS.len())
            .map(|step| FACTORS[(first + step) % FACTORS.len()])
            .map(|(up, down)| value * up / down)
            .filter(|&other| (least..=most).contains(&other))
            .filter(|&other| other.abs_diff(value) * 5 >= value && other != value)
            .map(|other| written(other, decimals, digits.contains(',')))
            .find(|other| new(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(&str, Kind)> {
        numbers(&Words::of(text))
            .into_iter()
            .map(|number| (&text[number.place], number.kind))
            .collect()
    }

    #[test]
    fn numbers_are_told_from_names_labels_and_ratios() {
        use Kind::{Amount, Percentage, Rank, Share, Spelt, Year};
        for (text, expected) in [
            (
                "32% of patients in 2001",
                vec![("32", Percentage), ("2001", Year)],
            ),
            (
                "40mg/day of vitamin B12, IL-10 and H3K9me3",
                vec![("40", Amount)],
            ),
            ("4-PBA and 5'-nucleotidase metabolize 6MP", vec![]),
            (
                "7-day-old mice, 30 mice, 1 mouse",
                vec![("7", Amount), ("30", Amount)],
            ),
            (
                "250,000 people, 2.5 mmol/l",
                vec![("250,000", Amount), ("2.5", Amount)],
            ),
            ("76-85% of people", vec![("85", Kind::Upper(0))]),
            ("10/66 dementia, Table 2, Figure 3", vec![]),
            ("type 2 diabetes, PGE 2", vec![("2", Rank)]),
            (
                "hazard ratio 0.69, 95% CI 0.56, p < 0.001",
                vec![("0.69", Amount), ("0.001", Share)],
            ),
            ("1 in 5 million", vec![("5", Amount)]),
            (
                "Two variants in three genes",
                vec![("Two", Spelt), ("three", Spelt)],
            ),
            (
                "at −40 °C and (12 of 15)",
                vec![("40", Amount), ("15", Amount)],
            ),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_number_keeps_its_format() {
        for (value, decimals, grouped, expected) in [
            (5, 0, false, "5"),
            (5, 2, false, "0.05"),
            (1250, 2, false, "12.50"),
            (1_250_000, 0, true, "1,250,000"),
            (999, 0, true, "999"),
        ] {
            assert_eq!(written(value, decimals, grouped), expected);
        }
    }
}
