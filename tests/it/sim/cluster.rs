//! Watches, versions and rollouts.

use std::time::Duration;

use falconer::model::{Role, WorkloadKind};
use falconer::sim::{ComponentSettings, Fault, Layout, SimSettings};
use serde_json::{Value, json};

use super::{PATIENCE, eventually, get, settings, settled};

const PODS: &str = "/api/v1/namespaces/milvus-ha/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/milvus-ha/deployments";

/// A watch, line by line.
struct Watch {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Watch {
    async fn start(url: String) -> Self {
        let response = reqwest::get(url).await.expect("the watch starts");
        assert_eq!(response.status(), 200);
        Self { response, buffer: Vec::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            match chunk.expect("in time").expect("no error") {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return None,
            }
        }
    }
}

async fn patch(url: String, content_type: &str, body: Value) -> (u16, Value) {
    let client = reqwest::Client::new();
    let request = client.patch(url).header("content-type", content_type).body(body.to_string());
    let response = request.send().await.expect("the API answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_watch_tells_every_change_after_the_list() {
    let sim = settled(settings()).await;
    let (_, list) = get(&sim, &format!("{PODS}?labelSelector=component%3Dproxy")).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    let version = list["metadata"]["resourceVersion"].as_str().expect("a version");
    let url = format!(
        "{}{PODS}?watch=true&resourceVersion={version}&labelSelector=component%3Dproxy",
        sim.api_url()
    );
    let mut watch = Watch::start(url).await;
    let name = list["items"][0]["metadata"]["name"].as_str().expect("a name");
    let deleted = reqwest::Client::new().delete(format!("{}{PODS}/{name}", sim.api_url())).send();
    assert_eq!(deleted.await.expect("the API answers").status(), 200);
    let mut seen = Vec::new();
    loop {
        let event = watch.next().await.expect("goes on");
        let kind = event["type"].as_str().expect("a type").to_owned();
        let about = event["object"]["metadata"]["name"].as_str().expect("a name").to_owned();
        let ready = event["object"]["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
        seen.push((kind.clone(), about.clone()));
        if about != name && kind == "MODIFIED" && ready {
            break;
        }
    }
    assert!(seen.contains(&("DELETED".to_owned(), name.to_owned())), "{seen:?}");
    assert!(seen.iter().any(|(kind, about)| kind == "ADDED" && about != name), "{seen:?}");
}

#[tokio::test]
async fn a_streaming_list_ends_its_beginning_with_a_bookmark() {
    let sim = settled(settings()).await;
    let url = format!(
        "{}{DEPLOYMENTS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
         &allowWatchBookmarks=true&resourceVersion=&timeoutSeconds=1",
        sim.api_url()
    );
    let mut watch = Watch::start(url).await;
    let mut added = 0;
    let bookmark = loop {
        let event = watch.next().await.expect("goes on");
        match event["type"].as_str() {
            Some("ADDED") => added += 1,
            _ => break event,
        }
    };
    assert_eq!((added, bookmark["type"].as_str()), (7, Some("BOOKMARK")));
    let annotations = &bookmark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    assert!(watch.next().await.is_none(), "the watch ends after its timeout");
}

#[tokio::test]
async fn a_version_that_is_too_old_is_answered_with_410() {
    let sim = settled(SimSettings { history: 10, ..settings() }).await;
    let mut late =
        Watch::start(format!("{}{PODS}?watch=true&resourceVersion=2", sim.api_url())).await;
    let event = late.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(late.next().await.is_none());

    let (_, list) = get(&sim, PODS).await;
    let version = list["metadata"]["resourceVersion"].as_str().expect("a version");
    let url = format!("{}{PODS}?watch=true&resourceVersion={version}", sim.api_url());
    let mut running = Watch::start(url).await;
    sim.inject(Fault::ForgetHistory).expect("possible");
    assert_eq!(running.next().await.expect("an event")["object"]["reason"], "Expired");
}

#[tokio::test]
async fn a_rolling_update_never_falls_below_the_minimum() {
    let sim = settled(settings()).await;
    // Before the change: the first new pod may be there before its answer is.
    let old: Vec<String> = sim.pods("querynode").into_iter().map(|pod| pod.uid).collect();
    let url = format!("{}{DEPLOYMENTS}/milvus-querynode", sim.api_url());
    let body = json!({"spec": {"template": {"metadata": {"annotations": {
        "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}});
    let (status, object) = patch(url, "application/strategic-merge-patch+json", body).await;
    assert_eq!((status, &object["metadata"]["generation"]), (200, &json!(2)));
    let mut fewest = usize::MAX;
    loop {
        let pods = sim.pods("querynode");
        fewest = fewest.min(pods.iter().filter(|pod| pod.ready).count());
        if sim.is_settled() && pods.iter().all(|pod| !old.contains(&pod.uid)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fewest, 3, "maxUnavailable of 25 % of three is none");
    let (_, deployment) = get(&sim, &format!("{DEPLOYMENTS}/milvus-querynode")).await;
    let status = &deployment["status"];
    assert_eq!((&status["updatedReplicas"], &status["observedGeneration"]), (&json!(3), &json!(2)));
    assert_eq!(deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
}

#[tokio::test]
async fn the_scale_subresource_refuses_what_was_decided_on_an_old_version() {
    let sim = settled(settings()).await;
    let path = format!("{DEPLOYMENTS}/milvus-proxy/scale");
    let (_, scale) = get(&sim, &path).await;
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(2)));
    let url = format!("{}{path}", sim.api_url());
    let kind = "application/merge-patch+json";
    let outdated = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 3}});
    assert_eq!(patch(url.clone(), kind, outdated).await.0, 409);
    let conditional = json!([{"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 3}]);
    assert_eq!(patch(url.clone(), "application/json-patch+json", conditional.clone()).await.0, 200);
    assert_eq!(patch(url, "application/json-patch+json", conditional).await.0, 422);
    eventually("three proxies", || sim.is_settled() && sim.pods("proxy").len() == 3).await;
    let writes = sim.api_requests().matching(falconer::sim::ApiRequest::is_write);
    assert_eq!(writes.iter().filter(|request| request.path == path).count(), 1);
}

#[tokio::test]
async fn the_operator_takes_back_what_others_set() {
    let operated = SimSettings { layout: Layout::Operator, ..settings() };
    let sim = settled(operated).await;
    let url = format!("{}{DEPLOYMENTS}/milvus-milvus-proxy/scale", sim.api_url());
    let kind = "application/merge-patch+json";
    assert_eq!(patch(url, kind, json!({"spec": {"replicas": 4}})).await.0, 200);
    eventually("the operator scales back", || {
        sim.workload("proxy").is_some_and(|workload| workload.replicas == 2)
    })
    .await;
    let custom = "/apis/milvus.io/v1beta1/namespaces/milvus-ha/milvuses/milvus";
    let wanted = json!({"spec": {"components": {"proxy": {"replicas": 3}}}});
    assert_eq!(patch(format!("{}{custom}", sim.api_url()), kind, wanted).await.0, 200);
    eventually("three proxies", || sim.is_settled() && sim.pods("proxy").len() == 3).await;
}

#[tokio::test]
async fn stateful_sets_and_daemon_sets_replace_their_pods_one_by_one() {
    let of =
        |role, replicas, kind| ComponentSettings { kind, ..ComponentSettings::of(role, replicas) };
    let components = vec![
        of(Role::QueryNode, 2, WorkloadKind::StatefulSet),
        of(Role::DataNode, 1, WorkloadKind::DaemonSet),
    ];
    let sim = settled(SimSettings { components, ..settings() }).await;
    for (plural, component) in [("statefulsets", "querynode"), ("daemonsets", "datanode")] {
        let old = sim.pods(component);
        let url = format!(
            "{}/apis/apps/v1/namespaces/milvus-ha/{plural}/milvus-{component}",
            sim.api_url()
        );
        let body = json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}});
        assert_eq!(patch(url, "application/merge-patch+json", body).await.0, 200);
        eventually("all pods are new", || {
            sim.is_settled()
                && sim.pods(component).iter().all(|pod| old.iter().all(|o| o.uid != pod.uid))
        })
        .await;
    }
    assert_eq!(sim.pods("querynode")[1].name, "milvus-querynode-1");
}
