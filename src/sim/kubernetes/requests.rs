//! The log of the API: one entry for each request, as far as a test may want to know of it.

use std::net::SocketAddr;

use axum::http::request::Parts;

use super::authorization::UsedAccess;
use super::request::{Call, Target, header};
use crate::model::Timestamp;

/// How much of a body the log keeps, in bytes.
const LOGGED_BODY: usize = 16 << 10;

/// One request to the simulated Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// When it had arrived.
    pub at: Timestamp,
    /// When its answer began; that of a watch is its beginning. `None` when there was none.
    pub answered_at: Option<Timestamp>,
    /// The port of the API at which it came in, counted from zero; see `Simulation::api_urls`.
    pub door: usize,
    /// The client's end of the connection.
    pub client: Option<SocketAddr>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// The API group; empty for the core group and for what is about no object.
    pub group: &'static str,
    /// The plural name of the resource; empty for what is about no object.
    pub resource: &'static str,
    /// `eviction`, `log`, `scale`, `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace in the path; empty when there is none.
    pub namespace: String,
    /// The name in the path; empty when there is none.
    pub name: String,
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
    /// Whether it asked only what would happen.
    pub dry_run: bool,
    /// The status that it was answered with; 0 when it never was.
    pub status: u16,
}

impl ApiRequest {
    /// An entry for a request that is not answered yet.
    pub(in crate::sim) fn new(
        at: Timestamp,
        (door, client): (usize, Option<SocketAddr>),
        parts: &Parts,
        call: &Call,
        target: Option<&Target>,
    ) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let body = &call.body[..call.body.len().min(LOGGED_BODY)];
        Self {
            at,
            answered_at: None,
            door,
            client,
            verb: target.map_or("get", |target| target.verb(call)),
            group: target.map_or("", |target| target.resource.group),
            resource: target.map_or("", |target| target.resource.plural),
            subresource: text(target.and_then(|target| target.subresource.as_deref())),
            namespace: text(target.and_then(|target| target.namespace.as_deref())),
            name: text(target.and_then(Target::name)),
            path: call.path.clone(),
            query: text(parts.uri.query()),
            body: String::from_utf8_lossy(body).into_owned(),
            content_type: call.content_type.clone(),
            user_agent: header(&parts.headers, "user-agent"),
            dry_run: call.is_dry_run(),
            status: 0,
        }
    }

    /// Whether it changed something.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
            && (200..300).contains(&self.status)
            && !self.dry_run
    }

    /// Whether it disturbed a workload: a pod deleted or evicted, a pod template or a number of
    /// replicas changed. Events, Leases and ConfigMaps disturb nobody.
    pub fn is_disruption(&self) -> bool {
        let workload = self.group == "apps" || self.group == "milvus.io";
        let pod = self.group.is_empty() && self.resource == "pods";
        let ends_pod = pod && (self.verb.starts_with("delete") || self.subresource == "eviction");
        self.is_write() && self.subresource != "status" && (workload || ends_pod)
    }

    /// What a rule must grant for it; `None` for what is about no object.
    pub fn access(&self) -> Option<UsedAccess> {
        if self.resource.is_empty() {
            return None;
        }
        let resource = match self.subresource.as_str() {
            "" => self.resource.to_owned(),
            subresource => format!("{}/{subresource}", self.resource),
        };
        Some(UsedAccess { group: self.group.to_owned(), resource, verb: self.verb.to_owned() })
    }
}
