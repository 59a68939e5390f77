//! Promises that something happens: what can be done about a sick component is done.

use std::time::Duration;

use falconer::model::{Owner, Role, Timestamp, Workload};

use crate::world::death::Actor;
use crate::world::{At, State};

/// By then a restart must have been decided where nothing speaks against it: settling, a retry
/// after the platform's last error, and the delays between the actors.
const BY_THEN: Duration = Duration::from_secs(600);

impl State {
    /// Every second: nothing that could be done is left undone.
    pub fn check_done(&mut self) {
        let now = self.now();
        let mut wrong = Vec::new();
        for at in self.all_places() {
            let actionable = !self.plan.dry_run && self.is_actionable(at);
            let target = self.target_mut(at);
            if !actionable {
                target.actionable_since = None;
                continue;
            }
            let since = *target.actionable_since.get_or_insert(now);
            if now.since(since) > BY_THEN {
                let (id, since) = (target.id.clone(), self.time(since));
                wrong.push(format!("nothing was done about {id}, which is sick, since {since}"));
            }
        }
        for why in wrong {
            self.violate(why);
        }
    }

    /// Whether nothing speaks against a restart.
    fn is_actionable(&self, at: At) -> bool {
        let (now, target) = (self.now(), self.target(at));
        let Some(run) = &target.run else { return false };
        if target.log.surely_unhealthy.is_none() {
            return false;
        }
        let settings = &self.plan.settings.recoverer;
        let own = settings.for_component(&target.id);
        let cluster = &self.clusters[at.cluster];
        let others = self.places(at.cluster).filter(|other| *other != at);
        let others_well = others.into_iter().all(|other| {
            let log = &self.target(other).log;
            log.failures == 0 && log.surely_healthy.is_some()
        });
        let shown = cluster.newest();
        let others_complete = shown.components.iter().all(|(name, component)| {
            let full = |one: &Workload| one.ready_replicas == one.desired_replicas;
            *name == target.id.component || component.workloads.iter().all(full)
        });
        let is_left_alone = run.paused
            || run.rollout.is_some()
            || run.growth.is_some()
            || run.desired == 0
            || run.twin.as_ref().is_some_and(|(_, replicas)| *replicas > 0)
            || matches!(run.owner, Owner::Unknown { .. });
        let is_only_one = run.desired <= 1 && only_one_serves(run.role) && !own.explicit_ladder;
        let recently = self.decisions.iter().filter(|one| {
            one.at == at && now.since(one.decided_at) < own.budget.per.max(own.ladder_memory)
        });
        let all = settings.global.budget;
        let counts = |at: Timestamp| now.since(at) < all.per && at > self.resumed_at;
        let spent = self.decisions.iter().filter(|one| counts(one.decided_at));
        let alive = [Actor::Recoverer, Actor::Supervisor(at.cluster)]
            .iter()
            .all(|actor| self.deaths.back_by(*actor).is_none_or(|back_by| back_by < now));
        let busy = cluster.actions.iter().enumerate().any(|(index, action)| {
            now.since(action.began_at) < Duration::from_secs(1_200)
                || self.is_under_way(at.cluster, index)
        });
        target.escalated_at.is_none()
            && cluster.stopped.is_none()
            && target.gone_since.is_none()
            && others_well
            && others_complete
            && !is_left_alone
            && !is_only_one
            && !busy
            && alive
            && cluster.outage.is_none()
            && cluster.newest().error.is_none()
            && recently.count() == 0
            && spent.count() < all.actions
    }
}

/// Whether the only instance is left to a person, whose ladder would say otherwise.
const fn only_one_serves(role: Role) -> bool {
    match role {
        Role::MixCoord
        | Role::RootCoord
        | Role::DataCoord
        | Role::QueryCoord
        | Role::IndexCoord
        | Role::Standalone
        | Role::Cdc => true,
        Role::Proxy | Role::DataNode | Role::QueryNode | Role::IndexNode | Role::StreamingNode => {
            false
        }
    }
}
