//! What a supervisor must not forget when it is made anew: the judgement of each component, its
//! open incident, and what of it was told. Decides what to tell; sends nothing itself.
//!
//! Messages are level-triggered: whoever missed one hears of the matter again. But a report that
//! changes nothing costs one look-up and tells nothing, until a reminder is due.

mod incident;
mod sightings;
mod stored;
mod told;
mod totals;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::tell::{Ask, SickPods, sick_targets};
use super::view::blank;
use crate::actors::common::Common;
use crate::actors::recoverer::RecoveryPhase;
use crate::actors::status::ComponentCell;
use crate::model::{
    ComponentId, HealthState, IncidentId, Inventory, Outcome, ProbeReport, ProberKind, ReasonKind,
    Sighting, Timestamp,
};
use crate::policy::flapping::Changes;
use crate::policy::health::{HealthSettings, HealthTracker, Transition, Weight};
pub use incident::{IncidentChange, OpenIncident};
use sightings::Sightings;
pub use stored::StoredIncident;
pub use told::Tell;
use told::Told;
use totals::Totals;

/// While probes cannot be made, the log says so this often: they may be a thousand a second.
const INCONCLUSIVE_TOLD_EVERY: Duration = Duration::from_secs(60);

/// One component.
#[derive(Debug)]
pub struct ComponentMemory {
    /// How it is probed.
    pub kind: ProberKind,
    /// Its thresholds.
    pub settings: Arc<HealthSettings>,
    /// Its judgement.
    pub tracker: HealthTracker,
    /// Its open incident. Boxed, because hardly any component has one.
    pub incident: Option<Box<OpenIncident>>,
    /// Whether the newest word on its recovery is why nothing is done.
    pub refused: bool,
    /// Whether the platform says that fewer of its pods serve than did.
    pub short: bool,
    /// The pods that the newest report found sick; `None` where it was no reason to do anything.
    /// Boxed, because hardly any component has some.
    sick_pods: Option<Box<SickPods>>,
    /// When it changed of late, from well to sick or back.
    changes: Changes,
    /// What was seen of it since it was last well.
    seen: Sightings,
    /// When the newest report's probe began; an older report that comes later is ignored.
    newest: Option<Timestamp>,
    /// Whether the platform runs it as a workload.
    runs: bool,
    told: Told,
    cell: ComponentCell,
}

/// What a report was judged to be.
pub struct Judged<'a> {
    /// The component, with the report folded in.
    pub known: &'a mut ComponentMemory,
    /// What it did to the state.
    pub transition: Transition,
    /// What it did to the incident.
    pub change: IncidentChange,
    /// Who is to be told of it now.
    pub tell: Tell,
}

/// Probes that falconer itself could not make since it last said so.
#[derive(Debug, Clone, Copy, Default)]
struct Inconclusive {
    untold: u64,
    told_at: Option<Timestamp>,
}

/// All components of one cluster.
#[derive(Debug, Default)]
pub struct ClusterMemory {
    /// Boxed, because a table has empty places as well.
    components: HashMap<Arc<str>, Box<ComponentMemory>>,
    settings: Common<HealthSettings>,
    totals: Totals,
    is_stopped: bool,
    inconclusive: Inconclusive,
    milvus_version: Option<String>,
    /// Components of whose incident something has changed since that was last saved.
    touched: BTreeSet<Arc<str>>,
    /// Incidents of components that are not watched, or not yet.
    orphans: BTreeMap<Arc<str>, StoredIncident>,
}

impl ClusterMemory {
    /// Begins to judge a component, unless it is known already.
    pub fn watch(
        &mut self,
        component: &Arc<str>,
        kind: ProberKind,
        settings: HealthSettings,
        now: Timestamp,
    ) -> &ComponentMemory {
        self.totals.forget_oldest();
        let settings = self.settings.share(settings);
        let entry = self.components.entry(Arc::clone(component));
        let fresh = || Box::new(ComponentMemory::new(kind, Arc::clone(&settings), now));
        let memory = entry.or_insert_with(fresh);
        memory.settings = settings;
        memory.kind = kind;
        if let Some(stored) = self.orphans.remove(component) {
            memory.adopt(&stored, now);
        }
        memory.cell.update(|shown| shown.kind = kind);
        memory
    }

    /// The process ends: nothing is watched any more.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Whether nothing is watched any more.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Forgets a component; its open incident, if any, is over.
    pub fn forget(&mut self, component: &str) -> Option<IncidentId> {
        let memory = self.components.remove(component)?;
        self.totals.left(&memory);
        self.touched.insert(Arc::from(component));
        memory.incident.map(|open| open.id)
    }

    /// One component.
    pub fn get(&self, component: &str) -> Option<&ComponentMemory> {
        self.components.get(component).map(Box::as_ref)
    }

    /// One component, with its name.
    pub fn named(&self, component: &str) -> Option<(&Arc<str>, &ComponentMemory)> {
        self.components.get_key_value(component).map(|(name, known)| (name, known.as_ref()))
    }

    /// All components, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ComponentMemory)> {
        self.components.iter().map(|(name, memory)| (name, memory.as_ref()))
    }

    /// Learns which components the platform runs as workloads.
    pub fn follow(&mut self, inventory: &Inventory) {
        self.totals = Totals::default();
        for (name, memory) in &mut self.components {
            memory.runs = inventory.components.contains_key(name);
            self.totals.joined(memory);
        }
    }

    /// Learns of one component whether the platform runs it as a workload.
    pub fn runs(&mut self, component: &str, runs: bool) {
        if let Some(memory) = self.components.get_mut(component) {
            self.totals.left(memory);
            memory.runs = runs;
            self.totals.joined(memory);
        }
    }

    /// How many of the components that run as workloads are unhealthy or failing.
    pub fn sick_workloads(&self) -> usize {
        self.totals.sick_workloads()
    }

    /// How many of the components run as workloads.
    pub fn workloads(&self) -> usize {
        self.totals.workloads()
    }

    /// When the cluster beside `component` was last seen as a whole: the earliest start of the
    /// newest probe of each other component that runs as a workload or is in `depends_on`. The
    /// Unix epoch while one was not probed yet. May lag a few milliseconds, never lead.
    pub fn seen_beside(
        &mut self,
        component: &str,
        depends_on: &BTreeSet<Arc<str>>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.totals.oldest_beside(component, now, || {
            self.components
                .iter()
                .filter(|(name, known)| known.runs || depends_on.contains(*name))
                .map(|(name, known)| (known.newest.unwrap_or_default(), name))
        })
    }

    /// The version that Milvus gave last.
    pub fn milvus_version(&self) -> Option<String> {
        self.milvus_version.clone()
    }

    /// Excuses failures of `component` until `until`, because its workload restarts.
    pub fn grant_grace(&mut self, component: &str, until: Timestamp, ends_on_success: bool) {
        if let Some(memory) = self.components.get_mut(component) {
            memory.tracker.grant_grace(until, ends_on_success);
        }
    }

    /// Changes one component by what the platform says of it. `None` where it is unknown.
    pub fn change<T>(
        &mut self,
        component: &str,
        change: impl FnOnce(&mut ComponentMemory) -> T,
    ) -> Option<T> {
        let known = self.components.get_mut(component)?;
        let was_sick = known.is_unhealthy_or_failing();
        let result = change(known);
        self.totals.moved(known, was_sick);
        Some(result)
    }

    /// The recoverer said something about `component`.
    pub fn recovery_progressed(&mut self, component: &str, phase: RecoveryPhase) {
        if let Some(memory) = self.components.get_mut(component) {
            memory.refused = phase.is_refusal();
            memory.told.recovery_progressed(phase);
        }
    }

    /// The startup grace of a component.
    pub fn grace_of(&self, component: &str) -> Duration {
        self.components
            .get(component)
            .map_or(Duration::ZERO, |memory| memory.settings.startup_grace)
    }

    /// A probe could not be made. Gives how many there were since this was last worth a line in the
    /// log, at most once a minute.
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
    ) -> Option<Judged<'_>> {
        let known = self.components.get_mut(&report.id.component)?;
        if report.observation.outcome.is_inconclusive() {
            return None;
        }
        if known.newest.is_some_and(|newest| report.started_at < newest) {
            return None;
        }
        known.newest = Some(report.started_at);
        if let Some(version) = report.observation.milvus.as_ref().and_then(|it| it.version.as_ref())
            && self.milvus_version.as_ref() != Some(version)
        {
            self.milvus_version = Some(version.clone());
        }
        let was_sick = known.is_unhealthy_or_failing();
        let outcome = &report.observation.outcome;
        let transition = known.tracker.observe_as(weight, outcome, *known.settings, now);
        let change = known.update_incident(&report.id, outcome, now);
        if known.incident.is_none() && outcome.is_healthy() {
            known.seen.clear();
        } else {
            known.seen.note(report);
        }
        self.totals.moved(known, was_sick);
        match change {
            IncidentChange::News | IncidentChange::Resolved(_) => {
                self.touched.insert(Arc::clone(&report.id.component));
            }
            IncidentChange::None | IncidentChange::Open => {}
        }
        let is_news = transition != Transition::Stayed || change == IncidentChange::News;
        let needs_recovery = known.needs_recovery(outcome);
        known.sick_pods = needs_recovery.then(|| Box::new(sick_targets(report)));
        let tell = known.whom_to_tell(needs_recovery, is_news, now);
        Some(Judged { known, transition, change, tell })
    }
}

impl ComponentMemory {
    fn new(kind: ProberKind, settings: Arc<HealthSettings>, now: Timestamp) -> Self {
        let tracker = HealthTracker::new(*settings, now);
        Self {
            kind,
            settings,
            cell: blank(kind, tracker.health()),
            tracker,
            incident: None,
            refused: false,
            short: false,
            sick_pods: None,
            changes: Changes::default(),
            seen: Sightings::default(),
            newest: None,
            runs: false,
            told: Told::default(),
        }
    }

    /// Whether it is unhealthy, or its newest probe failed, below the threshold too, or it has lost
    /// pods: what a restart of something else must not overlook.
    pub fn is_unhealthy_or_failing(&self) -> bool {
        self.tracker.is_unhealthy_or_failing() || self.short
    }

    /// Whether the newest outcome is a reason to do something about it.
    fn needs_recovery(&self, outcome: &Outcome) -> bool {
        // What just answered is not restarted, nor what only the platform calls unhealthy.
        let is_unhealthy = self.tracker.state() == HealthState::Unhealthy
            && outcome.is_failed()
            && self.tracker.is_counted_out();
        let has_sick_pods = self.tracker.state() == HealthState::Degraded
            && outcome.reason().is_some_and(|reason| is_about_pods(reason.kind));
        self.incident.is_some() && (is_unhealthy || has_sick_pods)
    }

    fn whom_to_tell(&mut self, needs_recovery: bool, is_news: bool, now: Timestamp) -> Tell {
        let concerned = Tell {
            raise: self.incident.is_some(),
            recover: needs_recovery,
            healthy: self.tracker.state() == HealthState::Healthy,
        };
        self.told.decide(concerned, is_news, now)
    }

    /// What the recoverer is to be asked about `id`, which this is, by its newest report; `None`
    /// where that was no reason to do anything.
    pub(super) fn ask(&self, id: &ComponentId) -> Option<Ask> {
        let (open, sick_pods) = (self.incident.as_ref()?, self.sick_pods.as_ref()?);
        Some(Ask {
            id: id.clone(),
            open: OpenIncident::clone(open),
            sick_pods: SickPods::clone(sick_pods),
        })
    }

    /// How many probes in a row found it sick: those that failed, or those that found it degraded.
    pub fn failures(&self) -> u32 {
        self.tracker.consecutive_failures().max(self.tracker.consecutive_degraded())
    }

    /// When its newest probe began.
    pub fn probed_at(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Whether the platform runs it as a workload.
    pub fn is_run(&self) -> bool {
        self.runs
    }

    /// What was seen of it since it was last well, the newest last.
    pub fn seen(&self) -> Vec<Sighting> {
        self.seen.to_vec()
    }

    /// How often it changed from well to sick or back, within the window that counts.
    pub fn recent_changes(&self, now: Timestamp) -> usize {
        self.changes.count(self.settings.flapping, now)
    }

    /// Its place on the status board.
    pub fn cell(&self) -> &ComponentCell {
        &self.cell
    }
}

/// Whether single pods are the trouble of what still serves: sick ones, or one that hangs in its end.
fn is_about_pods(kind: ReasonKind) -> bool {
    matches!(kind, ReasonKind::SomePods | ReasonKind::Terminating)
}
