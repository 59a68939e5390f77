//! Whether, and how, a sick component is restarted. Owns the order of the guards; never acts and
//! never changes the ledger. In doubt it refuses: a person who is told can still act, a needless
//! restart cannot be taken back.

pub mod ledger;
pub mod refusal;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod under_way;
pub mod verification;
pub mod window;

use std::fmt;

pub use ledger::RecoveryLedger;
pub use refusal::RefusalReason;
pub use settings::{ActionStep, Budget, GlobalSettings, LadderStep, RecoverySettings};
pub use under_way::{ActionUnderWay, RolloutProgress};
pub use verification::{Verification, verify};

use crate::model::{ComponentId, IncidentId, Owner, Reason, Timestamp, Workload, WorkloadRef};
use crate::policy::workload_choice::{NoChoice, choose};

/// What is known when a component is reported unhealthy.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryRequest {
    /// The open incident.
    pub incident: IncidentId,
    /// The sick component.
    pub component: ComponentId,
    /// What runs it.
    pub workloads: Vec<Workload>,
    /// When the incident began.
    pub unhealthy_since: Timestamp,
    /// How many components with workloads are sick in this cluster, this one included.
    pub sick_components: usize,
    /// How many components with workloads this cluster has.
    pub watched_components: usize,
    /// Which of the cluster's dependencies are sick.
    pub sick_dependencies: Vec<ComponentId>,
    /// The oldest among the newest probes of the cluster's other components and dependencies.
    pub cluster_seen_at: Option<Timestamp>,
    /// Why the platform cannot be asked at the moment.
    pub platform_error: Option<Reason>,
    /// Those of `workloads` whose replicas are being changed right now.
    pub being_scaled: Vec<WorkloadRef>,
}

/// What to do about a sick component.
#[derive(Debug, Clone, PartialEq)]
pub enum RecoveryDecision {
    /// Take this step.
    Act(PlannedAction),
    /// Do nothing, and say why.
    Refuse {
        /// Why.
        reason: RefusalReason,
    },
    /// Nothing speaks against it but the time.
    Wait {
        /// When to decide again.
        until: Timestamp,
        /// For what.
        reason: WaitReason,
    },
    /// Leave it to a person, and say so once.
    Escalate {
        /// Why.
        reason: EscalationReason,
    },
    /// An action for this component is under way and not verified yet.
    InFlight,
}

/// One step that may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedAction {
    /// The step.
    pub step: ActionStep,
    /// Its place in the ladder, from 0.
    pub index: usize,
    /// On what.
    pub workload: WorkloadRef,
    /// Incident and step; a repeated try after a platform error has the same key.
    pub idempotency_key: String,
    /// The instant that is written into the workload; a repeated try writes the same one, so that
    /// a first try that did arrive is not carried out twice.
    pub at: Timestamp,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// Something of the cluster was not probed since the incident began: a common cause may still
    /// show itself.
    Settling,
    /// The platform could not be reached for the same step a moment ago.
    PlatformRetry,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settling => "waiting for word whether something else is sick too",
            Self::PlatformRetry => "the platform did not take the last request; trying again",
        })
    }
}

/// Why it is left to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EscalationReason {
    /// The ladder says so, or has no further step.
    LadderEnds {
        /// How many steps came before.
        steps_taken: usize,
    },
    /// The rollout of the previous restart still has not finished, so another one cannot help.
    RolloutStuck {
        /// The workload.
        workload: WorkloadRef,
    },
}

impl fmt::Display for EscalationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LadderEnds { steps_taken: 0 } => {
                f.write_str("left to a person: the ladder has no automatic step")
            }
            Self::LadderEnds { steps_taken } => write!(
                f,
                "left to a person: {steps_taken} automatic {} did not help",
                if *steps_taken == 1 { "step" } else { "steps" }
            ),
            Self::RolloutStuck { workload } => write!(
                f,
                "left to a person: {workload} still rolls out after its restart, and another \
                 restart would not help"
            ),
        }
    }
}

/// Decides about one report of a sick component. `ledger` must have been told of the report
/// ([`RecoveryLedger::saw_sick`]) before.
pub fn decide(
    request: &RecoveryRequest,
    ledger: &RecoveryLedger,
    settings: &RecoverySettings,
    global: &GlobalSettings,
    now: Timestamp,
) -> RecoveryDecision {
    if ledger.in_flight(&request.component).is_some() {
        return RecoveryDecision::InFlight;
    }
    let workload = match common_guards(request, settings) {
        Ok(workload) => workload,
        Err(reason) => return RecoveryDecision::Refuse { reason },
    };
    if let Some(at) = ledger.escalated_at(&request.component, &request.incident) {
        return RecoveryDecision::Refuse { reason: RefusalReason::LeftToPerson { since: at } };
    }
    let index = ledger.ladder_index(&request.component, request.unhealthy_since, settings);
    let Some(step) = settings.ladder.get(index).and_then(|step| step.action()) else {
        let reason = EscalationReason::LadderEnds { steps_taken: index };
        return RecoveryDecision::Escalate { reason };
    };
    if workload.is_rolling_out() {
        // Our own restart that never finished must reach a person; somebody else's rollout is
        // left alone.
        let workload = workload.reference.clone();
        return if ledger.last_step_failed_on(&request.component, &workload) {
            RecoveryDecision::Escalate { reason: EscalationReason::RolloutStuck { workload } }
        } else {
            RecoveryDecision::Refuse { reason: RefusalReason::RolloutInProgress { workload } }
        };
    }
    let idempotency_key = format!("{}/{}-{}", request.incident, index, step.as_str());
    let scaled = request.being_scaled.contains(&workload.reference);
    if scaled {
        let workload = workload.reference.clone();
        return RecoveryDecision::Refuse { reason: RefusalReason::BeingScaled { workload } };
    }
    let component = &request.component;
    if let Err(reason) = limits(component, &idempotency_key, ledger, settings, global, now) {
        return RecoveryDecision::Refuse { reason };
    }
    if let Some((until, reason)) = must_wait(request, ledger, settings, now) {
        return RecoveryDecision::Wait { until, reason };
    }
    let at = ledger.first_tried_at(component, &idempotency_key).unwrap_or(now);
    let workload = workload.reference.clone();
    RecoveryDecision::Act(PlannedAction { step, index, workload, idempotency_key, at })
}

/// Guards that forbid every step, escalation included.
fn common_guards<'a>(
    request: &'a RecoveryRequest,
    settings: &RecoverySettings,
) -> Result<&'a Workload, RefusalReason> {
    if !settings.enabled {
        return Err(RefusalReason::Disabled);
    }
    if request.workloads.is_empty() {
        return Err(RefusalReason::NoWorkload);
    }
    if let Some(error) = &request.platform_error {
        return Err(RefusalReason::PlatformUnavailable { error: error.clone() });
    }
    if !request.sick_dependencies.is_empty() {
        let dependencies = request.sick_dependencies.clone();
        return Err(RefusalReason::DependencySick { dependencies });
    }
    let (sick, watched) = (request.sick_components, request.watched_components);
    if sick >= 2 && sick.saturating_mul(2) > watched {
        return Err(RefusalReason::CommonCause { sick, watched });
    }
    let workload = choose(&request.workloads).map_err(|none| match none {
        NoChoice::NoWorkload => RefusalReason::NoWorkload,
        NoChoice::ScaledToZero { workload } => RefusalReason::ScaledToZero { workload },
        NoChoice::Several { workloads } => RefusalReason::SeveralWorkloads { workloads },
    })?;
    let reference = || workload.reference.clone();
    if workload.is_paused() {
        return Err(RefusalReason::Paused { workload: reference() });
    }
    match &workload.owner {
        Owner::None | Owner::MilvusOperator { .. } => Ok(workload),
        Owner::Unknown { kind, name } => Err(RefusalReason::UnknownOwner {
            workload: reference(),
            kind: kind.clone(),
            name: name.clone(),
        }),
    }
}

/// Guards that limit how often and how much at once.
fn limits(
    component: &ComponentId,
    key: &str,
    ledger: &RecoveryLedger,
    settings: &RecoverySettings,
    global: &GlobalSettings,
    now: Timestamp,
) -> Result<(), RefusalReason> {
    let others = ledger.in_flight_in(&component.cluster);
    if others.len() >= global.max_concurrent {
        return Err(RefusalReason::AnotherInFlight {
            components: others,
            max_concurrent: global.max_concurrent,
        });
    }
    if let Some(left) = ledger.cooldown_left(component, key, settings.cooldown, now) {
        return Err(RefusalReason::Cooldown { left });
    }
    let budget = settings.budget;
    if let Some(free_in) = ledger.component_budget_free_in(component, key, budget, now) {
        return Err(RefusalReason::ComponentBudgetSpent { budget, free_in });
    }
    let budget = global.budget;
    if let Some(free_in) = ledger.global_budget_free_in(component, key, budget, now) {
        return Err(RefusalReason::GlobalBudgetSpent { budget, free_in });
    }
    Ok(())
}

fn must_wait(
    request: &RecoveryRequest,
    ledger: &RecoveryLedger,
    settings: &RecoverySettings,
    now: Timestamp,
) -> Option<(Timestamp, WaitReason)> {
    let settled = request.unhealthy_since + settings.settle;
    let outdated = request.cluster_seen_at.is_some_and(|seen| seen < request.unhealthy_since);
    if outdated && now < settled {
        return Some((settled, WaitReason::Settling));
    }
    let retry = ledger.retry_not_before(&request.component)?;
    (now < retry).then_some((retry, WaitReason::PlatformRetry))
}
