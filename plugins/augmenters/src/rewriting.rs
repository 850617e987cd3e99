//! Texts rewritten by a language model: what is asked, and what of the answer is taken. The endpoint is the host's.

use std::collections::BTreeSet;

use orchestrator_plugin::{Call, Error, Result, Role, Sample, Samples, Sink};
use serde_json::{Value, json};

use crate::outcome::{Positives, outcome, words_only};

/// How many requests are handed to the host at a time: enough for any concurrency, few enough to stop soon.
const BLOCK: usize = 512;

/// What an augmenter of this kind is set to.
pub struct Rewriting<'s> {
    /// What the text becomes.
    pub role: Role,
    pub model: &'s str,
    pub system: &'s str,
    pub prompt: &'s str,
    pub max_tokens: u32,
    pub temperature: f64,
    pub per_sample: usize,
    pub weight: f32,
}

/// Refuses a prompt without a place for the text.
pub fn check_prompt(prompt: &str) -> Result<()> {
    if prompt.contains("{text}") {
        return Ok(());
    }
    Err(Error::config(
        "/prompt",
        "has no {text}: the model would not see the text it is to rewrite",
    ))
}

impl Rewriting<'_> {
    /// Asks for every positive and takes what is good.
    pub fn augment(
        &self,
        samples: &Samples<'_>,
        call: &Call<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let chat = call.chat()?;
        let positives = Positives::of(samples);
        let (given, passed_over): (Vec<Sample<'_>>, Vec<Sample<'_>>) = samples
            .iter()
            .partition(|sample| sample.role == Role::Positive);
        if !passed_over.is_empty() {
            sink.count("passed over: negative", passed_over.len());
        }
        let (mut answered, mut failure) = (false, None);
        for (block, some) in given.chunks(BLOCK.div_ceil(self.per_sample)).enumerate() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let done = block * BLOCK.div_ceil(self.per_sample);
            call.progress(done as u64, given.len() as u64, "samples");
            let requests: Vec<Value> = some
                .iter()
                .flat_map(|sample| (0..self.per_sample).map(|n| self.request(sample, n, call)))
                .collect();
            sink.count("asked", requests.len());
            let answers = chat.complete(&requests)?;
            for (sample, answers) in some.iter().zip(answers.chunks(self.per_sample)) {
                let mut seen = BTreeSet::new();
                for answer in answers {
                    let text = match answer {
                        Ok(answer) => {
                            answered = true;
                            self.take(sample, answer, &positives, &mut seen)
                        }
                        Err(why) => {
                            failure.get_or_insert_with(|| why.clone());
                            Err(first_line(why))
                        }
                    };
                    match text {
                        Ok(text) => {
                            self.push(sample, &text, sink)?;
                            sink.count("found", 1);
                        }
                        Err(why) => sink.count(&format!("dropped: {why}"), 1),
                    }
                }
            }
        }
        match failure {
            Some(why) if !answered => Err(Error::data(format!(
                "every request to the model `{}` failed, the first so: {why}",
                self.model
            ))),
            _ => Ok(()),
        }
    }

    /// The body of `POST /chat/completions`.
    fn request(&self, sample: &Sample<'_>, n: usize, call: &Call<'_>) -> Value {
        let mut messages = Vec::new();
        if !self.system.is_empty() {
            messages.push(json!({ "role": "system", "content": self.system }));
        }
        let prompt = filled(self.prompt, sample.text, sample.anchor_text);
        messages.push(json!({ "role": "user", "content": prompt }));
        // 31 bits: there are servers that keep seeds in signed 32.
        let seed = call.random(&[sample.row as u64, n as u64]).bits() >> 33;
        json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": seed,
        })
    }

    /// The text of an answer, or why it is not taken.
    fn take(
        &self,
        sample: &Sample<'_>,
        answer: &str,
        positives: &Positives,
        seen: &mut BTreeSet<String>,
    ) -> std::result::Result<String, String> {
        let refuse = |why: &str| Err(why.to_owned());
        let text = cleaned(answer);
        if text.is_empty() {
            return refuse("an empty answer");
        }
        if declines(text) {
            return refuse("the model declined");
        }
        let said = words_only(text);
        if said == words_only(sample.text) || said == words_only(sample.anchor_text) {
            return refuse("the answer is the source");
        }
        let (length, source) = (words(text), words(sample.text));
        if length > self.max_tokens as usize || length > 3 * source.max(10) {
            return refuse("the answer is too long");
        }
        if self.role == Role::Negative && positives.has(sample.anchor, text) {
            return refuse("a known positive says it");
        }
        if !seen.insert(said) {
            return refuse("the same answer twice");
        }
        Ok(text.to_owned())
    }

    fn push(&self, sample: &Sample<'_>, text: &str, sink: &mut Sink<'_>) -> Result<()> {
        let mut candidate = outcome(sample, self.role, text, self.weight);
        candidate.detail = json!({ "model": self.model }).to_string();
        sink.push(&candidate)
    }
}

fn first_line(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    let cut = line
        .char_indices()
        .nth(120)
        .map_or(line.len(), |(at, _)| at);
    line[..cut].trim_end().to_owned()
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The template with its places filled, in one pass: a text that has braces of its own stays as it is.
fn filled(template: &str, text: &str, anchor: &str) -> String {
    let mut out = String::with_capacity(template.len() + text.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("{text}") {
            out.push_str(text);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("{anchor}") {
            out.push_str(anchor);
            rest = behind;
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// Words that models put before an answer, with a colon.
const LABELS: [&str; 16] = [
    "answer",
    "claim",
    "contradiction",
    "contradictory claim",
    "contradictory statement",
    "new claim",
    "new statement",
    "negated claim",
    "negation",
    "opposite",
    "output",
    "paraphrase",
    "paraphrased statement",
    "rewritten statement",
    "statement",
    "text",
];

/// An answer without the thoughts, fences, labels and quotation marks around it.
fn cleaned(answer: &str) -> &str {
    // What reasoning models think aloud.
    let mut text = answer.rsplit("</think>").next().unwrap_or(answer).trim();
    // The fence, and the language after it.
    if let Some(inner) = text.strip_prefix("```") {
        let inner = inner.split("```").next().unwrap_or(inner);
        text = inner.split_once('\n').map_or(inner, |(first, rest)| {
            if first.trim().contains(' ') {
                inner
            } else {
                rest
            }
        });
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    // "Here is the statement:" and the statement below it.
    text = match lines.next() {
        Some(second) if first.trim_end_matches(['*', '_']).ends_with(':') => second,
        _ => first,
    };
    loop {
        let before = text;
        text = bare(text);
        if text == before {
            return text;
        }
    }
}

/// One layer less of what may stand around a statement.
fn bare(text: &str) -> &str {
    const PAIRS: [(&str, &str); 9] = [
        ("\"", "\""),
        ("'", "'"),
        ("\u{201C}", "\u{201D}"),
        ("\u{2018}", "\u{2019}"),
        ("«", "»"),
        ("`", "`"),
        ("**", "**"),
        ("*", "*"),
        ("_", "_"),
    ];
    let text = text.trim();
    for (open, close) in PAIRS {
        if let Some(inner) = text
            .strip_prefix(open)
            .and_then(|text| text.strip_suffix(close))
            // Two quotations side by side are no pair.
            && !inner.contains(open)
            && !inner.contains(close)
        {
            return inner;
        }
    }
    if let Some((label, rest)) = text.split_once(':') {
        let label = label.trim_matches(['*', '_', ' ', '#']).to_lowercase();
        if LABELS.contains(&label.as_str()) && !rest.trim().is_empty() {
            return rest.trim_start_matches(['*', '_']);
        }
    }
    for mark in ["- ", "* ", "> "] {
        if let Some(rest) = text.strip_prefix(mark) {
            return rest;
        }
    }
    let item = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    for mark in [". ", ") "] {
        if item.len() < text.len()
            && let Some(rest) = item.strip_prefix(mark)
        {
            return rest;
        }
    }
    text
}

/// Whether a model says that it will not.
fn declines(text: &str) -> bool {
    let lower = text.to_lowercase().replace('\u{2019}', "'");
    [
        "i'm sorry",
        "i am sorry",
        "sorry,",
        "i cannot",
        "i can't",
        "i'm unable",
        "i am unable",
        "i won't",
        "as an ai",
        "as a language model",
    ]
    .iter()
    .any(|start| lower.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_freed_of_what_stands_around_it() {
        for (answer, expected) in [
            ("A lowers B.", "A lowers B."),
            ("  \"A lowers B.\"\n", "A lowers B."),
            ("Contradiction: A lowers B.", "A lowers B."),
            (
                "**Contradiction:** \u{201C}A lowers B.\u{201D}",
                "A lowers B.",
            ),
            (
                "Here is the opposite statement:\n\nA lowers B.\n\nIt differs in one word.",
                "A lowers B.",
            ),
            ("<think>raise? lower!</think>\nA lowers B.", "A lowers B."),
            ("```text\nA lowers B.\n```", "A lowers B."),
            ("1. A lowers B.", "A lowers B."),
            ("- A lowers B.", "A lowers B."),
            (
                "1.5 mg of A lowers B: a trial.",
                "1.5 mg of A lowers B: a trial.",
            ),
            ("\"A\" lowers \"B\"", "\"A\" lowers \"B\""),
            ("2001: A lowers B.", "2001: A lowers B."),
            ("\n \n", ""),
            ("", ""),
        ] {
            assert_eq!(cleaned(answer), expected, "{answer}");
        }
    }

    #[test]
    fn a_template_is_filled_in_one_pass() {
        assert_eq!(
            filled("{anchor} | {text} {x} {", "a {anchor} b", "c {text}"),
            "c {text} | a {anchor} b {x} {"
        );
    }
}
