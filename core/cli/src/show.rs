//! What people see: progress on a terminal, results, errors.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orchestrator_diagnostics::Diagnostics;
use orchestrator_engine::{Event, Outcome};
use orchestrator_plugin_host::{Kind, PluginInfo};

/// Writes to standard output; whoever closed it early does not want the rest.
pub fn out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes to standard error.
pub fn err(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Colours are for terminals whose user has not said no (https://no-color.org).
fn color() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Every diagnostic, as text or as JSON.
pub fn errors(diagnostics: &Diagnostics, json: bool) {
    if json {
        let value =
            serde_json::json!({ "errors": diagnostics, "exit_code": diagnostics.exit_code() });
        err(&format!("{value}\n"));
    } else {
        err(&diagnostics.render(color()));
    }
}

/// A new plugin, `kind`, is called as one that is shipped.
pub fn name_is_taken(name: &str, kind: Kind, shipped: &PluginInfo, json: bool) {
    let (id, of) = (&shipped.id, shipped.kind.name());
    let message = format!("`{name}` is the name of a {of} that is shipped, `{id}`");
    let help = if shipped.kind == kind {
        format!(
            "choose another name, or experiments must say which they mean: {id} or org.example.{name}"
        )
    } else {
        format!(
            "experiments tell a {} from a {of} by its place; people may not",
            kind.name()
        )
    };
    if json {
        let value =
            serde_json::json!({ "warning": { "message": message, "id": id, "help": help } });
        err(&format!("{value}\n"));
        return;
    }
    let (yellow, bold, off) = warning_colors();
    err(&format!(
        "{yellow}warning{off}: {bold}{message}{off}\n  = help: {help}\n"
    ));
}

/// Something that is not as was asked for, and goes on.
pub fn warning(message: &str, json: bool) {
    if json {
        err(&format!(
            "{}\n",
            serde_json::json!({ "warning": { "message": message } })
        ));
        return;
    }
    let (yellow, bold, off) = warning_colors();
    err(&format!("{yellow}warning{off}: {bold}{message}{off}\n"));
}

fn warning_colors() -> (&'static str, &'static str, &'static str) {
    if color() {
        ("\x1b[1;33m", "\x1b[1m", "\x1b[0m")
    } else {
        ("", "", "")
    }
}

/// A library that is loaded as it is, by whoever last built it.
pub fn under_development(library: &Path, sha256: &str, lock: &Path, json: bool) {
    if json {
        let value = serde_json::json!({ "warning": {
            "message": "a library under development is loaded as it is now",
            "library": library,
            "sha256": sha256,
        }});
        err(&format!("{value}\n"));
        return;
    }
    let (yellow, bold, off) = warning_colors();
    err(&format!(
        "{yellow}warning{off}: {bold}`{}` is under development: loaded as it is now, pinned by nobody{off}\n  = its SHA-256 is \
         {sha256}\n  = help: when it is done: orchestrator plugin trust {0} --lock {1}\n",
        library.display(),
        lock.display()
    ));
}

/// Progress on standard error: stage, rate, time left. Silent when that is not a terminal, but for warnings.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
    totals: RefCell<u64>,
}

impl Progress {
    pub fn new(quiet: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        if quiet || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar.set_style(style("{spinner} {msg}"));
        Self {
            bar,
            quiet,
            totals: RefCell::new(0),
        }
    }

    /// Says something on standard error, whether progress is shown or not, without tearing it apart.
    pub fn speaker(&self) -> impl Fn(&str) + Sync + use<> {
        let bar = self.bar.clone();
        move |text| bar.suspend(|| err(text))
    }

    pub fn event(&self, event: Event) {
        match event {
            Event::Stage(stage) => {
                // Epochs share one bar: it shows how long the whole training takes.
                if !stage.starts_with("train:") {
                    *self.totals.borrow_mut() = 0;
                    self.bar.set_style(style("{spinner} {msg}"));
                }
                self.bar.set_message(stage);
            }
            Event::Advance { done, total } => {
                if total > 0 && *self.totals.borrow() != total {
                    *self.totals.borrow_mut() = total;
                    self.bar.reset_eta();
                    self.bar.set_length(total);
                    self.bar.set_style(style(
                        "{spinner} {msg} [{bar:24}] {pos}/{len}, {per_sec}, {eta} left",
                    ));
                }
                self.bar.set_position(done);
            }
            Event::Note(note) if self.bar.is_hidden() => {
                if !self.quiet && note.starts_with("warning: ") {
                    err(&format!("{note}\n"));
                }
            }
            Event::Note(note) => self.bar.println(note),
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// The end of a run.
pub fn outcome(outcome: &Outcome, seconds: f64, json: bool) {
    let report = outcome.folder.join("report.html");
    if json {
        let results: Vec<serde_json::Value> = outcome
            .results
            .iter()
            .map(|(model, split, metric, value)| {
                serde_json::json!({ "model": model, "split": split, "metric": metric, "value": value })
            })
            .collect();
        let value = serde_json::json!({
            "run": outcome.folder,
            "report": report,
            "model": outcome.folder.join("model"),
            "steps": outcome.steps,
            "seconds": seconds,
            "trained": outcome.chosen,
            "ticks": outcome.ticks,
            "store_share": outcome.store_share,
            "content_hash": outcome.content_hash,
            "results": results,
        });
        out(&format!("{value}\n"));
        return;
    }
    out(&table(outcome));
    let mut text = format!(
        "\nThe trained model is that of {}, of {} steps in all.\n",
        outcome.chosen, outcome.steps
    );
    match outcome.ticks {
        0 => text.push_str("The run was finished already: nothing was left to do."),
        _ => text.push_str(&format!(
            "Took {seconds:.1} s, {:.1} % of it for the audit trail.",
            100.0 * outcome.store_share
        )),
    }
    if outcome.store_share > 0.03 && seconds > 10.0 {
        text.push_str(" (more than the 3 % it should cost: the run is short or the disk is slow)");
    }
    text.push_str(&format!(
        "\nrun     {}\nmodel   {}\nreport  {}\n",
        outcome.folder.display(),
        outcome.folder.join("model").display(),
        report.display()
    ));
    out(&text);
}

/// Models down, metrics across, split by split.
fn table(outcome: &Outcome) -> String {
    let mut text = String::new();
    for split in ["validation", "test"] {
        let rows: Vec<_> = outcome
            .results
            .iter()
            .filter(|(_, of, ..)| of == split)
            .collect();
        let mut metrics: Vec<&str> = Vec::new();
        let mut models: Vec<&str> = Vec::new();
        for (model, _, metric, _) in &rows {
            if !metrics.contains(&metric.as_str()) {
                metrics.push(metric);
            }
            if !models.contains(&model.as_str()) {
                models.push(model);
            }
        }
        if models.is_empty() {
            continue;
        }
        text.push_str(&format!("{split:<12}"));
        for metric in &metrics {
            text.push_str(&format!("{metric:>12}"));
        }
        text.push('\n');
        for model in models {
            let shown = if model == "initial" {
                "untrained"
            } else {
                model
            };
            text.push_str(&format!("  {shown:<10}"));
            for metric in &metrics {
                let value = rows
                    .iter()
                    .find(|(of, _, its, _)| of == model && its == metric)
                    .map(|row| row.3);
                text.push_str(
                    &value.map_or_else(|| format!("{:>12}", "-"), |value| format!("{value:>12.4}")),
                );
            }
            text.push('\n');
        }
    }
    text
}
