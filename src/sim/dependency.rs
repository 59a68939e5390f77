//! What Milvus depends on: something like etcd, with a health page.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;

use super::faults::state::Faults;
use super::kubernetes::status::raw;

/// Serves `/health` as etcd does.
pub(super) fn router(faults: Faults) -> Router {
    Router::new().route("/health", get(health)).with_state(faults)
}

async fn health(State(faults): State<Faults>) -> Response {
    if faults.dependency_down() {
        return raw(
            503,
            "application/json",
            Body::from(r#"{"health":"false","reason":"NOSPACE"}"#),
        );
    }
    raw(200, "application/json", Body::from(r#"{"health":"true","reason":""}"#))
}
