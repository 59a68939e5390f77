//! The newest decision about each component with what every guard said of it, for whoever asks a
//! running falconer to explain itself. Bounded; decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Recoverer;
use crate::model::{ComponentId, IncidentId, Timestamp};
use crate::policy::recovery::{
    Assessment, EscalationReason, GuardVerdict, PlannedAction, RecoveryDecision, RecoveryRequest,
};

/// More components than these are never shown: the one about which nothing was decided for longest
/// gives way.
const MOST_COMPONENTS: usize = 256;

const ACT: &str = "act";

/// Where nothing but the numbers has changed, they are shown this often.
const SHOWN_EVERY: Duration = Duration::from_secs(2);

/// A decision about a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssessmentRecord {
    /// When it was taken.
    pub at: Timestamp,
    /// The incident.
    pub incident: IncidentId,
    /// `act`, `refuse`, `wait`, `escalate` or `in_flight`.
    pub decision: &'static str,
    /// A closed-set name of the reason within the decision: the guard's or the step's.
    pub kind: &'static str,
    /// The decision as a sentence.
    pub summary: String,
    /// What every guard said, in the order in which they decide.
    pub verdicts: Vec<VerdictRecord>,
}

impl AssessmentRecord {
    /// Whether nothing but numbers differs. A step is another one where it is about another pod.
    fn is_same_as(&self, other: &Self) -> bool {
        let is_same_act = self.decision != ACT || self.summary == other.summary;
        self.incident == other.incident
            && (self.decision, self.kind) == (other.decision, other.kind)
            && is_same_act
    }
}

/// What one guard said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictRecord {
    /// The guard, e.g. `cooldown`.
    pub guard: &'static str,
    /// `pass`, `refuse`, `wait`, `escalate` or `not_asked`.
    pub verdict: &'static str,
    /// Why, with its numbers.
    pub words: String,
}

/// The newest ones, by component.
#[derive(Debug, Default)]
pub(super) struct Assessments {
    newest: BTreeMap<ComponentId, Arc<AssessmentRecord>>,
    shown_at: Option<Timestamp>,
}

impl Assessments {
    /// Takes a newer one in. Gives whether it is another decision than the one before.
    fn put(&mut self, component: &ComponentId, record: AssessmentRecord) -> bool {
        let before = self.newest.insert(component.clone(), Arc::new(record));
        if self.newest.len() > MOST_COMPONENTS {
            let oldest = self.newest.iter().min_by_key(|(_, one)| one.at);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.newest.remove(&oldest);
            }
        }
        let newest = self.newest.get(component);
        !matches!((&before, newest), (Some(one), Some(other)) if one.is_same_as(other))
    }

    /// By the component's name, for the board.
    pub(super) fn by_name(&self) -> BTreeMap<String, Arc<AssessmentRecord>> {
        self.newest.iter().map(|(id, one)| (id.to_string(), Arc::clone(one))).collect()
    }

    fn is_due(&mut self, now: Timestamp) -> bool {
        let due = self.shown_at.is_none_or(|at| now.since(at) >= SHOWN_EVERY);
        if due {
            self.shown_at = Some(now);
        }
        due
    }
}

impl Recoverer {
    /// Keeps a decision for the board, and writes it down where it is another one than before.
    pub(super) fn note(&mut self, request: &RecoveryRequest, assessment: &Assessment) {
        let now = self.around.clock.now();
        let decision = &assessment.decision;
        let summary = summary(decision, now);
        let record = AssessmentRecord {
            at: now,
            incident: request.incident.clone(),
            decision: name_of(decision),
            kind: kind_of(decision),
            summary: summary.clone(),
            verdicts: assessment.verdicts.iter().map(verdict_record).collect(),
        };
        if matches!(decision, RecoveryDecision::InFlight) {
            // What led to the action says more than that it goes on.
            return;
        }
        let is_news = self.assessments.put(&request.component, record);
        if is_news {
            self.write_decision(request, assessment, &summary);
        }
        if is_news || self.assessments.is_due(now) {
            self.publish();
        }
    }
}

fn verdict_record(verdict: &GuardVerdict) -> VerdictRecord {
    VerdictRecord {
        guard: verdict.guard.as_str(),
        verdict: verdict.finding.as_str(),
        words: verdict.finding.to_string(),
    }
}

const fn name_of(decision: &RecoveryDecision) -> &'static str {
    match decision {
        RecoveryDecision::Act(_) => ACT,
        RecoveryDecision::Refuse { .. } => "refuse",
        RecoveryDecision::Wait { .. } => "wait",
        RecoveryDecision::Escalate { .. } => "escalate",
        RecoveryDecision::InFlight => "in_flight",
    }
}

const fn kind_of(decision: &RecoveryDecision) -> &'static str {
    match decision {
        RecoveryDecision::Act(PlannedAction { step, .. }) => step.as_str(),
        RecoveryDecision::Refuse { reason } => reason.as_str(),
        RecoveryDecision::Wait { reason, .. } => reason.as_str(),
        RecoveryDecision::Escalate { reason: EscalationReason::LadderEnds { .. } } => "ladder_ends",
        RecoveryDecision::Escalate { reason: EscalationReason::RolloutStuck { .. } } => {
            "rollout_stuck"
        }
        RecoveryDecision::InFlight => "in_flight",
    }
}

fn summary(decision: &RecoveryDecision, now: Timestamp) -> String {
    match decision {
        RecoveryDecision::Act(plan) => super::deed::Deed::from(plan).infinitive(),
        RecoveryDecision::Refuse { reason } => match reason.free_in() {
            Some(left) => format!("{reason} until {}", now + left),
            None => reason.to_string(),
        },
        RecoveryDecision::Wait { until, reason } => format!("{reason}, until {until}"),
        RecoveryDecision::Escalate { reason } => reason.to_string(),
        RecoveryDecision::InFlight => "an action is under way".to_owned(),
    }
}
