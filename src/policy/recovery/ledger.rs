//! What the recoverer did and learnt: plain data that outlives a respawn of the actor. Owns the
//! budgets, the ladder positions and the actions under way; never decides.

mod questions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decision::{PlannedAction, PodTarget};
use super::settings::{GlobalSettings, RecoverySettings};
use super::under_way::{ActionUnderWay, RolloutProgress};
use super::window::ActionWindow;
use crate::model::{ComponentId, IncidentId, Timestamp, WorkloadRef};

/// The delay after the first platform error; it doubles up to the component's cooldown.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(30);

/// How the newest finished step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StepEnd {
    Helped {
        at: Timestamp,
    },
    /// One of several sick pods is well again; the same rung is for the next one.
    PodReplaced,
    Failed {
        workload: WorkloadRef,
    },
}

/// A step that the platform did not take and that will be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Retry {
    incident: IncidentId,
    key: String,
    first_tried_at: Timestamp,
    /// When the newest try began, which is where the budgets count it.
    counted_at: Timestamp,
    errors: u32,
    not_before: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct ComponentRecord {
    actions: ActionWindow,
    last_action_at: Option<Timestamp>,
    last_step: Option<(usize, StepEnd)>,
    escalated: Option<(IncidentId, Timestamp)>,
    retry: Option<Retry>,
    last_sick_at: Option<Timestamp>,
    /// The pods that were removed since the component was last well for long, by name and uid.
    removed: Vec<PodTarget>,
}

/// An open circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tripped {
    /// When it opened.
    pub at: Timestamp,
    /// Which budget was spent, in words.
    pub why: String,
}

/// The settings that bound an action.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// The component's.
    pub settings: &'a RecoverySettings,
    /// Everything's.
    pub global: &'a GlobalSettings,
}

/// Everything that was done, by component.
#[derive(Debug, Clone, Default)]
pub struct RecoveryLedger {
    components: BTreeMap<ComponentId, ComponentRecord>,
    under_way: BTreeMap<ComponentId, ActionUnderWay>,
    /// The components before whose action something is still looked at. They take a place among
    /// those on which something is done; nothing was asked for yet.
    preparing: BTreeSet<ComponentId>,
    /// Those on which something was done at least once.
    acted_on: BTreeSet<ComponentId>,
    /// Of all components of a cluster.
    clusters: BTreeMap<Arc<str>, ActionWindow>,
    /// Of all components.
    actions: ActionWindow,
    /// The clusters to which nothing more is done until a person has looked.
    breakers: BTreeMap<Arc<str>, Tripped>,
}

/// What happened.
impl RecoveryLedger {
    /// `component` was reported sick. Forgets its ladder when it was well for long enough.
    pub fn saw_sick(
        &mut self,
        component: &ComponentId,
        incident: &IncidentId,
        unhealthy_since: Timestamp,
        memory: Duration,
        now: Timestamp,
    ) {
        let record = self.components.entry(component.clone()).or_default();
        let well_for = record.last_sick_at.map_or(Duration::ZERO, |at| unhealthy_since.since(at));
        if well_for >= memory {
            record.last_step = None;
            record.removed.clear();
        }
        if record.escalated.as_ref().is_some_and(|(escalated, _)| escalated != incident) {
            record.escalated = None;
        }
        if record.retry.as_ref().is_some_and(|retry| retry.incident != *incident) {
            record.retry = None;
        }
        record.last_sick_at = Some(now);
        // A component that falls sick again during its verification is not healthy.
        if let Some(action) = self.under_way.get_mut(component)
            && action.healthy_since.is_some_and(|healthy| unhealthy_since >= healthy)
        {
            action.healthy_since = None;
        }
    }

    /// A report after the rollout of the action under way told which pods are sick.
    pub fn saw_sick_pods(&mut self, component: &ComponentId, sick: &[Arc<str>]) {
        if let Some(action) = self.under_way.get_mut(component)
            && action.rollout == RolloutProgress::Complete
        {
            action.sick_after = Some(sick.iter().cloned().collect());
        }
    }

    /// Nothing more is done to `cluster` until a person has looked.
    pub fn trip(&mut self, cluster: &Arc<str>, why: String, now: Timestamp) {
        self.breakers.entry(Arc::clone(cluster)).or_insert(Tripped { at: now, why });
    }

    /// A person has looked at `cluster`: its breaker is closed, and what was done counts no more
    /// against the budgets that had opened it. Says whether it was open.
    pub fn reset_breaker(&mut self, cluster: &str) -> bool {
        let was_open = self.breakers.remove(cluster).is_some();
        if was_open {
            self.clusters.remove(cluster);
            self.actions = ActionWindow::default();
        }
        was_open
    }

    /// An action on `component` is being prepared: nothing else begins where it takes the place.
    pub fn prepare(&mut self, component: &ComponentId) {
        self.preparing.insert(component.clone());
    }

    /// The preparation on `component` is over.
    pub fn prepared(&mut self, component: &ComponentId) {
        self.preparing.remove(component);
    }

    /// An action begins: it counts from now on, whatever becomes of it.
    pub fn begin(
        &mut self,
        component: &ComponentId,
        incident: &IncidentId,
        plan: &PlannedAction,
        limits: Limits<'_>,
        sick_pods: &[Arc<str>],
        now: Timestamp,
    ) {
        let Limits { settings, global } = limits;
        let first_try = self.counted_at(component, &plan.idempotency_key);
        let record = self.components.entry(component.clone()).or_default();
        record.actions.count(first_try, settings.budget.per, now);
        let cluster = self.clusters.entry(Arc::clone(&component.cluster)).or_default();
        cluster.count(first_try, global.cluster_budget.per, now);
        self.actions.count(first_try, global.budget.per, now);
        let action = ActionUnderWay {
            incident: incident.clone(),
            component: component.clone(),
            step: plan.step,
            index: plan.index,
            workload: plan.workload.clone(),
            pod: plan.pod.clone(),
            revisions: plan.revisions,
            sick_before: sick_pods.iter().cloned().collect(),
            sick_after: None,
            idempotency_key: plan.idempotency_key.clone(),
            at: plan.at,
            requested_at: now,
            accepted_at: None,
            rollout: RolloutProgress::NotAsked,
            healthy_since: None,
            waits_for_milvus: false,
        };
        self.under_way.insert(component.clone(), action);
        self.acted_on.insert(component.clone());
    }

    /// The action under way has helped only when Milvus as a whole serves again.
    pub fn wait_for_milvus(&mut self, component: &ComponentId) {
        if let Some(action) = self.under_way.get_mut(component) {
            action.waits_for_milvus = true;
        }
    }

    /// The action that had begun is not asked for: everything is as if it had not begun, and an
    /// earlier try of it counts as before.
    pub fn withdrawn(&mut self, component: &ComponentId) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        let earlier = self.counted_at(component, &action.idempotency_key);
        let at = action.requested_at;
        if let Some(record) = self.components.get_mut(component) {
            record.actions.uncount(at, earlier);
        }
        if let Some(cluster) = self.clusters.get_mut(&component.cluster) {
            cluster.uncount(at, earlier);
        }
        self.actions.uncount(at, earlier);
        Some(action)
    }

    /// The platform took the action.
    pub fn accepted(&mut self, component: &ComponentId, now: Timestamp) {
        if let Some(action) = self.under_way.get_mut(component) {
            action.accepted_at = Some(now);
        }
        let removed = self.under_way.get(component).and_then(|action| action.pod.clone());
        let record = self.components.entry(component.clone()).or_default();
        record.last_action_at = Some(now);
        record.retry = None;
        record.removed.extend(removed);
    }

    /// The action was only shown. The cooldown holds nevertheless, the ladder stays where it is.
    pub fn shown(&mut self, component: &ComponentId, now: Timestamp) -> Option<ActionUnderWay> {
        let record = self.components.entry(component.clone()).or_default();
        record.last_action_at = Some(now);
        record.retry = None;
        self.under_way.remove(component)
    }

    /// The platform did not say that it took the action, but may take it later. Gives the delay.
    /// The cooldown begins all the same: a request without an answer may have arrived.
    pub fn postponed(
        &mut self,
        component: &ComponentId,
        settings: &RecoverySettings,
        now: Timestamp,
    ) -> Duration {
        let record = self.components.entry(component.clone()).or_default();
        let Some(action) = self.under_way.remove(component) else {
            return FIRST_RETRY_DELAY;
        };
        let previous = record.retry.take().filter(|retry| retry.key == action.idempotency_key);
        let errors = previous.map_or(0, |retry| retry.errors);
        record.last_action_at = Some(action.requested_at);
        let longest = settings.cooldown.max(FIRST_RETRY_DELAY);
        let delay = FIRST_RETRY_DELAY.saturating_mul(1 << errors.min(16)).min(longest);
        record.retry = Some(Retry {
            incident: action.incident,
            key: action.idempotency_key,
            first_tried_at: action.at,
            counted_at: action.requested_at,
            errors: errors.saturating_add(1),
            not_before: now + delay,
        });
        delay
    }

    /// The action helped.
    pub fn recovered(&mut self, component: &ComponentId, now: Timestamp) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        let record = self.components.entry(component.clone()).or_default();
        if action.step.is_rung() {
            record.last_step = Some((action.index, StepEnd::Helped { at: now }));
        }
        Some(action)
    }

    /// The pod was replaced and its replacement is well; others are sick still.
    pub fn pod_replaced(&mut self, component: &ComponentId) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        let record = self.components.entry(component.clone()).or_default();
        if action.step.is_rung() {
            record.last_step = Some((action.index, StepEnd::PodReplaced));
        }
        Some(action)
    }

    /// The action did not help, or the platform refuses it for good.
    pub fn not_recovered(
        &mut self,
        component: &ComponentId,
        now: Timestamp,
    ) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        let record = self.components.entry(component.clone()).or_default();
        if action.step.is_rung() {
            let workload = action.workload.clone();
            record.last_step = Some((action.index, StepEnd::Failed { workload }));
        }
        record.last_action_at = record.last_action_at.max(action.accepted_at.or(Some(now)));
        record.retry = None;
        Some(action)
    }

    /// The incident was left to a person.
    pub fn escalated(&mut self, component: &ComponentId, incident: &IncidentId, now: Timestamp) {
        let record = self.components.entry(component.clone()).or_default();
        record.escalated = Some((incident.clone(), now));
    }

    /// A report found the component healthy since `since`. Counts for the action under way if the
    /// health is younger than the action, or if it was seen after the rollout had ended.
    pub fn saw_healthy(&mut self, component: &ComponentId, since: Timestamp) {
        let Some(action) = self.under_way.get_mut(component) else { return };
        let Some(accepted_at) = action.accepted_at else { return };
        let after_rollout =
            action.rollout == RolloutProgress::Complete && since >= action.requested_at;
        if since >= accepted_at || after_rollout {
            action.healthy_since = Some(since);
        }
    }

    /// The platform told how far the rollout has come.
    pub fn saw_rollout(&mut self, component: &ComponentId, key: &str, progress: RolloutProgress) {
        if let Some(action) = self.under_way.get_mut(component)
            && action.idempotency_key == key
        {
            action.rollout = progress;
        }
    }

    /// The actor was made anew, or the process. Gives the actions of which it is not known whether
    /// the request arrived: that must be found out, and until then they are under way.
    pub fn resume(&mut self) -> Vec<ActionUnderWay> {
        self.preparing.clear();
        self.under_way.values().filter(|action| action.accepted_at.is_none()).cloned().collect()
    }
}
