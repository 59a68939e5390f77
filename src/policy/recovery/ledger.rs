//! What the recoverer did and learnt: plain data that outlives a respawn of the actor. Owns the
//! budgets, the ladder positions and the actions under way; never decides.

mod questions;
mod record;
mod reports;
mod stored;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::record::{
    ComponentRecord, Escalated, LastStep, LostRequest, Retry, RevisionMark, RolledBack, StepEnd,
};
use self::stored::StoredKey;
pub use self::stored::StoredProblem;
use super::decision::PlannedAction;
use super::request::RecoveryRequest;
use super::settings::{GlobalSettings, RecoverySettings};
use super::under_way::{ActionUnderWay, RolloutProgress};
use super::window::ActionWindow;
use crate::model::{ComponentId, IncidentId, Timestamp};

/// The delay after the first platform error; it doubles up to the component's cooldown.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(30);

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
    /// Of all components of a cluster.
    clusters: BTreeMap<Arc<str>, ActionWindow>,
    /// Of all components.
    actions: ActionWindow,
    /// The clusters to which nothing more is done until a person has looked.
    breakers: BTreeMap<Arc<str>, Tripped>,
    /// What is not saved yet.
    changed: BTreeSet<StoredKey>,
}

/// What happened.
impl RecoveryLedger {
    /// Nothing more is done to `cluster` until a person has looked.
    pub fn trip(&mut self, cluster: &Arc<str>, why: String, now: Timestamp) {
        self.breakers.entry(Arc::clone(cluster)).or_insert_with(|| {
            self.changed.insert(StoredKey::Breaker(Arc::clone(cluster)));
            Tripped { at: now, why }
        });
    }

    /// A person has looked at `cluster`: its breaker is closed, and what was done counts no more
    /// against the two budgets that may have opened it, the cluster's and the global one. The
    /// components' own budgets and cooldowns hold. Says whether it was open.
    pub fn reset_breaker(&mut self, cluster: &str) -> bool {
        let Some((cluster, _)) = self.breakers.remove_entry(cluster) else { return false };
        self.clusters.remove(&cluster);
        self.actions = ActionWindow::default();
        self.changed.extend([
            StoredKey::Breaker(Arc::clone(&cluster)),
            StoredKey::Cluster(cluster),
            StoredKey::Everything,
        ]);
        true
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
        request: &RecoveryRequest,
        plan: &PlannedAction,
        limits: Limits<'_>,
        now: Timestamp,
    ) {
        let Limits { settings, global } = limits;
        let (component, incident) = (&request.component, &request.incident);
        let troubles = self.troubles(request, plan, settings);
        let first_try = self.counted_at(component, &plan.idempotency_key);
        let cluster = Arc::clone(&component.cluster);
        let record = self.record(component);
        record.acted_on = true;
        record.actions.count(first_try, settings.budget.per, now);
        if let Some(change) = plan.revisions {
            let left = RevisionMark { workload: plan.workload.clone(), revision: change.from };
            let (key, incident) = (plan.idempotency_key.clone(), incident.clone());
            record.note_rollback(RolledBack { key, incident, left });
        }
        let of_cluster = self.clusters.entry(Arc::clone(&cluster)).or_default();
        of_cluster.count(first_try, global.cluster_budget.per, now);
        self.actions.count(first_try, global.budget.per, now);
        self.changed.extend([StoredKey::Cluster(cluster), StoredKey::Everything]);
        let action = ActionUnderWay {
            incident: incident.clone(),
            component: component.clone(),
            step: plan.step,
            index: plan.index,
            workload: plan.workload.clone(),
            pod: plan.pod.clone(),
            revisions: plan.revisions,
            skipped: plan.skipped.clone(),
            troubles,
            sick_before: request.sick_pods().collect(),
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
    }

    /// The action under way has helped only when Milvus as a whole serves again.
    pub fn wait_for_milvus(&mut self, component: &ComponentId) {
        self.change_action(component, |action| action.waits_for_milvus = true);
    }

    /// The action that had begun is not asked for: everything is as if it had not begun, and an
    /// earlier try of it counts as before.
    pub fn withdrawn(&mut self, component: &ComponentId) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        let (at, key) = (action.requested_at, &action.idempotency_key);
        let earlier = self.counted_at(component, key);
        let record = self.record(component);
        record.actions.uncount(at, earlier);
        if earlier.is_none() {
            record.rollbacks.retain(|one| one.key != *key);
        }
        if let Some(cluster) = self.clusters.get_mut(&component.cluster) {
            cluster.uncount(at, earlier);
        }
        self.actions.uncount(at, earlier);
        let of_cluster = StoredKey::Cluster(Arc::clone(&component.cluster));
        let of_component = StoredKey::Component(component.clone());
        self.changed.extend([of_component, of_cluster, StoredKey::Everything]);
        Some(action)
    }

    /// The platform took the action.
    pub fn accepted(&mut self, component: &ComponentId, now: Timestamp) {
        let removed = self.under_way.get_mut(component).and_then(|action| {
            action.accepted_at = Some(now);
            Some((action.pod.clone()?, action.step))
        });
        let record = self.record(component);
        record.last_action_at = Some(now);
        record.retry = None;
        if let Some((pod, step)) = removed {
            record.note_removed(pod, step);
        }
    }

    /// The action was only shown. The cooldown holds nevertheless, the ladder stays where it is.
    pub fn shown(&mut self, component: &ComponentId, now: Timestamp) -> Option<ActionUnderWay> {
        let record = self.record(component);
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
        self.put_off(component, now, |errors| retry_delay(errors, settings))
    }

    /// As [`RecoveryLedger::postponed`], of a request that did not arrive because falconer itself
    /// ended: the platform has refused nothing, so the first time it is made again at once.
    pub fn interrupted(
        &mut self,
        component: &ComponentId,
        settings: &RecoverySettings,
        now: Timestamp,
    ) -> Duration {
        let delay =
            |errors| if errors == 0 { Duration::ZERO } else { retry_delay(errors, settings) };
        self.put_off(component, now, delay)
    }

    /// Takes the action back until a delay has passed that depends on its errors so far.
    fn put_off(
        &mut self,
        component: &ComponentId,
        now: Timestamp,
        delay: impl Fn(u32) -> Duration,
    ) -> Duration {
        let Some(action) = self.under_way.remove(component) else {
            return FIRST_RETRY_DELAY;
        };
        let record = self.record(component);
        let previous = record.retry.take().filter(|retry| retry.key == action.idempotency_key);
        let errors = previous.map_or(0, |retry| retry.errors);
        record.last_action_at = Some(action.requested_at);
        let delay = delay(errors);
        record.note_lost(LostRequest {
            key: action.idempotency_key.clone(),
            first_tried_at: action.at,
        });
        record.retry = Some(Retry {
            incident: action.incident,
            key: action.idempotency_key,
            counted_at: action.requested_at,
            errors: errors.saturating_add(1),
            not_before: now + delay,
        });
        delay
    }

    /// The action helped.
    pub fn recovered(&mut self, component: &ComponentId, now: Timestamp) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        self.finish(&action, StepEnd::Helped { at: now });
        Some(action)
    }

    /// The pod was replaced and its replacement is well; others are sick still.
    pub fn pod_replaced(&mut self, component: &ComponentId) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        let earlier = self.pods_left(component, action.index).unwrap_or(&action.sick_before);
        let mut left = earlier.clone();
        if let Some(pod) = &action.pod {
            left.remove(&pod.name);
        }
        self.finish(&action, StepEnd::PodReplaced { left });
        Some(action)
    }

    /// The action did not help, or the platform refuses it for good.
    pub fn not_recovered(
        &mut self,
        component: &ComponentId,
        now: Timestamp,
    ) -> Option<ActionUnderWay> {
        let action = self.under_way.remove(component)?;
        self.finish(&action, StepEnd::Failed);
        let record = self.record(component);
        record.last_action_at = record.last_action_at.max(action.accepted_at.or(Some(now)));
        record.retry = None;
        if let Some(pod) = &action.pod {
            // Also what the platform refused is not asked for again.
            record.note_removed(pod.clone(), action.step);
        }
        Some(action)
    }

    /// The incident was left to a person.
    pub fn escalated(&mut self, component: &ComponentId, incident: &IncidentId, now: Timestamp) {
        let incident = incident.clone();
        self.record(component).escalated = Some(Escalated { incident, at: now });
    }

    /// The actor was made anew, in this process or the next. Gives the actions of which it is not known
    /// whether the request arrived: that must be found out, and until then they are under way. Where
    /// the clock has gone back since, the verification of the others ends in its time nevertheless.
    pub fn resume(&mut self, now: Timestamp) -> Vec<ActionUnderWay> {
        self.preparing.clear();
        let all: Vec<ComponentId> = self.under_way.keys().cloned().collect();
        for component in all {
            self.change_action(&component, |action| {
                action.accepted_at = action.accepted_at.map(|at| at.min(now));
                action.requested_at = action.requested_at.min(now);
            });
        }
        self.under_way.values().filter(|action| action.accepted_at.is_none()).cloned().collect()
    }

    /// The record of `component`, to be changed.
    fn record(&mut self, component: &ComponentId) -> &mut ComponentRecord {
        self.changed.insert(StoredKey::Component(component.clone()));
        self.components.entry(component.clone()).or_default()
    }

    fn change_action(&mut self, component: &ComponentId, change: impl FnOnce(&mut ActionUnderWay)) {
        let Some(action) = self.under_way.get_mut(component) else { return };
        let before = action.clone();
        change(action);
        if *action != before {
            self.changed.insert(StoredKey::Component(component.clone()));
        }
    }

    fn finish(&mut self, action: &ActionUnderWay, end: StepEnd) {
        let record = self.record(&action.component);
        if action.accepted_at.is_some() {
            record.lost.retain(|lost| lost.key != action.idempotency_key);
        }
        if action.step.is_rung() {
            let earlier = record.last_step.take();
            record.last_step = Some(LastStep::after(earlier, action, end));
        }
    }
}

fn retry_delay(errors: u32, settings: &RecoverySettings) -> Duration {
    let longest = settings.cooldown.max(FIRST_RETRY_DELAY);
    FIRST_RETRY_DELAY.saturating_mul(1 << errors.min(16)).min(longest)
}
