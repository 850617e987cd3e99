//! A sweep on the command line: each run a child process of the same program, and the comparison at the end.
//!
//! A child's standard input is how its sweep speaks to it: a byte asks it to stop after its step, and its end, which comes
//! however the sweep ends, to stop at once. So no run outlives its sweep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orchestrator_config::Source;
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::comparing::{self, Comparison, Reference};
use orchestrator_engine::sweeping::{self, State, Sweep, SweepRun};
use orchestrator_engine::{Error, Event};
use serde_json::{Value, json};

use crate::commands::{Manner, internal, interruptible, lock_beside};
use crate::variants::{prepare, sweep_of};
use crate::{compare, isolation, memory, model, show};

/// How long a process may take to end that is told to.
const LONGEST_END: Duration = Duration::from_secs(5);

/// How often the children are looked at.
const POLL: Duration = Duration::from_millis(20);

/// Makes the sweep's folder and goes through its runs.
pub fn begin(
    source: &Source,
    sweep: orchestrator_config::Sweep,
    folder: Option<PathBuf>,
    manner: &Manner,
) -> Result<(), Diagnostics> {
    of_one_run(manner)?;
    let available = memory::available()?;
    let ready = prepare(source, sweep, available, manner.json)?;
    let sweep = sweep_of(source, &ready);
    let folder = folder.unwrap_or_else(|| Path::new("runs").join(sweep.folder_name()));
    let experiments: Vec<String> = sweep
        .runs
        .iter()
        .filter_map(|run| {
            let one = ready.iter().find(|one| one.variant.name == run.variant)?;
            let source = one.source.with_seed(run.seed);
            Some(source.to_yaml(&one.experiment.files))
        })
        .collect();
    let lock = lock_beside(source.path());
    sweep
        .create(
            &folder,
            &experiments,
            lock.is_file().then_some(lock.as_path()),
        )
        .map_err(Error::into_diagnostics)?;
    go(&sweep, &folder, manner)
}

/// Goes on with a sweep: what is finished is passed over, what is begun is resumed, what is missing is begun.
pub fn resume(folder: &Path, manner: &Manner) -> Result<(), Diagnostics> {
    of_one_run(manner)?;
    let sweep = Sweep::read(folder).map_err(Error::into_diagnostics)?;
    sweep.check_version().map_err(Error::into_diagnostics)?;
    go(&sweep, folder, manner)
}

/// A page is of one run.
fn of_one_run(manner: &Manner) -> Result<(), Diagnostics> {
    if !manner.watch.watch {
        return Ok(());
    }
    Err(Diagnostic::new(
        Kind::Experiment,
        "--watch is for a run, and this is a sweep of several",
    )
    .help("watch one of its runs while it goes: orchestrator report SWEEP/RUN --watch")
    .into())
}

/// A run that is being run.
struct Running<'s> {
    run: &'s SweepRun,
    child: Child,
    input: Option<ChildStdin>,
    errors: JoinHandle<String>,
    began: Instant,
}

/// A sweep on its way.
struct Going<'s> {
    sweep: &'s Sweep,
    folder: &'s Path,
    jobs: usize,
    json: bool,
    cancelled: Arc<AtomicBool>,
    progress: show::Progress,
    todo: VecDeque<(&'s SweepRun, State)>,
    running: Vec<Running<'s>>,
    finished: usize,
    interrupted: bool,
    /// What went wrong, by the place of the run.
    failed: BTreeMap<usize, Vec<Diagnostic>>,
    warnings: BTreeSet<String>,
}

fn go(sweep: &Sweep, folder: &Path, manner: &Manner) -> Result<(), Diagnostics> {
    let began = Instant::now();
    let _lock = lock(folder)?;
    let mut going = Going {
        sweep,
        folder,
        jobs: jobs(sweep, manner)?,
        json: manner.json,
        cancelled: interruptible("stopping each run after its step; once more to stop at once")?,
        progress: show::Progress::new(manner.quiet || manner.json),
        todo: VecDeque::new(),
        running: Vec::new(),
        finished: 0,
        interrupted: false,
        failed: BTreeMap::new(),
        warnings: BTreeSet::new(),
    };
    for run in &sweep.runs {
        wait_for_end(folder, run);
        match Sweep::state(folder, run).map_err(Error::into_diagnostics)? {
            State::Finished => going.finished += 1,
            state => going.todo.push_back((run, state)),
        }
    }
    let result = going.finish_all();
    going.progress.finish();
    result?;
    let total = sweep.runs.len();
    if going.interrupted {
        let stopped = Diagnostic::new(Kind::Interrupted, "the sweep was stopped before its end")
            .note(format!(
                "{} of {total} runs are finished; what the others had completed is kept",
                going.finished
            ))
            .help(format!("go on: orchestrator resume {}", folder.display()));
        return Err(stopped.into());
    }
    let comparison = compare_all(sweep, folder)?;
    let seconds = began.elapsed().as_secs_f64();
    if manner.json {
        let failed = going.failed.keys().map(|place| &sweep.runs[*place].name);
        let value = json!({
            "sweep": folder,
            "finished": going.finished,
            "failed": failed.collect::<Vec<_>>(),
            "seconds": seconds,
            "comparison": comparison.as_ref().map(compare::of_sweep),
        });
        show::out(&format!("{value}\n"));
    } else {
        if let Some(comparison) = &comparison {
            show::out(&compare::text(comparison));
        }
        show::out(&format!(
            "\n{} of {total} runs are finished. Took {seconds:.1} s.\nsweep   {}\n",
            going.finished,
            folder.display()
        ));
    }
    Diagnostics::fail_if_any(going.failed.into_values().flatten().collect())
}

/// Two processes on one sweep would begin the same runs. The system lets go of the lock however a process ends.
fn lock(folder: &Path) -> Result<File, Diagnostics> {
    let path = folder.join("lock");
    let unusable = |error: &dyn std::fmt::Display| -> Diagnostics {
        Diagnostic::new(Kind::Data, format!("cannot lock `{}`", path.display()))
            .note(error.to_string())
            .into()
    };
    let file = File::create(&path).map_err(|error| unusable(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Diagnostic::new(
            Kind::Experiment,
            format!(
                "another process is going through the sweep `{}`",
                folder.display()
            ),
        )
        .help("wait for it, or stop it and resume the sweep")
        .into()),
        Err(std::fs::TryLockError::Error(error)) => Err(unusable(&error)),
    }
}

/// How many runs go at once.
fn jobs(sweep: &Sweep, manner: &Manner) -> Result<usize, Diagnostics> {
    let available = memory::available()?;
    let sizes = sweep.runs.iter().map(|run| sweep.memory_of(run));
    let largest = sizes.max().unwrap_or(1);
    let Some(wanted) = manner.jobs else {
        return Ok(sweeping::at_once(cores(), available, largest));
    };
    let fitting = sweeping::that_fit(available, largest).max(1);
    if wanted > fitting {
        let message = format!(
            "{wanted} runs of about {} do not fit into memory: {fitting} at once",
            model::size(largest)
        );
        show::warning(&message, manner.json);
    }
    Ok(wanted.min(fitting))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A run whose sweep was killed ends at once, and holds its folder until the system has ended it: what goes on with the sweep
/// waits for that a little. Whoever else works on the folder is told of by the run itself.
fn wait_for_end(folder: &Path, run: &SweepRun) {
    let until = Instant::now() + LONGEST_END;
    for place in [run.name.clone(), format!(".{}.partial", run.name)] {
        let lock = folder.join(place).join("lock");
        let Ok(file) = File::options().write(true).open(lock) else {
            continue;
        };
        let is_held = || matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock));
        while is_held() && Instant::now() < until {
            std::thread::sleep(POLL);
        }
    }
}

impl<'s> Going<'s> {
    /// Begins runs until none is left, and sees each to its end. One that fails leaves the others alone.
    fn finish_all(&mut self) -> Result<(), Diagnostics> {
        let mut asked_to_stop = false;
        loop {
            let stopping = self.cancelled.load(Ordering::Relaxed);
            while !stopping && self.running.len() < self.jobs {
                let Some((run, state)) = self.todo.pop_front() else {
                    break;
                };
                let started = self.start(run, state)?;
                self.running.push(started);
                self.show();
            }
            if self.running.is_empty() {
                self.interrupted |= !self.todo.is_empty();
                return Ok(());
            }
            if stopping && !asked_to_stop {
                asked_to_stop = true;
                for input in self.running.iter_mut().filter_map(|one| one.input.as_mut()) {
                    // One that has just ended does not read.
                    let _ = input.write_all(b".");
                }
            }
            std::thread::sleep(POLL);
            for mut one in std::mem::take(&mut self.running) {
                match one.child.try_wait() {
                    Ok(None) => self.running.push(one),
                    Ok(Some(status)) => {
                        self.end(one, status, stopping);
                        self.show();
                    }
                    Err(error) => return Err(internal("cannot wait for a run", &error)),
                }
            }
        }
    }

    fn show(&self) {
        let names = self.running.iter().map(|one| one.run.name.as_str());
        let names: Vec<&str> = names.collect();
        self.progress.event(Event::Stage(format!(
            "{} ({} of {} runs finished)",
            names.join(", "),
            self.finished,
            self.sweep.runs.len()
        )));
    }

    fn start(&self, run: &'s SweepRun, state: State) -> Result<Running<'s>, Diagnostics> {
        const THREADS: &str = "RAYON_NUM_THREADS";
        let own = self.folder.join(&run.name);
        let mut command = Command::new(isolation::executable()?);
        command.args(["--json", "--quiet"]);
        match state {
            State::Missing => command
                .arg("run")
                .arg(Sweep::experiment_of(self.folder, run))
                .arg("--run-dir")
                .arg(own),
            State::Begun | State::Finished => command.arg("resume").arg(own),
        };
        // Nobody sits before a sweep: where people are asked, its run stops, and may be answered and resumed by itself.
        command.args(["--in-sweep", "--no-page"]);
        if self.jobs > 1 && std::env::var_os(THREADS).is_none_or(|value| value.is_empty()) {
            // Each its share of the cores; its results are the same with any number.
            command.env(THREADS, (cores() / self.jobs).max(1).to_string());
        }
        // A terminal's Ctrl-C goes to the sweep alone, which asks its runs itself.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| internal("cannot start a run", &error))?;
        let mut errors = child.stderr.take();
        Ok(Running {
            run,
            input: child.stdin.take(),
            // Read as it comes: a full pipe would stop the run.
            errors: std::thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(errors) = &mut errors {
                    let _ = errors.read_to_end(&mut bytes);
                }
                String::from_utf8_lossy(&bytes).into_owned()
            }),
            child,
            began: Instant::now(),
        })
    }

    fn end(&mut self, one: Running<'s>, status: ExitStatus, stopping: bool) {
        let written = one.errors.join().unwrap_or_default();
        let name = &one.run.name;
        for message in warnings(&written) {
            // Every run says the same.
            if self.warnings.insert(message.clone()) {
                show::warning(&format!("{name}: {message}"), self.json);
            }
        }
        if status.success() {
            self.finished += 1;
            self.progress.event(Event::Note(format!(
                "{name}: finished in {:.1} s, {} of {}",
                one.began.elapsed().as_secs_f64(),
                self.finished,
                self.sweep.runs.len()
            )));
            return;
        }
        if stopping || status.code() == Some(i32::from(Kind::Interrupted.exit_code())) {
            self.interrupted = true;
            return;
        }
        let mut told = errors(&written);
        if told.is_empty() {
            let last = written.lines().rev().find(|line| !line.trim().is_empty());
            let crash = format!("the run `{name}` crashed: {status}");
            let crash = Diagnostic::new(Kind::Internal, crash);
            told.push(match last {
                Some(line) => crash.note(line.trim().to_owned()),
                None => crash,
            });
        }
        let place = self.sweep.runs.iter().position(|run| run == one.run);
        let of_run = format!("in the run `{name}` of the sweep {}", self.folder.display());
        let told = told.into_iter().map(|one| one.note(of_run.clone()));
        self.failed.insert(place.unwrap_or(0), told.collect());
        self.progress.event(Event::Note(format!("{name}: failed")));
    }
}

/// The lines of a child's standard error are objects.
fn objects(written: &str) -> impl Iterator<Item = Value> + '_ {
    written
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
}

fn warnings(written: &str) -> Vec<String> {
    objects(written)
        .filter_map(|one| Some(one["warning"]["message"].as_str()?.to_owned()))
        .collect()
}

fn errors(written: &str) -> Vec<Diagnostic> {
    objects(written)
        .filter_map(|one| serde_json::from_value::<Vec<Diagnostic>>(one["errors"].clone()).ok())
        .flatten()
        .collect()
}

/// Compares what is finished and leaves `comparison.json`; `None` where the first variant has no finished run.
fn compare_all(sweep: &Sweep, folder: &Path) -> Result<Option<Comparison>, Diagnostics> {
    let groups = sweep.groups(folder).map_err(Error::into_diagnostics)?;
    let Some(first) = groups.first().filter(|first| !first.runs.is_empty()) else {
        return Ok(None);
    };
    let comparison = comparing::compare(&groups, &Reference::One(first.name.clone()), &[], 0)
        .map_err(Error::into_diagnostics)?;
    let text = format!("{:#}\n", compare::of_sweep(&comparison));
    let path = folder.join("comparison.json");
    let beside = folder.join(".comparison.json");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, &path))
        .map_err(|error| {
            Diagnostic::new(Kind::Data, format!("cannot write `{}`", path.display()))
                .note(error.to_string())
        })?;
    Ok(Some(comparison))
}

/// Listens to the sweep that this run is part of.
pub fn listen(cancelled: &Arc<AtomicBool>) {
    let cancelled = cancelled.clone();
    std::thread::spawn(move || {
        let mut byte = [0];
        loop {
            match std::io::stdin().lock().read(&mut byte) {
                Ok(1..) => cancelled.store(true, Ordering::Relaxed),
                // The store is consistent at any moment.
                Ok(0) | Err(_) => std::process::exit(i32::from(Kind::Interrupted.exit_code())),
            }
        }
    });
}
