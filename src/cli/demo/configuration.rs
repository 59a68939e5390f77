//! The simulated cluster of the demo, and the actors.toml that watches it.

use std::path::Path;
use std::time::Duration;

use super::scenario::Setup;
use crate::model::Role;
use crate::sim::{ComponentSettings, Probing, SimSettings, Simulation};

/// The cluster's name in the configuration.
pub(super) const CLUSTER: &str = "demo";
/// How often every component is probed.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long the prober that will be stuck waits for an answer.
pub(super) const STUCK_TIMEOUT: Duration = Duration::from_secs(4);

/// What is simulated.
pub(super) fn simulation(setup: &Setup) -> SimSettings {
    let mut settings = SimSettings {
        startup: Duration::from_millis(1_200),
        probing: setup.quick_kubelet.then_some(Probing::QUICK),
        ..SimSettings::default()
    };
    for (role, replicas) in setup.replicas {
        for component in settings.components.iter_mut().filter(|one| one.role == *role) {
            *component = ComponentSettings::of(*role, *replicas);
        }
    }
    for component in &mut settings.components {
        if component.role == Role::Proxy {
            // Low enough for two replicas to be restful, and so that three are too many for it.
            component.load_cpu_milli = 800;
            component.memory_bytes = component.memory_request_bytes / 4;
        }
    }
    settings.components.retain(|component: &ComponentSettings| component.replicas > 0);
    settings
}

/// What the demo does about load: quickly, and often.
const REACTIONS: &str = r#"[scaler]
interval = "1s"
components = ["proxy"]
min_replicas = 2
max_replicas = 4
scale_up = { stabilization = "0s", policies = [{ type = "pods", value = 4, period = "1s" }] }
scale_down = { stabilization = "2s", policies = [{ type = "pods", value = 4, period = "1s" }] }

[recorder]
path = ""

[leader_election]
enabled = false

[server]
listen = "127.0.0.1:0"
"#;

/// The configuration with which falconer watches the simulation: short intervals, all receivers.
pub(super) fn actors_toml(sim: &Simulation, kubeconfig: &Path, setup: &Setup) -> String {
    let (watching, telling) = (watching(sim, kubeconfig), telling(sim, setup));
    format!("{watching}\n{telling}\n{}\n{REACTIONS}", setup.recoverer)
}

fn watching(sim: &Simulation, kubeconfig: &Path) -> String {
    let namespace = &sim.settings().namespace;
    let milvus = sim.milvus_url();
    let metrics_port = sim.metrics_port();
    let etcd = sim.dependency_url();
    let interval = PROBE_INTERVAL.as_secs();
    let stuck_timeout = STUCK_TIMEOUT.as_secs();
    let kubeconfig = toml::Value::String(kubeconfig.display().to_string());
    format!(
        r#"[clusters.{CLUSTER}]
platform = "kubernetes"
namespace = "{namespace}"
kubeconfig = {kubeconfig}
milvus = "{milvus}"
metrics_port = {metrics_port}
depends_on = ["etcd"]

[probers]
interval = "{interval}s"
timeout = "1s"
jitter = 0.05
failure_threshold = 2
success_threshold = 2

[probers.indexnode]
timeout = "{stuck_timeout}s"

[probers.milvus]
kind = "milvus"
timeout = "2s"
canary_collections = ["products", "articles"]

[probers.etcd]
kind = "http"
url = "{etcd}"
expect = {{ status = 200, body_contains = "true" }}

[supervisor]
startup_grace = "10s"
"#
    )
}

fn telling(sim: &Simulation, setup: &Setup) -> String {
    let group_wait = setup.group_wait;
    let smtp = sim.smtp().address();
    let (smtp_host, smtp_port) = (smtp.ip(), smtp.port());
    let webhook = sim.webhook().url("/alerts");
    format!(
        r#"[alerter]
group_wait = "{group_wait}"
group_interval = "500ms"
repeat_interval = "5m"

[alerter.log]
enabled = false

[alerter.email]
host = "{smtp_host}"
port = {smtp_port}
security = "none"
from = "falconer@example.com"
to = ["admin@example.com"]

[alerter.webhook.oncall]
url = "{webhook}"
"#
    )
}
