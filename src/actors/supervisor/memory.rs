//! What a supervisor must not forget when it is made anew: the judgement of each component and its
//! open incident. Decides what to tell; sends nothing itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::recoverer::RecoveryPhase;
use crate::model::{
    ComponentId, HealthState, IncidentId, Outcome, ProbeReport, ProberKind, Reason, ReasonKind,
    Severity, Timestamp,
};
use crate::policy::health::{HealthSettings, HealthTracker, Transition, Weight};

/// While probes cannot be made, the log says so this often: they may be a thousand a second.
const INCONCLUSIVE_TOLD_EVERY: Duration = Duration::from_secs(60);

/// An incident that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIncident {
    /// Its identifier.
    pub id: IncidentId,
    /// Since when.
    pub since: Timestamp,
    /// The worst it has been.
    pub severity: Severity,
    /// Its newest reason.
    pub reason: Reason,
}

/// What one report means for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentChange {
    /// There is no incident.
    None,
    /// It began or goes on.
    Open,
    /// It is over.
    Resolved(OpenIncident),
}

/// One component.
#[derive(Debug, Clone)]
pub struct ComponentMemory {
    /// How it is probed.
    pub kind: ProberKind,
    /// Its thresholds.
    pub settings: HealthSettings,
    /// Its judgement.
    pub tracker: HealthTracker,
    /// Its open incident.
    pub incident: Option<OpenIncident>,
    /// Whether the newest word on its recovery is why nothing is done.
    pub refused: bool,
    /// Whether the platform says that fewer of its pods serve than did.
    pub short: bool,
    /// When the newest report's probe began; an older report that comes later is ignored.
    newest: Option<Timestamp>,
}

/// Probes that falconer itself could not make since it last said so.
#[derive(Debug, Clone, Copy, Default)]
struct Inconclusive {
    untold: u64,
    told_at: Option<Timestamp>,
}

/// All components of one cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterMemory {
    components: BTreeMap<Arc<str>, ComponentMemory>,
    is_stopped: bool,
    inconclusive: Inconclusive,
}

impl ClusterMemory {
    /// Begins to judge a component, unless it is known already.
    pub fn watch(
        &mut self,
        component: &Arc<str>,
        kind: ProberKind,
        settings: HealthSettings,
        now: Timestamp,
    ) {
        let entry = self.components.entry(Arc::clone(component));
        let memory = entry.or_insert_with(|| ComponentMemory {
            kind,
            settings,
            tracker: HealthTracker::new(settings, now),
            incident: None,
            refused: false,
            short: false,
            newest: None,
        });
        memory.settings = settings;
        memory.kind = kind;
    }

    /// The process ends: nothing is watched any more.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Whether nothing is watched any more.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Forgets a component; its open incident, if any, is handed back to be resolved.
    pub fn forget(&mut self, component: &str) -> Option<OpenIncident> {
        self.components.remove(component).and_then(|memory| memory.incident)
    }

    /// One component.
    pub fn get(&self, component: &str) -> Option<&ComponentMemory> {
        self.components.get(component)
    }

    /// All components by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ComponentMemory)> {
        self.components.iter()
    }

    /// How many of the components that run as workloads are unhealthy or failing.
    pub fn sick(&self, is_workload: impl Fn(&str) -> bool) -> usize {
        let sick = |(name, memory): &(&Arc<str>, &ComponentMemory)| {
            is_workload(name) && memory.is_unhealthy_or_failing()
        };
        self.components.iter().filter(sick).count()
    }

    /// Excuses failures of `component` until `until`, because its workload restarts.
    pub fn grant_grace(&mut self, component: &str, until: Timestamp, ends_on_success: bool) {
        if let Some(memory) = self.components.get_mut(component) {
            memory.tracker.grant_grace(until, ends_on_success);
        }
    }

    /// One component, to be changed by what the platform says of it.
    pub fn get_mut(&mut self, component: &str) -> Option<&mut ComponentMemory> {
        self.components.get_mut(component)
    }

    /// The recoverer said something about `component`.
    pub fn recovery_progressed(&mut self, component: &str, phase: RecoveryPhase) {
        if let Some(memory) = self.components.get_mut(component) {
            memory.refused = phase == RecoveryPhase::Refused;
        }
    }

    /// The startup grace of a component.
    pub fn grace_of(&self, component: &str) -> Duration {
        self.components
            .get(component)
            .map_or(Duration::ZERO, |memory| memory.settings.startup_grace)
    }

    /// A probe could not be made. Gives how many there were since this was last worth a line in the
    /// log, at most once in [`INCONCLUSIVE_TOLD_EVERY`].
    pub fn inconclusive(&mut self, now: Timestamp) -> Option<u64> {
        let Inconclusive { untold, told_at } = &mut self.inconclusive;
        *untold += 1;
        if told_at.is_some_and(|at| now.since(at) < INCONCLUSIVE_TOLD_EVERY) {
            return None;
        }
        *told_at = Some(now);
        Some(std::mem::take(untold))
    }

    /// Folds in a report. `None` where it is out of order, about an unknown component, or
    /// inconclusive: what could not be probed counts as not probed.
    pub fn observe(
        &mut self,
        report: &ProbeReport,
        weight: Weight,
        now: Timestamp,
    ) -> Option<(Transition, IncidentChange)> {
        let memory = self.components.get_mut(&report.id.component)?;
        if report.observation.outcome.is_inconclusive() {
            return None;
        }
        if memory.newest.is_some_and(|newest| report.started_at < newest) {
            return None;
        }
        memory.newest = Some(report.started_at);
        let outcome = &report.observation.outcome;
        let transition = memory.tracker.observe_as(weight, outcome, memory.settings, now);
        let change = memory.update_incident(&report.id, outcome, now);
        Some((transition, change))
    }
}

impl ComponentMemory {
    /// Whether it is unhealthy, or its newest probe failed, below the threshold too, or it has lost
    /// pods: what a restart of something else must not overlook.
    pub fn is_unhealthy_or_failing(&self) -> bool {
        let health = self.tracker.health();
        health.state == HealthState::Unhealthy || health.consecutive_failures > 0 || self.short
    }

    /// When the probe of the newest report began.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Which severity the present state deserves, if any.
    fn severity(&self, now: Timestamp) -> Option<Severity> {
        let kind = self.tracker.health().reason.map(|reason| reason.kind);
        if kind == Some(ReasonKind::PlatformUnavailable) && self.kind != ProberKind::Platform {
            // The platform's own prober tells of this, once for all components.
            return None;
        }
        match self.tracker.state() {
            HealthState::Unhealthy => Some(Severity::Critical),
            // Something optional that does not exist here is shown, and nobody is woken for it.
            HealthState::Degraded if kind == Some(ReasonKind::Unsupported) => None,
            HealthState::Degraded if self.tracker.is_persistently_degraded(self.settings, now) => {
                Some(Severity::Warning)
            }
            HealthState::Degraded | HealthState::Unknown | HealthState::Healthy => None,
        }
    }

    fn update_incident(
        &mut self,
        id: &ComponentId,
        outcome: &Outcome,
        now: Timestamp,
    ) -> IncidentChange {
        let health = self.tracker.health();
        if health.state == HealthState::Healthy || self.tracker.is_off() {
            return self.incident.take().map_or(IncidentChange::None, IncidentChange::Resolved);
        }
        let reason = outcome.reason().cloned().or(health.reason);
        let (Some(severity), Some(reason)) = (self.severity(now), reason) else {
            return IncidentChange::None;
        };
        let open = self.incident.get_or_insert_with(|| {
            let since = health.since;
            OpenIncident { id: IncidentId::new(id, since), since, severity, reason: reason.clone() }
        });
        open.severity = open.severity.max(severity);
        open.reason = reason;
        IncidentChange::Open
    }
}
