//! Keeps the status of PodDisruptionBudgets: how many pods may be evicted at the moment.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::template::is_ready;
use crate::sim::kubernetes::json::{is_terminating, list, map, name, namespace, number, set};
use crate::sim::kubernetes::json::{set_condition, text, uid};
use crate::sim::kubernetes::resource::{BUDGETS, DEPLOYMENTS, PODS, REPLICA_SETS, STATEFUL_SETS};
use crate::sim::kubernetes::selector;
use crate::sim::kubernetes::store::{Key, Store};

pub(super) fn reconcile(store: &Store) {
    for budget in store.list(BUDGETS, None).1 {
        update_status(store, &budget);
    }
}

/// Whether the budget is about the pod.
pub(in crate::sim) fn covers(budget: &Value, pod: &Value) -> bool {
    let selector = budget.pointer("/spec/selector");
    namespace(budget) == namespace(pod)
        && selector.is_some_and(|selector| selector::matches_object(selector, pod))
}

fn update_status(store: &Store, budget: &Value) {
    let (_, pods) = store.list(PODS, Some(namespace(budget)));
    let pods: Vec<Arc<Value>> = pods.into_iter().filter(|pod| covers(budget, pod)).collect();
    let expected = expected_pods(store, budget, &pods);
    let desired = desired_healthy(budget, expected);
    // An eviction that was granted counts until its pod is seen on its way out.
    let mut disrupted = map(budget, "/status/disruptedPods").cloned().unwrap_or_else(Map::new);
    disrupted
        .retain(|pod, _| pods.iter().any(|other| name(other) == pod && !is_terminating(other)));
    let healthy =
        pods.iter().filter(|pod| is_ready(pod) && !disrupted.contains_key(name(pod))).count();
    let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let now = store.now();
    store.update(&Key::of(BUDGETS, budget), |budget| {
        let generation = number(budget, "/metadata/generation");
        for (field, value) in [
            ("currentHealthy", json!(healthy)),
            ("desiredHealthy", json!(desired)),
            ("expectedPods", json!(expected)),
            ("disruptionsAllowed", json!(allowed)),
            ("disruptedPods", json!(disrupted)),
            ("observedGeneration", json!(generation)),
        ] {
            set(budget, &["status", field], value);
        }
        let (status, reason) =
            if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        set_condition(
            budget,
            json!({"type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
                "observedGeneration": generation, "lastTransitionTime": now}),
        );
    });
}

/// A plain minAvailable counts the pods that there are, everything else what their owners ask for.
fn expected_pods(store: &Store, budget: &Value, pods: &[Arc<Value>]) -> i64 {
    let counted = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    if budget.pointer("/spec/minAvailable").is_some_and(Value::is_number) {
        return counted;
    }
    let mut owners: Vec<(String, i64)> =
        pods.iter().filter_map(|pod| scale_of_owner(store, pod)).collect();
    owners.sort();
    owners.dedup();
    owners.iter().map(|(_, replicas)| replicas).sum()
}

/// The workload behind a pod by its uid, and the replicas that it asks for.
fn scale_of_owner(store: &Store, pod: &Value) -> Option<(String, i64)> {
    let find = |storage, object: &Value| {
        let owners = list(object, "/metadata/ownerReferences");
        let wanted = owners.first().map(|owner| text(owner, "/uid").to_owned())?;
        let (_, all) = store.list(storage, Some(namespace(object)));
        all.into_iter().find(|other| uid(other) == wanted)
    };
    let owner = match find(REPLICA_SETS, pod) {
        Some(replica_set) => find(DEPLOYMENTS, &replica_set).unwrap_or(replica_set),
        None => find(STATEFUL_SETS, pod)?,
    };
    Some((uid(&owner).to_owned(), number(&owner, "/spec/replicas").unwrap_or(1)))
}

fn desired_healthy(budget: &Value, expected: i64) -> i64 {
    let scaled = |value: &Value| match value {
        Value::String(percent) => {
            let percent = percent.trim_end_matches('%').parse::<i64>().unwrap_or(0);
            (percent * expected + 99) / 100
        }
        number => number.as_i64().unwrap_or(0),
    };
    match (budget.pointer("/spec/maxUnavailable"), budget.pointer("/spec/minAvailable")) {
        (Some(most), _) => (expected - scaled(most)).max(0),
        (None, Some(least)) => scaled(least),
        (None, None) => 0,
    }
}
