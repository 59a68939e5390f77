//! The objects that are there at first.

use serde_json::{Map, Value, json};

use super::controllers::kubelet::node_name;
use super::controllers::operator::{current_group_key, group_label};
use super::kubernetes::json::{set, uid};
use super::kubernetes::resource::{
    CRDS, DAEMON_SETS, DEPLOYMENTS, MILVUSES, NAMESPACES, NODES, SERVICES, STATEFUL_SETS,
};
use super::kubernetes::store::{Key, Store};
use super::labels::{operator_field, pod_labels, selector_labels, workload_labels, workload_name};
use super::settings::{ComponentSettings, Layout, ProbeTimes, SimSettings};
use crate::model::{Role, WorkloadKind};

/// Fills an empty store.
pub(super) fn plant(store: &Store, settings: &SimSettings, metrics_port: u16) {
    for namespace in ["default", "kube-system", settings.namespace.as_str()] {
        let object = json!({"kind": "Namespace", "apiVersion": "v1",
            "metadata": {"labels": {"kubernetes.io/metadata.name": namespace}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let _ = store.create(Key::new(NAMESPACES, "", namespace), object);
    }
    for number in 1..=settings.nodes.max(1) {
        let name = node_name(number);
        let _ = store.create(Key::new(NODES, "", &name), node(store, &name));
    }
    let _ = store.create(Key::new(CRDS, "", "milvuses.milvus.io"), definition());
    let owner = (settings.layout == Layout::Operator).then(|| plant_milvus(store, settings));
    for component in &settings.components {
        let owner = owner.as_ref().and_then(Option::as_ref);
        if settings.is_double(component) {
            plant_workload(store, settings, component, metrics_port, owner, Some("0"));
            plant_workload(store, settings, component, metrics_port, owner, Some("1"));
        } else {
            plant_workload(store, settings, component, metrics_port, owner, None);
        }
    }
    plant_service(store, settings);
}

fn node(store: &Store, name: &str) -> Value {
    let resources = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
    json!({"kind": "Node", "apiVersion": "v1",
    "metadata": {"labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
    "spec": {},
    "status": {
        "capacity": resources, "allocatable": resources,
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "kubelet is posting ready status", "lastTransitionTime": store.now()}],
        "nodeInfo": {"kubeletVersion": "v1.32.0-sim", "osImage": "simulated",
            "architecture": "amd64", "operatingSystem": "linux"},
    }})
}

fn definition() -> Value {
    json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {},
        "spec": {
            "group": "milvus.io", "scope": "Namespaced",
            "names": {"kind": "Milvus", "listKind": "MilvusList", "plural": MILVUSES,
                "singular": "milvus"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true}],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]}})
}

fn plant_milvus(store: &Store, settings: &SimSettings) -> Option<Value> {
    let mut components = Map::new();
    for component in &settings.components {
        let field = operator_field(component.role).to_owned();
        components.insert(field, json!({"replicas": component.replicas}));
    }
    components.insert("image".to_owned(), json!(image(settings)));
    components.insert("rollingMode".to_owned(), json!(settings.rolling_mode.number()));
    let double = settings.components.iter().filter(|component| settings.is_double(component));
    let groups: Map<String, Value> =
        double.map(|component| (current_group_key(component.role.as_str()), json!("0"))).collect();
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let milvus = json!({"kind": "Milvus", "apiVersion": "milvus.io/v1beta1",
    "metadata": {"annotations": groups},
    "spec": {"mode": "cluster", "components": components},
    "status": {"status": "Healthy", "conditions": [
        condition("MilvusReady"), condition("MilvusUpdated"), condition("EtcdReady"),
        condition("StorageReady"), condition("MsgStreamReady"),
    ]}});
    let key = Key::new(MILVUSES, &settings.namespace, &settings.instance);
    store.create(key, milvus).ok().map(|milvus| (*milvus).clone())
}

fn plant_workload(
    store: &Store,
    settings: &SimSettings,
    component: &ComponentSettings,
    port: u16,
    milvus: Option<&Value>,
    group: Option<&str>,
) {
    let (storage, kind) = match component.kind {
        WorkloadKind::Deployment | WorkloadKind::Process => (DEPLOYMENTS, "Deployment"),
        WorkloadKind::StatefulSet => (STATEFUL_SETS, "StatefulSet"),
        WorkloadKind::DaemonSet => (DAEMON_SETS, "DaemonSet"),
    };
    let selector = selector_labels(settings, component.role);
    let mut object = json!({"kind": kind, "apiVersion": "apps/v1",
    "metadata": {"labels": workload_labels(settings, component.role)},
    "spec": {
        "selector": {"matchLabels": selector},
        "template": template(settings, component, port),
        "revisionHistoryLimit": 10,
    }});
    let spare = group.is_some_and(|group| group != "0");
    if component.kind != WorkloadKind::DaemonSet {
        set(&mut object, &["spec", "replicas"], if spare { 0 } else { component.replicas });
    }
    if let Some(group) = group {
        let label = group_label(component.role.as_str());
        for path in [
            ["metadata", "labels"].as_slice(),
            ["spec", "selector", "matchLabels"].as_slice(),
            ["spec", "template", "metadata", "labels"].as_slice(),
        ] {
            set(&mut object, &[path, &[label.as_str()]].concat(), group);
        }
    }
    if spare && let Some(image) = object.pointer_mut("/spec/template/spec/containers/0/image") {
        *image = json!("dummy");
    }
    if settings.min_ready_seconds > 0 {
        set(&mut object, &["spec", "minReadySeconds"], settings.min_ready_seconds);
    }
    if storage == DEPLOYMENTS {
        let rolling = json!({"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
        set(&mut object, &["spec", "strategy"], rolling);
        let deadline = settings.progress_deadline_seconds();
        set(&mut object, &["spec", "progressDeadlineSeconds"], deadline);
    }
    if let Some(milvus) = milvus {
        let owner = json!([{"apiVersion": "milvus.io/v1beta1", "kind": "Milvus",
            "name": settings.instance, "uid": uid(milvus), "controller": true}]);
        set(&mut object, &["metadata", "ownerReferences"], owner);
    }
    let mut name = workload_name(settings, component.role);
    if let Some(group) = group {
        name = format!("{name}-{group}");
    }
    let _ = store.create(Key::new(storage, &settings.namespace, &name), object);
}

fn template(settings: &SimSettings, component: &ComponentSettings, port: u16) -> Value {
    let role = component.role;
    let mebibytes = |bytes: u64| format!("{}Mi", bytes >> 20);
    let milli = |cpu: u64| format!("{cpu}m");
    let probing = settings.probing();
    let over_tcp = |times| probe(json!({"tcpSocket": {"port": "metrics"}}), times);
    let healthz = json!({"httpGet": {"path": "/healthz", "port": "metrics", "scheme": "HTTP"}});
    let mut template = json!({
        "metadata": {"labels": pod_labels(settings, role)},
        "spec": {
            "containers": [{
                "name": role.as_str(), "image": image(settings),
                "args": ["milvus", "run", role.as_str()],
                "ports": [{"name": "metrics", "containerPort": port, "protocol": "TCP"}],
                "resources": {
                    "requests": {"cpu": milli(component.cpu_request_milli),
                        "memory": mebibytes(component.memory_request_bytes)},
                    "limits": {"cpu": milli(component.cpu_limit_milli),
                        "memory": mebibytes(component.memory_limit_bytes)},
                },
                "livenessProbe": over_tcp(probing.liveness),
                "readinessProbe": probe(healthz, probing.readiness),
            }],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": settings.grace_seconds(),
            "serviceAccountName": "default",
        },
    });
    if let Some(startup) = probing.startup {
        template["spec"]["containers"][0]["startupProbe"] = over_tcp(startup);
    }
    template
}

fn image(settings: &SimSettings) -> String {
    format!("milvusdb/milvus:v{}", settings.milvus_version)
}

fn probe(mut action: Value, times: ProbeTimes) -> Value {
    for (field, value) in [
        ("initialDelaySeconds", times.initial_delay),
        ("periodSeconds", times.period),
        ("failureThreshold", times.failures),
        ("successThreshold", 1),
        ("timeoutSeconds", 3),
    ] {
        if value > 0 {
            action[field] = json!(value);
        }
    }
    action
}

fn plant_service(store: &Store, settings: &SimSettings) {
    let selector = selector_labels(settings, Role::Proxy);
    let service = json!({"kind": "Service", "apiVersion": "v1",
        "metadata": {"labels": workload_labels(settings, Role::Proxy)},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.10", "selector": selector,
            "ports": [{"name": "milvus", "port": 19530, "protocol": "TCP"}]}});
    let key = Key::new(SERVICES, &settings.namespace, &settings.instance);
    let _ = store.create(key, service);
}
