//! What `isolation: process` costs a call: the same plugins with the same input, here and in a process of their own, in turn.
//! Medians, in microseconds.
//!
//!     cargo build --release -p orchestrator-cli -p orchestrator-losses -p orchestrator-filters -p orchestrator-samplers
//!     cargo run --release -p orchestrator-bench-isolation -- target/release

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use orchestrator_plugin_host::{
    Batch, ChildCommand, Context, CurrentModel, Host, Instance, Isolation, Kind, Limits,
    SearchPath, Services, Table,
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const TEXTS: usize = 256;
const DIM: usize = 384;
const SAMPLES: usize = 1_000;
const ANCHORS: usize = 256;
/// As many as SciFact has, about as long.
const DOCUMENTS: usize = 5_183;

fn main() -> Outcome<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("give the folder of the executable and its libraries")?;
    let copies = tempfile::tempdir()?;
    let host = host(&folder.canonicalize()?, copies.path())?;
    say(&format!(
        "{:<52}{:>10}{:>10}{:>10}\n",
        "", "here", "apart", "more"
    ))?;
    instances(&host)?;
    losses(&host)?;
    filters(&host)?;
    samplers(&host)
}

fn say(text: &str) -> Outcome<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn host(folder: &Path, copies: &Path) -> Outcome<Host> {
    Ok(Host::load(&SearchPath {
        beside_executable: Some(folder.to_owned()),
        copies: copies.to_owned(),
        children: Some(ChildCommand {
            program: folder.join("orchestrator"),
            arguments: vec!["plugin-child".into()],
            environment: Vec::new(),
        }),
        ..SearchPath::default()
    })?)
}

/// 0 is here, 1 is apart.
fn isolation(place: usize) -> Isolation {
    match place {
        0 => Isolation::None,
        _ => Isolation::Process(Limits::default()),
    }
}

/// The plugin here and apart.
fn both(host: &Host, kind: Kind, name: &str, settings: &Value) -> Outcome<[Instance; 2]> {
    let plugin = host.find(kind, name).ok_or("a plugin is missing")?;
    let make = |place| plugin.create_in(isolation(place), name, settings, 1);
    Ok([make(0)?, make(1)?])
}

/// Does each of two things in turn, `times` times after a few that do not count, and says how long each takes.
fn compare(what: &str, times: usize, mut work: impl FnMut(usize) -> Outcome<()>) -> Outcome<()> {
    let mut took = [Vec::new(), Vec::new()];
    for turn in 0..times + 5 {
        for (place, took) in took.iter_mut().enumerate() {
            let began = Instant::now();
            work(place)?;
            if turn >= 5 {
                took.push(began.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    let [here, apart] = took.map(|mut took| {
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    });
    say(&format!(
        "{what:<52}{here:>10.0}{apart:>10.0}{:>10.0}\n",
        apart - here
    ))
}

fn instances(host: &Host) -> Outcome<()> {
    let plugin = host.find(Kind::Loss, "mnrl").ok_or("no mnrl")?;
    compare("make an instance and destroy it", 100, |place| {
        drop(plugin.create_in(isolation(place), "mnrl", &json!({}), 1)?);
        Ok(())
    })
}

/// Numbers that look random and are the same every time.
fn value(n: usize) -> f32 {
    ((n * 2_654_435_761) % 2_001) as f32 / 1_000.0 - 1.0
}

/// A quarter of the texts are anchors, each with a positive and two negatives.
fn batch() -> Batch {
    let groups = TEXTS / 4;
    let rows: Vec<(u32, u32)> = (0..groups as u32)
        .flat_map(|group| (1..4).map(move |place| (group * 4, group * 4 + place)))
        .collect();
    let offsets = |each: usize| (0..=groups).map(|group| (group * each) as u64).collect();
    let mut known_relevant = vec![0; groups * TEXTS];
    for group in 0..groups {
        known_relevant[group * TEXTS + group * 4 + 1] = 1;
    }
    Batch {
        dim: DIM,
        embeddings: (0..TEXTS * DIM).map(value).collect(),
        row_anchor: rows.iter().map(|row| row.0).collect(),
        row_text: rows.iter().map(|row| row.1).collect(),
        row_label: rows
            .iter()
            .map(|row| f32::from(u8::from(row.1 % 4 == 1)))
            .collect(),
        row_weight: vec![1.0; rows.len()],
        row_teacher: Vec::new(),
        group_anchor: (0..groups as u32).map(|group| group * 4).collect(),
        positive_offsets: offsets(1),
        positive_rows: (0..groups as u32).map(|group| group * 3).collect(),
        negative_offsets: offsets(2),
        negative_rows: (0..groups as u32)
            .flat_map(|group| [group * 3 + 1, group * 3 + 2])
            .collect(),
        known_relevant,
    }
}

fn losses(host: &Host) -> Outcome<()> {
    let batch = batch();
    let context = Context::default();
    for name in ["mnrl", "cosine_similarity"] {
        let instances = both(host, Kind::Loss, name, &json!({}))?;
        compare(
            &format!("loss: {name}, {TEXTS} texts of {DIM}"),
            200,
            |place| {
                instances[place].forward(&context, &batch)?;
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn text(n: usize, words: usize) -> String {
    (0..words)
        .map(|word| format!("word{} ", (n * 31 + word * 7) % 977))
        .collect()
}

fn filters(host: &Host) -> Outcome<()> {
    let samples = Table::new(SAMPLES)
        .i64s("anchor", (0..SAMPLES as i64).collect())
        .i64s("document", (0..SAMPLES as i64).collect())
        .strings("anchor_text", (0..SAMPLES).map(|n| text(n, 12)))
        .strings("text", (0..SAMPLES).map(|n| text(n, 150)))
        .i32s("role", vec![1; SAMPLES])
        .f32s("label", vec![1.0; SAMPLES])
        .f32s("weight", vec![1.0; SAMPLES])
        .f32s("score", vec![f32::NAN; SAMPLES])
        .strings("source", (0..SAMPLES).map(|_| "random"))
        .strings("metadata", (0..SAMPLES).map(|_| "{}"))
        .seal();
    let instances = both(host, Kind::Filter, "word_count", &json!({ "min_words": 8 }))?;
    let context = Context::default();
    compare(
        &format!("filter: word_count, {SAMPLES} samples of 150 words"),
        200,
        |place| {
            instances[place].judge(&context, &samples)?;
            Ok(())
        },
    )
}

/// A model that has its rankings at hand: what is measured is the way to it.
struct Ranked;

impl CurrentModel for Ranked {
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        let of = |anchor: &i64| {
            (0..k)
                .map(|place| {
                    let document = (*anchor as usize * 17 + place * 5) % DOCUMENTS;
                    (document as i64, 0.9 - place as f32 / 100.0)
                })
                .collect()
        };
        Some(anchors.iter().map(of).collect())
    }
    fn score(&self, anchors: &[i64], _: &[i64]) -> Option<Vec<f32>> {
        Some(vec![0.5; anchors.len()])
    }
    fn dim(&self) -> usize {
        DIM
    }
    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        vec![0.0; texts.len() * DIM]
    }
}

fn samplers(host: &Host) -> Outcome<()> {
    let corpus = Table::new(DOCUMENTS)
        .i64s("document", (0..DOCUMENTS as i64).collect())
        .strings("id", (0..DOCUMENTS).map(|n| format!("d{n}")))
        .strings("title", (0..DOCUMENTS).map(|n| text(n, 10)))
        .string_lists(
            "sentences",
            (0..DOCUMENTS).map(|n| {
                (0..8)
                    .map(move |line| text(n + line, 25))
                    .collect::<Vec<_>>()
            }),
        )
        .strings("metadata", (0..DOCUMENTS).map(|_| "{}"))
        .seal();
    let numbers: Vec<i64> = (0..ANCHORS as i64).collect();
    let judgements = Table::new(ANCHORS)
        .i64s("anchor", numbers.clone())
        .i64s("document", numbers.clone())
        .strings("label", numbers.iter().map(|_| "support"))
        .bools("relevant", &[true; ANCHORS])
        .f32s("grade", vec![1.0; ANCHORS])
        .i32_lists("sentences", numbers.iter().map(|_| vec![0]))
        .seal();
    let anchors = Table::new(ANCHORS)
        .i64s("anchor", numbers.clone())
        .strings("id", numbers.iter().map(|n| format!("a{n}")))
        .strings("text", numbers.iter().map(|n| text(*n as usize, 12)))
        .strings("metadata", numbers.iter().map(|_| "{}"))
        .seal();
    let known: BTreeSet<usize> = (0..ANCHORS).collect();
    let context = Context {
        services: Services {
            corpus: Some(&corpus),
            judgements: Some(&judgements),
            model: Some(&Ranked),
            ..Services::default()
        },
        ..Context::default()
    };
    for (name, settings) in [
        ("random", json!({ "per_anchor": 5 })),
        ("hard_negative", json!({ "top_k": 50, "per_anchor": 5 })),
    ] {
        let instances = both(host, Kind::Sampler, name, &settings)?;
        compare(
            &format!("sampler: {name}, {ANCHORS} anchors, 5 each"),
            100,
            |place| {
                instances[place].propose(&context, &anchors, &known)?;
                Ok(())
            },
        )?;
        compare(
            &format!("sampler: {name}, made anew, first call"),
            30,
            |place| {
                let plugin = host.find(Kind::Sampler, name).ok_or("no sampler")?;
                let instance = plugin.create_in(isolation(place), name, &settings, 1)?;
                instance.propose(&context, &anchors, &known)?;
                Ok(())
            },
        )?;
    }
    Ok(())
}
