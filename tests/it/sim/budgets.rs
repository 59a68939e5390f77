//! Evictions, and the budgets that they need.

use std::time::Duration;

use falconer::model::Role;
use falconer::sim::{ComponentSettings, SimSettings, Simulation};
use serde_json::{Value, json};

use super::{eventually, get, send, settings, settled};

const BUDGETS: &str = "/apis/policy/v1/namespaces/milvus-ha/poddisruptionbudgets";

async fn query_nodes(replicas: u32) -> Simulation {
    let components = vec![ComponentSettings::of(Role::QueryNode, replicas)];
    // Slow enough for a budget to be spent for a while.
    let startup = Duration::from_secs(2);
    settled(SimSettings { components, startup, ..settings() }).await
}

async fn plant(sim: &Simulation, name: &str, mut spec: Value) {
    spec["selector"] = json!({"matchLabels": {"component": "querynode"}});
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": name}, "spec": spec});
    assert_eq!(send(sim, "POST", BUDGETS, budget).await.0, 201);
    allowed(sim, name, None).await;
}

/// Waits until the budget has been looked at, and allows so much.
async fn allowed(sim: &Simulation, name: &str, expected: Option<i64>) -> Value {
    for _ in 0..500 {
        let (_, budget) = get(sim, &format!("{BUDGETS}/{name}")).await;
        let status = budget["status"].clone();
        let seen = status["disruptionsAllowed"].as_i64();
        if seen.is_some() && (expected.is_none() || seen == expected) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never allows {expected:?}");
}

async fn evict(sim: &Simulation, pod: &str, query: &str, options: Value) -> (u16, Value) {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pod, "namespace": "milvus-ha"}, "deleteOptions": options});
    let path = format!("/api/v1/namespaces/milvus-ha/pods/{pod}/eviction{query}");
    send(sim, "POST", &path, eviction).await
}

#[tokio::test]
async fn a_budget_lets_so_many_pods_go_and_no_more_until_new_ones_are_ready() {
    let sim = query_nodes(3).await;
    plant(&sim, "querynode", json!({"maxUnavailable": 1})).await;
    let status = allowed(&sim, "querynode", Some(1)).await;
    assert_eq!((&status["expectedPods"], &status["desiredHealthy"]), (&json!(3), &json!(2)));
    assert_eq!(status["conditions"][0]["reason"], "SufficientPods");
    let pods = sim.pods("querynode");

    let (code, answer) = evict(&sim, &pods[0].name, "?dryRun=All", json!({})).await;
    assert_eq!((code, &answer["status"]), (201, &json!("Success")));
    assert!(sim.pods("querynode").iter().all(|pod| !pod.terminating), "nothing has happened");

    assert_eq!(evict(&sim, &pods[0].name, "", json!({})).await.0, 201);
    let (code, refusal) = evict(&sim, &pods[1].name, "", json!({})).await;
    assert_eq!((code, &refusal["reason"]), (429, &json!("TooManyRequests")));
    assert_eq!(
        refusal["message"],
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    assert_eq!(
        refusal["details"]["causes"],
        json!([{"reason": "DisruptionBudget", "message":
            "The disruption budget querynode needs 2 healthy pods and has 2 currently"}])
    );
    let (code, _) = evict(&sim, &pods[1].name, "?dryRun=All", json!({})).await;
    assert_eq!(code, 429, "a question is refused as the deed is");
    eventually("the evicted pod is replaced", || {
        sim.is_settled() && sim.pods("querynode").iter().all(|pod| pod.uid != pods[0].uid)
    })
    .await;
    allowed(&sim, "querynode", Some(1)).await;
    assert_eq!(evict(&sim, &pods[1].name, "", json!({})).await.0, 201);
}

#[tokio::test]
async fn an_eviction_is_for_the_pod_that_was_meant() {
    let sim = query_nodes(1).await;
    let pod = sim.pods("querynode").remove(0);
    let wrong = json!({"preconditions": {"uid": "another"}});
    let (code, answer) = evict(&sim, &pod.name, "", wrong).await;
    assert_eq!((code, &answer["reason"]), (409, &json!("Conflict")));
    let (code, answer) = evict(&sim, "nobody", "", json!({})).await;
    assert_eq!((code, &answer["message"]), (404, &json!("pods \"nobody\" not found")));
    let path = format!("/api/v1/namespaces/milvus-ha/pods/{}/eviction", pod.name);
    let other = json!({"kind": "Eviction", "metadata": {"name": "other"}});
    let (code, answer) = send(&sim, "POST", &path, other).await;
    assert_eq!(code, 400);
    assert_eq!(answer["message"], "name in URL does not match name in Eviction object");

    let right = json!({"preconditions": {"uid": pod.uid}, "gracePeriodSeconds": 7});
    assert_eq!(evict(&sim, &pod.name, "", right).await.0, 201);
    eventually("it is replaced", || {
        sim.is_settled() && sim.pods("querynode").iter().all(|other| other.uid != pod.uid)
    })
    .await;
}

#[tokio::test]
async fn two_budgets_for_one_pod_are_an_error_and_none_at_all_is_a_permission() {
    let sim = query_nodes(2).await;
    plant(&sim, "first", json!({"minAvailable": 1})).await;
    plant(&sim, "second", json!({"minAvailable": "50%"})).await;
    let pods = sim.pods("querynode");
    let (code, answer) = evict(&sim, &pods[0].name, "", json!({})).await;
    assert_eq!(code, 500);
    assert!(answer["message"].as_str().is_some_and(|m| m.contains("more than one")), "{answer}");
    for name in ["first", "second"] {
        assert_eq!(send(&sim, "DELETE", &format!("{BUDGETS}/{name}"), json!({})).await.0, 200);
    }
    assert_eq!(evict(&sim, &pods[0].name, "", json!({})).await.0, 201);
    assert_eq!(evict(&sim, &pods[1].name, "", json!({})).await.0, 201);
}

#[tokio::test]
async fn a_pod_that_is_not_ready_may_go_while_enough_others_are() {
    let sim = query_nodes(3).await;
    plant(&sim, "querynode", json!({"minAvailable": 2})).await;
    allowed(&sim, "querynode", Some(1)).await;
    let pod = sim.pods("querynode").remove(0);
    sim.inject(falconer::sim::Fault::ClosePort { pod: pod.name.clone() }).expect("there");
    // The chart's readiness probe needs 50 s; a status that says so needs none.
    let path = format!("/api/v1/namespaces/milvus-ha/pods/{}/status", pod.name);
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    assert_eq!(send(&sim, "PATCH", &path, unready).await.0, 200);
    assert_eq!(evict(&sim, &pod.name, "", json!({})).await.0, 201);
}
