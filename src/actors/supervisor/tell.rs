//! What a supervisor tells the Alerter and the Recoverer about an incident.

use std::collections::HashMap;
use std::sync::Arc;

use humantime::format_duration;

use super::Supervisor;
use super::memory::{ClusterMemory, ComponentMemory, OpenIncident};
use crate::actors::alerter::{RaiseAlert, ResolveAlert};
use crate::actors::recoverer::{ComponentHealthy, Recover};
use crate::model::{
    ComponentId, ComponentInventory, HealthState, IncidentId, Pod, PodCondition, ProbeReport,
    ProberKind, Reason, ReasonKind, Severity, TargetReport, Timestamp, Workload,
};
use crate::policy::notification::Alert;
use crate::policy::recovery::{PodState, RecoveryRequest, SickComponent, Trouble};

/// At most this many lines of evidence go into an alert.
const MAX_DETAILS: usize = 10;

/// What is done about a component that still serves.
const TELLS_ONLY: &str = "nothing: a component that still serves is never restarted as a whole";

/// How a component is that comes and goes too often.
const FLAPPING: &str = "flapping";

/// What is done where the platform's word, and not yet enough failed probes, makes it unhealthy.
const NOT_YET: &str = "nothing yet: acting takes failure_threshold failed probes in a row";

impl Supervisor {
    /// What people are told of an open incident by a report on it; its causes are still to be found.
    pub(super) fn alert(
        &self,
        report: &ProbeReport,
        open: &OpenIncident,
        known: &ComponentMemory,
    ) -> Alert {
        let (state, action) = match open.severity {
            // The recoverer tells in a moment.
            Severity::Critical if known.tracker.is_counted_out() => (HealthState::Unhealthy, ""),
            Severity::Critical => (HealthState::Unhealthy, NOT_YET),
            Severity::Warning => (HealthState::Degraded, TELLS_ONLY),
        };
        let state = if open.is_flapping { FLAPPING } else { state.as_str() };
        let mut details = flapping(open, known, self.parts.clock.now());
        details.extend(evidence(report));
        Alert {
            incident: open.id.clone(),
            component: report.id.clone(),
            severity: open.severity,
            title: format!("{} is {state}", report.id.component),
            reason: open.reason.clone(),
            details,
            action: action.to_owned(),
            causes: Vec::new(),
            suspicion: None,
            settle_secs: 0,
            affects: Vec::new(),
            seen: known.seen(),
            look_closer: self.look_closer(report),
            is_flapping: open.is_flapping,
            started_at: open.since,
        }
    }

    /// Tells of an open incident: when there is news, and as a reminder.
    pub(super) fn raise(&self, mut alert: Alert, memory: &ClusterMemory) {
        self.find_causes(&mut alert, memory, self.parts.clock.now());
        self.parts.peers.raise.send(RaiseAlert(alert));
    }

    pub(super) fn resolve(&self, incident: IncidentId) {
        let resolved = ResolveAlert { incident, ended_at: self.parts.clock.now() };
        self.parts.peers.resolve.send(resolved);
    }

    pub(super) fn tell_healthy(
        &self,
        component: &ComponentId,
        since: Timestamp,
        memory: &ClusterMemory,
    ) {
        let milvus_failing = self.fails_as_a_whole(&component.component, memory);
        let healthy = ComponentHealthy { component: component.clone(), since, milvus_failing };
        // Where a recovery waits for it, a later report makes up for one that does not fit.
        let _ = self.parts.peers.healthy.try_send(healthy);
    }

    pub(super) fn ask_for_recovery(&self, ask: Ask, memory: &mut ClusterMemory, now: Timestamp) {
        // Level-triggered: a later report asks again.
        let _ = self.parts.peers.recover.try_send(self.recover(ask, memory, now));
    }

    /// What the recoverer is asked about a component, with what is known of the cluster now.
    pub(super) fn recover(&self, ask: Ask, memory: &mut ClusterMemory, now: Timestamp) -> Recover {
        let Ask { id, open, sick_pods } = ask;
        let depends_on = &self.parts.depends_on;
        let is_sick = |name: &Arc<str>| {
            memory.get(name).is_some_and(ComponentMemory::is_unhealthy_or_failing)
        };
        let sick = depends_on.iter().filter(|name| is_sick(name));
        let sick_dependencies: Vec<ComponentId> = sick.map(|name| self.id(name)).collect();
        let milvus_failing = self.fails_as_a_whole(&id.component, memory);
        let known = self.inventory.components.get(&id.component);
        let judged = memory.get(&id.component).map(|known| (known.failures(), *known.settings));
        let (failures, settings) = judged.unwrap_or_default();
        let sick_since = memory.get(&id.component).map_or(now, |known| known.tracker.since());
        let request = RecoveryRequest {
            incident: open.id,
            role: known.and_then(|known| known.role),
            workloads: self.workloads_of(&id.component),
            pods: known.map_or_else(Vec::new, |known| pod_states(known, &sick_pods)),
            serves: open.severity == Severity::Warning,
            trouble: Trouble::of(open.reason.kind),
            // Of what comes and goes, this time counts.
            unhealthy_since: if open.is_flapping { sick_since } else { open.since },
            failures,
            failure_threshold: settings.failure_threshold,
            grace_until: None,
            sick_components: memory.sick_workloads(),
            watched_components: memory.workloads(),
            sick_others: self.sick_beside(&id.component, memory),
            sick_dependencies,
            cluster_seen_at: memory.seen_beside(&id.component, depends_on, now),
            milvus_version: memory.milvus_version(),
            component: id,
            platform_error: self.inventory.error.clone(),
            being_scaled: Vec::new(),
            not_leader: None,
            quiet: None,
        };
        Recover { request, reason: open.reason, milvus_failing }
    }

    /// Whether Milvus as a whole fails while nothing but `component` is known to be sick.
    fn fails_as_a_whole(&self, component: &str, memory: &ClusterMemory) -> bool {
        let known = memory.get(component);
        let own = known.is_some_and(ComponentMemory::is_unhealthy_or_failing);
        // Looked at first, because it is cheap.
        if memory.sick_workloads() > usize::from(own) {
            return false;
        }
        let fails = |name: &Arc<str>| {
            memory.get(name).is_some_and(ComponentMemory::is_unhealthy_or_failing)
        };
        if self.parts.depends_on.iter().any(fails) {
            return false;
        }
        let mut services = memory.iter().filter(|(_, known)| known.kind == ProberKind::Milvus);
        services.any(|(name, known)| **name != *component && known.is_unhealthy_or_failing())
    }

    /// The platform's other components that failed often enough to be restarted as well.
    fn sick_beside(&self, component: &str, memory: &ClusterMemory) -> Vec<SickComponent> {
        let others = self.inventory.components.iter().filter(|(name, _)| ***name != *component);
        others
            .filter_map(|(name, known)| {
                let seen = memory.get(name).filter(|seen| seen.tracker.is_counted_out())?;
                let serves = seen.incident.as_ref()?.severity == Severity::Warning;
                Some(SickComponent { component: self.id(name), role: known.role, serves })
            })
            .collect()
    }

    pub(super) fn workloads_of(&self, component: &str) -> Vec<Workload> {
        self.inventory.components.get(component).map_or_else(Vec::new, |c| c.workloads.clone())
    }
}

/// A component about which the recoverer is asked.
pub(super) struct Ask {
    /// Which.
    pub(super) id: ComponentId,
    /// Its incident.
    pub(super) open: OpenIncident,
    /// What its newest probe found of its pods, by name.
    pub(super) sick_pods: SickPods,
}

/// Why pods are sick, by name.
pub(super) type SickPods = HashMap<Arc<str>, Reason>;

/// The targets that a probe found not to do their work.
pub(super) fn sick_targets(report: &ProbeReport) -> SickPods {
    let failed = report.observation.targets.iter().filter(|target| target.outcome.is_failed());
    failed
        .filter_map(|target| Some((target.name.clone(), target.outcome.reason()?.clone())))
        .collect()
}

/// What is known of each pod: its own probe's word first, then the platform's.
fn pod_states(known: &ComponentInventory, sick: &SickPods) -> Vec<PodState> {
    let state = |pod: &Pod| {
        let platform = match &pod.condition {
            PodCondition::CrashLoop { message } => {
                Some(Reason::new(ReasonKind::CrashLoop, message))
            }
            PodCondition::Pending { .. }
            | PodCondition::Ready
            | PodCondition::NotReady
            | PodCondition::Terminating
            | PodCondition::Ended { .. } => None,
        };
        PodState { sick: sick.get(&*pod.name).cloned().or(platform), pod: pod.clone() }
    };
    known.pods.iter().map(state).collect()
}

/// What is said first of a component that comes and goes too often.
fn flapping(open: &OpenIncident, known: &ComponentMemory, now: Timestamp) -> Vec<String> {
    if !open.is_flapping {
        return Vec::new();
    }
    let settings = known.settings.flapping;
    let (window, calm) = (format_duration(settings.window), format_duration(settings.calm()));
    let changes = known.recent_changes(now);
    let mut said = vec![format!("flapping: {changes} changes in {window}")];
    said.push(match open.well_since {
        Some(since) => format!("healthy since {since}; over when it was so for {calm}"),
        None => format!("over when it was healthy for {calm}"),
    });
    said
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
