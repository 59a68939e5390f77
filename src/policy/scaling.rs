//! Whether, and how, a component's replicas are changed. Owns the order of the guards and the
//! bounds; each mode has its own file. Never acts and never changes the ledger.

pub mod caution;
pub mod drain;
pub mod figures;
pub mod hold;
pub mod ledger;
pub mod limits;
pub mod load;
pub mod observed;
pub mod reason;
pub mod settings;
pub mod step;
pub mod target;
#[cfg(test)]
mod tests;

pub use drain::{DrainPhase, DrainUnderWay};
pub use figures::PodFigures;
pub use hold::HoldReason;
pub use ledger::{ChangeUnderWay, ScalingLedger};
pub use observed::{Observed, gitops_warning};
pub use reason::{KeepReason, Trigger};
pub use settings::{
    ChangeLimit, ChangeLimitKind, LimitSelect, ScalingBehavior, ScalingMode, ScalingSettings,
};
pub use step::Load;

use crate::model::{
    ComponentId, HealthState, Owner, Pod, PodUsage, Role, Timestamp, Workload, WorkloadKind,
    WorkloadRef,
};
use crate::policy::quiet::Quiet;
use crate::policy::workload_choice::{NoChoice, choose};

/// What is known of a component's load.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingRequest {
    /// The component.
    pub component: ComponentId,
    /// Its Milvus role.
    pub role: Role,
    /// What runs it.
    pub workloads: Vec<Workload>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// CPU and memory of those pods that have a sample.
    pub usage: Vec<PodUsage>,
    /// What Milvus says of those whose metrics page was read.
    pub figures: Vec<PodFigures>,
    /// Its judged health.
    pub health: HealthState,
    /// Those of `workloads` that are being restarted right now.
    pub being_restarted: Vec<WorkloadRef>,
    /// What it depends on and is unhealthy, the most basic first.
    pub sick_below: Vec<ComponentId>,
    /// A maintenance window or silence in force.
    pub quiet: Option<Quiet>,
}

/// What to do about a component's replicas.
#[derive(Debug, Clone, PartialEq)]
pub enum ScalingDecision {
    /// Change them.
    Scale(PlannedChange),
    /// The load asks for nothing, or nothing more is allowed for now.
    Keep {
        /// Why.
        reason: KeepReason,
    },
    /// falconer must not touch this workload, now or ever.
    Hold {
        /// Why.
        reason: HoldReason,
    },
    /// Something else scales this workload: only said what would be done.
    Observe(Observed),
}

/// One change of the number of replicas.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedChange {
    /// Of what.
    pub workload: WorkloadRef,
    /// The number the decision is based on.
    pub from: u32,
    /// The number to set; never equal to `from`.
    pub to: u32,
    /// What asked for it.
    pub trigger: Trigger,
}

/// What the load alone asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Recommendation {
    /// This many replicas, for this reason.
    Change {
        /// Within the bounds.
        replicas: u32,
        /// What asked for it.
        trigger: Trigger,
    },
    /// As many as there are.
    Keep(KeepReason),
}

impl Recommendation {
    /// The number of replicas it asks for, where there are `current`.
    pub fn replicas(&self, current: u32) -> u32 {
        match self {
            Self::Change { replicas, .. } => *replicas,
            Self::Keep(_) => current,
        }
    }
}

/// A decision, and what the load alone asked for, which belongs into the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What to do.
    pub decision: ScalingDecision,
    /// The number of replicas to remember as recommended; `None` where the load was not looked at
    /// because falconer never scales this workload.
    pub recommended: Option<u32>,
}

/// Judges one report of a component's load. `settings` is `None` for a component that is not
/// listed for scaling.
///
/// The ledger must have been told of the report ([`ScalingLedger::observe`]) before, and of the
/// recommendation after.
pub fn judge(
    request: &ScalingRequest,
    ledger: &ScalingLedger,
    settings: Option<&ScalingSettings>,
    now: Timestamp,
) -> Judgement {
    let (settings, workload) = match may_ever(request, settings) {
        Ok(pair) => pair,
        Err(reason) => {
            let decision = ScalingDecision::Hold { reason };
            return Judgement { decision, recommended: None };
        }
    };
    let judged = freely(request, workload, ledger, settings, now);
    let Some(autoscaler) = &workload.autoscaler else { return judged };
    let decision = ScalingDecision::Observe(Observed {
        workload: workload.reference.clone(),
        autoscaler: autoscaler.clone(),
        would: Box::new(judged.decision),
    });
    Judgement { decision, recommended: judged.recommended }
}

/// How many replicas the load asks for at this moment, whatever is under way; `None` where falconer
/// would not look at it, or cannot tell.
pub fn asked_for(
    request: &ScalingRequest,
    ledger: &ScalingLedger,
    settings: Option<&ScalingSettings>,
    now: Timestamp,
) -> Option<u32> {
    let (settings, workload) = may_ever(request, settings).ok()?;
    match settings.mode {
        ScalingMode::Step => {
            let recommendation = step::recommend(request, workload, ledger, settings, now);
            Some(recommendation.replicas(workload.desired_replicas))
        }
        ScalingMode::Target => by_target(request, workload, ledger, settings, now).recommended,
    }
}

/// The same where nothing else scales `workload`.
fn freely(
    request: &ScalingRequest,
    workload: &Workload,
    ledger: &ScalingLedger,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Judgement {
    let current = workload.desired_replicas;
    if let Err(reason) = may_now(request, workload, ledger, now) {
        let decision = ScalingDecision::Hold { reason };
        return Judgement { decision, recommended: Some(current) };
    }
    let recommendation = match settings.mode {
        ScalingMode::Step => step::recommend(request, workload, ledger, settings, now),
        ScalingMode::Target => return by_target(request, workload, ledger, settings, now),
    };
    let recommended = recommendation.replicas(current);
    let decision = match recommendation {
        Recommendation::Keep(reason) => ScalingDecision::Keep { reason },
        Recommendation::Change { replicas, trigger } => {
            let past = ledger.history(&request.component);
            let limited = limits::limit(current, replicas, &past.as_history(), settings, now);
            match limited.replicas {
                to if to == current => {
                    let reason = KeepReason::limited(limited.by, current, replicas, settings);
                    ScalingDecision::Keep { reason }
                }
                to => ScalingDecision::Scale(planned(workload, to, trigger)),
            }
        }
    };
    Judgement { decision, recommended: Some(recommended) }
}

/// Mode "target": what the HPA would do.
fn by_target(
    request: &ScalingRequest,
    workload: &Workload,
    ledger: &ScalingLedger,
    settings: &ScalingSettings,
    now: Timestamp,
) -> Judgement {
    let current = workload.desired_replicas;
    let pods = load::of_workload(request, workload, now);
    let figure_targets = settings.figure_thresholds.told_by(request.role);
    let seen = target::Observation { current, pods, figure_targets, raw_desired: None };
    let past = ledger.history(&request.component);
    let judged = target::judge(&seen, &past.as_history(), settings, now);
    let summary = Box::new(target::Summary::of(&judged, &seen, settings));
    let decision = if judged.desired == current {
        ScalingDecision::Keep { reason: KeepReason::Target { summary } }
    } else {
        ScalingDecision::Scale(planned(workload, judged.desired, Trigger::Target { summary }))
    };
    Judgement { decision, recommended: judged.raw }
}

fn planned(workload: &Workload, to: u32, trigger: Trigger) -> PlannedChange {
    let from = workload.desired_replicas;
    PlannedChange { workload: workload.reference.clone(), from, to, trigger }
}

/// Guards that do not pass by themselves.
fn may_ever<'a>(
    request: &'a ScalingRequest,
    settings: Option<&'a ScalingSettings>,
) -> Result<(&'a ScalingSettings, &'a Workload), HoldReason> {
    let settings = settings.ok_or(HoldReason::NotListed)?;
    if !settings.enabled {
        return Err(HoldReason::Disabled);
    }
    if !can_have_replicas(request.role) {
        return Err(HoldReason::RoleNeverScales { role: request.role });
    }
    let workload = choose(&request.workloads).map_err(|none| match none {
        NoChoice::NoWorkload => HoldReason::NoWorkload,
        NoChoice::ScaledToZero { workload } => HoldReason::ScaledToZero { workload },
        NoChoice::Several { workloads } => HoldReason::SeveralWorkloads { workloads },
    })?;
    let reference = || workload.reference.clone();
    match workload.reference.kind {
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => {}
        WorkloadKind::DaemonSet | WorkloadKind::Process => {
            return Err(HoldReason::KindNeverScales { workload: reference() });
        }
    }
    match &workload.owner {
        // The platform finds the object in which the number stands.
        Owner::None | Owner::MilvusOperator { .. } => Ok((settings, workload)),
        Owner::Unknown { kind, name } => Err(HoldReason::UnknownOwner {
            workload: reference(),
            kind: kind.clone(),
            name: name.clone(),
        }),
    }
}

/// Guards that pass with time.
fn may_now(
    request: &ScalingRequest,
    workload: &Workload,
    ledger: &ScalingLedger,
    now: Timestamp,
) -> Result<(), HoldReason> {
    let reference = || workload.reference.clone();
    if workload.is_paused() {
        return Err(HoldReason::Paused { workload: reference() });
    }
    if let Some(change) = ledger.in_flight(&request.component) {
        return Err(HoldReason::ChangeUnderWay { from: change.from, to: change.to });
    }
    if let Some(drain) = ledger.drain_of(&request.component) {
        return Err(HoldReason::ChangeUnderWay { from: drain.from, to: drain.to });
    }
    if let Some(quiet) = request.quiet.as_ref().filter(|quiet| now < quiet.until) {
        return Err(HoldReason::Quiet { why: quiet.why.clone(), until: quiet.until });
    }
    if request.being_restarted.contains(&workload.reference) {
        return Err(HoldReason::BeingRestarted { workload: reference() });
    }
    if let Some(left) = ledger.retry_in(&request.component, now) {
        return Err(HoldReason::AfterError { left });
    }
    match request.health {
        HealthState::Healthy => {}
        state @ (HealthState::Unknown | HealthState::Degraded | HealthState::Unhealthy) => {
            return Err(HoldReason::NotHealthy { state });
        }
    }
    if let Some(cause) = request.sick_below.first() {
        return Err(HoldReason::DependencySick { cause: cause.clone() });
    }
    if workload.is_rolling_out() {
        return Err(HoldReason::RollingOut { workload: reference() });
    }
    let (ready, desired) = (workload.ready_replicas, workload.desired_replicas);
    if ready < desired {
        return Err(HoldReason::NotAllReady { ready, desired });
    }
    Ok(())
}

/// Whether more than one replica of a role shares its work.
const fn can_have_replicas(role: Role) -> bool {
    match role {
        Role::Proxy | Role::DataNode | Role::QueryNode | Role::IndexNode | Role::StreamingNode => {
            true
        }
        // A second coordinator is a standby at best; standalone and cdc exist once.
        Role::MixCoord
        | Role::RootCoord
        | Role::DataCoord
        | Role::QueryCoord
        | Role::IndexCoord
        | Role::Standalone
        | Role::Cdc => false,
    }
}
