//! What falconer asks the API for is what the table says and what the Roles grant: no more, no less,
//! for each feature switched on or off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use falconer::clock::Clock;
use falconer::config::settings::LeaderElectionSettings;
use falconer::effects::cluster::kube::access::{ACCESS, Feature};
use falconer::effects::cluster::kube::lease::KubeLease;
use falconer::effects::cluster::kube::state_map::KubeStateMap;
use falconer::effects::cluster::kube::{ClientSource, KubeCluster, Place};
use falconer::effects::probe::resources::ResourcesProbe;
use falconer::effects::{
    ActionQuery, Cluster, DeletePodRequest, EvidenceRequest, LeaseStore, Probe, RemovalPreference,
    RestartRequest, RollbackRequest, ScaleRequest, StateStore,
};
use falconer::model::{
    ClusterEvent, EventType, Leadership, LeaseRecord, Outcome, Timestamp, WorkloadKind,
};
use falconer::sim::{AccessRule, SimSettings, Simulation};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fake_api::{FakeApi, Recorded, apps, milvuses, pods, samples, scaled_objects};
use super::healing::{crashed_pod, newest_revision_of, revision_object};
use super::{start, synced, workload, workload_object};

/// Group, resource, verb.
type Triple = (String, String, String);
/// The same with the only name that it is granted for; empty for all.
type Grant = (Triple, String);

fn of_table(features: &[Feature]) -> BTreeSet<Grant> {
    let wanted = ACCESS.iter().filter(|access| features.contains(&access.feature));
    let grants = wanted.flat_map(|access| {
        let name = access.name.unwrap_or_default().to_owned();
        let (group, resource) = (access.group.to_owned(), access.resource.to_owned());
        access
            .verbs
            .iter()
            .map(move |verb| ((group.clone(), resource.clone(), (*verb).to_owned()), name.clone()))
    });
    grants.collect()
}

/// What the table lists for these features.
fn listed(features: &[Feature]) -> BTreeSet<Triple> {
    of_table(features).into_iter().map(|(triple, _)| triple).collect()
}

/// The Role of a feature, and the RoleBinding that gives it to falconer.
fn manifests(feature: Feature) -> (Value, Value) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/access");
    let path = format!("{folder}/{}.yaml", feature.as_str());
    let text = std::fs::read_to_string(&path).expect("the manifest");
    let (role, binding) = text.split_once("\n---\n").expect("two documents");
    let yaml = |text: &str| serde_saphyr::from_str::<Value>(text).expect("valid YAML");
    (yaml(role), yaml(binding))
}

fn of_role(role: &Value) -> BTreeSet<Grant> {
    assert_eq!(role["kind"], "Role");
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        let mut names = texts(&rule["resourceNames"]);
        if names.is_empty() {
            names.push(String::new());
        }
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let triple = (group.clone(), resource.clone(), verb);
                    granted.extend(names.iter().map(|name| (triple.clone(), name.clone())));
                }
            }
        }
    }
    granted
}

/// Everything that `feature` does to a cluster.
async fn use_feature(cluster: &Arc<KubeCluster>, feature: Feature) {
    match feature {
        Feature::Watch => {
            let seen = ResourcesProbe::new(cluster.clone()).probe(Duration::from_secs(5)).await;
            assert_eq!(seen.outcome, Outcome::Healthy);
            assert_eq!(seen.usage[0].cpu_percent_of_request, Some(20));
        }
        Feature::Recovery => {
            let kinds =
                [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet];
            for kind in kinds {
                let workload = workload(kind, "w");
                let at = Timestamp::from_millis(1_767_225_600_000);
                let idempotency_key = "i/1".to_owned();
                let request = RestartRequest { workload: workload.clone(), at, idempotency_key };
                cluster.restart(&request).await.expect("a restart");
                cluster.rollout_status(&workload).await.expect("a status");
            }
            say(cluster).await;
            heal(cluster).await;
        }
        Feature::ForceDelete => delete(cluster, true).await,
        Feature::Scaling => {
            for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
                let workload = workload(kind, "w");
                let request = ScaleRequest { workload: workload.clone(), from: 1, to: 2 };
                cluster.scale(&request).await.expect("a scaling");
                cluster.scaling_status(&request).await.expect("a status");
            }
            let daemons = workload(WorkloadKind::DaemonSet, "w");
            let request = ScaleRequest { workload: daemons, from: 1, to: 2 };
            cluster.scale(&request).await.expect_err("there is nothing to scale");
            let preference = RemovalPreference {
                workload: workload(WorkloadKind::Deployment, "w"),
                pod: "p".into(),
                uid: Some("uid-p".into()),
                preferred: true,
            };
            cluster.prefer_removal(&preference).await.expect("a mark");
            say(cluster).await;
        }
        Feature::OperatorScaling => {
            let workload = workload(WorkloadKind::Deployment, "o");
            let request = ScaleRequest { workload, from: 1, to: 2 };
            cluster.scale(&request).await.expect("a scaling");
        }
        Feature::LeaderElection | Feature::State => unreachable!("not about a cluster"),
    }
}

async fn say(cluster: &KubeCluster) {
    let event = ClusterEvent {
        workload: workload(WorkloadKind::Deployment, "w"),
        event_type: EventType::Normal,
        reason: "RolloutRestarted",
        message: "it was sick".to_owned(),
    };
    cluster.record_event(&event).await.expect("an event");
}

/// What is asked for when these features are used, watches included.
async fn asked_by(features: &[Feature]) -> BTreeSet<Triple> {
    let api = api_with_everything().await;
    let cluster = start(&api);
    synced(&cluster).await;
    for feature in features {
        use_feature(&cluster, *feature).await;
    }
    let asked = || -> BTreeSet<_> { api.requests().iter().map(Recorded::access).collect() };
    // Watches are opened after the lists; wait for the last one.
    let watched = async {
        let is_watch = |triple: &&Triple| triple.2 == "watch";
        let wanted = listed(&[Feature::Watch]).iter().filter(is_watch).count();
        while asked().iter().filter(is_watch).count() < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), watched).await.expect("every watch is opened");
    cluster.shutdown(Duration::from_secs(1)).await;
    asked()
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
    delete(cluster, false).await;
    let pod = Some(("p".into(), Some("uid-p".into())));
    let (on, idempotency_key) = (workload.clone(), String::new());
    let action = ActionQuery { workload: on, pod, force: false, idempotency_key };
    cluster.find_action(&action).await.expect("a trace");
    let rollback = RollbackRequest {
        workload,
        from_revision: 2,
        to_revision: 1,
        idempotency_key: "i/3".to_owned(),
    };
    cluster.rollback(&rollback).await.expect("a rollback");
}

async fn delete(cluster: &KubeCluster, force: bool) {
    let request = DeletePodRequest {
        workload: workload(WorkloadKind::Deployment, "w"),
        pod: "p".into(),
        uid: Some("uid-p".into()),
        force,
        idempotency_key: "i/2".to_owned(),
    };
    cluster.delete_pod(&request).await.expect("a deletion");
}

async fn api_with_everything() -> FakeApi {
    let api = FakeApi::start().await;
    for path in [milvuses(), scaled_objects(), samples()] {
        api.serve(&path);
    }
    for resource in ["deployments", "statefulsets", "daemonsets"] {
        api.put(&apps(resource), workload_object("w", "proxy", "ha"));
    }
    let mut owned = workload_object("o", "querynode", "ha");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "milvus.io/v1beta1",
        "kind": "Milvus", "name": "ha", "uid": "uid-ha", "controller": true}]);
    api.put(&apps("deployments"), owned);
    let components = json!({"queryNode": {"replicas": 1}});
    api.put(
        &milvuses(),
        json!({"apiVersion": "milvus.io/v1beta1", "kind": "Milvus",
            "metadata": {"name": "ha", "uid": "uid-ha"}, "spec": {"components": components}}),
    );
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
    api
}

#[tokio::test]
async fn each_feature_asks_for_exactly_what_the_table_lists_for_it() {
    let alone = [Feature::Recovery, Feature::ForceDelete, Feature::Scaling];
    let mut sets = vec![vec![Feature::Watch]];
    sets.extend(alone.map(|feature| vec![Feature::Watch, feature]));
    sets.push(vec![Feature::Watch, Feature::Scaling, Feature::OperatorScaling]);
    sets.push(vec![Feature::Watch, Feature::Scaling, Feature::Recovery, Feature::ForceDelete]);
    for features in sets {
        let asked = asked_by(&features).await;
        assert_eq!(asked, listed(&features), "{features:?}: requests (left), table (right)");
    }
}

#[tokio::test]
async fn what_falconer_keeps_for_itself_needs_exactly_what_its_roles_grant() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for feature in [Feature::LeaderElection, Feature::State] {
        let sim = Simulation::start(SimSettings::default()).expect("a simulation");
        sim.enforce_access(Some(AccessRule::of_role(&manifests(feature).0)));
        let url = sim.api_url().parse().expect("a url");
        let name = LeaderElectionSettings::default().lease_name;
        let place = |name: String| Place {
            source: ClientSource::Explicit(Box::new(::kube::Config::new(url))),
            namespace: sim.settings().namespace.as_str().into(),
            name: name.into(),
            request: Duration::from_secs(5),
        };
        if feature == Feature::LeaderElection {
            let lease = KubeLease::new(place(name));
            assert_eq!(lease.read().await.expect("allowed"), None);
            let duration = Duration::from_secs(12);
            let record = LeaseRecord { holder: "a".to_owned(), duration, ..LeaseRecord::default() };
            let made = lease.create(&record).await.expect("allowed");
            lease.update(&made.version, &record).await.expect("allowed");
        } else {
            let (_, leadership) = watch::channel(Leadership::Standalone);
            let place = place(format!("{name}-state"));
            let state = KubeStateMap::start(place, "a".into(), leadership, Clock::system());
            state.load().await.expect("allowed");
            let change = [("k".to_owned(), Some("v".to_owned()))].into();
            state.save(&change).await.expect("allowed");
        }
        let used: BTreeSet<Triple> =
            sim.used_access().into_iter().map(|one| (one.group, one.resource, one.verb)).collect();
        assert_eq!(used, listed(&[feature]), "requests (left) and the table (right) differ");
    }
}

#[test]
fn the_role_of_each_feature_grants_what_the_table_lists_and_is_bound() {
    for feature in Feature::ALL {
        let (role, binding) = manifests(feature);
        let table = of_table(&[feature]);
        assert_eq!(of_role(&role), table, "{feature:?}: Role (left), table (right)");
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        assert_eq!(binding["subjects"][0]["name"], "falconer");
    }
    let names: BTreeSet<&str> = ACCESS.iter().filter_map(|access| access.name).collect();
    let lease = LeaderElectionSettings::default().lease_name;
    assert_eq!(names, [lease.as_str(), &format!("{lease}-state")].into());
}
