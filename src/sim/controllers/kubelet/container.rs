//! The life of a pod's container: pulled, started, crashed, started again, stopped.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::probes::Probes;
use super::{Kubelet, container_of, diary};
use crate::sim::controllers::template::revision_of;
use crate::sim::faults::state::{Failing, PodBehaviour};
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{is_terminating, text, uid};
use crate::sim::kubernetes::resource::PODS;
use crate::sim::kubernetes::store::Key;
use crate::sim::labels::component_of;
use crate::sim::pods::{PodIdentity, PodServer, Vitals};
use crate::sim::world::listen;

/// The longest pause between two runs, as a multiple of the first one: 300 s where that is 10 s.
const LONGEST_BACKOFF: u32 = 30;
/// How often a pull that has failed is tried again.
const PULL_AGAIN: Duration = Duration::from_secs(1);

/// A pod on a node.
pub(in crate::sim) struct Running {
    pub(super) key: Key,
    pub(super) node: String,
    pub(super) address: String,
    pub(super) stage: Stage,
    pub(super) restarts: u64,
    pub(super) ready: bool,
    pub(super) vitals: Arc<Vitals>,
    pub(super) probes: Probes,
    /// The `terminated` state of the run before; null at first.
    pub(super) last: Value,
    pub(super) started_at: String,
    /// How it was last seen to behave.
    pub(super) seen: PodBehaviour,
    /// Crashes in a row.
    crashes: u32,
    server: Option<JoinHandle<()>>,
}

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Pulling {
        until: Instant,
    },
    Running {
        begun: Instant,
    },
    Down {
        until: Instant,
    },
    /// `begun`: whether the container ran when the end began.
    Stopping {
        since: Instant,
        begun: bool,
    },
}

impl Running {
    pub(super) fn new(key: Key, node: String, address: String, stage: Stage) -> Self {
        Self {
            key,
            node,
            address,
            stage,
            restarts: 0,
            ready: false,
            vitals: Arc::default(),
            probes: Probes::default(),
            last: Value::Null,
            started_at: String::new(),
            seen: PodBehaviour::Normal,
            crashes: 0,
            server: None,
        }
    }

    pub(super) fn stop_server(&mut self) {
        self.vitals.down();
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        self.server.is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_server();
    }
}

impl Kubelet {
    /// Moves a pod one step on.
    pub(super) fn step(&self, pod: &Value, running: &mut Running) {
        let now = Instant::now();
        let stopping = matches!(running.stage, Stage::Stopping { .. });
        if is_terminating(pod) && !stopping {
            self.stop(pod, running);
            return;
        }
        match running.stage {
            Stage::Pulling { until } if now >= until => self.pull(pod, running),
            Stage::Down { until } if now >= until => {
                running.restarts += 1;
                self.start(pod, running);
            }
            Stage::Running { begun } => self.run(pod, running, begun),
            Stage::Stopping { since, begun } => self.finish(pod, running, since, begun),
            Stage::Pulling { .. } | Stage::Down { .. } => {}
        }
    }

    fn pull(&self, pod: &Value, running: &mut Running) {
        let image = text(pod, "/spec/containers/0/image");
        if !self.faults.is_image_missing(image) {
            let message = format!("Container image \"{image}\" already present on machine");
            record(&self.store, PODS, pod, false, "Pulled", &message);
            self.start(pod, running);
            return;
        }
        running.stage = Stage::Pulling { until: Instant::now() + PULL_AGAIN };
        let failed = format!(
            "Failed to pull image \"{image}\": rpc error: code = NotFound desc = failed to pull \
             and unpack image \"{image}\": not found"
        );
        let first = text(pod, "/status/containerStatuses/0/state/waiting/reason");
        let (reason, message) = if first == "ErrImagePull" || first == "ImagePullBackOff" {
            let message = format!("Back-off pulling image \"{image}\"");
            record(&self.store, PODS, pod, false, "BackOff", &message);
            ("ImagePullBackOff", message)
        } else {
            record(&self.store, PODS, pod, true, "Failed", &failed);
            record(&self.store, PODS, pod, true, "Failed", "Error: ErrImagePull");
            ("ErrImagePull", failed)
        };
        self.report(running, &json!({"waiting": {"reason": reason, "message": message}}));
    }

    fn start(&self, pod: &Value, running: &mut Running) {
        let address = self.network.socket(&running.address);
        let listener = match listen(&self.world, address) {
            Ok((listener, _)) => listener,
            Err(error) => {
                // Tried again in the next round.
                tracing::warn!(%address, %error, "simulated pod cannot listen");
                return;
            }
        };
        self.faults.forget_run(uid(pod));
        running.vitals = Arc::default();
        let identity = PodIdentity {
            name: running.key.name.clone(),
            uid: uid(pod).to_owned(),
            component: component_of(pod).unwrap_or_default().to_owned(),
            revision: revision_of(pod).to_owned(),
            image: text(pod, "/spec/containers/0/image").to_owned(),
            node: running.node.clone(),
        };
        let server = PodServer::new(
            identity,
            Arc::clone(&running.vitals),
            self.faults.clone(),
            self.load.clone(),
            self.requests.clone(),
            self.store.clock(),
        );
        let begun = Instant::now();
        running.server = Some(self.world.spawn(server.serve(listener)));
        running.stage = Stage::Running { begun };
        running.probes = Probes::of(pod, begun);
        running.started_at = self.store.now();
        running.seen = PodBehaviour::Normal;
        let container = container_of(pod);
        for verb in ["Created", "Started"] {
            let message = format!("{verb} container {container}");
            record(&self.store, PODS, pod, false, verb, &message);
        }
        self.logs.begin(uid(pod));
        diary::started(&self.logs, uid(pod), &running.address);
        self.report(running, &running.running_state());
    }

    fn run(&self, pod: &Value, running: &mut Running, begun: Instant) {
        let age = begun.elapsed();
        let (failing, behaviour) = {
            let facts = Self::facts(pod, running);
            (self.faults.failing(facts), self.faults.pod(facts))
        };
        if let Some(failing) = failing
            && age >= self.pace.startup / 4
        {
            self.crash(pod, running, failing);
            return;
        }
        // Longer than a run at the longest pause: it has recovered.
        if age >= self.pace.backoff * LONGEST_BACKOFF * 2 {
            running.crashes = 0;
        }
        if behaviour == PodBehaviour::Closed && running.is_listening() {
            running.stop_server();
        }
        let initialised = running.vitals.up_since().is_some();
        if !initialised && running.is_listening() && age >= self.pace.startup * 4 / 5 {
            running.vitals.up();
            diary::up(&self.logs, uid(pod), component_of(pod).unwrap_or_default());
        }
        if behaviour != running.seen {
            diary::changed(&self.logs, pod, behaviour);
            running.seen = behaviour;
        }
        self.probe(pod, running, behaviour);
    }

    fn crash(&self, pod: &Value, running: &mut Running, failing: Failing) {
        diary::crashed(&self.logs, uid(pod), component_of(pod).unwrap_or_default(), failing);
        let code = if failing == Failing::Crash { 134 } else { 1 };
        self.end_run(pod, running, code);
    }

    /// The run has ended: the next one comes at once, or after a pause that doubles each time.
    pub(super) fn end_run(&self, pod: &Value, running: &mut Running, exit_code: i64) {
        running.stop_server();
        running.ready = false;
        running.last = json!({
            "exitCode": exit_code, "reason": "Error", "startedAt": running.started_at,
            "finishedAt": self.store.now(), "containerID": running.container_id(),
        });
        let pause = match running.crashes {
            0 => Duration::ZERO,
            n => self.pace.backoff * 2_u32.saturating_pow(n - 1).min(LONGEST_BACKOFF),
        };
        running.crashes = running.crashes.saturating_add(1);
        running.stage = Stage::Down { until: Instant::now() + pause };
        if pause.is_zero() {
            let ended = json!({"terminated": running.last});
            running.last = Value::Null;
            self.report(running, &ended);
            running.last = ended["terminated"].clone();
            return;
        }
        let (container, pod_name) = (container_of(pod), &running.key.name);
        let whole = format!("{container} pod={pod_name}_{}({})", running.key.namespace, uid(pod));
        let message = format!(
            "Back-off restarting failed container {container} in pod {pod_name}_{}({})",
            running.key.namespace,
            uid(pod)
        );
        record(&self.store, PODS, pod, true, "BackOff", &message);
        let state = json!({"waiting": {"reason": "CrashLoopBackOff", "message": format!(
            "back-off {}s restarting failed container={whole}", pause.as_secs())}});
        self.report(running, &state);
    }
}
