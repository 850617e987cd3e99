//! Our side of the benchmarks of transformers: one piece of work a process, one line of JSON, as `compare.py` asks for it and
//! `peer.py` describes it.
//!
//!     orchestrator-bench-transformer encode|train|combined|curve|gradients --model FOLDER --scifact FOLDER
//!         [--precision f32|bf16|int8] [--texts N] [--steps N] [--out FILE] [--threads N]

mod texts;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use orchestrator_model::parameters::{Gradient, Slope};
use orchestrator_model::transformer::{Options, Precision};
use orchestrator_model::{Side, Tokens, Transformer};
use orchestrator_plugin_host::{Batch, Context, Host, Kind, SearchPath, WeightedLoss, combine};
use orchestrator_train::{AdamW, clip};
use serde_json::{Value, json};
use texts::Pair;

type Outcome<T> = Result<T, Box<dyn Error>>;

const RATE: f64 = 2e-5;

struct Asked {
    model: PathBuf,
    scifact: PathBuf,
    precision: Precision,
    texts: usize,
    steps: Option<usize>,
    out: Option<PathBuf>,
    /// Of the executable and the libraries beside it.
    folder: PathBuf,
}

fn main() -> Outcome<()> {
    let mut given = std::env::args().skip(1);
    let work = given.next().ok_or("which work?")?;
    let mut options = BTreeMap::new();
    while let (Some(name), Some(value)) = (given.next(), given.next()) {
        options.insert(name, value);
    }
    let text = |name: &str| options.get(name).cloned();
    let number = |name: &str| text(name).map(|value| value.parse::<usize>()).transpose();
    let precision = text("--precision").unwrap_or_else(|| "f32".to_owned());
    let executable = std::env::current_exe()?;
    let asked = Asked {
        model: text("--model").ok_or("no --model")?.into(),
        scifact: text("--scifact").ok_or("no --scifact")?.into(),
        precision: match precision.as_str() {
            "f32" => Precision::F32,
            "bf16" => Precision::Bf16,
            "int8" => Precision::Int8,
            _ => return Err("--precision f32, bf16 or int8".into()),
        },
        texts: number("--texts")?.unwrap_or(1000),
        steps: number("--steps")?,
        out: text("--out").map(Into::into),
        folder: executable.parent().ok_or("no folder")?.to_owned(),
    };
    let mut answer = match work.as_str() {
        "encode" => encode(&asked)?,
        "train" => timed(&asked, false)?,
        "combined" => timed(&asked, true)?,
        "curve" => curve(&asked)?,
        "gradients" => gradients(&asked)?,
        _ => return Err("encode, train, combined, curve or gradients".into()),
    };
    answer["work"] = json!(work);
    answer["precision"] = json!(precision);
    answer["threads"] = json!(number("--threads")?);
    answer["peak_rss_mb"] = json!(peak_mb());
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(())
}

/// The highest resident memory so far, MiB, where the system says.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Seconds that all threads have been at work, where the system says.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may have spaces: the 12th and 13th are the times of user and system.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<f64>, _> = fields.map(str::parse).collect();
    Some(ticks.ok()?.iter().sum::<f64>() / 100.0)
}

/// Time on the clock, and of all threads.
struct Clock(Instant, Option<f64>);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), processor_seconds())
    }

    /// Seconds of both kinds.
    fn read(&self) -> (f64, Option<f64>) {
        let used = processor_seconds()
            .zip(self.1)
            .map(|(now, then)| now - then);
        (self.0.elapsed().as_secs_f64(), used)
    }
}

fn load(asked: &Asked, dropout: f32) -> Outcome<Transformer> {
    let options = Options {
        precision: asked.precision,
        dropout,
        ..Options::default()
    };
    Ok(Transformer::load(&asked.model, &options)?)
}

fn encode(asked: &Asked) -> Outcome<Value> {
    let model = load(asked, 0.0)?;
    let all = texts::documents(&asked.scifact)?;
    let all: Vec<&str> = all
        .iter()
        .take(asked.texts)
        .map(|(_, text)| text.as_str())
        .collect();
    let work = |texts: &[&str]| -> Outcome<(Vec<f32>, usize)> {
        let tokens = model.tokenize_with(texts, "")?;
        Ok((
            model.encode_as_saved(&tokens),
            tokens.iter().map(Vec::len).sum(),
        ))
    };
    work(&all[..32.min(all.len())])?;
    let clock = Clock::start();
    let (embeddings, tokens) = work(&all)?;
    let (seconds, processor_seconds) = clock.read();
    if let Some(out) = &asked.out {
        std::fs::write(
            out,
            embeddings
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<u8>>(),
        )?;
    }
    Ok(
        json!({ "seconds": seconds, "processor_seconds": processor_seconds, "texts": all.len(), "tokens": tokens }),
    )
}

/// Training as the engine does it: tokens, embeddings, losses of plugins, the way back, clipping, AdamW.
struct Trainer {
    model: Transformer,
    optimiser: AdamW,
    losses: Vec<WeightedLoss>,
    claims: BTreeMap<String, String>,
    documents: BTreeMap<String, String>,
    dropout: bool,
    steps: u64,
    tokens: usize,
}

impl Trainer {
    fn new(asked: &Asked, combined: bool, dropout: f32) -> Outcome<Self> {
        let model = load(asked, dropout)?;
        let copies = tempfile::tempdir()?;
        let host = Host::load(&SearchPath {
            beside_executable: Some(asked.folder.clone()),
            copies: copies.path().to_owned(),
            ..SearchPath::default()
        })?;
        let of = |name: &str, weight: f64| -> Outcome<WeightedLoss> {
            let plugin = host
                .find(Kind::Loss, name)
                .ok_or("a loss is missing: build the plugins too")?;
            Ok(WeightedLoss {
                instance: plugin.create(name, &json!({}), 1)?,
                weight,
            })
        };
        let losses = if combined {
            vec![
                of("mnrl", 0.6)?,
                of("contrastive", 0.3)?,
                of("cosine_similarity", 0.1)?,
            ]
        } else {
            vec![of("mnrl", 1.0)?]
        };
        Ok(Self {
            optimiser: AdamW::new(model.parameters(), 0.0),
            model,
            losses,
            claims: texts::claims(&asked.scifact)?,
            documents: texts::documents(&asked.scifact)?.into_iter().collect(),
            dropout: dropout > 0.0,
            steps: 0,
            tokens: 0,
        })
    }

    /// Loss and gradient of a batch.
    fn gradient(&mut self, pairs: &[Pair]) -> Outcome<(f64, Gradient)> {
        let claims: Vec<&str> = pairs
            .iter()
            .map(|(claim, _)| self.claims[claim].as_str())
            .collect();
        let documents: Vec<&str> = pairs
            .iter()
            .map(|(_, document)| self.documents[document].as_str())
            .collect();
        let mut tokens = self.model.tokenize(&claims, Side::Anchor)?;
        tokens.extend(self.model.tokenize(&documents, Side::Document)?);
        self.tokens += tokens.iter().map(Vec::len).sum::<usize>();
        let refs: Vec<&Tokens> = tokens.iter().collect();
        let forward = self
            .model
            .forward(&refs, self.dropout.then_some(self.steps))?;
        let batch = batch(
            pairs.len(),
            self.model.dim(),
            forward.embeddings().to_vec(),
            self.losses.len() > 1,
        );
        let sum = combine(&self.losses, &[], &batch, |_| Context::default())?;
        Ok((sum.loss, forward.backward(sum.gradient)?))
    }

    fn step(&mut self, pairs: &[Pair], rate: f64) -> Outcome<(f64, f64)> {
        let (loss, mut gradient) = self.gradient(pairs)?;
        let norm = clip(&mut gradient, 1.0);
        if !self
            .optimiser
            .update(self.model.parameters_mut(), &gradient, rate)
        {
            return Err("a value is not finite".into());
        }
        self.steps += 1;
        Ok((loss, norm))
    }
}

/// Claims, then their abstracts. With `labels`, odd claims also stand with the next place's abstract, labelled 0.
fn batch(pairs: usize, dim: usize, embeddings: Vec<f32>, labels: bool) -> Batch {
    let n = pairs as u32;
    let mut rows: Vec<(u32, u32, f32)> = (0..n).map(|place| (place, n + place, 1.0)).collect();
    let mut negatives = vec![0];
    let mut negative_rows = Vec::new();
    for place in 0..n {
        if labels && place % 2 == 1 {
            negative_rows.push(rows.len() as u32);
            rows.push((place, n + (place + 1) % n, 0.0));
        }
        negatives.push(negative_rows.len() as u64);
    }
    let mut known_relevant = vec![0; pairs * 2 * pairs];
    for place in 0..pairs {
        known_relevant[place * 2 * pairs + pairs + place] = 1;
    }
    Batch {
        dim,
        embeddings,
        row_anchor: rows.iter().map(|row| row.0).collect(),
        row_text: rows.iter().map(|row| row.1).collect(),
        row_label: rows.iter().map(|row| row.2).collect(),
        row_weight: vec![1.0; rows.len()],
        row_teacher: Vec::new(),
        group_anchor: (0..n).collect(),
        positive_offsets: (0..=u64::from(n)).collect(),
        positive_rows: (0..n).collect(),
        negative_offsets: negatives,
        negative_rows,
        known_relevant,
    }
}

fn timed(asked: &Asked, combined: bool) -> Outcome<Value> {
    let steps = asked.steps.unwrap_or(5);
    let batches = texts::batches(&asked.scifact, Some(steps + 1))?;
    let mut trainer = Trainer::new(asked, combined, 0.1)?;
    trainer.step(&batches[0], RATE)?;
    trainer.tokens = 0;
    let clock = Clock::start();
    let mut losses = Vec::new();
    for pairs in &batches[1..] {
        losses.push(trainer.step(pairs, RATE)?.0);
    }
    let (seconds, processor_seconds) = clock.read();
    let pairs: usize = batches[1..].iter().map(Vec::len).sum();
    Ok(
        json!({ "seconds": seconds, "processor_seconds": processor_seconds, "steps": steps, "pairs": pairs, "tokens": trainer.tokens, "losses": losses }),
    )
}

fn curve(asked: &Asked) -> Outcome<Value> {
    let batches = texts::batches(&asked.scifact, asked.steps)?;
    let mut trainer = Trainer::new(asked, false, 0.0)?;
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for (step, pairs) in batches.iter().enumerate() {
        let rate = RATE * (batches.len() - step) as f64 / batches.len() as f64;
        let (loss, norm) = trainer.step(pairs, rate)?;
        losses.push(loss);
        norms.push(norm);
    }
    Ok(json!({ "steps": losses.len(), "losses": losses, "gradient_norms": norms }))
}

fn gradients(asked: &Asked) -> Outcome<Value> {
    let out = asked.out.as_deref().ok_or("no --out")?;
    let mut trainer = Trainer::new(asked, false, 0.0)?;
    let batches = texts::batches(&asked.scifact, Some(1))?;
    let (loss, gradient) = trainer.gradient(&batches[0])?;
    write_gradients(out, &trainer.model, &gradient)?;
    Ok(json!({ "losses": [loss] }))
}

fn write_gradients(out: &Path, model: &Transformer, gradient: &Gradient) -> Outcome<()> {
    let mut all = Vec::new();
    for (parameter, slope) in model.parameters().iter().zip(&gradient.slopes) {
        let mut dense = vec![0.0f32; parameter.values.len()];
        match slope {
            None => continue,
            Some(Slope::Dense(values)) => dense.copy_from_slice(values),
            Some(Slope::Rows { rows, values }) => {
                let columns = parameter.shape[1];
                for (row, values) in rows.iter().zip(values.chunks_exact(columns)) {
                    dense[*row as usize * columns..][..columns].copy_from_slice(values);
                }
            }
        }
        let bytes: Vec<u8> = dense.iter().flat_map(|value| value.to_le_bytes()).collect();
        all.push((parameter.name.as_str(), parameter.shape.clone(), bytes));
    }
    let views = all.iter().map(|(name, shape, bytes)| {
        Ok((
            *name,
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes)?,
        ))
    });
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    std::fs::write(out, safetensors::serialize(views, None)?)?;
    Ok(())
}
