//! One per Milvus cluster: judges every report, keeps incidents, and tells the Alerter, the
//! Recoverer and the Scaler. Parent of the cluster's probers and of its discovery.

mod inconclusive;
mod inventory;
mod memory;
mod outbox;
mod parts;
mod reports;
mod tell;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::alerter::UpdateAlert;
use super::children::{ChildExited, Children, ExitDecision, RespawnDue, respawn_later};
use super::discovery::Discovery;
use super::exit_guard;
use super::prober::{Prober, ProberParts};
use super::recoverer::{RecoveryPhase, RecoveryProgressed};
use super::scaler::{LoadObserved, ScalingProgressed};
use crate::model::{
    ComponentId, ComponentInventory, HealthState, Inventory, PodUsage, ProbeReport, ProberKind,
};
use crate::policy::backoff::BackoffSettings;
use crate::policy::scaling::ScalingRequest;
use actix::prelude::*;

use inventory::WatchedPods;
pub use memory::ClusterMemory;
pub use outbox::ReportOutbox;
pub use parts::{ComponentPlan, Peers, Planner, SupervisorParts};
use view::ClusterView;

/// A probe has ended.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ProbeCompleted(pub ProbeReport);

/// The platform's inventory has changed.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct InventoryChanged(pub Arc<Inventory>);

/// Ends all probing of this cluster, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct StopProbing;

const DISCOVERY: &str = "discovery";

/// The actor.
pub struct Supervisor {
    parts: SupervisorParts,
    view: ClusterView,
    children: Children,
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
    stopped: bool,
}

impl Supervisor {
    /// A supervisor whose probers start with it. `address` is where its children report their end.
    pub fn new(parts: SupervisorParts, address: Addr<Self>) -> Self {
        Self {
            view: ClusterView::new(&parts.cluster, &parts.board),
            children: Children::new(address.recipient()),
            inventory: Arc::default(),
            discovered: BTreeSet::new(),
            pods: BTreeMap::new(),
            usage: Vec::new(),
            in_a_row: 0,
            is_overflow_due: false,
            stopped: false,
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
        for plan in self.parts.planner.fixed() {
            self.watch(plan);
        }
        let inventory = self.parts.inventory.clone();
        let link = self.parts.inventory_link.clone();
        self.children.add(
            DISCOVERY.to_owned(),
            DISCOVERY,
            BackoffSettings::default(),
            Box::new(move |notice| {
                let (inventory, link) = (inventory.clone(), link.clone());
                exit_guard::start(1, move |_| Discovery::new(inventory, link), notice).abort
            }),
            self.parts.clock.now(),
        );
    }

    fn watch(&mut self, plan: ComponentPlan) {
        let now = self.parts.clock.now();
        let mut memory = self.memory();
        let known = memory.watch(&plan.component, plan.kind, plan.health, now);
        self.view.watched(&plan.component, known);
        self.parts.metrics.state_changed(&self.id(&plan.component), known.tracker.state());
        drop(memory);
        let probe_now = self.watch_pods(&plan);
        let parts = ProberParts {
            id: self.id(&plan.component),
            kind: plan.kind,
            settings: plan.prober.clone(),
            probe: plan.probe,
            reports: self.parts.reports.clone(),
            pacer: self.parts.pacer.clone(),
            clock: self.parts.clock,
            metrics: self.parts.metrics.clone(),
        };
        tracing::info!(component = %parts.id, kind = plan.kind.as_str(), "watching component");
        let factory = Box::new(move |notice| {
            let parts = parts.clone();
            let prober =
                exit_guard::start(parts.settings.mailbox, move |_| Prober::new(parts), notice);
            if let Some(probe_now) = &probe_now {
                probe_now.publish(&prober.address);
            }
            prober.abort
        });
        let key = prober_key(&plan.component);
        self.children.add(key, "prober", plan.prober.backoff, factory, now);
    }

    fn forget(&mut self, component: &Arc<str>) {
        self.children.remove(&prober_key(component));
        self.discovered.remove(component);
        self.pods.remove(component);
        let incident = self.memory().forget(component);
        self.view.forgotten(component);
        let id = self.id(component);
        self.parts.metrics.component_removed(&id);
        tracing::info!(component = %id, "component is gone, no longer watched");
        if let Some(incident) = incident {
            self.resolve(incident);
        }
    }

    fn on_child_exited(&mut self, exit: ChildExited, ctx: &mut Context<Self>) {
        if self.stopped {
            return;
        }
        let (now, random) = (self.parts.clock.now(), fastrand::f64());
        match self.children.on_exit(&exit, now, random, &self.parts.metrics) {
            ExitDecision::Ignore => {}
            ExitDecision::RespawnAfter(delay) => {
                respawn_later(ctx.address().recipient(), exit.key, delay);
            }
            ExitDecision::Escalate => ctx.stop(),
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
            let load = LoadObserved(ScalingRequest {
                component: self.id(name),
                role,
                workloads: component.workloads.clone(),
                pods: component.pods.clone(),
                usage,
                health,
                being_restarted: Vec::new(),
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
        let update = UpdateAlert { incident: progress.incident, action: progress.summary };
        self.parts.peers.update.send_unbounded(update);
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
        self.start_children();
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

impl Handler<RecoveryProgressed> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: RecoveryProgressed, _: &mut Self::Context) {
        self.on_recovery(message);
    }
}

impl Handler<ScalingProgressed> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: ScalingProgressed, _: &mut Self::Context) {
        self.view.scaling(&message.component, message.summary);
    }
}

impl Handler<ChildExited> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: ChildExited, ctx: &mut Self::Context) {
        self.on_child_exited(message, ctx);
    }
}

impl Handler<RespawnDue> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: RespawnDue, _: &mut Self::Context) {
        if !self.stopped {
            self.children.respawn(&message.key, self.parts.clock.now());
        }
    }
}

impl Handler<StopProbing> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: StopProbing, _: &mut Self::Context) {
        self.stopped = true;
        self.children.clear();
    }
}

fn prober_key(component: &str) -> String {
    format!("prober/{component}")
}

fn usage_of(component: &ComponentInventory, usage: &[PodUsage]) -> Vec<PodUsage> {
    let is_ours = |sample: &&PodUsage| component.pods.iter().any(|pod| *pod.name == *sample.pod);
    usage.iter().filter(is_ours).cloned().collect()
}
