//! Claims whose terms are rare in what is trained on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::retrieval::terms;

/// How rare the terms of a claim are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rarity {
    /// Mean inverse document frequency of its distinct terms.
    pub mean: f64,
    /// Its rarest terms with the number of texts that have them.
    pub rarest: Vec<(String, usize)>,
}

/// Terms that are named.
const NAMED: usize = 3;

impl Rarity {
    /// As a claim's detail.
    pub fn detail(&self) -> String {
        let rarest: Vec<Value> = self
            .rarest
            .iter()
            .map(|(term, texts)| json!({ "term": term, "texts": texts }))
            .collect();
        json!({ "rarity": self.mean, "rarest": rarest }).to_string()
    }
}

/// The rarity of claims: the mean, over a claim's distinct terms, of `ln((n + 1) / (d + 1))`, where `d` of the `n` texts that are
/// trained on have the term (the smoothed inverse document frequency of scikit-learn's `TfidfTransformer`, without its
/// constant 1). Terms are BM25's: lower-cased words without stop words, stemmed. A claim without any has the rarity 0.
pub(crate) fn rarities<'t>(
    trained: impl IntoIterator<Item = &'t str>,
    claims: &[&str],
) -> Vec<Rarity> {
    let mut texts = 0usize;
    let mut having: BTreeMap<String, usize> = BTreeMap::new();
    for text in trained {
        texts += 1;
        let distinct: BTreeSet<String> = terms(text).into_iter().collect();
        for term in distinct {
            *having.entry(term).or_insert(0) += 1;
        }
    }
    let of = |term: &String| having.get(term).copied().unwrap_or(0);
    let idf = |texts_with: usize| ((texts + 1) as f64 / (texts_with + 1) as f64).ln();
    claims
        .iter()
        .map(|claim| {
            let distinct: BTreeSet<String> = terms(claim).into_iter().collect();
            let sum: f64 = distinct.iter().map(|term| idf(of(term))).sum();
            let mean = sum / distinct.len().max(1) as f64;
            let mut rarest: Vec<(String, usize)> = distinct
                .into_iter()
                .map(|term| {
                    let texts = of(&term);
                    (term, texts)
                })
                .collect();
            rarest.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
            rarest.truncate(NAMED);
            Rarity { mean, rarest }
        })
        .collect()
}

/// The places of the claims by rarity, the rarest first, ties by place; and how many of them are the tail: at least one, and not
/// all of several.
pub(crate) fn tail(rarities: &[Rarity], share: f64) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..rarities.len()).collect();
    order.sort_by(|&a, &b| {
        let (one, other) = (rarities[a].mean, rarities[b].mean);
        other.total_cmp(&one).then(a.cmp(&b))
    });
    let wanted = (share * order.len() as f64).round() as usize;
    let most = order.len().saturating_sub(1).max(1);
    (order, wanted.clamp(1, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewer_texts_have_its_terms_the_rarer_is_a_claim() {
        let trained = ["Fever in mice", "mice and rats", "aspirin lowers fever"];
        let claims = [
            "mice with fever",
            "the quokka",
            "rats",
            "of the",
            "mice mice",
        ];
        let found = rarities(trained, &claims);
        let idf = |texts: f64| (4.0 / (texts + 1.0)).ln();
        let expected = [idf(2.0), idf(0.0), idf(1.0), 0.0, idf(2.0)];
        for ((claim, found), expected) in claims.iter().zip(&found).zip(expected) {
            assert!((found.mean - expected).abs() < 1e-12, "{claim}: {found:?}");
        }
        assert_eq!(found[1].rarest, [("quokka".to_owned(), 0)]);
        assert_eq!(tail(&found, 0.4), (vec![1, 2, 0, 4, 3], 2));
        assert_eq!(tail(&found, 0.01).1, 1, "one at least");
        assert_eq!(tail(&found, 0.99).1, 4, "not all");
        assert_eq!(tail(&found[..1], 0.25).1, 1);
    }
}
