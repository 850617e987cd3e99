//! Checks in child processes: a plugin that crashes or hangs is a finding, and not the end of who asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use orchestrator_plugin_host::{PluginInfo, probe};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::check::Check;
use crate::checks::{Finding, Subject};
use crate::report::{Asked, Outcome, Report};

/// How a library is checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Settings of every plugin checked; what they leave out is filled in by its defaults.
    pub settings: Value,
    /// How long a check may take.
    pub timeout: Duration,
    /// The plugin that is checked, by id or the last part of it; all if none.
    pub plugin: Option<String>,
    /// What is not asked.
    pub skip: Vec<Check>,
}

impl Default for Options {
    /// The default settings, 10 seconds a check, every plugin, every check.
    fn default() -> Self {
        Self {
            settings: json!({}),
            timeout: Duration::from_secs(10),
            plugin: None,
            skip: Vec::new(),
        }
    }
}

/// What a child is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    library: PathBuf,
    /// Plugin, check, settings, and how long it may take; `None`: what is in the library?
    check: Option<(String, Check, Value, u64)>,
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Plugins(Vec<PluginInfo>),
    Passed,
    Failed(String),
    Refused(String),
    Skipped(String),
}

/// In the child: answers `question`, which [`check`] or [`look`] put to whoever was started, into the file `answer`.
///
/// # Errors
/// If the question is none or the answer cannot be written.
pub fn answer(question: &str, answer: &Path) -> std::io::Result<()> {
    let question: Question = serde_json::from_str(question)?;
    let given = match probe::open(&question.library) {
        Err(error) => Answer::Failed(error.to_string()),
        Ok(plugins) => match question.check {
            None => Answer::Plugins(plugins.iter().map(|one| one.info().clone()).collect()),
            Some((id, check, settings, limit)) => {
                let place = plugins.iter().position(|one| one.info().id == id);
                match place.and_then(|place| plugins.into_iter().nth(place)) {
                    None => Answer::Failed(format!("the library has lost its plugin `{id}`")),
                    Some(plugin) => {
                        let subject = Subject::new(plugin, &settings);
                        match subject.run(check, Duration::from_millis(limit)) {
                            Ok(()) => Answer::Passed,
                            Err(Finding::Failed(why)) => Answer::Failed(why),
                            Err(Finding::Refused(why)) => Answer::Refused(why),
                            Err(Finding::Skipped(why)) => Answer::Skipped(why),
                        }
                    }
                }
            }
        },
    };
    std::fs::write(answer, serde_json::to_vec(&given)?)
}

/// How a child is started that will call [`answer`] with these two.
pub type Start<'a> = dyn Fn(&str, &Path) -> Command + Sync + 'a;

/// What a library says of itself, opened in a child.
///
/// # Errors
/// Why it is no plugin library, or how the child ended.
pub fn look(
    library: &Path,
    timeout: Duration,
    start: &Start<'_>,
) -> Result<Vec<PluginInfo>, String> {
    let question = Question {
        library: library.to_owned(),
        check: None,
    };
    match ask(&question, timeout, start) {
        Answer::Plugins(infos) if infos.is_empty() => Err("it holds no plugin".to_owned()),
        Answer::Plugins(infos) => {
            let twice = (1..infos.len())
                .find(|&place| infos[..place].iter().any(|one| one.id == infos[place].id));
            match twice {
                Some(place) => Err(format!("it holds `{}` twice", infos[place].id)),
                None => Ok(infos),
            }
        }
        Answer::Failed(why) | Answer::Refused(why) | Answer::Skipped(why) => Err(why),
        Answer::Passed => Err("the child answered another question".to_owned()),
    }
}

/// Checks every plugin of a library, each check in a child of its own, as many at once as there are processors.
pub fn check(library: &Path, options: &Options, start: &Start<'_>) -> Report {
    let began = Instant::now();
    let looked = look(library, options.timeout, start);
    let mut report = Report {
        library: library.to_owned(),
        asked: vec![Asked {
            plugin: None,
            check: Check::Load,
            outcome: match &looked {
                Ok(_) => Outcome::Passed,
                Err(why) => Outcome::Failed(why.clone()),
            },
            seconds: began.elapsed().as_secs_f64(),
        }],
    };
    let infos = looked.unwrap_or_default();
    let is_asked_for = |info: &&PluginInfo| {
        let name = options.plugin.as_deref();
        name.is_none_or(|name| info.id == name || info.short() == name)
    };
    let chosen: Vec<&PluginInfo> = infos.iter().filter(is_asked_for).collect();
    if let (Some(name), true, false) = (&options.plugin, chosen.is_empty(), infos.is_empty()) {
        report.asked.push(Asked {
            plugin: Some(name.clone()),
            check: Check::Load,
            outcome: Outcome::Failed(format!("the library holds no plugin `{name}`")),
            seconds: 0.0,
        });
    }
    let questions: Vec<(&PluginInfo, Check)> = chosen
        .into_iter()
        .flat_map(|info| Check::ALL.map(|check| (info, check)))
        .filter(|(info, check)| check.is_for(info.kind) && !options.skip.contains(check))
        .collect();
    let answers = in_parallel(&questions, |(info, check)| {
        let began = Instant::now();
        let limit = options.timeout.as_millis() as u64;
        let question = Question {
            library: library.to_owned(),
            check: Some((info.id.clone(), *check, options.settings.clone(), limit)),
        };
        let answer = ask(&question, options.timeout, start);
        (answer, began.elapsed().as_secs_f64())
    });
    // Where a plugin refuses its settings, by plugin: told once, under `create` if that was asked.
    let mut refused: BTreeMap<&str, (Check, String)> = BTreeMap::new();
    for ((info, check), (answer, _)) in questions.iter().zip(&answers) {
        if let Answer::Refused(why) = answer {
            refused
                .entry(&info.id)
                .or_insert_with(|| (*check, why.clone()));
        }
    }
    let asked = questions.iter().zip(answers);
    report
        .asked
        .extend(asked.map(|((info, check), (answer, seconds))| {
            let told_under = |first: Check| {
                let create = questions
                    .iter()
                    .any(|(one, check)| one.id == info.id && *check == Check::Create);
                if create { Check::Create } else { first }
            };
            let outcome = match (answer, refused.get(info.id.as_str())) {
                (Answer::Passed | Answer::Plugins(_) | Answer::Refused(_), Some((first, why)))
                    if *check == told_under(*first) =>
                {
                    Outcome::Failed(match first {
                        Check::Create => why.clone(),
                        other => format!("{why} (asked in `{}`)", other.name()),
                    })
                }
                (Answer::Refused(_), first) => {
                    let under = first.map_or(Check::Create, |(first, _)| told_under(*first));
                    Outcome::Skipped(format!("it refuses its settings: see `{}`", under.name()))
                }
                (Answer::Passed | Answer::Plugins(_), _) => Outcome::Passed,
                (Answer::Failed(why), _) => Outcome::Failed(why),
                (Answer::Skipped(why), _) => Outcome::Skipped(why),
            };
            Asked {
                plugin: Some(info.id.clone()),
                check: *check,
                outcome,
                seconds,
            }
        }));
    report
}

/// `work` of each item, in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some((place, item)) = next else { break };
                    let result = work(item);
                    if let Ok(mut done) = done.lock() {
                        done.push((place, result));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Puts a question to a child.
fn ask(question: &Question, timeout: Duration, start: &Start<'_>) -> Answer {
    attempt(question, timeout, start)
        .unwrap_or_else(|error| Answer::Failed(format!("no process could be started: {error}")))
}

fn attempt(question: &Question, timeout: Duration, start: &Start<'_>) -> std::io::Result<Answer> {
    let folder = tempfile::tempdir()?;
    let (answer, said) = (folder.path().join("answer"), folder.path().join("stderr"));
    // What a plugin prints goes where it disturbs nobody; what it says while it dies is kept.
    let mut child = start(&serde_json::to_string(question)?, &answer)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&said)?)
        .spawn()?;
    let deadline = Instant::now() + timeout;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill()?;
                child.wait()?;
                return Ok(Answer::Failed(format!(
                    "it had not ended after {:.0} s (--timeout)",
                    timeout.as_secs_f64()
                )));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let given = std::fs::read(&answer)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match given {
        Some(given) if status.success() => Ok(given),
        given => {
            let when = match given {
                Some(Answer::Failed(why)) => return Ok(Answer::Failed(why)),
                Some(_) => "all went well, and then ",
                None => "",
            };
            let said = std::fs::read(&said).unwrap_or_default();
            Ok(Answer::Failed(format!(
                "{when}the process ended by {}{}",
                describe(status),
                last_words(&String::from_utf8_lossy(&said))
            )))
        }
    }
}

/// How a process ended.
fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            let name = match signal {
                4 => " (SIGILL)",
                6 => " (SIGABRT: aborted)",
                7 => " (SIGBUS)",
                8 => " (SIGFPE)",
                9 => " (SIGKILL: perhaps out of memory)",
                11 => " (SIGSEGV: memory that is not its own)",
                _ => "",
            };
            return format!("signal {signal}{name}");
        }
    }
    status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

/// The last three lines of what it said.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    if last.is_empty() {
        return String::new();
    }
    let text: String = last.join(" / ").chars().take(400).collect();
    format!(", saying: {text}")
}
