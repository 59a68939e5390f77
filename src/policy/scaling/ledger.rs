//! What the scaler did and recommended: plain data that outlives a respawn of the actor. Never
//! decides.

mod stored;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::caution::Before;
use super::drain::{DrainPhase, DrainUnderWay};
use super::limits::History;
use super::settings::ScalingSettings;
use super::{PlannedChange, Trigger};
use crate::model::{ComponentId, Timestamp, WorkloadRef};

/// The delay after the first platform error; it doubles up to [`LONGEST_RETRY_DELAY`].
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(30);

/// No delay after a platform error is longer.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(300);

/// However long the windows are, no more than this many entries of a component are kept.
const HISTORY_LIMIT: usize = 4_096;

/// Looks that are further apart than this, than two intervals and than the window are no watching.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// A change from the decision until all replicas are ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeUnderWay {
    /// The component.
    pub component: ComponentId,
    /// Of what.
    pub workload: WorkloadRef,
    /// From this number.
    pub from: u32,
    /// To this number.
    pub to: u32,
    /// When it was decided.
    pub requested_at: Timestamp,
    /// When the platform accepted it; `None` while the request is on its way.
    pub accepted_at: Option<Timestamp>,
    /// What was last heard of it.
    pub progress: String,
}

/// What was recommended and done for one component, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// When how many replicas were recommended.
    pub recommendations: Vec<(Timestamp, u32)>,
    /// When how many were added, or, below zero, removed.
    pub changes: Vec<(Timestamp, i64)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct ComponentRecord {
    /// What the load asked for, oldest first.
    recommendations: VecDeque<(Timestamp, u32)>,
    /// The newest of those, however old it is.
    last_recommended: Option<(Timestamp, u32)>,
    /// What was changed, oldest first: from, to.
    changes: VecDeque<(Timestamp, u32, u32)>,
    last_decided_at: Option<Timestamp>,
    last_change_ended: Option<Timestamp>,
    retry_not_before: Option<Timestamp>,
    errors: u32,
    /// The change that a dry-run has shown and that still would be made.
    shown: Option<(WorkloadRef, u32, u32)>,
}

impl Past {
    /// The same, borrowed.
    pub fn as_history(&self) -> History<'_> {
        History { recommendations: &self.recommendations, changes: &self.changes }
    }
}

/// Everything that was recommended and done, by component.
#[derive(Debug, Clone, Default)]
pub struct ScalingLedger {
    components: BTreeMap<ComponentId, ComponentRecord>,
    under_way: BTreeMap<ComponentId, ChangeUnderWay>,
    drains: BTreeMap<ComponentId, DrainUnderWay>,
    /// Components of which something has changed since that was last saved.
    touched: BTreeSet<ComponentId>,
    /// Of whom a person was warned, workload by workload.
    warnings: BTreeMap<(ComponentId, WorkloadRef), String>,
}

/// What a decision needs to know.
impl ScalingLedger {
    /// The change under way for `component`.
    pub fn in_flight(&self, component: &ComponentId) -> Option<&ChangeUnderWay> {
        self.under_way.get(component)
    }

    /// Every change under way.
    pub fn all_in_flight(&self) -> impl Iterator<Item = &ChangeUnderWay> {
        self.under_way.values()
    }

    /// What was recommended and done for `component`, oldest first.
    pub fn history(&self, component: &ComponentId) -> Past {
        let Some(record) = self.components.get(component) else { return Past::default() };
        let changes = record.changes.iter();
        Past {
            recommendations: record.recommendations.iter().copied().collect(),
            changes: changes
                .map(|(at, from, to)| (*at, i64::from(*to) - i64::from(*from)))
                .collect(),
        }
    }

    /// When replicas of `component` were added and removed the last time.
    pub fn before(&self, component: &ComponentId) -> Before {
        let Some(record) = self.components.get(component) else { return Before::default() };
        let newest = |is_it: fn(u32, u32) -> bool| {
            let mut changes = record.changes.iter().rev();
            changes.find(|(_, from, to)| is_it(*from, *to)).map(|(at, _, _)| *at)
        };
        Before { added_at: newest(|from, to| to > from), removed_at: newest(|from, to| to < from) }
    }

    /// When the last change of `component` ended, one way or the other.
    pub fn last_change_ended(&self, component: &ComponentId) -> Option<Timestamp> {
        self.components.get(component)?.last_change_ended
    }

    /// How long the platform is not bothered for `component`.
    pub fn retry_in(&self, component: &ComponentId, now: Timestamp) -> Option<Duration> {
        let not_before = self.components.get(component)?.retry_not_before?;
        (now < not_before).then(|| not_before.since(now))
    }

    /// Whether `interval` has passed since the last decision.
    pub fn is_due(&self, component: &ComponentId, interval: Duration, now: Timestamp) -> bool {
        let last = self.components.get(component).and_then(|record| record.last_decided_at);
        last.is_none_or(|last| now.since(last) >= interval)
    }

    /// What people were warned of, with the component and the workload.
    pub fn warnings(&self) -> impl Iterator<Item = (&ComponentId, &WorkloadRef, &str)> {
        let all = self.warnings.iter();
        all.map(|((component, workload), words)| (component, workload, words.as_str()))
    }

    /// Whether a dry-run has shown this very change already.
    pub fn was_shown(&self, component: &ComponentId, plan: &PlannedChange) -> bool {
        self.components
            .get(component)
            .and_then(|record| record.shown.as_ref())
            .is_some_and(|shown| *shown == (plan.workload.clone(), plan.from, plan.to))
    }
}

/// What happened.
impl ScalingLedger {
    /// A decision about `component` is being made, whose workload has `current` replicas. A history
    /// that begins, or begins again after nothing was heard for a whole window, begins with what
    /// there is: nothing is taken away before it was seen idle for that long. Where looks, which are
    /// at least an `interval` apart, are rarer than the window is long, what was recommended last
    /// holds from one to the next.
    pub fn observe(
        &mut self,
        component: &ComponentId,
        current: u32,
        settings: &ScalingSettings,
        interval: Duration,
        now: Timestamp,
    ) {
        let record = self.components.entry(component.clone()).or_default();
        record.last_decided_at = Some(now);
        let window = settings.longest_window();
        record.recommendations.retain(|(at, _)| now.since(*at) < window);
        if record.recommendations.is_empty() {
            let pause = window.max(interval.saturating_mul(2)).max(LONGEST_PAUSE);
            let last = record.last_recommended.filter(|(at, _)| now.since(*at) < pause);
            record.recommendations.push_back((now, last.map_or(current, |(_, asked)| asked)));
        }
    }

    /// The load asked for this many replicas.
    pub fn recommend(&mut self, component: &ComponentId, replicas: u32, now: Timestamp) {
        let record = self.components.entry(component.clone()).or_default();
        record.recommendations.push_back((now, replicas));
        record.last_recommended = Some((now, replicas));
        while record.recommendations.len() > HISTORY_LIMIT {
            record.recommendations.pop_front();
        }
    }

    /// A change begins.
    pub fn begin(&mut self, component: &ComponentId, plan: &PlannedChange, now: Timestamp) {
        let change = ChangeUnderWay {
            component: component.clone(),
            workload: plan.workload.clone(),
            from: plan.from,
            to: plan.to,
            requested_at: now,
            accepted_at: None,
            progress: plan.trigger.to_string(),
        };
        self.under_way.insert(component.clone(), change);
        self.touched.insert(component.clone());
    }

    /// The platform took the change.
    pub fn accepted(&mut self, component: &ComponentId, now: Timestamp) {
        let Some(change) = self.under_way.get_mut(component) else { return };
        change.accepted_at = Some(now);
        let (from, to) = (change.from, change.to);
        self.touched.insert(component.clone());
        let record = self.components.entry(component.clone()).or_default();
        record.changes.push_back((now, from, to));
        while record.changes.len() > HISTORY_LIMIT {
            record.changes.pop_front();
        }
        record.retry_not_before = None;
        record.errors = 0;
        record.shown = None;
    }

    /// The change was only shown.
    pub fn shown(&mut self, component: &ComponentId) -> Option<ChangeUnderWay> {
        let change = self.under_way.remove(component)?;
        self.touched.insert(component.clone());
        let record = self.components.entry(component.clone()).or_default();
        record.shown = Some((change.workload.clone(), change.from, change.to));
        record.errors = 0;
        Some(change)
    }

    /// Something else than the shown change would be done now.
    pub fn forget_shown(&mut self, component: &ComponentId) {
        if let Some(record) = self.components.get_mut(component) {
            record.shown = None;
        }
    }

    /// The platform did not take the change. Gives the delay until it is asked again.
    pub fn failed(&mut self, component: &ComponentId, now: Timestamp) -> Duration {
        self.under_way.remove(component);
        self.touched.insert(component.clone());
        let record = self.components.entry(component.clone()).or_default();
        let delay =
            FIRST_RETRY_DELAY.saturating_mul(1 << record.errors.min(16)).min(LONGEST_RETRY_DELAY);
        record.errors = record.errors.saturating_add(1);
        record.retry_not_before = Some(now + delay);
        delay
    }

    /// The change was not made, and nothing speaks against deciding anew at once.
    pub fn dropped(&mut self, component: &ComponentId) {
        self.under_way.remove(component);
        self.touched.insert(component.clone());
    }

    /// What there is to warn of about `workload` now. Whether people do not know it yet.
    pub fn warn(
        &mut self,
        component: &ComponentId,
        workload: &WorkloadRef,
        words: Option<String>,
    ) -> bool {
        let key = (component.clone(), workload.clone());
        let Some(words) = words else {
            self.warnings.remove(&key);
            return false;
        };
        self.warnings.insert(key, words.clone()) != Some(words)
    }

    /// What was last heard of the change under way.
    pub fn heard(&mut self, component: &ComponentId, progress: String) {
        if let Some(change) = self.under_way.get_mut(component) {
            change.progress = progress;
        }
    }

    /// The change is over: all replicas are ready, or it took too long.
    pub fn ended(&mut self, component: &ComponentId, now: Timestamp) -> Option<ChangeUnderWay> {
        let change = self.under_way.remove(component)?;
        self.components.entry(component.clone()).or_default().last_change_ended = Some(now);
        self.touched.insert(component.clone());
        Some(change)
    }

    /// The actor was made anew. A request whose answer was lost may have arrived: it is watched
    /// like one that was accepted.
    pub fn resume(&mut self, now: Timestamp) {
        let lost: Vec<ComponentId> = self
            .under_way
            .values()
            .filter(|change| change.accepted_at.is_none())
            .map(|change| change.component.clone())
            .collect();
        for component in lost {
            self.accepted(&component, now);
        }
    }
}

/// Nodes that are being emptied.
impl ScalingLedger {
    /// Whether a change or a drain of `component` is under way.
    pub fn is_busy(&self, component: &ComponentId) -> bool {
        self.under_way.contains_key(component) || self.drains.contains_key(component)
    }

    /// The node of `component` that is being drained, or given back.
    pub fn drain_of(&self, component: &ComponentId) -> Option<&DrainUnderWay> {
        self.drains.get(component)
    }

    /// Every drain under way.
    pub fn all_drains(&self) -> impl Iterator<Item = &DrainUnderWay> {
        self.drains.values()
    }

    /// A drain begins.
    pub fn begin_drain(&mut self, drain: DrainUnderWay) {
        self.touched.insert(drain.component.clone());
        self.drains.insert(drain.component.clone(), drain);
    }

    /// A drain goes on to its next phase.
    pub fn drain_goes_on(&mut self, component: &ComponentId, phase: DrainPhase, now: Timestamp) {
        let Some(drain) = self.drains.get_mut(component) else { return };
        drain.phase = phase;
        drain.phase_since = now;
        self.touched.insert(component.clone());
    }

    /// A drain is over, one way or the other.
    pub fn end_drain(&mut self, component: &ComponentId) -> Option<DrainUnderWay> {
        self.touched.insert(component.clone());
        self.drains.remove(component)
    }
}

impl PlannedChange {
    /// Whether replicas are added.
    pub fn is_up(&self) -> bool {
        self.to > self.from
    }

    /// What asked for it, as a name for machines.
    pub fn kind(&self) -> &'static str {
        Trigger::as_str(&self.trigger)
    }
}
