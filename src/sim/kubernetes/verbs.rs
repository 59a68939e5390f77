//! get, list, create, update, patch and delete.

use axum::response::Response;
use serde_json::{Value, json};

use super::json::{self, set, text, unset};
use super::request::{Call, Target};
use super::resource::{CRDS, EVENTS, Resource};
use super::selector::Selector;
use super::server::Api;
use super::status::{Failure, answer};
use super::store::Key;
use super::{deletion, events, metrics, paging, patch, table, validation};

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
    let selector = selector_of(resource, call)?;
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
    let (metadata, objects) = paging::cut(call, revision, objects)?;
    let list = json!({
        "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
        "metadata": metadata, "items": objects,
    });
    Ok(answer(200, &list))
}

/// The selector in the query. Field selectors of events work in both of their forms.
pub(in crate::sim) fn selector_of(resource: &Resource, call: &Call) -> Result<Selector, Failure> {
    let fields = call.query("fieldSelector").replace("regarding.", "involvedObject.");
    let selector =
        Selector::parse(call.query("labelSelector"), &fields).map_err(Failure::bad_request)?;
    let known = resource.selectable_fields();
    if let Some(field) = selector.fields().find(|field| !known.contains(field)) {
        return Err(Failure::bad_request(format!("field label not supported: {field}")));
    }
    Ok(selector)
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
    validation::check(target, &name, None, &object)?;
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
        let updates = call.method == "PUT" && resource.is_created_by_update();
        return if applies || updates {
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
    if call.method == "PUT" {
        check_replacement(resource, &key, &current, &wanted)?;
    }
    check_version(resource, &current, &wanted)?;
    keep_what_is_not_writable(resource, &current, &mut wanted, status_only);
    validation::check(target, &key.name, Some(&current), &wanted)?;
    if call.is_dry_run() {
        return Ok(answer(200, &events::view(resource, &wanted)));
    }
    let stored = api
        .store
        .update(&key, |object| *object = wanted)
        .ok_or_else(|| Failure::not_found(resource, &key.name))?;
    deletion::finish(&api.store, &key, &stored);
    Ok(answer(200, &events::view(resource, &stored)))
}

/// A PUT must be for this very object, and for some kinds say which version of it.
fn check_replacement(
    resource: &Resource,
    key: &Key,
    current: &Value,
    wanted: &Value,
) -> Result<(), Failure> {
    if json::name(wanted) != key.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            json::name(wanted),
            key.name
        )));
    }
    let (uid, current) = (json::uid(wanted), json::uid(current));
    if !uid.is_empty() && uid != current {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {current}"
        );
        return Err(Failure::conflict_because(resource, &key.name, &why));
    }
    if resource.demands_version() && text(wanted, "/metadata/resourceVersion").is_empty() {
        let words = "Invalid value: 0x0: must be specified for an update";
        let field = "metadata.resourceVersion";
        return Err(Failure::invalid_field(resource, &key.name, field, "FieldValueInvalid", words));
    }
    Ok(())
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
