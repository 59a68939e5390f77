//! The simulated world, seen over its sockets.

mod access;
mod budgets;
mod cluster;
mod deletion;
mod faults;
mod kubectl;
mod kubelet;
mod logs;
mod network;
mod objects;
mod operator;
mod rollouts;
mod sinks;

use std::time::Duration;

use falconer::sim::{SimSettings, Simulation};
use serde_json::Value;

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster whose pods start fast and listen on any free port.
fn settings() -> SimSettings {
    SimSettings {
        metrics_port: Some(0),
        startup: Duration::from_millis(200),
        termination: Duration::from_millis(50),
        ..SimSettings::default()
    }
}

async fn settled(settings: SimSettings) -> Simulation {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sim = Simulation::start(settings).expect("the simulation starts");
    assert!(sim.settled(PATIENCE).await, "pods become ready");
    sim
}

/// GETs a path of the Kubernetes API.
async fn get(sim: &Simulation, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", sim.api_url());
    let response = reqwest::get(url).await.expect("the API answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// Sends JSON to a path of the Kubernetes API.
async fn send(sim: &Simulation, method: &str, path: &str, body: Value) -> (u16, Value) {
    let method: reqwest::Method = method.parse().expect("a method");
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = reqwest::Client::new()
        .request(method, format!("{}{path}", sim.api_url()))
        .header("content-type", kind)
        .body(body.to_string());
    let response = request.send().await.expect("the API answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// The events about the object of this name, as `reason: message`.
async fn events(sim: &Simulation, name: &str) -> Vec<String> {
    let path =
        format!("/api/v1/namespaces/milvus-ha/events?fieldSelector=involvedObject.name%3D{name}");
    let (status, list) = get(sim, &path).await;
    assert_eq!(status, 200);
    let text = |event: &Value, field: &str| event[field].as_str().expect("a text").to_owned();
    let items = list["items"].as_array().expect("items").iter();
    items.map(|event| format!("{}: {}", text(event, "reason"), text(event, "message"))).collect()
}

/// Waits until `done` says so; panics with `what` when it never does.
async fn eventually(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}
