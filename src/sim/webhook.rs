//! An HTTP receiver that keeps every request and answers as told.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::evidence::Evidence;
use super::world::{FREE_LOOPBACK, World, listen};
use crate::clock::Clock;
use crate::model::Timestamp;

/// The longest body that is kept, in bytes; a longer one is answered with 413.
const BODY_LIMIT: usize = 1 << 20;
/// How many requests are kept.
const KEPT_REQUESTS: usize = 10_000;

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// When its body was complete.
    pub received_at: Timestamp,
    /// `POST` and so on.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; what is not UTF-8 is replaced.
    pub body: String,
    /// The status that it was answered with.
    pub answered: u16,
}

impl ReceivedRequest {
    /// The body as JSON, if it is that.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// The first header called `name` (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How the sink answers from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// With this status, these headers and this body.
    Status {
        /// The HTTP status.
        status: u16,
        /// Extra headers, e.g. `retry-after` or `location`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Never.
    Hang,
    /// With 200 and a body that does not end.
    Endless,
}

impl WebhookAnswer {
    /// A plain status with a short body.
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new(), body: "answer of the sink".to_owned() }
    }
}

/// A running webhook receiver. Ends when dropped.
#[derive(Debug)]
pub struct WebhookSink {
    address: SocketAddr,
    requests: Evidence<ReceivedRequest>,
    answer: Arc<Mutex<WebhookAnswer>>,
    /// Held for as long as the sink lives, where it is the sink's own.
    #[allow(dead_code, reason = "held for its drop")]
    world: Option<World>,
}

#[derive(Clone)]
struct Shared {
    clock: Clock,
    requests: Evidence<ReceivedRequest>,
    answer: Arc<Mutex<WebhookAnswer>>,
}

impl WebhookSink {
    /// Starts a receiver on a free loopback port, on a thread of its own.
    ///
    /// # Errors
    /// When there is no thread or no port.
    pub fn start() -> io::Result<Self> {
        let world = World::start("webhook-sink")?;
        let mut sink = Self::start_in(&world, Clock::system())?;
        sink.world = Some(world);
        Ok(sink)
    }

    /// Starts a receiver on the thread of `world`.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start_in(world: &World, clock: Clock) -> io::Result<Self> {
        let (listener, address) = listen(&world.handle(), FREE_LOOPBACK)?;
        let requests = Evidence::new(KEPT_REQUESTS);
        let answer = Arc::new(Mutex::new(WebhookAnswer::status(200)));
        let shared = Shared { clock, requests: requests.clone(), answer: Arc::clone(&answer) };
        let router = Router::new().fallback(receive).with_state(shared);
        world.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "webhook sink ended");
            }
        });
        Ok(Self { address, requests, answer, world: None })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://…` followed by `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What has arrived.
    pub fn requests(&self) -> &Evidence<ReceivedRequest> {
        &self.requests
    }

    /// Changes how later requests are answered.
    pub fn answer_with(&self, answer: WebhookAnswer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

async fn receive(State(shared): State<Shared>, request: Request) -> Response {
    let answer = shared.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let answered = match &answer {
        WebhookAnswer::Status { status, .. } => *status,
        WebhookAnswer::Hang => 0,
        WebhookAnswer::Endless => 200,
    };
    shared.requests.push(ReceivedRequest {
        received_at: shared.clock.now(),
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        answered,
    });
    respond(answer).await
}

async fn respond(answer: WebhookAnswer) -> Response {
    match answer {
        WebhookAnswer::Status { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response
                .body(Body::from(body))
                .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        WebhookAnswer::Hang => std::future::pending().await,
        WebhookAnswer::Endless => {
            let chunk = || async { Some((Ok::<_, io::Error>("x".repeat(64 * 1024)), ())) };
            let body = futures::stream::unfold((), move |()| async move {
                // Slow enough that nobody's disk or log fills while a reader forgets its bound.
                tokio::time::sleep(Duration::from_millis(1)).await;
                chunk().await
            });
            Response::new(Body::from_stream(body))
        }
    }
}
