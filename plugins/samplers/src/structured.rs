//! What other papers' tables and figures show.

use orchestrator_plugin::{Anchors, Call, Candidate, Config, Error, Result, Sampler, Sink, abi};
use serde_json::json;

use crate::descriptions::{self, Description, Kind};
use crate::draw::Draw;
use crate::known_positives::{Admission, Documents};

/// Descriptions of tables and figures of documents that are not relevant: `As shown in Table 1: …`.
///
/// They are taken from the metadata `fields`: lists of texts, or of objects with a label (`label`, `name`, `number`) and a
/// caption (`caption`, `text`, `description`, `title`). Where a document has none there, from its sentences that mention
/// one: Table 1, Tab. 2, Figure 3, Fig. 4a. One of each document, drawn by the seed, the nearest documents first. Label 0,
/// weight 1.
#[derive(Config)]
#[config(check = Self::check)]
pub struct Structured {
    /// How many an anchor gets at most.
    #[config(default = 3, min = 1)]
    per_anchor: usize,
    /// The fields of the metadata that hold tables and figures.
    #[config(default = vec!["tables".to_owned(), "figures".to_owned()])]
    fields: Vec<String>,
    /// What is made of a description.
    templates: Option<Templates>,
    /// The fewest words a description may have.
    #[config(default = 3, min = 1)]
    min_words: usize,
    /// Which documents come first: `near`, the nearest to the anchor by the current model; `random`, by the seed.
    #[config(default = "near", one_of = ["near", "random"])]
    order: String,
}

/// Texts with places for `{label}` (Table 1) and `{text}` (what it shows).
#[derive(Config)]
pub struct Templates {
    /// Of a table.
    #[config(default = "As shown in {label}: {text}")]
    table: String,
    /// Of a figure.
    #[config(default = "{label} demonstrates: {text}")]
    figure: String,
}

impl Structured {
    fn check(&self) -> Result<()> {
        self.templates().map(|_| ())
    }

    /// The templates, of a table and of a figure.
    fn templates(&self) -> Result<[&str; 2]> {
        let [table, figure] = match &self.templates {
            Some(given) => [given.table.as_str(), given.figure.as_str()],
            None => [
                "As shown in {label}: {text}",
                "{label} demonstrates: {text}",
            ],
        };
        for (key, template) in [("table", table), ("figure", figure)] {
            if !template.contains("{text}") {
                return Err(Error::config(
                    format!("/templates/{key}"),
                    "has no place for {text}",
                ));
            }
        }
        Ok([table, figure])
    }
}

fn filled(template: &str, one: &Description) -> String {
    // The label first: a text may hold braces.
    template
        .replace("{label}", &one.label)
        .replacen("{text}", &one.text, 1)
}

impl Sampler for Structured {
    const SERVICES: &'static [&'static str] = &[abi::service::CORPUS, abi::service::JUDGEMENTS];

    fn propose(&self, anchors: &Anchors<'_>, call: &Call<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let [table, figure] = self.templates()?;
        let judgements = call.judgements()?;
        let documents = Documents::of(call.corpus()?);
        let described: Vec<(i64, Vec<Description>)> = (0..documents.len() as i64)
            .map(|number| {
                let mut all = descriptions::of(&documents.get(number), &self.fields);
                all.retain(|one| one.text.split_whitespace().count() >= self.min_words);
                (number, all)
            })
            .filter(|(_, all)| !all.is_empty())
            .collect();
        let numbers: Vec<i64> = described.iter().map(|(number, _)| *number).collect();
        let search = match self.order.as_str() {
            "near" => Some(call.search()?),
            _ => None,
        };
        for anchor in anchors.iter() {
            if call.is_cancelled() {
                return Err(Error::cancelled());
            }
            let salt = anchor.number as u64;
            let mut places: Vec<(usize, Option<f32>)> = match &search {
                Some(search) => {
                    let scores = search.score(&vec![anchor.number; numbers.len()], &numbers)?;
                    scores.into_iter().map(Some).enumerate().collect()
                }
                None => Draw::of(call.random(&[salt]), numbers.len())
                    .map(|place| (place, None))
                    .collect(),
            };
            places.sort_by(|a, b| b.1.unwrap_or(0.0).total_cmp(&a.1.unwrap_or(0.0)));
            let mut admission = Admission::of(anchor.number, &judgements, &documents);
            let mut taken = 0;
            for (place, score) in places {
                if taken == self.per_anchor {
                    break;
                }
                let (number, all) = &described[place];
                if let Err(why) = admission.refuses(*number) {
                    sink.count(why, 1);
                    continue;
                }
                let random = call.random(&[salt, *number as u64]);
                for one in Draw::of(random, all.len()).map(|one| &all[one]) {
                    let text = match one.kind {
                        Kind::Table => filled(table, one),
                        Kind::Figure => filled(figure, one),
                    };
                    let admitted = match admission.says_known(&one.text) {
                        true => Err("dropped: same text as a known positive"),
                        false => admission.text(&text),
                    };
                    if let Err(why) = admitted {
                        sink.count(why, 1);
                        continue;
                    }
                    let mut candidate = Candidate::negative(anchor.number, &text);
                    candidate.document = Some(*number);
                    candidate.score = score.unwrap_or(f32::NAN);
                    candidate.detail = json!({ "label": one.label, "from": one.from }).to_string();
                    sink.push(&candidate)?;
                    taken += 1;
                    break;
                }
            }
            sink.count("asked", self.per_anchor);
            sink.count("found", taken);
        }
        Ok(())
    }
}
