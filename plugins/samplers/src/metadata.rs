//! Documents chosen by what their metadata say.

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Error, Result, Sampler, Sink, abi};
use serde_json::Value;

use crate::draw::Draw;
use crate::known_positives::{Admission, Documents};
use crate::predicate::{Fields, Predicate};

/// Documents of which a predicate over their fields holds: `year < 2010 and domain != anchor.domain`.
///
/// Fields are those of the document's line in the corpus, by dotted path (`journal.name`), and for every document `id`,
/// `title`, `text` (title and abstract) and `words` (how many it has); fields of the claim begin with `anchor.` (or
/// `$anchor.`). Tests: `==`, `!=`, `<`, `<=`, `>`, `>=`; `in [..]` and `not in [..]`, also of a field that is a list;
/// `contains` of a list (a member) or a text (a part); `exists(field)`; a field alone, which holds where it is true.
/// `and`, `or`, `not` (`&&`, `||`, `!`) and parentheses put them together; `not` binds closest, then `and`. Values: numbers,
/// texts in single or double quotes, `true`, `false`, `null`. A comparison with a field that is not there does not hold,
/// `!=` and `not in` neither: `not year == 1` holds where there is no year, `year != 1` does not. A number and a text that
/// reads as one are compared as numbers, two texts letter by letter. Values of other types are unequal and have no order.
///
/// Label 0, weight 1. A field that no document (no claim) has is an error, unless only `exists` asks for it.
#[derive(Config)]
pub struct Metadata {
    /// The predicate.
    r#where: Predicate,
    /// How many an anchor gets at most.
    #[config(default = 5, min = 1)]
    per_anchor: usize,
    /// Which of those of which it holds: `random`, drawn by the seed; `near`, the nearest by the current model.
    #[config(default = "random", one_of = ["random", "near"])]
    order: String,
}

impl Metadata {
    fn check(&self, all: &[Fields<'_>], of_anchor: bool) -> Result<()> {
        let Some(unknown) = self.r#where.unknown_field(all, of_anchor) else {
            return Ok(());
        };
        let mut names: Vec<&str> = all
            .iter()
            .filter_map(|one| one.metadata.as_object())
            .flat_map(|fields| fields.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        let (whose, built_in) = if of_anchor {
            ("claim", "id, text, words")
        } else {
            ("document", "id, title, text, words")
        };
        let others = names.join(", ");
        Err(Error::config(
            "/where",
            format!(
                "no {whose} has the field `{}`: they have {built_in}{}{others}; exists() may ask for any",
                unknown.name(),
                if names.is_empty() { "" } else { ", " }
            ),
        ))
    }
}

impl Sampler for Metadata {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let judgements = call.judgements()?;
        let documents = &Documents::of(call.corpus()?);
        let of_documents: Vec<Fields<'_>> = (0..documents.len() as i64)
            .map(|number| {
                let document = documents.get(number);
                Fields::of(
                    document.id,
                    Some(document.title),
                    document.metadata,
                    move || documents.text(number),
                )
            })
            .collect();
        let of_anchors: Vec<Fields<'_>> = anchors
            .iter()
            .map(|anchor| {
                let text = move || anchor.text.to_owned();
                Fields::of(anchor.id, None, anchor.metadata, text)
            })
            .collect();
        if !of_anchors.is_empty() && !of_documents.is_empty() {
            self.check(&of_documents, false)?;
            self.check(&of_anchors, true)?;
        }
        let matches = |anchor: &Fields<'_>| -> Vec<i64> {
            (0..)
                .zip(&of_documents)
                .filter(|(_, document)| self.r#where.holds(document, anchor))
                .map(|(number, _)| number)
                .collect()
        };
        let for_all = match of_anchors.first() {
            Some(any) if !self.r#where.asks_anchor() => Some(matches(any)),
            _ => None,
        };
        let search = match self.order.as_str() {
            "near" => Some(call.search()?),
            _ => None,
        };
        for (anchor, fields) in anchors.iter().zip(&of_anchors) {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let found = for_all.clone().unwrap_or_else(|| matches(fields));
            sink.count("matched", found.len());
            let mut admission = Admission::of(anchor.number, &judgements, documents);
            let ordered: Box<dyn Iterator<Item = (i64, Option<f32>)>> = match &search {
                Some(search) => {
                    let scores = search.score(&vec![anchor.number; found.len()], &found)?;
                    let mut scored: Vec<(i64, f32)> = found.into_iter().zip(scores).collect();
                    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                    Box::new(
                        scored
                            .into_iter()
                            .map(|(number, score)| (number, Some(score))),
                    )
                }
                None => {
                    let random = call.random(&[anchor.number as u64]);
                    Box::new(Draw::of(random, found.len()).map(move |one| (found[one], None)))
                }
            };
            let mut taken = 0;
            for (number, score) in ordered {
                if taken == self.per_anchor {
                    break;
                }
                if let Err(why) = admission.document(number) {
                    sink.count(why, 1);
                    continue;
                }
                let text = documents.text(number);
                let mut candidate = Candidate::negative(anchor.number, &text);
                candidate.document = Some(number);
                candidate.score = score.unwrap_or(f32::NAN);
                let seen = self.r#where.seen(&of_documents[number as usize], fields);
                candidate.detail = Value::Object(seen).to_string();
                sink.push(&candidate)?;
                taken += 1;
            }
            sink.count("asked", self.per_anchor);
            sink.count("found", taken);
        }
        Ok(())
    }
}
