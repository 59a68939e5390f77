//! What can be seen of the scaler from outside.

use std::collections::VecDeque;

use serde::Serialize;

use super::{RECENT_LIMIT, Scaler};
use crate::model::{Autoscaler, ComponentId, Timestamp, WorkloadRef};
use crate::policy::scaling::{ChangeUnderWay, DrainUnderWay, Observed};

/// The newest scaling decisions.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ScalerSnapshot {
    /// Whether changes are only shown.
    pub dry_run: bool,
    /// Whether falconer ends and decides nothing more.
    pub draining: bool,
    /// Changes whose replicas are not all ready yet.
    pub in_flight: Vec<ChangeUnderWay>,
    /// Query nodes that are being emptied, or given back.
    pub drains: Vec<DrainUnderWay>,
    /// What falconer would do about workloads that something else scales.
    pub observed: Vec<ObservedScaling>,
    /// Whom changes may quarrel with.
    pub warnings: Vec<ScalingWarning>,
    /// The newest decisions, newest last.
    pub recent: VecDeque<ScalingRecord>,
}

/// A workload that something else scales.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObservedScaling {
    /// The component.
    pub component: ComponentId,
    /// The workload.
    pub workload: WorkloadRef,
    /// What scales it.
    pub autoscaler: Autoscaler,
    /// The change that falconer would make: from, to; `None` where it would make none.
    pub would: Option<(u32, u32)>,
    /// The words.
    pub summary: String,
}

impl ObservedScaling {
    pub(super) fn of(component: &ComponentId, observed: &Observed) -> Self {
        Self {
            component: component.clone(),
            workload: observed.workload.clone(),
            autoscaler: observed.autoscaler.clone(),
            would: observed.change().map(|plan| (plan.from, plan.to)),
            summary: observed.to_string(),
        }
    }
}

/// A change of this workload may not last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScalingWarning {
    /// The component.
    pub component: ComponentId,
    /// The workload.
    pub workload: WorkloadRef,
    /// Why.
    pub words: String,
}

/// One decision or the end of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScalingRecord {
    /// When.
    pub at: Timestamp,
    /// The component.
    pub component: ComponentId,
    /// A closed-set name of the reason.
    pub kind: &'static str,
    /// The words.
    pub summary: String,
    /// The exact change that was made, or, in a dry run, would be.
    pub change: Option<String>,
}

impl Scaler {
    /// Adds a decision to the snapshot and publishes it.
    pub(super) fn remember(
        &mut self,
        component: &ComponentId,
        kind: &'static str,
        summary: &str,
        change: Option<&str>,
    ) {
        if self.recent.len() >= RECENT_LIMIT {
            self.recent.pop_front();
        }
        self.recent.push_back(ScalingRecord {
            at: self.around.clock.now(),
            component: component.clone(),
            kind,
            summary: summary.to_owned(),
            change: change.map(str::to_owned),
        });
        self.publish();
    }

    /// Publishes the present state.
    pub(super) fn publish(&self) {
        self.keep();
        // One after the other: a guard lives as long as its whole statement.
        let in_flight = self.ledger().all_in_flight().cloned().collect();
        let drains = self.ledger().all_drains().cloned().collect();
        let snapshot = ScalerSnapshot {
            dry_run: self.settings.dry_run,
            draining: self.draining,
            observed: self.observed.values().cloned().collect(),
            warnings: self.warnings(),
            in_flight,
            drains,
            recent: self.recent.clone(),
        };
        self.around.board.update(|status| status.scaler = snapshot.into());
    }

    fn warnings(&self) -> Vec<ScalingWarning> {
        let ledger = self.ledger();
        let warning = |(component, workload, words): (&ComponentId, &WorkloadRef, &str)| {
            let (component, workload) = (component.clone(), workload.clone());
            ScalingWarning { component, workload, words: words.to_owned() }
        };
        ledger.warnings().map(warning).collect()
    }
}
