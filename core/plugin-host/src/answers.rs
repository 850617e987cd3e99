//! What plugins give back, and the checks it passes before anybody uses it. The same checks stand behind a plugin that
//! runs here, inside the child process of one that does not, and here again over what that child sends.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin_abi as abi;

/// Whether a sample is relevant to its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Relevant.
    Positive,
    /// Not relevant.
    Negative,
}

impl Role {
    /// The ABI's number for it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Positive => abi::role::POSITIVE,
            Self::Negative => abi::role::NEGATIVE,
        }
    }
}

/// A sample as a plugin emitted it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Number of the anchor.
    pub anchor: usize,
    /// Its role.
    pub role: Role,
    /// Not empty.
    pub text: String,
    /// Number of the document.
    pub document: Option<usize>,
    /// Row of the sample it was made from.
    pub parent: Option<usize>,
    /// 0..1.
    pub label: f32,
    /// > 0.
    pub weight: f32,
    /// Similarity that led to the choice.
    pub score: Option<f32>,
    /// 0..1, if the plugin fixed it.
    pub difficulty: Option<f32>,
    /// A JSON object, or empty.
    pub detail: String,
}

/// What a sampler or augmenter emitted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proposed {
    /// In the order emitted.
    pub candidates: Vec<Candidate>,
    /// What it counted.
    pub counts: BTreeMap<String, u64>,
}

/// What a filter thinks of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it stays.
    pub keep: bool,
    /// What was measured.
    pub score: Option<f32>,
    /// Why; may be empty.
    pub reason: String,
}

/// What a loss cannot work without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Positives.
    pub positives: bool,
    /// Negatives.
    pub negatives: bool,
    /// Teacher scores.
    pub teacher: bool,
}

impl Needs {
    pub(crate) fn of_bits(bits: u32) -> Self {
        Self {
            positives: bits & abi::needs::POSITIVES != 0,
            negatives: bits & abi::needs::NEGATIVES != 0,
            teacher: bits & abi::needs::TEACHER != 0,
        }
    }
}

/// What a loss gave.
#[derive(Debug, Clone, PartialEq)]
pub struct LossResult {
    /// The scalar, before the host's weight.
    pub loss: f64,
    /// `[rows]`; `None` where the row took no part.
    pub rows: Vec<Option<f32>>,
    /// `[texts, dim]`.
    pub gradient: Vec<f32>,
}

/// A sample as it comes in, nothing of it checked.
pub(crate) struct RawRow<'a> {
    pub role: i32,
    pub anchor: i64,
    pub document: i64,
    pub parent: i64,
    pub text: &'a [u8],
    pub label: f32,
    pub weight: f32,
    pub score: f32,
    pub difficulty: f32,
    pub detail: &'a [u8],
}

/// What samples may speak of.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// Anchors by number.
    pub anchors: &'a BTreeSet<usize>,
    /// Documents of the corpus, as far as it is lent.
    pub documents: usize,
    /// Rows that a sample may be made from.
    pub parents: usize,
    /// Whether each must be made from one.
    pub parent_needed: bool,
    /// Rows the plugin was given to work on.
    pub rows: usize,
}

impl Given<'_> {
    /// More than any plugin means to emit in one call; less than fills the memory of a machine.
    fn most_rows(&self) -> usize {
        const EACH: usize = 10_000;
        const AT_ALL: usize = 10_000_000;
        self.rows.max(10).saturating_mul(EACH).min(AT_ALL)
    }

    fn check(&self, row: &RawRow<'_>) -> Result<Candidate, String> {
        let text = |text: &[u8], what: &str| {
            std::str::from_utf8(text)
                .map(str::to_owned)
                .map_err(|_| format!("a {what} that is not UTF-8"))
        };
        let anchor = usize::try_from(row.anchor)
            .ok()
            .filter(|anchor| self.anchors.contains(anchor))
            .ok_or_else(|| format!("anchor {}, which was not among those given", row.anchor))?;
        let role = match row.role {
            abi::role::POSITIVE => Role::Positive,
            abi::role::NEGATIVE => Role::Negative,
            other => return Err(format!("the role {other}")),
        };
        let optional = |value: i64, bound: usize, what: &str| match usize::try_from(value) {
            Ok(value) if value < bound => Ok(Some(value)),
            Err(_) if value == -1 => Ok(None),
            _ => Err(format!("{what} {value}, of {bound}")),
        };
        let document = optional(row.document, self.documents, "document")?;
        let parent = optional(row.parent, self.parents, "parent")?;
        if parent.is_none() && self.parent_needed {
            return Err("a sample without a parent".to_owned());
        }
        let text_given = text(row.text, "text")?;
        if text_given.trim().is_empty() {
            return Err("an empty text".to_owned());
        }
        if !(0.0..=1.0).contains(&row.label) {
            return Err(format!("the label {}, not within 0..1", row.label));
        }
        if !(row.weight.is_finite() && row.weight > 0.0) {
            return Err(format!("the weight {}, not a positive number", row.weight));
        }
        if row.score.is_infinite() {
            return Err(format!("the score {}", row.score));
        }
        if !row.difficulty.is_nan() && !(0.0..=1.0).contains(&row.difficulty) {
            return Err(format!(
                "the difficulty {}, not within 0..1",
                row.difficulty
            ));
        }
        let detail = text(row.detail, "detail")?;
        if !detail.is_empty()
            && !serde_json::from_str::<serde_json::Value>(&detail)
                .is_ok_and(|value| value.is_object())
        {
            return Err(format!("a detail that is not a JSON object: {detail}"));
        }
        Ok(Candidate {
            anchor,
            role,
            text: text_given,
            document,
            parent,
            label: row.label,
            weight: row.weight,
            score: (!row.score.is_nan()).then_some(row.score),
            difficulty: (!row.difficulty.is_nan()).then_some(row.difficulty),
            detail,
        })
    }
}

/// Text that one call may give, in bytes: samples, reasons.
const MOST_BYTES: usize = 2 << 30;
/// Counters that one call may name, and how long their names may be.
const MOST_COUNTERS: usize = 1000;
const LONGEST_COUNTER: usize = 200;

/// Where samples are handed on before the call is over, so that they need not all be kept.
pub(crate) type HandOn<'a> = Box<dyn FnMut(Vec<Candidate>) + 'a>;

/// The samples of one call as they come in.
pub(crate) struct Emitted<'a> {
    given: Given<'a>,
    proposed: Proposed,
    rows: usize,
    bytes: usize,
    refused: Option<String>,
    hand_on: Option<HandOn<'a>>,
    kept_bytes: usize,
}

/// Kept before they are handed on.
const KEPT_BYTES: usize = 1 << 20;

impl<'a> Emitted<'a> {
    pub fn new(given: Given<'a>, hand_on: Option<HandOn<'a>>) -> Self {
        Self {
            given,
            proposed: Proposed::default(),
            rows: 0,
            bytes: 0,
            refused: None,
            hand_on,
            kept_bytes: 0,
        }
    }

    /// Takes a sample; `false`: it is refused, and what is wrong is what [`Self::close`] will say.
    pub fn push(&mut self, row: &RawRow<'_>) -> bool {
        let bytes = row.text.len().saturating_add(row.detail.len());
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let refused = if self.rows > self.given.most_rows() {
            format!(
                "more than {} samples for the {} rows it was given",
                self.given.most_rows(),
                self.given.rows
            )
        } else if self.bytes > MOST_BYTES {
            format!("more than {} MiB of text", MOST_BYTES >> 20)
        } else {
            match self.given.check(row) {
                Ok(candidate) => {
                    self.proposed.candidates.push(candidate);
                    self.kept_bytes += bytes + size_of::<Candidate>();
                    if self.kept_bytes > KEPT_BYTES {
                        self.hand_on();
                    }
                    return true;
                }
                Err(why) => why,
            }
        };
        self.refuse(format!("it emitted {refused}"));
        false
    }

    fn hand_on(&mut self) {
        if let Some(hand_on) = &mut self.hand_on {
            hand_on(std::mem::take(&mut self.proposed.candidates));
            self.kept_bytes = 0;
        }
    }

    fn refuse(&mut self, why: String) {
        self.refused.get_or_insert(why);
    }

    /// What it wrongly emitted first.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    pub fn count(&mut self, what: &[u8], n: u64) {
        let what = String::from_utf8_lossy(what);
        if what.len() > LONGEST_COUNTER {
            return self.refuse(format!(
                "it named a counter with {} bytes: {LONGEST_COUNTER} is the most",
                what.len()
            ));
        }
        let counts = &mut self.proposed.counts;
        if counts.len() >= MOST_COUNTERS && !counts.contains_key(what.as_ref()) {
            return self.refuse(format!("it named more than {MOST_COUNTERS} counters"));
        }
        let sum = counts.entry(what.into_owned()).or_insert(0);
        *sum = sum.saturating_add(n);
    }

    /// Everything that was emitted and not handed on; or what was wrong with it.
    pub fn close(mut self) -> Result<Proposed, String> {
        match self.refused.take() {
            Some(refused) => Err(refused),
            None => Ok(std::mem::take(&mut self.proposed)),
        }
    }
}

/// The reasons of one call as they come in.
pub(crate) struct Reasons {
    texts: Vec<String>,
    bytes: usize,
    refused: Option<String>,
}

impl Reasons {
    pub fn new(rows: usize) -> Self {
        Self {
            texts: vec![String::new(); rows],
            bytes: 0,
            refused: None,
        }
    }

    pub fn set(&mut self, row: u64, text: &[u8]) {
        let n = self.texts.len();
        self.bytes = self.bytes.saturating_add(text.len());
        let place = usize::try_from(row)
            .ok()
            .and_then(|row| self.texts.get_mut(row));
        let refused = match (place, std::str::from_utf8(text)) {
            _ if self.bytes > MOST_BYTES => {
                format!("it gave more than {} MiB of reasons", MOST_BYTES >> 20)
            }
            (Some(place), Ok(text)) => return text.clone_into(place),
            (None, _) => format!("it gave a reason for row {row} of {n}"),
            (_, Err(_)) => format!("it gave a reason for row {row} that is not UTF-8"),
        };
        self.refused.get_or_insert(refused);
    }

    pub fn close(self) -> Result<Vec<String>, String> {
        match self.refused {
            Some(refused) => Err(refused),
            None => Ok(self.texts),
        }
    }
}

/// One length for all of a call's outputs.
fn of_length<T>(values: &[T], n: usize, name: &str) -> Result<(), String> {
    if values.len() == n {
        return Ok(());
    }
    Err(format!("`{name}` has {} values, not {n}", values.len()))
}

/// A verdict a row.
pub(crate) fn verdicts(
    rows: usize,
    keep: &[u8],
    score: &[f32],
    reasons: Vec<String>,
) -> Result<Vec<Verdict>, String> {
    of_length(keep, rows, "keep")?;
    of_length(score, rows, "score")?;
    of_length(&reasons, rows, "reason")?;
    keep.iter()
        .zip(score)
        .zip(reasons)
        .enumerate()
        .map(|(row, ((&keep, &score), reason))| {
            if keep > 1 {
                return Err(format!("keep[{row}] is {keep}, neither 0 nor 1"));
            }
            if score.is_infinite() {
                return Err(format!("score[{row}] is {score}"));
            }
            Ok(Verdict {
                keep: keep == 1,
                score: (!score.is_nan()).then_some(score),
                reason,
            })
        })
        .collect()
}

/// The first `n` of `chosen`: distinct rows of a pool, no more than the budget.
pub(crate) fn chosen(
    rows: usize,
    budget: usize,
    mut chosen: Vec<u64>,
    n: u64,
) -> Result<Vec<usize>, String> {
    if n > budget as u64 || n > chosen.len() as u64 {
        return Err(format!("it chose {n} rows of a budget of {budget}"));
    }
    chosen.truncate(n as usize);
    let mut seen = BTreeSet::new();
    for &row in &chosen {
        if row >= rows as u64 {
            return Err(format!("it chose row {row} of a pool of {rows}"));
        }
        if !seen.insert(row) {
            return Err(format!("it chose row {row} twice"));
        }
    }
    Ok(chosen.into_iter().map(|row| row as usize).collect())
}

/// The loss of a step with a row's part of it for every row and a gradient for every embedding.
pub(crate) fn loss_result(
    (texts, dim, rows): (usize, usize, usize),
    loss: f64,
    row_loss: &[f32],
    gradient: Vec<f32>,
) -> Result<LossResult, String> {
    of_length(row_loss, rows, "row_loss")?;
    of_length(&gradient, texts * dim, "gradient")?;
    if !loss.is_finite() {
        return Err(format!("the loss is {loss}"));
    }
    if let Some(place) = gradient.iter().position(|value| !value.is_finite()) {
        let (text, column) = (place / dim, place % dim);
        return Err(format!(
            "the gradient of text {text} is {} at {column}",
            gradient[place]
        ));
    }
    if let Some(row) = row_loss.iter().position(|value| value.is_infinite()) {
        return Err(format!("the loss of row {row} is infinite"));
    }
    Ok(LossResult {
        loss,
        rows: row_loss
            .iter()
            .map(|loss| (!loss.is_nan()).then_some(*loss))
            .collect(),
        gradient,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(answer: Result<T, String>) -> String {
        answer.map_or_else(|why| why, |fine| format!("{fine:?}"))
    }

    #[test]
    fn answers_of_another_length_than_the_question_are_refused() {
        let reasons = |n| vec![String::new(); n];
        for (answer, said) in [
            (
                refused(verdicts(2, &[1], &[0.0; 2], reasons(2))),
                "`keep` has 1 values, not 2",
            ),
            (
                refused(verdicts(2, &[1; 2], &[0.0; 3], reasons(2))),
                "`score` has 3 values, not 2",
            ),
            (
                refused(verdicts(2, &[1; 2], &[0.0; 2], reasons(0))),
                "`reason` has 0 values, not 2",
            ),
            (
                refused(chosen(9, 2, vec![1, 2, 3], 3)),
                "it chose 3 rows of a budget of 2",
            ),
            (
                refused(chosen(9, 5, vec![1, 2], 4)),
                "it chose 4 rows of a budget of 5",
            ),
            (
                refused(loss_result((2, 3, 1), 0.0, &[0.0; 2], vec![0.0; 6])),
                "`row_loss` has 2 values, not 1",
            ),
            (
                refused(loss_result((2, 3, 1), 0.0, &[0.0], vec![0.0; 5])),
                "`gradient` has 5 values, not 6",
            ),
        ] {
            assert_eq!(answer, said);
        }
    }

    #[test]
    fn samples_without_end_are_refused_and_what_was_handed_on_is_not_kept() {
        let anchors = BTreeSet::from([7]);
        let given = Given {
            anchors: &anchors,
            documents: 0,
            parents: 0,
            parent_needed: false,
            rows: 1,
        };
        let text = "word ".repeat(100);
        let row = RawRow {
            role: abi::role::NEGATIVE,
            anchor: 7,
            document: -1,
            parent: -1,
            text: text.as_bytes(),
            label: 0.0,
            weight: 1.0,
            score: f32::NAN,
            difficulty: f32::NAN,
            detail: b"",
        };
        let handed_on = std::cell::Cell::new(0);
        let hand_on: HandOn<'_> = Box::new(|rows| handed_on.set(handed_on.get() + rows.len()));
        let mut emitted = Emitted::new(given, Some(hand_on));
        let taken = (0..).take_while(|_| emitted.push(&row)).count();
        let kept = emitted.proposed.candidates.len();
        assert_eq!(taken, 100_000);
        assert!(kept < 3_000, "{kept}");
        assert_eq!(handed_on.get() + kept, taken);
        assert_eq!(
            emitted.close().err().as_deref(),
            Some("it emitted more than 100000 samples for the 1 rows it was given")
        );
    }
}
