//! Deleting objects: preconditions, grace periods and finalizers.

use std::sync::Arc;

use axum::response::Response;
use serde_json::{Value, json};

use super::json::{self, list, number, set, text};
use super::request::{Call, Target};
use super::resource::{PODS, Resource};
use super::server::Api;
use super::status::{Failure, answer};
use super::store::{Key, Store};
use super::verbs::selector_of;

/// The grace that a pod has when nobody says otherwise, in seconds.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// What a deletion is to look like.
#[derive(Debug, Default)]
pub(in crate::sim) struct DeleteOptions {
    pub(in crate::sim) grace: Option<i64>,
    pub(in crate::sim) dry_run: bool,
    uid: String,
    version: String,
}

impl DeleteOptions {
    /// From a `DeleteOptions` object, or none.
    pub(in crate::sim) fn of(options: &Value) -> Self {
        Self {
            grace: number(options, "/gracePeriodSeconds"),
            dry_run: list(options, "/dryRun").iter().any(|entry| entry == "All"),
            uid: text(options, "/preconditions/uid").to_owned(),
            version: text(options, "/preconditions/resourceVersion").to_owned(),
        }
    }

    fn of_call(call: &Call) -> Result<Self, Failure> {
        let mut options = Self::of(&call.optional_json()?);
        options.dry_run |= call.is_dry_run();
        if options.grace.is_none() {
            options.grace = call.whole_number("gracePeriodSeconds")?;
        }
        Ok(options)
    }

    /// Refuses to delete another object than the one that was meant.
    pub(in crate::sim) fn check(&self, resource: &Resource, object: &Value) -> Result<(), Failure> {
        let (uid, version) = (json::uid(object), text(object, "/metadata/resourceVersion"));
        let reason = if !self.uid.is_empty() && self.uid != uid {
            format!(
                "the UID in the precondition ({}) does not match the UID in record ({uid}). The \
                 object might have been deleted and then recreated",
                self.uid
            )
        } else if !self.version.is_empty() && self.version != version {
            format!(
                "the ResourceVersion in the precondition ({}) does not match the ResourceVersion \
                 in record ({version}). The object might have been modified",
                self.version
            )
        } else {
            return Ok(());
        };
        Err(Failure::conflict_because(resource, json::name(object), &reason))
    }
}

/// Deletes one object; pods gracefully.
pub(in crate::sim) fn delete(api: &Api, target: &Target, call: &Call) -> Result<Response, Failure> {
    let resource = target.resource;
    let key = target.key()?;
    let not_found = || Failure::not_found(resource, &key.name);
    let current = api.store.get(&key).ok_or_else(not_found)?;
    let options = DeleteOptions::of_call(call)?;
    options.check(resource, &current)?;
    if options.dry_run {
        return Ok(answer(200, &current));
    }
    let last = remove(&api.store, &key, options.grace).ok_or_else(not_found)?;
    if resource.storage == PODS || json::is_terminating(&last) {
        return Ok(answer(200, &last));
    }
    let details = json!({"name": key.name, "group": resource.group, "kind": resource.plural,
        "uid": json::uid(&last)});
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": details});
    Ok(answer(200, &status))
}

/// Begins the end of an object, or ends it at once where nothing is to be waited for: no grace
/// and no finalizer. Gives its last state.
pub(in crate::sim) fn remove(store: &Store, key: &Key, grace: Option<i64>) -> Option<Arc<Value>> {
    let object = store.get(key)?;
    let grace = if key.storage == PODS { grace_of(&object, grace) } else { 0 };
    if grace == 0 && !has_finalizers(&object) {
        return store.remove(key);
    }
    let (now, end) = (store.now(), store.time_in(grace));
    store.update(key, |object| {
        let running = number(object, "/metadata/deletionGracePeriodSeconds");
        // Asking again can only make it shorter.
        if running.is_some_and(|running| running <= grace) {
            return;
        }
        let end = if grace == 0 { now } else { end };
        set(object, &["metadata", "deletionTimestamp"], end);
        set(object, &["metadata", "deletionGracePeriodSeconds"], grace);
    })
}

fn grace_of(pod: &Value, asked: Option<i64>) -> i64 {
    let ended = matches!(text(pod, "/status/phase"), "Failed" | "Succeeded");
    let unscheduled = text(pod, "/spec/nodeName").is_empty();
    if ended || unscheduled {
        return 0;
    }
    let grace = asked.or_else(|| number(pod, "/spec/terminationGracePeriodSeconds"));
    let grace = grace.unwrap_or(DEFAULT_GRACE_SECONDS);
    if grace < 0 { 1 } else { grace }
}

fn has_finalizers(object: &Value) -> bool {
    !list(object, "/metadata/finalizers").is_empty()
}

/// Removes an object whose end was only waiting for its finalizers, once a write has taken them.
pub(in crate::sim) fn finish(store: &Store, key: &Key, object: &Value) {
    let grace = number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
    if json::is_terminating(object) && grace == 0 && !has_finalizers(object) {
        store.remove(key);
    }
}

/// Deletes everything that is selected.
pub(in crate::sim) fn delete_collection(
    api: &Api,
    target: &Target,
    call: &Call,
) -> Result<Response, Failure> {
    let resource = target.resource;
    let selector = selector_of(resource, call)?;
    let options = DeleteOptions::of_call(call)?;
    let (revision, objects) = api.store.list(resource.storage, target.namespace.as_deref());
    let selected: Vec<&Value> =
        objects.iter().map(AsRef::as_ref).filter(|object| selector.matches(object)).collect();
    if !options.dry_run {
        for object in &selected {
            remove(&api.store, &Key::of(resource.storage, object), options.grace);
        }
    }
    let list = json!({
        "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": revision.to_string()}, "items": selected,
    });
    Ok(answer(200, &list))
}
