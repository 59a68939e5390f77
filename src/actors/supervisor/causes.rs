//! What the supervisor knows of the causes of an incident, and of what suffers from it. The rules are
//! in `policy/dependency`; here is how the components of this cluster stand.

use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use super::memory::{ClusterMemory, ComponentMemory};
use crate::model::{Affected, ComponentId, HealthState, Role, Timestamp};
use crate::policy::dependency::{Causes, Place, Standing, causes};
use crate::policy::notification::{Alert, LONGEST_SUSPICION, Suspicion};
use crate::policy::schedule::silence;

/// Lines of what fails because of an incident and has no alert yet.
const MOST_AFFECTED: usize = 500;

/// The coordinators, by their names.
fn coordinators() -> impl Iterator<Item = &'static str> {
    let is_coordinator = |role: &Role| Place::of_role(*role) == Place::Coordinator;
    Role::ALL.into_iter().filter(is_coordinator).map(Role::as_str)
}

impl Supervisor {
    /// Fills in what is the cause of an incident, and what suffers from it.
    pub(super) fn find_causes(&self, alert: &mut Alert, memory: &ClusterMemory, now: Timestamp) {
        let name = Arc::clone(&alert.component.component);
        let Some(known) = memory.get(&name) else { return };
        let place = self.place(&name, known);
        let since = known.tracker.failing_since().unwrap_or(alert.started_at);
        let Causes { known: certain, suspected, decided_by } =
            causes(&alert.component, place, self.below(place, memory, since, now));
        alert.causes = certain;
        alert.suspicion = decided_by.map(|until| Suspicion { of: suspected, until });
        alert.settle_secs = self.settling(&name, known).as_secs();
        if place.can_be_cause() && known.tracker.state() == HealthState::Unhealthy {
            alert.affects = self.failing_above(place, memory);
        }
    }

    /// What the component depends on and is unhealthy, the most basic first.
    pub(super) fn sick_below(&self, name: &Arc<str>, memory: &ClusterMemory) -> Vec<ComponentId> {
        let Some(known) = memory.get(name) else { return Vec::new() };
        let own = self.place(name, known);
        let named = coordinators().filter_map(|name| memory.named(name));
        let named = self.parts.depends_on.iter().filter_map(|name| memory.named(name)).chain(named);
        let sick = named.filter(|(_, below)| below.tracker.state() == HealthState::Unhealthy);
        let mut sick: Vec<_> = sick.map(|(name, below)| (self.place(name, below), name)).collect();
        sick.retain(|(place, below)| own.rests_on(*place) && *below != name);
        sick.sort();
        sick.into_iter().map(|(_, name)| self.id(name)).collect()
    }

    fn place(&self, name: &Arc<str>, known: &ComponentMemory) -> Place {
        Place::of(name, known.kind, self.parts.depends_on.contains(name), known.is_run())
    }

    /// How what stands at `place` rests on stands itself, seen by something that is sick `since`.
    fn below(
        &self,
        place: Place,
        memory: &ClusterMemory,
        since: Timestamp,
        now: Timestamp,
    ) -> Vec<(ComponentId, Place, Standing)> {
        let standing = |(name, known): (&Arc<str>, &ComponentMemory)| {
            let standing = self.standing(name, known, since, now);
            (self.id(name), self.place(name, known), standing)
        };
        let is_few = place.rests_on(Place::Dependency)
            && !place.rests_on(Place::Part { is_directed: false });
        if is_few {
            // Looked up by name: with thousands of sick components each asks.
            let of_role = coordinators().filter_map(|name| memory.named(name));
            let named = self.parts.depends_on.iter().filter_map(|name| memory.named(name));
            return named.chain(of_role).map(standing).collect();
        }
        let is_below =
            |(name, known): &(&Arc<str>, &ComponentMemory)| place.rests_on(self.place(name, known));
        memory.iter().filter(is_below).map(standing).collect()
    }

    fn standing(
        &self,
        name: &Arc<str>,
        known: &ComponentMemory,
        since: Timestamp,
        now: Timestamp,
    ) -> Standing {
        let is_flapping = known.incident.as_ref().is_some_and(|open| open.is_flapping);
        if known.tracker.state() == HealthState::Unhealthy || is_flapping {
            return Standing::Unhealthy;
        }
        let is_asked = known.probed_at().is_some_and(|at| at >= since);
        let is_failing = known.tracker.failing_since().is_some();
        if known.tracker.is_off() || (is_asked && !is_failing) {
            return Standing::Serves;
        }
        let threshold = known.settings.failure_threshold;
        let left = threshold.saturating_sub(known.tracker.consecutive_failures()).max(1);
        let Some(plan) = self.plans.get(name) else { return Standing::Serves };
        let needed = plan.prober.interval.saturating_mul(left) + plan.prober.timeout;
        Standing::Undecided { until: now + needed.min(LONGEST_SUSPICION) }
    }

    /// How long it takes until a component is found healthy that is so from now on.
    fn settling(&self, name: &Arc<str>, known: &ComponentMemory) -> Duration {
        let Some(plan) = self.plans.get(name) else { return Duration::ZERO };
        // It may be asked less often while it does not answer.
        let first = silence(plan.kind, plan.prober.interval).backoff.max;
        let others = known.settings.success_threshold.saturating_sub(1);
        let probing = first + plan.prober.interval.saturating_mul(others) + plan.prober.timeout;
        // Probes are spread, and rounding down must not cut the last one off.
        (probing + plan.prober.interval.mul_f64(plan.prober.jitter.clamp(0.0, 1.0)))
            + Duration::from_secs(1)
    }

    /// What rests on `place` and fails, but has no incident yet.
    fn failing_above(&self, place: Place, memory: &ClusterMemory) -> Vec<Affected> {
        let failing = memory.iter().filter_map(|(name, known)| {
            let since = known.tracker.failing_since().filter(|_| known.incident.is_none())?;
            let is_above = self.place(name, known).rests_on(place) && !known.tracker.is_off();
            is_above.then(|| Affected { component: self.id(name), severity: None, since })
        });
        let mut failing: Vec<Affected> = failing.collect();
        failing.sort_by(|one, other| {
            (one.since, &one.component).cmp(&(other.since, &other.component))
        });
        failing.truncate(MOST_AFFECTED);
        failing
    }
}
