//! Keeps the observable snapshot of one cluster in step with what its supervisor knows.

use std::sync::Arc;

use super::memory::ComponentMemory;
use crate::actors::status::{ClusterBoard, ComponentCell, ComponentSnapshot, StatusBoard};
use crate::model::{
    ComponentHealth, ComponentId, HealthState, Inventory, PodUsage, ProbeReport, ProberKind,
};
use crate::policy::scaling::PodFigures;

/// Writes one cluster's part of the status board.
#[derive(Clone)]
pub struct ClusterView {
    board: ClusterBoard,
}

impl ClusterView {
    /// The view of `cluster`, which is empty at first.
    pub fn new(cluster: &Arc<str>, board: &StatusBoard) -> Self {
        Self { board: board.cluster(cluster) }
    }

    /// A component is watched from now on.
    pub fn watched(&self, component: &Arc<str>, memory: &ComponentMemory) {
        self.board.show(Arc::clone(component), memory.cell().clone());
    }

    /// A component is no longer watched.
    pub fn forgotten(&self, component: &str) {
        self.board.hide(component);
    }

    /// CPU and memory of a component's pods.
    pub fn usage(&self, component: &str, usage: Vec<PodUsage>) {
        self.board.update(component, |snapshot| snapshot.usage = usage);
    }

    /// The platform's inventory has changed.
    pub fn inventory(&self, inventory: &Inventory) {
        self.board.discovered(inventory.synced, inventory.error.clone());
        for (name, cell) in self.board.cells() {
            let found = inventory.components.get(&name).cloned().map(Box::new);
            cell.update(|snapshot| snapshot.inventory = found);
        }
    }

    /// The recoverer said something about a component.
    pub fn recovery(&self, id: &ComponentId, summary: String) {
        self.board.update(&id.component, |snapshot| snapshot.recovery = Some(summary));
    }

    /// The scaler said something about a component.
    pub fn scaling(&self, id: &ComponentId, summary: String) {
        self.board.update(&id.component, |snapshot| snapshot.scaling = Some(summary));
    }
}

/// The place of a component of which nothing is known yet.
pub(super) fn blank(kind: ProberKind, health: ComponentHealth) -> ComponentCell {
    ComponentCell::new(ComponentSnapshot::blank(kind, health))
}

impl ComponentMemory {
    /// What Milvus said of the component's pods when they were last probed.
    pub(super) fn figures(&self) -> Vec<PodFigures> {
        self.cell().look(|shown| {
            let Some(at) = shown.probed_at else { return Vec::new() };
            shown.targets.iter().filter_map(|target| PodFigures::of(target, at)).collect()
        })
    }

    /// Shows a report that was judged.
    pub(super) fn show(&self, report: ProbeReport) {
        self.cell().update(|snapshot| {
            snapshot.health = self.tracker.health();
            snapshot.alert = self.alert_state();
            snapshot.probed_at = Some(report.started_at);
            snapshot.latency_ms = Some(report.duration.as_secs_f64() * 1_000.0);
            snapshot.targets = report.observation.targets;
            if self.refused && snapshot.health.state == HealthState::Healthy {
                // Why a healthy component was not restarted is of no interest any more.
                snapshot.recovery = None;
            }
            if report.observation.milvus.is_some() {
                snapshot.milvus = report.observation.milvus;
            }
        });
    }

    /// Shows a judgement that was made without a report.
    pub(super) fn show_health(&self) {
        self.cell().update(|snapshot| snapshot.health = self.tracker.health());
    }
}
