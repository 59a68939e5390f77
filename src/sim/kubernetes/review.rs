//! Access reviews: here everybody may do everything.

use axum::response::Response;
use serde_json::{Value, json};

use super::json::set;
use super::status::answer;

/// Answers `POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews`.
pub(in crate::sim) fn review(mut body: Value) -> Response {
    set(&mut body, &["kind"], "SelfSubjectAccessReview");
    set(&mut body, &["apiVersion"], "authorization.k8s.io/v1");
    set(&mut body, &["status"], json!({"allowed": true}));
    answer(201, &body)
}
