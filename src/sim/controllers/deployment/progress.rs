//! The status of Deployments: counts, and whether a rollout gets on.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::ownership::owned;
use super::super::template::{hash, revision_of};
use super::{bounds, desired};
use crate::sim::kubernetes::json::{list, name, number, set, set_condition, text};
use crate::sim::kubernetes::resource::{DEPLOYMENTS, REPLICA_SETS};
use crate::sim::kubernetes::store::{Key, Store};

/// The counts of a Deployment's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    total: i64,
    updated: i64,
    ready: i64,
    available: i64,
}

pub(super) fn update_status(store: &Store, deployment: &Value) {
    let sets = owned(store, REPLICA_SETS, deployment);
    let revision = deployment.pointer("/spec/template").map(hash).unwrap_or_default();
    let newest = sets.iter().find(|other| revision_of(other) == revision).cloned();
    let field = |set: &Value, field: &str| number(set, &format!("/status/{field}")).unwrap_or(0);
    let sum = |name: &str| -> i64 { sets.iter().map(|other| field(other, name)).sum() };
    let counts = Counts {
        total: sum("replicas"),
        updated: newest.as_ref().map_or(0, |set| field(set, "replicas")),
        ready: sum("readyReplicas"),
        available: sum("availableReplicas"),
    };
    let (now, seconds) = (store.now(), store.time().as_second());
    store.update(&Key::of(DEPLOYMENTS, deployment), |object| {
        let before = Counts {
            total: field(object, "replicas"),
            updated: field(object, "updatedReplicas"),
            ready: field(object, "readyReplicas"),
            available: field(object, "availableReplicas"),
        };
        let wanted = desired(object);
        for (field, count) in [
            ("replicas", counts.total),
            ("updatedReplicas", counts.updated),
            ("readyReplicas", counts.ready),
            ("availableReplicas", counts.available),
            ("unavailableReplicas", (wanted - counts.available).max(0)),
        ] {
            set(object, &["status", field], count);
        }
        let generation = number(object, "/metadata/generation");
        set(object, &["status", "observedGeneration"], generation);
        let minimum = wanted - bounds(object, wanted).1;
        set_condition(object, available_condition(counts.available >= minimum, &now));
        update_progress(object, newest.as_ref(), before, counts, (&now, seconds));
    });
}

/// The condition `Progressing`. A rollout that has completed stays so, however sick its pods
/// become afterwards; one that does not get on for too long says so.
fn update_progress(
    object: &mut Value,
    newest: Option<&Arc<Value>>,
    before: Counts,
    counts: Counts,
    (now, seconds): (&str, i64),
) {
    let wanted = desired(object);
    let newest = newest.map_or("", |set| name(set));
    let current = progressing(object).cloned().unwrap_or_default();
    let about_newest = text(&current, "/message").contains(&format!("\"{newest}\""));
    let reason = text(&current, "/reason");
    if about_newest && reason == "NewReplicaSetAvailable" && counts.total == counts.updated {
        return;
    }
    let complete = counts.updated == wanted && counts.total == wanted && counts.available == wanted;
    let moved = counts != before || !about_newest;
    let deadline = number(object, "/spec/progressDeadlineSeconds").unwrap_or(i64::MAX);
    let since = text(&current, "/lastUpdateTime").parse::<jiff::Timestamp>();
    let overdue = since.is_ok_and(|since| seconds - since.as_second() >= deadline);
    let (status, reason, words) = if complete {
        ("True", "NewReplicaSetAvailable", "has successfully progressed")
    } else if !moved && (overdue || reason == "ProgressDeadlineExceeded") {
        ("False", "ProgressDeadlineExceeded", "has timed out progressing")
    } else {
        ("True", "ReplicaSetUpdated", "is progressing")
    };
    let mut condition = json!({"type": "Progressing", "status": status, "reason": reason,
        "message": format!("ReplicaSet \"{newest}\" {words}."),
        "lastUpdateTime": now, "lastTransitionTime": now});
    if text(&current, "/status") == status {
        set(&mut condition, &["lastTransitionTime"], current["lastTransitionTime"].clone());
    }
    if !moved && text(&current, "/reason") == reason {
        set(&mut condition, &["lastUpdateTime"], current["lastUpdateTime"].clone());
    }
    let mut conditions = list(object, "/status/conditions").to_vec();
    conditions.retain(|other| text(other, "/type") != "Progressing");
    conditions.push(condition);
    set(object, &["status", "conditions"], conditions);
}

fn progressing(object: &Value) -> Option<&Value> {
    let mut conditions = list(object, "/status/conditions").iter();
    conditions.find(|condition| text(condition, "/type") == "Progressing")
}

fn available_condition(available: bool, now: &str) -> Value {
    let (status, reason, message) = if available {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    json!({"type": "Available", "status": status, "reason": reason, "message": message,
        "lastUpdateTime": now, "lastTransitionTime": now})
}
