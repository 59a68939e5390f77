//! What falconer asks the API for is what the table says and what the Role grants: no more, no less.

use std::collections::BTreeSet;
use std::time::Duration;

use falconer::effects::cluster::kube::KubeCluster;
use falconer::effects::cluster::kube::access::ACCESS;
use falconer::effects::probe::resources::ResourcesProbe;
use falconer::effects::{
    ActionQuery, Cluster, DeletePodRequest, EvidenceRequest, Probe, RestartRequest,
    RollbackRequest, ScaleRequest,
};
use falconer::model::{ClusterEvent, EventType, Outcome, Timestamp, WorkloadKind};
use serde_json::{Value, json};

use super::fake_api::{FakeApi, Recorded, apps, milvuses, pods, samples, scaled_objects};
use super::healing::{crashed_pod, newest_revision_of, revision_object};
use super::{start, synced, workload, workload_object};

type Triple = (String, String, String);

fn of_table() -> BTreeSet<Triple> {
    let triple = |group: &str, resource: &str, verb: &str| {
        (group.to_owned(), resource.to_owned(), verb.to_owned())
    };
    ACCESS
        .iter()
        .flat_map(|access| {
            access.verbs.iter().map(move |verb| triple(access.group, access.resource, verb))
        })
        .collect()
}

fn of_role() -> BTreeSet<Triple> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/role.yaml");
    let text = std::fs::read_to_string(path).expect("the manifest");
    let role: Value = serde_saphyr::from_str(&text).expect("valid YAML");
    assert_eq!(role["kind"], "Role");
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().expect("a list").iter();
        all.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    granted.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    granted
}

/// Every operation on every kind, and the probe.
async fn use_everything(api: &FakeApi) {
    let cluster = start(api);
    synced(&cluster).await;
    let kinds = [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet];
    for kind in kinds {
        let workload = workload(kind, "w");
        let at = Timestamp::from_millis(1_767_225_600_000);
        let request =
            RestartRequest { workload: workload.clone(), at, idempotency_key: "i/1".to_owned() };
        cluster.restart(&request).await.expect("a restart");
        cluster.rollout_status(&workload).await.expect("a status");
        let scaled =
            cluster.scale(&ScaleRequest { workload: workload.clone(), from: 1, to: 2 }).await;
        assert_eq!(scaled.is_ok(), kind != WorkloadKind::DaemonSet, "{scaled:?}");
        let event = ClusterEvent {
            workload,
            event_type: EventType::Normal,
            reason: "RolloutRestarted",
            message: "it was sick".to_owned(),
        };
        cluster.record_event(&event).await.expect("an event");
    }
    heal(&cluster).await;
    let seen = ResourcesProbe::new(cluster.clone()).probe(Duration::from_secs(5)).await;
    assert_eq!(seen.outcome, Outcome::Healthy);
    assert_eq!(seen.usage[0].cpu_percent_of_request, Some(20));
    // Watches are opened after the lists; wait for the last one.
    let watched = async {
        let wanted = of_table().into_iter().filter(|(_, _, verb)| verb == "watch").count();
        loop {
            let seen: BTreeSet<_> = api.requests().iter().map(Recorded::access).collect();
            if seen.iter().filter(|(_, _, verb)| verb == "watch").count() == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), watched).await.expect("every watch is opened");
    cluster.shutdown(Duration::from_secs(1)).await;
}

/// Everything that is done to single pods, and a rollback.
async fn heal(cluster: &KubeCluster) {
    let workload = workload(WorkloadKind::Deployment, "w");
    let evidence = EvidenceRequest {
        workload: workload.clone(),
        pods: vec!["p".into()],
        log_lines: 10,
        log_bytes: 1000,
    };
    cluster.evidence(&evidence).await.expect("evidence");
    for force in [false, true] {
        let request = DeletePodRequest {
            workload: workload.clone(),
            pod: "p".into(),
            uid: Some("uid-p".into()),
            force,
            idempotency_key: "i/2".to_owned(),
        };
        cluster.delete_pod(&request).await.expect("a deletion");
        let pod = Some((request.pod, request.uid));
        let (workload, idempotency_key) = (workload.clone(), String::new());
        let action = ActionQuery { workload, pod, force, idempotency_key };
        cluster.find_action(&action).await.expect("a trace");
    }
    let rollback = RollbackRequest {
        workload,
        from_revision: 2,
        to_revision: 1,
        idempotency_key: "i/3".to_owned(),
    };
    cluster.rollback(&rollback).await.expect("a rollback");
}

#[tokio::test]
async fn the_role_grants_exactly_what_the_code_asks_for() {
    let api = FakeApi::start().await;
    for path in [milvuses(), scaled_objects(), samples()] {
        api.serve(&path);
    }
    for resource in ["deployments", "statefulsets", "daemonsets"] {
        api.put(&apps(resource), workload_object("w", "proxy", "ha"));
    }
    api.put(&pods(), crashed_pod("p", "proxy"));
    api.set_log("p", "proxy", "", b"now");
    api.set_log("p", "proxy", "previous", b"before");
    for revision in [revision_object("w", 1, "m:1"), newest_revision_of(&api, "w", 2)] {
        api.put(&apps("replicasets"), revision);
    }
    let usage = json!({"cpu": "100000000n", "memory": "512Mi"});
    let sample = json!({"metadata": {"name": "p"}, "timestamp": "2026-01-01T00:00:00Z",
        "window": "15s", "containers": [{"name": "proxy", "usage": usage}]});
    api.put(&samples(), sample);

    use_everything(&api).await;

    let asked: BTreeSet<Triple> = api.requests().iter().map(Recorded::access).collect();
    assert_eq!(asked, of_table(), "requests (left) and the table (right) differ");
    assert_eq!(of_role(), of_table(), "deploy/base/role.yaml (left) and the table (right) differ");
}
