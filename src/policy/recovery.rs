//! Whether, and how, a sick component is restarted. Owns the order of the guards; never acts and
//! never changes the ledger. In doubt it refuses: a person who is told can still act, a needless
//! restart cannot be taken back.

pub mod decision;
pub mod guards;
pub mod ladder;
pub mod ledger;
pub(super) mod order;
pub mod refusal;
pub mod request;
pub mod settings;
#[cfg(test)]
mod tests;
mod trouble;
pub mod under_way;
pub mod verification;
pub mod window;

pub use decision::{
    EscalationReason, PlannedAction, PodTarget, RecoveryDecision, RevisionChange, TriedEnd,
    TriedStep, WaitReason,
};
pub use guards::{Finding, Guard, GuardVerdict, speaks_against};
pub use ledger::{Limits, RecoveryLedger, StoredProblem, Tripped};
pub use refusal::RefusalReason;
pub use request::{PodState, RecoveryRequest, SickComponent};
pub use settings::{ActionStep, Budget, GlobalSettings, LadderStep, RecoverySettings};
pub use trouble::Trouble;
pub use under_way::{ActionUnderWay, RolloutProgress};
pub use verification::{Verification, verify};

use crate::model::Timestamp;
pub use crate::policy::quiet::Quiet;
use crate::policy::workload_choice::choose;
use guards::Scene;
use ladder::Climb;

/// A decision, and what every guard said.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// The decision.
    pub decision: RecoveryDecision,
    /// Every guard's verdict, in their order; empty while an action is under way.
    pub verdicts: Vec<GuardVerdict>,
}

/// Decides about one report of a sick component, and says what every guard found. `ledger` must have
/// been told of the report ([`RecoveryLedger::saw_sick`]) before.
pub fn assess(
    request: &RecoveryRequest,
    ledger: &RecoveryLedger,
    settings: &RecoverySettings,
    global: &GlobalSettings,
    now: Timestamp,
) -> Assessment {
    if ledger.in_flight(&request.component).is_some() {
        return Assessment { decision: RecoveryDecision::InFlight, verdicts: Vec::new() };
    }
    let workload = choose(&request.workloads);
    let next = workload
        .as_ref()
        .ok()
        .map(|workload| Climb { request, workload, ledger, settings, now }.next());
    let scene = Scene { request, ledger, settings, global, now, workload, next };
    let verdicts = scene.verdicts();
    let objection = verdicts.iter().find_map(|verdict| objection(&verdict.finding));
    let decision = objection.unwrap_or_else(|| act(&scene));
    Assessment { decision, verdicts }
}

/// The decision that a finding leads to; `None` where it speaks for acting.
fn objection(finding: &Finding) -> Option<RecoveryDecision> {
    match finding.clone() {
        Finding::Pass(_) | Finding::NotAsked => None,
        Finding::Refuse(reason) => Some(RecoveryDecision::Refuse { reason }),
        Finding::Wait { until, reason } => Some(RecoveryDecision::Wait { until, reason }),
        Finding::Escalate(reason) => Some(RecoveryDecision::Escalate { reason }),
    }
}

/// No guard objects.
fn act(scene: &Scene<'_>) -> RecoveryDecision {
    let (Ok(workload), Some(next)) = (&scene.workload, scene.step()) else {
        // The guards have refused already where there is nothing to act on or with.
        return RecoveryDecision::Refuse { reason: RefusalReason::NoWorkload };
    };
    let idempotency_key = next.key(scene.request);
    let first_try = scene.ledger.first_tried_at(&scene.request.component, &idempotency_key);
    RecoveryDecision::Act(PlannedAction {
        step: next.step,
        index: next.index,
        workload: workload.reference.clone(),
        pod: next.pod.clone(),
        revisions: next.revisions,
        skipped: next.skipped.clone(),
        idempotency_key,
        at: first_try.unwrap_or(scene.now),
    })
}

/// The decision alone.
pub fn decide(
    request: &RecoveryRequest,
    ledger: &RecoveryLedger,
    settings: &RecoverySettings,
    global: &GlobalSettings,
    now: Timestamp,
) -> RecoveryDecision {
    assess(request, ledger, settings, global, now).decision
}
