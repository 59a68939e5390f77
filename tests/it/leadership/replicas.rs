//! Two real processes before one simulated cluster: both watch, one tells people.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use falconer::sim::{Fault, Simulation};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{PATIENCE, lease, simulation};

/// A process of its own.
pub(super) struct Falconer {
    process: Child,
    server: String,
    folder: tempfile::TempDir,
}

impl Drop for Falconer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

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
startup_grace = "1s"

[alerter]
group_wait = "0s"
group_by = ["component"]
group_interval = "500ms"

[alerter.webhook.oncall]
url = "{webhook}"
format = "falconer"

[recoverer]
enabled = false

[scaler]
enabled = false

[leader_election]
lease_duration = "5s"

[server]
listen = "{server}"
"#,
        namespace = sim.settings().namespace,
        milvus = sim.milvus_url(),
        port = sim.metrics_port(),
        webhook = sim.webhook().url("/alerts"),
    )
}

impl Falconer {
    fn start(sim: &Simulation, door: usize) -> Self {
        Self::configured(sim, door, configuration)
    }

    /// One whose configuration `write_configuration` makes of the simulation, the path of the kubeconfig and the
    /// address of its server. It reaches the API through the port `door`.
    pub(super) fn configured(
        sim: &Simulation,
        door: usize,
        write_configuration: impl Fn(&Simulation, &str, &str) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let kubeconfig = write("kubeconfig", &sim.kubeconfig_for(&sim.api_urls()[door]));
        let path = write("actors.toml", &write_configuration(sim, &kubeconfig, &server));
        let process = Command::new(env!("CARGO_BIN_EXE_falconer"))
            .args(["run", "--config", &path])
            .current_dir(folder.path())
            .env("POD_NAME", format!("falconer-{door}"))
            .env_remove("POD_NAMESPACE")
            .env_remove("RUST_LOG")
            .env_remove("FALCONER_LOG")
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn();
        Self { process: process.expect("it starts"), server, folder }
    }

    async fn get(&self, path: &str) -> String {
        let Ok(answer) = reqwest::get(format!("http://{}{path}", self.server)).await else {
            return String::new();
        };
        answer.text().await.unwrap_or_default()
    }

    pub(super) async fn leadership(&self) -> Value {
        let status = self.get("/api/v1/status").await;
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        status["leadership"].clone()
    }

    pub(super) async fn becomes(&self, state: &str) -> Value {
        let waiting = async {
            loop {
                let leadership = self.leadership().await;
                if leadership["state"] == state {
                    return leadership;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it gets there")
    }

    pub(super) async fn is_ready(&self) {
        let waiting = async {
            while !self.get("/readyz").await.contains("\"ready\":true") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it is ready");
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).expect("a process");
        kill(Pid::from_raw(id), signal).expect("a signal");
    }
}

/// What was told about the proxy so far, in order.
fn messages(sim: &Simulation) -> Vec<String> {
    let all = sim.webhook().requests().all().into_iter().filter_map(|one| one.json());
    let ours = all.filter(|one| one["alerts"][0]["component"]["component"] == "proxy");
    ours.map(|one| one["status"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn told(sim: &Simulation, expected: &[&str]) {
    let waiting = async {
        while messages(sim).len() < expected.len() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, waiting).await;
    // One too many would come about now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(messages(sim), expected);
}

/// Waits until the newest message says `status`.
async fn until_told(sim: &Simulation, status: &str) {
    let waiting = async {
        while messages(sim).last().is_none_or(|newest| newest != status) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
    assert!(in_time, "{status}: {:?}", messages(sim));
}

#[tokio::test]
async fn of_two_falconers_one_tells_people_and_the_other_goes_on_when_it_is_killed() {
    let sim = simulation();
    assert!(sim.settled(PATIENCE).await, "the pods become ready");
    let first = Falconer::start(&sim, 0);
    first.becomes("leader").await;
    let second = Falconer::start(&sim, 1);
    let follows = second.becomes("follower").await;
    assert_eq!(follows["leader"], "falconer-0");
    first.is_ready().await;
    second.is_ready().await;
    let page = second.get("/").await;
    assert!(page.contains("falconer-0 is the leader"), "{page}");
    assert!(first.get("/metrics").await.contains("\nfalconer_leader 1\n"));
    assert!(second.get("/metrics").await.contains("\nfalconer_leader 0\n"));

    sim.inject(Fault::Component500 { component: "proxy".into() }).expect("a fault");
    told(&sim, &["firing"]).await;
    sim.heal();
    told(&sim, &["firing", "resolved"]).await;

    first.signal(Signal::SIGKILL);
    second.becomes("leader").await;
    assert_eq!(lease(&sim).await["spec"]["leaseTransitions"], json!(1));
    sim.inject(Fault::Component500 { component: "proxy".into() }).expect("a fault");
    // What the first one told in its last minute may come again.
    until_told(&sim, "firing").await;
    sim.heal();
    until_told(&sim, "resolved").await;

    // Who ends in order is followed at once.
    let third = Falconer::start(&sim, 2);
    third.becomes("follower").await;
    second.signal(Signal::SIGTERM);
    third.becomes("leader").await;
    let all = sim.api_requests().matching(|one| one.resource == "leases" && one.is_write());
    let ends = all.iter().rposition(|one| one.door == 1).expect("it gave the lease up");
    assert!(all[ends].body.contains("\"leaseDurationSeconds\":1"), "{}", all[ends].body);
}
