//! How a request is refused: a status code, and one line that says what to do.

use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;

#[derive(Serialize)]
struct Refusal {
    error: String,
}

/// The answer for a request that is refused.
pub(super) fn refuse(code: StatusCode, error: impl fmt::Display) -> Response {
    (code, Json(Refusal { error: error.to_string() })).into_response()
}
