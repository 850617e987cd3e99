//! What the corpus is about, and whether positives are about what their anchors are: topics by LDA.

use std::collections::BTreeMap;

use orchestrator_config::Topics;
use orchestrator_plugin_host::TopicModel as _;
use orchestrator_store::{Role, Tick, Topic};

use crate::driver::Driver;
use crate::error::Error;
use crate::pool::Pool;

/// Terms that name a topic.
const TERMS: usize = 10;

/// Larger corpora are looked at only if a plugin compared topics anyway: it takes long.
const DOCUMENTS: usize = 20_000;

/// What was found.
pub(crate) struct Topical {
    topics: Vec<Found>,
    /// The topic that each document and each anchor has most of, and how much.
    documents: Vec<(usize, f32)>,
    anchors: Vec<(usize, f32)>,
    metrics: Vec<(&'static str, f64)>,
}

struct Found {
    terms: Vec<String>,
    documents: usize,
    share: f64,
    coherence: Option<f64>,
}

impl Driver<'_> {
    /// Topics of documents and anchors, and how often those of a sample and its anchor agree.
    pub(crate) fn topical(&self, pool: &Pool) -> Option<Topical> {
        let lazy = &self.lent.topics;
        if self.experiment.analysis.topics == Topics::Off {
            return None;
        }
        if lazy.documents() > DOCUMENTS && !lazy.are_fitted() {
            return None;
        }
        let topics = lazy.fitted();
        let count = topics.count();
        let documents = most(topics.documents(), count);
        let texts: Vec<&str> = self
            .data
            .anchors
            .iter()
            .map(|one| one.text.as_str())
            .collect();
        let anchors = most(&topics.infer(&texts), count);
        let found: Vec<Found> = (0..count)
            .map(|topic| {
                let parts = topics.documents().iter().skip(topic).step_by(count);
                let terms = topics.terms_of_topic(topic, TERMS);
                Found {
                    terms: terms.into_iter().map(|(term, _)| term).collect(),
                    documents: documents.iter().filter(|(one, _)| *one == topic).count(),
                    share: parts.map(|part| f64::from(*part)).sum::<f64>()
                        / documents.len().max(1) as f64,
                    coherence: topics.coherence(topic, TERMS),
                }
            })
            .collect();
        let coherent: Vec<f64> = found.iter().filter_map(|one| one.coherence).collect();
        let mut metrics = vec![("topics/count", count as f64)];
        let mut add = |name, sum: f64, n: usize| {
            if n > 0 {
                metrics.push((name, sum / n as f64));
            }
        };
        add("topics/coherence", coherent.iter().sum(), coherent.len());
        // What agrees by chance: anchors and documents of the pool's positives put together anew in every way.
        let (mut of_anchors, mut of_documents) = (BTreeMap::new(), BTreeMap::new());
        for (role, name) in [
            (Role::Positive, "topics/positives_agree"),
            (Role::Negative, "topics/negatives_agree"),
        ] {
            let (mut agree, mut n) = (0.0, 0);
            for place in pool.of_role(role) {
                let view = &pool.samples[place].view;
                let Some(document) = view.document.filter(|_| view.parent.is_none()) else {
                    continue;
                };
                let (a, b) = (anchors[view.anchor].0, documents[document].0);
                n += 1;
                agree += f64::from(u8::from(a == b));
                if role == Role::Positive {
                    *of_anchors.entry(a).or_insert(0.0) += 1.0;
                    *of_documents.entry(b).or_insert(0.0) += 1.0;
                }
            }
            add(name, agree, n);
            if role == Role::Positive {
                let both = of_anchors.iter().map(|(topic, times): (_, &f64)| {
                    times * of_documents.get(topic).copied().unwrap_or(0.0)
                });
                add("topics/random_agree", both.sum(), n * n);
            }
        }
        Some(Topical {
            topics: found,
            documents,
            anchors,
            metrics,
        })
    }
}

impl Topical {
    pub fn write(&self, tick: &Tick<'_>) -> Result<(), Error> {
        for (number, one) in self.topics.iter().enumerate() {
            tick.add_topic(&Topic {
                number,
                terms: &one.terms,
                documents: one.documents,
                share: one.share,
                coherence: one.coherence,
            })?;
        }
        for (kind, all) in [("document", &self.documents), ("anchor", &self.anchors)] {
            for (item, (topic, share)) in all.iter().enumerate() {
                tick.add_topical(kind, item, *topic, f64::from(*share))?;
            }
        }
        for (name, value) in &self.metrics {
            tick.add_metric(None, name, *value)?;
        }
        Ok(())
    }
}

/// Of each row of mixtures, the topic it has most of (of equals the first), and how much.
fn most(mixtures: &[f32], count: usize) -> Vec<(usize, f32)> {
    mixtures
        .chunks_exact(count)
        .map(|row| {
            let places = row.iter().copied().enumerate();
            places.fold((0, f32::NEG_INFINITY), |best, one| {
                if one.1 > best.1 { one } else { best }
            })
        })
        .collect()
}
