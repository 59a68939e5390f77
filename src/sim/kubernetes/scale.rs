//! `scale`. `status` is a way to write the object itself: see `verbs`.

use axum::response::Response;
use serde_json::{Value, json};

use super::json::{self, number, set};
use super::patch;
use super::request::Call;
use super::resource::Resource;
use super::server::Api;
use super::status::{Failure, answer};
use super::store::Key;
use super::verbs;

/// Reads or writes `…/scale`.
pub(in crate::sim) fn scale(
    api: &Api,
    resource: &Resource,
    key: &Key,
    call: &Call,
) -> Result<Response, Failure> {
    let object = api.store.get(key).ok_or_else(|| Failure::not_found(resource, &key.name))?;
    let mut scale = scale_of(&object);
    match call.method.as_str() {
        "GET" => return Ok(answer(200, &scale)),
        "PUT" => scale = call.json()?,
        "PATCH" => {
            patch::apply(&mut scale, &call.json()?, &call.content_type)
                .map_err(Failure::invalid)?;
        }
        _ => return Err(Failure::not_allowed()),
    }
    verbs::check_version(resource, &object, &scale)?;
    let replicas = number(&scale, "/spec/replicas").unwrap_or(0);
    if replicas < 0 {
        return Err(Failure::invalid("spec.replicas: must be greater than or equal to 0"));
    }
    if call.is_dry_run() {
        return Ok(answer(200, &scale));
    }
    let changed = api
        .store
        .update(key, |object| set(object, &["spec", "replicas"], replicas))
        .ok_or_else(|| Failure::not_found(resource, &key.name))?;
    Ok(answer(200, &scale_of(&changed)))
}

fn scale_of(object: &Value) -> Value {
    let labels = json::map(object, "/spec/selector/matchLabels");
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let metadata = object.get("metadata");
    let kept = |field: &str| metadata.and_then(|all| all.get(field)).cloned();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": kept("name"), "namespace": kept("namespace"), "uid": kept("uid"),
            "resourceVersion": kept("resourceVersion"),
            "creationTimestamp": kept("creationTimestamp"),
        },
        "spec": {"replicas": number(object, "/spec/replicas").unwrap_or(1)},
        "status": {
            "replicas": number(object, "/status/replicas").unwrap_or(0),
            "selector": selector.join(","),
        },
    })
}
