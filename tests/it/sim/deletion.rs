//! Deletions: grace, force, preconditions, finalizers, and pods that do not end.

use std::time::Duration;

use falconer::model::{Role, Timestamp, WorkloadKind};
use falconer::sim::{ComponentSettings, Fault, Layout, SimSettings, Simulation, Undying};
use serde_json::{Value, json};

use super::{eventually, get, send, settings, settled};

fn path(pod: &str) -> String {
    format!("/api/v1/namespaces/milvus-ha/pods/{pod}")
}

async fn delete(sim: &Simulation, pod: &str, options: Value) -> (u16, Value) {
    send(sim, "DELETE", &path(pod), options).await
}

fn has(sim: &Simulation, component: &str, uid: &str) -> bool {
    sim.pods(component).iter().any(|pod| pod.uid == uid)
}

fn millis(time: &Value) -> u64 {
    let time = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok()).expect("a time")
}

#[tokio::test]
async fn the_time_of_deletion_is_when_the_grace_ends_and_can_only_come_nearer() {
    let sim = settled(SimSettings { layout: Layout::Operator, ..settings() }).await;
    let pod = sim.pods("querynode").remove(0);
    let undying = Undying::UntilGraceEnds;
    sim.inject(Fault::StuckTermination { pod: pod.name.clone(), undying }).expect("there");
    let (code, shown) = delete(&sim, &pod.name, json!({})).await;
    assert_eq!(code, 200);
    let now: Timestamp = sim.clock().now();
    let metadata = &shown["metadata"];
    assert_eq!(metadata["deletionGracePeriodSeconds"], 2_592_000);
    let until_end = millis(&metadata["deletionTimestamp"]) - now.as_millis();
    assert!(until_end > 29 * 24 * 3_600 * 1_000, "30 days from now: {until_end}");

    let (_, shown) = delete(&sim, &pod.name, json!({"gracePeriodSeconds": 2})).await;
    assert_eq!(shown["metadata"]["deletionGracePeriodSeconds"], 2);
    let (_, shown) = delete(&sim, &pod.name, json!({"gracePeriodSeconds": 600})).await;
    assert_eq!(shown["metadata"]["deletionGracePeriodSeconds"], 2, "never longer again");
    eventually("it is killed when its grace is over", || !has(&sim, "querynode", &pod.uid)).await;
}

#[tokio::test]
async fn a_pod_that_hangs_in_termination_is_removed_only_by_force() {
    let stateful = ComponentSettings {
        kind: WorkloadKind::StatefulSet,
        ..ComponentSettings::of(Role::DataNode, 1)
    };
    let components = vec![stateful];
    let sim = settled(SimSettings { components, ..settings() }).await;
    let pod = sim.pods("datanode").remove(0);
    let undying = Undying::Forever;
    sim.inject(Fault::StuckTermination { pod: pod.name.clone(), undying }).expect("there");
    let options = json!({"gracePeriodSeconds": 1, "preconditions": {"uid": pod.uid}});
    assert_eq!(delete(&sim, &pod.name, options).await.0, 200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(has(&sim, "datanode", &pod.uid), "its grace is over, and it is still there");
    let told = super::events(&sim, &pod.name).await;
    assert!(told.iter().any(|event| event.starts_with("FailedKillPod: ")), "{told:?}");
    assert!(sim.pods("datanode")[0].terminating, "nobody takes its place");

    let wrong = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "another"}});
    assert_eq!(delete(&sim, &pod.name, wrong).await.0, 409);
    let right = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}});
    assert_eq!(delete(&sim, &pod.name, right.clone()).await.0, 200);
    assert!(!has(&sim, "datanode", &pod.uid), "gone at once");
    eventually("another takes its place", || sim.is_settled()).await;
    assert_eq!(delete(&sim, &pod.name, right).await.0, 409, "the new one is not the one meant");
}

#[tokio::test]
async fn a_finalizer_keeps_even_a_forced_deletion_waiting() {
    let sim = settled(settings()).await;
    let pod = sim.pods("querynode").remove(0);
    let finalized = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    assert_eq!(send(&sim, "PATCH", &path(&pod.name), finalized).await.0, 200);
    assert_eq!(delete(&sim, &pod.name, json!({"gracePeriodSeconds": 0})).await.0, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (code, shown) = get(&sim, &path(&pod.name)).await;
    assert_eq!((code, &shown["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(0)));
    let released = json!({"metadata": {"finalizers": null}});
    assert_eq!(send(&sim, "PATCH", &path(&pod.name), released).await.0, 200);
    eventually("it is gone", || !has(&sim, "querynode", &pod.uid)).await;
}

#[tokio::test]
async fn the_pods_of_a_lost_node_never_end_by_themselves() {
    let sim = settled(SimSettings { nodes: 3, ..settings() }).await;
    let pod = sim.pods("querynode").remove(0);
    sim.inject(Fault::NodeLost { node: pod.node.clone() }).expect("there");
    eventually("the pod is not ready", || {
        sim.pods("querynode").iter().any(|other| other.uid == pod.uid && !other.ready)
    })
    .await;
    let (_, node) = get(&sim, &format!("/api/v1/nodes/{}", pod.node)).await;
    assert_eq!(node["status"]["conditions"][0]["status"], "Unknown");
    assert_eq!(delete(&sim, &pod.name, json!({"gracePeriodSeconds": 1})).await.0, 200);
    eventually("another node has a pod in its place", || {
        let pods = sim.pods("querynode");
        pods.len() == 4 && pods.iter().filter(|other| other.node != pod.node).count() >= 3
    })
    .await;
    let (code, answer) = get(&sim, &format!("{}/log", path(&pod.name))).await;
    assert_eq!(code, 500, "{answer}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(has(&sim, "querynode", &pod.uid));
    assert_eq!(delete(&sim, &pod.name, json!({"gracePeriodSeconds": 0})).await.0, 200);
    assert!(!has(&sim, "querynode", &pod.uid));
    assert!(sim.inject(Fault::NodeLost { node: "nowhere".to_owned() }).is_err());
}
