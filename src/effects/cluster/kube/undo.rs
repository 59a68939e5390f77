//! Whether and how a Deployment returns to an earlier revision: from the objects as the API gives
//! them to the patch. Pure.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::effects::RollbackRequest;

use super::changes::{RESTART_KEY, rollback_annotations};
use super::revisions::{Numbered, TEMPLATE_HASH, content};
use super::workloads::{controller, is_milvus};

/// Why there is no rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense, now or later.
    Never(String),
    /// It was decided on what is not so any more.
    Changed(String),
    /// The revision to return to is not kept any more.
    Gone,
}

/// The merge patch that returns the Deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo(pub Value);

/// Whether this very rollback was carried out before.
pub fn is_done(deployment: &DynamicObject, request: &RollbackRequest) -> bool {
    let annotations = deployment.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get(RESTART_KEY)) == Some(&request.idempotency_key)
}

/// Refuses what a rollback would not help, or what is not falconer's to change.
pub fn check(deployment: &DynamicObject) -> Result<(), Refusal> {
    let never = |why: String| Err(Refusal::Never(why));
    if let Some(owner) = controller(&deployment.metadata) {
        let (kind, name) = (&owner.kind, &owner.name);
        return never(if is_milvus(owner) {
            format!(
                "milvus-operator would undo it: return the custom resource {name} to its earlier \
                 state"
            )
        } else {
            format!("{kind} {name} owns it and decides on its template")
        });
    }
    let spec = &deployment.data["spec"];
    if spec["paused"] == true {
        return never("its rollout is paused; `kubectl rollout resume` it first".to_owned());
    }
    if spec["replicas"] == 0 {
        return never("it has no replicas".to_owned());
    }
    Ok(())
}

/// The labels by which the Deployment finds its `ReplicaSets`.
pub fn selector(deployment: &DynamicObject) -> String {
    let labels = deployment.data["spec"]["selector"]["matchLabels"].as_object();
    let pairs = labels.into_iter().flatten();
    let pairs = pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Vec<_>>().join(",")
}

/// The patch, if the newest revision still is the one that is to be left.
pub fn patch(
    deployment: &DynamicObject,
    sets: &[DynamicObject],
    request: &RollbackRequest,
) -> Result<Undo, Refusal> {
    let template = |object: &DynamicObject| object.data["spec"]["template"].clone();
    let uid = deployment.metadata.uid.as_deref();
    let is_own = |set: &&DynamicObject| {
        controller(&set.metadata).is_some_and(|owner| Some(owner.uid.as_str()) == uid)
    };
    let mut known: Vec<(Numbered, &DynamicObject)> = sets
        .iter()
        .filter(is_own)
        .filter_map(|set| Some((Numbered::of(&set.metadata, content(template(set)))?, set)))
        .collect();
    known.sort_by_key(|(one, _)| std::cmp::Reverse(one.number));
    let changed = |why: String| Err(Refusal::Changed(why));
    let now = template(deployment);
    let Some((newest, _)) = known.first() else {
        return changed("its controller has not begun with its newest template".to_owned());
    };
    if newest.content != content(now.clone()) {
        return changed("its controller has not begun with its newest template".to_owned());
    }
    // A restart gives the same revision a new number.
    let mut block = known.iter().take_while(|(one, _)| one.content == newest.content);
    if !block.any(|(one, _)| one.number == request.from_revision) {
        let (number, from) = (newest.number, request.from_revision);
        return changed(format!("its newest revision is {number} now, not {from}"));
    }
    let wanted = known.iter().find(|(one, _)| one.number == request.to_revision);
    let Some((to, set)) = wanted else { return Err(Refusal::Gone) };
    if to.content == newest.content {
        let (to, from) = (request.to_revision, request.from_revision);
        return Err(Refusal::Never(format!("revision {to} is the same as revision {from}")));
    }
    Ok(Undo(json!({
        "metadata": {
            "resourceVersion": deployment.metadata.resource_version,
            "annotations": rollback_annotations(request),
        },
        "spec": {"template": difference(&now, &earlier(template(set)))},
    })))
}

/// A template as its `ReplicaSet` keeps it, without what the controller added.
fn earlier(mut template: Value) -> Value {
    if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

/// The merge patch (RFC 7396) that makes `to` of `from`.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return to.clone() };
    let mut changes = Map::new();
    for key in old.keys().filter(|key| new.get(*key).is_none_or(Value::is_null)) {
        changes.insert(key.clone(), Value::Null);
    }
    for (key, value) in new.iter().filter(|(_, value)| !value.is_null()) {
        match old.get(key) {
            Some(same) if same == value => {}
            Some(other) => {
                changes.insert(key.clone(), difference(other, value));
            }
            None => {
                changes.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(changes)
}

#[cfg(test)]
mod tests;
