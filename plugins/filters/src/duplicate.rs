//! Samples that say again what another one says.

use std::collections::HashMap;

use orchestrator_plugin::{
    Call, Config, Error, Filter, Result, Role, Sample, Samples, Verdict, abi,
};

use crate::minhash::{Buckets, MinHash};
use crate::shingles::{Set, beginning, shingles, words};

/// Drops samples whose text repeats another's, exactly or nearly. Exactly is equal after lower-casing and folding
/// spaces. Nearly is a Jaccard similarity of the sets of word shingles of at least `threshold` (Broder 1997). Candidates
/// are found by MinHash and banding, tuned so that (with 128 permutations and a threshold over 0.1) a pair is missed once
/// in a million at most, and then compared exactly: the score of a dropped sample is the Jaccard similarity itself.
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

/// A distinct text, and the buckets in which it meets others.
struct Text {
    set: Set,
    keys: Vec<u64>,
}

/// The distinct texts of a call. Many anchors share a text: its shingles are hashed once.
struct Texts {
    shingle: usize,
    hashes: MinHash,
    numbers: HashMap<String, usize>,
    all: Vec<Text>,
    normalised: String,
}

impl Texts {
    /// The number of a text: the same for those that are equal after normalising.
    fn number(&mut self, text: &str) -> usize {
        normalise(text, &mut self.normalised);
        if let Some(&number) = self.numbers.get(&self.normalised) {
            return number;
        }
        let set = Set::new(shingles(&words(text), self.shingle));
        let keys = if set.shingles().is_empty() {
            Vec::new()
        } else {
            self.hashes.keys(set.shingles())
        };
        let number = self.all.len();
        self.all.push(Text { set, keys });
        self.numbers.insert(self.normalised.clone(), number);
        number
    }
}

/// A sample to judge, or one kept in an earlier round.
#[derive(Clone, Copy)]
struct Given<'a> {
    sample: Sample<'a>,
    earlier: bool,
}

/// A sample that stays, and that later ones are compared with.
struct Kept<'a> {
    given: Given<'a>,
    text: usize,
}

/// What stays of samples that are compared with each other.
#[derive(Default)]
struct Group<'a> {
    kept: Vec<Kept<'a>>,
    /// By text: a few, of both roles.
    equal: HashMap<usize, Vec<u32>>,
    buckets: Buckets,
}

impl<'a> Group<'a> {
    fn keep(&mut self, given: Given<'a>, text: usize, keys: &[u64]) {
        let number = self.kept.len() as u32;
        self.equal.entry(text).or_default().push(number);
        self.buckets.insert(number, keys);
        self.kept.push(Kept { given, text });
    }

    /// Those of `found` that `sample` may repeat, in the order they count: positives of its own anchor, then the rest, the
    /// first first. A positive is compared with positives alone.
    fn comparable(&self, sample: &Sample<'_>, mut found: Vec<u32>) -> Vec<u32> {
        let of = |number: u32| &self.kept[number as usize].given.sample;
        if sample.role == Role::Positive {
            found.retain(|&number| of(number).role == Role::Positive);
        }
        found.sort_unstable_by_key(|&number| {
            let other = of(number);
            let own = other.role == Role::Positive && other.anchor == sample.anchor;
            (!own, number)
        });
        found
    }

    /// What `sample` repeats, and how nearly.
    fn repeated(
        &mut self,
        sample: &Sample<'_>,
        text: usize,
        keys: &[u64],
        texts: &[Text],
        threshold: f64,
    ) -> Option<(&Kept<'a>, f64)> {
        let equal = self.equal.get(&text).cloned().unwrap_or_default();
        if let Some(&number) = self.comparable(sample, equal).first() {
            return Some((&self.kept[number as usize], 1.0));
        }
        let near = self.buckets.meeting(keys);
        self.comparable(sample, near)
            .into_iter()
            .find_map(|number| {
                let kept = &self.kept[number as usize];
                let similarity = texts[text].set.jaccard(&texts[kept.text].set, threshold)?;
                Some((kept, similarity))
            })
    }
}

fn reason(sample: &Sample<'_>, kept: Given<'_>, exactly: bool, similarity: f64) -> String {
    let how = if exactly {
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
    format!("{how} a {role} of {whose}{when}: \"{first}\"")
}

impl Filter for Duplicate {
    const SERVICES: &'static [&'static str] = &[abi::service::POOL];

    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let pool = call.pool()?;
        let given = |earlier| move |sample| Given { sample, earlier };
        let mut all: Vec<Given<'_>> = pool
            .iter()
            .map(given(true))
            .chain(samples.iter().map(given(false)))
            .collect();
        let group = |one: &Given<'_>| (self.scope == "anchor").then_some(one.sample.anchor);
        // What was kept before comes first, then positives, then negatives, each in their order.
        all.sort_by_key(|one| (group(one), !one.earlier, one.sample.role == Role::Negative));
        let mut random = call.random(&[]);
        let mut texts = Texts {
            shingle: self.shingle,
            hashes: MinHash::new(self.permutations, self.threshold, || random.bits()),
            numbers: HashMap::new(),
            all: Vec::new(),
            normalised: String::new(),
        };
        let mut verdicts = vec![Verdict::keep(); samples.len()];
        let mut done = 0u64;
        for some in all.chunk_by(|a, b| group(a) == group(b)) {
            let mut group = Group::default();
            for &one in some {
                done += 1;
                if done.is_multiple_of(4096) {
                    if call.is_cancelled() {
                        return Err(Error::cancelled());
                    }
                    call.progress(done, all.len() as u64, "samples");
                }
                let sample = &one.sample;
                let number = texts.number(sample.text);
                let keys = if self.spare.iter().any(|name| name == sample.source) {
                    &[]
                } else {
                    texts.all[number].keys.as_slice()
                };
                if !one.earlier
                    && let Some((kept, similarity)) =
                        group.repeated(sample, number, keys, &texts.all, self.threshold)
                {
                    let why = reason(sample, kept.given, kept.text == number, similarity);
                    verdicts[sample.row] = Verdict::drop(why).scored(similarity as f32);
                } else {
                    group.keep(one, number, keys);
                }
            }
        }
        Ok(verdicts)
    }
}
