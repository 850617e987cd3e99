//! `annotate`: the questions of a run put to people, on a page or through files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use orchestrator_annotate::exchange::{self, Format, LABEL_STUDIO_CONFIG};
use orchestrator_annotate::{Access, Address, Ended, Options, serve};
use orchestrator_config::{Annotator, Experiment};
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::desk::People;
use orchestrator_engine::{Error, Lock};
use serde_json::json;

use crate::args::{self, Annotate, AnswerFormat};
use crate::commands::{Manner, interruptible, resume};
use crate::show;

type Told<'a> = &'a (dyn Fn(&Address) + Sync);

/// People at the page.
struct Page<'a> {
    options: Options,
    told: Told<'a>,
    /// Where it was served before, so that a page which is open finds the next round's questions; 0 = nowhere yet.
    port: AtomicU16,
}

impl<'a> Page<'a> {
    fn new(options: Options, told: Told<'a>) -> Result<Self, Diagnostics> {
        let access = Access::new()
            .map_err(orchestrator_annotate::Error::from)
            .map_err(Diagnostic::from)?;
        Ok(Self {
            options: Options {
                access: Some(access),
                ..options
            },
            told,
            port: AtomicU16::new(0),
        })
    }

    fn put(
        &self,
        folder: &Path,
        cancelled: &AtomicBool,
    ) -> Result<Ended, orchestrator_annotate::Error> {
        let told = |address: &Address| {
            self.port.store(address.port, Ordering::Relaxed);
            (self.told)(address);
        };
        let before = self.port.load(Ordering::Relaxed);
        if before != 0 {
            let there = Options {
                port: before,
                ..self.options.clone()
            };
            match serve(folder, &there, &told, cancelled) {
                // Somebody else has it now.
                Err(orchestrator_annotate::Error::Serve(orchestrator_serve::Error::Listen {
                    ..
                })) => {}
                other => return other,
            }
        }
        serve(folder, &self.options, &told, cancelled)
    }
}

impl People for Page<'_> {
    fn answer(&self, folder: &Path, cancelled: &AtomicBool) -> Result<(), Error> {
        match self.put(folder, cancelled) {
            Ok(Ended::Done | Ended::NothingOpen) => Ok(()),
            Ok(Ended::Cancelled) => Err(Error::Interrupted(folder.to_owned())),
            Err(error) => Err(Diagnostic::from(error).into()),
        }
    }
}

/// Whoever reads a file and writes one back.
struct Files(Format);

impl People for Files {
    fn answer(&self, folder: &Path, _: &AtomicBool) -> Result<(), Error> {
        let Some(waiting) = exchange::by_file(folder, self.0)? else {
            return Ok(());
        };
        Err(Diagnostic::new(
            Kind::Interrupted,
            format!("{} questions wait for an answer", waiting.questions),
        )
        .note(format!("they are in {}", waiting.written.display()))
        .help(format!(
            "put their answers into {}, then: orchestrator resume {}; or answer them on a page: orchestrator annotate {1}",
            waiting.expected.display(),
            folder.display()
        ))
        .into())
    }
}

/// Whoever a run waits for when it has questions, if somebody is there.
pub fn people<'a>(
    experiment: &Experiment,
    page: args::Page,
    told: Told<'a>,
) -> Result<Option<Box<dyn People + 'a>>, Diagnostics> {
    let annotator = experiment
        .active_learning
        .as_ref()
        .map(|one| &one.annotator);
    Ok(match annotator {
        Some(Annotator::Page(_)) if !page.no_page => {
            Some(Box::new(Page::new(Options::default(), told)?))
        }
        Some(Annotator::File { format }) => {
            use orchestrator_config::Format as In;
            Some(Box::new(Files(match format {
                In::Jsonl => Format::Jsonl,
                In::Csv => Format::Csv,
                In::LabelStudio => Format::LabelStudio,
                In::Argilla => Format::Argilla,
            })))
        }
        _ => None,
    })
}

/// Where the questions are, for standard error: standard output is for results.
pub fn told(address: &Address, json: bool) -> String {
    let url = &address.url;
    if json {
        return format!("{}\n", json!({ "questions": { "address": url } }));
    }
    format!(
        "Questions are waiting at\n\n    {url}\n\nWho has this address can answer. Ctrl-C stops; every answer is kept.\n"
    )
}

pub fn run(asked: &Annotate, manner: &Manner) -> Result<(), Diagnostics> {
    match (&asked.export, &asked.import) {
        (Some(file), _) => export(asked, file, manner.json),
        (_, Some(file)) => import(asked, file, manner.json),
        _ => put(asked, manner),
    }
}

/// A run that another process works on puts its questions itself.
fn taken(folder: &Path) -> Result<Lock, Diagnostics> {
    Lock::take(folder).map_err(Error::into_diagnostics)
}

fn put(asked: &Annotate, manner: &Manner) -> Result<(), Diagnostics> {
    let json = manner.json;
    let lock = taken(&asked.run)?;
    let cancelled = interruptible("stopping; every answer is kept")?;
    let options = Options {
        bind: asked.bind,
        port: asked.port,
        name: asked.name.clone(),
        ..Options::default()
    };
    let tell = |address: &Address| show::err(&told(address, json));
    let page = Page::new(options, &tell)?;
    let folder = asked.run.display();
    let ended = page.put(&asked.run, &cancelled).map_err(Diagnostic::from)?;
    drop(lock);
    match ended {
        Ended::Cancelled => Err(Diagnostic::new(
            Kind::Interrupted,
            "stopped before everything was answered",
        )
        .note("every answer that was given is kept")
        .help(format!("go on: orchestrator annotate {folder}"))
        .into()),
        // What waited for the answers has them now: the next round, or the report.
        Ended::Done if !asked.no_resume => resume(&asked.run, manner),
        Ended::Done | Ended::NothingOpen => {
            show::out(&if json {
                format!("{}\n", json!({ "run": asked.run, "open": 0 }))
            } else {
                format!(
                    "Nothing is open: every question is answered, settled or left.\nThe run goes on with: orchestrator resume {folder}\n"
                )
            });
            Ok(())
        }
    }
}

/// What the file is: as told, or by its name.
fn format(asked: &Annotate, file: &Path) -> Result<Format, Diagnostics> {
    let told = asked.format.map(|format| match format {
        AnswerFormat::Jsonl => Format::Jsonl,
        AnswerFormat::Csv => Format::Csv,
        AnswerFormat::LabelStudio => Format::LabelStudio,
        AnswerFormat::Argilla => Format::Argilla,
    });
    told.or_else(|| Format::of(file)).ok_or_else(|| {
        Diagnostic::new(
            Kind::Experiment,
            format!("what `{}` is cannot be told by its name", file.display()),
        )
        .help("give --format jsonl, csv, label-studio or argilla")
        .into()
    })
}

fn cannot(what: &str, file: &Path, error: &std::io::Error) -> Diagnostics {
    Diagnostic::new(Kind::Data, format!("cannot {what} `{}`", file.display()))
        .note(error.to_string())
        .help("check the path, its permissions and the space left")
        .into()
}

fn export(asked: &Annotate, file: &Path, json: bool) -> Result<(), Diagnostics> {
    let format = if file == Path::new("-") && asked.format.is_none() {
        Format::Jsonl
    } else {
        format(asked, file)?
    };
    let exported = exchange::export(&asked.run, format, asked.name.as_deref())?;
    if file == Path::new("-") {
        show::out(&exported.text);
        return Ok(());
    }
    let mut written: Vec<PathBuf> = vec![file.to_owned()];
    std::fs::write(file, &exported.text).map_err(|error| cannot("write", file, &error))?;
    if format == Format::LabelStudio {
        let config = file.with_extension("xml");
        std::fs::write(&config, LABEL_STUDIO_CONFIG)
            .map_err(|error| cannot("write", &config, &error))?;
        written.push(config);
    }
    show::out(&if json {
        let value =
            json!({ "questions": exported.questions, "format": format.name(), "files": written });
        format!("{value}\n")
    } else {
        let names: Vec<String> = written
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!(
            "{} open questions: {}\n",
            exported.questions,
            names.join(", ")
        )
    });
    Ok(())
}

fn import(asked: &Annotate, file: &Path, json: bool) -> Result<(), Diagnostics> {
    let format = format(asked, file)?;
    let _lock = taken(&asked.run)?;
    let text = std::fs::read_to_string(file).map_err(|error| cannot("read", file, &error))?;
    let done = exchange::import(&asked.run, format, &text, file, asked.name.as_deref())?;
    if json {
        let value = json!({
            "kept": done.kept, "known": done.known, "open": done.open, "disputed": done.disputed,
        });
        show::out(&format!("{value}\n"));
        return Ok(());
    }
    let mut said = format!(
        "{} answers were kept, {} were there already.\n",
        done.kept, done.known
    );
    for (numbers, what) in [
        (&done.open, "still open"),
        (&done.disputed, "answered differently by two people"),
    ] {
        if !numbers.is_empty() {
            let shown: Vec<String> = numbers.iter().map(u64::to_string).collect();
            said.push_str(&format!("Questions {what}: {}\n", shown.join(", ")));
        }
    }
    show::out(&said);
    Ok(())
}
