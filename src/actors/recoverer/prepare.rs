//! Evidence first: before anything is taken away, what a person would want to see of it is gathered,
//! within a deadline that a hanging platform cannot stretch. The decision is then taken anew with
//! what the cluster's supervisor knows by that time; without its word nothing is done.

use std::sync::Arc;

use actix::prelude::*;

use super::inquiry::Sickness;
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
    /// Gathers evidence for `plan`, which `report` led to; what follows from it is decided afterwards.
    pub(super) fn prepare(
        &mut self,
        report: &Recover,
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
        let preparation = Preparation { key: key.clone(), workload, is_well: false };
        let inquiry = self.inquiry(&component);
        self.preparing.insert(component.clone(), preparation);
        let deadline = self.settings.evidence_timeout;
        let gathered = async move {
            let evidence = match tokio::time::timeout(deadline, cluster.evidence(&request)).await {
                Ok(Ok(evidence)) => Ok(evidence),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("not to be had within {}", words(deadline))),
            };
            (Prepared { key, evidence }, inquiry.answer().await)
        };
        ctx.spawn(gathered.into_actor(self).map(move |(prepared, sickness), act, ctx| {
            act.on_prepared(&component, prepared, sickness, ctx);
            act.keep();
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
        sickness: Sickness,
        ctx: &mut Context<Self>,
    ) {
        let Some(preparation) = self.preparing.remove(component) else { return };
        self.ledger().prepared(component);
        self.release(component, &preparation.workload);
        if self.draining {
            return;
        }
        let key = preparation.key;
        match sickness {
            Sickness::Sick(report) if !preparation.is_well => {
                let mut report = *report;
                self.fill(&mut report.request);
                self.saw_sick(&report.request);
                self.follow(report, Some(prepared), ctx);
            }
            Sickness::Sick(_) | Sickness::Over => {
                tracing::info!(%component, key, "well before anything was done");
            }
            // A later report asks again.
            Sickness::Unknown => {
                tracing::warn!(%component, key, "not acted on, what is sick now is not known");
            }
        }
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
