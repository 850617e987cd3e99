//! Typing errors.

use orchestrator_plugin::{
    Augmenter, Call, Candidate, Config, Random, Result, Role, Samples, Sink,
};
use serde_json::json;

/// Character noise: each character may be deleted, swapped with the next, doubled by a neighbour on the keyboard, or
/// replaced by one. As a negative it is a text that looks like the positive and says it no more; as a positive it
/// teaches robustness to typing errors.
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
            out.push(letter);
        }
        (out, changed)
    }
}

impl Augmenter for CharNoise {
    fn augment(&self, samples: &Samples<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        for sample in samples.iter() {
            let mut random = call.random(&[sample.row as u64]);
            let (text, changed) = self.disturb(sample.text, &mut random);
            if text.trim().is_empty() || text == sample.text {
                sink.count("dropped: nothing changed or nothing left", 1);
                continue;
            }
            let mut candidate = if self.role == "positive" {
                Candidate::positive(sample.anchor, &text)
            } else {
                Candidate::negative(sample.anchor, &text)
            };
            if candidate.role == Role::Positive {
                candidate.label = sample.label;
            }
            candidate.document = sample.document;
            candidate.parent = Some(sample.row);
            candidate.weight = self.weight;
            candidate.detail = json!({ "characters_changed": changed }).to_string();
            sink.push(&candidate)?;
        }
        Ok(())
    }
}
