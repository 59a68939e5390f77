//! Evidence first: before anything is taken away, what a person would want to see of it is gathered,
//! within a deadline that a hanging platform cannot stretch. The decision is then taken anew with
//! what is known by that time.

use std::sync::Arc;

use actix::prelude::*;

use super::{Recover, Recoverer};
use crate::actors::registry::ActionHolder;
use crate::effects::EvidenceRequest;
use crate::model::{ComponentId, Evidence, WorkloadRef};
use crate::policy::recovery::refusal::words;
use crate::policy::recovery::{PlannedAction, PodState, RecoveryRequest, RefusalReason};

/// Of how many pods at most.
const MOST_PODS: usize = 5;
/// How many lines of each log.
const LOG_LINES: u32 = 100;
/// How many bytes of each log.
const LOG_BYTES: u32 = 32 * 1024;

/// An action that waits for its evidence.
pub(super) struct Preparation {
    /// Its key.
    key: String,
    workload: WorkloadRef,
    /// The newest report on the component.
    pub(super) newest: Recover,
    /// Whether the component was reported healthy since its newest report.
    pub(super) is_well: bool,
}

/// What was gathered for the action with this key.
pub(super) struct Prepared {
    pub(super) key: String,
    /// The pieces, or why there are none.
    pub(super) evidence: Result<Vec<Evidence>, String>,
}

impl Recoverer {
    /// Gathers evidence for `plan`; what follows from it is decided afterwards.
    pub(super) fn prepare(
        &mut self,
        report: Recover,
        plan: &PlannedAction,
        ctx: &mut Context<Self>,
    ) {
        let component = report.request.component.clone();
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else {
            self.refuse(&report.request, &RefusalReason::NoPlatform);
            return;
        };
        if !self.claim(&report.request, &plan.workload) {
            return;
        }
        self.ledger().prepare(&component);
        let request = EvidenceRequest {
            workload: plan.workload.clone(),
            pods: witnesses(plan, &report.request),
            log_lines: LOG_LINES,
            log_bytes: LOG_BYTES,
        };
        let key = plan.idempotency_key.clone();
        let workload = plan.workload.clone();
        let preparation =
            Preparation { key: key.clone(), workload, newest: report, is_well: false };
        self.preparing.insert(component.clone(), preparation);
        let deadline = self.settings.evidence_timeout;
        let gathered = async move {
            match tokio::time::timeout(deadline, cluster.evidence(&request)).await {
                Ok(Ok(evidence)) => Ok(evidence),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("not to be had within {}", words(deadline))),
            }
        };
        ctx.spawn(gathered.into_actor(self).map(move |evidence, act, ctx| {
            act.on_prepared(&component, Prepared { key, evidence }, ctx);
        }));
    }

    /// Takes the workload for the recoverer; tells where somebody else holds it.
    pub(super) fn claim(&mut self, request: &RecoveryRequest, workload: &WorkloadRef) -> bool {
        let (cluster, who) = (&request.component.cluster, ActionHolder::Recoverer);
        let is_ours = self.around.registry.claim(cluster, workload, who).is_ok();
        if !is_ours {
            let workload = workload.clone();
            self.refuse(request, &RefusalReason::BeingScaled { workload });
        }
        is_ours
    }

    fn on_prepared(
        &mut self,
        component: &ComponentId,
        prepared: Prepared,
        ctx: &mut Context<Self>,
    ) {
        let Some(preparation) = self.preparing.remove(component) else { return };
        self.ledger().prepared(component);
        self.release(component, &preparation.workload);
        if self.draining {
            return;
        }
        if preparation.is_well {
            tracing::info!(%component, key = preparation.key, "well before anything was done");
            return;
        }
        self.follow(preparation.newest, Some(prepared), ctx);
    }
}

/// The pods whose evidence is worth having: the one that is removed, then the others that are sick;
/// any of them where none is known to be.
fn witnesses(plan: &PlannedAction, request: &RecoveryRequest) -> Vec<Arc<str>> {
    let target = plan.pod.iter().map(|pod| &pod.name);
    let any_sick = request.pods.iter().any(|one| one.sick.is_some());
    let concerned = |one: &&PodState| if any_sick { one.sick.is_some() } else { true };
    let others = request.pods.iter().filter(concerned).map(|one| &one.pod.name);
    let others = others.filter(|name| plan.pod.as_ref().is_none_or(|pod| pod.name != **name));
    target.chain(others).take(MOST_PODS).cloned().collect()
}
