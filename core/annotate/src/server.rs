//! The server of questions: what is asked, and when everything is answered.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use orchestrator_serve::{Access, Address, Guard, Listening};
use orchestrator_store::Store;

use crate::error::Error;
use crate::room::{Room, checked_name};
use crate::routes::{Shared, router};

/// How often it looks into the store: others may write answers there, too.
const LOOK_INTO_STORE: Duration = Duration::from_secs(1);

/// How questions are put.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen at. All but loopback lets others in who know the token, unencrypted.
    pub bind: IpAddr,
    /// The port; 0 is any that is free.
    pub port: u16,
    /// Its secrets; nothing is new ones.
    pub access: Option<Access>,
    /// The name that the page suggests to whoever opens it.
    pub name: Option<String>,
    /// How long the last answer can be taken back before the questions count as answered.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            access: None,
            name: None,
            grace: Duration::from_secs(5),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing was open: nobody was asked.
    NothingOpen,
    /// Every question is answered, settled or left.
    Done,
    /// It was cancelled before. Every answer that was given is kept.
    Cancelled,
}

/// Puts the open questions of the run in `folder` to whoever opens the address that `told` is told, with its token. Returns when
/// all are done, or soon after `cancelled` is set.
///
/// # Errors
/// If `folder` is no run's, the store fails, or nobody can listen at the address.
pub fn serve(
    folder: &Path,
    options: &Options,
    told: &dyn Fn(&Address),
    cancelled: &AtomicBool,
) -> Result<Ended, Error> {
    let path = folder.join("store.db");
    if !path.is_file() {
        return Err(Error::NotARun(folder.to_owned()));
    }
    let name = options.name.as_deref().map(checked_name).transpose()?;
    let room = Room::open(Store::open(&path)?)?;
    if room.done()? {
        return Ok(Ended::NothingOpen);
    }
    let access = options.access.clone().map_or_else(Access::new, Ok)?;
    let listening = Listening::at(options.bind, options.port)?;
    let socket = listening.socket();
    let address = listening.address(&access);
    let shared = Arc::new(Shared {
        guard: Guard::new(access, socket, &["/api/"], StatusCode::UNAUTHORIZED),
        room: Mutex::new(room),
        name,
    });
    told(&address);
    let (grace, asked) = (options.grace, shared.clone());
    let (mut looked, mut done_since) = (Instant::now(), None::<Instant>);
    listening.attend(router(shared), move || {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(Some(Ended::Cancelled));
        }
        if looked.elapsed() > LOOK_INTO_STORE.min(grace / 2) {
            looked = Instant::now();
            let done = asked.room().done()?;
            done_since = done.then(|| done_since.unwrap_or_else(Instant::now));
        }
        Ok(done_since
            .is_some_and(|since| since.elapsed() >= grace)
            .then_some(Ended::Done))
    })
}
