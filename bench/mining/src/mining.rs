//! Mining as a run does it: the `hard_negative` plugin through the host, with a model that has the given embeddings.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use orchestrator_engine::retrieval::top_k;
use orchestrator_plugin_host::{
    Context, CurrentModel, Host, Kind, SearchPath, Services, Table, dot,
};
use serde_json::{Value, json};

use crate::files;

/// The model of whom only the embeddings are known.
struct Given {
    dim: usize,
    claims: Vec<f32>,
    documents: Vec<f32>,
}

impl Given {
    fn row(all: &[f32], number: i64, dim: usize) -> Option<&[f32]> {
        all.chunks_exact(dim).nth(usize::try_from(number).ok()?)
    }
}

impl CurrentModel for Given {
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        let mut queries = Vec::with_capacity(anchors.len() * self.dim);
        for &anchor in anchors {
            queries.extend_from_slice(Self::row(&self.claims, anchor, self.dim)?);
        }
        let numbered = |(document, score)| (document as i64, score);
        let found = top_k(&queries, &self.documents, self.dim, k).into_iter();
        Some(
            found
                .map(|row| row.into_iter().map(numbered).collect())
                .collect(),
        )
    }

    fn score(&self, anchors: &[i64], documents: &[i64]) -> Option<Vec<f32>> {
        let pairs = anchors.iter().zip(documents);
        pairs
            .map(|(&anchor, &document)| {
                Some(dot(
                    Self::row(&self.claims, anchor, self.dim)?,
                    Self::row(&self.documents, document, self.dim)?,
                ))
            })
            .collect()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        vec![0.0; texts.len() * self.dim]
    }
}

/// What is mined: texts, and which documents are known positives of which claim.
struct Workload {
    documents: Vec<String>,
    claims: Vec<String>,
    /// Sorted by claim.
    positives: Vec<(usize, usize)>,
}

impl Workload {
    fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let json = |name| -> Result<Value, Box<dyn Error>> {
            Ok(serde_json::from_slice(&std::fs::read(folder.join(name))?)?)
        };
        let mut texts = json("texts.json")?;
        let mut positives: Vec<(usize, usize)> = serde_json::from_value(json("positives.json")?)?;
        positives.sort_unstable();
        Ok(Self {
            documents: serde_json::from_value(texts["documents"].take())?,
            claims: serde_json::from_value(texts["claims"].take())?,
            positives,
        })
    }

    fn corpus(&self) -> Table {
        let n = self.documents.len();
        Table::new(n)
            .i64s("document", (0..n as i64).collect())
            .strings("id", (0..n).map(|number| number.to_string()))
            .strings("title", &self.documents)
            .string_lists("sentences", vec![Vec::<&str>::new(); n])
            .strings("metadata", vec!["{}"; n])
            .seal()
    }

    fn judgements(&self) -> Table {
        let n = self.positives.len();
        let claims = self.positives.iter().map(|(claim, _)| *claim as i64);
        let documents = self.positives.iter().map(|(_, document)| *document as i64);
        Table::new(n)
            .i64s("anchor", claims.collect())
            .i64s("document", documents.collect())
            .strings("label", vec!["support"; n])
            .bools("relevant", &vec![true; n])
            .f32s("grade", vec![1.0; n])
            .i32_lists("sentences", vec![Vec::new(); n])
            .seal()
    }

    fn anchors(&self) -> Table {
        let n = self.claims.len();
        Table::new(n)
            .i64s("anchor", (0..n as i64).collect())
            .strings("id", (0..n).map(|number| number.to_string()))
            .strings("text", &self.claims)
            .strings("metadata", vec!["{}"; n])
            .seal()
    }
}

/// Mines with the settings of each line. Tables are made, the plugin is created and asked within the time.
pub fn mine(folder: &Path) -> Result<(), Box<dyn Error>> {
    let workload = Workload::read(folder)?;
    let model = Given {
        dim: files::dim(folder)?,
        claims: files::read(&folder.join("claims.f32"))?,
        documents: files::read(&folder.join("documents.f32"))?,
    };
    let copies = tempfile::tempdir()?;
    let executable = std::env::current_exe()?;
    let host = Host::load(&SearchPath {
        beside_executable: executable.parent().map(Path::to_owned),
        copies: copies.path().to_owned(),
        ..SearchPath::default()
    })?;
    crate::serve(|settings| {
        let (begin, used) = (Instant::now(), files::processor_seconds());
        let plugin = host
            .find(Kind::Sampler, "hard_negative")
            .ok_or("the samplers are not beside this program")?;
        let instance = plugin.create("hard_negative", settings, 0)?;
        let (corpus, judgements) = (workload.corpus(), workload.judgements());
        let context = Context {
            step: 0,
            seed: 13,
            services: Services {
                corpus: Some(&corpus),
                judgements: Some(&judgements),
                model: Some(&model),
                ..Services::default()
            },
        };
        let known: BTreeSet<usize> = (0..workload.claims.len()).collect();
        let proposed = instance.propose(&context, &workload.anchors(), &known)?;
        let seconds = begin.elapsed().as_secs_f64();
        let used = files::processor_seconds()
            .zip(used)
            .map(|(now, then)| now - then);
        let negatives: Vec<Value> = proposed
            .candidates
            .iter()
            .map(|one| json!([one.anchor, one.document, one.score]))
            .collect();
        Ok(json!({
            "seconds": seconds,
            "processor_seconds": used,
            "bytes_peak": files::peak_bytes(),
            "negatives": negatives,
            "counts": proposed.counts,
        }))
    })
}
