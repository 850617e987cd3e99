//! The fixed list of what can be asked of the server: four files that are part of the program, and six questions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use orchestrator_serve::{Guard, mark};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::room::{Failure, Given, Refusal, Room, TakenBack};

/// Bytes of what may be sent to the server.
const BODY: usize = 16 * 1024;
/// How long a request may take, its body included.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every request sees.
pub(crate) struct Shared {
    pub guard: Guard,
    pub room: Mutex<Room>,
    /// The name that the page suggests.
    pub name: Option<String>,
}

impl Shared {
    /// The room. A request that panicked left nothing half-done in it: what counts is in the store.
    pub(crate) fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    question: u64,
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(enter))
        .route(
            "/page.css",
            get(|| async { file("text/css", include_str!("../assets/page.css")) }),
        )
        .route(
            "/page.js",
            get(|| async { file("text/javascript", include_str!("../assets/page.js")) }),
        )
        .route(
            "/words.js",
            get(|| async { file("text/javascript", include_str!("../assets/words.js")) }),
        )
        .route(
            "/icon.svg",
            get(|| async { file("image/svg+xml", include_str!("../assets/icon.svg")) }),
        )
        .route("/api/hello", post(hello))
        .route("/api/desk", post(desk))
        .route("/api/answer", post(answer))
        .route("/api/undo", post(undo))
        .route("/api/disputes", post(disputes))
        .route("/api/models", post(models))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(shared.clone(), guarded))
        .with_state(shared)
}

/// Every request comes through here, whatever it asks for.
async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match shared.guard.check(&request) {
        Err((status, why)) => (status, why).into_response(),
        Ok(()) => tokio::time::timeout(PATIENCE, next.run(request))
            .await
            .unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response()),
    };
    mark(response.headers_mut());
    response
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text).into_response()
}

/// The page; or, with the token, the cookie and the way to the page without it.
async fn enter(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let page = || file("text/html", include_str!("../assets/page.html"));
    shared.guard.enter(&uri).unwrap_or_else(page)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => {
                let status = match refusal {
                    Refusal::Unknown => StatusCode::UNPROCESSABLE_ENTITY,
                    Refusal::Answered | Refusal::NotDisputed => StatusCode::CONFLICT,
                };
                (status, Json(json!({ "refused": refusal }))).into_response()
            }
            // The page tries again: the disk may have room then, the other writer be done.
            Self::Store(error) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({ "failed": error.to_string(), "help": error.help() })),
            )
                .into_response(),
        }
    }
}

type Answer<T> = Result<Json<T>, Failure>;

async fn hello(State(shared): State<Arc<Shared>>) -> Answer<impl Serialize> {
    let room = shared.room();
    Ok(Json(json!({
        "run": room.run(),
        "questions": room.questions(),
        "people": room.people()?,
        "name": shared.name,
    })))
}

async fn desk(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<Name>,
) -> Answer<impl Serialize> {
    Ok(Json(shared.room().view(&asked.name)?))
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Json(given): Json<Given>,
) -> Answer<impl Serialize> {
    let mut room = shared.room();
    room.take(&given)?;
    Ok(Json(room.view(&given.name)?))
}

async fn undo(
    State(shared): State<Arc<Shared>>,
    Json(taken): Json<TakenBack>,
) -> Answer<impl Serialize> {
    let mut room = shared.room();
    room.take_back(&taken)?;
    Ok(Json(room.view(&taken.name)?))
}

async fn disputes(State(shared): State<Arc<Shared>>) -> Answer<impl Serialize> {
    Ok(Json(json!({ "disputes": shared.room().disputes()? })))
}

async fn models(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<Asked>,
) -> Answer<impl Serialize> {
    let thoughts = shared.room().thoughts(asked.question);
    Ok(Json(thoughts.ok_or(Failure::Refused(Refusal::Unknown))?))
}
