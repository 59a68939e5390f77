//! What restarts, scalings and events do to the objects, and what they refuse.

use std::sync::Arc;
use std::time::Duration;

use falconer::effects::cluster::dry_run::DryRunCluster;
use falconer::effects::cluster::kube::KubeCluster;
use falconer::effects::{Cluster, ClusterError, RestartRequest, ScaleRequest};
use falconer::model::{ClusterEvent, EventType, RolloutStatus, Timestamp, Workload, WorkloadKind};
use serde_json::json;

use super::fake_api::{FakeApi, Recorded, apps, autoscalers, milvuses};
use super::{api_with_proxy, start, synced, until, workload, workload_object};

fn restart_of(name: &str, key: &str) -> RestartRequest {
    RestartRequest {
        workload: workload(WorkloadKind::Deployment, name),
        at: Timestamp::from_millis(1_767_225_600_000),
        idempotency_key: key.to_owned(),
    }
}

fn scale_of(from: u32, to: u32) -> ScaleRequest {
    ScaleRequest { workload: workload(WorkloadKind::Deployment, "milvus-proxy"), from, to }
}

fn writes(api: &FakeApi) -> Vec<Recorded> {
    api.requests().into_iter().filter(|request| request.method != "GET").collect()
}

async fn ready() -> (FakeApi, Arc<KubeCluster>) {
    let api = api_with_proxy().await;
    let cluster = start(&api);
    synced(&cluster).await;
    (api, cluster)
}

#[tokio::test]
async fn a_restart_is_sent_as_described_and_once_for_one_key() {
    let (api, cluster) = ready().await;
    let request = restart_of("milvus-proxy", "incident/1");
    let applied = cluster.restart(&request).await.expect("a restart");
    assert!(applied.applied);
    let again = cluster.restart(&request).await.expect("the same restart");
    assert!(again.change.contains("already done"), "{}", again.change);

    let writes = writes(&api);
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].content_type, "application/strategic-merge-patch+json");
    let sent = format!("PATCH {} {}", writes[0].path, writes[0].body);
    assert_eq!(sent, applied.change);
    let now = api.object(&apps("deployments"), "milvus-proxy");
    let template = &now["spec"]["template"]["metadata"];
    assert_eq!(
        template["annotations"]["kubectl.kubernetes.io/restartedAt"],
        "2026-01-01T00:00:00Z"
    );
    assert_eq!(template["labels"]["component"], "proxy");

    cluster.restart(&restart_of("milvus-proxy", "incident/2")).await.expect("another restart");
    assert_eq!(self::writes(&api).len(), 2);
}

#[tokio::test]
async fn what_is_paused_or_empty_or_gone_is_not_restarted() {
    let (api, cluster) = ready().await;
    let mut paused = workload_object("paused", "datanode", "ha");
    paused["spec"]["paused"] = json!(true);
    api.put(&apps("deployments"), paused);
    let mut idle = workload_object("idle", "querynode", "ha");
    idle["spec"]["replicas"] = json!(0);
    api.put(&apps("deployments"), idle);
    for name in ["paused", "idle"] {
        let refused = cluster.restart(&restart_of(name, "k")).await;
        assert!(matches!(refused, Err(ClusterError::Unsupported { .. })), "{name}: {refused:?}");
    }
    let gone = cluster.restart(&restart_of("gone", "k")).await;
    assert!(matches!(gone, Err(ClusterError::NotFound { .. })), "{gone:?}");
    assert!(writes(&api).is_empty());
}

#[tokio::test]
async fn what_the_operator_has_paused_is_not_restarted() {
    let (api, cluster) = ready().await;
    let mut owned = workload_object("owned", "datanode", "ha");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "milvus.io/v1beta1",
        "kind": "Milvus", "name": "ha", "uid": "u", "controller": true}]);
    api.put(&apps("deployments"), owned);
    api.put(
        &milvuses(),
        json!({"apiVersion": "milvus.io/v1beta1", "kind": "Milvus", "metadata": {"name": "ha"},
            "spec": {"components": {"paused": true}}}),
    );
    // The custom resource appears after the adapter has seen that there is no such API.
    until(&cluster, "the pause is not seen", |inventory| {
        let component = inventory.components.get("datanode");
        component.is_some_and(|component| component.workloads.iter().any(Workload::is_paused))
    })
    .await;
    let refused = cluster.restart(&restart_of("owned", "k")).await;
    assert!(matches!(refused, Err(ClusterError::Unsupported { .. })), "{refused:?}");
    assert!(writes(&api).is_empty());
}

#[tokio::test]
async fn the_rollout_is_read_fresh() {
    let (api, cluster) = ready().await;
    let proxy = workload(WorkloadKind::Deployment, "milvus-proxy");
    assert_eq!(cluster.rollout_status(&proxy).await.expect("a status"), RolloutStatus::Complete);
    let mut rolling = workload_object("milvus-proxy", "proxy", "ha");
    rolling["metadata"]["generation"] = json!(2);
    api.put_quietly(&apps("deployments"), rolling);
    let status = cluster.rollout_status(&proxy).await.expect("a status");
    assert!(matches!(status, RolloutStatus::InProgress { .. }), "{status:?}");
}

#[tokio::test]
async fn scaling_goes_only_from_the_number_that_was_decided_on() {
    let (api, cluster) = ready().await;
    let stale = cluster.scale(&scale_of(2, 3)).await;
    assert!(matches!(stale, Err(ClusterError::Conflict { .. })), "{stale:?}");
    assert!(writes(&api).is_empty());

    let applied = cluster.scale(&scale_of(1, 3)).await.expect("a scaling");
    assert!(applied.change.ends_with("\"spec\":{\"replicas\":3}}"), "{}", applied.change);
    let sent = &writes(&api)[0];
    assert!(sent.path.ends_with("/milvus-proxy/scale"), "{}", sent.path);
    assert_eq!(sent.content_type, "application/merge-patch+json");
    assert!(sent.body["metadata"]["resourceVersion"].is_string());
    assert_eq!(api.object(&apps("deployments"), "milvus-proxy")["spec"]["replicas"], 3);
}

#[tokio::test]
async fn a_change_that_was_overtaken_is_told_and_not_repeated() {
    let (api, cluster) = ready().await;
    // The object is read and then changes before the patch arrives.
    for (status, retryable) in [(409, true), (403, false)] {
        api.deny("milvus-proxy/scale", status);
        let before = writes(&api).len();
        let error = cluster.scale(&scale_of(1, 2)).await.expect_err("a refusal");
        let is_expected = match status {
            409 => matches!(error, ClusterError::Conflict { .. }),
            _ => matches!(error, ClusterError::Forbidden { .. }),
        };
        assert!(is_expected && error.is_retryable() == retryable, "{error:?}");
        assert_eq!(writes(&api).len() - before, 1, "one try");
    }
    assert_eq!(api.object(&apps("deployments"), "milvus-proxy")["spec"]["replicas"], 1);
}

#[tokio::test]
async fn a_custom_resource_that_the_api_refuses_to_change_is_no_outage() {
    let (api, cluster) = ready().await;
    let mut owned = workload_object("owned", "datanode", "ha");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "milvus.io/v1beta1",
        "kind": "Milvus", "name": "ha", "uid": "u", "controller": true}]);
    api.put(&apps("deployments"), owned);
    let milvus = |uid: &str| {
        json!({"apiVersion": "milvus.io/v1beta1", "kind": "Milvus",
        "metadata": {"name": "ha", "uid": uid},
        "spec": {"components": {"dataNode": {"replicas": 1}}}})
    };
    api.put(&milvuses(), milvus("another"));
    let workload = workload(WorkloadKind::Deployment, "owned");
    let request = ScaleRequest { workload, from: 1, to: 2 };
    let error = cluster.scale(&request).await.expect_err("it is not its owner");
    assert!(matches!(error, ClusterError::Unsupported { .. }), "{error:?}");
    api.put(&milvuses(), milvus("u"));
    for status in [400, 403, 404, 422] {
        api.deny("milvuses/ha", status);
        let error = cluster.scale(&request).await.expect_err("a refusal");
        assert!(!error.is_outage() && !error.is_retryable(), "{status}: {error:?}");
        assert!(error.to_string().contains("Milvus/ha"), "{error}");
    }
    assert!(writes(&api).is_empty());
    api.deny("milvuses/ha", 0);
    cluster.scale(&request).await.expect("a scaling");
    assert_eq!(api.object(&milvuses(), "ha")["spec"]["components"]["dataNode"]["replicas"], 2);
    assert_eq!(api.object(&apps("deployments"), "owned")["spec"]["replicas"], 1);
}

#[tokio::test]
async fn the_apis_refusals_are_told_apart() {
    let (api, cluster) = ready().await;
    for (status, retryable) in [(403, false), (409, true), (429, true), (500, true), (404, false)] {
        api.deny("milvus-proxy", status);
        let error = cluster.restart(&restart_of("milvus-proxy", "k")).await.expect_err("a refusal");
        assert_eq!(error.is_retryable(), retryable, "{status}: {error}");
        let is_expected = match status {
            403 => matches!(error, ClusterError::Forbidden { .. }),
            409 => matches!(error, ClusterError::Conflict { .. }),
            404 => matches!(error, ClusterError::NotFound { .. }),
            _ => matches!(error, ClusterError::Failed { .. }),
        };
        assert!(is_expected, "{status}: {error:?}");
        assert!(status == 404 || error.to_string().contains("the fake refuses"), "{error}");
    }
}

#[tokio::test]
async fn a_dry_run_shows_the_exact_patch_and_writes_nothing() {
    let (api, cluster) = ready().await;
    let dry = DryRunCluster::new(cluster.clone());
    let request = restart_of("milvus-proxy", "incident/1");
    let shown = dry.restart(&request).await.expect("a restart");
    assert!(!shown.applied);
    let scaled = dry.scale(&scale_of(1, 2)).await.expect("a scaling");
    assert!(!scaled.applied);
    assert!(scaled.change.starts_with("PATCH /apis/apps/v1/namespaces/"), "{}", scaled.change);
    let event = ClusterEvent {
        workload: request.workload.clone(),
        event_type: EventType::Warning,
        reason: "RolloutRestarted",
        message: "why".to_owned(),
    };
    dry.record_event(&event).await.expect("an event");
    assert!(writes(&api).is_empty());
    assert_eq!(cluster.restart(&request).await.expect("a restart").change, shown.change);
}

#[tokio::test]
async fn an_event_carries_what_kubectl_shows() {
    let (api, cluster) = ready().await;
    let event = ClusterEvent {
        workload: workload(WorkloadKind::Deployment, "milvus-proxy"),
        event_type: EventType::Warning,
        reason: "RolloutRestarted",
        message: "3 probes failed".to_owned(),
    };
    cluster.record_event(&event).await.expect("an event");
    let sent = writes(&api).remove(0).body;
    assert_eq!(sent["involvedObject"]["uid"], "uid-milvus-proxy");
    assert_eq!(sent["involvedObject"]["kind"], "Deployment");
    assert_eq!(sent["source"]["component"], "falconer");
    assert_eq!((&sent["type"], &sent["count"]), (&json!("Warning"), &json!(1)));
    assert!(sent["lastTimestamp"].is_string());
    cluster.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn autoscalers_that_may_not_be_read_are_unknown_and_harm_nothing_else() {
    let api = api_with_proxy().await;
    api.deny("horizontalpodautoscalers", 403);
    let cluster = start(&api);
    let inventory = synced(&cluster).await;
    let autoscaler = inventory.components["proxy"].workloads[0].autoscaler.clone();
    assert!(autoscaler.is_some_and(|found| found.is_unknown() && found.name.contains("403")));

    api.put(
        &autoscalers(),
        json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef":
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}}}),
    );
    api.deny("horizontalpodautoscalers", 0);
    until(&cluster, "still unknown", |inventory| {
        inventory.components["proxy"].workloads[0].autoscaler.is_none()
    })
    .await;
}
