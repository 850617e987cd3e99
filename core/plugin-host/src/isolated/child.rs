//! In the child: one library, one instance, called as a run calls it, until the parent says goodbye.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::borrowed::{Borrowed, Link};
use super::channel::Channel;
use super::codec::{Malformed, Reader, Result, Writer};
use super::protocol::{self, Facts, to_child, to_parent};
use super::{process, tables};
use crate::answers::{Candidate, Given, HandOn, Proposed};
use crate::call::{Calling, Context};
use crate::error::Error;
use crate::library::{self, Functions};
use crate::local::Local;

/// What a call gave: what is written after `DONE`, or an error.
type Answer = std::result::Result<Box<dyn FnOnce(&mut Writer)>, Error>;

fn nothing() -> Box<dyn FnOnce(&mut Writer)> {
    Box::new(|_| ())
}

fn refused(why: impl Into<String>) -> Error {
    Error::Isolation {
        plugin: String::new(),
        why: why.into(),
    }
}

/// Runs one plugin instance for the process that started this one, until that is done with it. To be called by the
/// executable that [`super::ChildCommand`] names, before it does anything else.
///
/// # Errors
/// If this process was not started by a host.
pub fn serve() -> std::result::Result<(), Error> {
    let stream = process::take_socket().map_err(|error| {
        refused(format!(
            "standard input is not the socket of a run ({error})"
        ))
    })?;
    process::end_with(&stream)
        .map_err(|error| refused(format!("there can be no thread: {error}")))?;
    let link = Link::new(Channel::new(stream, u64::MAX));
    let mut instance = None;
    loop {
        let frame = link.receive();
        link.begin();
        let mut out = Writer::new(to_parent::DONE);
        match answer(&link, &frame, &mut instance) {
            Ok(Some(Ok(write))) => write(&mut out),
            Ok(Some(Err(error))) => {
                out = Writer::new(to_parent::FAILED);
                protocol::write_error(&mut out, &error);
            }
            Ok(None) => return Ok(()),
            Err(Malformed) => {
                out = Writer::new(to_parent::FAILED);
                protocol::write_error(
                    &mut out,
                    &refused("the executable is another than the one that runs the experiment"),
                );
            }
        }
        link.send(out);
    }
}

/// Makes the call that a frame asks for; `None`: there are no more.
fn answer(link: &Link, frame: &[u8], instance: &mut Option<Local>) -> Result<Option<Answer>> {
    let (tag, mut from) = Reader::new(frame)?;
    if matches!(tag, to_child::DESCRIBE | to_child::CREATE) {
        return begin(tag, from, instance).map(Some);
    }
    if tag == to_child::BYE {
        *instance = None;
        return Ok(None);
    }
    let instance = instance.as_ref().ok_or(Malformed)?;
    if tag == to_child::NEEDS {
        from.end()?;
        return Ok(Some(instance.needs().map(|needs| {
            let write = move |out: &mut Writer| {
                out.flag(needs.positives);
                out.flag(needs.negatives);
                out.flag(needs.teacher);
            };
            Box::new(write) as Box<dyn FnOnce(&mut Writer)>
        })));
    }
    let borrowed = Borrowed::new(link, Facts::read(&mut from)?);
    let progress = borrowed.progress();
    let calling = Calling {
        step: borrowed.facts().step,
        seed: borrowed.facts().seed,
        services: borrowed.services(&progress),
        lender: &borrowed,
    };
    let answer = call(link, tag, from, instance, calling, borrowed.documents())?;
    if answer.is_ok() {
        borrowed.send_metrics();
    }
    Ok(Some(answer))
}

fn call(
    link: &Link,
    tag: u8,
    mut from: Reader<'_>,
    instance: &Local,
    calling: Calling<'_>,
    documents: usize,
) -> Result<Answer> {
    Ok(match tag {
        to_child::PROPOSE | to_child::AUGMENT => {
            let anchors: BTreeSet<usize> = tables::read_set(&mut from)?;
            let table = tables::read_table(&mut from)?.seal();
            from.end()?;
            let augment = tag == to_child::AUGMENT;
            let given = Given {
                anchors: &anchors,
                documents,
                parents: if augment { table.rows() } else { 0 },
                parent_needed: augment,
                rows: table.rows(),
            };
            let hand_on: HandOn<'_> = Box::new(|candidates| {
                send_rows(link, &candidates, &Proposed::default());
            });
            let proposed = if augment {
                instance.augment(calling, &table, given, Some(hand_on))
            } else {
                instance.propose(calling, &table, given, Some(hand_on))
            };
            proposed.map(|rest| {
                send_rows(link, &rest.candidates, &rest);
                nothing()
            })
        }
        to_child::PREPARE => {
            from.end()?;
            instance.prepare(calling).map(|()| nothing())
        }
        to_child::JUDGE => {
            let samples = tables::read_table(&mut from)?.seal();
            from.end()?;
            instance.judge(calling, &samples).map(|verdicts| {
                let write = move |out: &mut Writer| {
                    let keep: Vec<u8> = verdicts.iter().map(|one| u8::from(one.keep)).collect();
                    let scores = verdicts.iter().map(|one| one.score.unwrap_or(f32::NAN));
                    let reasons: Vec<&str> =
                        verdicts.iter().map(|one| one.reason.as_str()).collect();
                    out.numbers(&keep);
                    out.numbers(&scores.collect::<Vec<f32>>());
                    out.texts(&reasons);
                };
                Box::new(write) as Box<dyn FnOnce(&mut Writer)>
            })
        }
        to_child::SELECT => {
            let budget = from.number::<u64>()? as usize;
            let pool = tables::read_table(&mut from)?.seal();
            from.end()?;
            instance.select(calling, &pool, budget).map(|chosen| {
                let chosen: Vec<u64> = chosen.into_iter().map(|row| row as u64).collect();
                Box::new(move |out: &mut Writer| out.numbers(&chosen))
                    as Box<dyn FnOnce(&mut Writer)>
            })
        }
        to_child::FORWARD => {
            let batch = tables::read_batch(&mut from)?;
            from.end()?;
            instance.forward(calling, &batch).map(|result| {
                let write = move |out: &mut Writer| {
                    let rows = result.rows.iter().map(|row| row.unwrap_or(f32::NAN));
                    out.number(result.loss);
                    out.numbers(&rows.collect::<Vec<f32>>());
                    out.numbers(&result.gradient);
                };
                Box::new(write) as Box<dyn FnOnce(&mut Writer)>
            })
        }
        _ => return Err(Malformed),
    })
}

fn send_rows(link: &Link, candidates: &[Candidate], with_counts: &Proposed) {
    let mut frame = Writer::new(to_parent::ROWS);
    tables::write_candidates(&mut frame, candidates);
    tables::write_counts(&mut frame, &with_counts.counts);
    link.send(frame);
}

/// Loads the library, and describes it or makes an instance of one of its plugins.
fn begin(tag: u8, mut from: Reader<'_>, instance: &mut Option<Local>) -> Result<Answer> {
    if from.number::<u32>()? != protocol::VERSION {
        return Err(Malformed);
    }
    process::limit_memory(from.number()?);
    let mut path = || Ok(PathBuf::from(OsStr::from_bytes(from.bytes()?)));
    let (file, copy) = (path()?, path()?);
    let plugins = library::open(&file, &copy);
    if tag == to_child::DESCRIBE {
        from.end()?;
        return Ok(plugins.map(|plugins| {
            let write = move |out: &mut Writer| {
                out.number(plugins.len() as u64);
                for (info, _) in &plugins {
                    protocol::write_info(out, info);
                }
            };
            Box::new(write) as Box<dyn FnOnce(&mut Writer)>
        }));
    }
    let (name, id, settings) = (from.text()?, from.text()?, from.text()?);
    let settings = serde_json::from_str(settings).map_err(|_| Malformed)?;
    let context = Context {
        seed: from.number()?,
        ..Context::default()
    };
    from.end()?;
    let create = || {
        let functions: Functions = plugins?
            .into_iter()
            .find(|(info, _)| info.id == id)
            .map(|(_, functions)| functions)
            .ok_or_else(|| refused(format!("the library has no plugin `{id}`")))?;
        *instance = Some(Local::create(
            name,
            functions,
            id,
            &settings,
            Calling::here(&context),
        )?);
        Ok(nothing())
    };
    Ok(create())
}
