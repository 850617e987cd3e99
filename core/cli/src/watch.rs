//! `--watch`: the report of a run while it goes, on a page that is told of each new one. Drawn from the store alone, by a thread
//! of its own that takes no more than a tenth of the time.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use orchestrator_diagnostics::{Diagnostic, Diagnostics, Kind};
use orchestrator_reports::{Live, Templates};
use orchestrator_serve::{Address, Board, Standing};
use orchestrator_store::Store;
use serde_json::json;

use crate::args::Watch;
use crate::report::templates_of;
use crate::show;

/// A new page no sooner than this after the last one.
const LEAST: Duration = Duration::from_secs(2);
/// … and than so many times what it took to draw.
const REST: u32 = 9;
/// How often it looks whether there is something new.
const LOOK: Duration = Duration::from_millis(250);
/// How long open pages have to fetch the last report.
const FAREWELL: Duration = Duration::from_secs(2);

/// A report that is served while its run goes.
pub struct Watching {
    /// The run has ended: what is drawn next is the last.
    over: Arc<AtomicBool>,
    /// The server is to end.
    closed: Arc<AtomicBool>,
    drawer: JoinHandle<()>,
    server: JoinHandle<()>,
    stay: bool,
    board: Arc<Board>,
}

/// Draws a run again and again.
struct Drawer {
    store: PathBuf,
    templates: Templates,
    board: Arc<Board>,
    began: Instant,
    drawn: u64,
    /// What the store was like then.
    seen: Option<(Option<u32>, u64)>,
}

/// Serves the report of the run in `folder`. Its address is told on standard error.
pub fn begin(
    folder: &Path,
    asked: &Watch,
    json: bool,
    speak: &dyn Fn(&str),
) -> Result<Watching, Diagnostics> {
    let templates = templates_of(folder, None)
        .map_err(|error| Diagnostic::new(Kind::Data, error.to_string()).help(error.help()))?;
    let standing = Standing {
        version: 0,
        running: true,
        seconds: 0,
        epoch: 0,
        epochs: 0,
    };
    let board = Arc::new(Board::new(WAITING.to_owned(), standing));
    let (over, closed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let mut drawer = Drawer {
        store: folder.join("store.db"),
        templates,
        board: board.clone(),
        began: Instant::now(),
        drawn: 0,
        seen: None,
    };
    // Something to be seen at once.
    drawer.draw(true);
    let (sender, told) = std::sync::mpsc::sync_channel(1);
    let (shown, until, at) = (board.clone(), closed.clone(), asked.port);
    let server = std::thread::spawn(move || {
        let address = (IpAddr::V4(Ipv4Addr::LOCALHOST), at);
        let tell = |address: &Address| {
            let _ = sender.send(Ok(address.clone()));
        };
        let ended = || until.load(Ordering::Relaxed);
        if let Err(error) = orchestrator_serve::serve(shown, address, tell, ended) {
            let _ = sender.send(Err(error));
        }
    });
    let address = match told.recv() {
        Ok(Ok(address)) => address,
        Ok(Err(error)) => return Err(refused(&error)),
        Err(_) => return Err(Diagnostic::new(Kind::Internal, "the server ended").into()),
    };
    speak(&words(&address, json));
    let last = over.clone();
    let drawer = std::thread::spawn(move || drawer.keep(&last));
    Ok(Watching {
        over,
        closed,
        drawer,
        server,
        stay: asked.stay,
        board,
    })
}

/// Before the store can be read.
const WAITING: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
<title>orchestrator</title><p>The run begins. / 运行即将开始。</p></html>\n";

fn refused(error: &orchestrator_serve::Error) -> Diagnostics {
    let told = Diagnostic::new(Kind::Experiment, error.to_string());
    match error {
        orchestrator_serve::Error::Listen { .. } => told.help(
            "another program may listen there: choose another --port, or none for any that is free",
        ),
        orchestrator_serve::Error::System { .. } => told,
    }
    .into()
}

fn words(address: &Address, json: bool) -> String {
    let url = &address.url;
    if json {
        return format!("{}\n", json!({ "report": { "address": url } }));
    }
    format!(
        "The report is drawn while the run goes, at\n\n    {url}\n\nWho has this address can read it.\n"
    )
}

impl Watching {
    /// The run has ended: draws the last report, gives open pages the time to fetch it, and with --stay goes on serving it until
    /// `cancelled`.
    pub fn end(self, cancelled: &AtomicBool) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.drawer.join();
        if self.stay {
            while !cancelled.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
            }
        } else {
            let began = Instant::now();
            while self.board.watched_by() > 0 && began.elapsed() < FAREWELL {
                std::thread::sleep(LOOK);
            }
        }
        self.closed.store(true, Ordering::Relaxed);
        let _ = self.server.join();
    }
}

impl Drawer {
    /// Until the run is over; then once more.
    fn keep(&mut self, over: &AtomicBool) {
        // One was drawn when it began.
        let mut rest = Instant::now() + LEAST;
        loop {
            if over.load(Ordering::Relaxed) {
                self.draw(false);
                return;
            }
            if Instant::now() >= rest {
                let began = Instant::now();
                if self.draw(true) {
                    rest = Instant::now() + LEAST.max(began.elapsed() * REST);
                }
            }
            self.tell();
            std::thread::sleep(LOOK);
        }
    }

    /// Draws the page if there is something new, or if it is the last; whether it was drawn. What cannot be read now is read the
    /// next time.
    fn draw(&mut self, running: bool) -> bool {
        let Ok(store) = Store::open_to_read(&self.store) else {
            return false;
        };
        let Ok(now) = store
            .last_tick()
            .and_then(|tick| Ok((tick, store.events()?)))
        else {
            return false;
        };
        if running && self.seen == Some(now) {
            return false;
        }
        let mut live = self.live(
            running,
            orchestrator_reports::epochs(&store).unwrap_or_default(),
        );
        live.version += 1;
        match orchestrator_reports::render_live(&store, &self.templates, &live) {
            Ok(html) => {
                self.drawn += 1;
                self.seen = Some(now);
                self.board.show(html, standing(&live));
                true
            }
            // The old page stays; it says that nothing more comes.
            Err(_) if !running => {
                live.version -= 1;
                self.board.tell(standing(&live));
                false
            }
            Err(_) => false,
        }
    }

    fn live(&self, running: bool, (epoch, epochs): (u64, u64)) -> Live {
        Live {
            version: self.drawn,
            running,
            epoch,
            epochs: epochs.max(epoch),
            seconds: self.began.elapsed().as_secs(),
        }
    }

    /// The time goes on, whether or not there is something new.
    fn tell(&self) {
        let now = self.board.standing();
        self.board.tell(Standing {
            seconds: self.began.elapsed().as_secs(),
            ..now
        });
    }
}

fn standing(live: &Live) -> Standing {
    Standing {
        version: live.version,
        running: live.running,
        seconds: live.seconds,
        epoch: live.epoch,
        epochs: live.epochs,
    }
}

/// The report of a run that another process works on, until that ends or `cancelled`.
pub fn follow(
    folder: &Path,
    asked: &Watch,
    json: bool,
    cancelled: &AtomicBool,
) -> Result<(), Diagnostics> {
    let store = folder.join("store.db");
    if !store.is_file() {
        return Err(
            orchestrator_engine::Error::NotARun(folder.to_owned(), "store.db").into_diagnostics(),
        );
    }
    let watching = begin(folder, asked, json, &|text| show::err(text))?;
    while !cancelled.load(Ordering::Relaxed) && !has_ended(&store) {
        std::thread::sleep(LOOK);
    }
    watching.end(cancelled);
    Ok(())
}

/// Whether whoever worked on it has said that it stopped. Killed, it says nothing.
fn has_ended(store: &Path) -> bool {
    let last = Store::open_to_read(store).and_then(|store| store.last_turn());
    last.is_ok_and(|last| {
        last.is_some_and(|last| ["finish", "interrupt", "fail"].contains(&last.as_str()))
    })
}
