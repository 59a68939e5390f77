//! A request to the API as the verbs see it: what it asks, and about what.

use std::collections::HashMap;

use axum::extract::Query;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde_json::Value;

use super::resource::{self, Resource};
use super::status::Failure;
use super::store::Key;

/// The parts of a request that matter to a verb.
#[derive(Debug)]
pub(in crate::sim) struct Call {
    pub(in crate::sim) method: String,
    pub(in crate::sim) content_type: String,
    pub(in crate::sim) path: String,
    pub(in crate::sim) accept: String,
    pub(in crate::sim) body: Vec<u8>,
    parameters: HashMap<String, String>,
}

impl Call {
    pub(in crate::sim) fn read(parts: &Parts, body: Vec<u8>) -> Self {
        let parameters = Query::<HashMap<String, String>>::try_from_uri(&parts.uri);
        Self {
            method: parts.method.to_string(),
            content_type: header(&parts.headers, "content-type"),
            path: parts.uri.path().to_owned(),
            accept: header(&parts.headers, "accept"),
            parameters: parameters.map(|Query(all)| all).unwrap_or_default(),
            body,
        }
    }

    /// A query parameter; empty when it was not given.
    pub(in crate::sim) fn query(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// A query parameter that says yes or no.
    pub(in crate::sim) fn flag(&self, name: &str) -> bool {
        matches!(self.query(name), "true" | "1")
    }

    /// A query parameter that is a whole number; `None` when it was not given.
    pub(in crate::sim) fn whole_number(&self, name: &str) -> Result<Option<i64>, Failure> {
        let text = self.query(name);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            Failure::bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))
        })
    }

    /// The body.
    pub(in crate::sim) fn json(&self) -> Result<Value, Failure> {
        if self.content_type.contains("protobuf") || self.content_type.contains("cbor") {
            let message = format!("{} is not understood here; send JSON", self.content_type);
            return Err(Failure::new(415, "UnsupportedMediaType", message));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::bad_request(format!("the body is no JSON: {error}")))
    }

    /// The body, which may be left out.
    pub(in crate::sim) fn optional_json(&self) -> Result<Value, Failure> {
        if self.body.is_empty() { Ok(Value::Null) } else { self.json() }
    }

    pub(in crate::sim) fn is_dry_run(&self) -> bool {
        self.query("dryRun") == "All"
    }

    pub(in crate::sim) fn wants_table(&self) -> bool {
        self.accept.contains("as=Table")
    }

    fn is_watch(&self) -> bool {
        self.flag("watch")
    }
}

/// The text of a header; empty when there is none.
pub(in crate::sim) fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// What a path is about.
#[derive(Debug)]
pub(in crate::sim) struct Target {
    pub(in crate::sim) resource: &'static Resource,
    pub(in crate::sim) namespace: Option<String>,
    pub(in crate::sim) subresource: Option<String>,
    name: Option<String>,
}

impl Target {
    pub(in crate::sim) fn read(segments: &[&str]) -> Option<Self> {
        let (group, version, rest) = match segments {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, None, None),
            [plural, name] => (*plural, Some(*name), None),
            [plural, name, subresource] => (*plural, Some(*name), Some(*subresource)),
            _ => return None,
        };
        Some(Self {
            resource: resource::find(group, version, plural)?,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }

    /// The key of the one object that the path names.
    pub(in crate::sim) fn key(&self) -> Result<Key, Failure> {
        let name = self.name.as_deref().ok_or_else(Failure::not_allowed)?;
        let namespace = self.namespace.as_deref().unwrap_or_default();
        Ok(Key::new(self.resource.storage, namespace, name))
    }

    /// The name in the path.
    pub(in crate::sim) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The resource as a rule spells it: `pods` or `pods/eviction`.
    pub(in crate::sim) fn resource_path(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource.plural),
            None => self.resource.plural.to_owned(),
        }
    }

    /// The verb as a rule spells it.
    pub(in crate::sim) fn verb(&self, call: &Call) -> &'static str {
        match (call.method.as_str(), &self.name) {
            ("GET", _) if call.is_watch() => "watch",
            ("GET", Some(_)) => "get",
            ("GET", None) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", Some(_)) => "delete",
            ("DELETE", None) => "deletecollection",
            _ => "unknown",
        }
    }
}
