//! The ticks in their order. Starting and resuming go the same way: a tick that the store holds already is passed over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use orchestrator_config::{Encoder, Experiment, PluginStep, Stage};
use orchestrator_data::{Dataset, Reading, Split};
use orchestrator_model::{StaticEncoder, Tokens};
use orchestrator_plugin_host::{Host, Instance, Kind};
use orchestrator_store as store;
use orchestrator_store::{Store, Tick};
use orchestrator_train::{AdamW, Checkpoint, CheckpointError};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::instances;
use crate::lent::Lent;
use crate::making::{self};
use crate::mining::Occasion;
use crate::plan::Plan;
use crate::progress::{Event, Observer};
use crate::retrieval::DenseIndex;
use crate::seed::seed;
use crate::training::Model;

pub(crate) struct Driver<'r> {
    pub(crate) experiment: &'r Experiment,
    pub(crate) plan: &'r Plan,
    pub(crate) data: &'r Dataset,
    pub(crate) host: &'r Host,
    pub(crate) folder: PathBuf,
    pub(crate) store: Store,
    pub(crate) observer: Observer<'r>,
    pub(crate) cancelled: &'r AtomicBool,
    pub(crate) reading: Reading,
    pub(crate) lent: Arc<Lent<'r>>,
    /// Tokens of every document and anchor, once there is a tokeniser.
    pub(crate) documents: Vec<Tokens>,
    pub(crate) anchors: Vec<Tokens>,
    pub(crate) next: u32,
    pub(crate) last: Option<u32>,
    pub(crate) in_store: Duration,
    /// Completed this time.
    pub(crate) ticks: u32,
}

/// What the rounds hand on.
pub(crate) struct Standing {
    /// Judged pairs that training may not know.
    pub(crate) hidden: BTreeSet<(usize, usize)>,
    /// Pairs the annotator was asked about.
    pub(crate) asked: BTreeSet<(usize, usize)>,
    /// Epochs trained so far.
    pub(crate) epochs: usize,
    /// Steps trained so far.
    pub(crate) steps: u64,
    /// The best validation score so far with its model's name.
    pub(crate) best: Option<(f64, String)>,
}

impl Driver<'_> {
    /// Numbers the next tick; `None` if the store holds it already.
    pub(crate) fn begin(&mut self) -> Result<Option<u32>, Error> {
        let number = self.next;
        self.next += 1;
        if self.last.is_some_and(|last| number <= last) {
            return Ok(None);
        }
        self.stop_if_asked()?;
        Ok(Some(number))
    }

    pub(crate) fn stop_if_asked(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Interrupted(self.folder.clone()));
        }
        Ok(())
    }

    pub(crate) fn write(
        &mut self,
        number: u32,
        kind: &str,
        detail: &str,
        rows: impl FnOnce(&Tick<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let began = Instant::now();
        let tick = self.store.tick(number, kind, detail)?;
        rows(&tick)?;
        tick.complete()?;
        self.ticks += 1;
        self.in_store += began.elapsed();
        Ok(())
    }

    pub(crate) fn show(&self, event: Event) {
        (self.observer)(event);
    }

    pub(crate) fn stage(&self, text: impl Into<String>) {
        self.show(Event::Stage(text.into()));
    }

    pub(crate) fn create(&self, kind: Kind, step: &PluginStep) -> Result<Instance, Error> {
        instances::create(self.experiment, self.host, kind, step)
    }

    pub(crate) fn go(&mut self) -> Result<(u64, String), Error> {
        let hidden = self.hold_back();
        self.tick_data(&hidden)?;
        let mut model = self.tick_model()?;
        self.tick_baselines(&model)?;
        let mut standing = Standing {
            hidden,
            asked: BTreeSet::new(),
            epochs: 0,
            steps: 0,
            best: None,
        };
        let pool = self.mine(&model, &standing, Occasion::Initial)?;
        let schedule = self.experiment.train.schedule.clone();
        self.train(&mut model, pool, &schedule, &mut standing)?;
        if let Some(active) = self.experiment.active_learning.clone() {
            for round in 1..=active.rounds {
                let first = self.next;
                self.ask(&model, &mut standing, round)?;
                let occasion = Occasion::Round {
                    number: round,
                    first,
                };
                let pool = self.mine(&model, &standing, occasion)?;
                let stage = Stage {
                    epochs: active.epochs,
                    difficulty: orchestrator_config::Difficulty::Any,
                };
                self.train(&mut model, pool, &[stage], &mut standing)?;
            }
        }
        let steps = model.step;
        let chosen = self.finish(&mut model, &standing)?;
        Ok((steps, chosen))
    }

    pub(crate) fn hold_back(&self) -> BTreeSet<(usize, usize)> {
        let Some(active) = &self.experiment.active_learning else {
            return BTreeSet::new();
        };
        self.data
            .judgements
            .iter()
            .filter(|one| making::held_back(self.data, self.experiment.seed, active.hold_back, one))
            .map(|one| (one.anchor, one.document))
            .collect()
    }

    /// The run, its plugins, documents, anchors and judgements.
    pub(crate) fn tick_data(&mut self, hidden: &BTreeSet<(usize, usize)>) -> Result<(), Error> {
        self.stage("data");
        let excluded = self.data.of_split(Split::Excluded).count();
        if excluded > 0 {
            self.show(Event::Note(format!(
                "{excluded} training claims say the same as a test claim: left out"
            )));
        }
        if self.data.of_split(Split::Validation).next().is_none() {
            self.show(Event::Note(
                "there are no validation claims: the last epoch will be the trained model"
                    .to_owned(),
            ));
        }
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let (data, plan, reading) = (self.data, self.plan, self.reading);
        let text = plan.to_json();
        self.write(number, "data", "", |tick| {
            tick.add_run(&store::Run {
                name: &plan.experiment.name,
                seed: plan.experiment.seed,
                version: &plan.version,
                data_fingerprint: &plan.data_fingerprint,
                plan: &text,
            })?;
            for (used, (_, step)) in plan.plugins.iter().zip(plan.experiment.steps()) {
                tick.add_plugin(&store::Plugin {
                    name: &used.name,
                    id: &used.id,
                    kind: used.kind.name(),
                    version: &used.version,
                    sha256: &used.sha256,
                    settings: &step.settings.to_string(),
                })?;
            }
            for (number, document) in data.documents.iter().enumerate() {
                tick.add_document(&store::Document {
                    number,
                    id: &document.id,
                    title: &document.title,
                    text: &document.full_text(),
                    metadata: &making::metadata(&document.metadata),
                })?;
            }
            for (number, anchor) in data.anchors.iter().enumerate() {
                tick.add_anchor(&store::Anchor {
                    number,
                    id: &anchor.id,
                    split: anchor.split.name(),
                    text: &anchor.text,
                    metadata: &making::metadata(&anchor.metadata),
                })?;
            }
            for one in &data.judgements {
                tick.add_judgement(&store::Judgement {
                    anchor: one.anchor,
                    document: one.document,
                    label: one.label.name(),
                    sentences: &one.sentences,
                    relevant: reading.relevant(one.label),
                    grade: reading.grade(one.label),
                    held_back: hidden.contains(&(one.anchor, one.document)),
                })?;
            }
            Ok(())
        })
    }

    /// The untrained model, or the state of the last checkpoint.
    pub(crate) fn tick_model(&mut self) -> Result<Model, Error> {
        self.stage("model");
        let Encoder::Static { dim, vocabulary } = self.experiment.encoder;
        let texts: Vec<String> = self
            .data
            .documents
            .iter()
            .map(orchestrator_data::Document::full_text)
            .collect();
        // Claims of validation and test are not looked at, not even by the tokeniser.
        let mut sources: Vec<&str> = texts.iter().map(String::as_str).collect();
        sources.extend(
            self.data
                .of_split(Split::Train)
                .map(|number| self.data.anchors[number].text.as_str()),
        );
        let encoder = StaticEncoder::train_from(
            &sources,
            vocabulary,
            dim,
            seed(self.experiment.seed, "model", &[]),
        )?;
        self.documents = encoder.tokenize(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        let claims: Vec<&str> = self
            .data
            .anchors
            .iter()
            .map(|anchor| anchor.text.as_str())
            .collect();
        self.anchors = encoder.tokenize(&claims)?;
        let decay = self.experiment.train.weight_decay as f32;
        let mut model = Model {
            initial: Arc::new(encoder.clone()),
            optimiser: AdamW::new(encoder.vocabulary(), dim, decay),
            encoder,
            step: 0,
        };
        match self.begin()? {
            Some(number) => {
                let tokenizer = sha256(model.encoder.tokenizer_json().as_bytes());
                let (file, hash) = self.save_checkpoint(&model, number)?;
                let vocabulary = model.encoder.vocabulary() as f64;
                self.write(
                    number,
                    "model",
                    &format!("static, tokeniser {tokenizer}"),
                    |tick| {
                        tick.add_metric(None, "model/vocabulary", vocabulary)?;
                        tick.add_metric(None, "model/dim", dim as f64)?;
                        Ok(tick.add_checkpoint(&file, &hash)?)
                    },
                )?;
            }
            None => self.load_checkpoint(&mut model)?,
        }
        Ok(model)
    }

    pub(crate) fn save_checkpoint(
        &self,
        model: &Model,
        number: u32,
    ) -> Result<(String, String), Error> {
        let name = format!("checkpoints/tick-{number}.safetensors");
        let path = self.folder.join(&name);
        let bytes = model.checkpoint().write(&path)?;
        Ok((name, sha256(&bytes)))
    }

    pub(crate) fn load_checkpoint(&self, model: &mut Model) -> Result<(), Error> {
        let Some(named) = self.store.last_checkpoint()? else {
            return Ok(());
        };
        let path = self.folder.join(&named.file);
        let bytes = std::fs::read(&path).map_err(file_error("read the checkpoint", &path))?;
        let wrong = |why: &str| CheckpointError::Content {
            path: path.clone(),
            why: why.to_owned(),
        };
        if sha256(&bytes) != named.sha256 {
            return Err(wrong("its hash is not the one in the store").into());
        }
        if !model.restore(Checkpoint::from_bytes(&bytes, &path)?) {
            return Err(wrong("it has another shape").into());
        }
        Ok(())
    }

    /// Removes the checkpoints that the store no longer needs: only the last one is ever read.
    pub(crate) fn drop_checkpoints_before(&self, number: u32) {
        let Ok(entries) = std::fs::read_dir(self.folder.join("checkpoints")) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let of_tick = name
                .strip_prefix("tick-")
                .and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
            if of_tick.is_some_and(|tick| tick < number) {
                // What stays behind costs space, nothing else.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    pub(crate) fn index<'m>(&self, model: &'m Model) -> DenseIndex<'m> {
        DenseIndex::build(&model.encoder, &self.documents, &self.anchors)
    }
}

pub(crate) fn file_error<'p>(
    what: &'static str,
    path: &'p Path,
) -> impl FnOnce(std::io::Error) -> Error + use<'p> {
    move |why| Error::File {
        what,
        path: path.to_owned(),
        why,
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
