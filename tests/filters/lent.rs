//! What the tests of the filters lend them: samples, claims, documents, models whose answers are known.

use std::collections::BTreeMap;

use orchestrator_plugin_host::{
    Context, Error, Host, Kind, NamedModels, Role, SearchPath, Services, Table, TopicModel, Verdict,
};
use orchestrator_tests::{built, repository};
use serde_json::Value;

/// A sample.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) anchor: i64,
    pub(crate) text: String,
    pub(crate) role: Role,
    pub(crate) source: &'static str,
    pub(crate) document: i64,
}

pub(crate) fn positive(anchor: i64, text: &str) -> Row {
    Row {
        anchor,
        text: text.to_owned(),
        role: Role::Positive,
        source: "explicit",
        document: -1,
    }
}

pub(crate) fn negative(anchor: i64, text: &str) -> Row {
    Row {
        role: Role::Negative,
        source: "mined",
        ..positive(anchor, text)
    }
}

pub(crate) fn from(source: &'static str, row: Row) -> Row {
    Row { source, ..row }
}

/// Columns of `orch.filter/1`.
pub(crate) fn samples(rows: &[Row]) -> Table {
    let n = rows.len();
    Table::new(n)
        .i64s("anchor", rows.iter().map(|row| row.anchor).collect())
        .i64s("document", rows.iter().map(|row| row.document).collect())
        .strings(
            "anchor_text",
            rows.iter().map(|row| format!("a{}", row.anchor)),
        )
        .strings("text", rows.iter().map(|row| row.text.as_str()))
        .i32s("role", rows.iter().map(|row| row.role.code()).collect())
        .f32s("label", vec![1.0; n])
        .f32s("weight", vec![1.0; n])
        .f32s("score", vec![f32::NAN; n])
        .strings("source", rows.iter().map(|row| row.source))
        .strings("metadata", vec!["{}"; n])
        .seal()
}

/// Columns of `orch.held_out/1`, of (id, split, text).
pub(crate) fn held_out(claims: &[(&str, &str, &str)]) -> Table {
    Table::new(claims.len())
        .strings("id", claims.iter().map(|claim| claim.0))
        .strings("split", claims.iter().map(|claim| claim.1))
        .strings("text", claims.iter().map(|claim| claim.2))
        .seal()
}

/// Documents of a title each, without sentences.
pub(crate) fn corpus(titles: &[&str]) -> Table {
    let n = titles.len();
    Table::new(n)
        .i64s("document", (0..n as i64).collect())
        .strings("id", (0..n).map(|number| number.to_string()))
        .strings("title", titles)
        .string_lists("sentences", vec![Vec::<&str>::new(); n])
        .strings("metadata", vec!["{}"; n])
        .seal()
}

/// Columns of `orch.judgements/1`, of (anchor, document, relevant).
pub(crate) fn judgements(rows: &[(i64, i64, bool)]) -> Table {
    let n = rows.len();
    Table::new(n)
        .i64s("anchor", rows.iter().map(|row| row.0).collect())
        .i64s("document", rows.iter().map(|row| row.1).collect())
        .strings("label", vec!["support"; n])
        .bools(
            "relevant",
            &rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        )
        .f32s("grade", vec![1.0; n])
        .i32_lists("sentences", vec![Vec::new(); n])
        .seal()
}

/// The similarity of a text is the number it begins with; the model `halved` says half of it.
pub(crate) struct Said;

impl NamedModels for Said {
    fn knows(&self, model: &str) -> bool {
        ["current", "halved"].contains(&model)
    }
    fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Option<Vec<f32>> {
        let factor = if model == "halved" { 0.5 } else { 1.0 };
        let score = |(_, text): &(&str, &str)| {
            let number = text.split(' ').next()?;
            Some(factor * number.parse::<f32>().ok()?)
        };
        pairs.iter().map(score).collect()
    }
}

/// Topics by text.
pub(crate) struct Mixtures(pub(crate) usize, pub(crate) BTreeMap<String, Vec<f32>>);

impl TopicModel for Mixtures {
    fn count(&self) -> usize {
        self.0
    }
    fn infer(&self, texts: &[&str]) -> Vec<f32> {
        texts
            .iter()
            .flat_map(|text| self.1[*text].clone())
            .collect()
    }
    fn documents(&self) -> &[f32] {
        &[]
    }
}

/// What a call is lent, owned.
pub(crate) struct World {
    pub(crate) corpus: Table,
    pub(crate) judgements: Table,
    pub(crate) held_out: Table,
    pub(crate) pool: Table,
    pub(crate) topics: Mixtures,
    pub(crate) seed: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            corpus: corpus(&[]),
            judgements: judgements(&[]),
            held_out: held_out(&[]),
            pool: samples(&[]),
            topics: Mixtures(1, BTreeMap::new()),
            seed: 7,
        }
    }
}

pub(crate) struct Filters {
    host: Host,
    _copies: tempfile::TempDir,
}

impl Filters {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn judge_table(
        &self,
        name: &str,
        settings: &Value,
        world: &World,
        table: &Table,
    ) -> Result<Vec<Verdict>, Error> {
        let filter = self.host.find(Kind::Filter, name).unwrap();
        let instance = filter.create(name, settings, world.seed)?;
        let context = Context {
            seed: world.seed,
            services: Services {
                corpus: Some(&world.corpus),
                judgements: Some(&world.judgements),
                held_out: Some(&world.held_out),
                pool: Some(&world.pool),
                topics: Some(&world.topics),
                models: Some(&Said),
                ..Services::default()
            },
            ..Context::default()
        };
        instance.prepare(&context)?;
        instance.judge(&context, table)
    }

    pub(crate) fn judge(
        &self,
        name: &str,
        settings: &Value,
        world: &World,
        rows: &[Row],
    ) -> Vec<Verdict> {
        self.judge_table(name, settings, world, &samples(rows))
            .unwrap()
    }

    /// Where a verdict says "" the sample must stay; else it must go, for a reason that holds those words.
    pub(crate) fn expect(
        &self,
        name: &str,
        settings: &Value,
        world: &World,
        rows: &[Row],
        said: &[&str],
    ) {
        let verdicts = self.judge(name, settings, world, rows);
        assert_eq!(verdicts.len(), said.len());
        for ((verdict, said), row) in verdicts.iter().zip(said).zip(rows) {
            let right = if said.is_empty() {
                verdict.keep && verdict.reason.is_empty()
            } else {
                !verdict.keep && verdict.reason.contains(said)
            };
            assert!(
                right,
                "{name} {settings}: {row:?}: {verdict:?}, expected \"{said}\""
            );
        }
    }

    /// The pointer and message of the error that `prepare` must give.
    pub(crate) fn refused(&self, name: &str, settings: &Value) -> (String, String) {
        match self.judge_table(name, settings, &World::default(), &samples(&[])) {
            Err(Error::Config {
                pointer, message, ..
            }) => (pointer, message),
            other => panic!("{name} {settings}: {other:?}"),
        }
    }
}

pub(crate) fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/filters.json")).unwrap()
}

/// The built-in abstracts (title and sentences) and the claims of their test split, as (id, text).
pub(crate) fn builtin() -> (Vec<Vec<String>>, Vec<(String, String)>) {
    let (mut documents, mut claims) = (Vec::new(), Vec::new());
    let folder = repository().join("experiments/data/mini");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|one| one == "jsonl"))
        .collect();
    paths.sort();
    for path in paths {
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let one: Value = serde_json::from_str(line).unwrap();
            if let Some(claim) = one["claim"].as_str() {
                if one["split"] == "test" {
                    claims.push((one["id"].to_string(), claim.to_owned()));
                }
                continue;
            }
            let sentences = one["abstract"].as_array().unwrap().iter();
            let parts = std::iter::once(&one["title"]).chain(sentences);
            documents.push(
                parts
                    .map(|part| part.as_str().unwrap().to_owned())
                    .collect(),
            );
        }
    }
    (documents, claims)
}

/// Pseudorandom numbers for made-up data (xorshift64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
