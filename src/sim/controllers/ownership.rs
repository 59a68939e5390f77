//! Owner references: who made what, and what goes with its owner.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::sim::kubernetes::deletion;
use crate::sim::kubernetes::json::{is_owned_by, list, name, text, uid};
use crate::sim::kubernetes::resource::{
    DAEMON_SETS, DEPLOYMENTS, MILVUSES, PODS, REPLICA_SETS, REVISIONS, Resource, STATEFUL_SETS,
    stored,
};
use crate::sim::kubernetes::store::{Key, Store};

/// The owner reference to `owner`.
pub(super) fn reference(resource: &Resource, owner: &Value) -> Value {
    json!([{
        "apiVersion": resource.api_version(), "kind": resource.kind, "name": name(owner),
        "uid": uid(owner), "controller": true, "blockOwnerDeletion": true,
    }])
}

/// The objects of `storage` that `owner` owns.
pub(super) fn owned(store: &Store, storage: &'static str, owner: &Value) -> Vec<Arc<Value>> {
    let namespace = crate::sim::kubernetes::json::namespace(owner);
    let (_, objects) = store.list(storage, Some(namespace));
    objects.into_iter().filter(|object| is_owned_by(object, uid(owner))).collect()
}

/// Removes what has lost its owner.
pub(super) fn collect_garbage(store: &Store) {
    let mut owners = BTreeSet::new();
    for storage in [MILVUSES, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS] {
        owners.extend(store.list(storage, None).1.iter().map(|object| uid(object).to_owned()));
    }
    for storage in [DEPLOYMENTS, REPLICA_SETS, REVISIONS, PODS] {
        for object in store.list(storage, None).1 {
            let references = list(&object, "/metadata/ownerReferences");
            let orphaned = !references.is_empty()
                && references.iter().all(|entry| !owners.contains(text(entry, "/uid")));
            if !orphaned {
                continue;
            }
            let key = Key::of(storage, &object);
            deletion::remove(store, &key, None);
        }
    }
}

/// Begins the graceful end of a pod.
pub(super) fn mark_for_deletion(store: &Store, key: &Key) {
    deletion::remove(store, key, None);
}

/// The resource under which objects of `storage` are known; only for kinds in the table.
pub(super) fn resource_of(storage: &'static str) -> &'static Resource {
    // The fallback is never reached: the callers' constants are all in the table.
    stored(storage).unwrap_or(&crate::sim::kubernetes::resource::RESOURCES[0])
}
