//! A small world for samplers: documents, anchors and judgements as the engine lends them, a model whose similarities are
//! given, everything else from the words.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_plugin_host::{
    Context, CurrentModel, Error, Host, Kind, Lexical, Proposed, Role, SearchPath, Services, Table,
    TopicModel,
};
use orchestrator_tests::built;
use serde_json::Value;

/// A document: title, sentences, metadata. Its id is `d` and its number.
#[derive(Clone)]
pub struct Paper {
    pub title: String,
    pub sentences: Vec<String>,
    pub metadata: Value,
}

impl Paper {
    pub fn text(&self) -> String {
        let mut parts: Vec<&str> = vec![&self.title];
        parts.extend(self.sentences.iter().map(|sentence| sentence.trim()));
        parts.retain(|part| !part.is_empty());
        parts.join(" ")
    }
}

pub fn paper(title: &str, sentences: &[&str]) -> Paper {
    Paper {
        title: title.to_owned(),
        sentences: sentences.iter().map(|&one| one.to_owned()).collect(),
        metadata: serde_json::json!({}),
    }
}

/// What is known of anchor and document: label, whether it is a positive, its grade, sentences.
#[derive(Clone)]
pub struct Known {
    pub anchor: usize,
    pub document: usize,
    pub label: &'static str,
    pub relevant: bool,
    pub sentences: Vec<i32>,
}

#[derive(Clone, Default)]
pub struct World {
    pub papers: Vec<Paper>,
    pub claims: Vec<String>,
    /// Of each claim; `{}` where there are fewer than claims.
    pub claim_metadata: Vec<Value>,
    pub judgements: Vec<Known>,
    /// The cosine of each claim with each document; of words if there are none.
    pub similarities: Vec<Vec<f32>>,
    /// `[documents][topics]`; not lent if there are none.
    pub topics: Vec<Vec<f32>>,
    pub others: Vec<(String, Vec<Paper>)>,
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

const DIM: usize = 64;

/// Words thrown into a few places, unit length: texts that share words are near.
pub fn embedding(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0f32; DIM];
    for word in words(text) {
        let place = word.bytes().fold(7usize, |hash, byte| {
            (hash * 131 + usize::from(byte)) % 1_000_003
        });
        vector[place % DIM] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
    vector.into_iter().map(|x| x / length).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn best(scores: impl Iterator<Item = f32>, k: usize) -> Vec<(i64, f32)> {
    let mut all: Vec<(i64, f32)> = (0..).zip(scores).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(k);
    all
}

impl World {
    fn similarity(&self, anchor: usize, document: usize) -> Option<f32> {
        if let Some(row) = self.similarities.get(anchor) {
            return row.get(document).copied();
        }
        let (claim, paper) = (self.claims.get(anchor)?, self.papers.get(document)?);
        Some(dot(&embedding(claim), &embedding(&paper.text())))
    }
}

impl CurrentModel for World {
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        anchors
            .iter()
            .map(|&anchor| {
                let scores: Option<Vec<f32>> = (0..self.papers.len())
                    .map(|document| self.similarity(anchor as usize, document))
                    .collect();
                Some(best(scores?.into_iter(), k))
            })
            .collect()
    }
    fn score(&self, anchors: &[i64], documents: &[i64]) -> Option<Vec<f32>> {
        anchors
            .iter()
            .zip(documents)
            .map(|(&anchor, &document)| self.similarity(anchor as usize, document as usize))
            .collect()
    }
    fn dim(&self) -> usize {
        DIM
    }
    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        texts.iter().flat_map(|text| embedding(text)).collect()
    }
}

impl Lexical for World {
    /// By the number of words shared: enough to see who asks for what.
    fn top_k(&self, queries: &[&str], k: usize) -> Vec<Vec<(i64, f32)>> {
        queries
            .iter()
            .map(|query| {
                let query: BTreeSet<String> = words(query).into_iter().collect();
                let shared = self.papers.iter().map(|paper| {
                    let its: BTreeSet<String> = words(&paper.text()).into_iter().collect();
                    its.intersection(&query).count() as f32
                });
                let mut found = best(shared, k);
                found.retain(|(_, score)| *score > 0.0);
                found
            })
            .collect()
    }
}

struct Topics<'w> {
    world: &'w World,
    flat: Vec<f32>,
}

impl TopicModel for Topics<'_> {
    fn count(&self) -> usize {
        self.world.topics[0].len()
    }
    fn infer(&self, texts: &[&str]) -> Vec<f32> {
        // Those of the document with the most words in common.
        let of = |text: &&str| {
            let nearest = Lexical::top_k(self.world, &[text], 1);
            let number = nearest[0].first().map_or(0, |found| found.0 as usize);
            self.world.topics[number].clone()
        };
        texts.iter().flat_map(of).collect()
    }
    fn documents(&self) -> &[f32] {
        &self.flat
    }
}

fn corpus(papers: &[Paper]) -> Table {
    Table::new(papers.len())
        .i64s("document", (0..papers.len() as i64).collect())
        .strings("id", (0..papers.len()).map(|number| format!("d{number}")))
        .strings("title", papers.iter().map(|paper| paper.title.clone()))
        .string_lists(
            "sentences",
            papers.iter().map(|paper| paper.sentences.clone()),
        )
        .strings(
            "metadata",
            papers.iter().map(|paper| paper.metadata.to_string()),
        )
        .seal()
}

/// The plugins, loaded as a run loads them.
pub struct Lab {
    host: Host,
    _copies: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let copies = tempfile::tempdir().unwrap();
        let host = Host::load(&SearchPath {
            beside_executable: Some(built().to_owned()),
            copies: copies.path().to_owned(),
            ..SearchPath::default()
        })
        .unwrap();
        Self {
            host,
            _copies: copies,
        }
    }

    /// What a sampler proposes for every anchor of the world.
    pub fn try_propose(
        &self,
        world: &World,
        name: &str,
        settings: &Value,
        seed: u64,
    ) -> Result<Proposed, Error> {
        let all: BTreeSet<usize> = (0..world.claims.len()).collect();
        self.propose_for(world, name, settings, seed, &all)
    }

    pub fn propose_for(
        &self,
        world: &World,
        name: &str,
        settings: &Value,
        seed: u64,
        anchors: &BTreeSet<usize>,
    ) -> Result<Proposed, Error> {
        let instance = self
            .host
            .find(Kind::Sampler, name)
            .unwrap()
            .create(name, settings, seed)?;
        let corpora: Vec<(String, Table)> = world
            .others
            .iter()
            .map(|(name, papers)| (name.clone(), corpus(papers)))
            .collect();
        let topics = Topics {
            world,
            flat: world.topics.concat(),
        };
        let of = &world.judgements;
        let judgements = Table::new(of.len())
            .i64s("anchor", of.iter().map(|one| one.anchor as i64).collect())
            .i64s(
                "document",
                of.iter().map(|one| one.document as i64).collect(),
            )
            .strings("label", of.iter().map(|one| one.label))
            .bools(
                "relevant",
                &of.iter().map(|one| one.relevant).collect::<Vec<_>>(),
            )
            .f32s(
                "grade",
                of.iter()
                    .map(|one| if one.label == "partial" { 0.7 } else { 1.0 })
                    .collect(),
            )
            .i32_lists("sentences", of.iter().map(|one| one.sentences.clone()))
            .seal();
        let metadata = |number: &usize| {
            world
                .claim_metadata
                .get(*number)
                .map_or("{}".to_owned(), Value::to_string)
        };
        let given = Table::new(anchors.len())
            .i64s(
                "anchor",
                anchors.iter().map(|&number| number as i64).collect(),
            )
            .strings("id", anchors.iter().map(|number| format!("c{number}")))
            .strings(
                "text",
                anchors.iter().map(|&number| world.claims[number].clone()),
            )
            .strings("metadata", anchors.iter().map(metadata))
            .seal();
        let corpus = corpus(&world.papers);
        let context = Context {
            step: 0,
            seed,
            services: Services {
                corpus: Some(&corpus),
                judgements: Some(&judgements),
                model: Some(world),
                bm25: Some(world),
                topics: (!world.topics.is_empty()).then_some(&topics),
                corpora: Some(&corpora),
                ..Services::default()
            },
        };
        instance.propose(&context, &given, anchors)
    }

    pub fn propose(&self, world: &World, name: &str, settings: &Value) -> Proposed {
        self.try_propose(world, name, settings, 1).unwrap()
    }

    /// The documents proposed for anchor 0 as negatives, in order.
    pub fn documents(&self, world: &World, name: &str, settings: &Value) -> Vec<usize> {
        documents(&self.propose(world, name, settings), 0)
    }

    /// Why the sampler will not work with these settings, and the setting it blames.
    pub fn refusal(&self, world: &World, name: &str, settings: &Value) -> (String, String) {
        match self.try_propose(world, name, settings, 1) {
            Err(Error::Config {
                pointer, message, ..
            }) => (pointer, message),
            Err(other) => panic!("{settings}: {other}"),
            Ok(proposed) => panic!("{settings}: {} proposed", proposed.candidates.len()),
        }
    }
}

pub fn documents(proposed: &Proposed, anchor: usize) -> Vec<usize> {
    proposed
        .candidates
        .iter()
        .filter(|one| one.anchor == anchor && one.role == Role::Negative)
        .filter_map(|one| one.document)
        .collect()
}

pub fn counts(proposed: &Proposed) -> BTreeMap<&str, u64> {
    proposed
        .counts
        .iter()
        .map(|(what, n)| (what.as_str(), *n))
        .collect()
}

/// One claim and ten documents of falling similarity 0.9, 0.8 … 0.0; documents 1 and 3 are its positives.
pub fn ladder() -> World {
    World {
        papers: (0..10)
            .map(|number| {
                paper(
                    &format!("Paper {number}"),
                    &[&format!("About thing {number}.")],
                )
            })
            .collect(),
        claims: vec!["A claim".to_owned()],
        judgements: [1, 3]
            .into_iter()
            .map(|document| Known {
                anchor: 0,
                document,
                label: "support",
                relevant: true,
                sentences: vec![0],
            })
            .collect(),
        similarities: vec![(0..10).map(|number| 0.9 - 0.1 * number as f32).collect()],
        ..World::default()
    }
}
