//! Training texts that tell a claim of validation or test.

use std::collections::{BTreeMap, HashMap};

use orchestrator_plugin::{
    Call, Config, Error, Filter, HeldOutAnchor, Result, Samples, Verdict, abi,
};

use crate::shingles::{beginning, chain, shingles, words};

/// Drops texts that hold a held-out claim, one of validation or test, or nearly repeat it: a model trained on them has
/// seen the question. Measured is the containment (Broder 1997): the share of the claim's word shingles that the text
/// has too, wherever in it they are. A claim held word for word, whatever its case and marks, has a containment of 1; a
/// text that only shares words with a claim, or is of the same subject, has few of its shingles.
///
/// The rule is about training texts. A document of the corpus that holds a held-out claim is still searched at
/// evaluation, but as a sample it is dropped, whatever its role. Texts of anchors are not looked at: training claims that
/// say what a test claim says are left out before. The verdict's score is the greatest containment found, of claims that
/// share any shingle with the text.
#[derive(Config)]
pub struct Leakage {
    /// The least share of a claim's shingles, 0..1, that makes a text one that repeats it.
    #[config(default = 0.8, above = 0, max = 1)]
    threshold: f64,
    /// Words in a shingle.
    #[config(default = 3, min = 1)]
    shingle: usize,
    /// A claim of fewer words than this, or than a shingle, says too little to be recognised inside a text: a text goes
    /// only if it is that claim and nothing else.
    #[config(default = 5, min = 1)]
    min_words: usize,
}

struct Claim<'a> {
    said: HeldOutAnchor<'a>,
    words: Vec<u64>,
    shingles: usize,
}

/// The held-out claims by what is in them.
struct Index<'a> {
    claims: Vec<Claim<'a>>,
    /// Shingle to the claims that have it.
    holding: HashMap<u64, Vec<u32>>,
    /// All words of a claim too short for shingles.
    whole: HashMap<u64, u32>,
}

impl<'a> Index<'a> {
    fn of(filter: &Leakage, claims: impl Iterator<Item = HeldOutAnchor<'a>>) -> Self {
        let mut index = Self {
            claims: Vec::new(),
            holding: HashMap::new(),
            whole: HashMap::new(),
        };
        for said in claims {
            let number = index.claims.len() as u32;
            let words = words(said.text);
            let set = shingles(&words, filter.shingle);
            if words.len() < filter.min_words.max(filter.shingle) {
                // A claim without a word is equal to no text that says anything.
                if !words.is_empty() {
                    index.whole.entry(chain(&words)).or_insert(number);
                }
            } else {
                for &shingle in &set {
                    index.holding.entry(shingle).or_default().push(number);
                }
            }
            index.claims.push(Claim {
                said,
                words,
                shingles: set.len(),
            });
        }
        index
    }

    /// The claim of which a text with these words and shingles holds most, the first of equals, and the share.
    fn most(&self, words: &[u64], shingles: &[u64]) -> Option<(&Claim<'a>, f64)> {
        if let Some(&number) = self.whole.get(&chain(words)) {
            return Some((&self.claims[number as usize], 1.0));
        }
        let mut common: BTreeMap<u32, usize> = BTreeMap::new();
        for claims in shingles.iter().filter_map(|one| self.holding.get(one)) {
            for &number in claims {
                *common.entry(number).or_default() += 1;
            }
        }
        let mut most: Option<(&Claim<'a>, f64)> = None;
        for (number, common) in common {
            let claim = &self.claims[number as usize];
            let share = common as f64 / claim.shingles as f64;
            if most.is_none_or(|(_, most)| share > most) {
                most = Some((claim, share));
            }
        }
        most
    }
}

impl Filter for Leakage {
    const SERVICES: &'static [&'static str] = &[abi::service::HELD_OUT];

    fn judge_all(&self, samples: &Samples<'_>, call: &Call<'_>) -> Result<Vec<Verdict>> {
        let held_out = call.held_out()?;
        let index = Index::of(self, held_out.iter());
        let mut verdicts = Vec::with_capacity(samples.len());
        for sample in samples.iter() {
            if sample.row % 4096 == 4095 && call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let words = words(sample.text);
            let Some((claim, share)) = index.most(&words, &shingles(&words, self.shingle)) else {
                verdicts.push(Verdict::keep());
                continue;
            };
            let verdict = Verdict::keep_if(share < self.threshold, || {
                let said = &claim.said;
                let how = if words == claim.words {
                    "is".to_owned()
                } else if words
                    .windows(claim.words.len())
                    .any(|some| some == claim.words)
                {
                    "holds, word for word,".to_owned()
                } else {
                    format!("holds {:.0} % of", share * 100.0)
                };
                format!(
                    "{how} the {} claim `{}`: \"{}\"",
                    said.split,
                    said.id,
                    beginning(said.text)
                )
            });
            verdicts.push(verdict.scored(share as f32));
        }
        Ok(verdicts)
    }
}
