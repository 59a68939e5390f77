//! The paths that are served, and the answers' headers.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use futures::stream;
use serde::Serialize;

use super::readiness::{MOST_NAMED, NotReady};
use super::{ServerSources, administration, alerts, explain, page, recovery, silences};
use crate::actors::status::StatusSnapshot;
use crate::model::{ReloadRecord, Timestamp};

/// The version of this build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The paths that change something.
const RELOAD: &str = "/api/v1/reload";
const RESUME: &str = "/api/v1/recovery/resume";
const SILENCES: &str = "/api/v1/silences";
/// How the paths of acknowledgements begin and end.
const ACKNOWLEDGE: (&str, &str) = ("/api/v1/alerts/", "/acknowledge");

/// On every answer. The page needs no script, no frame and nothing from outside.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'none'; frame-ancestors 'none'; \
         base-uri 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

type Sources = State<Arc<ServerSources>>;

/// Everything that is served.
pub(super) fn router(sources: ServerSources) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/style.css", get(style))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/api/v1/status", get(status))
        .route("/api/v1/explain", get(explain::list))
        .route("/api/v1/explain/{cluster}/{component}", get(explain::component))
        .route("/api/v1/recovery/breakers", get(recovery::breakers))
        .route("/api/v1/alerts", get(alerts::list))
        .route(
            "/api/v1/alerts/{incident}/acknowledge",
            post(alerts::acknowledge).fallback(only_post),
        )
        .route(SILENCES, get(silences::list).post(silences::add))
        .route("/api/v1/silences/{id}", delete(silences::expire).fallback(only_delete))
        .route(RESUME, post(recovery::resume).fallback(only_post))
        .route(RELOAD, post(administration::reload).fallback(only_post))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") })
        .method_not_allowed_fallback(|| async {
            (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served\n")
        })
        .layer(middleware::from_fn(guard))
        .with_state(Arc::new(sources))
}

async fn only_post() -> impl IntoResponse {
    let allow = [(header::ALLOW, "POST")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "only POST is served here\n")
}

async fn only_delete() -> impl IntoResponse {
    let allow = [(header::ALLOW, "DELETE")];
    (StatusCode::METHOD_NOT_ALLOWED, allow, "only DELETE is served here\n")
}

/// Refuses bodies where nothing reads them, and sets the headers. A client may not know how to POST
/// without a body: that one is left unread.
async fn guard(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let (begins, ends) = ACKNOWLEDGE;
    let is_change = [RELOAD, RESUME, SILENCES].contains(&path)
        || (path.starts_with(begins) && path.ends_with(ends));
    let may_have_a_body = request.method() == Method::POST && is_change;
    let mut response = if may_have_a_body || request.body().is_end_stream() {
        next.run(request).await
    } else {
        let close = [(header::CONNECTION, "close")];
        (StatusCode::PAYLOAD_TOO_LARGE, close, "requests have no body here\n").into_response()
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn index(State(sources): Sources) -> Html<String> {
    let status = sources.status.snapshot();
    Html(page::render(&status, &sources.about.get(), sources.clock.now(), sources.clock.uptime()))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE)
}

async fn metrics(State(sources): Sources) -> Response {
    let registry = sources.metrics.clone();
    // The page of ten thousand components takes a good part of a second, and /livez must not wait.
    let written = tokio::task::spawn_blocking(move || registry.pieces()).await;
    let failed = match written {
        Ok(Ok(pieces)) => return metrics_page(pieces),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!(error = failed, "metrics page failed");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{failed}\n")).into_response()
}

fn metrics_page(pieces: Vec<Bytes>) -> Response {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    (headers, Body::from_stream(pieces)).into_response()
}

async fn livez(State(sources): Sources) -> (StatusCode, String) {
    let Some((age, since)) = sources.heartbeat.late() else {
        return (StatusCode::OK, "alive\n".to_owned());
    };
    let text = format!("the actors gave no sign of life for {} s, since {since}\n", age.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    not_ready: Vec<NotReady>,
    /// Whether there are more that are not named.
    and_more: bool,
    impaired: Vec<NotReady>,
}

async fn readyz(State(sources): Sources) -> (StatusCode, Json<Readiness>) {
    let mut not_ready = sources.not_ready();
    let ready = not_ready.is_empty();
    let and_more = not_ready.len() > MOST_NAMED;
    not_ready.truncate(MOST_NAMED);
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready, not_ready, and_more, impaired: sources.impaired() }))
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    now: Timestamp,
    uptime_seconds: u64,
    config: Option<String>,
    configured_at: Timestamp,
    warnings: Vec<String>,
    /// What the configuration says that takes effect at the next start only.
    at_next_start: Vec<String>,
    /// The newest reading of the configuration since the start.
    reload: Option<ReloadRecord>,
    ready: bool,
    #[serde(flatten)]
    snapshot: StatusSnapshot,
}

async fn status(State(sources): Sources) -> Json<Status> {
    let snapshot = sources.status.snapshot();
    let about = sources.about.get();
    let config = about.config_path.as_ref().map(|path| path.display().to_string());
    Json(Status {
        version: VERSION,
        now: sources.clock.now(),
        uptime_seconds: sources.clock.uptime().as_secs(),
        config,
        configured_at: about.configured_at,
        ready: sources.not_ready().is_empty(),
        warnings: about.warnings,
        at_next_start: about.at_next_start,
        reload: about.reload,
        snapshot,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::actors::heartbeat::{self, Heartbeat};
    use crate::actors::status::StatusBoard;
    use crate::clock::Clock;
    use crate::metrics::{Metrics, MetricsSettings};
    use crate::server::AboutBoard;

    #[tokio::test(start_paused = true)]
    async fn falconer_counts_as_dead_when_its_actors_stop_and_as_alive_when_they_go_on() {
        let clock = Clock::starting_at(Timestamp::default());
        let heartbeat = Heartbeat::new(clock);
        let (_metrics, metrics) = Metrics::new(&MetricsSettings::default()).unwrap();
        let sources = Arc::new(ServerSources {
            status: StatusBoard::default(),
            metrics,
            heartbeat: heartbeat.clone(),
            clock,
            about: AboutBoard::default(),
            administration: None,
            history: None,
        });
        tokio::time::advance(heartbeat::LIMIT).await;
        assert_eq!(livez(State(Arc::clone(&sources))).await.0, StatusCode::OK);
        tokio::time::advance(Duration::from_secs(1)).await;
        let (code, text) = livez(State(Arc::clone(&sources))).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            text,
            "the actors gave no sign of life for 7 s, since 1970-01-01T00:00:00.000Z\n"
        );
        heartbeat.beat();
        assert_eq!(livez(State(sources)).await.0, StatusCode::OK);
    }
}
