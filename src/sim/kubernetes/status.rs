//! Answers, and how the API says no: the `Status` object.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
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

    /// Adds which object it is about; empty parts are left out.
    pub(in crate::sim) fn about(mut self, resource: &Resource, name: &str) -> Self {
        for (field, value) in [("name", name), ("group", resource.group)] {
            if !value.is_empty() {
                self.details[field] = json!(value);
            }
        }
        self.details["kind"] = json!(resource.plural);
        self
    }

    /// Adds the causes in detail.
    pub(in crate::sim) fn with_causes(mut self, causes: &[Value]) -> Self {
        self.details["causes"] = json!(causes);
        self
    }

    /// Adds when to come again, in seconds.
    pub(in crate::sim) fn retry_after(mut self, seconds: u32) -> Self {
        self.details["retryAfterSeconds"] = json!(seconds);
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
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict_because(resource, name, why)
    }

    pub(in crate::sim) fn conflict_because(resource: &Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// The namespace of the object is not that of the path.
    pub(in crate::sim) fn other_namespace() -> Self {
        Self::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )
    }

    /// The body has more than `limit` bytes.
    pub(in crate::sim) fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// One field of an object is not as it must be; `reason` as in `FieldValueInvalid`.
    pub(in crate::sim) fn invalid_field(
        resource: &Resource,
        name: &str,
        field: &str,
        reason: &str,
        words: &str,
    ) -> Self {
        let group = if resource.group.is_empty() { "" } else { "." };
        let message = format!(
            "{}{group}{} \"{name}\" is invalid: {field}: {words}",
            resource.kind, resource.group
        );
        let cause = json!({"reason": reason, "message": words, "field": field});
        let mut failure = Self::new(422, "Invalid", message).about(resource, name);
        failure.details["kind"] = json!(resource.kind);
        failure.with_causes(&[cause])
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
        let mut object = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            object["reason"] = json!(self.reason);
        }
        if self.details.as_object().is_some_and(|details| !details.is_empty()) {
            object["details"] = self.details.clone();
        }
        object
    }

    pub(in crate::sim) fn response(&self) -> Response {
        let mut response = answer(self.code, &self.object());
        if let Some(seconds) = self.details.get("retryAfterSeconds").and_then(Value::as_u64) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
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
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
