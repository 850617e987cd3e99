//! The run: a folder, a plan, a store, and the ticks in their order. Starting and resuming go the same way; a tick that
//! the store holds already is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use orchestrator_config::{Encoder, Experiment, Metric, PluginStep, RoleFilter, Stage};
use orchestrator_data::{Dataset, Reading, Split};
use orchestrator_model::{StaticEncoder, Tokens};
use orchestrator_plugin_host::{Context, Host, Instance, Kind, Services, Table};
use orchestrator_store as store;
use orchestrator_store::{Role, SampleView, Store, Tick};
use orchestrator_train::{AdamW, Checkpoint, CheckpointError, LinearSchedule};
use sha2::{Digest as _, Sha256};

use crate::active;
use crate::batches::{self, Epoch};
use crate::error::Error;
use crate::making::{self, Knowledge, Scale};
use crate::plan::{self, Origin, Plan};
use crate::pool::Pool;
use crate::progress::{Event, Observer};
use crate::retrieval::{Bm25Index, DEPTH, DenseIndex, best, score_ranking};
use crate::seed::seed;
use crate::training::{self, Model, WeightedLoss};

/// A run on its way.
pub struct Run {
    folder: PathBuf,
    plan: Plan,
    data: Dataset,
    store: Store,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its folder.
    pub folder: PathBuf,
    /// (model, split, metric, mean) of bm25, the untrained and the trained model.
    pub results: Vec<(String, String, String, f64)>,
    /// Steps taken.
    pub steps: u64,
    /// Share of the time that went to the store, 0..1.
    pub store_share: f64,
    /// Hash of everything in the store but the clock.
    pub content_hash: String,
}

fn file_error<'p>(
    what: &'static str,
    path: &'p Path,
) -> impl FnOnce(std::io::Error) -> Error + use<'p> {
    move |why| Error::File {
        what,
        path: path.to_owned(),
        why,
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Run {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// If the folder exists or cannot be made.
    pub fn create(
        folder: &Path,
        plan: Plan,
        data: Dataset,
        origin: &Origin,
        experiment_yaml: &str,
    ) -> Result<Self, Error> {
        if folder.exists() {
            return Err(Error::RunExists(folder.to_owned()));
        }
        std::fs::create_dir_all(folder.join("checkpoints"))
            .map_err(file_error("make the folder", folder))?;
        let origin = serde_json::to_string_pretty(origin).unwrap_or_default();
        for (name, text) in [
            ("origin.json", origin.as_str()),
            ("experiment.yaml", experiment_yaml),
            ("plan.json", &plan.to_json()),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(file_error("write", &path))?;
        }
        let store = Store::create(&folder.join("store.db"))?;
        Ok(Self {
            folder: folder.to_owned(),
            plan,
            data,
            store,
        })
    }

    /// Opens the folder of a run to go on with it.
    ///
    /// # Errors
    /// If it is not a run, or data or plugins have changed since it began.
    pub fn open(folder: &Path, host: &Host) -> Result<Self, Error> {
        let path = folder.join("plan.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|_| Error::NotARun(folder.to_owned(), "plan.json"))?;
        let recorded: Plan = serde_json::from_str(&text)
            .map_err(|error| Error::Changed(format!("plan.json cannot be understood: {error}")))?;
        if !folder.join("store.db").is_file() {
            return Err(Error::NotARun(folder.to_owned(), "store.db"));
        }
        let store = Store::open(&folder.join("store.db"))?;
        let mut experiment = recorded.experiment.clone();
        experiment.data.corpus = Origin::read(folder)?.corpus;
        let (now, data) = plan::compile(&experiment, host)?;
        if now.version != recorded.version {
            return Err(Error::Changed(format!(
                "it was begun by orchestrator {}, this is {}",
                recorded.version, now.version
            )));
        }
        if now.data_fingerprint != recorded.data_fingerprint {
            return Err(Error::Changed(
                "the data have changed since it began".to_owned(),
            ));
        }
        for (then, now) in recorded.plugins.iter().zip(&now.plugins) {
            if then.sha256 != now.sha256 {
                return Err(Error::Changed(format!(
                    "the library of plugin `{}` has changed since it began (then {}, now {})",
                    then.name, then.sha256, now.sha256
                )));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            plan: recorded,
            data,
            store,
        })
    }

    /// The experiment of the plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Goes to the end, from wherever it is.
    ///
    /// # Errors
    /// On the first thing that fails; what was completed stays.
    pub fn execute(
        self,
        host: &Host,
        observer: Observer<'_>,
        cancelled: &AtomicBool,
    ) -> Result<Outcome, Error> {
        let began = Instant::now();
        let last = self.store.last_tick()?;
        self.store.event(
            if last.is_some() { "resume" } else { "start" },
            &self.plan.version,
        )?;
        let experiment = self.plan.experiment.clone();
        let mut driver = Driver {
            corpus: making::corpus_table(&self.data),
            documents: Vec::new(),
            anchors: Vec::new(),
            reading: plan::reading(&experiment),
            experiment: &experiment,
            folder: self.folder.clone(),
            plan: &self.plan,
            data: &self.data,
            host,
            store: self.store,
            observer,
            cancelled,
            next: 0,
            last,
            in_store: Duration::ZERO,
        };
        let result = driver.go();
        let share = driver.in_store.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-9);
        match result {
            Ok(steps) => {
                driver.store.event(
                    "finish",
                    &serde_json::json!({ "seconds": began.elapsed().as_secs_f64(), "store_share": share }).to_string(),
                )?;
                let results = driver
                    .store
                    .evaluations()?
                    .into_iter()
                    .filter(|row| !row.model.starts_with("epoch-"))
                    .map(|row| (row.model, row.split, row.metric, row.mean))
                    .collect();
                let order: Vec<String> = experiment
                    .evaluate
                    .metrics
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                let place = |name: &str| order.iter().position(|one| one == name);
                let mut results: Vec<(String, String, String, f64)> = results;
                // Models and splits stay in the order they came.
                results.sort_by_key(|(_, _, metric, _)| place(metric));
                let content_hash = driver.store.content_hash()?;
                driver.store.close()?;
                Ok(Outcome {
                    folder: self.folder,
                    results,
                    steps,
                    store_share: share,
                    content_hash,
                })
            }
            Err(
                Error::Plugin(orchestrator_plugin_host::Error::Cancelled { .. })
                | Error::Interrupted(_),
            ) => {
                driver.store.event("interrupt", "")?;
                Err(Error::Interrupted(self.folder))
            }
            Err(error) => {
                // The store may be what failed: then there is nobody to tell.
                let _ = driver.store.event("fail", &error.to_string());
                Err(error)
            }
        }
    }
}

struct Driver<'r> {
    experiment: &'r Experiment,
    plan: &'r Plan,
    data: &'r Dataset,
    host: &'r Host,
    folder: PathBuf,
    store: Store,
    observer: Observer<'r>,
    cancelled: &'r AtomicBool,
    reading: Reading,
    corpus: Table,
    /// Tokens of every document and anchor, once there is a tokeniser.
    documents: Vec<Tokens>,
    anchors: Vec<Tokens>,
    next: u32,
    last: Option<u32>,
    in_store: Duration,
}

/// What the rounds hand on.
struct Standing {
    /// Judged pairs that training may not know.
    hidden: BTreeSet<(usize, usize)>,
    /// Pairs the annotator was asked about.
    asked: BTreeSet<(usize, usize)>,
    /// Epochs trained so far.
    epochs: usize,
    /// The best validation score so far with its model's name.
    best: Option<(f64, String)>,
}

impl Driver<'_> {
    /// Numbers the next tick; `None` if the store holds it already.
    fn begin(&mut self) -> Result<Option<u32>, Error> {
        let number = self.next;
        self.next += 1;
        if self.last.is_some_and(|last| number <= last) {
            return Ok(None);
        }
        self.stop_if_asked()?;
        Ok(Some(number))
    }

    fn stop_if_asked(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Interrupted(self.folder.clone()));
        }
        Ok(())
    }

    fn write(
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
        self.in_store += began.elapsed();
        Ok(())
    }

    fn show(&self, event: Event) {
        (self.observer)(event);
    }

    fn stage(&self, text: impl Into<String>) {
        self.show(Event::Stage(text.into()));
    }

    fn create(&self, kind: Kind, step: &PluginStep) -> Result<Instance, Error> {
        let plugin = self
            .host
            .find(kind, &step.plugin)
            .ok_or_else(|| Error::Changed(format!("the plugin `{}` is not there", step.plugin)))?;
        let seed = seed(self.experiment.seed, &step.name, &[]);
        Ok(plugin.create(&step.name, &step.settings, seed)?)
    }

    fn go(&mut self) -> Result<u64, Error> {
        let hidden = self.hold_back();
        self.tick_data(&hidden)?;
        let mut model = self.tick_model()?;
        self.tick_baselines(&model)?;
        let losses = self.losses()?;
        let mut standing = Standing {
            hidden,
            asked: BTreeSet::new(),
            epochs: 0,
            best: None,
        };
        let pool = self.mine(&model, &standing, 0, 0)?;
        let schedule = self.experiment.train.schedule.clone();
        self.train(&mut model, &pool, &losses, &schedule, &mut standing)?;
        if let Some(active) = self.experiment.active_learning.clone() {
            for round in 1..=active.rounds {
                let first = self.next;
                self.ask(&model, &mut standing, round)?;
                let pool = self.mine(&model, &standing, round, first)?;
                let stage = Stage {
                    epochs: active.epochs,
                    difficulty: orchestrator_config::Difficulty::Any,
                };
                self.train(&mut model, &pool, &losses, &[stage], &mut standing)?;
            }
        }
        self.finish(&mut model, &standing)?;
        Ok(model.step)
    }

    fn hold_back(&self) -> BTreeSet<(usize, usize)> {
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
    fn tick_data(&mut self, hidden: &BTreeSet<(usize, usize)>) -> Result<(), Error> {
        self.stage("data");
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
            for (used, (_, step)) in plan.plugins.iter().zip(plan::steps(&plan.experiment)) {
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
    fn tick_model(&mut self) -> Result<Model, Error> {
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

    fn save_checkpoint(&self, model: &Model, number: u32) -> Result<(String, String), Error> {
        let name = format!("checkpoints/tick-{number}.safetensors");
        let path = self.folder.join(&name);
        let bytes = model
            .checkpoint()
            .to_bytes()
            .map_err(|why| CheckpointError::Content {
                path: path.clone(),
                why,
            })?;
        Checkpoint::write(&bytes, &path)?;
        Ok((name, sha256(&bytes)))
    }

    fn load_checkpoint(&self, model: &mut Model) -> Result<(), Error> {
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
    fn drop_checkpoints_before(&self, number: u32) {
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

    fn index<'m>(&self, model: &'m Model) -> DenseIndex<'m> {
        DenseIndex::build(&model.encoder, &self.documents, &self.anchors)
    }

    /// Scores the rankings of a model on the anchors of some splits.
    fn evaluate(
        &self,
        splits: &[Split],
        rank: &(dyn Fn(usize) -> Vec<usize> + Sync),
    ) -> Vec<(usize, crate::retrieval::Scored)> {
        use rayon::prelude::*;
        let metrics: &[Metric] = &self.experiment.evaluate.metrics;
        let qrels: Vec<(usize, Vec<usize>)> = splits
            .iter()
            .flat_map(|split| self.data.qrels(*split))
            .collect();
        qrels
            .into_par_iter()
            .map(|(anchor, documents)| {
                let relevant: BTreeSet<usize> = documents.into_iter().collect();
                (anchor, score_ranking(&rank(anchor), &relevant, metrics))
            })
            .collect()
    }

    fn write_evaluation(
        &mut self,
        number: u32,
        name: &str,
        models: &[(&str, Vec<(usize, crate::retrieval::Scored)>)],
    ) -> Result<(), Error> {
        let metrics: Vec<String> = self
            .experiment
            .evaluate
            .metrics
            .iter()
            .map(ToString::to_string)
            .collect();
        let data = self.data;
        self.write(number, "evaluate", name, |tick| {
            for (model, scored) in models {
                for (anchor, one) in scored {
                    for (metric, value) in metrics.iter().zip(&one.values) {
                        tick.add_evaluation(&store::Evaluation {
                            model,
                            anchor: *anchor,
                            metric,
                            value: *value,
                            first_relevant: one.first_relevant,
                        })?;
                    }
                }
                for split in [Split::Validation, Split::Test] {
                    for (place, metric) in metrics.iter().enumerate() {
                        if let Some(mean) = mean_of(data, scored, split, place) {
                            tick.add_metric(
                                None,
                                &format!("{model}/{}/{metric}", split.name()),
                                mean,
                            )?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// BM25 and the untrained model.
    fn tick_baselines(&mut self, model: &Model) -> Result<(), Error> {
        self.stage("baselines");
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let bm25 = self.experiment.evaluate.bm25;
        let texts: Vec<String> = self
            .data
            .documents
            .iter()
            .map(orchestrator_data::Document::full_text)
            .collect();
        let lexical = Bm25Index::build(&texts, bm25.k1, bm25.b);
        let splits = [Split::Validation, Split::Test];
        let of_bm25 = self.evaluate(&splits, &|anchor| {
            places(best(
                &lexical.scores(&self.data.anchors[anchor].text),
                DEPTH,
            ))
        });
        let index = self.index(model);
        let of_initial = self.evaluate(&splits, &|anchor| {
            places(best(&index.scores(anchor), DEPTH))
        });
        let models = [("bm25", of_bm25), ("initial", of_initial)];
        for (name, scored) in &models {
            self.note_scores(name, scored);
        }
        self.write_evaluation(number, "baselines", &models)
    }

    fn note_scores(&self, model: &str, scored: &[(usize, crate::retrieval::Scored)]) {
        let mut parts = Vec::new();
        for split in [Split::Validation, Split::Test] {
            for (place, metric) in self.experiment.evaluate.metrics.iter().enumerate().take(1) {
                if let Some(mean) = mean_of(self.data, scored, split, place) {
                    parts.push(format!("{} {metric} {mean:.4}", split.name()));
                }
            }
        }
        if !parts.is_empty() {
            self.show(Event::Note(format!("{model}: {}", parts.join(", "))));
        }
    }

    fn losses(&self) -> Result<Vec<WeightedLoss>, Error> {
        self.experiment
            .train
            .losses
            .iter()
            .map(|loss| {
                Ok(WeightedLoss {
                    instance: self.create(Kind::Loss, &loss.step)?,
                    weight: loss.weight,
                })
            })
            .collect()
    }

    /// Propose, augment, judge, score: what is in the pool after round `round`. Samples from tick `first` on are new.
    fn mine(
        &mut self,
        model: &Model,
        standing: &Standing,
        round: usize,
        first: u32,
    ) -> Result<Pool, Error> {
        let experiment = self.experiment;
        let knowledge = Knowledge::of(self.data, self.reading, &standing.hidden);
        let judgements = knowledge.table(self.data);
        let anchors = knowledge.anchors(self.data);
        let index = self.index(model);
        for step in &experiment.samples.propose {
            self.stage(format!("propose: {}", step.name));
            let Some(number) = self.begin()? else {
                continue;
            };
            let instance = self.create(Kind::Sampler, step)?;
            let table = making::anchors_table(self.data, &anchors);
            let show = |done, total, _: &str| self.show(Event::Advance { done, total });
            let context = Context {
                step: model.step,
                seed: seed(experiment.seed, &step.name, &[u64::from(number)]),
                services: Services {
                    corpus: Some(&self.corpus),
                    judgements: Some(&judgements),
                    model: Some(&index),
                    cancelled: Some(self.cancelled),
                    progress: Some(&show),
                },
            };
            let proposed = instance.propose(&context, &table, &anchors)?;
            let data = self.data;
            self.write(number, "propose", &step.name, |tick| {
                for (what, n) in &proposed.counts {
                    tick.add_metric(None, &format!("{}/{what}", step.name), *n as f64)?;
                }
                making::write_candidates(tick, data, &step.name, &proposed.candidates, &[])
            })?;
        }
        for augment in &experiment.samples.augment {
            let step = &augment.step;
            self.stage(format!("augment: {}", step.name));
            let Some(number) = self.begin()? else {
                continue;
            };
            let instance = self.create(Kind::Augmenter, step)?;
            let views = self.new_samples(number, first)?;
            let given: Vec<&SampleView> = views
                .iter()
                .filter(|view| match augment.from {
                    RoleFilter::Positive => view.role == Role::Positive,
                    RoleFilter::Negative => view.role == Role::Negative,
                    RoleFilter::Any => true,
                })
                .collect();
            let table = making::samples_table(self.data, &given);
            let of_given: BTreeSet<usize> = given.iter().map(|view| view.anchor).collect();
            let context = self.context(number, &step.name, Some(&index), Some(&judgements));
            let proposed = instance.augment(&context, &table, &of_given)?;
            let data = self.data;
            self.write(number, "augment", &step.name, |tick| {
                for (what, n) in &proposed.counts {
                    tick.add_metric(None, &format!("{}/{what}", step.name), *n as f64)?;
                }
                making::write_candidates(tick, data, &step.name, &proposed.candidates, &given)
            })?;
        }
        for step in &experiment.samples.filter {
            self.stage(format!("judge: {}", step.name));
            let Some(number) = self.begin()? else {
                continue;
            };
            let instance = self.create(Kind::Filter, step)?;
            let views = self.new_samples(number, first)?;
            // What an earlier filter dropped is not asked about again.
            let given: Vec<&SampleView> = views.iter().filter(|view| view.kept).collect();
            let table = making::samples_table(self.data, &given);
            let context = self.context(number, &step.name, Some(&index), Some(&judgements));
            instance.prepare(&context)?;
            let verdicts = instance.judge(&context, &table)?;
            self.write(number, "judge", &step.name, |tick| {
                for (view, verdict) in given.iter().zip(&verdicts) {
                    tick.add_verdict(&store::Verdict {
                        sample: view.id,
                        filter: &step.name,
                        keep: verdict.keep,
                        score: verdict.score,
                        reason: &verdict.reason,
                    })?;
                }
                Ok(())
            })?;
        }
        let relevant = knowledge.relevant(self.data);
        self.drop_revealed(round, &relevant)?;
        let last = self.score(model, &index, round, &relevant)?;
        let pool = Pool::load(&self.store, last, self.data, &model.encoder, relevant)?;
        self.check_pool(&pool)?;
        Ok(pool)
    }

    fn context<'c>(
        &'c self,
        number: u32,
        name: &str,
        index: Option<&'c DenseIndex<'c>>,
        judgements: Option<&'c Table>,
    ) -> Context<'c> {
        Context {
            step: 0,
            seed: seed(self.experiment.seed, name, &[u64::from(number)]),
            services: Services {
                corpus: Some(&self.corpus),
                judgements,
                model: index.map(|index| index as &dyn orchestrator_plugin_host::CurrentModel),
                cancelled: Some(self.cancelled),
                progress: None,
            },
        }
    }

    /// The samples that are there before tick `number` and came at tick `first` or later.
    fn new_samples(&self, number: u32, first: u32) -> Result<Vec<SampleView>, Error> {
        let mut views = self.store.samples(number - 1)?;
        views.retain(|view| view.tick >= first);
        Ok(views)
    }

    /// What an annotator called relevant cannot stay a negative.
    fn drop_revealed(
        &mut self,
        round: usize,
        relevant: &BTreeMap<usize, BTreeSet<usize>>,
    ) -> Result<(), Error> {
        if round == 0 {
            return Ok(());
        }
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let views = self.store.samples(number - 1)?;
        let wrong: Vec<&SampleView> = views
            .iter()
            .filter(|view| view.kept && view.role == Role::Negative && view.parent.is_none())
            .filter(|view| {
                view.document.is_some_and(|document| {
                    relevant
                        .get(&view.anchor)
                        .is_some_and(|known| known.contains(&document))
                })
            })
            .collect();
        self.write(number, "judge", "revealed_positive", |tick| {
            for view in wrong {
                tick.add_verdict(&store::Verdict {
                    sample: view.id,
                    filter: "revealed_positive",
                    keep: false,
                    score: None,
                    reason: "an annotator called its document relevant",
                })?;
            }
            Ok(())
        })
    }

    /// Similarity of every kept sample by the current model, difficulty and band of every negative.
    fn score(
        &mut self,
        model: &Model,
        index: &DenseIndex<'_>,
        round: usize,
        relevant: &BTreeMap<usize, BTreeSet<usize>>,
    ) -> Result<u32, Error> {
        self.stage("score");
        let Some(number) = self.begin()? else {
            return Ok(self.next - 1);
        };
        let pool = Pool::load(
            &self.store,
            number - 1,
            self.data,
            &model.encoder,
            relevant.clone(),
        )?;
        let tokens: Vec<Tokens> = pool.texts.iter().map(|text| text.tokens.clone()).collect();
        let embeddings = model.encoder.encode(&tokens);
        let dim = model.encoder.dim();
        let embedding = |text: usize| &embeddings[text * dim..(text + 1) * dim];
        let similarities: Vec<f32> = pool
            .samples
            .iter()
            .map(|sample| {
                let anchor = pool.anchor_text[&sample.view.anchor];
                crate::retrieval::dot(embedding(anchor), embedding(sample.text))
            })
            .collect();
        let mut positives: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        for place in pool.of_role(Role::Positive) {
            let of_anchor = positives
                .entry(pool.samples[place].view.anchor)
                .or_default();
            of_anchor.0 += f64::from(similarities[place]);
            of_anchor.1 += 1;
        }
        let scales: BTreeMap<usize, Scale> = pool
            .anchor_text
            .keys()
            .map(|&anchor| {
                let positive = positives
                    .get(&anchor)
                    .map_or(1.0, |(sum, n)| (sum / *n as f64) as f32);
                let floor = making::floor(index, self.experiment.seed, anchor);
                (anchor, Scale { floor, positive })
            })
            .collect();
        let negatives: Vec<usize> = pool.of_role(Role::Negative).collect();
        let measured: Vec<f32> = negatives
            .iter()
            .map(|&place| scales[&pool.samples[place].view.anchor].difficulty(similarities[place]))
            .collect();
        // A difficulty its plugin fixed decides the band; what was measured is kept beside it.
        let deciding: Vec<f32> = negatives
            .iter()
            .zip(&measured)
            .map(|(&place, &measured)| {
                pool.samples[place]
                    .view
                    .fixed_difficulty
                    .unwrap_or(measured)
            })
            .collect();
        let bands = making::bands(&deciding, self.experiment.train.bands);
        let of_negative: BTreeMap<usize, (f32, &str)> = negatives
            .iter()
            .copied()
            .zip(measured.iter().copied().zip(bands))
            .collect();
        let name = if round == 0 {
            "initial".to_owned()
        } else {
            format!("round-{round}")
        };
        let mean = |places: &[usize]| {
            let sum: f64 = places
                .iter()
                .map(|&place| f64::from(similarities[place]))
                .sum();
            sum / places.len().max(1) as f64
        };
        let of_positive: Vec<usize> = pool.of_role(Role::Positive).collect();
        let (near, far) = (mean(&of_positive), mean(&negatives));
        self.show(Event::Note(format!(
            "pool: {} positives (mean similarity {near:.3}), {} negatives ({far:.3})",
            of_positive.len(),
            negatives.len()
        )));
        self.write(number, "score", &name, |tick| {
            for (place, sample) in pool.samples.iter().enumerate() {
                let (difficulty, band) = of_negative
                    .get(&place)
                    .map(|(d, b)| (Some(*d), Some(*b)))
                    .unwrap_or_default();
                tick.add_score(&store::Score {
                    sample: sample.view.id,
                    model: &name,
                    similarity: similarities[place],
                    difficulty,
                    band,
                })?;
            }
            for (metric, value) in [
                ("pool/positives", of_positive.len() as f64),
                ("pool/negatives", negatives.len() as f64),
                ("pool/similarity_of_positives", near),
                ("pool/similarity_of_negatives", far),
            ] {
                tick.add_metric(None, metric, value)?;
            }
            Ok(())
        })?;
        Ok(number)
    }

    /// There is something to train on, and what each loss needs.
    fn check_pool(&self, pool: &Pool) -> Result<(), Error> {
        let (positives, negatives) = (
            pool.of_role(Role::Positive).count(),
            pool.of_role(Role::Negative).count(),
        );
        if positives == 0 {
            let facts = self
                .store
                .dropped_by_filter()?
                .into_iter()
                .map(|(filter, judged, dropped)| {
                    format!("{filter} dropped {dropped} of {judged} samples")
                })
                .collect();
            return Err(Error::NoPositives(facts));
        }
        for loss in &self.experiment.train.losses {
            let needs = self.create(Kind::Loss, &loss.step)?.needs()?;
            let lacks = if needs.negatives && negatives == 0 {
                "negatives"
            } else if needs.teacher {
                "teacher scores"
            } else {
                continue;
            };
            return Err(Error::LossNeeds {
                loss: loss.step.name.clone(),
                needs: lacks,
            });
        }
        Ok(())
    }

    /// Goes through the stages; after each epoch, the validation share.
    fn train(
        &mut self,
        model: &mut Model,
        pool: &Pool,
        losses: &[WeightedLoss],
        stages: &[Stage],
        standing: &mut Standing,
    ) -> Result<(), Error> {
        let experiment = self.experiment;
        let train = &experiment.train;
        // How many steps an epoch has depends on its band: the schedule of rates needs them all.
        let mut planned = Vec::new();
        for stage in stages {
            for _ in 0..stage.epochs {
                let number = standing.epochs + planned.len();
                let negatives_per_positive = train.negatives_per_positive.at(number);
                let epoch = Epoch {
                    number,
                    difficulty: stage.difficulty,
                    negatives_per_positive,
                };
                planned.push((stage, epoch));
            }
        }
        let steps_of = |epoch: Epoch| batches::epoch(pool, experiment.seed, train.batch, epoch);
        let total = planned
            .iter()
            .map(|(_, epoch)| steps_of(*epoch).0.len() as u64)
            .sum();
        let schedule = LinearSchedule {
            peak: train.learning_rate,
            warmup: (total as f64 * train.warmup) as u64,
            total,
        };
        let mut done = 0u64;
        for (stage, epoch) in planned {
            let (steps, shortfall) = steps_of(epoch);
            self.stage(format!(
                "train: epoch {}, {} negatives",
                epoch.number + 1,
                stage.difficulty.name()
            ));
            for block in steps.chunks(train.checkpoint_every) {
                self.tick_steps(
                    model,
                    pool,
                    losses,
                    block,
                    &schedule,
                    done,
                    (epoch, shortfall),
                )?;
                done += block.len() as u64;
            }
            standing.epochs += 1;
            self.tick_epoch(model, standing)?;
        }
        Ok(())
    }

    /// A block of steps and the checkpoint after it.
    #[allow(clippy::too_many_arguments)] // Each is a different thing; a struct would be made once, here.
    fn tick_steps(
        &mut self,
        model: &mut Model,
        pool: &Pool,
        losses: &[WeightedLoss],
        block: &[batches::StepSamples],
        schedule: &LinearSchedule,
        done: u64,
        (epoch, shortfall): (Epoch, usize),
    ) -> Result<(), Error> {
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let mut records = Vec::with_capacity(block.len());
        for (offset, samples) in (0u64..).zip(block) {
            self.stop_if_asked()?;
            let rate = schedule.rate(done + offset);
            let step = model.step;
            let experiment_seed = self.experiment.seed;
            let record = training::step(model, pool, samples, losses, rate, |name| Context {
                step,
                seed: seed(experiment_seed, name, &[u64::from(number), step]),
                services: Services::default(),
            })?;
            self.show(Event::Advance {
                done: done + offset + 1,
                total: schedule.total,
            });
            records.push((step, rate, record));
        }
        let (file, hash) = self.save_checkpoint(model, number)?;
        let detail = format!("epoch {}, {}", epoch.number + 1, epoch.difficulty.name());
        self.write(number, "train", &detail, |tick| {
            tick.add_metric(None, "ratio", epoch.negatives_per_positive)?;
            tick.add_metric(None, "negatives_short_of_ratio", shortfall as f64)?;
            for (step, rate, record) in &records {
                tick.add_metric(Some(*step), "learning_rate", *rate)?;
                tick.add_metric(Some(*step), "loss", record.loss)?;
                for (name, value) in &record.parts {
                    tick.add_metric(Some(*step), &format!("loss/{name}"), *value)?;
                }
                for (sample, loss) in &record.uses {
                    tick.add_use(&store::Use {
                        step: *step,
                        sample: *sample,
                        epoch: epoch.number,
                        loss: *loss,
                    })?;
                }
            }
            Ok(tick.add_checkpoint(&file, &hash)?)
        })?;
        self.drop_checkpoints_before(number);
        Ok(())
    }

    fn best_path(&self) -> PathBuf {
        self.folder.join("checkpoints/best.safetensors")
    }

    /// Scores the validation share; the best model so far is kept aside.
    fn tick_epoch(&mut self, model: &Model, standing: &mut Standing) -> Result<(), Error> {
        let name = format!("epoch-{}", standing.epochs);
        let metric = self.experiment.evaluate.metrics[0].to_string();
        let key = format!("{name}/{}/{metric}", Split::Validation.name());
        let tick = self.next;
        let value = match self.begin()? {
            Some(number) => {
                let index = self.index(model);
                let scored = self.evaluate(&[Split::Validation], &|anchor| {
                    places(best(&index.scores(anchor), DEPTH))
                });
                let value = mean_of(self.data, &scored, Split::Validation, 0);
                self.note_scores(&name, &scored);
                if better(value, standing) {
                    let path = self.best_path();
                    let bytes =
                        model
                            .weights()
                            .to_bytes()
                            .map_err(|why| CheckpointError::Content {
                                path: path.clone(),
                                why,
                            })?;
                    Checkpoint::write(&bytes, &path)?;
                }
                self.write_evaluation(number, &name, &[(name.as_str(), scored)])?;
                value
            }
            None => self.store.metric(tick, &key)?,
        };
        if better(value, standing) {
            standing.best = Some((value.unwrap_or(f64::NEG_INFINITY), name));
        }
        Ok(())
    }

    /// Asks the annotator about the pairs the selector chose.
    fn ask(&mut self, model: &Model, standing: &mut Standing, round: usize) -> Result<(), Error> {
        let Some(active) = &self.experiment.active_learning else {
            return Ok(());
        };
        self.stage(format!("select and annotate: round {round}"));
        if let Some(number) = self.begin()? {
            let knowledge = Knowledge::of(self.data, self.reading, &standing.hidden);
            let mut known = knowledge.pairs(self.data);
            known.extend(&standing.asked);
            let anchors: Vec<usize> = self.data.of_split(Split::Train).collect();
            let index = self.index(model);
            let questions = active::questions(&index, self.data, self.reading, &anchors, &known);
            let instance = self.create(Kind::Selector, &active.select)?;
            let table = active::pool_table(self.data, &questions);
            let judgements = knowledge.table(self.data);
            let context =
                self.context(number, &active.select.name, Some(&index), Some(&judgements));
            let chosen = instance.select(&context, &table, active.budget)?;
            let answers: Vec<_> = chosen
                .iter()
                .map(|&row| {
                    (
                        questions[row],
                        active::oracle(self.data, self.reading, &questions[row]),
                    )
                })
                .collect();
            let found = answers.iter().filter(|(_, answer)| answer.relevant).count();
            self.show(Event::Note(format!(
                "round {round}: asked {} of {} pairs, {found} are relevant",
                answers.len(),
                questions.len()
            )));
            let data = self.data;
            self.write(number, "annotate", &format!("round {round}"), |tick| {
                for (question, answer) in &answers {
                    tick.add_annotation(&store::Annotation {
                        round,
                        anchor: question.anchor,
                        document: question.document,
                        annotator: "oracle",
                        relevant: answer.relevant,
                        label: answer.label.map(orchestrator_data::Label::name),
                        similarity: question.similarity,
                        probability: question.probability,
                    })?;
                    // What was found relevant becomes a positive by the samplers, out of the judgement revealed.
                    if !answer.relevant {
                        let text = data.documents[question.document].full_text();
                        let id = store::sample_id(
                            &data.anchors[question.anchor].id,
                            &text,
                            Role::Negative,
                        );
                        tick.add_sample(&store::Sample {
                            id,
                            anchor: question.anchor,
                            text: &text,
                            role: Role::Negative,
                            label: 0.0,
                            weight: 1.0,
                            document: Some(question.document),
                            parent: None,
                            difficulty: None,
                        })?;
                        tick.add_provenance(&store::Provenance {
                            sample: id,
                            source: "annotation",
                            score: Some(question.similarity),
                            detail: &serde_json::json!({ "round": round, "annotator": "oracle" })
                                .to_string(),
                        })?;
                    }
                }
                tick.add_metric(None, "questions/put", answers.len() as f64)?;
                tick.add_metric(None, "questions/relevant", found as f64)?;
                Ok(())
            })?;
        }
        for (_, anchor, document, _) in self
            .store
            .annotated()?
            .into_iter()
            .filter(|(of, ..)| *of == round)
        {
            standing.asked.insert((anchor, document));
            standing.hidden.remove(&(anchor, document));
        }
        Ok(())
    }

    /// The best model by validation is the trained one: scored, saved.
    fn finish(&mut self, model: &mut Model, standing: &Standing) -> Result<(), Error> {
        self.stage("evaluate and save");
        let last = standing.epochs;
        let chosen = standing
            .best
            .as_ref()
            .map_or_else(|| format!("epoch-{last}"), |(_, name)| name.clone());
        if chosen != format!("epoch-{last}") {
            let path = self.best_path();
            let bytes = std::fs::read(&path).map_err(file_error("read the checkpoint", &path))?;
            if !model.restore_weights(Checkpoint::from_bytes(&bytes, &path)?) {
                return Err(CheckpointError::Content {
                    path,
                    why: "it has another shape".to_owned(),
                }
                .into());
            }
        }
        model.encoder.save(&self.folder.join("model"))?;
        let Some(number) = self.begin()? else {
            return Ok(());
        };
        let index = self.index(model);
        let splits = [Split::Validation, Split::Test];
        let scored = self.evaluate(&splits, &|anchor| {
            places(best(&index.scores(anchor), DEPTH))
        });
        self.note_scores(&format!("trained ({chosen})"), &scored);
        self.write_evaluation(
            number,
            &format!("trained = {chosen}"),
            &[("trained", scored)],
        )
    }
}

fn places(ranking: Vec<(usize, f32)>) -> Vec<usize> {
    ranking.into_iter().map(|(document, _)| document).collect()
}

fn better(value: Option<f64>, standing: &Standing) -> bool {
    match (value, &standing.best) {
        (Some(value), Some((best, _))) => value > *best,
        (Some(_), None) => true,
        // Without a validation share there is nothing to choose by: the last model stands.
        (None, _) => false,
    }
}

/// The mean of a metric over the anchors of a split.
fn mean_of(
    data: &Dataset,
    scored: &[(usize, crate::retrieval::Scored)],
    split: Split,
    metric: usize,
) -> Option<f64> {
    let values: Vec<f64> = scored
        .iter()
        .filter(|(anchor, _)| data.anchors[*anchor].split == split)
        .map(|(_, one)| one.values[metric])
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
