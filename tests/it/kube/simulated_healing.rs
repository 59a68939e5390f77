//! Healing against the simulated cluster, whose controllers replace pods, keep disruption budgets and
//! revisions, and whose API lets falconer do only what its Roles grant.

use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::effects::cluster::kube::KubeCluster;
use falconer::effects::{
    ActionQuery, ActionTrace, Cluster, ClusterError, DeletePodRequest, EvidenceRequest,
    RollbackRequest,
};
use falconer::model::{Hold, Inventory, Pod, PodCondition, Role, Workload};
use falconer::sim::{
    Breakage, ComponentSettings, Fault, Layout, OperatorTrait, Probing, SimSettings, Simulation,
    Undying,
};
use serde_json::json;

use super::simulated::active;
use super::{adapter, granted, settled, until};

/// Watching, recovery and forced deletion.
const HEALING: [&str; 3] = ["watch", "recovery", "force-delete"];

async fn begin(layout: Layout) -> (Simulation, Arc<KubeCluster>) {
    let sim = settled(SimSettings {
        layout,
        components: vec![ComponentSettings::of(Role::Proxy, 2)],
        probing: Some(Probing::QUICK),
        startup: Duration::from_millis(200),
        crash_backoff: Duration::from_millis(500),
        ..SimSettings::default()
    })
    .await;
    sim.enforce_access(Some(granted(&HEALING)));
    let cluster = adapter(&sim);
    until(&cluster, "two ready proxies are not seen", |inventory| {
        inventory.is_current() && ready(inventory).len() == 2
    })
    .await;
    (sim, cluster)
}

fn proxies(inventory: &Inventory) -> &[Pod] {
    inventory.components.get("proxy").map_or(&[], |component| &component.pods)
}

fn ready(inventory: &Inventory) -> Vec<&Pod> {
    proxies(inventory).iter().filter(|pod| pod.condition == PodCondition::Ready).collect()
}

fn seen(cluster: &KubeCluster) -> Arc<Inventory> {
    cluster.inventory().borrow().clone()
}

fn deletion(workload: &Workload, pod: &Pod, force: bool) -> DeletePodRequest {
    DeletePodRequest {
        workload: workload.reference.clone(),
        pod: Arc::clone(&pod.name),
        uid: pod.life.uid.clone(),
        force,
        idempotency_key: "incident/1".to_owned(),
    }
}

fn trace_of(request: &DeletePodRequest) -> ActionQuery {
    ActionQuery {
        workload: request.workload.clone(),
        pod: Some((Arc::clone(&request.pod), request.uid.clone())),
        force: request.force,
        idempotency_key: request.idempotency_key.clone(),
    }
}

fn evidence_of(workload: &Workload, pod: &Pod) -> EvidenceRequest {
    EvidenceRequest {
        workload: workload.reference.clone(),
        pods: vec![Arc::clone(&pod.name)],
        log_lines: 50,
        log_bytes: 4096,
    }
}

/// Falconer itself may not make one; the access rules are set again afterwards.
async fn put_budget(sim: &Simulation, least: u32) {
    sim.enforce_access(None);
    let labels = json!({"component": "proxy"});
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": format!("proxy-{least}")},
        "spec": {"minAvailable": least, "selector": {"matchLabels": labels}}});
    let url = format!("{}/apis/policy/v1/namespaces/milvus-ha/poddisruptionbudgets", sim.api_url());
    let client = reqwest::Client::new();
    let old = client.delete(format!("{url}/proxy-2")).send().await.expect("answers").status();
    assert!(least == 2 || old == 200, "{old}");
    let made = client.post(url).body(budget.to_string());
    let made = made.header("content-type", "application/json").send().await.expect("answers");
    assert_eq!(made.status(), 201);
    sim.enforce_access(Some(granted(&HEALING)));
}

#[tokio::test]
async fn a_pod_goes_when_its_budget_allows_it_and_only_that_pod() {
    let (sim, cluster) = begin(Layout::Helm).await;
    let inventory = seen(&cluster);
    let workload = active(&inventory, "proxy");
    let request = deletion(&workload, ready(&inventory)[0], false);
    put_budget(&sim, 2).await;
    let refused = cluster.delete_pod(&request).await.expect_err("a refusal");
    assert!(matches!(refused, ClusterError::Conflict { .. }), "{refused:?}");
    let trace = trace_of(&request);
    assert_eq!(cluster.find_action(&trace).await.expect("a trace"), ActionTrace::NotDone);

    put_budget(&sim, 1).await;
    let evicted = async {
        // The budget's controller has to look first.
        while let Err(error) = cluster.delete_pod(&request).await {
            assert!(matches!(error, ClusterError::Conflict { .. }), "{error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), evicted).await.expect("it is evicted");
    assert_eq!(cluster.find_action(&trace).await.expect("a trace"), ActionTrace::Done);
    let replaced = until(&cluster, "the pod is not replaced", |inventory| {
        let is_gone = proxies(inventory).iter().all(|pod| pod.life.uid != request.uid);
        is_gone && ready(inventory).len() == 2
    })
    .await;
    let kept = ready(&inventory)[1].life.uid.clone();
    assert!(proxies(&replaced).iter().any(|pod| pod.life.uid == kept));
    let again = cluster.delete_pod(&request).await.expect("nothing to do");
    assert!(again.change.contains("was gone"), "{}", again.change);
}

#[tokio::test]
async fn a_bad_rollout_is_seen_told_by_its_logs_and_rolled_back() {
    let (sim, cluster) = begin(Layout::Helm).await;
    let before = active(&seen(&cluster), "proxy").revision.expect("a revision");
    assert_eq!(before.previous, None);
    let component = "proxy".to_owned();
    sim.inject(Fault::BadRollout { component, breakage: Breakage::CrashLoop }).expect("a fault");
    let sick = until(&cluster, "the crash loop is not seen", |inventory| {
        let is_crashing = |pod: &Pod| matches!(pod.condition, PodCondition::CrashLoop { .. });
        proxies(inventory).iter().any(|pod| is_crashing(pod) && pod.life.restarts > 0)
    })
    .await;
    let workload = active(&sick, "proxy");
    let revision = workload.revision.clone().expect("a revision");
    assert_eq!(revision.previous, Some(before.number));
    let is_new = |pod: &Pod| {
        pod.life.template.as_ref().is_some_and(|hash| revision.templates.contains(hash))
    };
    let crashing = proxies(&sick).iter().find(|pod| is_new(pod) && pod.life.restarts > 0);
    let crashing = crashing.expect("a pod of the newest revision");
    assert!(ready(&sick).iter().all(|pod| !is_new(pod)), "the old pods still serve");
    assert!(crashing.life.created_at.is_some() && crashing.life.liveness.is_some());

    let found = cluster.evidence(&evidence_of(&workload, crashing)).await.expect("evidence");
    let log = found.iter().find(|one| one.object.ends_with("(previous)")).expect("a log");
    assert!(!log.text.is_empty() && !log.text.starts_with("no log"), "{log:?}");
    let events = format!("pod/{}", crashing.name);
    let events = found.iter().find(|one| *one.object == *events).expect("events");
    assert!(events.text.contains("BackOff"), "{events:?}");

    let request = RollbackRequest {
        workload: workload.reference.clone(),
        from_revision: revision.number,
        to_revision: before.number,
        idempotency_key: "incident/2".to_owned(),
    };
    cluster.rollback(&request).await.expect("a rollback");
    let healed = until(&cluster, "the rollback does not end", |inventory| {
        let workload = active(inventory, "proxy");
        let is_back = workload.revision.as_ref().is_some_and(|now| now.number > revision.number);
        is_back
            && !workload.is_rolling_out()
            && ready(inventory).len() == 2
            && proxies(inventory).len() == 2
    })
    .await;
    let now = active(&healed, "proxy").revision.expect("a revision");
    assert_eq!(now.templates, before.templates);
}

#[tokio::test]
async fn a_pod_that_hangs_in_its_end_is_seen_and_removed_by_force_only() {
    let (sim, cluster) = begin(Layout::Helm).await;
    let inventory = seen(&cluster);
    let workload = active(&inventory, "proxy");
    let pod = ready(&inventory)[0];
    let (name, undying) = (pod.name.to_string(), Undying::Forever);
    sim.inject(Fault::StuckTermination { pod: name, undying }).expect("a fault");
    cluster.delete_pod(&deletion(&workload, pod, false)).await.expect("an eviction");
    let uid = pod.life.uid.clone();
    let hanging = until(&cluster, "the deletion is not seen", |inventory| {
        let it = proxies(inventory).iter().find(|pod| pod.life.uid == uid);
        it.is_some_and(|pod| pod.life.terminating.is_some()) && ready(inventory).len() == 2
    })
    .await;
    let it = proxies(&hanging).iter().find(|pod| pod.life.uid == uid).expect("the pod");
    let terminating = it.life.terminating.expect("a deletion");
    assert_eq!(terminating.grace, Duration::from_secs(30));
    assert!(terminating.since <= Clock::system().now());

    let force = deletion(&workload, pod, true);
    // It has been on its way out all the time: that is not what was asked for.
    let trace = trace_of(&force);
    assert_eq!(cluster.find_action(&trace).await.expect("a trace"), ActionTrace::NotDone);
    cluster.delete_pod(&force).await.expect("a deletion by force");
    assert_eq!(cluster.find_action(&trace).await.expect("a trace"), ActionTrace::Done);
    until(&cluster, "it is still there", |inventory| {
        proxies(inventory).iter().all(|pod| pod.life.uid != uid)
    })
    .await;
}

#[tokio::test]
async fn what_the_operator_is_doing_holds_and_its_revisions_are_its_own() {
    let (sim, cluster) = begin(Layout::Operator).await;
    let workload = active(&seen(&cluster), "proxy");
    assert_eq!(workload.holds, []);
    assert!(workload.revision.is_some());
    sim.inject(Fault::Operator(OperatorTrait::NotUpdated)).expect("a trait");
    let held = until(&cluster, "the hold is not seen", |inventory| {
        let holds = active(inventory, "proxy").holds;
        holds.iter().any(|hold| matches!(hold, Hold::Updating { .. }))
    })
    .await;
    assert!(active(&held, "proxy").is_rolling_out());

    let request = RollbackRequest {
        workload: workload.reference.clone(),
        from_revision: 1,
        to_revision: 1,
        idempotency_key: "incident/3".to_owned(),
    };
    let refused = cluster.rollback(&request).await.expect_err("a refusal");
    assert!(refused.to_string().contains("return the custom resource"), "{refused}");

    sim.inject(Fault::EvidenceHangs).expect("a fault");
    let pod = ready(&held)[0];
    let request = evidence_of(&workload, pod);
    let asking = cluster.evidence(&request);
    let found = tokio::time::timeout(Duration::from_secs(20), asking).await;
    let found = found.expect("it has a deadline of its own").expect("evidence");
    assert!(found.iter().all(|one| one.text.contains("no answer")), "{found:?}");
    assert!(seen(&cluster).is_current());
}
