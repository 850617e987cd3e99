//! Samples that say again what another one says.

use std::collections::HashMap;

use orchestrator_plugin::{
    Call, Config, Error, Filter, Result, Role, Sample, Samples, Verdict, abi,
};

use crate::minhash::{Buckets, MinHash};
use crate::shingles::{beginning, chain, jaccard, shingles, words};

/// Drops samples whose text repeats another's, exactly or nearly. Exactly is equal after lower-casing and folding
/// spaces. Nearly is a Jaccard similarity of the sets of word shingles of at least `threshold` (Broder 1997). Candidates
/// are found by MinHash and banding, tuned so that a pair at the threshold is missed once in a million, and then compared
/// exactly: the score of a dropped sample is the Jaccard similarity itself.
///
/// Of two that repeat each other the first by order stays, and what was kept in an earlier round goes first of all. A
/// positive is never dropped because of a negative: positives are compared with positives, negatives with both, so a
/// negative that repeats a positive of its own anchor goes. What is dropped already counts for nothing: if the second
/// repeats the first and the third only the second, the third stays. Labels and weights are not looked at.
///
/// Words are runs of letters and digits, so texts that differ in marks alone are near repeats of similarity 1. An edit
/// of one word of a long text is a near repeat as well (one word of 60 leaves a similarity of 0.9): name the augmenters
/// that edit so on purpose in `spare`.
#[derive(Config)]
pub struct Duplicate {
    /// What is compared: samples of one `anchor`, or `all`: then a document serves one anchor only.
    #[config(default = "anchor", one_of = ["anchor", "all"])]
    scope: String,
    /// Words in a shingle. Texts of fewer words are one shingle.
    #[config(default = 3, min = 1)]
    shingle: usize,
    /// How many MinHash permutations: more find near repeats with fewer needless comparisons, and take longer.
    #[config(default = 128, min = 16, max = 4096)]
    permutations: usize,
    /// The least Jaccard similarity, 0..1, of a near repeat.
    #[config(default = 0.9, above = 0, max = 1)]
    threshold: f64,
    /// Names of sources (samplers and augmenters, as the experiment calls them) whose samples take no part in the
    /// comparison of near repeats: only exact ones are dropped.
    #[config(default = Vec::new())]
    spare: Vec<String>,
}

/// Text in lower case with single spaces, into `out`.
fn normalise(text: &str, out: &mut String) {
    out.clear();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.is_ascii() {
            out.extend(
                word.bytes()
                    .map(|byte| char::from(byte.to_ascii_lowercase())),
            );
        } else {
            out.push_str(&word.to_lowercase());
        }
    }
}

/// A distinct text: its shingles, sorted, and the keys of its signature's bands.
struct Text {
    shingles: Vec<u64>,
    keys: Vec<u64>,
}

impl Text {
    /// The buckets it meets others of its group in.
    fn keys(&self, group: i64) -> impl Iterator<Item = u64> {
        self.keys
            .iter()
            .map(move |&key| chain(&[key, group as u64]))
    }
}

/// A sample that stays, and that later ones are compared with.
struct Kept<'a> {
    sample: Sample<'a>,
    text: usize,
    earlier: bool,
}

/// Everything compared so far.
struct Comparison<'a, 'f> {
    filter: &'f Duplicate,
    hashes: MinHash,
    numbers: HashMap<String, usize>,
    texts: Vec<Text>,
    kept: Vec<Kept<'a>>,
    /// By group and text: a few, of both roles.
    equal: HashMap<(i64, usize), Vec<u32>>,
    buckets: Buckets,
    normalised: String,
}

impl<'a> Comparison<'a, '_> {
    /// Samples of different groups are never compared.
    fn group(&self, sample: &Sample<'_>) -> i64 {
        if self.filter.scope == "all" {
            -1
        } else {
            sample.anchor
        }
    }

    fn number(&mut self, text: &str) -> usize {
        normalise(text, &mut self.normalised);
        if let Some(&number) = self.numbers.get(&self.normalised) {
            return number;
        }
        let shingles = shingles(&words(text), self.filter.shingle);
        let keys = if shingles.is_empty() {
            Vec::new()
        } else {
            self.hashes.keys(&shingles)
        };
        self.texts.push(Text { shingles, keys });
        let number = self.texts.len() - 1;
        self.numbers.insert(self.normalised.clone(), number);
        number
    }

    fn spared(&self, sample: &Sample<'_>) -> bool {
        self.filter.spare.iter().any(|name| name == sample.source)
    }

    fn keep(&mut self, sample: Sample<'a>, text: usize, earlier: bool) {
        let group = self.group(&sample);
        let number = self.kept.len() as u32;
        self.equal.entry((group, text)).or_default().push(number);
        if !self.spared(&sample) {
            self.buckets.insert(number, self.texts[text].keys(group));
        }
        self.kept.push(Kept {
            sample,
            text,
            earlier,
        });
    }

    /// What `sample` repeats, and how nearly: a positive of its own anchor before anything else, then the first.
    fn repeated(&self, sample: &Sample<'_>, text: usize) -> Option<(&Kept<'a>, f64)> {
        let group = self.group(sample);
        let order = |number: u32| {
            let kept = &self.kept[number as usize].sample;
            let own = kept.role == Role::Positive && kept.anchor == sample.anchor;
            (!own, number)
        };
        let comparable = |number: &u32| {
            sample.role == Role::Negative
                || self.kept[*number as usize].sample.role == Role::Positive
        };
        let equal = self.equal.get(&(group, text)).into_iter().flatten();
        if let Some(number) = equal
            .copied()
            .filter(comparable)
            .min_by_key(|&number| order(number))
        {
            return Some((&self.kept[number as usize], 1.0));
        }
        if self.spared(sample) {
            return None;
        }
        self.buckets
            .meeting(self.texts[text].keys(group))
            .into_iter()
            .filter(comparable)
            .filter_map(|number| {
                let other = &self.texts[self.kept[number as usize].text];
                let set = &self.texts[text].shingles;
                Some((
                    number,
                    jaccard(set, &other.shingles, self.filter.threshold)?,
                ))
            })
            .min_by_key(|&(number, _)| order(number))
            .map(|(number, similarity)| (&self.kept[number as usize], similarity))
    }

    fn verdict(&mut self, sample: Sample<'a>) -> Verdict {
        let text = self.number(sample.text);
        let Some((kept, similarity)) = self.repeated(&sample, text) else {
            self.keep(sample, text, false);
            return Verdict::keep();
        };
        let how = if kept.text == text {
            "repeats".to_owned()
        } else {
            format!("nearly repeats (Jaccard {similarity:.3})")
        };
        let role = match kept.sample.role {
            Role::Positive => "positive",
            Role::Negative => "negative",
        };
        let whose = if kept.sample.anchor == sample.anchor {
            "its anchor"
        } else {
            "another anchor"
        };
        let when = if kept.earlier {
            ", kept in an earlier round"
        } else {
            ""
        };
        let first = beginning(kept.sample.text);
        Verdict::drop(format!("{how} a {role} of {whose}{when}: \"{first}\""))
            .scored(similarity as f32)
    }
}

impl Filter for Duplicate {
    const SERVICES: &'static [&'static str] = &[abi::service::POOL];

    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let mut random = call.random(&[]);
        let mut comparison = Comparison {
            filter: self,
            hashes: MinHash::new(self.permutations, self.threshold, || random.bits()),
            numbers: HashMap::new(),
            texts: Vec::new(),
            kept: Vec::new(),
            equal: HashMap::new(),
            buckets: Buckets::default(),
            normalised: String::new(),
        };
        let pool = call.pool()?;
        let mut done = 0u64;
        let total = (pool.len() + samples.len()) as u64;
        let mut stopped = || {
            done += 1;
            if done.is_multiple_of(4096) {
                call.progress(done, total, "samples");
                return call.is_cancelled();
            }
            false
        };
        for sample in pool.iter() {
            if stopped() {
                return Err(Error::cancelled());
            }
            let text = comparison.number(sample.text);
            comparison.keep(sample, text, true);
        }
        let mut verdicts = vec![Verdict::keep(); samples.len()];
        for role in [Role::Positive, Role::Negative] {
            for sample in samples.iter().filter(|sample| sample.role == role) {
                if stopped() {
                    return Err(Error::cancelled());
                }
                verdicts[sample.row] = comparison.verdict(sample);
            }
        }
        Ok(verdicts)
    }
}
