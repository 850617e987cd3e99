//! `annotate`: the questions of a run put to people, on a page or through files.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use orchestrator_annotate::exchange::{self, Format, LABEL_STUDIO_CONFIG};
use orchestrator_annotate::{Ended, Options, serve};
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::Error;
use orchestrator_engine::desk::People;
use serde_json::json;

use crate::args::{Annotate, AnswerFormat};
use crate::commands::interruptible;
use crate::show;

/// People at the page: what a run waits for whose annotator is `page`.
pub struct Page<'a> {
    pub options: Options,
    /// Is told the address.
    pub told: &'a (dyn Fn(&str) + Sync),
}

impl People for Page<'_> {
    fn answer(&self, folder: &Path, cancelled: &AtomicBool) -> Result<(), Error> {
        match serve(folder, &self.options, self.told, cancelled) {
            Ok(Ended::Done | Ended::NothingOpen) => Ok(()),
            Ok(Ended::Cancelled) => Err(Error::Interrupted(folder.to_owned())),
            Err(error) => Err(Diagnostic::from(error).into()),
        }
    }
}

/// Says where the questions are, on standard error: standard output is for results.
pub fn tell(address: &str, json: bool) {
    if json {
        show::err(&format!(
            "{}\n",
            json!({ "questions": { "address": address } })
        ));
    } else {
        show::err(&format!(
            "Questions are waiting at\n\n    {address}\n\nWho has this address can answer. Ctrl-C stops; every answer is kept.\n"
        ));
    }
}

pub fn run(asked: &Annotate, json: bool) -> Result<(), Diagnostics> {
    match (&asked.export, &asked.import) {
        (Some(file), _) => export(asked, file, json),
        (_, Some(file)) => import(asked, file, json),
        _ => put(asked, json),
    }
}

fn put(asked: &Annotate, json: bool) -> Result<(), Diagnostics> {
    let cancelled = interruptible("stopping; every answer is kept")?;
    let page = Page {
        options: Options {
            bind: asked.bind,
            port: asked.port,
            name: asked.name.clone(),
            ..Options::default()
        },
        told: &|address| tell(address, json),
    };
    match page.answer(&asked.run, &cancelled) {
        Ok(()) => {}
        Err(Error::Interrupted(folder)) => {
            return Err(Diagnostic::new(
                Kind::Interrupted,
                "stopped before everything was answered",
            )
            .note("every answer that was given is kept")
            .help(format!("go on: orchestrator annotate {}", folder.display()))
            .into());
        }
        Err(error) => return Err(error.into_diagnostics()),
    }
    show::out(&if json {
        format!("{}\n", json!({ "run": asked.run, "open": 0 }))
    } else {
        "Nothing is open: every question is answered, settled or left.\n".to_owned()
    });
    Ok(())
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
