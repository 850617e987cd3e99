//! What plugins are lent: tables, indexes, topics, files, models by name. Most of it does not change during a run.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use orchestrator_config::Experiment;
use orchestrator_data::{Dataset, Document, Split};
use orchestrator_model::{CrossEncoder, Encoder, Error, Side, Tokens};
use orchestrator_plugin_host::{ChatEndpoint, Files, NamedModels, Table, TopicModel, dot};

use crate::making;
use crate::rescoring::Rescorer;
use crate::retrieval::{Bm25Index, DenseIndex, Memo};
use crate::seed::seed;
use crate::topics::Topics;
use crate::training::Model;

/// Made once a run.
pub(crate) struct Lent<'r> {
    pub corpus: Table,
    pub held_out: Table,
    pub bm25: Bm25Index,
    pub corpora: Vec<(String, Table)>,
    pub files: Files,
    pub models: BTreeMap<String, Fixed>,
    pub pairs: BTreeMap<String, Rescorer>,
    pub chat: Option<&'r dyn ChatEndpoint>,
    pub topics: LazyTopics,
}

impl<'r> Lent<'r> {
    pub fn of(
        data: &Dataset,
        experiment: &Experiment,
        other: Vec<(String, Vec<Document>)>,
        models: BTreeMap<String, Encoder>,
        cross_encoders: BTreeMap<String, CrossEncoder>,
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
            models: models
                .into_iter()
                .map(|(name, encoder)| (name, Fixed::of(encoder)))
                .collect(),
            pairs: cross_encoders
                .into_iter()
                .map(|(name, model)| (name, Rescorer::of(model)))
                .collect(),
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
    /// How many documents they are fitted to.
    pub fn documents(&self) -> usize {
        self.texts.len()
    }

    /// Whether somebody asked.
    pub fn are_fitted(&self) -> bool {
        self.fitted.get().is_some()
    }

    pub fn fitted(&self) -> &Topics {
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

/// A model that does not change during a run, with what it has embedded.
pub(crate) struct Fixed {
    pub encoder: Encoder,
    memo: Memo,
}

impl Fixed {
    pub fn of(encoder: Encoder) -> Self {
        Self {
            encoder,
            memo: Memo::default(),
        }
    }
}

/// The models there are at a moment, by name.
pub(crate) struct Models<'m> {
    /// None where nothing is left to ask it.
    pub current: Option<&'m DenseIndex<'m>>,
    /// The current model is the initial one still.
    pub untrained: bool,
    pub initial: &'m Fixed,
    pub bm25: &'m Bm25Index,
    pub further: &'m BTreeMap<String, Fixed>,
    /// Models that score pairs and have no embeddings.
    pub pairs: &'m BTreeMap<String, Rescorer>,
}

impl<'m> Models<'m> {
    /// Those of a run with its model as it is.
    pub fn of(lent: &'m Lent<'_>, model: &'m Model, current: Option<&'m DenseIndex<'m>>) -> Self {
        Self {
            current,
            untrained: model.version == 0,
            initial: &model.initial,
            bm25: &lent.bm25,
            further: &lent.models,
            pairs: &lent.pairs,
        }
    }
}

/// One of the models that have embeddings.
#[derive(Clone, Copy)]
pub(crate) enum Embedder<'m> {
    Current(&'m DenseIndex<'m>),
    Fixed(&'m Fixed),
}

impl Embedder<'_> {
    pub fn encoder(&self) -> &Encoder {
        match self {
            Self::Current(index) => index.encoder(),
            Self::Fixed(model) => &model.encoder,
        }
    }

    /// Unit-length embeddings `[texts, dim]`, each distinct text encoded once.
    pub fn embed(&self, texts: &[&Tokens]) -> Result<Vec<f32>, Error> {
        match self {
            Self::Current(index) => index.embed(texts),
            Self::Fixed(model) => model.memo.embed(&model.encoder, texts, |_| None),
        }
    }

    fn memo(&self) -> &Memo {
        match self {
            Self::Current(index) => index.memo(),
            Self::Fixed(model) => &model.memo,
        }
    }
}

impl Models<'_> {
    /// The model of that name; `bm25` and cross-encoders have no embeddings.
    pub fn embedder(&self, name: &str) -> Option<Embedder<'_>> {
        match (name, self.current) {
            ("current", current) => current.map(Embedder::Current),
            ("initial", Some(current)) if self.untrained => Some(Embedder::Current(current)),
            ("initial", _) => Some(Embedder::Fixed(self.initial)),
            (other, _) => self.further.get(other).map(Embedder::Fixed),
        }
    }

    /// The error of an answer to a plugin, if there was one.
    pub fn check(&self) -> Result<(), Error> {
        let mut all = std::iter::once(self.initial).chain(self.further.values());
        all.try_for_each(|model| model.memo.check())?;
        self.pairs.values().try_for_each(Rescorer::check)
    }
}

impl NamedModels for Models<'_> {
    fn knows(&self, model: &str) -> bool {
        model == "bm25" || self.pairs.contains_key(model) || self.embedder(model).is_some()
    }

    fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Option<Vec<f32>> {
        use rayon::prelude::*;
        if model == "bm25" {
            let score = |(query, text): &(&str, &str)| self.bm25.score_text(query, text);
            return Some(pairs.par_iter().map(score).collect());
        }
        if let Some(rescorer) = self.pairs.get(model) {
            return Some(rescorer.score(pairs));
        }
        let embedder = self.embedder(model)?;
        let score = || {
            let queries = Column::of(embedder, pairs.iter().map(|pair| pair.0), Side::Anchor)?;
            let texts = Column::of(embedder, pairs.iter().map(|pair| pair.1), Side::Document)?;
            let score = |(query, text): &(&str, &str)| dot(queries.at(query), texts.at(text));
            Ok(pairs.iter().map(score).collect())
        };
        Some(score().unwrap_or_else(|error| {
            embedder.memo().fail(error);
            vec![0.0; pairs.len()]
        }))
    }
}

/// One side of pairs: texts stand in many, each is cut and encoded once.
struct Column<'t> {
    places: BTreeMap<&'t str, usize>,
    embeddings: Vec<f32>,
    dim: usize,
}

impl<'t> Column<'t> {
    fn of(
        embedder: Embedder<'_>,
        texts: impl Iterator<Item = &'t str>,
        side: Side,
    ) -> Result<Self, Error> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut distinct = Vec::new();
        for text in texts {
            places.entry(text).or_insert_with(|| {
                distinct.push(text);
                distinct.len() - 1
            });
        }
        let tokens = embedder.encoder().tokenize(&distinct, side)?;
        Ok(Self {
            places,
            embeddings: embedder.embed(&tokens.iter().collect::<Vec<_>>())?,
            dim: embedder.encoder().dim(),
        })
    }

    fn at(&self, text: &str) -> &[f32] {
        let start = self.places[text] * self.dim;
        &self.embeddings[start..start + self.dim]
    }
}
