//! The Kubernetes adapter and the resources probe against an API on loopback: what they ask for,
//! and how they fare when it misbehaves.

mod access;
mod fake_api;
mod healing;
mod manifests;
mod operations;
mod scaling;
mod simulated;
mod simulated_healing;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::Cluster;
use falconer::effects::cluster::kube::{ClientSource, KubeCluster, KubeSettings, Timing};
use falconer::model::{Inventory, WorkloadKind, WorkloadRef};
use falconer::sim::{AccessRule, SimSettings, Simulation};
use serde_json::{Value, json};

use fake_api::{FakeApi, NAMESPACE, apps, pods};

fn timing() -> Timing {
    Timing {
        request: Duration::from_secs(5),
        watch: Duration::from_secs(1),
        retry_initial: Duration::from_millis(20),
        retry_max: Duration::from_millis(100),
        absent_recheck: Duration::from_millis(100),
        debounce: Duration::from_millis(5),
    }
}

fn settings(api: &FakeApi) -> KubeSettings {
    settings_at(&format!("http://{}", api.address))
}

fn settings_at(url: &str) -> KubeSettings {
    let url = url.parse().expect("a url");
    KubeSettings {
        source: ClientSource::Explicit(Box::new(kube::Config::new(url))),
        timing: timing(),
        ..KubeSettings::new("milvus-ha", NAMESPACE)
    }
}

/// A simulated cluster, all of whose pods are ready.
async fn settled(settings: SimSettings) -> Simulation {
    let sim = Simulation::start(SimSettings {
        metrics_port: Some(0),
        termination: Duration::from_millis(50),
        ..settings
    })
    .expect("a simulation");
    assert!(sim.settled(Duration::from_secs(20)).await, "the pods become ready");
    sim
}

/// The adapter of a simulated cluster.
fn adapter(sim: &Simulation) -> Arc<KubeCluster> {
    KubeCluster::start(settings_at(&sim.api_url()), Clock::system())
}

/// What the Roles of these features grant together, as they are deployed.
fn granted(features: &[&str]) -> Vec<AccessRule> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/access");
    let role = |name: &&str| {
        let text = std::fs::read_to_string(format!("{folder}/{name}.yaml")).expect("the manifest");
        let (role, _) = text.split_once("\n---\n").expect("a Role and its binding");
        serde_saphyr::from_str::<Value>(role).expect("valid YAML")
    };
    features.iter().map(role).flat_map(|role| AccessRule::of_role(&role)).collect()
}

fn start(api: &FakeApi) -> Arc<KubeCluster> {
    KubeCluster::start(settings(api), Clock::system())
}

/// Waits until the inventory is as wanted.
async fn until(
    cluster: &KubeCluster,
    what: &str,
    wanted: impl Fn(&Inventory) -> bool,
) -> Arc<Inventory> {
    let mut inventory = cluster.inventory();
    let waiting = inventory.wait_for(|inventory| wanted(inventory));
    let found = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let Ok(found) = found else { panic!("{what}: {:#?}", cluster.inventory().borrow()) };
    found.expect("the adapter runs").clone()
}

async fn synced(cluster: &KubeCluster) -> Arc<Inventory> {
    until(cluster, "never synced", |inventory| inventory.synced && inventory.error.is_none()).await
}

fn pod_names(inventory: &Inventory, component: &str) -> Vec<String> {
    let component = inventory.components.get(component);
    component.map_or_else(Vec::new, |component| {
        component.pods.iter().map(|pod| pod.name.to_string()).collect()
    })
}

fn labels(component: &str, instance: &str) -> Value {
    json!({"component": component, "app.kubernetes.io/name": "milvus",
        "app.kubernetes.io/instance": instance})
}

fn workload(kind: WorkloadKind, name: &str) -> WorkloadRef {
    WorkloadRef { kind, namespace: NAMESPACE.into(), name: name.into() }
}

/// A finished Deployment, `StatefulSet` or `DaemonSet` of one ready pod.
fn workload_object(name: &str, component: &str, instance: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"replicas": 1, "selector": {}, "serviceName": "s", "template": {
            "metadata": {"labels": labels(component, instance)},
            "spec": {"containers": [{"name": component}]}}},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": 1, "availableReplicas": 1, "desiredNumberScheduled": 1,
            "currentNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": 1,
            "updatedNumberScheduled": 1, "numberAvailable": 1},
    })
}

fn pod_object(name: &str, component: &str, instance: &str) -> Value {
    let resources =
        json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}});
    json!({
        "metadata": {"name": name, "labels": labels(component, instance)},
        "spec": {"containers": [{"name": component, "resources": resources}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// An API with one proxy.
async fn api_with_proxy() -> FakeApi {
    let api = FakeApi::start().await;
    api.put(&apps("deployments"), workload_object("milvus-proxy", "proxy", "ha"));
    api.put(&pods(), pod_object("proxy-1", "proxy", "ha"));
    api
}
