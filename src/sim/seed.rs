//! The objects that are there at first.

use serde_json::{Map, Value, json};

use super::controllers::kubelet::NODE;
use super::kubernetes::json::{set, uid};
use super::kubernetes::resource::{
    CRDS, DAEMON_SETS, DEPLOYMENTS, MILVUSES, NAMESPACES, NODES, SERVICES, STATEFUL_SETS,
};
use super::kubernetes::store::{Key, Store};
use super::labels::{operator_field, pod_labels, selector_labels, workload_labels, workload_name};
use super::settings::{ComponentSettings, Layout, SimSettings};
use crate::model::{Role, WorkloadKind};

/// Fills an empty store.
pub(super) fn plant(store: &Store, settings: &SimSettings, metrics_port: u16) {
    for namespace in ["default", "kube-system", settings.namespace.as_str()] {
        let object = json!({"kind": "Namespace", "apiVersion": "v1",
            "metadata": {"labels": {"kubernetes.io/metadata.name": namespace}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let _ = store.create(Key::new(NAMESPACES, "", namespace), object);
    }
    let _ = store.create(Key::new(NODES, "", NODE), node(store));
    let _ = store.create(Key::new(CRDS, "", "milvuses.milvus.io"), definition());
    let owner = (settings.layout == Layout::Operator).then(|| plant_milvus(store, settings));
    for component in &settings.components {
        plant_workload(
            store,
            settings,
            component,
            metrics_port,
            owner.as_ref().and_then(Option::as_ref),
        );
    }
    plant_service(store, settings);
}

fn node(store: &Store) -> Value {
    let resources = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
    json!({"kind": "Node", "apiVersion": "v1",
    "metadata": {"labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
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
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let milvus = json!({"kind": "Milvus", "apiVersion": "milvus.io/v1beta1", "metadata": {},
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
    }});
    if component.kind != WorkloadKind::DaemonSet {
        set(&mut object, &["spec", "replicas"], component.replicas);
    }
    if storage == DEPLOYMENTS {
        let rolling = json!({"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
        set(&mut object, &["spec", "strategy"], rolling);
        set(&mut object, &["spec", "progressDeadlineSeconds"], 600);
        set(&mut object, &["spec", "revisionHistoryLimit"], 10);
    }
    if let Some(milvus) = milvus {
        let owner = json!([{"apiVersion": "milvus.io/v1beta1", "kind": "Milvus",
            "name": settings.instance, "uid": uid(milvus), "controller": true}]);
        set(&mut object, &["metadata", "ownerReferences"], owner);
    }
    let name = workload_name(settings, component.role);
    let _ = store.create(Key::new(storage, &settings.namespace, &name), object);
}

fn template(settings: &SimSettings, component: &ComponentSettings, port: u16) -> Value {
    let role = component.role;
    let mebibytes = |bytes: u64| format!("{}Mi", bytes >> 20);
    let milli = |cpu: u64| format!("{cpu}m");
    let probe = json!({"httpGet": {"path": "/healthz", "port": "metrics", "scheme": "HTTP"},
        "periodSeconds": 15, "timeoutSeconds": 3, "failureThreshold": 5, "successThreshold": 1});
    json!({
        "metadata": {"labels": pod_labels(settings, role)},
        "spec": {
            "containers": [{
                "name": role.as_str(), "image": format!("milvusdb/milvus:v{}", settings.milvus_version),
                "args": ["milvus", "run", role.as_str()],
                "ports": [{"name": "metrics", "containerPort": port, "protocol": "TCP"}],
                "resources": {
                    "requests": {"cpu": milli(component.cpu_request_milli),
                        "memory": mebibytes(component.memory_request_bytes)},
                    "limits": {"cpu": milli(component.cpu_limit_milli),
                        "memory": mebibytes(component.memory_limit_bytes)},
                },
                "livenessProbe": probe, "readinessProbe": probe,
            }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "serviceAccountName": "default",
        },
    })
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
