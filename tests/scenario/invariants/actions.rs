//! Promises about every single action: it is needed, nothing speaks against it, and nothing else is
//! done to the same workload.

use falconer::model::{ClusterEvent, Inventory, Owner, Timestamp, Workload, WorkloadRef};

use super::{AT_ONCE, KNOWN};
use crate::world::action::{End, What};
use crate::world::death::Actor;
use crate::world::target::Told;
use crate::world::{At, State};

impl State {
    /// falconer wrote a line into a workload's log.
    pub fn event(&mut self, cluster: usize, event: &ClusterEvent) {
        let now = self.now();
        let Some(at) = self.place_of(cluster, &event.workload) else { return };
        match event.reason {
            "RolloutRestart" => {
                self.say_of(at, "restart DECIDED");
                self.check_restart_decision(at, &event.workload);
                self.target_mut(at).announced = Some(now);
                self.target_mut(at).decided_at = Some(now);
            }
            "Escalated" => self.target_mut(at).escalated_at = Some(now),
            "Recovered" => self.check_recovered(at),
            _ => {}
        }
    }

    /// When the restart that is asked for now was decided.
    pub fn take_announcement(
        &mut self,
        cluster: usize,
        workload: &WorkloadRef,
        now: Timestamp,
    ) -> Timestamp {
        let Some(at) = self.place_of(cluster, workload) else { return now };
        if let Some(decided_at) = self.target_mut(at).announced.take() {
            return decided_at;
        }
        self.check_restart_decision(at, workload);
        now
    }

    fn check_restart_decision(&mut self, at: At, workload: &WorkloadRef) {
        let mut wrong = self.speaks_against_restart(at);
        wrong.extend(self.speaks_against_workload(at, workload));
        wrong.extend(self.under_way_on(at, workload));
        let limit = self.plan.settings.recoverer.global.max_concurrent;
        let others = self.restarts_under_way(at.cluster);
        if others.len() >= limit {
            wrong.push(format!("{} are under way, at most {limit} may be", others.join(", ")));
        }
        if self.plan.dry_run {
            wrong.push("this is a dry run".to_owned());
        }
        if self.ending_since.is_some_and(|since| self.now().since(since) > KNOWN) {
            wrong.push("falconer ends".to_owned());
        }
        let id = self.target(at).id.clone();
        for why in wrong {
            self.violate(format!("{id} is restarted although {why}"));
        }
    }

    /// Why, by its own probes and those of the rest, nothing must be done.
    fn speaks_against_restart(&self, at: At) -> Vec<String> {
        let (now, target, mut wrong) = (self.now(), self.target(at), Vec::new());
        let log = &target.log;
        if log.last_unhealthy.is_none() {
            wrong.push("its probes never failed as often as its threshold says".to_owned());
        }
        if log.seen.back().is_none_or(|seen| seen.told != Told::Failed) {
            wrong.push("its newest probe did not fail".to_owned());
        }
        let failing = |at: At| self.target(at).log.surely_failing(now.minus(AT_ONCE));
        let cluster = &self.clusters[at.cluster];
        let shown = cluster.newest();
        let is_dependency = |at: &At| cluster.depends_on.contains(&self.target(*at).id.component);
        let runs = |at: &At| shown.components.contains_key(&self.target(*at).id.component);
        for dependency in self.places(at.cluster).filter(is_dependency) {
            if failing(dependency) {
                let id = &self.target(dependency).id;
                wrong.push(format!("it depends on {id}, whose newest probe failed"));
            }
        }
        let steady = cluster.shown_since(now.minus(KNOWN)).count() == 1;
        let sick =
            self.places(at.cluster).filter(runs).filter(|other| *other == at || failing(*other));
        let (sick, watched) = (sick.count(), shown.components.len());
        if steady && sick >= 2 && sick * 2 > watched {
            wrong.push(format!("{sick} of {watched} components fail, which has one cause"));
        }
        let settle = self.plan.settings.recoverer.for_component(&target.id).settle;
        if let Some(crossed_at) = log.crossed_fresh
            && now.since(crossed_at) < settle
            && crossed_at >= log.untracked_until
        {
            let others = self.places(at.cluster).filter(|other| *other != at);
            for other in others.filter(|other| steady && (is_dependency(other) || runs(other))) {
                let began = self.target(other).log.seen.back().map(|seen| seen.began);
                if began.is_none_or(|began| began < crossed_at) {
                    let id = &self.target(other).id;
                    wrong.push(format!("{id} was not probed since it became unhealthy"));
                }
            }
        }
        wrong
    }

    /// Why, by what the platform shows, the workload must be left alone.
    fn speaks_against_workload(&self, at: At, workload: &WorkloadRef) -> Vec<String> {
        let since = self.now().minus(KNOWN);
        let (cluster, id) = (&self.clusters[at.cluster], &self.target(at).id);
        let shown = |fact: &dyn Fn(&Workload) -> bool| {
            cluster.showed(since, |inventory| {
                let component = inventory.components.get(&id.component);
                let mut all = component.into_iter().flat_map(|component| &component.workloads);
                all.any(|one| one.reference == *workload && fact(one))
            })
        };
        let both = |inventory: &Inventory| {
            inventory.components.get(&id.component).is_some_and(|component| {
                component.workloads.iter().filter(|one| one.desired_replicas > 0).count() > 1
            })
        };
        let gone = |inventory: &Inventory| !inventory.components.contains_key(&id.component);
        let unknown = |one: &Workload| matches!(one.owner, Owner::Unknown { .. });
        [
            (cluster.showed(since, |inventory| inventory.error.is_some()), "the platform is away"),
            (cluster.showed(since, gone), "it does not exist"),
            (cluster.showed(since, both), "two of its workloads have replicas"),
            (shown(&|one| one.paused), "it is paused"),
            (shown(&|one| one.rolling_out), "it rolls out"),
            (shown(&|one| one.desired_replicas == 0), "it has no replicas"),
            (shown(&unknown), "something unknown owns it"),
        ]
        .into_iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, why)| why.to_owned())
        .collect()
    }

    /// What is being done to `workload` already.
    fn under_way_on(&self, at: At, workload: &WorkloadRef) -> Vec<String> {
        let actions = &self.clusters[at.cluster].actions;
        let others = actions.iter().enumerate().filter(|(index, action)| {
            action.workload == *workload && self.is_under_way(at.cluster, *index)
        });
        let words = |(_, action): (usize, &crate::world::action::Action)| {
            let (what, since) = (action.what.words(), self.time(action.decided_at));
            format!("{what} is under way on {workload} since {since}")
        };
        others.map(words).collect()
    }

    fn restarts_under_way(&self, cluster: usize) -> Vec<String> {
        let actions = &self.clusters[cluster].actions;
        let restarts = actions.iter().enumerate().filter(|(index, action)| {
            matches!(action.what, What::Restart { .. }) && self.is_under_way(cluster, *index)
        });
        restarts.map(|(_, action)| action.workload.to_string()).collect()
    }

    /// Any change of a workload is asked for.
    pub fn check_change(
        &mut self,
        at: At,
        workload: &WorkloadRef,
        what: &What,
        decided: Timestamp,
    ) {
        let mut wrong = Vec::new();
        // What was decided before is judged when it was decided.
        if decided == self.now() {
            wrong.extend(self.under_way_on(at, workload));
        }
        if self.plan.dry_run {
            wrong.push("this is a dry run".to_owned());
        }
        if let What::Scale { from, to } = *what {
            wrong.extend(self.speaks_against_scaling(at, workload, from, to));
            wrong.extend(self.speaks_against_workload(at, workload));
        }
        let (id, words) = (self.target(at).id.clone(), what.words());
        for why in wrong {
            self.violate(format!("{id}: {words} although {why}"));
        }
    }

    fn speaks_against_scaling(&self, at: At, w: &WorkloadRef, from: u32, to: u32) -> Vec<String> {
        let (now, target, mut wrong) = (self.now(), self.target(at), Vec::new());
        let settings = &self.plan.settings.scaler;
        let Some(limits) = settings.for_component(&target.id) else {
            return vec!["it is not listed".to_owned()];
        };
        let (min, max) = (limits.min_replicas, limits.max_replicas);
        if to == 0 || (to > from && to > max) || (to < from && to < min) {
            wrong.push(format!("the bounds are {min} and {max}"));
        }
        if to.abs_diff(from) > 1 && to != min {
            wrong.push("one at a time is all it may take".to_owned());
        }
        let run = target.run.as_ref();
        let foreign = |owner: &Owner| matches!(owner, Owner::Unknown { .. });
        if run.is_some_and(|run| run.autoscaler.is_some() || foreign(&run.owner)) {
            wrong.push("somebody else scales or owns it".to_owned());
        }
        if let Some(announced) = target.announced
            && self.deaths.last(Actor::Recoverer).is_none_or(|died| died < announced)
        {
            wrong.push(format!("its restart was decided at {}", self.time(announced)));
        }
        let log = &target.log;
        if log.surely_unhealthy.is_some_and(|since| now.since(since) > AT_ONCE) {
            wrong.push("it is unhealthy".to_owned());
        }
        let earlier = self.clusters[at.cluster].actions.iter().filter(|a| a.workload == *w);
        for action in earlier {
            let What::Scale { to: earlier, .. } = action.what else { continue };
            let window = limits.scale_down.stabilization;
            if to < from && to < earlier && now.since(action.decided_at) < window {
                let when = self.time(action.decided_at);
                wrong.push(format!("{earlier} replicas were recommended at {when}"));
            }
            if let End::Refused(at) | End::Lost(at) = action.end
                && now.since(at) < super::budgets::FIRST_RETRY
            {
                wrong.push("the platform did not take the last one a moment ago".to_owned());
            }
        }
        wrong
    }

    /// falconer says that a restart helped.
    fn check_recovered(&mut self, at: At) {
        let target = self.target(at);
        let told_complete = target.told_complete_at >= target.decided_at;
        let failing = self.target(at).log.failures;
        let threshold = self.target(at).plan.health.failure_threshold;
        let id = self.target(at).id.clone();
        if !told_complete {
            self.violate(format!("{id} is said to have recovered, but was not rolled out"));
        }
        if failing > threshold && self.target(at).log.excused_until < self.now() {
            self.violate(format!("{id} is said to have recovered, but fails"));
        }
    }

    /// falconer's restart was taken: failures are excused for a while.
    pub fn excuse(&mut self, at: At, now: Timestamp) {
        let places = self
            .places(at.cluster)
            .filter(|other| *other == at || self.target(*other).is_service());
        for other in places.collect::<Vec<_>>() {
            let target = self.target_mut(other);
            let until = now + target.plan.health.startup_grace;
            target.log.excused_until(until);
        }
    }
}
