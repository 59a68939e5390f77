//! Keeps as many pods as a ReplicaSet asks for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ownership::{mark_for_deletion, owned};
use super::template::{create_pod, is_active, is_available, is_ready};
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{map, name, number, set, text};
use crate::sim::kubernetes::resource::{PODS, REPLICA_SETS};
use crate::sim::kubernetes::store::{Key, Store};
use crate::sim::kubernetes::verbs::random_suffix;

pub(super) fn reconcile(store: &Store) {
    for set in store.list(REPLICA_SETS, None).1 {
        let pods: Vec<Arc<Value>> =
            owned(store, PODS, &set).into_iter().filter(|pod| is_active(pod)).collect();
        let wanted = usize::try_from(number(&set, "/spec/replicas").unwrap_or(0)).unwrap_or(0);
        for _ in pods.len()..wanted {
            let name = format!("{}-{}", name(&set), random_suffix());
            create_pod(store, REPLICA_SETS, &set, &name, None);
        }
        if pods.len() > wanted {
            remove_some(store, &set, &pods, pods.len() - wanted);
        }
        update_status(store, &set);
    }
}

/// The annotation by which somebody says which pods go first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Pods that are not ready go first, then those of the lowest cost, then the youngest.
fn remove_some(store: &Store, set: &Value, pods: &[Arc<Value>], surplus: usize) {
    let mut pods: Vec<&Arc<Value>> = pods.iter().collect();
    pods.sort_by_key(|pod| {
        let created = text(pod, "/metadata/creationTimestamp").to_owned();
        (is_ready(pod), deletion_cost(pod), std::cmp::Reverse(created))
    });
    for pod in pods.into_iter().take(surplus) {
        mark_for_deletion(store, &Key::of(PODS, pod));
        let message = format!("Deleted pod: {}", name(pod));
        record(store, REPLICA_SETS, set, false, "SuccessfulDelete", &message);
    }
}

fn deletion_cost(pod: &Value) -> i64 {
    let cost = map(pod, "/metadata/annotations").and_then(|all| all.get(DELETION_COST)?.as_str());
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn update_status(store: &Store, replica_set: &Value) {
    let pods = owned(store, PODS, replica_set);
    let active = pods.iter().filter(|pod| is_active(pod)).count();
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let least = number(replica_set, "/spec/minReadySeconds").unwrap_or(0);
    let available = pods.iter().filter(|pod| is_available(pod, least, store.time())).count();
    store.update(&Key::of(REPLICA_SETS, replica_set), |object| {
        let status = json!({
            "replicas": active, "fullyLabeledReplicas": active, "readyReplicas": ready,
            "availableReplicas": available,
            "observedGeneration": number(object, "/metadata/generation"),
        });
        set(object, &["status"], status);
    });
}
