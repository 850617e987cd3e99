//! The server: listens, lets few in at a time, waits for nobody, ends when everything is answered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use orchestrator_store::Store;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::error::Error;
use crate::guard::{Access, Guard};
use crate::room::{Room, checked_name};
use crate::routes::{Shared, router};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// How long a request's first lines may take, and how long a connection may be silent.
const HEADERS: Duration = Duration::from_secs(10);
/// Bytes of a request's first lines.
const HEAD: usize = 16 * 1024;
/// How often it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How often it looks into the store: others may write answers there, too.
const LOOK_INTO_STORE: Duration = Duration::from_secs(1);
/// How long the last responses may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

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

/// Where questions are put.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// For a browser, with the token: who has it can answer.
    pub url: String,
    /// The port.
    pub port: u16,
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
    let system = |what| {
        move |error: std::io::Error| Error::System {
            what,
            why: error.to_string(),
        }
    };
    // One thread: there are few people, and one store.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(system("start a server"))?;
    let access = options.access.clone().map_or_else(Access::new, Ok)?;
    let asked = SocketAddr::new(options.bind, options.port);
    runtime.block_on(async {
        let listen = |why| Error::Listen {
            address: asked.to_string(),
            why,
        };
        let listener = TcpListener::bind(asked).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let token = access.token.clone();
        let shared = Arc::new(Shared {
            guard: Guard::new(access, address.ip(), address.port()),
            room: Mutex::new(room),
            name,
        });
        told(&Address {
            url: format!("http://{}/?token={token}", reached_at(address)),
            port: address.port(),
        });
        attend(&listener, &shared, options.grace, cancelled).await
    })
}

/// Where a browser on this machine finds the server.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let mut reached = address;
    if address.ip().is_unspecified() {
        reached.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        });
    }
    reached
}

async fn attend(
    listener: &TcpListener,
    shared: &Arc<Shared>,
    grace: Duration,
    cancelled: &AtomicBool,
) -> Result<Ended, Error> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (stop, stopped) = watch::channel(false);
    let service = TowerToHyperService::new(router(shared.clone()));
    let (mut looked, mut done_since) = (Instant::now(), None::<Instant>);
    let ended = loop {
        match timeout(LOOK, listener.accept()).await {
            Ok(Ok((stream, _))) => {
                // Who finds no place is not let in: the page tries again.
                if let Ok(place) = places.clone().try_acquire_owned() {
                    tokio::spawn(converse(stream, service.clone(), stopped.clone(), place));
                }
            }
            // No file handles left, say: it may pass.
            Ok(Err(_)) => sleep(LOOK).await,
            Err(_) => {}
        }
        if cancelled.load(Ordering::Relaxed) {
            break Ended::Cancelled;
        }
        if looked.elapsed() > LOOK_INTO_STORE.min(grace / 2) {
            looked = Instant::now();
            let done = shared.room().done()?;
            done_since = done.then(|| done_since.unwrap_or_else(Instant::now));
        }
        if done_since.is_some_and(|since| since.elapsed() >= grace) {
            break Ended::Done;
        }
    };
    let _ = stop.send(true);
    // All places free: every connection has ended.
    let _ = timeout(LAST_WORDS, places.acquire_many(CONNECTIONS as u32)).await;
    Ok(ended)
}

/// One connection, to its end.
async fn converse(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    mut stopped: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let stop = std::pin::pin!(stopped.wait_for(|stop| *stop));
    // What a connection fails of is its own affair.
    if let First::Stop = first(connection.as_mut(), stop).await {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
    drop(place);
}

enum First {
    Connection,
    Stop,
}

/// Waits for the first of two.
async fn first<A: Future, B: Future>(
    mut connection: std::pin::Pin<&mut A>,
    mut stop: std::pin::Pin<&mut B>,
) -> First {
    std::future::poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(First::Connection);
        }
        stop.as_mut().poll(context).map(|_| First::Stop)
    })
    .await
}
