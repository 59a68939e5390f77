//! What the recoverer did and learnt: plain data that outlives a respawn of the actor. Owns the
//! budgets, the ladder positions and the actions under way; never decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::PlannedAction;
use super::settings::{Budget, GlobalSettings, RecoverySettings};
use super::under_way::{ActionUnderWay, RolloutProgress};
use super::window::ActionWindow;
use crate::model::{ComponentId, IncidentId, Timestamp, WorkloadRef};

/// The delay after the first platform error; it doubles up to the component's cooldown.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(30);

/// How the newest finished step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StepEnd {
    Helped { at: Timestamp },
    Failed { workload: WorkloadRef },
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
}

/// Everything that was done, by component.
#[derive(Debug, Clone, Default)]
pub struct RecoveryLedger {
    components: BTreeMap<ComponentId, ComponentRecord>,
    under_way: BTreeMap<ComponentId, ActionUnderWay>,
    /// Those on which something was done at least once.
    acted_on: BTreeSet<ComponentId>,
    /// Of all components.
    actions: ActionWindow,
}

/// What a decision needs to know.
impl RecoveryLedger {
    /// The action under way for `component`.
    pub fn in_flight(&self, component: &ComponentId) -> Option<&ActionUnderWay> {
        self.under_way.get(component)
    }

    /// Every action under way.
    pub fn all_in_flight(&self) -> impl Iterator<Item = &ActionUnderWay> {
        self.under_way.values()
    }

    /// The components of `cluster` with an action under way.
    pub fn in_flight_in(&self, cluster: &str) -> Vec<ComponentId> {
        self.under_way.keys().filter(|id| &*id.cluster == cluster).cloned().collect()
    }

    /// When this incident of `component` was escalated.
    pub fn escalated_at(
        &self,
        component: &ComponentId,
        incident: &IncidentId,
    ) -> Option<Timestamp> {
        let (escalated, at) = self.components.get(component)?.escalated.as_ref()?;
        (escalated == incident).then_some(*at)
    }

    /// Which step of the ladder is next for a component that is sick since `unhealthy_since`.
    pub fn ladder_index(
        &self,
        component: &ComponentId,
        unhealthy_since: Timestamp,
        settings: &RecoverySettings,
    ) -> usize {
        let last = self.components.get(component).and_then(|record| record.last_step.as_ref());
        match last {
            None => 0,
            Some((index, StepEnd::Failed { .. })) => index.saturating_add(1),
            Some((index, StepEnd::Helped { at })) => {
                let came_back = unhealthy_since.since(*at) < settings.recurrence_window;
                if came_back { index.saturating_add(1) } else { *index }
            }
        }
    }

    /// Whether the newest finished step on `component` was on `workload` and did not help.
    pub fn last_step_failed_on(&self, component: &ComponentId, workload: &WorkloadRef) -> bool {
        self.components.get(component).and_then(|record| record.last_step.as_ref()).is_some_and(
            |(_, end)| match end {
                StepEnd::Failed { workload: failed_on } => failed_on == workload,
                StepEnd::Helped { .. } => false,
            },
        )
    }

    /// What is left of the component's cooldown for the action `key`. A repeated try belongs to the
    /// action whose cooldown it is.
    pub fn cooldown_left(
        &self,
        component: &ComponentId,
        key: &str,
        cooldown: Duration,
        now: Timestamp,
    ) -> Option<Duration> {
        if self.first_tried_at(component, key).is_some() {
            return None;
        }
        let over_at = self.components.get(component)?.last_action_at? + cooldown;
        (now < over_at).then(|| over_at.since(now))
    }

    /// When the component's budget has room for the action `key`; `None` while it has. A repeated
    /// try takes the room of the first one.
    pub fn component_budget_free_in(
        &self,
        component: &ComponentId,
        key: &str,
        budget: Budget,
        now: Timestamp,
    ) -> Option<Duration> {
        let own = self.counted_at(component, key);
        match self.components.get(component) {
            Some(record) => record.actions.free_in(own, budget, now),
            None => ActionWindow::default().free_in(own, budget, now),
        }
    }

    /// When the global budget has room for the action `key` of `component`; `None` while it has.
    pub fn global_budget_free_in(
        &self,
        component: &ComponentId,
        key: &str,
        budget: Budget,
        now: Timestamp,
    ) -> Option<Duration> {
        self.actions.free_in(self.counted_at(component, key), budget, now)
    }

    /// How many actions on `component` are inside the last `per`.
    pub fn component_actions(
        &self,
        component: &ComponentId,
        per: Duration,
        now: Timestamp,
    ) -> usize {
        self.components.get(component).map_or(0, |record| record.actions.spent(per, now))
    }

    /// How many actions on all components are inside the last `per`.
    pub fn global_actions(&self, per: Duration, now: Timestamp) -> usize {
        self.actions.spent(per, now)
    }

    /// Every component on which something was done, if only as a dry run.
    pub fn acted_on(&self) -> impl Iterator<Item = &ComponentId> {
        self.acted_on.iter()
    }

    /// When the action with this key was tried for the first time, if the platform did not take it.
    pub fn first_tried_at(&self, component: &ComponentId, key: &str) -> Option<Timestamp> {
        self.retry(component).filter(|retry| retry.key == key).map(|retry| retry.first_tried_at)
    }

    /// Before when the platform is not bothered again for `component`.
    pub fn retry_not_before(&self, component: &ComponentId) -> Option<Timestamp> {
        self.retry(component).map(|retry| retry.not_before)
    }

    fn counted_at(&self, component: &ComponentId, key: &str) -> Option<Timestamp> {
        self.retry(component).filter(|retry| retry.key == key).map(|retry| retry.counted_at)
    }

    fn retry(&self, component: &ComponentId) -> Option<&Retry> {
        self.components.get(component)?.retry.as_ref()
    }
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

    /// An action begins: it counts from now on, whatever becomes of it.
    pub fn begin(
        &mut self,
        component: &ComponentId,
        incident: &IncidentId,
        plan: &PlannedAction,
        settings: &RecoverySettings,
        global: &GlobalSettings,
        now: Timestamp,
    ) {
        let first_try = self.counted_at(component, &plan.idempotency_key);
        let record = self.components.entry(component.clone()).or_default();
        record.actions.count(first_try, settings.budget.per, now);
        self.actions.count(first_try, global.budget.per, now);
        let action = ActionUnderWay {
            incident: incident.clone(),
            component: component.clone(),
            step: plan.step,
            index: plan.index,
            workload: plan.workload.clone(),
            idempotency_key: plan.idempotency_key.clone(),
            at: plan.at,
            requested_at: now,
            accepted_at: None,
            rollout: RolloutProgress::NotAsked,
            healthy_since: None,
        };
        self.under_way.insert(component.clone(), action);
        self.acted_on.insert(component.clone());
    }

    /// The platform took the action.
    pub fn accepted(&mut self, component: &ComponentId, now: Timestamp) {
        if let Some(action) = self.under_way.get_mut(component) {
            action.accepted_at = Some(now);
        }
        let record = self.components.entry(component.clone()).or_default();
        record.last_action_at = Some(now);
        record.retry = None;
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
        record.last_step = Some((action.index, StepEnd::Helped { at: now }));
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
        record.last_step =
            Some((action.index, StepEnd::Failed { workload: action.workload.clone() }));
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

    /// The actor was made anew. A request whose answer was lost may have arrived: it is verified,
    /// never repeated.
    pub fn resume(&mut self, now: Timestamp) {
        let lost: Vec<ComponentId> = self
            .under_way
            .values()
            .filter(|action| action.accepted_at.is_none())
            .map(|action| action.component.clone())
            .collect();
        for component in lost {
            self.accepted(&component, now);
        }
    }
}
