//! What a decision needs to know of what was done before. Changes nothing.

use std::sync::Arc;
use std::time::Duration;

use super::{ActionWindow, RecoveryLedger, Retry, StepEnd, Tripped};
use crate::model::{ComponentId, IncidentId, Pod, Timestamp, WorkloadRef};
use crate::policy::recovery::settings::{Budget, RecoverySettings};
use crate::policy::recovery::under_way::ActionUnderWay;

impl RecoveryLedger {
    /// The action under way for `component`.
    pub fn in_flight(&self, component: &ComponentId) -> Option<&ActionUnderWay> {
        self.under_way.get(component)
    }

    /// Every action under way.
    pub fn all_in_flight(&self) -> impl Iterator<Item = &ActionUnderWay> {
        self.under_way.values()
    }

    /// The components of `cluster` with an action under way or in preparation.
    pub fn in_flight_in(&self, cluster: &str) -> Vec<ComponentId> {
        let in_preparation = self.preparing.iter().filter(|id| !self.under_way.contains_key(*id));
        let all = self.under_way.keys().chain(in_preparation);
        all.filter(|id| &*id.cluster == cluster).cloned().collect()
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
            Some((index, StepEnd::PodReplaced)) => *index,
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
                StepEnd::Helped { .. } | StepEnd::PodReplaced => false,
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

    /// When the budget of the component's cluster has room for the action `key`; `None` while it has.
    pub fn cluster_budget_free_in(
        &self,
        component: &ComponentId,
        key: &str,
        budget: Budget,
        now: Timestamp,
    ) -> Option<Duration> {
        let own = self.counted_at(component, key);
        match self.clusters.get(&component.cluster) {
            Some(actions) => actions.free_in(own, budget, now),
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

    /// How many actions on all components of `cluster` are inside the last `per`.
    pub fn cluster_actions(&self, cluster: &str, per: Duration, now: Timestamp) -> usize {
        self.clusters.get(cluster).map_or(0, |actions| actions.spent(per, now))
    }

    /// How many actions on all components are inside the last `per`.
    pub fn global_actions(&self, per: Duration, now: Timestamp) -> usize {
        self.actions.spent(per, now)
    }

    /// The open circuit breaker of `cluster`.
    pub fn breaker(&self, cluster: &str) -> Option<&Tripped> {
        self.breakers.get(cluster)
    }

    /// Every open circuit breaker, by cluster.
    pub fn breakers(&self) -> impl Iterator<Item = (&Arc<str>, &Tripped)> {
        self.breakers.iter()
    }

    /// Whether the newest incident of `component` was left to a person.
    pub fn is_left_to_person(&self, component: &ComponentId) -> bool {
        self.components.get(component).is_some_and(|record| record.escalated.is_some())
    }

    /// Whether this very pod was removed before.
    pub fn has_removed(&self, component: &ComponentId, pod: &Pod) -> bool {
        let removed = self.components.get(component).map_or(&[][..], |record| &record.removed);
        removed.iter().any(|one| one.name == pod.name && one.uid == pod.life.uid)
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

    pub(super) fn counted_at(&self, component: &ComponentId, key: &str) -> Option<Timestamp> {
        self.retry(component).filter(|retry| retry.key == key).map(|retry| retry.counted_at)
    }

    fn retry(&self, component: &ComponentId) -> Option<&Retry> {
        self.components.get(component)?.retry.as_ref()
    }
}
