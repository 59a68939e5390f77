//! What can be seen of the recoverer from outside.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::assessments::AssessmentRecord;
use super::{News, RECENT_LIMIT, Recoverer, RecoveryPhase};
use crate::model::{ComponentId, IncidentId, Timestamp};
use crate::policy::recovery::{ActionUnderWay, Tripped};

/// Actions under way and budgets.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecovererSnapshot {
    /// Whether actions are only shown.
    pub dry_run: bool,
    /// Whether falconer ends and decides nothing more.
    pub draining: bool,
    /// Actions that are not verified yet.
    pub in_flight: Vec<ActionUnderWay>,
    /// Actions on all components inside the global budget's window.
    pub global_budget: BudgetUse,
    /// The same by component, for those that had one.
    pub component_budgets: BTreeMap<String, BudgetUse>,
    /// The clusters whose circuit breaker is open: nothing is done there until a person has looked.
    pub breakers: BTreeMap<Arc<str>, Tripped>,
    /// The newest decision about each component with what every guard said, by the component's full
    /// name; bounded.
    pub assessments: BTreeMap<String, Arc<AssessmentRecord>>,
    /// The newest decisions, newest last.
    pub recent: VecDeque<RecoveryRecord>,
}

/// How much of a budget is spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BudgetUse {
    /// Actions inside the window.
    pub used: usize,
    /// Actions allowed.
    pub allowed: usize,
}

/// One decision or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoveryRecord {
    /// When.
    pub at: Timestamp,
    /// The incident.
    pub incident: IncidentId,
    /// The component.
    pub component: ComponentId,
    /// What.
    pub phase: RecoveryPhase,
    /// A closed-set name of the reason within the phase.
    pub kind: &'static str,
    /// The words.
    pub summary: String,
}

impl Recoverer {
    /// Adds `news` to the snapshot and publishes it.
    pub(super) fn remember(&mut self, news: &News) {
        if self.recent.len() >= RECENT_LIMIT {
            self.recent.pop_front();
        }
        self.recent.push_back(RecoveryRecord {
            at: self.around.clock.now(),
            incident: news.incident.clone(),
            component: news.component.clone(),
            phase: news.phase,
            kind: news.kind,
            summary: news.summary.clone(),
        });
        self.publish();
    }

    /// Publishes the present state.
    pub(super) fn publish(&self) {
        self.keep();
        let snapshot = self.snapshot();
        self.around.board.update(|status| status.recoverer = snapshot.into());
    }

    fn snapshot(&self) -> RecovererSnapshot {
        let now = self.around.clock.now();
        let ledger = self.ledger();
        let global = self.settings.global.budget;
        let component_budgets = ledger
            .acted_on()
            .filter_map(|component| {
                let budget = self.settings.for_component(component).budget;
                let used = ledger.component_actions(component, budget.per, now);
                (used > 0)
                    .then(|| (component.to_string(), BudgetUse { used, allowed: budget.actions }))
            })
            .collect();
        RecovererSnapshot {
            dry_run: self.settings.dry_run,
            draining: self.draining,
            in_flight: ledger.all_in_flight().cloned().collect(),
            global_budget: BudgetUse {
                used: ledger.global_actions(global.per, now),
                allowed: global.actions,
            },
            component_budgets,
            breakers: ledger.breakers().map(|(id, it)| (Arc::clone(id), it.clone())).collect(),
            assessments: self.assessments.by_name(),
            recent: self.recent.clone(),
        }
    }
}
