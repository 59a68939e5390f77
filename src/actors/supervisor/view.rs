//! Keeps the observable snapshot of one cluster in step with what its supervisor knows.

use std::sync::Arc;

use super::memory::ComponentMemory;
use crate::actors::status::{ClusterSnapshot, ComponentSnapshot, StatusBoard};
use crate::model::{ComponentId, HealthState, Inventory, PodUsage, ProbeReport};

/// Writes one cluster's part of the status board.
#[derive(Clone)]
pub struct ClusterView {
    cluster: Arc<str>,
    board: StatusBoard,
}

impl ClusterView {
    /// The view of `cluster`, which is empty at first.
    pub fn new(cluster: Arc<str>, board: StatusBoard) -> Self {
        let view = Self { cluster, board };
        view.update(|_| {});
        view
    }

    fn update(&self, change: impl FnOnce(&mut ClusterSnapshot)) {
        self.board.update(|status| {
            change(status.clusters.entry(Arc::clone(&self.cluster)).or_default());
        });
    }

    fn update_component(&self, component: &str, change: impl FnOnce(&mut ComponentSnapshot)) {
        self.update(|cluster| {
            if let Some(snapshot) = cluster.components.get_mut(component) {
                change(snapshot);
            }
        });
    }

    /// A component is watched from now on.
    pub fn watched(&self, component: &Arc<str>, memory: &ComponentMemory) {
        self.update(|cluster| {
            let entry = cluster.components.entry(Arc::clone(component));
            entry.or_insert_with(|| ComponentSnapshot {
                kind: memory.kind,
                health: memory.tracker.health(),
                probed_at: None,
                latency_ms: None,
                targets: Vec::new(),
                usage: Vec::new(),
                milvus: None,
                inventory: None,
                recovery: None,
                scaling: None,
            });
        });
    }

    /// A component is no longer watched.
    pub fn forgotten(&self, component: &str) {
        self.update(|cluster| {
            cluster.components.remove(component);
        });
    }

    /// A report was judged.
    pub fn reported(&self, report: ProbeReport, memory: &ComponentMemory) {
        let component = Arc::clone(&report.id.component);
        self.update_component(&component, |snapshot| {
            snapshot.health = memory.tracker.health();
            snapshot.probed_at = Some(report.started_at);
            snapshot.latency_ms = Some(report.duration.as_secs_f64() * 1_000.0);
            snapshot.targets = report.observation.targets;
            if memory.refused && snapshot.health.state == HealthState::Healthy {
                // Why a healthy component was not restarted is of no interest any more.
                snapshot.recovery = None;
            }
            if report.observation.milvus.is_some() {
                snapshot.milvus = report.observation.milvus;
            }
        });
    }

    /// A component was judged without a report.
    pub fn judged(&self, component: &str, memory: &ComponentMemory) {
        self.update_component(component, |snapshot| snapshot.health = memory.tracker.health());
    }

    /// CPU and memory of a component's pods.
    pub fn usage(&self, component: &str, usage: Vec<PodUsage>) {
        self.update_component(component, |snapshot| snapshot.usage = usage);
    }

    /// The platform's inventory has changed.
    pub fn inventory(&self, inventory: &Inventory) {
        self.update(|cluster| {
            cluster.synced = inventory.synced;
            cluster.platform_error.clone_from(&inventory.error);
            for (name, snapshot) in &mut cluster.components {
                snapshot.inventory = inventory.components.get(name).cloned();
            }
        });
    }

    /// The recoverer said something about a component.
    pub fn recovery(&self, id: &ComponentId, summary: String) {
        self.update_component(&id.component, |snapshot| snapshot.recovery = Some(summary));
    }

    /// The scaler said something about a component.
    pub fn scaling(&self, id: &ComponentId, summary: String) {
        self.update_component(&id.component, |snapshot| snapshot.scaling = Some(summary));
    }
}
