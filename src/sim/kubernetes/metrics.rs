//! The metrics server: CPU and memory of pods and nodes, as the load model has it.

use serde_json::{Value, json};

use super::json::{condition, is_terminating, name, namespace, text, uid};
use super::resource::{NODES, PODS, Resource};
use super::server::Api;
use crate::sim::labels::component_of;
use crate::sim::load::Usage;

/// All `PodMetrics` or `NodeMetrics` (of one namespace, if given).
pub(in crate::sim) fn list(
    api: &Api,
    resource: &Resource,
    in_namespace: Option<&str>,
) -> Vec<Value> {
    let (_, pods) = api.store.list(PODS, None);
    let measured: Vec<(&Value, Usage)> = pods
        .iter()
        .map(AsRef::as_ref)
        .filter(|pod| is_running(pod))
        .map(|pod| (pod, usage(api, pod)))
        .collect();
    if resource.plural == NODES {
        let total = measured.iter().fold(Usage::default(), |sum, (_, usage)| Usage {
            cpu_milli: sum.cpu_milli + usage.cpu_milli,
            memory_bytes: sum.memory_bytes + usage.memory_bytes,
        });
        let (_, nodes) = api.store.list(NODES, None);
        return nodes.iter().map(|node| node_metrics(api, node, total)).collect();
    }
    measured
        .into_iter()
        .filter(|(pod, _)| in_namespace.is_none_or(|wanted| wanted == namespace(pod)))
        .map(|(pod, usage)| pod_metrics(api, pod, usage))
        .collect()
}

fn is_running(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Running"
        && pod.pointer("/status/containerStatuses/0/state/running").is_some()
}

fn serves(pod: &Value) -> bool {
    condition(pod, "Ready") == "True" && !is_terminating(pod)
}

fn usage(api: &Api, pod: &Value) -> Usage {
    let component = component_of(pod).unwrap_or_default();
    let (_, pods) = api.store.list(PODS, Some(namespace(pod)));
    let serving =
        pods.iter().filter(|other| serves(other) && component_of(other) == Some(component)).count();
    let exact = api.load.usage(component, serving as u64, serves(pod));
    let held = api.load.held().and_then(|held| held.memory_of(uid(pod)));
    let exact = Usage { memory_bytes: held.unwrap_or(exact.memory_bytes), ..exact };
    // No two samples are ever quite equal.
    let wobble = 980 + fastrand::u64(..40);
    Usage { cpu_milli: exact.cpu_milli * wobble / 1_000, ..exact }
}

fn amounts(usage: Usage) -> Value {
    json!({
        "cpu": format!("{}n", usage.cpu_milli * 1_000_000),
        "memory": format!("{}Ki", usage.memory_bytes / 1_024),
    })
}

fn pod_metrics(api: &Api, pod: &Value, usage: Usage) -> Value {
    let now = api.store.now();
    let container = text(pod, "/spec/containers/0/name");
    json!({
        "kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {
            "name": name(pod), "namespace": namespace(pod),
            "labels": pod.pointer("/metadata/labels"), "creationTimestamp": now,
        },
        "timestamp": now, "window": "1s",
        "containers": [{"name": container, "usage": amounts(usage)}],
    })
}

fn node_metrics(api: &Api, node: &Value, usage: Usage) -> Value {
    let now = api.store.now();
    json!({
        "kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": name(node), "creationTimestamp": now},
        "timestamp": now, "window": "1s", "usage": amounts(usage),
    })
}
