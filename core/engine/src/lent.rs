//! What plugins are lent: tables, indexes, topics, files, models by name. Most of it does not change during a run.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use orchestrator_config::Experiment;
use orchestrator_data::{Dataset, Document, Split};
use orchestrator_model::StaticEncoder;
use orchestrator_plugin_host::{ChatEndpoint, Files, NamedModels, Table, TopicModel, dot};

use crate::making;
use crate::retrieval::{Bm25Index, embed};
use crate::seed::seed;
use crate::topics::Topics;

/// Made once a run.
pub(crate) struct Lent<'r> {
    pub corpus: Table,
    pub held_out: Table,
    pub bm25: Bm25Index,
    pub corpora: Vec<(String, Table)>,
    pub files: Files,
    pub models: BTreeMap<String, StaticEncoder>,
    pub chat: Option<&'r dyn ChatEndpoint>,
    pub topics: LazyTopics,
}

impl<'r> Lent<'r> {
    pub fn of(
        data: &Dataset,
        experiment: &Experiment,
        other: Vec<(String, Vec<Document>)>,
        models: BTreeMap<String, StaticEncoder>,
        files: Files,
        chat: Option<&'r dyn ChatEndpoint>,
    ) -> Self {
        let texts: Vec<String> = data.documents.iter().map(Document::full_text).collect();
        let bm25 = experiment.evaluate.bm25;
        Self {
            corpus: making::corpus_table(&data.documents),
            held_out: held_out(data),
            bm25: Bm25Index::build(&texts, bm25.k1, bm25.b),
            corpora: other
                .into_iter()
                .map(|(name, documents)| (name, making::corpus_table(&documents)))
                .collect(),
            files,
            models,
            chat,
            topics: LazyTopics {
                texts,
                count: experiment.samples.topics,
                seed: seed(experiment.seed, "topics", &[]),
                fitted: OnceLock::new(),
            },
        }
    }
}

/// Columns of `orch.held_out/1`.
fn held_out(data: &Dataset) -> Table {
    let anchors: Vec<_> = [Split::Validation, Split::Test]
        .into_iter()
        .flat_map(|split| data.of_split(split))
        .map(|number| &data.anchors[number])
        .collect();
    Table::new(anchors.len())
        .strings("id", anchors.iter().map(|anchor| anchor.id.as_str()))
        .strings("split", anchors.iter().map(|anchor| anchor.split.name()))
        .strings("text", anchors.iter().map(|anchor| anchor.text.as_str()))
        .seal()
}

/// Topics that are fitted when somebody first asks: most experiments never do.
pub(crate) struct LazyTopics {
    texts: Vec<String>,
    count: usize,
    seed: u64,
    fitted: OnceLock<Topics>,
}

impl LazyTopics {
    fn fitted(&self) -> &Topics {
        self.fitted
            .get_or_init(|| Topics::fit(&self.texts, self.count, self.seed))
    }
}

impl TopicModel for LazyTopics {
    fn count(&self) -> usize {
        self.count
    }

    fn infer(&self, texts: &[&str]) -> Vec<f32> {
        self.fitted().infer(texts)
    }

    fn documents(&self) -> &[f32] {
        self.fitted().documents()
    }
}

/// The models there are at a moment, by name.
pub(crate) struct Models<'m> {
    pub current: &'m StaticEncoder,
    pub initial: &'m StaticEncoder,
    pub bm25: &'m Bm25Index,
    pub further: &'m BTreeMap<String, StaticEncoder>,
}

impl Models<'_> {
    /// The encoder of that name; `bm25` has none.
    pub fn encoder(&self, name: &str) -> Option<&StaticEncoder> {
        match name {
            "current" => Some(self.current),
            "initial" => Some(self.initial),
            other => self.further.get(other),
        }
    }
}

impl NamedModels for Models<'_> {
    fn knows(&self, model: &str) -> bool {
        model == "bm25" || self.encoder(model).is_some()
    }

    fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Option<Vec<f32>> {
        use rayon::prelude::*;
        if model == "bm25" {
            let score = |(query, text): &(&str, &str)| self.bm25.score_text(query, text);
            return Some(pairs.par_iter().map(score).collect());
        }
        let encoder = self.encoder(model)?;
        // Texts stand in many pairs: each is encoded once.
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut texts: Vec<&str> = Vec::new();
        for text in pairs.iter().flat_map(|(query, text)| [*query, *text]) {
            places.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() - 1
            });
        }
        let embeddings = embed(encoder, &texts);
        let dim = encoder.dim();
        let of = |text: &str| {
            let place = places[text] * dim;
            &embeddings[place..place + dim]
        };
        Some(
            pairs
                .iter()
                .map(|(query, text)| dot(of(query), of(text)))
                .collect(),
        )
    }
}
