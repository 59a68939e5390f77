//! Promises about what falconer shows of itself: it is true, within its limits, and not stuck.

use std::time::Duration;

use falconer::actors::status::StatusSnapshot;
use falconer::model::{HealthState, Timestamp};

use crate::world::State;
use crate::world::death::Actor;

/// What may pass between a fact and its being shown.
const SHOWING: Duration = Duration::from_secs(90);

/// How long it takes to find out what became of a request whose answer was lost.
const LOOKED_UP: Duration = Duration::from_secs(240);

impl State {
    /// Every second: what the status board says.
    pub fn check_board(&mut self, status: &StatusSnapshot) {
        let mut wrong = self.stuck_restarts(status);
        wrong.extend(self.stuck_scalings(status));
        wrong.extend(self.wrong_states(status));
        let budget = status.recoverer.global_budget;
        if budget.used > budget.allowed {
            wrong.push(format!("the board shows {} of {} actions", budget.used, budget.allowed));
        }
        for why in wrong {
            self.violate(why);
        }
    }

    fn is_late(&self, since: Timestamp, limit: Duration, actor: Actor) -> bool {
        let back_by = self.deaths.back_by(actor).unwrap_or_default();
        self.now() > since.max(back_by) + limit + SHOWING
    }

    fn stuck_restarts(&self, status: &StatusSnapshot) -> Vec<String> {
        let settings = &self.plan.settings.recoverer;
        let mut wrong = Vec::new();
        for action in &status.recoverer.in_flight {
            let limit = match action.accepted_at {
                Some(_) => settings.for_component(&action.component).verify_timeout,
                None => settings.request_timeout + settings.event_timeout + LOOKED_UP,
            };
            let known = self.clusters.iter().find(|one| one.name == action.component.cluster);
            // What became of a request cannot be found out while the platform is away.
            let is_away = known.is_some_and(|cluster| cluster.outage.is_some());
            if action.accepted_at.is_none() && is_away {
                continue;
            }
            let asked_at =
                known.map_or(action.requested_at, |it| action.requested_at.max(it.answers_since));
            let since = action.accepted_at.unwrap_or(asked_at);
            if self.is_late(since, limit, Actor::Recoverer) {
                let (key, since) = (&action.idempotency_key, self.time(since));
                wrong.push(format!("restart {key} is under way since {since}"));
            }
        }
        for cluster in &self.clusters {
            let ours = |a: &&_| action_cluster(a) == &*cluster.name;
            let count = status.recoverer.in_flight.iter().filter(ours).count();
            if count > settings.global.max_concurrent {
                wrong.push(format!("{count} restarts are under way in {}", cluster.name));
            }
        }
        wrong
    }

    fn stuck_scalings(&self, status: &StatusSnapshot) -> Vec<String> {
        let settings = &self.plan.settings.scaler;
        let late = status.scaler.in_flight.iter().filter(|change| {
            let limit = match change.accepted_at {
                Some(_) => settings.ready_timeout,
                None => settings.request_timeout,
            };
            self.is_late(change.accepted_at.unwrap_or(change.requested_at), limit, Actor::Scaler)
        });
        late.map(|change| format!("the scaling of {} never ends", change.component)).collect()
    }

    fn wrong_states(&self, status: &StatusSnapshot) -> Vec<String> {
        let mut wrong = Vec::new();
        for at in self.all_places() {
            let target = self.target(at);
            let cluster = status.clusters.get(&target.id.cluster);
            let shown = cluster.and_then(|cluster| cluster.components.get(&target.id.component));
            let Some(shown) = shown.filter(|_| target.gone_since.is_none()) else { continue };
            let (state, id) = (shown.health.state, &target.id);
            let supervisor = Actor::Supervisor(at.cluster);
            let known = |since: Option<Timestamp>| {
                since.filter(|since| self.is_late(*since, Duration::ZERO, supervisor))
            };
            if let Some(since) = known(target.log.surely_unhealthy)
                && state != HealthState::Unhealthy
            {
                let (state, since) = (state.as_str(), self.time(since));
                wrong.push(format!("{id} fails since {since} and is shown as {state}"));
            }
            if let Some(since) = known(target.log.surely_healthy)
                && state != HealthState::Healthy
            {
                let (state, since) = (state.as_str(), self.time(since));
                wrong.push(format!("{id} is healthy since {since} and is shown as {state}"));
            }
        }
        wrong
    }

    /// At the end of a quiet time: everything is well, and nothing is left to do.
    pub fn check_quiet(&mut self, status: &StatusSnapshot) {
        let mut wrong = Vec::new();
        for (name, cluster) in &status.clusters {
            for (component, shown) in &cluster.components {
                if shown.health.state != HealthState::Healthy {
                    let state = shown.health.state.as_str();
                    wrong.push(format!("{name}/{component} is {state} at the end"));
                }
            }
        }
        for at in self.all_places() {
            let id = &self.target(at).id;
            let cluster = status.clusters.get(&id.cluster);
            if !cluster.is_some_and(|c| c.components.contains_key(&id.component)) {
                wrong.push(format!("{id} is not watched at the end"));
            }
        }
        for alert in &status.alerter.alerts {
            wrong.push(format!("{} is open at the end", alert.alert.incident));
        }
        for action in &status.recoverer.in_flight {
            wrong.push(format!("{} is under way at the end", action.idempotency_key));
        }
        for change in &status.scaler.in_flight {
            wrong.push(format!("{} is being scaled at the end", change.component));
        }
        for why in wrong {
            self.violate(why);
        }
    }
}

fn action_cluster(action: &falconer::policy::recovery::ActionUnderWay) -> &str {
    &action.component.cluster
}
