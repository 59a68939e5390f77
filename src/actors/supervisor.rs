//! One per Milvus cluster: judges every report, keeps incidents, and tells the Alerter, the
//! Recoverer and the Scaler. Parent of the cluster's probers and of its discovery.

mod causes;
mod inbox;
mod inconclusive;
mod inventory;
mod keeping;
mod look_closer;
mod memory;
mod outbox;
mod parts;
mod reconfigure;
mod reports;
mod sickness;
mod tell;
#[cfg(test)]
mod tests;
mod view;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::alerter::UpdateAlert;
use super::children::{
    BeyondHelp, ChildExited, Children, ChildrenParts, ExitDecision, RespawnDue, respawn_later,
};
use super::discovery::Discovery;
use super::exit_guard;
use super::post::CommandsArrived;
use super::prober::{Prober, ProberParts};
use super::recoverer::{RecoveryPhase, RecoveryProgressed};
use super::scaler::LoadObserved;
use crate::model::{
    ComponentId, ComponentInventory, HealthState, Inventory, PodUsage, ProbeReport, ProberKind,
};
use crate::policy::scaling::ScalingRequest;
use actix::prelude::*;

pub use inbox::{StopProbing, SupervisorInbox};
use inventory::WatchedPods;
pub use keeping::GONE;
use memory::ComponentMemory;
pub use memory::{ClusterMemory, StoredIncident};
pub use outbox::ReportOutbox;
pub use parts::{ComponentPlan, Peers, Planner, SupervisorParts};
pub use reconfigure::{NOT_WATCHED, Reconfigure, Retire};
pub use sickness::GetSickness;
use view::ClusterView;

/// A probe has ended.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ProbeCompleted(pub ProbeReport);

/// The platform's inventory has changed.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct InventoryChanged(pub Arc<Inventory>);

const DISCOVERY: &str = "discovery";

/// The actor.
pub struct Supervisor {
    parts: SupervisorParts,
    view: ClusterView,
    children: Children,
    /// What is watched, and how.
    plans: BTreeMap<Arc<str>, Box<ComponentPlan>>,
    inventory: Arc<Inventory>,
    /// Components with a prober because discovery found them.
    discovered: BTreeSet<Arc<str>>,
    /// Components whose pods the platform tells of.
    pods: BTreeMap<Arc<str>, WatchedPods>,
    /// The newest resources report.
    usage: Vec<PodUsage>,
    /// Reports since the others on this thread last had a turn.
    in_a_row: usize,
    /// Whether the timer is set that takes what did not fit into the mailbox.
    is_overflow_due: bool,
}

impl Supervisor {
    /// A supervisor whose probers start with it. `address` is where its children report their end.
    pub fn new(parts: SupervisorParts, address: Addr<Self>) -> Self {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm(&format!("supervisor/{}", parts.cluster), &address);
        let children = ChildrenParts {
            parent: address.recipient(),
            path: format!("{}/", parts.cluster),
            board: parts.board.clone(),
            clock: parts.clock,
            metrics: parts.metrics.clone(),
        };
        Self {
            view: ClusterView::new(&parts.cluster, &parts.board),
            children: Children::new(children),
            plans: BTreeMap::new(),
            inventory: Arc::default(),
            discovered: BTreeSet::new(),
            pods: BTreeMap::new(),
            usage: Vec::new(),
            in_a_row: 0,
            is_overflow_due: false,
            parts,
        }
    }

    fn memory(&self) -> MutexGuard<'_, ClusterMemory> {
        self.parts.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, component: &Arc<str>) -> ComponentId {
        ComponentId::new(Arc::clone(&self.parts.cluster), Arc::clone(component))
    }

    // ---- children

    fn start_children(&mut self) {
        self.memory().follow(&self.inventory);
        for plan in self.fixed_plans().into_values() {
            self.watch(plan);
        }
        self.forget_unplanned();
        self.start_discovery();
    }

    fn fixed_plans(&self) -> BTreeMap<Arc<str>, ComponentPlan> {
        let plans = self.parts.planner.fixed().into_iter();
        plans.map(|plan| (Arc::clone(&plan.component), plan)).collect()
    }

    /// Starts the discovery on the platform's inventory, in the place of the former one.
    fn start_discovery(&mut self) {
        let inventory = self.parts.inventory.clone();
        let link = self.parts.inventory_link.clone();
        self.children.add(
            DISCOVERY.into(),
            DISCOVERY,
            self.parts.respawn,
            Box::new(move |notice| {
                let (inventory, link) = (inventory.clone(), link.clone());
                exit_guard::start(1, move |_| Discovery::new(inventory, link), notice).abort
            }),
        );
    }

    /// Starts a prober, in the place of the component's former one; what is known of the
    /// component stays.
    fn watch(&mut self, plan: ComponentPlan) {
        self.plans.insert(Arc::clone(&plan.component), Box::new(plan.clone()));
        let now = self.parts.clock.now();
        let mut memory = self.memory();
        let known = memory.watch(&plan.component, plan.kind, plan.health, now);
        self.view.watched(&plan.component, known);
        self.parts.metrics.state_changed(&self.id(&plan.component), known.tracker.state());
        memory.runs(&plan.component, self.inventory.components.contains_key(&plan.component));
        drop(memory);
        let probe_now = self.watch_pods(&plan);
        let parts = Arc::new(ProberParts {
            id: self.id(&plan.component),
            kind: plan.kind,
            settings: plan.prober.clone(),
            probe: plan.probe,
            reports: self.parts.reports.clone(),
            pacer: self.parts.pacer.clone(),
            clock: self.parts.clock,
            metrics: self.parts.metrics.clone(),
        });
        tracing::info!(component = %parts.id, kind = plan.kind.as_str(), "watching component");
        let factory = Box::new(move |notice| {
            let (mailbox, parts) = (parts.settings.mailbox, Arc::clone(&parts));
            let prober = exit_guard::start(mailbox, move |_| Prober::new(parts), notice);
            if let Some(probe_now) = &probe_now {
                probe_now.publish(&prober.address);
            }
            prober.abort
        });
        let key = prober_key(&plan.component);
        self.children.add(key, "prober", plan.prober.respawn, factory);
    }

    fn forget(&mut self, component: &Arc<str>) {
        self.children.remove(&prober_key(component));
        self.discovered.remove(component);
        self.pods.remove(component);
        self.plans.remove(component);
        let incident = self.memory().forget(component);
        // First of all: nothing that follows may keep people from hearing of the end.
        if let Some(open) = incident {
            self.resolve(open);
        }
        self.keep(&mut self.memory());
        self.view.forgotten(component);
        let id = self.id(component);
        self.parts.metrics.component_removed(&id);
        tracing::info!(component = %id, "component is gone, no longer watched");
    }

    fn on_child_exited(&mut self, exit: &ChildExited, ctx: &mut Context<Self>) {
        match self.children.on_exit(exit, fastrand::f64()) {
            ExitDecision::Ignore => {}
            ExitDecision::RespawnAfter(delay, due) => {
                respawn_later(ctx.address().recipient(), delay, due);
            }
            ExitDecision::Escalate(BeyondHelp { actor, reason }) => {
                self.children.clear();
                self.parts.last_words.say(format!("{actor} is beyond help: {reason}"));
                ctx.stop();
            }
        }
    }

    // ---- load

    fn on_usage(&mut self, usage: Vec<PodUsage>) {
        self.usage = usage;
        let inventory = Arc::clone(&self.inventory);
        for (name, component) in &inventory.components {
            let usage = usage_of(component, &self.usage);
            self.view.usage(name, usage.clone());
            self.parts.metrics.usage(&self.id(name), &usage);
            let Some(role) = component.role else { continue };
            let health = self
                .memory()
                .get(name)
                .map_or(HealthState::Unknown, |memory| memory.tracker.state());
            let sick_below = self.sick_below(name, &self.memory());
            let figures = self.memory().get(name).map_or_else(Vec::new, ComponentMemory::figures);
            let load = LoadObserved(ScalingRequest {
                component: self.id(name),
                role,
                workloads: component.workloads.clone(),
                pods: component.pods.clone(),
                usage,
                figures,
                health,
                being_restarted: Vec::new(),
                sick_below,
                quiet: None,
            });
            // The next resources report replaces one that does not fit.
            let _ = self.parts.peers.load.try_send(load);
        }
    }

    // ---- what came of it

    fn on_recovery(&mut self, progress: RecoveryProgressed) {
        if progress.phase == RecoveryPhase::Started {
            self.grant_grace(&progress.component);
        }
        self.memory().recovery_progressed(&progress.component.component, progress.phase);
        self.view.recovery(&progress.component, progress.summary.clone());
        let calls_person = progress.phase.calls_person();
        let (incident, action) = (progress.incident, progress.summary);
        let update = UpdateAlert { incident, action, calls_person };
        self.parts.peers.update.send(update);
    }

    /// A restarted component may fail while it comes up, and so may the service it is part of.
    fn grant_grace(&mut self, restarted: &ComponentId) {
        let now = self.parts.clock.now();
        let mut memory = self.memory();
        let until = now + memory.grace_of(&restarted.component);
        memory.grant_grace(&restarted.component, until, true);
        let services: BTreeMap<Arc<str>, Duration> = memory
            .iter()
            .filter(|(_, known)| known.kind == ProberKind::Milvus)
            .map(|(name, known)| (Arc::clone(name), known.settings.startup_grace))
            .collect();
        for (service, grace) in services {
            memory.grant_grace(&service, now + grace, false);
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.parts.reports.begin_anew();
        self.parts.inbox.begin_anew(self.parts.clock, &self.parts.metrics);
        if !self.is_stopped() {
            self.start_children();
        }
        self.take_commands();
        self.arm_overflow(ctx);
    }
}

impl Handler<ProbeCompleted> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: ProbeCompleted, ctx: &mut Self::Context) {
        self.on_report(message.0, ctx);
    }
}

impl Handler<InventoryChanged> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: InventoryChanged, _: &mut Self::Context) {
        self.on_inventory(message.0);
    }
}

impl Handler<CommandsArrived> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: CommandsArrived, _: &mut Self::Context) {
        self.take_commands();
    }
}

impl Handler<ChildExited> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: ChildExited, ctx: &mut Self::Context) {
        self.on_child_exited(&message, ctx);
    }
}

impl Handler<RespawnDue> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: RespawnDue, _: &mut Self::Context) {
        self.children.respawn(&message);
    }
}

fn prober_key(component: &str) -> Arc<str> {
    format!("prober/{component}").into()
}

fn usage_of(component: &ComponentInventory, usage: &[PodUsage]) -> Vec<PodUsage> {
    let is_ours = |sample: &&PodUsage| component.pods.iter().any(|pod| *pod.name == *sample.pod);
    usage.iter().filter(is_ours).cloned().collect()
}
