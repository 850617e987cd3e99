//! `annotate`: the questions of a run put to people, on a page or through files.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use orchestrator_annotate::{Ended, Options, serve};
use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_engine::Error;
use orchestrator_engine::desk::People;
use serde_json::json;

use crate::args::Annotate;
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
