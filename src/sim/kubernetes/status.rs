//! Answers, and how the API says no: the `Status` object.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde_json::{Value, json};

use super::resource::Resource;

/// A refusal.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Failure {
    pub(in crate::sim) code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Failure {
    pub(in crate::sim) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}) }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details = json!({"name": name, "group": resource.group, "kind": resource.plural});
        self
    }

    pub(in crate::sim) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    pub(in crate::sim) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    pub(in crate::sim) fn conflict(resource: &Resource, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please \
             apply your changes to the latest version and try again",
            resource.qualified()
        );
        Self::new(409, "Conflict", message).about(resource, name)
    }

    pub(in crate::sim) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(in crate::sim) fn invalid(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    pub(in crate::sim) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(in crate::sim) fn not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub(in crate::sim) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// The history does not reach back to the revision that was asked for.
    pub(in crate::sim) fn expired(asked: u64, current: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({current})"))
    }

    /// The `Status` object.
    pub(in crate::sim) fn object(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": self.details,
            "code": self.code,
        })
    }

    pub(in crate::sim) fn response(&self) -> Response {
        answer(self.code, &self.object())
    }
}

/// The `Status` object of a success without an object of its own.
pub(in crate::sim) fn success(code: u16) -> Response {
    let object = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code,
    });
    answer(code, &object)
}

/// A JSON answer.
pub(in crate::sim) fn answer(code: u16, object: &Value) -> Response {
    raw(code, "application/json", Body::from(object.to_string()))
}

/// Any answer.
pub(in crate::sim) fn raw(code: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = axum::http::StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(content_type));
    response
}
