//! The end of a pod: told to stop, given its grace, and removed; or not, where it cannot be killed.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::container::{Running, Stage};
use super::{Kubelet, container_of, diary};
use crate::sim::faults::Undying;
use crate::sim::kubernetes::deletion;
use crate::sim::kubernetes::events::{is_recorded, record};
use crate::sim::kubernetes::json::{number, uid};
use crate::sim::kubernetes::resource::PODS;

impl Kubelet {
    /// The pod is to end.
    pub(super) fn stop(&self, pod: &Value, running: &mut Running) {
        let begun = running.is_running();
        running.stage = Stage::Stopping { since: Instant::now(), begun };
        running.ready = false;
        if begun {
            running.vitals.down();
            let message = format!("Stopping container {}", container_of(pod));
            record(&self.store, PODS, pod, false, "Killing", &message);
            diary::stopping(&self.logs, uid(pod));
            self.report(running, &running.running_state());
        }
    }

    /// Ends a pod whose time has come; its object stays as long as it has finalizers.
    pub(super) fn finish(&self, pod: &Value, running: &mut Running, since: Instant, begun: bool) {
        let grace = number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        let takes = match self.faults.undying(uid(pod)) {
            Some(Undying::Forever) => {
                if since.elapsed() >= grace {
                    self.complain(pod);
                }
                return;
            }
            Some(Undying::UntilGraceEnds) => grace,
            None if begun => self.pace.termination.min(grace),
            None => Duration::ZERO,
        };
        if since.elapsed() >= takes {
            running.stop_server();
            deletion::remove(&self.store, &running.key, Some(0));
        }
    }

    /// Says once that the container cannot be killed.
    fn complain(&self, pod: &Value) {
        let container = container_of(pod);
        let message = format!(
            "error killing pod: failed to \"KillContainer\" for \"{container}\" with \
             KillContainerError: \"rpc error: code = DeadlineExceeded desc = context deadline \
             exceeded\""
        );
        if !is_recorded(&self.store, pod, "FailedKillPod") {
            record(&self.store, PODS, pod, true, "FailedKillPod", &message);
        }
    }
}
