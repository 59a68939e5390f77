//! The kubelet's own probes: started when a container has begun, counted against their
//! thresholds, and acted upon.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::container::Running;
use super::{Kubelet, container_of, diary};
use crate::sim::faults::state::PodBehaviour;
use crate::sim::kubernetes::events::record;
use crate::sim::kubernetes::json::{condition, number, uid};
use crate::sim::kubernetes::resource::PODS;

/// The probes of a container.
#[derive(Debug, Default)]
pub(super) struct Probes {
    startup: Option<Probe>,
    liveness: Option<Probe>,
    readiness: Option<Probe>,
}

#[derive(Debug)]
struct Probe {
    over_http: bool,
    period: Duration,
    failures_allowed: i64,
    successes_needed: i64,
    next: Instant,
    failed: i64,
    passed: i64,
}

/// What a probe has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Result {
    /// Not due, or not decided.
    Open,
    Passed,
    Failed,
}

impl Probes {
    /// As the pod describes them. The simulated Milvus is quicker than the real one: the initial
    /// delay of the readiness probe is left out.
    pub(super) fn of(pod: &Value, begun: Instant) -> Self {
        let probe = |kind: &str, delayed: bool| {
            let pointer = format!("/spec/containers/0/{kind}");
            let object = pod.pointer(&pointer)?;
            let field = |name: &str, default: i64| {
                number(object, &format!("/{name}")).filter(|value| *value > 0).unwrap_or(default)
            };
            let seconds = |name, default| {
                Duration::from_secs(u64::try_from(field(name, default)).unwrap_or(1))
            };
            let delay = number(object, "/initialDelaySeconds").unwrap_or(0).max(0);
            let delay = Duration::from_secs(delay.unsigned_abs());
            Some(Probe {
                over_http: object.get("httpGet").is_some(),
                period: seconds("periodSeconds", 10),
                failures_allowed: field("failureThreshold", 3),
                successes_needed: field("successThreshold", 1),
                next: if delayed { begun + delay } else { begun },
                failed: 0,
                passed: 0,
            })
        };
        Self {
            startup: probe("startupProbe", true),
            liveness: probe("livenessProbe", true),
            readiness: probe("readinessProbe", false),
        }
    }

    /// Whether the container counts as started.
    pub(super) fn has_started(&self) -> bool {
        self.startup.is_none()
    }
}

impl Probe {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + self.period;
        }
        due
    }

    fn count(&mut self, fine: bool) -> Result {
        if fine {
            self.failed = 0;
            self.passed += 1;
            if self.passed >= self.successes_needed { Result::Passed } else { Result::Open }
        } else {
            self.passed = 0;
            self.failed += 1;
            if self.failed >= self.failures_allowed { Result::Failed } else { Result::Open }
        }
    }

    /// Why it fails at present; `None` when it does not.
    fn complaint(&self, running: &Running, port: u16, behaviour: PodBehaviour) -> Option<String> {
        let address = format!("{}:{port}", running.address);
        if !running.is_listening() {
            return Some(format!("dial tcp {address}: connect: connection refused"));
        }
        if !self.over_http {
            return None;
        }
        match behaviour {
            PodBehaviour::Normal if running.vitals.up_since().is_some() => None,
            PodBehaviour::Silent => Some(format!(
                "Get \"http://{address}/healthz\": context deadline exceeded (Client.Timeout \
                 exceeded while awaiting headers)"
            )),
            PodBehaviour::Normal
            | PodBehaviour::Sick
            | PodBehaviour::WithoutEtcd
            | PodBehaviour::Closed => Some("HTTP probe failed with statuscode: 500".to_owned()),
        }
    }
}

impl Kubelet {
    /// Does what is due and acts on it.
    pub(super) fn probe(&self, pod: &Value, running: &mut Running, behaviour: PodBehaviour) {
        let mut probes = std::mem::take(&mut running.probes);
        if let Some(startup) = &mut probes.startup {
            match self.ask(pod, running, behaviour, startup, "Startup") {
                Result::Passed => probes.startup = None,
                Result::Failed => self.kill(pod, running, "startup"),
                Result::Open => {}
            }
        } else if let Some(liveness) = &mut probes.liveness
            && self.ask(pod, running, behaviour, liveness, "Liveness") == Result::Failed
        {
            self.kill(pod, running, "liveness");
        }
        if running.is_running() && probes.startup.is_none() {
            self.ask_readiness(pod, running, behaviour, &mut probes);
        }
        running.probes = probes;
    }

    fn ask_readiness(
        &self,
        pod: &Value,
        running: &mut Running,
        behaviour: PodBehaviour,
        probes: &mut Probes,
    ) {
        let up = running.vitals.up_since().is_some();
        let result = match &mut probes.readiness {
            None if up => Result::Passed,
            None => Result::Open,
            // It is asked for the first time when there is something to see.
            Some(_) if !up && running.is_listening() => Result::Open,
            Some(readiness) => self.ask(pod, running, behaviour, readiness, "Readiness"),
        };
        let before = running.ready;
        match result {
            Result::Passed => running.ready = true,
            Result::Failed => running.ready = false,
            Result::Open => {}
        }
        let shown = condition(pod, "Ready") == "True";
        if before != running.ready || shown != running.ready {
            self.report(running, &running.running_state());
        }
    }

    fn ask(
        &self,
        pod: &Value,
        running: &Running,
        behaviour: PodBehaviour,
        probe: &mut Probe,
        kind: &str,
    ) -> Result {
        if !probe.is_due() {
            return Result::Open;
        }
        let complaint = probe.complaint(running, self.network.port(), behaviour);
        if let Some(complaint) = &complaint {
            let message = format!("{kind} probe failed: {complaint}");
            record(&self.store, PODS, pod, true, "Unhealthy", &message);
        }
        probe.count(complaint.is_none())
    }

    /// The container has failed a probe that it must not fail.
    fn kill(&self, pod: &Value, running: &mut Running, probe: &str) {
        let container = container_of(pod);
        let message = format!("Container {container} failed {probe} probe, will be restarted");
        record(&self.store, PODS, pod, false, "Killing", &message);
        diary::stopping(&self.logs, uid(pod));
        self.end_run(pod, running, 137);
    }
}
