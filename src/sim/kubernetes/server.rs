//! From an HTTP request to the verb that answers it, and the log of all requests.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Query, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::Value;

use super::resource::{self, Resource};
use super::status::Failure;
use super::store::{Key, Store};
use super::{discovery, review, subresource, verbs, watch};
use crate::model::Timestamp;
use crate::sim::evidence::Evidence;
use crate::sim::faults::{ApiFault, Faults};
use crate::sim::load::Load;

/// The largest request body that is read, in bytes.
const BODY_LIMIT: usize = 3 << 20;
/// How much of a body the log keeps, in bytes.
const LOGGED_BODY: usize = 16 << 10;

/// One request to the simulated Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// When it had arrived.
    pub at: Timestamp,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// Without the query.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// The body's beginning.
    pub body: String,
    /// The type of the body.
    pub content_type: String,
    /// Who asked.
    pub user_agent: String,
    /// The status that it was answered with; 0 when it never was.
    pub status: u16,
}

impl ApiRequest {
    /// Whether it changed something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch") && (200..300).contains(&self.status)
    }
}

/// Everything that the API server knows.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Api {
    pub(in crate::sim) store: Store,
    pub(in crate::sim) requests: Evidence<ApiRequest>,
    pub(in crate::sim) faults: Faults,
    pub(in crate::sim) load: Load,
}

/// A request as the verbs see it.
#[derive(Debug)]
pub(in crate::sim) struct Call {
    pub(in crate::sim) method: String,
    pub(in crate::sim) content_type: String,
    path: String,
    accept: String,
    parameters: HashMap<String, String>,
    body: Vec<u8>,
}

impl Call {
    fn read(parts: &Parts, body: Vec<u8>) -> Self {
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

    /// The body.
    pub(in crate::sim) fn json(&self) -> Result<Value, Failure> {
        if self.content_type.contains("protobuf") || self.content_type.contains("cbor") {
            let message = format!("{} is not understood here; send JSON", self.content_type);
            return Err(Failure::new(415, "UnsupportedMediaType", message));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::bad_request(format!("the body is no JSON: {error}")))
    }

    pub(in crate::sim) fn is_dry_run(&self) -> bool {
        self.query("dryRun") == "All"
    }

    pub(in crate::sim) fn wants_table(&self) -> bool {
        self.accept.contains("as=Table")
    }

    fn is_watch(&self) -> bool {
        matches!(self.query("watch"), "true" | "1")
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// What a path is about.
#[derive(Debug)]
pub(in crate::sim) struct Target {
    pub(in crate::sim) resource: &'static Resource,
    pub(in crate::sim) namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Target {
    fn read(segments: &[&str]) -> Option<Self> {
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

    fn verb(&self, call: &Call) -> &'static str {
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

/// Answers any request and logs it.
pub(in crate::sim) async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let at = api.store.clock().now();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Failure::new(413, "RequestEntityTooLarge", "the body is too large").response();
    };
    let call = Call::read(&parts, body.to_vec());
    let segments: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).collect();
    let target = Target::read(&segments);
    let mut entry = ApiRequest {
        at,
        verb: target.as_ref().map_or("get", |target| target.verb(&call)),
        path: call.path.clone(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&call.body[..call.body.len().min(LOGGED_BODY)]).into_owned(),
        content_type: call.content_type.clone(),
        user_agent: header(&parts.headers, "user-agent"),
        status: 0,
    };
    let fault = api.faults.api();
    if fault == Some(ApiFault::Hang) {
        api.requests.push(entry);
        return std::future::pending().await;
    }
    let response = match fault.and_then(ApiFault::answer) {
        Some(refusal) => refusal,
        None => route(&api, target, &segments, &call).unwrap_or_else(|no| no.response()),
    };
    entry.status = response.status().as_u16();
    api.requests.push(entry);
    response
}

fn route(
    api: &Arc<Api>,
    target: Option<Target>,
    segments: &[&str],
    call: &Call,
) -> Result<Response, Failure> {
    let without_metrics = api.faults.metrics_absent();
    let Some(target) = target else {
        if matches!(segments, ["apis", "authorization.k8s.io", _, "selfsubjectaccessreviews"]) {
            // The verdict is the same whatever is asked, in whatever encoding.
            return Ok(review::review(call.json().unwrap_or_default()));
        }
        let answer = discovery::answer_path(segments, &call.accept, without_metrics);
        return answer.ok_or_else(Failure::no_such_path);
    };
    let resource = target.resource;
    if resource.is_virtual() && without_metrics {
        return Err(Failure::no_such_path());
    }
    match (target.verb(call), target.subresource.as_deref()) {
        (_, Some("scale")) => subresource::scale(api, resource, &target.key()?, call),
        ("create", Some("eviction")) => subresource::evict(api, resource, &target.key()?),
        ("get", Some("log")) => subresource::log(api, resource, &target.key()?),
        ("get", Some("status") | None) => verbs::get(api, &target, call),
        ("update" | "patch", Some("status")) => verbs::write(api, &target, call, true),
        (_, Some(_)) => Err(Failure::no_such_path()),
        ("create" | "update" | "patch" | "delete" | "deletecollection" | "watch", None)
            if resource.is_virtual() =>
        {
            Err(Failure::not_allowed())
        }
        ("list", None) => verbs::list(api, &target, call),
        ("watch", None) => watch::stream(api, target, call),
        ("create", None) => verbs::create(api, &target, call),
        ("update" | "patch", None) => verbs::write(api, &target, call, false),
        ("delete", None) => verbs::delete(api, &target, call),
        ("deletecollection", None) => verbs::delete_collection(api, &target, call),
        _ => Err(Failure::not_allowed()),
    }
}

impl Target {
    /// The name in the path, for a watch of one object.
    pub(in crate::sim) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
