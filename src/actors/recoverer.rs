//! Restarts what is sick, within its guards, and verifies that it helped. Owns the actions under
//! way; decides nothing itself (see `policy::recovery`) and keeps what it did in a ledger that
//! outlives it.

mod act;
mod assessments;
mod breaker;
mod deed;
mod gate;
mod inquiry;
mod keeping;
mod lookup;
mod prepare;
mod progress;
mod reconfigure;
mod replaced;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;
mod written;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::*;

pub use self::assessments::{AssessmentRecord, VerdictRecord};
pub use self::breaker::Resume;
pub use self::inquiry::SupervisorWays;
pub use self::progress::{RecoveryPhase, RecoveryProgressed};
pub use self::reconfigure::Reconfigure;
pub use self::settings::RecovererSettings;
pub use self::snapshot::{BudgetUse, RecovererSnapshot, RecoveryRecord};

use self::assessments::Assessments;
use self::lookup::Lost;
use self::prepare::{Preparation, Prepared};
use self::progress::{News, Told};
use super::registry::{ActionHolder, Surroundings};
use crate::model::{ComponentId, Held, Reason, Timestamp, WorkloadRef};
use crate::policy::recovery::{
    ActionUnderWay, Assessment, RecoveryDecision, RecoveryLedger, RecoveryRequest, RefusalReason,
    assess,
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
    /// Whether Milvus as a whole fails too, and nothing else is known to be sick: then it must serve
    /// again as well before a step counts as a help.
    pub milvus_failing: bool,
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
    /// Whether Milvus as a whole fails nevertheless, and nothing else is known to be sick.
    pub milvus_failing: bool,
}

/// falconer ends: decide nothing more. Answers with what is under way; its verification goes on
/// for as long as the actor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Vec<ActionUnderWay>")]
pub struct Drain;

/// The actor.
pub struct Recoverer {
    settings: RecovererSettings,
    ledger: Arc<Mutex<RecoveryLedger>>,
    supervisors: HashMap<Arc<str>, SupervisorWays>,
    around: Surroundings,
    told: HashMap<ComponentId, Told>,
    recent: VecDeque<RecoveryRecord>,
    assessments: Assessments,
    /// Actions that wait for their evidence.
    preparing: HashMap<ComponentId, Preparation>,
    /// Components for which a request of this incarnation is on its way.
    asking: HashSet<ComponentId>,
    /// Requests whose answer was lost.
    lost: HashMap<ComponentId, Lost>,
    /// Components whose rollout status is being asked right now.
    polling: HashSet<ComponentId>,
    verification_armed: bool,
    draining: bool,
}

impl Recoverer {
    /// A recoverer. `ledger` and `around.registry` must be the same for every incarnation;
    /// `supervisors` leads from a cluster's name to its supervisor.
    pub fn new(
        settings: RecovererSettings,
        ledger: Arc<Mutex<RecoveryLedger>>,
        supervisors: HashMap<Arc<str>, SupervisorWays>,
        around: Surroundings,
    ) -> Self {
        Self {
            settings,
            ledger,
            supervisors,
            around,
            told: HashMap::new(),
            recent: VecDeque::new(),
            assessments: Assessments::default(),
            preparing: HashMap::new(),
            asking: HashSet::new(),
            lost: HashMap::new(),
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
        self.fill(&mut report.request);
        let request = &report.request;
        self.saw_sick(request);
        if let Some(preparation) = self.preparing.get_mut(&request.component) {
            // What is known once it is prepared decides.
            preparation.is_well = false;
            return;
        }
        let is_under_way = self.ledger().in_flight(&request.component).is_some();
        if is_under_way {
            // Where this ends the action, the next report decides: what is told of an end would be
            // replaced by what is told of the next beginning.
            self.watch_pods(request, ctx);
            return;
        }
        self.follow(report, None, ctx);
    }

    /// What a supervisor cannot know: what the scaler does, how the platform fares, who leads.
    fn fill(&self, request: &mut RecoveryRequest) {
        let (cluster, workloads) = (&request.component.cluster, &request.workloads);
        request.being_scaled =
            self.around.registry.held_by(ActionHolder::Scaler, cluster, workloads);
        let pause = || self.around.circuits.pause(cluster, self.around.clock.now());
        request.platform_error = request.platform_error.take().or_else(pause);
        let windows = &self.settings.maintenance;
        let quiet = || self.around.quiet(windows, Held::Recovery, &request.component);
        request.quiet = request.quiet.take().or_else(quiet);
        request.not_leader = self.not_leader();
    }

    fn saw_sick(&self, request: &RecoveryRequest) {
        let memory = self.settings.for_component(&request.component).ladder_memory;
        self.ledger().saw_sick(request, memory, self.around.clock.now());
    }

    /// Decides, and does what was decided. `prepared` is what was gathered for an action that was
    /// decided a moment ago.
    fn follow(&mut self, report: Recover, prepared: Option<Prepared>, ctx: &mut Context<Self>) {
        let assessment = self.assess(&report.request);
        self.note(&report.request, &assessment);
        match assessment.decision {
            RecoveryDecision::Act(plan) => {
                let prepared = prepared.filter(|it| it.key == plan.idempotency_key);
                if prepared.is_some() || self.settings.dry_run {
                    self.begin_action(report, plan, prepared.as_ref(), ctx);
                } else {
                    self.prepare(&report, &plan, ctx);
                }
            }
            RecoveryDecision::Refuse { reason } if self.trips(&reason) => {
                self.trip(&report.request, &reason);
            }
            RecoveryDecision::Refuse { reason } => self.refuse(&report.request, &reason),
            RecoveryDecision::Escalate { reason } => self.escalate(&report.request, &reason, ctx),
            RecoveryDecision::Wait { until, reason } => {
                let component = &report.request.component;
                tracing::debug!(%component, %until, %reason, "recovery waits");
            }
            RecoveryDecision::InFlight => {}
        }
    }

    /// What is only shown stops nobody.
    fn trips(&self, reason: &RefusalReason) -> bool {
        reason.trips_breaker() && !self.settings.dry_run
    }

    fn assess(&self, request: &RecoveryRequest) -> Assessment {
        let component = &request.component;
        if !request.workloads.is_empty() && !self.around.clusters.contains_key(&component.cluster) {
            let decision = RecoveryDecision::Refuse { reason: RefusalReason::NoPlatform };
            return Assessment { decision, verdicts: Vec::new() };
        }
        let settings = self.settings.for_component(component);
        let now = self.around.clock.now();
        assess(request, &self.ledger(), settings, &self.settings.global, now)
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
        self.around.leadership.clone().follow(self.around.clock, ctx, Self::resume);
        self.resume(ctx);
    }
}

impl Handler<Recover> for Recoverer {
    type Result = ();

    fn handle(&mut self, report: Recover, ctx: &mut Self::Context) {
        self.on_recover(report, ctx);
        self.keep();
    }
}

impl Handler<ComponentHealthy> for Recoverer {
    type Result = ();

    fn handle(&mut self, report: ComponentHealthy, ctx: &mut Self::Context) {
        self.on_component_healthy(&report, ctx);
        self.keep();
    }
}

impl Handler<Drain> for Recoverer {
    type Result = Vec<ActionUnderWay>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.on_drain()
    }
}
