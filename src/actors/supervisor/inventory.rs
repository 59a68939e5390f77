//! What follows from a change of the platform's inventory: components come and go, and what the
//! platform says of a component's pods is judged at once, without asking anybody. Begins no action:
//! that takes failed probes.

use std::sync::Arc;

use super::{ComponentPlan, Supervisor, prober_key};
use crate::actors::link::Link;
use crate::actors::prober::ProbeNow;
use crate::model::{
    ComponentInventory, Inventory, ProbeReport, ProbeTrigger, ProberKind, Reason, Timestamp,
};
use crate::policy::health::{Transition, Weight};
use crate::policy::platform::{PodsNews, PodsWatch};

/// A component whose pods the platform tells of.
#[derive(Default)]
pub(super) struct WatchedPods {
    watch: PodsWatch,
    /// To its prober, whichever incarnation lives.
    probe_now: Link<ProbeNow>,
}

impl Supervisor {
    pub(super) fn on_inventory(&mut self, inventory: Arc<Inventory>) {
        if self.is_stopped() {
            return;
        }
        if inventory.synced {
            self.follow_workloads(&inventory);
        }
        for (name, component) in &inventory.components {
            let desired = component.workloads.iter().map(|w| w.desired_replicas).sum();
            let ready = component.workloads.iter().map(|w| w.ready_replicas).sum();
            self.parts.metrics.replicas(&self.id(name), desired, ready);
        }
        self.memory().follow(&inventory);
        self.view.inventory(&inventory);
        let before = std::mem::replace(&mut self.inventory, Arc::clone(&inventory));
        self.settle_orphans(&mut self.memory());
        // An inventory that may be old proves nothing.
        if inventory.is_current() {
            self.look_at_pods(&before, &inventory);
        }
    }

    pub(super) fn follow_workloads(&mut self, inventory: &Inventory) {
        let gone: Vec<Arc<str>> = self
            .discovered
            .iter()
            .filter(|name| !inventory.components.contains_key(*name))
            .cloned()
            .collect();
        for component in gone {
            self.forget(&component);
        }
        for component in inventory.components.keys() {
            if self.children.contains(&prober_key(component)) {
                continue;
            }
            if let Some(plan) = self.parts.planner.discovered(component) {
                self.discovered.insert(Arc::clone(component));
                self.watch(plan);
            }
        }
    }

    // ---- pods

    /// The way to the prober that is about to be started, where changes of pods concern it.
    pub(super) fn watch_pods(&mut self, plan: &ComponentPlan) -> Option<Link<ProbeNow>> {
        let name = &plan.component;
        if plan.kind != ProberKind::Pods {
            self.pods.remove(name);
            return None;
        }
        // A prober that takes the place of another one is told of the same pods.
        let pods = self.pods.entry(Arc::clone(name)).or_default();
        if self.inventory.is_current()
            && let Some(component) = self.inventory.components.get(name)
        {
            let now = self.parts.clock.now();
            // How they stand now is for its first probe to say.
            let _ = pods.watch.look(component, plan.health.startup_grace, now);
        }
        Some(pods.probe_now.clone())
    }

    fn look_at_pods(&mut self, before: &Inventory, inventory: &Inventory) {
        let comparable = before.is_current();
        for (name, component) in &inventory.components {
            let is_same = comparable && before.components.get(name) == Some(component);
            if !is_same {
                self.look_at(name, component);
            }
        }
    }

    fn look_at(&mut self, name: &Arc<str>, component: &ComponentInventory) {
        let now = self.parts.clock.now();
        let startup_grace = self.memory().grace_of(name);
        let Some(pods) = self.pods.get_mut(name) else { return };
        let news = pods.watch.look(component, startup_grace, now);
        let (is_short, probe_now) = (pods.watch.is_short(), pods.probe_now.clone());
        self.memory().change(name, |known| known.short = is_short);
        match news {
            PodsNews::Nothing => return,
            PodsNews::Explained { reason, coming_up } => {
                self.take_word(name, &reason, coming_up, false, now);
                return;
            }
            PodsNews::Short { reason, coming_up } => {
                self.take_word(name, &reason, coming_up, true, now);
            }
            PodsNews::Ask => {}
        }
        // One that waits already, or a prober that is about to be made anew, serves as well.
        let _ = probe_now.try_send(ProbeNow);
    }

    /// Shows what the platform says of a component, before anybody has asked its pods.
    fn take_word(
        &self,
        name: &Arc<str>,
        reason: &Reason,
        coming_up: bool,
        is_complaint: bool,
        now: Timestamp,
    ) {
        let id = self.id(name);
        let taken = self.memory().change(name, |known| {
            let settings = *known.settings;
            let transition = if is_complaint {
                known.tracker.note(reason, coming_up, settings, now)
            } else {
                known.tracker.explain(reason, coming_up, settings, now);
                Transition::Stayed
            };
            known.show_health();
            (transition, known.tracker.state())
        });
        if let Some((transition, state)) = taken {
            self.note_transition(&id, transition, Some(reason), None);
            self.parts.metrics.state_changed(&id, state);
        }
    }

    /// How much a report weighs, given what the platform says of the same pods.
    pub(super) fn weight(&self, report: &ProbeReport, now: Timestamp) -> Weight {
        let observation = &report.observation;
        let nobody_answers = || {
            observation.outcome.is_failed()
                && observation.targets.iter().all(|target| !target.outcome.is_healthy())
        };
        let is_down = || {
            let pods = self.pods.get(&report.id.component);
            pods.is_some_and(|pods| pods.watch.is_down_at(now))
        };
        let is_known = self.inventory.is_current();
        Weight {
            scheduled: report.trigger == ProbeTrigger::Schedule,
            confirmed: is_known && nobody_answers() && is_down(),
        }
    }
}

#[cfg(test)]
mod tests;
