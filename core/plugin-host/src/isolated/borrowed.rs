//! In the child: everything the host lends, got from the parent when the plugin asks for it.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::codec::{Malformed, Reader, Result, Writer};
use super::process;
use super::protocol::{Facts, TableFacts, ask, to_child, to_parent};
use super::tables;
use crate::metrics::Metrics;
use crate::services::{
    ChatEndpoint, CurrentModel, Lender, Lent, Lexical, NamedModels, Services, TopicModel,
};
use crate::table::Table;

/// The child's end of the socket, and what came over it to stay. What stays is never freed: a child lives as long as one
/// instance.
pub(crate) struct Link {
    channel: Mutex<Channel>,
    tables: Mutex<BTreeMap<u64, &'static Table>>,
    files: Mutex<BTreeMap<String, Option<&'static [u8]>>>,
    cancelled: AtomicBool,
    looked: Mutex<Instant>,
}

/// How long an answer to "is the run stopping" is good for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often the display learns how far a call is.
const SHOW_EVERY: Duration = Duration::from_millis(25);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Link {
    pub fn new(channel: Channel) -> Self {
        Self {
            channel: Mutex::new(channel),
            tables: Mutex::default(),
            files: Mutex::default(),
            cancelled: AtomicBool::new(false),
            looked: Mutex::new(Instant::now()),
        }
    }

    /// Sends a frame. Without a parent there is nothing to go on for.
    pub fn send(&self, frame: Writer) {
        if lock(&self.channel).send(frame).is_err() {
            process::end_self();
        }
    }

    /// The next frame that is no `CANCEL`.
    pub fn receive(&self) -> Vec<u8> {
        Self::next(&mut lock(&self.channel), &self.cancelled)
    }

    fn next(channel: &mut Channel, cancelled: &AtomicBool) -> Vec<u8> {
        loop {
            match channel.receive() {
                Ok(Some(frame)) if frame == [to_child::CANCEL] => {
                    cancelled.store(true, Ordering::Relaxed);
                }
                Ok(Some(frame)) => return frame,
                Ok(None) => {}
                Err(_) => process::end_self(),
            }
        }
    }

    /// Before a call: what was said about the one before does not count.
    pub fn begin(&self) {
        self.cancelled.store(false, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        if !self.cancelled.load(Ordering::Relaxed) {
            let mut looked = lock(&self.looked);
            if looked.elapsed() >= LOOK_EVERY {
                *looked = Instant::now();
                let mut channel = lock(&self.channel);
                if process::has_come(channel.stream()) {
                    // In a call, only this comes unasked.
                    match channel.receive() {
                        Ok(Some(frame)) if frame == [to_child::CANCEL] => {
                            self.cancelled.store(true, Ordering::Relaxed);
                        }
                        _ => process::end_self(),
                    }
                }
            }
        }
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Asks and waits for the answer; `None` if the parent has none, or none that can be read.
    fn ask<T>(
        &self,
        question: Writer,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Option<T> {
        let mut channel = lock(&self.channel);
        if channel.send(question).is_err() {
            process::end_self();
        }
        let frame = Self::next(&mut channel, &self.cancelled);
        let read = || -> Result<Option<T>> {
            let (tag, mut from) = Reader::new(&frame)?;
            if tag != to_child::ANSWER {
                return Err(Malformed);
            }
            let answer = from.optional(read)?;
            from.end()?;
            Ok(answer)
        };
        read().ok().flatten()
    }

    /// A table of that version: the one that came before, or one that comes now.
    fn table(&self, what: Lent, place: usize, facts: TableFacts) -> Option<&'static Table> {
        if let Some(table) = lock(&self.tables).get(&facts.version) {
            return Some(table);
        }
        let mut question = question(ask::TABLE);
        question.number(what as u8);
        question.number(place as u64);
        let table = self.ask(question, tables::read_table)?;
        let table: &'static Table = Box::leak(Box::new(table.seal()));
        lock(&self.tables).insert(facts.version, table);
        Some(table)
    }
}

fn question(what: u8) -> Writer {
    let mut question = Writer::new(to_parent::ASK);
    question.number(what);
    question
}

/// Everything lent to one call.
pub(crate) struct Borrowed<'l> {
    link: &'l Link,
    facts: Facts,
    teacher: OnceCell<Option<(usize, Vec<f32>)>>,
    metrics: Metrics,
    services: Remote<'l>,
}

/// What is done by the parent: every service that is called.
struct Remote<'l> {
    link: &'l Link,
    dim: usize,
    topics: usize,
    of_documents: std::sync::OnceLock<Vec<f32>>,
}

impl<'l> Borrowed<'l> {
    pub fn new(link: &'l Link, facts: Facts) -> Self {
        let services = Remote {
            link,
            dim: facts.model.unwrap_or(0) as usize,
            topics: facts.topics.unwrap_or(0) as usize,
            of_documents: std::sync::OnceLock::new(),
        };
        Self {
            link,
            facts,
            teacher: OnceCell::new(),
            metrics: Metrics::default(),
            services,
        }
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How many documents the corpus has, if it is lent.
    pub fn documents(&self) -> usize {
        self.facts.tables[0].map_or(usize::MAX, |table| table.rows as usize)
    }

    /// What is done for the plugin.
    pub fn services<'s>(&'s self, progress: &'s crate::services::Progress<'s>) -> Services<'s> {
        let (facts, remote) = (&self.facts, &self.services);
        Services {
            model: facts.model.is_some().then_some(remote as &dyn CurrentModel),
            bm25: facts.bm25.then_some(remote as &dyn Lexical),
            topics: facts.topics.is_some().then_some(remote as &dyn TopicModel),
            models: facts.models.then_some(remote as &dyn NamedModels),
            chat: facts.chat.then_some(remote as &dyn ChatEndpoint),
            progress: facts.progress.then_some(progress),
            metrics: facts.metrics.then_some(&self.metrics),
            ..Services::default()
        }
    }

    /// Sends what the call reported.
    pub fn send_metrics(&self) {
        let metrics = self.metrics.take();
        if !metrics.is_empty() {
            let mut frame = Writer::new(to_parent::METRICS);
            tables::write_metrics(&mut frame, &metrics);
            self.link.send(frame);
        }
    }

    /// Sends how far the call is, now and then.
    pub fn progress(&self) -> impl Fn(u64, u64, &str) + use<'l> {
        let link = self.link;
        let shown = std::cell::Cell::new(None::<Instant>);
        move |done, total, label| {
            let due = shown
                .get()
                .is_none_or(|shown: Instant| shown.elapsed() >= SHOW_EVERY);
            if due || done == total {
                shown.set(Some(Instant::now()));
                let mut frame = Writer::new(to_parent::PROGRESS);
                frame.number(done);
                frame.number(total);
                frame.text(label);
                link.send(frame);
            }
        }
    }
}

impl Lender for Borrowed<'_> {
    fn lends(&self, what: Lent) -> bool {
        match what {
            Lent::Corpora => self.facts.corpora.is_some(),
            Lent::Files => self.facts.files,
            Lent::Teacher => self.facts.teacher,
            table => self.facts.tables[table as usize].is_some(),
        }
    }

    fn table(&self, what: Lent) -> Option<&Table> {
        let facts = (*self.facts.tables.get(what as usize)?)?;
        self.link.table(what, 0, facts)
    }

    fn corpora(&self) -> usize {
        self.facts.corpora.as_ref().map_or(0, Vec::len)
    }

    fn corpus(&self, place: usize) -> Option<(&str, &Table)> {
        let (name, facts) = self.facts.corpora.as_ref()?.get(place)?;
        Some((name, self.link.table(Lent::Corpora, place, *facts)?))
    }

    fn file(&self, name: &str) -> Option<&[u8]> {
        if !self.facts.files {
            return None;
        }
        if let Some(known) = lock(&self.link.files).get(name) {
            return *known;
        }
        let mut question = question(ask::FILE);
        question.text(name);
        let bytes = self.link.ask(question, |from| Ok(from.bytes()?.to_vec()));
        let bytes: Option<&'static [u8]> = bytes.map(|bytes| &*bytes.leak());
        lock(&self.link.files).insert(name.to_owned(), bytes);
        bytes
    }

    fn teacher(&self) -> Option<(usize, &[f32])> {
        if !self.facts.teacher {
            return None;
        }
        let fetched = self.teacher.get_or_init(|| {
            self.link.ask(question(ask::TEACHER), |from| {
                Ok((from.number::<u64>()? as usize, from.numbers()?))
            })
        });
        fetched.as_ref().map(|(dim, values)| (*dim, &values[..]))
    }

    fn is_cancelled(&self) -> bool {
        self.link.is_cancelled()
    }
}

fn read_rankings(from: &mut Reader<'_>) -> Result<Vec<Vec<(i64, f32)>>> {
    let n = from.count(16)?;
    (0..n)
        .map(|_| {
            let documents = from.numbers::<i64>()?;
            let scores = from.numbers::<f32>()?;
            Ok(documents.into_iter().zip(scores).collect())
        })
        .collect()
}

impl CurrentModel for Remote<'_> {
    fn top_k(&self, anchors: &[i64], k: usize) -> Option<Vec<Vec<(i64, f32)>>> {
        let mut question = question(ask::TOP_K);
        question.number(k as u64);
        question.numbers(anchors);
        self.link.ask(question, read_rankings)
    }

    fn score(&self, anchors: &[i64], documents: &[i64]) -> Option<Vec<f32>> {
        let mut question = question(ask::SCORE);
        question.numbers(anchors);
        question.numbers(documents);
        self.link.ask(question, |from| from.numbers())
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, texts: &[&str]) -> Vec<f32> {
        let mut question = question(ask::ENCODE);
        question.texts(texts);
        self.of_length(question, texts.len() * self.dim)
    }
}

impl Remote<'_> {
    /// Numbers that the parent always has. A parent that has them not is none that one can go on with.
    fn of_length(&self, question: Writer, length: usize) -> Vec<f32> {
        match self.link.ask(question, |from| from.numbers()) {
            Some(values) if values.len() == length => values,
            _ => process::end_self(),
        }
    }
}

impl Lexical for Remote<'_> {
    fn top_k(&self, queries: &[&str], k: usize) -> Vec<Vec<(i64, f32)>> {
        let mut question = question(ask::LEXICAL);
        question.number(k as u64);
        question.texts(queries);
        self.link.ask(question, read_rankings).unwrap_or_default()
    }
}

impl TopicModel for Remote<'_> {
    fn count(&self) -> usize {
        self.topics
    }

    fn infer(&self, texts: &[&str]) -> Vec<f32> {
        let mut question = question(ask::TOPICS);
        question.texts(texts);
        self.of_length(question, texts.len() * self.topics)
    }

    fn documents(&self) -> &[f32] {
        self.of_documents.get_or_init(|| {
            self.link
                .ask(question(ask::TOPICS_OF_DOCUMENTS), |from| from.numbers())
                .unwrap_or_default()
        })
    }
}

impl NamedModels for Remote<'_> {
    fn knows(&self, model: &str) -> bool {
        let mut question = question(ask::KNOWS);
        question.text(model);
        self.link.ask(question, |from| from.flag()).unwrap_or(false)
    }

    fn score(&self, model: &str, pairs: &[(&str, &str)]) -> Option<Vec<f32>> {
        let mut question = question(ask::SCORE_PAIRS);
        question.text(model);
        question.number(pairs.len() as u64);
        for (query, text) in pairs {
            question.text(query);
            question.text(text);
        }
        self.link.ask(question, |from| from.numbers())
    }
}

impl ChatEndpoint for Remote<'_> {
    fn complete(
        &self,
        requests: &[&str],
        _: &dyn Fn() -> bool,
    ) -> Vec<std::result::Result<String, String>> {
        let mut question = question(ask::CHAT);
        question.texts(requests);
        self.link
            .ask(question, |from| {
                let n = from.count(9)?;
                (0..n)
                    .map(|_| {
                        let fine = from.flag()?;
                        let text = from.text()?.to_owned();
                        Ok(if fine { Ok(text) } else { Err(text) })
                    })
                    .collect()
            })
            .unwrap_or_default()
    }
}
