//! The page of a run that is on its way: drawn by whoever knows it, shown to whoever has the token, and told anew when it has
//! changed (server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::watch;

use crate::error::Error;
use crate::guard::{Access, Guard, mark};
use crate::listening::{Address, Listening};

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a silent stream says that it is there.
const ALIVE: Duration = Duration::from_secs(15);

/// A page, by the number of times that it was drawn.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// From 1; 0 before the first.
    pub version: u64,
    /// The page. Its own content security policy, which it names in its head, is sent as a header too.
    pub html: Arc<str>,
}

/// How far the run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Of the page that there is.
    pub version: u64,
    /// Whether more is to come.
    pub running: bool,
    /// Seconds since it began.
    pub seconds: u64,
    /// Epochs that were begun.
    pub epoch: u64,
    /// Epochs in all, where that is known; 0 = it is not.
    pub epochs: u64,
}

/// What is shown: whoever draws puts it here.
pub struct Board {
    drawn: Mutex<Drawn>,
    standing: watch::Sender<Standing>,
}

impl Board {
    /// With a first page.
    #[must_use]
    pub fn new(html: String, standing: Standing) -> Self {
        Self {
            drawn: Mutex::new(Drawn {
                version: standing.version,
                html: html.into(),
            }),
            standing: watch::Sender::new(standing),
        }
    }

    /// Shows another page, and says so to everybody who looks.
    pub fn show(&self, html: String, standing: Standing) {
        *self.drawn.lock().unwrap_or_else(PoisonError::into_inner) = Drawn {
            version: standing.version,
            html: html.into(),
        };
        self.tell(standing);
    }

    /// Says how far the run is, if that is news.
    pub fn tell(&self, standing: Standing) {
        self.standing.send_if_modified(|before| {
            let news = *before != standing;
            *before = standing;
            news
        });
    }

    /// How far the run was said to be.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// How many look at it now.
    #[must_use]
    pub fn watched_by(&self) -> usize {
        self.standing.receiver_count()
    }

    fn drawn(&self) -> Drawn {
        self.drawn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Shared {
    guard: Guard,
    board: Arc<Board>,
}

/// Shows a board to whoever opens the address that `told` is told, until `ended`, which is asked several times a second.
///
/// # Errors
/// If nobody can listen at the address.
pub fn serve(
    board: Arc<Board>,
    (bind, port): (IpAddr, u16),
    told: impl FnOnce(&Address),
    mut ended: impl FnMut() -> bool,
) -> Result<(), Error> {
    let access = Access::new()?;
    let listening = Listening::at(bind, port)?;
    let address = listening.address(&access);
    let shared = Arc::new(Shared {
        guard: Guard::new(
            access,
            listening.socket(),
            &["/report", "/events"],
            StatusCode::FORBIDDEN,
        ),
        board,
    });
    told(&address);
    listening.attend(router(shared), || Ok(ended().then_some(())))
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(enter))
        .route("/report", get(report))
        .route("/events", get(events))
        .layer(from_fn_with_state(shared.clone(), guarded))
        .with_state(shared)
}

/// Every request comes through here, whatever it asks for.
async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match shared.guard.check(&request) {
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
        Ok(()) => tokio::time::timeout(PATIENCE, next.run(request))
            .await
            .unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response()),
    };
    mark(response.headers_mut());
    response
}

/// With the token, the cookie. Without, a page that leads on to the report: it holds nothing of the run, and a request that it
/// makes brings the cookie along wherever the address was clicked.
async fn enter(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    const ON: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>orchestrator</title>\
<meta http-equiv=\"refresh\" content=\"0; url=/report\"><p><a href=\"/report\">The report</a></p></html>\n";
    let entered = shared.guard.enter(&uri);
    entered.unwrap_or_else(|| html(ON.to_owned()))
}

fn html(text: String) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

async fn report(State(shared): State<Arc<Shared>>) -> Response {
    let drawn = shared.board.drawn();
    let mut response = html(drawn.html.to_string());
    if let Ok(policy) = HeaderValue::from_str(&policy(&drawn.html)) {
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The policy that a page names in its head, and that nobody may put a frame around it. A page that names none runs nothing.
fn policy(html: &str) -> String {
    const NAMED: &str = "http-equiv=\"Content-Security-Policy\" content=\"";
    let own = html
        .split_once(NAMED)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("default-src 'none'; style-src 'unsafe-inline'", |part| {
            part.0
        });
    format!("{own}; frame-ancestors 'none'")
}

async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let receiver = shared.board.standing.subscribe();
    let stream = unfold((receiver, true), |(mut receiver, first)| async move {
        if !first {
            receiver.changed().await.ok()?;
        }
        let standing = receiver.borrow_and_update().clone();
        let event = Event::default()
            .event("standing")
            .json_data(&standing)
            .unwrap_or_default();
        Some((Ok::<_, std::convert::Infallible>(event), (receiver, false)))
    });
    Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(ALIVE))
        .into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_page_is_sent_with_the_policy_that_it_names() {
        let named = "<head><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-x='\">";
        assert_eq!(
            super::policy(named),
            "default-src 'none'; script-src 'sha256-x='; frame-ancestors 'none'"
        );
        assert!(super::policy("<p>").starts_with("default-src 'none'"));
    }
}
