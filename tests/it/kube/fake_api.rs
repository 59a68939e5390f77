//! A Kubernetes API on loopback that keeps objects, records every request, and misbehaves on
//! demand. Knows only as much of the real one as the adapter relies on.

mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const NAMESPACE: &str = "milvus-ha";

/// How the API behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Normal,
    /// Every request is answered with this status.
    Status(u16),
    /// Requests are accepted and never answered; open watches fall silent.
    Hang,
    /// JSON that is cut off.
    Garbage,
    /// A page of some proxy.
    Html,
    Redirect,
    /// A list that never ends.
    Endless,
}

#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

impl Recorded {
    /// Group, resource with subresource, verb: what a Role has to grant.
    pub(crate) fn access(&self) -> (String, String, String) {
        let mut parts = self.path.trim_start_matches('/').split('/');
        let group = match parts.next() {
            Some("api") => "",
            _ => parts.next().expect("a group"),
        };
        let rest: Vec<&str> = parts.skip(1).collect();
        assert_eq!(rest[..2], ["namespaces", NAMESPACE], "{} leaves the namespace", self.path);
        let resource = match rest.get(4) {
            Some(subresource) => format!("{}/{subresource}", rest[2]),
            None => rest[2].to_owned(),
        };
        let verb = match (self.method.as_str(), rest.get(3)) {
            ("GET", Some(_)) => "get",
            ("GET", None) if self.query.contains("watch=true") => "watch",
            ("GET", None) => "list",
            ("POST", _) => "create",
            ("PATCH", _) => "patch",
            ("DELETE", Some(_)) => "delete",
            (other, _) => other,
        };
        (group.to_owned(), resource, verb.to_owned())
    }
}

#[derive(Debug, Clone)]
enum Entry {
    /// An event of the collection with this path.
    Event { version: u64, path: String, event: Value },
    /// Every open watch is cut in the middle of a chunk.
    Cut,
    /// Every open watch ends with 410 Gone.
    Gone,
}

#[derive(Default)]
struct Inner {
    version: u64,
    /// Objects by collection path and name. A collection that is not here does not exist.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    log: Vec<Entry>,
    requests: Vec<Recorded>,
    mode: Option<Mode>,
    /// Collections with an answer of their own, by a part of their path.
    denied: BTreeMap<String, u16>,
    /// Parts of paths that are never answered.
    hanging: BTreeSet<String>,
    token: Option<String>,
    removal: removal::Removal,
}

#[derive(Clone)]
struct Shared {
    inner: Arc<Mutex<Inner>>,
    changed: watch::Sender<u64>,
}

pub(crate) struct FakeApi {
    shared: Shared,
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn apps(resource: &str) -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/{resource}")
}

pub(crate) fn pods() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods")
}

pub(crate) fn samples() -> String {
    format!("/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods")
}

pub(crate) fn autoscalers() -> String {
    format!("/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers")
}

pub(crate) fn milvuses() -> String {
    format!("/apis/milvus.io/v1beta1/namespaces/{NAMESPACE}/milvuses")
}

pub(crate) fn scaled_objects() -> String {
    format!("/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledobjects")
}

impl FakeApi {
    /// An API with the built-in collections, all empty; no custom resources, no metrics.
    pub(crate) async fn start() -> Self {
        let shared = Shared { inner: Arc::default(), changed: watch::Sender::new(0) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a server");
        });
        let api = Self { shared, address, server };
        for resource in ["deployments", "statefulsets", "daemonsets", "replicasets"] {
            api.serve(&apps(resource));
        }
        for path in [pods(), autoscalers(), format!("/api/v1/namespaces/{NAMESPACE}/events")] {
            api.serve(&path);
        }
        api
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        self.shared.change(change)
    }

    /// Makes a collection exist.
    pub(crate) fn serve(&self, path: &str) {
        self.change(|inner| inner.objects.entry(path.to_owned()).or_default().len());
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.change(|inner| inner.mode = Some(mode));
    }

    /// Answers requests whose path contains `part` with `status`; 0 ends that.
    pub(crate) fn deny(&self, part: &str, status: u16) {
        self.change(|inner| match status {
            0 => inner.denied.remove(part),
            _ => inner.denied.insert(part.to_owned(), status),
        });
    }

    /// Never answers requests whose path contains `part`.
    pub(crate) fn hang(&self, part: &str) {
        self.change(|inner| inner.hanging.insert(part.to_owned()));
    }

    /// From now on only this bearer token is accepted.
    pub(crate) fn require_token(&self, token: &str) {
        self.change(|inner| inner.token = Some(token.to_owned()));
    }

    /// Adds or replaces an object, with a watch event.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.change(|inner| inner.put(path, object));
    }

    /// Adds an object that no watch is told of.
    pub(crate) fn put_quietly(&self, path: &str, object: Value) {
        self.change(|inner| {
            inner.put(path, object);
            inner.log.pop();
        });
    }

    pub(crate) fn remove(&self, path: &str, name: &str) {
        self.change(|inner| {
            inner.version += 1;
            let version = inner.version;
            let found = inner.objects.get_mut(path).and_then(|all| all.remove(name));
            let mut object = found.expect("an object to remove");
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            let event = json!({"type": "DELETED", "object": object});
            inner.log.push(Entry::Event { version, path: path.to_owned(), event });
        });
    }

    pub(crate) fn cut_watches(&self) {
        self.change(|inner| inner.log.push(Entry::Cut));
    }

    pub(crate) fn expire_watches(&self) {
        self.change(|inner| inner.log.push(Entry::Gone));
    }

    /// Waits until watches of the collection have been opened `count` times since the start.
    pub(crate) async fn watched(&self, path: &str, count: usize) {
        let is_watch = |r: &&Recorded| r.path == path && r.query.contains("watch=true");
        let mut changed = self.shared.changed.subscribe();
        while self.requests().iter().filter(is_watch).count() < count {
            let change =
                tokio::time::timeout(std::time::Duration::from_secs(20), changed.changed());
            change.await.expect("a watch is opened").expect("the server runs");
        }
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.change(|inner| inner.requests.clone())
    }

    pub(crate) fn object(&self, path: &str, name: &str) -> Value {
        self.change(|inner| inner.objects[path][name].clone())
    }
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock().expect("no panic elsewhere"));
        self.changed.send_modify(|count| *count += 1);
        result
    }
}

impl Inner {
    fn put(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        let version = self.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let collection = self.objects.entry(path.to_owned()).or_default();
        let kind =
            if collection.insert(name, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        let event = json!({"type": kind, "object": object});
        self.log.push(Entry::Event { version, path: path.to_owned(), event });
    }

    fn refusal(&self, recorded: &Recorded, token: &str) -> Option<u16> {
        if self.token.as_ref().is_some_and(|wanted| token != format!("Bearer {wanted}")) {
            return Some(401);
        }
        let denied = self.denied.iter().find(|(part, _)| recorded.path.contains(part.as_str()));
        denied.map(|(_, status)| *status)
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = |name| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let recorded = Recorded {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        content_type: text(header::CONTENT_TYPE),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let token = text(header::AUTHORIZATION);
    let (mode, refusal) = shared.change(|inner| {
        inner.requests.push(recorded.clone());
        let hangs = inner.hanging.iter().any(|part| recorded.path.contains(part.as_str()));
        let mode = if hangs { Mode::Hang } else { inner.mode.unwrap_or(Mode::Normal) };
        (mode, inner.refusal(&recorded, &token))
    });
    match (mode, refusal) {
        (Mode::Status(code), _) | (Mode::Normal, Some(code)) => status(code, "the fake refuses"),
        (Mode::Hang, _) => std::future::pending().await,
        (Mode::Garbage, _) => json_text(r#"{"kind":"List","items":[{"#.to_owned()),
        (Mode::Html, _) => ([(header::CONTENT_TYPE, "text/html")], "<p>log in</p>").into_response(),
        (Mode::Redirect, _) => {
            (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:1/")]).into_response()
        }
        (Mode::Endless, _) => endless(),
        (Mode::Normal, None) => normal(&shared, &recorded),
    }
}

fn normal(shared: &Shared, request: &Recorded) -> Response {
    let (base, rest) = split(&request.path);
    let exists = shared.change(|inner| inner.objects.contains_key(&base));
    if !exists {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    match (request.method.as_str(), rest.as_slice()) {
        ("GET", []) if request.query.contains("watch=true") => watching(shared, request),
        ("GET", []) => shared.change(|inner| {
            let items: Vec<&Value> = inner.objects[&base].values().collect();
            let version = inner.version.max(1).to_string();
            json_text(
                json!({"kind": "List", "apiVersion": "v1", "items": items,
                    "metadata": {"resourceVersion": version}})
                .to_string(),
            )
        }),
        ("POST", []) => json_text(request.body.to_string()),
        (method, [name, subresource @ ..]) => shared.change(|inner| {
            if base == pods()
                && let Some(answer) = removal::answer(inner, &base, (name, subresource), request)
            {
                return answer;
            }
            let Some(object) = inner.objects[&base].get(name).cloned() else {
                return status(404, "no such object");
            };
            let is_scale = subresource == ["scale"];
            match (method, is_scale) {
                ("GET", false) => json_text(object.to_string()),
                ("GET", true) => json_text(scale_of(&object).to_string()),
                ("PATCH", _) => patch(inner, &base, object, request, is_scale),
                _ => status(405, "no such method"),
            }
        }),
        _ => status(405, "no such method"),
    }
}

fn patch(
    inner: &mut Inner,
    base: &str,
    mut object: Value,
    request: &Recorded,
    is_scale: bool,
) -> Response {
    let wanted = &request.body["metadata"]["resourceVersion"];
    if !wanted.is_null() && *wanted != object["metadata"]["resourceVersion"] {
        return status(409, "the object has been modified");
    }
    merge(&mut object, &request.body);
    inner.put(base, object.clone());
    if is_scale { json_text(scale_of(&object).to_string()) } else { json_text(object.to_string()) }
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn scale_of(object: &Value) -> Value {
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": object["metadata"]["name"],
            "resourceVersion": object["metadata"]["resourceVersion"]},
        "spec": {"replicas": object["spec"]["replicas"]}})
}

/// The collection's path and what follows it.
fn split(path: &str) -> (String, Vec<String>) {
    let parts: Vec<&str> = path.split('/').collect();
    let end = parts.iter().position(|part| *part == "namespaces").map_or(parts.len(), |at| at + 3);
    let end = end.min(parts.len());
    (parts[..end].join("/"), parts[end..].iter().map(|part| (*part).to_owned()).collect())
}

fn watching(shared: &Shared, request: &Recorded) -> Response {
    let number = |key: &str| {
        request.query.split('&').find_map(|pair| pair.strip_prefix(key)?.parse::<u64>().ok())
    };
    let since = number("resourceVersion=").unwrap_or(0);
    let seconds = number("timeoutSeconds=").unwrap_or(60);
    let opened = shared.change(|inner| inner.log.len());
    let state = (shared.clone(), shared.changed.subscribe(), request.path.clone(), 0_usize);
    let stream = futures::stream::unfold(
        state,
        move |(shared, mut changed, path, mut at)| async move {
            loop {
                let next = shared.inner.lock().expect("no panic elsewhere").log.get(at).cloned();
                let is_control = at >= opened;
                at += usize::from(next.is_some());
                match next {
                    Some(Entry::Event { version, path: of, event })
                        if of == path && version > since =>
                    {
                        let line = Bytes::from(format!("{event}\n"));
                        return Some((Ok(line), (shared, changed, path, at)));
                    }
                    Some(Entry::Cut) if is_control => {
                        let error = std::io::Error::other("cut");
                        return Some((Err(error), (shared, changed, path, at)));
                    }
                    Some(Entry::Gone) if is_control => {
                        let event = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410,
                        "status": "Failure", "reason": "Expired", "message": "too old"}});
                        let line = Bytes::from(format!("{event}\n"));
                        return Some((Ok(line), (shared, changed, path, at)));
                    }
                    Some(_) => {}
                    None => changed.changed().await.ok()?,
                }
            }
        },
    );
    let hangs = shared.clone();
    let end = async move {
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        while hangs.inner.lock().expect("no panic elsewhere").mode == Some(Mode::Hang) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let stream = stream.take_until(Box::pin(end));
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream)).into_response()
}

fn endless() -> Response {
    let start = futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{\"items\":[\""))]);
    let more = futures::stream::repeat_with(|| Ok(Bytes::from(vec![b'x'; 1 << 16])));
    let body = Body::from_stream(start.chain(more));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn status(code: u16, message: &str) -> Response {
    let reason = StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason());
    let reason = reason.map(|words| words.replace(' ', ""));
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": message, "reason": reason});
    let code = StatusCode::from_u16(code).expect("a status");
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
