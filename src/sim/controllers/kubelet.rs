//! Runs the pods: gives each an address of its own, listens there, and reports its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::template::revision_of;
use crate::sim::evidence::Evidence;
use crate::sim::faults::Faults;
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{is_terminating, set, set_condition, text, uid};
use crate::sim::kubernetes::resource::PODS;
use crate::sim::kubernetes::store::{Key, Store};
use crate::sim::labels::component_of;
use crate::sim::load::Load;
use crate::sim::network::Network;
use crate::sim::pods::{PodIdentity, PodRequest, PodServer};
use crate::sim::world::listen;

/// The name of the only node.
pub(in crate::sim) const NODE: &str = "sim-node-1";
/// How long a crashed container stays down.
const CRASH_BACKOFF: Duration = Duration::from_secs(2);

/// The node's agent.
pub(in crate::sim) struct Kubelet {
    pub(in crate::sim) store: Store,
    pub(in crate::sim) faults: Faults,
    pub(in crate::sim) load: Load,
    pub(in crate::sim) requests: Evidence<PodRequest>,
    pub(in crate::sim) network: Network,
    pub(in crate::sim) world: Handle,
    pub(in crate::sim) startup: Duration,
    pub(in crate::sim) termination: Duration,
    pub(in crate::sim) pods: BTreeMap<String, Running>,
}

/// A pod on the node.
pub(in crate::sim) struct Running {
    key: Key,
    address: String,
    stage: Stage,
    restarts: u64,
    ready: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pulling { until: Instant },
    Starting { until: Instant },
    Serving,
    Crashed { until: Instant },
    Stopping { until: Instant },
}

impl Running {
    fn stop_server(&mut self) {
        self.ready.store(false, Ordering::Relaxed);
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_server();
    }
}

impl Kubelet {
    /// Moves every pod one step on.
    pub(in crate::sim) fn reconcile(&mut self) {
        let (_, pods) = self.store.list(PODS, None);
        self.pods.retain(|known, _| pods.iter().any(|pod| uid(pod) == known));
        for pod in &pods {
            match self.pods.remove(uid(pod)) {
                Some(mut running) => {
                    self.step(pod, &mut running);
                    self.pods.insert(uid(pod).to_owned(), running);
                }
                None => self.admit(pod),
            }
        }
    }

    fn admit(&mut self, pod: &Value) {
        let key = Key::of(PODS, pod);
        let address = self.network.next_address().to_string();
        let now = self.store.now();
        self.store.update(&key, |pod| {
            set(pod, &["spec", "nodeName"], NODE);
            set(pod, &["status", "hostIP"], "127.0.0.1");
            set(pod, &["status", "startTime"], now.clone());
            set_condition(pod, pod_condition("PodScheduled", true, &now));
        });
        let message = format!("Successfully assigned {}/{} to {NODE}", key.namespace, key.name);
        record(&self.store, PODS, pod, false, "Scheduled", &message);
        let until = Instant::now() + self.startup / 5;
        let running = Running {
            key,
            address,
            stage: Stage::Pulling { until },
            restarts: 0,
            ready: Arc::new(AtomicBool::new(false)),
            server: None,
        };
        self.pods.insert(uid(pod).to_owned(), running);
    }

    fn step(&self, pod: &Value, running: &mut Running) {
        let now = Instant::now();
        let stopping = matches!(running.stage, Stage::Stopping { .. });
        if is_terminating(pod) && !stopping {
            running.stage = Stage::Stopping { until: now + self.termination };
            running.ready.store(false, Ordering::Relaxed);
            let container = container_of(pod);
            let message = format!("Stopping container {container}");
            record(&self.store, PODS, pod, false, "Killing", &message);
            self.report(running, false, &json!({"running": {}}));
            return;
        }
        let crashing = self.faults.is_crashing(revision_of(pod));
        match running.stage {
            Stage::Pulling { until } if now >= until => self.start_container(pod, running),
            Stage::Starting { .. } | Stage::Serving if crashing => self.crash(pod, running),
            Stage::Starting { until } if now >= until => {
                running.stage = Stage::Serving;
                running.ready.store(true, Ordering::Relaxed);
                self.report(running, true, &self.running_state());
            }
            Stage::Crashed { until } if now >= until && crashing => self.crash(pod, running),
            Stage::Crashed { until } if now >= until => self.start_container(pod, running),
            Stage::Stopping { until } if now >= until => {
                running.stop_server();
                self.store.remove(&running.key);
            }
            Stage::Pulling { .. }
            | Stage::Starting { .. }
            | Stage::Serving
            | Stage::Crashed { .. }
            | Stage::Stopping { .. } => {}
        }
    }

    fn start_container(&self, pod: &Value, running: &mut Running) {
        let address = self.network.socket(&running.address);
        let listener = match listen(&self.world, address) {
            Ok((listener, _)) => listener,
            Err(error) => {
                // Tried again in the next round.
                tracing::warn!(%address, %error, "simulated pod cannot listen");
                return;
            }
        };
        let identity = PodIdentity {
            name: running.key.name.clone(),
            uid: uid(pod).to_owned(),
            component: component_of(pod).unwrap_or_default().to_owned(),
            revision: revision_of(pod).to_owned(),
        };
        let server = PodServer::new(
            identity,
            Arc::clone(&running.ready),
            self.faults.clone(),
            self.load.clone(),
            self.requests.clone(),
            self.store.clock(),
        );
        running.server = Some(self.world.spawn(server.serve(listener)));
        running.stage = Stage::Starting { until: Instant::now() + self.startup * 4 / 5 };
        let container = container_of(pod);
        for (reason, verb) in [("Created", "Created"), ("Started", "Started")] {
            let message = format!("{verb} container {container}");
            record(&self.store, PODS, pod, false, reason, &message);
        }
        self.report(running, false, &self.running_state());
    }

    fn crash(&self, pod: &Value, running: &mut Running) {
        running.stop_server();
        running.restarts += 1;
        running.stage = Stage::Crashed { until: Instant::now() + CRASH_BACKOFF };
        let container = container_of(pod);
        let message = format!("Back-off restarting failed container {container}");
        record(&self.store, PODS, pod, true, "BackOff", &message);
        let state = json!({"waiting": {"reason": "CrashLoopBackOff",
            "message": format!("back-off 2s restarting failed container={container}")}});
        self.report(running, false, &state);
    }

    fn running_state(&self) -> Value {
        json!({"running": {"startedAt": self.store.now()}})
    }

    /// Writes the pod's status. A running container keeps the time of its start.
    fn report(&self, running: &Running, ready: bool, state: &Value) {
        let now = self.store.now();
        self.store.update(&running.key, |pod| {
            let container = container_of(pod).to_owned();
            let image = text(pod, "/spec/containers/0/image").to_owned();
            let before = pod.pointer("/status/containerStatuses/0/state").cloned();
            let keeps =
                |old: &Value| old.get("running").is_some() && state.get("running").is_some();
            let state = before.filter(|old| keeps(old)).unwrap_or_else(|| state.clone());
            let started = state.get("running").is_some();
            let containers = json!([{
                "name": container, "image": image, "imageID": image, "ready": ready,
                "started": started, "restartCount": running.restarts, "state": state,
                "lastState": {},
            }]);
            set(pod, &["status", "phase"], "Running");
            set(pod, &["status", "podIP"], running.address.clone());
            set(pod, &["status", "podIPs"], json!([{"ip": running.address}]));
            set(pod, &["status", "containerStatuses"], containers);
            for (kind, status) in
                [("Initialized", true), ("ContainersReady", ready), ("Ready", ready)]
            {
                set_condition(pod, pod_condition(kind, status, &now));
            }
        });
    }
}

fn container_of(pod: &Value) -> &str {
    text(pod, "/spec/containers/0/name")
}

fn pod_condition(kind: &str, status: bool, now: &str) -> Value {
    let status = if status { "True" } else { "False" };
    json!({"type": kind, "status": status, "lastTransitionTime": now, "lastProbeTime": null})
}
