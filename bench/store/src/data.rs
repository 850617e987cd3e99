//! The corpus, the claims of three parts, and what was judged of them.

use std::error::Error;

use orchestrator_store::{Anchor, Document, Judgement, Tick, Topic};

use crate::draw::Draw;

const TOPICS: usize = 20;

/// Documents and claims by number; claims in the order train, validation, test.
pub(crate) struct Data {
    pub documents: Vec<String>,
    pub anchors: Vec<String>,
    pub train: usize,
    pub validation: usize,
    pub test: usize,
    pub topics: usize,
}

impl Data {
    /// About ten documents for a hundred samples, and a claim for twenty.
    pub(crate) fn new(draw: &Draw, samples: usize) -> Self {
        let train = (samples / 20).max(20);
        let validation = (samples / 500).clamp(20, 2000);
        let test = (samples / 200).clamp(50, 5000);
        let n = train + validation + test;
        Self {
            documents: (0..(samples / 10).max(100))
                .map(|number| draw.text("document", number as u64, 36))
                .collect(),
            anchors: (0..n)
                .map(|number| draw.text("anchor", number as u64, 14))
                .collect(),
            train,
            validation,
            test,
            topics: TOPICS,
        }
    }

    /// The part a claim is of.
    pub(crate) fn split(&self, anchor: usize) -> &'static str {
        match anchor {
            one if one < self.train => "train",
            one if one < self.train + self.validation => "validation",
            _ => "test",
        }
    }

    /// A claim's id in the data.
    pub(crate) fn id(anchor: usize) -> String {
        format!("c{anchor}")
    }

    /// The documents that are relevant to a claim: one or two.
    pub(crate) fn relevant(&self, draw: &Draw, anchor: usize) -> Vec<usize> {
        (0..=draw.below("how many relevant", anchor as u64, 2))
            .map(|nth| draw.below("relevant", (anchor * 2 + nth) as u64, self.documents.len()))
            .collect()
    }

    /// Writes them, with topics.
    pub(crate) fn write(&self, tick: &Tick<'_>, draw: &Draw) -> Result<(), Box<dyn Error>> {
        for (number, text) in self.documents.iter().enumerate() {
            tick.add_document(&Document {
                number,
                id: &format!("d{number}"),
                title: text.split(' ').next().unwrap_or_default(),
                text,
                metadata: "{}",
            })?;
        }
        for (number, text) in self.anchors.iter().enumerate() {
            tick.add_anchor(&Anchor {
                number,
                id: &Self::id(number),
                split: self.split(number),
                text,
                metadata: "{}",
            })?;
            for document in self.relevant(draw, number) {
                tick.add_judgement(&Judgement {
                    anchor: number,
                    document,
                    label: "support",
                    sentences: &[],
                    relevant: true,
                    grade: 1.0,
                    held_back: false,
                    spoiled: false,
                })?;
            }
        }
        for number in 0..self.topics {
            let terms: Vec<String> = (0..10)
                .map(|nth| draw.text("term", (number * 10 + nth) as u64, 1))
                .collect();
            tick.add_topic(&Topic {
                number,
                terms: &terms,
                documents: self.documents.len() / self.topics,
                share: 1.0 / self.topics as f64,
                coherence: Some(-2.0 - draw.share("coherence", number as u64)),
            })?;
        }
        for (kind, n) in [
            ("document", self.documents.len()),
            ("anchor", self.anchors.len()),
        ] {
            for item in 0..n {
                let topic = draw.below(kind, item as u64, self.topics);
                tick.add_topical(kind, item, topic, 0.3 + 0.7 * draw.share(kind, item as u64))?;
            }
        }
        Ok(())
    }
}
