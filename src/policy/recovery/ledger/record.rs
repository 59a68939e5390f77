//! What is kept of one component: plain data, in the form in which it is also stored. A name or a
//! shape changed here is a change of the stored form (see `stored.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{IncidentId, Timestamp, WorkloadRef};
use crate::policy::recovery::decision::{PodTarget, TriedStep};
use crate::policy::recovery::settings::ActionStep;
use crate::policy::recovery::trouble::Trouble;
use crate::policy::recovery::window::ActionWindow;

/// Most entries of each list: old ones go. A pod or revision that old is gone as well.
const LIST_LIMIT: usize = 32;

/// How the newest finished step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(super) enum StepEnd {
    /// The component was healthy afterwards.
    Helped {
        /// When that was known.
        at: Timestamp,
    },
    /// One of several sick pods is well again; the same rung is for the others.
    PodReplaced {
        /// The others that were sick when the first of them was removed.
        left: BTreeSet<Arc<str>>,
    },
    /// It did not help, or the platform refused it.
    Failed,
}

/// The newest finished step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastStep {
    pub(super) index: usize,
    pub(super) step: ActionStep,
    pub(super) incident: IncidentId,
    pub(super) workload: WorkloadRef,
    pub(super) began_at: Timestamp,
    /// Whether the platform did not do it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) refused: bool,
    /// Against what it and the steps shortly before it were.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) troubles: BTreeSet<Trouble>,
    /// The steps before it on the same way up the ladder, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) before: Vec<TriedStep>,
    /// What was passed over on that way, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) skipped: Vec<String>,
    #[serde(flatten)]
    pub(super) end: StepEnd,
}

/// A step that the platform did not take and that will be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retry {
    pub(super) incident: IncidentId,
    pub(super) key: String,
    /// When the newest try began, which is where the budgets count it.
    pub(super) counted_at: Timestamp,
    pub(super) errors: u32,
    pub(super) not_before: Timestamp,
}

/// A request that had no answer, and may have arrived. Whatever was done since, it is the same
/// request if it is made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LostRequest {
    pub(super) key: String,
    pub(super) first_tried_at: Timestamp,
}

/// An incident that was left to a person, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Escalated {
    pub(super) incident: IncidentId,
    pub(super) at: Timestamp,
}

/// A pod that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RemovedPod {
    pub(super) step: ActionStep,
    #[serde(flatten)]
    pub(super) pod: PodTarget,
}

/// A revision of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RevisionMark {
    pub(super) workload: WorkloadRef,
    pub(super) revision: u64,
}

/// A rollback that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RolledBack {
    pub(super) key: String,
    pub(super) incident: IncidentId,
    /// The revision that was to be left.
    #[serde(flatten)]
    pub(super) left: RevisionMark,
}

/// Everything about one component but the action under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ComponentRecord {
    #[serde(skip_serializing_if = "ActionWindow::is_empty")]
    pub(super) actions: ActionWindow,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_action_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_step: Option<LastStep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) escalated: Option<Escalated>,
    /// The incident of which people were told that nothing is done because of the breaker, and when
    /// that had opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped: Option<Escalated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry: Option<Retry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lost: Vec<LostRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_sick_at: Option<Timestamp>,
    /// The `last_sick_at` that was last given to be saved.
    #[serde(skip)]
    pub(super) sick_saved_at: Option<Timestamp>,
    /// The pods that were removed since the component was last well for long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) removed: Vec<RemovedPod>,
    /// The revisions under which it was sick since it was last well for long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sick_revisions: Vec<RevisionMark>,
    /// The rollbacks, for good: nobody wants to be brought back to what was left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rollbacks: Vec<RolledBack>,
    /// Whether something was done, if only as a dry run.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) acted_on: bool,
}

// The form that serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl ComponentRecord {
    /// Whether a ledger without it decides the same: nothing was done about it, and nothing is to
    /// be remembered.
    pub(super) fn is_vacuous(&self) -> bool {
        let (last_sick_at, sick_saved_at) = (self.last_sick_at, self.sick_saved_at);
        *self == Self { last_sick_at, sick_saved_at, ..Self::default() }
    }

    /// It was well for long: its ladder begins anew.
    pub(super) fn forget_ladder(&mut self) {
        self.last_step = None;
        self.removed.clear();
        self.lost.clear();
        self.sick_revisions.clear();
    }

    pub(super) fn note_removed(&mut self, pod: PodTarget, step: ActionStep) {
        note(&mut self.removed, RemovedPod { step, pod });
    }

    pub(super) fn note_lost(&mut self, request: LostRequest) {
        note(&mut self.lost, request);
    }

    /// Says whether that is new.
    pub(super) fn note_sick_revision(&mut self, mark: RevisionMark) -> bool {
        note(&mut self.sick_revisions, mark)
    }

    pub(super) fn note_rollback(&mut self, rolled_back: RolledBack) {
        note(&mut self.rollbacks, rolled_back);
    }
}

/// Adds `item` if it is new, at the cost of the oldest where there are too many.
fn note<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    if list.contains(&item) {
        return false;
    }
    if list.len() >= LIST_LIMIT {
        list.drain(..=list.len() - LIST_LIMIT);
    }
    list.push(item);
    true
}
