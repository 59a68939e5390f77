//! Access reviews: here everybody may do everything.

use axum::response::Response;
use serde_json::{Value, json};

use super::json::set;
use super::status::{Failure, answer};

/// Answers `POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews`.
pub(in crate::sim) fn review(mut body: Value) -> Response {
    if !body.is_object() {
        return Failure::bad_request("the body is no access review").response();
    }
    set(&mut body, &["status"], json!({"allowed": true}));
    answer(201, &body)
}
