//! What healing asks of the API: one pod removed and no other, a return to an earlier revision, what
//! became of an action, and evidence that a hanging part does not cost.

use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::cluster::dry_run::DryRunCluster;
use falconer::effects::cluster::kube::KubeCluster;
use falconer::effects::{
    ActionQuery, ActionTrace, Cluster, ClusterError, DeletePodRequest, EvidenceRequest,
    RestartRequest, RollbackRequest,
};
use falconer::model::{
    Evidence, EvidenceSource, Hold, Timestamp, Workload, WorkloadKind, WorkloadRef,
};
use serde_json::{Value, json};

use super::fake_api::{FakeApi, Recorded, apps, milvuses, pods};
use super::{pod_object, settings, start, synced, until, workload, workload_object};

/// A pod whose container runs again after it ended.
pub(super) fn crashed_pod(name: &str, component: &str) -> Value {
    let mut pod = pod_object(name, component, "ha");
    pod["metadata"]["uid"] = json!(format!("uid-{name}"));
    pod["status"]["containerStatuses"] = json!([{"name": component, "image": "m", "imageID": "",
        "ready": true, "restartCount": 1, "lastState": {"terminated": {"exitCode": 2}},
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]);
    pod
}

/// A `ReplicaSet` of the Deployment `owner`.
pub(super) fn revision_object(owner: &str, number: u64, image: &str) -> Value {
    let hash = format!("h{number}");
    let mut labels = super::labels("proxy", "ha");
    labels["pod-template-hash"] = json!(hash);
    json!({
        "metadata": {"name": format!("{owner}-{hash}"), "uid": format!("uid-{hash}"),
            "labels": labels, "creationTimestamp": format!("2026-01-0{number}T00:00:00Z"),
            "annotations": {"deployment.kubernetes.io/revision": number.to_string()},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner,
                "uid": format!("uid-{owner}"), "controller": true}]},
        "spec": {"selector": {}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "proxy", "image": image}]}}},
    })
}

/// The `ReplicaSet` of the Deployment's present template.
pub(super) fn newest_revision_of(api: &FakeApi, owner: &str, number: u64) -> Value {
    let mut set = revision_object(owner, number, "");
    let mut template = api.object(&apps("deployments"), owner)["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = json!(format!("h{number}"));
    set["spec"]["template"] = template;
    set
}

fn proxy() -> WorkloadRef {
    workload(WorkloadKind::Deployment, "milvus-proxy")
}

fn delete_of(pod: &str, uid: &str, force: bool) -> DeletePodRequest {
    DeletePodRequest {
        workload: proxy(),
        pod: pod.into(),
        uid: Some(uid.into()),
        force,
        idempotency_key: format!("incident/{pod}"),
    }
}

fn rollback_of(from_revision: u64, to_revision: u64) -> RollbackRequest {
    RollbackRequest {
        workload: proxy(),
        from_revision,
        to_revision,
        idempotency_key: "incident/rollback".to_owned(),
    }
}

fn evidence_of(pods: &[&str]) -> EvidenceRequest {
    EvidenceRequest {
        workload: proxy(),
        pods: pods.iter().map(|pod| (*pod).into()).collect(),
        log_lines: 100,
        log_bytes: 1000,
    }
}

fn writes(api: &FakeApi) -> Vec<Recorded> {
    api.requests().into_iter().filter(|request| request.method != "GET").collect()
}

/// A proxy of revision 3, which is a restart of 2; revision 1 had another image.
async fn ready() -> (FakeApi, Arc<KubeCluster>) {
    let api = FakeApi::start().await;
    let mut deployment = workload_object("milvus-proxy", "proxy", "ha");
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("m:2");
    deployment["spec"]["template"]["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/restartedAt": "2026-01-03T00:00:00Z"});
    api.put(&apps("deployments"), deployment);
    api.put(&apps("replicasets"), revision_object("milvus-proxy", 1, "m:1"));
    api.put(&apps("replicasets"), revision_object("milvus-proxy", 2, "m:2"));
    api.put(&apps("replicasets"), newest_revision_of(&api, "milvus-proxy", 3));
    for name in ["proxy-1", "proxy-2"] {
        api.put(&pods(), crashed_pod(name, "proxy"));
    }
    let cluster = start(&api);
    synced(&cluster).await;
    (api, cluster)
}

fn text_of<'a>(found: &'a [Evidence], object: &str) -> &'a str {
    let one = found.iter().find(|one| &*one.object == object);
    one.map_or_else(|| panic!("no {object} in {found:#?}"), |one| one.text.as_str())
}

#[tokio::test]
async fn a_pod_is_evicted_as_described_and_its_successor_never() {
    let (api, cluster) = ready().await;
    let request = delete_of("proxy-1", "uid-proxy-1", false);
    let shown = DryRunCluster::new(cluster.clone()).delete_pod(&request).await.expect("a look");
    assert!(!shown.applied && writes(&api).is_empty());
    let applied = cluster.delete_pod(&request).await.expect("an eviction");
    assert!(applied.applied);
    assert_eq!(applied.change, shown.change);
    let sent = &writes(&api)[0];
    assert_eq!(format!("POST {} {}", sent.path, sent.body), applied.change);
    assert!(api.object(&pods(), "proxy-1")["metadata"]["deletionTimestamp"].is_string());

    // Another pod bears the name by now: what was asked for has happened.
    let mut successor = crashed_pod("proxy-1", "proxy");
    successor["metadata"]["uid"] = json!("uid-successor");
    api.put(&pods(), successor);
    for force in [false, true] {
        let request = delete_of("proxy-1", "uid-proxy-1", force);
        let again = cluster.delete_pod(&request).await.expect("nothing to do");
        assert!(again.applied && again.change.contains("was gone"), "{again:?}");
    }
    let now = api.object(&pods(), "proxy-1");
    assert_eq!(now["metadata"]["uid"], "uid-successor");
    assert!(now["metadata"]["deletionTimestamp"].is_null());

    let forced = cluster.delete_pod(&delete_of("proxy-2", "uid-proxy-2", true)).await;
    assert!(forced.expect("a deletion").change.starts_with("DELETE /api/v1/namespaces/"));
    let gone = cluster.delete_pod(&delete_of("proxy-2", "uid-proxy-2", true)).await;
    assert!(gone.expect("nothing to do").change.contains("was gone"));
    let nameless = DeletePodRequest { uid: None, ..delete_of("proxy-1", "", false) };
    let refused = cluster.delete_pod(&nameless).await;
    assert!(matches!(refused, Err(ClusterError::Unsupported { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_disruption_budget_refuses_with_its_own_words_and_an_outage_with_the_apis() {
    let (api, cluster) = ready().await;
    api.set_budget("The disruption budget proxy needs 2 healthy pods and has 2 currently");
    let request = delete_of("proxy-1", "uid-proxy-1", false);
    let error = cluster.delete_pod(&request).await.expect_err("a refusal");
    assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
    assert!(error.to_string().contains("needs 2 healthy pods and has 2 currently"), "{error}");
    // Force asks no budget.
    cluster.delete_pod(&delete_of("proxy-2", "uid-proxy-2", true)).await.expect("a deletion");
    for (code, is_outage) in [(429, true), (500, true), (403, false)] {
        api.deny("proxy-1/eviction", code);
        let error = cluster.delete_pod(&request).await.expect_err("a refusal");
        assert_eq!(error.is_outage(), is_outage, "{code}: {error}");
        let pod = "pod proxy-1 of deployment/milvus-proxy";
        assert!(error.to_string().contains(pod), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_done_where_the_operator_is_paused_and_the_reason_is_its_own() {
    let (api, cluster) = ready().await;
    let mut owned = workload_object("milvus-proxy", "proxy", "ha");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "milvus.io/v1beta1",
        "kind": "Milvus", "name": "ha", "uid": "u", "controller": true}]);
    api.put(&apps("deployments"), owned);
    api.put(
        &milvuses(),
        json!({"apiVersion": "milvus.io/v1beta1", "kind": "Milvus", "metadata": {"name": "ha"},
            "spec": {"components": {"enableManualMode": true}}}),
    );
    until(&cluster, "the hold is not seen", |inventory| {
        let holds = |workload: &Workload| workload.holds.contains(&Hold::ManualMode);
        inventory.components["proxy"].workloads.iter().any(holds)
    })
    .await;
    let restart = RestartRequest {
        workload: proxy(),
        at: Timestamp::from_millis(0),
        idempotency_key: "k".to_owned(),
    };
    let refusals = [
        cluster.restart(&restart).await,
        cluster.delete_pod(&delete_of("proxy-1", "uid-proxy-1", false)).await,
        cluster.rollback(&rollback_of(3, 1)).await,
    ];
    for refused in refusals {
        let error = refused.expect_err("a refusal");
        assert!(matches!(error, ClusterError::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains("milvus-operator is in manual mode"), "{error}");
    }
    assert!(writes(&api).is_empty());
}

#[tokio::test]
async fn a_rollback_returns_the_template_and_is_found_and_done_once() {
    let (api, cluster) = ready().await;
    let inventory = cluster.inventory().borrow().clone();
    let revision = inventory.components["proxy"].workloads[0].revision.clone().expect("a revision");
    assert_eq!((revision.number, revision.previous), (3, Some(1)));
    assert_eq!(revision.templates, ["h2".into(), "h3".into()]);
    assert_eq!(revision.since.to_string(), "2026-01-02T00:00:00.000Z");

    let request = rollback_of(3, 1);
    let key = request.idempotency_key.clone();
    let action = ActionQuery { workload: proxy(), pod: None, force: false, idempotency_key: key };
    assert_eq!(cluster.find_action(&action).await.expect("a trace"), ActionTrace::NotDone);
    let applied = cluster.rollback(&request).await.expect("a rollback");
    assert_eq!(applied.change, cluster.describe_rollback(&request));
    assert_eq!(cluster.find_action(&action).await.expect("a trace"), ActionTrace::Done);

    let sent = &writes(&api)[0];
    assert_eq!(sent.content_type, "application/merge-patch+json");
    assert!(sent.body["metadata"]["resourceVersion"].is_string());
    let now = api.object(&apps("deployments"), "milvus-proxy");
    let template = &now["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["image"], "m:1");
    assert_eq!(template["metadata"], json!({"labels": super::labels("proxy", "ha")}));

    let again = cluster.rollback(&request).await.expect("the same rollback");
    assert!(again.change.contains("already done"), "{}", again.change);
    assert_eq!(writes(&api).len(), 1);
}

#[tokio::test]
async fn a_rollback_that_was_decided_on_something_else_is_not_made() {
    let (api, cluster) = ready().await;
    let stale = cluster.rollback(&rollback_of(1, 2)).await.expect_err("a refusal");
    assert!(matches!(stale, ClusterError::Conflict { .. }), "{stale:?}");
    let gone = cluster.rollback(&rollback_of(3, 7)).await.expect_err("a refusal");
    assert!(matches!(gone, ClusterError::NotFound { .. }), "{gone:?}");
    // Somebody else changes it between the look and the patch.
    let mut newer = api.object(&apps("deployments"), "milvus-proxy");
    newer["spec"]["template"]["spec"]["containers"][0]["image"] = json!("m:4");
    api.put(&apps("deployments"), newer);
    let newer = cluster.rollback(&rollback_of(3, 1)).await.expect_err("a refusal");
    assert!(matches!(newer, ClusterError::Conflict { .. }), "{newer:?}");
    assert!(writes(&api).is_empty());

    let set = workload(WorkloadKind::StatefulSet, "s");
    let request = RollbackRequest { workload: set, ..rollback_of(3, 1) };
    let refused = cluster.rollback(&request).await.expect_err("a refusal");
    assert!(refused.to_string().contains("kubectl rollout undo"), "{refused}");
}

#[tokio::test]
async fn an_action_is_looked_up_in_the_api_and_not_in_what_a_watch_has_seen() {
    let (api, cluster) = ready().await;
    let of = |name: &str, uid: &str| ActionQuery {
        workload: proxy(),
        pod: Some((name.into(), Some(uid.into()))),
        force: false,
        idempotency_key: "incident/1".to_owned(),
    };
    let trace =
        async |name: &str, uid: &str| cluster.find_action(&of(name, uid)).await.expect("a trace");
    assert_eq!(trace("proxy-1", "uid-proxy-1").await, ActionTrace::NotDone);
    assert_eq!(trace("proxy-1", "uid-before").await, ActionTrace::Done);
    assert_eq!(trace("proxy-9", "uid-proxy-9").await, ActionTrace::Done);
    let mut going = crashed_pod("proxy-1", "proxy");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-31T00:00:00Z");
    api.put_quietly(&pods(), going);
    assert_eq!(trace("proxy-1", "uid-proxy-1").await, ActionTrace::Done);
    api.deny("pods/proxy-2", 500);
    let lost = cluster.find_action(&of("proxy-2", "uid-proxy-2")).await;
    assert!(matches!(lost, Err(ClusterError::Failed { .. })), "{lost:?}");
}

#[tokio::test]
async fn evidence_is_the_ends_of_the_logs_and_the_events_and_names_what_is_missing() {
    let (api, cluster) = ready().await;
    api.set_log("proxy-1", "proxy", "", b"one\ntwo \x1b[31m\xff\n");
    api.set_log("proxy-1", "proxy", "previous", "panic: line\n".repeat(1000).as_bytes());
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {}, "type": "Warning",
        "reason": "BackOff", "message": "again", "lastTimestamp": "2026-01-01T00:00:00Z"});
    api.put(&format!("/api/v1/namespaces/{}/events", super::fake_api::NAMESPACE), event);
    let found = cluster.evidence(&evidence_of(&["proxy-1", "proxy-2", "proxy-9"])).await;
    let found = found.expect("evidence");
    assert_eq!(text_of(&found, "proxy-1/proxy"), "one\ntwo [31m\u{fffd}");
    let previous = text_of(&found, "proxy-1/proxy (previous)");
    assert!(previous.len() <= 1000 && previous.ends_with("panic: line"), "{previous}");
    assert!(previous.starts_with("panic: line\n"));
    assert_eq!(text_of(&found, "pod/proxy-1"), "2026-01-01T00:00:00.000Z Warning BackOff: again");
    assert!(text_of(&found, "deployment/milvus-proxy").contains("BackOff"));
    assert!(text_of(&found, "proxy-2/proxy").starts_with("no log: "));
    assert!(text_of(&found, "proxy-9").contains("gone"));
    assert!(found.iter().any(|one| one.source == EvidenceSource::Event));

    let asked = api.requests();
    let log = asked.iter().find(|one| one.path.ends_with("proxy-1/log")).expect("a request");
    assert!(log.query.contains("tailLines=100") && log.query.contains("limitBytes="), "{log:?}");
    let events = asked.iter().find(|one| one.query.contains("involvedObject")).expect("a request");
    assert!(events.query.contains("involvedObject.kind%3DDeployment"), "{events:?}");
}

#[tokio::test]
async fn a_pod_that_hangs_costs_only_its_own_evidence_and_no_connection() {
    let (api, _) = ready().await;
    let mut settings = settings(&api);
    settings.timing.request = Duration::from_millis(500);
    let cluster = KubeCluster::start(settings, Clock::system());
    synced(&cluster).await;
    api.set_log("proxy-2", "proxy", "", b"fine");
    api.hang("proxy-1/log");
    api.deny("events", 403);
    let request = evidence_of(&["proxy-1", "proxy-2"]);
    let asking = cluster.evidence(&request);
    let found = tokio::time::timeout(Duration::from_secs(15), asking).await;
    let found = found.expect("it has a deadline of its own").expect("evidence");
    assert_eq!(text_of(&found, "proxy-2/proxy"), "fine");
    let hanging = text_of(&found, "proxy-1/proxy");
    assert!(hanging.starts_with("no log: ") && hanging.contains("no answer"), "{hanging}");
    assert!(text_of(&found, "pod/proxy-1").contains("forbids it (403)"));
    assert!(cluster.inventory().borrow().is_current());
}
