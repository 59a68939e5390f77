//! From an HTTP request to the verb that answers it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;

use super::authorization::Authorization;
use super::gate::Peer;
use super::request::{Call, Target};
use super::requests::ApiRequest;
use super::resource::{CRDS, Resource};
use super::status::Failure;
use super::store::{Key, Store};
use super::{deletion, discovery, eviction, pod_log, scale, verbs, watch};
use crate::sim::evidence::Evidence;
use crate::sim::faults::ApiFault;
use crate::sim::faults::state::Faults;
use crate::sim::load::Load;
use crate::sim::logs::PodLogs;

/// The largest request body that is taken, in bytes.
const BODY_LIMIT: usize = 3 << 20;
/// The largest one that is read to its end, so that its sender hears that it is too large.
const READ_LIMIT: usize = 16 << 20;

/// Everything that the API server knows.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Api {
    pub(in crate::sim) store: Store,
    pub(in crate::sim) requests: Evidence<ApiRequest>,
    pub(in crate::sim) faults: Faults,
    pub(in crate::sim) load: Load,
    pub(in crate::sim) logs: PodLogs,
    pub(in crate::sim) authorization: Authorization,
}

/// The API as it is served at one of its ports.
#[derive(Debug, Clone)]
struct Door {
    api: Arc<Api>,
    number: usize,
}

/// The routes of the port with this number.
pub(in crate::sim) fn router(api: Arc<Api>, number: usize) -> Router {
    Router::new().fallback(handle).with_state(Door { api, number })
}

/// Answers any request and logs it.
async fn handle(
    State(door): State<Door>,
    ConnectInfo(Peer(client)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let api = &door.api;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, READ_LIMIT).await;
    let too_large = body.as_ref().map_or(true, |body| body.len() > BODY_LIMIT);
    let call = Call::read(&parts, body.unwrap_or_default().to_vec());
    let segments: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).collect();
    let target = Target::read(&segments);
    let from: (usize, Option<SocketAddr>) = (door.number, client);
    let at = api.store.clock().now();
    let mut entry = ApiRequest::new(at, from, &parts, &call, target.as_ref());
    let fault = api.faults.api();
    let is_evidence =
        entry.verb == "list" && entry.resource == "events" || entry.subresource == "log";
    let hangs = matches!(fault, Some(ApiFault::Hang | ApiFault::Refused))
        || is_evidence && api.faults.evidence_hangs();
    if hangs {
        api.requests.push(entry);
        return std::future::pending().await;
    }
    let response = match fault.and_then(ApiFault::answer) {
        Some(refusal) => refusal,
        None if too_large => Failure::too_large(BODY_LIMIT).response(),
        None => route(api, target, &segments, &call).unwrap_or_else(|no| no.response()),
    };
    entry.status = response.status().as_u16();
    entry.answered_at = Some(api.store.clock().now());
    api.requests.push(entry);
    response
}

/// Whether there is such a resource at the moment.
fn is_served(api: &Api, resource: &Resource) -> bool {
    let defined = |name: String| api.store.get(&Key::new(CRDS, "", &name)).is_some();
    !(resource.is_virtual() && api.faults.metrics_absent())
        && resource.definition().is_none_or(defined)
}

fn route(
    api: &Arc<Api>,
    target: Option<Target>,
    segments: &[&str],
    call: &Call,
) -> Result<Response, Failure> {
    let is_served = |resource: &Resource| is_served(api, resource);
    let Some(target) = target else {
        if matches!(segments, ["apis", "authorization.k8s.io", _, "selfsubjectaccessreviews"]) {
            // Where nothing is forbidden the verdict is the same in whatever encoding it is asked.
            return Ok(api.authorization.review(call.json().unwrap_or_default()));
        }
        let answer = discovery::answer_path(segments, &call.accept, &is_served);
        return answer.ok_or_else(Failure::no_such_path);
    };
    let resource = target.resource;
    if resource.is_virtual() && !is_served(resource) {
        return Err(Failure::no_such_path());
    }
    // Who may not ask does not hear that there is nothing to ask for.
    api.authorization.admit(&target, call)?;
    if !is_served(resource) {
        return Err(Failure::no_such_path());
    }
    match (target.verb(call), target.subresource.as_deref()) {
        (_, Some(name)) if !resource.subresources.contains(&name) => Err(Failure::no_such_path()),
        (_, Some("scale")) => scale::scale(api, resource, &target.key()?, call),
        ("create", Some("eviction")) => eviction::evict(api, resource, &target.key()?, call),
        ("get", Some("log")) => pod_log::answer(api, resource, &target.key()?, call),
        ("get", Some("status") | None) => verbs::get(api, &target, call),
        ("update" | "patch", Some("status")) => verbs::write(api, &target, call, true),
        ("create" | "update" | "patch" | "delete" | "deletecollection" | "watch", None)
            if resource.is_virtual() =>
        {
            Err(Failure::not_allowed())
        }
        ("list", None) => verbs::list(api, &target, call),
        ("watch", None) => watch::stream(api, target, call),
        ("create", None) => verbs::create(api, &target, call),
        ("update" | "patch", None) => verbs::write(api, &target, call, false),
        ("delete", None) => deletion::delete(api, &target, call),
        ("deletecollection", None) => deletion::delete_collection(api, &target, call),
        _ => Err(Failure::not_allowed()),
    }
}
