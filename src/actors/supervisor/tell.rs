//! What a supervisor tells the Alerter and the Recoverer about an incident.

use super::Supervisor;
use super::memory::OpenIncident;
use crate::actors::alerter::{RaiseAlert, ResolveAlert};
use crate::actors::recoverer::Recover;
use crate::model::{ComponentId, HealthState, ProbeReport, Severity, TargetReport, Workload};
use crate::policy::notification::Alert;
use crate::policy::recovery::RecoveryRequest;

/// At most this many lines of evidence go into an alert.
const MAX_DETAILS: usize = 10;

/// What is done about a component that still serves.
const TELLS_ONLY: &str = "nothing: a degraded component is told about and never restarted";

impl Supervisor {
    /// Level-triggered: said at every report of an open incident, so nothing can get lost.
    pub(super) fn raise(&self, report: &ProbeReport, open: OpenIncident) {
        // What is done about an unhealthy one is told by the recoverer in a moment.
        let (state, action) = match open.severity {
            Severity::Critical => (HealthState::Unhealthy, ""),
            Severity::Warning => (HealthState::Degraded, TELLS_ONLY),
        };
        let alert = Alert {
            incident: open.id,
            component: report.id.clone(),
            severity: open.severity,
            title: format!("{} is {}", report.id.component, state.as_str()),
            reason: open.reason,
            details: evidence(report),
            action: action.to_owned(),
            started_at: open.since,
        };
        self.parts.peers.raise.send(RaiseAlert(alert));
    }

    pub(super) fn resolve(&self, open: OpenIncident) {
        let resolved = ResolveAlert { incident: open.id, ended_at: self.parts.clock.now() };
        self.parts.peers.resolve.send(resolved);
    }

    pub(super) fn ask_for_recovery(&self, id: &ComponentId, open: &OpenIncident) {
        let runs = |name: &str| self.inventory.components.contains_key(name);
        let memory = self.memory();
        let sick_dependencies = memory
            .iter()
            .filter(|(name, _)| self.parts.depends_on.contains(*name))
            .filter(|(_, known)| known.is_unhealthy_or_failing())
            .map(|(name, _)| self.id(name))
            .collect();
        let cluster_seen_at = memory
            .iter()
            .filter(|(name, _)| **name != id.component)
            .filter(|(name, _)| runs(name) || self.parts.depends_on.contains(*name))
            .map(|(_, known)| known.newest().unwrap_or_default())
            .min();
        let request = RecoveryRequest {
            incident: open.id.clone(),
            component: id.clone(),
            workloads: self.workloads_of(&id.component),
            unhealthy_since: open.since,
            sick_components: memory.sick(runs),
            watched_components: memory.iter().filter(|(name, _)| runs(name)).count(),
            sick_dependencies,
            cluster_seen_at,
            platform_error: self.inventory.error.clone(),
            being_scaled: Vec::new(),
        };
        drop(memory);
        // Level-triggered: the next report asks again.
        let recover = Recover { request, reason: open.reason.clone() };
        let _ = self.parts.peers.recover.try_send(recover);
    }

    pub(super) fn workloads_of(&self, component: &str) -> Vec<Workload> {
        self.inventory.components.get(component).map_or_else(Vec::new, |c| c.workloads.clone())
    }
}

/// One line per target that is not healthy, and what the service says of itself.
fn evidence(report: &ProbeReport) -> Vec<String> {
    let line = |target: &TargetReport| {
        let reason = target.outcome.reason()?;
        Some(format!("{}: {} ({})", target.name, reason, target.address))
    };
    let targets = report.observation.targets.iter().filter_map(line);
    let milvus = report.observation.milvus.iter().flat_map(|milvus| {
        let quota = milvus.quota_states.iter().map(|state| format!("quota state: {state}"));
        milvus.reasons.iter().cloned().chain(quota)
    });
    targets.chain(milvus).take(MAX_DETAILS).collect()
}
