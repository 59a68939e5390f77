//! Carrying out a step: the event, the request to the platform, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::{News, Recover, Recoverer, RecoveryPhase};
use crate::actors::platform::{record, within};
use crate::actors::registry::ActionHolder;
use crate::effects::{
    Applied, Cluster, ClusterError, DeletePodRequest, RestartRequest, RollbackRequest,
};
use crate::metrics::ActionOutcome;
use crate::model::{ClusterEvent, ComponentId, EventType, IncidentId, WorkloadRef};
use crate::policy::recovery::refusal::words;
use crate::policy::recovery::{
    ActionStep, EscalationReason, Limits, PlannedAction, PodTarget, RecoveryRequest, RefusalReason,
    RevisionChange,
};

/// What is needed when the platform's answer arrives.
struct Sent {
    incident: IncidentId,
    component: ComponentId,
    plan: PlannedAction,
}

/// The deadlines of one step.
#[derive(Clone, Copy)]
struct Deadlines {
    event: Duration,
    request: Duration,
}

impl Recoverer {
    /// Puts the action into the ledger, then asks the platform for it.
    pub(super) fn begin_action(
        &mut self,
        report: Recover,
        plan: PlannedAction,
        ctx: &mut Context<Self>,
    ) {
        let Recover { request, reason } = report;
        let component = request.component.clone();
        let Some(cluster) = self.around.clusters.get(&component.cluster).cloned() else {
            self.refuse(&request, &RefusalReason::NoPlatform);
            return;
        };
        let who = ActionHolder::Recoverer;
        if self.around.registry.claim(&component.cluster, &plan.workload, who).is_err() {
            let workload = plan.workload.clone();
            self.refuse(&request, &RefusalReason::BeingScaled { workload });
            return;
        }
        let now = self.around.clock.now();
        let settings = self.settings.for_component(&component);
        let global = &self.settings.global;
        self.around.circuits.begin(&component.cluster, now);
        let sick: Vec<Arc<str>> = sick_pods(&request);
        let limits = Limits { settings, global };
        self.ledger().begin(&component, &request.incident, &plan, limits, &sick, now);
        tracing::info!(
            component = %component,
            incident = %request.incident,
            workload = %plan.workload,
            step = plan.step.as_str(),
            key = plan.idempotency_key,
            %reason,
            "recovery step begins"
        );
        self.publish();
        let event = self.event(
            &plan.workload,
            EventType::Warning,
            event_reason(plan.step),
            format!(
                "falconer begins to {}: {} is unhealthy since {}: {}",
                words_of(&plan),
                component,
                request.unhealthy_since,
                reason
            ),
        );
        let deadlines = Deadlines {
            event: self.settings.event_timeout,
            request: self.settings.request_timeout,
        };
        let sent = Sent { incident: request.incident, component, plan: plan.clone() };
        let answer = carry_out(cluster, event, plan, deadlines);
        ctx.spawn(
            answer
                .into_actor(self)
                .map(move |answer, act, ctx| act.on_action_answered(sent, answer, ctx)),
        );
    }

    fn on_action_answered(
        &mut self,
        sent: Sent,
        answer: Result<Applied, ClusterError>,
        ctx: &mut Context<Self>,
    ) {
        let now = self.around.clock.now();
        let Sent { incident, component, plan } = sent;
        self.around.answered(&component.cluster, &answer);
        let settings = self.settings.for_component(&component).clone();
        let (phase, kind, summary, outcome) = match answer {
            Ok(Applied { applied: true, change }) => {
                self.ledger().accepted(&component, now);
                tracing::info!(component = %component, change, "platform accepted the change");
                let used = self.ledger().component_actions(&component, settings.budget.per, now);
                let summary = format!(
                    "restarting {} ({} of {} actions per {}); to be healthy within {}",
                    plan.workload,
                    used,
                    settings.budget.actions,
                    words(settings.budget.per),
                    words(settings.verify_timeout)
                );
                (RecoveryPhase::Started, plan.step.as_str(), summary, ActionOutcome::Started)
            }
            Ok(Applied { applied: false, change }) => {
                self.ledger().shown(&component, now);
                self.release(&component, &plan.workload);
                let summary = format!("dry run: would restart {}: {change}", plan.workload);
                (RecoveryPhase::DryRun, plan.step.as_str(), summary, ActionOutcome::DryRun)
            }
            Err(error) if error.is_retryable() => {
                let delay = self.ledger().postponed(&component, &settings, now);
                self.release(&component, &plan.workload);
                let summary = format!("not restarted: {error}; trying again at {}", now + delay);
                let phase = RecoveryPhase::NotRecovered;
                (phase, "platform_retry", summary, ActionOutcome::Error)
            }
            Err(error) => {
                self.ledger().not_recovered(&component, now);
                self.release(&component, &plan.workload);
                let summary = format!("not restarted: {error}");
                let phase = RecoveryPhase::NotRecovered;
                (phase, "platform_refused", summary, ActionOutcome::Error)
            }
        };
        self.tell(News { incident, component, phase, kind, summary, outcome: Some(outcome) });
        // Also where there is nothing new to tell.
        self.publish();
        self.arm_verification(ctx);
    }

    /// Says once that the incident is left to a person.
    pub(super) fn escalate(
        &mut self,
        request: &RecoveryRequest,
        reason: &EscalationReason,
        ctx: &mut Context<Self>,
    ) {
        let now = self.around.clock.now();
        self.ledger().escalated(&request.component, &request.incident, now);
        let running = request.workloads.iter().find(|workload| workload.desired_replicas > 0);
        if let Some(workload) = running {
            let message = format!("{}: {reason}", request.component);
            let event = self.event(&workload.reference, EventType::Warning, "Escalated", message);
            self.write_event(&request.component, event, ctx);
        }
        self.tell(News {
            incident: request.incident.clone(),
            component: request.component.clone(),
            phase: RecoveryPhase::Escalated,
            kind: "escalated",
            summary: reason.to_string(),
            outcome: None,
        });
    }

    /// An event to write; none in dry-run, which must leave no trace.
    pub(super) fn event(
        &self,
        workload: &WorkloadRef,
        event_type: EventType,
        reason: &'static str,
        message: String,
    ) -> Option<ClusterEvent> {
        let workload = workload.clone();
        (!self.settings.dry_run).then_some(ClusterEvent { workload, event_type, reason, message })
    }

    /// Writes an event in the background, at best.
    pub(super) fn write_event(
        &self,
        component: &ComponentId,
        event: Option<ClusterEvent>,
        ctx: &mut Context<Self>,
    ) {
        let cluster = self.around.clusters.get(&component.cluster).cloned();
        if let (Some(cluster), Some(event)) = (cluster, event) {
            let deadline = self.settings.event_timeout;
            let written = async move { record(cluster.as_ref(), &event, deadline).await };
            ctx.spawn(written.into_actor(self));
        }
    }
}

async fn carry_out(
    cluster: Arc<dyn Cluster>,
    event: Option<ClusterEvent>,
    plan: PlannedAction,
    deadlines: Deadlines,
) -> Result<Applied, ClusterError> {
    if let Some(event) = event {
        record(cluster.as_ref(), &event, deadlines.event).await;
    }
    let deadline = deadlines.request;
    let PlannedAction { step, workload, pod, revisions, idempotency_key, at, .. } = plan;
    match (step, pod, revisions) {
        (ActionStep::RolloutRestart, _, _) => {
            let request = RestartRequest { workload, at, idempotency_key };
            within(deadline, "restart", &request.workload, cluster.restart(&request)).await
        }
        (ActionStep::DeletePod | ActionStep::ForceDelete, Some(pod), _) => {
            let force = step == ActionStep::ForceDelete;
            let PodTarget { name: pod, uid } = pod;
            let request = DeletePodRequest { workload, pod, uid, force, idempotency_key };
            within(deadline, "delete pod of", &request.workload, cluster.delete_pod(&request)).await
        }
        (ActionStep::Rollback, _, Some(RevisionChange { from, to })) => {
            let (from_revision, to_revision) = (from, to);
            let request = RollbackRequest { workload, from_revision, to_revision, idempotency_key };
            within(deadline, "roll back", &request.workload, cluster.rollback(&request)).await
        }
        (ActionStep::DeletePod | ActionStep::ForceDelete | ActionStep::Rollback, _, _) => {
            let (operation, object) = (step.as_str(), workload.to_string());
            let message = "the decision does not say on what".to_owned();
            Err(ClusterError::Unsupported { operation, object, message })
        }
    }
}

/// The names of the pods that were found sick.
pub(super) fn sick_pods(request: &RecoveryRequest) -> Vec<Arc<str>> {
    let sick = request.pods.iter().filter(|one| one.sick.is_some());
    sick.map(|one| Arc::clone(&one.pod.name)).collect()
}

/// The reason of the event that announces a step.
const fn event_reason(step: ActionStep) -> &'static str {
    match step {
        ActionStep::DeletePod => "DeletePod",
        ActionStep::ForceDelete => "ForceDeletePod",
        ActionStep::RolloutRestart => "RolloutRestart",
        ActionStep::Rollback => "Rollback",
    }
}

/// A step as people say it, e.g. `restart deployment/milvus-proxy`.
fn words_of(plan: &PlannedAction) -> String {
    let workload = &plan.workload;
    let pod = plan.pod.as_ref().map_or("", |pod| &pod.name);
    match plan.step {
        ActionStep::DeletePod => format!("delete pod {pod} of {workload}"),
        ActionStep::ForceDelete => format!("remove by force pod {pod} of {workload}"),
        ActionStep::RolloutRestart => format!("restart {workload}"),
        ActionStep::Rollback => match plan.revisions {
            Some(change) => format!("return {workload} to revision {}", change.to),
            None => format!("roll back {workload}"),
        },
    }
}
