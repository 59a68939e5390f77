//! What the kubelet does by itself, and what it shows of it.

use std::time::Duration;

use falconer::model::Role;
use falconer::sim::{ComponentSettings, Fault, Layout, Probing, SimSettings, Simulation};
use serde_json::{Value, json};

use super::{events, eventually, get, settings, settled};

async fn quick(role: Role, replicas: u32) -> Simulation {
    let components = vec![ComponentSettings::of(role, replicas)];
    let probing = Some(Probing::QUICK);
    settled(SimSettings { components, probing, ..settings() }).await
}

async fn pod(sim: &Simulation, name: &str) -> Value {
    get(sim, &format!("/api/v1/namespaces/milvus-ha/pods/{name}")).await.1
}

#[tokio::test]
async fn a_closed_port_fails_the_liveness_probe_and_the_container_is_started_again() {
    let sim = quick(Role::DataNode, 1).await;
    let before = sim.pods("datanode").remove(0);
    sim.inject(Fault::ClosePort { pod: before.name.clone() }).expect("there");
    eventually("the kubelet starts it again", || {
        let pods = sim.pods("datanode");
        pods.iter().all(|pod| pod.uid == before.uid && pod.restarts == 1 && pod.ready)
    })
    .await;
    let status = &pod(&sim, &before.name).await["status"]["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 137);
    assert!(status["state"]["running"]["startedAt"].is_string(), "{status}");
    let told = events(&sim, &before.name).await;
    let has = |text: &str| told.iter().any(|event| event.contains(text));
    assert!(has("Unhealthy: Liveness probe failed: dial tcp "), "{told:?}");
    assert!(
        has("Killing: Container datanode failed liveness probe, will be restarted"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_process_that_hangs_with_an_open_port_is_not_ready_and_never_started_again() {
    let sim = quick(Role::DataNode, 1).await;
    let before = sim.pods("datanode").remove(0);
    sim.inject(Fault::HangPod { pod: before.name.clone() }).expect("there");
    eventually("it is not ready", || !sim.pods("datanode")[0].ready).await;
    let told = events(&sim, &before.name).await;
    let expected = "Unhealthy: Readiness probe failed: Get \"http://";
    assert!(told.iter().any(|event| event.starts_with(expected)), "{told:?}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after = sim.pods("datanode").remove(0);
    assert_eq!((after.uid, after.restarts), (before.uid, 0), "more than three periods later");
}

#[tokio::test]
async fn each_pause_between_two_crashes_is_longer_than_the_one_before() {
    let components = vec![ComponentSettings::of(Role::IndexNode, 1)];
    let crash_backoff = Duration::from_secs(1);
    let sim = settled(SimSettings { components, crash_backoff, ..settings() }).await;
    sim.inject(Fault::CrashLoopForever { component: "indexnode".to_owned() }).expect("there");
    let name = sim.pods("indexnode").remove(0).name;
    let mut pauses: Vec<String> = Vec::new();
    for _ in 0..1_000 {
        let shown = pod(&sim, &name).await;
        let waiting = &shown["status"]["containerStatuses"][0]["state"]["waiting"];
        let pause = waiting["message"].as_str().and_then(|text| text.split_whitespace().nth(1));
        if let Some(pause) = pause
            && pauses.last().is_none_or(|last| last != pause)
        {
            pauses.push(pause.to_owned());
        }
        if pauses.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pauses, ["1s", "2s", "4s"]);
    assert!(events(&sim, &name).await.iter().any(|event| event.starts_with("BackOff: ")));
    // Whatever is done: neither a new pod nor a new revision helps.
    let path = "/apis/apps/v1/namespaces/milvus-ha/deployments/milvus-indexnode";
    let template = json!({"metadata": {"annotations": {"restarted": "now"}}});
    let restart = json!({"spec": {"template": template}});
    assert_eq!(super::send(&sim, "PATCH", path, restart).await.0, 200);
    eventually("the new revision crashes as well", || {
        let pods = sim.pods("indexnode");
        pods.len() == 2 && pods.iter().all(|pod| pod.restarts > 0)
    })
    .await;
}

#[tokio::test]
async fn in_a_storm_every_restart_helps_for_a_while() {
    let sim = quick(Role::IndexNode, 1).await;
    let after = Duration::from_secs(2);
    sim.inject(Fault::RestartStorm { component: "indexnode".to_owned(), after }).expect("there");
    for _ in 0..2 {
        eventually("it gets sick", || !sim.pods("indexnode")[0].ready).await;
        let sick = sim.pods("indexnode").remove(0);
        let path = format!("/api/v1/namespaces/milvus-ha/pods/{}", sick.name);
        assert_eq!(super::send(&sim, "DELETE", &path, json!({})).await.0, 200);
        eventually("a new one is well", || {
            sim.pods("indexnode").iter().any(|pod| pod.uid != sick.uid && pod.ready)
        })
        .await;
        eventually("the old one is gone", || sim.pods("indexnode").len() == 1).await;
    }
    sim.heal();
    tokio::time::sleep(after + Duration::from_secs(1)).await;
    assert!(sim.is_settled(), "it stays well");
}

#[tokio::test]
async fn without_etcd_everything_is_sick_and_nothing_is_to_blame_but_etcd() {
    let probing = Some(Probing::QUICK);
    let sim = settled(SimSettings { probing, ..settings() }).await;
    let etcd = || async { reqwest::get(sim.dependency_url()).await.expect("answers").status() };
    assert_eq!(etcd().await, 200);
    sim.inject(Fault::EtcdOutage).expect("possible");
    assert_eq!(etcd().await, 503);
    let roles = sim.settings().components.iter().map(|component| component.role.to_string());
    let pods = || roles.clone().flat_map(|role| sim.pods(&role)).collect::<Vec<_>>();
    eventually("no pod is ready", || pods().iter().all(|pod| !pod.ready)).await;
    assert!(pods().iter().all(|pod| pod.restarts == 0), "their ports are open");
    let path = format!("/api/v1/namespaces/milvus-ha/pods/{}/log", pods()[0].name);
    let log = reqwest::get(format!("{}{path}", sim.api_url())).await.expect("answers");
    assert!(log.text().await.expect("text").contains("etcdserver: request timed out"));
    sim.heal();
    eventually("all recover by themselves", || sim.is_settled()).await;
    assert_eq!(etcd().await, 200);
}

#[tokio::test]
async fn the_probes_are_those_of_the_layout() {
    let components = vec![ComponentSettings::of(Role::Proxy, 1)];
    for (layout, liveness, startup) in [
        (
            Layout::Helm,
            json!({"initialDelaySeconds": 90, "periodSeconds": 30, "failureThreshold": 5}),
            Value::Null,
        ),
        (Layout::Operator, json!({"periodSeconds": 15, "failureThreshold": 3}), json!(18)),
    ] {
        let sim =
            settled(SimSettings { layout, components: components.clone(), ..settings() }).await;
        let shown = pod(&sim, &sim.pods("proxy")[0].name).await;
        let container = &shown["spec"]["containers"][0];
        for (field, value) in liveness.as_object().expect("an object") {
            assert_eq!(&container["livenessProbe"][field], value, "{layout:?} {field}");
        }
        assert!(container["livenessProbe"]["tcpSocket"].is_object());
        assert_eq!(container["startupProbe"]["failureThreshold"], startup);
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/healthz");
    }
}
