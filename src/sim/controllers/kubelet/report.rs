//! Writes the status of pods.

use serde_json::{Value, json};

use super::container::{Running, Stage};
use super::{Kubelet, container_of};
use crate::sim::kubernetes::json::{set, set_condition, text};

impl Running {
    /// The state of a container that runs.
    pub(super) fn running_state(&self) -> Value {
        json!({"running": {"startedAt": self.started_at}})
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running { .. })
    }

    /// Names this run of the container.
    pub(super) fn container_id(&self) -> String {
        format!("sim://{}/{}/{}", self.key.namespace, self.key.name, self.restarts)
    }
}

impl Kubelet {
    /// Writes the pod's status.
    pub(super) fn report(&self, running: &Running, state: &Value) {
        let now = self.store.now();
        let started = state.get("running").is_some() && running.probes.has_started();
        let last =
            if running.last.is_null() { json!({}) } else { json!({"terminated": running.last}) };
        self.store.update(&running.key, |pod| {
            let image = text(pod, "/spec/containers/0/image").to_owned();
            let containers = json!([{
                "name": container_of(pod), "image": image, "imageID": image,
                "containerID": running.container_id(), "ready": running.ready,
                "started": started, "restartCount": running.restarts, "state": state,
                "lastState": last,
            }]);
            let waits = matches!(running.stage, Stage::Pulling { .. });
            set(pod, &["status", "phase"], if waits { "Pending" } else { "Running" });
            set(pod, &["status", "podIP"], running.address.clone());
            set(pod, &["status", "podIPs"], json!([{"ip": running.address}]));
            set(pod, &["status", "containerStatuses"], containers);
            set_condition(pod, condition("Initialized", true, &now));
            for kind in ["ContainersReady", "Ready"] {
                let mut condition = condition(kind, running.ready, &now);
                if !running.ready {
                    let message =
                        format!("containers with unready status: [{}]", container_of(pod));
                    set(&mut condition, &["reason"], "ContainersNotReady");
                    set(&mut condition, &["message"], message);
                }
                set_condition(pod, condition);
            }
        });
    }
}

/// A condition of a pod.
pub(super) fn condition(kind: &str, status: bool, now: &str) -> Value {
    let status = if status { "True" } else { "False" };
    json!({"type": kind, "status": status, "lastTransitionTime": now, "lastProbeTime": null})
}
