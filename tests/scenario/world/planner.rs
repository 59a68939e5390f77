//! Says how each target is watched; now and then it panics, and its supervisor with it.

use std::sync::Arc;

use falconer::actors::supervisor::{ComponentPlan, Planner};
use falconer::effects::Probe;

use super::death::Actor;
use super::probe::WorldProbe;
use super::{At, World};

/// The planner of one cluster.
pub struct WorldPlanner {
    world: World,
    cluster: usize,
    /// One for each target, the same one at every question.
    probes: Vec<Arc<dyn Probe>>,
}

impl WorldPlanner {
    /// The planner of the cluster with this index.
    pub fn new(world: &World, cluster: usize) -> Self {
        let places: Vec<At> = world.lock().places(cluster).collect();
        let inventory = world.lock().clusters[cluster].inventory();
        let probe = |at: At| -> Arc<dyn Probe> {
            Arc::new(WorldProbe::new(Arc::clone(world), at, inventory.clone()))
        };
        Self { world: Arc::clone(world), cluster, probes: places.into_iter().map(probe).collect() }
    }

    fn breaks(&self) -> bool {
        let mut state = self.world.lock();
        let actor = Actor::Supervisor(self.cluster);
        let breaks = state.clusters[self.cluster].planner_breaks && state.may_die(actor);
        // Not for ever: sometimes it breaks again when the supervisor starts anew.
        let again = state.dice.chance(0.4);
        state.clusters[self.cluster].planner_breaks = breaks && again;
        if breaks {
            state.dies(actor);
        }
        breaks
    }

    fn plan(&self, at: At) -> ComponentPlan {
        let state = self.world.lock();
        let plan = &state.target(at).plan;
        ComponentPlan {
            component: Arc::clone(&plan.name),
            kind: plan.kind,
            prober: Arc::new(plan.prober.clone()),
            health: plan.health,
            probe: Arc::clone(&self.probes[at.target]),
        }
    }

    fn places(&self, running: bool) -> Vec<At> {
        let state = self.world.lock();
        state.places(self.cluster).filter(|at| state.target(*at).run.is_some() == running).collect()
    }
}

impl Planner for WorldPlanner {
    fn fixed(&self) -> Vec<ComponentPlan> {
        assert!(!self.breaks(), "scenario: the planner breaks");
        self.places(false).into_iter().map(|at| self.plan(at)).collect()
    }

    fn discovered(&self, component: &Arc<str>) -> Option<ComponentPlan> {
        assert!(!self.breaks(), "scenario: the planner breaks");
        let find = |at: &At| self.world.lock().target(*at).id.component == *component;
        let at = self.places(true).into_iter().find(find)?;
        Some(self.plan(at))
    }
}
