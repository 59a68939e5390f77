//! Lists as the tables that `kubectl get` prints.

use serde_json::{Value, json};

use super::json::{condition, is_terminating, list, map, name, number, text};
use super::resource::Resource;
use super::server::Api;

/// One column.
struct Column {
    name: &'static str,
    /// 0: always shown; 1: only in the wide output.
    priority: u8,
    cell: fn(&Value, i64) -> String,
}

const fn column(name: &'static str, cell: fn(&Value, i64) -> String) -> Column {
    Column { name, priority: 0, cell }
}

const fn wide(name: &'static str, cell: fn(&Value, i64) -> String) -> Column {
    Column { name, priority: 1, cell }
}

const NAME: Column = column("Name", |object, _| name(object).to_owned());
const AGE: Column =
    column("Age", |object, now| age(text(object, "/metadata/creationTimestamp"), now));
const NAME_AND_AGE: &[Column] = &[NAME, AGE];

const PODS: &[Column] = &[
    NAME,
    column("Ready", |pod, _| {
        let containers = list(pod, "/status/containerStatuses");
        let ready = containers.iter().filter(|entry| entry["ready"] == true).count();
        format!("{ready}/{}", list(pod, "/spec/containers").len())
    }),
    column("Status", |pod, _| pod_status(pod).to_owned()),
    column("Restarts", |pod, _| count(pod, "/status/containerStatuses/0/restartCount")),
    AGE,
    wide("IP", |pod, _| or_none(text(pod, "/status/podIP"))),
    wide("Node", |pod, _| or_none(text(pod, "/spec/nodeName"))),
];

const WORKLOADS: &[Column] = &[
    NAME,
    column("Ready", |object, _| {
        format!("{}/{}", count(object, "/status/readyReplicas"), count(object, "/spec/replicas"))
    }),
    column("Up-to-date", |object, _| count(object, "/status/updatedReplicas")),
    column("Available", |object, _| count(object, "/status/availableReplicas")),
    AGE,
    wide("Containers", |object, _| {
        text(object, "/spec/template/spec/containers/0/name").to_owned()
    }),
    wide("Images", |object, _| text(object, "/spec/template/spec/containers/0/image").to_owned()),
];

const REPLICA_SETS: &[Column] = &[
    NAME,
    column("Desired", |object, _| count(object, "/spec/replicas")),
    column("Current", |object, _| count(object, "/status/replicas")),
    column("Ready", |object, _| count(object, "/status/readyReplicas")),
    AGE,
];

const DAEMON_SETS: &[Column] = &[
    NAME,
    column("Desired", |object, _| count(object, "/status/desiredNumberScheduled")),
    column("Current", |object, _| count(object, "/status/currentNumberScheduled")),
    column("Ready", |object, _| count(object, "/status/numberReady")),
    AGE,
];

const EVENTS: &[Column] = &[
    column("Last Seen", |event, now| {
        let seen = [
            "/lastTimestamp",
            "/deprecatedLastTimestamp",
            "/eventTime",
            "/metadata/creationTimestamp",
        ];
        let seen = seen.into_iter().map(|path| text(event, path)).find(|time| !time.is_empty());
        age(seen.unwrap_or_default(), now)
    }),
    column("Type", |event, _| text(event, "/type").to_owned()),
    column("Reason", |event, _| text(event, "/reason").to_owned()),
    column("Object", |event, _| {
        let about = event.get("involvedObject").or_else(|| event.get("regarding"));
        let about = about.unwrap_or(&Value::Null);
        format!("{}/{}", text(about, "/kind").to_lowercase(), text(about, "/name"))
    }),
    column("Message", |event, _| {
        format!("{}{}", text(event, "/message"), text(event, "/note")).trim().to_owned()
    }),
    wide("Count", |event, _| count(event, "/count")),
];

const SERVICES: &[Column] = &[
    NAME,
    column("Type", |service, _| text(service, "/spec/type").to_owned()),
    column("Cluster-IP", |service, _| or_none(text(service, "/spec/clusterIP"))),
    column("External-IP", |_, _| "<none>".to_owned()),
    column("Port(s)", |service, _| {
        let ports = list(service, "/spec/ports").iter();
        ports.map(|port| format!("{}/TCP", count(port, "/port"))).collect::<Vec<_>>().join(",")
    }),
    AGE,
];

const NAMESPACES: &[Column] =
    &[NAME, column("Status", |object, _| text(object, "/status/phase").to_owned()), AGE];

const NODES: &[Column] = &[
    NAME,
    column("Status", |node, _| {
        if condition(node, "Ready") == "True" { "Ready" } else { "NotReady" }.to_owned()
    }),
    column("Roles", |_, _| "<none>".to_owned()),
    AGE,
    column("Version", |node, _| text(node, "/status/nodeInfo/kubeletVersion").to_owned()),
];

const AUTOSCALERS: &[Column] = &[
    NAME,
    column("Reference", |object, _| {
        let target = &object["spec"]["scaleTargetRef"];
        format!("{}/{}", text(target, "/kind"), text(target, "/name"))
    }),
    column("MinPods", |object, _| count(object, "/spec/minReplicas")),
    column("MaxPods", |object, _| count(object, "/spec/maxReplicas")),
    column("Replicas", |object, _| count(object, "/status/currentReplicas")),
    AGE,
];

const LEASES: &[Column] =
    &[NAME, column("Holder", |lease, _| text(lease, "/spec/holderIdentity").to_owned()), AGE];

const CONFIG_MAPS: &[Column] = &[
    NAME,
    column("Data", |object, _| map(object, "/data").map_or(0, serde_json::Map::len).to_string()),
    AGE,
];

const MILVUSES: &[Column] = &[
    NAME,
    column("Mode", |object, _| text(object, "/spec/mode").to_owned()),
    column("Status", |object, _| text(object, "/status/status").to_owned()),
    column("Updated", |object, _| condition(object, "MilvusUpdated").to_owned()),
    AGE,
];

fn columns(resource: &Resource) -> &'static [Column] {
    match resource.storage {
        "pods" => PODS,
        "deployments" | "statefulsets" => WORKLOADS,
        "replicasets" => REPLICA_SETS,
        "daemonsets" => DAEMON_SETS,
        "events" => EVENTS,
        "services" => SERVICES,
        "namespaces" => NAMESPACES,
        "nodes" => NODES,
        "horizontalpodautoscalers" => AUTOSCALERS,
        "leases" => LEASES,
        "configmaps" => CONFIG_MAPS,
        "milvuses" => MILVUSES,
        _ => NAME_AND_AGE,
    }
}

/// The table of `objects`.
pub(in crate::sim) fn render(
    api: &Api,
    resource: &Resource,
    objects: &[Value],
    revision: Option<u64>,
) -> Value {
    let columns = columns(resource);
    let now = i64::try_from(api.store.clock().now().as_millis() / 1_000).unwrap_or_default();
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            let format = if column.name == "Name" { "name" } else { "" };
            json!({"name": column.name, "type": "string", "format": format,
                "description": "", "priority": column.priority})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<String> =
                columns.iter().map(|column| (column.cell)(object, now)).collect();
            let object = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object.get("metadata"),
            });
            json!({"cells": cells, "object": object})
        })
        .collect();
    let revision = revision.map(|revision| revision.to_string());
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": revision.unwrap_or_default()},
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// What the STATUS column says of a pod.
fn pod_status(pod: &Value) -> &str {
    if is_terminating(pod) {
        return "Terminating";
    }
    let container = pod.pointer("/status/containerStatuses/0/state");
    let reason = ["/waiting/reason", "/terminated/reason"]
        .into_iter()
        .find_map(|path| container?.pointer(path)?.as_str());
    reason.unwrap_or_else(|| text(pod, "/status/phase"))
}

fn count(object: &Value, pointer: &str) -> String {
    number(object, pointer).unwrap_or(0).to_string()
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text.to_owned() }
}

/// The time since `timestamp` in Kubernetes' short form.
fn age(timestamp: &str, now: i64) -> String {
    let Ok(since) = timestamp.parse::<jiff::Timestamp>() else {
        return "<unknown>".to_owned();
    };
    let seconds = (now - since.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{}m{}s", seconds / 60, seconds % 60),
        600..10_800 => format!("{}m", seconds / 60),
        10_800..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let cases = [(5, "5s"), (130, "2m10s"), (3_000, "50m"), (90_000, "25h"), (864_000, "10d")];
        for (seconds, expected) in cases {
            assert_eq!(age("1970-01-01T00:00:00Z", seconds), expected);
        }
        assert_eq!(age("", 5), "<unknown>");
    }
}
