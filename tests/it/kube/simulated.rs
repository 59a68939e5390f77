//! The adapter against the simulated cluster, whose controllers really replace pods.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::cluster::kube::KubeCluster;
use falconer::effects::probe::resources::ResourcesProbe;
use falconer::effects::{Cluster, Probe, RestartRequest, ScaleRequest};
use falconer::model::{
    ClusterEvent, EventType, Inventory, Outcome, Owner, PodCondition, Role, RolloutStatus,
    Workload, WorkloadKind,
};
use falconer::sim::{ComponentSettings, Fault, Layout, SimSettings, Simulation};

use super::{adapter, pod_names, settled, until};

async fn simulated(layout: Layout) -> (Simulation, Arc<KubeCluster>) {
    let component =
        |role, replicas, kind| ComponentSettings { kind, ..ComponentSettings::of(role, replicas) };
    let sim = settled(SimSettings {
        layout,
        components: vec![
            component(Role::Proxy, 2, WorkloadKind::Deployment),
            component(Role::QueryNode, 3, WorkloadKind::Deployment),
            component(Role::DataNode, 2, WorkloadKind::StatefulSet),
        ],
        startup: Duration::from_millis(200),
        ..SimSettings::default()
    })
    .await;
    let cluster = adapter(&sim);
    until(&cluster, "the simulated cluster is not seen whole", is_whole).await;
    (sim, cluster)
}

fn is_whole(inventory: &Inventory) -> bool {
    let is_sound = |name: &str, pods: usize| {
        inventory.components.get(name).is_some_and(|component| {
            component.pods.len() == pods
                && component.pods.iter().all(|pod| pod.condition == PodCondition::Ready)
                && component.pods.iter().all(|pod| pod.workload.is_some())
                && component.workloads.iter().all(|workload| !workload.rolling_out)
        })
    };
    inventory.synced
        && inventory.error.is_none()
        && is_sound("proxy", 2)
        && is_sound("querynode", 3)
        && is_sound("datanode", 2)
}

/// The workload of `component` that has pods.
pub(super) fn active(inventory: &Inventory, component: &str) -> Workload {
    let workloads = &inventory.components[component].workloads;
    workloads.iter().find(|workload| workload.desired_replicas > 0).expect("a workload").clone()
}

async fn restart(cluster: &KubeCluster, component: &str) {
    let before = cluster.inventory().borrow().clone();
    let old: BTreeSet<_> = before.components[component]
        .pods
        .iter()
        .map(|pod| (pod.name.clone(), pod.started_at))
        .collect();
    let workload = active(&before, component).reference;
    let request = RestartRequest {
        workload: workload.clone(),
        at: Clock::system().now(),
        idempotency_key: format!("{component}/1"),
    };
    cluster.restart(&request).await.expect("a restart");
    let finished = async {
        while cluster.rollout_status(&workload).await.expect("a status") != RolloutStatus::Complete
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), finished).await.expect("the rollout completes");
    until(cluster, "not every pod is a new one", |inventory| {
        let pods = &inventory.components[component].pods;
        is_whole(inventory)
            && pods.iter().all(|pod| !old.contains(&(pod.name.clone(), pod.started_at)))
    })
    .await;
    let event = ClusterEvent {
        workload,
        event_type: EventType::Normal,
        reason: "RolloutRestarted",
        message: "a test".to_owned(),
    };
    cluster.record_event(&event).await.expect("an event");
}

#[tokio::test]
async fn a_cluster_of_any_layout_is_found_measured_restarted_and_scaled() {
    for layout in [Layout::Helm, Layout::Operator, Layout::Reference] {
        let (_sim, cluster) = simulated(layout).await;
        let inventory = cluster.inventory().borrow().clone();
        let names: Vec<&str> = inventory.components.keys().map(|name| &**name).collect();
        assert_eq!(names, ["datanode", "proxy", "querynode"], "{layout:?}");
        let owner = active(&inventory, "querynode").owner;
        assert_eq!(matches!(owner, Owner::MilvusOperator { .. }), layout == Layout::Operator);

        let seen = ResourcesProbe::new(cluster.clone()).probe(Duration::from_secs(5)).await;
        assert_eq!(seen.outcome, Outcome::Healthy, "{layout:?}");
        assert_eq!(seen.usage.len(), 7);
        assert!(seen.usage.iter().all(|usage| usage.cpu_percent_of_request.is_some()));

        restart(&cluster, "querynode").await;
        restart(&cluster, "datanode").await;

        let workload = active(&cluster.inventory().borrow().clone(), "proxy");
        let request = ScaleRequest { workload: workload.reference, from: 2, to: 3 };
        cluster.scale(&request).await.expect("a scaling");
        until(&cluster, "the third proxy does not come", |inventory| {
            let ready = active(inventory, "proxy").ready_replicas;
            ready == 3 && pod_names(inventory, "proxy").len() == 3
        })
        .await;
        cluster.shutdown(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_history_that_is_forgotten_is_listed_anew() {
    let (sim, cluster) = simulated(Layout::Helm).await;
    sim.inject(Fault::ForgetHistory).expect("a fault");
    restart(&cluster, "proxy").await;
}
