//! Abstracts of other fields.

use orchestrator_plugin::{
    Anchors, Call, Candidate, Config, Corpus, Error, Result, Sampler, Sink, abi,
};
use serde_json::json;

use crate::draw::{self, Draw};
use crate::known_positives::{Admission, Documents};

/// Documents of other corpora, which the experiment names under `data.other`: biology or physics beside medicine.
///
/// Mostly easy negatives, which teach what the field is; `order: near` takes the nearest of a sample of them. A sample
/// names no document, since its document is not of the corpus; corpus and id stand in its detail. Label 0, weight 1.
#[derive(Config)]
pub struct CrossDomain {
    /// Which of the other corpora; none named = all.
    #[config(default = Vec::new())]
    corpora: Vec<String>,
    /// How many an anchor gets at most, of all corpora together.
    #[config(default = 3, min = 1)]
    per_anchor: usize,
    /// Which: `random`, drawn by the seed; `near`, the nearest to the anchor by the current model among `candidates`.
    #[config(default = "random", one_of = ["random", "near"])]
    order: String,
    /// How many documents, drawn by the seed for all anchors, are embedded for `order: near`.
    #[config(default = 500, min = 1)]
    candidates: usize,
}

/// A document of another corpus: place of the corpus, number in it.
type Foreign = (usize, usize);

/// How many texts are embedded at once.
const TEXTS: usize = 256;

impl CrossDomain {
    fn chosen<'a>(&self, call: &Call<'a>) -> Result<Vec<(&'a str, Corpus<'a>)>> {
        let mut all = call.other_corpora()?;
        if all.is_empty() {
            return Err(Error::config(
                "/corpora",
                "the experiment has no other corpora: name one under data.other",
            ));
        }
        let there: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        for (place, name) in self.corpora.iter().enumerate() {
            if !there.contains(&name.as_str()) {
                return Err(Error::config(
                    format!("/corpora/{place}"),
                    format!(
                        "there is no corpus `{name}` under data.other: there are {}",
                        there.join(", ")
                    ),
                ));
            }
        }
        if !self.corpora.is_empty() {
            all.retain(|(name, _)| self.corpora.iter().any(|wanted| wanted == name));
        }
        Ok(all)
    }
}

/// Unit vectors of texts, in blocks.
fn encoded(texts: &[String], call: &Call<'_>) -> Result<Vec<f32>> {
    let embedder = call.embedder()?;
    let mut vectors = Vec::with_capacity(texts.len() * embedder.dim());
    for (block, some) in texts.chunks(TEXTS).enumerate() {
        if call.is_cancelled() {
            return Err(Error::cancelled());
        }
        call.progress((block * TEXTS) as u64, texts.len() as u64, "texts");
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        vectors.extend(embedder.encode(&some)?);
    }
    Ok(vectors)
}

impl Sampler for CrossDomain {
    const SERVICES: &'static [&'static str] = &[
        abi::service::CORPUS,
        abi::service::JUDGEMENTS,
        abi::service::CORPORA,
    ];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let judgements = call.judgements()?;
        let documents = Documents::of(call.corpus()?);
        let corpora = self.chosen(call)?;
        let mut foreign: Vec<Foreign> = corpora
            .iter()
            .enumerate()
            .flat_map(|(corpus, (_, of))| (0..of.len()).map(move |number| (corpus, number)))
            .collect();
        let text = |(corpus, number): Foreign| corpora[corpus].1.document(number).full_text();
        let given: Vec<_> = anchors.iter().collect();
        let mut cosines = Vec::new();
        if self.order == "near" {
            foreign = draw::some(call.random(&[]), foreign, self.candidates);
            let texts: Vec<String> = foreign.iter().map(|one| text(*one)).collect();
            let of_anchors: Vec<String> = given.iter().map(|one| one.text.to_owned()).collect();
            let dim = call.embedder()?.dim();
            let (of_anchors, texts) = (encoded(&of_anchors, call)?, encoded(&texts, call)?);
            cosines = call.linalg()?.products(&of_anchors, &texts, dim)?;
        }
        for (row, anchor) in given.iter().enumerate() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let ordered: Box<dyn Iterator<Item = (Foreign, Option<f32>)>> = if cosines.is_empty() {
                let random = call.random(&[anchor.number as u64]);
                Box::new(Draw::of(random, foreign.len()).map(|one| (foreign[one], None)))
            } else {
                let its = &cosines[row * foreign.len()..(row + 1) * foreign.len()];
                let mut places: Vec<usize> = (0..foreign.len()).collect();
                places.sort_by(|&a, &b| its[b].total_cmp(&its[a]).then(a.cmp(&b)));
                let near = places
                    .into_iter()
                    .map(|place| (foreign[place], Some(its[place])));
                Box::new(near)
            };
            let mut admission = Admission::of(anchor.number, &judgements, &documents);
            let mut taken = 0;
            for (one, cosine) in ordered {
                if taken == self.per_anchor {
                    break;
                }
                let text = text(one);
                if let Err(why) = admission.text(&text) {
                    sink.count(why, 1);
                    continue;
                }
                let (name, corpus) = &corpora[one.0];
                let mut candidate = Candidate::negative(anchor.number, &text);
                candidate.score = cosine.unwrap_or(f32::NAN);
                candidate.detail =
                    json!({ "corpus": name, "id": corpus.document(one.1).id }).to_string();
                sink.push(&candidate)?;
                taken += 1;
            }
            sink.count("asked", self.per_anchor);
            sink.count("found", taken);
        }
        Ok(())
    }
}
