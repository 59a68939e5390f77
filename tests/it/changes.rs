//! Somebody else changes the workloads of a simulated cluster, and the real binary watches: it must
//! keep its hands off, although pods are gone or not ready for longer than its probers' patience.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use falconer::model::Role;
use falconer::sim::{ApiRequest, ComponentSettings, Fault, SimSettings, Simulation};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    sim: Simulation,
    falconer: Child,
    server: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.falconer.kill();
        let _ = self.falconer.wait();
    }
}

impl World {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sim = Simulation::start(SimSettings {
            components: vec![
                ComponentSettings::of(Role::Proxy, 2),
                ComponentSettings::of(Role::RootCoord, 1),
                ComponentSettings::of(Role::QueryNode, 3),
                ComponentSettings::of(Role::DataNode, 1),
            ],
            metrics_port: Some(0),
            startup: Duration::from_millis(700),
            termination: Duration::from_millis(100),
            ..SimSettings::default()
        });
        let sim = sim.expect("a simulation");
        assert!(sim.settled(PATIENCE).await, "the pods become ready");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let kubeconfig = write("kubeconfig", &sim.kubeconfig());
        let server = free_address();
        let path = write("actors.toml", &configuration(&sim, &kubeconfig, &server));
        let falconer = Command::new(env!("CARGO_BIN_EXE_falconer"))
            .args(["run", "--config", &path])
            .current_dir(folder.path())
            .env_remove("RUST_LOG")
            .env_remove("FALCONER_LOG")
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn();
        let falconer = falconer.expect("it starts");
        let client = reqwest::Client::new();
        Self { sim, falconer, server, client, _folder: folder }
    }

    /// The newest word on a component: its state and the reason.
    async fn health(&self, component: &str) -> (String, String) {
        let url = format!("http://{}/api/v1/status", self.server);
        let Ok(answer) = self.client.get(url).send().await else { return Default::default() };
        let status: Value = answer.json().await.unwrap_or_default();
        let health = &status["clusters"]["milvus"]["components"][component]["health"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&health["state"]), text(&health["reason"]["text"]))
    }

    async fn until(&self, component: &str, wanted: &str) {
        let waiting = async {
            while self.health(component).await.0 != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{component} is not {wanted}: {:?}", self.health(component).await);
    }

    async fn all_healthy(&self) {
        for component in ["proxy", "rootcoord", "querynode", "datanode"] {
            self.until(component, "healthy").await;
        }
    }

    async fn patch(&self, component: &str, patch: Value) {
        let name = self.sim.workload(component).expect("a workload").name;
        let url = format!(
            "{}/apis/apps/v1/namespaces/{}/deployments/{name}",
            self.sim.api_url(),
            self.sim.settings().namespace
        );
        let patch = self
            .client
            .patch(url)
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string());
        let answer = patch.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// A new template, as `kubectl set image` or `helm upgrade` make one; waits until it is rolled
    /// out and a little longer.
    async fn roll(&self, component: &str, strategy: Value) {
        let old: Vec<String> = self.sim.pods(component).into_iter().map(|pod| pod.uid).collect();
        let template = json!({"metadata": {"annotations": {"somebody": "was here"}}});
        self.patch(component, json!({"spec": {"strategy": strategy, "template": template}})).await;
        let rolled = async {
            let is_old = || self.sim.pods(component).iter().any(|pod| old.contains(&pod.uid));
            while is_old() || !self.sim.is_settled() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, rolled).await.expect("it is rolled out");
        self.until(component, "healthy").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// What falconer has done to workloads.
    fn actions(&self) -> Vec<ApiRequest> {
        self.sim.api_requests().matching(|request| {
            request.is_write()
                && (request.body.contains("falconer.io/restart-key")
                    || request.path.ends_with("/scale"))
        })
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    listener.local_addr().expect("an address").to_string()
}

/// So quick that a replaced pod misses several probes, and eager to act.
fn configuration(sim: &Simulation, kubeconfig: &str, server: &str) -> String {
    format!(
        r#"[clusters.milvus]
platform = "kubernetes"
namespace = "{namespace}"
kubeconfig = "{kubeconfig}"
milvus = "{milvus}"
metrics_port = {port}

[probers]
interval = "200ms"
timeout = "150ms"
failure_threshold = 2
success_threshold = 2

[supervisor]
startup_grace = "2s"

[recoverer]
cooldown = "1s"
budget = {{ actions = 10, per = "1h" }}
global_budget = {{ actions = 20, per = "1h" }}

[server]
listen = "{server}"
"#,
        namespace = sim.settings().namespace,
        milvus = sim.milvus_url(),
        port = sim.metrics_port(),
    )
}

#[tokio::test]
async fn what_somebody_else_rolls_out_replaces_or_switches_off_is_left_alone() {
    let world = World::start().await;
    world.all_healthy().await;
    let one_by_one = json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
    let all_at_once = json!({"type": "Recreate", "rollingUpdate": null});
    world.roll("querynode", one_by_one.clone()).await;
    world.roll("rootcoord", one_by_one).await;
    world.roll("proxy", all_at_once.clone()).await;
    world.roll("datanode", all_at_once).await;

    // Evicted, as it were: the only pod is replaced without any rollout.
    let pod = world.sim.pods("datanode").remove(0).name;
    let url = format!(
        "{}/api/v1/namespaces/{}/pods/{pod}",
        world.sim.api_url(),
        world.sim.settings().namespace
    );
    world.client.delete(url).send().await.expect("deleted");
    world.until("datanode", "degraded").await;
    world.until("datanode", "healthy").await;

    world.patch("datanode", json!({"spec": {"replicas": 0}})).await;
    world.until("datanode", "unknown").await;
    assert_eq!(world.health("datanode").await.1, "scaled to zero by its owner");
    world.patch("datanode", json!({"spec": {"replicas": 1}})).await;
    world.until("datanode", "healthy").await;
    assert_eq!(world.actions(), []);

    // It does act where nobody else is at work.
    world.sim.inject(Fault::Component500 { component: "querynode".into() }).expect("a fault");
    let acted = async {
        while world.actions().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, acted).await.expect("it restarts what is sick");
    world.all_healthy().await;
}
