//! Typing and scanning errors.

use orchestrator_plugin::{Augmenter, Call, Config, Error, Random, Result, Role, Samples, Sink};
use serde_json::json;

use crate::outcome::{outcome, role};

/// Character noise: each character may be deleted, swapped with the next, doubled by a neighbour on the keyboard, or
/// replaced by one, or by what optical character recognition takes it for. As a negative it is a text that looks like the
/// positive and says it no more; as a positive it teaches robustness to such errors.
///
/// What is confused in scanning: for letters MobileRead's "OCR villains" (wiki.mobileread.com/wiki/OCR_villains: rn/m,
/// cl/d, e/c, h/b, n/u …), for digits Genetec's "OCR equivalence" (0/O/D/Q, 1/I, 2/Z, 5/S, 6/G, 8/B). Characters that are in
/// neither stay.
///
/// As positives it makes nothing of negatives.
#[derive(Config)]
pub struct CharNoise {
    /// Role of what comes out.
    #[config(default = "negative", one_of = ["negative", "positive"])]
    role: String,
    /// Share of characters deleted.
    #[config(default = 0.3, min = 0, max = 1)]
    delete: f64,
    /// Share of characters swapped with the next.
    #[config(default = 0.0, min = 0, max = 1)]
    swap: f64,
    /// Share of characters followed by a neighbour on the keyboard.
    #[config(default = 0.0, min = 0, max = 1)]
    insert: f64,
    /// Share of characters replaced by a neighbour on the keyboard.
    #[config(default = 0.0, min = 0, max = 1)]
    keyboard: f64,
    /// Share of characters replaced by what scanning takes them for.
    #[config(default = 0.0, min = 0, max = 1)]
    ocr: f64,
    /// Weight of what comes out.
    #[config(default = 1.0, above = 0)]
    weight: f32,
}

const KEYS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

/// A key beside `letter` on an English keyboard; the letter itself if it is not on one.
fn neighbour(letter: char, random: &mut Random) -> char {
    let lower = letter.to_ascii_lowercase();
    let Some((row, place)) = KEYS
        .iter()
        .enumerate()
        .find_map(|(row, keys)| keys.find(lower).map(|place| (row, place)))
    else {
        return letter;
    };
    let mut near = Vec::new();
    for keys in &KEYS[row.saturating_sub(1)..=(row + 1).min(2)] {
        for beside in place.saturating_sub(1)..=place + 1 {
            if let Some(&key) = keys.as_bytes().get(beside)
                && key as char != lower
            {
                near.push(key as char);
            }
        }
    }
    let chosen = random.choose(&near).copied().unwrap_or(lower);
    if letter.is_ascii_uppercase() {
        chosen.to_ascii_uppercase()
    } else {
        chosen
    }
}

/// What scanning takes two characters for.
fn misread_pair(pair: [char; 2]) -> Option<&'static str> {
    Some(match pair {
        ['r', 'n'] | ['i', 'n'] => "m",
        ['c', 'l'] => "d",
        ['r', 'i'] => "n",
        ['i', 'i'] => "u",
        ['l', 'i'] => "h",
        ['v', 'v'] => "w",
        _ => return None,
    })
}

/// What scanning takes one character for.
fn misread(letter: char) -> &'static [&'static str] {
    match letter {
        '0' => &["O", "D", "Q"],
        'O' => &["0", "D", "Q"],
        'D' | 'Q' => &["0", "O"],
        '1' => &["l", "I", "i"],
        'l' => &["1", "I", "i"],
        'I' => &["1", "l", "i"],
        'i' => &["1", "l", "I"],
        '2' => &["Z"],
        'Z' => &["2"],
        '5' => &["S"],
        'S' => &["5"],
        '6' => &["G"],
        'G' => &["6"],
        '8' => &["B"],
        'B' => &["8", "R"],
        'R' => &["B"],
        'F' => &["P"],
        'P' => &["F"],
        'b' => &["h"],
        'c' => &["e"],
        'd' => &["cl"],
        'e' => &["c"],
        'h' => &["b", "li"],
        'm' => &["rn", "in"],
        'n' => &["u", "ri"],
        'r' => &["f"],
        'u' => &["n", "ii"],
        'v' => &["y"],
        'w' => &["vv"],
        'y' => &["v"],
        _ => &[],
    }
}

impl CharNoise {
    fn disturb(&self, text: &str, random: &mut Random) -> (String, usize) {
        let letters: Vec<char> = text.chars().collect();
        let mut out = String::with_capacity(text.len());
        let (mut changed, mut place) = (0, 0);
        while let Some(&letter) = letters.get(place) {
            place += 1;
            if letter.is_whitespace() {
                out.push(letter);
                continue;
            }
            let draw = random.unit();
            let mut bound = self.delete;
            if draw < bound {
                changed += 1;
                continue;
            }
            bound += self.swap;
            if draw < bound {
                if let Some(&next) = letters.get(place) {
                    out.push(next);
                    place += 1;
                    changed += 1;
                }
                out.push(letter);
                continue;
            }
            bound += self.insert;
            if draw < bound {
                out.push(letter);
                out.push(neighbour(letter, random));
                changed += 1;
                continue;
            }
            bound += self.keyboard;
            if draw < bound {
                let other = neighbour(letter, random);
                changed += usize::from(other != letter);
                out.push(other);
                continue;
            }
            bound += self.ocr;
            if draw < bound {
                let pair = letters
                    .get(place)
                    .and_then(|&next| misread_pair([letter, next]));
                if let Some(seen) = pair {
                    out.push_str(seen);
                    place += 1;
                    changed += 2;
                    continue;
                }
                if let Some(seen) = random.choose(misread(letter)) {
                    out.push_str(seen);
                    changed += 1;
                    continue;
                }
            }
            out.push(letter);
        }
        (out, changed)
    }
}

impl Augmenter for CharNoise {
    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
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
            let (text, changed) = self.disturb(sample.text, &mut random);
            if text.trim().is_empty() || text == sample.text {
                sink.count("dropped: nothing changed or nothing left", 1);
                continue;
            }
            let mut candidate = outcome(&sample, role, &text, self.weight);
            candidate.detail = json!({ "characters_changed": changed }).to_string();
            sink.push(&candidate)?;
        }
        Ok(())
    }
}
