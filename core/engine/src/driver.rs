//! The ticks in their order. Starting and resuming go the same way: a tick that the store holds already is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orchestrator_config::{ActiveLearning, Experiment, PluginStep, Stage, Start};
use orchestrator_data::{Dataset, Reading, Split};
use orchestrator_model::{Encoder, StaticEncoder};
use orchestrator_plugin_host::{Host, Instance, Kind};
use orchestrator_store as store;
use orchestrator_store::{Store, Tick};
use orchestrator_train::{AdamW, Checkpoint, CheckpointError};
use sha2::{Digest as _, Sha256};

use crate::adapting::Adapted;
use crate::desk::People;
use crate::error::Error;
use crate::instances;
use crate::lent::{Fixed, Lent};
use crate::making::{self, Told};
use crate::mining::Occasion;
use crate::monitor::Seen;
use crate::plan::{self, Plan};
use crate::progress::{Event, Observer};
use crate::retrieval::{DenseIndex, Embedded, Texts};
use crate::seed::seed;
use crate::training::Model;

/// A version of the model by its number, and what it made of documents and anchors.
type Version = (u64, Arc<Embedded>);

pub(crate) struct Driver<'r> {
    pub(crate) experiment: &'r Experiment,
    pub(crate) plan: &'r Plan,
    pub(crate) data: &'r Dataset,
    pub(crate) host: &'r Host,
    pub(crate) folder: PathBuf,
    pub(crate) store: Store,
    pub(crate) observer: Observer<'r>,
    pub(crate) cancelled: &'r AtomicBool,
    /// Who answers questions, if there is anybody.
    pub(crate) people: Option<&'r dyn People>,
    pub(crate) reading: Reading,
    pub(crate) lent: Arc<Lent<'r>>,
    /// Other corpora with claims, for slices of the evaluation: lent to nobody.
    pub(crate) foreign: Vec<(String, Dataset)>,
    /// The loaded model that is trained, until it is needed; none where it is made from nothing.
    pub(crate) base: Option<Encoder>,
    /// Every document and anchor, once there is a tokeniser.
    pub(crate) texts: Arc<Texts>,
    /// What a version of the model made of them: of the current one, and of the untrained.
    pub(crate) embedded: Mutex<[Option<Version>; 2]>,
    /// What the weights as they are have embedded, by the course of the run.
    pub(crate) seen: Seen,
    pub(crate) next: u32,
    pub(crate) last: Option<u32>,
    /// The tick whose checkpoint was loaded.
    pub(crate) restored: Option<u32>,
    /// What rules made of the experiment so far.
    pub(crate) adapted: Adapted,
    pub(crate) in_store: Duration,
    /// Completed this time.
    pub(crate) ticks: u32,
}

/// What the rounds hand on.
pub(crate) struct Standing {
    pub(crate) told: Told,
    /// Pairs that annotators were asked about.
    pub(crate) asked: BTreeSet<(usize, usize)>,
    /// Why there were no more rounds, if it was before their number.
    pub(crate) enough: Option<String>,
    /// Epochs trained so far.
    pub(crate) epochs: usize,
    /// Steps trained so far.
    pub(crate) steps: u64,
    /// The best validation score so far with its model's name.
    pub(crate) best: Option<(f64, String)>,
    /// Epochs since then, in this stretch of training.
    pub(crate) epochs_since_best: usize,
    /// The last epoch's validation score.
    pub(crate) value: Option<f64>,
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

    /// Whether the store holds the next `ticks` ticks already.
    pub(crate) fn holds(&self, ticks: usize) -> bool {
        let last = self.last.map_or(0, |last| last as usize + 1);
        self.next as usize + ticks <= last
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
        instances::create(self.experiment, self.host, kind, &self.adapted.step(step))
    }

    pub(crate) fn go(&mut self) -> Result<(u64, String), Error> {
        let spoiled = self.spoil();
        let mut hidden = self.hold_back();
        self.tick_data(&hidden, &spoiled)?;
        hidden.extend(&spoiled);
        let mut model = self.tick_model()?;
        self.tick_baselines(&model)?;
        let mut standing = Standing {
            told: Told {
                hidden,
                spoiled,
                said: BTreeMap::new(),
            },
            asked: BTreeSet::new(),
            enough: None,
            epochs: 0,
            steps: 0,
            best: None,
            epochs_since_best: 0,
            value: None,
        };
        let pool = self.mine(&model, &standing, Occasion::Initial)?;
        let schedule = self.experiment.train.schedule.clone();
        self.train(&mut model, pool, &schedule, &mut standing)?;
        if let Some(active) = self.experiment.active_learning.clone() {
            self.rounds(&mut model, &mut standing, &active)?;
        }
        if let Some(audit) = self.experiment.audit {
            self.tick_audit(&audit, &standing)?;
        }
        let steps = model.step;
        let chosen = self.finish(&mut model, &standing)?;
        self.tick_analyse(&model, &standing)?;
        if self.experiment.audit.is_some() {
            self.tick_audited()?;
        }
        Ok((steps, chosen))
    }

    /// Select, annotate, mine, train, until a rule or the number of rounds says that it is enough.
    fn rounds(
        &mut self,
        model: &mut Model,
        standing: &mut Standing,
        active: &ActiveLearning,
    ) -> Result<(), Error> {
        let best = |standing: &Standing| standing.best.as_ref().map(|(best, _)| *best);
        let mut without_gain = 0;
        for round in 1..=active.rounds {
            let first = self.next;
            if self.select(model, standing, active, round)? == 0 {
                standing.enough = Some(match active.total {
                    Some(total) if standing.asked.len() >= total => {
                        format!("all {total} questions are asked: active_learning.total")
                    }
                    _ => "there is nothing left to ask about".to_owned(),
                });
                break;
            }
            self.annotate(standing, active, round)?;
            let foreseen = self.foreseen(self.next - 1)?;
            let before = best(standing);
            let occasion = Occasion::Round {
                number: round,
                first,
            };
            let pool = self.mine(model, standing, occasion)?;
            // What was trained after this point is in a later checkpoint, which was loaded.
            if active.start == Start::Cold && self.restored.is_none_or(|tick| tick < self.next) {
                model.begin_anew(self.experiment.train.weight_decay as f32);
            }
            self.train(model, pool, &[Stage::of_epochs(active.epochs)], standing)?;
            without_gain = if best(standing) > before {
                0
            } else {
                without_gain + 1
            };
            if let Some(enough) = active.stop.no_gain
                && without_gain >= enough
            {
                standing.enough = Some(format!(
                    "no better on validation for {without_gain} rounds: active_learning.stop.no_gain"
                ));
                break;
            }
            if let (Some(enough), Some(foreseen)) = (active.stop.agreement, foreseen)
                && foreseen >= enough
            {
                standing.enough = Some(format!(
                    "the model was right about {:.0} % of round {round}'s questions before it was told: \
                     active_learning.stop.agreement",
                    100.0 * foreseen
                ));
                break;
            }
        }
        Ok(())
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

    /// The relevant pairs that are made negatives on purpose.
    fn spoil(&self) -> BTreeSet<(usize, usize)> {
        let (seed, share) = (self.experiment.seed, self.experiment.data.spoil);
        let relevant = self.data.judgements.iter().filter(|one| {
            self.reading.relevant(one.label) && making::spoiled(self.data, seed, share, one)
        });
        relevant.map(|one| (one.anchor, one.document)).collect()
    }

    /// The run, its plugins, documents, anchors and judgements.
    pub(crate) fn tick_data(
        &mut self,
        hidden: &BTreeSet<(usize, usize)>,
        spoiled: &BTreeSet<(usize, usize)>,
    ) -> Result<(), Error> {
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
                    spoiled: spoiled.contains(&(one.anchor, one.document)),
                })?;
            }
            Ok(())
        })
    }

    /// The untrained model, or the state of the last checkpoint.
    pub(crate) fn tick_model(&mut self) -> Result<Model, Error> {
        self.stage("model");
        let data = self.data;
        let texts: Vec<String> = data
            .documents
            .iter()
            .map(orchestrator_data::Document::full_text)
            .collect();
        let documents: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (encoder, initial, tokenizer) = match &self.experiment.encoder {
            orchestrator_config::Encoder::Static { dim, vocabulary } => {
                // Claims of validation and test are not looked at, not even by the tokeniser.
                let mut sources = documents.clone();
                let claim = |number: usize| data.anchors[number].text.as_str();
                sources.extend(data.of_split(Split::Train).map(claim));
                let seed = seed(self.experiment.seed, "model", &[]);
                let encoder = StaticEncoder::train_from(&sources, *vocabulary, *dim, seed)?;
                let tokenizer = sha256(encoder.tokenizer_json().as_bytes());
                let initial = Encoder::Static(encoder.clone());
                (Encoder::Static(encoder), initial, Some(tokenizer))
            }
            orchestrator_config::Encoder::Transformer(transformer) => {
                // Loaded twice: one is trained, the other stays what it is.
                let encoder = plan::load_encoder(transformer)?;
                let initial = match self.base.take() {
                    Some(base) => base,
                    None => plan::load_encoder(transformer)?,
                };
                (encoder, initial, None)
            }
        };
        if let orchestrator_config::Encoder::Transformer(transformer) = &self.experiment.encoder
            && let Some(note) = plan::note_on_precision(plan::precision(transformer))
        {
            self.store.event("precision", note)?;
            self.show(Event::Note(note.to_owned()));
        }
        let claims: Vec<&str> = data.anchors.iter().map(|one| one.text.as_str()).collect();
        self.texts = Arc::new(Texts::cut(&encoder, &documents, &claims)?);
        let decay = self.experiment.train.weight_decay as f32;
        let mut model = Model {
            initial: Arc::new(Fixed::of(initial)),
            optimiser: AdamW::new(encoder.parameters(), decay),
            encoder,
            step: 0,
            version: 0,
        };
        let Some(number) = self.begin()? else {
            self.load_checkpoint(&mut model)?;
            return Ok(model);
        };
        let (file, hash) = self.save_checkpoint(&model, number)?;
        let (detail, metrics) = describe(&self.experiment.encoder, &model.encoder, tokenizer);
        self.write(number, "model", &detail, |tick| {
            for (name, value) in metrics {
                tick.add_metric(None, name, value as f64)?;
            }
            Ok(tick.add_checkpoint(&file, &hash)?)
        })?;
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

    pub(crate) fn load_checkpoint(&mut self, model: &mut Model) -> Result<(), Error> {
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
        // Those before it are still there if the run was killed just before they were removed.
        self.drop_checkpoints_before(named.tick);
        self.restored = Some(named.tick);
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

    /// Search by the current model. What a version of it makes of documents and anchors is made once.
    pub(crate) fn index<'m>(&self, model: &'m Model) -> Result<DenseIndex<'m>, Error> {
        let embedded = self.embedded(0, model.version, &model.encoder)?;
        let texts = self.texts.clone();
        Ok(DenseIndex::new(&model.encoder, texts, embedded))
    }

    /// Search by the untrained model.
    pub(crate) fn index_of_initial<'m>(&self, model: &'m Model) -> Result<DenseIndex<'m>, Error> {
        let encoder = &model.initial.encoder;
        let embedded = self.embedded(1, 0, encoder)?;
        let texts = self.texts.clone();
        Ok(DenseIndex::new(encoder, texts, embedded))
    }

    /// How many texts a version of the model has encoded so far: for people, since a run that goes on encodes some again.
    pub(crate) fn encoded(&self, version: u64) -> usize {
        let kept = self.embedded.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().flatten().find(|(of, _)| *of == version);
        found.map_or(0, |(_, embedded)| embedded.encoded())
    }

    fn embedded(
        &self,
        place: usize,
        version: u64,
        encoder: &Encoder,
    ) -> Result<Arc<Embedded>, Error> {
        let mut kept = self.embedded.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().flatten().find(|(of, _)| *of == version);
        if let Some((_, embedded)) = found {
            return Ok(embedded.clone());
        }
        // What there was is given up first: two are never held for one.
        kept[place] = None;
        let embedded = Embedded::of(encoder, &self.texts, |done, total| {
            if done > 0 {
                self.show(Event::Advance {
                    done: done as u64,
                    total: total as u64,
                });
            }
            self.stop_if_asked()
        })?;
        let embedded = Arc::new(embedded);
        kept[place] = Some((version, embedded.clone()));
        if version == 0 && self.experiment.active_learning.is_some() {
            // The committee will ask the untrained model again.
            kept[1] = Some((version, embedded.clone()));
        }
        Ok(embedded)
    }
}

/// What the store says of an encoder: a line, and numbers.
fn describe(
    given: &orchestrator_config::Encoder,
    encoder: &Encoder,
    tokenizer: Option<String>,
) -> (String, Vec<(&'static str, usize)>) {
    let dim = ("model/dim", encoder.dim());
    match (given, encoder) {
        (orchestrator_config::Encoder::Transformer(transformer), _) => {
            let values = |trained: bool| {
                let all = encoder.parameters().iter();
                let counted = all.filter(|one| one.trained || !trained);
                counted.map(|one| one.values.len()).sum()
            };
            let numbers = vec![
                dim,
                ("model/parameters", values(false)),
                ("model/parameters_trained", values(true)),
            ];
            (format!("transformer, {transformer}"), numbers)
        }
        (orchestrator_config::Encoder::Static { .. }, encoder) => {
            let rows = encoder.parameters().first().map_or(0, |one| one.shape[0]);
            let tokenizer = tokenizer.unwrap_or_default();
            let line = format!("static, tokeniser {tokenizer}");
            (line, vec![("model/vocabulary", rows), dim])
        }
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
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
