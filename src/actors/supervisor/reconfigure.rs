//! Another plan for a living supervisor: what is planned as before keeps its prober, its schedule
//! and its judgement; of the rest, each component is dealt with alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::watch;

use super::{ComponentPlan, DISCOVERY, Planner, Supervisor};
use crate::actors::alerter::UpdateAlert;
use crate::model::{Inventory, Touched};
use crate::policy::backoff::RespawnSettings;

/// What is told last about an incident of a component that the configuration does not name any
/// more.
pub const NOT_WATCHED: &str = "no longer watched: the configuration was changed";

/// From now on the cluster is watched like this. Answers with what that touched.
#[derive(Clone, Message)]
#[rtype(result = "Touched")]
pub struct Reconfigure {
    /// How its components are watched.
    pub planner: Arc<dyn Planner>,
    /// Names of probers that the cluster depends on.
    pub depends_on: BTreeSet<Arc<str>>,
    /// The inventory of the platform; another channel is another platform.
    pub inventory: watch::Receiver<Arc<Inventory>>,
    /// How its discovery is made anew after it has ended.
    pub respawn: RespawnSettings,
}

/// The cluster is not configured any more: ends all probing, for good, and with it every
/// incident. Answers with what ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Touched")]
pub struct Retire;

/// How one plan differs from another.
enum Difference {
    Nothing,
    /// Only in what the supervisor makes of the reports.
    Thresholds,
    /// In what the prober does.
    Prober,
}

fn difference(before: &ComponentPlan, after: &ComponentPlan) -> Difference {
    let is_same_probe = Arc::ptr_eq(&before.probe, &after.probe);
    if before.kind != after.kind || before.prober != after.prober || !is_same_probe {
        Difference::Prober
    } else if before.health != after.health {
        Difference::Thresholds
    } else {
        Difference::Nothing
    }
}

impl Supervisor {
    fn reconfigure(&mut self, with: Reconfigure) -> Touched {
        let mut touched = Touched::default();
        if self.is_stopped() {
            return touched;
        }
        let platform_changed = !with.inventory.same_channel(&self.parts.inventory);
        if platform_changed || with.depends_on != self.parts.depends_on {
            touched.changed.add(format!("supervisor {}", self.parts.cluster));
            self.parts.metrics.reconfigured("supervisor");
        } else {
            touched.untouched += 1;
        }
        self.parts.planner = with.planner;
        self.parts.depends_on = with.depends_on;
        self.parts.inventory = with.inventory;
        self.parts.respawn = with.respawn;
        self.children.set_respawn(DISCOVERY, with.respawn);
        if platform_changed {
            // What was known of pods was about others.
            self.pods.clear();
            self.start_discovery();
        }
        self.follow_plans(&mut touched);
        if self.inventory.synced && !platform_changed {
            self.follow_discovered(&mut touched);
        }
        touched
    }

    /// Compares what is watched with what is to be watched.
    fn follow_plans(&mut self, touched: &mut Touched) {
        let mut plans: BTreeMap<Arc<str>, ComponentPlan> = self.fixed_plans();
        let discovered: Vec<Arc<str>> =
            self.discovered.iter().filter(|name| !plans.contains_key(*name)).cloned().collect();
        self.discovered.clear();
        for component in discovered {
            if let Some(plan) = self.parts.planner.discovered(&component) {
                self.discovered.insert(Arc::clone(&component));
                plans.insert(component, plan);
            }
        }
        let gone: Vec<Arc<str>> =
            self.plans.keys().filter(|name| !plans.contains_key(*name)).cloned().collect();
        for component in gone {
            self.give_up(&component);
            touched.removed.add(self.prober_name(&component));
        }
        for (component, plan) in plans {
            self.follow_plan(&component, plan, touched);
        }
    }

    fn follow_plan(&mut self, component: &Arc<str>, plan: ComponentPlan, touched: &mut Touched) {
        let before = self.plans.get(component).map(|before| difference(before, &plan));
        match before {
            Some(Difference::Nothing) => touched.untouched += 1,
            Some(Difference::Thresholds) => {
                let now = self.parts.clock.now();
                self.memory().watch(component, plan.kind, plan.health, now);
                self.plans.insert(Arc::clone(component), Box::new(plan));
                touched.changed.add(format!("thresholds of {}", self.id(component)));
            }
            Some(Difference::Prober) => {
                self.watch(plan);
                self.parts.metrics.reconfigured("prober");
                touched.changed.add(self.prober_name(component));
            }
            None => {
                self.watch(plan);
                self.parts.metrics.reconfigured("prober");
                touched.added.add(self.prober_name(component));
            }
        }
    }

    /// The inventory may hold components that are to be watched only now.
    fn follow_discovered(&mut self, touched: &mut Touched) {
        let before: BTreeSet<Arc<str>> = self.plans.keys().cloned().collect();
        let inventory = Arc::clone(&self.inventory);
        self.follow_workloads(&inventory);
        let added = self.plans.keys().filter(|name| !before.contains(*name));
        for component in added {
            self.parts.metrics.reconfigured("prober");
            touched.added.add(self.prober_name(component));
        }
    }

    /// Ends the watch over a component because the configuration says so.
    fn give_up(&mut self, component: &Arc<str>) {
        let open = self.memory().get(component).and_then(|known| known.incident.clone());
        if let Some(open) = open {
            let update = UpdateAlert {
                incident: open.id,
                action: NOT_WATCHED.to_owned(),
                calls_person: false,
            };
            self.parts.peers.update.send(update);
        }
        self.parts.metrics.reconfigured("prober");
        self.forget(component);
    }

    fn retire(&mut self) -> Touched {
        let mut touched = Touched::default();
        let watched: Vec<Arc<str>> = self.memory().iter().map(|(name, _)| name.clone()).collect();
        for component in watched {
            self.give_up(&component);
            touched.removed.add(self.prober_name(&component));
        }
        for component in self.inventory.components.keys() {
            self.parts.metrics.component_removed(&self.id(component));
        }
        touched.removed.add(format!("supervisor {}", self.parts.cluster));
        self.memory().stop();
        self.children.clear();
        touched
    }

    /// What a former incarnation knew and this one does not plan: the configuration changed while
    /// nobody lived to be told. A component that discovery had found may be there still.
    pub(super) fn forget_unplanned(&mut self) {
        let known: Vec<Arc<str>> = self.memory().iter().map(|(name, _)| name.clone()).collect();
        for component in known {
            if self.plans.contains_key(&component) {
                continue;
            }
            if self.parts.planner.discovered(&component).is_some() {
                self.discovered.insert(component);
            } else {
                self.give_up(&component);
            }
        }
    }

    fn prober_name(&self, component: &Arc<str>) -> String {
        format!("prober {}", self.id(component))
    }
}

impl Handler<Reconfigure> for Supervisor {
    type Result = MessageResult<Reconfigure>;

    fn handle(&mut self, message: Reconfigure, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.reconfigure(message))
    }
}

impl Handler<Retire> for Supervisor {
    type Result = MessageResult<Retire>;

    fn handle(&mut self, _: Retire, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.retire())
    }
}
