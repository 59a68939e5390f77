//! What the recoverer tells of its work: to people through the supervisor, to the log, the metrics
//! and the board. Owns what was told last, so that nothing is told twice; decides nothing.

use serde::Serialize;

use super::Recoverer;
use crate::actors::post::Command;
use crate::metrics::{ActionKind, ActionOutcome};
use crate::model::{ComponentId, IncidentId};
use crate::policy::recovery::{ActionStep, RecoveryRequest, RefusalReason};

/// Where a recovery stands; a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryPhase {
    /// A guard refuses for now.
    Refused,
    /// The platform has accepted the action; the workload rolls. The supervisor grants the
    /// component a new startup grace.
    Started,
    /// Dry-run: shown, not done.
    DryRun,
    /// Verified: rolled out and healthy.
    Recovered,
    /// The verification deadline passed, or the platform refused the action.
    NotRecovered,
    /// Left to a person.
    Escalated,
    /// The cluster's circuit breaker is open: nothing is done until a person has looked.
    Stopped,
}

impl RecoveryPhase {
    /// The name in logs and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Started => "started",
            Self::DryRun => "dry_run",
            Self::Recovered => "recovered",
            Self::NotRecovered => "not_recovered",
            Self::Escalated => "escalated",
            Self::Stopped => "stopped",
        }
    }

    /// Whether somebody must do something now, who may have been told that falconer does.
    pub const fn calls_person(self) -> bool {
        match self {
            Self::Escalated | Self::Stopped => true,
            Self::Refused | Self::Started | Self::DryRun | Self::Recovered | Self::NotRecovered => {
                false
            }
        }
    }

    /// Whether it is why nothing is done.
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::Refused | Self::Stopped => true,
            Self::Started
            | Self::DryRun
            | Self::Recovered
            | Self::NotRecovered
            | Self::Escalated => false,
        }
    }
}

/// What the recoverer tells the supervisor; only when something changed.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryProgressed {
    /// The incident.
    pub incident: IncidentId,
    /// The component.
    pub component: ComponentId,
    /// Where it stands.
    pub phase: RecoveryPhase,
    /// A sentence for people: what was done or refused, with its numbers.
    pub summary: String,
}

impl Command for RecoveryProgressed {
    type Key = (ComponentId, IncidentId);

    fn key(&self) -> Self::Key {
        (self.component.clone(), self.incident.clone())
    }
}

/// What was told last about a component, so that nothing is told twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) incident: IncidentId,
    pub(super) phase: RecoveryPhase,
    pub(super) kind: &'static str,
}

/// Something worth telling.
pub(super) struct News {
    pub(super) incident: IncidentId,
    pub(super) component: ComponentId,
    pub(super) phase: RecoveryPhase,
    /// A closed-set name of the reason within the phase.
    pub(super) kind: &'static str,
    pub(super) summary: String,
    /// How it is counted, and for which step; `None` where it is no end of anything.
    pub(super) outcome: Option<ActionOutcome>,
    pub(super) step: Option<ActionStep>,
}

impl Recoverer {
    pub(super) fn refuse(&mut self, request: &RecoveryRequest, reason: &RefusalReason) {
        let now = self.around.clock.now();
        // It is told once, so it must not count down; and what a dry run shows stays to be seen.
        let summary = match reason.free_in() {
            Some(_) if self.has_shown(request) => return,
            Some(left) => format!("{reason} until {}", now + left),
            None => reason.to_string(),
        };
        let (component, incident) = (&request.component, &request.incident);
        let calls = matches!(reason, RefusalReason::BreakerOpen { since, .. }
            if self.ledger().told_stopped(component, incident, *since));
        let phase = if calls { RecoveryPhase::Stopped } else { RecoveryPhase::Refused };
        self.tell_refusal(request, phase, reason.as_str(), summary);
    }

    /// Nothing is done, and why.
    pub(super) fn refused(&mut self, request: &RecoveryRequest, kind: &'static str, words: String) {
        self.tell_refusal(request, RecoveryPhase::Refused, kind, words);
    }

    fn tell_refusal(
        &mut self,
        request: &RecoveryRequest,
        phase: RecoveryPhase,
        kind: &'static str,
        summary: String,
    ) {
        self.tell(News {
            incident: request.incident.clone(),
            component: request.component.clone(),
            phase,
            kind,
            summary,
            outcome: Some(ActionOutcome::Refused),
            step: None,
        });
    }

    /// Whether a dry run for this incident is what was told last.
    fn has_shown(&self, request: &RecoveryRequest) -> bool {
        self.told.get(&request.component).is_some_and(|told| {
            told.phase == RecoveryPhase::DryRun && told.incident == request.incident
        })
    }

    /// Logs, counts, remembers and sends on, unless it is what was told last.
    pub(super) fn tell(&mut self, news: News) {
        let told = Told { incident: news.incident.clone(), phase: news.phase, kind: news.kind };
        let repeated = self.told.get(&news.component) == Some(&told);
        if let Some(outcome) = news.outcome
            && (!repeated || outcome != ActionOutcome::Refused)
        {
            self.around.metrics.action(&news.component, kind_of(news.step), outcome);
        }
        if repeated {
            return;
        }
        self.told.insert(news.component.clone(), told);
        tracing::info!(
            component = %news.component,
            phase = news.phase.as_str(),
            kind = news.kind,
            summary = news.summary,
            "recovery progressed"
        );
        self.remember(&news);
        let component = news.component;
        let Some(ways) = self.supervisors.get(&component.cluster) else { return };
        let (incident, phase, summary) = (news.incident, news.phase, news.summary);
        ways.progress.send(RecoveryProgressed { incident, component, phase, summary });
    }
}

/// How a step is counted; what was refused before there was one counts as a restart.
const fn kind_of(step: Option<ActionStep>) -> ActionKind {
    match step {
        Some(ActionStep::DeletePod) => ActionKind::DeletePod,
        Some(ActionStep::ForceDelete) => ActionKind::ForceDelete,
        Some(ActionStep::Rollback) => ActionKind::Rollback,
        Some(ActionStep::RolloutRestart) | None => ActionKind::Restart,
    }
}
