//! Revisions of templates: bad ones, and the way back.

use falconer::model::{Role, WorkloadKind};
use falconer::sim::{Breakage, ComponentSettings, Fault, Probing, SimSettings, Simulation};
use serde_json::{Value, json};

use super::{eventually, get, send, settings, settled};

const APPS: &str = "/apis/apps/v1/namespaces/milvus-ha";

async fn query_nodes(kind: WorkloadKind, settings: SimSettings) -> Simulation {
    let querynode = ComponentSettings { kind, ..ComponentSettings::of(Role::QueryNode, 3) };
    settled(SimSettings { components: vec![querynode], ..settings }).await
}

async fn deployment(sim: &Simulation) -> Value {
    get(sim, &format!("{APPS}/deployments/milvus-querynode")).await.1
}

/// The ReplicaSets, oldest revision first.
async fn replica_sets(sim: &Simulation) -> Vec<Value> {
    let (_, list) = get(sim, &format!("{APPS}/replicasets")).await;
    let mut sets = list["items"].as_array().expect("items").clone();
    sets.sort_by_key(revision);
    sets
}

fn revision(object: &Value) -> u64 {
    let text = object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str();
    text.and_then(|text| text.parse().ok()).expect("a revision")
}

fn progress(deployment: &Value) -> (String, String) {
    let conditions = deployment["status"]["conditions"].as_array().expect("conditions");
    let progress = conditions.iter().find(|entry| entry["type"] == "Progressing");
    let progress = progress.expect("a condition");
    let text = |field: &str| progress[field].as_str().expect("a text").to_owned();
    (text("status"), text("reason"))
}

#[tokio::test]
async fn a_bad_rollout_stops_by_itself_and_is_undone_with_the_template_of_before() {
    let sim = query_nodes(WorkloadKind::Deployment, settings()).await;
    let before = sim.pods("querynode");
    let fault =
        Fault::BadRollout { component: "querynode".to_owned(), breakage: Breakage::NeverReady };
    sim.inject(fault).expect("there");
    eventually("the new revision has a pod that runs", || {
        sim.pods("querynode")
            .iter()
            .any(|pod| pod.revision != before[0].revision && pod.ip.is_some())
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let pods = sim.pods("querynode");
    assert_eq!(pods.iter().filter(|pod| pod.ready).count(), 3, "a quarter of three is none");
    assert!(pods.iter().filter(|pod| pod.ready).all(|pod| pod.revision == before[0].revision));
    let shown = deployment(&sim).await;
    assert_eq!((revision(&shown), progress(&shown).1.as_str()), (2, "ReplicaSetUpdated"));

    let sets = replica_sets(&sim).await;
    assert_eq!(sets.iter().map(revision).collect::<Vec<_>>(), [1, 2]);
    let (old, new) = (&sets[0], &sets[1]);
    for set in [old, new] {
        let hash = &set["metadata"]["labels"]["pod-template-hash"];
        assert_eq!(hash, &set["spec"]["template"]["metadata"]["labels"]["pod-template-hash"]);
        assert_eq!(hash, &set["spec"]["selector"]["matchLabels"]["pod-template-hash"]);
        assert_eq!(set["metadata"]["ownerReferences"][0]["kind"], "Deployment");
    }
    let image = |set: &Value| set["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_ne!(image(old), image(new));

    // As `kubectl rollout undo` does it: the whole template, without the label of its hash.
    let mut template = old["spec"]["template"].clone();
    let labels = template["metadata"]["labels"].as_object_mut().expect("labels");
    labels.remove("pod-template-hash");
    let request = reqwest::Client::new()
        .patch(format!("{}{APPS}/deployments/milvus-querynode", sim.api_url()))
        .header("content-type", "application/json-patch+json")
        .body(json!([{"op": "replace", "path": "/spec/template", "value": template}]).to_string());
    assert_eq!(request.send().await.expect("answers").status(), 200);
    eventually("only the old pods are left", || {
        sim.is_settled() && sim.workload("querynode").is_some_and(|workload| workload.revision == 3)
    })
    .await;
    let mut after = sim.pods("querynode");
    after.retain(|pod| before.iter().all(|old| old.uid != pod.uid));
    assert_eq!(after, [], "none of the old pods was replaced");
    let numbers: Vec<u64> = replica_sets(&sim).await.iter().map(revision).collect();
    assert_eq!(numbers, [2, 3], "the old ReplicaSet has become the newest");
}

#[tokio::test]
async fn a_rollout_that_does_not_get_on_says_so_after_its_deadline() {
    let quick = SimSettings {
        probing: Some(Probing::QUICK),
        progress_deadline_seconds: Some(2),
        ..settings()
    };
    let sim = query_nodes(WorkloadKind::Deployment, quick).await;
    assert_eq!(progress(&deployment(&sim).await), ("True".into(), "NewReplicaSetAvailable".into()));
    let (component, breakage) = ("querynode".to_owned(), Breakage::CrashLoop);
    sim.inject(Fault::BadRollout { component, breakage }).expect("there");
    let mut seen = Vec::new();
    for _ in 0..500 {
        let now = progress(&deployment(&sim).await);
        if seen.last() != Some(&now) {
            seen.push(now.clone());
        }
        if now.0 == "False" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let last = seen.last().expect("a condition");
    assert_eq!(last, &("False".into(), "ProgressDeadlineExceeded".into()), "{seen:?}");
    // Such a rollout is not a failure of the pods that there were.
    sim.inject(Fault::Component500 { component: "querynode".to_owned() }).expect("there");
    sim.heal();
    eventually("the image is sound now", || sim.is_settled()).await;
    assert_eq!(progress(&deployment(&sim).await).1, "NewReplicaSetAvailable");
}

#[tokio::test]
async fn only_so_many_old_revisions_are_kept() {
    let sim = query_nodes(WorkloadKind::Deployment, settings()).await;
    let path = format!("{APPS}/deployments/milvus-querynode");
    for round in 1..=3 {
        let template = json!({"metadata": {"annotations": {"round": round.to_string()}}});
        let spec = json!({"spec": {"revisionHistoryLimit": 1, "template": template}});
        assert_eq!(send(&sim, "PATCH", &path, spec).await.0, 200);
        eventually("it is rolled out", || {
            sim.is_settled() && sim.workload("querynode").is_some_and(|w| w.revision == round + 1)
        })
        .await;
    }
    let mut numbers = Vec::new();
    for _ in 0..250 {
        numbers = replica_sets(&sim).await.iter().map(revision).collect();
        if numbers.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(numbers, [3, 4]);
}

#[tokio::test]
async fn a_template_must_fit_its_selector() {
    let sim = query_nodes(WorkloadKind::Deployment, settings()).await;
    let path = format!("{APPS}/deployments/milvus-querynode");
    let strange = json!({"spec": {"template": {"metadata": {"labels": {"component": "proxy"}}}}});
    let (code, answer) = send(&sim, "PATCH", &path, strange).await;
    assert_eq!(
        (code, &answer["details"]["causes"][0]["field"]),
        (422, &json!("spec.template.metadata.labels"))
    );
    let other = json!({"spec": {"selector": {"matchLabels": {"x": "y"}},
        "template": {"metadata": {"labels": {"x": "y"}}}}});
    assert_eq!(send(&sim, "PATCH", &path, other).await.0, 422, "a selector is for ever");
}

#[tokio::test]
async fn a_stateful_set_keeps_its_templates_in_revisions() {
    let sim = query_nodes(WorkloadKind::StatefulSet, settings()).await;
    let path = format!("{APPS}/statefulsets/milvus-querynode");
    let first = get(&sim, &path).await.1["status"]["currentRevision"].clone();
    let (component, breakage) = ("querynode".to_owned(), Breakage::CrashLoop);
    sim.inject(Fault::BadRollout { component, breakage }).expect("there");
    eventually("the last pod is a new one and crashes", || {
        sim.pods("querynode").get(2).is_some_and(|pod| pod.waiting == "CrashLoopBackOff")
    })
    .await;
    let status = get(&sim, &path).await.1["status"].clone();
    assert_eq!(status["currentRevision"], first);
    assert_ne!(status["updateRevision"], first);
    assert_eq!((&status["readyReplicas"], &status["updatedReplicas"]), (&json!(2), &json!(1)));
    let (_, list) = get(&sim, &format!("{APPS}/controllerrevisions")).await;
    let items = list["items"].as_array().expect("items");
    let old = items.iter().find(|item| item["metadata"]["name"] == first).expect("the first one");
    assert_eq!((items.len(), &old["revision"]), (2, &json!(1)));
    let pods = get(&sim, "/api/v1/namespaces/milvus-ha/pods/milvus-querynode-0").await.1;
    assert_eq!(pods["metadata"]["labels"]["controller-revision-hash"], first);

    // The way back, as kubectl takes it: the revision's data is the patch.
    let request = reqwest::Client::new()
        .patch(format!("{}{path}", sim.api_url()))
        .header("content-type", "application/strategic-merge-patch+json")
        .body(old["data"].to_string());
    assert_eq!(request.send().await.expect("answers").status(), 200);
    // A StatefulSet in order waits for ever for the pod that is broken.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(!sim.pods("querynode")[2].ready);
    let broken = "/api/v1/namespaces/milvus-ha/pods/milvus-querynode-2";
    assert_eq!(send(&sim, "DELETE", broken, json!({})).await.0, 200);
    eventually("all is as before", || sim.is_settled()).await;
    let status = get(&sim, &path).await.1["status"].clone();
    assert_eq!((&status["currentRevision"], &status["updateRevision"]), (&first, &first));
    let changed = json!({"spec": {"serviceName": "other"}});
    assert_eq!(send(&sim, "PATCH", &path, changed).await.0, 422);
}
