//! In the parent: what a child asks for in a call, answered by what the call lends.

use super::codec::{Malformed, Reader, Result, Writer};
use super::protocol::{ask, to_child};
use super::tables;
use crate::call::Context;
use crate::services::{Lender as _, Lent};

/// The frame that answers the question in `from`.
pub(crate) fn answer(from: &mut Reader<'_>, context: &Context<'_>) -> Result<Writer> {
    let lent = &context.services;
    let mut out = Writer::new(to_child::ANSWER);
    match from.number::<u8>()? {
        ask::TABLE => {
            let what = table(from.number()?)?;
            let place = from.number::<u64>()? as usize;
            let table = match what {
                Lent::Corpora => lent.corpus(place).map(|(_, table)| table),
                what => lent.table(what),
            };
            out.optional(table, tables::write_table);
        }
        ask::FILE => out.optional(lent.file(from.text()?), Writer::bytes),
        ask::TEACHER => out.optional(lent.teacher, |out, (dim, values)| {
            out.number(dim as u64);
            out.numbers(values);
        }),
        ask::TOP_K => {
            let k = from.number::<u64>()? as usize;
            let anchors = from.numbers()?;
            let found = lent.model.and_then(|model| model.top_k(&anchors, k));
            out.optional(found.as_deref(), write_rankings);
        }
        ask::SCORE => {
            let (anchors, documents) = (from.numbers()?, from.numbers()?);
            let scores = lent
                .model
                .filter(|_| anchors.len() == documents.len())
                .and_then(|model| model.score(&anchors, &documents));
            out.optional(scores.as_deref(), Writer::numbers);
        }
        ask::ENCODE => {
            let texts = from.texts()?;
            let embeddings = lent.model.map(|model| model.encode(&texts));
            out.optional(embeddings.as_deref(), Writer::numbers);
        }
        ask::LEXICAL => {
            let k = from.number::<u64>()? as usize;
            let queries = from.texts()?;
            let found = lent.bm25.map(|lexical| lexical.top_k(&queries, k));
            out.optional(found.as_deref(), write_rankings);
        }
        ask::TOPICS => {
            let texts = from.texts()?;
            let topics = lent.topics.map(|topics| topics.infer(&texts));
            out.optional(topics.as_deref(), Writer::numbers);
        }
        ask::TOPICS_OF_DOCUMENTS => {
            out.optional(
                lent.topics.map(|topics| topics.documents()),
                Writer::numbers,
            );
        }
        ask::KNOWS => {
            let model = from.text()?;
            out.optional(lent.models.map(|models| models.knows(model)), Writer::flag);
        }
        ask::SCORE_PAIRS => {
            let model = from.text()?;
            let n = from.count(16)?;
            let pairs: Vec<(&str, &str)> = (0..n)
                .map(|_| Ok((from.text()?, from.text()?)))
                .collect::<Result<_>>()?;
            let scores = lent.models.and_then(|models| models.score(model, &pairs));
            out.optional(scores.as_deref(), Writer::numbers);
        }
        ask::CHAT => {
            let requests = from.texts()?;
            let answers = lent
                .chat
                .map(|chat| chat.complete(&requests, &|| lent.is_cancelled()));
            out.optional(answers, |out, answers| {
                out.number(answers.len() as u64);
                for answer in answers {
                    out.flag(answer.is_ok());
                    out.text(&answer.unwrap_or_else(|why| why));
                }
            });
        }
        _ => return Err(Malformed),
    }
    Ok(out)
}

fn table(code: u8) -> Result<Lent> {
    [
        Lent::Corpus,
        Lent::Judgements,
        Lent::HeldOut,
        Lent::Pool,
        Lent::Corpora,
    ]
    .into_iter()
    .find(|one| *one as u8 == code)
    .ok_or(Malformed)
}

fn write_rankings(out: &mut Writer, rankings: &[Vec<(i64, f32)>]) {
    out.number(rankings.len() as u64);
    for ranking in rankings {
        let (documents, scores): (Vec<i64>, Vec<f32>) = ranking.iter().copied().unzip();
        out.numbers(&documents);
        out.numbers(&scores);
    }
}
