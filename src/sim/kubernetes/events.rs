//! Events: one store, shown in the core group's form and in that of events.k8s.io.

use serde_json::{Value, json};

use super::json::{number, set, text, unset};
use super::resource::{EVENTS, Resource, stored};
use super::store::{Key, Store};

/// How many events are kept; the oldest go first.
const KEPT_EVENTS: usize = 500;

/// Writes an event about `object`; one that says the same again only advances the counter.
pub(in crate::sim) fn record(
    store: &Store,
    storage: &'static str,
    object: &Value,
    warning: bool,
    reason: &str,
    message: &str,
) {
    let Some(resource) = stored(storage) else { return };
    let kind = if warning { "Warning" } else { "Normal" };
    let now = store.now();
    let namespace = super::json::namespace(object);
    let (_, events) = store.list(EVENTS, Some(namespace));
    let same = events.iter().find(|event| {
        text(event, "/involvedObject/uid") == super::json::uid(object)
            && text(event, "/reason") == reason
            && text(event, "/message") == message
    });
    if let Some(existing) = same {
        store.update(&Key::of(EVENTS, existing), |event| {
            set(event, &["count"], number(event, "/count").unwrap_or(1) + 1);
            set(event, &["lastTimestamp"], now);
        });
        return;
    }
    let name = format!("{}.{:016x}", super::json::name(object), fastrand::u64(..));
    let event = json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {},
        "involvedObject": {
            "kind": resource.kind, "apiVersion": resource.api_version(), "namespace": namespace,
            "name": super::json::name(object), "uid": super::json::uid(object),
            "resourceVersion": text(object, "/metadata/resourceVersion"),
        },
        "type": kind, "reason": reason, "message": message, "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
        "source": {"component": source(storage)}, "reportingComponent": source(storage),
        "reportingInstance": "",
    });
    let _ = store.create(Key::new(EVENTS, namespace, &name), event);
    forget_oldest(store);
}

/// Whether there is an event with this reason about `object`.
pub(in crate::sim) fn is_recorded(store: &Store, object: &Value, reason: &str) -> bool {
    let (_, events) = store.list(EVENTS, Some(super::json::namespace(object)));
    events.iter().any(|event| {
        text(event, "/involvedObject/uid") == super::json::uid(object)
            && text(event, "/reason") == reason
    })
}

fn source(storage: &str) -> &'static str {
    match storage {
        "pods" => "kubelet",
        "replicasets" => "replicaset-controller",
        "statefulsets" => "statefulset-controller",
        "daemonsets" => "daemonset-controller",
        _ => "deployment-controller",
    }
}

/// Keeps the number of events bounded.
pub(in crate::sim) fn forget_oldest(store: &Store) {
    let (_, mut events) = store.list(EVENTS, None);
    if events.len() <= KEPT_EVENTS {
        return;
    }
    events.sort_by_key(|event| {
        text(event, "/metadata/resourceVersion").parse::<u64>().unwrap_or_default()
    });
    for event in &events[..events.len() - KEPT_EVENTS] {
        store.remove(&Key::of(EVENTS, event));
    }
}

/// The stored (core) form of what a client of `resource` has sent.
pub(in crate::sim) fn stored_form(resource: &Resource, mut object: Value) -> Value {
    if resource.group != "events.k8s.io" {
        return object;
    }
    rename(&mut object, "regarding", "involvedObject");
    rename(&mut object, "note", "message");
    rename(&mut object, "reportingController", "reportingComponent");
    rename(&mut object, "deprecatedSource", "source");
    rename(&mut object, "deprecatedFirstTimestamp", "firstTimestamp");
    rename(&mut object, "deprecatedLastTimestamp", "lastTimestamp");
    rename(&mut object, "deprecatedCount", "count");
    set(&mut object, &["apiVersion"], "v1");
    object
}

/// What a client of `resource` is shown of a stored object.
pub(in crate::sim) fn view(resource: &Resource, object: &Value) -> Value {
    let mut object = object.clone();
    if resource.group != "events.k8s.io" {
        return object;
    }
    rename(&mut object, "involvedObject", "regarding");
    rename(&mut object, "message", "note");
    rename(&mut object, "reportingComponent", "reportingController");
    rename(&mut object, "source", "deprecatedSource");
    rename(&mut object, "firstTimestamp", "deprecatedFirstTimestamp");
    rename(&mut object, "lastTimestamp", "deprecatedLastTimestamp");
    rename(&mut object, "count", "deprecatedCount");
    set(&mut object, &["apiVersion"], resource.api_version());
    object
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(value) = unset(object, &[from]) {
        set(object, &[to], value);
    }
}
