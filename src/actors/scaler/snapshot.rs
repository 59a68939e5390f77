//! What can be seen of the scaler from outside.

use std::collections::VecDeque;

use serde::Serialize;

use super::{RECENT_LIMIT, Scaler};
use crate::model::{ComponentId, Timestamp};
use crate::policy::scaling::{ChangeUnderWay, DrainUnderWay};

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
    /// The newest decisions, newest last.
    pub recent: VecDeque<ScalingRecord>,
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
}

impl Scaler {
    /// Adds a decision to the snapshot and publishes it.
    pub(super) fn remember(&mut self, component: &ComponentId, kind: &'static str, summary: &str) {
        if self.recent.len() >= RECENT_LIMIT {
            self.recent.pop_front();
        }
        self.recent.push_back(ScalingRecord {
            at: self.around.clock.now(),
            component: component.clone(),
            kind,
            summary: summary.to_owned(),
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
            in_flight,
            drains,
            recent: self.recent.clone(),
        };
        self.around.board.update(|status| status.scaler = snapshot.into());
    }
}
