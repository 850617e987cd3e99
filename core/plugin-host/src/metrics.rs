//! Numbers that plugins report: what they may be, and how those of several calls become one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Names that a call may report.
const MOST_NAMES: usize = 32;
/// Bytes of a name.
const LONGEST_NAME: usize = 64;

/// What one call reports: each name with its last value.
#[derive(Debug, Default)]
pub(crate) struct OfCall {
    values: BTreeMap<String, f64>,
    refused: Option<String>,
}

impl OfCall {
    /// Takes a number, unless it may not be reported; what was refused is the end of the call.
    pub fn set(&mut self, name: &[u8], value: f64) -> bool {
        if self.refused.is_some() {
            return false;
        }
        match self.check(name, value) {
            Ok(name) => {
                self.values.insert(name.to_owned(), value);
                true
            }
            Err(why) => {
                self.refused = Some(why);
                false
            }
        }
    }

    fn check<'n>(&self, name: &'n [u8], value: f64) -> Result<&'n str, String> {
        if name.len() > LONGEST_NAME {
            return Err(format!(
                "a metric whose name has {} bytes, more than {LONGEST_NAME}",
                name.len()
            ));
        }
        let text =
            std::str::from_utf8(name).map_err(|_| "a metric whose name is not UTF-8".to_owned())?;
        if !text.split('/').all(is_word) {
            return Err(format!(
                "a metric called {text:?}: names are words of a-z, 0-9 and _, parted by /"
            ));
        }
        if !value.is_finite() {
            return Err(format!("the metric `{text}` is {value}"));
        }
        if self.values.len() >= MOST_NAMES && !self.values.contains_key(text) {
            return Err(format!("more than {MOST_NAMES} metrics in one call"));
        }
        Ok(text)
    }

    /// What was reported, in the order of names, or what was refused.
    pub fn close(self) -> Result<BTreeMap<String, f64>, String> {
        match self.refused {
            None => Ok(self.values),
            Some(why) => Err(why),
        }
    }
}

fn is_word(word: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    word.starts_with(|first: char| first.is_ascii_lowercase()) && word.bytes().all(rest)
}

/// Takes what calls report. Lent to one call after another, it keeps the mean of each name over the calls that reported it.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<String, (f64, u32)>>);

impl Metrics {
    pub(crate) fn add(&self, of_call: BTreeMap<String, f64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in of_call {
            let sum = all.entry(name).or_insert((0.0, 0));
            *sum = (sum.0 + value, sum.1 + 1);
        }
    }

    /// The mean of each name, in the order of names, always finite; nothing is kept of it.
    #[must_use]
    pub fn take(&self) -> Vec<(String, f64)> {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mean = |(sum, n): (f64, u32)| (sum / f64::from(n)).clamp(f64::MIN, f64::MAX);
        all.into_iter()
            .map(|(name, sum)| (name, mean(sum)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_parted_by_slashes() {
        let long = "a".repeat(LONGEST_NAME + 1);
        for (name, said) in [
            (&b"accuracy"[..], None),
            (b"dropped/too_short_2", None),
            (&long.as_bytes()[1..], None),
            (long.as_bytes(), Some("has 65 bytes")),
            (b"", Some("called \"\"")),
            (b"Accuracy", Some("words of a-z")),
            (b"2nd", Some("words of a-z")),
            (b"a/", Some("words of a-z")),
            (b"a//b", Some("words of a-z")),
            (b"a b", Some("words of a-z")),
            ("größe".as_bytes(), Some("words of a-z")),
            (b"a\xffb", Some("not UTF-8")),
        ] {
            let mut call = OfCall::default();
            assert_eq!(call.set(name, 1.0), said.is_none(), "{name:?}");
            match (call.close(), said) {
                (Ok(values), None) => assert_eq!(values.len(), 1),
                (Err(why), Some(said)) => assert!(why.contains(said), "{why}"),
                (found, _) => panic!("{name:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_last_value_of_a_call_counts_and_the_mean_of_calls() {
        let metrics = Metrics::default();
        for values in [[5.0, 1.0], [f64::MAX, f64::MAX], [0.0, f64::MAX]] {
            let mut call = OfCall::default();
            assert!(call.set(b"a", 9.0) && call.set(b"b", values[1]) && call.set(b"a", values[0]));
            metrics.add(call.close().expect("all may be"));
        }
        let found = metrics.take();
        assert_eq!(found[0], ("a".to_owned(), f64::MAX / 3.0));
        assert_eq!(found[1], ("b".to_owned(), f64::MAX), "no infinity");
        assert!(metrics.take().is_empty());
    }

    #[test]
    fn more_names_than_a_call_may_report_and_no_numbers_are_refused() {
        let mut call = OfCall::default();
        let set = |call: &mut OfCall, n: usize| call.set(format!("m{n}").as_bytes(), n as f64);
        assert!((0..MOST_NAMES).all(|n| set(&mut call, n)));
        assert!(set(&mut call, 0), "a name it knows");
        assert!(!set(&mut call, MOST_NAMES));
        assert!(!set(&mut call, 0), "it is over");
        assert!(call.close().expect_err("too many").contains("more than 32"));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut call = OfCall::default();
            assert!(!call.set(b"loss", value));
            assert!(call.close().expect_err("no number").contains("`loss` is"));
        }
    }
}
