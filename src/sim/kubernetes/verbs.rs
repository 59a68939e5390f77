//! get, list, create, update, patch and delete.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::json::{self, set, text, unset};
use super::resource::{CRDS, EVENTS, PODS, Resource};
use super::selector::Selector;
use super::server::{Api, Call, Target};
use super::status::{Failure, answer, success};
use super::store::Key;
use super::{events, metrics, patch, table};

/// The grace that a pod has when nobody says otherwise, in seconds.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// Reads one object.
pub(in crate::sim) fn get(api: &Api, target: &Target, call: &Call) -> Result<Response, Failure> {
    let resource = target.resource;
    let key = target.key()?;
    let object = if resource.is_virtual() {
        metrics::list(api, resource, target.namespace.as_deref())
            .into_iter()
            .find(|object| json::name(object) == key.name)
    } else {
        api.store.get(&key).map(|object| events::view(resource, &object))
    };
    let object = object.ok_or_else(|| Failure::not_found(resource, &key.name))?;
    if call.wants_table() {
        return Ok(answer(200, &table::render(api, resource, &[object], None)));
    }
    Ok(answer(200, &object))
}

/// Lists objects.
pub(in crate::sim) fn list(api: &Api, target: &Target, call: &Call) -> Result<Response, Failure> {
    let resource = target.resource;
    let selector = selector_of(call)?;
    let namespace = target.namespace.as_deref();
    let (revision, objects) = if resource.is_virtual() {
        (api.store.revision(), metrics::list(api, resource, namespace))
    } else {
        let (revision, objects) = api.store.list(resource.storage, namespace);
        let selected = objects.iter().filter(|object| selector.matches(object));
        (revision, selected.map(|object| events::view(resource, object)).collect())
    };
    let objects: Vec<Value> = if resource.is_virtual() {
        objects.into_iter().filter(|object| selector.matches(object)).collect()
    } else {
        objects
    };
    if call.wants_table() {
        return Ok(answer(200, &table::render(api, resource, &objects, Some(revision))));
    }
    let list = json!({
        "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": revision.to_string()}, "items": objects,
    });
    Ok(answer(200, &list))
}

/// The selector in the query. Field selectors of events work in both of their forms.
pub(in crate::sim) fn selector_of(call: &Call) -> Result<Selector, Failure> {
    let fields = call.query("fieldSelector").replace("regarding.", "involvedObject.");
    Selector::parse(call.query("labelSelector"), &fields).map_err(Failure::bad_request)
}

/// Creates an object.
pub(in crate::sim) fn create(api: &Api, target: &Target, call: &Call) -> Result<Response, Failure> {
    let resource = target.resource;
    let mut object = events::stored_form(resource, call.json()?);
    if !object.is_object() {
        return Err(Failure::bad_request("the body is no object"));
    }
    let mut name = json::name(&object).to_owned();
    if name.is_empty() {
        let prefix = text(&object, "/metadata/generateName");
        if prefix.is_empty() {
            return Err(Failure::invalid(format!(
                "{}: name or generateName is required",
                resource.kind
            )));
        }
        name = format!("{prefix}{}", random_suffix());
    }
    complete(resource, &mut object);
    unset(&mut object, &["metadata", "resourceVersion"]);
    let key = Key::new(resource.storage, target.namespace.as_deref().unwrap_or_default(), &name);
    if call.is_dry_run() {
        set(&mut object, &["metadata", "name"], name);
        return Ok(answer(201, &events::view(resource, &object)));
    }
    let stored =
        api.store.create(key, object).map_err(|_| Failure::already_exists(resource, &name))?;
    if resource.storage == EVENTS {
        events::forget_oldest(&api.store);
    }
    Ok(answer(201, &events::view(resource, &stored)))
}

fn complete(resource: &Resource, object: &mut Value) {
    if resource.storage != EVENTS {
        set(object, &["apiVersion"], resource.api_version());
    }
    set(object, &["kind"], resource.kind);
    if resource.subresources.contains(&"scale") && object.pointer("/spec/replicas").is_none() {
        set(object, &["spec", "replicas"], 1);
    }
    if resource.storage == CRDS {
        let accepted = json!([{"type": "Established", "status": "True"}]);
        set(object, &["status", "conditions"], accepted);
    }
}

/// Five characters as the API server appends them.
pub(in crate::sim) fn random_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])).collect()
}

/// Replaces an object (PUT) or changes it (PATCH), as a whole or its status only.
pub(in crate::sim) fn write(
    api: &Api,
    target: &Target,
    call: &Call,
    status_only: bool,
) -> Result<Response, Failure> {
    let resource = target.resource;
    let key = target.key()?;
    let Some(current) = api.store.get(&key) else {
        let applies = call.content_type.starts_with("application/apply-patch");
        return if applies {
            create(api, target, call)
        } else {
            Err(Failure::not_found(resource, &key.name))
        };
    };
    let mut wanted = if call.method == "PATCH" {
        let mut shown = events::view(resource, &current);
        patch::apply(&mut shown, &call.json()?, &call.content_type).map_err(Failure::invalid)?;
        events::stored_form(resource, shown)
    } else {
        events::stored_form(resource, call.json()?)
    };
    check_version(resource, &current, &wanted)?;
    keep_what_is_not_writable(resource, &current, &mut wanted, status_only);
    if call.is_dry_run() {
        return Ok(answer(200, &events::view(resource, &wanted)));
    }
    let stored = api
        .store
        .update(&key, |object| *object = wanted)
        .ok_or_else(|| Failure::not_found(resource, &key.name))?;
    Ok(answer(200, &events::view(resource, &stored)))
}

/// Refuses a write that was made for another version of the object.
pub(in crate::sim) fn check_version(
    resource: &Resource,
    current: &Value,
    wanted: &Value,
) -> Result<(), Failure> {
    let asked = text(wanted, "/metadata/resourceVersion");
    if asked.is_empty() || asked == text(current, "/metadata/resourceVersion") {
        return Ok(());
    }
    Err(Failure::conflict(resource, json::name(current)))
}

fn keep_what_is_not_writable(
    resource: &Resource,
    current: &Value,
    wanted: &mut Value,
    status_only: bool,
) {
    if status_only {
        let status = wanted.get("status").cloned();
        *wanted = current.clone();
        if let Some(status) = status {
            set(wanted, &["status"], status);
        }
        return;
    }
    let fixed = ["name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion"];
    for field in fixed.into_iter().chain(["deletionTimestamp", "deletionGracePeriodSeconds"]) {
        match current.pointer(&format!("/metadata/{field}")) {
            Some(value) => set(wanted, &["metadata", field], value.clone()),
            None => drop(unset(wanted, &["metadata", field])),
        }
    }
    for field in ["kind", "apiVersion"] {
        set(wanted, &[field], current.get(field).cloned().unwrap_or_default());
    }
    if resource.subresources.contains(&"status") {
        match current.get("status") {
            Some(status) => set(wanted, &["status"], status.clone()),
            None => drop(unset(wanted, &["status"])),
        }
    }
}

/// Deletes one object; pods gracefully.
pub(in crate::sim) fn delete(api: &Api, target: &Target, call: &Call) -> Result<Response, Failure> {
    let resource = target.resource;
    let key = target.key()?;
    let current = api.store.get(&key).ok_or_else(|| Failure::not_found(resource, &key.name))?;
    let options = call.json().unwrap_or_default();
    let wanted_uid = text(&options, "/preconditions/uid");
    if !wanted_uid.is_empty() && wanted_uid != json::uid(&current) {
        return Err(Failure::conflict(resource, &key.name));
    }
    if call.is_dry_run() {
        return Ok(answer(200, &current));
    }
    if resource.storage != PODS {
        api.store.remove(&key);
        return Ok(success(200));
    }
    let asked = json::number(&options, "/gracePeriodSeconds");
    let asked = asked.or_else(|| call.query("gracePeriodSeconds").parse().ok());
    match delete_gracefully(api, &key, asked) {
        Some(pod) => Ok(answer(200, &pod)),
        None => Err(Failure::not_found(resource, &key.name)),
    }
}

/// Marks a pod for deletion (0 seconds: removes it at once) and gives its last state.
pub(in crate::sim) fn delete_gracefully(
    api: &Api,
    key: &Key,
    grace: Option<i64>,
) -> Option<Arc<Value>> {
    if grace == Some(0) {
        return api.store.remove(key);
    }
    let now = api.store.now();
    api.store.update(key, |pod| {
        if !json::is_terminating(pod) {
            let grace = grace
                .or_else(|| json::number(pod, "/spec/terminationGracePeriodSeconds"))
                .unwrap_or(DEFAULT_GRACE_SECONDS);
            set(pod, &["metadata", "deletionTimestamp"], now);
            set(pod, &["metadata", "deletionGracePeriodSeconds"], grace);
        }
    })
}

/// Deletes everything that is selected.
pub(in crate::sim) fn delete_collection(
    api: &Api,
    target: &Target,
    call: &Call,
) -> Result<Response, Failure> {
    let selector = selector_of(call)?;
    let (_, objects) = api.store.list(target.resource.storage, target.namespace.as_deref());
    for object in objects.iter().filter(|object| selector.matches(object)) {
        let key = Key::of(target.resource.storage, object);
        if target.resource.storage == PODS {
            delete_gracefully(api, &key, None);
        } else {
            api.store.remove(&key);
        }
    }
    Ok(success(200))
}
