//! The checks: each asks one plugin one thing, in the process it is called in.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use orchestrator_plugin_host::probe::{self, Shared};
use orchestrator_plugin_host::{Context, Error, Files, Instance, Kind, Plugin, Services};
use serde_json::{Map, Value};

use crate::check::Check;
use crate::gradient;
use crate::scene::{Answer, Scene};
use crate::step::Step;

/// Why a check did not pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Finding {
    Failed(String),
    /// It refuses its settings, whatever it is asked.
    Refused(String),
    /// It could not be asked.
    Skipped(String),
}

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        match error {
            Error::Config { .. } => Self::Refused(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

fn failed<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Failed(why.into()))
}

/// How many rows a selector may choose.
const BUDGET: usize = 20;

/// A plugin under test.
pub(crate) struct Subject {
    pub plugin: Plugin,
    /// Defaults filled in.
    pub settings: Value,
    /// Those that the settings name and that can be read.
    files: Files,
}

impl Subject {
    /// With the defaults of its schema for what `given` does not say.
    pub fn new(plugin: Plugin, given: &Value) -> Self {
        let given = match given {
            Value::Object(_) => given.clone(),
            _ => Value::Object(Map::new()),
        };
        let settings = with_defaults(given, &plugin.info().schema);
        let mut files = Files::new();
        for name in files_named(&settings, &plugin.info().schema) {
            if let Ok(bytes) = std::fs::read(&name) {
                files.insert(name, bytes);
            }
        }
        Self {
            plugin,
            settings,
            files,
        }
    }

    fn context<'a>(
        &'a self,
        scene: &'a Scene,
        seed: u64,
        cancelled: Option<&'a AtomicBool>,
    ) -> Context<'a> {
        Context {
            seed,
            services: Services {
                files: Some(&self.files),
                cancelled,
                ..scene.world.services()
            },
            ..Context::default()
        }
    }

    fn kind(&self) -> Kind {
        self.plugin.info().kind
    }

    /// The required settings that nothing gives.
    fn missing(&self) -> Vec<&str> {
        let required = self.plugin.info().schema["required"].as_array();
        required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|key| self.settings.get(key).is_none())
            .collect()
    }

    pub fn create(&self) -> Result<Instance, Error> {
        self.plugin
            .create(self.plugin.info().short(), &self.settings, 1)
    }

    /// Makes one call of what its kind does, everything about it checked as in a run.
    fn ask(
        &self,
        instance: &Instance,
        scene: &Scene,
        context: &Context<'_>,
    ) -> Result<Answer, Error> {
        let world = &scene.world;
        Ok(match self.kind() {
            Kind::Sampler => {
                Answer::Proposed(instance.propose(context, &world.anchors, &world.known)?)
            }
            Kind::Augmenter => {
                Answer::Proposed(instance.augment(context, &world.samples, &world.known)?)
            }
            Kind::Selector => Answer::Chosen(instance.select(context, &world.pool, BUDGET)?),
            Kind::Filter => Answer::Verdicts(instance.judge(context, &world.samples)?),
            Kind::Loss => {
                let taught = self.is_taught(instance)?;
                let forward = |step: &Step| {
                    instance.forward(&step.context(context, taught), step.batch(taught))
                };
                Answer::Losses(scene.steps.iter().map(forward).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Whether a loss wants what a teacher says.
    fn is_taught(&self, loss: &Instance) -> Result<bool, Error> {
        let services = &self.plugin.info().services;
        Ok(loss.needs()?.teacher || services.iter().any(|one| one == "orch.teacher/1"))
    }

    /// [`Self::ask`], with what was reported meanwhile.
    fn ask_all(
        &self,
        instance: &Instance,
        scene: &Scene,
        context: &Context<'_>,
    ) -> Result<(Answer, Vec<(String, f64)>), Error> {
        // What came before is not of this call.
        drop(scene.world.metrics.take());
        let answer = self.ask(instance, scene, context)?;
        Ok((answer, scene.world.metrics.take()))
    }

    /// [`Self::ask`] of a new instance, prepared.
    fn answer(&self, scene: &Scene, seed: u64) -> Result<Answer, Error> {
        let instance = self.create()?;
        let context = self.context(scene, seed, None);
        self.prepare(&instance, &context)?;
        self.ask(&instance, scene, &context)
    }

    fn prepare(&self, instance: &Instance, context: &Context<'_>) -> Result<(), Error> {
        match self.kind() {
            Kind::Filter => instance.prepare(context),
            _ => Ok(()),
        }
    }

    /// Asks `check`. `limit` is how long the process may live.
    pub fn run(&self, check: Check, limit: Duration) -> Result<(), Finding> {
        if check == Check::Description {
            return self.description();
        }
        let missing = self.missing();
        if !missing.is_empty() {
            let example: Map<String, Value> = missing
                .iter()
                .map(|key| ((*key).to_owned(), Value::from("…")))
                .collect();
            let why = format!(
                "it requires settings that have no default: give --settings '{}'",
                Value::Object(example)
            );
            return Err(if check == Check::Create {
                Finding::Failed(why)
            } else {
                Finding::Skipped(why)
            });
        }
        let unread = files_named(&self.settings, &self.plugin.info().schema)
            .into_iter()
            .find(|name| !self.files.contains_key(name));
        if let Some(name) = unread {
            return Err(Finding::Refused(format!(
                "its settings name the file `{name}`, which cannot be read from here"
            )));
        }
        if check == Check::Create {
            return self.creation();
        }
        match check {
            Check::Load | Check::Description | Check::Create => Ok(()),
            Check::Empty => self.empty(),
            Check::Huge => Ok(self.answer(&Scene::huge(), 1).map(drop)?),
            Check::Odd => Ok(self.answer(&Scene::odd(), 1).map(drop)?),
            Check::Determinism => self.determinism(),
            Check::Threads => self.threads(),
            Check::Seeds => self.seeds(),
            Check::Gradient => self.gradient(),
            Check::Canaries => self.canaries(),
            Check::Cancellation => self.cancellation(limit),
            Check::Errors => self.errors(),
            Check::ThreadLeak => self.thread_leak(),
            Check::MemoryLeak => self.memory_leak(limit),
        }
    }

    fn description(&self) -> Result<(), Finding> {
        let info = self.plugin.info();
        for (what, text) in [
            ("version", &info.version),
            ("name", &info.name),
            ("summary", &info.summary),
            ("licence", &info.licence),
        ] {
            if text.trim().is_empty() {
                return failed(format!("its {what} is empty"));
            }
        }
        let parts: Vec<&str> = info.version.splitn(3, '.').collect();
        let numbered = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
        if parts.len() != 3 || !parts.iter().all(numbered) {
            return failed(format!(
                "its version `{}` is not of the form 1.2.3",
                info.version
            ));
        }
        self.fits_schema()
    }

    #[cfg(not(feature = "schema"))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // As with the feature.
    fn fits_schema(&self) -> Result<(), Finding> {
        Ok(())
    }

    #[cfg(feature = "schema")]
    fn fits_schema(&self) -> Result<(), Finding> {
        let validator = match jsonschema::validator_for(&self.plugin.info().schema) {
            Ok(validator) => validator,
            Err(error) => return failed(format!("its config schema is not JSON Schema: {error}")),
        };
        if !self.missing().is_empty() {
            return Ok(());
        }
        match validator.iter_errors(&self.settings).next() {
            Some(error) => failed(format!(
                "its schema refuses the settings {} at `{}`: {error}",
                self.settings,
                error.instance_path()
            )),
            None => Ok(()),
        }
    }

    fn creation(&self) -> Result<(), Finding> {
        let first = self.create()?;
        let second = self.create()?;
        drop(first);
        let third = self.create()?;
        drop(second);
        drop(third);
        Ok(())
    }

    fn empty(&self) -> Result<(), Finding> {
        let answer = self.answer(&Scene::empty(), 1)?;
        match answer {
            Answer::Proposed(proposed) if !proposed.candidates.is_empty() => {
                failed("it made samples out of none")
            }
            Answer::Losses(results) if results.iter().any(|result| result.loss != 0.0) => {
                failed(format!("the loss of no rows is {}, not 0", results[0].loss))
            }
            _ => Ok(()),
        }
    }

    fn determinism(&self) -> Result<(), Finding> {
        if !self.plugin.info().deterministic {
            return Err(Finding::Skipped("it does not set DETERMINISTIC".into()));
        }
        let scene = Scene::ordinary();
        let context = self.context(&scene, 7, None);
        let prepared = || -> Result<Instance, Error> {
            let instance = self.create()?;
            self.prepare(&instance, &context)?;
            Ok(instance)
        };
        let first = self.ask_all(&prepared()?, &scene, &context)?;
        let same = |again: &str, found: &(Answer, Vec<(String, f64)>)| {
            if *found == first {
                return Ok(());
            }
            let difference = if found.0 == first.0 {
                format!("it reported {:?}, then {:?}", first.1, found.1)
            } else {
                first.0.difference(&found.0)
            };
            failed(format!("{again} with the same seed: {difference}"))
        };
        // A new instance, the same one again, and an instance in another thread.
        let instance = prepared()?;
        for again in ["a new instance", "a second call"] {
            same(again, &self.ask_all(&instance, &scene, &context)?)?;
        }
        let elsewhere = std::thread::scope(|scope| {
            let scene = &scene;
            scope
                .spawn(move || self.ask_all(&instance, scene, &self.context(scene, 7, None)))
                .join()
        });
        match elsewhere {
            Ok(answer) => same("in another thread,", &answer?),
            Err(_) => failed("the checker panicked in a thread"),
        }
    }

    fn threads(&self) -> Result<(), Finding> {
        let scene = Scene::ordinary();
        let instance = self.create()?;
        self.prepare(&instance, &self.context(&scene, 7, None))?;
        let expected = self.ask(&instance, &scene, &self.context(&scene, 7, None))?;
        let Some(shared) = Shared::of(&self.plugin, instance) else {
            return Err(Finding::Skipped("it does not set CONCURRENT".into()));
        };
        let deterministic = self.plugin.info().deterministic;
        let one_thread = || -> Result<(), Finding> {
            for _ in 0..5 {
                let answer = self.ask(&shared, &scene, &self.context(&scene, 7, None))?;
                if deterministic && answer != expected {
                    return failed(format!(
                        "with 8 threads at once: {}",
                        expected.difference(&answer)
                    ));
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one_thread)).collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| failed("the checker panicked in a thread"))
            })
        })
    }

    fn seeds(&self) -> Result<(), Finding> {
        let scene = Scene::ordinary();
        for seed in [0, 1, 2, 0x0123_4567_89AB_CDEF, 1 << 63, u64::MAX] {
            self.answer(&scene, seed)?;
        }
        Ok(())
    }

    fn gradient(&self) -> Result<(), Finding> {
        let instance = self.create()?;
        let scene = Scene::ordinary();
        let taught = self.is_taught(&instance)?;
        let context = self.context(&scene, 7, None);
        for step in &scene.steps {
            let context = step.context(&context, taught);
            let difference = gradient::difference(&instance, &context, step.batch(taught))?;
            if let Some(difference) = difference {
                return failed(difference);
            }
        }
        Ok(())
    }

    fn canaries(&self) -> Result<(), Finding> {
        let taught = self.kind() == Kind::Loss && self.is_taught(&self.create()?)?;
        for scene in [Scene::ordinary(), Scene::odd(), Scene::empty()] {
            let context = self.context(&scene, 7, None);
            let (plugin, settings) = (&self.plugin, &self.settings);
            let world = &scene.world;
            let mut damage = probe::judge(plugin, settings, &context, &world.samples)?;
            for budget in [BUDGET, 1, 0] {
                let budget = budget.min(world.pool.rows());
                damage.extend(probe::select(
                    plugin,
                    settings,
                    &context,
                    &world.pool,
                    budget,
                )?);
            }
            for step in &scene.steps {
                let context = step.context(&context, taught);
                damage.extend(probe::forward(
                    plugin,
                    settings,
                    &context,
                    step.batch(taught),
                )?);
            }
            if let Some(first) = damage.first() {
                return failed(first.clone());
            }
        }
        Ok(())
    }

    fn cancellation(&self, limit: Duration) -> Result<(), Finding> {
        let soon = (limit / 5).min(Duration::from_secs(5));
        let scene = Scene::huge();
        let stopping = AtomicBool::new(true);
        let instance = self.create()?;
        self.prepare(&instance, &self.context(&scene, 1, None))?;
        let began = Instant::now();
        let result = self.ask(&instance, &scene, &self.context(&scene, 1, Some(&stopping)));
        let took = began.elapsed();
        if took > soon {
            return failed(format!(
                "it took {:.1} s to return from a call of 100,000 rows although is_cancelled said 1 from the beginning: ask \
                 it every few thousand rows",
                took.as_secs_f64()
            ));
        }
        match result {
            Ok(_) | Err(Error::Cancelled { .. }) => Ok(()),
            Err(other) => failed(format!("asked to stop, it failed in another way: {other}")),
        }
    }

    fn errors(&self) -> Result<(), Finding> {
        let scene = Scene::ordinary();
        let nothing_lent = Context::default();
        let instance = self.create()?;
        let result = self
            .prepare(&instance, &nothing_lent)
            .and_then(|()| self.ask(&instance, &scene, &nothing_lent));
        let required = &self.plugin.info().services;
        match result {
            Err(error @ (Error::Panicked { .. } | Error::Violation { .. })) => {
                return failed(format!("without any service: {error}"));
            }
            Err(error) if required.is_empty() => {
                return failed(format!(
                    "it names no service that it requires, and without any it failed: {error}"
                ));
            }
            // One that needs a service for some rows only may do without here.
            Ok(_) | Err(_) => {}
        }
        let table = match self.kind() {
            Kind::Sampler => &scene.world.anchors,
            Kind::Augmenter => &scene.world.samples,
            _ => return Ok(()),
        };
        let context = self.context(&scene, 7, None);
        let refusal = probe::refuse(&self.plugin, &self.settings, &context, table)?;
        match refusal.result {
            Ok(()) if refusal.pushed > 0 => failed(format!(
                "the sink refused {} rows and it said OK: return the status that `push` gave",
                refusal.pushed
            )),
            Err(Error::Panicked { message, .. }) => failed(format!(
                "it panicked when the sink refused a row: {message}"
            )),
            _ => Ok(()),
        }
    }

    fn thread_leak(&self) -> Result<(), Finding> {
        let scene = Scene::ordinary();
        let alive = || std::fs::read_dir("/proc/self/task").map(Iterator::count);
        // What the first instance starts may be a pool that all share.
        self.answer(&scene, 1)?;
        let Ok(before) = alive() else {
            return Err(Finding::Skipped("threads are counted on Linux only".into()));
        };
        for _ in 0..10 {
            self.answer(&scene, 1)?;
        }
        // A thread that was joined may be on its way out still.
        for _ in 0..50 {
            if alive().is_ok_and(|now| now <= before) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        failed(format!(
            "{before} threads after the first instance, {} after ten more",
            alive().unwrap_or(0)
        ))
    }

    fn memory_leak(&self, limit: Duration) -> Result<(), Finding> {
        const CALLS: usize = 400;
        const BOUND: usize = 16 << 20;
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").ok()?;
            let pages: usize = text.split(' ').nth(1)?.parse().ok()?;
            Some(pages * 4096)
        };
        if resident().is_none() {
            return Err(Finding::Skipped("memory is measured on Linux only".into()));
        }
        let scene = Scene::of_rows(1_000, 256);
        let began = Instant::now();
        let mut sizes = Vec::new();
        while sizes.len() < CALLS && began.elapsed() < limit / 3 {
            self.answer(&scene, 1)?;
            sizes.extend(resident());
        }
        // The first quarter warms up; a leak goes on to the end.
        let (n, size) = (sizes.len(), |place: usize| sizes.get(place).copied());
        if n < 8 {
            return Err(Finding::Skipped(format!(
                "only {n} calls fit into the time limit"
            )));
        }
        let grown = |from: usize, to: usize| {
            size(to)
                .unwrap_or(0)
                .saturating_sub(size(from).unwrap_or(0))
        };
        let (whole, last) = (grown(n / 4, n - 1), grown(n / 2, n - 1));
        if whole > BOUND && last > BOUND / 3 {
            return failed(format!(
                "memory grew by {} MiB over {} instances and calls",
                whole >> 20,
                n - n / 4
            ));
        }
        Ok(())
    }
}

/// The files that settings name: those whose schema says `"format": "path"`.
fn files_named(settings: &Value, schema: &Value) -> Vec<String> {
    if schema["format"] == "path" {
        return settings.as_str().map(str::to_owned).into_iter().collect();
    }
    let of_group = schema["properties"].as_object().into_iter().flatten();
    let of_list = settings.as_array().into_iter().flatten();
    of_group
        .filter_map(|(key, property)| Some((settings.get(key)?, property)))
        .chain(of_list.map(|item| (item, &schema["items"])))
        .flat_map(|(value, schema)| files_named(value, schema))
        .collect()
}

/// What the host fills in before it makes an instance.
pub(crate) fn with_defaults(mut value: Value, schema: &Value) -> Value {
    if let (Some(map), Some(properties)) = (value.as_object_mut(), schema["properties"].as_object())
    {
        for (key, property) in properties {
            if let Some(inner) = map.get_mut(key) {
                *inner = with_defaults(inner.take(), property);
            } else if let Some(default) = property.get("default") {
                map.insert(key.clone(), default.clone());
            }
        }
    }
    value
}
