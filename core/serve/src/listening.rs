//! Listens, lets few in at a time, waits for nobody, ends when it is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::error::Error;
use crate::guard::Access;

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// How long a request's first lines may take, and how long a connection may be silent.
const HEADERS: Duration = Duration::from_secs(10);
/// Bytes of a request's first lines.
const HEAD: usize = 16 * 1024;
/// How often it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How long the last responses may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where something is served.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// For a browser, with the token: who has it is let in.
    pub url: String,
    /// The port.
    pub port: u16,
}

/// An open port, on one thread: there are few people.
pub struct Listening {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Listens at an address; port 0 is any that is free.
    ///
    /// # Errors
    /// If nobody can listen there.
    pub fn at(bind: IpAddr, port: u16) -> Result<Self, Error> {
        let asked = SocketAddr::new(bind, port);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| Error::System {
                what: "start a server",
                why: error.to_string(),
            })?;
        let listen = |why| Error::Listen {
            address: asked.to_string(),
            why,
        };
        let listener = runtime.block_on(TcpListener::bind(asked)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self {
            runtime,
            listener,
            address,
        })
    }

    /// The address that it listens at.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        self.address
    }

    /// Where a browser on this machine finds it.
    #[must_use]
    pub fn address(&self, access: &Access) -> Address {
        let mut reached = self.address;
        if reached.ip().is_unspecified() {
            reached.set_ip(match reached {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            });
        }
        Address {
            url: format!("http://{reached}/?token={}", access.token()),
            port: self.address.port(),
        }
    }

    /// Answers whoever asks, until `ended` says how it ended; it is asked several times a second.
    ///
    /// # Errors
    /// What `ended` fails of.
    pub fn attend<T, E>(
        self,
        router: axum::Router,
        ended: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<T, E> {
        let Self {
            runtime, listener, ..
        } = self;
        runtime.block_on(attend(&listener, router, ended))
    }
}

async fn attend<T, E>(
    listener: &TcpListener,
    router: axum::Router,
    mut ended: impl FnMut() -> Result<Option<T>, E>,
) -> Result<T, E> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (stop, stopped) = watch::channel(false);
    let service = TowerToHyperService::new(router);
    let end = loop {
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
        if let Some(end) = ended()? {
            break end;
        }
    };
    let _ = stop.send(true);
    // All places free: every connection has ended.
    let _ = timeout(LAST_WORDS, places.acquire_many(CONNECTIONS as u32)).await;
    Ok(end)
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
