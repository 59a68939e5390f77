//! What a decision needs to know of what was done before. Changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{ActionWindow, LastStep, RecoveryLedger, Retry, RolledBack, StepEnd, Tripped};
use crate::model::{ComponentId, IncidentId, Pod, Timestamp, Workload, WorkloadRef};
use crate::policy::recovery::settings::{ActionStep, Budget};
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
        let escalated = self.components.get(component)?.escalated.as_ref()?;
        (escalated.incident == *incident).then_some(escalated.at)
    }

    /// The pods for which the rung `index` is still: those that were sick when it was taken for
    /// the first of them. `None` where it is for any.
    pub fn pods_left(&self, component: &ComponentId, index: usize) -> Option<&BTreeSet<Arc<str>>> {
        match self.last_step(component).filter(|last| last.index == index).map(|last| &last.end) {
            Some(StepEnd::PodReplaced { left }) => Some(left),
            Some(StepEnd::Helped { .. } | StepEnd::Failed) | None => None,
        }
    }

    /// Whether the rollout of `workload` is that of our own newest step on `component`, which did
    /// not help: nobody has given the workload another content since.
    pub fn rollout_of_ours_failed(&self, component: &ComponentId, workload: &Workload) -> bool {
        self.last_step(component).is_some_and(|last| {
            let makes_a_rollout = match last.step {
                ActionStep::RolloutRestart | ActionStep::Rollback => true,
                ActionStep::DeletePod | ActionStep::ForceDelete => false,
            };
            let newest_since = workload.revision.as_ref().map(|revision| revision.since);
            makes_a_rollout
                && last.end == StepEnd::Failed
                && last.workload == workload.reference
                && newest_since.is_none_or(|since| since <= last.began_at)
        })
    }

    /// Whether falconer has left the revision `number` of `workload` by a rollback.
    pub fn has_left(&self, component: &ComponentId, workload: &WorkloadRef, number: u64) -> bool {
        self.rollbacks(component)
            .iter()
            .any(|one| one.left.workload == *workload && one.left.revision == number)
    }

    /// Whether falconer has rolled `component` back in this incident, other than by a try of `key`.
    pub fn has_rolled_back(
        &self,
        component: &ComponentId,
        incident: &IncidentId,
        key: &str,
    ) -> bool {
        self.rollbacks(component).iter().any(|one| one.incident == *incident && one.key != key)
    }

    /// Whether the component was sick under the revision `number` of `workload`, since it was last
    /// well for long.
    pub fn was_sick_under(
        &self,
        component: &ComponentId,
        workload: &WorkloadRef,
        number: u64,
    ) -> bool {
        self.components.get(component).is_some_and(|record| {
            let mut seen = record.sick_revisions.iter();
            seen.any(|mark| mark.workload == *workload && mark.revision == number)
        })
    }

    fn rollbacks(&self, component: &ComponentId) -> &[RolledBack] {
        self.components.get(component).map_or(&[], |record| &record.rollbacks)
    }

    pub(super) fn last_step(&self, component: &ComponentId) -> Option<&LastStep> {
        self.components.get(component)?.last_step.as_ref()
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
        if self.counted_at(component, key).is_some() {
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

    /// Whether `step` was taken on this very pod before.
    pub fn has_removed(&self, component: &ComponentId, pod: &Pod, step: ActionStep) -> bool {
        self.components.get(component).is_some_and(|record| {
            record.removed.iter().any(|one| {
                one.step == step && one.pod.name == pod.name && one.pod.uid == pod.life.uid
            })
        })
    }

    /// When the newest action on `component` was taken, or may have been.
    pub fn last_action_at(&self, component: &ComponentId) -> Option<Timestamp> {
        self.components.get(component)?.last_action_at
    }

    /// Those of the other components of the cluster of `component` for which a request had no
    /// answer and may be at work, if it was first made in the last `within`.
    pub fn may_be_in_flight_beside(
        &self,
        component: &ComponentId,
        within: Duration,
        now: Timestamp,
    ) -> Vec<ComponentId> {
        let others = self
            .components
            .iter()
            .filter(|(other, _)| other.cluster == component.cluster && *other != component);
        others
            .filter(|(_, record)| {
                record.lost.iter().any(|lost| now.since(lost.first_tried_at) < within)
            })
            .map(|(other, _)| other.clone())
            .collect()
    }

    /// Every component on which something was done, if only as a dry run.
    pub fn acted_on(&self) -> impl Iterator<Item = &ComponentId> {
        self.components.iter().filter(|(_, record)| record.acted_on).map(|(id, _)| id)
    }

    /// When the action with this key was tried for the first time, if no answer told what became
    /// of it.
    pub fn first_tried_at(&self, component: &ComponentId, key: &str) -> Option<Timestamp> {
        let lost = &self.components.get(component)?.lost;
        lost.iter().find(|lost| lost.key == key).map(|lost| lost.first_tried_at)
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
