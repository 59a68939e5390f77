//! Restarts what is sick, within its guards, and verifies that it helped. Owns the actions under
//! way; decides nothing itself (see `policy::recovery`) and keeps what it did in a ledger that
//! outlives it.

mod act;
mod reconfigure;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::*;
use serde::Serialize;

pub use self::reconfigure::Reconfigure;
pub use self::settings::RecovererSettings;
pub use self::snapshot::{BudgetUse, RecovererSnapshot, RecoveryRecord};

use super::post::{Command, Post};
use super::registry::{ActionHolder, Surroundings};
use crate::metrics::{ActionKind, ActionOutcome};
use crate::model::{ComponentId, IncidentId, Reason, Timestamp, WorkloadRef};
use crate::policy::maintenance::in_force;
use crate::policy::recovery::{
    ActionUnderWay, RecoveryDecision, RecoveryLedger, RecoveryRequest, RefusalReason, decide,
};

/// How many of the newest decisions the snapshot shows.
const RECENT_LIMIT: usize = 50;

/// A component is unhealthy. Sent at every unhealthy report, so the recoverer decides anew each
/// time; it is never a queue of work.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct Recover {
    /// What is known of the component and its cluster. Which of its workloads are being scaled is
    /// for the recoverer to find out.
    pub request: RecoveryRequest,
    /// What was seen.
    pub reason: Reason,
}

/// A report found the component healthy (after success_threshold). Sent while an incident's
/// recovery is not finished; ignored otherwise.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct ComponentHealthy {
    /// The component.
    pub component: ComponentId,
    /// Since when it is healthy.
    pub since: Timestamp,
}

/// falconer ends: decide nothing more. Answers with what is under way; its verification goes on
/// for as long as the actor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Vec<ActionUnderWay>")]
pub struct Drain;

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
struct Told {
    incident: IncidentId,
    phase: RecoveryPhase,
    kind: &'static str,
}

/// Something worth telling.
struct News {
    incident: IncidentId,
    component: ComponentId,
    phase: RecoveryPhase,
    /// A closed-set name of the reason within the phase.
    kind: &'static str,
    summary: String,
    outcome: Option<ActionOutcome>,
}

/// The actor.
pub struct Recoverer {
    settings: RecovererSettings,
    ledger: Arc<Mutex<RecoveryLedger>>,
    progress: HashMap<Arc<str>, Post<RecoveryProgressed>>,
    around: Surroundings,
    told: HashMap<ComponentId, Told>,
    recent: VecDeque<RecoveryRecord>,
    /// Components whose rollout status is being asked right now.
    polling: HashSet<ComponentId>,
    verification_armed: bool,
    draining: bool,
}

impl Recoverer {
    /// A recoverer. `ledger` and `around.registry` must be the same for every incarnation;
    /// `progress` leads from a cluster's name to its supervisor.
    pub fn new(
        settings: RecovererSettings,
        ledger: Arc<Mutex<RecoveryLedger>>,
        progress: HashMap<Arc<str>, Post<RecoveryProgressed>>,
        around: Surroundings,
    ) -> Self {
        Self {
            settings,
            ledger,
            progress,
            around,
            told: HashMap::new(),
            recent: VecDeque::new(),
            polling: HashSet::new(),
            verification_armed: false,
            draining: false,
        }
    }

    fn ledger(&self) -> MutexGuard<'_, RecoveryLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_recover(&mut self, mut report: Recover, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        let request = &mut report.request;
        let (cluster, workloads) = (&request.component.cluster, &request.workloads);
        request.being_scaled =
            self.around.registry.held_by(ActionHolder::Scaler, cluster, workloads);
        let pause = || self.around.circuits.pause(cluster, self.around.clock.now());
        request.platform_error = request.platform_error.take().or_else(pause);
        let window = || in_force(&self.settings.maintenance, self.around.clock.now());
        request.quiet = request.quiet.take().or_else(window);
        match self.decide(&report.request) {
            RecoveryDecision::Act(plan) => self.begin_action(report, plan, ctx),
            RecoveryDecision::Refuse { reason } => self.refuse(&report.request, &reason),
            RecoveryDecision::Escalate { reason } => self.escalate(&report.request, &reason, ctx),
            RecoveryDecision::Wait { until, reason } => {
                let component = &report.request.component;
                tracing::debug!(%component, %until, %reason, "recovery waits");
            }
            RecoveryDecision::InFlight => {}
        }
    }

    fn decide(&self, request: &RecoveryRequest) -> RecoveryDecision {
        let now = self.around.clock.now();
        let component = &request.component;
        let settings = self.settings.for_component(component);
        let mut ledger = self.ledger();
        ledger.saw_sick(request, settings.ladder_memory, now);
        if !request.workloads.is_empty() && !self.around.clusters.contains_key(&component.cluster) {
            return RecoveryDecision::Refuse { reason: RefusalReason::NoPlatform };
        }
        decide(request, &ledger, settings, &self.settings.global, now)
    }

    fn refuse(&mut self, request: &RecoveryRequest, reason: &RefusalReason) {
        let now = self.around.clock.now();
        // It is told once, so it must not count down; and what a dry run shows stays to be seen.
        let summary = match reason.free_in() {
            Some(_) if self.has_shown(request) => return,
            Some(left) => format!("{reason} until {}", now + left),
            None => reason.to_string(),
        };
        self.tell(News {
            incident: request.incident.clone(),
            component: request.component.clone(),
            phase: RecoveryPhase::Refused,
            kind: reason.as_str(),
            summary,
            outcome: Some(ActionOutcome::Refused),
        });
    }

    /// Whether a dry run for this incident is what was told last.
    fn has_shown(&self, request: &RecoveryRequest) -> bool {
        self.told.get(&request.component).is_some_and(|told| {
            told.phase == RecoveryPhase::DryRun && told.incident == request.incident
        })
    }

    /// Logs, counts, remembers and sends on, unless it is what was told last.
    fn tell(&mut self, news: News) {
        let told = Told { incident: news.incident.clone(), phase: news.phase, kind: news.kind };
        let repeated = self.told.get(&news.component) == Some(&told);
        if let Some(outcome) = news.outcome
            && (!repeated || outcome != ActionOutcome::Refused)
        {
            self.around.metrics.action(&news.component, ActionKind::Restart, outcome);
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
        let Some(post) = self.progress.get(&component.cluster) else { return };
        let (incident, phase, summary) = (news.incident, news.phase, news.summary);
        post.send(RecoveryProgressed { incident, component, phase, summary });
    }

    fn release(&self, component: &ComponentId, workload: &WorkloadRef) {
        self.around.registry.release(&component.cluster, workload, ActionHolder::Recoverer);
    }

    fn on_drain(&mut self) -> Vec<ActionUnderWay> {
        self.draining = true;
        self.publish();
        self.ledger().all_in_flight().cloned().collect()
    }
}

impl Actor for Recoverer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[cfg(any(test, feature = "fault-injection"))]
        super::fault_injection::arm("recoverer", &ctx.address());
        self.resume(ctx);
    }
}

impl Handler<Recover> for Recoverer {
    type Result = ();

    fn handle(&mut self, report: Recover, ctx: &mut Self::Context) {
        self.on_recover(report, ctx);
    }
}

impl Handler<ComponentHealthy> for Recoverer {
    type Result = ();

    fn handle(&mut self, report: ComponentHealthy, ctx: &mut Self::Context) {
        self.on_component_healthy(&report, ctx);
    }
}

impl Handler<Drain> for Recoverer {
    type Result = Vec<ActionUnderWay>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.on_drain()
    }
}
