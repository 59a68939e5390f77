//! StatefulSets and DaemonSets: pods directly, replaced one at a time when the template changes.

mod revisions;

use serde_json::{Value, json};

use super::ownership::{mark_for_deletion, owned};
use super::template::{REVISION_HASH, create_pod, hash, is_active, is_ready, revision_of};
use crate::sim::kubernetes::json::{is_terminating, name, number, set, text};
use crate::sim::kubernetes::resource::{DAEMON_SETS, NODES, PODS, STATEFUL_SETS};
use crate::sim::kubernetes::store::{Key, Store};
use crate::sim::kubernetes::verbs::random_suffix;

pub(super) fn reconcile(store: &Store) {
    for object in store.list(STATEFUL_SETS, None).1 {
        let wanted = usize::try_from(number(&object, "/spec/replicas").unwrap_or(0)).unwrap_or(0);
        reconcile_one(store, STATEFUL_SETS, &object, wanted);
    }
    let nodes = store.list(NODES, None).1.len();
    for object in store.list(DAEMON_SETS, None).1 {
        reconcile_one(store, DAEMON_SETS, &object, nodes);
    }
}

fn reconcile_one(store: &Store, storage: &'static str, object: &Value, wanted: usize) {
    let hash = object.pointer("/spec/template").map(hash).unwrap_or_default();
    revisions::keep(store, storage, object, &hash);
    // A StatefulSet's pods bear the name of their revision, a DaemonSet's only its hash.
    let revision = if storage == STATEFUL_SETS { format!("{}-{hash}", name(object)) } else { hash };
    let pods = owned(store, PODS, object);
    let label = Some((REVISION_HASH, revision.as_str()));
    if storage == STATEFUL_SETS {
        // One after the other, each only when those before it are ready.
        for ordinal in 0..wanted {
            let pod_name = format!("{}-{ordinal}", name(object));
            match pods.iter().find(|pod| name(pod) == pod_name) {
                Some(pod) if is_ready(pod) => {}
                Some(_) => break,
                None => {
                    create_pod(store, storage, object, &pod_name, label);
                    break;
                }
            }
        }
    } else {
        for _ in pods.len()..wanted {
            let pod_name = format!("{}-{}", name(object), random_suffix());
            create_pod(store, storage, object, &pod_name, label);
        }
    }
    let parallel = text(object, "/spec/podManagementPolicy") == "Parallel";
    let in_order = storage == STATEFUL_SETS && !parallel;
    remove_one(store, object, wanted, &revision, in_order);
    update_status(store, storage, object, wanted, &revision);
}

/// Removes the last surplus pod, or replaces the last outdated one, while all pods are there and
/// ready. One that is not ready is replaced as well, but never by a StatefulSet that keeps its
/// pods in order: it waits until somebody has deleted it.
fn remove_one(store: &Store, object: &Value, wanted: usize, revision: &str, in_order: bool) {
    let pods = owned(store, PODS, object);
    if pods.iter().any(|pod| is_terminating(pod)) {
        return;
    }
    let surplus = if pods.len() > wanted { pods.last() } else { None };
    let all_ready = pods.len() >= wanted && pods.iter().all(|pod| is_ready(pod));
    let may_go = |pod: &Value| all_ready || !in_order && !is_ready(pod);
    let outdated = pods.iter().rev().find(|pod| revision_of(pod) != revision && may_go(pod));
    if let Some(pod) = surplus.or(outdated) {
        mark_for_deletion(store, &Key::of(PODS, pod));
    }
}

fn update_status(
    store: &Store,
    storage: &'static str,
    owner: &Value,
    wanted: usize,
    revision: &str,
) {
    let pods = owned(store, PODS, owner);
    let active = pods.iter().filter(|pod| is_active(pod)).count();
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let updated = pods.iter().filter(|pod| is_active(pod) && revision_of(pod) == revision).count();
    store.update(&Key::of(storage, owner), |object| {
        let generation = number(object, "/metadata/generation");
        let previous = object.pointer("/status/currentRevision").cloned();
        let complete = updated == wanted && ready == wanted;
        let newest = json!(revision);
        let current = if complete { newest.clone() } else { previous.unwrap_or(newest.clone()) };
        let status = if storage == STATEFUL_SETS {
            json!({"replicas": active, "readyReplicas": ready, "availableReplicas": ready,
                "updatedReplicas": updated, "currentReplicas": active - updated.min(active),
                "currentRevision": current, "updateRevision": newest,
                "observedGeneration": generation})
        } else {
            json!({"desiredNumberScheduled": wanted, "currentNumberScheduled": active,
                "numberReady": ready, "numberAvailable": ready, "numberMisscheduled": 0,
                "numberUnavailable": wanted.saturating_sub(ready),
                "updatedNumberScheduled": updated, "observedGeneration": generation})
        };
        set(object, &["status"], status);
    });
}
