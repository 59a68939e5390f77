//! A request that changes an object, made once: what is shown of it and what is sent are the same
//! value. Sends nothing.

use std::fmt;

use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::changes::FIELD_MANAGER;

/// How a patch is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
}

impl PatchType {
    /// The content type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

/// A PATCH, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactPatch {
    /// The path with its query.
    target: String,
    kind: PatchType,
    body: String,
}

impl ExactPatch {
    /// The patch of the object, or subresource, at `path`.
    pub fn new(path: &str, kind: PatchType, body: &Value) -> Self {
        let target = format!("{path}?fieldManager={FIELD_MANAGER}");
        Self { target, kind, body: body.to_string() }
    }

    /// The same, which the API is to refuse where it does not know a field, instead of dropping it.
    pub fn strict(self) -> Self {
        Self { target: format!("{}&fieldValidation=Strict", self.target), ..self }
    }

    /// What is sent.
    ///
    /// # Errors
    /// Where the path is none; the names of objects never make it so.
    pub fn http(&self) -> Result<Request<Vec<u8>>, http::Error> {
        Request::patch(&self.target)
            .header(CONTENT_TYPE, self.kind.as_str())
            .body(self.body.clone().into_bytes())
    }
}

/// Method, path, content type and body.
impl fmt::Display for ExactPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PATCH {} {} {}", self.target, self.kind.as_str(), self.body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_is_what_is_sent() {
        let body = json!({"spec": {"replicas": 3}});
        let patch = ExactPatch::new("/apis/apps/v1/x/scale", PatchType::Merge, &body).strict();
        let sent = patch.http().expect("a request");
        let text = String::from_utf8(sent.body().clone()).expect("text");
        let kind = sent.headers()[CONTENT_TYPE].to_str().expect("text");
        assert_eq!(patch.to_string(), format!("{} {} {kind} {text}", sent.method(), sent.uri()));
        assert_eq!(
            patch.to_string(),
            "PATCH /apis/apps/v1/x/scale?fieldManager=falconer&fieldValidation=Strict \
             application/merge-patch+json {\"spec\":{\"replicas\":3}}"
        );
    }
}
