//! Pods from pod templates.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::ownership::{reference, resource_of};
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{
    condition, is_terminating, list, map, namespace, set, text, unset,
};
use crate::sim::kubernetes::resource::PODS;
use crate::sim::kubernetes::store::{Key, Store};

/// The label with the revision of a Deployment's pod.
pub(in crate::sim) const TEMPLATE_HASH: &str = "pod-template-hash";
/// The label with the revision of a StatefulSet's or a DaemonSet's pod.
pub(in crate::sim) const REVISION_HASH: &str = "controller-revision-hash";

/// The revision that a template stands for, whether or not it bears the label of one.
pub(super) fn hash(template: &Value) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut template = template.clone();
    unset(&mut template, &["metadata", "labels", TEMPLATE_HASH]);
    if template.pointer("/metadata/creationTimestamp") == Some(&Value::Null) {
        unset(&mut template, &["metadata", "creationTimestamp"]);
    }
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    let mut rest = hasher.finish();
    (0..10)
        .map(|_| {
            let index = (rest % ALPHABET.len() as u64) as usize;
            rest /= ALPHABET.len() as u64;
            char::from(ALPHABET[index])
        })
        .collect()
}

/// The revision of a pod or ReplicaSet, from its labels.
pub(in crate::sim) fn revision_of(object: &Value) -> &str {
    let label = |key| map(object, "/metadata/labels")?.get(key)?.as_str();
    label(TEMPLATE_HASH).or_else(|| label(REVISION_HASH)).unwrap_or_default()
}

/// Creates the pod `name` for `owner` and says so in an event.
pub(super) fn create_pod(
    store: &Store,
    storage: &'static str,
    owner: &Value,
    name: &str,
    revision_label: Option<(&str, &str)>,
) {
    let template = owner.pointer("/spec/template").cloned().unwrap_or_default();
    let mut pod = json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": template.get("metadata"),
        "spec": template.get("spec"), "status": {"phase": "Pending", "qosClass": "Burstable"},
    });
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    if let Some((label, revision)) = revision_label {
        set(&mut pod, &["metadata", "labels", label], revision);
    }
    set(&mut pod, &["metadata", "ownerReferences"], reference(resource_of(storage), owner));
    if store.create(Key::new(PODS, namespace(owner), name), pod).is_ok() {
        record(store, storage, owner, false, "SuccessfulCreate", &format!("Created pod: {name}"));
    }
}

/// Whether a pod counts as ready.
pub(in crate::sim) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready") == "True" && !is_terminating(pod)
}

/// Whether a pod has been ready for as long as its workload demands.
pub(super) fn is_available(pod: &Value, min_ready_seconds: i64, now: jiff::Timestamp) -> bool {
    let mut conditions = list(pod, "/status/conditions").iter();
    let ready = conditions.find(|condition| text(condition, "/type") == "Ready");
    let since = ready.and_then(|ready| text(ready, "/lastTransitionTime").parse().ok());
    let since: jiff::Timestamp = since.unwrap_or(now);
    is_ready(pod) && now.as_second() - since.as_second() >= min_ready_seconds
}

/// Puts another image into the first container of a workload's template.
pub(in crate::sim) fn set_image(object: &mut Value, image: &str) {
    if let Some(place) = object.pointer_mut("/spec/template/spec/containers/0/image") {
        *place = json!(image);
    }
}

/// The image of the first container of a workload's template.
pub(super) fn image_of(object: &Value) -> &str {
    text(object, "/spec/template/spec/containers/0/image")
}

/// Whether a pod still counts towards its workload.
pub(super) fn is_active(pod: &Value) -> bool {
    !is_terminating(pod) && !matches!(text(pod, "/status/phase"), "Failed" | "Succeeded")
}
