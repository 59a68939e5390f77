//! Rolls Deployments: one ReplicaSet for each revision of the template, the newest one growing
//! while the others shrink, within maxSurge and maxUnavailable.

mod progress;

use std::sync::Arc;

use serde_json::{Value, json};

use super::ownership::{owned, reference, resource_of};
use super::template::{TEMPLATE_HASH, hash, revision_of};
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{map, name, namespace, number, set, text};
use crate::sim::kubernetes::resource::{DEPLOYMENTS, REPLICA_SETS};
use crate::sim::kubernetes::store::{Key, Store};

const REVISION: &str = "deployment.kubernetes.io/revision";
/// How many empty old ReplicaSets are kept where the Deployment does not say.
const KEPT_REVISIONS: i64 = 10;

pub(super) fn reconcile(store: &Store) {
    for deployment in store.list(DEPLOYMENTS, None).1 {
        let paused = deployment.pointer("/spec/paused") == Some(&Value::Bool(true));
        let newest = newest_replica_set(store, &deployment, !paused);
        if let Some(newest) = newest {
            let sets = owned(store, REPLICA_SETS, &deployment);
            let old: Vec<Arc<Value>> =
                sets.into_iter().filter(|other| name(other) != name(&newest)).collect();
            roll(store, &deployment, &newest, &old);
            forget_old(store, &deployment, &old);
        }
        progress::update_status(store, &deployment);
    }
}

fn desired(object: &Value) -> i64 {
    number(object, "/spec/replicas").unwrap_or(0)
}

fn available(object: &Value) -> i64 {
    number(object, "/status/availableReplicas").unwrap_or(0)
}

/// The number of a revision, which Deployments and ReplicaSets bear.
pub(in crate::sim) fn revision_number(object: &Value) -> u64 {
    let annotation = object.pointer("/metadata/annotations").and_then(|all| all.get(REVISION));
    annotation.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The ReplicaSet of the present template; made if it is not there and may be.
fn newest_replica_set(store: &Store, deployment: &Value, create: bool) -> Option<Arc<Value>> {
    let template = deployment.pointer("/spec/template")?;
    let revision = hash(template);
    let sets = owned(store, REPLICA_SETS, deployment);
    let highest = sets.iter().map(|other| revision_number(other)).max().unwrap_or(0);
    let existing = sets.iter().find(|other| revision_of(other) == revision);
    let newest = match existing {
        Some(existing) if revision_number(existing) == highest => Arc::clone(existing),
        // A return to an earlier template makes its ReplicaSet the newest again.
        Some(existing) => store.update(&Key::of(REPLICA_SETS, existing), |object| {
            set(object, &["metadata", "annotations", REVISION], (highest + 1).to_string());
        })?,
        None if create => create_replica_set(store, deployment, &revision, highest + 1)?,
        None => return sets.into_iter().max_by_key(|other| revision_number(other)),
    };
    let number = revision_number(&newest).to_string();
    store.update(&Key::of(DEPLOYMENTS, deployment), |object| {
        set(object, &["metadata", "annotations", REVISION], number);
    });
    Some(newest)
}

fn create_replica_set(
    store: &Store,
    deployment: &Value,
    revision: &str,
    revision_number: u64,
) -> Option<Arc<Value>> {
    let mut template = deployment.pointer("/spec/template")?.clone();
    set(&mut template, &["metadata", "labels", TEMPLATE_HASH], revision);
    let mut selector = deployment.pointer("/spec/selector").cloned().unwrap_or_default();
    set(&mut selector, &["matchLabels", TEMPLATE_HASH], revision);
    let wanted = desired(deployment);
    let most = (wanted + bounds(deployment, wanted).0).to_string();
    let mut annotations = map(deployment, "/metadata/annotations").cloned().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    for (key, value) in [
        (REVISION, revision_number.to_string()),
        ("deployment.kubernetes.io/desired-replicas", wanted.to_string()),
        ("deployment.kubernetes.io/max-replicas", most),
    ] {
        annotations.insert(key.to_owned(), Value::String(value));
    }
    let object = json!({
        "kind": "ReplicaSet", "apiVersion": "apps/v1",
        "metadata": {
            "labels": template.pointer("/metadata/labels"),
            "annotations": annotations,
            "ownerReferences": reference(resource_of(DEPLOYMENTS), deployment),
        },
        "spec": {"replicas": 0, "selector": selector, "template": template,
            "minReadySeconds": number(deployment, "/spec/minReadySeconds").unwrap_or(0)},
        "status": {"replicas": 0},
    });
    let name = format!("{}-{revision}", name(deployment));
    store.create(Key::new(REPLICA_SETS, namespace(deployment), &name), object).ok()
}

fn roll(store: &Store, deployment: &Value, newest: &Value, old: &[Arc<Value>]) {
    let wanted = desired(deployment);
    let old_total: i64 = old.iter().map(|other| desired(other)).sum();
    let (surge, unavailable) = bounds(deployment, wanted);
    let recreate = text(deployment, "/spec/strategy/type") == "Recreate";
    if recreate && old_total > 0 {
        for other in old {
            scale(store, deployment, other, 0);
        }
        return;
    }
    let current = desired(newest);
    let grown = if old_total == 0 || current > wanted {
        wanted
    } else {
        current + (wanted - current).min((wanted + surge - current - old_total).max(0))
    };
    scale(store, deployment, newest, grown);
    shrink(store, deployment, (newest, grown), old, wanted - unavailable);
}

/// Takes away old pods: first such as are not available, then such as are not needed any more to
/// have `minimum` available ones. The new pods that are not available yet do not count.
fn shrink(
    store: &Store,
    deployment: &Value,
    (newest, grown): (&Value, i64),
    old: &[Arc<Value>],
    minimum: i64,
) {
    let all: i64 = grown + old.iter().map(|other| desired(other)).sum::<i64>();
    let mut may_go = all - minimum - (grown - available(newest)).max(0);
    let mut to_spare = available(newest)
        + old.iter().map(|other| available(other).min(desired(other))).sum::<i64>()
        - minimum;
    for other in old {
        let (replicas, ready) = (desired(other), available(other).min(desired(other)));
        let useless = (replicas - ready).min(may_go).max(0);
        let spared = ready.min(to_spare).min(may_go - useless).max(0);
        may_go -= useless + spared;
        to_spare -= spared;
        scale(store, deployment, other, replicas - useless - spared);
    }
}

/// maxSurge and maxUnavailable as numbers of pods.
fn bounds(deployment: &Value, replicas: i64) -> (i64, i64) {
    let bound = |field: &str, round_up: bool| {
        let value = deployment.pointer(&format!("/spec/strategy/rollingUpdate/{field}"));
        match value {
            Some(Value::Number(number)) => number.as_i64().unwrap_or(0),
            Some(Value::String(percent)) => {
                let percent = percent.trim_end_matches('%').parse::<i64>().unwrap_or(25);
                (percent * replicas + if round_up { 99 } else { 0 }) / 100
            }
            _ => (25 * replicas + if round_up { 99 } else { 0 }) / 100,
        }
    };
    let (surge, unavailable) = (bound("maxSurge", true), bound("maxUnavailable", false));
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

fn scale(store: &Store, deployment: &Value, replica_set: &Value, replicas: i64) {
    let before = desired(replica_set);
    if before == replicas {
        return;
    }
    store.update(&Key::of(REPLICA_SETS, replica_set), |object| {
        set(object, &["spec", "replicas"], replicas);
    });
    let direction = if replicas > before { "up" } else { "down" };
    let message =
        format!("Scaled {direction} replica set {} from {before} to {replicas}", name(replica_set));
    record(store, DEPLOYMENTS, deployment, false, "ScalingReplicaSet", &message);
}

fn forget_old(store: &Store, deployment: &Value, old: &[Arc<Value>]) {
    let kept = number(deployment, "/spec/revisionHistoryLimit").unwrap_or(KEPT_REVISIONS);
    let kept = usize::try_from(kept).unwrap_or(0);
    let mut empty: Vec<&Arc<Value>> = old
        .iter()
        .filter(|other| desired(other) == 0 && number(other, "/status/replicas").unwrap_or(0) == 0)
        .collect();
    empty.sort_by_key(|other| revision_number(other));
    for other in empty.iter().take(empty.len().saturating_sub(kept)) {
        store.remove(&Key::of(REPLICA_SETS, other));
    }
}
