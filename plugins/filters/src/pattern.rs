//! Texts that look like something.

use orchestrator_plugin::{Call, Config, Error, Filter, Result, Sample, Samples, Verdict};
use regex::{Regex, RegexBuilder};

/// Drops texts that match a regular expression, or keeps only those that match one. A text goes if it matches any of
/// `drop`; of the rest, if `keep` has any, it stays only if it matches one of them. Positives and negatives alike.
///
/// The expressions are those of the Rust crate `regex`: no look-around and no back-references, so that a text is judged
/// in linear time. They match anywhere in the text as it is; `^` and `$` stand for its ends, `(?m)` makes them those
/// of its lines.
#[derive(Config)]
#[config(check = Self::check)]
pub struct Pattern {
    /// Regular expressions: a text that matches one goes.
    #[config(default = Vec::new())]
    drop: Vec<String>,
    /// Regular expressions: a text that matches none of them goes.
    #[config(default = Vec::new())]
    keep: Vec<String>,
    /// Whether `a` matches `A`.
    #[config(default = false)]
    ignore_case: bool,
}

impl Pattern {
    fn check(&self) -> Result<()> {
        if self.drop.is_empty() && self.keep.is_empty() {
            return Err(Error::config("", "neither `drop` nor `keep` has a pattern"));
        }
        self.expressions().map(|_| ())
    }

    fn compile(&self, key: &str, patterns: &[String]) -> Result<Vec<Regex>> {
        let one = |(place, pattern): (usize, &String)| {
            RegexBuilder::new(pattern)
                .case_insensitive(self.ignore_case)
                .build()
                .map_err(|error| {
                    // The first lines draw the expression with a mark under it.
                    let said = error.to_string();
                    let why = said.lines().last().unwrap_or_default();
                    let why = why.trim().trim_start_matches("error: ");
                    Error::config(
                        format!("/{key}/{place}"),
                        format!("`{pattern}` is not a regular expression: {why}"),
                    )
                })
        };
        patterns.iter().enumerate().map(one).collect()
    }

    fn expressions(&self) -> Result<(Vec<Regex>, Vec<Regex>)> {
        Ok((
            self.compile("drop", &self.drop)?,
            self.compile("keep", &self.keep)?,
        ))
    }
}

fn verdict(sample: &Sample<'_>, drop: &[Regex], keep: &[Regex]) -> Verdict {
    for pattern in drop {
        if let Some(found) = pattern.find(sample.text) {
            let found: String = found.as_str().chars().take(60).collect();
            return Verdict::drop(format!("\"{found}\" matches `{pattern}`"));
        }
    }
    let wanted = keep.is_empty() || keep.iter().any(|pattern| pattern.is_match(sample.text));
    Verdict::keep_if(wanted, || "matches none of `keep`".to_owned())
}

impl Filter for Pattern {
    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let (drop, keep) = self.expressions()?;
        samples
            .iter()
            .map(|sample| {
                if sample.row % 4096 == 4095 && call.is_cancelled() {
                    return Err(Error::cancelled());
                }
                Ok(verdict(&sample, &drop, &keep))
            })
            .collect()
    }
}
