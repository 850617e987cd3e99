//! In the parent: a child that is asked what an instance here would be asked, watched while it answers.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::channel::{Broken, Channel};
use super::codec::{Malformed, Reader, Writer};
use super::protocol::{self, About, Facts, to_child, to_parent};
use super::{ChildCommand, Limits, process, serving, tables};
use crate::answers::{self, Emitted, Given, LossResult, Needs, Proposed, Verdict};
use crate::batch::Batch;
use crate::call::Context;
use crate::error::Error;
use crate::info::{Kind, RawInfo};
use crate::services::Lender as _;
use crate::table::Table;

/// The longest frame that is taken from a child: more than a plugin has reason to ask for at once.
const LONGEST: u64 = 1 << 30;
/// How often a parent that waits looks whether the run is stopping and the child still there.
const TICK: Duration = Duration::from_millis(20);
/// How long a plugin that was told to stop may take to do so.
const GRACE: Duration = Duration::from_secs(5);
/// How long a child that was told to end may take to do so.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a library may take to say what is in it.
const TO_DESCRIBE: u64 = 60;

/// A child that can be talked to.
struct Running {
    child: Child,
    channel: Channel,
}

/// The parent's end of an instance in a child.
pub(crate) struct Remote {
    name: String,
    file: PathBuf,
    limits: Limits,
    /// `None` once it has ended.
    running: RefCell<Option<Running>>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut() {
            // It destroys its instance first. What it cannot be told it learns from the end of the socket.
            let _ = running.channel.send(Writer::new(to_child::BYE));
            if process::wait(&mut running.child, FAREWELL).is_none() {
                process::end(&mut running.child);
            }
        }
    }
}

/// What the library `file`, of which `copy` is loaded, says of its plugins; nothing of it checked.
pub(crate) fn describe(
    command: &ChildCommand,
    file: &Path,
    copy: &Path,
) -> Result<Vec<(Kind, RawInfo)>, Error> {
    let limits = Limits {
        timeout: TO_DESCRIBE,
        ..Limits::default()
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let remote = Remote::start(command, &name, file, limits)?;
    let frame = remote.first(to_child::DESCRIBE, copy);
    remote.ask("load", None, frame, None, |from| {
        let n = from.count(8)?;
        (0..n).map(|_| protocol::read_info(from)).collect()
    })
}

impl Remote {
    fn start(
        command: &ChildCommand,
        name: &str,
        file: &Path,
        limits: Limits,
    ) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Isolation {
            plugin: name.to_owned(),
            why: format!("`{}` cannot be started: {error}", command.program.display()),
        };
        let (child, stream) = process::start(command).map_err(failed)?;
        let remote = Self {
            name: name.to_owned(),
            file: file.to_owned(),
            limits,
            running: RefCell::new(Some(Running {
                child,
                channel: Channel::new(stream, LONGEST),
            })),
        };
        if let Some(running) = &*remote.running.borrow() {
            let stream = running.channel.stream();
            stream.set_read_timeout(Some(TICK)).map_err(failed)?;
            let patience = Duration::from_secs(limits.timeout.max(1));
            stream.set_write_timeout(Some(patience)).map_err(failed)?;
        }
        Ok(remote)
    }

    /// The first frame: who we are, what it may take, what it is to load.
    fn first(&self, tag: u8, copy: &Path) -> Writer {
        use std::os::unix::ffi::OsStrExt as _;
        let mut frame = Writer::new(tag);
        frame.number(protocol::VERSION);
        frame.number(self.limits.memory_mib);
        frame.bytes(self.file.as_os_str().as_bytes());
        frame.bytes(copy.as_os_str().as_bytes());
        frame
    }

    pub fn create(
        command: &ChildCommand,
        (name, file, copy): (&str, &Path, &Path),
        id: &str,
        settings: &Value,
        seed: u64,
        limits: Limits,
    ) -> Result<Self, Error> {
        let remote = Self::start(command, name, file, limits)?;
        let mut frame = remote.first(to_child::CREATE, copy);
        frame.text(name);
        frame.text(id);
        frame.text(&settings.to_string());
        frame.number(seed);
        remote.ask("create", None, frame, None, |_| Ok(()))?;
        Ok(remote)
    }

    fn violation(&self, call: &'static str, what: impl Into<String>) -> Error {
        Error::Violation {
            plugin: self.name.clone(),
            call,
            what: what.into(),
        }
    }

    /// A call with what it comes with.
    fn begin(tag: u8, context: &Context<'_>) -> Writer {
        let mut frame = Writer::new(tag);
        Facts::of(context).write(&mut frame);
        frame
    }

    pub fn propose(
        &self,
        context: &Context<'_>,
        anchors: &Table,
        given: Given<'_>,
    ) -> Result<Proposed, Error> {
        self.collect(to_child::PROPOSE, "propose", context, anchors, given)
    }

    pub fn augment(
        &self,
        context: &Context<'_>,
        samples: &Table,
        given: Given<'_>,
    ) -> Result<Proposed, Error> {
        self.collect(to_child::AUGMENT, "augment", context, samples, given)
    }

    fn collect(
        &self,
        tag: u8,
        call: &'static str,
        context: &Context<'_>,
        table: &Table,
        given: Given<'_>,
    ) -> Result<Proposed, Error> {
        let mut frame = Self::begin(tag, context);
        tables::write_set(&mut frame, given.anchors);
        tables::write_table(&mut frame, table);
        let mut emitted = Emitted::new(given, None);
        let result = self.ask(call, Some(context), frame, Some(&mut emitted), |_| Ok(()));
        let proposed = emitted.close();
        let proposed = proposed.map_err(|what| self.violation(call, what))?;
        result.map(|()| proposed)
    }

    pub fn prepare(&self, context: &Context<'_>) -> Result<(), Error> {
        let frame = Self::begin(to_child::PREPARE, context);
        self.ask("prepare", Some(context), frame, None, |_| Ok(()))
    }

    pub fn judge(&self, context: &Context<'_>, samples: &Table) -> Result<Vec<Verdict>, Error> {
        let mut frame = Self::begin(to_child::JUDGE, context);
        tables::write_table(&mut frame, samples);
        let (keep, score, reasons) = self.ask("judge", Some(context), frame, None, |from| {
            let reasons =
                |from: &mut Reader<'_>| Ok(from.texts()?.into_iter().map(str::to_owned).collect());
            Ok((from.numbers()?, from.numbers()?, reasons(from)?))
        })?;
        answers::verdicts(samples.rows(), &keep, &score, reasons)
            .map_err(|what| self.violation("judge", what))
    }

    pub fn select(
        &self,
        context: &Context<'_>,
        pool: &Table,
        budget: usize,
    ) -> Result<Vec<usize>, Error> {
        let mut frame = Self::begin(to_child::SELECT, context);
        frame.number(budget as u64);
        tables::write_table(&mut frame, pool);
        let chosen: Vec<u64> =
            self.ask("select", Some(context), frame, None, |from| from.numbers())?;
        let n = chosen.len() as u64;
        answers::chosen(pool.rows(), budget, chosen, n)
            .map_err(|what| self.violation("select", what))
    }

    pub fn needs(&self) -> Result<Needs, Error> {
        let frame = Writer::new(to_child::NEEDS);
        self.ask("needs", None, frame, None, |from| {
            Ok(Needs {
                positives: from.flag()?,
                negatives: from.flag()?,
                teacher: from.flag()?,
            })
        })
    }

    pub fn forward(&self, context: &Context<'_>, batch: &Batch) -> Result<LossResult, Error> {
        let mut frame = Self::begin(to_child::FORWARD, context);
        tables::write_batch(&mut frame, batch);
        let (loss, rows, gradient) = self.ask("forward", Some(context), frame, None, |from| {
            Ok((from.number()?, from.numbers()?, from.numbers()?))
        })?;
        let shape = (batch.texts(), batch.dim, batch.rows());
        answers::loss_result(shape, loss, &rows, gradient)
            .map_err(|what| self.violation("forward", what))
    }

    /// Makes a call and watches over it. Whatever goes wrong but an error that the plugin returns ends the child.
    fn ask<T>(
        &self,
        call: &'static str,
        context: Option<&Context<'_>>,
        frame: Writer,
        emitted: Option<&mut Emitted<'_>>,
        read: impl FnOnce(&mut Reader<'_>) -> super::codec::Result<T>,
    ) -> Result<T, Error> {
        let nothing = Context::default();
        let mut place = self.running.borrow_mut();
        let Some(running) = place.as_mut() else {
            return Err(Error::Crashed {
                plugin: self.name.clone(),
                call,
                how: "its process had ended before".to_owned(),
            });
        };
        let watch = Watch {
            call,
            remote: self,
            context: context.unwrap_or(&nothing),
        };
        let ended = match watch.over(running, frame, emitted) {
            Ok(answer) => match watch.read(&answer, read) {
                Ok(result) => return result,
                Err(Malformed) => watch.nonsense(),
            },
            Err(ended) => ended,
        };
        if let Some(mut running) = place.take() {
            process::end(&mut running.child);
        }
        Err(ended)
    }
}

/// A call that is being made.
struct Watch<'w> {
    call: &'static str,
    remote: &'w Remote,
    context: &'w Context<'w>,
}

impl Watch<'_> {
    fn nonsense(&self) -> Error {
        self.remote
            .violation(self.call, "its process sent what cannot be understood")
    }

    fn read<T>(
        &self,
        answer: &[u8],
        read: impl FnOnce(&mut Reader<'_>) -> super::codec::Result<T>,
    ) -> super::codec::Result<Result<T, Error>> {
        let (tag, mut from) = Reader::new(answer)?;
        let result = if tag == to_parent::DONE {
            Ok(read(&mut from)?)
        } else {
            let about = About {
                plugin: &self.remote.name,
                call: self.call,
                file: &self.remote.file,
            };
            Err(protocol::read_error(&mut from, &about)?)
        };
        from.end()?;
        Ok(result)
    }

    /// Sends the call and serves it until it is `DONE` or `FAILED`, which frame it gives; or the error that ends the child.
    fn over(
        &self,
        running: &mut Running,
        frame: Writer,
        mut emitted: Option<&mut Emitted<'_>>,
    ) -> Result<Vec<u8>, Error> {
        running
            .channel
            .send(frame)
            .map_err(|error| self.not_sent(running, &error))?;
        let mut left = Duration::from_secs(self.remote.limits.timeout);
        let mut told = None::<Instant>;
        let mut reported = false;
        loop {
            let waiting = Instant::now();
            let received = running.channel.receive();
            left = left.saturating_sub(waiting.elapsed());
            let frame = match received {
                Ok(frame) => frame,
                Err(broken) => return Err(self.broken(running, &broken)),
            };
            if let Some(frame) = frame {
                let (tag, mut from) = Reader::new(&frame).map_err(|_| self.nonsense())?;
                match (tag, emitted.as_deref_mut()) {
                    (to_parent::DONE | to_parent::FAILED, _) => return Ok(frame),
                    (to_parent::ASK, _) => {
                        let answer = serving::answer(&mut from, self.context);
                        let answer = answer.map_err(|_| self.nonsense())?;
                        running
                            .channel
                            .send(answer)
                            .map_err(|error| self.not_sent(running, &error))?;
                    }
                    (to_parent::PROGRESS, _) => {
                        self.progress(&mut from).map_err(|_| self.nonsense())?;
                    }
                    (to_parent::METRICS, _) if !reported => {
                        reported = true;
                        self.metrics(&mut from)?;
                    }
                    (to_parent::ROWS, Some(emitted)) => {
                        tables::read_candidates(&mut from, emitted)
                            .and_then(|()| tables::read_counts(&mut from, emitted))
                            .map_err(|_| self.nonsense())?;
                        if let Some(refused) = emitted.refused() {
                            return Err(self.remote.violation(self.call, refused));
                        }
                    }
                    _ => return Err(self.nonsense()),
                }
            } else if let Ok(Some(status)) = running.child.try_wait() {
                // Something of it still holds the socket.
                return Err(self.crashed(process::how(status)));
            }
            if self.context.services.is_cancelled() {
                match told {
                    None => {
                        told = Some(Instant::now());
                        let _ = running.channel.send(Writer::new(to_child::CANCEL));
                    }
                    Some(told) if told.elapsed() > GRACE => {
                        return Err(Error::Cancelled {
                            plugin: self.remote.name.clone(),
                        });
                    }
                    Some(_) => {}
                }
            }
            if left.is_zero() {
                return Err(self.timed_out());
            }
        }
    }

    fn metrics(&self, from: &mut Reader<'_>) -> Result<(), Error> {
        let read = tables::read_metrics(from).map_err(|Malformed| self.nonsense())?;
        let metrics = read.map_err(|what| self.remote.violation(self.call, what))?;
        if let Some(all) = self.context.services.metrics {
            all.add(metrics);
        }
        Ok(())
    }

    fn progress(&self, from: &mut Reader<'_>) -> super::codec::Result<()> {
        let (done, total, label) = (from.number()?, from.number()?, from.text()?);
        if let Some(show) = self.context.services.progress {
            show(done, total, label);
        }
        Ok(())
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            plugin: self.remote.name.clone(),
            call: self.call,
            seconds: self.remote.limits.timeout,
        }
    }

    fn crashed(&self, how: String) -> Error {
        Error::Crashed {
            plugin: self.remote.name.clone(),
            call: self.call,
            how,
        }
    }

    fn not_sent(&self, running: &mut Running, error: &std::io::Error) -> Error {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.timed_out(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                self.broken(running, &Broken::Ended)
            }
            _ => self.crashed(format!("its process cannot be reached: {error}")),
        }
    }

    fn broken(&self, running: &mut Running, broken: &Broken) -> Error {
        match broken {
            Broken::Ended => self.crashed(match process::wait(&mut running.child, FAREWELL) {
                Some(status) => process::how(status),
                None => "it closed the connection to the run".to_owned(),
            }),
            Broken::TooLong(bytes) => self.remote.violation(
                self.call,
                format!("its process sent {bytes} bytes at once: {LONGEST} is the most"),
            ),
            Broken::Io(error) => self.crashed(format!("its process cannot be reached: {error}")),
        }
    }
}
